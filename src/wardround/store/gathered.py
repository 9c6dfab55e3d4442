"""What the coroutines of one loop want of the database at the same time, done together.

A hand-in changes a few rows. Its transaction costs more than that: on PostgreSQL two more journeys to the server and a
flush, on SQLite a commit of pages that are mostly those of the one before it. So those who come while the others are
served are served together, in the order of coming; who comes alone is served at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Generic, NamedTuple, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Asked(NamedTuple, Generic[Q, A]):
    """What somebody wants, what they read their language from, and where they wait."""

    what: Q
    context: Context
    answer: asyncio.Future[A]

    def tell(self, found: A) -> None:
        """Answer, unless whoever asked has gone away."""
        if not self.answer.done():
            self.answer.set_result(found)

    def fail(self, error: Exception) -> None:
        """Raise it where the answer is waited for."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Gathered(Generic[Q, A]):
    """Hands what waits to `serve`, at most `at_once` together, in so many `streams` at most. It tells everybody an
    answer; what it raises is told to all of them.

    A stream beside another is for a full load only. Where each took what little was there, nobody would meet anybody.
    """

    def __init__(
        self, serve: Callable[[list[Asked[Q, A]]], Awaitable[None]], *, at_once: int, streams: int
    ) -> None:
        self._at_once, self._most = at_once, streams
        self._loop = asyncio.get_running_loop()
        self._serve = serve
        self._waiting: deque[Asked[Q, A]] = deque()
        self._streams: set[asyncio.Task[None]] = set()

    async def ask(self, what: Q) -> A:
        """The answer, or what is raised instead."""
        answer: asyncio.Future[A] = self._loop.create_future()
        self._waiting.append(Asked(what, copy_context(), answer))
        if self._may_begin(len(self._streams)):
            self._streams.add(self._loop.create_task(self._all()))
        return await answer

    def _may_begin(self, others: int) -> bool:
        if not others:
            return bool(self._waiting)
        return others < self._most and len(self._waiting) >= self._at_once

    async def _all(self) -> None:
        stream = asyncio.current_task()
        assert stream is not None
        try:
            while self._may_begin(len(self._streams) - 1):
                some = [
                    self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))
                ]
                if asked := [one for one in some if not one.answer.done()]:  # some went away
                    await self._some(asked)
                await asyncio.sleep(0)
        finally:  # at once: who asks a moment later begins another
            self._streams.discard(stream)

    async def _some(self, asked: list[Asked[Q, A]]) -> None:
        try:
            await self._serve(asked)
        except Exception as e:
            for one in asked:
                one.fail(e)
