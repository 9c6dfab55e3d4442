"""Doctors' scores from a table: one row for each item and rater, as any spreadsheet saves it.

Columns, under any of the names in `COLUMNS`, in any order, further ones ignored:

    item        the case id of the run (required)
    score       a number on the benchmark's scale (required; a blank cell is kept aside as "no_score")
    rater       who gave it; one unnamed rater when there is no such column
    benchmark   needed when the run has several
    turn        from 1, default 1
    repeat      from 1, default 1

CSV in any of its encodings, or XLSX (`wardround.sheets`). Rows are numbered as a spreadsheet shows them: the header is
row 1.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from wardround import sheets
from wardround.errors import InputError
from wardround.records import Exclusion, Record

COLUMNS: dict[str, tuple[str, ...]] = {
    "item": ("item", "case", "id", "item_id", "case_id", "题目", "题号", "编号", "病例", "病例编号"),
    "score": ("score", "rating", "value", "评分", "分数", "得分"),
    "rater": ("rater", "rater_id", "doctor", "reviewer", "annotator", "评分者", "评分人", "评审", "医生", "医师"),
    "benchmark": ("benchmark", "评测", "测试集"),
    "turn": ("turn", "轮次", "轮"),
    "repeat": ("repeat", "重复"),
}  # fmt: skip
SOLE_RATER = "rater"


class Rating(Record, frozen=True, kw_only=True):
    """One doctor's score of one item; `benchmark` is "" where the table doesn't say."""

    row: int
    benchmark: str
    case: str
    turn: int
    repeat: int
    rater: str
    score: float


def read_scores(path: Path) -> tuple[list[Rating], list[Exclusion]]:
    """Ratings in file order, and the rows without a score.

    Raises `UsageError` when the file is missing, `InputError` naming the row for anything that can't be read.
    """
    ratings: list[Rating] = []
    blank: list[Exclusion] = []
    for number, row in _rows(path):
        case = row.get("item", "")
        if not case:
            raise InputError("no item", path=path, row=number, hint="give the run's case id")
        if not row["score"]:
            blank.append(aside(path, number, case, "no_score", "the score is blank"))
            continue
        ratings.append(
            Rating(
                row=number,
                benchmark=row.get("benchmark", ""),
                case=case,
                turn=_whole(row.get("turn", ""), "turn", path, number),
                repeat=_whole(row.get("repeat", ""), "repeat", path, number),
                rater=row.get("rater", "") or SOLE_RATER,
                score=_number(row["score"], path, number),
            )
        )
    return ratings, blank


def aside(path: Path, row: int, what: str, reason: str, detail: str) -> Exclusion:
    """A row of the table that is not used, with its reason."""
    return Exclusion(
        stage="agree", file=path.name, row=row, what=what, reason=reason, detail=detail
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(row number, our column name → cell); empty rows skipped."""
    sheet = sheets.read(path)
    places = _places(sheet.headings, path)
    for line in sheet.rows:
        if len(line.cells) <= max(places.values()):
            raise InputError(
                f"only {len(line.cells)} cells", path=path, row=line.number,
                hint="every row needs the header's columns",
            )  # fmt: skip
        yield line.number, {name: line.cells[i] for name, i in places.items()}


def _places(header: Sequence[str], path: Path) -> dict[str, int]:
    """Our column name → its index in the file."""
    found: dict[str, int] = {}
    for i, cell in enumerate(header):
        name = "_".join(unicodedata.normalize("NFKC", cell).lower().split())
        for ours, names in COLUMNS.items():
            if name not in names:
                continue
            if ours in found:
                raise InputError(
                    f"two columns for {ours}: {header[found[ours]]!r} and {cell!r}", path=path, row=1,
                    hint="keep one of them",
                )  # fmt: skip
            found[ours] = i
    absent = [name for name in ("item", "score") if name not in found]
    if absent:
        known = "; ".join(f"{name}: {', '.join(COLUMNS[name])}" for name in absent)
        raise InputError(
            f"no column for {' and '.join(absent)} (found: {', '.join(header)})", path=path, row=1,
            hint=f"name it one of: {known}",
        )  # fmt: skip
    return found


def _number(cell: str, path: Path, row: int) -> float:
    try:
        value = float(unicodedata.normalize("NFKC", cell))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"the score {cell!r} is not a number", path=path, row=row,
            hint="give a number, or leave the cell blank",
        )  # fmt: skip
    return value


def _whole(cell: str, what: str, path: Path, row: int) -> int:
    """A turn or repeat, from 1; 1 when the cell is blank."""
    if not cell:
        return 1
    text = unicodedata.normalize("NFKC", cell).removesuffix(".0")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(
            f"the {what} {cell!r} is not a whole number from 1", path=path, row=row,
            hint="leave it blank for 1",
        )  # fmt: skip
    return int(text)
