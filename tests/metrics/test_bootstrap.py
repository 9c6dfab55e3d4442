import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardround.metrics import bootstrap
from wardround.metrics.bootstrap import NOTHING, cluster_mean, mean_by_cluster

scores = st.lists(st.integers(1, 10).map(float), min_size=1, max_size=4)


def test_agrees_with_scipy_on_single_values() -> None:
    """Same BCa definition; resamples differ, so limits agree to Monte-Carlo error."""
    rng = np.random.default_rng(1)
    data = rng.gamma(2.0, 2.0, size=60)
    ours = cluster_mean([[float(x)] for x in data], resamples=20_000)
    theirs = stats.bootstrap((data,), np.mean, method="BCa", n_resamples=20_000, rng=2)
    assert ours.mean == pytest.approx(data.mean())
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.03)


def test_clusters_that_hang_together_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    cases = rng.normal(5, 2, size=40)
    together = cluster_mean([[float(c)] * 3 for c in cases])
    apart = cluster_mean([[float(c)] for c in cases for _ in range(3)])
    assert together.low is not None and together.high is not None
    assert apart.low is not None and apart.high is not None
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_coverage_is_near_nominal() -> None:
    """95 % intervals of a mean of 30 normal values hold the truth in about 95 % of 300 data sets."""
    rng = np.random.default_rng(5)
    inside = 0
    for seed in range(300):
        data = rng.normal(0, 1, size=30)
        found = cluster_mean([[float(x)] for x in data], seed=seed, resamples=500)
        assert found.low is not None and found.high is not None
        inside += found.low <= 0 <= found.high
    assert 0.90 <= inside / 300 <= 0.98


def test_nothing_scored_is_not_zero() -> None:
    assert cluster_mean([]) == NOTHING
    assert cluster_mean([[], []]).mean is None


@given(
    values=st.lists(
        st.tuples(st.sampled_from("edcba"), st.floats(-5, 5).map(lambda v: round(v, 3))),
        max_size=20,
    )
)
@settings(max_examples=30, deadline=None)
def test_values_by_name_are_the_clusters_in_the_order_of_names(
    values: list[tuple[str, float]],
) -> None:
    clusters = [[v for n, v in values if n == name] for name in "abcde"]
    assert mean_by_cluster(values, resamples=100) == cluster_mean(clusters, resamples=100)


def test_one_case_has_no_interval() -> None:
    found = cluster_mean([[4.0, 6.0]])
    assert (found.mean, found.low, found.high, found.n, found.clusters) == (5.0, None, None, 2, 1)


@given(data=st.lists(scores, min_size=2, max_size=12), seed=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_laws(data: list[list[float]], seed: int) -> None:
    found = cluster_mean(data, seed=seed, resamples=200)
    values = [v for c in data for v in c]
    assert found.mean == pytest.approx(sum(values) / len(values))
    assert found.low is not None and found.high is not None
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found == cluster_mean(data, seed=seed, resamples=200)
    shifted = cluster_mean([[v + 3 for v in c] for c in data], seed=seed, resamples=200)
    assert shifted.low == pytest.approx(found.low + 3, abs=1e-6)


def test_resampling_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = [[float(i % 7)] for i in range(50)]
    whole = cluster_mean(data)
    monkeypatch.setattr(bootstrap, "_CELLS", 50 * 333)
    assert cluster_mean(data) == whole


def test_draws_are_uniform_and_the_same_in_pieces() -> None:
    """Chi-square over 100 cells for several seeds stays near its 99 degrees of freedom (standard deviation 14)."""
    found = []
    for seed in range(20):
        index = bootstrap.drawn(seed, 0, 50_000, 100)
        pieces = [bootstrap.drawn(seed, s, 10_000, 100) for s in range(0, 50_000, 10_000)]
        assert (np.concatenate(pieces) == index).all()
        seen = np.bincount(index, minlength=100)
        assert len(seen) == 100
        found.append(float(((seen - 500) ** 2 / 500).sum()))
    assert 85 < float(np.mean(found)) < 113
    assert max(found) < 170


def test_draws_are_those_of_splitmix64() -> None:
    """The generator's published first output for state 0 is 0xE220A8397B1DCDAF; its high half scaled by k."""
    state = int.from_bytes(hashlib.sha256(b"7").digest()[:8])
    z = (state + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    z ^= z >> 31
    assert bootstrap.drawn(7, 0, 1, 1000)[0] == (z >> 32) * 1000 >> 32
