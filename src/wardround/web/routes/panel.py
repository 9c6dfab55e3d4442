"""The panel's pages: what waits for a decision, and one item with all that led there. Its decision is final.

Panel members decide; the coordinator and the auditor read. What is being written is kept as a draft under
`panel:<item>`; where the item was decided or changed meanwhile, nothing is lost.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from wardround.errors import ConflictError, UsageError
from wardround.review import coordinating, drafts, history, opening, panel, progress
from wardround.store.database import Store
from wardround.web import guard, study_words, words
from wardround.web.forms import fields_of
from wardround.web.guard import Db, Who, access
from wardround.web.keeping import DraftIn, keep
from wardround.web.pages import Card, Link, go, is_htmx, render
from wardround.web.routes.dashboard import closed_to
from wardround.web.sessions import Person
from wardround.web.words import said, t

router = guard.router()
READERS = {"panel", "admin", "auditor"}
LINKS = (Link(href="/panel", zh="专家组", en="Panel", roles=frozenset(READERS)),)
STEPS = 8
"""Steps offered where no version was ever written."""

for _english, _chinese in (
    (r"a decision needs its reason", "请写明裁定理由。"),
    (r"the reason is longer than", "理由太长。"),
    (r"this item was decided or changed meanwhile", "这一条刚被其他人裁定或改动过。"),
    (r"a version with a wrong answer", "这一稿的答案与标准答案不符，不能采纳。请改正答案和推理后采纳（e），或者否决（x）。"),
    (r"there is no version to amend", "还没有任何一稿：请写出答案和至少一步推理，或者否决。"),
):  # fmt: skip
    words.translate(_english, _chinese)


def cards(conn: Connection, person: Person) -> list[Card]:
    """How many items wait for the panel."""
    if not person.has("panel"):
        return []
    waiting = len(progress.before_panel(conn))
    if not waiting:
        return []
    return [
        Card(
            title=t("专家组裁定", "The panel"), count=waiting, href="/panel", action=t("开始裁定", "Decide"),
            text=t("条多轮未达成一致，等待裁定", "items without consensus wait for a decision"),
        )
    ]  # fmt: skip


@router.get("/panel")
@access(READERS)
def queue(request: Request, person: Who, db: Db) -> Response:
    """Everything before the panel, of all studies."""
    with db.read() as conn:
        rows = [(r, opening.read_config(r.config)) for r in progress.before_panel(conn)]
    return render(request, "panel/queue.html", rows=rows, w=study_words)


@router.get("/panel/{item_id}")
@access(READERS)
def page(request: Request, item_id: int, person: Who, db: Db) -> Response:
    """One item with everything, and the form for whoever decides."""
    return _desk(request, db, item_id, person)


def place_of(item_id: int) -> str:
    """Where the draft of a decision is kept."""
    return f"panel:{item_id}"


class DraftBody(msgspec.Struct):
    """An unfinished decision. `amended`: version id (0: none) → part id → text."""

    decision: str = ""
    version: int = 0
    reason: str = ""
    amended: dict[str, dict[str, str]] = {}


def _draft(stored: dict[str, Any] | None) -> DraftBody:
    try:
        return msgspec.convert(stored or {}, DraftBody)
    except msgspec.ValidationError:
        return DraftBody()


def _desk(
    request: Request, db: Store, item_id: int, person: Person, *, status: int = 200, notice: str = "",
    good: bool = False, headers: dict[str, str] | None = None,
) -> Response:  # fmt: skip
    with db.read() as conn:
        found = history.history(conn, item_id)
        closed_to(conn, found, person)
        stored, version = drafts.read_draft(conn, person.id, place_of(item_id))
        waiting = [r.id for r in progress.before_panel(conn)]
    kept = _draft(stored)
    chosen = found.version(kept.version) or found.version(found.row["version_id"])
    options = [p.id for p in found.body if p.role == "option"] or sorted(
        found.row["data"].get("options") or {}
    )
    return render(
        request, "panel/_desk.html" if is_htmx(request) else "panel/page.html", status=status, headers=headers,
        h=found, w=study_words, draft=kept, draft_version=version, restored=stored is not None, chosen=chosen,
        notice=notice, good=good, waiting=waiting, letters=options, steps=range(1, STEPS + 1),
        may=person.has("panel") and found.row["status"] == "panel",
        own=any(r.user == person.id for v in found.versions for r in v.reviews),
    )  # fmt: skip


@router.post("/panel/{item_id}")
@access({"panel"})
async def decide(request: Request, item_id: int, person: Who, db: Db) -> Response:
    """Settle the item, and the next one in the same answer."""
    form = await fields_of(request)
    return await run_in_threadpool(_decide, request, item_id, person, db, form)


def _decide(request: Request, item_id: int, person: Person, db: Store, form: FormData) -> Response:
    given = read_form(form)
    with db.read() as conn:
        before = history.history(conn, item_id)
        closed_to(conn, before, person)
        waiting = [r.id for r in progress.before_panel(conn)]
    if given.decision not in ("accept", "amend", "reject"):
        raise said(
            UsageError, "请先选择裁定：采纳、修改或否决。", "Choose first: accept, amend or reject."
        )
    version = before.version(given.version)
    if version is None and (given.version or before.versions):
        raise said(UsageError, "请选择这一条的一稿。", "Choose one of this item's versions.")
    decision: Any = given.decision
    try:
        state = panel.decide(
            db, item_id, by=person.id, item_version=_number(form, "item_version"), decision=decision, reason=given.reason,
            version_id=version.id if version else None, amended=_changed(given, version),
        )  # fmt: skip
    except ConflictError as e:
        # What was written must not go with the page: it becomes the draft, whatever stood there.
        _keep(db, person.id, item_id, given)
        notice = words.message(e) + t("您写的内容已存为草稿。", " Your text is kept as a draft.")
        return _desk(request, db, item_id, person, status=409, notice=notice)
    with db.write() as conn:
        coordinating.forget_draft(conn, person.id, place_of(item_id))
    return _next(request, db, person, item_id, waiting, before.row["key"], state)


def _changed(given: DraftBody, version: history.Version | None) -> dict[str, str]:
    """The parts that differ from the version they were written over; blank steps of a new text are none."""
    texts = given.amended.get(str(given.version), {})
    if version is None:
        return {k: v for k, v in texts.items() if v.strip()}
    old = {p.id: p.text for p in version.content}
    if "answer" in old and version.data.get("answer"):
        old["answer"] = str(version.data["answer"])
    return {k: v for k, v in texts.items() if k in old and v != old[k]}


def _next(
    request: Request,
    db: Store,
    person: Person,
    item_id: int,
    waiting: list[int],
    key: str,
    state: str,
) -> Response:
    left = [i for i in waiting if i != item_id]
    following = next((i for i in left if i > item_id), left[0] if left else None)
    path = f"/panel/{following}" if following else "/panel"
    if not is_htmx(request):
        return go(request, path)
    notice = f"{key}：" + (
        t("已通过。", "accepted.") if state == "accepted" else t("已否决。", "rejected.")
    )
    if following is None:
        return render(request, "panel/_empty.html", notice=notice, headers={"HX-Push-Url": path})
    return _desk(
        request, db, following, person, notice=notice, good=True, headers={"HX-Push-Url": path}
    )


def _number(form: FormData, name: str) -> int:
    text = str(form.get(name) or "0")
    if not text.isdigit() or len(text) > 15:
        raise said(
            ConflictError, "页面内容有误，请刷新后重试。", "The page sent something odd. Reload it."
        )
    return int(text)


def read_form(form: FormData) -> DraftBody:
    """A decision from the page's fields: `decision`, `version`, `reason`, `amend.<version>.<part>`."""
    amended: dict[str, dict[str, str]] = {}
    for name, value in form.multi_items():
        if name.startswith("amend.") and name.count(".") >= 2:
            _, version, part = name.split(".", 2)
            amended.setdefault(version, {})[part] = str(value).replace("\r\n", "\n")
    return DraftBody(
        decision=str(form.get("decision") or ""), version=_number(form, "version"),
        reason=str(form.get("reason") or "").replace("\r\n", "\n"), amended=amended,
    )  # fmt: skip


def _keep(db: Store, user_id: int, item_id: int, given: DraftBody) -> None:
    with db.read() as conn:
        _, version = drafts.read_draft(conn, user_id, place_of(item_id))
    drafts.save_draft(db, user_id, place_of(item_id), msgspec.to_builtins(given), version=version)


class _Draft(DraftIn):
    """An unfinished decision."""

    body: DraftBody


@router.put("/panel/{item_id}/draft")
@access({"panel"})
async def draft(request: Request, item_id: int, person: Who, db: Db) -> Response:
    """Keep what is on the page. 409 where another tab saved since."""
    raw = await request.body()

    def place(conn: Connection, _: _Draft) -> str:
        closed_to(conn, history.history(conn, item_id), person)
        return place_of(item_id)

    return await run_in_threadpool(keep, db, person.id, raw, _Draft, place)
