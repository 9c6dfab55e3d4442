"""What is held out: whole documents, chosen so that every task gets its test items.

A document is on one side only, with all that was made of it; documents with the same title, with names of one
disease (`corpus.names`), or with the same main text, go together. Nothing of a held-out document is trained on: what its tasks' quotas don't take is set
aside as `held_out_surplus`. At last, a training sample whose question or (long) reference equals a test
sample's is set aside as `matches_test`, wherever it came from.

The choice is a walk in an order drawn from the seed and the documents' own content: rarest task first, until
each task has its items; a document that would take a task beyond its share (the only sample of one, say) is passed
over. The order spreads evenly over kinds and specialties, so none of them is held out far
beyond its share, and it does not depend on the order of files or rows. At most `share` of the documents,
and of any one task's samples, are held out, so a small source keeps most of itself for training.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby

from wardround.corpus.dialogues import TEST_TURNS
from wardround.corpus.keys import NOTHING, DialogueKey, DocumentKey, SampleKey
from wardround.records import Exclusion, Record

SHARE = 0.4
DIALOGUE = "(dialogue)"
IS_DIALOGUE = f" {DIALOGUE}"
"""Behind a dialogue's id in what is set aside: a sample of the same document has its own."""
_LONG = 30

Group = tuple[int, ...]
"""Numbers of documents that stay together."""


class Split(Record, frozen=True, kw_only=True):
    """Both sides, each sorted by id. `held_out` are the ids of the test side's documents."""

    held_out: frozenset[str]
    train: tuple[SampleKey, ...]
    test: tuple[SampleKey, ...]
    train_dialogues: tuple[DialogueKey, ...]
    test_dialogues: tuple[DialogueKey, ...]
    exclusions: tuple[Exclusion, ...]


def split(
    documents: Sequence[DocumentKey],
    samples: Sequence[SampleKey],
    dialogues: Sequence[DialogueKey],
    *,
    test_per_task: int,
    test_dialogues: int,
    seed: int,
    share: float = SHARE,
) -> Split:
    """Part `samples` and `dialogues` by document. Quotas are upper bounds, reached as far as `share` allows."""
    documents = sorted(documents, key=lambda d: d.id)
    number = {d.id: i for i, d in enumerate(documents)}
    groups = groups_of(documents)
    wanted = _Wanted(
        documents, groups, samples, dialogues, test_per_task, test_dialogues, seed, share
    )
    held_out = frozenset(documents[i].id for i in wanted.choose())
    test, surplus = _take(samples, held_out, test_per_task, seed)
    mine = [d for d in dialogues if d.document in held_out]
    fitting = [d for d in mine if d.turns == TEST_TURNS]
    asked = sorted(fitting, key=lambda d: _rank(seed, d.id))[:test_dialogues]
    taken = {d.id for d in asked}

    def aside(document: str, what: str, reason: str, detail: str) -> Exclusion:
        at = documents[number[document]]
        return Exclusion(
            stage="split", file=at.file, row=at.row, what=what, reason=reason, detail=detail
        )

    exclusions = [aside(s.document, s.id, "held_out_surplus", _SURPLUS) for s in surplus]
    for d in mine:
        if d.turns != TEST_TURNS:
            detail = f"held out, but it has {d.turns} questions; the test format has {TEST_TURNS}"
            exclusions.append(
                aside(d.document, f"{d.id}{IS_DIALOGUE}", "not_three_questions", detail)
            )
        elif d.id not in taken:
            exclusions.append(
                aside(d.document, f"{d.id}{IS_DIALOGUE}", "held_out_surplus", _SURPLUS)
            )
    left = [s for s in samples if s.document not in held_out]
    train, matching = _apart(left, test)
    exclusions += [aside(s.document, s.id, "matches_test", f"equals {m}") for s, m in matching]
    return Split(
        held_out=held_out,
        train=_by_id(train),
        test=_by_id(test),
        train_dialogues=tuple(
            sorted((d for d in dialogues if d.document not in held_out), key=lambda d: d.id)
        ),
        test_dialogues=tuple(sorted(asked, key=lambda d: d.id)),
        exclusions=tuple(sorted(exclusions, key=lambda e: (e.what, e.reason))),
    )


_SURPLUS = "of a held-out document, beyond the test quota; not used for training either"


def _by_id(samples: Iterable[SampleKey]) -> tuple[SampleKey, ...]:
    return tuple(sorted(samples, key=lambda s: s.id))


def _rank(seed: int, name: str) -> str:
    """Where `name` stands in the order drawn by `seed`."""
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def groups_of(documents: Sequence[DocumentKey]) -> list[Group]:
    """Numbers of documents that must stay together: one name in common, or the same main text."""
    parent = list(range(len(documents)))

    def find(x: int) -> int:
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    named = ((d.title, *d.names) for d in documents)
    for digests in (named, ((d.text,) for d in documents)):
        first: dict[int, int] = {}
        for i, of_one in enumerate(digests):
            for digest in of_one:
                if digest != NOTHING:
                    parent[find(i)] = find(first.setdefault(digest, i))
    together = sorted(range(len(documents)), key=find)
    return sorted(tuple(m) for _, m in groupby(together, key=find))


class _Wanted:
    """What each task still needs, and who could give it."""

    def __init__(
        self,
        documents: Sequence[DocumentKey],
        groups: Sequence[Group],
        samples: Iterable[SampleKey],
        dialogues: Iterable[DialogueKey],
        test_per_task: int,
        test_dialogues: int,
        seed: int,
        share: float,
    ) -> None:
        self.documents, self.groups, self.seed = documents, groups, seed
        self.room = int(share * len(documents))
        group_of = {documents[i].id: g for g, group in enumerate(groups) for i in group}
        self.holds: dict[int, Counter[str]] = defaultdict(Counter)
        for s in samples:
            self.holds[group_of[s.document]][s.task] += 1
        for d in dialogues:
            if d.turns == TEST_TURNS:
                self.holds[group_of[d.document]][DIALOGUE] += 1
        self.available: Counter[str] = Counter()
        self.givers: dict[str, list[int]] = defaultdict(list)
        for g in self._order():
            self.available.update(self.holds[g])
            for task in self.holds[g]:
                self.givers[task].append(g)
        self.most = {task: _part(n, share) for task, n in self.available.items()}
        self.wanted = {
            task: min(test_dialogues if task == DIALOGUE else test_per_task, most)
            for task, most in self.most.items()
        }

    def choose(self) -> set[int]:
        """Documents to hold out: rarest task first, groups in the seed's order."""
        held_out: set[int] = set()
        got: Counter[str] = Counter()
        for task in sorted(self.wanted, key=lambda t: (self.available[t], t)):
            for g in self.givers[task]:
                if got[task] >= self.wanted[task]:
                    break
                group = self.groups[g]
                if group[0] in held_out or len(held_out) + len(group) > self.room:
                    continue
                if any(got[t] + n > self.most[t] for t, n in self.holds[g].items()):
                    continue
                held_out.update(group)
                got += self.holds[g]
        return held_out

    def _order(self) -> list[int]:
        """Groups that hold anything, by their place within their stratum (systematic sampling): any first part
        of the order holds about the same share of each kind and specialty. A group counts to the stratum of
        its first document."""
        by_stratum: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for g in self.holds:
            first = self.documents[self.groups[g][0]]
            by_stratum[f"{first.kind} {first.specialty}"].append((_rank(self.seed, first.id), g))
        placed = []
        for stratum, members in by_stratum.items():
            members.sort()
            start = int(_rank(self.seed, stratum)[:8], 16) / 16**8
            placed += [((i + start) / len(members), rank, g) for i, (rank, g) in enumerate(members)]
        return [g for _, _, g in sorted(placed)]


def _part(available: int, share: float) -> int:
    """How many of `available` may be held out: their share, but one as soon as there are two."""
    return max(int(share * available), int(available > 1))


def _take(
    samples: Iterable[SampleKey], held_out: Collection[str], quota: int, seed: int
) -> tuple[list[SampleKey], list[SampleKey]]:
    """Test items of held-out documents up to each task's quota, one of each document before a second; the
    rest as surplus."""
    by_task: dict[str, dict[str, list[SampleKey]]] = defaultdict(lambda: defaultdict(list))
    for s in samples:
        if s.document in held_out:
            by_task[s.task][s.document].append(s)
    taken: list[SampleKey] = []
    surplus: list[SampleKey] = []
    for of_documents in by_task.values():
        ranked: list[tuple[int, str, SampleKey]] = []
        for mine in of_documents.values():
            mine.sort(key=lambda s: _rank(seed, s.id))
            ranked += [(round_, _rank(seed, s.id), s) for round_, s in enumerate(mine)]
        ranked.sort(key=lambda r: r[:2])
        taken += [s for _, _, s in ranked[:quota]]
        surplus += [s for _, _, s in ranked[quota:]]
    return taken, surplus


def _apart(
    samples: Iterable[SampleKey], test: Iterable[SampleKey]
) -> tuple[list[SampleKey], list[tuple[SampleKey, str]]]:
    """Samples that equal no test item, and those that do, with the id of the item."""
    keys: Mapping[tuple[str, int], str] = {k: s.id for s in test for k in _keys(s)}
    apart: list[SampleKey] = []
    matching: list[tuple[SampleKey, str]] = []
    for s in samples:
        found = next((keys[k] for k in _keys(s) if k in keys), None)
        if found is None:
            apart.append(s)
        else:
            matching.append((s, found))
    return apart, matching


def _keys(sample: SampleKey) -> list[tuple[str, int]]:
    """What makes two samples the same: the question, or a reference too long to agree by chance."""
    keys = [("input", sample.asked)]
    return [*keys, ("output", sample.answered)] if sample.length_out >= _LONG else keys
