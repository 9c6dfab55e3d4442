"""Ranks over shared cases: their order, their ties, their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.metrics.ranking import ranks

SCORES = st.integers(1, 10).map(float)


def test_the_highest_mean_is_first_and_an_interval_needs_two_cases() -> None:
    (one, two, three) = ranks([[[3.0, 9.0, 5.0]]])
    assert [r.rank for r in (one, two, three)] == [3, 1, 2]
    assert [r.mean for r in (one, two, three)] == [3.0, 9.0, 5.0]
    assert {(r.low, r.high) for r in (one, two, three)} == {(None, None)}
    assert ranks([]) == []


def test_equal_runs_share_the_better_rank_in_every_resample() -> None:
    cases = [[[float(i % 4), float(i % 4), float(i % 3) - 5]] for i in range(30)]
    a, b, c = ranks(cases)
    assert a == b
    assert (a.rank, a.low, a.high) == (1, 1, 1)
    assert (c.rank, c.low, c.high) == (3, 3, 3)


def test_hard_cases_cancel_because_all_runs_meet_the_same() -> None:
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 40, 60)
    cases = [[[h + 0.5, h + 0.2, h]] for h in hard]
    assert [(r.rank, r.low, r.high) for r in ranks(cases)] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


def test_intervals_are_those_of_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 1, (40, 6)) + np.arange(6) * 0.12
    found = ranks([[list(row)] for row in scores])
    draws = rng.integers(0, 40, (4000, 40))
    means = scores[draws].mean(axis=1)
    places = 1 + (means[:, None, :] > means[:, :, None]).sum(axis=2)
    low, high = np.quantile(places, [0.025, 0.975], axis=0)
    assert [r.low for r in found] == pytest.approx(low, abs=1)
    assert [r.high for r in found] == pytest.approx(high, abs=1)
    assert any(r.high - r.low >= 2 for r in found if r.low is not None and r.high is not None)


@given(
    st.integers(2, 4).flatmap(
        lambda runs: st.lists(
            st.lists(st.lists(SCORES, min_size=runs, max_size=runs), min_size=1, max_size=3),
            min_size=1,
            max_size=8,
        )
    ),
    st.integers(0, 5),
)
def test_laws(cases: list[list[list[float]]], seed: int) -> None:
    found = ranks(cases, seed=seed, resamples=60)
    runs = len(cases[0][0])
    items = [item for case in cases for item in case]
    means = [sum(i[r] for i in items) / len(items) for r in range(runs)]
    assert [r.mean for r in found] == pytest.approx(means)
    for r in found:
        assert 1 <= r.rank <= runs
        assert (r.low is None) == (len(cases) < 2)
        if r.low is not None and r.high is not None:
            assert 1 <= r.low <= r.high <= runs
    turned = ranks([[item[::-1] for item in case] for case in cases], seed=seed, resamples=60)
    assert [r.rank for r in turned[::-1]] == [r.rank for r in found]
    assert ranks(cases, seed=seed, resamples=60) == found
