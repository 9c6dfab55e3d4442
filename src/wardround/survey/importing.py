"""Answers from a table: every row is read, a faulty one is named and kept aside, the rest goes in.

A row comes in once: by the code of our own tables, by the other tool's number and time of the answer, else by what
it says and how often. So the same file imported again adds nothing, and a row that was changed in between is kept
aside instead of counting twice. Columns that point to a person are never read. A row with one unreadable cell stays
out whole: half an answer would say what nobody said.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from wardround.errors import ConflictError, UsageError
from wardround.records import Record, encode
from wardround.sheets import Line, Sheet
from wardround.store import base, events
from wardround.store.database import Store
from wardround.survey import tables as t
from wardround.survey import values
from wardround.survey.answers import Added, Answer, checked, decoded, stored, verdict_of, words_of
from wardround.survey.design import DIMENSIONS, SurveyTask, profile
from wardround.survey.desk import keep_additions
from wardround.survey.headings import NONE, ColumnMap, Read, recognise, skeleton
from wardround.survey.surveys import Survey, load, shown

Fault = tuple[str, str, str]
"""A column's target ("" for none), and what is wrong, Chinese and English."""
AGAIN: Fault = ("", "以前导入过，但回答不同", "was imported before with other answers")


class Aside(Record, frozen=True, kw_only=True):
    """A row that stayed out: where, what is wrong with it (`problem_zh` in Chinese), and its cells (those that point
    to a person left out)."""

    file: str
    row: int
    column: str
    problem: str
    problem_zh: str
    cells: dict[str, str]


class Imported(Record, frozen=True, kw_only=True):
    """What came of a file. `known` rows were there already; `others` counts what was read as "other"."""

    file: str
    rows: int
    new: int
    known: int
    aside: tuple[Aside, ...]
    columns: dict[str, str]
    left_out: tuple[str, ...]
    others: dict[str, int]


class _Row(Record, frozen=True, kw_only=True):
    number: int
    answer: Answer
    code: str
    identity: str
    seconds: int | None
    others: tuple[str, ...]


def read_columns(store: Store, survey_id: int, sheet: Sheet, mapping: ColumnMap = NONE) -> Read:
    """How each column would be read."""
    with store.read() as conn:
        found, tasks = load(conn, survey_id), shown(conn, survey_id)
    return recognise(
        sheet.headings, found.stage, tasks, most_added=found.config.most_added, mapping=mapping
    )


def mapping_for(store: Store, survey_id: int, sheet: Sheet, read: Read) -> bytes:
    """A mapping file to fill in, for the columns that were not recognised."""
    with store.read() as conn:
        found, tasks = load(conn, survey_id), shown(conn, survey_id)
    return skeleton(sheet.headings, read, found.stage, tasks)


def bring_in(
    store: Store,
    survey_id: int,
    sheet: Sheet,
    mapping: ColumnMap = NONE,
    *,
    actor: int | None = None,
) -> Imported:
    """Put a table's answers into a survey. `UsageError` where a column is not recognised, or numbers are ambiguous."""
    with store.read() as conn:
        found, tasks = load(conn, survey_id), shown(conn, survey_id)
    if found.status == "draft":
        raise ConflictError(f"survey {found.slug} is still in preparation", hint="open it first")
    read = read_columns(store, survey_id, sheet, mapping)
    unknown = [*read.unknown(sheet.headings), *_unheaded(sheet)]
    if unknown:
        said = "; ".join(f"column {n} “{h}”" for n, h in unknown[:6])
        more = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
        raise UsageError(
            f"{sheet.name}: not recognised: {said}{more}",
            hint="say what they are in a mapping file (wardround survey import … --plan writes one to fill in)",
        )
    if not any("." in x or x in profile() for x in read.targets):
        raise UsageError(
            f"{sheet.name}: no column says anything of this survey", hint="check the file"
        )
    reader = _Reader(found, tasks, sheet, read, mapping)
    rows: list[_Row] = []
    aside: list[Aside] = []
    for line in sheet.rows:
        got = reader.row(line)
        (rows if isinstance(got, _Row) else aside).append(got)  # type: ignore[arg-type]
    with store.write() as conn:
        new, known = _store(conn, found, reader, rows, aside)
        after = {"file": sheet.name, "new": new, "known": known, "aside": len(aside)}
        events.record(conn, "answers.imported", "survey", survey_id, actor=actor, after=after)
    return Imported(
        file=sheet.name, rows=len(sheet.rows), new=new, known=known,
        aside=tuple(sorted(aside, key=lambda a: a.row)),
        columns={h: x for h, x in zip(sheet.headings, read.targets, strict=True) if x},
        left_out=tuple(h for h, x in zip(sheet.headings, read.targets, strict=True) if x == "private"),
        others=dict(sorted(Counter(o for r in rows for o in r.others).items())),
    )  # fmt: skip


def _unheaded(sheet: Sheet) -> list[tuple[int, str]]:
    """Columns without a heading that hold something."""
    return [
        (n, "")
        for n, h in enumerate(sheet.headings, start=1)
        if not h.strip() and any(c for r in sheet.rows for c in r.cells[n - 1 : n])
    ]


class _Reader:
    """Reads the rows of one table."""

    def __init__(
        self,
        survey: Survey,
        tasks: Sequence[SurveyTask],
        sheet: Sheet,
        read: Read,
        mapping: ColumnMap,
    ) -> None:
        self._survey, self._tasks, self._sheet, self._mapping = survey, tasks, sheet, mapping
        self._columns = [(i, x) for i, x in enumerate(read.targets) if x]
        self._numbers = mapping.numbers or ("value" if read.own else self._kind_of_numbers())
        self._own = read.own
        self._seen: Counter[str] = Counter()
        self._names = {task.key: task.zh for task in tasks}

    def row(self, line: Line) -> _Row | Aside:
        """The row's answer, or why it stays out."""
        cells = {x: line.cells[i] for i, x in self._columns if i < len(line.cells)}
        faults: list[Fault] = []
        others: list[str] = []
        answer = self._answer(cells, faults, others)
        if any(line.cells[len(self._sheet.headings) :]):
            faults.append(("", "单元格比标题多", "more cells than headings"))
        if not faults:
            cleaned, problems = checked(
                answer, self._survey.stage, self._tasks, self._survey.config
            )
            faults += [(p, *words_of(p, self._tasks)) for p in problems]
            if cleaned.empty:
                faults.append(("", "没有任何回答", "nothing is answered"))
            answer = cleaned
        if faults:
            return self.aside(line, faults)
        return _Row(
            number=line.number, answer=answer, code=cells.get("code", ""),
            identity=self._identity(cells, answer), others=tuple(others),
            seconds=values.seconds(cells.get("seconds", "")),
        )  # fmt: skip

    def aside(self, line: Line, faults: Sequence[Fault]) -> Aside:
        """The row with its faults, under the column of the first."""
        headings = self._sheet.headings
        column = next((headings[i] for i, x in self._columns if x == faults[0][0]), "")
        private = {i for i, x in self._columns if x == "private"}
        cells = {
            headings[i]: c
            for i, c in enumerate(line.cells)
            if i < len(headings) and c and i not in private
        }
        return Aside(
            file=self._sheet.name, row=line.number, column=column, cells=cells,
            problem="; ".join(dict.fromkeys(en for _, _, en in faults)),
            problem_zh="；".join(dict.fromkeys(zh for _, zh, _ in faults)),
        )  # fmt: skip

    def _answer(self, cells: dict[str, str], faults: list[Fault], others: list[str]) -> Answer:
        about: dict[str, str] = {}
        ratings: dict[str, dict[str, int]] = {}
        choices: dict[str, str] = {}
        words: dict[str, str] = {}
        added: dict[int, dict[str, str]] = {}
        for target, cell in cells.items():
            if self._empty(target, cell):
                continue
            head, _, tail = target.partition(".")
            try:
                if target in profile():
                    about[target] = self._about(target, cell, others)
                elif head == "added":
                    number, _, part = tail.partition(".")
                    added.setdefault(int(number), {})[part] = cell
                elif tail in DIMENSIONS:
                    ratings.setdefault(head, {})[tail] = self._rating(target, tail, cell)
                elif tail == "verdict":
                    said = values.mapped(target, cell, self._mapping.values)
                    choices[head] = values.verdict(cell if said is None else str(said))
                elif tail == "words":
                    words[head] = cell
            except values.FaultError as e:
                faults.append((target, f"{self._name(target)}：{e.zh}", f"{target}: {e}"))
        said = cells.get("remark", "")
        remark = "" if self._empty("remark", said) else said
        loose = [f"{self._names[k]}：{w}" for k, w in words.items() if k not in choices]
        return Answer(
            profile=about, ratings=ratings,
            verdicts={k: verdict_of(c, words.get(k, "")) for k, c in choices.items()},
            added=tuple(Added(slot=str(n), **{"name": "", **p}) for n, p in sorted(added.items())),
            remark="\n".join([remark, *loose]).strip(),
        )  # fmt: skip

    def _name(self, target: str) -> str:
        head, _, tail = target.partition(".")
        if head in self._names:
            return f"{self._names[head]}·{DIMENSIONS[tail].zh if tail in DIMENSIONS else '取舍'}"
        return profile()[head].zh if head in profile() else target

    def _empty(self, target: str, cell: str) -> bool:
        """Whether a cell says nothing. In our own tables only an empty one does."""
        if self._own or not cell:
            return not cell
        text = target == "remark" or target.endswith((".words", ".name", ".example", ".why"))
        return values.is_empty(cell) or (text and cell.strip("。. ") in ("无", "没有", "暂无"))

    def _about(self, field: str, cell: str, others: list[str]) -> str:
        said = values.mapped(field, cell, self._mapping.values)
        if said is not None:
            if not any(c.id == said for c in profile()[field].choices):
                raise values.FaultError(
                    f"对照文件给出的 {said} 不是选项",
                    f"the mapping gives {said!r}, which is no choice",
                )
            return str(said)
        choice, unknown = values.about(field, cell, self._numbers)
        if unknown:
            others.append(f"{field}: {cell[:40]}")
        return choice

    def _rating(self, target: str, dimension: str, cell: str) -> int:
        said = values.mapped(target, cell, self._mapping.values)
        if said is None:
            return values.rating(dimension, cell, self._numbers)
        if said not in DIMENSIONS[dimension].values:
            raise values.FaultError(
                f"对照文件给出的 {said} 不在量表上",
                f"the mapping gives {said!r}, which is not on the scale",
            )
        return int(said)

    def _kind_of_numbers(self) -> str:
        """Whether another tool's numbers are places or values: told by what stands in the scales that begin at 0."""
        for dimension in ("frequency", "time"):
            columns = [i for i, x in self._columns if x.endswith(f".{dimension}")]
            cells = [r.cells[i] for r in self._sheet.rows for i in columns if i < len(r.cells)]
            found = {
                n for c in cells if not values.is_empty(c) and (n := values.number(c)) is not None
            }
            if found - {0, 1, 2, 3, 4, 5} or not found:
                continue
            if 5 in found and 0 not in found:
                return "position"
            if 0 in found and 5 not in found:
                return "value"
            raise UsageError(
                f"{self._sheet.name}: the numbers of {dimension} may be places (1 = the first option) or values (0 = the first)",
                hint="say which in a mapping file: `numbers: position` or `numbers: value`",
            )
        return "value"

    def _identity(self, cells: dict[str, str], answer: Answer) -> str:
        if cells.get("code"):
            return f"import:code:{cells['code'][:60]}"
        # By its numbers: the same time is written otherwise in CSV and in XLSX.
        time = [int(x) for x in re.findall(r"\d{1,4}", cells.get("time", ""))][:6]
        if cells.get("row") and time:
            known: list[Any] = [cells["row"], time]
        else:
            said = encode(answer).decode()
            self._seen[said] += 1
            known = [cells.get("row", ""), time, said, self._seen[said]]
        return f"import:{hashlib.sha256(encode(known)).hexdigest()}"


_CODE = re.compile(r"[0-9a-f]{12}")


def _store(
    conn: Connection, survey: Survey, reader: _Reader, rows: list[_Row], aside: list[Aside]
) -> tuple[int, int]:
    """Insert what is new; returns how many were new and how many known. Changed ones go aside."""
    r = t.response.c
    there = conn.execute(select(r.holder, r.code, r.answer).where(r.survey_id == survey.id)).all()
    by_holder = {x.holder: x.answer for x in there}
    by_code = {x.code: x.answer for x in there}
    lines = {line.number: line for line in reader._sheet.rows}
    new = known = 0
    for row in rows:
        own = bool(_CODE.fullmatch(row.code))
        old = by_holder.get(row.identity, by_code.get(row.code) if own else None)
        if row.identity in by_holder or (own and row.code in by_code):
            if old is not None and decoded(old) == row.answer:
                known += 1
            else:
                aside.append(reader.aside(lines[row.number], [AGAIN]))
            continue
        code = row.code if own else secrets.token_hex(6)
        values_ = {
            "survey_id": survey.id, "code": code, "holder": row.identity, "source": "import",
            "draft": stored(row.answer), "answer": stored(row.answer), "salt": secrets.token_hex(16),
            "seconds": row.seconds, "started_at": base.now(), "submitted_at": base.now(),
        }  # fmt: skip
        made = conn.execute(insert(t.response).values(values_).returning(r.id)).scalar_one()
        keep_additions(conn, survey.id, made, row.answer.added)
        by_holder[row.identity] = by_code[code] = values_["answer"]
        new += 1
    return new, known
