"""Rules for CT reports that need no model: the same findings for the same report, each with its span and reason.

Eight families, one for each error type, all driven by `report_rules.yaml`. A rule speaks only where a radiologist
would say so from the text alone; where the text shows a contradiction but not which side is wrong (a lesion on the
left in 描述 and on the right in 诊断), the finding is placed in 诊断 and its reason says that it may be the other.

Rules are no judge of medicine: they find what is written impossibly, not what was seen wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wardround.images import report_checks_text, report_checks_whole
from wardround.images.report import PLACES, CTReport
from wardround.images.report_rules import Finding

FAMILIES: tuple[Callable[[CTReport], Iterator[Finding]], ...] = (
    report_checks_text.characters,
    report_checks_text.extra_or_missing,
    report_checks_text.units,
    report_checks_text.wording,
    report_checks_whole.sex,
    report_checks_whole.laterality,
    report_checks_whole.examination,
    report_checks_whole.mismatch,
)


def check(report: CTReport) -> list[Finding]:
    """Everything the rules find, by place and span; of findings of one type that overlap, the first."""
    found: list[Finding] = []
    for family in FAMILIES:
        for finding in family(report):
            if not any(_same(report, finding, f) for f in found):
                found.append(finding)
    places = list(PLACES)
    return sorted(found, key=lambda f: (places.index(f.place), f.start, f.end, f.type))


BY_SENTENCE = {"sex", "examination_mismatch", "findings_impression_mismatch"}
"""Types of which one sentence has one error at the most; and a sentence that belongs to another examination is not
said to lack findings as well."""


def _same(report: CTReport, a: Finding, b: Finding) -> bool:
    """Whether `a` says nothing beyond `b`, which was found before."""
    if a.place != b.place:
        return False
    if a.type == b.type and a.start < b.end and b.start < a.end:
        return True
    one_matter = a.type == b.type or "examination_mismatch" in (a.type, b.type)
    if not (
        one_matter and {a.type, b.type} <= BY_SENTENCE - ({"sex"} if a.type != b.type else set())
    ):
        return False
    between = report.text(a.place)[min(a.start, b.start) : max(a.start, b.start)]
    return "。" not in between and "\n" not in between
