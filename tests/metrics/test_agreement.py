import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardround.metrics import agreement as ag

pairs = st.lists(st.tuples(st.integers(1, 10), st.integers(1, 10)), min_size=3, max_size=40)


@given(data=pairs)
@settings(max_examples=100, deadline=None)
def test_correlations_agree_with_scipy(data: list[tuple[int, int]]) -> None:
    a, b = (np.array(x, float) for x in zip(*data, strict=True))
    if a.std() < 1e-9 or b.std() < 1e-9:
        assert ag.pearson(a, b) is ag.spearman(a, b) is ag.kendall(a, b) is None
        return
    assert ag.pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-9)
    assert ag.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)
    assert ag.kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-9)


def weighted_kappa_by_table(a: np.ndarray, b: np.ndarray, categories: int) -> float:
    """Cohen's definition, from the table of counts."""
    observed = np.zeros((categories, categories))
    for x, y in zip(a, b, strict=True):
        observed[x, y] += 1
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(a)
    i, j = np.indices(observed.shape)
    weights = (i - j) ** 2
    return float(1 - (weights * observed).sum() / (weights * expected).sum())


@given(data=pairs)
@settings(max_examples=60, deadline=None)
def test_quadratic_kappa_is_cohens_definition(data: list[tuple[int, int]]) -> None:
    a, b = (np.array(x) for x in zip(*data, strict=True))
    found = ag.quadratic_kappa(a, b)
    if found is None:
        assert len(set(a) | set(b)) == 1
        return
    assert found == pytest.approx(weighted_kappa_by_table(a, b, 11), abs=1e-9)


# Shrout & Fleiss (1979), table 2: six targets, four judges; ICC(2,1) = .29, ICC(2,4) = .62.
SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]


def test_icc_is_the_published_example() -> None:
    single, average = ag.icc2(np.array(SHROUT_FLEISS))
    assert single == pytest.approx(0.29, abs=0.005)
    assert average == pytest.approx(0.62, abs=0.005)
    assert ag.icc2(np.ones((5, 3))) == (None, None)


def test_one_way_icc_is_the_published_example() -> None:
    """ICC(1,1) = .17, ICC(1,4) = .44."""
    single, average = ag.icc1(np.array(SHROUT_FLEISS))
    assert single == pytest.approx(0.17, abs=0.005)
    assert average == pytest.approx(0.44, abs=0.005)


# Sokal & Rohlf, Biometry, width of scutum of ticks on four rabbits: 8, 10, 13 and 6 of them; n₀ = 9.009, and 32.1 % of
# the variance is among rabbits.
TICKS = [
    [380, 376, 360, 368, 372, 366, 374, 382],
    [350, 356, 358, 376, 338, 342, 366, 350, 344, 364],
    [354, 360, 362, 352, 366, 372, 362, 344, 342, 358, 351, 348, 348],
    [376, 344, 342, 372, 374, 360],
]


def padded(groups: list[list[float]]) -> np.ndarray:
    width = max(map(len, groups), default=0)
    return np.array([[*g, *[float("nan")] * (width - len(g))] for g in groups])


def test_one_way_icc_with_unequal_numbers_is_the_published_example() -> None:
    single, average = ag.icc1(padded(TICKS))  # type: ignore[arg-type]
    assert single == pytest.approx(0.321, abs=0.0005)
    assert average == pytest.approx(1 - 114.485 / 602.576, abs=1e-5)
    # Spearman–Brown at n₀.
    assert single is not None
    assert average == pytest.approx(9.009009 * single / (1 + 8.009009 * single), abs=1e-6)


@given(groups=st.lists(st.lists(st.integers(1, 5), max_size=6), min_size=1, max_size=12))
@settings(max_examples=100, deadline=None)
def test_one_way_icc_is_the_analysis_of_variance(groups: list[list[int]]) -> None:
    found = ag.icc1(padded(groups)) if any(groups) else (None, None)  # type: ignore[arg-type]
    used = [np.array(g, float) for g in groups if len(g) > 1]
    sizes = np.array([len(g) for g in used], float)
    alike = len({round(float(g.mean()), 9) for g in used}) == 1
    if len(used) < 2 or (alike and all(np.ptp(g) == 0 for g in used)):
        assert found == (None, None)
    elif alike:
        assert found[1] is None and found[0] is not None and found[0] < 0
    elif all(np.ptp(g) == 0 for g in used):
        assert found == pytest.approx((1, 1))
    else:
        f = stats.f_oneway(*used).statistic
        k = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (len(used) - 1)
        assert found == pytest.approx(((f - 1) / (f + k - 1), 1 - 1 / f), rel=1e-6, abs=1e-8)


# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section E: four observers, twelve units.
N = float("nan")
KRIPPENDORFF = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


@pytest.mark.parametrize(
    ("level", "value"),
    [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)],
)
def test_alpha_is_the_published_example(level: ag.Level, value: float) -> None:
    assert ag.krippendorff(np.array(KRIPPENDORFF), level) == pytest.approx(value, abs=0.0006)


def test_alpha_without_variation_is_undefined_not_one() -> None:
    assert ag.krippendorff(np.full((3, 5), 4.0)) is None
    assert ag.krippendorff(np.array([[1.0, N], [N, 2.0]])) is None


def test_interval_holds_the_value_and_leaves_undefined_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    items = np.column_stack([x, x + rng.normal(size=60)])
    value, low, high = ag.with_interval(lambda m: ag.pearson(m[:, 0], m[:, 1]), items)
    assert value is not None and low is not None and high is not None
    assert low < value < high
    assert 0.5 < value < 0.9
    flat = np.ones((10, 2))
    assert ag.with_interval(lambda m: ag.pearson(m[:, 0], m[:, 1]), flat) == (None, None, None)
