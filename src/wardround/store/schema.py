"""Brings a database's tables up to this software's, by the migrations beside this file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from wardround.errors import StoreError
from wardround.store.connection import Store
from wardround.store.trouble import shown

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x776172646D696772
"""Of PostgreSQL, held while the tables change: any number that no other program takes."""


def migrations(versions: Path = MIGRATIONS / "versions") -> Config:
    """Where the migrations are, for alembic."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def upgrade(store: Store, config: Config | None = None) -> None:
    """Bring the tables up to date; nothing is done where they are.

    One transaction: a migration that fails leaves the database as it was. Several processes may start at once.
    `StoreError` for a database of newer software, or one that holds something else.
    """
    config = config or migrations()
    script = ScriptDirectory.from_config(config)
    with store.read() as conn:
        current = MigrationContext.configure(conn).get_current_revision()
        others = [] if current else inspect(conn).get_table_names()
    if current == script.get_current_head():
        return
    if current is not None and current not in {r.revision for r in script.walk_revisions()}:
        raise StoreError(
            f"the database has schema {current}, which this version of Wardround doesn't know",
            hint="use the version of Wardround that wrote it, or a newer one",
        )
    if others and "alembic_version" not in others:
        raise StoreError(
            f"{shown(store.engine.url)} holds something else: table {min(others)}",
            hint="give Wardround a database of its own",
        )
    with _alone(store) as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "head")


@contextmanager
def _alone(store: Store) -> Iterator[Connection]:
    """A transaction for migrations, which no other process runs at the same time.

    SQLite changes a table by making it anew, which foreign keys would refuse: they are checked at the end instead.
    """
    with store.writer() as conn:
        if not store.is_sqlite:
            with conn.begin():
                conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
                yield conn
            return
        raw = conn.connection.cursor()
        raw.execute("PRAGMA foreign_keys=OFF")
        try:
            with conn.begin():
                yield conn
                if lost := conn.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise StoreError(
                        f"the migration would leave rows of table {lost[0]} that point nowhere",
                        hint="nothing was changed; use the version of Wardround you had",
                    )
        finally:
            raw.execute("PRAGMA foreign_keys=ON")
            raw.close()
