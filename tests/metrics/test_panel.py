"""The dashboard's measures: right values and intervals, and a reason wherever there is none."""

import time
from typing import Any

import numpy as np
import pytest
from scipy import stats

from wardround.metrics import agreement as ag
from wardround.metrics import chance, panel
from wardround.metrics import resampled as rs

N = float("nan")
FIVE = (1, 2, 3, 4, 5)


def room(items: int, *, raters: int = 9, each: int = 3, seed: int = 0) -> np.ndarray:
    """Scores of `each` raters of many on every item, around the item's own level; (raters, items)."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(FIVE, items, p=[0.05, 0.1, 0.15, 0.4, 0.3])
    noise = rng.choice([-2, -1, 0, 1], (raters, items), p=[0.05, 0.15, 0.65, 0.15])
    scores = np.clip(truth + noise, 1, 5).astype(float)
    silent = np.argsort(rng.random((raters, items)), axis=0) >= each
    scores[silent] = N
    found: np.ndarray = scores
    return found


def by_name(scores: np.ndarray, **options: Any) -> dict[str, panel.Coefficient]:
    return {c.measure: c for c in panel.panel(scores, categories=FIVE, **options)}


def test_every_measure_by_its_name() -> None:
    scores = room(60)
    found = by_name(scores, measures=tuple(panel.MEASURES), resamples=200)
    assert list(found) == list(panel.MEASURES)
    for c in found.values():
        assert (c.items, c.ratings) == (60, 180)
        assert c.low is not None and c.value is not None and c.high is not None
        assert c.low < c.value < c.high
        assert c.undefined is None and c.no_interval is None
    for level in ("nominal", "ordinal", "interval", "ratio"):
        assert found[f"alpha_{level}"].value == pytest.approx(ag.krippendorff(scores, level))
    assert found["icc1"].value == pytest.approx(ag.icc1(scores.T)[0])
    assert found["icc1k"].value == pytest.approx(ag.icc1(scores.T)[1])
    rows, code = chance.distinct(chance.tabulate(scores, FIVE))
    times = np.bincount(code)
    for weighting in chance.WEIGHTINGS[1:]:
        weights = chance.weight_matrix(weighting, FIVE)
        for key, make in (
            ("percent", chance.percent), ("ac2", chance.gwet), ("fleiss", chance.fleiss),
            ("bp", chance.brennan_prediger),
        ):  # fmt: skip
            expected = chance.value(make(rows, weights), times)
            assert found[f"{key}_{weighting}"].value == pytest.approx(expected)
    names = list(panel.MEASURES.values())
    assert len(set(names)) == len(names)
    assert panel.MEASURES["ac2_ordinal"] == ("Gwet AC2（序数权重）", "Gwet AC2, ordinal weights")


def test_the_interval_is_the_houses_bootstrap() -> None:
    """Same seed, same draws as measures over items."""
    scores = room(70)
    scores[:, 40:] = room(30, each=2, seed=5)
    found = by_name(scores, seed=4, resamples=300)
    for level in ("ordinal", "interval"):
        c = by_name(scores, seed=4, resamples=300, measures=[f"alpha_{level}"])[f"alpha_{level}"]
        expected = rs.interval(
            rs.krippendorff(scores, level), np.arange(70), seed=4, resamples=300
        )  # fmt: skip
        assert (c.low, c.high) == pytest.approx(expected, abs=1e-9)
    for name, one in (("icc1", 0), ("icc1k", 1)):

        def plain(m: np.ndarray, one: int = one) -> float | None:
            return ag.icc1(m)[one]

        _, low, high = ag.with_interval(plain, scores.T, seed=4, resamples=300)
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-9)


def test_the_interval_is_that_of_scipy_but_for_chance() -> None:
    scores = room(400)
    ours = by_name(scores, resamples=4000)["percent"]
    each = [
        float(np.mean([a == b for i, a in enumerate(s) for j, b in enumerate(s) if i != j]))
        for s in (column[~np.isnan(column)] for column in scores.T)
    ]
    theirs = stats.bootstrap(
        (np.array(each),), np.mean, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_intervals_cover_the_populations_value() -> None:
    """Rooms of 120 items out of 60,000; nominal coverage 95 %."""
    everything = chance.tabulate(room(60_000, seed=1), FIVE)
    truth = {
        c.measure: c.value
        for c in panel.panels([everything], categories=FIVE, resamples=0)[0]
    }  # fmt: skip
    rng, rounds = np.random.default_rng(2), 200
    covered = dict.fromkeys(truth, 0)
    for seed in range(rounds):
        part = everything[rng.choice(len(everything), 120, replace=False)]
        for c in panel.panels([part], categories=FIVE, seed=seed, resamples=400)[0]:
            value = truth[c.measure]
            assert c.low is not None and c.high is not None and value is not None
            covered[c.measure] += c.low <= value <= c.high
    assert all(0.90 <= n / rounds <= 0.99 for n in covered.values()), covered


def test_dimensions_together_are_dimensions_alone() -> None:
    tables = [chance.tabulate(room(50, seed=s), FIVE) for s in range(3)]
    together = panel.panels(tables, categories=FIVE, seed=9)
    alone = [panel.panel(room(50, seed=s), categories=FIVE, seed=9) for s in range(3)]
    assert together == alone
    assert panel.panels([], categories=FIVE) == []


def test_blocks_and_unrated_items_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = room(50)
    whole = panel.panel(scores, categories=FIVE, seed=3)
    padded = np.concatenate([scores, np.full((9, 200), N)], axis=1)
    assert panel.panel(padded, categories=FIVE, seed=3) == whole
    monkeypatch.setattr(rs, "_CELLS", 120)
    monkeypatch.setattr(rs, "_BLOCK", 90)
    assert panel.panel(scores, categories=FIVE, seed=3) == whole


def reasons(scores: np.ndarray, **options: Any) -> dict[str, tuple[str | None, str | None]]:
    found = by_name(scores, **options)
    for c in found.values():
        assert (c.value is None) == (c.undefined is not None)
        if c.value is None:
            assert c.low is None and c.high is None and c.no_interval is None
        else:
            assert (c.low is None) == (c.high is None) == (c.no_interval is not None)
    assert {r for c in found.values() for r in (c.undefined, c.no_interval) if r} <= set(
        panel.REASONS
    )
    return {name: (c.undefined, c.no_interval) for name, c in found.items()}


def test_unanimous() -> None:
    """All gave 5: agreement and AC1 are 1, α and ICC are undefined; the bootstrap has nothing to say of either."""
    scores = np.full((3, 30), 5.0)
    found = by_name(scores)
    assert found["percent"].value == found["ac1"].value == found["ac2_ordinal"].value == 1
    undefined = reasons(scores)
    for name in ("alpha_ordinal", "icc1", "icc1k"):
        assert undefined[name] == ("unanimous", None)
    for name in ("percent", "percent_ordinal", "ac1", "ac2_ordinal"):
        assert undefined[name] == (None, "no_spread")


def test_too_few() -> None:
    one_each = np.array([[1.0, N, 3], [N, 2, N]])
    assert set(reasons(one_each).values()) == {("too_few", None)}
    assert set(reasons(np.zeros((4, 0))).values()) == {("too_few", None)}
    single = reasons(np.array([[1.0], [2.0], [N]]))
    assert single["percent"] == single["alpha_ordinal"] == (None, "too_few")
    assert single["icc1"] == ("too_few", None)
    assert set(reasons(room(20), resamples=0).values()) == {(None, "not_asked")}


def test_items_alike_and_mostly_undefined() -> None:
    alike = reasons(np.array([[1.0, 2, 3, 1], [3, 2, 1, 3]]))
    assert alike["icc1k"] == ("items_alike", None)
    assert alike["icc1"][0] is None
    rare = np.full((3, 12), 5.0)
    rare[0, 0] = 4
    assert reasons(rare)["alpha_ordinal"] == (None, "mostly_undefined")


def test_items_rated_once_count_for_the_shares_alone() -> None:
    scores = room(40)
    once = np.concatenate([scores, np.where(np.arange(9)[:, None] == 0, np.full((9, 15), 1.0), N)], axis=1)  # fmt: skip
    plain, more = by_name(scores), by_name(once)
    for name in ("percent", "alpha_ordinal", "icc1", "icc1k"):
        assert plain[name].value == more[name].value
        assert (more[name].items, more[name].ratings) == (40, 120)
    assert plain["ac1"].value != more["ac1"].value


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="'kappa' is none of percent"):
        by_name(room(10), measures=["kappa"])
    with pytest.raises(ValueError, match=r"\(items, 5\)"):
        panel.panels([np.zeros((3, 4), int)], categories=FIVE)
    with pytest.raises(ValueError, match="same items"):
        panel.panels([np.zeros((3, 5), int), np.zeros((2, 5), int)], categories=FIVE)


def test_a_whole_review_room_takes_seconds() -> None:
    """31,247 items, three ratings each by fifty reviewers, five dimensions."""
    rng = np.random.default_rng(0)
    items = np.repeat(np.arange(31_247), 3)
    tables = []
    for _ in range(5):
        score = np.clip(rng.choice([2, 3, 4, 5], 31_247)[items] + rng.integers(-1, 2, len(items)), 1, 5)  # fmt: skip
        tables.append(chance.count_table(items, score, items=31_247, categories=FIVE))
    start = time.process_time()
    found = panel.panels(tables, categories=FIVE)
    assert time.process_time() - start < 8
    assert all(c.low is not None for dimension in found for c in dimension)
