"""The database itself: where it is, opening it, and changing a row that several people may edit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from wardround.errors import ConflictError, StoreError, UsageError
from wardround.store.connection import Store, engine_of
from wardround.store.schema import upgrade
from wardround.store.trouble import first_line, shown

__all__ = ["Store", "changed", "engine_of", "location", "meanwhile", "open_store"]

DEFAULT = "wardround.db"
VARIABLE = "WARDROUND_DB"
SPELLING = "write a path to an SQLite file or postgresql://user:password@host/name"


def location(given: str | None) -> str:
    """A database URL from what a user writes: a URL, or a path to an SQLite file. Where nothing is written, what the
    environment names in WARDROUND_DB, else `wardround.db`."""
    text = given or os.environ.get(VARIABLE) or DEFAULT
    if "://" not in text:
        return f"sqlite:///{Path(text).expanduser().resolve()}"
    if text.startswith(("postgres://", "postgresql://")):
        return "postgresql+psycopg://" + text.split("://", 1)[1]
    return text


def open_store(given: str | None = None, *, pool: int = 20) -> Store:
    """Open the database and bring its schema up to date; an SQLite file is created when there is none.

    `UsageError` for a URL that is none, `StoreError` where the database can't be reached, is something else or is
    newer than this software. A password in the URL never appears in an error.
    """
    url = _read_url(location(given))
    if url.get_backend_name() == "sqlite":
        _make_place(Path(str(url.database)))
    store = Store(engine_of(url, pool))
    try:
        upgrade(store)
    except DBAPIError as e:
        store.close()
        raise StoreError(f"{shown(url)}: {first_line(e)}") from e
    except BaseException:
        store.close()
        raise
    return store


def _read_url(text: str) -> URL:
    # `from None`: the errors' own text repeats parts of the URL, perhaps the password.
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UsageError("the database URL can't be read", hint=SPELLING) from None
    kind = url.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise UsageError("databases of that kind are not supported", hint=SPELLING)
    if "@" in (url.host or ""):
        raise UsageError(
            "the database URL has more than one @", hint="within user or password write it as %40"
        )
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if not url.database or url.database == ":memory:" or url.query:
        raise UsageError("of an SQLite database only a file's path can be given", hint=SPELLING)
    return url.set(drivername="sqlite")


def _make_place(file: Path) -> None:
    """SQLite makes the file, not the folder; and would open what it can't write, to fail at the first change."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StoreError(
            f"{file}: its folder can't be made ({e.strerror})", hint="name another place"
        ) from e
    for place in (file, file.parent):
        if place.exists() and not os.access(place, os.W_OK):
            raise StoreError(
                f"{file}: {place} may not be written",
                hint="give this user the right to write the file and its folder",
            )


def changed(
    conn: Connection, table: Table, row_id: int, version: int, values: Mapping[str, Any]
) -> int:
    """Change a row if its version is still `version`; returns the new version.

    `ConflictError` when someone else changed it first: nothing is written.
    """
    done = conn.execute(
        update(table)
        .where(table.c.id == row_id, table.c.version == version)
        .values(**values, version=version + 1)
    )
    if done.rowcount != 1:
        raise meanwhile(table, row_id)
    return version + 1


def meanwhile(table: Table, row_id: int) -> ConflictError:
    """What to raise where somebody else changed a row first."""
    return ConflictError(
        f"{table.name} {row_id} was changed by someone else meanwhile",
        hint="load it again; your text is kept as a draft",
    )
