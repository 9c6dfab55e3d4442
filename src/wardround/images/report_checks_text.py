"""Rules that read a report letter by letter: wrong characters, characters too many or few, units, wording."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wardround.images.report import PLACES, CTReport, Place, clause
from wardround.images.report_rules import Finding, at, occurrences, rules

CJK = "[\u4e00-\u9fff]"


def characters(report: CTReport) -> Iterator[Finding]:
    """Pairs that are confused."""
    r = rules()
    for wrong, right in r.confusions.items():
        for place, start, end in occurrences(report, wrong):
            yield at(
                "wrong_character", report, place, (start, end), right, "confusion", f"疑为“{right}”之误。"
            )  # fmt: skip
    for place in PLACES:
        for match in re.finditer(r.spinal, report.text(place)):
            right = match[0].replace("锥", "椎")
            yield at("wrong_character", report, place, match.span(), right, "spinal", "应为“椎”。")


def extra_or_missing(report: CTReport) -> Iterator[Finding]:
    """Characters and pairs written twice, and terms that lost a character."""
    r = rules()
    kind = "extra_or_missing_characters"
    for place in PLACES:
        text = report.text(place)
        for match in re.finditer(f"({CJK})\\1", text):
            around = text[max(0, match.start() - 3) : match.end() + 3]
            good = any(w in around and match[0] in w for w in r.meetings)
            if not good and match[0] not in r.reduplicated:
                yield at(
                    kind, report, place, match.span(), match[1], "doubled", f"“{match[1]}”重复。"
                )
        for match in re.finditer(f"(?=(({CJK}{CJK})\\2))", text):
            pair = match[2]
            if pair[0] != pair[1]:
                span = (match.start(), match.start() + 4)
                yield at(kind, report, place, span, pair, "repeated", f"“{pair}”重复。")
    for wrong, right in r.remainders.items():
        for place, start, end in occurrences(report, wrong):
            text = report.text(place)
            around = text[max(0, start - 3) : end + 3]
            if right in around or any(p in around and wrong in p for p in r.remainder_parts):
                continue
            yield at(kind, report, place, (start, end), right, "remainder", f"疑为“{right}”漏字。")


_MEASURE = re.compile(
    r"(?P<number>-?\d+(?:\.\d+)?)\s*(?P<unit>mmHg|mm|cm|μm|km|ml|HU|Hu|hu|Hz|mV|kV|kg|dB|m|g|℃|%|％)?"
    r"(?=[×xX*，。；、）)\n ～~]|$|[\u4e00-\u9fff])"
)
_PAIR = re.compile(
    r"(\d+(?:\.\d+)?)\s*(mm|cm|[a-zA-Zμ%]{1,3})\s*[×xX*]\s*(\d+(?:\.\d+)?)\s*(mm|cm|[a-zA-Zμ%]{1,3})"
)
_KIND = "unit"


def units(report: CTReport) -> Iterator[Finding]:
    """Units that don't fit what is measured, that differ within one size, and measures beyond the body's."""
    for place in PLACES:
        text = report.text(place)
        if not re.search(CJK, text):
            continue
        yield from _pairs(report, place, text)
        for match in _MEASURE.finditer(text):
            if match["unit"]:
                yield from _measure(report, place, text, match)


def _pairs(report: CTReport, place: Place, text: str) -> Iterator[Finding]:
    good = rules().units["length"]
    for match in _PAIR.finditer(text):
        first, second = match[2], match[4]
        if first == second and first in good:
            continue
        if first != second:
            wrong = 2 if first not in good or (second in good and first == "cm") else 4
            right = second if wrong == 2 else first
            right = right if right in good else "mm"
            reason = f"同一大小的单位不一致（{first}、{second}）。"
            yield at(_KIND, report, place, match.span(wrong), right, "pair", reason)


def _measure(report: CTReport, place: Place, text: str, match: re.Match[str]) -> Iterator[Finding]:
    r = rules()
    unit, span = match["unit"], match.span("unit")
    value = abs(float(match["number"]))
    said = _before(text, match.start())
    dense = _last(said, r.units["density"])
    sized = _last(said, r.units["sized"])
    about_density = dense >= 0 and dense >= sized
    folded = unit.upper() if unit.lower() == "hu" else unit
    if folded in r.units["never"]:
        right = "HU" if about_density else "mm"
        yield at(_KIND, report, place, span, right, "never", f"“{unit}”不是CT测量所用的单位。")
    elif about_density and folded != "HU":
        yield at(_KIND, report, place, span, "HU", "density", "CT值的单位应为HU。")
    elif folded in ("HU", "ml") and dense < 0 <= sized:
        yield at(_KIND, report, place, span, "mm", "length", "长度的单位应为mm或cm。")
    elif folded in ("mm", "HU", "cm") and _last(said, r.units["shared"]) > max(dense, sized, -1):
        yield at(_KIND, report, place, span, "%", "share", "狭窄或压缩的程度应以%表示。")
    elif folded == "HU":
        low, high = r.hounsfield
        if not low <= float(match["number"]) <= high:
            yield at(_KIND, report, place, match.span(), None, "magnitude", "CT值超出可能的范围。")
    elif folded in ("mm", "cm"):
        yield from _size(report, place, text, match, value * (10 if folded == "cm" else 1))
    elif folded in ("%", "％") and (value > 100 or sized > _last(said, r.units["shared"])):
        yield at(_KIND, report, place, span, "mm", "share", "此处不应为百分比。")


def _before(text: str, start: int) -> str:
    """The clause up to a number."""
    return text[clause(text, start, start)[0] : start]


def _last(said: str, words: tuple[str, ...]) -> int:
    """Where the last of `words` ends in `said`, −1 when none is in it."""
    return max((said.rfind(w) + len(w) for w in words if w in said), default=-1)


def _size(
    report: CTReport, place: Place, text: str, match: re.Match[str], mm: float
) -> Iterator[Finding]:
    """A length beyond what the thing named before it can measure. The unit is at fault when another would fit."""
    r = rules()
    before = text[max(0, match.start() - 40) : match.start()].split("。")[-1]
    said = "，".join(before.split("，")[-2:])
    limits = [m for m in r.magnitudes if m["word"] in said]
    most = min((float(m.get("most", r.longest)) for m in limits), default=r.longest_single)
    least = max((float(m.get("least", 0)) for m in limits), default=0.0)
    if least <= mm <= most:
        return
    unit = match["unit"]
    right = "mm" if unit == "cm" and least <= mm / 10 <= most else None
    right = "cm" if unit == "mm" and least <= mm * 10 <= most and mm < least else right
    span = match.span("unit") if right else match.span()
    yield at(_KIND, report, place, span, right, "magnitude", f"{match[0]}超出该处可能的大小。")


def wording(report: CTReport) -> Iterator[Finding]:
    """Colloquial words."""
    for wrong, right in rules().wording.items():
        for place, start, end in occurrences(report, wrong):
            yield at(
                "wording", report, place, (start, end), right, "colloquial", f"口语化，宜用“{right}”。"
            )  # fmt: skip
