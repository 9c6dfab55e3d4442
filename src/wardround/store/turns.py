"""How many writers share one SQLite file: in turn, and with one flush for those who wait at the same time.

SQLite's own way to outlive a power cut (synchronous=FULL) flushes within each transaction, while every other writer
waits. Here a transaction ends without a flush (NORMAL: the file stays whole, but a power cut may take back the last
transactions), the next writer goes ahead, and `write` returns only when a flush that began after its commit is done.
One flush serves all who wait. What was acknowledged is as safe as with FULL.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
import time
from collections import deque
from pathlib import Path
from weakref import WeakKeyDictionary

from wardround.errors import StoreError

MOMENT_S, POLL_S, VAIN_S = 0.005, 0.0002, 1.0
"""A coroutine looks this often for its turn, this long at most; after one that waited in vain none does for a second."""

_flush = getattr(os, "fdatasync", os.fsync)


Flushes = tuple["asyncio.Task[None] | None", "asyncio.Task[None] | None"]


class Turn:
    """A lock that goes to whoever has waited longest, so that nobody waits for luck.

    Within a process by a queue; between the processes that serve one database by a lock on the empty file `<it>-turn`,
    which the kernel hands on, and takes back from whoever dies.
    """

    def __init__(self, database: str) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False
        self._path = f"{database}-turn"
        self._file: int | None = None
        self._vain_until = 0.0

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> None:
        self._enter_here()
        self._lock(fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self.give()

    def taken_at_once(self) -> bool:
        """Take the turn (to be given back by `give`) if it is free, or will be within a moment; whether it was.

        A coroutine's way in: its event loop stands still meanwhile. When one waited in vain, those who come after it
        don't wait for a while.
        """
        start = time.monotonic()
        until = start + MOMENT_S if start >= self._vain_until else start
        while not self._taken_now():
            if (at := time.monotonic()) >= until:
                self._vain_until = max(self._vain_until, at + VAIN_S)
                return False
            time.sleep(POLL_S)
        return True

    def _taken_now(self) -> bool:
        with self._guard:
            if self._taken:
                return False
            self._taken = True
        try:
            self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def give(self) -> None:
        """Give the turn to whoever waits longest."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        with self._guard:
            self._pass_on()

    def _lock(self, how: int) -> None:
        try:
            if self._file is None:
                self._file = self._opened()
            fcntl.flock(self._file, how)
        except BaseException:
            with self._guard:
                self._pass_on()
            raise

    def _opened(self) -> int:
        try:  # to read is enough for a lock: so another user's file serves as well
            return os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as e:
            raise StoreError(
                f"{self._path}: can't be opened ({e.strerror})",
                hint="give this user the right to read the file and to write its folder",
            ) from e

    def _enter_here(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            mine.acquire()  # released by the one before: the turn is handed over
        except BaseException:
            self._leave(mine)
            raise

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._taken = False

    def _leave(self, mine: threading.Lock) -> None:
        with self._guard:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:
                self._pass_on()


class Log:
    """The write-ahead log of an SQLite file, flushed to the disk for several writers at once."""

    def __init__(self, database: str) -> None:
        self._path = Path(f"{database}-wal")
        self._changed = threading.Condition()
        self._asked = 0  # how many have come
        self._safe = 0  # the first so many are on the disk
        self._lost = 0  # of the first so many, those that were not safe never will be known to be
        self._flushing = False
        self._flushes: WeakKeyDictionary[asyncio.AbstractEventLoop, Flushes] = WeakKeyDictionary()

    def settle(self) -> None:
        """Wait until all that was committed before this call is on the disk. `StoreError` where that can't be known."""
        with self._changed:
            self._asked += 1
            mine = self._asked
            while self._flushing and self._safe < mine and self._lost < mine:
                self._changed.wait()
            if self._safe >= mine:
                return
            if self._lost >= mine:
                raise self._trouble()
            self._flushing, upto = True, self._asked
        try:
            self._flush()
        except OSError as e:
            self._ended(lost=upto)
            raise self._trouble() from e
        except BaseException:
            self._ended()
            raise
        self._ended(safe=upto)

    async def settled(self) -> None:
        """`settle` for a coroutine: those of one event loop who come while a flush is under way share the next."""
        loop = asyncio.get_running_loop()
        now, following = self._flushes.get(loop, (None, None))
        if now is None or now.done():
            now = loop.create_task(asyncio.to_thread(self.settle))
            self._flushes[loop] = now, None
            mine = now
        else:
            if following is None:
                following = loop.create_task(self._after(now))
                self._flushes[loop] = now, following
            mine = following
        await asyncio.shield(mine)

    async def _after(self, flush: asyncio.Task[None]) -> None:
        await asyncio.wait([flush])
        mine = self._flushes[asyncio.get_running_loop()][1]
        self._flushes[asyncio.get_running_loop()] = mine, None
        await asyncio.to_thread(self.settle)

    def _ended(self, *, safe: int = 0, lost: int = 0) -> None:
        with self._changed:
            self._flushing = False
            self._safe, self._lost = max(self._safe, safe), max(self._lost, lost)
            self._changed.notify_all()

    def _flush(self) -> None:
        # Opened anew each time: the file is another one once SQLite has taken it away. A flush is of the file,
        # whoever wrote; and SQLite's locks, which closing a file would drop, are on the other two files.
        try:
            file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return  # everything was moved into the database itself, which flushes
        try:
            _flush(file)
        finally:
            os.close(file)

    def _trouble(self) -> StoreError:
        return StoreError(
            f"{self._path}: the disk doesn't say that it kept the last change",
            hint="check the disk, then look whether the change is there before making it again",
        )
