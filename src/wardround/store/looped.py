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
        """`prepared` is handed the engine once; `options` are those of `create_engine`."""
        from sqlalchemy.ext.asyncio import create_async_engine

        self.loop = asyncio.get_running_loop()
        self._engine = create_async_engine(
            "postgresql+asyncpg://", async_creator=_connecting(url), pool_size=TRANSACTIONS + LOOKS, max_overflow=0,
            **options,
        )  # fmt: skip
        prepared(self._engine.sync_engine)
        self._glancing = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._changing, self._looking = (asyncio.Semaphore(n) for n in (TRANSACTIONS, LOOKS))

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, done within one transaction."""
        async with self._changing, self._engine.begin() as conn:
            return await conn.run_sync(work)

    async def look(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads, each statement by itself."""
        async with self._looking, self._glancing.connect() as conn:
            return await conn.run_sync(work)

    async def close(self) -> None:
        """Give all connections back."""
        await self._engine.dispose()


def _connecting(url: URL) -> Callable[[], Any]:
    import asyncpg
    from sqlalchemy.exc import OperationalError

    query = dict(url.query)
    timeout = (
        float(str(query.pop("connect_timeout", TIMEOUT_S))) or None
    )  # 0 is no limit, as libpq has it
    dsn = url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)

    async def connect() -> Any:
        try:
            return await asyncpg.connect(dsn, timeout=timeout)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as e:
            raise OperationalError(None, None, e) from None  # as of other drivers

    return connect
