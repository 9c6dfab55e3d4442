"""What versions of a test set have in common, whatever is in it: the history, what experts voted, what was done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from wardround.artifact import MANIFEST, Workspace, digest_of
from wardround.benchmarks.disagreements import read_sheet
from wardround.benchmarks.record import RunRecord
from wardround.errors import UsageError
from wardround.records import Record, decode

YES, NO = {"yes", "y", "是", "成立", "1", "true"}, {"no", "n", "否", "不成立", "0", "false"}
UNSURE = {"unsure", "不能确定", "不确定", "?", "？"}
DIVIDED, UNDECIDED = "the experts are divided", "too few experts are sure"


class Version(Record, frozen=True, kw_only=True):
    """One version of a set. `digest` is of its rows, however they are written; `parent` the digest of the one it was
    made from, "" at first. `truths` counts true errors or labels."""

    version: int
    digest: str
    parent: str
    cases: int
    truths: int
    added: int
    withdrawn: int


class Change(Record, frozen=True, kw_only=True):
    """What was done, or why it was not (`done` False): to which case and claim, on how many votes."""

    case: str
    claim: str
    action: str
    done: bool
    yes: int
    no: int
    experts: tuple[str, ...]
    reason: str = ""
    unsure: int = 0


class Vote(Record, frozen=True, kw_only=True):
    """One expert's verdict on a claim, None for one who can't tell, with the rest of the sheet's line."""

    yes: bool | None
    expert: str
    row: dict[str, str]


Rows = dict[str, dict[str, Any]]
"""A set's rows by id."""
Votes = Mapping[tuple[str, str], Sequence[Vote]]
"""Votes by case and claim, one an expert."""


class Kind(Protocol):
    """What a kind of set does its own way; a module."""

    def locate(self, name: str, data: Path | None) -> Path:
        """The file of the set's rows."""
        ...

    def truths(self, row: Mapping[str, Any]) -> int:
        """How many true errors or labels a row has."""
        ...

    def carry_out(self, rows: Rows, votes: Votes) -> Iterable[Change]:
        """Do what the votes decide, in `rows` themselves."""
        ...

    def write(self, ws: Workspace, source: Path, rows: Rows) -> list[str]:
        """Set down what belongs to the rows beside them; the labels every report must show."""
        ...

    def points(
        self, name: str, source: Path, records: Sequence[RunRecord], seed: int
    ) -> Iterable[dict[str, Any]]:
        """Figures of a run's stored answers against this version: `part`, `f1`, `answers`, `missing`, …"""
        ...


def version(kind: Kind, rows: Rows, before: Version | None, done: Sequence[Change] = ()) -> Version:
    """The version that `rows` are, made from `before`."""
    return Version(
        version=1 if before is None else before.version + 1,
        digest=digest_of(list(rows.values())),
        parent="" if before is None else before.digest,
        cases=len(rows),
        truths=sum(map(kind.truths, rows.values())),
        added=sum(c.action == "added" for c in done),
        withdrawn=sum(c.action == "withdrawn" for c in done),
    )


def history(kind: Kind, source: Path, rows: Rows) -> list[Version]:
    """The versions up to the one whose rows lie in `source`; a set without a history is version 1."""
    told = source.parent / "versions.json"
    if (source.parent / MANIFEST).is_file() and told.is_file():
        return decode(told.read_bytes(), list[Version])
    return [version(kind, rows, None)]


def votes(name: str, sheets: Sequence[Path]) -> dict[tuple[str, str], list[Vote]]:
    """Votes on the benchmark's cases; an expert's last word counts, and a sheet without names is one expert."""
    found: dict[tuple[str, str], dict[str, Vote]] = defaultdict(dict)
    for path in sheets:
        for _, row in read_sheet(path):
            verdict = row["verdict"].lower()
            if row["benchmark"] != name or verdict not in YES | NO | UNSURE:
                continue
            expert = row.get("expert") or path.name
            claim = row.get("claim", "").lstrip("'")
            said = None if verdict in UNSURE else verdict in YES
            found[row["case"], claim][expert] = Vote(yes=said, expert=expert, row=row)
    return {key: list(cast.values()) for key, cast in found.items()}


def settled(cast: Sequence[Vote]) -> tuple[bool | None, str]:
    """What more than half of all who voted say, those who can't tell counted among them; None with the reason where
    they don't."""
    yes, no = (sum(v.yes is said for v in cast) for said in (True, False))
    if 2 * max(yes, no) > len(cast):
        return yes > no, ""
    return None, UNDECIDED if yes + no < len(cast) else DIVIDED


def the_row(rows: Rows, case: str) -> dict[str, Any]:
    """A case's row; `UsageError` when the set has none."""
    if case not in rows:
        raise UsageError(
            f"the sheet speaks of case {case}, which the test set does not have",
            hint="give the set that the runs of this list were on",
        )
    return rows[case]


def change(case: str, claim: str, cast: Sequence[Vote], action: str, reason: str) -> Change:
    """What came of the votes on a claim."""
    yes, no = (sum(v.yes is said for v in cast) for said in (True, False))
    return Change(
        case=case, claim=claim, action=action, done=not reason, yes=yes, no=no, unsure=len(cast) - yes - no,
        experts=tuple(sorted(v.expert for v in cast)), reason=reason,
    )  # fmt: skip
