"""Coroutines that write at the same time share a transaction, and notice nothing of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert, select, update
from sqlalchemy.exc import IntegrityError

from tests.store.writer import add_user, plain
from wardround.errors import ConflictError, RefusedError, StoreError
from wardround.store import looped
from wardround.store.connection import SHARED, Store
from wardround.store.gathered import Asked, Gathered
from wardround.store.people import user

LANG: ContextVar[str] = ContextVar("LANG", default="nobody's")
on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


def run(store: Store, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What the coroutine returns, in the store's loop."""

    async def whole() -> Any:
        async with store.in_loop():
            return await work()

    return asyncio.run(whole())


def called(who: int, name: str) -> Callable[[Connection], str]:
    """Work that renames, and tells the name from before."""

    def work(conn: Connection) -> str:
        before = conn.execute(select(user.c.display).where(user.c.id == who)).scalar_one()
        conn.execute(update(user).where(user.c.id == who).values(display=name))
        return str(before)

    return work


def names(store: Store) -> list[str]:
    with store.read() as conn:
        return list(conn.execute(select(user.c.display).order_by(user.c.id)).scalars())


@pytest.fixture
def commits() -> Any:
    """Counts the transactions that were kept."""
    count = [0]

    def one(conn: Connection) -> None:
        count[0] += 1

    event.listen(Engine, "commit", one)
    yield count
    event.remove(Engine, "commit", one)


def test_those_who_come_at_once_share_and_each_gets_its_own(
    store: Store, commits: list[int]
) -> None:
    who = [add_user(store, f"u{n}") for n in range(40)]
    commits[0] = 0

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(store.transact(plain(called(w, f"n{w}"))) for w in who))

    assert run(store, all_of_them) == [f"u{n}" for n in range(40)]
    assert names(store) == [f"n{w}" for w in who]
    assert commits[0] <= 40 / SHARED + looped.TRANSACTIONS


def test_one_that_raises_takes_back_only_what_it_did(store: Store) -> None:
    who = [add_user(store, f"u{n}") for n in range(12)]

    def closed(conn: Connection) -> None:
        called(who[5], "lost")(conn)
        raise ConflictError("this round is closed")

    def refused(conn: Connection) -> None:
        called(who[3], "lost")(conn)
        raise RefusedError("not yours")

    def clashing(conn: Connection) -> None:
        called(who[7], "lost")(conn)
        row = conn.execute(select(user).where(user.c.id == who[7])).mappings().one()
        conn.execute(insert(user), dict(row))

    async def all_of_them() -> list[Any]:
        works: list[Callable[[Connection], Any]] = [called(w, f"n{w}") for w in who]
        works[3], works[5], works[7] = refused, closed, clashing
        return await asyncio.gather(
            *(store.transact(plain(w)) for w in works), return_exceptions=True
        )

    found = run(store, all_of_them)
    own = {3: RefusedError, 5: ConflictError, 7: IntegrityError}
    assert {n: type(f) for n, f in enumerate(found) if isinstance(f, Exception)} == own
    assert names(store) == [f"u{n}" if n in own else f"n{w}" for n, w in enumerate(who)]
    assert all(found[n] == f"u{n}" for n in range(12) if n not in own)


def test_each_speaks_its_own_language(store: Store) -> None:
    who = add_user(store, "u")

    async def one(lang: str) -> str:
        LANG.set(lang)

        def work(conn: Connection) -> str:
            conn.execute(select(user.c.id).where(user.c.id == who)).one()
            return LANG.get()

        return await store.transact(plain(work))

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*(one(f"lang{n}") for n in range(20)))

    assert run(store, all_of_them) == [f"lang{n}" for n in range(20)]


def test_one_that_is_cancelled_meanwhile_is_not_done_and_holds_nobody_up(store: Store) -> None:
    who = [add_user(store, f"u{n}") for n in range(4)]

    async def all_of_them() -> None:
        tasks = [asyncio.create_task(store.transact(plain(called(w, f"n{w}")))) for w in who]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tasks[1].cancelled()

    run(store, all_of_them)
    assert names(store)[0] == f"n{who[0]}" and names(store)[2:] == [f"n{w}" for w in who[2:]]


@on_postgresql
def test_locks_that_come_crosswise_hold_nobody_up(store: Store) -> None:
    """Somebody holds the second of two rows and wants the first, which is held by those who share: they let go."""
    first, second, third = (add_user(store, name) for name in ("a", "b", "c"))
    held, wanted = threading.Event(), threading.Event()
    trouble: list[BaseException] = []

    def other() -> None:
        try:
            with store.write() as conn:
                called(second, "other b")(conn)
                held.set()
                wanted.wait(10)
                time.sleep(looped.PATIENCE_MS / 2000)  # by now they hold the first
                called(first, "other a")(conn)
        except BaseException as e:
            trouble.append(e)

    thread = threading.Thread(target=other)
    thread.start()
    assert held.wait(10)

    def tell(conn: Connection) -> str:
        wanted.set()
        return called(second, "b'")(conn)

    async def both() -> list[str]:
        works = (called(first, "a'"), tell, called(third, "c'"))
        return await asyncio.gather(*(store.transact(plain(w)) for w in works))

    start = time.monotonic()
    found = run(store, both)
    thread.join(10)
    assert trouble == []
    assert names(store)[1:] == ["b'", "c'"] and found[1:] == ["other b", "c"]
    # Whichever of the two came last to the first row saw what the one before had made of it.
    assert (found[0], names(store)[0]) in {("a", "other a"), ("other a", "a'")}
    assert time.monotonic() - start < 1.0, "PostgreSQL had to end the knot itself"


def test_where_the_database_is_away_all_are_told_and_nothing_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def away(conn: Connection) -> None:
        tried.append(1)
        raise StoreError("the disk is full", hint="make room")

    async def all_of_them() -> list[Any]:
        many = (store.transact(plain(away)) for _ in range(SHARED))
        return await asyncio.gather(*many, return_exceptions=True)

    assert [type(e) for e in run(store, all_of_them)] == [StoreError] * SHARED
    assert len(tried) == 1


def test_so_many_at_once_in_the_order_of_coming_and_an_error_is_all_theirs() -> None:
    served: list[list[int]] = []

    async def serve(asked: list[Asked[int, int]]) -> None:
        whats = [one.what for one in asked]
        served.append(whats)
        await asyncio.sleep(0.001)
        if 3 in whats:
            raise KeyError
        for one in asked:
            one.tell(one.what * 2)

    async def work() -> list[Any]:
        line = Gathered(serve, at_once=8, streams=2)
        first = await asyncio.gather(*(line.ask(n) for n in range(20)), return_exceptions=True)
        return [*first, await line.ask(20)]

    found = asyncio.run(work())
    assert [type(f) for f in found[:8]] == [KeyError] * 8
    assert found[8:] == [2 * n for n in range(8, 21)]
    assert served == [[*range(8)], [*range(8, 16)], [*range(16, 20)], [20]]


@pytest.mark.parametrize("streams", [1, 2])
def test_who_asks_just_when_a_stream_ends_is_served(streams: int) -> None:
    async def serve(asked: list[Asked[int, int]]) -> None:
        await asyncio.sleep(0)
        for one in asked:
            one.tell(one.what)

    async def late(line: Gathered[int, int], turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await asyncio.wait_for(line.ask(turns), 2.0)

    async def work() -> list[int]:
        found = []
        for turns in range(12):
            line = Gathered(serve, at_once=4, streams=streams)
            first = asyncio.gather(*(line.ask(0) for _ in range(streams)))
            found.append(await late(line, turns))
            await first
        return found

    assert asyncio.run(work()) == [*range(12)]


def test_a_stream_beside_another_is_for_a_full_load() -> None:
    """Where each took what little was there, all would be served one by one."""
    served: list[list[int]] = []

    async def serve(asked: list[Asked[int, int]]) -> None:
        served.append([one.what for one in asked])
        await asyncio.sleep(0.05)
        for one in asked:
            one.tell(one.what)

    async def work() -> None:
        line = Gathered(serve, at_once=4, streams=2)
        tasks = []
        for n in range(12):
            tasks.append(asyncio.create_task(line.ask(n)))
            await asyncio.sleep(0.001)
        await asyncio.gather(*tasks)

    asyncio.run(work())
    assert served == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11]]
