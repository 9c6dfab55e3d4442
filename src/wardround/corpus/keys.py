"""What is kept in memory of a document, a sample, a dialogue: enough to choose among them, no text.

A build of a million rows holds a million of these and reads texts from disk when it writes them. Texts are
compared by 64-bit digests of their normalised form; two different texts among ten million share one with a
chance of about three in a million, and then one sample is set aside as the other's duplicate, with its reason.
"""

from __future__ import annotations

import hashlib
import sys
from functools import cache

import msgspec

from wardround import taxonomy
from wardround.corpus.names import joining
from wardround.metrics.overlap import normalise
from wardround.records import Dialogue, Document, Sample

NOTHING = 0
"""The digest of an empty text: equal to no other."""


class DocumentKey(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A document without its fields. `title` and `text` are digests of its title and main text, `names` of what joins
    it to others on the same thing (`names.joining`); `place` counts the documents of a build in the order of their sources."""

    id: str
    kind: str
    specialty: str
    file: str
    row: int
    title: int
    text: int
    place: int = -1
    names: tuple[int, ...] = ()


class SampleKey(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A sample without its texts. `asked` and `answered` are digests of its question (with its task) and output, `length_in` and
    `length_out` their characters (the instruction not counted), `place` where it stands among all samples."""

    id: str
    task: str
    specialty: str
    document: str
    asked: int
    answered: int
    length_in: int
    length_out: int
    place: int = -1


class DialogueKey(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A dialogue without its texts; `turns` is their number."""

    id: str
    document: str
    specialty: str
    turns: int
    place: int = -1


def digest64(text: str) -> int:
    """64 bits of a text's normalised form (`metrics.overlap.normalise`); `NOTHING` when that is empty."""
    plain = normalise(text)
    if not plain:
        return NOTHING
    return int.from_bytes(hashlib.blake2b(plain.encode(), digest_size=8).digest(), "big") or 1


def document_key(document: Document, *, titled: bool = True) -> DocumentKey:
    """The key of a document; `titled` says whether its title names a disease or chapter, so that documents of
    the same title belong together."""
    main = document.fields.get("description") or document.fields.get("desc") or ""
    return DocumentKey(
        id=document.id,
        kind=sys.intern(document.kind),
        specialty=sys.intern(document.specialty),
        file=sys.intern(document.provenance.file),
        row=document.provenance.row,
        title=digest64(document.title) if titled else NOTHING,
        text=digest64(str(main)),
        names=tuple(dict.fromkeys(map(digest64, joining(document)))) if titled else (),
    )


@cache
def _instructions() -> frozenset[str]:
    return frozenset(x for t in taxonomy.tasks().values() for x in (t.instruction, *t.wordings))


def without_instruction(text: str) -> str:
    """A question without its first line where that is a task's instruction, and without the case marker."""
    first, found, own = text.partition("\n")
    bare = own if found and first in _instructions() else text
    return bare.removeprefix(taxonomy.case_marker())


def own_text(sample: Sample) -> str:
    """What of a sample's input is its own: the task's instruction and the case marker left out."""
    return without_instruction(sample.input)


def sample_key(sample: Sample) -> SampleKey:
    """The key of a sample."""
    return SampleKey(
        id=sample.id,
        task=sys.intern(sample.task),
        specialty=sys.intern(sample.specialty),
        document=sys.intern(sample.document),
        asked=digest64(f"{sample.task}\n{own_text(sample)}"),
        answered=digest64(sample.output),
        length_in=len(own_text(sample)),
        length_out=len(sample.output),
    )


def dialogue_key(dialogue: Dialogue) -> DialogueKey:
    """The key of a dialogue."""
    return DialogueKey(
        id=dialogue.id,
        document=sys.intern(dialogue.document),
        specialty=sys.intern(dialogue.specialty),
        turns=len(dialogue.turns),
    )
