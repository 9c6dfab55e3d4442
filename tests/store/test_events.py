"""The event log tells what happened, and nobody can change what it says."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from wardround.store import events
from wardround.store.database import Store
from wardround.store.people import event

REFUSED = "can only be added to"


def _told(store: Store) -> list[tuple]:
    with store.read() as conn:
        return [tuple(r) for r in conn.execute(select(event).order_by(event.c.id))]


def _tell(store: Store) -> None:
    with store.write() as conn:
        events.record(
            conn, "item.edited", "item", 7, actor=3, before={"a": "咳嗽"}, after={"a": None}, at=5
        )
        events.record(conn, "study.closed", "study", "x", actor=None, study_id=1, note="到期", at=6)


def test_an_event_comes_back_as_it_was_told(store: Store) -> None:
    _tell(store)
    assert [r[1:] for r in _told(store)] == [
        (5, 3, "item.edited", "item", "7", None, {"a": "咳嗽"}, {"a": None}, ""),
        (6, None, "study.closed", "study", "x", 1, None, None, "到期"),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET note = 'never happened'",
        "UPDATE event SET actor = NULL WHERE id = 1",
        "DELETE FROM event",
        "DELETE FROM event WHERE id = 2",
    ],
)
def test_the_database_refuses_to_change_or_lose_an_event(store: Store, statement: str) -> None:
    _tell(store)
    before = _told(store)
    with pytest.raises(DatabaseError, match=REFUSED), store.write() as conn:
        conn.execute(text(statement))
    assert _told(store) == before


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["INSERT OR REPLACE INTO", "REPLACE INTO"])
def test_sqlite_refuses_to_replace_an_event(store: Store, how: str) -> None:
    _tell(store)
    before = _told(store)
    row = "(id, at, verb, entity, entity_id, note) VALUES (1, 0, 'x', 'x', 'x', '')"
    with pytest.raises(DatabaseError, match=REFUSED), store.write() as conn:
        conn.execute(text(f"{how} event {row}"))
    assert _told(store) == before


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE event",
        "INSERT INTO event (id, at, verb, entity, entity_id, note) VALUES (1, 0, 'x', 'x', 'x', '')"
        " ON CONFLICT (id) DO UPDATE SET note = 'x'",
        "SET LOCAL session_replication_role = replica; DELETE FROM event",
    ],
)
def test_postgresql_refuses_its_own_ways_too(store: Store, statement: str) -> None:
    _tell(store)
    before = _told(store)
    with store.engine.connect() as conn:
        *first, last = statement.split("; ")
        for one in first:
            conn.exec_driver_sql(one)
        with pytest.raises(DatabaseError, match=REFUSED):
            conn.exec_driver_sql(last)
    assert _told(store) == before


def test_an_event_stands_or_falls_with_its_change(store: Store) -> None:
    def fail() -> None:
        with store.write() as conn:
            events.record(conn, "item.edited", "item", 1, actor=None)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert _told(store) == []
