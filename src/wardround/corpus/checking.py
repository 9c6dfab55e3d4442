"""Checks of rewrites in processes beside the one that asks: where the server is quick, holding a rewrite against its rules
takes as long as asking for it.

A rewrite goes to whichever process has least to do, with others that came in the same turn of the event loop. While no process is up
yet, where all have enough to do, or when one has died, the check is made on the spot: where it is made never changes its outcome.

    python -m wardround.corpus.checking FD      such a process, on the socket that it was handed
"""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from wardround.corpus.rewritten import Broken, Rewrite, verdict

if TYPE_CHECKING:
    import asyncio

MOST = 4
"""Processes at most."""
ENOUGH = 96
"""Rewrites at one process; more are not sent there until it has answered."""
_HEAD = 4
_FAILED = "!"


class _Asked(msgspec.Struct, array_like=True, gc=False):
    number: int
    rewrite: Rewrite


class _Told(msgspec.Struct, array_like=True, gc=False):
    number: int
    rule: str
    why: str


_encode = msgspec.msgpack.Encoder().encode
_asked = msgspec.msgpack.Decoder(list[_Asked]).decode
_told = msgspec.msgpack.Decoder(list[_Told]).decode


class Checkers:
    """The processes, one for each core but ours, begun at once and waited for by nobody. A context manager."""

    def __init__(self, processes: int | None = None) -> None:
        if processes is None:
            from wardround.engine.local import cores  # like asyncio: a third of a process's start

            processes = min(cores() - 1, MOST)
        self._beside = [_Beside() for _ in range(processes)]

    async def check(self, rewrite: Rewrite) -> Broken | None:
        """`rewritten.verdict`."""
        least: _Beside | None = None
        for one in self._beside:
            if one.takes() and (least is None or one.busy < least.busy):
                least = one
        return verdict(rewrite) if least is None else await least.check(rewrite)

    def close(self) -> None:
        """End the processes."""
        for one in self._beside:
            one.close()

    def __enter__(self) -> Checkers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Beside:
    """One process, and what is on its way to it or there."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "wardround.corpus.checking", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._loop: asyncio.AbstractEventLoop | None = None
        self._up = self._full = False
        self._there: dict[int, tuple[asyncio.Future[Broken | None], Rewrite]] = {}
        self._batch: list[_Asked] = []
        self._number = 0
        self._out, self._in = bytearray(), bytearray()

    @property
    def busy(self) -> int:
        """Rewrites that wait for it."""
        return len(self._there)

    def takes(self) -> bool:
        """Whether it is up and has room. The first call of an event loop begins to listen."""
        if self._loop is None:
            import asyncio

            self._loop = asyncio.get_running_loop()
            # By its number: with the socket itself uvloop would keep it open after `close`.
            self._loop.add_reader(self._socket.fileno(), self._read)
        return self._up and len(self._there) < ENOUGH

    def check(self, rewrite: Rewrite) -> asyncio.Future[Broken | None]:
        """Have it checked there."""
        assert self._loop is not None
        self._number += 1
        future: asyncio.Future[Broken | None] = self._loop.create_future()
        self._there[self._number] = future, rewrite
        self._batch.append(_Asked(self._number, rewrite))
        if len(self._batch) == 1:
            self._loop.call_soon(self._send)
        return future

    def _send(self) -> None:
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        try:
            data = _encode(batch)
        except UnicodeEncodeError:  # half a pair of surrogates can't be sent
            for asked in batch:
                _here(self._there.pop(asked.number)[0], asked.rewrite)
            return
        self._out += len(data).to_bytes(_HEAD, "big") + data
        if not self._full:
            self._write()

    def _write(self) -> None:
        """As much as the socket takes; the rest when it takes more."""
        assert self._loop is not None
        try:
            del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        if self._out and not self._full:
            self._loop.add_writer(self._socket.fileno(), self._write)
        elif self._full and not self._out:
            self._loop.remove_writer(self._socket.fileno())
        self._full = bool(self._out)

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        self._up = True  # it says so with an empty answer
        self._in += data
        for frame in _frames(self._in):
            for told in _told(frame):
                future, rewrite = self._there.pop(told.number)
                if told.rule == _FAILED:
                    _here(future, rewrite)
                elif not future.done():
                    future.set_result(Broken(rule=told.rule, why=told.why) if told.rule else None)

    def _lost(self) -> None:
        """It has died: what was there is done here, and nothing more is sent."""
        self._up = False
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
        there, self._there = self._there, {}
        self._batch = []
        for future, rewrite in there.values():
            _here(future, rewrite)

    def close(self) -> None:
        """End it: it ends when its socket does."""
        self._up = False
        self._socket.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _here(future: asyncio.Future[Broken | None], rewrite: Rewrite) -> None:
    if future.done():  # whoever waited has been cancelled
        return
    try:
        future.set_result(verdict(rewrite))
    except Exception as e:
        future.set_exception(e)


def _frames(buffer: bytearray) -> list[bytes]:
    """The whole frames at the beginning of `buffer`, taken out of it."""
    found, at = [], 0
    while len(buffer) - at >= _HEAD:
        end = at + _HEAD + int.from_bytes(buffer[at : at + _HEAD], "big")
        if len(buffer) < end:
            break
        found.append(bytes(buffer[at + _HEAD : end]))
        at = end
    del buffer[:at]
    return found


def _checked(asked: _Asked) -> _Told:
    try:
        broken = verdict(asked.rewrite)
    except Exception:  # whoever asked makes the check again, and meets it
        return _Told(asked.number, _FAILED, "")
    return _Told(asked.number, broken.rule, broken.why) if broken else _Told(asked.number, "", "")


def main(descriptor: int) -> None:
    """Check what comes until the socket ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever began us
    _checked(_Asked(0, Rewrite("口服。", None, "口服。", "", "", "")))  # word lists are loaded
    gc.freeze()
    gc.set_threshold(20_000, 20)  # a check leaves no cycles
    buffer = bytearray()
    # Kept: new memory for each frame costs more than to read it.
    came = memoryview(bytearray(1 << 18))
    with socket.socket(fileno=descriptor) as mine:
        mine.sendall(_framed([]))
        while size := mine.recv_into(came):
            buffer += came[:size]
            for frame in _frames(buffer):
                mine.sendall(_framed([_checked(asked) for asked in _asked(frame)]))


def _framed(told: list[_Told]) -> bytes:
    data = _encode(told)
    return len(data).to_bytes(_HEAD, "big") + data


if __name__ == "__main__":
    main(int(sys.argv[1]))
