"""A run's records, and the small table type in which a benchmark gives figures of its own.

Only scored values enter a mean; intervals are bootstrapped over clusters (a case with its turns and repeats,
or a group of cases that are one question in several guises).
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal

import msgspec

from wardround.metrics.bootstrap import Estimate, mean_by_cluster
from wardround.records import Record, Score

Status = Literal["scored", "unscored", "failed"]


class RunRecord(Record, frozen=True, kw_only=True, gc=False):
    """One line of `records.jsonl`: what was asked at one turn, what came back, how it was judged.

    `length` counts the answer's characters. No record can be part of a cycle, so none is looked at for them.
    """

    benchmark: str
    case: str
    turn: int
    repeat: int
    task: str
    category: str
    specialty: str
    group: str = ""
    question: str
    reference: str
    status: Literal["ok", "failed"]
    answer: str | None
    length: int | None = None
    reason: str
    finish_reason: str
    tokens_in: int | None
    tokens_out: int | None
    judges: dict[str, Score]
    score: Score

    def order(self) -> tuple[str, str, int, int]:
        """Sort key: benchmark, case, repeat, turn."""
        return (self.benchmark, self.case, self.repeat, self.turn)

    @property
    def unit(self) -> str:
        """What is resampled as one, within a benchmark: the case, or the group it belongs to."""
        return self.group or self.case

    @property
    def cluster(self) -> str:
        """What is resampled as one, whatever the benchmark."""
        return f"{self.benchmark}/{self.unit}"


class _Line(Record, frozen=True, kw_only=True):
    """What figures need of a line; the answer unread, for all that counts is whether there is one."""

    benchmark: str
    case: str
    turn: int
    repeat: int
    task: str
    category: str
    specialty: str
    group: str = ""
    status: Literal["ok", "failed"]
    answer: msgspec.Raw
    length: int | None = None
    reason: str
    finish_reason: str
    judges: dict[str, Score]
    score: Score


_lines = msgspec.json.Decoder(_Line)


def read_light(line: bytes) -> RunRecord:
    """A line of `records.jsonl` for figures: question, reference, answer and explanations are empty, tokens not told.

    Figures need none of them (what a benchmark's tables need is in `Score.detail`, an answer's length in
    `length`), and so ten thousand records take a few megabytes.
    """
    found = _lines.decode(line)
    return RunRecord(
        benchmark=sys.intern(found.benchmark),
        case=found.case,
        turn=found.turn,
        repeat=found.repeat,
        task=sys.intern(found.task),
        category=sys.intern(found.category),
        specialty=sys.intern(found.specialty),
        group=found.group,
        question="",
        reference="",
        status=found.status,
        answer=None if bytes(found.answer) == b"null" else "",
        length=found.length,
        reason=sys.intern(found.reason),
        finish_reason=sys.intern(found.finish_reason),
        tokens_in=None,
        tokens_out=None,
        judges=_light_judges(found.judges),
        score=_light(found.score),
    )


def _light(score: Score) -> Score:
    if score.detail:
        return msgspec.structs.replace(score, reason=sys.intern(score.reason), explanation="")
    return _plain(score.status, score.value, score.reason)


def _light_judges(judges: dict[str, Score]) -> dict[str, Score]:
    if any(score.detail for score in judges.values()):
        return {sys.intern(name): _light(score) for name, score in judges.items()}
    return _plain_judges(tuple((n, s.status, s.value, s.reason) for n, s in judges.items()))


@lru_cache(maxsize=4096)
def _plain(status: Status, value: float | None, reason: str) -> Score:
    """One for all equal scores: most runs have few different ones."""
    return Score(status=status, value=value, reason=reason)


@lru_cache(maxsize=4096)
def _plain_judges(scores: tuple[tuple[str, Status, float | None, str], ...]) -> dict[str, Score]:
    return {name: _plain(status, value, reason) for name, status, value, reason in scores}


def counts(records: Iterable[RunRecord]) -> dict[str, int]:
    """How many records are scored, unscored, failed."""
    found = Counter(r.score.status for r in records)
    return {k: found[k] for k in ("scored", "unscored", "failed")}


def estimate(records: Iterable[RunRecord], seed: int) -> Estimate:
    """Mean score, in one benchmark, with its interval over cases."""
    return mean_by_cluster(
        ((r.unit, r.score.value) for r in records if r.score.value is not None), seed=seed
    )


def clipped(found: Estimate, scale: tuple[float, float]) -> Estimate:
    """The estimate held within `scale`: single scores may lie outside it, headline means never do."""
    low, high = scale
    mean, bottom, top = (
        None if v is None else min(max(v, low), high) for v in (found.mean, found.low, found.high)
    )
    return Estimate(mean=mean, low=bottom, high=top, n=found.n, clusters=found.clusters)


def group(
    records: Iterable[RunRecord], key: Callable[[RunRecord], str]
) -> dict[str, list[RunRecord]]:
    """Records by `key`, records whose key is empty left out."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for r in records:
        if key(r):
            groups[key(r)].append(r)
    return dict(groups)


class Column(Record, frozen=True, kw_only=True):
    """A table's column: its key in the rows, its names, and what its cells hold.

    "text" and "count" as they are, "number" two decimals, "share" a part of 1, "estimate" an `Estimate`.
    """

    key: str
    zh: str
    en: str
    kind: Literal["text", "count", "number", "share", "estimate"] = "text"


class Table(Record, frozen=True, kw_only=True):
    """Figures only one benchmark has, for `summary.json` and every report. `note_*` say what they mean."""

    id: str
    zh: str
    en: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    note_zh: str = ""
    note_en: str = ""
