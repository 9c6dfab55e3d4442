"""What a database says when it can't, in words that name the next step. No password is ever among them."""

from __future__ import annotations

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from wardround.errors import ConflictError, StoreError, UsageError, WardroundError

_BUSY = ("another program is writing to it for too long", "wait a moment and do it again")
# By SQLite's primary result code: https://www.sqlite.org/rescode.html
_SQLITE = {
    5: _BUSY,
    6: _BUSY,
    8: ("may not be written", "give this user the right to write the file and its folder"),
    10: ("the disk failed to read or write it", "check the disk, then restore the last backup"),
    11: ("is damaged", "restore the last backup"),
    13: ("the disk is full", "make room and do it again"),
    14: ("can't be opened", "check that its folder exists and that this user may write there"),
    26: ("is not an SQLite database", "name another file, or postgresql://user@host/name"),
}
# By the first two or all five characters of SQLSTATE.
_POSTGRESQL = {
    "08": ("can't be reached", "check that it runs and do it again"),
    "28": ("doesn't let this user in", "check user and password"),
    "3D": ("doesn't exist", "create it: createdb NAME"),
    "42501": (
        "doesn't let this user do that",
        "make the user the owner of the database: ALTER DATABASE name OWNER TO user",
    ),
    "53": ("has no room left", "check its disk, memory and max_connections"),
    "57": ("was stopped, or stopped this", "check that it runs and do it again"),
    "58": ("its disk failed", "look into its log"),
}
_NOT_KEPT = ("22021", "22P05")
"""A NUL in a text, or in JSON. psycopg refuses the first by itself, without a code."""


def shown(url: URL) -> str:
    """The database's name for people, without secrets."""
    if url.get_backend_name() == "sqlite":
        return url.database or "sqlite"
    open_keys = {k: v for k, v in url.query.items() if k in ("host", "port", "sslmode")}
    return url.set(drivername="postgresql", query=open_keys).render_as_string(hide_password=True)


def trouble(error: DBAPIError, url: URL) -> WardroundError | None:
    """The error to show, where it is the database that can't and not the statement that is wrong."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    state = getattr(error.orig, "sqlstate", None)
    if code is not None:
        found = _SQLITE.get(code & 0xFF)
    elif state in ("40001", "40P01", "55P03"):
        return ConflictError("someone else changed the same rows", hint="do it again")
    elif state in _NOT_KEPT or (state is None and "NUL" in first_line(error)):
        return UsageError("a text holds a character that can't be kept (NUL)", hint="write it anew")
    elif state is not None:
        found = _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2])
    elif error.connection_invalidated or url.get_backend_name() == "postgresql":
        # Not connected, or no longer: no SQLSTATE then, only the words.
        found = (first_line(error), "check that the database runs, exists and lets this user in")
    else:
        found = None
    return StoreError(f"{shown(url)}: {found[0]}", hint=found[1]) if found else None


def first_line(error: DBAPIError) -> str:
    """What the driver said, without the statement and its values."""
    return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
