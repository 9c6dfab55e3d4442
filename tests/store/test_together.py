"""A change and the rows it adds come to the same on both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import bindparam, func, select, update

from tests.store.writer import add_user
from wardround.store.database import Store
from wardround.store.events import event_row, record
from wardround.store.people import event, user
from wardround.store.together import Together

RENAME = Together(
    update(user)
    .where(user.c.id == bindparam("who"))
    .values(display=bindparam("called"))
    .returning(
        user.c.display,
        select(func.count()).select_from(event).scalar_subquery().label("told_before"),
        select(event.c.note)
        .where(event.c.actor == user.c.id)
        .order_by(event.c.id)
        .limit(1)
        .scalar_subquery()
        .label("first_note"),
    ),
    told=event,
)


def _told(store: Store) -> list[Any]:
    with store.read() as conn:
        return list(conn.execute(select(event.c.id, event.c.verb, event.c.after).order_by("id")))


def test_all_is_done_and_told_as_it_was_before(store: Store) -> None:
    other, who = add_user(store, "other"), add_user(store, "wang")
    with store.write() as conn:
        record(conn, "user.noted", "user", who, actor=who, note="第一条")
        record(conn, "user.noted", "user", other, actor=other, note="别人的")
    with store.write() as conn:
        values = {"who": who, "called": "王大夫"}
        row = event_row("user.renamed", "user", who, actor=who, after={"display": "王大夫"})
        found = RENAME.execute(conn, values, told=row)
    assert found is not None
    told = _told(store)
    assert told[-1][:] == (found["told_id"], "user.renamed", {"display": "王大夫"})
    assert len(told) == 3
    assert (found["display"], found["told_before"], found["first_note"]) == ("王大夫", 2, "第一条")


def test_the_rest_is_done_where_the_main_change_meets_no_row(store: Store) -> None:
    with store.write() as conn:
        row = event_row("user.missed", "user", 99, actor=None)
        assert RENAME.execute(conn, {"who": 10**6, "called": "x"}, told=row) is None
    assert [r.verb for r in _told(store)] == ["user.missed"]


def test_what_a_row_leaves_out_is_the_columns_default(store: Store) -> None:
    who = add_user(store, "wang")
    with store.write() as conn:
        row = {"at": 5, "verb": "user.noted", "entity": "user", "entity_id": "1"}
        assert RENAME.execute(conn, {"who": who, "called": "x"}, told=row)
    with store.read() as conn:
        assert conn.execute(select(event.c.note, event.c.actor, event.c.after)).one() == (
            "",
            None,
            None,
        )


def test_an_error_takes_all_of_it_back(store: Store) -> None:
    who = add_user(store, "wang")
    row = event_row("user.renamed", "user", who, actor=who)

    def change() -> None:
        with store.write() as conn:
            RENAME.execute(conn, {"who": who, "called": "x"}, told=row)
            raise RuntimeError("then this")

    with pytest.raises(RuntimeError):
        change()
    assert _told(store) == []
    with store.read() as conn:
        assert conn.execute(select(user.c.display)).scalar() == "wang"
