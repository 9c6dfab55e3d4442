"""What a person sees and sets of their own account: password, language, theme, where they are logged in."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Form
from sqlalchemy import Connection, select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from wardround.errors import RefusedError, UsageError
from wardround.store import events
from wardround.store.people import session
from wardround.taxonomy import specialties
from wardround.web import accounts, auth, guard, sessions
from wardround.web.guard import Config, Db, Who, access
from wardround.web.pages import go, render
from wardround.web.routes.login import set_session
from wardround.web.sessions import Person
from wardround.web.words import message, said

router = guard.router()
Text = Annotated[str, Form()]
BROWSERS = (("Edg/", "Edge"), ("MicroMessenger", "微信 / WeChat"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
SYSTEMS = (("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Mac OS", "macOS"), ("Linux", "Linux"))  # fmt: skip


@router.get("/account")
@access("anyone")
def account(request: Request, person: Who, db: Db, done: str = "") -> Response:
    """My account."""
    with db.read() as conn:
        return _page(request, conn, person, done=done)


def _page(
    request: Request, conn: Connection, person: Person, *, done: str = "", error: str = "", status: int = 200
) -> Response:  # fmt: skip
    row = accounts.by_id(conn, person.id)
    mine = conn.execute(
        select(session).where(session.c.user_id == person.id).order_by(session.c.seen_at.desc())
    ).all()
    logins: list[dict[str, Any]] = [
        {"id": s.id, "agent": browser(s.agent), "created_at": s.created_at, "seen_at": s.seen_at,
         "here": s.id == person.session_id}
        for s in mine
    ]  # fmt: skip
    return render(
        request, "account/account.html", status=status, account=row, logins=logins, done=done, error=error,
        role_names=accounts.ROLE_NAMES, specialty_names=specialties(),
    )  # fmt: skip


def browser(agent: str) -> str:
    """A browser's name for itself, in two words."""
    name = next((n for mark, n in BROWSERS if mark in agent), "")
    system = next((n for mark, n in SYSTEMS if mark in agent), "")
    return " · ".join(w for w in (name, system) if w) or agent[:40] or "—"


@router.post("/account/password")
@access("anyone")
def password(
    request: Request, person: Who, db: Db, settings: Config,
    current: Text = "", new: Text = "", again: Text = "",
) -> Response:  # fmt: skip
    """Change my password: all other sessions end, this one gets a new token."""
    address = request.client.host if request.client else ""
    try:
        if new != again:
            raise said(UsageError, "两次输入的密码不一样。", "The two passwords differ.")
        auth.check_new(new, name=person.name)
        if not auth.confirm(db, person.name, current, address):
            raise said(RefusedError, "当前密码不对。", "The current password is wrong.")
    except (UsageError, RefusedError) as e:
        with db.read() as conn:
            return _page(request, conn, person, error=message(e), status=422)
    except auth.TooManyError as e:
        raise HTTPException(429, headers={"Retry-After": str(e.wait)}) from None
    agent = request.headers.get("user-agent", "")
    with db.write() as conn:
        accounts.set_password(conn, accounts.by_id(conn, person.id), new, actor=person.id)
        token = sessions.start(conn, person.id, settings, agent=agent)
    return set_session(go(request, "/account?done=password"), token, settings)


@router.post("/account/sessions/end")
@access("anyone")
def end_others(request: Request, person: Who, db: Db) -> Response:
    """End all my other sessions."""
    with db.write() as conn:
        count = sessions.end_all(conn, person.id, but=person.session_id)
        events.record(
            conn, "session.others_ended", "user", person.id, actor=person.id, after={"ended": count}
        )
    return go(request, "/account?done=sessions")


@router.post("/account/sessions/{session_id}/end")
@access("anyone")
def end_one(request: Request, session_id: str, person: Who, db: Db) -> Response:
    """End one of my sessions; somebody else's is as if it weren't there."""
    with db.write() as conn:
        if not sessions.end(conn, session_id, user_id=person.id):
            raise HTTPException(404)
        events.record(
            conn, "session.others_ended", "user", person.id, actor=person.id, after={"ended": 1}
        )
    return go(request, "/account?done=sessions")
