"""PostgreSQL for the coroutines of one event loop, without threads.

A transaction of ten short statements spends its time on the way to the server. In a thread each way ends in a fight for
the interpreter's lock, which took a third of a hand-in's processor time (decision 19); in the loop itself nobody fights. The same functions of a `Connection` run here (SQLAlchemy runs them in a greenlet), over asyncpg,
which reads the same URL. Whoever waits gets its turn in the order of coming: a pool by itself lets latecomers pass.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine

T = TypeVar("T")
TRANSACTIONS = 4
"""At once for one loop: more only wait for one processor."""
LOOKS = 2
PREPARED = 400
"""Statements that a connection keeps prepared: what several ask together is one for each number of them."""
PATIENCE_MS = 100
"""For a lock, of a transaction that several share: they hold one another's, which may come crosswise with another's, and
PostgreSQL notices that two wait for one another only after a second."""
TIMEOUT_S = 10.0
KNOWN = frozenset({
    "host", "passfile", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "target_session_attrs", "application_name",
    "options", "connect_timeout",
})  # fmt: skip
"""What of libpq's parameters in a URL means the same to asyncpg."""
KNOWN_ENVIRONMENT = frozenset({
    "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGPASSFILE", "PGSSLMODE", "PGSSLCERT", "PGSSLKEY",
    "PGSSLROOTCERT", "PGSSLCRL", "PGTARGETSESSIONATTRS", "PGDATA", "PGTZ",
})  # fmt: skip
"""Likewise of its environment variables, and two that are none of a connection's."""


def possible(url: URL) -> bool:
    """Whether all that the URL and the environment say means the same to asyncpg."""
    query = url.query
    return (
        set(query) <= KNOWN
        and all(isinstance(v, str) for v in query.values())
        and not (url.host and "host" in query)
        and bool(url.database)
        and not any(k.startswith("PG") and k not in KNOWN_ENVIRONMENT for k in os.environ)
    )


class Looped:
    """Connections of one event loop, made when first needed. `close` in the same loop."""

    def __init__(self, url: URL, prepared: Callable[[Engine], object], **options: Any) -> None:
        """`prepared` is handed each engine once; `options` are those of `create_engine`."""
        from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

        self.loop = asyncio.get_running_loop()

        def engine(pool: int, first: str = "", **more: Any) -> AsyncEngine:
            made = create_async_engine(
                "postgresql+asyncpg://", async_creator=_connecting(url, first), pool_size=pool, max_overflow=0,
                connect_args={"prepared_statement_cache_size": PREPARED}, **options, **more,
            )  # fmt: skip
            prepared(made.sync_engine)
            return made

        self._changing = engine(TRANSACTIONS, f"SET lock_timeout = {PATIENCE_MS}")
        self._glancing = engine(LOOKS, isolation_level="AUTOCOMMIT")
        self._turns, self._looks = asyncio.Semaphore(TRANSACTIONS), asyncio.Semaphore(LOOKS)

    async def transact(self, work: Callable[[Connection], T], *, patiently: bool = False) -> T:
        """What `work` returns, done within one transaction. It waits for a lock only as long as several who share one may,
        or `patiently`, as long as the database has it."""
        async with self._turns, self._changing.begin() as conn:
            if patiently:
                await conn.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
            return await conn.run_sync(work)

    async def look(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads, each statement by itself."""
        async with self._looks, self._glancing.connect() as conn:
            return await conn.run_sync(work)

    async def close(self) -> None:
        """Give all connections back."""
        await self._changing.dispose()
        await self._glancing.dispose()


def _connecting(url: URL, first: str) -> Callable[[], Any]:
    import asyncpg
    from sqlalchemy.exc import OperationalError

    query = dict(url.query)
    timeout = (
        float(str(query.pop("connect_timeout", TIMEOUT_S))) or None
    )  # 0 is no limit, as libpq has it
    dsn = url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)

    async def connect() -> Any:
        try:
            made = await asyncpg.connect(dsn, timeout=timeout)
            try:
                if first:
                    await made.execute(first, timeout=timeout)
            except BaseException:
                made.terminate()
                raise
            return made
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
            raise OperationalError(None, None, e) from None  # as of other drivers

    return connect
