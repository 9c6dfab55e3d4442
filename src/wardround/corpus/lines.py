"""Rows of line formats (JSONL, CSV), read as a stream: memory holds one row, whatever the file's size.

A source as found may change its encoding between lines, so every row is decoded on its own: strict UTF-8,
else GB18030, else it is kept aside. A file whose bytes are nowhere UTF-8 is read as GB18030 first, because a
short GB18030 line can be valid UTF-8 by chance. No row stops the file: what cannot be read is a `Row` with
its reason. Rows are counted as people count them: JSONL by line, CSV by record without the header.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from wardround.errors import InputError
from wardround.records import Record
from wardround.rows import encoding_of

UTF8, GB18030, MIXED = "utf-8", "gb18030", "mixed"
MALFORMED, UNDECODABLE, TRUNCATED = "malformed_row", "undecodable", "truncated"
BOM = codecs.BOM_UTF8
_BLOCK = 1 << 20
_SURE = 4
"""A GB18030 line that is valid UTF-8 with this many Chinese characters has not been seen."""
_LONGEST_RECORD = 1 << 22
_ZEROS = re.compile(rb"\x00")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Row(Record, frozen=True, kw_only=True):
    """One row as its file has it, or why there is none (`reason` a closed code, `problem` a sentence)."""

    number: int
    value: dict[str, Any] | None = None
    problem: str = ""
    reason: str = ""


def survey(path: Path) -> tuple[str, str]:
    """(encoding, SHA-256) of a text file; encoding is "utf-8", "gb18030" or "mixed".

    Raises `InputError` for a file that is not text, or text in UTF-16 or UTF-32.
    """
    digest, whole = hashlib.sha256(), True
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as f:
        head = f.read(_BLOCK)
        _refuse_binary(head, path)
        block = head
        while block:
            digest.update(block)
            if whole:
                whole = _decodes(decoder, block)
            block = f.read(_BLOCK)
    whole = whole and _decodes(decoder, b"", final=True)
    return UTF8 if whole else _other(path), digest.hexdigest()


def _refuse_binary(head: bytes, path: Path) -> None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            "UTF-16 text is not read", path=path, hint="iconv -f UTF-16 -t UTF-8 FILE > NEW"
        )
    if _ZEROS.search(head):
        raise InputError(
            "a binary file, not text", path=path,
            hint="sources are JSONL, JSON, CSV, text, Markdown, DOCX, PDF or FHIR",
        )  # fmt: skip


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError:
        return False
    return True


def _other(path: Path) -> str:
    """ "gb18030" when all of it decodes so and no line is surely UTF-8, else "mixed"."""
    try:
        whole = encoding_of(path) == GB18030
    except InputError:
        return MIXED
    with open(path, "rb") as f:
        return GB18030 if whole and not any(map(_surely_utf8, _pieces(f))) else MIXED


def _pieces(f: BinaryIO) -> Iterator[bytes]:
    """Lines, cut at quotation marks when they are very long: neither mark is ever part of a character."""
    while line := f.readline(_BLOCK):
        while not line.endswith((b"\n", b'"')) and (more := f.read(1)):
            line += more
        yield line


def _surely_utf8(line: bytes) -> bool:
    if line.isascii():
        return False
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    return sum(c > "\u2e7f" for c in text) >= _SURE


def decoded(line: bytes, encoding: str) -> str | None:
    """A line's text without its BOM, None when it is in neither encoding."""
    order = (GB18030, UTF8) if encoding == GB18030 else (UTF8, GB18030)
    for name in order:
        try:
            return line.decode(name).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
    return None


def undecodable(number: int) -> Row:
    """The row that is in neither encoding."""
    return Row(
        number=number, problem="neither UTF-8 nor GB18030 from its first to its last byte",
        reason=UNDECODABLE,
    )  # fmt: skip


# -- JSONL --------------------------------------------------------------------------------------------------


def jsonl(
    path: Path, encoding: str, *, start: int = 0, end: int | None = None, first_row: int = 1
) -> Iterator[Row]:
    """Rows whose lines begin in bytes [start, end); blank lines are counted, not given."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with open(path, "rb") as f:
        f.seek(start)
        at = start
        for number, line in enumerate(f, start=first_row):
            if end is not None and at >= end:
                return
            at += len(line)
            if encoding == UTF8:
                try:
                    yield Row(number=number, value=decode(line))
                    continue
                except (msgspec.DecodeError, UnicodeDecodeError):
                    pass
            if line.isspace():
                continue
            text = decoded(line, encoding)
            if text is None:
                yield undecodable(number)
            elif text.strip():
                yield object_row(text, number)


def object_row(text: str, number: int) -> Row:
    """One JSON object as a row. NaN counts as nothing; a raw tab or newline within a text is let pass."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as e:
        try:
            value = json.loads(text, strict=False, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return Row(number=number, problem=f"malformed JSON: {e}", reason=MALFORMED)
    return checked_row(value, text, number)


def checked_row(value: object, text: str, number: int) -> Row:
    """A decoded value as a row; half characters and what is no object are refused."""
    if not isinstance(value, dict):
        name = type(value).__name__
        return Row(number=number, problem=f"a JSON {name}, not an object", reason=MALFORMED)
    if _ESCAPED_SURROGATE.search(text):
        try:
            msgspec.json.encode(value)
        except UnicodeEncodeError:
            return Row(number=number, problem="half a character (\\ud…) in it", reason=UNDECODABLE)
    return Row(number=number, value=value)


def jsonl_cuts(path: Path, rows_per_shard: int) -> Iterator[tuple[int, int, int]]:
    """(start, end, first_row) of shards of `rows_per_shard` lines."""
    start = at = 0
    first = number = 1
    with open(path, "rb") as f:
        for number, line in enumerate(f, start=1):
            if number - first == rows_per_shard:
                yield start, at, first
                start, first = at, number
            at += len(line)
    if at > start:
        yield start, at, first


# -- CSV ----------------------------------------------------------------------------------------------------


def records(f: BinaryIO, delimiter: str) -> Iterator[tuple[int, bytes, bool]]:
    """(byte length, record, whether it is whole) of a CSV stream from here on; a quoted field may hold line
    breaks.

    A quote that is never closed would swallow the file: past 4 MB, at its end, or where a later row's opening
    quote would have to close it (no delimiter follows), the record is given as its first line alone, not whole, and
    reading goes on at the next line.
    """
    inside, closes_badly = _quotes(delimiter), _closes_badly(delimiter)
    at = f.tell()
    while line := f.readline():
        record, is_open = line, b'"' in line and inside(line, False)
        if is_open:
            lines, size = [line], len(line)
            while is_open and size < _LONGEST_RECORD and (more := f.readline()):
                lines.append(more)
                size += len(more)
                if closes_badly(more):
                    break
                is_open = inside(more, True)
            if is_open:
                f.seek(at + len(line))
            else:
                record = b"".join(lines)
        yield len(record), record, not is_open
        at += len(record)


def _quotes(delimiter: str) -> Callable[[bytes, bool], bool]:
    """A function of a line, and whether it begins within a quoted field: whether it ends within one. Only a
    quote at a field's start opens one, as in the csv module."""
    sep = re.escape(delimiter.encode())
    quoted = re.compile(rb'(^|%b)"(?:[^"]++|"")*+"' % sep)
    opened = re.compile(rb'(?:^|%b)"' % sep)
    closing = re.compile(rb'(?:[^"]++|"")*+"')

    def inside(line: bytes, within: bool) -> bool:
        if within:
            m = closing.match(line)
            if m is None:
                return True
            line = b"x" + line[m.end() :]
        return b'"' in line and opened.search(quoted.sub(rb"\1x", line)) is not None

    return inside


def _closes_badly(delimiter: str) -> Callable[[bytes], bool]:
    """A function of a line that begins within a quoted field: whether the quote that would end the field stands
    before something else than a delimiter or the line's end."""
    sep = re.escape(delimiter.encode())
    wrong = re.compile(rb'(?:[^"]++|"")*+"(?![\s"]|%b|\Z)' % sep)
    return lambda line: wrong.match(line) is not None


def csv_fields(record: str, delimiter: str) -> list[str]:
    """The fields of one record; [] for a blank one. A stray carriage return counts as a blank."""
    csv.field_size_limit(_LONGEST_RECORD * 2)
    try:
        return next(csv.reader([record], delimiter=delimiter), [])
    except csv.Error:
        return next(csv.reader([record.replace("\r", " ").strip()], delimiter=delimiter), [])


def csv_header(path: Path, encoding: str) -> tuple[tuple[str, ...], str, int]:
    """(columns, delimiter, offset of the first record behind the header)."""
    with open(path, "rb") as f:
        at = 0
        while line := f.readline():
            text = decoded(line, encoding)
            if text is None or text.strip():
                break
            at += len(line)
        else:
            return (), ",", at
        head = "" if text is None else text
        delimiter = max(",\t;", key=lambda d: len(csv_fields(head, d)))
        f.seek(at)
        length, record, _ = next(records(f, delimiter))
        found = decoded(record, encoding)
        columns = () if found is None else tuple(c.strip() for c in csv_fields(found, delimiter))
        return columns, delimiter, at + length


def csv_rows(
    path: Path,
    encoding: str,
    columns: tuple[str, ...],
    delimiter: str,
    *,
    start: int = 0,
    end: int | None = None,
    first_row: int = 1,
) -> Iterator[Row]:
    """Records that begin in bytes [start, end), the header left out when `start` is 0."""
    if start == 0:
        start = csv_header(path, encoding)[2]
    number, width = first_row - 1, len(columns)
    with open(path, "rb") as f:
        f.seek(start)
        at = start
        for length, record, closed in records(f, delimiter):
            if end is not None and at >= end:
                return
            at += length
            if _blank(record):
                continue
            number += 1
            text = decoded(record, encoding)
            if text is None:
                yield undecodable(number)
                continue
            fields = csv_fields(text, delimiter)
            if not closed:
                problem = "a quote is opened and not closed"
                yield Row(number=number, problem=problem, reason=MALFORMED)
                continue
            while len(fields) > width and not fields[-1].strip():
                fields.pop()
            if len(fields) == width:
                yield Row(number=number, value=dict(zip(columns, fields, strict=True)))
            else:
                # Nothing says which field is which, so none is guessed.
                problem = f"{len(fields)} fields, the header has {width}"
                yield Row(number=number, problem=problem, reason=MALFORMED)


def _blank(record: bytes) -> bool:
    return record.isspace() or record == BOM


def csv_cuts(
    path: Path, encoding: str, delimiter: str, rows_per_shard: int
) -> Iterator[tuple[int, int, int]]:
    """(start, end, first_row) of shards of `rows_per_shard` records, never within a quoted field."""
    start = at = csv_header(path, encoding)[2]
    first, number = 1, 0
    with open(path, "rb") as f:
        f.seek(start)
        for length, record, _ in records(f, delimiter):
            if not _blank(record):
                number += 1
                if number - first == rows_per_shard:
                    yield start, at, first
                    start, first = at, number
            at += length
    if at > start:
        yield start, at, first
