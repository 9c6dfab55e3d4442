"""What every table shares: one metadata with named constraints, column kinds, what SQLite is told otherwise, and the clock.

Times are integer milliseconds since 1970 UTC: they sort, subtract and compare alike on both databases.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Integer, MetaData, String, bindparam
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.selectable import ScalarSelect
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import JSON

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
BigId = BigInteger().with_variant(Integer, "sqlite")
"""SQLite gives numbers of its own only to a column declared INTEGER."""


def key() -> Column[int]:
    """A number of its own for each row."""
    return Column("id", BigId, primary_key=True, autoincrement=True)


def moment(name: str, *, nullable: bool = False, **options: Any) -> Column[int]:
    """A time, in milliseconds since 1970 UTC."""
    return Column(name, BigInteger, nullable=nullable, **options)


def now() -> int:
    """This moment, in milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


class Known(ColumnElement[str]):
    """A text that never changes: a parameter for PostgreSQL, written out for SQLite.

    SQLite prepares a statement anew at each run where a parameter might decide whether a partial index holds what is
    asked (sqlite.org/c3ref/prepare.html), which took longer than all else of a hand-in together. PostgreSQL, told the
    text, takes the partial index also where another is the better one.
    """

    inherit_cache = True
    type = String()
    _traverse_internals = [("text", InternalTraversal.dp_string)]

    def __init__(self, text: str) -> None:
        self.text = text


@compiles(Known)
def _given(known: Known, compiler: Any, **how: Any) -> str:
    return str(compiler.process(bindparam(None, known.text, String, unique=True), **how))


@compiles(Known, "sqlite")
def _written(known: Known, compiler: Any, **how: Any) -> str:
    return str(compiler.render_literal_value(known.text, known.type))


@compiles(ScalarSelect, "sqlite")
def _named(query: Any, compiler: Any, **how: Any) -> str:
    # In a RETURNING for SQLite, SQLAlchemy 2.1.9 leaves the tables' names out, within subqueries too, where a column
    # may then be another table's.
    return str(compiler.visit_grouping(query, **{**how, "include_table": True}))
