import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.metrics.proportions import (
    Stratum,
    allocate,
    post_stratified,
    sample_size,
    wilson,
    z_of,
)


def test_the_published_worked_example() -> None:
    """Israel, Determining Sample Size (University of Florida, 1992), after Cochran: 95 %, ±5 %: 385 of a large
    population; of 2,000 farmers 323."""
    assert sample_size(10**9, half_width=0.05) == 385
    assert sample_size(2000, half_width=0.05) == 323


@pytest.mark.parametrize(
    ("half_width", "alpha", "p", "expected"),
    [
        (0.05, 0.05, 0.5, 384.14588206941244),
        (0.10, 0.05, 0.5, 96.03647051735311),
        (0.03, 0.01, 0.9, 663.4896601021214),
    ],
)
def test_without_a_limit_it_is_the_usual_size(
    half_width: float, alpha: float, p: float, expected: float
) -> None:
    """`expected` is what statsmodels 0.15.0 gives: samplesize_confint_proportion(p, half_width, alpha=alpha)."""
    n = sample_size(10**12, half_width=half_width, confidence=1 - alpha, expected=p)
    assert n == math.ceil(expected)
    assert z_of(1 - alpha) ** 2 * p * (1 - p) / half_width**2 == pytest.approx(expected)


@given(st.integers(1, 10**6), st.floats(0.01, 0.4), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_size_is_enough_and_no_more_than_there_is(size: int, e: float, confidence: float) -> None:
    n = sample_size(size, half_width=e, confidence=confidence)
    assert 1 <= n <= size

    def width(k: int) -> float:
        return z_of(confidence) * math.sqrt(0.25 / k * (size - k) / max(size - 1, 1))

    assert width(n) <= e * (1 + 1e-9)
    assert n == 1 or width(n - 1) >= e * (1 - 1e-9)


@given(st.integers(1, 400), st.data())
def test_wilson_is_scipys(n: int, data: st.DataObject) -> None:
    stats = pytest.importorskip("scipy.stats")
    hits = data.draw(st.integers(0, n))
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")
    ours = wilson(hits, n)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.integers(2, 500), st.data())
def test_a_finite_set_narrows_the_interval(size: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(2, size))
    hits = data.draw(st.integers(0, n))
    free, bound = wilson(hits, n), wilson(hits, n, size=size)
    assert free.low is not None and bound.low is not None
    assert free.high is not None and bound.high is not None
    assert free.low - 1e-12 <= bound.low <= hits / n <= bound.high <= free.high + 1e-12
    if n == size:
        assert bound.low == bound.high == hits / n


def test_nothing_seen_is_no_number() -> None:
    assert wilson(0, 0).value is None
    assert post_stratified([Stratum(size=5, n=0, hits=0)]).value is None


@given(st.integers(1, 60), st.integers(0, 60), st.integers(0, 400))
def test_one_stratum_is_wilson(n: int, hits: int, more: int) -> None:
    hits = min(hits, n)
    whole = post_stratified([Stratum(size=n + more, n=n, hits=hits)])
    alone = wilson(hits, n, size=n + more)
    assert whole.value == pytest.approx(alone.value)
    assert (whole.low, whole.high) == pytest.approx((alone.low, alone.high))


def test_strata_are_weighted_by_size_not_by_what_was_seen() -> None:
    got = post_stratified([Stratum(size=900, n=10, hits=9), Stratum(size=100, n=50, hits=10)])
    assert got.value == pytest.approx(0.9 * 0.9 + 0.1 * 0.2)
    assert got.n == 60


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Draws from a known finite set of three strata: of 400 intervals at 95 % between 92 and 99.5 % cover it."""
    random.seed(11)
    strata = [(400, 392), (150, 120), (60, 30)]
    truth = sum(k for _, k in strata) / sum(s for s, _ in strata)
    covered = 0
    for _ in range(400):
        seen = []
        for size, right in strata:
            n = sample_size(size, half_width=0.1)
            hits = sum(i < right for i in random.sample(range(size), n))
            seen.append(Stratum(size=size, n=n, hits=hits))
        got = post_stratified(seen)
        assert got.low is not None and got.high is not None
        covered += got.low <= truth <= got.high
    assert 0.92 <= covered / 400 <= 0.995


@given(st.lists(st.integers(0, 300), min_size=1, max_size=30), st.integers(1, 2000))
def test_allocation_adds_up(sizes: list[int], total: int) -> None:
    given_ = allocate(sizes, total)
    assert all(0 <= g <= s for g, s in zip(given_, sizes, strict=True))
    assert all(g >= 1 for g, s in zip(given_, sizes, strict=True) if s)
    least = sum(s > 0 for s in sizes)
    assert sum(given_) >= min(total, sum(sizes))
    assert sum(given_) <= max(total, 0) + least
