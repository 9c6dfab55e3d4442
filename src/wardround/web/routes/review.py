"""The reviewer's page: one item a screen, scored by keys, the draft kept while it is written.

A whole page and an htmx swap are made by the same template, so the page works by mouse and plain forms as well. What
a reviewer may see is for `wardround.review.desk` to say; nothing here reads an author or another reviewer's scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from markupsafe import Markup
from sqlalchemy import Connection, select
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from wardround.errors import ConflictError, RefusedError, WardroundError
from wardround.review import desk, drafts, handing_in, opening
from wardround.review.study import KINDS, Field, Part, ReviewIn, Span, StudyConfig
from wardround.review.tables import member, study
from wardround.store.database import Store
from wardround.store.people import REVIEWING
from wardround.store.steps import Steps, alone
from wardround.taxonomy import specialties
from wardround.web import guard, study_words, words
from wardround.web.forms import fields_of
from wardround.web.guard import Db, Who, access
from wardround.web.keeping import DraftIn, keep
from wardround.web.pages import Card, Link, environment, go, is_htmx, render
from wardround.web.sessions import Person
from wardround.web.words import pair, said, t

router = guard.router()
LINKS = (Link(href="/review", zh="评审", en="Review", roles=REVIEWING),)

for _english, _chinese in (
    (r"not complete:", "还没有填完，请看标红的地方。"),
    (
        r"can't be taken:",
        "有内容不能接受：分数不在可选范围内，或文字超过 50,000 字。请改正后再提交。",
    ),
    (r"this round is closed", "这一轮已经结束。您写的内容已存为草稿。"),
    (r"this item is gone", "这一条已不在这项评审中，请继续下一条。"),
    (r"ran out and someone else", "这一条超时后已由他人接手。您写的内容已存为草稿。"),
    (r"already, with other scores", "这一条已经提交过。要改分请先撤回（z）。"),
    (r"there is nothing to take back", "没有可以撤回的评审。"),
    (r"this review was taken back just now", "这条评审刚才已经撤回。"),
    (r"this study is closed", "这项评审已经结束，不能撤回了。"),
    (r"the next round has begun", "下一轮已经开始，不能撤回了。"),
    (r"the model has been asked already", "模型已在重写，不能撤回了。"),
    (r"a newer draft was saved", "另一个标签页里有更新的草稿。"),
    (r"you are not a reviewer of this study", "您不是这项评审的成员。需要的话请联系组织者。"),
    (r"nothing was changed", "还没有改动，请至少修改一步。"),
    (r"there is no study", "没有这项评审。"),
):
    words.translate(_english, _chinese)


def cards(conn: Connection, person: Person) -> list[Card]:
    """What waits for a reviewer on the first page: one card a study."""
    found = []
    for row in _mine(conn, person.id):
        done, total = desk.progress(conn, row.id, person.id)
        if row.status == "open" and total:
            found.append(
                Card(
                    title=opening.read_config(row.config).title,
                    text=t("条待评", "to review") if total > done else t("分给您的都评完了", "All of yours are done"),
                    href=f"/review/{row.slug}", action=_action(done, total),
                    count=total - done or None, calm=total == done, done=done, total=total,
                )
            )  # fmt: skip
    return found


def _action(done: int, total: int) -> str:
    """What there is to do in a study: begin, go on, or look at what is done."""
    if done >= total:
        return t("查看", "Look")
    return t("继续评审", "Go on") if done else t("开始评审", "Begin")


def _mine(conn: Connection, user_id: int) -> list[Any]:
    return list(
        conn.execute(
            select(study.c.id, study.c.slug, study.c.config, study.c.status)
            .join(member, member.c.study_id == study.c.id)
            .where(member.c.user_id == user_id, member.c.active)
            .order_by(study.c.status.desc(), study.c.id.desc())
        )
    )


@router.get("/review")
@access(set(REVIEWING))
def mine(request: Request, person: Who, db: Db) -> Response:
    """The studies I review in."""
    with db.read() as conn:
        rows = [
            {
                "slug": row.slug, "title": config.title, "kind": pair(KINDS[config.kind]), "open": row.status == "open",
                "progress": progress, "action": _action(*progress),
            }
            for row in _mine(conn, person.id)
            for config in [opening.read_config(row.config)]
            for progress in [desk.progress(conn, row.id, person.id)]
        ]  # fmt: skip
    return render(request, "review/mine.html", studies=rows)


@router.get("/review/{slug}")
@access(set(REVIEWING))
def page(request: Request, slug: str, person: Who, db: Db) -> Response:
    """The next item."""
    return _desk(request, db, slug, person)


class _Seen(NamedTuple):
    """What the page shows, read in one transaction."""

    config: StudyConfig
    open: bool
    task: desk.Task | None
    done: int
    total: int


def _look(
    conn: Connection, db: Store, row: Mapping[Any, Any], user_id: int, **known: Any
) -> Steps[_Seen]:
    tasks = yield from desk.tasks_in(conn, db, row["id"], user_id, ahead=0, study=row, **known)
    task = tasks[0] if tasks else None
    done, total = task.progress if task else desk.progress(conn, row["id"], user_id)
    return _Seen(opening.read_config(row["config"]), row["status"] == "open", task, done, total)


def _desk(
    request: Request, db: Store, slug: str, person: Person, *, notice: str = "", back: bool = False
) -> Response:
    seen = db.done(
        lambda conn: alone(conn, _look(conn, db, opening.study_row(conn, slug), person.id))
    )
    return _show(request, slug, seen, notice=notice, back=back)


def _show(
    request: Request, slug: str, seen: _Seen, *, notice: str = "", back: bool = False
) -> Response:
    task = seen.task
    kept = _draft(task.draft if task else None)
    template = "review/_desk.html" if is_htmx(request) else "review/desk.html"
    return render(
        request, template, slug=slug, config=seen.config, task=task, done=seen.done, total=seen.total,
        notice=notice, back=back, draft=kept, scores=_scores(seen.config, kept.scores), spans_json=msgspec.json.encode(kept.spans).decode(),
        markable=task is not None and any(_markable(part) for part in task.content), comment_hint=study_words.comment_hint(seen.config), closed=not seen.open, specialty=_specialty(task.specialty) if task else "",
        ten=any(len(field.levels) == 10 for field in seen.config.form),
    )  # fmt: skip


def _markable(part: Part) -> bool:
    """Whether words of a part under review can be marked."""
    return bool(part.text) and not part.text_en and part.role != "picture"


def _scores(config: StudyConfig, given: dict[str, Any]) -> Markup:
    """The fields to score. Mostly nothing is chosen yet, and the same for everybody: half of the page's work."""
    return _fields(config.form, given) if given else _blank(config.form, words.LANG.get())


def _fields(form: tuple[Field, ...], given: dict[str, Any]) -> Markup:
    return Markup(environment().get_template("review/_scores.html").render(form=form, scores=given))


@lru_cache(maxsize=64)
def _blank(form: tuple[Field, ...], lang: str) -> Markup:
    return _fields(form, {})


class DraftBody(msgspec.Struct):
    """A draft as the page is filled from it."""

    scores: dict[str, Any] = {}
    comment: str = ""
    spans: list[dict[str, Any]] = []
    revision: dict[str, str] | None = None
    seconds: float = 0.0


def _draft(stored: dict[str, Any] | None) -> DraftBody:
    """What was saved; an empty one for a draft that makes no sense (it came from the reviewer's own browser)."""
    try:
        return msgspec.convert(stored or {}, DraftBody)
    except msgspec.ValidationError:
        return DraftBody()


def _specialty(name: str) -> str:
    found = specialties().get(name)
    return t(found.zh, found.en) if found else t("未分科", "no specialty")


@router.post("/review/{slug}/submit")
@access(set(REVIEWING))
async def submit(request: Request) -> Response:
    """Hand in, and the next item in the same answer."""
    # Of the request itself: FastAPI's way to these, for each anew, is a twentieth of a hand-in.
    slug: str = request.path_params["slug"]
    person: Person = request.state.person
    db: Store = request.app.state.store
    form = await fields_of(request)
    slot, version = _number(form, "assignment"), _number(form, "version")
    given: ReviewIn | None = None

    def hand_in(conn: Connection) -> Steps[_Seen]:
        nonlocal given
        found = yield from handing_in.there(slot, person.id)
        if found is not None and found.study["slug"] != slug:
            found = None
        study = found.study if found else opening.study_row(conn, slug)
        given = read_form(form, opening.read_config(study["config"]))
        if found is None:
            raise handing_in.gone()
        done = yield from handing_in.submit_at(
            conn, person.id, found, version, given, counted=False
        )
        return (yield from _look(conn, db, study, person.id, holds=done.holds, did=done.did))

    try:
        # One transaction: the review, what follows from it, and the next item.
        seen = await db.transact(hand_in)
    except (ConflictError, RefusedError) as e:
        if given is None:
            raise
        return await run_in_threadpool(_refused, request, slug, person, db, form, given, e)
    if not is_htmx(request):
        return go(request, f"/review/{slug}")
    return _show(request, slug, seen)


def _refused(
    request: Request, slug: str, person: Person, db: Store, form: FormData, given: ReviewIn, why: WardroundError
) -> Response:  # fmt: skip
    """What was written must not go with the page: it becomes the draft, whatever stood there."""
    _keep(db, person.id, form, given)
    return _desk(request, db, slug, person, notice=words.message(why))


def _keep(db: Store, user_id: int, form: FormData, given: ReviewIn) -> None:
    place = drafts.place_of(_number(form, "item"), _number(form, "round"))
    for left in (2, 1, 0):
        with db.read() as conn:
            _, version = drafts.read_draft(conn, user_id, place)
        try:
            drafts.save_draft(db, user_id, place, msgspec.to_builtins(given), version=version)
            return
        except ConflictError:  # the same form sent twice at once
            if not left:
                raise


def read_form(form: FormData, config: StudyConfig) -> ReviewIn:
    """A review from the fields of the page: `score.<field>`, `comment`, `spans` (JSON), `revise.<part>`."""
    scores: dict[str, Any] = {}
    for field in config.form:
        values = [str(v) for v in form.getlist(f"score.{field.id}")]
        known = {str(level.value): level.value for level in field.levels}
        chosen = [known.get(v, v) for v in values if v != ""]
        if chosen:
            scores[field.id] = chosen if field.kind == "labels" else chosen[0]
    revision = {
        str(k).removeprefix("revise."): _lines(str(v))
        for k, v in form.multi_items()
        if k.startswith("revise.")
    }
    try:
        spans = msgspec.json.decode(str(form.get("spans") or "[]"), type=tuple[Span, ...])
        seconds = float(str(form.get("seconds") or 0))
    except (msgspec.DecodeError, ValueError):
        raise said(
            ConflictError, "页面内容有误，请刷新后重试。", "The page sent something odd. Reload it."
        ) from None
    return ReviewIn(
        scores=scores, comment=_lines(str(form.get("comment") or "")), spans=spans,
        revision=revision or None, seconds=min(max(seconds, 0.0), 86_400.0),
    )  # fmt: skip


def _lines(text: str) -> str:
    """Forms send lines ended by CR LF; what is kept has LF, so that offsets and diffs agree."""
    return text.replace("\r\n", "\n")


def _number(form: FormData, name: str) -> int:
    text = str(form.get(name) or "")
    if not text.isdigit() or len(text) > 15:
        raise said(
            ConflictError, "页面内容有误，请刷新后重试。", "The page sent something odd. Reload it."
        )
    return int(text)


@router.post("/review/{slug}/undo")
@access(set(REVIEWING))
def undo(request: Request, slug: str, person: Who, db: Db) -> Response:
    """Take back my last review: it is on the desk again, as a draft."""
    with db.read() as conn:
        study_id = opening.study_row(conn, slug)["id"]
    handing_in.undo(db, study_id, person.id)
    if not is_htmx(request):
        return go(request, f"/review/{slug}")
    return _desk(request, db, slug, person, back=True)


class _Draft(DraftIn):
    """An unfinished review."""

    item: int
    round: int
    body: dict[str, Any]


@router.put("/review/{slug}/draft")
@access(set(REVIEWING))
async def draft(request: Request, slug: str, person: Who, db: Db) -> Response:
    """Keep what is on the page. 409 with the newer draft's version where another tab was here since."""
    raw = await request.body()

    def place(conn: Connection, given: _Draft) -> str:
        desk.member_row(conn, opening.study_row(conn, slug)["id"], person.id)
        return drafts.place_of(given.item, given.round)

    return await run_in_threadpool(keep, db, person.id, raw, _Draft, place)
