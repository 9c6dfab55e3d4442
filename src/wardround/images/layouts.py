"""The layouts in which sets of pictures come, read as rows: which file, which labels.

    own rows   id, image, labels (a list, or one text), modality?, frame?, text_reviewed?     JSONL, JSON
    MedBench   question, answer, an image field (img_path, image, images …), other {id}       JSONL
    MuReD      ID and a 0/1 column for each label; pictures beside it or in `images/`         CSV
    OCT-C8     {train,val,test}/{LABEL}/*.jpg, or {LABEL}/*.jpg; `test` alone where there is one    a folder

Nothing vanishes: a row that can't be read, names no picture or a label outside the list, and a picture that no row
names, are left aside as `Exclusion`s, each with file and row, and the rest goes on.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from wardround.errors import InputError, UsageError
from wardround.images.labels import CLEAN_ZH, Names, names
from wardround.records import Exclusion, Record
from wardround.rows import encoding_of, read_json_rows

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".dicom"}
IMAGE_FIELDS = (
    "image",
    "img_path",
    "image_path",
    "img",
    "images",
    "image_name",
    "filename",
    "file",
)
Layout = Literal["rows", "MedBench", "MuReD", "folders"]


class Row(Record, frozen=True, kw_only=True):
    """One picture with its truth. `image` is relative to the set's root, with forward slashes; `labels` are ids.

    `original` is the digest of the file it was prepared from, when it was prepared before; `sha256` then its own.
    """

    id: str
    image: str
    labels: tuple[str, ...]
    modality: str
    row: int
    frame: int | None = None
    text_reviewed: bool = False
    sha256: str = ""
    original: str = ""


class Set(NamedTuple):
    """A set of pictures as found."""

    root: Path
    layout: Layout
    rows: list[Row]
    excluded: list[Exclusion]


class _Wrong(ValueError):  # noqa: N818
    """A row that must be left aside: (reason, detail)."""


def read_layout(path: Path, modalities: tuple[str, ...]) -> Set:
    """The rows of a set, whatever its layout. `modalities`: those the benchmark knows, the first the default one
    of JSONL rows. `UsageError` when `path` is nothing of the kind."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder", hint="check --data")
    if path.is_dir():
        return _folders(path, modalities)
    if path.suffix.lower() == ".csv":
        return _mured(path, modalities)
    return _json(path, modalities)


def _excluded(path: Path, row: int, what: str, reason: str, detail: str = "") -> Exclusion:
    return Exclusion(stage="load", file=path.name, row=row, what=what, reason=reason, detail=detail)


def _unnamed_picture(path: Path, place: str) -> Exclusion:
    return _excluded(path, 0, place, "image_without_row", "no row names it")


# -- JSONL ----------------------------------------------------------------------------------------------------


def _json(path: Path, modalities: tuple[str, ...]) -> Set:
    rows: list[Row] = []
    out: list[Exclusion] = []
    layout: Layout = "rows"
    bad = lambda number, problem: out.append(  # noqa: E731
        _excluded(path, number, f"row {number}", "unreadable_row", problem)
    )
    for number, row in read_json_rows(path, bad=bad):
        medbench = {"question", "answer"} <= row.keys() and "labels" not in row
        layout = "MedBench" if medbench else layout
        what = _name(row, number)
        try:
            rows.append(_json_row(row, number, what, medbench, modalities))
        except _Wrong as e:
            out.append(_excluded(path, number, what, *e.args))
    rows = _unique(rows, path, out)
    root = path.parent
    out += [_unnamed_picture(path, name) for name in _unnamed(root, rows)]
    return Set(root, layout, rows, out)


def _name(row: Mapping[str, Any], number: int) -> str:
    other = row.get("other")
    given = row.get("id", other.get("id") if isinstance(other, Mapping) else None)
    return str(given).strip() if given not in (None, "") else f"row-{number}"


def _json_row(
    row: Mapping[str, Any], number: int, what: str, medbench: bool, modalities: tuple[str, ...]
) -> Row:
    modality = str(row.get("modality") or modalities[0])
    if modality not in modalities:
        raise _Wrong("unknown_modality", f"{modality}: one of {', '.join(modalities)}")
    given = row.get("answer" if medbench else "labels")
    if given is None:
        raise _Wrong("no_label", "the row says nothing of labels")
    frame = row.get("frame")
    if frame is not None and (not isinstance(frame, int) or isinstance(frame, bool) or frame < 1):
        raise _Wrong("bad_frame", f"{frame!r}: frames count from 1")
    return Row(
        id=what, row=number, image=_image(row), modality=modality, frame=frame,
        labels=_labels(given, names(modality)), text_reviewed=row.get("text_reviewed") is True,
        sha256=str(row.get("sha256") or ""), original=str(row.get("original") or ""),
    )  # fmt: skip


def _image(row: Mapping[str, Any]) -> str:
    for field in IMAGE_FIELDS:
        value = row.get(field)
        if isinstance(value, list):
            if len(value) > 1:
                raise _Wrong("several_images", f"{len(value)} pictures in one row")
            value = value[0] if value else None
        if isinstance(value, str) and value.strip():
            place = PurePosixPath(value.strip().replace("\\", "/"))
            if place.is_absolute() or ".." in place.parts:
                raise _Wrong(
                    "outside_the_set", f"{place}: a picture must lie below its rows' folder"
                )
            return str(place)
    raise _Wrong("no_image", "the row names no picture")  # fmt: skip


def _labels(given: object, known: Names) -> tuple[str, ...]:
    """Ids of labels in a list or one text, in the list's order; clean is empty."""
    pieces = given if isinstance(given, list) else _pieces(str(given), known)
    found: set[str] = set()
    for piece in pieces:
        label = known.id_of(str(piece))
        if label is None:
            raise _Wrong("label_not_in_list", str(piece)[:80])
        found.add(label)
    found.discard("")
    if not found and not known.clean:
        raise _Wrong("no_label", "an image needs at least one label of the list")
    return tuple(i for i in known.ids if i in found)


def _pieces(text: str, known: Names) -> list[str]:
    bare = re.sub(r"^\s*(?:答案|标签|answer|labels?)\s*[:：]", "", text.strip(), flags=re.I)
    bare = bare.strip(" \t\n。.[]【】()（）<>《》\"'")
    if known.id_of(bare) is not None:
        return [bare]
    return [p.strip(" 。.\"'") for p in re.split(r"[,，、;；|\n]", bare) if p.strip(" 。.\"'")]


def _unique(rows: list[Row], path: Path, out: list[Exclusion]) -> list[Row]:
    """Rows with ids of their own; a later one of the same id and picture is left aside, else renamed by its row."""
    seen: dict[str, str] = {}
    kept = []
    for r in rows:
        if seen.get(r.id) == r.image:
            out.append(_excluded(path, r.row, r.id, "duplicate_row", r.image))
            continue
        if r.id in seen:
            r = Row(**{**{f: getattr(r, f) for f in r.__struct_fields__}, "id": f"{r.id}#{r.row}"})
        seen[r.id] = r.image
        kept.append(r)
    return kept


def _unnamed(root: Path, rows: Iterable[Row]) -> Iterator[str]:
    """Pictures below `root` in a folder that rows name pictures in, and that no row names."""
    named = {r.image for r in rows}
    folders = {str(PurePosixPath(i).parent) for i in named}
    for folder in sorted(folders):
        for entry in sorted(_entries(root / folder)):
            place = str(PurePosixPath(folder) / entry)
            if place not in named and PurePosixPath(entry).suffix.lower() in ENDINGS:
                yield place


def _entries(folder: Path) -> list[str]:
    try:
        return [e.name for e in os.scandir(folder) if e.is_file()]
    except OSError:
        return []


# -- MuReD ----------------------------------------------------------------------------------------------------


def _mured(path: Path, modalities: tuple[str, ...]) -> Set:
    modality = next((m for m in modalities if m == "fundus"), modalities[0])
    known = names(modality)
    text = path.read_text(encoding=encoding_of(path))
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [c.strip() for c in next(reader, [])]
    if not header or header[0].casefold() not in {"id", "image", "image_id", "filename"}:
        raise InputError(
            "not a table of pictures: its first column must be ID", path=path, row=1,
            hint="MuReD: ID and one column for each label",
        )  # fmt: skip
    columns = {k: known.id_of(c) for k, c in enumerate(header) if k}
    files = _by_stem(path.parent)
    rows: list[Row] = []
    out = [
        _excluded(path, 1, header[k], "label_not_in_list", "a column of no known label")
        for k, label in columns.items()
        if not label
    ]
    for number, cells in enumerate(reader, start=2):
        if not any(c.strip() for c in cells):
            continue
        what = cells[0].strip()
        try:
            labels = _marked(cells, header, columns, known)
            place = files.get(what.casefold()) or files.get(Path(what).stem.casefold())
            if place is None:
                raise _Wrong("missing_image", f"no picture named {what}")
            rows.append(Row(id=what, image=place, labels=labels, modality=modality, row=number))
        except _Wrong as e:
            out.append(_excluded(path, number, what, *e.args))
    rows = _unique(rows, path, out)
    named = {r.image for r in rows} | {files[e.what.casefold()] for e in out if e.what.casefold() in files}  # fmt: skip
    out += [_unnamed_picture(path, place) for place in sorted(set(files.values()) - named)]
    return Set(path.parent, "MuReD", rows, out)


def _marked(
    cells: list[str], header: list[str], columns: Mapping[int, str | None], known: Names
) -> tuple[str, ...]:
    if len(cells) != len(header):
        raise _Wrong("unreadable_row", f"{len(cells)} cells, {len(header)} columns")
    found = set()
    for k, label in columns.items():
        value = cells[k].strip()
        if value not in {"", "0", "1", "0.0", "1.0"}:
            raise _Wrong("unreadable_row", f"{header[k]}: {value[:20]} is neither 0 nor 1")
        if value in {"1", "1.0"}:
            if not label:
                raise _Wrong("label_not_in_list", header[k])
            found.add(label)
    if not found:
        raise _Wrong("no_label", "no column is 1")
    return tuple(i for i in known.ids if i in found)


def _by_stem(root: Path) -> dict[str, str]:
    """Pictures below `root` by their name without ending, in lower case."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in ENDINGS and path.is_file():
            found.setdefault(path.stem.casefold(), path.relative_to(root).as_posix())
    return found


# -- folders --------------------------------------------------------------------------------------------------


def _folders(path: Path, modalities: tuple[str, ...]) -> Set:
    """A folder for each label; splits above them, of which `test` alone is read."""
    modality = next((m for m in modalities if m == "oct"), modalities[0])
    known = names(modality)
    root = path / "test" if (path / "test").is_dir() else path
    rows: list[Row] = []
    out: list[Exclusion] = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        label = known.id_of(folder.name)
        for name in sorted(_entries(folder)):
            place = (folder / name).relative_to(path).as_posix()
            if label is None:
                out.append(_excluded(folder, 0, place, "label_not_in_list", folder.name))
            elif PurePosixPath(name).suffix.lower() not in ENDINGS:
                out.append(_excluded(folder, 0, place, "not_an_image", "by its name's ending"))
            else:
                found = (label,) if label else ()
                rows.append(
                    Row(id=place, image=place, labels=found, modality=modality, row=len(rows) + 1)
                )
    if not rows:
        raise UsageError(
            f"{path}: no folder named after a label of {modality} with pictures in it",
            hint=f"labels: {', '.join(known.ids)}" + (f", {CLEAN_ZH}" if known.clean else ""),
        )
    return Set(path, "folders", rows, out)
