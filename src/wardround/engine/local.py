"""Processes on this machine.

One shard, or one worker, is done in this process: a small build pays for no other. Workers are started fresh
(spawned), so that nothing of the parent's threads or open files is copied into them. A worker that dies (out of
memory, killed) breaks its pool: the pool is made anew and what was under way is done again, `TRIES` times for
one shard, then the error says so.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from wardround.errors import WardroundError

AHEAD = 2
"""Shards under way for each worker: one is done, one waits."""
TRIES = 3


def cores() -> int:
    """How many this process may use; where the system doesn't say (macOS), how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalEngine:
    """A pool of processes, `workers` at most; by default one for each core this process may use."""

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()
        self._pool: ProcessPoolExecutor | None = None

    def map(self, call: Callable[[Any], bytes], shards: Sequence[Any]) -> Iterator[bytes]:
        """See `Engine.map`. Raises what `call` raised, or `WardroundError` when workers keep dying."""
        if self.workers == 1 or len(shards) < 2:
            yield from map(call, shards)
            return
        waiting: deque[tuple[int, Future[bytes]]] = deque()
        upcoming, tries = 0, [0] * len(shards)
        try:
            while waiting or upcoming < len(shards):
                while upcoming < len(shards) and len(waiting) < AHEAD * self.workers:
                    waiting.append((upcoming, self._submit(call, shards[upcoming])))
                    upcoming += 1
                place, future = waiting[0]
                try:
                    result = future.result()
                except BrokenProcessPool as e:
                    tries[place] += 1
                    if tries[place] == TRIES:
                        raise WardroundError(
                            f"worker processes died {TRIES} times at shard {place + 1} of {len(shards)}",
                            hint="most likely memory ran out: use fewer --workers",
                        ) from e
                    self.close()
                    waiting = deque((p, self._submit(call, shards[p])) for p, _ in waiting)
                    continue
                waiting.popleft()
                yield result
        finally:
            for _, future in waiting:
                future.cancel()

    def _submit(self, call: Callable[[Any], bytes], shard: Any) -> Future[bytes]:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=context, initializer=_quiet_interrupt
            )
        try:
            return self._pool.submit(call, shard)
        except BrokenProcessPool:
            # It broke while others were still being read; their turn reports it.
            self.close()
            return self._submit(call, shard)

    def close(self) -> None:
        """End the processes, without waiting for what they are at."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None


def _quiet_interrupt() -> None:
    """Ctrl-C reaches every process of the terminal; only the first one speaks of it."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
