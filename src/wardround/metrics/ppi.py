"""Prediction-powered inference for a mean: a judge's mean on all items, corrected by doctors on a part.

A judge scores every item, doctors only some. The judge's plain mean is precise but may be biased; the doctors'
mean is unbiased but wide. The corrected mean adds to the judge's mean what doctors and judge differ by on the
shared items, and stays valid however bad the judge is; a good judge narrows the interval.

Source: Angelopoulos et al., "Prediction-powered inference", Science 2023, and the power-tuned form (PPI++,
2023), which weighs the judge by λ so that the interval is never wider than the doctors' alone, asymptotically.
The tests check coverage by simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL
from wardround.records import Record


class PoweredMean(Record, frozen=True, kw_only=True):
    """A mean with a normal interval; `weight` is λ, how far the judge is trusted (0: not at all)."""

    mean: float
    low: float
    high: float
    weight: float


def corrected_mean(
    human: Sequence[float] | np.ndarray,
    judge_same: Sequence[float] | np.ndarray,
    judge_rest: Sequence[float] | np.ndarray,
    *,
    level: float = LEVEL,
    weight: float | None = None,
) -> PoweredMean | None:
    """The judge's mean corrected by doctors' scores on part of the items.

    Args:
        human, judge_same: doctors' and judge's scores of the same n items, in the same order.
        judge_rest: the judge's scores of the N items no doctor scored.
        weight: λ; the variance-minimising one when None, 1.0 for plain PPI.

    Returns None below two doctor-scored or two further items.
    """
    y, f, g = (np.asarray(v, float) for v in (human, judge_same, judge_rest))
    n, rest = len(y), len(g)
    if n != len(f):
        raise ValueError("human and judge_same must be paired")
    if n < 2 or rest < 2:
        return None
    pooled = float(np.concatenate([f, g]).var(ddof=1))
    if weight is None:
        covariance = float(np.cov(y, f)[0, 1])
        weight = 0.0 if pooled < 1e-12 else covariance / (pooled * (1 + n / rest))
        weight = min(1.0, max(0.0, weight))
    mean = float(weight * g.mean() + (y - weight * f).mean())
    variance = weight**2 * float(g.var(ddof=1)) / rest + float((y - weight * f).var(ddof=1)) / n
    half = NormalDist().inv_cdf((1 + level) / 2) * variance**0.5
    return PoweredMean(
        mean=round(mean, 10),
        low=round(mean - half, 10),
        high=round(mean + half, 10),
        weight=round(weight, 10),
    )
