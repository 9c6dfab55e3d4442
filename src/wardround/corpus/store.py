"""Lines on disk, appended once and read back by place: where a build's texts wait.

A store is two files' worth of knowledge, one of them in memory: the lines, and where each begins. It belongs to
one build, in the artifact's work folder, and is written anew by each session.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from wardround.records import decode

T = TypeVar("T")
AHEAD = 1 << 16
"""Bytes to read at once where lines are read in their order."""


class Store:
    """Lines (bytes without line breaks), by their number."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", buffering=1 << 20)  # noqa: SIM115
        self._read = os.open(path, os.O_RDONLY)
        self._starts = array("Q", [0])
        self._dirty = False
        self._block, self._block_at, self._next = b"", 0, -1

    def __len__(self) -> int:
        return len(self._starts) - 1

    def append(self, line: bytes) -> int:
        """Add a line; its place."""
        self._file.write(line)
        self._starts.append(self._starts[-1] + len(line))
        self._dirty = True
        return len(self) - 1

    def extend(self, lines: Iterable[bytes]) -> None:
        """Add lines in their order."""
        for line in lines:
            self.append(line)

    def line(self, place: int) -> bytes:
        """The line at `place`."""
        start, end = self._starts[place], self._starts[place + 1]
        at = start - self._block_at
        if at < 0 or at + end - start > len(self._block):
            if self._dirty:
                self._file.flush()
                self._dirty = False
            size = end - start if start != self._next else max(end - start, AHEAD)
            self._block, self._block_at, at = os.pread(self._read, size, start), start, 0
        self._next = end
        return self._block[at : at + end - start]

    def read(self, place: int, kind: type[T]) -> T:
        """The line at `place` as a record."""
        return decode(self.line(place), kind)

    def each(self, places: Iterable[int], kind: type[T]) -> Iterator[T]:
        """The records at `places`, in the order given."""
        return (self.read(place, kind) for place in places)

    def close(self) -> None:
        """Let go of the file."""
        if self._read >= 0:
            os.close(self._read)
            self._read = -1
        self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
