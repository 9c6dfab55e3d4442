"""What the coordinator does: open a study from candidates, people in and out, plan anew, ask the model again, the panel."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import Form, UploadFile
from sqlalchemy import Connection, select
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from wardround.errors import InputError, RefusedError, UsageError
from wardround.records import complete_types, decode
from wardround.review import coordinating, jobs, opening, panel
from wardround.review.candidates import Candidate, check_writer
from wardround.review.candidates import items as items_of
from wardround.review.forms import rationale_form
from wardround.review.study import Rule, StudyConfig
from wardround.store.database import Store
from wardround.store.people import REVIEWING, user
from wardround.web import guard
from wardround.web.guard import Db, Who, access
from wardround.web.pages import go, render
from wardround.web.sessions import Person
from wardround.web.words import message, said

router = guard.router()
UPLOADS = ("/studies/new",)
MAX_UPLOAD = 10_000_000
Text = Annotated[str, Form()]


def _id(conn: Connection, slug: str) -> int:
    return int(opening.study_row(conn, slug)["id"])


def _back(request: Request, slug: str, did: str, n: int = 0, at: str = "") -> Response:
    return go(request, f"/studies/{slug}?did={did}&n={n}{at}")


@router.post("/studies/{slug}/members")
@access({"admin"})
def join(
    request: Request, slug: str, person: Who, db: Db, users: Annotated[list[int], Form()]
) -> Response:
    """Make accounts reviewers of this study."""

    def work(conn: Connection) -> int:
        study_id = _id(conn, slug)
        rows = conn.execute(
            select(user.c.id, user.c.roles).where(user.c.id.in_(users), user.c.active)
        )
        fit = [r.id for r in rows if not REVIEWING.isdisjoint(r.roles)]
        if set(fit) != set(users) or not users:
            raise said(
                UsageError,
                "只能加入启用中、且有评审、专家组或医生角色的账号。",
                "Only open accounts with the role reviewer, panel or doctor can join.",
            )
        opening.join(conn, study_id, fit, by=person.id)
        return len(fit)

    return _back(request, slug, "joined", db.done(work), "#reviewers")


@router.post("/studies/{slug}/members/{user_id}/leave")
@access({"admin"})
def leave(request: Request, slug: str, user_id: int, person: Who, db: Db) -> Response:
    """End a membership."""

    def work(conn: Connection) -> None:
        study_id = _id(conn, slug)
        _member(conn, study_id, user_id)
        opening.leave(conn, study_id, user_id, by=person.id)

    db.done(work)
    return _back(request, slug, "left", 1, "#reviewers")


@router.post("/studies/{slug}/members/{user_id}/return")
@access({"admin"})
def take_back(request: Request, slug: str, user_id: int, person: Who, db: Db) -> Response:
    """Return what a reviewer holds."""

    def work(conn: Connection) -> int:
        study_id = _id(conn, slug)
        _member(conn, study_id, user_id)
        return coordinating.return_leases(conn, study_id, user_id, by=person.id)

    return _back(request, slug, "returned", db.done(work), "#reviewers")


def _member(conn: Connection, study_id: int, user_id: int) -> None:
    if not coordinating.is_member(conn, study_id, user_id):
        raise said(
            RefusedError, "此人不是这项评审的成员。", "That person is not a member of this study."
        )


@router.post("/studies/{slug}/plan")
@access({"admin"})
def replan(request: Request, slug: str, person: Who, db: Db) -> Response:
    """Plan all free slots anew."""
    planned = db.done(lambda conn: coordinating.replan(conn, _id(conn, slug), by=person.id))
    return _back(request, slug, "planned", planned.given)


@router.post("/studies/{slug}/close")
@access({"admin"})
def close(request: Request, slug: str, person: Who, db: Db) -> Response:
    """No more reviews."""
    with db.write() as conn:
        opening.close_study(conn, _id(conn, slug), by=person.id)
    return _back(request, slug, "closed")


@router.post("/studies/{slug}/reopen")
@access({"admin"})
def reopen(request: Request, slug: str, person: Who, db: Db) -> Response:
    """Reviews again."""
    with db.write() as conn:
        coordinating.reopen_study(conn, _id(conn, slug), by=person.id)
    return _back(request, slug, "reopened")


@router.post("/studies/{slug}/jobs/retry")
@access({"admin"})
def retry_all(request: Request, slug: str, person: Who, db: Db) -> Response:
    """All that waits for the model is due now."""
    with db.write() as conn:
        number = jobs.retry_now(conn, _id(conn, slug), by=person.id)
    return _back(request, slug, "retried", number, "#jobs")


@router.post("/studies/{slug}/jobs/{job_id}/retry")
@access({"admin"})
def retry(request: Request, slug: str, job_id: int, person: Who, db: Db) -> Response:
    """One draft is due now."""
    with db.write() as conn:
        coordinating.retry(conn, _id(conn, slug), job_id, by=person.id)
    return _back(request, slug, "retried", 1, "#jobs")


@router.post("/studies/{slug}/items/{item_id}/release")
@access({"admin"})
def release(request: Request, slug: str, item_id: int, person: Who, db: Db) -> Response:
    """Anybody of the specialty may make the revision."""
    with db.write() as conn:
        study_id = _id(conn, slug)
        coordinating.item_row(conn, study_id, item_id)
        coordinating.release(conn, study_id, item_id, by=person.id)
    return _back(request, slug, "released", 1, "#revisions")


@router.post("/studies/{slug}/items/{item_id}/panel")
@access({"admin"})
def to_panel(
    request: Request, slug: str, item_id: int, person: Who, db: Db, reason: Text = ""
) -> Response:
    """Put an item before the panel, with the reason."""
    if not reason.strip():
        raise said(UsageError, "请写明交专家组的理由。", "Say why it goes to the panel.")
    with db.read() as conn:
        coordinating.item_row(conn, _id(conn, slug), item_id)
    panel.send(db, item_id, by=person.id, reason=reason.strip())
    return go(request, f"/studies/{slug}/items/{item_id}")


# -- a new study --------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True):
    """The fields of the form, as they were filled in."""

    slug: str = ""
    title: str = ""
    raters: int = 3
    strikes: int = 5
    on_fail: str = "either"
    gold_rate: float = 0.05
    model: str = ""
    everybody: bool = True


@router.get("/studies/new/candidates")
@access({"admin"})
def new(request: Request, person: Who) -> Response:
    """The form that opens a study of rationales."""
    return render(request, "dashboard/new.html", a=Asked(), error="")


@router.post("/studies/new/candidates")
@access({"admin"})
async def open_new(
    request: Request, person: Who, db: Db, file: UploadFile, slug: Text, title: Text, raters: Annotated[int, Form(ge=1, le=20)] = 3,
    strikes: Annotated[int, Form(ge=1, le=20)] = 5, on_fail: Text = "either", gold_rate: Annotated[float, Form(ge=0, lt=1)] = 0.05,
    model: Text = "", everybody: Text = "",
) -> Response:  # fmt: skip
    """Open it, all or nothing; what is wrong is said above the form."""
    asked = Asked(
        slug=slug.strip(), title=title.strip(), raters=raters, strikes=strikes, gold_rate=gold_rate,
        on_fail=on_fail if on_fail in ("either", "revise", "regenerate") else "either",
        model=model.strip(), everybody=bool(everybody),
    )  # fmt: skip
    raw = await file.read(MAX_UPLOAD + 1)
    return await run_in_threadpool(_open, request, db, person, asked, raw)


def _open(request: Request, db: Store, person: Person, asked: Asked, raw: bytes) -> Response:
    try:
        found = read_lines(raw)
        if asked.model:
            check_writer(asked.model)
        elif asked.on_fail != "revise":
            raise said(
                UsageError, "请填写重写用的模型，或选“由评审修改”。",
                "Name the model that writes again, or leave revising to the reviewers.",
            )  # fmt: skip
        given: Any = asked.on_fail
        config = StudyConfig(
            kind="rationale", title=asked.title or asked.slug, form=rationale_form(), raters=asked.raters,
            rule=Rule(), strikes=asked.strikes, on_fail=given, gold_rate=asked.gold_rate, model=asked.model,
        )  # fmt: skip
        with db.write() as conn:
            whom = _reviewers(conn) if asked.everybody else []
            opening.open_study(
                conn, asked.slug, config, items_of(found, asked.model or "model"), by=person.id, members=whom
            )  # fmt: skip
    except (InputError, UsageError) as e:
        return render(request, "dashboard/new.html", status=422, a=asked, error=message(e))
    return go(request, f"/studies/{asked.slug}?did=opened&n={len(found)}")


def _reviewers(conn: Connection) -> list[int]:
    rows = conn.execute(select(user.c.id, user.c.roles).where(user.c.active).order_by(user.c.id))
    return [r.id for r in rows if "reviewer" in r.roles]


def read_lines(raw: bytes) -> list[Candidate]:
    """The rows of `candidates.jsonl`. `UsageError` naming the row that is none."""
    if len(raw) > MAX_UPLOAD:
        raise said(
            UsageError, "文件超过 10 MB，请用命令行导入。", "The file is over 10 MB: use the command line."
        )  # fmt: skip
    found = []
    for number, line in enumerate(re.split(rb"\r?\n", raw), start=1):
        if not line.strip():
            continue
        try:
            found.append(decode(line, Candidate))
        except msgspec.DecodeError:
            raise said(
                UsageError, f"第 {number} 行不是候选依据（candidates.jsonl 的一行）。",
                f"Row {number} is not a candidate (a row of candidates.jsonl).",
            ) from None  # fmt: skip
    return found


@router.get("/studies/{slug}/export.zip")
@access({"admin", "auditor"})
def download(request: Request, slug: str, person: Who, db: Db) -> Response:
    """The study as an artifact, zipped; reviewers under pseudonyms."""
    from wardround.review.export import export

    complete_types()
    with db.read() as conn:
        _id(conn, slug)
    place = Path(tempfile.mkdtemp(prefix="wardround-export-"))
    try:
        export(db, slug, place / slug)
        packed = shutil.make_archive(str(place / slug), "zip", place, slug)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    gone = BackgroundTask(shutil.rmtree, place, ignore_errors=True)
    return FileResponse(
        packed, media_type="application/zip", filename=f"{slug}.zip", background=gone
    )
