"""Does a round of scores accept? Pure: scores and a rule in, a verdict with its reasons out.

Accepted when in every scale field the median is high enough, no score too low and the spread small enough, and the
model's answer is right: a wrong answer can't be accepted whatever the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from wardround.records import Record
from wardround.review.study import Rule

WRONG_ANSWER = "所选答案不正确，请重新分析题干。"
"""What the model is told of a wrong answer: that it is wrong, never which is right."""


class Reason(Record, frozen=True, kw_only=True):
    """Why a round failed: `code` is wrong_answer, unreadable, median, low, spread or missing; `field` is "" for the
    first two."""

    code: str
    field: str = ""
    value: float | None = None
    wanted: float | None = None


class Verdict(Record, frozen=True, kw_only=True):
    """The outcome of a round, with every reason against it."""

    accepted: bool
    reasons: tuple[Reason, ...] = ()


def decide(
    scores: Sequence[Mapping[str, float]], fields: Sequence[str], rule: Rule, *, right: bool = True
) -> Verdict:
    """Judge one round. `scores`: one mapping field → score per reviewer; `right`: the model chose the key."""
    reasons = [] if right else [Reason(code="wrong_answer")]
    for field in fields:
        given = [float(s[field]) for s in scores if field in s]
        if len(given) < len(scores) or not given:
            reasons.append(
                Reason(code="missing", field=field, value=len(given), wanted=len(scores))
            )
            continue
        middle, low, spread = median(given), min(given), max(given) - min(given)
        if middle < rule.median_at_least:
            reasons.append(
                Reason(code="median", field=field, value=middle, wanted=rule.median_at_least)
            )
        if low < rule.none_below:
            reasons.append(Reason(code="low", field=field, value=low, wanted=rule.none_below))
        if spread > rule.spread_at_most:
            reasons.append(
                Reason(code="spread", field=field, value=spread, wanted=rule.spread_at_most)
            )
    return Verdict(accepted=not reasons, reasons=tuple(reasons))
