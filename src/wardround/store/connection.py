"""A database's connections: one engine, views to read, transactions to write.

The same SQLAlchemy Core statements run on SQLite (WAL) and PostgreSQL. `write` is a transaction that is whole or not
at all, and on the disk when it returns. SQLite has one writer at a time: `BEGIN IMMEDIATE` and a queue (`Turn`),
where SQLite itself would have them poll.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import QueuePool

from wardround.errors import ConflictError, StoreError
from wardround.store import looped
from wardround.store.gathered import Asked, Gathered
from wardround.store.steps import Steps, alone, side_by_side
from wardround.store.trouble import trouble
from wardround.store.turns import Log, Turn

T = TypeVar("T")
Work = Callable[[Connection], Steps[Any]]
Kept = tuple[Mapping[int, Any], bool]
"""What each returns, by its place, and whether it has to be flushed."""
Answer = tuple[Any, bool] | None
Crowd = list[Asked[Work, Answer]]
_encode = msgspec.json.Encoder().encode
TRIES = 4
"""Of a transaction that PostgreSQL ends because another wants the same rows the other way round."""
SHARED = 12
"""How many of those who write at once share a transaction, at most."""
BESIDE = 2
"""Such transactions beside one another on PostgreSQL: while one is under way the other's answers are made into pages. On SQLite
there is one writer."""
IDLE_S = 1.0
"""A connection to PostgreSQL that nobody used for so long is asked whether it still stands."""


class Store:
    """An open database. Thread-safe; `close` when done."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._mine = threading.local()
        self._turn: Turn | nullcontext[None] = nullcontext()
        if self.is_sqlite:
            pool = engine.pool.size() if isinstance(engine.pool, QueuePool) else 20
            self._reading = engine_of(engine.url, pool, begin="BEGIN", reading=True)
            self._glancing = engine_of(engine.url, pool, begin="", reading=True)
            self._turn = Turn(engine.url.database or "")
            self._log = Log(engine.url.database or "")
        else:
            self._reading = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._glancing = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._at_hand: Connection | None = None
        self._looped: looped.Looped | None = None
        self._writes: Gathered[Work, Answer] | None = None
        self._looks: Gathered[Work, Answer] | None = None

    @asynccontextmanager
    async def in_loop(self) -> AsyncIterator[None]:
        """While this lasts, coroutines of the running loop share transactions (`gathered`), and ask
        PostgreSQL from the loop itself (`looped`); before and after, as in any other loop, each uses a thread."""
        self._loop = asyncio.get_running_loop()
        if not self.is_sqlite and looped.possible(self.engine.url):
            self._looped = looped.Looped(self.engine.url, _ask_the_idle, **_common())
        if self.is_sqlite or self._looped:
            streams = 1 if self.is_sqlite else BESIDE
            serve = partial(self._share, self._write_all)
            self._writes = Gathered(serve, at_once=SHARED, streams=streams)
        if self._looped:
            serve = partial(self._share, self._look_all)
            self._looks = Gathered(serve, at_once=SHARED, streams=BESIDE)
        try:
            yield
        finally:
            mine, self._looped = self._looped, None
            self._loop = self._writes = self._looks = None
            self._put_away()
            if mine is not None:
                await mine.close()

    def _in_loop(self) -> bool:
        return self._loop is asyncio.get_running_loop()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A view of one moment: what others commit meanwhile isn't seen, and nothing can be changed."""
        with self._in_words(), self._reading.connect() as conn:
            yield conn

    async def look(self, work: Callable[[Connection], Steps[T]]) -> T:
        """What `work` reads with one statement, for a coroutine.

        On SQLite it is done on the spot: that is a few rows out of a file at hand, a reader waits for nobody, and handing
        it to a thread and back takes longer. PostgreSQL is asked once for those who look at the same time. No transaction is
        around it, which would be two more journeys.
        """
        from anyio.to_thread import run_sync

        if self.is_sqlite and self._in_loop():
            return self._glance_at_hand(work)
        if self.is_sqlite:
            return self._glance(work)
        if self._looks is None or not self._in_loop():
            return await run_sync(self._glance, work)
        shared = await self._looks.ask(work)
        if shared is None:
            assert self._looped is not None
            with self._in_words():
                return await self._looped.look(_by_itself(work))
        return shared[0]  # type: ignore[no-any-return]

    def _glance(self, work: Callable[[Connection], Steps[T]]) -> T:
        with self._in_words(), self._glancing.connect() as conn:
            return alone(conn, work(conn))

    def _glance_at_hand(self, work: Callable[[Connection], Steps[T]]) -> T:
        """By the loop's own connection: taking one from the pool and giving it back took as long as looking."""
        with self._in_words():
            conn = self._at_hand = self._at_hand or self._glancing.connect()
            try:
                return alone(conn, work(conn))
            except BaseException:
                self._put_away()
                raise

    def _put_away(self) -> None:
        mine, self._at_hand = self._at_hand, None
        if mine is not None:
            mine.close()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: kept whole and on the disk at the end, or, on any error, not at all.

        `StoreError` where the database can't; `ConflictError` where PostgreSQL had to choose between two.
        """
        with self.writer() as conn, conn.begin():
            yield conn

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """A connection for transactions that write. Other writers of this process wait, where there can be but one."""
        if getattr(self._mine, "writing", False):
            raise RuntimeError(
                "a write within a write would wait for itself: hand the connection on"
            )
        with self._in_words(), self._turn, self._changing() as (conn, changes):
            yield conn
        if changes():
            self._log.settle()

    async def transact(self, work: Callable[[Connection], Steps[T]]) -> T:
        """What `work` returns, done within one `write`, for a coroutine. It may be done again, and changes nothing but the
        database.

        Those that come at the same time share a transaction (`gathered`), on PostgreSQL a step at a time (`steps`). Each
        still is done whole or not at all: where one raises, what they all did is taken back, and each is done alone.
        """
        from anyio.to_thread import run_sync

        if self._writes is None or not self._in_loop():
            return await run_sync(self.done, _by_itself(work))
        shared = await self._writes.ask(work)
        if shared is None:
            return await self._alone(_by_itself(work))
        if shared[1]:
            await self._log.settled()
        return shared[0]  # type: ignore[no-any-return]

    async def _share(
        self, serve: Callable[[Crowd], Coroutine[Any, Any, Kept | None]], asked: Crowd
    ) -> None:
        """Answer each with what it returns, and whether a flush must keep that; with None where it must be done alone."""
        done: Kept | None = None
        try:
            with self._in_words():
                done = await serve(asked)
        except Exception as e:
            if type(e) is StoreError or (len(asked) == 1 and not _chosen_against(e)):
                raise  # the database is away; or the one's own
        for i, one in enumerate(asked):
            one.tell((done[0][i], done[1]) if done is not None and i in done[0] else None)

    async def _look_all(self, asked: Crowd) -> Kept:
        assert self._looped is not None
        return await self._looped.look(partial(_in_step, asked)), False

    async def _write_all(self, asked: Crowd) -> Kept | None:
        if self._looped is None:
            return self._on_the_spot([_of(one) for one in asked])
        return await self._looped.transact(partial(_in_step, asked)), False

    def _on_the_spot(self, work: list[Callable[[Connection], Any]]) -> Kept | None:
        """What each returns, done within one transaction, and whether a flush must keep it. None where somebody else is
        writing to the file. A short one takes less long than handing it to a thread and back."""
        assert isinstance(self._turn, Turn)
        if not self._turn.taken_at_once():
            return None
        try:
            with self._in_words(), self._changing() as (conn, changes), conn.begin():
                found = {i: w(conn) for i, w in enumerate(work)}
            return found, changes()
        finally:
            self._turn.give()

    async def _alone(self, work: Callable[[Connection], T]) -> T:
        from anyio.to_thread import run_sync

        if self._looped is not None:
            for again in range(TRIES):
                try:
                    with self._in_words():
                        return await self._looped.transact(work, patiently=True)
                except ConflictError as e:
                    if not _chosen_against(e) or again == TRIES - 1:
                        raise
                    await asyncio.sleep(_pause(again))
        elif done := self._on_the_spot([work]):
            if done[1]:
                await self._log.settled()
            return done[0][0]  # type: ignore[no-any-return]
        return await run_sync(self.done, work)

    def done(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, done within one `write`; done again where PostgreSQL had to choose between two."""
        for again in range(TRIES - 1):
            try:
                with self.write() as conn:
                    return work(conn)
            except ConflictError as e:
                if not _chosen_against(e):
                    raise
                time.sleep(_pause(again))
        with self.write() as conn:
            return work(conn)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Connection, Callable[[], bool]]]:
        """A connection that writes, and, once that is over, whether anything was changed that a flush must keep."""
        changed = False
        self._mine.writing = True
        try:
            with self.engine.connect() as conn:
                raw: Any = conn.connection.driver_connection
                before = raw.total_changes if self.is_sqlite else 0
                yield conn, lambda: changed
                changed = self.is_sqlite and raw.total_changes != before
        finally:
            self._mine.writing = False

    def close(self) -> None:
        """Give all connections back."""
        for engine in (self.engine, self._reading, self._glancing):
            engine.dispose()
        if isinstance(self._turn, Turn):
            self._turn.close()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as e:
            if said := trouble(e, self.engine.url):
                raise said from e
            raise


def _by_itself(work: Callable[[Connection], Steps[T]]) -> Callable[[Connection], T]:
    return lambda conn: alone(conn, work(conn))


def _of(asked: Asked[Work, Any]) -> Callable[[Connection], Any]:
    return lambda conn: asked.context.run(_by_itself(asked.what), conn)


def _in_step(asked: Crowd, conn: Connection) -> dict[int, Any]:
    """What each returns that need not come after another."""
    return side_by_side(conn, [(one.what(conn), one.context) for one in asked])


def _chosen_against(error: Exception) -> bool:
    """Whether it is not what was asked but PostgreSQL that ended a transaction, so that another may be had."""
    return isinstance(error, ConflictError) and isinstance(error.__cause__, DBAPIError)


def _pause(again: int) -> float:
    return random.uniform(0.0, 0.05 * 2**again)


def _common() -> dict[str, Any]:
    return {
        "json_serializer": lambda value: _encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
        "hide_parameters": True,  # values are people's: not for logs
    }


def engine_of(
    url: URL | str, pool: int = 20, *, begin: str = "BEGIN IMMEDIATE", reading: bool = False
) -> Engine:
    """An engine for the URL, with what each database needs said on every connection. Of SQLite: `begin`, how a transaction
    begins ("": not at all, each statement is by itself); `reading`: changes are refused."""
    url = make_url(url)
    common = _common() | {"pool_size": pool}
    if url.get_backend_name() == "postgresql":
        known = {"connect_timeout": "10", "application_name": "wardround"}
        url = url.set(query={**known, **url.query})
        engine = create_engine(url, max_overflow=pool, **common)
        _ask_the_idle(engine)
        return engine
    engine = create_engine(url, max_overflow=2 * pool, **common)

    @event.listens_for(engine, "connect")
    def _opened(raw: Any, _: object) -> None:
        raw.isolation_level = None  # we say BEGIN ourselves
        cursor = raw.cursor()
        # NORMAL, because `Log.settle` flushes for several writers at once. The wait comes first: others may hold
        # the file while it is switched to WAL.
        for pragma in (
            "busy_timeout=15000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON",
            "cache_size=-16384", "temp_store=MEMORY", f"query_only={reading:d}",
        ):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    # Not as an event of the engine: where there is one, each statement asks around for more.
    if begin:
        engine.dialect.do_begin = partial(_begin, begin)  # type: ignore[method-assign]
    return engine


def _begin(how: str, raw: Any) -> None:
    raw.execute(how)


def _ask_the_idle(engine: Engine) -> None:
    """Before a connection is used that nobody used for a while, ask whether it still stands: the server may have been
    started anew. SQLAlchemy's own `pool_pre_ping` asks each time, a fifth of what a hand-in asks in all."""

    @event.listens_for(engine, "checkin")
    def _put_back(_: object, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _taken(raw: Any, record: Any, _: object) -> None:
        since = record.info.get("idle_since")
        if since is None or time.monotonic() - since < IDLE_S:
            return
        try:
            engine.dialect.do_ping(raw)
        except engine.dialect.loaded_dbapi.Error as e:
            raise InvalidatePoolError from e
