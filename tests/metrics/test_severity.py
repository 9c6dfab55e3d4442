"""Raters' offsets: planted ones are found, and the intervals are what they say."""

import time

import numpy as np
import pytest

from wardround.metrics import severity
from wardround.metrics.bootstrap import cluster_mean

N = float("nan")


def room(items: int, *, bias: list[float], each: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    raters = len(bias)
    truth = rng.normal(3, 1, items)
    scores = truth + np.array(bias)[:, None] + rng.normal(0, 0.5, (raters, items))
    scores[np.argsort(rng.random((raters, items)), axis=0) >= each] = N
    found: np.ndarray = scores
    return found


def test_by_hand() -> None:
    scores = np.array([[4.0, 5, N, 2, 3], [3, 5, 4, N, N], [5, 2, 4, N, N]])
    found = severity.offsets(scores)
    # Rater 0: 4 − (3+5)/2 = 0 and 5 − (5+2)/2 = 1.5; the last two items nobody else rated.
    assert [o.offset for o in found] == [0.75, 0.0, -0.5]
    assert [o.items for o in found] == [2, 3, 3]
    assert all(o.trend is None for o in found)


def test_a_planted_offset_is_found_and_shared_out() -> None:
    found = severity.offsets(room(900, bias=[0.8, 0, 0, 0, 0, 0]))
    assert [o.rater for o in found] == list(range(6))
    # Against the mean of the others, who are at 0.
    assert found[0].offset == pytest.approx(0.8, abs=0.1)
    assert found[0].low is not None and found[0].low > 0.6
    # Each of the others meets the lenient one in two of five pairs, as half of the others' mean.
    for o in found[1:]:
        assert o.offset == pytest.approx(-0.8 / 5, abs=0.1)


def test_drift_over_the_raters_own_order() -> None:
    rng = np.random.default_rng(3)
    scores = room(1200, bias=[0.0] * 6)
    when = rng.random(scores.shape)
    scores[0] += np.where(when[0] > 0.5, -1.0, 0.0)
    drifting, *steady = severity.offsets(scores, when=when)
    assert drifting.trend == pytest.approx(-1, abs=0.15)
    assert drifting.trend_high is not None and drifting.trend_high < -0.7
    assert (
        sum(o.trend_low is not None and o.trend_low < 0 < (o.trend_high or 0) for o in steady) > 3
    )
    # In the items' order there is no trend to see.
    assert severity.offsets(scores)[0].trend == pytest.approx(0, abs=0.2)
    # Equal times keep the items' order.
    assert severity.offsets(scores, when=np.zeros_like(scores)) == severity.offsets(scores)


def test_trend_is_last_third_less_first() -> None:
    scores = np.array([[1.0, 1, 2, 3, 3, 5, 5], [1.0] * 7])
    one, other = severity.offsets(scores)
    assert one.trend == 5 - 1 - 0  # means of (4, 4) and (0, 0)
    assert one.trend_low is one.trend_high is None
    assert other.trend == -4
    backwards = severity.offsets(scores, when=np.tile(np.arange(7)[::-1], (2, 1)))
    assert backwards[0].trend == -4
    assert backwards[0].offset == one.offset


def test_a_small_rooms_interval_is_bca_over_items() -> None:
    scores = room(50, bias=[0.3, 0, 0], each=3)
    one = severity.offsets(scores, seed=7)[0]
    apart = scores[0] - scores[1:].mean(axis=0)
    expected = cluster_mean(apart[:, None].tolist(), seed=7, resamples=severity.RESAMPLES)
    assert (one.offset, one.low, one.high) == (expected.mean, expected.low, expected.high)


@pytest.mark.parametrize("rare", [0.04, 0.3])
def test_expanded_limits_are_those_of_the_bootstrap(
    monkeypatch: pytest.MonkeyPatch, rare: float
) -> None:
    """Also for a rater who is nearly always with the others and now and then four points off."""
    rng = np.random.default_rng(1)
    scores = np.full((2, 900), 5.0)
    scores[0, rng.random(900) < rare] = 1
    scores[0, rng.random(900) < rare / 2] = 4
    large = severity.offsets(scores)[0]
    monkeypatch.setattr(severity, "LARGE", 10_000)
    drawn = severity.offsets(scores, resamples=8000)[0]
    assert (large.offset, large.trend) == (drawn.offset, drawn.trend)
    for name in ("", "trend_"):
        low, high = (getattr(drawn, f"{name}{end}") for end in ("low", "high"))
        assert getattr(large, f"{name}low") == pytest.approx(low, abs=0.04 * (high - low))
        assert getattr(large, f"{name}high") == pytest.approx(high, abs=0.04 * (high - low))


@pytest.mark.parametrize("items", [45, 700])
def test_intervals_cover(items: int) -> None:
    """No rater is off, so 0 is the truth of offset and trend."""
    offset = trend = total = 0
    for seed in range(60):
        for o in severity.offsets(room(items, bias=[0.0] * 4, seed=seed), seed=seed, resamples=400):
            assert o.low is not None and o.high is not None
            assert o.trend_low is not None and o.trend_high is not None
            offset += o.low <= 0 <= o.high
            trend += o.trend_low <= 0 <= o.trend_high
            total += 1
    assert 0.9 <= offset / total <= 0.99
    assert 0.87 <= trend / total <= 0.99


def test_nothing_to_compare_with() -> None:
    alone, silent = severity.offsets(np.array([[3.0, 4], [N, N]]))
    for o in (alone, silent):
        assert (o.items, o.offset, o.low, o.undefined) == (0, None, None, "too_few")
    same = severity.offsets(np.full((2, 300), 4.0))[0]
    assert (same.offset, same.low, same.high, same.undefined) == (0, None, None, None)
    assert (same.trend, same.trend_low, same.trend_high) == (0, None, None)
    with pytest.raises(ValueError, match="shape"):
        severity.offsets(np.ones((2, 3)), when=np.ones((3, 2)))


def test_fifty_reviewers_of_a_whole_room_take_a_second() -> None:
    scores = room(31_247, bias=[0.0] * 50)
    start = time.process_time()
    found = severity.offsets(scores)
    assert time.process_time() - start < 3
    assert all(o.low is not None and o.trend_low is not None for o in found)
