"""A document's specialty: the source's own department label if it is known, else words of its title and text.

The words are data (taxonomy/specialty_cues.yaml). A title's word weighs three times a text's, a symptom half of a disease; what `first`
names (a pregnancy, a child, burns) weighs most, for it decides who treats whatever the illness is. Nothing is
guessed: no word, or two specialties of the same weight, and it stays unmapped.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Literal

import msgspec

from wardround import taxonomy
from wardround.corpus.cues import Words, cues
from wardround.errors import InputError
from wardround.records import Document, Record

By = Literal["department", "words", "none"]
IN_TITLE, IN_TEXT, FIRST = 6, 2, 11
"""FIRST is odd, so that whom the illness befell decides where the words for two specialties weigh the same."""
MOST_TEXT = 400
_DRAWER = re.compile(r"(?:综合|其[它他]|门诊|急诊|病房)$")


class Specialty(Record, frozen=True, kw_only=True):
    """A specialty_id or "unmapped", how it was found, and the words that told."""

    id: str
    by: By
    words: tuple[str, ...] = ()


class _File(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    first: dict[str, str]
    items: dict[str, tuple[str, ...]]


class _Lists:
    def __init__(self, found: _File) -> None:
        self.first = {k: re.compile(v) for k, v in found.first.items()}
        self.of_word: dict[str, list[str]] = {}
        for specialty, listed in found.items.items():
            for word in listed:
                self.of_word.setdefault(word, []).append(specialty)
        self.words = Words(self.of_word)
        self.vague = {word for word in self.of_word if word in cues().complaints.distinct(word)}


@cache
def _lists() -> _Lists:
    path = taxonomy.HERE / "specialty_cues.yaml"
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=_File)
    except msgspec.DecodeError as e:
        raise InputError(f"not a list of words: {e}", path=path, hint="see its head") from e
    unknown = {*found.first, *found.items} - set(taxonomy.specialties())
    if unknown:
        raise InputError(f"no specialty named {', '.join(sorted(unknown))}", path=path)
    return _Lists(found)


def by_department(departments: tuple[str, ...]) -> str:
    """The specialty of a source's labels, the last known first; 小儿综合 and 肝病科其它 count as what they name."""
    parts = [p.strip() for label in departments for p in label.split("/")]
    found = taxonomy.specialty_of(parts)
    if found != taxonomy.UNMAPPED:
        return found
    return taxonomy.specialty_of([_DRAWER.sub("", p) for p in parts if p])


def weights(title: str, text: str = "") -> tuple[Counter[str], tuple[str, ...]]:
    """How much speaks for each specialty, and the words that do."""
    lists = _lists()
    count: Counter[str] = Counter()
    told: dict[str, None] = {}
    for part, weight in ((title, IN_TITLE), (text[:MOST_TEXT], IN_TEXT)):
        for word in lists.words.distinct(part):
            told[word] = None
            # A symptom says less than a disease: many specialties see it.
            worth = weight // 2 if word in lists.vague else weight
            for specialty in lists.of_word[word]:
                count[specialty] += worth
        for specialty, pattern in lists.first.items():
            m = pattern.search(part)
            if m:
                told[m[0]] = None
                count[specialty] += FIRST * weight // IN_TEXT
    return count, tuple(told)


def by_words(title: str, text: str = "") -> Specialty:
    """The specialty that most speaks for; unmapped when none does or two do alike."""
    count, told = weights(title, text)
    ranked = sorted(count.items(), key=lambda p: (-p[1], p[0]))
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return Specialty(id=taxonomy.UNMAPPED, by="none", words=told)
    return Specialty(id=ranked[0][0], by="words", words=told)


def named(text: str, specialty: str) -> tuple[str, ...]:
    """The words of one specialty's list in a text, each once."""
    lists = _lists()
    return tuple(w for w in lists.words.distinct(text) if specialty in lists.of_word[w])


def names_illness(text: str) -> bool:
    """Whether a text names a disease or what else a specialty is known by; a symptom is not enough."""
    lists = _lists()
    return any(word not in lists.vague for word in lists.words.found(text))


def specialty_of(document: Document) -> Specialty:
    """The specialty of a document."""
    known = by_department(document.departments)
    if known != taxonomy.UNMAPPED:
        return Specialty(id=known, by="department", words=document.departments)
    return by_words(*_texts(document))


def labelled(document: Document) -> Document:
    """The document with its specialty set where it had none."""
    if document.specialty != taxonomy.UNMAPPED:
        return document
    found = specialty_of(document).id
    if found == document.specialty:
        return document
    return msgspec.structs.replace(document, specialty=found)


_TEXTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "encyclopedia": (("name",), ("desc", "symptom", "cause")),
    "case": ((), ("description",)),
    "choice": (("answer_text",), ("question", "explanation")),
    "consultation": (("title", "topic"), ("questions",)),
    "passage": (("headings",), ("text",)),
    "fhir": (("conditions",), ("description", "notes")),
}
"""Kind → the fields that count as title and as text."""


def _texts(document: Document) -> tuple[str, str]:
    titles, texts = _TEXTS.get(document.kind, ((), ()))
    own = () if document.kind == "choice" else (document.title,)
    return _joined(document, titles, own), _joined(document, texts, ())


def _joined(document: Document, names: tuple[str, ...], also: tuple[str, ...]) -> str:
    parts = list(also)
    for name in names:
        value = document.fields.get(name, "")
        parts += [value] if isinstance(value, str) else value
    return "\n".join(dict.fromkeys(p for p in parts if p))
