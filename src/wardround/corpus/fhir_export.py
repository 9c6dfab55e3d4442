"""FHIR bulk exports: NDJSON with one resource a line, most often one file for each type. One patient is spread
over all of them, so the files are read twice: first for who each line belongs to (8 bytes a line and a key a
patient stay in memory), then a patient at a time. Rows are patients, in the order they are first met."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from wardround.artifact import digest_of, sha256_file
from wardround.corpus.fhir import READ, reference
from wardround.corpus.lines import UTF8, Row, decoded, object_row

_FILE_BITS = 10


def is_export(files: Sequence[Path]) -> bool:
    """Whether all files (of a folder) are NDJSON of single resources."""
    return (
        0 < len(files) < 1 << _FILE_BITS
        and all(p.suffix == ".ndjson" for p in files)
        and all(map(_holds_resources, files))
    )


def _holds_resources(path: Path) -> bool:
    with open(path, "rb") as f:
        first = object_row(decoded(f.readline(), UTF8) or "", 1).value
    return first is not None and first.get("resourceType") not in (None, "Bundle")


def _files(path: Path) -> list[Path]:
    return sorted(path.rglob("*.ndjson")) if path.is_dir() else [path]


def export_digest(path: Path) -> str:
    """One digest of all files' names and contents; a single file's is its own."""
    if path.is_file():
        return sha256_file(path)
    return digest_of([[p.relative_to(path).as_posix(), sha256_file(p)] for p in _files(path)])


def export_rows(path: Path) -> Iterator[Row]:
    """A bundle for each patient; then the lines that cannot be read."""
    with ExitStack() as stack:
        files = [stack.enter_context(open(p, "rb")) for p in _files(path)]
        names = [p.name for p in _files(path)]
        patients, medicines, bad = _whose(files, names)
        for number, places in enumerate(patients.values(), start=1):
            yield Row(number=number, value=_bundle(files, places, medicines))
        for number, row in enumerate(bad, start=len(patients) + 1):
            yield Row(number=number, problem=row.problem, reason=row.reason)


def _whose(
    files: Sequence[BinaryIO], names: Sequence[str]
) -> tuple[dict[str, array[int]], dict[str, int], list[Row]]:
    """Each patient's places, each Medication's place, and what cannot be read."""
    patients: dict[str, array[int]] = {}
    medicines: dict[str, int] = {}
    bad: list[Row] = []
    for which, f in enumerate(files):
        at = 0
        for number, line in enumerate(f, start=1):
            place, at = at << _FILE_BITS | which, at + len(line)
            if line.isspace():
                continue
            words = decoded(line, UTF8)
            row = object_row(words, number) if words is not None else None
            if row is None or row.value is None:
                problem = row.problem if row is not None else "neither UTF-8 nor GB18030"
                reason = row.reason if row is not None else "undecodable"
                bad.append(
                    Row(
                        number=number,
                        problem=f"{names[which]}, line {number}: {problem}",
                        reason=reason,
                    )
                )
                continue
            kind, name = row.value.get("resourceType"), str(row.value.get("id"))
            if kind == "Medication":
                medicines[f"Medication/{name}"] = place
            elif kind in READ:
                whose = (
                    f"Patient/{name}"
                    if kind == "Patient"
                    else reference(row.value, "subject", "patient")
                )
                patients.setdefault(whose, array("Q")).append(place)
    return patients, medicines, bad


def _bundle(
    files: Sequence[BinaryIO], places: Iterable[int], medicines: dict[str, int]
) -> dict[str, Any]:
    resources = [_at(files, place) for place in places]
    wanted = {reference(r, "medicationReference") for r in resources} & medicines.keys()
    resources += [_at(files, medicines[name]) for name in sorted(wanted)]
    return {"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}


def _at(files: Sequence[BinaryIO], place: int) -> dict[str, Any]:
    f = files[place & ((1 << _FILE_BITS) - 1)]
    f.seek(place >> _FILE_BITS)
    return object_row(decoded(f.readline(), UTF8) or "", 1).value or {}
