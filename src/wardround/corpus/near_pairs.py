"""Which texts of a collection may be alike: those that share a band of their MinHash signatures.

Each band is sorted, which puts equal ones side by side. Memory holds the signatures and at most `AT_A_TIME` pairs: a
collection of texts that are all alike has up to two hundred pairs a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bands = NDArray[np.uint64]
    Indices = NDArray[np.int64]

BANDS = 16
WINDOW = 6
"""In a band that more texts share, each is paired with so many neighbours of those most like it."""
_MANY = 1 << 22
"""Pairs gathered before those found twice are struck out."""
AT_A_TIME = 1 << 23
"""Where texts have more candidate pairs than so many, the texts are gone through part by part."""


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection that spreads every bit (the finaliser of splitmix64)."""
    import numpy as np

    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Bands = x ^ (x >> np.uint64(31))
    return mixed


def once(values: NDArray[Any]) -> NDArray[Any]:
    """Sorted, each value once: by sorting, which for 64-bit numbers beats numpy's hash table twentyfold."""
    import numpy as np

    values.sort()
    first = np.ones(len(values), np.bool_)
    first[1:] = values[1:] != values[:-1]
    return np.asarray(values[first])


def pairs_of(bands: Bands, groups: Indices) -> Iterator[tuple[Indices, Indices]]:
    """Pairs (earlier, later) that share a band within a group, each once, sorted by the later one: all at once, or as
    many of the later ones at a time as fit."""
    import numpy as np

    salt = mixed(groups.astype(np.uint64) + np.uint64(1))
    usable = np.flatnonzero(bands.any(axis=1))
    salted = mixed(bands[usable] ^ salt[usable, None])
    n = len(bands)
    parts = [(0, n)]
    while parts:
        start, end = parts.pop()
        found = _within(salted, usable, start, end, n)
        if found is None:
            half = (start + end) // 2
            parts += [(half, end), (start, half)]
        else:
            yield found % max(n, 1), found // max(n, 1)


def _within(salted: Bands, usable: Indices, start: int, end: int, n: int) -> Indices | None:
    """The pairs whose later one is from `start` to `end`, as later × n + earlier; None when they are too many."""
    import numpy as np

    whole = (start, end) == (0, n)
    found: list[Indices] = []
    for band in range(BANDS):
        for a, b in _together(salted[:, band], salted[:, (band + 1) % BANDS]):
            low, high = np.minimum(usable[a], usable[b]), np.maximum(usable[a], usable[b])
            pair = high * n + low
            found.append(pair if whole else pair[(high >= start) & (high < end)])
        if band == BANDS - 1 or sum(map(len, found)) > _MANY:
            found = [once(np.concatenate(found))]
            if len(found[0]) > AT_A_TIME and end - start > 1:
                return None
    return found[0]


def sketched(sketches: Bands, a: Indices, b: Indices) -> NDArray[np.float32]:
    """The Jaccard index of each pair as its sketches put it: two bits agree by chance once in four."""
    import numpy as np

    out = np.zeros(len(a), np.float32)
    for at in range(0, len(a), 1 << 20):
        differing = sketches[a[at : at + (1 << 20)]] ^ sketches[b[at : at + (1 << 20)]]
        agree = 64 - np.bitwise_count(differing[:, 0] | differing[:, 1]).astype(np.float32)
        out[at : at + (1 << 20)] = (agree / 64 - 0.25) / 0.75
    return out


def _together(key: Bands, second: Bands) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of equal `key`: all of a small run; of a large one, neighbours in the order of `second`, and each with
    the run's first."""
    import numpy as np

    order = np.argsort(key, kind="stable")
    run = key[order]
    for step in range(1, WINDOW + 1):
        same = np.flatnonzero(run[step:] == run[:-step])
        yield order[same], order[same + step]
    starts = np.flatnonzero(np.concatenate([[True], run[1:] != run[:-1]]))
    sizes = np.diff(np.append(starts, len(run)))
    large = np.repeat(sizes > WINDOW + 1, sizes)
    if not large.any():
        return
    first = order[np.repeat(starts, sizes)[large]]
    members = order[large]
    yield first[first != members], members[first != members]
    near = members[np.lexsort((members, second[members], key[members]))]
    for step in range(1, WINDOW + 1):
        same = np.flatnonzero(key[near[step:]] == key[near[:-step]])
        yield near[same], near[same + step]
