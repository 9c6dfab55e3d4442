"""Sets of pictures made here, so that their truth is known: faults made in clean X-rays, and drawn phantoms.

`generate` makes faults in clean pictures of the user's; `phantoms` draws everything. `starter` is the phantoms that an
evaluation without data of its own is asked about: drawn when first needed and kept in the user's cache, since pictures
have no place among a package's files.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wardround.artifact import MANIFEST, Artifact, Workspace, begin, open_artifact, ref
from wardround.errors import InputError, UsageError
from wardround.images import phantom_chest, phantom_eye, phantom_oct
from wardround.images.collect import check_name, held, many, seal, write_row
from wardround.images.cxr_faults import NOT_SIMULATED, Base, drawn_faults, make
from wardround.images.held import HeldBack, extra
from wardround.images.layouts import Row
from wardround.images.picture import Picture, prepare
from wardround.records import Exclusion

if TYPE_CHECKING:
    from wardround.metrics.arrays import np

MADE = "质量问题由程序在像素上做出，不是临床病例 / Quality faults made in the pixels by a program; not clinical cases"
PHANTOM = (
    "图像是程序画出的示意图（体模），不是临床影像；得分不能说明模型看图的能力 / "
    "Pictures are phantoms drawn by a program, not clinical ones; scores say nothing of a model's sight"
)


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
        clean: list[Clean] = []
        for k, (path, base) in enumerate(bases, start=1):
            try:
                found = prepare(path)
                clean.append(Clean(_grey(found.data), base, found.original))
            except HeldBack as e:
                row = Row(id=path.name, image=path.name, labels=(), modality="cxr", row=k)
                excluded.append(held(row, e))
        if not clean:
            raise UsageError(
                f"no base is left ({many(excluded)})", hint="give clean PA chest X-rays"
            )
        rows = _faulty(ws, clean, count, seed, prevalence)
        more = {"not_simulated": NOT_SIMULATED}
        return seal(ws, name, rows, excluded, headers=[], labels=[MADE], seed=seed, more=more)


class Clean(NamedTuple):
    """A clean picture to make faults in: grey pixels, what is known of them, the digest it is named by."""

    pixels: np.ndarray
    base: Base
    original: str


EDITION = 1
"""Counts changes of the drawings: other pictures under the same seed are another set."""
CHESTS, PREVALENCE, COUNT = 4, 0.75, 24
EYES: tuple[tuple[str, tuple[str, ...]], ...] = (
    *(("fundus", (label,)) for label in phantom_eye.FUNDUS),
    *(("oct", (label,)) for label in phantom_oct.OCT),
    ("fundus", ("DR", "MH")), ("fundus", ("DR", "LS")), ("fundus", ("ODC", "MYA")), ("oct", ("NORMAL",)),
    ("oct", ("DME",)), ("fundus", ("NORMAL",)),
)  # fmt: skip
"""What is drawn of eyes, in turn."""
ARGUABLE = {"DN": ("ARMD",), "DRUSEN": ("AMD",), "CNV": ("AMD",), "DME": ("DR",)}
"""Labels that a strict reader might give as well."""


def phantoms(name: str, out: Path, *, seed: int = 0, count: int = COUNT) -> Artifact:
    """A set of `count` drawn phantoms for benchmark `name`."""
    check_name(name)
    config = {"set": name, "count": count, "seed": seed, "phantoms": EDITION}
    with begin(out, kind="images", config=config, inputs=[]) as ws:
        if ws.done:
            return open_artifact(out)
        with extra():
            if name == "cxr_quality":
                drawn = [phantom_chest.chest(seed, k) for k in range(CHESTS)]
                clean = [Clean(p.pixels, p.base, _sha(_png(p.pixels))) for p in drawn]
                rows, left = _faulty(ws, clean, count, seed, PREVALENCE), NOT_SIMULATED
            else:
                rows, left = _eyes(ws, count, seed), phantom_eye.NOT_DRAWN
        more = {"not_simulated": left}
        return seal(ws, name, rows, [], headers=[], labels=[PHANTOM], seed=seed, more=more)


def starter(name: str) -> Path:
    """The rows of the starter set for benchmark `name`: phantoms, drawn at the first call and kept.

    `UsageError` when there is no place to keep them.
    """
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    place = Path(home) / "wardround" / f"phantoms-{EDITION}-{name}"
    if not (place / MANIFEST).exists():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
                made = phantoms(name, Path(scratch) / "set")
                with contextlib.suppress(OSError):  # another process was first: its set is the same
                    made.path.rename(place)
        except OSError as e:
            raise UsageError(
                f"{place}: the starter pictures can't be kept there ({e.strerror})",
                hint=f"wardround images phantoms {name} --out SET, then --data SET",
            ) from e
    return open_artifact(place, "images").file(f"{name}.jsonl")


def _eyes(ws: Workspace, count: int, seed: int) -> list[Row]:
    """Fundus photographs and OCT scans, drawn; their truth in `truth.jsonl`."""
    from wardround.metrics.arrays import np

    rows, truth = [], []
    for k in range(1, count + 1):
        modality, labels = EYES[(k - 1) % len(EYES)]
        name = f"drawn-{k:04d}"
        if modality == "fundus":
            image = phantom_eye.fundus(labels, seed, name)
        else:
            image = phantom_oct.scan(labels[0], seed, name)
        pixels = np.asarray(image)
        row = Row(id=name, image="", labels=labels, modality=modality, row=k)
        rows.append(write_row(ws, "retina", row, _finished(pixels, _sha(_png(pixels)))))
        arguable = sorted({a for label in labels for a in ARGUABLE.get(label, ())} - {*labels})
        truth.append({"id": name, "labels": labels, "arguable": arguable})
    ws.write_jsonl("truth.jsonl", truth)
    return rows


def _faulty(
    ws: Workspace, clean: Sequence[Clean], count: int, seed: int, prevalence: float
) -> list[Row]:
    """`count` pictures of the clean ones in turn, faults made in them; their truth in `truth.jsonl`."""
    import random

    rows, truth = [], []
    for k in range(1, count + 1):
        name = f"made-{k:04d}"
        pixels, base, original = clean[(k - 1) % len(clean)]
        faults = drawn_faults(base, prevalence, random.Random(f"{seed}/{name}/faults"))
        made = make(pixels, base, faults, seed=seed, name=name)
        row = Row(id=name, image="", labels=made.labels, modality="cxr", row=k)
        rows.append(write_row(ws, "cxr_quality", row, _finished(made.pixels, original)))
        truth.append({
            "id": name, "base": original, "labels": made.labels, "edits": made.edits,
            "arguable": made.arguable,
        })  # fmt: skip
    ws.write_jsonl("truth.jsonl", truth)
    return rows


def _grey(data: bytes) -> np.ndarray:
    from PIL import Image

    from wardround.metrics.arrays import np

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))


def _png(pixels: np.ndarray) -> bytes:
    """Pixels, grey or RGB, as a PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=3)
    return out.getvalue()


def _finished(pixels: np.ndarray, original: str) -> Picture:
    return Picture(
        data=_png(pixels), media="image/png", width=pixels.shape[1], height=pixels.shape[0],
        original=original, kind="png",
    )  # fmt: skip


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
