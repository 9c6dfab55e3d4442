"""The vectorised measures are `agreement`'s own, resample by resample."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.metrics import agreement as ag
from wardround.metrics import resampled as rs

N = float("nan")
PAIRED: dict[str, tuple[Callable[..., Any], Callable[..., rs.Measure]]] = {
    "pearson": (ag.pearson, rs.pearson),
    "spearman": (ag.spearman, rs.spearman),
    "kendall": (ag.kendall, rs.kendall),
    "kappa": (ag.quadratic_kappa, rs.quadratic_kappa),
    "icc_single": (
        lambda a, b: ag.icc2(np.column_stack([a, b]))[0],
        lambda a, b: rs.icc2(np.column_stack([a, b]), "single"),
    ),
    "icc_average": (
        lambda a, b: ag.icc2(np.column_stack([a, b]))[1],
        lambda a, b: rs.icc2(np.column_stack([a, b]), "average"),
    ),
    "alpha_ordinal": (
        lambda a, b: ag.krippendorff(np.stack([a, b]), "ordinal"),
        lambda a, b: rs.krippendorff(np.stack([a, b]), "ordinal"),
    ),
    "alpha_interval": (
        lambda a, b: ag.krippendorff(np.stack([a, b]), "interval"),
        lambda a, b: rs.krippendorff(np.stack([a, b]), "interval"),
    ),
}
scores = st.integers(2, 20).map(lambda n: n / 2)


def one(measure: rs.Measure, w: np.ndarray) -> float | None:
    value = float(measure(w[None, :].astype(float))[0])
    return None if math.isnan(value) else value


@pytest.mark.parametrize("name", PAIRED)
@given(
    data=st.lists(st.tuples(scores, scores, st.integers(0, 3)), min_size=1, max_size=25),
)
@settings(max_examples=60, deadline=None)
def test_a_weighted_measure_is_the_measure_of_the_drawn_items(
    name: str, data: list[tuple[float, float, int]]
) -> None:
    a, b = (np.array([row[i] for row in data]) for i in (0, 1))
    w = np.array([row[2] for row in data])
    plain, weighted = PAIRED[name]
    drawn = np.repeat(np.arange(len(w)), w)
    expected = plain(a[drawn], b[drawn])
    found = one(weighted(a, b), w)
    if expected is None:
        assert found is None
    else:
        assert found == pytest.approx(expected, abs=1e-9)


@given(
    data=st.lists(
        st.tuples(*[st.one_of(scores, st.just(N))] * 3, st.integers(0, 3)), min_size=1, max_size=20
    )
)
@settings(max_examples=80, deadline=None)
def test_weighted_alpha_takes_missing_ratings(data: list[tuple[float, ...]]) -> None:
    m = np.array([row[:3] for row in data]).T
    w = np.array([int(row[3]) for row in data])
    drawn = m[:, np.repeat(np.arange(len(w)), w)]
    for level in ("ordinal", "interval"):
        expected = ag.krippendorff(drawn, level)
        found = one(rs.krippendorff(m, level), w)
        if expected is None:
            assert found is None
        else:
            assert found == pytest.approx(expected, abs=1e-9)


def pair(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(1, 11, n).astype(float)
    return a, np.clip(a + rng.integers(-3, 4, n), 1, 10)


@pytest.mark.parametrize("name", PAIRED)
def test_intervals_are_those_of_resampling_one_by_one(name: str) -> None:
    """Same seed, same draws: `agreement.with_interval` is the definition, this the quick way."""
    a, b = pair(40)
    plain, weighted = PAIRED[name]
    rows = np.column_stack([a, b])
    _, low, high = ag.with_interval(lambda m: plain(m[:, 0], m[:, 1]), rows, seed=5, resamples=300)
    assert rs.interval(weighted(a, b), np.arange(40), seed=5, resamples=300) == pytest.approx(
        (low, high), abs=1e-9
    )


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair(30)
    whole = rs.interval(rs.spearman(a, b), np.arange(30), seed=2, resamples=500)
    monkeypatch.setattr(rs, "_CELLS", 90)
    assert rs.interval(rs.spearman(a, b), np.arange(30), seed=2, resamples=500) == whole


def test_clusters_are_drawn_whole() -> None:
    """Ten copies of each item under its cluster tell no more than one: the interval stays as wide."""
    a, b = pair(40)
    once = rs.interval(rs.pearson(a, b), np.arange(40), seed=3)
    copied = np.repeat(np.arange(40), 10)
    assert rs.interval(rs.pearson(a[copied], b[copied]), copied, seed=3) == pytest.approx(once)
    assert rs.interval(rs.pearson(a, b), np.zeros(40, int)) == (None, None)


def test_mostly_undefined_resamples_give_no_interval() -> None:
    a = np.array([1.0, 1, 1, 1, 1, 2])
    assert rs.interval(rs.pearson(a, a), np.arange(6), seed=0) == (None, None)


def test_means_and_parts() -> None:
    a, b = pair(20)
    both = rs.mean_of([rs.pearson(a, b), rs.spearman(a, b)])
    assert one(both, np.ones(20)) == pytest.approx((ag.pearson(a, b) + ag.spearman(a, b)) / 2)  # type: ignore[operator]
    first = np.arange(20) < 10
    part = rs.on(rs.pearson(a[first], b[first]), first)
    assert one(part, np.ones(20)) == pytest.approx(ag.pearson(a[:10], b[:10]))
    assert one(part, (~first).astype(float)) is None


def test_all_measures_of_550_items_take_seconds_not_minutes() -> None:
    a, b = pair(550)
    start = time.process_time()
    for _, weighted in PAIRED.values():
        assert rs.interval(weighted(a, b), np.arange(550))[0] is not None
    assert time.process_time() - start < 20


def test_kendall_over_all_pairs_draws_no_more_than_it_can_afford() -> None:
    rng = np.random.default_rng(0)
    a, b = pair(3000)
    assert rs.affordable(a, b) == 2000
    x = rng.normal(size=3000)
    y = x + rng.normal(size=3000)
    assert rs.affordable(x, y) == 222
    assert rs.affordable(x[:550], y[:550]) == 2000
    for few in (x[:60].round(1), x[:60]):
        w = rng.integers(0, 4, 60)
        drawn = np.repeat(np.arange(60), w)
        expected = ag.kendall(few[drawn], y[:60][drawn])
        assert one(rs.kendall(few, y[:60]), w) == pytest.approx(expected, abs=1e-12)


def test_kinds_are_drawn_as_their_items_are() -> None:
    kinds = [np.arange(40) % 3, np.arange(40) % 7 % 5, np.arange(40)]
    items = np.concatenate(list(rs.weights(np.arange(40), 130, seed=6)))
    for kind, found in zip(
        kinds, zip(*rs.drawn_kinds(kinds, 130, seed=6), strict=True), strict=True
    ):
        expected = items @ (kind[:, None] == np.arange(kind.max() + 1))
        assert (np.concatenate(found) == expected).all()
