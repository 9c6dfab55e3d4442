"""Who is logged in: opaque 256-bit tokens in a cookie, their SHA-256 in the database, an idle and an absolute end.

A token is new at every login and every change of a password or of roles, so one that was planted or seen before is
worth nothing. Ending a session is deleting its row: the next request with it is anonymous.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from wardround.records import Record
from wardround.store.base import now
from wardround.store.people import session, user
from wardround.store.steps import Ask, Steps
from wardround.store.together import Together
from wardround.web.settings import Settings

MINUTE = 60_000
SEEN_EVERY = MINUTE  # how old `seen_at` may be before it is written anew


class Person(Record, frozen=True, kw_only=True):
    """Whoever is logged in. `csrf` is the session's token as stored; pages show it masked. `session_id` is a hash."""

    id: int
    name: str
    display: str
    roles: tuple[str, ...]
    specialties: tuple[str, ...]
    lang: str
    theme: str
    csrf: str
    session_id: str

    def has(self, *roles: str) -> bool:
        """Whether they have any of these roles."""
        return not set(roles).isdisjoint(self.roles)


def hashed(token: str) -> str:
    """What the database keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def start(conn: Connection, user_id: int, settings: Settings, *, agent: str = "") -> str:
    """A new session; returns the cookie's token. Sessions that are over are swept out on the way."""
    at = now()
    conn.execute(delete(session).where(session.c.expires_at < at))
    token = secrets.token_urlsafe(32)
    conn.execute(
        insert(session).values(
            id=hashed(token), user_id=user_id, csrf=secrets.token_hex(32), created_at=at, seen_at=at,
            expires_at=at + settings.session_minutes * MINUTE, agent=agent[:120],
        )
    )  # fmt: skip
    return token


_FIND = Together(select(
    session.c.id.label("session_id"), session.c.csrf, session.c.seen_at, session.c.expires_at,
    user.c.id, user.c.name, user.c.display, user.c.roles, user.c.specialties, user.c.preferences, user.c.active,
).join(user, user.c.id == session.c.user_id).where(session.c.id == bindparam("token")))  # fmt: skip


def find(token: str, settings: Settings) -> Steps[tuple[Person, bool] | None]:
    """The person of a cookie's token, and whether `seen` is due; None when the session is over or never was."""
    row = yield Ask(_FIND, {"token": hashed(token)})
    at = now()
    if row is None or not row["active"] or row["expires_at"] <= at:
        return None
    if row["seen_at"] + settings.idle_minutes * MINUTE <= at:
        return None
    return _person(row), row["seen_at"] + SEEN_EVERY <= at


def _person(row: dict[str, Any]) -> Person:
    liked = row["preferences"]
    return Person(
        id=row["id"], name=row["name"], display=row["display"], roles=tuple(row["roles"]),
        specialties=tuple(row["specialties"]), lang=liked.get("lang", ""), theme=liked.get("theme", ""),
        csrf=row["csrf"], session_id=row["session_id"],
    )  # fmt: skip


def seen(conn: Connection, session_id: str) -> None:
    """The session was used just now."""
    conn.execute(update(session).where(session.c.id == session_id).values(seen_at=now()))


def end(conn: Connection, session_id: str, *, user_id: int | None = None) -> int:
    """End one session, of this user only where one is given; returns how many ended."""
    query = delete(session).where(session.c.id == session_id)
    if user_id is not None:
        query = query.where(session.c.user_id == user_id)
    return conn.execute(query).rowcount


def end_all(conn: Connection, user_id: int, *, but: str = "") -> int:
    """End every session of a user, except the one with id `but`; returns how many ended."""
    return conn.execute(
        delete(session).where(session.c.user_id == user_id, session.c.id != but)
    ).rowcount
