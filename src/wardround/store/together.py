"""A change and the rows it adds, in one journey to the database; and those of several people, in one as well.

A transaction of short statements spends its time on the way to PostgreSQL and back, and each way costs both processes as
much as the statement. PostgreSQL takes changes within a query (`WITH`); SQLite has neither that nor the journey, and does
them one after the other. So that both come to the same, what the update reads is as it was before the rows were added.

Not for two updates of rows that others lock in an order: which comes first within one statement is PostgreSQL's to say.
Where several people's rows are so locked, their transaction has to give way (`looped.PATIENCE_MS`). Nor for several of
whom one reads or changes what another changes: none sees what the others do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    Column,
    Connection,
    Select,
    Table,
    Update,
    bindparam,
    insert,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.sql.dml import ReturningDelete, ReturningUpdate
from sqlalchemy.sql.schema import ScalarElementColumnDefault
from sqlalchemy.sql.visitors import replacement_traverse

from wardround.store.straight import Row, Straight

Values = Mapping[str, Any]
_WHOSE = "whose_"
SIZES = (1, 2, 3, 4, 6, 8, 12)
"""How many go into one statement. Each number is one more to compile, for PostgreSQL to plan, and to keep prepared."""
Main = Select[Any] | Update | ReturningUpdate[Any] | ReturningDelete[Any]


class Together:
    """A statement that finds or returns one row at most, and a row to add to each of `added`.

    Made once, since building statements costs more than running them. No parameter of an update is named as a column is:
    SQLAlchemy would set that. No two columns of what is returned have one name.
    """

    def __init__(self, main: Main, **added: Table) -> None:
        self._main, self._added = main, added
        self._rows = {name: _row(name, table) for name, table in added.items()}
        self._straight: dict[tuple[str, str | int], Straight] = {}
        self._whole: dict[int, Any] = {1: _with(main, self._rows, "")}

    def execute(self, conn: Connection, values: Values, **rows: Values) -> Any:
        """What the statement returns of its first row, with `<name>_id` of each row added; None where it met none (the
        rows are added all the same).

        `values`: the statement's parameters; `rows`: a row for each of `added`, by column; one left out is its default.
        """
        given = _given("", rows)
        if conn.dialect.name != "sqlite":
            return self._answer(self._run(conn, 1, {**values, **given}))
        found = self._run(conn, "", values)
        ids = {f"{n}_id": self._run(conn, n, given)[0]["id"] for n in self._rows}
        return self._answer([{**one, **ids} for one in found])

    def execute_all(
        self, conn: Connection, asked: Sequence[tuple[Values, Mapping[str, Values]]]
    ) -> list[Any]:
        """`execute` for each of these, (values, rows), of which none touches what another changes."""
        if conn.dialect.name == "sqlite" or len(asked) == 1:
            return [self.execute(conn, values, **rows) for values, rows in asked]
        if (most := max(n for n in SIZES if n <= len(asked))) < len(asked):
            return [*self.execute_all(conn, asked[:most]), *self.execute_all(conn, asked[most:])]
        given: dict[str, Any] = {}
        for i, (values, rows) in enumerate(asked):
            given |= {f"{k}_{i}": v for k, v in values.items()} | _given(f"_{i}", rows)
        found: list[list[Row]] = [[] for _ in asked]
        for row in self._run(conn, len(asked), given):
            found[row.pop(_WHOSE)].append(row)
        return [self._answer(rows) for rows in found]

    def _answer(self, found: list[Row]) -> Any:
        return found[0] if found else None

    def _run(self, conn: Connection, what: str | int, given: Values) -> list[Row]:
        """Run the statement of so many, or by itself (""), or that of a row."""
        key = conn.dialect.driver, what
        if key not in self._straight:
            alone = {"": self._main, **self._rows}
            statement = self.statement(what) if isinstance(what, int) else alone[what]
            self._straight[key] = Straight(statement, conn.dialect)
        return self._straight[key].execute(conn, given)

    def statement(self, many: int) -> Any:
        """What PostgreSQL is told for so many at once."""
        if many not in self._whole:
            each = [self._one_of_many(i).cte(f"each_{i}") for i in range(many)]
            numbered = (
                select(literal_column(str(i)).label(_WHOSE), *one.c) for i, one in enumerate(each)
            )
            self._whole[many] = union_all(*numbered)
        return self._whole[many]

    def _one_of_many(self, i: int) -> Any:
        rows = {n: _row(n, table, f"_{i}") for n, table in self._added.items()}

        def renamed(element: Any, **_: Any) -> Any:
            if not isinstance(element, BindParameter) or element.unique:
                return None
            return bindparam(f"{element.key}_{i}", type_=element.type)

        main: Any = self._main
        return _with(replacement_traverse(main, {}, renamed), rows, f"_{i}")


class Listed(Together):
    """A query that may find more: answered by a list of its rows, in no order."""

    def _answer(self, found: list[Row]) -> list[Row]:
        return found


def _row(name: str, table: Table, mark: str = "") -> Any:
    columns = {c.name: _parameter(name, c, mark) for c in table.c if not c.primary_key}
    return insert(table).values(columns).returning(table.c.id)


def _with(main: Any, rows: Mapping[str, Any], mark: str) -> Any:
    for name, row in rows.items():
        made: CTE = row.cte(f"added_{name}{mark}")
        main = main.returning(select(made.c.id).scalar_subquery().label(f"{name}_id"))
    return main


def _parameter(name: str, column: Column[Any], mark: str) -> BindParameter[Any]:
    default = column.default.arg if isinstance(column.default, ScalarElementColumnDefault) else None
    return bindparam(f"{name}_{column.name}{mark}", default, type_=column.type)


def _given(mark: str, rows: Mapping[str, Values]) -> dict[str, Any]:
    return {f"{n}_{column}{mark}": v for n, row in rows.items() for column, v in row.items()}
