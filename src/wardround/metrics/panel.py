"""A review room's agreement at a glance: measures of scores in categories side by side, each with its interval.

For any number of raters, most of whom rate few of the items: 50 reviewers, three to an item. No single measure is
enough (at 94 % raw agreement α can be −0.03), and nothing is filled in: what the data don't define is None with the
reason, and so is an interval the bootstrap can't give.

The interval is the percentile interval over items (with a rating), the same draws as `resampled.interval`. It speaks
of other items rated by these raters, not of other raters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from wardround.metrics import chance
from wardround.metrics.agreement import Level
from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, percentile_interval
from wardround.metrics.resampled import Measure, drawn_kinds
from wardround.records import Record

Undefined = Literal["too_few", "unanimous", "items_alike"]
NoInterval = Literal["too_few", "not_asked", "mostly_undefined", "no_spread"]
REASONS: Mapping[str, tuple[str, str]] = {
    "too_few": ("评分太少", "too few ratings"),
    "unanimous": ("无法定义：所有评分相同", "undefined: unanimous"),
    "items_alike": ("无法定义：各题均分相同", "undefined: all items have the same mean"),
    "not_asked": ("未计算区间", "no interval asked for"),
    "mostly_undefined": (
        "无区间：多数重抽样中无法定义",
        "no interval: undefined in many resamples",
    ),
    "no_spread": ("无区间：重抽样之间没有差异", "no interval: all resamples agree"),
}
"""Reason → what to say of it, in Chinese and English."""

RESAMPLES = 1000
DASHBOARD = (
    "percent", "percent_ordinal", "alpha_ordinal", "ac1", "ac2_ordinal", "icc1", "icc1k",
)  # fmt: skip
_WEIGHTS: Mapping[chance.Weighting, tuple[str, str]] = {
    "linear": ("线性权重", "linear weights"),
    "quadratic": ("二次权重", "quadratic weights"),
    "ordinal": ("序数权重", "ordinal weights"),
    "radical": ("平方根权重", "radical weights"),
    "ratio": ("比率权重", "ratio weights"),
}
_LEVELS: Mapping[Level, tuple[str, str]] = {
    "nominal": ("名义", "nominal"),
    "ordinal": ("序数", "ordinal"),
    "interval": ("等距", "interval"),
    "ratio": ("等比", "ratio"),
}
# Key of the unweighted measure, of the weighted one, what makes it, and its names.
_CORRECTED = (
    ("percent", "percent", chance.percent, "一致率", "percent agreement"),
    ("ac1", "ac2", chance.gwet, "Gwet AC", "Gwet AC"),
    ("fleiss", "fleiss", chance.fleiss, "Fleiss κ", "Fleiss κ"),
    ("bp", "bp", chance.brennan_prediger, "Brennan–Prediger 系数", "Brennan–Prediger"),
)


def _names() -> dict[str, tuple[str, str]]:
    names: dict[str, tuple[str, str]] = {}
    for plain, weighted, _, zh, en in _CORRECTED:
        first, second = ("1", "2") if plain == "ac1" else ("", "")
        names[plain] = f"{zh}{first}", f"{en}{first}"
        for weighting, (zh_weights, en_weights) in _WEIGHTS.items():
            names[f"{weighted}_{weighting}"] = (
                f"{zh}{second}（{zh_weights}）", f"{en}{second}, {en_weights}",
            )  # fmt: skip
    for level, (zh, en) in _LEVELS.items():
        names[f"alpha_{level}"] = f"Krippendorff α（{zh}）", f"Krippendorff α, {en}"
    names["icc1"] = "组内相关 ICC(1)（单次评分）", "ICC(1), one rating"
    names["icc1k"] = "组内相关 ICC(1,k)（每题均分）", "ICC(1,k), mean of an item's ratings"
    return names


MEASURES: Mapping[str, tuple[str, str]] = _names()
"""Every measure → its Chinese and English name. A weighted one ends in its weighting, α in its level."""


class Coefficient(Record, frozen=True, kw_only=True):
    """One measure with its interval, and what it rests on.

    `items` have two ratings or more and `ratings` are theirs. `undefined` says why `value` is None, `no_interval`
    why `low` and `high` are though the value isn't.
    """

    measure: str
    value: float | None
    low: float | None
    high: float | None
    items: int
    ratings: int
    undefined: Undefined | None = None
    no_interval: NoInterval | None = None


def panel(
    scores: np.ndarray,
    *,
    categories: Sequence[float],
    measures: Sequence[str] = DASHBOARD,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> list[Coefficient]:
    """The measures of scores of shape (raters, items), NaN where a rater gave none, in the order asked for.

    Args:
        categories: all scores there can be, ascending: they count even where unused. A score that is none of them, or
            a measure that is none of `MEASURES`, is a ValueError.
    """
    table = chance.tabulate(scores, categories)
    return panels(
        [table], categories=categories, measures=measures, seed=seed, level=level, resamples=resamples
    )[0]  # fmt: skip


def panels(
    tables: Sequence[np.ndarray],
    *,
    categories: Sequence[float],
    measures: Sequence[str] = DASHBOARD,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> list[list[Coefficient]]:
    """`panel` of several tables of counts at once, each (items, categories) of the same items: the dimensions of a
    rubric. Items are drawn once for all; those without any rating are left out."""
    if len({len(t) for t in tables}) > 1 or any(t.shape[1] != len(categories) for t in tables):
        raise ValueError(f"tables must be (items, {len(categories)}) and of the same items")
    rated = [t.sum(axis=1) > 0 for t in tables]
    used = np.any(rated, axis=0) if rated else np.zeros(0, bool)
    made = [_Table(t[used], categories, measures) for t in tables]
    resampled: list[list[list[np.ndarray]]] = [[[] for _ in measures] for _ in made]
    if used.sum() > 1 and resamples:
        for block in drawn_kinds([t.code for t in made], resamples, seed):
            for table, weights, found in zip(made, block, resampled, strict=True):
                for measure, values in zip(table.measures, found, strict=True):
                    values.append(measure(weights))
    return [
        [
            table.coefficient(name, measure, values, level, resamples)
            for name, measure, values in zip(measures, table.measures, found, strict=True)
        ]
        for table, found in zip(made, resampled, strict=True)
    ]


class _Table:
    """A table's distinct rows, how often each occurs, and the measures made of them."""

    def __init__(
        self, counts: np.ndarray, categories: Sequence[float], measures: Sequence[str]
    ) -> None:
        self.rows, self.code = chance.distinct(counts)
        self.times = np.bincount(self.code, minlength=len(self.rows))
        self.measures = [_made(name, self.rows, categories) for name in measures]
        raters = self.rows.sum(axis=1)
        several = raters > 1
        self.items = int(self.times[several].sum())
        self.ratings = int((self.times * raters)[several].sum())
        self.one_value = int((self.rows[several].sum(axis=0) > 0).sum()) == 1

    def coefficient(
        self,
        name: str,
        measure: Measure,
        blocks: list[np.ndarray],
        level: float,
        resamples: int,
    ) -> Coefficient:
        value = chance.value(measure, self.times)
        low = high = None
        undefined: Undefined | None = None
        no_interval: NoInterval | None = None
        if value is None:
            undefined = self._undefined(name)
        else:
            found = np.concatenate(blocks) if blocks else np.zeros(0)
            found = found[~np.isnan(found)]
            no_interval = self._no_interval(found, resamples)
            if no_interval is None:
                low, high = percentile_interval(found, level)
            value = round(value, 10)
        return Coefficient(
            measure=name, value=value, low=low, high=high, items=self.items, ratings=self.ratings,
            undefined=undefined, no_interval=no_interval,
        )  # fmt: skip

    def _undefined(self, name: str) -> Undefined:
        if self.items < (2 if name.startswith("icc") else 1):
            return "too_few"
        return "unanimous" if self.one_value else "items_alike"

    def _no_interval(self, found: np.ndarray, resamples: int) -> NoInterval | None:
        if not resamples:
            return "not_asked"
        if self.items < 2:
            return "too_few"
        if len(found) < 0.9 * resamples:
            return "mostly_undefined"
        return "no_spread" if float(np.ptp(found)) < 1e-12 else None


def _made(name: str, rows: np.ndarray, categories: Sequence[float]) -> Measure:
    """The measure of this name on these rows."""
    if name in ("icc1", "icc1k"):
        return chance.icc1(rows, categories, "single" if name == "icc1" else "average")
    base, _, kind = name.partition("_")
    for level in get_args(Level):
        if name == f"alpha_{level}":
            return chance.alpha(rows, categories, level)
    for plain, weighted, make, _, _ in _CORRECTED:
        if name == plain:
            return make(rows, chance.weight_matrix("identity", categories))
        for weighting in _WEIGHTS:
            if (base, kind) == (weighted, weighting):
                return make(rows, chance.weight_matrix(weighting, categories))
    raise ValueError(f"measure {name!r} is none of {', '.join(MEASURES)}")
