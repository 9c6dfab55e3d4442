import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardround.metrics.paired import differing, holm, permutation_p, smallest_difference


@given(st.lists(st.integers(-9, 9).map(float), min_size=2, max_size=9))
@settings(max_examples=40, deadline=None)
def test_exact_p_is_scipys(differences: list[float]) -> None:
    ours = permutation_p([[d] for d in differences])
    if not any(differences):
        assert ours is None
        return
    theirs = stats.permutation_test(
        (np.array(differences), np.zeros(len(differences))),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=10_000,
        alternative="two-sided",
    )
    # SciPy doubles the smaller tail; ours counts both, the same for a symmetric null distribution.
    assert ours == pytest.approx(theirs.pvalue, abs=1e-9)


def test_drawn_p_is_near_the_t_test_for_normal_differences() -> None:
    rng = np.random.default_rng(4)
    data = rng.normal(0.3, 1, size=80)
    ours = permutation_p([[float(d)] for d in data])
    assert ours == pytest.approx(stats.ttest_1samp(data, 0).pvalue, abs=0.01)


def test_p_is_even_under_the_null() -> None:
    rng = np.random.default_rng(8)
    below = sum(
        (permutation_p([[float(d)] for d in rng.normal(size=25)], seed=s) or 0) < 0.1
        for s in range(300)
    )
    assert 0.06 <= below / 300 <= 0.145


def test_a_case_flips_whole() -> None:
    """Three like values of one case are one piece of evidence, not three."""
    together = permutation_p([[1.0, 1.0, 1.0]] * 5)
    assert together == pytest.approx(2 / 32)


def test_holm_is_rs_p_adjust() -> None:
    """R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") gives 0.03 0.06 0.06 0.02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_smallest_difference_is_found_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    size = smallest_difference([[float(d)] for d in rng.normal(0, 1, size=100)])
    assert size == pytest.approx((1.959964 + 0.841621) * 1 / 10, rel=0.2)
    found = sum(
        stats.ttest_1samp(rng.normal(0.28, 1, size=100), 0).pvalue < 0.05 for _ in range(500)
    )
    assert 0.74 <= found / 500 <= 0.86
    assert smallest_difference([[1.0]]) is None


def test_p_is_bounded_by_the_number_of_cases_that_differ() -> None:
    clusters = [[0.0, 0.0]] * 6 + [[100.0], [200.0, 1.0], [5.0], [7.0]]
    assert differing(clusters) == 4
    assert permutation_p(clusters) == 2.0 ** (1 - 4)
    assert differing([[1.0, -1.0], []]) == 0
