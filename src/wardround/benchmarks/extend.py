"""Confirmed truths put into a test set: a new version with a digest of its own, and scores over the versions.

Experts fill in the sheet of a disagreement list: a verdict (yes/no, 是/否, 成立/不成立) on each claim and, for a new
error, its type, place, the words as they stand and as they should. By majority over the experts, and only without a
tie, a claim that the truth lacks is added and one that it has is withdrawn; whatever can't be done is listed with the
reason in `unsettled.jsonl`. Nothing else of a report changes, so answers given to one version hold for the next: the
curve scores every run's answers anew against each version's truth, without asking a model.

Artifact "testset": `report_quality.jsonl`, `changes.jsonl`, `unsettled.jsonl`, `versions.json` (the whole history).
Artifact "curve": `curve.json`. Only report_quality has truths of this kind.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import MANIFEST, Artifact, begin, digest_of, open_artifact, ref
from wardround.benchmarks.data import locate, read_rows
from wardround.benchmarks.disagreements import read_sheet
from wardround.benchmarks.record import RunRecord
from wardround.errors import UsageError
from wardround.images.report import PLACES, Place, place_in, type_in
from wardround.records import Record, Score, decode

NAME = "report_quality"
FILE = f"{NAME}.jsonl"
YES, NO = {"yes", "y", "是", "成立", "1", "true"}, {"no", "n", "否", "不成立", "0", "false"}


class Version(Record, frozen=True, kw_only=True):
    """One version of a set. `digest` is of its rows, however they are written; `parent` the digest of the one it was made from, "" at first."""

    version: int
    digest: str
    parent: str
    reports: int
    errors: int
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


def extend(data: Path | None, sheets: Sequence[Path], out: Path) -> Artifact:
    """A new version of the test set `data` (a file, a "testset", or None for the shipped one) with what `sheets` say.

    `UsageError` when a sheet speaks of a case that the set does not have.
    """
    source = locate(data, FILE)
    inputs = [ref(source if data is None else data, "testset", seen_from=out)]
    inputs += [ref(s, f"sheet:{k}", seen_from=out) for k, s in enumerate(sheets)]
    with begin(out, kind="testset", config={"benchmark": NAME}, inputs=inputs) as ws:
        if ws.done is not None:
            return open_artifact(out)
        rows = {_id(number, row): dict(row) for number, row in read_rows(source)}
        history = _history(data, list(rows.values()))
        changes = list(_changes(rows, _votes(sheets)))
        done = [c for c in changes if c.done]
        ws.write_jsonl(FILE, rows.values())
        ws.write_jsonl("changes.jsonl", done)
        ws.write_jsonl("unsettled.jsonl", (c for c in changes if not c.done))
        new = _version(list(rows.values()), history[-1], done)
        if new.digest != history[-1].digest:
            history = [*history, new]
        ws.write_json("versions.json", history)
        counts = {
            "reports": new.reports, "errors": new.errors, "added": new.added,
            "withdrawn": new.withdrawn, "unsettled": len(changes) - len(done),
        }  # fmt: skip
        return ws.seal(counts=counts, labels=_labels(rows.values()))


def _id(number: int, row: Mapping[str, Any]) -> str:
    return str(row.get("id") or f"row-{number}")


def _version(
    rows: Sequence[Mapping[str, Any]], before: Version | None, done: Sequence[Change] = ()
) -> Version:
    return Version(
        version=1 if before is None else before.version + 1,
        digest=digest_of(rows),
        parent="" if before is None else before.digest,
        reports=len(rows),
        errors=sum(len(row.get("errors", ())) for row in rows),
        added=sum(c.action == "added" for c in done),
        withdrawn=sum(c.action == "withdrawn" for c in done),
    )


def _labels(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    from wardround.benchmarks.data import starter_label

    return list(dict.fromkeys(x for row in rows for x in starter_label(row)))


def _history(data: Path | None, rows: Sequence[Mapping[str, Any]]) -> list[Version]:
    """The versions up to this one; a plain file is version 1."""
    if data is not None and (data / MANIFEST).is_file() and (data / "versions.json").is_file():
        return decode((data / "versions.json").read_bytes(), list[Version])
    return [_version(rows, None)]


class _Vote(Record, frozen=True, kw_only=True):
    yes: bool
    expert: str
    row: dict[str, str]


def _votes(sheets: Sequence[Path]) -> dict[tuple[str, str], list[_Vote]]:
    """Votes by case and claim, one an expert (the last); a sheet without names is one expert."""
    found: dict[tuple[str, str], dict[str, _Vote]] = defaultdict(dict)
    for path in sheets:
        for _, row in read_sheet(path):
            verdict = row["verdict"].lower()
            if row["benchmark"] != NAME or verdict not in YES | NO:
                continue
            expert = row.get("expert") or path.name
            claim = row.get("claim", "").lstrip("'")
            found[row["case"], claim][expert] = _Vote(yes=verdict in YES, expert=expert, row=row)
    return {key: list(votes.values()) for key, votes in found.items()}


def _changes(
    rows: Mapping[str, dict[str, Any]], votes: Mapping[tuple[str, str], Sequence[_Vote]]
) -> Iterable[Change]:
    """Carry out what the votes decide, in `rows` itself."""
    for (case, claim), cast in sorted(votes.items()):
        if case not in rows:
            raise UsageError(
                f"the sheet speaks of case {case}, which the test set does not have",
                hint="give the set that the runs of this list were on",
            )
        yes = sum(v.yes for v in cast)
        no = len(cast) - yes
        row = rows[case]
        kind, place = _claimed(claim)
        held = [e for e in row["errors"] if (e["type"], e["place"]) == (kind, place)]
        action, reason = "kept", ""
        if yes == no:
            reason = "the experts are divided"
        elif yes > no:
            action, reason = _added(row, next(v.row for v in cast if v.yes), held)
        elif held:
            if len(held) > 1:
                reason = "several errors of this type and place; say which by hand"
            else:
                row["errors"] = [e for e in row["errors"] if e is not held[0]]
                action = "withdrawn"
        yield Change(
            case=case, claim=claim, action=action, done=not reason, yes=yes, no=no,
            experts=tuple(sorted(v.expert for v in cast)), reason=reason,
        )  # fmt: skip


def _claimed(claim: str) -> tuple[str, str]:
    kind, _, place = claim.partition("@")
    return kind, place


def _added(
    row: dict[str, Any], told: Mapping[str, str], held: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    """Add what an expert described: (what was done, why not). A truth that is there already is kept."""
    kind = type_in(told.get("type", ""))[0]
    place: Place | str = told.get("place", "")
    place = place if place in PLACES else place_in(place)
    wrong, right = told.get("wrong", ""), told.get("right", "")
    known = [e for e in held if not wrong or e["wrong"] in wrong or wrong in e["wrong"]]
    if known:
        return "kept", ""
    if not kind or place not in PLACES:
        return "kept", "no error type or place that is known"
    if not wrong and not right:
        return "kept", "neither the words as they stand nor as they should be"
    text = str(row[place])
    spots = [m.start() for m in re.finditer(re.escape(wrong), text)] if wrong else [len(text)]
    if len(spots) != 1:
        return "kept", f"the words stand {len(spots)} times in that place"
    error = {
        "type": kind, "place": place, "start": spots[0], "end": spots[0] + len(wrong),
        "wrong": wrong, "right": right, "how": "", "origin": "expert",
        "note": told.get("note", ""),
    }  # fmt: skip
    row["errors"] = [*row["errors"], error]
    return "added", ""


def curve(sets: Sequence[Path], runs: Sequence[Path], out: Path, *, seed: int = 0) -> Artifact:
    """Micro F1 of each run's stored answers against each version of the set, by rule; reports that a run was not asked
    about, or whose text differs, are counted as `missing`."""
    inputs = [ref(s, f"testset:{k}", seen_from=out) for k, s in enumerate(sets)]
    inputs += [ref(r, f"run:{k}", seen_from=out) for k, r in enumerate(runs)]
    with begin(out, kind="curve", config={"benchmark": NAME, "seed": seed}, inputs=inputs) as ws:
        if ws.done is not None:
            return open_artifact(out)
        answered = [_answers(r) for r in runs]
        points = [p for k, s in enumerate(sets) for p in _points(k, s, answered, seed)]
        ws.write_json("curve.json", {"measure": "micro_f1", "seed": seed, "points": points})
        labels = [x for r in runs for x in open_artifact(r).manifest.labels]
        return ws.seal(
            counts={"sets": len(sets), "runs": len(runs), "points": len(points)},
            labels=dict.fromkeys(labels), seed=seed,
        )  # fmt: skip


def _answers(run: Path) -> tuple[str, list[RunRecord]]:
    artifact = open_artifact(run, "run")
    summary = decode(artifact.file("summary.json").read_bytes(), dict[str, Any])
    with open(artifact.file("records.jsonl"), "rb") as f:
        records = [decode(line, RunRecord) for line in f]
    return str(summary["model"]), [r for r in records if r.benchmark == NAME and r.answer]


def _points(
    number: int, data: Path, answered: Sequence[tuple[str, list[RunRecord]]], seed: int
) -> Iterable[dict[str, Any]]:
    from wardround.benchmarks.report_figures import micro_f1
    from wardround.benchmarks.report_quality import ReportQuality

    bench = ReportQuality()
    source = locate(data, FILE)
    cases = {c.id: c for c in bench.load(source)[0]}
    versions = _history(data, [dict(row) for _, row in read_rows(source)])
    for model, records in answered:
        scored = [
            msgspec.structs.replace(
                r, judges={},
                score=Score(status="scored", detail=bench.note(cases[r.case], r.turn, r.answer or "")),
            )
            for r in records
            if r.case in cases and cases[r.case].turns[0].question == r.question
        ]  # fmt: skip
        yield {
            "set": number, "version": versions[-1].version, "digest": versions[-1].digest,
            "errors": versions[-1].errors, "model": model, "f1": micro_f1(scored, seed),
            "answers": len(scored), "missing": len(records) - len(scored),
        }  # fmt: skip
