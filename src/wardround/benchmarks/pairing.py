"""The items of runs, so that the same item of two runs can be found.

Two records are the same item when case, turn, repeat, question and reference are equal. A later turn's question is
the same though the conversation before it differs, so it pairs. Of each record only what figures need is kept, and
what runs have in common is kept once: a comparison of many large runs takes little memory.
"""

from __future__ import annotations

import hashlib
import sys
from collections import defaultdict
from typing import Any

import msgspec

from wardround.artifact import Artifact
from wardround.benchmarks.record import RunRecord
from wardround.errors import ArtifactError
from wardround.records import Record, decode

Item = tuple[str, int, int, bytes]


class Judged(Record, frozen=True, kw_only=True, gc=False):
    """One record of a run; `value` is None where it was not scored, `task` may be a benchmark's own category."""

    item: Item
    task: str
    cluster: str
    value: float | None


def judged(run: Artifact, known: dict[Item, Item] | None = None) -> dict[str, list[Judged]]:
    """The run's records by benchmark. Runs that are given the same `known` share their items."""
    known = {} if known is None else known
    path = run.file("records.jsonl")
    found: dict[str, list[Judged]] = defaultdict(list)
    with open(path, "rb") as f:
        for number, line in enumerate(f, start=1):
            try:
                record = decode(line, RunRecord)
            except msgspec.DecodeError as e:
                raise ArtifactError(f"{path}, line {number}: {e}") from e
            found[record.benchmark].append(_light(record, known))
    return dict(found)


def _light(r: RunRecord, known: dict[Item, Item]) -> Judged:
    asked = hashlib.sha256(f"{r.question}\0{r.reference}".encode()).digest()[:16]
    item = (r.case, r.turn, r.repeat, asked)
    return Judged(
        item=known.setdefault(item, item),
        task=sys.intern(r.task or r.category),
        cluster=sys.intern(r.cluster),
        value=r.score.value,
    )


def summary_of(run: Artifact) -> dict[str, Any]:
    """The run's `summary.json`."""
    return decode(run.file("summary.json").read_bytes(), dict[str, Any])
