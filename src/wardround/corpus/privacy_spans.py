"""What the privacy detectors share: a found span, the view they read, and how overlaps are settled.

A `Span` has a kind and a place, never the value, so that nothing which holds spans (reports, logs, error texts)
can give an identifier away. Detectors read a *view* of the text: full-width digits, letters and signs made
half-width, dashes and blanks made one, traditional characters simplified, character for character, so that
places in the view are places in the text: cues and names are lists in simplified script.

`\\b` is used nowhere: between a Chinese character and a digit both sides are word characters and it never
fires. Numbers are bounded by digit look-arounds instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wardround.corpus.folded import simplified_letters
from wardround.records import Record

HAN = "\u3400-\u9fff"
KINDS = (
    "resident_id", "mobile", "landline", "name", "address", "hospital", "ward_bed", "record_number", "email",
    "account", "card", "plate", "workplace", "date",
)  # fmt: skip
# Which finding stands where two overlap: the first of these. What a cue or a checksum names comes first.
_RANK = {
    "email": 0, "resident_id": 1, "card": 2, "mobile": 3, "account": 4, "record_number": 5, "landline": 6,
    "plate": 7, "workplace": 8, "address": 9, "hospital": 10, "date": 11, "ward_bed": 12, "name": 13,
}  # fmt: skip
# A hospital's name may hold a place, an address a ward: there the longer one stands.
_LONGER_WINS = frozenset({"address", "hospital", "workplace", "ward_bed", "name", "date"})

# Full-width letters come with full-width digits, and are looked for with them.
_SIGNS = "０１２３４５６７８９＠＿＋＊．－—–‐‑−\u3000\u00a0Ｘｘ"
_NARROW = {
    **{c: c - 0xFEE0 for c in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))},
    **{ord(w): n for w, n in zip("＠＿＋＊．－—–‐‑−\u3000\u00a0", "@_+*.------  ", strict=True)},
}  # fmt: skip


class Span(Record, frozen=True, kw_only=True):
    """Characters `start` to `end` (exclusive) of a text are of `kind`."""

    kind: str
    start: int
    end: int


class Doubt(Record, frozen=True, kw_only=True):
    """Characters `start` to `end` of a text that a human should look at, and the cue that says why."""

    start: int
    end: int
    cue: str


def view(text: str) -> str:
    """The text with full-width signs made half-width and in simplified script, of the same length."""
    # Looking for each sign in turn is several times faster than for a class of them.
    return simplified_letters(text.translate(_NARROW) if holds(text, _SIGNS) else text)


def holds(text: str, cues: Iterable[str]) -> bool:
    """Whether any of the cues is in the text. Far quicker than an expression where none is."""
    for cue in cues:  # noqa: SIM110 (a generator costs twice as much)
        if cue in text:
            return True
    return False


def either(words: str) -> str:
    """An expression for any of the words (parted by |, the longer before those it begins with), gathered by
    first character: the engine tries one branch where it would try each word."""
    by_first: dict[str, list[str]] = {}
    for word in words.split("|"):
        by_first.setdefault(word[0], []).append(word[1:])
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in by_first.items())


def settled(spans: Iterable[Span]) -> list[Span]:
    """The spans that stand, in order and without overlap: by rank, but the longer of two that are places or
    words."""
    chosen: list[Span] = []
    for span in sorted(spans, key=_order):
        if not any(span.start < c.end and c.start < span.end for c in chosen):
            chosen.append(span)
    return sorted(chosen, key=lambda s: s.start)


def _order(span: Span) -> tuple[bool, int, int, int, str]:
    worded = span.kind in _LONGER_WINS
    rank, size = _RANK[span.kind], span.end - span.start
    return (worded, *((-size, rank) if worded else (rank, -size)), span.start, span.kind)


def overlaps(start: int, end: int, spans: Sequence[Span]) -> bool:
    """Whether any span has a character of `start` to `end`."""
    return any(s.start < end and start < s.end for s in spans)
