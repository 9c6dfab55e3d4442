"""A statement written once, and run without SQLAlchemy's account of each run.

Of what every hand-in runs, a statement takes SQLite 2 to 12 µs and SQLAlchemy some 15 to 35 around it; of what twelve ask of
PostgreSQL together, telling by hundreds of parameters that it is known already took as long as sending it. SQLAlchemy still
writes the statement and says how values are stored and read; begin, commit and the connection stay its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError

Row = dict[str, Any]
Found = tuple[Any, Sequence[Any]]
"""How the driver describes the columns, and the rows."""


class Straight:
    """`statement`, a query or a change that returns columns, for one dialect. `text`: what the database is told.

    `ValueError` for one that leaves out a column whose default is made in Python: SQLAlchemy would fill that in at each run.
    """

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        if compiled.prefetch:
            raise ValueError(f"left out: {', '.join(c.name for c in compiled.prefetch)}")
        self.text = str(compiled)
        self._dialect, binds = dialect, compiled.binds
        self._by_place = compiled.positional
        self._known = {n: b.effective_value for n, b in binds.items() if not b.required}
        self._stored = [
            (n, binds[n].type.dialect_impl(dialect).bind_processor(dialect))
            for n in (compiled.positiontup if self._by_place else binds)
        ]
        # Of a copy: an update remembers its columns once asked, and would keep them where it is made to return more.
        self._columns = [(c.key, c.type) for c in statement.execution_options().exported_columns]
        self._names = [name for name, _ in self._columns]
        self._read: list[tuple[str, Callable[[Any], Any]]] | None = None

    def execute(self, conn: Connection, parameters: Mapping[str, Any]) -> list[Row]:
        """All rows. `KeyError` for a parameter that has neither a value nor a default; what the database refuses is raised
        as SQLAlchemy does."""
        given = {**self._known, **parameters}
        values = [given[n] if store is None else store(given[n]) for n, store in self._stored]
        run = self._at_hand if conn.dialect.name == "sqlite" else self._sent
        described, found = run(conn, values)
        rows = [dict(zip(self._names, row, strict=True)) for row in found]
        for name, read in self._reading(described):
            for row in rows:
                row[name] = read(row[name])
        return rows

    def _at_hand(self, conn: Connection, values: list[Any]) -> Found:
        if not conn.in_transaction():
            conn.begin()
        raw: Any = conn.connection.driver_connection
        try:
            cursor = raw.execute(self.text, values)
            return cursor.description, cursor.fetchall()
        except sqlite3.Error as e:
            raise DBAPIError.instance(
                self.text, None, e, sqlite3.Error, hide_parameters=True, dialect=conn.dialect
            ) from e

    def _sent(self, conn: Connection, values: list[Any]) -> Found:
        # By SQLAlchemy: a connection can be lost, and it has to hear of that.
        names = (n for n, _ in self._stored)
        given: Any = tuple(values) if self._by_place else dict(zip(names, values, strict=True))
        result = conn.exec_driver_sql(self.text, given)
        return result.cursor.description, result.all()

    def _reading(self, described: Any) -> list[tuple[str, Callable[[Any], Any]]]:
        if self._read is None:
            told = zip(self._columns, described, strict=True)
            kinds = [(n, t.dialect_impl(self._dialect), kind[1]) for (n, t), kind in told]
            read = [(n, t.result_processor(self._dialect, code)) for n, t, code in kinds]
            self._read = [(n, r) for n, r in read if r is not None]
        return self._read
