"""What a survey brought, for its coordinator: grouping what was added, results and decisions, tables in and out."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import Form, UploadFile
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from wardround import sheets, taxonomy
from wardround.errors import ConflictError, InputError, UsageError, WardroundError
from wardround.records import encode
from wardround.report import survey as shown
from wardround.report.formats import origin_names
from wardround.store.database import Store
from wardround.survey import (
    design,
    exchange,
    grouping,
    headings,
    importing,
    surveys,
    task_list,
)
from wardround.survey.exporting import export as export_
from wardround.survey.results import Results, as_data, results, stamp
from wardround.survey.surveys import Survey
from wardround.web import guard, words
from wardround.web.guard import Db, Who, access
from wardround.web.pages import go, render
from wardround.web.routes.survey import Number, Text, attached, load, show, task_from
from wardround.web.words import LANG, message

router = guard.router()
KINDS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ONE = re.compile(r"(\d{1,9}):(\d{1,9})")
BLANK = dict.fromkeys(
    ("key", "zh", "en", "phase", "takes", "definition", "example_zh", "into", "reason"), ""
)
_kept: dict[tuple[int, tuple[int, ...]], Results] = {}
"""The results of the last few surveys that were looked at, until something in them changes."""

words.translate(r"no column says anything of this survey", "文件里没有能识别的列。")
words.translate(r"is still in preparation", "调查还没有开放，请先开放再导入。")
words.translate(r"are no longer there", "有补充任务已被作者撤回，请刷新后再处理。")
words.translate(r"no task is kept", "没有列入清单的任务。")


def known(db: Store, found: Survey) -> Results:
    """The results, worked out once for each state of the survey."""
    with db.read() as conn:
        key = (id(db), stamp(conn, found.id))
    if key not in _kept:
        made = results(db, found.id)
        while len(_kept) >= 8:
            _kept.pop(next(iter(_kept)))
        _kept[key] = made
    return _kept[key]


@router.get("/survey/{slug}/additions")
@access({"admin", "auditor"})
def additions(request: Request, slug: str, person: Who, db: Db, did: str = "") -> Response:
    """What respondents added, alike ones together, with suggestions."""
    return _additions(request, db, slug, did=did)


def _additions(
    request: Request,
    db: Store,
    slug: str,
    did: str = "",
    error: str = "",
    given: dict[str, str] | None = None,
    chosen: tuple[int, ...] = (),
    status: int = 200,
) -> Response:
    found = load(db, slug)
    board = grouping.board(db, found.id)
    return render(
        request, "survey/additions.html", status=status, survey=found, board=board,
        by_id={a.id: a for a in board.additions}, names={x.task.key: x.task for x in board.tasks},
        phases=taxonomy.items("phases"), did=did, error=error, given=BLANK | (given or {}), chosen=chosen,
        settled=[a for a in board.additions if a.state != "open"], states=grouping.STATES,
    )  # fmt: skip


@router.post("/survey/{slug}/additions")
@access({"admin"})
def settle(
    request: Request, slug: str, person: Who, db: Db, act: Text = "", addition: Annotated[list[str], Form()] = [],  # noqa: B006
    into: Text = "", reason: Text = "", key: Text = "", zh: Text = "", en: Text = "", phase: Text = "",
    takes: Text = "case", definition: Text = "", example_zh: Text = "",
) -> Response:  # fmt: skip
    """Merge, name, reject, or take a decision back. `addition`: "number:version" each, several joined by commas."""
    found = load(db, slug)
    pairs = [x for field in addition for x in field.split(",")]
    versions = {int(m[1]): int(m[2]) for x in pairs if (m := ONE.fullmatch(x))}
    given = {
        "key": key, "zh": zh, "en": en, "phase": phase, "takes": takes, "definition": definition,
        "example_zh": example_zh, "into": into, "reason": reason,
    }  # fmt: skip
    try:
        if act == "merge":
            grouping.merge(db, found.id, versions, into, actor=person.id)
        elif act == "new":
            with db.read() as conn:
                task = task_from(given, surveys.tasks(conn, found.id))
            grouping.name_new(db, found.id, versions, task, actor=person.id)
        elif act == "reject":
            grouping.reject(db, found.id, versions, reason, actor=person.id)
        elif act == "release":
            grouping.release(db, found.id, versions, actor=person.id)
        else:
            raise words.said(UsageError, "请选择一种处理。", "choose what to do")
    except (UsageError, ConflictError) as e:
        code = 409 if isinstance(e, ConflictError) else 422
        return _additions(
            request, db, slug, error=message(e), given=given, chosen=tuple(versions), status=code
        )
    return go(request, f"/survey/{slug}/additions?did={act}")


@router.get("/survey/{slug}/results")
@access({"admin", "auditor"})
def figures(request: Request, slug: str, person: Who, db: Db, did: str = "") -> Response:
    """The figures, the plot, the decisions."""
    found = load(db, slug)
    try:
        said = shown.said_of(as_data(known(db, found)))
    except ConflictError as e:
        return show(request, db, slug, status=409, error=message(e))
    with db.read() as conn:
        stored = {x.task.key: x for x in surveys.tasks(conn, found.id)}
    lang = LANG.get()
    return render(
        request, "survey/results.html", survey=found, said=said, stored=stored, did=did,
        plots=[_plot(said, lang, narrow) for narrow in (False, True)] if said.enough else [], axis=shown.headline(said),
        divisions=[(d, shown.DIVISIONS[d], g, shown.hidden(g, said.min_cell)) for d, g in said.divisions.items()],
        time_names=shown.time_names, verdicts=design.VERDICTS, stages=design.STAGES, outcomes=shown.OUTCOMES,
        origins=origin_names,
    )  # fmt: skip


def _plot(said: shown.Said, lang: str, narrow: bool) -> Markup:
    """The plot in one language, without the style attribute, which this app's pages don't allow."""
    other = "en" if lang == "zh" else "zh"
    drawn = re.sub(r' style="[^"]*"', "", str(shown.plot(said, lang, narrow=narrow)))
    return Markup(re.sub(rf'<tspan class="{other}"[^>]*>[^<]*</tspan>', "", drawn))


@router.post("/survey/{slug}/decide")
@access({"admin"})
def decide(
    request: Request, slug: str, person: Who, db: Db, task_id: Number = 0, version: Number = 0, what: Text = "",
    reason: Text = "",
) -> Response:  # fmt: skip
    """Keep or drop a task against the rule, with a reason; or leave it to the rule again."""
    choices: dict[str, bool | None] = {"keep": True, "drop": False, "rule": None}
    if what not in choices:
        raise words.said(
            UsageError, "请选择保留、删去或按规则。", "choose keep, drop or by the rule"
        )
    found = load(db, slug)
    with db.read() as conn:
        if task_id not in {x.id for x in surveys.tasks(conn, found.id)}:
            raise words.said(UsageError, "没有这个任务。", "there is no such task")
    surveys.overrule(db, task_id, choices[what], reason, version, actor=person.id)
    return go(request, f"/survey/{slug}/results?did=decided#t{task_id}")


@router.get("/survey/{slug}/results.csv")
@access({"admin", "auditor"})
def table(slug: str, person: Who, db: Db) -> Response:
    """The table of results."""
    data = exchange.results_csv(known(db, load(db, slug)))
    return attached(data, f"{slug}-results.csv", KINDS["csv"])


@router.get("/survey/{slug}/results.json")
@access({"admin", "auditor"})
def machine(slug: str, person: Who, db: Db) -> Response:
    """The results as JSON."""
    data = msgspec.json.format(encode(known(db, load(db, slug))), indent=1)
    return attached(data, f"{slug}-results.json", "application/json")


@router.get("/survey/{slug}/tasks.yaml")
@access({"admin", "auditor"})
def listed(slug: str, person: Who, db: Db) -> Response:
    """The kept tasks as a list for `build`."""
    found = load(db, slug)
    said = known(db, found)
    with db.read() as conn:
        data = task_list.as_yaml(surveys.tasks(conn, found.id), said)
    return attached(data, "tasks.yaml", "application/yaml")


@router.post("/survey/{slug}/export")
@access({"admin"})
def export(
    request: Request, slug: str, person: Who, db: Db, kind: Text = "xlsx", full: Text = ""
) -> Response:
    """The answers as a file; that they left is an event."""
    if kind not in ("xlsx", "csv", "texts"):
        raise words.said(UsageError, "没有这种格式。", "there is no such format")
    which: Any = "xlsx" if kind == "xlsx" else "csv"
    _, files = export_(db, load(db, slug).id, which, full=full == "full", actor=person.id)
    name = next(n for n in files if ("-texts" in n) == (kind == "texts"))
    return attached(files[name], name, KINDS[which])


@router.post("/survey/{slug}/import")
@access({"admin"})
def bring(
    request: Request, slug: str, person: Who, db: Db, file: UploadFile, mapping: UploadFile | None = None
) -> Response:  # fmt: skip
    """Answers from a table; what stayed out is shown with its reason."""
    found = load(db, slug)
    sheet = None
    try:
        sheet, read_by = _uploaded(file, mapping)
        said = importing.bring_in(db, found.id, sheet, read_by, actor=person.id)
    except WardroundError as e:
        plan = None
        if sheet is not None and "not recognised" in e.message:
            plan = _plan(db, found, sheet, importing.read_columns(db, found.id, sheet, read_by))
        return show(request, db, slug, status=422, error=_told(e), plan=plan)
    return show(request, db, slug, did="imported", imported=said)


def _told(error: WardroundError) -> str:
    unknown = re.search(r"not recognised: (.*)", error.message)
    if unknown:
        return words.t(
            f"有些列看不出是什么：{unknown[1]}。请填好下面的对照文件，与表格一起再传一次。",
            f"Some columns can't be placed: {unknown[1]}. Fill in the mapping below and send it with the table.",
        )
    if "may be places" in error.message:
        return words.t(
            "表里的数字可能是选项序号，也可能是分值，请在对照文件中写明 numbers: position（序号，从 1 起）或 numbers: value（分值）。",
            error.message,
        )
    return message(error)


def _plan(db: Store, found: Survey, sheet: sheets.Sheet, read: headings.Read) -> dict[str, Any]:
    """How each column is read, and a mapping to fill in."""
    return {
        "columns": list(zip(sheet.headings, read.targets, strict=True)),
        "mapping": importing.mapping_for(db, found.id, sheet, read).decode(),
    }


def _uploaded(
    file: UploadFile, mapping: UploadFile | None
) -> tuple[sheets.Sheet, headings.ColumnMap]:
    """The table and the mapping that were sent; errors name the files as the sender does."""
    with tempfile.TemporaryDirectory() as folder:
        path, other = Path(folder) / "table", Path(folder) / "mapping.yaml"
        path.write_bytes(file.file.read())
        name = Path(file.filename or "table").name[:80]
        read_by = headings.NONE
        try:
            sheet = msgspec.structs.replace(sheets.read(path), name=name)
            if mapping is not None and mapping.filename:
                other.write_bytes(mapping.file.read())
                read_by = headings.read_mapping(other)
        except InputError as e:
            text = e.message.replace(str(path), name).replace(
                str(other), mapping.filename if mapping and mapping.filename else "mapping"
            )
            raise UsageError(text, hint=e.hint) from e
    return sheet, read_by
