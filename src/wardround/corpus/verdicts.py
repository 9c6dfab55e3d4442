"""The checking sheet read back: what the doctors' verdicts say of the whole training side.

A sheet comes back from a spreadsheet program, so it may be a workbook, or CSV of any encoding and separator, its
columns moved and further ones added. Every row is held
against the dataset: an id that is not in it, a row of another stratum, an id twice or a verdict outside the list
is an error that names the row (numbered as the spreadsheet shows them, the header is row 1), and all of them are
reported at once. A row without a verdict is not judged yet and counts for nothing, neither right nor wrong.

`accuracy` is the share of 合格, `acceptable` that of 合格 and 有小问题. Overall figures are post-stratified:
each stratum weighs what it weighs in the dataset, whatever number was drawn from it.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wardround import sheets
from wardround.corpus.readback import train_columns
from wardround.corpus.sampling import (
    BAD,
    COLUMNS,
    GOOD,
    MINOR,
    SIDES,
    VERDICTS,
    By,
    strata_sizes,
    stratum_names,
    stratum_of,
)
from wardround.errors import InputError, UsageError
from wardround.metrics.proportions import NONE, Share, Stratum, post_stratified, wilson
from wardround.records import Record

SHOWN = 8
NEEDED = ("id", "stratum", "verdict")
_SPELLINGS = {
    "合格": GOOD, "正确": GOOD, "good": GOOD, "pass": GOOD,
    "有小问题": MINOR, "小问题": MINOR, "minor": MINOR,
    "不合格": BAD, "错误": BAD, "bad": BAD, "fail": BAD,
}  # fmt: skip


class Judged(Record, frozen=True, kw_only=True):
    """One stratum: `size` samples in the dataset, `drawn` rows on the sheet, `n` of them judged.

    `verdicts` counts each verdict. Shares are None where nothing was judged.
    """

    stratum: str
    zh: str
    en: str
    size: int
    drawn: int
    n: int
    verdicts: dict[str, int]
    accuracy: Share
    acceptable: Share


class Remark(Record, frozen=True, kw_only=True):
    """A row that is not plainly right, or was commented on."""

    row: int
    id: str
    stratum: str
    verdict: str
    comment: str


class Checked(Record, frozen=True, kw_only=True):
    """What a sheet says. `covered` is the share of the training side in strata with a judged row; `missing`
    counts rows that the sheet had when it was written and has no longer."""

    by: By
    confidence: float
    size: int
    drawn: int
    n: int
    missing: int
    covered: float
    verdicts: dict[str, int]
    accuracy: Share
    acceptable: Share
    strata: tuple[Judged, ...]
    remarks: tuple[Remark, ...]


class _Row(Record, frozen=True, kw_only=True):
    number: int
    cells: dict[str, str]


def read_back(dataset: Path, sheet: Path, *, confidence: float = 0.95) -> Checked:
    """Accuracy of `dataset`'s training side from the filled-in `sheet`.

    Raises `UsageError` when the file is missing, a spreadsheet workbook or empty, `InputError` naming rows when
    a verdict or an id is unknown, an id stands twice or the sheet was drawn from another dataset.
    """
    rows, short = _rows(sheet)
    if not rows:
        _refuse(short, sheet)
    by = _division(rows, sheet)
    known = _strata_of(dataset, {r.cells["id"] for r in rows}, by)
    verdicts = _checked(rows, known, short, sheet)
    sizes = strata_sizes(dataset, by)
    strata = tuple(_judged(s, n, rows, verdicts, confidence) for s, n in sizes.items())
    seen = sum(s.size for s in strata if s.n)
    total = sum(sizes.values())
    return Checked(
        by=by,
        confidence=confidence,
        size=total,
        drawn=len(rows),
        n=sum(s.n for s in strata),
        missing=_missing(rows),
        covered=seen / total if total else 0.0,
        verdicts={v: sum(s.verdicts[v] for s in strata) for v in VERDICTS},
        accuracy=_overall(strata, (GOOD,), confidence),
        acceptable=_overall(strata, (GOOD, MINOR), confidence),
        strata=strata,
        remarks=tuple(_remarks(rows, verdicts)),
    )


def _judged(
    stratum: str, size: int, rows: Sequence[_Row], verdicts: Mapping[int, str], confidence: float
) -> Judged:
    mine = [r for r in rows if r.cells["stratum"] == stratum]
    counts = Counter(verdicts[r.number] for r in mine if r.number in verdicts)
    n = counts.total()
    zh, en = stratum_names(stratum)

    def share(hits: int) -> Share:
        return wilson(hits, n, confidence=confidence, size=size) if n else NONE

    return Judged(
        stratum=stratum, zh=zh, en=en, size=size, drawn=len(mine), n=n,
        verdicts={v: counts[v] for v in VERDICTS},
        accuracy=share(counts[GOOD]), acceptable=share(counts[GOOD] + counts[MINOR]),
    )  # fmt: skip


def _overall(strata: Sequence[Judged], right: Sequence[str], confidence: float) -> Share:
    parts = [Stratum(size=s.size, n=s.n, hits=sum(s.verdicts[v] for v in right)) for s in strata]
    return post_stratified(parts, confidence=confidence)


def _missing(rows: Sequence[_Row]) -> int:
    """Rows deleted since the sheet was written, by its own count of rows; 0 when that column is gone."""
    said = [int(r.cells["of"]) for r in rows if r.cells.get("of", "").isdecimal()]
    return max(0, max(said, default=0) - len(rows))


def _remarks(rows: Sequence[_Row], verdicts: Mapping[int, str]) -> Iterator[Remark]:
    for r in rows:
        verdict, comment = verdicts.get(r.number, ""), r.cells.get("comment", "")
        if comment or verdict in (MINOR, BAD):
            yield Remark(
                row=r.number, id=r.cells["id"], stratum=r.cells["stratum"], verdict=verdict,
                comment=comment,
            )  # fmt: skip


def _checked(
    rows: Sequence[_Row], known: Mapping[str, str], short: list[tuple[int, str]], sheet: Path
) -> dict[int, str]:
    """Row number → verdict, rows not judged left out; every bad row is named in one error, `short` among them."""
    verdicts: dict[int, str] = {}
    wrong: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    for r in rows:
        sample, verdict = r.cells["id"], _plain(r.cells["verdict"])
        if sample not in known:
            wrong.append((r.number, f"no training sample {sample!r} in the dataset"))
        elif known[sample] != r.cells["stratum"]:
            wrong.append((r.number, f"{sample} is of {known[sample]}, not {r.cells['stratum']!r}"))
        elif sample in first:
            wrong.append((r.number, f"{sample} stands in row {first[sample]} already"))
        first.setdefault(sample, r.number)
        if verdict in _SPELLINGS:
            verdicts[r.number] = _SPELLINGS[verdict]
        elif verdict:
            wrong.append((r.number, f"unknown verdict {r.cells['verdict']!r}"))
    _refuse(sorted(wrong + short), sheet)
    return verdicts


def _refuse(wrong: list[tuple[int, str]], sheet: Path) -> None:
    if not wrong:
        return
    said = "; ".join(f"row {n}: {what}" for n, what in wrong[:SHOWN])
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    raise InputError(
        said + more, path=sheet, row=None if len(wrong) > 1 else wrong[0][0],
        hint=f"verdicts are {'、'.join(VERDICTS)} or nothing; rows must be those of this dataset's sheet",
    )  # fmt: skip


def _division(rows: Sequence[_Row], sheet: Path) -> By:
    """How the sheet was divided, as its strata say."""
    parts = {r.cells["stratum"].partition("/")[2] for r in rows}
    if not rows:
        raise UsageError(f"{sheet}: no rows", hint="give the sheet that was filled in")
    return "refined" if parts & set(SIDES) else "specialty"


def _strata_of(dataset: Path, ids: set[str], by: By) -> dict[str, str]:
    return {
        row["id"]: stratum_of(row["task"], row["refined"], row["specialty"], by)
        for row in train_columns(dataset, ("id", "task", "refined", "specialty"))
        if row["id"] in ids
    }


def _rows(path: Path) -> tuple[list[_Row], list[tuple[int, str]]]:
    """The rows, and (number, what is wrong) of those with too few cells."""
    sheet = sheets.read(path)
    places = _places(sheet.headings, path)
    least = max(places[name] for name in NEEDED) + 1
    rows = [
        _Row(
            number=line.number,
            cells={name: line.cells[i] for name, i in places.items() if i < len(line.cells)},
        )
        for line in sheet.rows
        if len(line.cells) >= least
    ]
    short = [
        (line.number, f"only {len(line.cells)} cells")
        for line in sheet.rows
        if len(line.cells) < least
    ]
    return rows, short


def _places(header: Sequence[str], path: Path) -> dict[str, int]:
    """Our column name → its index; a heading is known by its first word."""
    names = {
        _plain(heading.split()[0].partition("（")[0]): ours for ours, heading in COLUMNS.items()
    }
    found: dict[str, int] = {}
    for i, cell in enumerate(header):
        words = cell.replace("（", " ").split()
        ours = names.get(_plain(words[0])) if words else None
        if ours is None:
            continue
        if ours in found:
            raise InputError(
                f"two columns named {words[0]}", path=path, row=1, hint="remove one of them"
            )
        found[ours] = i
    absent = [COLUMNS[name] for name in NEEDED if name not in found]
    if absent:
        raise InputError(
            f"no column {'、'.join(absent)}", path=path, row=1, hint="keep the sheet's headings"
        )
    return found


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def lines(checked: Checked) -> Iterator[str]:
    """The result as text for a terminal, Chinese first."""
    c = checked
    yield f"核对 checked        {c.n} / {c.drawn} 行 rows（训练样本 training samples {c.size}）"
    if c.missing:
        yield f"缺行 rows missing    {c.missing}"
    yield "结论 verdicts       " + " · ".join(f"{v} {n}" for v, n in c.verdicts.items())
    if c.covered < 1:
        yield f"覆盖 covered        {c.covered:.1%}（其余层尚无结论 the other strata have no verdict）"
    level = f"{c.confidence:.0%}"
    yield f"合格率 accuracy     {_written(c.accuracy)}（{level} 区间 interval，按层加权 post-stratified）"
    yield f"可接受 acceptable   {_written(c.acceptable)}"
    for s in c.strata:
        yield f"  {s.zh} {s.en}: {_written(s.accuracy)} · n {s.n} / {s.size}"


def _written(share: Share) -> str:
    if share.value is None or share.low is None or share.high is None:
        return "— 未核对 not checked"
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"
