"""How many requests one endpoint may have in flight: found by what it says, under a ceiling.

Additive increase, multiplicative decrease, as TCP does it. Each answered try raises the limit by 1/limit, so
by one for each round trip; a push-back (429, 503) or a blow-up of latency multiplies it by `SHRINK`. Two
things keep it from collapsing under a burst, as the naive form does:

- at most one decrease per round trip: a try that was sent before the last decrease says nothing of the limit
  now in force, so its push-back is not counted again;
- a floor, from which it climbs back as soon as answers come.

It starts at the ceiling: the user asked for that many, and an endpoint that can't bear it says so in one
round trip. Latency counts as blown up when its recent mean is `BLOW_UP` times the usual one and `SLOW_S`
seconds above it; the usual one follows slowly, so an endpoint that is slow for good is not held down for good.
Models behind one endpoint share its limiter, and each is held to its own usual latency: a large model's answers
say nothing of a small one's.
"""

from __future__ import annotations

import asyncio
import collections
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

SHRINK = 0.7
FLOOR = 4
BLOW_UP, SLOW_S = 3.0, 1.0
SEEN = 20
"""Answers before latency is judged at all."""
PUSH_BACK = frozenset({429, 503})


class _Pace:
    """How long one model's answers took, usually and of late."""

    __slots__ = ("recent", "seen", "usual")

    def __init__(self) -> None:
        self.seen = 0
        self.usual = self.recent = 0.0

    def blown_up(self, took: float) -> bool:
        """Count one answer; whether answers have become slow."""
        self.seen += 1
        if self.seen == 1:
            self.usual = self.recent = took
        self.usual += (took - self.usual) / min(self.seen, 200)
        self.recent += (took - self.recent) / min(self.seen, 10)
        slow = self.recent > BLOW_UP * self.usual and self.recent > self.usual + SLOW_S
        return slow and self.seen > SEEN


class Limiter:
    """The slots of one endpoint. `acquire` before each try, `release` after it with what it showed.

    `clock` is there for tests.
    """

    def __init__(self, ceiling: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        if ceiling < 1:
            raise ValueError("the ceiling must be 1 or more")
        self.ceiling = ceiling
        self.floor = max(1, min(FLOOR, ceiling // 4))
        self.limit = float(ceiling)
        self.lowest = self.limit
        self.decreases = 0
        self._clock = clock
        self._in_flight = 0
        self._waiting: collections.deque[asyncio.Future[None]] = collections.deque()
        self._decreased_at = float("-inf")
        self._paces: dict[str, _Pace] = {}

    async def acquire(self) -> float:
        """Wait for a slot; the time it was given, to be handed back to `release`."""
        if self._in_flight < int(self.limit) and not self._waiting:
            self._in_flight += 1
            return self._clock()
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._in_flight -= 1  # the slot came with the cancellation: pass it on
                self._wake()
            raise
        return self._clock()

    def release(
        self, started: float, *, status: int = 0, answered: bool = False, who: str = ""
    ) -> None:
        """Give the slot back. `status` is the HTTP status, 0 if none came; `answered` that it was an answer, and
        `who` the model that gave it."""
        self._in_flight -= 1
        if status in PUSH_BACK:
            self._decrease(started)
        elif answered:
            self._note(started, who)
        self._wake()

    def _note(self, started: float, who: str) -> None:
        """An answer came: the limit grows, unless this model's answers have become slow."""
        pace = self._paces.get(who)
        if pace is None:
            pace = self._paces[who] = _Pace()
        if pace.blown_up(self._clock() - started):
            self._decrease(started)
        else:
            self.limit = min(float(self.ceiling), self.limit + 1 / self.limit)

    def _decrease(self, started: float) -> None:
        if started < self._decreased_at:
            return
        self._decreased_at = self._clock()
        self.limit = max(float(self.floor), self.limit * SHRINK)
        self.lowest = min(self.lowest, self.limit)
        self.decreases += 1

    def _wake(self) -> None:
        while self._waiting and self._in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)


@runtime_checkable
class Limited(Protocol):
    """A model whose requests in flight can be limited. `endpoint` names what the limit is of, `ceiling` is the
    endpoint's own (0: none was given)."""

    limiter: Limiter | None
    ceiling: int

    @property
    def endpoint(self) -> str:
        """Equal for all models behind one endpoint."""
        ...
