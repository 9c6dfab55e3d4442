"""Writers come in turn, share a flush, and are told "saved" only when they are."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from sqlalchemy import event as listen

from tests.store.writer import plain
from wardround.errors import StoreError
from wardround.store import events, turns
from wardround.store.database import Store, open_store
from wardround.store.people import event
from wardround.store.turns import Log, Turn


def _all(threads: list[threading.Thread]) -> None:
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    assert not any(t.is_alive() for t in threads)


def test_the_turn_goes_to_whoever_waited_longest(tmp_path: Path) -> None:
    turn, threads = Turn(str(tmp_path / "x.db")), []
    order: list[int] = []

    def work(n: int) -> None:
        with turn:
            order.append(n)

    with turn:
        for n in range(8):
            threads.append(threading.Thread(target=work, args=(n,)))
            threads[n].start()
            end = time.monotonic() + 10
            while len(turn._waiting) <= n and time.monotonic() < end:
                time.sleep(0.001)
    for t in threads:
        t.join(30)
    assert order == list(range(8))


def test_one_has_the_turn_at_a_time(tmp_path: Path) -> None:
    turn, inside, most = Turn(str(tmp_path / "x.db")), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with turn:
                inside += 1
                most = max(most, inside)
                inside -= 1

    _all([threading.Thread(target=work) for _ in range(8)])
    assert (most, inside) == (1, 0)
    with turn:
        pass


def test_an_error_gives_the_turn_on(tmp_path: Path) -> None:
    turn = Turn(str(tmp_path / "x.db"))
    with pytest.raises(KeyError), turn:
        raise KeyError
    with turn:
        pass


@pytest.fixture
def log(tmp_path: Path) -> Log:
    (tmp_path / "x.db-wal").write_bytes(b"frames")
    return Log(str(tmp_path / "x.db"))


def test_those_who_come_during_a_flush_share_the_next(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes, first, go = [], threading.Event(), threading.Event()

    def slow(_: int) -> None:
        flushes.append(log._asked)
        if len(flushes) == 1:
            first.set()
            assert go.wait(30)

    monkeypatch.setattr(turns, "_flush", slow)
    threads = [threading.Thread(target=log.settle) for _ in range(12)]
    threads[0].start()
    assert first.wait(30)
    for t in threads[1:]:
        t.start()
    while log._asked < 12:
        time.sleep(0.001)
    assert log._safe == 0 and all(t.is_alive() for t in threads)  # nobody is told before the flush
    go.set()
    for t in threads:
        t.join(30)
    assert flushes == [1, 12]


def test_a_disk_that_fails_is_told_to_all_who_trusted_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system tells of a failure once and then forgets it: who asks again would be told that all is well."""
    first, go, outcomes, flushes = threading.Event(), threading.Event(), [], []

    def failing(_: int) -> None:
        flushes.append(1)
        if len(flushes) == 1:
            first.set()
            assert go.wait(30)
        elif len(flushes) == 2:
            raise OSError(5, "Input/output error")

    def settle() -> None:
        try:
            log.settle()
            outcomes.append("safe")
        except StoreError as e:
            outcomes.append(e.hint[:14])

    monkeypatch.setattr(turns, "_flush", failing)
    threads = [threading.Thread(target=settle) for _ in range(5)]
    threads[0].start()
    assert first.wait(30)
    for t in threads[1:]:
        t.start()
    while log._asked < 5:
        time.sleep(0.001)
    go.set()
    for t in threads:
        t.join(30)
    assert sorted(outcomes) == ["check the disk"] * 4 + ["safe"]
    assert len(flushes) == 2
    log.settle()  # a later change is another matter


def test_without_a_log_file_there_is_nothing_to_flush(tmp_path: Path) -> None:
    Log(str(tmp_path / "none.db")).settle()


def test_a_power_cut_at_any_moment_takes_nothing_that_was_acknowledged(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a disk holds for sure is what was in the log at the last finished flush: each acknowledgement must be
    in the log as it was then."""
    listen.listen(
        sqlite_store.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA wal_autocheckpoint=0")
    )
    database = Path(str(sqlite_store.engine.url.database))
    wal = Path(f"{database}-wal")
    flushed: list[bytes] = []
    acknowledged: list[tuple[str, int]] = []

    def flush(file: int) -> None:
        held = (
            wal.read_bytes()
        )  # all that this flush is sure to cover: it was there when the flush began
        time.sleep(0.003)
        os.fsync(file)
        flushed.append(held)

    monkeypatch.setattr(turns, "_flush", flush)

    def work(who: int) -> None:
        for n in range(8):
            with sqlite_store.write() as conn:
                events.record(conn, "item.edited", "item", f"{who}-{n}", actor=who)
            acknowledged.append((f"{who}-{n}", len(flushed) - 1))

    _all([threading.Thread(target=work, args=(n,)) for n in range(8)])
    assert len(acknowledged) == 64
    assert len(flushed) < 64  # some shared one
    after = []
    for number, held in enumerate(flushed):
        copy = tmp_path / f"after-{number}.db"
        copy.write_bytes(database.read_bytes())
        Path(f"{copy}-wal").write_bytes(held)
        with sqlite3.connect(copy) as conn:
            after.append({r[0] for r in conn.execute("SELECT entity_id FROM event")})
        conn.close()
    missing = [(what, flush) for what, flush in acknowledged if what not in after[flush]]
    assert missing == []


def test_a_write_that_changes_nothing_waits_for_no_disk(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_flush", lambda _: pytest.fail("flushed"))
    with sqlite_store.write() as conn:
        conn.execute(select(event))


def test_a_change_that_the_disk_did_not_confirm_is_not_acknowledged(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(turns, "_flush", failing)
    with pytest.raises(StoreError, match="doesn't say that it kept"), sqlite_store.write() as conn:
        events.record(conn, "item.edited", "item", 1, actor=None)


def test_the_log_is_flushed_where_the_store_writes_it(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "a %20 b.db"))
    with store.write() as conn:
        events.record(conn, "item.edited", "item", 1, actor=None)
    assert store._log._path.stat().st_size > 0
    store.close()


HOLDS = """
import sys, time
from wardround.store.turns import Turn
with Turn(sys.argv[1]):
    print("has it", flush=True)
    time.sleep(60)
"""


def _elsewhere(database: str) -> subprocess.Popen[str]:
    """Another process that has the turn."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, database], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "has it\n"
    return other


def test_the_turn_is_one_for_all_processes_and_comes_back_from_one_that_dies(
    tmp_path: Path,
) -> None:
    database = str(tmp_path / "x.db")
    other = _elsewhere(database)
    turn, entered = Turn(database), threading.Event()

    def work() -> None:
        with turn:
            entered.set()

    waiting = threading.Thread(target=work)
    waiting.start()
    assert not entered.wait(0.3)
    assert not turn.taken_at_once()
    other.kill()
    other.communicate()
    assert entered.wait(10)
    waiting.join(10)
    turn.close()


def test_a_coroutine_takes_a_free_turn_at_once_and_waits_but_a_moment_for_another(
    tmp_path: Path,
) -> None:
    turn = Turn(str(tmp_path / "x.db"))
    assert turn.taken_at_once()
    assert not turn.taken_at_once()  # it is taken
    turn.give()
    other = _elsewhere(str(tmp_path / "x.db"))
    turn._vain_until = 0.0
    start = time.monotonic()
    assert not turn.taken_at_once()
    assert time.monotonic() - start >= turns.MOMENT_S
    assert turn._vain_until > time.monotonic()  # so that the next ones don't stop the loop as well
    other.kill()
    other.communicate()
    assert turn.taken_at_once()
    turn.give()
    with turn:
        pass
    turn.close()


def test_a_lock_file_that_cannot_be_had_is_told_and_gives_the_turn_on(tmp_path: Path) -> None:
    turn = Turn(str(tmp_path / "gone" / "x.db"))
    for _ in range(2):
        with pytest.raises(StoreError, match=r"x\.db-turn: can't be opened"):
            turn.__enter__()
        with pytest.raises(StoreError):
            turn.taken_at_once()
    (tmp_path / "gone").mkdir()
    with turn:
        pass
    turn.close()


def test_coroutines_that_come_during_a_flush_share_the_next(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[int] = []
    arrived = 0

    def slow(_: int) -> None:
        flushes.append(arrived)
        while len(flushes) == 1 and arrived < 4:
            time.sleep(0.001)

    monkeypatch.setattr(turns, "_flush", slow)

    async def one() -> tuple[int, int]:
        nonlocal arrived
        arrived += 1
        mine = arrived
        await log.settled()
        return mine, len(flushes)

    async def all_of_them() -> list[tuple[int, int]]:
        first = asyncio.create_task(one())
        while not flushes:
            await asyncio.sleep(0.001)
        during = await asyncio.gather(one(), one(), one())
        return [await first, *during, await one()]

    told = asyncio.run(all_of_them())
    assert len(flushes) == 3
    for mine, after in told:  # the flush each waited for began when it was there
        assert flushes[after - 1] >= mine
    asyncio.run(log.settled())  # another loop, later
    assert len(flushes) == 4


def test_a_coroutine_is_told_when_the_disk_did_not_confirm(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        time.sleep(0.02)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(turns, "_flush", failing)

    async def both() -> list[BaseException | None]:
        async def late() -> None:
            await asyncio.sleep(0.01)
            await log.settled()

        return list(await asyncio.gather(log.settled(), late(), return_exceptions=True))

    assert [type(e) for e in asyncio.run(both())] == [StoreError, StoreError]


def test_transactions_of_coroutines_and_threads_are_all_kept(sqlite_store: Store) -> None:
    def told(who: str) -> Callable[[Connection], str]:
        def work(conn: Connection) -> str:
            events.record(conn, "item.edited", "item", who, actor=None)
            return who

        return work

    async def coroutines() -> list[str]:
        names = [f"c{n}" for n in range(40)]
        return await asyncio.gather(*(sqlite_store.transact(plain(told(name))) for name in names))

    def work() -> None:
        for n in range(40):
            with sqlite_store.write() as conn:
                told(f"t{n}")(conn)

    thread = threading.Thread(target=work)
    thread.start()
    done = asyncio.run(coroutines())
    thread.join(30)
    with sqlite_store.read() as conn:
        there = {r[0] for r in conn.execute(select(event.c.entity_id))}
    assert there == {*done, *(f"t{n}" for n in range(40))}


def test_a_coroutine_s_transaction_is_whole_or_not_at_all(store: Store) -> None:
    def work(conn: Connection) -> None:
        events.record(conn, "item.edited", "item", 1, actor=None)
        raise KeyError("x")

    for _ in range(3):  # the turn was given back each time
        with pytest.raises(KeyError):
            asyncio.run(store.transact(plain(work)))
    with store.read() as conn:
        assert conn.execute(select(event)).first() is None
    assert (
        asyncio.run(store.transact(plain(lambda conn: conn.execute(select(1)).scalar_one()))) == 1
    )
