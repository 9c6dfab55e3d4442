"""Ranks of several runs on the same cases, each with an interval.

A rank is as uncertain as the scores behind it, and neighbours often can't be told apart (Goldstein and Spiegelhalter,
1996, on league tables). All runs answered the same cases, so each resample draws one set of cases for all of
them: what a hard case takes from every run changes no rank. The interval is the percentiles of the ranks over the
resamples, rounded outwards to whole ranks. Equal means share the better rank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, RESAMPLES, percentile_interval
from wardround.metrics.resampled import weights
from wardround.records import Record


class Rank(Record, frozen=True, kw_only=True):
    """A place, 1 the highest mean, over the items that all runs scored; no interval from a single case."""

    rank: int
    low: int | None
    high: int | None
    mean: float


def ranks(
    clusters: Sequence[Sequence[Sequence[float]]],
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> list[Rank]:
    """A rank for each run.

    Args:
        clusters: for each case, for each of its items, the score of every run; no case empty.
    """
    if not clusters:
        return []
    sums = np.array([np.sum(np.asarray(c, float), axis=0) for c in clusters])
    sizes = np.array([float(len(c)) for c in clusters])
    means = np.round(sums.sum(axis=0) / sizes.sum(), 10)
    places = _places(means[None])[0]
    if len(clusters) < 2:
        return [
            Rank(rank=int(p), low=None, high=None, mean=float(m))
            for p, m in zip(places, means, strict=True)
        ]
    drawn = np.concatenate([
        _places(np.round(w @ sums / (w @ sizes)[:, None], 9))
        for w in weights(np.arange(len(clusters)), resamples, seed)
    ])  # fmt: skip
    out = []
    for run, (place, mean) in enumerate(zip(places, means, strict=True)):
        low, high = percentile_interval(drawn[:, run], level)
        out.append(
            Rank(rank=int(place), low=math.floor(low), high=math.ceil(high), mean=float(mean))
        )
    return out


def _places(means: np.ndarray) -> np.ndarray:
    """Rank of each mean in its row: one more than how many are higher."""
    found: np.ndarray = 1 + (means[:, None, :] > means[:, :, None]).sum(axis=2)
    return found
