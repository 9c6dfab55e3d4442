"""What every table shares: one metadata with named constraints, column kinds, and the clock.

Times are integer milliseconds since 1970 UTC: they sort, subtract and compare alike on both databases.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData
from sqlalchemy.dialects.postgresql import JSONB
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
