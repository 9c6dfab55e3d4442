"""Sets of pictures as artifacts: prepared once, checked, nothing in them that names a patient.

`collect` takes any layout of `layouts`; `generate` makes chest X-rays of known faults from clean ones. Either writes
kind "images": `NAME.jsonl` (rows as `layouts.Row`, each with the digest of its picture and of the file it came from),
`images/NAME/`, `excluded.jsonl` with what was left aside or held back and why, `headers.jsonl` with what the header
checks say of DICOM files, and for made ones `truth.jsonl`: base, edits and their places.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, Workspace, begin, open_artifact, ref
from wardround.errors import InputError, UsageError
from wardround.images.cxr_faults import NOT_SIMULATED, Base, drawn_faults, make
from wardround.images.headers import check_header
from wardround.images.held import HeldBack
from wardround.images.layouts import Row, read_layout
from wardround.images.picture import STANDARD, Limits, Picture, prepare, side_by_side
from wardround.records import Exclusion, encode

SETS: dict[str, tuple[str, ...]] = {"retina": ("fundus", "oct"), "cxr_quality": ("cxr",)}
"""Benchmark → the modalities of its pictures, the first the default one."""
MADE = "质量问题由程序在像素上做出，不是临床病例 / Quality faults made in the pixels by a program; not clinical cases"


def collect(name: str, source: Path, out: Path, *, limits: Limits = STANDARD) -> Artifact:
    """The pictures of `source` for benchmark `name`, prepared. `UsageError` when nothing is left of them."""
    if name not in SETS:
        raise UsageError(f"no set of pictures named {name}", hint=f"one of: {', '.join(SETS)}")
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
                excluded.append(_held(row, made))
                continue
            rows.append(_write(ws, name, row, made))
            if made.kind == "dicom":
                findings = check_header(made.header)
                headers.append({"id": row.id, "header": made.header, "findings": findings})
        if not rows:
            raise UsageError(
                f"{source}: no picture left ({_many(excluded)})", hint="check the set's layout"
            )
        return _seal(ws, name, rows, excluded, headers=headers, labels=[])


def generate(
    bases: Sequence[tuple[Path, Base]], out: Path, *, count: int, seed: int, prevalence: float
) -> Artifact:
    """`count` chest X-rays with and without faults from clean `bases`, taken in turn."""
    if not 0 <= prevalence <= 1:
        raise UsageError(f"--prevalence {prevalence:g}: must be from 0 to 1")
    name = "cxr_quality"
    config = {
        "set": name, "count": count, "seed": seed, "prevalence": prevalence,
        "bases": [msgspec.to_builtins(base) for _, base in bases],
    }  # fmt: skip
    inputs = [ref(path, f"base{k}", seen_from=out) for k, (path, _) in enumerate(bases, start=1)]
    with begin(out, kind="images", config=config, inputs=inputs) as ws:
        if ws.done:
            return open_artifact(out)
        excluded: list[Exclusion] = []
        clean: list[tuple[Picture, Base]] = []
        for k, (path, base) in enumerate(bases, start=1):
            try:
                clean.append((prepare(path), base))
            except HeldBack as e:
                row = Row(id=path.name, image=path.name, labels=(), modality="cxr", row=k)
                excluded.append(_held(row, e))
        if not clean:
            raise UsageError(
                f"no base is left ({_many(excluded)})", hint="give clean PA chest X-rays"
            )
        rows, truth = [], []
        for k in range(1, count + 1):
            picture, base = clean[(k - 1) % len(clean)]
            row, told = _made(ws, f"made-{k:04d}", k, picture, base, seed, prevalence)
            rows.append(row)
            truth.append(told)
        ws.write_jsonl("truth.jsonl", truth)
        return _seal(ws, name, rows, excluded, headers=[], labels=[MADE], seed=seed)


def _made(
    ws: Workspace, name: str, k: int, picture: Picture, base: Base, seed: int, prevalence: float
) -> tuple[Row, dict[str, Any]]:
    import random

    from PIL import Image

    from wardround.metrics.arrays import np

    pixels = np.asarray(Image.open(io.BytesIO(picture.data)).convert("L"))
    faults = drawn_faults(base, prevalence, random.Random(f"{seed}/{name}/faults"))
    made = make(pixels, base, faults, seed=seed, name=name)
    out = io.BytesIO()
    Image.fromarray(made.pixels).save(out, "PNG", compress_level=3)
    finished = Picture(
        data=out.getvalue(), media="image/png", width=made.pixels.shape[1],
        height=made.pixels.shape[0], original=picture.original, kind="png",
    )  # fmt: skip
    row = Row(id=name, image="", labels=made.labels, modality="cxr", row=k)
    told = {
        "id": name, "base": picture.original, "labels": made.labels, "edits": made.edits,
        "arguable": made.arguable,
    }  # fmt: skip
    return _write(ws, "cxr_quality", row, finished), told


def read_base(path: Path) -> Base:
    """What `PATH.json` beside a base says of it; the defaults without one."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return Base()
    try:
        base = msgspec.json.decode(beside.read_bytes(), type=Base)
    except msgspec.DecodeError as e:
        raise InputError(
            f"not the description of a base: {e}", path=beside,
            hint='e.g. {"field": [0.1, 0.09, 0.9, 0.86], "marker": "none"}',
        ) from e  # fmt: skip
    for box in (base.field, base.marker):
        if isinstance(box, tuple) and not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
            raise InputError("a box must be left, top, right, bottom from 0 to 1", path=beside)
    return base


def _digests(root: Path, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Each picture's name and digest, "" where it isn't there."""
    from wardround.artifact import sha256_file

    return [
        (r.image, sha256_file(root / r.image) if (root / r.image).is_file() else "") for r in rows
    ]


def _write(ws: Workspace, name: str, row: Row, picture: Picture) -> Row:
    """The picture written under its digest; the row as it stands in the artifact."""
    digest = hashlib.sha256(picture.data).hexdigest()
    place = f"images/{name}/{digest[:24]}{picture.suffix}"
    ws.file(place).write_bytes(picture.data)
    return msgspec.structs.replace(
        row, image=place, sha256=digest, original=picture.original, frame=None
    )


def _held(row: Row, e: HeldBack) -> Exclusion:
    return Exclusion(
        stage="load", file=row.image, row=row.row, what=row.id, reason=e.reason, detail=e.detail
    )


def _many(excluded: Sequence[Exclusion]) -> str:
    found = Counter(e.reason for e in excluded)
    return "; ".join(f"{n} × {reason}" for reason, n in sorted(found.items())) or "no row"


def _seal(
    ws: Workspace,
    name: str,
    rows: Sequence[Row],
    excluded: Sequence[Exclusion],
    *,
    headers: Sequence[dict[str, Any]],
    labels: Sequence[str],
    seed: int | None = None,
) -> Artifact:
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
    }
    if MADE in labels:
        summary["not_simulated"] = NOT_SIMULATED
    ws.write_json("summary.json", summary)
    counts = {"pictures": len(rows), "excluded": len(excluded)}
    return ws.seal(counts=counts, labels=labels, seed=seed)
