"""Several data sets in one training: each with a weight, each task with a cap, nothing left out unsaid.

A weight says how often an epoch shows a set: 1 each sample once, 2 each twice, 0.5 half of them, another draw
every epoch. A cap holds a task to a number of samples, drawn once and the same for every seed, since it decides
what the model can know; those left out become `Exclusion`s.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from wardround.artifact import Artifact, InputRef, open_artifact, ref
from wardround.errors import InputError, UsageError
from wardround.records import Exclusion, Record
from wardround.tuning.chats import Chat, read_chats, read_documents, read_file
from wardround.tuning.data import Example

CHATS = {"review": "train.jsonl"}
"""Kinds of artifact beside a dataset that can be learned from → the file of conversations in them."""


class Source(Record, frozen=True, kw_only=True):
    """One thing to learn from: a dataset, an artifact with a file of conversations, or a plain file (`artifact` is
    None)."""

    path: Path
    weight: float
    artifact: Artifact | None

    @property
    def dataset(self) -> Artifact | None:
        """The artifact where it is a dataset."""
        return (
            None if self.artifact is None or self.artifact.manifest.kind in CHATS else self.artifact
        )

    def chats(self) -> list[Chat]:
        """Its conversations. Raises `InputError` naming what can't be read."""
        if self.artifact is None:
            return read_file(self.path)
        if self.dataset is None:
            return read_file(self.artifact.file(CHATS[self.artifact.manifest.kind]))
        return read_chats(self.artifact)


class Portion(Record, frozen=True, kw_only=True):
    """A source's examples in the mixture: those from `start` to before `end`, shown `weight` times an epoch."""

    name: str
    weight: float
    start: int
    end: int


def sources(given: str | Path | Sequence[str | Path]) -> tuple[Source, ...]:
    """What `DATASET` or `DATASET:WEIGHT` arguments name. Raises `UsageError` for a path that isn't there, a
    weight that isn't above 0, or two times the same path."""
    found = tuple(_source(x) for x in ([given] if isinstance(given, str | Path) else given))
    places = Counter(s.path.resolve() for s in found)
    for source in found:
        if places[source.path.resolve()] > 1:
            raise UsageError(f"{source.path}: named twice", hint="give it a weight: PATH:2")
    if not found:
        raise UsageError("nothing to learn from is named", hint="name a dataset")
    return found


def _source(given: str | Path) -> Source:
    path, weight = Path(given), 1.0
    head, colon, tail = str(given).rpartition(":")
    if colon and not path.exists():
        with contextlib.suppress(ValueError):
            path, weight = Path(head), float(tail)
    if not (0 < weight < math.inf):
        raise UsageError(f"{given}: a weight must be above 0", hint="leave the set out instead")
    if path.is_file():
        return Source(path=path, weight=weight, artifact=None)
    found = open_artifact(path)
    if found.manifest.kind not in CHATS:
        found = open_artifact(path, "dataset")
    return Source(path=path, weight=weight, artifact=found)


def refs(found: Iterable[Source], *, seen_from: Path) -> list[InputRef]:
    """The sources as inputs of the checkpoint: artifacts as "dataset", plain files as "source"."""
    return [
        ref(s.path, "source" if s.artifact is None else "dataset", seen_from=seen_from)
        for s in found
    ]


def read(found: Sequence[Source]) -> list[list[Chat]]:
    """The chats of each source. Raises `InputError` for one drawn from what is a test document in any of the
    datasets: a document's id is its content's digest, so the same text is found again under the same id."""
    test = {
        d.id: s.path for s in found if s.dataset for d in read_documents(s.dataset)
        if d.split == "test"
    }  # fmt: skip
    every = []
    for source in found:
        chats = source.chats()
        for chat in chats:
            if chat.document in test:
                raise InputError(
                    f"training sample {chat.id} is made from document {chat.document}, which is held for "
                    f"testing in {test[chat.document]}",
                    path=source.path,
                    hint="build both with the same test side, or leave one out",
                )
        every.append(chats)
    return every


def licences(found: Iterable[Source]) -> list[str]:
    """The licences of what is learned from; a plain file states none."""
    every: list[str] = []
    for s in found:
        if s.dataset is None:
            every.append(f"unstated ({s.path.name})")
        else:
            documents = read_documents(s.dataset)
            every += (d.provenance.licence for d in documents if d.split == "train")
    return every


def parse_caps(text: str) -> dict[str, int]:
    """ "500" or "500,triage=100": samples a task at most; "" stands for every task not named."""
    caps = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        task, _, number = part.rpartition("=")
        if not number.isdecimal() or int(number) < 1 or task in caps:
            raise UsageError(
                f"--cap {text}: {part} can't be read", hint="for example 500,triage=100"
            )
        caps[task] = int(number)
    return caps


def cap_all(
    chats: Sequence[Sequence[Chat]], caps: Mapping[str, int], *, spare: frozenset[str]
) -> tuple[list[list[Chat]], list[Exclusion]]:
    """`cap` over all sources together; chats of the documents in `spare` (held out) neither count nor go."""
    kept, aside = cap([c for mine in chats for c in mine if c.document not in spare], caps)
    ids = {c.id for c in kept}
    return [[c for c in m if c.document in spare or c.id in ids] for m in chats], aside


def cap(chats: Sequence[Chat], caps: Mapping[str, int]) -> tuple[list[Chat], list[Exclusion]]:
    """At most as many chats of each task as `caps` allows, picked by the digest of their ids, in the order they
    came; the others set aside. Raises `UsageError` for a named task that no chat has."""
    kept: set[int] = set()
    by_task: dict[str, list[int]] = {}
    for n, chat in enumerate(chats):
        by_task.setdefault(chat.task, []).append(n)
    for task in caps:
        if task and task not in by_task:
            raise UsageError(
                f"--cap: no sample has the task {task}",
                hint=f"one of: {', '.join(sorted(by_task))}",
            )
    for task, places in by_task.items():
        most = caps.get(task, caps.get("", len(places)))
        kept.update(sorted(places, key=lambda n: _digest(chats[n].id))[:most])
    aside = [
        Exclusion(
            stage="tune", file="", row=0, what=c.id, reason="capped", detail=f"task {c.task}"
        )
        for n, c in enumerate(chats) if n not in kept
    ]  # fmt: skip
    return [c for n, c in enumerate(chats) if n in kept], aside


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def portions(found: Sequence[Source], examples: Sequence[Sequence[Example]]) -> tuple[Portion, ...]:
    """Where each source's examples lie once they are joined in order."""
    parts, start = [], 0
    for source, mine in zip(found, examples, strict=True):
        end = start + len(mine)
        parts.append(Portion(name=source.path.name, weight=source.weight, start=start, end=end))
        start = end
    return tuple(parts)


def shares(parts: Sequence[Portion]) -> dict[str, int]:
    """How many samples an epoch shows of each source."""
    found: Counter[str] = Counter()
    for part in parts:
        found[part.name] += round(part.weight * (part.end - part.start))
    return dict(found)


def shown(parts: Sequence[Portion], seed: int) -> Callable[[int], list[int]]:
    """Which examples (by index, ascending for weight 1) each epoch shows; for `data.batches`."""

    def of_epoch(epoch: int) -> list[int]:
        indices: list[int] = []
        for k, part in enumerate(parts):
            mine = range(part.start, part.end)
            whole = math.floor(part.weight)
            rest = round((part.weight - whole) * len(mine))
            indices += list(mine) * whole
            indices += sorted(random.Random(f"{seed}/{epoch}/{k}").sample(mine, rest))
        return indices

    return of_epoch


def renamed(chats: Sequence[Sequence[Chat]]) -> list[list[Chat]]:
    """The chats with ids that differ over all sources: those of the second on carry their source's number."""
    seen = {c.id for c in chats[0]} if chats else set()
    out = [list(mine) for mine in chats[:1]]
    for n, mine in enumerate(chats[1:], start=2):
        clash = any(c.id in seen for c in mine)
        out.append(
            [msgspec.structs.replace(c, id=f"{n}/{c.id}") for c in mine] if clash else list(mine)
        )
        seen.update(c.id for c in out[-1])
    return out
