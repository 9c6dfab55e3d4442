"""One shard of a source: rows → documents → samples, as a pure function of the shard.

Everything that looks at one document alone happens here, so that it can happen in any process: reading,
de-identification, composition, dialogues, the signature for near-duplicates and the check against held-out
sets. What needs to see other documents (duplicates, the split, caps) works on what comes back.

A shard names rows of a file: a byte range of a file of lines, or the whole of one that can't be cut. `work`
returns a `Made` in MessagePack; a `Made` depends on the shard and the `Recipe` only, so a lost one is
simply made again, and a finished one is kept for the next session.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path

import msgspec

from wardround.corpus import held_out
from wardround.corpus.compose import Limits, Tally, of_document
from wardround.corpus.dialogues import DOCTOR_ASKS, dialogue_of
from wardround.corpus.formats import rows
from wardround.corpus.held_out import HeldOut, Hit
from wardround.corpus.keys import (
    DialogueKey,
    DocumentKey,
    SampleKey,
    dialogue_key,
    document_key,
    own_text,
    sample_key,
)
from wardround.corpus.kinds import documents_of
from wardround.corpus.lines import Row
from wardround.corpus.privacy import Residue, clean
from wardround.corpus.recipes import Rule, load
from wardround.corpus.source import Source
from wardround.corpus.specialty import labelled
from wardround.records import Document, Exclusion, Record, Sample, decode, encode

ROWS = 1000
"""Rows of a shard: a second or so of work."""
TITLE = "(title)"
PUBLISHED = frozenset({"encyclopedia"})
"""Under this name a document's title is de-identified with its fields."""
DISEASE_NAMED = frozenset({"encyclopedia", "case", "passage"})
"""Kinds whose title names what they are about: documents of one title stay on one side."""


class Shard(Record, frozen=True, kw_only=True):
    """Rows of one source: bytes `start` to `end` of its file, the first being row `first_row`; or, when
    `spooled`, of a file of `Row`s in JSON."""

    path: str
    source: Source
    start: int = 0
    end: int | None = None
    first_row: int = 1
    spooled: bool = False


class Making(Record, frozen=True, kw_only=True):
    """How documents are made into samples; the same for every shard of a build. `held_out` are files."""

    tasks: tuple[str, ...]
    limits: Limits
    wordings: bool = False
    private: bool = True
    near: bool = True
    held_out: tuple[str, ...] = ()


class MadeSample(msgspec.Struct, frozen=True, array_like=True):
    """A sample's key, its JSON and its signature for near-duplicates; `hit` is what it shares with a held-out
    set."""

    key: SampleKey
    line: bytes
    signature: bytes
    hit: Hit | None = None


class MadeDialogue(msgspec.Struct, frozen=True, array_like=True):
    """A dialogue's key and its JSON; `hit` as above."""

    key: DialogueKey
    line: bytes
    hit: Hit | None = None


class MadeDocument(msgspec.Struct, frozen=True, array_like=True):
    """A document with all that was made of it."""

    key: DocumentKey
    line: bytes
    samples: tuple[MadeSample, ...]
    dialogue: MadeDialogue | None
    exclusions: tuple[Exclusion, ...]
    found: dict[str, int]
    residue: tuple[Residue, ...]


class Made(msgspec.Struct, frozen=True, array_like=True):
    """What a shard came to. `rows` counts its rows, readable or not."""

    rows: int
    documents: tuple[MadeDocument, ...]
    exclusions: tuple[Exclusion, ...]
    tally: Tally


def work(job: tuple[Shard, Making]) -> bytes:
    """A shard's `Made`, as MessagePack."""
    shard, making = job
    return msgspec.msgpack.encode(_made(shard, making))


def read_made(data: bytes) -> Made:
    """What `work` returned."""
    return msgspec.msgpack.decode(data, type=Made)


def _made(shard: Shard, making: Making) -> Made:
    tally = Tally()
    read = 0
    exclusions: list[Exclusion] = []
    documents: list[tuple[Document, dict[str, int], tuple[Residue, ...]]] = []
    for row in _rows(shard):
        read += 1
        for item in documents_of(row, shard.source):
            if isinstance(item, Exclusion):
                exclusions.append(item)
            else:
                documents.append(ready(item, private=making.private))
    composed = [
        of_document(d, _rules(), making.tasks, making.limits, wordings=making.wordings)
        for d, _, _ in documents
    ]
    for one in composed:
        tally.add(one.lacking)
    samples = _samples([s for one in composed for s in one.samples], making)
    talks = _dialogues([d for d, _, _ in documents], making)
    made = tuple(
        MadeDocument(
            key=document_key(d, titled=d.kind in DISEASE_NAMED),
            line=encode(d),
            samples=tuple(islice(samples, len(one.samples))),
            dialogue=talks.get(d.id),
            exclusions=tuple(one.aside),
            found=found,
            residue=residue,
        )
        for one, (d, found, residue) in zip(composed, documents, strict=True)
    )
    return Made(rows=read, documents=made, exclusions=tuple(exclusions), tally=tally)


def _rows(shard: Shard) -> Iterator[Row]:
    path = Path(shard.path)
    if not shard.spooled:
        return rows(path, shard.source, start=shard.start, end=shard.end, first_row=shard.first_row)
    with open(path, "rb") as f:
        f.seek(shard.start)
        data = f.read((shard.end or 0) - shard.start)
    return (decode(line, Row) for line in data.splitlines())


def ready(
    document: Document, *, private: bool
) -> tuple[Document, dict[str, int], tuple[Residue, ...]]:
    """The document with its specialty, and without identifiers where `private`."""
    found: dict[str, int] = {}
    residue: tuple[Residue, ...] = ()
    if private:
        cleaned = clean(
            {TITLE: document.title, **document.fields}, published=document.kind in PUBLISHED
        )
        if cleaned.found:
            fields = dict(cleaned.fields)
            title = fields.pop(TITLE)
            document = msgspec.structs.replace(document, title=str(title), fields=fields)
        found, residue = cleaned.found, cleaned.residue
    return labelled(document), found, residue


def _samples(samples: Sequence[Sample], making: Making) -> Iterator[MadeSample]:
    """The samples with their signatures and hits, taken all at once: one by one costs ten times as much."""
    texts = [compared_text(s) for s in samples]
    hits = _hits(making.held_out, texts)
    signed = [b""] * len(samples)
    if making.near and samples:
        from wardround.corpus.near import signatures

        signed = [row.tobytes() for row in signatures(texts)]
    for sample, hit, signature in zip(samples, hits, signed, strict=True):
        yield MadeSample(sample_key(sample), encode(sample), signature, hit)


def _dialogues(documents: Sequence[Document], making: Making) -> dict[str, MadeDialogue]:
    """Document id → its dialogue."""
    talks = [dialogue_of(d) for d in documents if d.kind in DOCTOR_ASKS]
    asked = [talk.id for talk in talks for _ in talk.turns]
    found = _hits(
        making.held_out, [f"{t.question}\n{t.reference}" for talk in talks for t in talk.turns]
    )
    hits = {i: hit for i, hit in zip(asked, found, strict=True) if hit is not None}
    return {
        talk.document: MadeDialogue(dialogue_key(talk), encode(talk), hits.get(talk.id))
        for talk in talks
    }


def with_labels(
    document: Document, labels: Mapping[str, str], making: Making
) -> tuple[list[MadeSample], list[Exclusion]]:
    """The samples of those questions of a document that a classifier placed (`labels`: question → task), and
    what of them was set aside."""
    made = of_document(
        document, _rules(), making.tasks, making.limits, labels=labels, wordings=making.wordings
    )
    mine = [s for s in made.samples if any(s.id.startswith(f"{q}.") for q in labels)]
    aside = [e for e in made.aside if any(e.what.startswith(f"{q}.") for q in labels)]
    return list(_samples(mine, making)), aside


def _hits(files: tuple[str, ...], texts: Sequence[str]) -> Sequence[Hit | None]:
    return _held_out(files, _seen(files)).check(texts) if files else [None] * len(texts)


def _seen(files: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """What tells a file from an earlier one of its name: a process may serve more than one build."""
    return tuple((s.st_mtime_ns, s.st_size) for s in (Path(f).stat() for f in files))


@cache
def _rules() -> tuple[Rule, ...]:
    return load()


@lru_cache(1)
def _held_out(files: tuple[str, ...], seen: tuple[tuple[int, int], ...]) -> HeldOut:
    return held_out.load([Path(f) for f in files])


def compared_text(sample: Sample) -> str:
    """What samples are compared by: their own question and the answer."""
    return f"{own_text(sample)}\n{sample.output}"
