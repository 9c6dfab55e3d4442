"""Decontamination: training text that holds an item of a held-out set, found before anything is trained on it.

    options         most of a choice question's options stand in the text, in any order        drop
    coverage        question and options are covered by the text's 8-grams                     drop
    near_duplicate  a question or a dialogue's turn is; at any length, when it is the very     drop
                    question asked, or a turn with the answer it has there
    reference       the reference answer is                                                    drop
    rare_ngrams     a smaller part is, of 8-grams that few items share                         review

Only 8-grams that at most a few items share count: a test set's own instructions and turns of phrase ("下列关于…错误的
是") say nothing. Any one shared n-gram is no evidence either (it flags half of all clean text); shares of an item are.
What is said again in other words is not found here: that takes an embedding or a model.

In memory are the items' 8-grams (12 bytes each), options and questions; texts pass through in batches.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from wardround.corpus.finder import Finder
from wardround.corpus.folded import fold, fold_codes
from wardround.corpus.held_items import Item, Unread, read_items
from wardround.corpus.held_questions import Questions
from wardround.records import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAM = 8
SHARED_BY = 8
"""An 8-gram in more items than this (or one item in a hundred, if that is more) is a turn of phrase."""
FEWEST = 12
"""A part with fewer 8-grams of its own is too short to be told by its share."""
COVERED = 0.5
REVIEWED = 0.2
OPTIONS_SHARE = 0.6
OPTION_CHARACTERS = 24
"""Options found that come to fewer characters than this need the question's support."""
SUPPORT = 0.3
LONG_REFERENCE = 60
"""A shorter reference ("无传染性", a department with its reason) is no item's own."""
_CLAUSES = re.compile(r"(?<=[\n。！？!?，,；;])")
_ASKING = ("请问", "问一下", "想问", "知道", "了解", "咨询")
"""Ahead of a question that is the text's own."""
SHOWN = 50
"""Unreadable rows named on the terminal."""
_BATCH = 2048
_BLOCK = 1 << 16
_HASH_BITS = 44

Rule = Literal["options", "coverage", "near_duplicate", "reference", "rare_ngrams"]
RULES: tuple[Rule, ...] = ("options", "coverage", "near_duplicate", "reference", "rare_ngrams")


class Hit(Record, frozen=True, kw_only=True):
    """A held-out item in a text: by which rule, and the share of it that was found (0 to 1)."""

    item: str
    file: str
    rule: Rule
    measure: float
    action: Literal["drop", "review"]


def load(paths: Sequence[Path]) -> HeldOut:
    """Everything in the held-out files (or datasets' test files), with the rows that could not be read. Raises naming
    the file that cannot be read at all."""
    unread: list[Unread] = []
    items = [item for path in paths for item in read_items(Path(path), unread.append)]
    return HeldOut(items, unread=unread)


def of_items(items: Iterable[Item], ordinary: Sequence[str] = ()) -> HeldOut:
    """A held-out set from items in hand: a build's own test side. `ordinary` are texts of the same making: what many
    of them share is a turn of phrase, which a few items alone could not tell."""
    return HeldOut(list(items), ordinary)


class HeldOut:
    """The items, ready to be looked for. Pickles, so that every process can have it."""

    def __init__(
        self, items: Sequence[Item], ordinary: Sequence[str] = (), unread: Sequence[Unread] = ()
    ) -> None:
        self.items = tuple(items)
        self.unread = tuple(unread)
        counted = Counter(i.file for i in items)
        self.sets: tuple[tuple[str, int], ...] = tuple(sorted(counted.items()))
        self._parts = [(k, rule) for k, i in enumerate(items) for rule, _ in _parts(i)]
        self._index([t for i in items for _, t in _parts(i)], _phrases(ordinary))
        self._short = {
            f: k
            for k, i in enumerate(items)
            if not i.options and 6 <= len(f := fold(i.question)) < 3 * GRAM
        }
        self._questions = Questions(items)
        self._options = [frozenset(f for o in i.options if len(f := fold(o)) > 1) for i in items]
        self._offered = _offered(self._options)
        self._words = Finder([*self._offered, *self._short])

    def _index(self, texts: Sequence[str], phrases: NDArray[np.uint64]) -> None:
        """8-grams sorted by hash with the part each stands in, those that many items share left out; and how many each part
        has of its own."""
        import numpy as np

        hashes, rows = _grams(texts)
        stories = _stories(self.items)
        owners = np.array([stories[k] for k, _ in self._parts], np.int64)
        order = np.lexsort((owners[rows], hashes)) if len(hashes) else np.zeros(0, np.int64)
        hashes, rows = hashes[order], rows[order]
        first = _changes(hashes)
        new_owner = first | _changes(owners[rows]) if len(rows) else first
        group = np.cumsum(first) - 1
        shared = np.bincount(group, weights=new_owner) if len(rows) else np.zeros(0)
        keep = shared[group] <= max(SHARED_BY, len(self.items) // 100) if len(rows) else first
        keep &= ~np.isin(hashes, phrases)
        self._hashes, self._rows = hashes[keep], rows[keep].astype(np.int32)
        self._weights = (
            (1.0 / shared[group][keep]).astype(np.float32) if len(rows) else np.zeros(0, np.float32)
        )
        self._sizes = np.bincount(self._rows, minlength=len(texts))
        self._weighed = np.bincount(self._rows, weights=self._weights, minlength=len(texts))

    def check(self, texts: Sequence[str]) -> list[Hit | None]:
        """For each text the gravest hit, or None. Pass all that is trained on: the input and the output."""
        out: list[Hit | None] = []
        for at in range(0, len(texts), _BATCH):
            out += self._checked(texts[at : at + _BATCH])
        return out

    def _checked(self, texts: Sequence[str]) -> list[Hit | None]:
        # Folded clause by clause, which comes to the same as the whole and tells where lines and clauses begin.
        clauses = [_CLAUSES.split(t) for t in texts]
        codes, starts = fold_codes([c for of_one in clauses for c in of_one])
        shares = self._shares(texts)
        found: list[Hit | None] = []
        written, places = codes.tobytes(), starts.tolist()
        at = 0
        for k, mine in enumerate(clauses):
            edges = [p - places[at] for p in places[at : at + len(mine) + 1]]
            whole = written[4 * places[at] : 4 * places[at + len(mine)]]
            folded = whole.decode("utf-32-le", "surrogatepass")
            at += len(mine)
            share = shares.get(k, {})
            hits = [
                *self._by_options(folded, share),
                *self._by_share(share),
                *self._by_question(folded, mine, edges),
                *self._by_short(folded, edges),
            ]
            found.append(min(hits, key=_gravity, default=None))
        return found

    def _shares(self, texts: Sequence[str]) -> dict[int, dict[int, tuple[float, float]]]:
        """Text → part → (share of its own 8-grams found, the same weighed by rarity)."""
        import numpy as np

        hashes, rows = _grams(texts)
        if not len(self._hashes) or not len(hashes):
            return {}
        left = np.searchsorted(self._hashes, hashes, "left")
        known = self._hashes[np.minimum(left, len(self._hashes) - 1)] == hashes
        left, rows, hashes = left[known], rows[known], hashes[known]
        many = np.searchsorted(self._hashes, hashes, "right") - left
        at = np.repeat(left, many) + _counting(many)
        # A text that repeats a gram finds it once.
        pair = np.repeat(rows, many) * len(self._hashes) + at
        pair.sort()
        pair = pair[_changes(pair)]
        at = pair % len(self._hashes)
        key = pair // len(self._hashes) * len(self._parts) + self._rows[at]
        order = np.argsort(key)
        key, at = key[order], at[order]
        first = _changes(key)
        group = np.cumsum(first) - 1
        keys, counts = key[first], np.bincount(group)
        weights = np.bincount(group, weights=self._weights[at])
        out: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
        part = keys % len(self._parts)
        share, weighed = counts / self._sizes[part], weights / self._weighed[part]
        for t, p, s, w in zip(
            (keys // len(self._parts)).tolist(),
            part.tolist(),
            share.tolist(),
            weighed.tolist(),
            strict=True,
        ):
            out[t][p] = (s, w)
        return out

    def _by_share(self, shares: dict[int, tuple[float, float]]) -> Iterable[Hit]:
        for part, (share, weighed) in shares.items():
            k, rule = self._parts[part]
            if self._sizes[part] < FEWEST:
                continue
            if share >= COVERED:
                yield self._hit(k, rule, share, "drop")
            elif weighed >= REVIEWED and share * self._sizes[part] >= FEWEST:
                yield self._hit(k, "rare_ngrams", weighed, "review")

    def _by_options(self, folded: str, shares: dict[int, tuple[float, float]]) -> Iterable[Hit]:
        if not self._offered:
            return
        met: dict[int, set[str]] = defaultdict(set)
        for option in {self._words.words[which] for which, _, _ in self._words.find(folded)}:
            for k in self._offered.get(option, ()):
                met[k].add(option)
        support = {self._parts[p][0]: s for p, (s, _) in shares.items()}
        for k, options in met.items():
            share = len(options) / len(self._options[k])
            if (
                len(options) < min(3, len(self._options[k]))
                or len(options) < 2
                or share < OPTIONS_SHARE
            ):
                continue
            long = sum(map(len, options)) >= OPTION_CHARACTERS and len(options) > 2
            if long or support.get(k, 0.0) >= SUPPORT:
                yield self._hit(k, "options", share, "drop")

    def _by_question(
        self, folded: str, clauses: Sequence[str], edges: Sequence[int]
    ) -> Iterable[Hit]:
        for k in self._questions.asked_in(folded, clauses, edges):
            yield self._hit(k, "near_duplicate", 1.0, "drop")

    def _by_short(self, folded: str, edges: Sequence[int]) -> Iterable[Hit]:
        """A question of few characters is the text's own when it makes up half of it, else one to look at near its
        beginning; where other words run into it (小儿|感冒有哪些症状) it is another question."""
        if not self._short:
            return
        for which, at, _ in self._words.find(folded):
            word = self._words.words[which]
            k = self._short.get(word)
            if k is None or not (at in edges or folded.endswith(_ASKING, 0, at)):
                continue
            if 2 * len(word) >= len(folded):
                yield self._hit(k, "near_duplicate", 1.0, "drop")
            elif at < 3 * GRAM:
                yield self._hit(k, "near_duplicate", 1.0, "review")

    def _hit(self, k: int, rule: Rule, measure: float, action: Literal["drop", "review"]) -> Hit:
        item = self.items[k]
        return Hit(
            item=item.id, file=item.file, rule=rule, measure=round(measure, 4), action=action
        )


def _gravity(hit: Hit) -> tuple[bool, int, float, str, str]:
    return hit.action != "drop", RULES.index(hit.rule), -hit.measure, hit.file, hit.item


def _parts(item: Item) -> list[tuple[Rule, str]]:
    """What of an item is looked for apart."""
    if item.options:
        asked: list[tuple[Rule, str]] = [("coverage", "\n".join([item.question, *item.options]))]
    else:
        asked = [("near_duplicate", t) for t in (item.question, *item.turns)]
    long = len(item.reference) >= LONG_REFERENCE
    return [*asked, ("reference", item.reference)] if long else asked


def _grams(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes (44 bits) of each folded text's 8-grams, each once, and the text each stands in."""
    import numpy as np

    hashes, rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for at in range(0, len(texts), _BLOCK):
        keys = _keys(texts[at : at + _BLOCK])
        keys.sort()
        keys = keys[_changes(keys)]
        hashes.append(keys & np.uint64((1 << _HASH_BITS) - 1))
        rows.append((keys >> np.uint64(_HASH_BITS)).astype(np.int64) + at)
    return np.concatenate(hashes), np.concatenate(rows)


def _keys(texts: Sequence[str]) -> NDArray[np.uint64]:
    """The text's number, then the hash, of every 8-gram: one number, since numbers are quickly sorted."""
    import numpy as np

    codes, starts = fold_codes(texts)
    n = len(codes) - GRAM + 1
    if n < 1:
        return np.zeros(0, np.uint64)
    wide = codes.astype(np.uint64)
    hashes = np.zeros(n, np.uint64)
    for k in range(GRAM):
        hashes = (hashes ^ wide[k : k + n]) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    rows = np.repeat(np.arange(len(texts), dtype=np.uint64), np.diff(starts))
    inside = rows[:n] == rows[GRAM - 1 :]
    number, hashed = rows[:n][inside] << np.uint64(_HASH_BITS), hashes[inside]
    return np.asarray(number | hashed >> np.uint64(64 - _HASH_BITS))


def _stories(items: Sequence[Item]) -> list[int]:
    """For each item the first one that tells the same case: one case asked for many tasks is no turn of phrase.

    The case is the longest line of a question; a choice question stands alone, since stems are everybody's."""
    first: dict[str, int] = {}
    return [
        k if i.options else first.setdefault(fold(max(i.question.split("\n"), key=len)), k)
        for k, i in enumerate(items)
    ]


def _phrases(texts: Sequence[str]) -> NDArray[np.uint64]:
    """8-grams that more than a few of these texts share."""
    import numpy as np

    if not texts:
        return np.zeros(0, np.uint64)
    hashes, counts = np.unique(_grams(texts)[0], return_counts=True)
    return hashes[counts > max(SHARED_BY, len(texts) // 100)]


def _changes(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; True at the start."""
    import numpy as np

    out = np.ones(len(values), np.bool_)
    out[1:] = values[1:] != values[:-1]
    return out


def _counting(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, … for each count, one after the other."""
    import numpy as np

    ends = np.cumsum(counts)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)


def _offered(options: Sequence[frozenset[str]]) -> dict[str, tuple[int, ...]]:
    """Option → the items that offer it; options that many items share ("以上都是", "发热") left out."""
    items: dict[str, list[int]] = defaultdict(list)
    for k, listed in enumerate(options):
        for option in listed:
            items[option].append(k)
    most = max(SHARED_BY, len(options) // 100)
    return {o: tuple(ks) for o, ks in sorted(items.items()) if len(ks) <= most}


def contamination(held: HeldOut, hits: Iterable[Hit], own_test: int = 0) -> dict[str, Any]:
    """What was found, for the report: per set its items and how many samples it cost, per rule how many, and the rows
    that could not be read. These are told on the terminal too, for nothing was kept away from what they hold."""
    dropped, reviewed, rules = Counter[str](), Counter[str](), Counter[str]()
    for hit in hits:
        (dropped if hit.action == "drop" else reviewed)[hit.file] += 1
        rules[hit.rule] += 1
    _tell(held.unread)
    return {
        "sets": [
            {"file": file, "items": n, "dropped": dropped[file], "review": reviewed[file]}
            for file, n in held.sets
        ],
        "rules": {rule: rules[rule] for rule in RULES},
        "own_test": own_test,
        "unread": msgspec.to_builtins(list(held.unread)),
    }


def _tell(unread: Sequence[Unread]) -> None:
    if not unread:
        return
    said = [
        f"held-out: {len(unread)} rows could not be read, so training was NOT held against them; "
        "mend the file and build anew (all are in contamination.json)"
    ]
    said += [f"  {u.file}, row {u.row}: {u.reason}" for u in unread[:SHOWN]]
    said += [f"  … {len(unread) - SHOWN} more"] * (len(unread) > SHOWN)
    print("\n".join(said), file=sys.stderr, flush=True)
