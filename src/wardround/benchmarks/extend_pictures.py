"""New versions of a set of pictures: labels added or withdrawn, the pictures themselves unchanged (see `extend`).

A set must have been prepared (`wardround images collect`, `faults`, `phantoms`), so that its pictures have digests to be
known by; the new version holds the same files. A case's verdicts take effect together or not at all: an OCT scan has one
label, so a second one counts only when the first is withdrawn, and NORMAL stands alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from wardround.artifact import MANIFEST, Workspace, open_artifact
from wardround.benchmarks import benchmark
from wardround.benchmarks.data import PICTURES, TESTSET
from wardround.benchmarks.image_bench import Pictured
from wardround.benchmarks.image_cases import HEADERS
from wardround.benchmarks.label_reading import read_labels
from wardround.benchmarks.label_tables import Counted
from wardround.benchmarks.record import RunRecord, estimate
from wardround.benchmarks.versions import Change, Rows, Vote, Votes, change, settled, the_row
from wardround.errors import UsageError
from wardround.images.labels import names
from wardround.records import Score, decode


def locate(name: str, data: Path | None) -> Path:
    """The rows of a prepared set, or of the drawn starter set."""
    if data is None:
        from wardround.images.made import starter

        return starter(name)
    if not (data / MANIFEST).is_file():
        raise UsageError(
            f"{data}: no prepared set of pictures",
            hint=f"wardround images collect {name} SOURCE --out SET first",
        )
    found = open_artifact(data)
    if found.manifest.kind not in (PICTURES, TESTSET):
        found = open_artifact(data, PICTURES)
    return found.file(f"{name}.jsonl")


def truths(row: Mapping[str, Any]) -> int:
    """True labels of a picture."""
    return len(row["labels"])


def write(ws: Workspace, source: Path, rows: Rows) -> list[str]:
    """The pictures and what was found in their headers, by link where the disk allows it, else copied."""
    root = source.parent
    old = open_artifact(root)
    places = {row["image"] for row in rows.values()}
    if HEADERS in {f.path for f in old.manifest.files}:
        places.add(HEADERS)
    for place in sorted(places):
        target = ws.file(place)
        with contextlib.suppress(FileNotFoundError):  # of a session that was broken off
            target.unlink()
        try:
            os.link(root / place, target)
        except OSError:
            shutil.copyfile(root / place, target)
    return list(old.manifest.labels)


def carry_out(rows: Rows, votes: Votes) -> Iterable[Change]:
    """Case by case, claims in their order."""
    cases: dict[str, dict[str, list[Vote]]] = defaultdict(dict)
    for (case, claim), found in sorted(votes.items()):
        for vote in found:  # a line that an expert added names its label in the column `type`
            cases[case].setdefault(claim or vote.row.get("type", ""), []).append(vote)
    for case, claims in cases.items():
        yield from _case(the_row(rows, case), case, claims)


def _case(row: dict[str, Any], case: str, claims: Mapping[str, list[Vote]]) -> list[Change]:
    known = names(row["modality"])
    before = set(row["labels"])
    after = set(before)
    done: list[tuple[str, list[Vote], str, str]] = []
    for claim, found in claims.items():
        said, reason = settled(found)
        label = known.id_of(claim)
        action = "kept"
        if not label:
            reason = "no label of the list"
        elif said and label not in before:
            after.add(label)
            action = "added"
        elif said is False and label in before:
            after.discard(label)
            action = "withdrawn"
        done.append((claim, found, action, reason))
    wrong = _wrong(row["modality"], after) if after != before else ""
    if not wrong:
        row["labels"] = [i for i in known.ids if i in after]
    return [
        change(case, claim, found, "kept", wrong)
        if wrong and action != "kept"
        else change(case, claim, found, action, reason)
        for claim, found, action, reason in done
    ]


def _wrong(modality: str, labels: set[str]) -> str:
    """Why a picture can't have these labels together; "" when it can."""
    if modality == "oct" and len(labels) != 1:
        return f"an OCT scan has one label, and this would leave {len(labels)}"
    if not labels and not names(modality).clean:
        return "no label would be left"
    if "NORMAL" in labels and len(labels) > 1:
        return "NORMAL would stand beside a disease"
    return ""


def points(
    name: str, source: Path, records: Sequence[RunRecord], seed: int
) -> Iterable[dict[str, Any]]:
    """Micro F1 and exact match for each modality; a picture that is not there, or another one now, is missing."""
    bench = cast(Pictured, benchmark(name))
    rows = {
        row["id"]: row for row in (decode(x, dict[str, Any]) for x in source.read_bytes().splitlines())
    }  # fmt: skip
    for modality in bench.modalities:
        asked = [r for r in records if r.category == modality]
        scored = [
            _rescored(bench, r, rows[r.unit])
            for r in asked
            if r.unit in rows and rows[r.unit]["sha256"] == _sent(r)
        ]
        if asked:
            yield {
                "part": modality, "f1": Counted(scored, modality, seed).figure("micro f1"),
                "exact": estimate(scored, seed), "answers": len(scored),
                "missing": len(asked) - len(scored),
            }  # fmt: skip


def _sent(record: RunRecord) -> str:
    return next((str(s.detail.get("sent", "")) for s in record.judges.values()), "")


def _rescored(bench: Pictured, record: RunRecord, row: Mapping[str, Any]) -> RunRecord:
    """The record as it would be had its picture these labels."""
    modality = row["modality"]
    found = read_labels(record.answer or "", modality, single=bench.single(modality))
    detail = {"truth": row["labels"], "said": None if found.reason else list(found.labels)}
    if found.reason:
        score = Score(status="unscored", reason=found.reason, detail=detail)
    else:
        right = set(found.labels) == set(row["labels"]) and not found.unlisted
        score = Score(status="scored", value=float(right), detail=detail)
    return msgspec.structs.replace(record, judges={"rule": score}, score=score)
