"""Tests of a paired difference, over clusters: permutation p, Holm's correction, the smallest difference shown.

A case's turns and repeats hang together, so under the null hypothesis of no difference it is the sign of a
whole case that may flip. Up to `EXACT` cases all sign patterns are counted; beyond that they are drawn.

Sources: the paired permutation test as `scipy.stats.permutation_test` with permutation_type "samples"; Holm
(1979), as `p.adjust` in R; the smallest detectable difference from the cluster-robust standard error, for a
two-sided normal test. The tests check the first against SciPy, the second against R's result.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, drawn

EXACT = 12
DRAWS = 9_999
POWER = 0.8
_CELLS = 500_000


def permutation_p(clusters: Sequence[Sequence[float]], *, seed: int = 0) -> float | None:
    """Two-sided p of the mean difference being zero; None without a case or where nothing differs.

    Args:
        clusters: the paired differences of each case.
    """
    sums = np.array([float(sum(c)) for c in clusters if len(c)])
    k = len(sums)
    if k == 0 or not np.any(np.abs(sums) > 1e-12):
        return None
    observed = abs(float(sums.sum())) - 1e-9
    if k <= EXACT:
        patterns = (np.arange(2**k)[:, None] >> np.arange(k)) & 1
        totals = np.abs((1 - 2 * patterns) @ sums)
        return float((totals >= observed).mean())
    extreme = 0
    step = max(1, _CELLS // k)
    for start in range(0, DRAWS, step):
        rows = min(step, DRAWS - start)
        signs = 1 - 2 * drawn(seed, start * k, rows * k, 2).reshape(rows, k)
        extreme += int((np.abs(signs @ sums) >= observed).sum())
    return (extreme + 1) / (DRAWS + 1)


def differing(clusters: Sequence[Sequence[float]]) -> int:
    """How many cases differ in their sum. Only their signs matter, so with d of them `permutation_p` can't be below
    2^(1−d), however large the differences."""
    return sum(abs(float(sum(c))) > 1e-12 for c in clusters)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p of each test of a family; tests without a p are no part of it."""
    known = sorted((p, i) for i, p in enumerate(values) if p is not None)
    out: list[float | None] = [None] * len(values)
    worst = 0.0
    for place, (p, i) in enumerate(known):
        worst = max(worst, min(1.0, (len(known) - place) * p))
        out[i] = worst
    return out


def smallest_difference(
    clusters: Sequence[Sequence[float]], *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The true difference that a sample like this would show with probability `power`; None below 2 cases.

    (z₁₋α⸝₂ + z_power) times the cluster-robust standard error of the mean difference.
    """
    kept = [c for c in clusters if len(c)]
    k = len(kept)
    if k < 2:
        return None
    sums = np.array([float(sum(c)) for c in kept])
    counts = np.array([float(len(c)) for c in kept])
    mean = sums.sum() / counts.sum()
    spread = float(((sums - mean * counts) ** 2).sum())
    error = (k / (k - 1) * spread) ** 0.5 / float(counts.sum())
    normal = NormalDist()
    return round(float((normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)) * error), 10)
