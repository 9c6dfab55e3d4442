"""From who a provider says somebody is to an account here.

Found by issuer and subject; else linked to an account an administrator opened that belongs to no provider yet; else,
where a claim is mapped to roles, opened. Roles that came from a claim follow it at each login, until an administrator
changes them here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from wardround.errors import RefusedError, UsageError
from wardround.store import events
from wardround.store.base import now
from wardround.store.people import user
from wardround.web import sessions
from wardround.web.accounts import check_roles, login_name
from wardround.web.oidc import Known, roles_by_claim
from wardround.web.settings import Provider
from wardround.web.words import said


def account_of(conn: Connection, provider: Provider, known: Known) -> int:
    """The id of the account; `RefusedError` when there is none for this person or it is closed."""
    row = conn.execute(
        select(user).where(user.c.issuer == known.issuer, user.c.subject == known.subject)
    ).first()
    roles = roles_by_claim(provider, known.claims)
    if row is None:
        row = _invited(conn, provider, known)
        if row is not None and row.active:
            _link(conn, row, known)
    if row is None and roles:
        return _open(conn, known, roles)
    if row is None or not row.active:
        raise said(
            RefusedError, "统一登录成功，但您在这里还没有账号，或账号已停用。请联系管理员。",
            "The login worked, but you have no account here, or it is closed. Ask an administrator.",
        )  # fmt: skip
    if row.preferences.get("roles_from") == known.provider:
        _follow(conn, row, roles)
    events.record(
        conn, "session.started", "user", row.id, actor=row.id, after={"by": known.provider}
    )
    return int(row.id)


def _invited(conn: Connection, provider: Provider, known: Known) -> Row[Any] | None:
    """The one account without a provider that this person was meant by."""
    free = select(user).where(user.c.subject.is_(None))
    if provider.link_by == "email":
        email = known.verified_email
        found = conn.execute(free.where(user.c.email == email)).all() if email else []
    else:
        claim = known.claims.get(provider.link_by)
        try:
            name = login_name(claim) if isinstance(claim, str) else ""
        except UsageError:
            name = ""
        found = conn.execute(free.where(user.c.name == name)).all() if name else []
    return found[0] if len(found) == 1 else None


def _link(conn: Connection, row: Row[Any], known: Known) -> None:
    conn.execute(
        update(user)
        .where(user.c.id == row.id)
        .values(issuer=known.issuer, subject=known.subject, version=row.version + 1)
    )
    sessions.end_all(conn, row.id)
    events.record(conn, "user.linked", "user", row.id, actor=row.id, after={"issuer": known.issuer})


def _open(conn: Connection, known: Known, roles: list[str]) -> int:
    """A new account whose roles come from a claim."""
    claims = known.claims
    wanted = claims.get("preferred_username") or known.verified_email or known.subject
    try:
        name = login_name(str(wanted))
    except UsageError:
        name = f"{known.provider}-{sessions.hashed(known.subject)[:12]}"
    if conn.execute(select(user.c.id).where(user.c.name == name)).first():
        name = f"{name[:60]}-{sessions.hashed(known.issuer + known.subject)[:8]}"
    values = {
        "name": name, "display": str(claims.get("name") or name)[:120], "email": known.verified_email,
        "roles": check_roles(roles), "specialties": [], "title": "", "active": True,
    }  # fmt: skip
    done = conn.execute(
        insert(user).values(
            **values, issuer=known.issuer, subject=known.subject, created_at=now(), version=1,
            preferences={"roles_from": known.provider},
        )
    )  # fmt: skip
    key = done.inserted_primary_key
    assert key is not None
    events.record(
        conn, "user.opened", "user", key[0], actor=None, after=values, note=known.provider
    )
    events.record(
        conn, "session.started", "user", key[0], actor=key[0], after={"by": known.provider}
    )
    return int(key[0])


def _follow(conn: Connection, row: Row[Any], roles: list[str]) -> None:
    """Roles as the claim gives them today; none means no entrance."""
    if not roles:
        raise said(
            RefusedError, "统一登录没有给您这里的角色。请联系管理员。",
            "The login service gives you no role here. Ask an administrator.",
        )  # fmt: skip
    fresh = check_roles(roles)
    if fresh == list(row.roles):
        return
    conn.execute(
        update(user).where(user.c.id == row.id).values(roles=fresh, version=row.version + 1)
    )
    sessions.end_all(conn, row.id)
    events.record(
        conn, "user.roles_changed", "user", row.id, actor=None,
        before={"roles": row.roles}, after={"roles": fresh},
    )  # fmt: skip
