"""What may be said about a paired difference: one sentence from its interval, the test beside it and the number of cases."""

from __future__ import annotations

from wardround.metrics.bootstrap import FEW
from wardround.report.formats import Names, p_value, percent
from wardround.report.shapes import Estimate


def verdict(
    difference: Estimate, level: float, *, p: float | None = None, differing: int | None = None
) -> Names:
    """What an interval and the permutation test beside it allow one to say about a difference, and no more: where they
    disagree neither decides. An interval from few cases carries a warning."""
    said = _verdict(difference, level, p, differing)
    cases = difference.clusters
    if difference.low is None or cases is None or cases >= FEW:
        return said
    return Names(
        f"{said.zh}。只有 {cases} 例，区间可能偏窄",
        f"{said.en}. Only {cases} cases: the interval may be too narrow",
    )


def _verdict(difference: Estimate, level: float, p: float | None, differing: int | None) -> Names:
    part = percent(level)
    if difference.mean is None:
        return Names("没有可配对的评分，无法比较", "no paired scores: nothing can be said")
    if difference.low is None or difference.high is None:
        return Names("题目太少，给不出区间", "too few cases for an interval")
    apart = difference.low > 0 or difference.high < 0
    if p is not None and apart != (p < 1 - level):
        return _unsettled(difference, level, p, differing)
    if difference.low > 0:
        return Names(
            f"{part} 区间全部高于 0：评分更高", f"{part} interval above 0: scores are higher"
        )
    if difference.high < 0:
        return Names(
            f"{part} 区间全部低于 0：评分更低", f"{part} interval below 0: scores are lower"
        )
    return Names(
        f"{part} 区间包含 0：不能断定有差别",
        f"{part} interval includes 0: no difference can be claimed",
    )


def _unsettled(difference: Estimate, level: float, p: float, differing: int | None) -> Names:
    """Interval and test disagree: what each says, and where a test on so few cases couldn't have said otherwise."""
    part, shown = percent(level), p_value(p)
    shown = shown if shown.startswith("<") else f"= {shown}"
    side = "高于 0", "is above 0"
    if difference.high is not None and difference.high < 0:
        side = "低于 0", "is below 0"
    elif difference.low is None or difference.low <= 0:
        side = "包含 0", "includes 0"
    zh = f"未定：{part} 区间{side[0]}，但按病例的置换检验 p {shown}，两者不一致"
    en = f"not settled: the {part} interval {side[1]}, but the permutation test by case gives p {shown}"
    if differing is not None and 2.0 ** (1 - differing) > 1 - level:
        least = p_value(2.0 ** (1 - differing))
        zh += f"；只有 {differing} 例有差别，p 不可能小于 {least}"
        en += f"; only {differing} cases differ, so p could not be below {least}"
    return Names(zh, en)
