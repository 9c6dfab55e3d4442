"""Builds for the tests, read back, and the law that nothing vanishes."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from tests.corpus.made import case, entry, write
from wardround.artifact import Artifact
from wardround.corpus.compose import of_document
from wardround.corpus.dialogues import DOCTOR_ASKS, dialogue_of
from wardround.corpus.options import BuildOptions, tasks_of
from wardround.corpus.recipes import load
from wardround.corpus.split import IS_DIALOGUE
from wardround.records import Dialogue, Document, Exclusion, Sample, decode

NAMES = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳"


def quick(**changes: Any) -> BuildOptions:
    """Options with small test quotas."""
    return BuildOptions(**{"test_per_task": 2, "test_dialogues": 2} | changes)


def sources(folder: Path, entries: int = 10, cases: int = 6) -> list[Path]:
    folder.mkdir(exist_ok=True)
    rows = [entry(f"{c}病") for c in NAMES[:entries]]
    return [
        write(folder / "book.jsonl", [*rows, {"name": ""}, rows[0]], "gb18030"),
        write(folder / "cases.json", [case(n) for n in range(1, cases + 1)]),
    ]


def lines(artifact: Artifact, name: str, kind: type) -> list[Any]:
    return [decode(line, kind) for line in artifact.file(name).read_bytes().splitlines()]


def train_of(artifact: Artifact) -> list[Sample]:
    rows = pq.read_table(artifact.file("train.parquet")).to_pylist()
    return [msgspec.convert(r, Sample) for r in rows]


def coverage_of(artifact: Artifact) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(artifact.file("coverage.json").read_text(encoding="utf-8"))
    return found


def accounted(made: Artifact) -> None:
    """Every row, document, sample and dialogue is kept or set aside with a reason, once."""
    excluded = lines(made, "excluded.jsonl", Exclusion)
    documents = lines(made, "documents.jsonl", Document)
    assert all(e.reason and e.stage for e in excluded)
    found = coverage_of(made)
    at = {(d.provenance.file, d.provenance.row) for d in documents}
    at |= {(e.file, e.row) for e in excluded if e.stage == "read"}
    for source in found["sources"]:
        assert source["rows"] == sum(file == source["file"] for file, _ in at)
    # The samples as the documents give them, each in one place.
    options, rules = BuildOptions(), load()
    composed = [
        s.id for d in documents for s in of_document(d, rules, tasks_of(()), options.limits).samples
    ]
    test = lines(made, "doctorflan_test.jsonl", Sample)
    places = Counter(s.id for s in [*train_of(made), *test])
    aside = [e for e in excluded if not e.what.endswith(IS_DIALOGUE)]
    known = set(composed)
    places.update(e.what for e in aside if e.what in known)
    assert places == Counter(composed)
    talks = Counter(d.id for d in lines(made, "train_dialogues.jsonl", Dialogue))
    talks.update(row["id"] for row in lines(made, "dotabench.jsonl", dict))
    talks.update(e.what.removesuffix(IS_DIALOGUE) for e in excluded if e.what.endswith(IS_DIALOGUE))
    assert talks == Counter(dialogue_of(d).id for d in documents if d.kind in DOCTOR_ASKS)
    # From the composed samples on, the reasons of each step come to what it took.
    steps = found["funnel"]
    n = {s["step"]: s["n"] for s in steps}
    assert n["samples"] == len(composed)
    assert n["kept"] == len(train_of(made)) + len(test)
    later = steps[[s["step"] for s in steps].index("samples") :]
    for before, after in pairwise(later):
        assert before["n"] - after["n"] == sum(after["reasons"].values()), after["step"]
