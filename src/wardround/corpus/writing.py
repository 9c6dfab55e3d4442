"""The files of a dataset artifact, from what was chosen. Texts pass from the stores to the files one by one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Workspace, write_atomically
from wardround.corpus import export, readback
from wardround.corpus.card import card
from wardround.corpus.coverage import coverage
from wardround.corpus.croissant import NAME, croissant
from wardround.corpus.dialogues import dotabench_row
from wardround.corpus.gather import Gathered
from wardround.corpus.making import Sources
from wardround.corpus.options import BuildOptions
from wardround.corpus.refine import Refined, passage
from wardround.corpus.steps import Chosen
from wardround.corpus.store import Store
from wardround.records import Dialogue, Document, Sample

SHOWN = 12
"""Refined samples shown before and after in the report."""


def write(
    workspace: Workspace,
    found: Sources,
    gathered: Gathered,
    chosen: Chosen,
    refined: Refined | None,
    options: BuildOptions,
    labels: Sequence[str],
) -> dict[str, int]:
    """Write every file but the manifest; the counts for it."""
    train = _train(gathered, chosen, refined)
    write_samples(workspace.file(readback.TRAIN), train)
    workspace.write_jsonl(
        readback.TEST, gathered.sample_text.each((k.place for k in chosen.test), Sample)
    )
    talks = gathered.dialogue_text
    workspace.write_jsonl(
        readback.DOTABENCH,
        map(dotabench_row, talks.each((k.place for k in chosen.test_dialogues), Dialogue)),
    )
    workspace.write_jsonl(
        readback.DIALOGUES, talks.each((k.place for k in chosen.train_dialogues), Dialogue)
    )
    workspace.write_jsonl(readback.DOCUMENTS, _documents(gathered, chosen))
    _copy_lines(gathered.excluded.store, workspace.file("excluded.jsonl"))
    _copy_lines(gathered.residue, workspace.file("residue.jsonl"))
    _copy_lines(gathered.blocked, workspace.file("blocked_pairs.jsonl"))
    examples = _examples(gathered, chosen, refined)
    covered = coverage(found, gathered, chosen, refined, options, examples)
    hits = [{"what": what, **msgspec.to_builtins(hit)} for what, hit in gathered.hits]
    workspace.write_json("contamination.json", covered["contamination"] | {"hits": hits})
    workspace.write_json("coverage.json", covered)
    tables = readback.parquet_copies(workspace.path)
    layouts = export.layouts(options.exports)
    shutil.rmtree(workspace.path / export.FOLDER, ignore_errors=True)
    if layouts:
        export.export(workspace.path, layouts)
    page = card(covered, labels, exports=layouts, tables=tables)
    write_atomically(workspace.file("README.md"), page.encode())
    workspace.write_json(NAME, croissant(workspace.path, covered, labels))
    return _counts(gathered, chosen, refined, covered)


def _train(gathered: Gathered, chosen: Chosen, refined: Refined | None) -> Iterator[Sample]:
    """The training samples by id, each as refined where it was, without those refinement dropped."""
    for key in chosen.train:
        if refined is not None:
            if key.place in refined.dropped:
                continue
            if key.place in refined.rewritten:
                yield gathered.rewrites.read(refined.rewritten[key.place], Sample)
                continue
        yield gathered.sample_text.read(key.place, Sample)


def _documents(gathered: Gathered, chosen: Chosen) -> Iterator[Document]:
    for key in sorted(gathered.documents, key=lambda d: d.id):
        document = gathered.text.read(key.place, Document)
        side = "test" if key.id in chosen.held_out else "train"
        yield msgspec.structs.replace(document, split=side)


def _copy_lines(store: Store, path: Path) -> None:
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as f:
        for place in range(len(store)):
            f.write(store.line(place) + b"\n")
    temporary.replace(path)


def _examples(gathered: Gathered, chosen: Chosen, refined: Refined | None) -> list[dict[str, str]]:
    """Some refined samples before and after, one of each task before a second."""
    if refined is None:
        return []
    seen: Counter[str] = Counter()
    ranked = []
    for key in chosen.train:
        if key.place in refined.rewritten:
            ranked.append((seen[key.task], key))
            seen[key.task] += 1
    ranked.sort(key=lambda pair: pair[0])
    out = []
    for _, key in ranked[:SHOWN]:
        before = gathered.sample_text.read(key.place, Sample)
        document = gathered.text.read(gathered.by_id[key.document], Document)
        out.append(
            {
                "id": key.id, "task": key.task, "before": before.output,
                "after": gathered.rewrites.read(refined.rewritten[key.place], Sample).output,
                "passage": passage(document, before),
            }
        )  # fmt: skip
    return out


def _counts(
    gathered: Gathered, chosen: Chosen, refined: Refined | None, covered: dict[str, Any]
) -> dict[str, int]:
    return {
        "documents": len(gathered.documents),
        "documents_held_out": len(chosen.held_out),
        "train": len(chosen.train) - (len(refined.dropped) if refined else 0),
        "test": len(chosen.test),
        "train_dialogues": len(chosen.train_dialogues),
        "test_dialogues": len(chosen.test_dialogues),
        "excluded": len(gathered.excluded.store),
        "tasks_covered": sum(t["covered"] for t in covered["tasks"]),
    }


def write_samples(path: Path, samples: Iterable[Sample], *, batch: int = 10_000) -> None:
    """Write samples as Parquet, DoctorFLAN's four columns first; the file appears only when whole."""
    import pyarrow as pa

    texts = [f for f in Sample.__struct_fields__ if f not in {"source_fields", "refined"}]
    schema = pa.schema(
        [(f, pa.string()) for f in texts]
        + [("source_fields", pa.list_(pa.string())), ("refined", pa.bool_())]
    )
    readback.put_table(path, map(msgspec.to_builtins, samples), schema)
