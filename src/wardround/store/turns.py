"""How many writers share one SQLite file: in turn, and with one flush for those who wait at the same time.

SQLite's own way to outlive a power cut (synchronous=FULL) flushes within each transaction, while every other writer
waits. Here a transaction ends without a flush (NORMAL: the file stays whole, but a power cut may take back the last
transactions), the next writer goes ahead, and `write` returns only when a flush that began after its commit is done.
One flush serves all who wait. What was acknowledged is as safe as with FULL.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path

from wardround.errors import StoreError

_flush = getattr(os, "fdatasync", os.fsync)


class Turn:
    """A lock that goes to whoever has waited longest, so that nobody waits for luck."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._taken = False

    def __enter__(self) -> None:
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

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._pass_on()

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
