"""Near-duplicates, found by MinHash and verified on the texts: each one dropped names a kept text that it equals.

    signatures        texts → band hashes and a sketch (rensa MinHash on character 4-grams of the folded text), pure
                      per shard
    near_duplicates   texts that share a band, and whose sketches are not too far apart, are candidates; of those, two
                      are the same when their sets of 4-grams have a Jaccard index of at least `THRESHOLD` and
                      `facts.differences` finds no other fact

There is no transitive closure: A like B and B like C drops C only when C was compared with what is kept. Texts that
are equal once folded need no guard: folding keeps every fact. A text shorter than a 4-gram equals only its own kind.

In memory stay 8 × WIDTH bytes a text and at most `near_pairs.AT_A_TIME` candidate pairs; the texts are fetched when they are
compared, and pairs that a fact keeps apart are handed over as they are found, for a million texts may have millions of
them. Groups never meet, so they can also be worked on apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from wardround.corpus.facts import Difference, differences
from wardround.corpus.folded import fold_codes
from wardround.corpus.near_pairs import BANDS, mixed, once, pairs_of, sketched
from wardround.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bands = NDArray[np.uint64]
    Indices = NDArray[np.int64]

GRAM = 4
ROWS = 4
WIDTH = BANDS + 2
"""Columns of a signature: the bands, then the lowest two bits of each of the 64 minima."""
THRESHOLD = 0.65
LEAST_ALIKE = 0.15
"""A candidate is left out when its sketch puts it so far below the threshold: two standard errors, about."""
SEED = 20260607
MOST = 24
"""A text is compared with at most so many candidates, those that share most bands with it."""
MOST_BLOCKED = 8
"""After so many candidates that look alike but state other facts, a text is its own."""
_BATCH = 4096
_COMPARED = 1 << 15
"""Pairs whose texts are held at once."""

Guard = Callable[[str, str], tuple[Difference, ...]]


class Blocked(Record, frozen=True, kw_only=True):
    """Two texts that look alike but state different facts: both kept, for a person to review."""

    kept: int
    other: int
    jaccard: float
    differences: tuple[Difference, ...]


class Near(Record, frozen=True, kw_only=True):
    """`dropped`: index → index of the kept text it equals. `candidates`, `verified` (alike by their 4-grams) and `blocked`
    (kept apart by a fact) count pairs; `capped` texts had more candidates than were looked at."""

    dropped: dict[int, int]
    blocked: int
    candidates: int
    verified: int
    capped: int


def signatures(texts: Sequence[str]) -> Bands:
    """Signatures, uint64 [len(texts), WIDTH]; a text without letters or digits has zeros and is never a candidate."""
    import numpy as np

    out = np.zeros((len(texts), WIDTH), np.uint64)
    for start in range(0, len(texts), _BATCH):
        out[start : start + _BATCH] = _signed(texts[start : start + _BATCH])
    return out


def _signed(texts: Sequence[str]) -> Bands:
    import numpy as np
    from rensa import RMinHash

    hashes, offsets = gram_hashes(*fold_codes(texts))
    digests = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, BANDS * ROWS, SEED)
    minima = np.array(digests.to_rows(), np.uint32)
    rows = minima.astype(np.uint64).reshape(len(texts), BANDS, ROWS)
    made = rows[:, :, 0]
    for r in range(1, ROWS):
        made = mixed(made) + rows[:, :, r]
    bits = np.packbits(np.stack([minima & 1, minima >> 1 & 1], axis=1).astype(np.uint8), axis=-1)
    sketch = bits.reshape(len(texts), 16).view(np.uint64)
    out = np.concatenate([mixed(made) | np.uint64(1), sketch], axis=1)
    out[np.diff(offsets) == 0] = 0
    return out


def gram_hashes(codes: NDArray[np.uint32], starts: Indices) -> tuple[NDArray[np.uint64], Indices]:
    """Hashes of the character 4-grams of each folded text (`folded.fold_codes`), one text after the other, and where
    the texts part. A text of one to three characters has one hash, of the whole of it."""
    import numpy as np

    n = len(codes)
    padded = np.concatenate([codes.astype(np.uint64), np.zeros(GRAM, np.uint64)])
    # A code point has 21 bits: three fit a word, the fourth is mixed in.
    low = padded[:n] | padded[1 : n + 1] << np.uint64(21) | padded[2 : n + 2] << np.uint64(42)
    hashes = (low * np.uint64(0x9E3779B97F4A7C15)) ^ (low >> np.uint64(29))
    hashes = (hashes + padded[3 : n + 3]) * np.uint64(0xD6E8FEB86659FD93)
    hashes ^= hashes >> np.uint64(32)
    sizes = np.diff(starts)
    keep = np.ones(n, np.bool_)
    long = np.flatnonzero(sizes >= GRAM)
    for k in range(1, GRAM):
        keep[starts[long + 1] - k] = False
    for i in np.flatnonzero((sizes > 0) & (sizes < GRAM)).tolist():
        start, end = int(starts[i]), int(starts[i + 1])
        keep[start + 1 : end] = False
        whole = codes[start:end].tobytes()
        hashes[start] = int.from_bytes(whole.ljust(12, b"\xff"), "little") % 0xFFFFFFFFFFFFFFC5
    counts = np.where(sizes >= GRAM, sizes - GRAM + 1, np.minimum(sizes, 1))
    offsets = np.zeros(len(sizes) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return hashes[keep], offsets


def near_duplicates(
    bands: Bands,
    groups: Sequence[int] | Indices,
    text_of: Callable[[int], str],
    order: Sequence[int] | Indices | None = None,
    *,
    guard: Guard | None = differences,
    threshold: float = THRESHOLD,
    on_blocked: Callable[[Blocked], object] | None = None,
) -> Near:
    """Which texts equal an earlier one. Only texts of one group are compared; of two, the one with the lower
    `order` (else index) is kept. Without a guard, texts that look alike are the same. `on_blocked` is called with each pair
    that a fact keeps apart, in the order of the later text."""
    import numpy as np

    n = len(bands)
    ranked = np.arange(n) if order is None else np.lexsort((np.arange(n), np.asarray(order)))
    if order is not None:
        bands = bands[ranked]
    finder = _Finder(text_of, guard, threshold, on_blocked)
    candidates = capped = 0
    for earlier, later in pairs_of(bands[:, :BANDS], np.asarray(groups, np.int64)[ranked]):
        alike = sketched(bands[:, BANDS:], earlier, later)
        near = alike >= threshold - LEAST_ALIKE
        earlier, later, alike = earlier[near], later[near], alike[near]
        candidates += len(earlier)
        batches, over = _chosen(ranked, earlier, later, alike)
        capped += over
        for batch in batches:
            finder.go(batch)
    return Near(
        dropped=dict(sorted(finder.dropped.items())),
        blocked=finder.blocked,
        candidates=candidates,
        verified=finder.verified,
        capped=capped,
    )


Batch = list[tuple[int, list[int]]]
"""(later text, its candidates, most alike first), by index."""


def _chosen(
    ranked: Indices, earlier: Indices, later: Indices, alike: NDArray[np.float32]
) -> tuple[Iterator[Batch], int]:
    """Batches of later texts in order, and how many texts have more than MOST candidates."""
    import numpy as np

    starts = (
        np.flatnonzero(np.concatenate([[True], later[1:] != later[:-1]])) if len(later) else later
    )
    ends = np.append(starts[1:], len(later))
    capped = int((ends - starts > MOST).sum())

    taken = np.cumsum(np.minimum(ends - starts, MOST))
    full = np.stack([np.arange(len(starts)) // _BATCH, taken // _COMPARED])
    edges = np.flatnonzero((full[:, 1:] != full[:, :-1]).any(axis=0)) + 1
    cuts = [0, *edges.tolist(), len(starts)] if len(starts) else [0]

    def batches() -> Iterator[Batch]:
        for at, to in pairwise(cuts):
            begin, stop = int(starts[at]), int(ends[to - 1])
            a, b = ranked[earlier[begin:stop]], ranked[later[begin:stop]]
            best = np.lexsort((earlier[begin:stop], -alike[begin:stop], later[begin:stop]))
            left, right = a[best].tolist(), b[best].tolist()
            yield [
                (right[s], left[s : min(e, s + MOST)])
                for s, e in zip(
                    (starts[at:to] - begin).tolist(), (ends[at:to] - begin).tolist(), strict=True
                )
            ]

    return batches(), capped


_HASH_BITS = 44
"""Of a 4-gram's hash, so many bits are compared; the others number the texts of a batch."""
_AT_ONCE = 1 << 21
"""4-grams of so many pairs are compared in one go."""


class _Finder:
    """Goes through the texts in order and decides for each whether it equals a kept one."""

    def __init__(
        self,
        text_of: Callable[[int], str],
        guard: Guard | None,
        threshold: float,
        on_blocked: Callable[[Blocked], object] | None,
    ) -> None:
        self._text_of = text_of
        self._guard = guard
        self._threshold = threshold
        self._texts: dict[int, str] = {}
        self._grams: dict[int, Bands] = {}
        self._folds: dict[int, int] = {}
        self.dropped: dict[int, int] = {}
        self._on_blocked = on_blocked
        self.blocked = 0
        self.verified = 0

    def go(self, batch: Batch) -> None:
        """Decide on the batch's texts. Texts are held for one batch only."""
        self._texts, self._grams, self._folds = {}, {}, {}
        self._fetch(sorted({i for later, earlier in batch for i in (later, *earlier)}))
        measured = iter(self._measured([(e, later) for later, earlier in batch for e in earlier]))
        for later, earlier in batch:
            kept = self._equal(later, dict(zip(earlier, measured, strict=False)))
            if kept is not None:
                self.dropped[later] = kept

    def _fetch(self, wanted: Sequence[int]) -> None:
        """Read texts; keep of each the text, its set of 4-grams as a sorted array, and a hash of its folded form."""
        import numpy as np

        for at in range(0, len(wanted), _BATCH):
            part = wanted[at : at + _BATCH]
            texts = [self._text_of(i) for i in part]
            codes, starts = fold_codes(texts)
            hashes, offsets = gram_hashes(codes, starts)
            rows = np.repeat(np.arange(len(part), dtype=np.uint64), np.diff(offsets))
            grams = once(rows << np.uint64(_HASH_BITS) | hashes >> np.uint64(64 - _HASH_BITS))
            edges = np.searchsorted(
                grams, np.arange(len(part) + 1, dtype=np.uint64) << np.uint64(_HASH_BITS)
            )
            grams &= np.uint64((1 << _HASH_BITS) - 1)
            folded, ends, cuts = codes.tobytes(), (starts * 4).tolist(), edges.tolist()
            for k, i in enumerate(part):
                self._texts[i] = texts[k]
                self._grams[i] = grams[cuts[k] : cuts[k + 1]]
                self._folds[i] = hash(folded[ends[k] : ends[k + 1]])

    def _measured(self, pairs: Sequence[tuple[int, int]]) -> Iterator[float]:
        """The Jaccard index of each pair's sets of 4-grams."""
        part: list[tuple[int, int]] = []
        size = 0
        for a, b in pairs:
            part.append((a, b))
            size += len(self._grams[a]) + len(self._grams[b])
            if size > _AT_ONCE:
                yield from self._jaccard(part)
                part, size = [], 0
        yield from self._jaccard(part)

    def _jaccard(self, pairs: Sequence[tuple[int, int]]) -> list[float]:
        """All pairs' 4-grams in one array, the pair's number before each: what two texts share stands there twice."""
        import numpy as np

        if not pairs:
            return []
        sets = [self._grams[i] for pair in pairs for i in pair]
        sizes = np.array([len(s) for s in sets]).reshape(-1, 2).sum(axis=1)
        rows = np.repeat(np.arange(len(pairs), dtype=np.uint64), sizes)
        keys = np.sort(np.concatenate(sets) | rows << np.uint64(_HASH_BITS))
        twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(_HASH_BITS)
        shared = np.bincount(twice.astype(np.int64), minlength=len(pairs))
        found: list[float] = (shared / np.maximum(sizes - shared, 1)).tolist()
        return found

    def _equal(self, later: int, alike: dict[int, float]) -> int | None:
        """The kept text that `later` equals. For a candidate that was dropped, its kept text is looked at."""
        tried: set[int] = set()
        blocked = 0
        for candidate in alike:
            kept = self.dropped.get(candidate, candidate)
            if kept in tried or blocked >= MOST_BLOCKED:
                continue
            tried.add(kept)
            if kept not in self._grams:
                self._fetch([kept])
            measure = alike[kept] if kept in alike else self._jaccard([(kept, later)])[0]
            if measure < self._threshold:
                continue
            self.verified += 1
            found: tuple[Difference, ...] = ()
            if self._guard and self._folds[kept] != self._folds[later]:
                found = self._guard(self._texts[kept], self._texts[later])
            if not found:
                return kept
            blocked += 1
            self.blocked += 1
            if self._on_blocked is not None:
                jaccard = round(measure, 4)
                self._on_blocked(
                    Blocked(kept=kept, other=later, jaccard=jaccard, differences=found)
                )
        return None
