"""Agreement of raters, pure: correlation, weighted kappa, intraclass correlation, Krippendorff's alpha.

A measure that the data don't define (no variation, too few pairs) is None, never 0 or 1: at 94 % raw agreement
alpha can be −0.03, so several measures are reported side by side and none is filled in.

Sources: Pearson, Spearman, Kendall's τ-b as in `scipy.stats`; quadratic-weighted κ (Cohen 1968) in its moment
form; ICC(2,1) and ICC(2,k) (Shrout & Fleiss 1979); ICC(1) and ICC(1,k) with any number of ratings an item (analysis
of variance with k₀: Sokal & Rohlf, Biometry; Donner 1986); α (Krippendorff 2011) from the coincidence matrix, with
missing ratings. The tests check each against a library or the published worked example. Measures of scores in
categories (percent agreement, AC1, AC2, κ of many raters) are in `chance`, all side by side in `panel`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, RESAMPLES, drawn, percentile_interval

Numbers = Sequence[float] | np.ndarray
Level = Literal["nominal", "ordinal", "interval", "ratio"]
_CELLS = 1 << 18


def pearson(a: Numbers, b: Numbers) -> float | None:
    """Linear correlation of paired values; None without variation or below 2 pairs."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    if len(x) < 2:
        return None
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum() / scale) if scale > 1e-12 else None


def ranks(values: Numbers) -> np.ndarray:
    """Ranks from 1, ties given their mean rank."""
    x = np.asarray(values, float)
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: np.ndarray = (last - (counts - 1) / 2)[inverse]
    return mean


def spearman(a: Numbers, b: Numbers) -> float | None:
    """Correlation of ranks."""
    return pearson(ranks(a), ranks(b))


def kendall(a: Numbers, b: Numbers) -> float | None:
    """Kendall's τ-b, which allows for ties; None where one side is constant. Time is n², memory is not."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    agree = apart_x = apart_y = 0.0
    step = max(1, _CELLS // max(1, len(x)))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        dx, dy = np.sign(x[part, None] - x), np.sign(y[part, None] - y)
        agree += float((dx * dy).sum())
        apart_x += float((dx != 0).sum())
        apart_y += float((dy != 0).sum())
    scale = float(np.sqrt(apart_x * apart_y))
    return agree / scale if scale > 0 else None


def quadratic_kappa(a: Numbers, b: Numbers) -> float | None:
    """Cohen's κ with quadratic weights, for paired ratings on one numeric scale; None without variation.

    With quadratic weights κ depends on the ratings' means and (population) moments alone, so no category
    table is needed and any numeric scale will do.
    """
    x, y = np.asarray(a, float), np.asarray(b, float)
    if len(x) < 2:
        return None
    expected = float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    observed = float(((x - y) ** 2).mean())
    return 1 - observed / expected if expected > 1e-12 else None


def icc2(ratings: Numbers) -> tuple[float | None, float | None]:
    """(ICC(2,1), ICC(2,k)): two-way random effects, absolute agreement, for one rater and for their mean.

    Args:
        ratings: shape (items, raters), complete; rows with a NaN are left out.
    """
    m = np.asarray(ratings, float)
    m = m[~np.isnan(m).any(axis=1)]
    if m.ndim != 2 or m.shape[0] < 2 or m.shape[1] < 2:
        return None, None
    n, k = m.shape
    grand = m.mean()
    between = k * ((m.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    raters = n * ((m.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    residual = m - m.mean(axis=1, keepdims=True) - m.mean(axis=0, keepdims=True) + grand
    error = (residual**2).sum() / ((n - 1) * (k - 1))
    single = between + (k - 1) * error + k * (raters - error) / n
    average = between + (raters - error) / n
    if single <= 1e-12 or average <= 1e-12:
        return None, None
    return float((between - error) / single), float((between - error) / average)


def icc1(ratings: Numbers) -> tuple[float | None, float | None]:
    """(ICC(1), ICC(1,k)): one-way random effects, for one rating and for the mean of an item's ratings.

    For raters who differ from item to item. Mean squares between and within items (MSB, MSW) as in the analysis of
    variance; with unequal numbers nᵢ of ratings, N in all, on n items, k₀ = (N − Σnᵢ²/N) / (n − 1) stands for k
    (Donner 1986, Int. Stat. Rev. 54:67): ICC(1) = (MSB − MSW) / (MSB + (k₀ − 1)·MSW), ICC(1,k) = (MSB − MSW) / MSB,
    which is the reliability of the mean of k₀ ratings. Below 0 where items differ less than their ratings do.

    Args:
        ratings: shape (items, raters), NaN where a rater gave none. Items rated less than twice are left out, as in
            α: they would draw k₀ towards 1, and nobody asks for the reliability of a mean of one.
    """
    m = np.asarray(ratings, float)
    given = ~np.isnan(m)
    raters = given.sum(axis=1)
    m, given, raters = m[raters > 1], given[raters > 1], raters[raters > 1]
    n, total = len(raters), int(raters.sum())
    if n < 2:
        return None, None
    values = np.where(given, m - m[given].mean(), 0.0)
    means = values.sum(axis=1) / raters
    across = float((raters * means**2).sum()) / (n - 1)
    error = float((((values - means[:, None]) * given) ** 2).sum()) / (total - n)
    k = (total - float((raters**2).sum()) / total) / (n - 1)
    below = across + (k - 1) * error
    single = (across - error) / below if below > 1e-12 else None
    return single, (across - error) / across if across > 1e-12 else None


def krippendorff(ratings: Numbers, level: Level = "ordinal") -> float | None:
    """Krippendorff's α. `ratings` has shape (raters, items), NaN where a rater gave none.

    None when fewer than two pairable values or only one value occurs: α is undefined there.
    """
    m = np.asarray(ratings, float)
    values, coded = np.unique(m[~np.isnan(m)], return_inverse=True)
    seen = np.zeros((m.shape[1], len(values)))
    np.add.at(seen, (np.nonzero(~np.isnan(m))[1], coded), 1.0)
    seen = seen[seen.sum(axis=1) >= 2]
    pairs = seen / (seen.sum(axis=1, keepdims=True) - 1)
    coincidences = seen.T @ pairs - np.diag(pairs.sum(axis=0))
    margin = coincidences.sum(axis=1)
    n = margin.sum()
    distance = _distances(values, margin, level)
    expected = (np.outer(margin, margin) * distance).sum() / (n - 1) if n > 1 else 0.0
    if expected <= 1e-12:
        return None
    return float(1 - (coincidences * distance).sum() / expected)


def _distances(values: np.ndarray, margin: np.ndarray, level: Level) -> np.ndarray:
    """Squared difference function δ² between any two values, shape (values, values)."""
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        interval: np.ndarray = (values[:, None] - values[None, :]) ** 2
        return interval
    if level == "ratio":
        if (values <= 0).any():
            raise ValueError(f"ratio level needs ratings above 0, not {values.min():g}")
        shares: np.ndarray = (
            (values[:, None] - values[None, :]) / (values[:, None] + values[None, :])
        ) ** 2
        return shares
    # Ordinal: the number of values between two ranks, both ends counted by half.
    place = np.cumsum(margin) - margin / 2
    ordinal: np.ndarray = (place[:, None] - place[None, :]) ** 2
    return ordinal


def with_interval(
    measure: Callable[[np.ndarray], float | None],
    items: np.ndarray,
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> tuple[float | None, float | None, float | None]:
    """(value, low, high) of `measure(items)`, the interval by resampling items (first axis).

    Resamples in which the measure is undefined are left out; the interval is None when that is more than a
    tenth of them.
    """
    value = measure(items)
    if value is None or len(items) < 2:
        return value, None, None
    n = len(items)
    found = [
        v for r in range(resamples) if (v := measure(items[drawn(seed, r * n, n, n)])) is not None
    ]
    if len(found) < 0.9 * resamples:
        return value, None, None
    low, high = percentile_interval(np.array(found), level)
    return value, low, high
