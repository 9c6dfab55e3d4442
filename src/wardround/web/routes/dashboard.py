"""The coordinator's pages: all studies, how one stands, its items and the whole story of each. The auditor reads.

The page itself comes from counts alone and is there at once; what needs every score follows as a fragment, which is
kept until another review comes in. What the coordinator may do is in `coordinator`.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from wardround.errors import RefusedError
from wardround.review import coordinating, figures, history, opening, progress
from wardround.review.study import ITEM_STATES, KINDS
from wardround.store.database import Store
from wardround.store.people import REVIEWING
from wardround.web import guard, study_words, words
from wardround.web.accounts import ROLE_NAMES
from wardround.web.guard import Db, Who, access
from wardround.web.pages import Card, Link, is_htmx, render
from wardround.web.sessions import Person
from wardround.web.words import said, t

router = guard.router()
READERS = {"admin", "auditor"}
LINKS = (Link(href="/studies", zh="评审管理", en="Studies", roles=frozenset(READERS)),)
VERBS = {
    "study.opened": ("建立评审", "study opened"),
    "study.closed": ("结束评审", "study closed"),
    "study.reopened": ("重新开放评审", "study opened again"),
    "study.replanned": ("重新分配", "planned anew"),
    "member.joined": ("加入评审", "member joined"),
    "member.left": ("退出评审", "member left"),
    "review.submitted": ("提交评分", "review handed in"),
    "review.withdrawn": ("撤回评分", "review taken back"),
    "lease.expired": ("领取超时退回", "lease ran out"),
    "lease.returned": ("领取被退回", "lease returned"),
    "version.added": ("新版本", "version added"),
    "item.accepted": ("达成一致", "item accepted"),
    "item.done": ("评审完成", "item reviewed"),
    "item.struck": ("未达成一致", "no consensus"),
    "item.to_model": ("交模型重写", "sent to the model"),
    "item.to_revision": ("等待修改", "revision asked for"),
    "item.to_panel": ("交专家组", "sent to the panel"),
    "round.reopened": ("重新打开一轮", "round opened again"),
    "revision.released": ("放开修改任务", "revision released"),
    "panel.accepted": ("专家组通过", "panel accepted"),
    "panel.rejected": ("专家组否决", "panel rejected"),
    "job.hurried": ("立即重试模型任务", "model job hurried"),
    "jobs.hurried": ("立即重试全部模型任务", "model jobs hurried"),
    "draft.written": ("模型写出草稿", "draft written"),
    "draft.unread": ("模型回复无法读取", "draft could not be read"),
    "draft.failed": ("模型任务出错", "draft failed"),
    "draft.lost": ("模型任务中断", "draft lost"),
}
for _english, _chinese in (
    (r"there is no such item in this study", "这项评审里没有这一条。"),
    (r"there is no item", "没有这一条。"),
    (r"can't go to the panel", "这一条目前不能交专家组。"),
    (r"this item waits for no revision", "这一条不在等待修改。"),
    (r"anybody may make this revision", "这项修改已经对所有人开放。"),
    (r"this job is running or over", "这项任务正在进行或已经结束。"),
):
    words.translate(_english, _chinese)


def cards(conn: Connection, person: Person) -> list[Card]:
    """One card for each open study, for whoever coordinates."""
    if not person.has("admin"):
        return []
    found = []
    for s in progress.studies(conn):
        if s.status != "open":
            continue
        config = opening.read_config(s.config)
        panel = s.states.get("panel", 0)
        left = s.items - s.final
        text = (
            t("条还没有结论", "items not settled yet")
            if left
            else t("都有结论了", "All are settled")
        )
        if panel:
            text += t(f"；{panel} 条待专家组裁定", f"; {panel} before the panel")
        if s.errors:
            text += t(f"；{s.errors} 项模型任务出错", f"; {s.errors} model jobs with an error")
        found.append(
            Card(
                title=config.title, text=text, href=f"/studies/{s.slug}", action=t("查看进度", "See progress"),
                count=left or None, calm=not left, done=s.final, total=s.items,
            )
        )  # fmt: skip
    return found


@router.get("/studies")
@access(READERS)
def studies(request: Request, person: Who, db: Db) -> Response:
    """All of them."""
    with db.read() as conn:
        rows = [(s, opening.read_config(s.config)) for s in progress.studies(conn)]
    return render(request, "dashboard/studies.html", rows=rows, kinds=KINDS, w=study_words)


def study_of(conn: Connection, slug: str) -> tuple[Any, Any]:
    """(the study's row, its settings)."""
    row = opening.study_row(conn, slug)
    return row, opening.read_config(row["config"])


@router.get("/studies/{slug}")
@access(READERS)
def study(request: Request, slug: str, person: Who, db: Db, did: str = "", n: int = 0) -> Response:
    """How it stands."""
    with db.read() as conn:
        return render(request, "dashboard/study.html", did=did, n=n, **_standing(conn, slug))


@router.get("/studies/{slug}/overview")
@access(READERS)
def overview(request: Request, slug: str, person: Who, db: Db) -> Response:
    """The part of the page that moves while people work."""
    with db.read() as conn:
        found = _standing(conn, slug)
    if not is_htmx(request):
        return render(request, "dashboard/study.html", did="", n=0, **found)
    return render(request, "dashboard/_overview.html", **found)


def _standing(conn: Connection, slug: str) -> dict[str, Any]:
    row, config = study_of(conn, slug)
    found = progress.overview(conn, row["id"])
    return {
        "study": row, "slug": slug, "config": config, "o": found, "w": study_words, "kinds": KINDS,
        "jobs": progress.jobs(conn, row["id"]), "revisions": progress.revisions(conn, row["id"]),
        "missing": _missing(conn, row["id"], found.unassigned),
    }  # fmt: skip


def _missing(conn: Connection, study_id: int, unassigned: dict[str, int]) -> list[dict[str, Any]]:
    """Specialties nobody is eligible for, each with accounts that could be asked."""
    if not unassigned:
        return []
    people = progress.candidates(conn, study_id, REVIEWING)
    return [
        {
            "specialty": name, "slots": n,
            "people": [p for p in people if name == "unmapped" or not p.specialties or name in p.specialties][:6],
        }
        for name, n in unassigned.items()
    ]  # fmt: skip


@router.get("/studies/{slug}/figures")
@access(READERS)
def heavy(request: Request, slug: str, person: Who, db: Db) -> Response:
    """What needs every score: reviewers, agreement, agreement over time, reasons of failed rounds."""
    context = _figures(db, slug)
    template = "dashboard/_figures.html" if is_htmx(request) else "dashboard/figures.html"
    return render(request, template, **context)


def _figures(db: Store, slug: str) -> dict[str, Any]:
    with db.read() as conn:
        row, config = study_of(conn, slug)
    found = figures.figures(db, row["id"])
    with db.read() as conn:
        reviewers = progress.reviewers(conn, row["id"])
        failed, reasons = progress.failures(conn, row["id"])
        others = progress.candidates(conn, row["id"], REVIEWING)
    fields = figures.judged(config)
    return {
        "study": row, "slug": slug, "config": config, "f": found, "reviewers": reviewers, "failed": failed,
        "reasons": reasons, "others": others, "fields": fields, "w": study_words, "role_names": ROLE_NAMES,
        "over_time": found.windows and [d.measure for d in found.windows[0].dimensions[0].measures],
    }  # fmt: skip


@router.get("/studies/{slug}/items")
@access(READERS)
def items(
    request: Request, slug: str, person: Who, db: Db, state: str = "", specialty: str = "", strikes: str = "",
    text: Annotated[str, Query(max_length=200)] = "", after: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> Response:  # fmt: skip
    """Fifty items, filtered."""
    wanted = progress.Wanted(
        state=state, specialty=specialty, text=text,
        strikes=int(strikes) if strikes.isdecimal() and len(strikes) < 4 else None,
    )  # fmt: skip
    with db.read() as conn:
        row, config = study_of(conn, slug)
        rows, further, total = progress.items(conn, row["id"], wanted, after=after)
        names = progress.specialties(conn, row["id"])
    query = {"state": state, "specialty": specialty, "strikes": strikes, "text": text}
    return render(
        request, "dashboard/items.html", study=row, slug=slug, config=config, rows=rows, further=further, total=total,
        wanted=wanted, names=names, states=ITEM_STATES, after=after, w=study_words,
        query=urlencode({k: v for k, v in query.items() if v}),
    )  # fmt: skip


@router.get("/studies/{slug}/items/{item_id}")
@access(READERS | {"panel"})
def story(request: Request, slug: str, item_id: int, person: Who, db: Db) -> Response:
    """Everything about one item, with names."""
    with db.read() as conn:
        row, _ = study_of(conn, slug)
        coordinating.item_row(conn, row["id"], item_id)
        found = history.history(conn, item_id)
        closed_to(conn, found, person)
    return render(
        request, "dashboard/item.html", h=found, w=study_words, verbs=request.app.state.verbs,
    )  # fmt: skip


def closed_to(conn: Connection, found: history.History, person: Person) -> None:
    """`RefusedError` for a reviewer of this study while the item may still come to them."""
    if history.may_not_see(conn, found.row, found.study_status, person.id):
        raise said(
            RefusedError,
            "您也是这项评审的评审人，这一条结束之前不能查看他人的评分。",
            "You review in this study: until this item is settled you can't see what others gave it.",
        )
