"""A copy of the database while people go on working in it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from wardround.errors import StoreError, UsageError
from wardround.store.connection import Store
from wardround.store.trouble import shown

PAGES = 4096
"""Copied between two looks at whether others write: 16 MB."""


def backup(store: Store, to: Path) -> Path:
    """Write a copy of the SQLite database, as of one moment, to a new file; returns it.

    The copy is checked, and has its name only once it is whole and on the disk. `UsageError` where the file is there
    already, or the database is PostgreSQL, which has its own tool.
    """
    if not store.is_sqlite:
        raise UsageError(
            "only SQLite databases are copied by Wardround",
            hint=f"use PostgreSQL's own: pg_dump --format=custom --file={to} NAME",
        )
    if to.exists():
        raise UsageError(
            f"{to} is there already", hint="name a new file; backups are never replaced"
        )
    part = to.with_name(f"{to.name}.{os.getpid()}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        _copy(Path(str(store.engine.url.database)), part)
        _keep(part, to)
    except (OSError, sqlite3.Error) as e:
        raise StoreError(
            f"{shown(store.engine.url)} could not be copied to {to}: {e}",
            hint="check the disk's room and rights; no backup was made",
        ) from e
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return to


def _copy(source: Path, part: Path) -> None:
    there = sqlite3.connect(source, timeout=60)
    try:
        here = sqlite3.connect(part, isolation_level=None)
        try:
            # One read transaction holds the moment: otherwise each write meanwhile begins the copy anew.
            there.execute("BEGIN")
            there.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            there.backup(here, pages=PAGES)
            here.execute("PRAGMA journal_mode=DELETE")  # one file, that can be carried away
            found = here.execute("PRAGMA integrity_check").fetchone()[0]
        finally:
            here.close()
    finally:
        there.close()
    if found != "ok":
        raise StoreError(
            f"{source} is damaged: {found}", hint="keep the file, restore the last backup"
        )


def _keep(part: Path, to: Path) -> None:
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.rename(to)
    folder = os.open(to.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
