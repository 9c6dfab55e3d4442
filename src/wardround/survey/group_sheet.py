"""Grouping on a sheet: the added tasks with suggestions go out as CSV, the filled-in decisions come back.

A decision is 归入 merge (into `task`), 新建 new (a task named by zh, en, phase and definition; rows with the same
`task` or the same names become one), 不采纳 reject (with a reason), or nothing. All rows are checked before any is
carried out, and every fault is named with its row. The same sheet read twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from wardround import sheets, taxonomy
from wardround.errors import InputError, UsageError
from wardround.records import Record
from wardround.store.database import Store
from wardround.survey.design import SurveyTask
from wardround.survey.grouping import Addition, Board, board, merge, name_new, new_key, reject

COLUMNS = {
    "id": "编号", "version": "版本", "name": "名称", "example": "例子", "why": "理由", "state": "状态",
    "near_task": "相近任务", "near_added": "相近补充", "decision": "处理", "task": "任务", "zh": "中文名", "en": "英文名",
    "phase": "阶段", "takes": "输入", "definition": "定义", "reason": "不采纳的原因",
}  # fmt: skip
DECISIONS = {
    "merge": ("merge", "归入", "合并"), "new": ("new", "新建", "新增"), "reject": ("reject", "不采纳", "拒绝"),
    "": ("", "leave", "暂不处理"),
}  # fmt: skip
_HINTS = {
    "decision": "merge 归入 / new 新建 / reject 不采纳 / 留空：暂不处理", "task": "归入哪个任务", "zh": "新建时填", "en": "新建时填",
    "phase": "新建时填：{phases}", "takes": "case 或 query", "definition": "新建时填", "reason": "不采纳时填",
}  # fmt: skip
"""What is filled into a column, as its heading says it behind the name."""
_WORDS = {word: decision for decision, words in DECISIONS.items() for word in words}


class Settled(Record, frozen=True, kw_only=True):
    """What a sheet did: numbers of additions by decision, and the new tasks' ids."""

    merged: int
    named: int
    rejected: int
    left: int
    new_tasks: tuple[str, ...]


class _Row(Record, frozen=True, kw_only=True):
    number: int
    decision: str
    addition: Addition
    cells: dict[str, str]


def write(store: Store, survey_id: int) -> bytes:
    """The sheet as CSV."""
    found = board(store, survey_id)
    rows = [_row(a, found) for a in found.additions]
    return sheets.write_csv([_heading(k, zh) for k, zh in COLUMNS.items()], rows)


def _heading(key: str, zh: str) -> str:
    """A column's name and, where it is filled in, with what: "decision 处理（merge 归入 / …）"."""
    if key not in _HINTS:
        return f"{key} {zh}"
    phases = " / ".join(f"{p.id} {p.zh}" for p in taxonomy.items("phases"))
    return f"{key} {zh}（{_HINTS[key].format(phases=phases)}）"


def _row(a: Addition, found: Board) -> list[str | int]:
    near = found.suggestions.get(a.id)
    tasks = "；".join(f"{n.to} {n.score:.2f}" for n in near.tasks) if near else ""
    names = {str(x.id): x.name for x in found.additions}
    others = "；".join(f"{n.to} {names[n.to]} {n.score:.2f}" for n in near.others) if near else ""
    done = {"merged": "merge", "rejected": "reject"}.get(a.state, "")
    shown = {"decision": done, "task": a.task, "reason": a.reason}
    head: list[str | int] = [a.id, a.version, a.name, a.example, a.why, a.state, tasks, others]
    return head + [shown.get(k, "") for k in list(COLUMNS)[8:]]


def read(store: Store, survey_id: int, path: Path, *, actor: int | None = None) -> Settled:
    """Carry out a filled-in sheet. `InputError` naming every row that can't be."""
    sheet = sheets.read(path)
    found = board(store, survey_id)
    rows = _rows(sheet, found, path)
    groups = _groups([r for r in rows if r.decision == "new"], found, path)
    merges: dict[str, dict[int, int]] = {}
    rejects: dict[str, dict[int, int]] = {}
    for r in rows:
        version = int(r.cells["version"]) if r.cells["version"].isdecimal() else r.addition.version
        if r.decision == "merge":
            merges.setdefault(r.cells["task"], {})[r.addition.id] = version
        elif r.decision == "reject":
            rejects.setdefault(r.cells["reason"], {})[r.addition.id] = version
    known = {x.task.key for x in found.tasks}
    for task, members in groups:
        if task.key in known:
            merge(store, survey_id, members, task.key, actor=actor)
        else:
            name_new(store, survey_id, members, task, actor=actor)
    for key, members in merges.items():
        merge(store, survey_id, members, key, actor=actor)
    for reason, members in rejects.items():
        reject(store, survey_id, members, reason, actor=actor)
    return Settled(
        merged=sum(map(len, merges.values())), named=sum(len(m) for _, m in groups),
        rejected=sum(map(len, rejects.values())), left=sum(not r.decision for r in rows),
        new_tasks=tuple(t.key for t, _ in groups if t.key not in known),
    )  # fmt: skip


def _rows(sheet: sheets.Sheet, found: Board, path: Path) -> list[_Row]:
    places = {(h.split() or [""])[0]: i for i, h in enumerate(sheet.headings)}
    missing = [k for k in ("id", "decision", "task") if k not in places]
    if missing:
        raise UsageError(
            f"{path}: no column {', '.join(missing)}", hint="keep the sheet's headings"
        )
    by_id = {str(a.id): a for a in found.additions}
    keys = {x.task.key for x in found.tasks}
    rows: list[_Row] = []
    faults: list[tuple[int, str]] = []
    for line in sheet.rows:
        cells = {
            k: line.cells[i].strip()
            if (i := places.get(k, -1)) >= 0 and i < len(line.cells)
            else ""
            for k in COLUMNS
        }
        addition = by_id.get(cells["id"])
        decision = _WORDS.get(cells["decision"].lower())
        if addition is None:
            faults.append((line.number, f"no added task {cells['id'] or '(empty)'}"))
        elif decision is None:
            faults.append((line.number, f"unknown decision “{cells['decision']}”"))
        elif decision == "merge" and cells["task"] not in keys:
            faults.append((line.number, f"no task {cells['task'] or '(empty)'} in this survey"))
        elif decision == "reject" and not cells["reason"]:
            faults.append((line.number, "a rejection needs a reason"))
        else:
            rows.append(_Row(number=line.number, decision=decision, addition=addition, cells=cells))
    _raise(faults, path)
    return rows


def _groups(
    rows: Sequence[_Row], found: Board, path: Path
) -> list[tuple[SurveyTask, dict[int, int]]]:
    """The new tasks with their additions. The first row that has a field filled in gives it."""
    together: dict[str, list[_Row]] = {}
    faults: list[tuple[int, str]] = []
    named = {(x.task.zh, x.task.en): x.task.key for x in found.tasks if x.kind == "grouped"}
    for r in rows:
        names = (r.cells["zh"], r.cells["en"])
        key = r.cells["task"] or named.get(names) or new_key(found.tasks, names[1] or "added")
        named.setdefault(names, key)
        together.setdefault(key, []).append(r)
    made = []
    phases = {p.id for p in taxonomy.items("phases")}
    for key, members in together.items():
        words = {k: next((r.cells[k] for r in members if r.cells[k]), "") for k in COLUMNS}
        lacking = [k for k in ("zh", "en", "phase", "definition") if not words[k]]
        first = members[0].number
        if lacking:
            faults.append((first, f"the new task {key} has no {', '.join(lacking)}"))
        elif words["phase"] not in phases:
            faults.append((first, f"no phase {words['phase']}: one of {', '.join(sorted(phases))}"))
        elif words["takes"] not in ("", "case", "query"):
            faults.append((first, f"takes is case or query, not “{words['takes']}”"))
        else:
            made.append((_task(key, words, members), _versions(members)))
    _raise(faults, path)
    return made


def _task(key: str, words: Mapping[str, str], members: Sequence[_Row]) -> SurveyTask:
    example = next((r.addition.example for r in members if r.addition.example), "")
    return SurveyTask(
        key=key, zh=words["zh"], en=words["en"], phase=words["phase"], definition=words["definition"],
        takes="query" if words["takes"] == "query" else "case", example_zh=example,
    )  # fmt: skip


def _versions(members: Sequence[_Row]) -> dict[int, int]:
    return {
        r.addition.id: int(v) if (v := r.cells["version"]).isdecimal() else r.addition.version
        for r in members
    }


def _raise(faults: Sequence[tuple[int, str]], path: Path) -> None:
    if not faults:
        return
    said = "; ".join(f"row {n}: {what}" for n, what in faults[:8])
    more = f"; and {len(faults) - 8} more" if len(faults) > 8 else ""
    raise InputError(said + more, path=path, hint="mend these rows; nothing was changed")
