"""Handed straight to sqlite3, a statement comes to what SQLAlchemy makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.store.writer import add_user
from wardround.errors import StoreError
from wardround.store import people
from wardround.store.base import Json, key
from wardround.store.database import Store
from wardround.store.straight import Straight

USER = people.user.c
KINDS = Table(
    "kinds", MetaData(), key(), Column("text", String), Column("number", Integer), Column("yes", Boolean), Column("json", Json)
)  # fmt: skip
COLUMNS = ("text", "number", "yes", "json")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WHOLE = st.integers(-(2**63), 2**63 - 1)
JSONS = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)
ADD = insert(KINDS).values({c: bindparam(c, type_=KINDS.c[c].type) for c in COLUMNS})
ALL = select(*KINDS.c, (KINDS.c.number > bindparam("least")).label("more")).order_by(KINDS.c.id)


_COPIED = [c.key for c in USER if c.key not in ("id", "name")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(TEXTS | st.none(), WHOLE | st.none(), st.booleans() | st.none(), JSONS | st.none()),
        max_size=4,
    )
)  # fmt: skip
def test_values_are_stored_and_read_as_by_sqlalchemy(sqlite_store: Store, rows: list[Any]) -> None:
    with sqlite_store.engine.connect() as conn:
        KINDS.create(conn, checkfirst=True)
        add = Straight(ADD.returning(KINDS.c.id, KINDS.c.json), conn.dialect)
        for row in rows:
            values = dict(zip(COLUMNS, row, strict=True))
            assert add.execute(conn, values)[0]["json"] == values["json"]
            conn.execute(ADD, values)
        by_sqlalchemy = [dict(r) for r in conn.execute(ALL, {"least": 3}).mappings()]
        assert Straight(ALL, conn.dialect).execute(conn, {"least": 3}) == by_sqlalchemy
        stored = conn.exec_driver_sql("SELECT text, number, yes, json FROM kinds ORDER BY id").all()
        conn.rollback()
    kept = [tuple(r) for r in stored]
    assert kept[::2] == kept[1::2]
    assert len(kept) == 2 * len(rows)


def test_a_default_is_taken_and_a_value_left_out_is_told(sqlite_store: Store) -> None:
    who = add_user(sqlite_store, "wang")
    called = (
        update(people.user)
        .where(USER.id == bindparam("who"))
        .values(display=bindparam("called", "没有名字"), version=USER.version + 1)
    ).returning(USER.display, USER.version.label("which"))
    with sqlite_store.write() as conn:
        straight = Straight(called, conn.dialect)
        assert straight.execute(conn, {"who": who}) == [{"display": "没有名字", "which": 2}]
        assert straight.execute(conn, {"who": who, "called": "王"})[0]["display"] == "王"
        with pytest.raises(KeyError, match="who"):
            straight.execute(conn, {"called": "王"})


def test_what_sqlite_refuses_is_sqlalchemy_s_error_without_the_values(sqlite_store: Store) -> None:
    add_user(sqlite_store, "wang")
    again = insert(people.user).from_select(
        ["name", *_COPIED],
        select(bindparam("name"), *(USER[c] for c in _COPIED)),
        include_defaults=False,
    )
    with sqlite_store.engine.connect() as conn:
        straight = Straight(again.returning(USER.id), conn.dialect)
        with pytest.raises(IntegrityError) as refused:
            straight.execute(conn, {"name": "wang"})
        assert "UNIQUE" in str(refused.value)
        assert "wang" not in str(refused.value)
    with sqlite_store._reading.connect() as conn, pytest.raises(OperationalError, match="readonly"):
        straight.execute(conn, {"name": "li"})


def test_a_database_that_cannot_is_told_in_words(sqlite_store: Store) -> None:
    find = select(USER.id).where(USER.id == bindparam("who"))
    with sqlite_store.read() as conn:
        assert Straight(find, conn.dialect).execute(conn, {"who": 1}) == []
    with pytest.raises(StoreError, match="may not be written"), sqlite_store.read() as conn:
        Straight(delete(people.user).returning(USER.id), conn.dialect).execute(conn, {})


def test_what_a_reader_sees_stays_as_it_was_at_the_first_query(sqlite_store: Store) -> None:
    """Also where that was a straight one: SQLAlchemy begins a transaction with its own."""
    who = add_user(sqlite_store, "wang")
    find = select(USER.display).where(USER.id == bindparam("who"))
    with sqlite_store.read() as conn:
        straight = Straight(find, conn.dialect)
        was = straight.execute(conn, {"who": who})
        with sqlite_store.write() as other:
            other.execute(update(people.user).values(display="改了"))
        assert straight.execute(conn, {"who": who}) == was
    with sqlite_store.read() as conn:
        assert straight.execute(conn, {"who": who}) == [{"display": "改了"}]


def test_a_default_made_in_python_has_to_be_given(sqlite_store: Store) -> None:
    new = insert(people.user).values(name=bindparam("name"), display="x", created_at=1)
    with sqlite_store.read() as conn, pytest.raises(ValueError, match="left out: email"):
        Straight(new.returning(USER.id), conn.dialect)


def test_an_update_asked_for_its_columns_can_still_be_made_to_return_more(
    sqlite_store: Store,
) -> None:
    change = update(people.user).values(display="x").returning(USER.id)
    with sqlite_store.read() as conn:
        Straight(change, conn.dialect)
    assert [c.key for c in change.returning(USER.name).exported_columns] == ["id", "name"]
