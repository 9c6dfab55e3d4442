"""A statement as sqlite3 takes it, without SQLAlchemy's account of each run.

Of what every hand-in runs, a statement takes SQLite 2 to 12 µs and SQLAlchemy some 15 to 35 around it; with a file at hand, where
nothing waits for a network, that was a fifth of the server's time. SQLAlchemy writes the statement, once, and says how
values are stored and read; begin, commit and the connection stay its own. Not for PostgreSQL, where a connection can be
lost and SQLAlchemy has to hear of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError

Row = dict[str, Any]


class Straight:
    """`statement`, a query or a change that returns columns. `text`: what SQLite is told.

    `ValueError` for one that leaves out a column whose default is made in Python: SQLAlchemy would fill that in at each run.
    """

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if compiled.prefetch:
            raise ValueError(f"left out: {', '.join(c.name for c in compiled.prefetch)}")
        self.text = str(compiled)
        self._known = {n: b.effective_value for n, b in compiled.binds.items() if not b.required}
        kinds = [(n, compiled.binds[n].type.dialect_impl(dialect)) for n in compiled.positiontup]
        self._stored = [(n, kind.bind_processor(dialect)) for n, kind in kinds]
        # Of a copy: an update remembers its columns once asked, and would keep them where it is made to return more.
        named = statement.execution_options().exported_columns
        columns = [(c.key, c.type.dialect_impl(dialect)) for c in named]
        self._names = [name for name, _ in columns]
        self._read = [(n, r) for n, kind in columns if (r := kind.result_processor(dialect, None))]

    def execute(self, conn: Connection, values: Mapping[str, Any]) -> list[Row]:
        """All rows. `KeyError` for a parameter that has neither a value nor a default; what SQLite refuses is raised as
        SQLAlchemy would."""
        given = {**self._known, **values}
        ordered = [given[n] if store is None else store(given[n]) for n, store in self._stored]
        if not conn.in_transaction():
            conn.begin()
        raw: Any = conn.connection.driver_connection
        try:
            found = raw.execute(self.text, ordered).fetchall()
        except sqlite3.Error as e:
            raise DBAPIError.instance(
                self.text, None, e, sqlite3.Error, hide_parameters=True, dialect=conn.dialect
            ) from e
        rows = [dict(zip(self._names, row, strict=True)) for row in found]
        for row in rows:
            for name, read in self._read:
                row[name] = read(row[name])
        return rows
