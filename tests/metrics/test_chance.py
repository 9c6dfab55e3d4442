"""Coefficients beyond chance: the published example, irrCAC's values, krippendorff's, and the definitions."""

import json
import math
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.metrics import agreement as ag
from wardround.metrics import chance
from wardround.metrics import resampled as rs

N = float("nan")
FIVE = (1, 2, 3, 4, 5)
# Gwet (2014), Handbook of Inter-Rater Reliability, 4th ed.: four raters, twelve units, missing ratings.
GWET = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, N],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 3],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)
LEVEL_OF: dict[str, ag.Level] = {
    "identity": "nominal",
    "quadratic": "interval",
    "ratio": "ratio",
}


def table(
    scores: np.ndarray, categories: tuple[float, ...] = FIVE
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows and how often each occurs."""
    rows, code = chance.distinct(chance.tabulate(scores, categories))
    return rows, np.bincount(code, minlength=len(rows))


def all_of(
    scores: np.ndarray, categories: tuple[float, ...], weighting: chance.Weighting
) -> dict[str, float | None]:
    rows, times = table(scores, categories)
    weights = chance.weight_matrix(weighting, categories)
    found = {
        "percent": chance.value(chance.percent(rows, weights), times),
        "gwet": chance.value(chance.gwet(rows, weights), times),
        "fleiss": chance.value(chance.fleiss(rows, weights), times),
        "bp": chance.value(chance.brennan_prediger(rows, weights), times),
        "conger": chance.value(
            chance.conger(scores, categories, weighting), np.ones(scores.shape[1])
        ),
    }
    if weighting in LEVEL_OF:
        found["alpha"] = chance.value(chance.alpha(rows, categories, LEVEL_OF[weighting]), times)
    return found


def test_gwets_example_with_missing_ratings() -> None:
    assert all_of(GWET, FIVE, "identity") == pytest.approx(
        {"percent": 0.81818, "gwet": 0.77544, "fleiss": 0.76117, "bp": 0.77273,
         "conger": 0.76282, "alpha": 0.74342},
        abs=5e-6,
    )  # fmt: skip


def irrcac_tables() -> list[Any]:
    found: list[Any] = json.loads((Path(__file__).parent / "irrcac.json").read_text())["tables"]
    return found


@pytest.mark.parametrize("weighting", chance.WEIGHTINGS)
def test_irrcac_gives_the_same_of_recorded_tables(weighting: chance.Weighting) -> None:
    """Its values were recorded, since it asks for versions of SciPy and pandas that nothing else here can live with."""
    tables = irrcac_tables()
    assert len(tables) > 20
    for t in tables:
        scores = np.array(t["scores"], float)
        for name, found in all_of(scores, tuple(t["categories"]), weighting).items():
            assert found == pytest.approx(t["values"][weighting][name], abs=1e-8), name


ratings = st.lists(
    st.lists(st.one_of(st.none(), st.sampled_from(FIVE)), min_size=4, max_size=4),
    min_size=3,
    max_size=14,
).map(lambda rows: np.array(rows, float).T)


@pytest.mark.filterwarnings("ignore")
@given(scores=ratings, weighting=st.sampled_from(chance.WEIGHTINGS))
@settings(max_examples=60, deadline=None)
def test_irrcac_gives_the_same(scores: np.ndarray, weighting: chance.Weighting) -> None:
    """Where it is on the path: `pip install --no-deps --target DIR irrCAC` and PYTHONPATH=DIR."""
    raw = pytest.importorskip("irrCAC.raw")
    pd = pytest.importorskip("pandas")
    given_ = ~np.isnan(scores)
    scores = scores[given_.any(axis=1)][:, given_.any(axis=0)]
    if min(scores.shape) < 2 or (~np.isnan(scores)).sum(axis=0).max(initial=0) < 2:
        return
    cac = raw.CAC(
        pd.DataFrame(scores.T.copy()), weights=weighting, categories=[1.0, 2, 3, 4, 5], digits=10
    )
    found = all_of(scores, FIVE, weighting)
    for name in ("gwet", "fleiss", "bp", "conger"):
        if found[name] is None:
            # irrCAC divides by zero, or nearly so.
            assert len(np.unique(scores[~np.isnan(scores)])) == 1
            continue
        expected = float(getattr(cac, name)()["est"]["coefficient_value"])
        assert found[name] == pytest.approx(expected, abs=1e-7), name


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval", "ratio"])
@given(scores=ratings)
@settings(max_examples=80, deadline=None)
def test_alpha_is_that_of_the_krippendorff_package(level: ag.Level, scores: np.ndarray) -> None:
    rows, times = table(scores)
    found = chance.value(chance.alpha(rows, FIVE, level), times)
    assert found == pytest.approx(ag.krippendorff(scores, level), abs=1e-9)
    pairable = scores[:, (~np.isnan(scores)).sum(axis=0) > 1]
    values = np.unique(pairable[~np.isnan(pairable)])
    if len(values) < 2:
        # The package raises, or answers 1, where α is undefined.
        assert found is None
        return
    expected = krippendorff.alpha(reliability_data=scores, level_of_measurement=level)
    assert found == pytest.approx(float(expected), abs=1e-9)


def measures(scores: np.ndarray) -> dict[str, rs.Measure]:
    rows, _ = table(scores)
    weights = chance.weight_matrix("ordinal", FIVE)
    return {
        "percent": chance.percent(rows, weights),
        "gwet": chance.gwet(rows, weights),
        "fleiss": chance.fleiss(rows, weights),
        "bp": chance.brennan_prediger(rows, weights),
        "alpha": chance.alpha(rows, FIVE, "ordinal"),
        "icc1": chance.icc1(rows, FIVE, "single"),
        "icc1k": chance.icc1(rows, FIVE, "average"),
    }


@given(scores=ratings, data=st.data())
@settings(max_examples=80, deadline=None)
def test_a_weighted_measure_is_the_measure_of_the_drawn_items(
    scores: np.ndarray, data: st.DataObject
) -> None:
    n = scores.shape[1]
    w = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    drawn = scores[:, np.repeat(np.arange(n), w)]
    rows, code = chance.distinct(chance.tabulate(scores, FIVE))
    weights = np.bincount(code, weights=w, minlength=len(rows))
    _, times = table(drawn)
    for name, measure in measures(scores).items():
        expected = chance.value(measures(drawn)[name], times)
        assert chance.value(measure, weights) == pytest.approx(expected, abs=1e-9), name
    expected = chance.value(chance.conger(drawn, FIVE), np.ones(drawn.shape[1]))
    assert chance.value(chance.conger(scores, FIVE), w) == pytest.approx(expected, abs=1e-9)


@given(scores=ratings)
@settings(max_examples=100, deadline=None)
def test_icc_from_counts_is_icc_from_scores(scores: np.ndarray) -> None:
    rows, times = table(scores)
    single, average = ag.icc1(scores.T)
    assert chance.value(chance.icc1(rows, FIVE, "single"), times) == pytest.approx(single, abs=1e-9)
    assert chance.value(chance.icc1(rows, FIVE, "average"), times) == pytest.approx(
        average, abs=1e-9
    )


@given(pairs=st.lists(st.tuples(st.sampled_from(FIVE), st.sampled_from(FIVE)), min_size=2))
@settings(max_examples=60, deadline=None)
def test_of_two_raters_conger_is_cohen_and_fleiss_is_scott(pairs: list[tuple[int, int]]) -> None:
    m = np.array(pairs, float).T
    conger = chance.value(chance.conger(m, FIVE, "quadratic"), np.ones(len(pairs)))
    assert conger == pytest.approx(ag.quadratic_kappa(m[0], m[1]), abs=1e-9)
    share = np.bincount(m.ravel().astype(int), minlength=6) / m.size
    by_chance = float((share**2).sum())
    found = all_of(m, FIVE, "identity")
    if by_chance > 1 - 1e-12:
        assert found["fleiss"] is found["conger"] is None
    else:
        scott = (float((m[0] == m[1]).mean()) - by_chance) / (1 - by_chance)
        assert found["fleiss"] == pytest.approx(scott, abs=1e-9)


def test_unanimous_raters_leave_kappa_and_alpha_undefined_but_not_ac1() -> None:
    """AC1's chance agreement is 0 there by its definition, κ's and α's is 1."""
    found = all_of(np.full((3, 8), 4.0), FIVE, "identity")
    assert found == {
        "percent": 1, "gwet": 1, "bp": 1, "fleiss": None, "conger": None, "alpha": None,
    }  # fmt: skip


def test_high_agreement_and_low_alpha() -> None:
    """Fifty items of three 5s but for three single 4s: 96 % agree, α is below 0, AC1 isn't."""
    scores = np.full((3, 50), 5.0)
    scores[0, :3] = 4
    found = all_of(scores, FIVE, "identity")
    assert found["percent"] == pytest.approx(0.96)
    assert found["alpha"] is not None and found["alpha"] < 0
    assert found["gwet"] is not None and found["gwet"] > 0.95


def test_no_item_with_two_ratings() -> None:
    found = all_of(np.array([[1.0, N, 3], [N, 2, N]]), FIVE, "identity")
    assert set(found.values()) == {None}
    assert set(all_of(np.zeros((2, 0)), FIVE, "identity").values()) == {None}


def test_a_rater_without_ratings_changes_nothing() -> None:
    more = np.concatenate([GWET, np.full((1, 12), N)])
    assert all_of(more, FIVE, "linear") == pytest.approx(all_of(GWET, FIVE, "linear"))


def test_unused_categories_count_for_ac_and_brennan_prediger_alone() -> None:
    scores = np.array([[1.0, 2, 1, 2], [1, 2, 2, 2]])
    two, five = all_of(scores, (1, 2), "identity"), all_of(scores, FIVE, "identity")
    for name in ("percent", "fleiss", "conger", "alpha"):
        assert two[name] == pytest.approx(five[name])
    assert two["bp"] == pytest.approx(0.5) and five["bp"] == pytest.approx((0.75 - 0.2) / 0.8)
    assert two["gwet"] is not None and five["gwet"] is not None and two["gwet"] < five["gwet"]


@pytest.mark.parametrize("weighting", chance.WEIGHTINGS)
def test_weights_are_one_on_the_diagonal_and_nought_at_the_ends(
    weighting: chance.Weighting,
) -> None:
    w = chance.weight_matrix(weighting, FIVE)
    assert np.diag(w).tolist() == [1.0] * 5
    assert w[0, 4] == w[4, 0] == pytest.approx(0)
    assert (w == w.T).all()
    if weighting == "ordinal":
        assert w[0].tolist() == pytest.approx([1, 0.9, 0.7, 0.4, 0])
    if weighting == "radical":
        assert w[0, 1] == pytest.approx(1 - math.sqrt(1 / 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: chance.tabulate(np.array([[1.0, 6]]), FIVE), "score 6 is none of .* 1, 2, 3, 4, 5"),
        (lambda: chance.tabulate(np.array([[1.5, 2]]), FIVE), r"score 1\.5"),
        (lambda: chance.weight_matrix("identity", (2, 1)), "ascending"),
        (lambda: chance.weight_matrix("identity", (1,)), "two or more"),
        (lambda: chance.weight_matrix("ratio", (0, 1, 2)), "above 0"),
        (lambda: chance.weight_matrix("cubic", FIVE), "cubic"),  # type: ignore[arg-type]
        (lambda: ag.krippendorff(np.array([[0.0, 1], [1, 1]]), "ratio"), "above 0"),
    ],
)  # fmt: skip
def test_what_can_not_be_counted_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@given(scores=ratings)
@settings(max_examples=50, deadline=None)
def test_a_table_is_its_distinct_rows(scores: np.ndarray) -> None:
    counts = chance.tabulate(scores, FIVE)
    for k, score in enumerate(FIVE):
        assert counts[:, k].tolist() == (scores == score).sum(axis=0).tolist()
    rows, code = chance.distinct(counts)
    assert (rows[code] == counts).all()
    assert len(np.unique(rows, axis=0)) == len(rows)
    rater, item = np.nonzero(~np.isnan(scores))
    again = chance.count_table(item, scores[rater, item], items=scores.shape[1], categories=FIVE)
    assert (again == counts).all()
