"""Rows of JSONL and JSON files in UTF-8 or GB18030: the one reader of source and test-set rows.

The encoding is found by strict decoding of the whole file in blocks, never guessed from a sample. JSONL is
read a line at a time, so memory stays bounded; a JSON array is read whole. A row that cannot be read raises
`InputError` with its number, unless the caller takes bad rows in through `bad` to keep them aside.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from wardround.errors import InputError, UsageError

_BLOCK = 1 << 20
_ENCODINGS = ("utf-8-sig", "gb18030")

Bad = Callable[[int, str], None]
"""Takes a bad row: its number from 1 and what is wrong with it."""

STARTER = (
    "自编入门题集，未经医师审定 / Starter items written for this project, not reviewed by a doctor"
)

ITEMS = Path(__file__).parent / "benchmarks" / "items"
"""The items that come with the package."""


def encoding_of(path: Path) -> str:
    """ "utf-8-sig" (UTF-8 with or without BOM) or "gb18030"; `InputError` when the bytes are neither."""
    where = {}
    for encoding in _ENCODINGS:
        offset = _first_undecodable(path, encoding)
        if offset is None:
            return encoding
        where[encoding] = offset
    raise InputError(
        "neither UTF-8 nor GB18030: "
        + ", ".join(f"{e.removesuffix('-sig')} fails near byte {o}" for e, o in where.items()),
        path=path,
        hint="convert it first, e.g. iconv -f BIG5 -t UTF-8 FILE > NEW",
    )


def _first_undecodable(path: Path, encoding: str) -> int | None:
    """Byte offset of the first undecodable sequence, within a few bytes, or None when all decodes."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    offset = 0
    with open(path, "rb") as f:
        while True:
            data = f.read(_BLOCK)
            try:
                decoder.decode(data, final=not data)
            except UnicodeDecodeError as e:
                return offset + e.start
            if not data:
                return None
            offset += len(data)


def read_json_rows(path: Path, *, bad: Bad | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, object) for each row of a JSONL file (blank lines skipped) or JSON array of objects.

    Raises `UsageError` when the file is missing, `InputError` naming the row when one is not an object.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="check the path")
    encoding = encoding_of(path)
    if _starts_with_bracket(path, encoding):
        yield from _array(path, encoding, bad)
        return
    with open(path, encoding=encoding, newline="\n") as f:
        for number, line in enumerate(f, start=1):
            if not line.strip():
                continue
            row = _object(line, path, number, bad)
            if row is not None:
                yield number, row


def _starts_with_bracket(path: Path, encoding: str) -> bool:
    with open(path, encoding=encoding) as f:
        while piece := f.read(256):
            if piece.strip():
                return piece.lstrip().startswith("[")
    return False


def _array(path: Path, encoding: str, bad: Bad | None) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        rows = msgspec.json.decode(path.read_text(encoding=encoding), type=list[Any])
    except msgspec.DecodeError as e:
        raise InputError(f"not a JSON array: {e}", path=path, hint="mend the file") from e
    for number, row in enumerate(rows, start=1):
        if isinstance(row, dict):
            yield number, row
        else:
            _refuse(path, number, f"a {type(row).__name__}, not an object", bad)


def _object(line: str, path: Path, number: int, bad: Bad | None) -> dict[str, Any] | None:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as e:
        _refuse(path, number, f"malformed JSON: {e}", bad)
        return None
    if not isinstance(row, dict):
        _refuse(path, number, f"a JSON {type(row).__name__}, not an object", bad)
        return None
    return row


def _refuse(path: Path, number: int, problem: str, bad: Bad | None) -> None:
    if bad is None:
        raise InputError(
            problem, path=path, row=number,
            hint="mend the row, or leave it out",
        )  # fmt: skip
    bad(number, problem)


def read_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(row number from 1, row) for each row of a .jsonl, .json or .parquet file."""
    if path.suffix == ".parquet":
        yield from _parquet(path)
    else:
        yield from read_json_rows(path)


def _parquet(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as e:
        raise InputError(f"not a Parquet file ({e})", path=path, hint="check the file") from e
    number = 0
    with file:
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row


def text_of(row: Mapping[str, Any], field: str) -> str:
    """The field as stripped text; "" when absent or null."""
    value = row.get(field)
    return "" if value is None else str(value).strip()


def starter_label(row: Mapping[str, Any]) -> list[str]:
    """The label that every report must show while a row of ours says that no doctor has reviewed it."""
    return [STARTER] if text_of(row, "review") == "unreviewed" else []
