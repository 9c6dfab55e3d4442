"""People's accounts: who exists, with what roles; one-time links to set a password. The same for page and command.

Nobody registers themselves: an account is opened by an administrator (the first on the command line). Whatever lowers
somebody's rights ends their sessions in the same transaction. The last administrator can't be shut out.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from wardround.errors import ConflictError, InputError, RefusedError, UsageError
from wardround.records import Record
from wardround.store import events
from wardround.store.base import now
from wardround.store.database import changed
from wardround.store.people import ROLES, invitation, session, user
from wardround.taxonomy import specialties
from wardround.web import sessions
from wardround.web.auth import check_new, hash_password
from wardround.web.settings import Settings
from wardround.web.words import said

ROLE_NAMES: dict[str, tuple[str, str]] = {
    "doctor": ("医师", "Doctor"),
    "reviewer": ("评审员", "Reviewer"),
    "panel": ("专家组", "Panel"),
    "auditor": ("审计员", "Auditor"),
    "admin": ("管理员", "Administrator"),
}
NAME = re.compile(r"[\w][\w.@+-]{1,79}")
PUBLIC = ("name", "display", "email", "roles", "specialties", "title", "active")
"""What an event may tell of an account."""


class NoAccountError(InputError):
    """There is no account of that number."""


class NewUser(Record, frozen=True, kw_only=True):
    """What is needed to open an account; `display` falls back to the name."""

    name: str
    display: str = ""
    email: str = ""
    title: str = ""
    roles: tuple[str, ...] = ()
    specialties: tuple[str, ...] = ()


def login_name(text: str) -> str:
    """A name as it is stored and compared: NFKC, lower case; `UsageError` when it can't be one."""
    name = unicodedata.normalize("NFKC", text).strip().lower()
    if not NAME.fullmatch(name):
        raise said(
            UsageError, "用户名须为 2–80 个字符，只能用字母、数字、汉字和 . _ @ + -。",
            "A name has 2 to 80 letters, digits or . _ @ + -, and starts with a letter or digit.",
        )  # fmt: skip
    return name


def check_roles(roles: Iterable[str]) -> list[str]:
    """Roles in their fixed order, each once; `UsageError` for an unknown one or none."""
    given = set(roles)
    unknown = sorted(given - set(ROLES))
    if unknown:
        raise UsageError(f"no role named {unknown[0]}", hint=f"one of: {', '.join(ROLES)}")
    if not given:
        raise said(UsageError, "至少要有一个角色。", "At least one role is needed.")
    return [r for r in ROLES if r in given]


def check_specialties(ids: Iterable[str]) -> list[str]:
    """Specialty ids in their fixed order, each once; `UsageError` for an unknown one."""
    given = set(ids)
    unknown = sorted(given - set(specialties()))
    if unknown:
        raise UsageError(
            f"no specialty named {unknown[0]}", hint="see `wardround list specialties`"
        )
    return [s for s in specialties() if s in given]


def open_account(
    conn: Connection, new: NewUser, *, actor: int | None, password: str | None = None
) -> int:
    """A new account; without a password it is used through an invitation or a provider. Returns its id."""
    name = login_name(new.name)
    if conn.execute(select(user.c.id).where(user.c.name == name)).first():
        raise said(ConflictError, f"用户名 {name} 已被使用。", f"The name {name} is taken.")
    values: dict[str, Any] = {
        "name": name, "active": True,
        **details(new.display or name, new.email, new.title, new.roles, new.specialties),
    }  # fmt: skip
    secret = None
    if password is not None:
        check_new(password, name=name)
        secret = hash_password(password)
    done = conn.execute(
        insert(user).values(
            **values, password_hash=secret, preferences={}, created_at=now(), version=1
        )
    )
    key = done.inserted_primary_key
    assert key is not None
    events.record(conn, "user.opened", "user", key[0], actor=actor, after=values)
    return int(key[0])


def details(
    display: str, email: str, title: str, roles: Iterable[str], specialty: Iterable[str]
) -> dict[str, Any]:
    """What may be changed of an account, checked; `UsageError` for what can't be."""
    return {
        "display": " ".join(display.split())[:120], "email": _email(email), "title": " ".join(title.split())[:80],
        "roles": check_roles(roles), "specialties": check_specialties(specialty),
    }  # fmt: skip


def _email(text: str) -> str:
    text = text.strip()[:200]
    if text and not re.fullmatch(r"[^@\s]+@[^@\s]+", text):
        raise said(UsageError, "邮箱地址有误。", "That is no e-mail address.")
    return text.lower()


def by_id(conn: Connection, user_id: int) -> Row[Any]:
    """An account; `NoAccountError` where there is none."""
    row = conn.execute(select(user).where(user.c.id == user_id)).first()
    if row is None:
        raise NoAccountError("no such account", path=f"user {user_id}")
    return row


def by_name(conn: Connection, name: str) -> Row[Any]:
    """An account by its login name; `UsageError` where there is none."""
    row = conn.execute(select(user).where(user.c.name == login_name(name))).first()
    if row is None:
        raise UsageError(f"no user named {name}", hint="see `wardround user list`")
    return row


def listing(conn: Connection) -> Sequence[Row[Any]]:
    """All accounts by name, with when each was last here (None: not logged in now)."""
    seen = (
        select(session.c.user_id, func.max(session.c.seen_at).label("seen_at"))
        .group_by(session.c.user_id)
        .subquery()
    )
    columns = [c for c in user.c if c.name != "password_hash"]
    has_password = user.c.password_hash.is_not(None).label("has_password")
    query = select(*columns, has_password, seen.c.seen_at).outerjoin(
        seen, seen.c.user_id == user.c.id
    )
    rows: Sequence[Any] = conn.execute(query.order_by(user.c.active.desc(), user.c.name)).all()
    return rows


def any_admin(conn: Connection, *, but: int = 0) -> bool:
    """Whether an active administrator exists, beside user `but`."""
    rows = conn.execute(select(user.c.roles).where(user.c.active.is_(True), user.c.id != but))
    return any("admin" in roles for (roles,) in rows)


def change(conn: Connection, row: Row[Any], values: dict[str, Any], *, actor: int | None) -> None:
    """Change an account that is as `row` was read. Other roles or a closed account: all sessions end."""
    values = {k: v for k, v in values.items() if getattr(row, k) != v}
    if not values:
        return
    keeps = values.get("active", row.active) and "admin" in values.get("roles", row.roles)
    if row.active and "admin" in row.roles and not keeps and not any_admin(conn, but=row.id):
        raise said(
            RefusedError, "这是最后一个管理员账号，不能停用或取消管理员角色。",
            "This is the last administrator; it can't be closed or lose the role.",
        )  # fmt: skip
    changed(conn, user, row.id, row.version, values)
    if "roles" in values or not values.get("active", True):
        sessions.end_all(conn, row.id)
    if not values.get("active", True):
        _void_links(conn, row.id)
    told = [k for k in values if k in PUBLIC]
    events.record(
        conn, _verb(values), "user", row.id, actor=actor,
        before={k: getattr(row, k) for k in told}, after={k: values[k] for k in told},
    )  # fmt: skip


def _verb(values: dict[str, Any]) -> str:
    if "active" in values:
        return "user.enabled" if values["active"] else "user.disabled"
    return "user.roles_changed" if "roles" in values else "user.changed"


def set_password(conn: Connection, row: Row[Any], password: str, *, actor: int | None) -> None:
    """A new password. Every session of the account ends; the caller starts a new one where there was one."""
    check_new(password, name=row.name)
    secret = hash_password(password)
    conn.execute(update(user).where(user.c.id == row.id).values(password_hash=secret))
    sessions.end_all(conn, row.id)
    _void_links(conn, row.id)
    events.record(conn, "user.password_changed", "user", row.id, actor=actor)


def invite(conn: Connection, row: Row[Any], settings: Settings, *, actor: int | None) -> str:
    """A link's token with which this person sets a password, once; earlier links are void."""
    if not row.active:
        raise said(RefusedError, "账号已停用，请先启用。", "The account is closed; open it first.")
    _void_links(conn, row.id)
    token = secrets.token_urlsafe(32)
    at = now()
    conn.execute(
        insert(invitation).values(
            id=sessions.hashed(token), user_id=row.id, created_at=at,
            expires_at=at + settings.invitation_minutes * sessions.MINUTE,
        )
    )  # fmt: skip
    events.record(conn, "user.invited", "user", row.id, actor=actor)
    return token


def reset(conn: Connection, row: Row[Any], settings: Settings, *, actor: int | None) -> str:
    """Void the password and every session; returns the token of a link to set a new one."""
    conn.execute(update(user).where(user.c.id == row.id).values(password_hash=None))
    sessions.end_all(conn, row.id)
    events.record(conn, "user.reset", "user", row.id, actor=actor)
    return invite(conn, row, settings, actor=actor)


def invited(conn: Connection, token: str) -> Row[Any] | None:
    """The account a link is for; None when it is used, too old, void, or the account closed."""
    query = (
        select(user, invitation.c.id.label("invitation_id"))
        .join(invitation, invitation.c.user_id == user.c.id)
        .where(
            invitation.c.id == sessions.hashed(token), invitation.c.used_at.is_(None),
            invitation.c.expires_at > now(), user.c.active.is_(True),
        )
    )  # fmt: skip
    return conn.execute(query).first()


def accept(conn: Connection, token: str, password: str) -> int:
    """Set the password by a link, which is used up; returns the user's id. `RefusedError` for a dead link."""
    row = invited(conn, token)
    if row is None:
        raise said(
            RefusedError, "链接已失效，请联系管理员重新发送。",
            "The link is no longer valid. Ask an administrator for a new one.",
        )  # fmt: skip
    check_new(password, name=row.name)
    used = conn.execute(
        update(invitation)
        .where(invitation.c.id == row.invitation_id, invitation.c.used_at.is_(None))
        .values(used_at=now())
    )
    if used.rowcount != 1:
        raise said(RefusedError, "链接已被使用。", "The link was used already.")
    set_password(conn, row, password, actor=row.id)
    return int(row.id)


def _void_links(conn: Connection, user_id: int) -> None:
    conn.execute(
        update(invitation)
        .where(invitation.c.user_id == user_id, invitation.c.used_at.is_(None))
        .values(used_at=now())
    )
