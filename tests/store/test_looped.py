"""What coroutines ask of the database: the same on SQLite, on PostgreSQL from threads, and on PostgreSQL from the loop."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, func, insert, literal, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import NullPool

from tests.store.writer import add_user, plain
from wardround.errors import StoreError
from wardround.store import connection, looped, people
from wardround.store.connection import Store, engine_of

Way = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


@pytest.fixture(params=["in its loop", "in any loop"])
def way(request: pytest.FixtureRequest, store: Store) -> Way:
    """Runs a coroutine within `in_loop`, or without it."""

    def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        async def whole() -> Any:
            async with store.in_loop() if request.param == "in its loop" else nullcontext():
                return await work()

        return asyncio.run(whole())

    return run


def _rename(user: int, name: str) -> Callable[[Connection], None]:
    def work(conn: Connection) -> None:
        conn.execute(update(people.user).where(people.user.c.id == user).values(display=name))

    return work


def _names(conn: Connection) -> list[str]:
    return list(conn.execute(select(people.user.c.display)).scalars())


def test_it_is_kept_and_seen(store: Store, way: Way) -> None:
    user = add_user(store, "wang")

    async def work() -> list[str]:
        await store.transact(plain(_rename(user, "王")))
        return await store.look(plain(_names))

    assert way(work) == ["王"]
    with store.read() as conn:
        assert _names(conn) == ["王"]


def test_each_look_sees_what_was_kept_before_it(store: Store, way: Way) -> None:
    """Also on the connection that the loop keeps for looks on SQLite: after another's write, and after an error."""
    user = add_user(store, "wang")

    def lost(conn: Connection) -> None:
        raise KeyError

    async def work() -> list[list[str]]:
        seen = [await store.look(plain(_names))]
        for name in ("王", "汪", "黄"):
            with store.write() as conn:
                _rename(user, name)(conn)
            seen.append(await store.look(plain(_names)))
            with pytest.raises(KeyError):
                await store.look(plain(lost))
        return seen

    assert way(work) == [["wang"], ["王"], ["汪"], ["黄"]]


def test_nothing_can_be_changed_at_a_look_on_sqlite(sqlite_store: Store) -> None:
    user = add_user(sqlite_store, "wang")

    async def work() -> list[str]:
        async with sqlite_store.in_loop():
            with pytest.raises(StoreError, match="may not be written"):
                await sqlite_store.look(plain(_rename(user, "x")))
            return await sqlite_store.look(plain(_names))

    assert asyncio.run(work()) == asyncio.run(work()) == ["wang"]


def test_an_error_takes_all_of_it_back(store: Store, way: Way) -> None:
    user = add_user(store, "wang")

    def twice(conn: Connection) -> None:
        _rename(user, "lost")(conn)
        row = conn.execute(select(people.user)).mappings().one()
        conn.execute(insert(people.user), dict(row))

    def half(conn: Connection) -> None:
        _rename(user, "lost")(conn)
        raise KeyError

    async def work() -> list[str]:
        with pytest.raises(IntegrityError):
            await store.transact(plain(twice))
        with pytest.raises(KeyError):
            await store.transact(plain(half))
        return await store.look(plain(_names))

    assert way(work) == ["wang"]


def test_many_at_once_lose_nothing(store: Store, way: Way) -> None:
    user = add_user(store, "0")

    def more(conn: Connection) -> None:
        row = select(people.user.c.display).where(people.user.c.id == user).with_for_update()
        _rename(user, str(int(conn.execute(row).scalar_one()) + 1))(conn)

    async def work() -> list[str]:
        await asyncio.gather(*(store.transact(plain(more)) for _ in range(40)))
        return await store.look(plain(_names))

    assert way(work) == ["40"]


@on_postgresql
def test_who_came_first_is_served_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looped, "TRANSACTIONS", 1)
    served: list[int] = []

    async def one(number: int, again: bool) -> None:
        await store.transact(
            plain(lambda conn: served.append(conn.execute(select(literal(number))).scalar_one()))
        )
        if again:  # at once, while others wait
            await one(number + 100, again=False)

    async def work() -> None:
        async with store.in_loop():
            await asyncio.gather(*(one(n, again=True) for n in range(8)))

    asyncio.run(work())
    assert served == [*range(8), *range(100, 108)]


@on_postgresql
def test_of_two_who_wait_for_each_other_both_get_through(store: Store, way: Way) -> None:
    """PostgreSQL ends one of them; it is done again."""
    users = [add_user(store, name) for name in ("a", "b")]

    def crossed(order: list[int]) -> Callable[[Connection], None]:
        def work(conn: Connection) -> None:
            for user in order:
                value = people.user.c.display + "x"
                conn.execute(
                    update(people.user).where(people.user.c.id == user).values(display=value)
                )
                conn.execute(select(func.pg_sleep(0.3)))

        return work

    async def both() -> None:
        await asyncio.gather(*(store.transact(plain(crossed(o))) for o in (users, users[::-1])))

    way(both)
    with store.read() as conn:
        assert sorted(_names(conn)) == ["axx", "bxx"]


@on_postgresql
def test_a_start_of_the_loop_with_no_limit_to_connecting(store: Store) -> None:
    endless = Store(engine_of(store.engine.url.update_query_dict({"connect_timeout": "0"})))

    async def work() -> list[str]:
        async with endless.in_loop():
            return await endless.look(plain(_names))

    assert asyncio.run(work()) == []
    endless.close()


@on_postgresql
def test_connections_that_ended_meanwhile_are_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.0)
    user = add_user(store, "wang")
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"

    def end_all() -> None:
        with create_engine(store.engine.url, poolclass=NullPool).connect() as conn:
            conn.execute(text(others))

    async def work() -> list[str]:
        async with store.in_loop():
            await store.transact(plain(_rename(user, "before")))
            await store.look(plain(_names))
            await asyncio.to_thread(end_all)
            await store.transact(plain(_rename(user, "after")))
            return await store.look(plain(_names))

    assert asyncio.run(work()) == ["after"]


@on_postgresql
def test_nothing_is_left_open_and_no_thread_is_asked(store: Store) -> None:
    there = select(func.count()).select_from(text("pg_stat_activity")).where(
        text("datname = current_database() AND pid <> pg_backend_pid()")
    )  # fmt: skip

    def count(conn: Connection) -> int:
        return int(conn.execute(there).scalar_one())

    def thread(conn: Connection) -> int:
        count(conn)
        return threading.get_ident()

    async def work() -> tuple[int, int]:
        before = await store.look(plain(count))
        async with store.in_loop():
            threads = await asyncio.gather(*(store.transact(plain(thread)) for _ in range(20)))
            assert set(threads) == {threading.get_ident()}
            return before, await store.look(plain(count))

    before, within = asyncio.run(work())
    assert before < within <= before + looped.TRANSACTIONS + looped.LOOKS + 1
    assert asyncio.run(store.look(plain(count))) <= before + 1


@on_postgresql
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"database": "nowhere"}, "doesn't exist"),
        ({"query": {"host": "/nowhere"}}, "can't be reached|check that the database runs"),
    ],
)
def test_a_database_that_cannot_be_had_is_told_in_words(
    store: Store, change: dict[str, Any], said: str
) -> None:
    url = store.engine.url.set(**change).set(password="geheim")
    gone = Store(engine_of(url))

    async def work() -> None:
        async with gone.in_loop():
            with pytest.raises(StoreError) as transacting:
                await gone.transact(plain(_names))
            with pytest.raises(StoreError) as looking:
                await gone.look(plain(_names))
            for error in (transacting.value, looking.value):
                assert "geheim" not in str(error) + (error.hint or "")
            told.extend([transacting.value, looking.value])

    told: list[StoreError] = []
    asyncio.run(work())
    gone.close()
    for error in told:
        assert re.search(said, f"{error} {error.hint}")


def test_what_asyncpg_does_not_know_is_left_to_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [k for k in os.environ if k.startswith("PG")]:
        monkeypatch.delenv(name)
    known = "postgresql+psycopg://u@h/d?sslmode=require&application_name=x&connect_timeout=3"
    assert looped.possible(engine_of(known).url)
    for other in (
        "u@h/d?service=x",
        "u@/d?host=a&host=b",
        "u@h/d?host=b",
        "u@h/d?dbname=e",
        "u@h/d?keepalives=1",
        "u@h",
    ):
        assert not looped.possible(engine_of(f"postgresql+psycopg://{other}").url), other
    monkeypatch.setenv("PGPASSWORD", "geheim")
    assert looped.possible(engine_of(known).url)
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    assert not looped.possible(engine_of(known).url)
