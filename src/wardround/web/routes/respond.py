"""The survey as its respondents meet it: by a link, without a name or a login, on a telephone, and without scripts too.

Every page is a plain form that saves and goes on; with htmx each tap is saved at once. The token in the path is all
the right there is: whoever has it may answer and change the answer until the survey is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from wardround import taxonomy
from wardround.errors import RefusedError, UsageError
from wardround.records import Record
from wardround.store.database import Store
from wardround.survey import desk, links, surveys
from wardround.survey.answers import Answer, complete, words_of
from wardround.survey.design import (
    ASKED,
    DIMENSIONS,
    LONGEST,
    VERDICTS,
    SurveyTask,
    by_phase,
    minutes,
    profile,
)
from wardround.survey.desk import ClashError, Form
from wardround.survey.fields import patch_of
from wardround.survey.samples import UNREVIEWED
from wardround.web import guard, words
from wardround.web.forms import fields_of
from wardround.web.guard import Config, Db, access
from wardround.web.pages import go, local_path, render
from wardround.web.words import t

router = guard.router()

words.translate(r"this link is not valid", "这个链接无效或已停用，请向发给您的人索取新链接。")
words.translate(r"this survey is not open", "这份调查尚未开始或已经结束，没有保存。")
words.translate(r"shared link has reached its limit", "这个公开链接的人数已满，请联系调查协调人。")
words.translate(r"nothing is answered yet", "还没有回答任何问题。")
words.translate(r"is not on the scale", "有一项不是可选的值。")
words.translate(r"no name, or too many", "补充的任务需要填写名称。")


def _steps(form: Form) -> list[tuple[str, tuple[str, str]]]:
    """The pages in their order: id and names."""
    phases = {p.id: (p.zh, p.en) for p in taxonomy.items("phases")}
    steps = [("about", ("关于您", "About you"))]
    steps += [(p, phases.get(p, (p, p))) for p, _ in by_phase(form.tasks)]
    if form.seat.survey.stage == "inspiration" and form.seat.survey.config.most_added:
        steps.append(("own", ("补充任务", "Your own tasks")))
    return [*steps, ("send", ("提交", "Hand in"))]


def _mine(form: Form, step: str) -> list[SurveyTask]:
    return [task for p, tasks in by_phase(form.tasks) if p == step for task in tasks]


def _cookie(survey_id: int) -> str:
    """The browser's own token from a shared link. It has a path, so it can't bear the `__Host-` of the others."""
    return f"wardround_survey{survey_id}"


def _own(request: Request, db: Store, seat: links.Seat) -> str | None:
    """The token this browser got from the shared link before, if it still works."""
    token = request.cookies.get(_cookie(seat.survey.id), "")
    if not token:
        return None
    try:
        mine = links.admit(db, token)
    except RefusedError:
        return None
    return token if mine.survey.id == seat.survey.id and mine.holder else None


@router.get("/s/{token}")
@access("public")
def start(request: Request, token: str, db: Db) -> Response:
    """What it is about, who sees what, and the way in; nothing is stored by looking."""
    form = desk.look(db, token)
    if form.seat.kind == "shared":
        mine = _own(request, db, form.seat)
        if mine is not None:
            return go(request, f"/s/{mine}")
    survey = form.seat.survey
    if survey.status != "open":
        return render(
            request,
            "survey/respond/closed.html",
            survey=survey,
            answered=form.submitted is not None,
        )
    number = (
        len(form.tasks)
        if not survey.config.per_person
        else min(len(form.tasks), survey.config.per_person)
    )
    about = max(1, round(minutes(survey.stage, number)))
    return render(
        request, "survey/respond/start.html", survey=survey, token=token, form=form, minutes=about,
        tasks=number, begun=form.version > 0,
    )  # fmt: skip


@router.post("/s/{token}")
@access("public")
def begin(request: Request, token: str, db: Db, settings: Config) -> Response:
    """Into the questions; a shared link first gives this browser a token of its own."""
    form = desk.look(db, token)
    if form.seat.kind != "shared":
        return go(request, f"/s/{token}/{_where_left(form)}")
    mine = _own(request, db, form.seat)
    made = mine or links.enter(db, token)
    response = go(request, f"/s/{made}/about")
    response.set_cookie(
        _cookie(form.seat.survey.id), made, max_age=31_536_000, path="/s/", httponly=True,
        samesite="lax", secure=settings.https,
    )  # fmt: skip
    return response


def _where_left(form: Form) -> str:
    """The first page with something to answer on it."""
    if form.answer.empty:
        return "about"
    stage = form.seat.survey.stage
    for phase, tasks in by_phase(form.tasks):
        if not all(complete(form.answer, task.key, stage) for task in tasks):
            return phase
    return "send"


@router.get("/s/{token}/{step}")
@access("public")
def page(request: Request, token: str, step: str, db: Db) -> Response:
    """One page of questions."""
    form = desk.look(db, token)
    if form.seat.survey.status != "open" or not form.seat.holder:
        return go(request, f"/s/{token}")
    if step == "done":
        if form.submitted is None:
            return go(request, f"/s/{token}/send")
        return render(
            request, "survey/respond/done.html", token=token, form=form, survey=form.seat.survey
        )
    return _page(request, token, step, form)


def _page(
    request: Request,
    token: str,
    step: str,
    form: Form,
    *,
    answer: Answer | None = None,
    trouble: str = "",
    status: int = 200,
) -> Response:
    steps = _steps(form)
    place = next((i for i, (s, _) in enumerate(steps) if s == step), None)
    if place is None:
        return go(request, f"/s/{token}")
    template = {"about": "about", "own": "own", "send": "send"}.get(step, "tasks")
    return render(
        request, f"survey/respond/{template}.html", status=status, token=token, form=form,
        survey=form.seat.survey, steps=steps, place=place, step=step, tasks=_mine(form, step),
        answer=form.answer if answer is None else answer, trouble=trouble, profile=profile(),
        dimensions=[DIMENSIONS[d] for d in ASKED[form.seat.survey.stage]], verdicts=VERDICTS,
        longest=LONGEST, left=_left(form), nameless=_nameless(form), samples=_samples(request, form, step), unreviewed=UNREVIEWED.split(" / "),
    )  # fmt: skip


def _samples(request: Request, form: Form, step: str) -> dict[str, Any]:
    if form.seat.survey.stage != "feedback" or step in ("about", "own", "send"):
        return {}
    store: Store = request.app.state.store
    with store.read() as conn:
        found = surveys.tasks(conn, form.seat.survey.id, "proposed")
    return {x.task.key: x.samples for x in found if x.samples}


def _nameless(form: Form) -> list[str]:
    """Slots of own tasks that say something but have no name."""
    return [a.slot for a in form.answer.added if not a.name.strip()]


class _Left(Record, frozen=True, kw_only=True):
    """One page as the last one lists it. `total` None: nothing there has to be filled in."""

    step: str
    names: tuple[str, str]
    done: int
    total: int | None = None
    nameless: int = 0


def _left(form: Form) -> list[_Left]:
    """Each page of tasks with how many are complete, of how many, and the respondent's own tasks."""
    names = dict(_steps(form))
    stage = form.seat.survey.stage
    found = [
        _Left(
            step=p, names=names[p], total=len(tasks),
            done=sum(complete(form.answer, x.key, stage) for x in tasks),
        )
        for p, tasks in by_phase(form.tasks)
    ]  # fmt: skip
    if "own" in names:
        nameless = len(_nameless(form))
        done = len(form.answer.added) - nameless
        found.append(_Left(step="own", names=names["own"], done=done, nameless=nameless))
    return found


@router.post("/s/{token}/-/save")
@access("public")
async def tap(request: Request, token: str, db: Db) -> Response:
    """Save what was tapped or typed, and show how far it is."""
    fields = await _fields(request)
    return await _in_thread(_tap, request, token, db, fields)


def _tap(request: Request, token: str, db: Store, fields: dict[str, str]) -> Response:
    form = desk.look(db, token)
    try:
        form = desk.save(db, token, _patch(form, fields), _version(fields))
    except ClashError as e:
        form, trouble = desk.look(db, token), _clash(e, form.tasks)
    else:
        trouble = ""
    return render(request, "survey/respond/saved.html", form=form, trouble=trouble)


@router.post("/s/{token}/{step}")
@access("public")
async def forward(request: Request, token: str, step: str, db: Db) -> Response:
    """Save the page and go on, back, or hand in."""
    fields = await _fields(request)
    return await _in_thread(_forward, request, token, step, db, fields)


def _forward(
    request: Request, token: str, step: str, db: Store, fields: dict[str, str]
) -> Response:
    form = desk.look(db, token)
    patch = _patch(form, fields)
    try:
        form = desk.save(db, token, patch, _version(fields))
    except ClashError as e:
        there = desk.look(db, token)
        given = desk.merged(there.answer, patch)
        return _page(
            request, token, step, there, answer=given, trouble=_clash(e, form.tasks), status=409
        )
    except UsageError as e:
        if "added" not in str(e):
            raise
        return _page(request, token, step, form, trouble=words.message(e), status=422)
    if step == "own" and fields.get("go", "next") == "next" and _nameless(form):
        trouble = t(
            "补充的任务需要填写名称；不想补充就把这一项清空。",
            "An own task needs a name; to leave it out, empty its fields.",
        )
        return _page(request, token, step, form, trouble=trouble, status=422)
    order = [s for s, _ in _steps(form)]
    here = order.index(step) if step in order else 0
    to = fields.get("go", "next")
    if to == "send" and step == "send":
        try:
            desk.submit(db, token)
        except UsageError as e:
            return _page(request, token, step, form, trouble=words.message(e), status=422)
        return go(request, f"/s/{token}/done")
    place = here + (1 if to == "next" else -1 if to == "back" else 0)
    target = to if to in order else order[min(max(place, 0), len(order) - 1)]
    return go(request, local_path(f"/s/{token}/{target}"))


def _patch(form: Form, fields: dict[str, str]) -> desk.Patch:
    return patch_of(fields, form.answer, form.tasks, form.seat.survey.config.most_added)


def _version(fields: dict[str, str]) -> int | None:
    text = fields.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _clash(error: ClashError, tasks: Sequence[SurveyTask]) -> str:
    """Which questions another window has answered otherwise."""
    zh, en = zip(*(_named(f, tasks) for f in error.fields), strict=True)
    return t(
        f"另一个窗口已改过这些回答：{'、'.join(dict.fromkeys(zh))}。本页显示的是您在这里选的，再点一次即以本页为准。",
        f"Another window has changed: {', '.join(dict.fromkeys(en))}. This page shows what you chose here; press again to keep it.",
    )


def _named(field: str, tasks: Sequence[SurveyTask]) -> tuple[str, str]:
    if field == "remark":
        return "其他意见", "other remarks"
    if field.startswith("added"):
        return "补充的任务", "your own tasks"
    zh, en = words_of(field, tasks)
    return zh.partition("：")[0], en.partition(":")[0]


async def _fields(request: Request) -> dict[str, str]:
    """The text fields of the form."""
    return {k: v for k, v in (await fields_of(request)).items() if isinstance(v, str)}


async def _in_thread(call: Any, *args: Any) -> Response:
    response: Response = await run_in_threadpool(call, *args)
    return response
