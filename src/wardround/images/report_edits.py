"""Every single edit that would put an error of a given type into a clean report, from the injector's tables.

An edit replaces `[start, end)` of one place by `text`; `keeps` are spans of the other place (or the same) that must
stay as they are for it to be an error at all: "左肾" is wrong because the other place still says "右肾". Nothing
here draws: the injector (`report_errors`) chooses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

from wardround.images.report import PLACES, CTReport, Place, read_table
from wardround.records import Record

CJK = "[\u4e00-\u9fff]"
Span = tuple[Place, int, int]


class Tables(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`report_errors.yaml`."""

    characters: dict[str, tuple[str, ...]]
    drops: dict[str, tuple[str, ...]]
    strays: tuple[str, ...]
    good_doublings: tuple[str, ...]
    units: dict[str, tuple[str, ...]]
    flips: tuple[str, ...]
    mirror: dict[str, str]
    wording: dict[str, tuple[str, ...]]
    sentences: dict[str, tuple[str, ...]]
    conclusions: dict[str, tuple[str, ...]]
    unrelated: dict[str, tuple[str, ...]]
    contrast: tuple[str, ...]
    undescribed: dict[str, tuple[Undescribed, ...]]
    turned: dict[str, tuple[str, ...]]
    sexed: Sexed


class Undescribed(Record, frozen=True, kw_only=True):
    """A conclusion, and what must not occur in the report for it to be undescribed."""

    text: str
    absent: tuple[str, ...]


class Sexed(Record, frozen=True, kw_only=True):
    """Words that belong to the other sex, by the patient's sex."""

    replace: dict[str, dict[str, tuple[str, ...]]]
    insert: dict[str, tuple[str, ...]]
    named: dict[str, tuple[str, ...]]
    examinations: tuple[str, ...]


class Edit(Record, frozen=True, kw_only=True):
    """One possible edit of a clean report. `how` names its kind, `word` the table entry it comes from."""

    place: Place
    start: int
    end: int
    text: str
    how: str
    word: str = ""
    keeps: tuple[Span, ...] = ()


@cache
def tables() -> Tables:
    """The injector's tables."""
    found: Tables = read_table("report_errors.yaml", Tables)
    return found


def edits(report: CTReport, kind: str) -> list[Edit]:
    """All edits that would put an error of type `kind` (a taxonomy id) into `report`, in a fixed order."""
    return list(MAKERS[kind](report))


def other(place: Place) -> Place:
    """The other place."""
    return "impression" if place == "findings" else "findings"


def _replaced(
    report: CTReport, words: dict[str, tuple[str, ...]], how: str, *, whole: bool = False
) -> Iterator[Edit]:
    """Each occurrence of each word for each of its substitutes; with `whole`, none inside a longer entry."""
    for place in PLACES:
        text = report.text(place)
        for word, wrong in words.items():
            for match in re.finditer(re.escape(word), text):
                if whole and any(_covers(w, word, text, match.start()) for w in words):
                    continue
                for substitute in wrong:
                    yield Edit(
                        place=place, start=match.start(), end=match.end(), text=substitute,
                        how=how, word=f"{word}→{substitute}",
                    )  # fmt: skip


def _covers(longer: str, word: str, text: str, at: int) -> bool:
    """Whether the occurrence of `word` at `at` is part of an occurrence of the longer entry."""
    if len(longer) <= len(word) or word not in longer:
        return False
    first = at - longer.index(word)
    return first >= 0 and text.startswith(longer, first)


def _characters(report: CTReport) -> Iterator[Edit]:
    yield from _replaced(report, tables().characters, "lookalike")


def _extra_or_missing(report: CTReport) -> Iterator[Edit]:
    t = tables()
    yield from _replaced(report, t.drops, "dropped")
    for place in PLACES:
        text = report.text(place)
        for match in re.finditer(CJK, text):
            at = match.end()
            character = match[0]
            around = text[max(0, at - 4) : at] + character + text[at : at + 4]
            doubled = character in (text[at : at + 1], text[at - 2 : at - 1])
            if not doubled and not any(g in around for g in t.good_doublings):
                yield Edit(place=place, start=at, end=at, text=character, how="doubled")
        for match in re.finditer(f"(?={CJK}{{4}})", text):
            at = match.start()
            pair = text[at : at + 2]
            if len(set(pair)) == 2 and text[at + 2 : at + 4] != pair and text[at - 2 : at] != pair:
                yield Edit(place=place, start=at + 2, end=at + 2, text=pair, how="repeated")
        for word in t.drops:
            for match in re.finditer(re.escape(word), text):
                for stray in t.strays:
                    at = match.start() + 1
                    yield Edit(place=place, start=at, end=at, text=stray, how="stray", word=word)


_NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>mm|HU|%)(?P<pair>×)?")


def _units(report: CTReport) -> Iterator[Edit]:
    for place in PLACES:
        text = report.text(place)
        for match in _NUMBER.finditer(text):
            pair = match["pair"] or text[match.start() - 1 : match.start()] == "×"
            for unit in tables().units[match["unit"]]:
                # A wall of 3 cm may be true; 24 cm × 18 mm or 26 cm cannot.
                if unit == "cm" and match["unit"] == "mm" and not pair and float(match[1]) < 20:
                    continue
                start, end = match.span("unit")
                how = "magnitude" if unit == "cm" and match["unit"] == "mm" else "wrong_unit"
                yield Edit(
                    place=place, start=start, end=end, text=unit, how=how,
                    word=f"{match['unit']}→{unit}",
                )  # fmt: skip


@cache
def _flips() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(p) for p in tables().flips)


def _laterality(report: CTReport) -> Iterator[Edit]:
    """A side or level turned in one place while the other place still has the term as it was."""
    mirror = tables().mirror
    for place in PLACES:
        text, elsewhere = report.text(place), report.text(other(place))
        for pattern in _flips():
            for match in pattern.finditer(text):
                flip = match["flip"]
                if flip not in mirror:
                    continue
                at = match.start("flip")
                turned = match[0][: at - match.start()] + mirror[flip]
                turned += match[0][at - match.start() + 1 :]
                plain = {match[0], match[0].replace(flip + "侧", flip)}
                kept = [w for w in plain if w in elsewhere]
                opposite = {turned, turned.replace(mirror[flip] + "侧", mirror[flip])}
                if not kept or any(w in elsewhere or w in text for w in opposite):
                    continue
                spans = tuple(
                    (other(place), m.start(), m.end())
                    for w in kept
                    for m in re.finditer(re.escape(w), elsewhere)
                )
                yield Edit(
                    place=place, start=at, end=at + 1, text=mirror[flip], how="turned",
                    word=match[0], keeps=spans,
                )  # fmt: skip


def _wording(report: CTReport) -> Iterator[Edit]:
    yield from _replaced(report, tables().wording, "colloquial", whole=True)


def _sentence_ends(text: str) -> list[int]:
    """Where a further sentence can be put: after each full stop."""
    return [m.end() for m in re.finditer("。", text)]


def appended(impression: str, conclusion: str) -> str:
    """What must follow `impression` to add a conclusion to it: with the next number where it is numbered."""
    numbers = re.findall(r"^(\d+)\.", impression, re.M)
    return f"\n{int(numbers[-1]) + 1}. {conclusion}" if numbers else f"\n{conclusion}"


def _examination(report: CTReport) -> Iterator[Edit]:
    t = tables()
    for region in t.unrelated.get(report.region, ()):
        for sentence in t.sentences[region]:
            for at in _sentence_ends(report.findings):
                yield Edit(
                    place="findings", start=at, end=at, text=sentence, how="other_part", word=region
                )
        for conclusion in t.conclusions[region]:
            at = len(report.impression)
            yield Edit(
                place="impression", start=at, end=at, how="other_part", word=region,
                text=appended(report.impression, conclusion),
            )  # fmt: skip
    if not any(w in report.examination for w in ("增强", "CTA", "CTV")):
        for sentence in t.contrast:
            at = len(report.findings)
            yield Edit(place="findings", start=at, end=at, text=sentence, how="contrast")


def _mismatch(report: CTReport) -> Iterator[Edit]:
    t = tables()
    impression = report.impression
    lines = impression.split("\n")
    if len(lines) > 1:  # the last conclusion left out
        at = len(impression) - len(lines[-1]) - 1
        yield Edit(place="impression", start=at, end=len(impression), text="", how="omitted")
    for entry in t.undescribed.get(report.region, ()):
        if not any(w in report.findings + impression for w in entry.absent):
            at = len(impression)
            added = appended(impression, entry.text + "。")
            yield Edit(place="impression", start=at, end=at, text=added, how="undescribed")
    for word, wrong in t.turned.items():
        for match in re.finditer(re.escape(word), impression):
            spans = [m.span() for m in re.finditer(re.escape(word), report.findings)]
            if not spans or impression[: match.start()].endswith("非"):
                continue
            for substitute in wrong:
                if substitute not in report.findings + impression:
                    yield Edit(
                        place="impression", start=match.start(), end=match.end(), text=substitute,
                        how="contradicted", word=f"{word}→{substitute}",
                        keeps=tuple(("findings", a, b) for a, b in spans),
                    )  # fmt: skip
    for match in re.finditer(r"约(\d\d)(%|度)", impression):
        if match[0] in report.findings and match[1][0] != match[1][1]:
            found = [m.span() for m in re.finditer(re.escape(match[0]), report.findings)]
            yield Edit(
                place="impression", start=match.start(1), end=match.end(1), text=match[1][::-1],
                how="contradicted", keeps=tuple(("findings", a, b) for a, b in found),
            )  # fmt: skip


def _sex(report: CTReport) -> Iterator[Edit]:
    s = tables().sexed
    if report.sex not in s.insert:
        return
    yield from _replaced(report, s.replace[report.sex], "organ_replaced")
    if any(w in report.examination for w in s.examinations):
        for sentence in s.insert[report.sex]:
            for at in _sentence_ends(report.findings):
                yield Edit(
                    place="findings", start=at, end=at, text=sentence, how="organ_added",
                    word=sentence,
                )  # fmt: skip
    for words in s.named[report.sex]:
        yield Edit(place="findings", start=0, end=0, text=words, how="named", word=words)


MAKERS: dict[str, Callable[[CTReport], Iterator[Edit]]] = {
    "extra_or_missing_characters": _extra_or_missing,
    "wrong_character": _characters,
    "unit": _units,
    "laterality_or_position": _laterality,
    "wording": _wording,
    "examination_mismatch": _examination,
    "findings_impression_mismatch": _mismatch,
    "sex": _sex,
}
"""Error type → what lists its edits."""
