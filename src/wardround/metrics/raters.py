"""Every agreement measure of two or more raters side by side, each with its interval and its number of items.

No single measure is enough: correlations ignore a constant offset, κ and α collapse where nearly all scores are
equal, so all are given and none is filled in (an undefined one is None). Intervals resample clusters (cases).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

from wardround.metrics import agreement as ag
from wardround.metrics import resampled as rs
from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import RESAMPLES
from wardround.records import Record

MEASURES = {
    "pearson": ("皮尔逊相关 r", "Pearson r"),
    "spearman": ("斯皮尔曼相关 ρ", "Spearman ρ"),
    "kendall": ("肯德尔 τ-b", "Kendall τ-b"),
    "kappa": ("二次加权 κ", "quadratic-weighted κ"),
    "icc_single": ("组内相关 ICC(2,1)", "ICC(2,1)"),
    "icc_average": ("组内相关 ICC(2,k)", "ICC(2,k)"),
    "alpha_ordinal": ("Krippendorff α（序数）", "Krippendorff α, ordinal"),
    "alpha_interval": ("Krippendorff α（等距）", "Krippendorff α, interval"),
}
"""Measure → Chinese and English name, in the order of every table."""
_OF_PAIRS = ("pearson", "spearman", "kendall", "kappa")
_JOINT = tuple(m for m in MEASURES if m not in _OF_PAIRS)


class Agreement(Record, frozen=True, kw_only=True):
    """One measure: its value, its interval, and the items it rests on. None where undefined."""

    measure: str
    value: float | None
    low: float | None
    high: float | None
    n: int


class _Defined:
    """A measure on some items: its value there, and how to resample it."""

    def __init__(self, name: str, m: np.ndarray) -> None:
        """`m` has shape (raters, items); raters two for a measure of pairs."""
        given = ~np.isnan(m)
        needed = len(m) if name in _OF_PAIRS or name.startswith("icc") else 2
        self.items = given.sum(axis=0) >= needed
        self.n = int(self.items.sum())
        part = m[:, self.items]
        self.value = _value(name, part) if self.n > 1 else None
        self.resamples = rs.affordable(part[0], part[1]) if name == "kendall" else None
        self.measure = rs.on(_resampled(name, part), self.items) if self.value is not None else None


def _value(name: str, m: np.ndarray) -> float | None:
    pairs: dict[str, Callable[[np.ndarray, np.ndarray], float | None]] = {
        "pearson": ag.pearson, "spearman": ag.spearman, "kendall": ag.kendall,
        "kappa": ag.quadratic_kappa,
    }  # fmt: skip
    if name in pairs:
        return pairs[name](m[0], m[1])
    if name.startswith("icc"):
        return ag.icc2(m.T)[name == "icc_average"]
    return ag.krippendorff(m, "ordinal" if name == "alpha_ordinal" else "interval")


def _resampled(name: str, m: np.ndarray) -> rs.Measure:
    pairs: dict[str, Callable[[np.ndarray, np.ndarray], rs.Measure]] = {
        "pearson": rs.pearson, "spearman": rs.spearman, "kendall": rs.kendall,
        "kappa": rs.quadratic_kappa,
    }  # fmt: skip
    if name in pairs:
        return pairs[name](m[0], m[1])
    if name.startswith("icc"):
        return rs.icc2(m.T, "average" if name == "icc_average" else "single")
    return rs.krippendorff(m, "ordinal" if name == "alpha_ordinal" else "interval")


def between(
    a: np.ndarray, b: np.ndarray, clusters: np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> list[Agreement]:
    """Every measure of two raters' scores, NaN where one gave none; `clusters` number the items' cases."""
    m = np.stack([a, b])
    return [_averaged(name, [_Defined(name, m)], clusters, seed, resamples) for name in MEASURES]


def against_each(
    a: np.ndarray, m: np.ndarray, clusters: np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> list[Agreement]:
    """One rater against each of the others alone, the mean over those: what `among` is to compare with."""
    return [
        _averaged(
            name, [_Defined(name, np.stack([a, row])) for row in m], clusters, seed, resamples
        )
        for name in MEASURES
    ]


def among(
    m: np.ndarray, clusters: np.ndarray, *, seed: int, resamples: int = RESAMPLES
) -> list[Agreement]:
    """Raters among themselves, `m` of shape (raters, items): measures of two as their mean over all pairs, ICC
    (items all have scored) and α (items two or more have scored) of all together."""
    pairs = list(combinations(m, 2))
    found = {
        name: [_Defined(name, np.stack(pair)) for pair in pairs] for name in _OF_PAIRS if pairs
    }
    found |= {name: [_Defined(name, m)] for name in _JOINT if pairs}
    return [_averaged(n, found.get(n, []), clusters, seed, resamples) for n in MEASURES]


def _averaged(
    name: str, parts: Sequence[_Defined], clusters: np.ndarray, seed: int, resamples: int
) -> Agreement:
    """The mean of a measure over the parts that define it; `n` counts the items in any of them."""
    defined = [p for p in parts if p.value is not None]
    used = defined or parts
    items = np.any([p.items for p in used], axis=0) if used else np.zeros(len(clusters), bool)
    n = int(items.sum())
    if not defined:
        return Agreement(measure=name, value=None, low=None, high=None, n=n)
    value = float(np.mean([p.value for p in defined]))
    # Only clusters with an item of use are drawn.
    _, drawn = np.unique(clusters[items], return_inverse=True)
    measures = [p.measure for p in defined if p.measure is not None]
    low, high = rs.interval(
        rs.spread(rs.mean_of(measures), items), drawn, seed=seed,
        resamples=min([resamples, *(p.resamples for p in defined if p.resamples is not None)]),
    )  # fmt: skip
    return Agreement(measure=name, value=round(value, 10), low=low, high=high, n=n)
