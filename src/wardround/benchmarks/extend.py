"""Confirmed truths put into a test set: a new version with a digest of its own, and scores over the versions.

Experts fill in the sheet of a disagreement list: a verdict (yes/no, 是/否, 成立/不成立) on each claim and, for a new
error, its type, place, the words as they stand and as they should; who can't tell says so (unsure, 不能确定). When more than
half of all who voted, the unsure among them, are of one mind, a claim that the truth lacks is added and one that it has is withdrawn; whatever can't be done is listed with the
reason in `unsettled.jsonl`. Nothing else of a case changes, so answers given to one version hold for the next: the
curve scores every run's answers anew against each version's truth, without asking a model.

Artifact "testset": `NAME.jsonl` (and a set of pictures' pictures), `changes.jsonl`, `unsettled.jsonl`, `versions.json`
(the whole history). Artifact "curve": `curve.json`. What a kind of set does its own way is in `extend_reports` and
`extend_pictures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import MANIFEST, Artifact, begin, open_artifact, ref
from wardround.benchmarks import extend_pictures, extend_reports
from wardround.benchmarks.data import PICTURES, TESTSET, read_rows
from wardround.benchmarks.disagreements import read_sheet
from wardround.benchmarks.record import RunRecord
from wardround.benchmarks.versions import NO, UNSURE, YES, Kind, Rows, history, version, votes
from wardround.errors import UsageError
from wardround.records import decode

REPORTS = "report_quality"
KINDS: dict[str, Kind] = {
    REPORTS: extend_reports, "retina": extend_pictures, "cxr_quality": extend_pictures,
}  # fmt: skip
"""Benchmarks whose sets can be extended."""


def extend(data: Path | None, sheets: Sequence[Path], out: Path) -> Artifact:
    """A new version of the test set `data` (a file of reports, an "images" or a "testset" artifact, or None for the
    one shipped or drawn) with what `sheets` say.

    `UsageError` when a sheet speaks of a case that the set does not have.
    """
    name = _benchmark(data, sheets)
    kind = KINDS[name]
    source = kind.locate(name, data)
    inputs = [ref(source if data is None else data, "testset", seen_from=out)]
    inputs += [ref(s, f"sheet:{k}", seen_from=out) for k, s in enumerate(sheets)]
    with begin(out, kind=TESTSET, config={"benchmark": name}, inputs=inputs) as ws:
        if ws.done is not None:
            return open_artifact(out)
        rows = _rows(source)
        versions = history(kind, source, rows)
        changes = list(kind.carry_out(rows, votes(name, sheets)))
        done = [c for c in changes if c.done]
        labels = kind.write(ws, source, rows)
        ws.write_jsonl(f"{name}.jsonl", rows.values())
        ws.write_jsonl("changes.jsonl", done)
        ws.write_jsonl("unsettled.jsonl", (c for c in changes if not c.done))
        new = version(kind, rows, versions[-1], done)
        if new.digest != versions[-1].digest:
            versions = [*versions, new]
        ws.write_json("versions.json", versions)
        counts = {
            "cases": new.cases, "truths": new.truths, "added": new.added,
            "withdrawn": new.withdrawn, "unsettled": len(changes) - len(done),
        }  # fmt: skip
        return ws.seal(counts=counts, labels=labels)


def _benchmark(data: Path | None, sheets: Sequence[Path]) -> str:
    """Whose test set `data` is; without it, whose cases the sheets judge."""
    if data is not None and (data / MANIFEST).is_file():
        kind = open_artifact(data).manifest.kind
        found = [n for n in KINDS if (data / f"{n}.jsonl").is_file()]
        if kind in (PICTURES, TESTSET) and len(found) == 1:
            return found[0]
        return REPORTS
    if data is not None:
        return data.stem if data.is_file() and data.stem in KINDS else REPORTS
    judged = {
        row["benchmark"]
        for path in sheets
        for _, row in read_sheet(path)
        if row["verdict"].lower() in YES | NO | UNSURE and row["benchmark"] in KINDS
    }
    if len(judged) > 1:
        raise UsageError(
            f"the sheets judge cases of {', '.join(sorted(judged))}",
            hint="name the set to extend with --data, one after the other",
        )
    return judged.pop() if judged else REPORTS


def _rows(source: Path) -> Rows:
    return {str(row.get("id") or f"row-{number}"): dict(row) for number, row in read_rows(source)}


def curve(sets: Sequence[Path], runs: Sequence[Path], out: Path, *, seed: int = 0) -> Artifact:
    """Micro F1 of each run's stored answers against each version of the set, by rule; cases that a run was not asked
    about, or that differ, are counted as `missing`."""
    named = {_benchmark(s, []) for s in sets}
    if len(named) != 1:
        raise UsageError(
            f"the sets are of {', '.join(sorted(named)) or 'no benchmark'}",
            hint="give versions of one set",
        )
    (name,) = named
    inputs = [ref(s, f"testset:{k}", seen_from=out) for k, s in enumerate(sets)]
    inputs += [ref(r, f"run:{k}", seen_from=out) for k, r in enumerate(runs)]
    with begin(out, kind="curve", config={"benchmark": name, "seed": seed}, inputs=inputs) as ws:
        if ws.done is not None:
            return open_artifact(out)
        answered = [_answers(r, name) for r in runs]
        points = [p for k, s in enumerate(sets) for p in _points(k, name, s, answered, seed)]
        told = {"benchmark": name, "measure": "micro_f1", "seed": seed, "points": points}
        ws.write_json("curve.json", told)
        labels = [x for r in runs for x in open_artifact(r).manifest.labels]
        return ws.seal(
            counts={"sets": len(sets), "runs": len(runs), "points": len(points)},
            labels=dict.fromkeys(labels), seed=seed,
        )  # fmt: skip


def _answers(run: Path, name: str) -> tuple[str, list[RunRecord]]:
    artifact = open_artifact(run, "run")
    summary = decode(artifact.file("summary.json").read_bytes(), dict[str, Any])
    with open(artifact.file("records.jsonl"), "rb") as f:
        records = [decode(line, RunRecord) for line in f]
    return str(summary["model"]), [r for r in records if r.benchmark == name and r.answer]


def _points(
    number: int, name: str, data: Path, answered: Sequence[tuple[str, list[RunRecord]]], seed: int
) -> list[dict[str, Any]]:
    """One set's points: for each run, and each part of the set that has figures of its own."""
    kind = KINDS[name]
    source = kind.locate(name, data)
    last = history(kind, source, _rows(source))[-1]
    where = {
        "set": number, "version": last.version, "digest": last.digest, "truths": last.truths,
    }  # fmt: skip
    return [
        where | {"model": model} | point
        for model, records in answered
        for point in kind.points(name, source, records, seed)
    ]
