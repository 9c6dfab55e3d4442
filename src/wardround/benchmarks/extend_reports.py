"""New versions of a set of CT reports: errors added with their span, or withdrawn (see `extend`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Workspace
from wardround.benchmarks.data import locate as locate_file
from wardround.benchmarks.data import starter_label
from wardround.benchmarks.record import RunRecord
from wardround.benchmarks.versions import Change, Rows, Votes, change, settled, the_row
from wardround.images.report import PLACES, Place, place_in, type_in
from wardround.records import Score


def locate(name: str, data: Path | None) -> Path:
    """The rows of `data`: a file, a "testset", or the shipped set."""
    file = f"{name}.jsonl"
    return locate_file(data, file, file)


def truths(row: Mapping[str, Any]) -> int:
    """True errors of a report."""
    return len(row.get("errors", ()))


def write(ws: Workspace, source: Path, rows: Rows) -> list[str]:
    """Nothing but the rows."""
    return list(dict.fromkeys(x for row in rows.values() for x in starter_label(row)))


def carry_out(rows: Rows, votes: Votes) -> Iterable[Change]:
    """Claim by claim, in the order of cases and claims."""
    for (case, claim), cast in sorted(votes.items()):
        row = the_row(rows, case)
        said, reason = settled(cast)
        kind, _, place = claim.partition("@")
        held = [e for e in row["errors"] if (e["type"], e["place"]) == (kind, place)]
        action = "kept"
        if said:
            action, reason = _added(row, next(v.row for v in cast if v.yes), held)
        elif said is False and len(held) > 1:
            reason = "several errors of this type and place; say which by hand"
        elif said is False and held:
            row["errors"] = [e for e in row["errors"] if e is not held[0]]
            action = "withdrawn"
        yield change(case, claim, cast, action, reason)


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


def points(
    name: str, source: Path, records: Sequence[RunRecord], seed: int
) -> Iterable[dict[str, Any]]:
    """Micro F1 of the stored answers; a report that was not asked, or reads otherwise now, is missing."""
    from wardround.benchmarks.report_figures import micro_f1
    from wardround.benchmarks.report_quality import ReportQuality

    bench = ReportQuality()
    cases = {c.id: c for c in bench.load(source)[0]}
    scored = [
        msgspec.structs.replace(
            r, judges={},
            score=Score(status="scored", detail=bench.note(cases[r.case], r.turn, r.answer or "")),
        )
        for r in records
        if r.case in cases and cases[r.case].turns[0].question == r.question
    ]  # fmt: skip
    yield {
        "part": "", "f1": micro_f1(scored, seed), "answers": len(scored),
        "missing": len(records) - len(scored),
    }  # fmt: skip
