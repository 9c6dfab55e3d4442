"""Sets of pictures as artifacts: prepared once, checked, nothing in them that names a patient.

`collect` takes any layout of `layouts`; `made` makes pictures of known truth. Either writes kind "images":
`NAME.jsonl` (rows as `layouts.Row`, each with the digest of its picture and of the file it came from),
`images/NAME/`, `excluded.jsonl` with what was left aside or held back and why, `headers.jsonl` with what the header
checks say of DICOM files, and for made ones `truth.jsonl`: base, edits and their places.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, Workspace, begin, open_artifact, ref
from wardround.errors import UsageError
from wardround.images.headers import check_header
from wardround.images.held import HeldBack
from wardround.images.layouts import Row, read_layout
from wardround.images.picture import STANDARD, Limits, Picture, prepare, side_by_side
from wardround.records import Exclusion, encode

SETS: dict[str, tuple[str, ...]] = {"retina": ("fundus", "oct"), "cxr_quality": ("cxr",)}
"""Benchmark → the modalities of its pictures, the first the default one."""


def check_name(name: str) -> None:
    """`UsageError` for a name that is no set's."""
    if name not in SETS:
        raise UsageError(f"no set of pictures named {name}", hint=f"one of: {', '.join(SETS)}")


def collect(name: str, source: Path, out: Path, *, limits: Limits = STANDARD) -> Artifact:
    """The pictures of `source` for benchmark `name`, prepared. `UsageError` when nothing is left of them."""
    check_name(name)
    found = read_layout(source, SETS[name])
    config = {"set": name, "limits": msgspec.to_builtins(limits), "rows": len(found.rows)}
    inputs = [ref(source, "source", seen_from=out)]
    if source.is_file():
        config["pictures"] = hashlib.sha256(encode(_digests(found.root, found.rows))).hexdigest()
    with begin(out, kind="images", config=config, inputs=inputs) as ws:
        if ws.done:
            return open_artifact(out)
        excluded = list(found.excluded)
        rows: list[Row] = []
        headers: list[dict[str, Any]] = []

        def one(row: Row) -> Picture | HeldBack:
            try:
                return prepare(
                    found.root / row.image, limits=limits, frame=row.frame,
                    text_reviewed=row.text_reviewed,
                )  # fmt: skip
            except HeldBack as e:
                return e

        for row, made in zip(found.rows, side_by_side(one, found.rows), strict=True):
            if isinstance(made, HeldBack):
                excluded.append(held(row, made))
                continue
            rows.append(write_row(ws, name, row, made))
            if made.kind == "dicom":
                findings = check_header(made.header)
                headers.append({"id": row.id, "header": made.header, "findings": findings})
        if not rows:
            raise UsageError(
                f"{source}: no picture left ({many(excluded)})", hint="check the set's layout"
            )
        return seal(ws, name, rows, excluded, headers=headers, labels=[])


def _digests(root: Path, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Each picture's name and digest, "" where it isn't there."""
    from wardround.artifact import sha256_file

    return [
        (r.image, sha256_file(root / r.image) if (root / r.image).is_file() else "") for r in rows
    ]


def write_row(ws: Workspace, name: str, row: Row, picture: Picture) -> Row:
    """The picture written under its digest; the row as it stands in the artifact."""
    digest = hashlib.sha256(picture.data).hexdigest()
    place = f"images/{name}/{digest[:24]}{picture.suffix}"
    ws.file(place).write_bytes(picture.data)
    return msgspec.structs.replace(
        row, image=place, sha256=digest, original=picture.original, frame=None
    )


def held(row: Row, e: HeldBack) -> Exclusion:
    """What is listed of a picture that was held back."""
    return Exclusion(
        stage="load", file=row.image, row=row.row, what=row.id, reason=e.reason, detail=e.detail
    )


def many(excluded: Sequence[Exclusion]) -> str:
    """How many were left aside, by reason."""
    found = Counter(e.reason for e in excluded)
    return "; ".join(f"{n} × {reason}" for reason, n in sorted(found.items())) or "no row"


def seal(
    ws: Workspace,
    name: str,
    rows: Sequence[Row],
    excluded: Sequence[Exclusion],
    *,
    headers: Sequence[dict[str, Any]],
    labels: Sequence[str],
    seed: int | None = None,
    more: Mapping[str, Any] | None = None,
) -> Artifact:
    """Rows, what was left aside and the summary (with `more` in it) written, and the artifact sealed."""
    ws.write_jsonl(f"{name}.jsonl", rows)
    ws.write_jsonl("excluded.jsonl", excluded)
    if headers:
        ws.write_jsonl("headers.jsonl", headers)
    told = Counter(label for r in rows for label in r.labels)
    summary: dict[str, Any] = {
        "set": name,
        "pictures": len(rows),
        "without_label": sum(not r.labels for r in rows),
        "labels": dict(sorted(told.items())),
        "modalities": dict(sorted(Counter(r.modality for r in rows).items())),
        "excluded": dict(sorted(Counter(e.reason for e in excluded).items())),
        "header_findings": dict(
            sorted(Counter(f.rule for h in headers for f in h["findings"]).items())
        ),
        **(more or {}),
    }
    ws.write_json("summary.json", summary)
    counts = {"pictures": len(rows), "excluded": len(excluded)}
    return ws.seal(counts=counts, labels=labels, seed=seed)
