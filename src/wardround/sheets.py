"""Tables that people fill in, as files: CSV and XLSX, written so that no cell is ever a formula, read whatever program saved them.

A text that a spreadsheet would take for a formula gets an apostrophe in front; so does a text that has one before
such a beginning already, which makes it exact both ways: `inert` writes, `plain` reads. CSV is written as UTF-8 with
a byte-order mark (Excel needs it for Chinese) and read as UTF-8, UTF-16 or GB18030, separated by commas, semicolons
or tabs. Row numbers are those a spreadsheet shows: the headings are row 1.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from wardround.errors import InputError, UsageError
from wardround.records import Record
from wardround.rows import encoding_of

_RISKY = re.compile(r"'*[\s\u200b\ufeff]*[=+\-@＝＋－＠\t\r\n|%]")
_MOST_BYTES = 64 << 20
_MOST_ROWS, _MOST_COLUMNS = 100_000, 2_000
_SIGNATURES = {b"PK\x03\x04": "xlsx", b"\xd0\xcf\x11\xe0": "xls"}


class Line(Record, frozen=True, kw_only=True):
    """One row of a table: its number in the file and its cells as text."""

    number: int
    cells: tuple[str, ...]


class Sheet(Record, frozen=True, kw_only=True):
    """A table: the file's name, its headings and its rows; wholly empty rows are left out."""

    name: str
    headings: tuple[str, ...]
    rows: tuple[Line, ...]


def inert(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if _RISKY.match(text) else text


def plain(cell: str) -> str:
    """The text that `inert` made the cell of."""
    return cell[1:] if cell.startswith("'") and _RISKY.match(cell[1:]) else cell


def cell(value: Any) -> str | int | float:
    """A value as a cell: numbers stay numbers, texts are made inert, None is empty."""
    if value is None:
        return ""
    return (
        value
        if isinstance(value, int | float) and not isinstance(value, bool)
        else inert(str(value))
    )


def write_csv(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([cell(h) for h in headings])
    writer.writerows([cell(v) for v in row] for row in rows)
    return codecs.BOM_UTF8 + out.getvalue().encode()


def write_xlsx(sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Any]]]]) -> bytes:
    """An XLSX file of sheets by name. Texts are stored as texts, whatever they look like."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.worksheets[0])
    for name, (headings, rows) in sheets.items():
        page = book.create_sheet(name[:31])
        for number, row in enumerate([headings, *rows], start=1):
            for column, value in enumerate(row, start=1):
                shown = cell(value)
                if shown == "":
                    continue
                place = page.cell(row=number, column=column)
                place.value = shown
                if isinstance(shown, str):
                    place.data_type = "s"
                    place.alignment = Alignment(wrap_text=True, vertical="top")
                if number == 1:
                    place.font = Font(bold=True)
        page.freeze_panes = "A2"
        for column, heading in enumerate(headings, start=1):
            page.column_dimensions[get_column_letter(column)].width = min(
                40, max(10, len(heading) + 4)
            )
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def read(path: Path) -> Sheet:
    """The table in a CSV or XLSX file (of several sheets the first). `InputError` when it is neither, or too large."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="check the path")
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"larger than {_MOST_BYTES >> 20} MB", path=path, hint="split it")
    with open(path, "rb") as f:
        kind = _SIGNATURES.get(f.read(4), "csv")
    if kind == "xls":
        raise InputError("an old Excel file (.xls)", path=path, hint="save it as .xlsx or CSV")
    lines = _xlsx(path) if kind == "xlsx" else _csv(path)
    kept: list[Line] = []
    for number, cells in lines:
        if len(kept) > _MOST_ROWS or len(cells) > _MOST_COLUMNS:
            raise InputError(
                f"more than {_MOST_ROWS} rows or {_MOST_COLUMNS} columns", path=path, row=number
            )
        if any(c.strip() for c in cells):
            kept.append(Line(number=number, cells=tuple(plain(c.strip()) for c in cells)))
    if not kept:
        raise InputError("empty", path=path, hint="give a table with headings in its first row")
    return Sheet(name=path.name, headings=kept[0].cells, rows=tuple(kept[1:]))


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    encoding = _encoding(path)
    try:
        text = path.read_bytes().decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as e:
        raise InputError(
            f"not {encoding}: {e}", path=path, hint="save the table as CSV again"
        ) from e
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
    number = 0
    try:
        for number, cells in enumerate(reader, start=1):
            yield number, cells
    except csv.Error as e:
        raise InputError(
            f"malformed CSV: {e}", path=path, row=number + 1, hint="save the table as CSV again"
        ) from e


def _encoding(path: Path) -> str:
    with open(path, "rb") as f:
        start = f.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    return encoding_of(path)


def _xlsx(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise UsageError(
            f"{path}: a spreadsheet workbook; reading one needs openpyxl",
            hint="pip install 'wardround[web]', or in the spreadsheet program choose Save as, CSV UTF-8 (逗号分隔)",
        ) from None

    try:
        with zipfile.ZipFile(path) as z:
            if sum(i.file_size for i in z.infolist()) > 8 * _MOST_BYTES:
                raise InputError("unpacks to more than 512 MB", path=path, hint="split it")
        # By its bytes: what it is called says nothing.
        with open(path, "rb") as f:
            book = load_workbook(f, read_only=True, data_only=True)
            for number, row in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
                yield number, [_text(v) for v in row]
            book.close()
    except InputError:
        raise
    except Exception as e:  # whatever a damaged or hostile file makes of the reader
        raise InputError(
            f"not a readable XLSX file ({e})", path=path,
            hint="save it again, or as CSV UTF-8 (逗号分隔)",
        ) from e  # fmt: skip


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)
