"""Is a task kept? Pure: figures and the stated rule in, a decision with its reason out.

Three outcomes. Kept: the lower end of the interval reaches the limit. Dropped: the upper end stays below it.
Undecided: the limit lies within the interval, or too few have answered; the rule says what the list does meanwhile.
The coordinator may decide otherwise, with a reason that stands beside the rule's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from wardround.records import Record
from wardround.survey.design import Rule

OUTCOMES: dict[str, tuple[str, str]] = {
    "keep": ("保留", "keep"),
    "drop": ("删去", "drop"),
    "undecided": ("未定", "undecided"),
}


class Decision(Record, frozen=True, kw_only=True):
    """What becomes of a task. `outcome` is the rule's; `kept` what the list does in the end."""

    outcome: Literal["keep", "drop", "undecided"]
    kept: bool
    zh: str
    en: str
    overruled: bool = False
    reason: str = ""


def stated(rule: Rule, stage: str, level: float) -> tuple[str, str]:
    """The rule in words, Chinese and English."""
    kept = {"keep": ("保留", "kept"), "drop": ("不列入", "left out")}[rule.undecided]
    part = f"{level * 100:g}%"
    if stage == "feedback":
        limit = f"{rule.keep_share * 100:g}%"
        zh, en = (
            f"“保留”与“修改后保留”合计比例的 {part} 区间",
            f"the {part} interval of the share for keeping it (as it is or amended)",
        )
    else:
        limit = f"{rule.priority:g}"
        zh, en = (
            f"优先级（有用程度×频率，0–20）均值的 {part} 区间",
            f"the {part} interval of its mean priority (usefulness × frequency, 0–20)",
        )
    return (
        f"{zh}下限不低于 {limit} 则保留，上限低于 {limit} 则删去，其余为未定；少于 {rule.at_least} 人作答也为未定。未定的任务暂且{kept[0]}。",
        f"Kept when the lower end of {en} is at least {limit}, dropped when its upper end is below {limit}, else undecided, as with fewer than {rule.at_least} answers. An undecided task is {kept[1]} for now.",
    )


def decide(
    rule: Rule,
    stage: str,
    low: float | None,
    high: float | None,
    n: int,
    overruled: Mapping[str, Any] | None = None,
) -> Decision:
    """The decision on one task from the interval of its share (feedback) or mean priority (inspiration)."""
    limit = rule.keep_share if stage == "feedback" else rule.priority
    outcome, zh, en = _outcome(rule, limit, low, high, n, share=stage == "feedback")
    kept = outcome == "keep" or (outcome == "undecided" and rule.undecided == "keep")
    if overruled is None:
        return Decision(outcome=outcome, kept=kept, zh=zh, en=en)
    return Decision(
        outcome=outcome, kept=bool(overruled["keep"]), zh=zh, en=en, overruled=True,
        reason=str(overruled["reason"]),
    )  # fmt: skip


def _outcome(
    rule: Rule, limit: float, low: float | None, high: float | None, n: int, *, share: bool
) -> tuple[Literal["keep", "drop", "undecided"], str, str]:
    def said(value: float) -> str:
        return f"{value * 100:.1f}%" if share else f"{value:.2f}"

    if n < rule.at_least:
        least = rule.at_least
        return "undecided", f"作答少于 {least} 人", f"fewer than {least} answers"
    if low is None or high is None:
        return "undecided", "没有区间", "no interval"
    if low >= limit:
        return "keep", f"下限 {said(low)} ≥ {said(limit)}", f"lower end {said(low)} ≥ {said(limit)}"
    if high < limit:
        return (
            "drop",
            f"上限 {said(high)} < {said(limit)}",
            f"upper end {said(high)} < {said(limit)}",
        )
    return (
        "undecided",
        f"区间 [{said(low)}, {said(high)}] 含 {said(limit)}",
        f"the interval [{said(low)}, {said(high)}] holds {said(limit)}",
    )
