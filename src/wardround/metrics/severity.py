"""How far each rater scores above or below the others on the same items, and whether that moves.

A rater's offset is the mean, over the items someone else rated too, of the rater's score less the mean of the others'.
Below 0 is severe, above 0 lenient. It is relative to those the rater happened to share items with: with items handed
out at random that is the whole room, and a severe partner shifts it by half of the partner's own severity where items
have three raters. Of twenty raters alike, one is expected to have a 95 % interval that leaves 0 out.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal

from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, cluster_mean, drawn, percentile_interval
from wardround.records import Record

RESAMPLES = 1000
LARGE = 200
"""Items above which the bootstrap's limits are computed by expansion instead of drawn: the same limits to within the
noise of drawing them, for a fiftieth of the time."""
_CELLS = 1 << 14


class Offset(Record, frozen=True, kw_only=True):
    """One rater's offset from the others, in points of the scale, with its interval over items.

    `trend` is the offset in the last third of the rater's own order less that in the first. `rater` is the row of
    `scores`, `items` those someone else rated too. What is None: the offset without such an item, an interval
    below two items or where nothing varies, the trend below six items.
    """

    rater: int
    items: int
    offset: float | None
    low: float | None
    high: float | None
    trend: float | None
    trend_low: float | None
    trend_high: float | None
    undefined: Literal["too_few"] | None = None


def offsets(
    scores: np.ndarray,
    *,
    when: np.ndarray | None = None,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> list[Offset]:
    """Every rater's offset, in the order of the rows.

    Args:
        scores: shape (raters, items), NaN where a rater gave none.
        when: same shape, what orders a rater's ratings (a time, a running number); the items' order when None.
            Equal ones keep the items' order.

    The offset's interval is BCa, the trend's percentile, both over items; above `LARGE` of them by expansion.
    """
    m = np.asarray(scores, float)
    order = np.broadcast_to(np.arange(m.shape[1]), m.shape) if when is None else np.asarray(when)
    if order.shape != m.shape:
        raise ValueError(f"when has shape {order.shape}, scores {m.shape}")
    given = ~np.isnan(m)
    raters, total = given.sum(axis=0), np.where(given, m, 0.0).sum(axis=0)
    found = []
    for rater in range(len(m)):
        items = np.flatnonzero(given[rater] & (raters > 1))
        items = items[np.argsort(order[rater, items], kind="stable")]
        own = m[rater, items]
        apart = own - (total[items] - own) / (raters[items] - 1)
        found.append(_offset(rater, apart, seed, level, resamples))
    return found


def _offset(rater: int, apart: np.ndarray, seed: int, level: float, resamples: int) -> Offset:
    """The offset from the differences, in the rater's order."""
    n = len(apart)
    offset = round(float(apart.mean()), 10) if n else None
    low = high = None
    if n > LARGE:
        low, high = _expanded(apart, level)
    elif n and np.ptp(apart) > 1e-12:
        mean = cluster_mean(apart[:, None].tolist(), seed=seed, level=level, resamples=resamples)
        low, high = mean.low, mean.high
    trend: tuple[float | None, float | None, float | None] = (None, None, None)
    if n >= 6:
        trend = _difference(apart[: n // 3], apart[-(n // 3) :], seed, level, resamples)
    return Offset(
        rater=rater, items=n, offset=offset, low=low, high=high,
        trend=trend[0], trend_low=trend[1], trend_high=trend[2],
        undefined=None if n else "too_few",
    )  # fmt: skip


def _difference(
    first: np.ndarray, last: np.ndarray, seed: int, level: float, resamples: int
) -> tuple[float, float | None, float | None]:
    """Mean of `last` less mean of `first` (as many values), with its interval; each drawn by itself."""
    k = len(first)
    value = round(float(last.mean() - first.mean()), 10)
    if k > LARGE:
        return (value, *_expanded_difference(first, last, level))
    step = max(1, _CELLS // (2 * k))
    parts = []
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        index = drawn(seed, start * 2 * k, rows * 2 * k, k).reshape(rows, 2, k)
        parts.append(last.take(index[:, 1]).mean(axis=1) - first.take(index[:, 0]).mean(axis=1))
    found = np.concatenate(parts)
    if float(np.ptp(found)) < 1e-12:
        return value, None, None
    return (value, *percentile_interval(found, level))


def _expanded(values: np.ndarray, level: float) -> tuple[float | None, float | None]:
    """The limits that BCa tends to for a mean: bias and acceleration are a sixth of the resampled mean's skewness, and
    its quantiles follow Cornish and Fisher (Efron & Tibshirani 1993, section 14.3; Hall 1992)."""
    apart = values - values.mean()
    squares = float((apart**2).mean())
    if squares < 1e-12:
        return None, None
    scale = (squares / len(values)) ** 0.5
    sixth = float((apart**3).mean()) / squares**1.5 / len(values) ** 0.5 / 6
    limits = []
    for z in _tails(level):
        moved = sixth + (sixth + z) / (1 - sixth * (sixth + z))
        limits.append(float(values.mean()) + scale * (moved + sixth * (moved**2 - 1)))
    return round(limits[0], 10), round(limits[1], 10)


def _expanded_difference(
    first: np.ndarray, last: np.ndarray, level: float
) -> tuple[float | None, float | None]:
    """The percentile limits of a difference of means, in the same way."""
    a, b, k = first - first.mean(), last - last.mean(), len(first)
    squares = float((a**2).mean() + (b**2).mean()) / k
    if squares < 1e-12:
        return None, None
    sixth = float((b**3).mean() - (a**3).mean()) / k**2 / squares**1.5 / 6
    middle = float(last.mean() - first.mean())
    limits = [middle + squares**0.5 * (z + sixth * (z**2 - 1)) for z in _tails(level)]
    return round(limits[0], 10), round(limits[1], 10)


def _tails(level: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf((1 + level) / 2)
    return -z, z
