"""The needs survey for its coordinator: make one, its tasks, its links, open and close it. Auditors read."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Form, UploadFile
from sqlalchemy import Connection, func, select
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from wardround import taxonomy
from wardround.errors import UsageError, WardroundError
from wardround.store.database import Store
from wardround.survey import design, exchange, links, surveys, tables
from wardround.survey.grouping import new_key
from wardround.survey.samples import parsed
from wardround.survey.surveys import StoredTask, Survey
from wardround.web import guard, words
from wardround.web.forms import fields_of
from wardround.web.guard import Config, Db, Who, access
from wardround.web.pages import Card, Link, go, render
from wardround.web.sessions import Person
from wardround.web.words import message, said, t

router = guard.router()
LINKS = (Link(href="/survey", zh="需求调查", en="Surveys", roles=frozenset({"admin", "auditor"})),)
UPLOADS = ("/survey/",)
VERBS = {
    "survey.created": ("新建调查", "survey made"),
    "survey.configured": ("修改调查设置", "survey settings changed"),
    "survey.opened": ("开放调查", "survey opened"),
    "survey.closed": ("结束调查", "survey closed"),
    "survey.kept": ("调查存为数据包", "survey kept as an artifact"),
    "task.added": ("加入任务", "task added"),
    "task.changed": ("修改任务", "task changed"),
    "task.removed": ("移除任务", "task removed"),
    "task.decided": ("协调人决定任务去留", "task decided by the coordinator"),
    "samples.given": ("放入示例输出", "sample outputs given"),
    "links.made": ("生成匿名链接", "anonymous links made"),
    "links.revoked": ("停用一批链接", "batch of links stopped"),
    "link.shared": ("生成公开链接", "shared link made"),
    "answer.submitted": ("收到一份匿名答卷", "anonymous answer handed in"),
    "answer.changed": ("一份匿名答卷有修改", "anonymous answer changed"),
    "answers.imported": ("导入答卷", "answers imported"),
    "answers.exported": ("导出答卷", "answers exported"),
    "addition.merged": ("补充任务归入", "added task merged"),
    "addition.rejected": ("补充任务未采纳", "added task rejected"),
    "addition.released": ("撤回对补充任务的处理", "decision on an added task taken back"),
    "addition.reopened": ("补充任务被作者修改", "added task changed by its writer"),
}
FIELDS = {
    "slug": ("短名", "short name"), "stage": ("阶段", "stage"), "digest": ("摘要", "digest"), "count": ("数量", "count"),
    "batch": ("批次", "batch"), "state": ("状态", "state"), "reason": ("原因", "reason"), "keep": ("保留", "keep"),
}  # fmt: skip
BLANK = {"slug": "", "title_zh": "", "title_en": "", "contact": "", "per_person": 0, "min_cell": 5}
Text = Annotated[str, Form()]
Number = Annotated[int, Form()]

words.translate(r"^there is a survey named", "已有同名的调查，请换一个短名。")
words.translate(r"can't name a survey", "短名只能用小写字母、数字和连字符。")
words.translate(r"its questions are fixed", "调查已开放，题目不能再改。")
words.translate(r"can't be a task's id", "任务代号只能用小写字母、数字和下划线。")
words.translate(r"the survey has a task .* already", "调查里已有同代号的任务。")
words.translate(r"^task .* has no", "任务的中文名、英文名、阶段和定义都要填写。")
words.translate(r"neither merged nor rejected", "还有补充任务没有处理，请先归入、新建或不采纳。")
words.translate(r"is still (open|draft)", "请先结束启发阶段的调查。")
words.translate(r"figures are shown when it is closed", "调查进行中，结束后才显示数字。")
words.translate(r"needs a reason", "请写明原因。")
words.translate(r"^no survey ", "没有这份调查。")
words.translate(r"no addition is chosen", "请先勾选补充任务。")


def cards(conn: Connection, person: Person) -> list[Card]:
    """Tasks that respondents added and nobody has looked at."""
    if not person.has("admin"):
        return []
    a = tables.addition.c
    rows = conn.execute(
        select(tables.survey.c.slug, func.count())
        .join(tables.survey, tables.survey.c.id == a.survey_id)
        .where(a.state == "open")
        .group_by(tables.survey.c.slug)
    ).all()
    return [
        Card(
            title=t("补充的任务", "Added tasks"), count=n, href=f"/survey/{slug}/additions", action=t("去归并", "Group them"),
            text=t(f"条在调查 {slug} 中等待处理", f"wait in the survey {slug}"),
        )
        for slug, n in rows
    ]  # fmt: skip


@router.get("/survey")
@access({"admin", "auditor"})
def index(request: Request, person: Who, db: Db) -> Response:
    """All surveys."""
    return _index(request, db)


def _index(
    request: Request,
    db: Store,
    error: str = "",
    given: dict[str, Any] | None = None,
    status: int = 200,
) -> Response:
    with db.read() as conn:
        rows = surveys.listed(conn)
    return render(
        request, "survey/index.html", status=status, rows=rows, states=design.STATES, stages=design.STAGES,
        error=error, given=BLANK | (given or {}),
        minutes=design.minutes("inspiration", len(taxonomy.tasks())), number=len(taxonomy.tasks()),
    )  # fmt: skip


@router.post("/survey")
@access({"admin"})
def create(
    request: Request, person: Who, db: Db, slug: Text = "", title_zh: Text = "", title_en: Text = "",
    contact: Text = "", per_person: Number = 0, min_cell: Number = 5,
) -> Response:  # fmt: skip
    """A new inspiration stage with the taxonomy's tasks."""
    given = {
        "slug": slug, "title_zh": title_zh, "title_en": title_en, "contact": contact,
        "per_person": per_person, "min_cell": min_cell,
    }  # fmt: skip
    try:
        values: dict[str, Any] = {k: v for k, v in given.items() if k != "slug"}
        made = surveys.create(db, slug.strip(), design.SurveyConfig(**values), actor=person.id)
    except UsageError as e:
        return _index(request, db, error=message(e), given=given, status=422)
    return go(request, f"/survey/{made.slug}")


def load(db: Store, slug: str) -> Survey:
    """A survey by its name."""
    with db.read() as conn:
        return surveys.load(conn, slug)


@router.get("/survey/{slug}")
@access({"admin", "auditor"})
def overview(request: Request, slug: str, person: Who, db: Db, did: str = "") -> Response:
    """Where a survey stands."""
    return show(request, db, slug, did=did)


def show(request: Request, db: Store, slug: str, status: int = 200, **more: Any) -> Response:
    """The overview page."""
    found = load(db, slug)
    with db.read() as conn:
        number, listed = surveys.counts(conn, found.id), surveys.tasks(conn, found.id)
        parent = surveys.load(conn, found.parent_id) if found.parent_id is not None else None
        following = conn.execute(
            select(tables.survey.c.slug).where(tables.survey.c.parent_id == found.id)
        ).scalars().all()  # fmt: skip
    asked = [x for x in listed if x.kind == "proposed"]
    per = min(found.config.per_person or len(asked), len(asked))
    context = {"did": "", "error": "", "imported": None, "shared": "", "plan": None} | more
    return render(
        request, "survey/overview.html", status=status, survey=found, counts=number, tasks=asked, parent=parent,
        following=following, states=design.STATES, stages=design.STAGES, minutes=design.minutes(found.stage, per),
        asked=per, sampled=sum(bool(x.samples) for x in asked), is_shared=links.is_shared(db, found.id),
        batches=links.batches(db, found.id), **context,
    )  # fmt: skip


@router.post("/survey/{slug}/status")
@access({"admin"})
def status(
    request: Request, slug: str, person: Who, db: Db, to: Text = "", version: Number = 0
) -> Response:
    """Open, close, open again."""
    found = load(db, slug)
    surveys.move(db, found.id, to, version, actor=person.id)
    return go(request, f"/survey/{slug}?did={'opened' if to == 'open' else 'closed'}")


@router.post("/survey/{slug}/settings")
@access({"admin"})
async def settings(request: Request, slug: str, person: Who, db: Db) -> Response:
    """Other settings; once it is open only the rule may change."""
    fields = {k: v for k, v in (await fields_of(request)).items() if isinstance(v, str)}
    response: Response = await run_in_threadpool(_settings, request, slug, person, db, fields)
    return response


def _settings(
    request: Request, slug: str, person: Person, db: Store, fields: dict[str, str]
) -> Response:
    found = load(db, slug)
    given: dict[str, Any] = msgspec.to_builtins(found.config)
    rule = dict(given["rule"])
    for k, v in fields.items():
        if k in given and k != "rule":
            given[k] = v == "true" if isinstance(given[k], bool) else v
        elif k.removeprefix("rule.") in rule and k.startswith("rule."):
            rule[k.removeprefix("rule.")] = v
    if "interim_asked" in fields:
        given["interim"] = "interim" in fields
    if "keep_percent" in fields:
        rule["keep_share"] = f"{float(fields['keep_percent'] or 0) / 100}"
    try:
        config = msgspec.convert({**given, "rule": rule}, design.SurveyConfig, strict=False)
        surveys.configure(
            db, found.id, config, int(fields.get("version", "0") or 0), actor=person.id
        )
    except (msgspec.ValidationError, ValueError) as e:
        raise said(UsageError, "有一项设置不是合适的值。", f"a setting is not right: {e}") from e
    return go(request, f"/survey/{slug}?did=configured")


@router.post("/survey/{slug}/links")
@access({"admin"})
def make_links(
    request: Request,
    slug: str,
    person: Who,
    db: Db,
    config: Config,
    count: Number = 0,
    batch: Text = "",
) -> Response:
    """A batch of single links as CSV, the only time they can be had."""
    found = load(db, slug)
    tokens = links.make(db, found.id, count, batch=batch.strip(), actor=person.id)
    base = config.base_url.rstrip("/")
    data = exchange.links_csv([f"{base}/s/{x}" for x in tokens])
    return attached(data, f"{slug}-links.csv", "text/csv; charset=utf-8")


def attached(data: bytes, name: str, kind: str) -> Response:
    """A file to keep."""
    return Response(
        data, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@router.post("/survey/{slug}/shared")
@access({"admin"})
def share(request: Request, slug: str, person: Who, db: Db, config: Config) -> Response:
    """A new shared link, shown this once; the one before stops letting new people in."""
    token = links.share(db, load(db, slug).id, actor=person.id)
    return show(request, db, slug, shared=f"{config.base_url.rstrip('/')}/s/{token}")


@router.post("/survey/{slug}/revoke")
@access({"admin"})
def revoke(request: Request, slug: str, person: Who, db: Db, batch: Text = "") -> Response:
    """Stop a batch of links."""
    links.revoke(db, load(db, slug).id, batch=batch, actor=person.id)
    return go(request, f"/survey/{slug}?did=revoked")


@router.get("/survey/{slug}/tasks")
@access({"admin", "auditor"})
def tasks(request: Request, slug: str, person: Who, db: Db, did: str = "") -> Response:
    """The tasks with their examples and sample outputs."""
    return _tasks(request, db, slug, did=did)


def _tasks(
    request: Request, db: Store, slug: str, did: str = "", error: str = "", status: int = 200
) -> Response:
    found = load(db, slug)
    with db.read() as conn:
        stored = surveys.tasks(conn, found.id)
    return render(
        request, "survey/tasks.html", status=status, survey=found, tasks=stored, did=did, error=error,
        phases=taxonomy.items("phases"), states=design.STATES,
    )  # fmt: skip


def task_from(fields: dict[str, str], known: list[StoredTask]) -> design.SurveyTask:
    """A task from a form's fields; its id from the English name where none is given."""
    text: dict[str, Any] = {
        k: fields.get(k, "").strip()
        for k in ("zh", "en", "definition", "phase", "instruction", "example_zh", "example_en")
    }
    key = fields.get("key", "").strip() or new_key(known, text["en"])
    takes: Any = "query" if fields.get("takes") == "query" else "case"
    return design.SurveyTask(key=key, takes=takes, **text)


@router.post("/survey/{slug}/tasks")
@access({"admin"})
def add_task(
    request: Request, slug: str, person: Who, db: Db, key: Text = "", zh: Text = "", en: Text = "",
    phase: Text = "", takes: Text = "case", definition: Text = "", example_zh: Text = "", example_en: Text = "",
) -> Response:  # fmt: skip
    """One more task to propose."""
    found = load(db, slug)
    fields = {
        "key": key, "zh": zh, "en": en, "phase": phase, "takes": takes, "definition": definition,
        "example_zh": example_zh, "example_en": example_en,
    }  # fmt: skip
    with db.read() as conn:
        known = surveys.tasks(conn, found.id)
    try:
        surveys.add_task(db, found.id, task_from(fields, known), actor=person.id)
    except WardroundError as e:
        return _tasks(request, db, slug, error=message(e), status=422)
    return go(request, f"/survey/{slug}/tasks?did=added")


@router.post("/survey/{slug}/tasks/{task_id}")
@access({"admin"})
def change_task(
    request: Request, slug: str, task_id: int, person: Who, db: Db, version: Number = 0, act: Text = "save",
    zh: Text = "", en: Text = "", definition: Text = "", instruction: Text = "", example_zh: Text = "",
    example_en: Text = "",
) -> Response:  # fmt: skip
    """Other words for a task, or off the list with it."""
    found = load(db, slug)
    with db.read() as conn:
        stored = next((x for x in surveys.tasks(conn, found.id) if x.id == task_id), None)
    if stored is None:
        raise said(UsageError, "没有这个任务。", "there is no such task")
    if act == "remove":
        surveys.remove_task(db, task_id, actor=person.id)
        return go(request, f"/survey/{slug}/tasks?did=removed")
    changed = msgspec.structs.replace(
        stored.task, zh=zh, en=en, definition=definition, instruction=instruction, example_zh=example_zh,
        example_en=example_en,
    )  # fmt: skip
    surveys.change_task(db, task_id, changed, version, actor=person.id)
    return go(request, f"/survey/{slug}/tasks?did=changed#t{task_id}")


@router.post("/survey/{slug}/samples")
@access({"admin"})
def give_samples(request: Request, slug: str, person: Who, db: Db, file: UploadFile) -> Response:
    """Sample outputs from a JSONL file."""
    found = load(db, slug)
    try:
        given = parsed(file.file.read(), file.filename or "samples.jsonl")
        surveys.give_samples(db, found.id, given, actor=person.id)
    except WardroundError as e:
        return _tasks(request, db, slug, error=message(e), status=422)
    return go(request, f"/survey/{slug}/tasks?did=sampled")


@router.post("/survey/{slug}/feedback")
@access({"admin"})
def second(
    request: Request,
    slug: str,
    person: Who,
    db: Db,
    name: Text = "",
    title_zh: Text = "",
    title_en: Text = "",
) -> Response:
    """The feedback stage on a closed inspiration stage, with its settings."""
    found = load(db, slug)
    config = msgspec.structs.replace(
        found.config, title_zh=title_zh.strip() or found.config.title_zh, title_en=title_en.strip(), per_person=0
    )  # fmt: skip
    try:
        made = surveys.feedback_of(db, found.id, name.strip(), config, actor=person.id)
    except WardroundError as e:
        return show(request, db, slug, status=422, error=message(e))
    return go(request, f"/survey/{made.slug}")
