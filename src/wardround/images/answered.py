"""A run's verdicts on DICOM images, written beside one another as SR and FHIR and read back at once.

A run's record names the digest of the file its picture came from; the DICOM file with that digest is the image the
verdict is about. An unscored or failed answer is no verdict and is left aside, counted by its reason.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from wardround.artifact import open_artifact, write_atomically
from wardround.errors import UsageError, WardroundError
from wardround.images.held import HeldBack
from wardround.images.picture import kind_of
from wardround.images.verdict import (
    fhir_bytes,
    read_fhir,
    read_sr,
    verdict_on,
    write_sr,
)
from wardround.records import Score

BENCHMARK = "cxr_quality"


class _Line(msgspec.Struct):
    benchmark: str
    case: str
    repeat: int
    score: Score
    judges: dict[str, Score]
    reason: str = ""


class Written(NamedTuple):
    """The SR files, and how many records gave no verdict, by reason."""

    reports: list[Path]
    left: dict[str, int]


def write_verdicts(run: Path, folder: Path, out: Path) -> Written:
    """`CASE.dcm` (SR) and `CASE.json` (FHIR) for each first answer of `run` about a DICOM file below `folder`.

    Each is read back and must say the same; `WardroundError` when one doesn't.
    """
    artifact = open_artifact(run, "run")
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder", hint="check --dicom")
    files = _dicom_files(folder)
    observer = str(msgspec.json.decode(artifact.file("summary.json").read_bytes())["model"])
    reports: list[Path] = []
    left: Counter[str] = Counter()
    with open(artifact.file("records.jsonl"), "rb") as f:
        for raw in f:
            line = msgspec.json.decode(raw, type=_Line)
            if line.benchmark != BENCHMARK or line.repeat != 1:
                continue
            detail: dict[str, Any] = next((s.detail for s in line.judges.values()), {})
            path = files.get(str(detail.get("original", "")))
            if detail.get("said") is None:
                left[line.score.reason or line.reason or "no answer"] += 1
            elif path is None:
                left["no DICOM file of that digest"] += 1
            else:
                name = hashlib.sha256(line.case.encode()).hexdigest()[:16]
                reports.append(
                    _write(path.read_bytes(), tuple(detail["said"]), observer, out, name)
                )
    return Written(reports, dict(left))


def _dicom_files(folder: Path) -> dict[str, Path]:
    """DICOM files below `folder` by their digest."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        try:
            if kind_of(data) == "dicom":
                found[hashlib.sha256(data).hexdigest()] = path
        except HeldBack:
            continue
    return found


def _write(dicom: bytes, present: tuple[str, ...], observer: str, out: Path, name: str) -> Path:
    verdict = verdict_on(dicom, present, observer[:64])
    report, resource = write_sr(verdict, dicom), fhir_bytes(verdict)
    for way, back in (("SR", read_sr(report)), ("FHIR", read_fhir(msgspec.json.decode(resource)))):
        if back != verdict:
            raise WardroundError(f"{name}: the {way} read back says {back}, not {verdict}")
    path = out / f"{name}.dcm"
    write_atomically(path, report)
    write_atomically(out / f"{name}.json", resource)
    return path
