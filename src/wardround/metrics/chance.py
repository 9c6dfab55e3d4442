"""Agreement beyond chance, from counts: how many raters put each item into each category.

Raters may differ from item to item and any number of ratings may be missing. A table has shape (items, categories).
All measures but Conger's κ depend on its rows alone, and few rows differ (three ratings on five categories make 35),
so a measure is a function of how often each distinct row occurs: weights (resamples, rows) → values (resamples,), NaN
where it is undefined. The bootstrap of 31,247 items then costs no more than drawing them.

Missing ratings as in Gwet (Handbook of Inter-Rater Reliability, 4th ed. 2014, chapters 2 to 5): agreement is observed
on items with two ratings or more, the categories' shares on all with one or more. κ of many raters: Fleiss 1971,
Conger 1980; S: Brennan & Prediger 1981; AC1 and AC2: Gwet 2008; α: Krippendorff 2011, on items with two ratings or
more; ICC(1): as in `agreement.icc1`.

Two things are called ordinal. Gwet's ordinal weights depend on the categories' order alone; Krippendorff's ordinal
distance (`alpha` of level "ordinal") also on how often each occurs. Their values differ, so a name says which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

from wardround.metrics.agreement import Level
from wardround.metrics.arrays import np
from wardround.metrics.resampled import Measure, ratio

Weighting = Literal["identity", "linear", "quadratic", "ordinal", "radical", "ratio"]
WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)


def _ascending(categories: Sequence[float]) -> np.ndarray:
    c = np.asarray(categories, float)
    if c.ndim != 1 or len(c) < 2 or not (np.diff(c) > 0).all():
        raise ValueError(f"categories {list(categories)} are not two or more ascending numbers")
    return c


def weight_matrix(weighting: Weighting, categories: Sequence[float]) -> np.ndarray:
    """How far two categories agree, 1 on the diagonal and 0 for the two ends; shape (categories, categories).

    Args:
        weighting: as named by Gwet (2014), section 3.5. "identity" and "ordinal" take the categories' order alone,
            the others their values; "ratio" needs all above 0.
        categories: all there are, used or not, ascending.
    """
    c = _ascending(categories)
    if weighting == "identity":
        return np.eye(len(c))
    apart = np.abs(c[:, None] - c[None, :])
    if weighting == "ordinal":
        steps = np.abs(np.subtract.outer(np.arange(len(c)), np.arange(len(c))))
        apart = steps * (steps + 1.0)
    elif weighting == "quadratic":
        apart = apart**2
    elif weighting == "radical":
        apart = np.sqrt(apart)
    elif weighting == "ratio":
        if c[0] <= 0:
            raise ValueError(f"ratio weights need categories above 0, not {c[0]:g}")
        apart = (apart / (c[:, None] + c[None, :])) ** 2
    elif weighting != "linear":
        raise ValueError(f"weighting {weighting!r} is none of {', '.join(WEIGHTINGS)}")
    weights: np.ndarray = 1 - apart / apart.max()
    return weights


def coded(score: np.ndarray, categories: Sequence[float]) -> np.ndarray:
    """Each score's place among the categories; a score that is none of them is a ValueError."""
    c = _ascending(categories)
    code = np.minimum(np.searchsorted(c, score), len(c) - 1)
    strange = c[code] != score
    if strange.any():
        wrong, names = score[strange][0], ", ".join(f"{x:g}" for x in c)
        raise ValueError(f"score {wrong:g} is none of the categories {names}")
    return code


def count_table(
    item: Sequence[int] | np.ndarray,
    score: Sequence[float] | np.ndarray,
    *,
    items: int,
    categories: Sequence[float],
) -> np.ndarray:
    """The table of counts, shape (items, categories), from one entry a rating: its item's number and its score."""
    code = coded(np.asarray(score, float), categories)
    q = len(categories)
    flat = np.bincount(np.asarray(item, int) * q + code, minlength=items * q)
    return flat.reshape(items, q)


def tabulate(scores: np.ndarray, categories: Sequence[float]) -> np.ndarray:
    """The table of counts from scores of shape (raters, items), NaN where a rater gave none."""
    m = np.asarray(scores, float)
    rater, item = np.nonzero(~np.isnan(m))
    return count_table(item, m[rater, item], items=m.shape[1], categories=categories)


def distinct(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows, shape (rows, categories), and each item's row number."""
    table = np.asarray(counts)
    # Column by column, so that whole numbers are sorted instead of rows: ten times quicker.
    code = np.zeros(len(table), int)
    for column in table.T:
        _, code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    _, first = np.unique(code, return_index=True)
    return table[first].astype(float), code


def percent(rows: np.ndarray, weights: np.ndarray) -> Measure:
    """Observed agreement: the mean over items of the mean weight over an item's pairs of ratings."""
    raters = rows.sum(axis=1)
    pairs = raters * (raters - 1)
    agreeing = (rows * (rows @ weights - 1)).sum(axis=1) / np.maximum(pairs, 1)
    columns = np.column_stack([agreeing * (pairs > 0), pairs > 0])

    def measure(w: np.ndarray) -> np.ndarray:
        agreed, items = (w @ columns).T
        return ratio(agreed, items)

    return measure


def _corrected(
    rows: np.ndarray, weights: np.ndarray, by_chance: Callable[[np.ndarray], np.ndarray]
) -> Measure:
    """(observed − chance) / (1 − chance), chance a function of the categories' shares (resamples, categories)."""
    observed = percent(rows, weights)
    raters = rows.sum(axis=1, keepdims=True)
    columns = np.concatenate([rows / np.maximum(raters, 1), raters > 0], axis=1)

    def measure(w: np.ndarray) -> np.ndarray:
        sums = w @ columns
        chance = by_chance(sums[:, :-1] / np.maximum(sums[:, -1:], 1))
        return ratio(observed(w) - chance, 1 - chance)

    return measure


def gwet(rows: np.ndarray, weights: np.ndarray) -> Measure:
    """AC1 with identity weights, else AC2. Defined even where all ratings are equal: then 1."""
    q = len(weights)
    scale = weights.sum() / (q * (q - 1))
    return _corrected(rows, weights, lambda share: scale * (share * (1 - share)).sum(axis=1))


def fleiss(rows: np.ndarray, weights: np.ndarray) -> Measure:
    """Fleiss' κ, weighted; of two raters it is Scott's π."""
    return _corrected(rows, weights, lambda share: ((share @ weights) * share).sum(axis=1))


def brennan_prediger(rows: np.ndarray, weights: np.ndarray) -> Measure:
    """Chance agreement as if all categories were equally likely."""
    chance = weights.sum() / len(weights) ** 2
    return _corrected(rows, weights, lambda share: np.full(len(share), chance))


def alpha(rows: np.ndarray, categories: Sequence[float], level: Level) -> Measure:
    """Krippendorff's α; undefined where one category alone occurs on items with two ratings or more."""
    c = _ascending(categories)
    q = len(c)
    raters = rows.sum(axis=1, keepdims=True)
    kept = rows * (raters > 1)
    pairs = (kept[:, :, None] * kept[:, None, :] / np.maximum(raters - 1, 1)[:, :, None]).reshape(
        len(rows), q * q
    )
    fixed = _distance(c, level)

    def measure(w: np.ndarray) -> np.ndarray:
        margin = w @ kept
        distance = fixed
        if distance is None:
            place = np.cumsum(margin, axis=1) - margin / 2
            distance = (place[:, :, None] - place[:, None, :]) ** 2
        observed = ((w @ pairs).reshape(-1, q, q) * distance).sum(axis=(1, 2))
        expected = (margin[:, :, None] * margin[:, None, :] * distance).sum(axis=(1, 2))
        return 1 - ratio(observed * (margin.sum(axis=1) - 1), expected)

    return measure


def _distance(c: np.ndarray, level: Level) -> np.ndarray | None:
    """Squared distance of any two categories; None for the ordinal one, which changes with their margins."""
    if level == "ordinal":
        return None
    same: dict[Level, Weighting] = {
        "nominal": "identity",
        "interval": "quadratic",
        "ratio": "ratio",
    }
    # α has the same value whatever the distances' unit.
    apart: np.ndarray = 1 - weight_matrix(same[level], c.tolist())
    return apart


def icc1(
    rows: np.ndarray, categories: Sequence[float], which: Literal["single", "average"]
) -> Measure:
    """ICC(1) or ICC(1,k), see `agreement.icc1`."""
    c = _ascending(categories)
    c = c - c.mean()
    raters = rows.sum(axis=1)
    kept = rows * (raters > 1)[:, None]
    sums, n = kept @ c, raters * (raters > 1)
    columns = np.stack([n > 1, n, n**2, sums, kept @ c**2, sums**2 / np.maximum(n, 1)], axis=1)

    def measure(w: np.ndarray) -> np.ndarray:
        items, ratings, squared, total, squares, between = (w @ columns).T
        floor = 1e-10 * squares
        within = squares - between
        within = np.where(within > floor, within, 0.0)
        between = between - total**2 / np.maximum(ratings, 1)
        between = np.where(between > floor, between, 0.0)
        degrees = np.maximum(items - 1, 1)
        k = (ratings - squared / np.maximum(ratings, 1)) / degrees
        across, error = between / degrees, within / np.maximum(ratings - items, 1)
        below = across + (k - 1) * error if which == "single" else across
        return ratio(across - error, below * (items > 1))

    return measure


def conger(
    scores: np.ndarray, categories: Sequence[float], weighting: Weighting = "identity"
) -> Measure:
    """Conger's κ, weighted; of two raters it is Cohen's κ. Chance agreement is the mean over pairs of raters.

    Args:
        scores: shape (raters, items), NaN where a rater gave none; who rated is needed here, unlike elsewhere.

    The measure's weights are over items: for `resampled.interval`. Raters without a rating are left out.
    """
    m = np.asarray(scores, float)
    weights, q = weight_matrix(weighting, categories), len(categories)
    rater, item = np.nonzero(~np.isnan(m))
    cell = rater * q + coded(m[rater, item], categories)
    observed = percent(tabulate(m, categories).astype(float), weights)

    def measure(w: np.ndarray) -> np.ndarray:
        table = np.stack([np.bincount(cell, row[item], minlength=len(m) * q) for row in w])
        table = table.reshape(len(w), len(m), q)
        given = table.sum(axis=2, keepdims=True)
        share = table / np.maximum(given, 1)
        raters = (given > 0).sum(axis=(1, 2))
        both = share.sum(axis=1)
        own = ((share @ weights) * share).sum(axis=(1, 2))
        chance = ratio(((both @ weights) * both).sum(axis=1) - own, raters * (raters - 1.0))
        return ratio(observed(w) - chance, 1 - chance)

    return measure


def value(measure: Measure, times: np.ndarray) -> float | None:
    """A measure of the data themselves: `times` says how often each row (for `conger`: item) occurs."""
    found = float(measure(np.asarray(times, float)[None, :])[0])
    return None if np.isnan(found) else found
