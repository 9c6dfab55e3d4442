"""A change and the rows it adds, in one journey to the database.

A transaction of short statements spends its time on the way to PostgreSQL and back, and each way costs both processes as
much as the statement. PostgreSQL takes changes within a query (`WITH`); SQLite has neither that nor the journey, and does
them one after the other. So that both come to the same, what the update reads is as it was before the rows were added.

Not for two updates of rows that others lock in an order: which comes first within one statement is PostgreSQL's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BindParameter, Column, Connection, Table, Update, bindparam, insert, select
from sqlalchemy.sql.schema import ScalarElementColumnDefault


class Together:
    """An update with its RETURNING, and a row to add to each of `added`.

    Made once, since building statements costs more than running them. No parameter of the update is named as a column is:
    SQLAlchemy would set that.
    """

    def __init__(self, main: Update, **added: Table) -> None:
        self._main = self._whole = main
        self._rows = {
            name: insert(table)
            .values({c.name: _parameter(name, c) for c in table.c if not c.primary_key})
            .returning(table.c.id)
            for name, table in added.items()
        }
        for name, row in self._rows.items():
            made = row.cte(f"added_{name}")
            made_id = select(made.c.id).scalar_subquery().label(f"{name}_id")
            self._whole = self._whole.returning(made_id)

    def execute(
        self, conn: Connection, values: Mapping[str, Any], **rows: Mapping[str, Any]
    ) -> Mapping[Any, Any] | None:
        """What the update returns of its first row, with `<name>_id` of each row added; None where it changed none (the
        rows are added all the same).

        `values`: the update's parameters; `rows`: a row for each of `added`, by column; one left out is its default.
        """
        given = {f"{n}_{column}": v for n, row in rows.items() for column, v in row.items()}
        if conn.dialect.name != "sqlite":
            return conn.execute(self._whole, {**values, **given}).mappings().first()
        found = conn.execute(self._main, values).mappings().first()
        ids = {f"{n}_id": conn.execute(row, given).scalar_one() for n, row in self._rows.items()}
        return None if found is None else {**found, **ids}


def _parameter(name: str, column: Column[Any]) -> BindParameter[Any]:
    default = column.default.arg if isinstance(column.default, ScalarElementColumnDefault) else None
    return bindparam(f"{name}_{column.name}", default, type_=column.type)
