"""Accounts, for administrators: open, invite, roles, specialties, close, reset. Auditors read."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Form
from sqlalchemy import Connection, Row, func, select
from starlette.requests import Request
from starlette.responses import Response

from wardround.errors import ConflictError, RefusedError, UsageError
from wardround.store.people import ROLES, event, session, user
from wardround.taxonomy import specialties
from wardround.web import accounts, guard, sessions
from wardround.web.guard import Config, Db, Who, access
from wardround.web.pages import Card, Link, go, render
from wardround.web.routes.login import set_session
from wardround.web.sessions import Person
from wardround.web.settings import Settings
from wardround.web.words import message, t

router = guard.router()
LINKS = (Link(href="/admin/people", zh="人员", en="People", roles=frozenset({"admin", "auditor"})),)
VERBS = {
    "user.opened": ("开设账号", "account opened"),
    "user.invited": ("生成邀请链接", "invitation made"),
    "user.changed": ("修改账号", "account changed"),
    "user.roles_changed": ("修改角色", "roles changed"),
    "user.enabled": ("启用账号", "account opened again"),
    "user.disabled": ("停用账号", "account closed"),
    "user.reset": ("重置密码", "password reset"),
    "user.linked": ("关联统一登录", "linked to a provider"),
    "user.password_changed": ("修改密码", "password changed"),
    "session.started": ("登录", "logged in"),
    "session.ended": ("退出登录", "logged out"),
    "session.others_ended": ("结束其他登录", "other sessions ended"),
}
FIELDS = {
    "name": ("用户名", "login name"),
    "display": ("姓名", "full name"),
    "title": ("职称", "title"),
    "email": ("邮箱", "e-mail"),
    "roles": ("角色", "roles"),
    "specialties": ("专科", "specialties"),
    "active": ("启用", "open"),
    "by": ("方式", "by"),
    "issuer": ("统一登录", "provider"),
    "ended": ("结束数", "ended"),
}
Text = Annotated[str, Form()]
Many = Annotated[list[str], Form()]


def cards(conn: Connection, person: Person) -> list[Card]:
    """Invited people who have not come yet."""
    if not person.has("admin"):
        return []
    waiting = conn.execute(
        select(func.count()).where(
            user.c.active.is_(True), user.c.password_hash.is_(None), user.c.subject.is_(None)
        )
    ).scalar_one()
    if not waiting:
        return []
    return [
        Card(
            title=t("人员", "People"), count=waiting, href="/admin/people", action=t("查看", "Look"),
            text=t("个账号已开设但还没有登录过", "accounts opened but never used"),
        )
    ]  # fmt: skip


def _names() -> dict[str, Any]:
    return {"roles": ROLES, "role_names": accounts.ROLE_NAMES, "specialty_names": specialties()}


@router.get("/admin/people")
@access({"admin", "auditor"})
def people(request: Request, person: Who, db: Db) -> Response:
    """Everybody."""
    with db.read() as conn:
        return _people(request, conn)


def _people(
    request: Request, conn: Connection, *, given: accounts.NewUser | None = None, error: str = "", status: int = 200
) -> Response:  # fmt: skip
    return render(
        request, "admin/people.html", status=status, people=accounts.listing(conn),
        given=given or accounts.NewUser(name=""), error=error, **_names(),
    )  # fmt: skip


@router.post("/admin/people")
@access({"admin"})
def open_account(
    request: Request, person: Who, db: Db, settings: Config, name: Text = "", display: Text = "",
    email: Text = "", title: Text = "", roles: Many = [], specialty: Many = [],  # noqa: B006
) -> Response:  # fmt: skip
    """Open an account; its invitation link is shown on the page that follows, and never again."""
    new = accounts.NewUser(
        name=name, display=display, email=email, title=title, roles=tuple(roles), specialties=tuple(specialty)
    )  # fmt: skip
    try:
        with db.write() as conn:
            user_id = accounts.open_account(conn, new, actor=person.id)
            row = accounts.by_id(conn, user_id)
            token = accounts.invite(conn, row, settings, actor=person.id)
    except (UsageError, ConflictError) as e:
        status = 409 if isinstance(e, ConflictError) else 422
        with db.read() as conn:
            return _people(request, conn, given=new, error=message(e), status=status)
    return _link_page(request, row, token, settings)


def _link_page(request: Request, row: Row[Any], token: str, settings: Settings) -> Response:
    link = f"{settings.base_url.rstrip('/')}/invite/{token}"
    return render(
        request, "admin/link.html", account=row, link=link, days=settings.invitation_minutes // 1440
    )


@router.get("/admin/people/{user_id}")
@access({"admin", "auditor"})
def one(request: Request, user_id: int, person: Who, db: Db, done: str = "") -> Response:
    """One account, with what was done to it."""
    with db.read() as conn:
        return _one(request, conn, user_id, done=done)


def _one(
    request: Request, conn: Connection, user_id: int, *, done: str = "", error: str = "", status: int = 200
) -> Response:  # fmt: skip
    row = accounts.by_id(conn, user_id)
    count = conn.execute(select(func.count()).where(session.c.user_id == user_id)).scalar_one()
    past = conn.execute(
        select(event)
        .where(event.c.entity == "user", event.c.entity_id == str(user_id))
        .order_by(event.c.id.desc())
        .limit(20)
    ).all()
    return render(
        request, "admin/person.html", status=status, account=row, logins=count, past=past, done=done, error=error,
        verbs=request.app.state.verbs, **_names(),
    )  # fmt: skip


@router.post("/admin/people/{user_id}")
@access({"admin"})
def change(
    request: Request, user_id: int, person: Who, db: Db, settings: Config, version: Annotated[int, Form()],
    display: Text = "", email: Text = "", title: Text = "", roles: Many = [], specialty: Many = [],  # noqa: B006
) -> Response:  # fmt: skip
    """Change an account as the page showed it."""
    try:
        with db.write() as conn:
            row = accounts.by_id(conn, user_id)
            if row.version != version:
                raise ConflictError(f"user_account {user_id} was changed by someone else meanwhile")
            values = accounts.details(display or row.name, email, title, roles, specialty)
            if "roles_from" in row.preferences and values["roles"] != row.roles:
                kept = {k: v for k, v in row.preferences.items() if k != "roles_from"}
                values["preferences"] = kept
            accounts.change(conn, row, values, actor=person.id)
    except (UsageError, RefusedError, ConflictError) as e:
        status = 409 if isinstance(e, ConflictError) else 422
        with db.read() as conn:
            return _one(request, conn, user_id, error=message(e), status=status)
    return _back(request, db, person, settings, user_id, "changed")


def _back(
    request: Request, db: Any, person: Person, settings: Settings, user_id: int, done: str
) -> Response:
    """To the account's page; an administrator who changed their own roles goes on with a new session."""
    response = go(request, f"/admin/people/{user_id}?done={done}")
    if user_id != person.id:
        return response
    with db.write() as conn:
        alive = conn.execute(select(session.c.id).where(session.c.id == person.session_id)).first()
        if alive is None and accounts.by_id(conn, user_id).active:
            agent = request.headers.get("user-agent", "")
            set_session(response, sessions.start(conn, user_id, settings, agent=agent), settings)
    return response


@router.post("/admin/people/{user_id}/active")
@access({"admin"})
def set_active(
    request: Request, user_id: int, person: Who, db: Db, settings: Config, active: Annotated[bool, Form()]
) -> Response:  # fmt: skip
    """Close an account, whose sessions end at once, or open it again."""
    try:
        with db.write() as conn:
            row = accounts.by_id(conn, user_id)
            accounts.change(conn, row, {"active": active}, actor=person.id)
    except RefusedError as e:
        with db.read() as conn:
            return _one(request, conn, user_id, error=message(e), status=422)
    return go(request, f"/admin/people/{user_id}?done={'enabled' if active else 'disabled'}")


@router.post("/admin/people/{user_id}/link")
@access({"admin"})
def make_link(
    request: Request, user_id: int, person: Who, db: Db, settings: Config, reset: Annotated[bool, Form()] = False
) -> Response:  # fmt: skip
    """A new one-time link; with `reset` the password and all sessions are void from now on."""
    make = accounts.reset if reset else accounts.invite
    with db.write() as conn:
        row = accounts.by_id(conn, user_id)
        token = make(conn, row, settings, actor=person.id)
    return _link_page(request, row, token, settings)
