"""Values set down on disk as they come and read back in their own order, so that none need stay in memory.

Used for a run's cases and records: ten thousand of either are tens of megabytes of text, of which only those in
flight are needed. The file is scratch; in memory are two numbers a place.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
from array import array
from collections.abc import Iterator


class Spool:
    """A scratch file with numbered places for bytes, in the system's folder for such (TMPDIR); it has no name,
    so it ends with the process, however that ends."""

    def __init__(self, places: int) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self._end = 0
        self._starts = array("Q", [0]) * places
        self._lengths = array("Q", [0]) * places

    def __len__(self) -> int:
        return len(self._starts)

    def put(self, place: int, data: bytes) -> None:
        """Put `data` into an empty place."""
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]
        self._starts[place], self._lengths[place] = self._end, len(data)
        self._end += len(data)

    def get(self, place: int) -> bytes:
        """What was put into a place; empty if nothing was."""
        return os.pread(self._file.fileno(), self._lengths[place], self._starts[place])

    def __iter__(self) -> Iterator[bytes]:
        return (self.get(place) for place in range(len(self)))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def give_back_memory() -> None:
    """Hand freed memory back to the system, where the C library keeps it otherwise (glibc); else do nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
