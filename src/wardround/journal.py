"""The journal: append-only keyed JSONL that survives kill -9; the one way anything resumes.

Contract. Line 1 is a header naming the configuration digest; each further line is `{"k": key, "v": value}`.
A key is written once. A line is one `write` on an O_APPEND descriptor, so after kill -9 the file holds whole
lines and at most one torn last line, which the next opening cuts off (`torn_bytes`). What a power cut may take
is bounded: after `sync_lines` lines or `sync_seconds` seconds an fsync is begun, in a thread of its own so that
no request waits for the disk; a killed process loses nothing.

One writer at a time: the descriptor holds an exclusive `flock`; a second process gets `BusyError` at
once. Opening under another configuration digest raises `ConfigMismatchError`: a run never resumes under
other settings.

In memory are some 30 bytes a key, however long it is: its hash and where its line lies. A hash that is found is
checked against the line itself.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from wardround.errors import BusyError, ConfigMismatchError, JournalCorruptError, JournalError
from wardround.records import SCHEMA_VERSION, encode


class _Header(msgspec.Struct, frozen=True):
    journal: int
    config: str


class _Line(msgspec.Struct, frozen=True):
    k: str
    v: msgspec.Raw


def lock(fd: int, path: Path) -> None:
    """Take the exclusive lock of an open file at once, or raise `BusyError`. Closing `fd` frees it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        raise BusyError(
            f"{path}: another process is writing here",
            hint="wait for it to end or stop it; two runs must not share one output directory",
        ) from e


class _Index:
    """Places of lines by the 64-bit hash of their keys: a hash table in arrays, a fifth of a dict's memory.

    Keys are numbered as they are added; a slot holds a number, counted from 1, and at least half of them hold 0.
    """

    def __init__(self) -> None:
        self._slots = array("I", [0]) * 64
        self._hashes, self._starts, self._lengths = array("q"), array("Q"), array("I")

    def __len__(self) -> int:
        return len(self._hashes)

    def place(self, number: int) -> tuple[int, int]:
        """Offset and length of a line."""
        return self._starts[number], self._lengths[number]

    def candidates(self, hashed: int) -> list[int]:
        """The numbers of all keys with this hash: none or one, but for a chance of 2⁻⁶⁴ a pair."""
        slots, hashes = self._slots, self._hashes
        last = len(slots) - 1
        at = hashed & last
        found = []
        while number := slots[at]:
            if hashes[number - 1] == hashed:
                found.append(number - 1)
            at = (at + 1) & last
        return found

    def add(self, hashed: int, start: int, length: int) -> None:
        """Give the line at this place the next number."""
        self._hashes.append(hashed)
        self._starts.append(start)
        self._lengths.append(length)
        if 2 * len(self._hashes) > len(self._slots):
            self._slots = array("I", [0]) * (2 * len(self._slots))
            for number, known in enumerate(self._hashes, start=1):
                self._settle(known, number)
        else:
            self._settle(hashed, len(self._hashes))

    def move(self, number: int, start: int, length: int) -> None:
        """Let a number stand for another line."""
        self._starts[number], self._lengths[number] = start, length

    def _settle(self, hashed: int, number: int) -> None:
        slots = self._slots
        last = len(slots) - 1
        at = hashed & last
        while slots[at]:
            at = (at + 1) & last
        slots[at] = number


class Journal:
    """An open journal. Use as a context manager; `get` and `append` are safe from one thread.

    Args:
        path: the file, made with its parents when missing.
        config: digest of everything that must be equal for old lines to count.
        sync_lines, sync_seconds: when an fsync is begun.
    """

    def __init__(
        self, path: Path, *, config: str, sync_lines: int = 64, sync_seconds: float = 1.0
    ) -> None:
        self.path = path
        self.torn_bytes = 0
        self._sync_lines = sync_lines
        self._sync_seconds = sync_seconds
        self._index = _Index()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            lock(self._fd, path)
            self._read(config)
        except BaseException:
            os.close(self._fd)
            raise
        self._unsynced = 0
        self._synced_at = time.monotonic()
        self._due: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._syncer: threading.Thread | None = None
        self._syncing = False
        self._sync_error: OSError | None = None

    def _read(self, config: str) -> None:
        """Index every whole line; cut a torn last one off."""
        offset = 0
        with open(self.path, "rb") as f:
            for number, line in enumerate(f, start=1):
                if not line.endswith(b"\n"):
                    self.torn_bytes = len(line)
                    break
                self._index_line(number, line, offset, config)
                offset += len(line)
        if self.torn_bytes:
            os.ftruncate(self._fd, offset)
        self._size = offset
        if offset == 0:
            self._write(encode(_Header(journal=SCHEMA_VERSION, config=config)) + b"\n")
            os.fsync(self._fd)

    def _index_line(self, number: int, line: bytes, offset: int, config: str) -> None:
        try:
            if number == 1:
                header = msgspec.json.decode(line, type=_Header)
                if header.config != config:
                    raise ConfigMismatchError(
                        f"{self.path}: written under another configuration "
                        f"({header.config[:12]}, now {config[:12]})",
                        hint="choose another --out, or repeat the command exactly as it was",
                    )
                return
            key = msgspec.json.decode(line, type=_Line).k
        except msgspec.DecodeError as e:
            raise JournalCorruptError(
                f"{self.path}, line {number}: not a journal line ({e})",
                hint="the file was changed by something else; restore it or start in a new --out",
            ) from e
        again = self._number(key)
        if again is None:
            self._index.add(hash(key), offset, len(line))
        else:
            self._index.move(again, offset, len(line))

    def _write(self, line: bytes) -> None:
        """Append one line whole; after a short write (full disk) take the piece back before raising."""
        try:
            written = os.write(self._fd, line)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        if written < len(line):
            os.ftruncate(self._fd, self._size)
            raise OSError(28, "No space left on device", str(self.path))
        self._size += len(line)

    def _line(self, number: int) -> _Line:
        start, length = self._index.place(number)
        return msgspec.json.decode(os.pread(self._fd, length, start), type=_Line)

    def _number(self, key: str) -> int | None:
        for number in self._index.candidates(hash(key)):
            if self._line(number).k == key:
                return number
        return None

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._number(key) is not None

    def __len__(self) -> int:
        return len(self._index)

    def keys(self) -> Iterator[str]:
        """Keys in the order written."""
        return (self._line(number).k for number in range(len(self._index)))

    def values(self, kind: Any) -> Iterator[Any]:
        """Values decoded as `kind`, in the order written."""
        return (
            msgspec.json.decode(self._line(number).v, type=kind)
            for number in range(len(self._index))
        )

    def find(self, key: str, kind: Any) -> Any:
        """The value under `key` decoded as `kind`; None if there is none."""
        for number in self._index.candidates(hash(key)):
            line = self._line(number)
            if line.k == key:
                return msgspec.json.decode(line.v, type=kind)
        return None

    def get(self, key: str, kind: Any) -> Any:
        """The value under `key` decoded as `kind`; `KeyError` if there is none."""
        if key not in self:
            raise KeyError(key)
        return self.find(key, kind)

    def append(self, key: str, value: object) -> None:
        """Write `value` under a new key. A key already there raises: nothing is counted twice."""
        if key in self:
            raise JournalError(f"{self.path}: key {key!r} is already written")
        line = b'{"k":' + encode(key) + b',"v":' + encode(value) + b"}\n"
        offset = self._size
        self._write(line)
        self._index.add(hash(key), offset, len(line))
        self._unsynced += 1
        now = time.monotonic()
        if self._unsynced >= self._sync_lines or now - self._synced_at >= self._sync_seconds:
            self._begin_sync()

    def _begin_sync(self) -> None:
        """Sync beside the work, unless the last one is still under way: then the next append tries again."""
        if self._syncing:
            return
        self._raise_sync_error()
        self._unsynced = 0
        self._synced_at = time.monotonic()
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync_beside, name="journal-sync")
            self._syncer.start()
        self._syncing = True
        self._due.put(True)

    def _sync_beside(self) -> None:
        """The thread: one fsync for each True, until False."""
        while self._due.get():
            try:
                os.fsync(self._fd)
            except OSError as e:
                self._sync_error = e
            self._syncing = False

    def _raise_sync_error(self) -> None:
        """An error of the thread is raised in the writer."""
        error, self._sync_error = self._sync_error, None
        if error is not None:
            raise error

    def sync(self) -> None:
        """Put what is written on the disk itself, and wait until it is there."""
        os.fsync(self._fd)
        self._raise_sync_error()
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Sync, unlock and close, and let go of the index: it knows no key after. Further calls do nothing."""
        if self._fd < 0:
            return
        self._index = _Index()
        if self._syncer is not None:
            self._due.put(False)
            self._syncer.join()
        try:
            self.sync()
        finally:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
