"""Reading and writing: whole or not at all, one moment, one winner; the same on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from tests.store.writer import add_user, plain
from wardround.errors import ConflictError, StoreError
from wardround.store import connection, events, people
from wardround.store.database import Store, changed, open_store

USER = people.user.c
one_store = settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def _at_once(work: Sequence[Callable[[], object]]) -> None:
    failed: list[BaseException] = []
    start = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        try:
            start.wait(30)
            one()
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=run, args=(w,)) for w in work]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert failed == []


def _display(store: Store, user: int) -> str:
    with store.read() as conn:
        return str(conn.execute(select(USER.display).where(USER.id == user)).scalar_one())


def test_an_error_takes_the_whole_write_back(store: Store) -> None:
    user = add_user(store, "wang")

    def fail() -> None:
        with store.write() as conn:
            conn.execute(update(people.user).values(display="lost"))
            events.record(conn, "user.changed", "user", user, actor=None)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with store.read() as conn:
        assert conn.execute(select(people.event)).all() == []
    assert _display(store, user) == "wang"


def test_a_statement_that_is_wrong_says_so_itself(store: Store) -> None:
    add_user(store, "wang")
    with pytest.raises(IntegrityError):
        add_user(store, "wang")
    with pytest.raises(IntegrityError), store.write() as conn:
        conn.execute(
            insert(people.session).values(
                id="s", user_id=99, csrf="", created_at=1, seen_at=1, expires_at=1
            )
        )


def test_an_error_shows_no_values(store: Store) -> None:
    add_user(store, "wang")
    row = {"name": "wang", "display": "患者的话", "roles": [], "specialties": [], "preferences": {}}
    with pytest.raises(IntegrityError) as caught, store.write() as conn:
        conn.execute(insert(people.user).values(**row, password_hash="$argon2", created_at=1))
    assert "患者的话" not in str(caught.value) and "$argon2" not in str(caught.value)


def test_a_read_changes_nothing(store: Store) -> None:
    user = add_user(store, "wang")
    refused = pytest.raises((StoreError, DBAPIError), match=r"read-only|may not be written")
    with refused, store.read() as conn:
        conn.execute(update(people.user).values(display="x"))
    with store.write() as conn:  # the connection that refused writes again
        conn.execute(update(people.user).values(display="y"))
    assert _display(store, user) == "y"


def test_a_read_is_of_one_moment(store: Store) -> None:
    user = add_user(store, "before")
    with store.read() as conn:
        names = select(USER.display)
        assert conn.execute(names).scalars().all() == ["before"]
        with store.write() as other:
            other.execute(update(people.user).values(display="after"))
        assert conn.execute(names).scalars().all() == ["before"]
    assert _display(store, user) == "after"


def test_a_write_within_a_write_is_told_at_once(store: Store) -> None:
    with store.write() as conn:
        with pytest.raises(RuntimeError, match="within a write"), store.write():
            pass
        with store.read() as other:
            other.execute(select(people.user)).all()
        conn.execute(select(people.user)).all()
    add_user(store, "next")


def test_json_comes_back_as_it_went(store: Store) -> None:
    value = {"a": [1, 2.5, None, True, "咳嗽 \U0001f637 \\ \" '"], "b": {}, "空": ""}
    with store.write() as conn:
        events.record(conn, "item.edited", "item", 1, actor=None, before=None, after=value)
    with store.read() as conn:
        row = conn.execute(select(people.event.c.before, people.event.c.after)).one()
        unknown = select(people.event.c.id).where(people.event.c.before.is_(None))
        assert conn.execute(unknown).scalar() is not None  # None is NULL, not JSON's null
    assert tuple(row) == (None, value)


def test_a_number_of_milliseconds_fits(store: Store) -> None:
    with store.write() as conn:
        events.record(conn, "item.edited", "item", 1, actor=2**40, at=2**45)
    with store.read() as conn:
        assert conn.execute(select(people.event.c.at, people.event.c.actor)).one() == (2**45, 2**40)


def test_changed_counts_up_and_refuses_an_old_version(store: Store) -> None:
    user = add_user(store, "wang")
    with store.write() as conn:
        assert changed(conn, people.user, user, 1, {"display": "a"}) == 2
        assert changed(conn, people.user, user, 2, {"display": "b"}) == 3
    for version in (1, 2, 4):
        with pytest.raises(ConflictError, match="changed by someone else"), store.write() as conn:
            changed(conn, people.user, user, version, {"display": "c"})
    with pytest.raises(ConflictError), store.write() as conn:
        changed(conn, people.user, user + 1, 1, {"display": "c"})
    assert _display(store, user) == "b"


@one_store
@given(texts=st.lists(st.text("ab咳'\"\\", max_size=5), min_size=2, max_size=5))
def test_of_several_who_change_the_same_version_exactly_one_wins(
    store: Store, texts: list[str]
) -> None:
    with store.read() as conn:
        user = conn.execute(select(USER.id).where(USER.name == "wang")).scalar()
    user = user or add_user(store, "wang")
    with store.read() as conn:
        version = conn.execute(select(USER.version).where(USER.id == user)).scalar_one()
    won: list[tuple[int, int]] = []
    lost: list[int] = []

    def writer(who: int) -> Callable[[], None]:
        def change() -> None:
            try:
                with store.write() as conn:
                    new = changed(
                        conn, people.user, user, version, {"display": f"{who}{texts[who]}"}
                    )
                    events.record(conn, "user.changed", "user", user, actor=who, after={"v": new})
                won.append((who, new))
            except ConflictError:
                lost.append(who)

        return change

    _at_once([writer(n) for n in range(len(texts))])
    assert len(won) == 1 and len(lost) == len(texts) - 1
    [(who, new)] = won
    assert new == version + 1
    assert _display(store, user) == f"{who}{texts[who]}"
    with store.read() as conn:
        told = select(people.event.c.actor, people.event.c.after).order_by(people.event.c.id)
        rows = conn.execute(told).all()
    assert len(rows) == version and rows[-1] == (who, {"v": new})  # the losers left no event


def test_nobody_s_change_is_lost_among_many_who_try_again(store: Store) -> None:
    user = add_user(store, "0")

    def add_one() -> None:
        for _ in range(10):
            while True:
                with store.read() as conn:
                    row = conn.execute(
                        select(USER.display, USER.version).where(USER.id == user)
                    ).one()
                try:
                    with store.write() as conn:
                        value = {"display": str(int(row.display) + 1)}
                        changed(conn, people.user, user, row.version, value)
                    break
                except ConflictError:
                    continue

    _at_once([add_one] * 4)
    assert _display(store, user) == "40"


def test_more_threads_than_connections_wait_for_each_other(store_url: str) -> None:
    store = open_store(store_url, pool=2)
    try:
        _at_once([partial(add_user, store, f"u{n}") for n in range(16)])
        with store.read() as conn:
            assert len(conn.execute(select(USER.id)).all()) == 16
    finally:
        store.close()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_two_who_wait_for_each_other_are_told(store: Store) -> None:
    first, second = add_user(store, "a"), add_user(store, "b")
    told: list[ConflictError] = []
    both = threading.Barrier(2)

    def change(one: int, other: int) -> Callable[[], None]:
        def work() -> None:
            try:
                with store.write() as conn:
                    conn.execute(update(people.user).where(USER.id == one).values(title="x"))
                    both.wait(30)
                    conn.execute(update(people.user).where(USER.id == other).values(title="x"))
            except ConflictError as e:
                told.append(e)

        return work

    _at_once([change(first, second), change(second, first)])
    assert len(told) == 1 and "do it again" in told[0].hint


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_server_that_ended_the_connection_is_found_again(store: Store) -> None:
    user = add_user(store, "wang")

    def stopped() -> None:
        with store.write() as conn:
            conn.execute(update(people.user).values(display="lost"))
            conn.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(StoreError, match="check that"):
        stopped()
    assert _display(store, user) == "wang"


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_an_idle_connection_is_asked_before_it_is_used(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.0)
    user = add_user(store, "wang")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    with create_engine(store.engine.url, poolclass=NullPool).connect() as conn:
        conn.execute(text(others))
    assert _display(store, user) == "wang"
    names = asyncio.run(
        store.look(plain(lambda conn: conn.execute(select(people.user.c.name)).all()))
    )
    assert names == [("wang",)]
