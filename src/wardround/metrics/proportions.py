"""Shares checked on a sample of a finite set: how many to draw, and what the drawn ones say of the whole.

Everything here counts successes among draws without replacement from `size` things, so the finite-population
correction applies: whoever checks all of a set has no uncertainty left about that set. The intervals speak of
the set that was sampled from, not of other sets made in the same way; leave `size` out for that reading.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from wardround.records import Record


class Share(Record, frozen=True, kw_only=True):
    """An estimated share with its interval; all None when nothing was seen. `n` is what was seen."""

    value: float | None
    low: float | None
    high: float | None
    n: int


class Stratum(Record, frozen=True, kw_only=True):
    """A part of the whole: `size` things, of which `n` were seen and `hits` had the property."""

    size: int
    n: int
    hits: int


NONE = Share(value=None, low=None, high=None, n=0)


def z_of(confidence: float) -> float:
    """The two-sided normal quantile of a confidence in (0, 1): 1.96 for 0.95."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def sample_size(
    size: int, *, half_width: float, confidence: float = 0.95, expected: float = 0.5
) -> int:
    """How many of `size` to draw so that a share is known to ± `half_width`.

    n₀ = z²·p(1−p)/e², then n = n₀ / (1 + (n₀ − 1)/N), rounded up (Cochran, Sampling Techniques, 3rd ed.,
    section 4.4). `expected` is the share one expects; 0.5 asks for the most. Never more than `size`.
    """
    if not 0 < half_width < 1:
        raise ValueError(f"half-width {half_width} is not between 0 and 1")
    if not 0 < expected < 1:
        raise ValueError(f"expected share {expected} is not between 0 and 1")
    if size <= 0:
        return 0
    wanted = z_of(confidence) ** 2 * expected * (1 - expected) / half_width**2
    corrected = wanted / (1 + (wanted - 1) / size)
    return min(size, max(1, math.ceil(corrected - 1e-9)))


def wilson(hits: int, n: int, *, confidence: float = 0.95, size: int | None = None) -> Share:
    """Wilson's score interval. With `size`, n is replaced by the effective n·(N−1)/(N−n): all seen, no width."""
    if not 0 <= hits <= n or (size is not None and n > size):
        raise ValueError(f"{hits} hits among {n} of {size}")
    if n == 0:
        return NONE
    p = hits / n
    if size == n:
        return Share(value=p, low=p, high=p, n=n)
    effective = n if size is None else n * (size - 1) / (size - n)
    z2 = z_of(confidence) ** 2
    middle = (p + z2 / (2 * effective)) / (1 + z2 / effective)
    spread = math.sqrt(p * (1 - p) / effective + z2 / (4 * effective**2))
    half = math.sqrt(z2) * spread / (1 + z2 / effective)
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == n else min(1.0, middle + half)
    return Share(value=p, low=low, high=high, n=n)


def post_stratified(strata: Sequence[Stratum], *, confidence: float = 0.95) -> Share:
    """The share in all strata together, each weighted by its size, whatever part of it was seen.

    The limits are squared and added from the strata's own Wilson limits (Zou, Huang & Zhang 2009), since the
    textbook variance is zero where a stratum has no misses and would promise what it can't. Strata with nothing
    seen are left out of the weights; `n` sums what was seen.
    """
    seen = [s for s in strata if s.n]
    total = sum(s.size for s in seen)
    if not total:
        return NONE
    value = below = above = 0.0
    for s in seen:
        weight = s.size / total
        p = s.hits / s.n
        part = wilson(s.hits, s.n, confidence=confidence, size=s.size)
        value += weight * p
        below += (weight * (p - (part.low or 0.0))) ** 2
        above += (weight * ((part.high if part.high is not None else 1.0) - p)) ** 2
    low, high = max(0.0, value - math.sqrt(below)), min(1.0, value + math.sqrt(above))
    return Share(value=value, low=low, high=high, n=sum(s.n for s in seen))


def allocate(sizes: Sequence[int], total: int) -> list[int]:
    """Share `total` draws among parts in proportion to their sizes: largest remainders, at least one each where
    there is one to draw, never more than the part. The sum is `total` unless these bounds forbid it."""
    whole = sum(sizes)
    if not whole:
        return [0 for _ in sizes]
    exact = [total * s / whole for s in sizes]
    given = [min(s, max(int(x), 1 if s else 0)) for s, x in zip(sizes, exact, strict=True)]
    order = sorted(range(len(sizes)), key=lambda i: (-(exact[i] - int(exact[i])), i))
    while sum(given) < min(total, whole):
        for i in order:
            if sum(given) < total and given[i] < sizes[i]:
                given[i] += 1
    return given
