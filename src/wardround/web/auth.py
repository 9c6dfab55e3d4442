"""Passwords and the login itself. argon2id at the library's defaults, hashed anew when these change.

A name that doesn't exist costs the same time as a wrong password and reads the same. An attempt is counted before
the password is looked at, so that many at once don't slip past the limit.
"""

from __future__ import annotations

import ipaddress
import threading
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, select, text, update

from wardround.errors import RefusedError, UsageError, WardroundError
from wardround.store import events
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.people import login_attempt, user
from wardround.web.words import said

WINDOW = 15 * 60_000
LIMITS = {"pair": 10, "name": 50, "address": 100}
"""Failures within the window: for one name from one address; for one name; from one address (a hospital shares one)."""
KEPT = 30 * 24 * 60 * 60_000
SHORTEST, LONGEST = 10, 200
_hasher = PasswordHasher()
_at_once = threading.BoundedSemaphore(4)  # 64 MiB each


class TooManyError(WardroundError):
    """Too many failed logins. `wait` is in seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(f"too many attempts; wait {wait} s")
        self.wait = wait


def folded(name: str) -> str:
    """A login name as it is stored."""
    return name.strip().lower()[:80]


def check_new(password: str, *, name: str = "") -> None:
    """`UsageError` for a password that is too short, too long, of hardly any different characters, or the name.

    A Chinese character counts as two: there are thousands to choose from.
    """
    weight = sum(2 if c >= "\u2e80" else 1 for c in password)
    if weight < SHORTEST or len(password) > LONGEST:
        raise said(
            UsageError, f"密码须为 {SHORTEST} 至 {LONGEST} 个字符，一个汉字算两个。",
            f"A password needs {SHORTEST} to {LONGEST} characters.",
        )  # fmt: skip
    if len(set(password)) < 4 or (name and folded(name) == password.strip().lower()):
        raise said(UsageError, "这个密码太容易猜到。", "That password is too easy to guess.")


def hash_password(password: str) -> str:
    """The argon2id hash with its salt and parameters."""
    with _at_once:
        return _hasher.hash(password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return hash_password("nobody has this password")


def _verify(stored: str | None, password: str) -> bool:
    with _at_once:
        try:
            _hasher.verify(stored or _nobody(), password[: LONGEST + 1])
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def log_in(store: Store, name: str, password: str, address: str) -> int:
    """The id of the user; `RefusedError`, always in the same words, or `TooManyError`."""
    name, address = folded(name), network(address)
    with store.write() as conn:
        attempt = _reserve(conn, name, address)
    with store.read() as conn:
        found = conn.execute(select(user).where(user.c.name == name)).first()
    usable = found.password_hash if found is not None and found.active else None
    if not _verify(usable, password) or found is None:
        raise said(
            RefusedError, "用户名或密码不对，或账号已停用。",
            "The name or the password is wrong, or the account is closed.",
        )  # fmt: skip
    with store.write() as conn:
        conn.execute(update(login_attempt).where(login_attempt.c.id == attempt).values(ok=True))
        if _hasher.check_needs_rehash(found.password_hash):
            fresh = hash_password(password)
            conn.execute(update(user).where(user.c.id == found.id).values(password_hash=fresh))
        events.record(
            conn, "session.started", "user", found.id, actor=found.id, after={"by": "password"}
        )
    return int(found.id)


def confirm(store: Store, name: str, password: str, address: str) -> bool:
    """Whether this is the user's password, asked again within a session; counted as a login is."""
    with store.write() as conn:
        attempt = _reserve(conn, name, network(address))
    with store.read() as conn:
        stored = conn.execute(select(user.c.password_hash).where(user.c.name == name)).scalar()
    if not _verify(stored, password):
        return False
    with store.write() as conn:
        conn.execute(update(login_attempt).where(login_attempt.c.id == attempt).values(ok=True))
    return True


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if ip.version == 6:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


def _reserve(conn: Connection, name: str, address: str) -> int:
    """Count this attempt as failed until it proves otherwise; `TooManyError` when there were too many."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("LOCK TABLE login_attempt IN SHARE ROW EXCLUSIVE MODE"))
    at = now()
    t = login_attempt.c
    conn.execute(delete(login_attempt).where(t.at < at - KEPT))
    failed = (t.ok.is_(False), t.at > at - WINDOW)
    for limit, where in (
        ("pair", (t.name == name, t.address == address)),
        ("name", (t.name == name,)),
        ("address", (t.address == address,)),
    ):
        count, first = conn.execute(
            select(func.count(), func.min(t.at)).where(*failed, *where)
        ).one()
        if count >= LIMITS[limit]:
            raise TooManyError(max(1, (first + WINDOW - at) // 1000))
    done = conn.execute(insert(login_attempt).values(name=name, address=address, ok=False, at=at))
    key = done.inserted_primary_key
    assert key is not None
    return int(key[0])
