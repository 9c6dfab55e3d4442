"""What the rules for CT reports share: their tables (`report_rules.yaml`) and what a rule says (`Finding`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from wardround.images.report import PLACES, CTReport, Place, clause, read_table
from wardround.records import Record


class Finding(Record, frozen=True, kw_only=True):
    """One thing a rule found: error type (taxonomy id), place and span in the report, what should stand there ("" if
    it should go, None if the rule can't say), which rule, and why in a Chinese sentence."""

    type: str
    place: Place
    start: int
    end: int
    wrong: str
    right: str | None
    rule: str
    reason: str

    @property
    def suggestion(self) -> str:
        """The finding as a suggestion in the words models use."""
        if self.right is None:
            return self.reason
        if not self.right:
            return f"“{self.wrong}”应删除：{self.reason}"
        return f"“{self.wrong}”应为“{self.right}”：{self.reason}"


class Rules(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`report_rules.yaml`."""

    confusions: dict[str, str]
    spinal: str
    meetings: tuple[str, ...]
    reduplicated: tuple[str, ...]
    remainders: dict[str, str]
    remainder_parts: tuple[str, ...]
    sex: dict[str, tuple[str, ...]]
    sex_exempt: tuple[str, ...]
    sex_named: dict[str, tuple[str, ...]]
    units: dict[str, tuple[str, ...]]
    magnitudes: tuple[dict[str, Any], ...]
    longest: float
    longest_single: float
    hounsfield: tuple[float, float]
    sided: tuple[str, ...]
    lobed: dict[str, str]
    neighbours: dict[str, tuple[str, ...]]
    impossible: dict[str, str]
    covers: dict[str, tuple[str, ...]]
    parts: dict[str, tuple[str, ...]]
    contrast: tuple[str, ...]
    contrast_done: tuple[str, ...]
    evidence: dict[str, tuple[str, ...]]
    organs: dict[str, tuple[str, ...]]
    taken_up: dict[str, tuple[str, ...]]
    degrees: tuple[dict[str, Any], ...]
    wording: dict[str, str]


@cache
def rules() -> Rules:
    """The tables in force."""
    found: Rules = read_table("report_rules.yaml", Rules)
    return found


def at(
    kind: str,
    report: CTReport,
    place: Place,
    span: tuple[int, int],
    right: str | None,
    rule: str,
    reason: str,
) -> Finding:
    """A finding whose `wrong` is the text at its span."""
    start, end = span
    return Finding(
        type=kind, place=place, start=start, end=end, wrong=report.text(place)[start:end],
        right=right, rule=rule, reason=reason,
    )  # fmt: skip


def occurrences(report: CTReport, word: str) -> Iterator[tuple[Place, int, int]]:
    """Each occurrence of a word in either place."""
    for place in PLACES:
        for match in re.finditer(re.escape(word), report.text(place)):
            yield place, match.start(), match.end()


def clause_of(text: str, start: int, end: int) -> str:
    """The clause around a span."""
    left, right = clause(text, start, end)
    return text[left:right]
