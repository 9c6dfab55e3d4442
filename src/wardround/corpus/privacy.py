"""Personal identifiers out of source documents, by rules for Chinese clinical text.

`clean` takes one document's fields and gives them back with every identifier replaced: [姓名1], [手机号1], … the same
value by the same replacement throughout the document; exact dates by intervals from its first date
(`privacy_dates`). What it found is told as counts by kind, never as values; no value is kept, logged or put
into an error's text. What looks doubtful and was left in place is a `Residue`: a place in the cleaned text and
the cue, for a human to clear.

It is pure and works on one document alone, so documents can be cleaned in any order and in parallel. It is no
certified de-identification: docs/privacy.md says what was measured and what is not looked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from wardround.corpus import privacy_dates as dates
from wardround.corpus import privacy_names as names
from wardround.corpus import privacy_numbers as numbers
from wardround.corpus import privacy_places as places
from wardround.corpus.privacy_spans import KINDS as KINDS
from wardround.corpus.privacy_spans import Doubt, Span, overlaps, settled, view
from wardround.errors import WardroundError
from wardround.records import Record

Fields = Mapping[str, str | tuple[str, ...]]

ZH = {
    "resident_id": "证件号", "mobile": "手机号", "landline": "电话", "name": "姓名", "address": "地址", "hospital": "医院",
    "ward_bed": "病区床位", "record_number": "编号", "email": "邮箱", "account": "账号", "card": "卡号", "plate": "车牌",
    "workplace": "单位", "date": "日期",
}  # fmt: skip
_AGE = re.compile(r"(?:9[0-9]|1[01][0-9])\s?岁(?!以)")
# What an earlier cleaning put in is no identifier.
_TAG = re.compile(rf"\[(?:{'|'.join(ZH.values())})[0-9]+\]")
_PUBLIC = frozenset({"hospital", "workplace", "date"})
_BETWEEN = "\x00"
_IN_NUMBER = frozenset("0123456789.")
_SIGNS = re.compile(r"[^0-9A-Za-z\u3400-\u9fff*]")


class Residue(Record, frozen=True, kw_only=True):
    """A place a human should look at: field (`questions[2]` in a field of several texts, from 0), characters
    `start` to `end` of the *cleaned* text, and why. Never the value."""

    field: str
    start: int
    end: int
    cue: str


class Cleaned(Record, frozen=True, kw_only=True):
    """A document's fields without identifiers, how many of each kind were replaced, and what is left to see."""

    fields: dict[str, str | tuple[str, ...]]
    found: dict[str, int]
    residue: tuple[Residue, ...]


def clean(fields: Fields, *, published: bool = False) -> Cleaned:
    """Replace the identifiers of one document; pure. Raises `WardroundError` naming the error's type alone.

    Hospitals and dates of a `published` text (an encyclopedia, a book) stay: who made a study, where and when, is
    knowledge and nobody's identifier."""
    try:
        return _clean(fields, _PUBLIC if published else frozenset())
    except Exception as error:
        # The error's own text may quote the document, so neither it nor its traceback is passed on.
        kind = type(error).__name__
    raise WardroundError(
        f"privacy: a document's identifiers could not be replaced ({kind})",
        hint="keep this document out, and report its kind and field names, not its text",
    )


def find(text: str) -> list[Span]:
    """The identifiers of one text taken as a document, in order and without overlap; months are among them,
    although `clean` leaves them in a document without an exact date."""
    return _found(view(text))[0]


def _clean(fields: Fields, public: frozenset[str]) -> Cleaned:
    where = list(_texts(fields))
    # Read as one text, so that a document of many short fields costs one pass.
    whole = _BETWEEN.join(text for _, text in where)
    seen = view(whole)
    spans, written = _found(seen)
    if public:
        spans = [s for s in spans if s.kind not in public]
        written = []
    calendar = dates.Calendar(written)
    dated = {w.start: calendar.replacement(w) for w in written}
    kept = [s for s in spans if s.kind != "date" or dated[s.start] is not None]
    doubts = _doubts(seen, kept, written)
    if not kept and not doubts:
        return Cleaned(fields=dict(fields), found={}, residue=())
    indexes: dict[tuple[str, str], int] = {}
    put = [dated[s.start] or "" if s.kind == "date" else _tag(s, seen, indexes) for s in kept]
    counts = Counter(s.kind for s in kept)
    new: list[str] = []
    residue: list[Residue] = []
    low = 0
    for field, text in where:
        high = low + len(text)
        mine = [(s, p) for s, p in zip(kept, put, strict=True) if low <= s.start < high]
        new.append(_replaced(whole, low, high, mine))
        residue += (_residue(field, d, low, mine) for d in doubts if low <= d.start < high)
        low = high + len(_BETWEEN)
    return Cleaned(
        fields=_put_back(fields, iter(new)),
        found={k: counts[k] for k in KINDS if k in counts},
        residue=tuple(residue),
    )


def _replaced(whole: str, low: int, high: int, mine: Sequence[tuple[Span, str]]) -> str:
    pieces: list[str] = []
    at = low
    for span, put in mine:
        pieces += (whole[at : span.start], put)
        at = span.end
    return "".join((*pieces, whole[at:high]))


def _residue(field: str, doubt: Doubt, low: int, mine: Sequence[tuple[Span, str]]) -> Residue:
    """The doubt's place once everything before it in its text is replaced."""
    grown = sum(len(p) - (s.end - s.start) for s, p in mine if s.end <= doubt.start)
    shift = grown - low
    return Residue(field=field, start=doubt.start + shift, end=doubt.end + shift, cue=doubt.cue)


def _texts(fields: Fields) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, str):
            yield name, value
        else:
            yield from ((f"{name}[{i}]", text) for i, text in enumerate(value))


def _put_back(fields: Fields, new: Iterator[str]) -> dict[str, str | tuple[str, ...]]:
    return {
        name: next(new) if isinstance(value, str) else tuple(next(new) for _ in value)
        for name, value in fields.items()
    }


def _found(text: str) -> tuple[list[Span], list[dates.Written]]:
    """The spans of a document's view, and those of its dates that are among them; a name found once is found
    everywhere."""
    spans = numbers.find(text) + places.find(text)
    people = names.find(text, spans)
    known = {name for s in people if _whole(name := text[s.start : s.end])}
    for name in sorted(known):
        people += (Span(kind="name", start=i, end=i + len(name)) for i in _places_of(name, text))
    days = dates.find(text)
    spans += numbers.beside(text, people)
    spans += people
    spans += (Span(kind="date", start=d.start, end=d.end) for d in days)
    if not spans:
        return [], []
    if "[" in text:
        tags = [Span(kind="", start=m.start(), end=m.end()) for m in _TAG.finditer(text)]
        spans = [s for s in spans if not overlaps(s.start, s.end, tags)]
    standing = settled(s for s in set(spans) if _BETWEEN not in text[s.start : s.end])
    starts = {s.start for s in standing if s.kind == "date"}
    return standing, [d for d in days if d.start in starts]


def _whole(name: str) -> bool:
    """Whether a name is long enough to be looked for without a cue: two characters may stand anywhere."""
    return len(name) >= 2 and "某" not in name


def _places_of(name: str, text: str) -> Iterator[int]:
    at = text.find(name)
    while at >= 0:
        yield at
        at = text.find(name, at + len(name))


def _tag(span: Span, text: str, indexes: dict[tuple[str, str], int]) -> str:
    value = _SIGNS.sub("", text[span.start : span.end]).lower()
    if span.kind == "mobile":
        value = value[-11:]
    key = (span.kind, value)
    if key not in indexes:
        indexes[key] = 1 + sum(kind == span.kind for kind, _ in indexes)
    return f"[{ZH[span.kind]}{indexes[key]}]"


def _doubts(text: str, spans: list[Span], days: Sequence[dates.Written]) -> list[Doubt]:
    out = [*numbers.doubts(text, spans), *places.doubts(text, spans), *names.doubts(text, spans)]
    old = _AGE.finditer(text) if "岁" in text else iter(())
    ages = (m for m in old if text[m.start() - 1 : m.start()] not in _IN_NUMBER)
    out += (Doubt(start=m.start(), end=m.end(), cue="age over 89") for m in ages)
    for d in days:
        if not overlaps(d.start, d.end, spans):
            cue = "month without a date" if d.day is None else "impossible date"
            out.append(Doubt(start=d.start, end=d.end, cue=cue))
    return sorted(out, key=lambda d: (d.start, d.end, d.cue))
