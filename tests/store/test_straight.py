"""Run straight, a statement comes to what SQLAlchemy makes of it, on both databases and with each driver."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.store.writer import add_user, plain
from wardround.errors import StoreError
from wardround.store import people
from wardround.store.base import Json, key
from wardround.store.database import Store
from wardround.store.straight import Straight

USER = people.user.c
_COPIED = [c.key for c in USER if c.key not in ("id", "name")]
KINDS = Table(
    "kinds", MetaData(), key(), Column("text", String), Column("number", BigInteger), Column("part", Float),
    Column("yes", Boolean), Column("json", Json),
)  # fmt: skip
COLUMNS = ("text", "number", "part", "yes", "json")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSONS = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)
ROWS = st.lists(
    st.tuples(
        *(kind | st.none() for kind in (TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(-1e9, 1e9), st.booleans(), JSONS))
    ),
    max_size=4,
)  # fmt: skip
ADD = insert(KINDS).values({c: bindparam(c, type_=KINDS.c[c].type) for c in COLUMNS})
ALL = select(
    *KINDS.c, (KINDS.c.number > bindparam("least")).label("more"), literal("100 %").label("all"),
    (KINDS.c.number < bindparam("least")).label("less"),
).order_by(KINDS.c.id)  # fmt: skip


def both_ways(conn: Connection, rows: list[Any]) -> None:
    """Add each by SQLAlchemy and straight, and read them both ways."""
    KINDS.create(conn)
    add = Straight(ADD.returning(KINDS.c.id, KINDS.c.json), conn.dialect)
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        assert add.execute(conn, values)[0]["json"] == values["json"]
        conn.execute(ADD, values)
    by_sqlalchemy = [dict(r) for r in conn.execute(ALL, {"least": 3}).mappings()]
    assert Straight(ALL, conn.dialect).execute(conn, {"least": 3}) == by_sqlalchemy
    kept = [tuple(r[c] for c in COLUMNS) for r in by_sqlalchemy]
    assert kept == [row for row in rows for _ in "12"]
    raw = conn.exec_driver_sql("SELECT text, number, part, yes, json FROM kinds ORDER BY id").all()
    assert raw[::2] == raw[1::2]
    KINDS.drop(conn)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS)
def test_values_are_stored_and_read_as_by_sqlalchemy(store: Store, rows: list[Any]) -> None:
    with store.engine.begin() as conn:
        both_ways(conn, rows)


def test_also_in_the_loop(store: Store) -> None:
    """There PostgreSQL is asked by another driver."""
    rows: list[Any] = [("一 % %s", 2**40, 0.25, True, {"a": [1, "二"]}), (None,) * 5]

    async def work() -> None:
        async with store.in_loop():
            await store.transact(plain(lambda conn: both_ways(conn, rows)))

    asyncio.run(work())


def test_a_default_is_taken_and_a_value_left_out_is_told(store: Store) -> None:
    who = add_user(store, "wang")
    called = (
        update(people.user)
        .where(USER.id == bindparam("who"))
        .values(display=bindparam("called", "没有名字"), version=USER.version + 1)
    ).returning(USER.display, USER.version.label("which"))
    with store.write() as conn:
        straight = Straight(called, conn.dialect)
        assert straight.execute(conn, {"who": who}) == [{"display": "没有名字", "which": 2}]
        assert straight.execute(conn, {"who": who, "called": "王"})[0]["display"] == "王"
        with pytest.raises(KeyError, match="who"):
            straight.execute(conn, {"called": "王"})


def test_what_is_refused_is_sqlalchemy_s_error_without_the_values(store: Store) -> None:
    add_user(store, "wang")
    again = insert(people.user).from_select(
        ["name", *_COPIED], select(bindparam("name"), *(USER[c] for c in _COPIED)), include_defaults=False
    )  # fmt: skip
    with store.engine.connect() as conn:
        straight = Straight(again.returning(USER.id), conn.dialect)
        with pytest.raises(IntegrityError, match=r"(?i)unique") as refused:
            straight.execute(conn, {"name": "wang"})
        assert refused.value.params is None or "wang" not in str(refused.value).split("[SQL")[1]
    with store._reading.connect() as conn, pytest.raises(DBAPIError, match=r"read-?only"):
        straight.execute(conn, {"name": "li"})


def test_a_database_that_cannot_is_told_in_words(sqlite_store: Store) -> None:
    find = select(USER.id).where(USER.id == bindparam("who"))
    with sqlite_store.read() as conn:
        assert Straight(find, conn.dialect).execute(conn, {"who": 1}) == []
    with pytest.raises(StoreError, match="may not be written"), sqlite_store.read() as conn:
        Straight(delete(people.user).returning(USER.id), conn.dialect).execute(conn, {})


def test_what_a_reader_sees_stays_as_it_was_at_the_first_query(store: Store) -> None:
    """Also where that was a straight one: SQLAlchemy begins a transaction with its own."""
    who = add_user(store, "wang")
    find = select(USER.display).where(USER.id == bindparam("who"))
    with store.read() as conn:
        straight = Straight(find, conn.dialect)
        was = straight.execute(conn, {"who": who})
        with store.write() as other:
            other.execute(update(people.user).values(display="改了"))
        assert straight.execute(conn, {"who": who}) == was
    with store.read() as conn:
        assert straight.execute(conn, {"who": who}) == [{"display": "改了"}]


def test_a_default_made_in_python_has_to_be_given(store: Store) -> None:
    new = insert(people.user).values(name=bindparam("name"), display="x", created_at=1)
    with store.read() as conn, pytest.raises(ValueError, match="left out: email"):
        Straight(new.returning(USER.id), conn.dialect)


def test_an_update_asked_for_its_columns_can_still_be_made_to_return_more(store: Store) -> None:
    change = update(people.user).values(display="x").returning(USER.id)
    with store.read() as conn:
        Straight(change, conn.dialect)
    assert [c.key for c in change.returning(USER.name).exported_columns] == ["id", "name"]
