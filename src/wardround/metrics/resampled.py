"""Bootstrap intervals of agreement measures, all resamples at once.

`agreement` defines each measure on data. Here the same measures are functions of weights: how often each item
was drawn. A measure takes weights of shape (resamples, items) and returns one value a resample, NaN where the
measure is undefined, so that two thousand resamples of 550 items take tenths of a second instead of minutes;
the tests hold each equal to `agreement`'s on the drawn items.

What is drawn are clusters (cases): their items hang together and come along. Weights are worked through in
blocks, so memory stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from wardround.metrics.agreement import Numbers
from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, RESAMPLES, drawn, percentile_interval

Measure = Callable[[np.ndarray], np.ndarray]
"""Weights (resamples, items) → values (resamples,)."""

_TINY = 1e-12
_CELLS = 1 << 14
_BLOCK = 1 << 18
"""Weights of kinds at once."""
_PAIRWISE = 2e9
"""Pairs of items that Kendall's τ may look at over all resamples; above it fewer are drawn."""
LEAST = 200


def interval(
    measure: Measure,
    clusters: np.ndarray,
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
) -> tuple[float | None, float | None]:
    """Percentile interval of `measure` by drawing clusters with replacement.

    Args:
        clusters: each item's cluster as a number from 0, shape (items,).

    (None, None) below two clusters, or when more than a tenth of the resamples leave the measure undefined.
    """
    if len(clusters) == 0 or clusters.max() < 1:
        return None, None
    found = np.concatenate([measure(w) for w in weights(clusters, resamples, seed)])
    found = found[~np.isnan(found)]
    if len(found) < 0.9 * resamples:
        return None, None
    return percentile_interval(found, level)


def weights(clusters: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of weights (resamples in the block, items): how often each item's cluster was drawn."""
    k = int(clusters.max()) + 1
    step = max(1, _CELLS // max(k, len(clusters)))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        index = drawn(seed, start * k, size * k, k) + np.repeat(np.arange(size) * k, k)
        counts = np.bincount(index, minlength=size * k).reshape(size, k)
        yield counts[:, clusters].astype(float)


def drawn_kinds(
    kinds: Sequence[np.ndarray], resamples: int, seed: int
) -> Iterator[list[np.ndarray]]:
    """The draws of `weights` of single items, summed by kind: how often an item of each kind was drawn.

    Args:
        kinds: for each way of sorting the same items into kinds, every item's kind as a number from 0, shape (items,).

    Yields blocks of resamples: for each way an array (resamples in the block, kinds). Where thousands of items are of
    few kinds, a measure of kinds costs next to nothing.
    """
    k = len(kinds[0])
    numbers = [int(kind.max()) + 1 for kind in kinds]
    step = max(1, _CELLS // k)
    block = step * max(1, _BLOCK // (step * max(numbers)))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        out = [np.empty((size, number)) for number in numbers]
        for first in range(0, size, step):
            rows = min(step, size - first)
            index = drawn(seed, (start + first) * k, rows * k, k)
            for kind, number, table in zip(kinds, numbers, out, strict=True):
                found = kind.take(index)
                if rows > 1:
                    found += np.repeat(np.arange(rows) * number, k)
                counts = np.bincount(found, minlength=rows * number)
                table[first : first + rows] = counts.reshape(rows, number)
        yield out


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where `below` is (next to) nothing."""
    out = np.full(above.shape, np.nan)
    np.divide(above, below, out=out, where=below > _TINY)
    return out


def _count(w: np.ndarray) -> np.ndarray:
    """Items in each resample, 1 where there is none: what is divided by it is undefined there anyway."""
    n: np.ndarray = np.maximum(w.sum(axis=1), 1)
    return n


def _spread(squares: np.ndarray, total: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Sum of squared deviations; exactly 0 where only rounding is left of it."""
    found = squares - total * total / n
    return np.where(found > 1e-10 * squares, found, 0.0)


def pearson(a: Numbers, b: Numbers) -> Measure:
    """Linear correlation of paired values."""
    x, y = (np.asarray(v, float) for v in (a, b))
    x, y = (v - v.mean() if len(v) else v for v in (x, y))
    columns = np.stack([x, y, x * x, y * y, x * y], axis=1)

    def measure(w: np.ndarray) -> np.ndarray:
        n = _count(w)
        sx, sy, xx, yy, xy = (w @ columns).T
        scale = _spread(xx, sx, n) * _spread(yy, sy, n)
        return ratio(xy - sx * sy / n, np.sqrt(scale) * (n > 1))

    return measure


class _Ranked:
    """Values sorted once, so that ranks under weights are cumulative sums."""

    def __init__(self, values: Numbers) -> None:
        x = np.asarray(values, float)
        _, self.code, counts = np.unique(x, return_inverse=True, return_counts=True)
        self.order = np.argsort(self.code, kind="stable")
        self.starts = np.cumsum(counts) - counts
        self.values = len(counts)

    def _counted(self, w: np.ndarray) -> np.ndarray:
        """How often each value occurs, shape (resamples, values)."""
        here: np.ndarray = np.add.reduceat(w[:, self.order], self.starts, axis=1)
        return here

    def ranks(self, w: np.ndarray) -> np.ndarray:
        """Mean ranks, less one half, of the values when item i occurs w[i] times; shape of `w`."""
        here = self._counted(w)
        mean: np.ndarray = (np.cumsum(here, axis=1) - here / 2)[:, self.code]
        return mean

    def pairs_apart(self, w: np.ndarray) -> np.ndarray:
        """How many pairs differ in value."""
        here = self._counted(w)
        apart: np.ndarray = (here.sum(axis=1) ** 2 - (here**2).sum(axis=1)) / 2
        return apart


def spearman(a: Numbers, b: Numbers) -> Measure:
    """Correlation of ranks."""
    x, y = _Ranked(a), _Ranked(b)

    def measure(w: np.ndarray) -> np.ndarray:
        # The mean rank is half the number of items whatever the ties.
        middle = w.sum(axis=1, keepdims=True) / 2
        p, q = x.ranks(w) - middle, y.ranks(w) - middle
        wp = w * p
        scale = np.einsum("ri,ri->r", wp, p) * np.einsum("ri,ri->r", w * q, q)
        return ratio(np.einsum("ri,ri->r", wp, q), np.sqrt(np.maximum(scale, 0)))

    return measure


def kendall(a: Numbers, b: Numbers) -> Measure:
    """Kendall's τ-b: from the table of value pairs where values repeat, as scores do, else over all pairs of items
    (then with the resamples of `affordable`)."""
    x, y = _Ranked(a), _Ranked(b)
    agreeing = _by_table(x, y) if _repeats(x, y) else _by_pairs(x, y)

    def measure(w: np.ndarray) -> np.ndarray:
        return ratio(agreeing(w), np.sqrt(x.pairs_apart(w) * y.pairs_apart(w)))

    return measure


def affordable(a: Numbers, b: Numbers, resamples: int = RESAMPLES) -> int:
    """How many resamples `kendall` of these values can afford: fewer where thousands of values hardly repeat."""
    if _repeats(_Ranked(a), _Ranked(b)):
        return resamples
    return min(resamples, max(LEAST, int(_PAIRWISE / max(1, len(a)) ** 2)))


def _repeats(x: _Ranked, y: _Ranked) -> bool:
    return x.values * y.values <= 4 * len(x.code)


def _by_table(x: _Ranked, y: _Ranked) -> Measure:
    """Concordant less discordant pairs, from how many items have each pair of values."""
    joint = x.code * y.values + y.code
    order = np.argsort(joint, kind="stable")
    cells, starts = np.unique(joint[order], return_index=True)

    def measure(w: np.ndarray) -> np.ndarray:
        table = np.zeros((len(w), x.values * y.values))
        table[:, cells] = np.add.reduceat(w[:, order], starts, axis=1)
        cube = table.reshape(len(w), x.values, y.values)
        # At (a, b): items of a higher value in x with any up to b in y, then those above b less those below it.
        upto = np.cumsum(cube[:, ::-1], axis=1)[:, ::-1]
        upto = np.cumsum(upto[:, 1:], axis=2)
        here = cube[:, :-1]
        below = np.concatenate([np.zeros_like(upto[:, :, :1]), upto[:, :, :-1]], axis=2)
        found: np.ndarray = (here * (upto[:, :, -1:] - upto - below)).sum(axis=(1, 2))
        return found

    return measure


def _by_pairs(x: _Ranked, y: _Ranked) -> Measure:
    """Concordant less discordant pairs, from all pairs of items in blocks."""
    size = len(x.code)
    step = max(1, (1 << 21) // max(1, size))
    p, q = x.code.astype(np.float32), y.code.astype(np.float32)

    def measure(w: np.ndarray) -> np.ndarray:
        found = np.zeros(len(w))
        for start in range(0, size, step):
            part = slice(start, start + step)
            signs = np.sign(p[part, None] - p) * np.sign(q[part, None] - q)
            # Signs are −1, 0, 1 and weights small whole numbers: single precision is exact here.
            sums = w.astype(np.float32) @ signs.T
            found += (sums * w[:, part]).sum(axis=1)
        return found / 2

    return measure


def quadratic_kappa(a: Numbers, b: Numbers) -> Measure:
    """Cohen's κ with quadratic weights."""
    x, y = np.asarray(a, float), np.asarray(b, float)
    middle = float(x.mean()) if len(x) else 0.0
    x, y = x - middle, y - middle
    columns = np.stack([x, y, x * x + y * y, (x - y) ** 2], axis=1)

    def measure(w: np.ndarray) -> np.ndarray:
        n = _count(w)
        sx, sy, squares, apart = (w @ columns).T
        # var x + var y + (mean x − mean y)², all over n.
        expected = squares / n - 2 * sx * sy / n**2
        return 1 - ratio(apart / n, expected * (n > 1))

    return measure


def icc2(ratings: Numbers, which: Literal["single", "average"]) -> Measure:
    """ICC(2,1) or ICC(2,k); `ratings` (items, raters) must be complete."""
    m = np.asarray(ratings, float)
    m = m - m.mean() if m.size else m
    k = m.shape[1]
    mean = m.mean(axis=1)
    columns = np.column_stack([mean, mean**2, (m**2).sum(axis=1), m])

    def measure(w: np.ndarray) -> np.ndarray:
        n = _count(w)
        sums = w @ columns
        grand = sums[:, 0] / n
        degrees = np.maximum(n - 1, 1)
        rows = k * (sums[:, 1] - n * grand**2)
        raters = n * ((sums[:, 3:] / n[:, None]) ** 2).sum(axis=1) - n * k * grand**2
        left = np.maximum(sums[:, 2] - n * k * grand**2 - rows - raters, 0)
        between, spread = rows / degrees, raters / (k - 1)
        error = left / (degrees * (k - 1))
        single = between + (k - 1) * error + k * (spread - error) / n
        average = between + (spread - error) / n
        defined = (n > 1) & (single > _TINY) & (average > _TINY)
        return ratio(between - error, (single if which == "single" else average) * defined)

    return measure


def krippendorff(ratings: Numbers, level: Literal["ordinal", "interval"]) -> Measure:
    """Krippendorff's α; `ratings` has shape (raters, items), NaN where a rater gave none."""
    m = np.asarray(ratings, float)
    given = ~np.isnan(m)
    raters = given.sum(axis=0)
    pairable = raters > 1
    weight = np.where(pairable, 1 / np.maximum(raters - 1, 1), 0.0)
    values, coded = np.unique(m[given], return_inverse=True)
    codes = np.zeros(m.shape, int)
    codes[given] = coded
    seen = np.zeros((m.shape[1], len(values)))
    for rater in range(m.shape[0]):
        np.add.at(seen, (np.flatnonzero(given[rater]), codes[rater][given[rater]]), 1.0)
    seen[~pairable] = 0.0

    def measure(w: np.ndarray) -> np.ndarray:
        margin = w @ seen
        n = margin.sum(axis=1)
        if level == "interval":
            place = np.broadcast_to(values, margin.shape)
        else:
            place = np.cumsum(margin, axis=1) - margin / 2
        place = place - ratio((margin * place).sum(axis=1), n)[:, None]
        squares = (margin * place**2).sum(axis=1)
        # Σ over ordered pairs within an item of place·place', by raters instead of values: never values².
        sums = np.zeros(w.shape)
        own = np.zeros(w.shape)
        for rater in range(m.shape[0]):
            if not len(values):
                break
            at = place[:, codes[rater]] * (given[rater] & pairable)
            sums += at
            own += at**2
        within = np.einsum("ri,ri,i->r", w, sums**2 - own, weight)
        expected = 2 * n * squares
        disagreement = 2 * (squares - within)
        return 1 - ratio(disagreement * (n - 1), expected * (n > 1))

    return measure


def mean_of(measures: Sequence[Measure]) -> Measure:
    """The mean of several measures; undefined where one of them is."""

    def measure(w: np.ndarray) -> np.ndarray:
        out: np.ndarray = np.mean([m(w) for m in measures], axis=0)
        return out

    return measure


def on(measure: Measure, items: np.ndarray) -> Measure:
    """`measure`, made of the items where `items` is True, for weights over all items."""

    def part(w: np.ndarray) -> np.ndarray:
        return measure(w[:, items])

    return part


def spread(measure: Measure, items: np.ndarray) -> Measure:
    """`measure` over all items, for weights of those where `items` is True; the others weigh nothing."""
    if items.all():
        return measure

    def whole(w: np.ndarray) -> np.ndarray:
        out = np.zeros((len(w), len(items)))
        out[:, items] = w
        return measure(out)

    return whole
