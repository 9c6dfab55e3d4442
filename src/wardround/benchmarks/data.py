"""Reading test sets: rows of JSONL, JSON or Parquet, whatever the benchmark.

A row that cannot be read stops the load with its number: a test set is never silently shortened.
"""

from __future__ import annotations

from pathlib import Path

from wardround.artifact import MANIFEST, UNSEALED, open_artifact
from wardround.benchmarks import Benchmark, hub
from wardround.errors import UsageError
from wardround.records import Case, Exclusion
from wardround.rows import ITEMS as ITEMS
from wardround.rows import STARTER as STARTER
from wardround.rows import read_rows as read_rows
from wardround.rows import starter_label as starter_label
from wardround.rows import text_of as text_of

PICTURES, TESTSET = "images", "testset"
"""Kinds of artifact beside a dataset that hold test sets: one of pictures, and a later version of a set."""


def locate(data: Path | None, file: str, shipped: str = "", *, folders: bool = False) -> Path:
    """The test file: `data` itself, `file` inside it when it is a dataset artifact (which must be sealed), or the
    test split of the hub's dataset of that id; without `data`, the benchmark's own starter items.

    `folders`: a plain folder without `file` is the test set itself.
    """
    if data is None:
        if not (ITEMS / (shipped or file)).is_file():
            raise UsageError(
                f"no {file} comes with the package", hint="give the test set with --data"
            )
        return ITEMS / (shipped or file)
    if hub.is_id(data):
        return hub.fetch(str(data))
    if not data.exists():
        raise UsageError(f"{data}: no such file or directory", hint="check --data")
    if data.is_file():
        return data
    if (data / MANIFEST).exists() or (data / UNSEALED).exists():
        found = open_artifact(data)
        if found.manifest.kind not in (PICTURES, TESTSET):
            found = open_artifact(data, "dataset")
        return found.file(file)
    if (data / file).is_file():
        return data / file
    if folders:
        return data
    raise UsageError(f"{data}: no {file} in it", hint="give the test file itself with --data")


def file_of(bench: Benchmark, data: Path | None) -> Path:
    """The test file of `bench` in `data` (see `locate`); without it the items shipped, or drawn (`starter`), for it."""
    draw = getattr(bench, "starter", None)
    if data is None and draw is not None:
        drawn: Path = draw()
        return drawn
    return locate(data, bench.file, bench.shipped, folders=getattr(bench, "folders", False))


def duplicate_ids(cases: list[Case], path: Path) -> list[Exclusion]:
    """Make ids unique: a later case with a taken id gets "#n" appended, and is noted.

    Two items under one key would share one journalled answer.
    """
    seen: dict[str, int] = {}
    notes = []
    for i, case in enumerate(cases):
        seen[case.id] = seen.get(case.id, 0) + 1
        if seen[case.id] == 1:
            continue
        new = f"{case.id}#{seen[case.id]}"
        notes.append(
            Exclusion(
                stage="note", file=path.name, row=i + 1, what=case.id,
                reason="id_renamed", detail=f"id already taken; asked as {new}",
            )
        )  # fmt: skip
        cases[i] = Case(**{**{f: getattr(case, f) for f in case.__struct_fields__}, "id": new})
    return notes
