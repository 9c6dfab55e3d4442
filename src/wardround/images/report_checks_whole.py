"""Rules that hold parts of a report against one another: sex, sides, examination, findings against impression."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from wardround.images.report import PLACES, CTReport, Place
from wardround.images.report_rules import Finding, at, clause_of, occurrences, rules

OPPOSITE = {"男": "女", "女": "男"}
SIDES = "左右"


def sex(report: CTReport) -> Iterator[Finding]:
    """Organs and words of the other sex."""
    r = rules()
    against = OPPOSITE.get(report.sex)
    if against is None:
        return
    for word in (*r.sex[against], *r.sex_named[against]):
        for place, start, end in occurrences(report, word):
            around = report.text(place)[max(0, start - 2) : end + 2]
            if not any(e in around for e in r.sex_exempt):
                reason = f"患者为{report.sex}性，报告出现“{word}”。"
                yield at("sex", report, place, (start, end), None, "sex", reason)


def laterality(report: CTReport) -> Iterator[Finding]:
    """Anatomy that does not exist, and terms that have one side in 描述 and the other in 诊断."""
    kind = "laterality_or_position"
    for wrong, right in rules().impossible.items():
        for place, start, end in occurrences(report, wrong):
            yield at(kind, report, place, (start, end), right, "anatomy", f"应为“{right}”。")
    there, here = _sides(report.findings), _sides(report.impression)
    for term, said in here.items():
        known = {side for side, *_ in there.get(term, [])}
        for side, start, end in said:
            opposite = _turned(side)
            if (
                opposite in known
                and not known & {side, "双"}
                and not _spoken_of(report, side, term)
            ):
                first = next(m for m in there[term] if m[0] == opposite)
                yield _clash(report, (side, start, end), first)


def _turned(side: str) -> str:
    return SIDES[1 - SIDES.index(side)] if side in SIDES else ""


def _spoken_of(report: CTReport, side: str, term: str) -> bool:
    """Whether 描述 has the term's side with a word that begins alike ("左肾盂" for "左肾"), or with a part of what it
    is part of (rules "neighbours")."""
    near = (term[:2], *rules().neighbours.get(term, ()))
    return any(f"{side}{s}{w}" in report.findings for s in ("", "侧") for w in near)


def _clash(report: CTReport, said: tuple[str, int, int], seen: tuple[str, int, int]) -> Finding:
    """The finding for a side that differs: in the place whose side the rest of the report speaks less of."""
    kind = "laterality_or_position"
    side, opposite = said[0], seen[0]
    reason = f"描述中为“{opposite}”，诊断中为“{side}”，其中之一有误。"
    rest = re.sub("向[左右]", "", report.findings + report.impression)
    place: Place = "findings" if rest.count(opposite) < rest.count(side) else "impression"
    span, wrong, right = (
        (seen[1:], opposite, side) if place == "findings" else (said[1:], side, opposite)
    )
    mended = report.text(place)[slice(*span)].replace(wrong, right, 1)
    return at(kind, report, place, (span[0], span[1]), mended, "clash", reason)


_SIDED = r"(?P<side>[左右双]|两)侧?(?:第[\d、]+)?"


def _sides(text: str) -> dict[str, list[tuple[str, int, int]]]:
    """Sided term → (side, start, end) of each mention; 两 counts as 双."""
    r = rules()
    found: dict[str, list[tuple[str, int, int]]] = defaultdict(list)
    terms = sorted(r.sided, key=len, reverse=True)
    for match in re.finditer(f"{_SIDED}(?P<term>{'|'.join(terms)})", text):
        side = "双" if match["side"] == "两" else match["side"]
        found[match["term"]].append((side, match.start(), match.end()))
    for organ, part in r.lobed.items():
        for match in re.finditer(f"{organ}(?P<side>[左右双]){part}", text):
            found[organ].append((match["side"], match.start(), match.end()))
    for match in re.finditer(r"向(?P<side>[左右])侧?凸", text):
        found["凸"].append((match["side"], match.start(), match.end()))
    return found


def examination(report: CTReport) -> Iterator[Finding]:
    """Terms of a part the examination does not show, and contrast phases in one without contrast."""
    r = rules()
    kind = "examination_mismatch"
    if not report.examination:
        return
    shown = {p for word, parts in r.covers.items() if word in report.examination for p in parts}
    if shown:
        for part, terms in r.parts.items():
            if part not in shown:
                yield from _foreign(report, terms, part)
    if any(w in report.examination for w in r.contrast_done):
        return
    for word in r.contrast:
        for place, start, end in occurrences(report, word):
            said = clause_of(report.text(place), start, end)
            if not re.search("建议|必要时|请|可行", said):
                reason = f"检查项目为{report.examination}，报告却有“{word}”。"
                yield at(kind, report, place, (start, end), None, "contrast", reason)
                return


def _foreign(report: CTReport, terms: tuple[str, ...], part: str) -> Iterator[Finding]:
    """The first such term of each place: one sentence makes one finding."""
    for place in PLACES:
        found = [(m.start(), m.end()) for t in terms for m in re.finditer(t, report.text(place))]
        if found:
            span = min(found)
            term = report.text(place)[span[0] : span[1]]
            reason = f"检查项目为{report.examination}，报告却有“{term}”。"
            yield at("examination_mismatch", report, place, span, None, f"part:{part}", reason)


_KIND = "findings_impression_mismatch"
_DOUBT = re.compile("建议|随访|复查|检查|除外|结合|提示")


def mismatch(report: CTReport) -> Iterator[Finding]:
    """Conclusions without findings, findings without conclusion, and degrees and numbers that differ."""
    r = rules()
    for organ, names in r.organs.items():
        for match in re.finditer(organ, report.impression):
            if not any(n in report.findings for n in names) and not _doubtful(report, match):
                reason = f"诊断提到“{organ}”，描述中未见相应内容。"
                yield at(_KIND, report, "impression", match.span(), None, "organ", reason)
                break
    for word, evidence in r.evidence.items():
        for match in re.finditer(word, report.impression):
            if not any(e in report.findings for e in evidence) and not _doubtful(report, match):
                reason = f"诊断为“{word}”，描述中没有依据。"
                yield at(_KIND, report, "impression", match.span(), None, "evidence", reason)
                break
    yield from _not_taken_up(report)
    yield from _degrees(report)
    for match in re.finditer(r"(\d+(?:\.\d+)?)(%|度)", report.impression):
        if match[0] not in report.findings:
            reason = f"诊断中的“{match[0]}”在描述中没有。"
            yield at(_KIND, report, "impression", match.span(), None, "number", reason)


def _doubtful(report: CTReport, match: re.Match[str]) -> bool:
    """Whether a conclusion is denied or only recommends something."""
    said = clause_of(report.impression, *match.span())
    before = said[: said.find(match[0])]
    return bool(_DOUBT.search(said)) or bool(re.search("未见|无|排除|未", before))


def _not_taken_up(report: CTReport) -> Iterator[Finding]:
    for word, needed in rules().taken_up.items():
        for match in re.finditer(word, report.findings):
            said = clause_of(report.findings, *match.span())
            before = said[: said.find(word)]
            if re.search("未见|无|未|没", before) or any(w in report.impression for w in needed):
                continue
            at_end = (max(0, len(report.impression) - 1), len(report.impression))
            reason = f"描述有“{word}”，诊断中没有相应结论。"
            yield at(_KIND, report, "impression", at_end, None, "not_taken_up", reason)
            break


def _degrees(report: CTReport) -> Iterator[Finding]:
    """A degree in the impression that the findings give otherwise for the same thing."""
    for entry in rules().degrees:
        words = "|".join(entry["words"])
        pattern = f"(?P<a>{words})[^，。；\n]{{0,6}}{entry['thing']}|{entry['thing']}[^，。；\n]{{0,8}}?(?P<b>{words})"
        said: dict[Place, list[tuple[str, int, int]]] = {}
        for place in PLACES:
            said[place] = []
            for m in re.finditer(pattern, report.text(place)):
                name = "a" if m["a"] else "b"
                said[place].append((m[name], m.start(name), m.end(name)))
        known = {w for w, *_ in said["findings"]}
        for word, start, end in said["impression"]:
            if known and word not in known:
                reason = f"诊断为“{word}”，描述为“{'、'.join(sorted(known))}”。"
                yield at(_KIND, report, "impression", (start, end), None, "degree", reason)
