"""The journal: append-only keyed JSONL that survives kill -9; the one way anything resumes.

Contract. Line 1 is a header naming the configuration digest; each further line is `{"k": key, "v": value}`.
A key is written once. A line is one `write` on an O_APPEND descriptor, so after kill -9 the file holds whole
lines and at most one torn last line, which the next opening cuts off (`torn_bytes`). What a power cut may take
is bounded: after `sync_lines` lines or `sync_seconds` seconds an fsync is begun, in a thread of its own so that
no request waits for the disk; a killed process loses nothing.

One writer at a time: the descriptor holds an exclusive `flock`; a second process gets `BusyError` at
once. Opening under another configuration digest raises `ConfigMismatchError`: a run never resumes under
other settings.

In memory only each key's offset and length are kept, so a journal of any size stays small.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from wardround.errors import BusyError, ConfigMismatchError, JournalCorruptError, JournalError
from wardround.records import SCHEMA_VERSION, encode

LENGTH_BITS = 32
"""A key's offset and length are kept in one number, half the memory of a pair."""


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
        self._index: dict[str, int] = {}
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
        self._index[key] = offset << LENGTH_BITS | len(line)

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

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def __len__(self) -> int:
        return len(self._index)

    def keys(self) -> Iterator[str]:
        """Keys in the order written."""
        return iter(self._index)

    def raw(self, key: str) -> bytes:
        """The value's JSON as written; `KeyError` if there is none."""
        place = self._index[key]
        line = os.pread(self._fd, place & (1 << LENGTH_BITS) - 1, place >> LENGTH_BITS)
        return bytes(msgspec.json.decode(line, type=_Line).v)

    def get(self, key: str, kind: Any) -> Any:
        """The value under `key` decoded as `kind`; `KeyError` if there is none."""
        return msgspec.json.decode(self.raw(key), type=kind)

    def append(self, key: str, value: object) -> None:
        """Write `value` under a new key. A key already there raises: nothing is counted twice."""
        if key in self._index:
            raise JournalError(f"{self.path}: key {key!r} is already written")
        line = b'{"k":' + encode(key) + b',"v":' + encode(value) + b"}\n"
        offset = self._size
        self._write(line)
        self._index[key] = offset << LENGTH_BITS | len(line)
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
        self._index.clear()
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
