"""The loopback server of the wire benches: as little server as HTTP allows, so that the client is what is timed.

A raw `asyncio.Protocol`, one process, keep-alive: every POST is answered with one chat completion of about 200
Chinese characters that ends in a verdict `[[n]]`, n drawn from the request's bytes, so that equal requests get
equal answers whoever asks. `GET …/models` lists the one model, `GET …/asked` how many POSTs there have been, so
that a bench can see that a client did what it was timed for, and the seconds from the first request to the last
reply. With --echo the answer is the text of the prompt's last `reference` block: a rewrite that breaks no rule. With
--reworded hardly a clause of it stays as it was, so that all of it must be checked anew. Run as a program it prints its
base URL.

    python perf/loopback.py --latency-ms 100 [--echo | --reworded]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

MODEL = "wire"
TEXT = (
    "建议先到呼吸内科就诊，完善血常规、胸部影像与痰培养检查，结合病程与体征判断感染部位和程度。" * 4
)


def _reply(value: object) -> bytes:
    body = json.dumps(value, ensure_ascii=False).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _completion(number: int) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": f"{TEXT}\n[[{number}]]"},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 300, "completion_tokens": 150, "total_tokens": 450}
    named = {"id": "chatcmpl-wire", "object": "chat.completion", "created": 0, "model": MODEL}
    return _reply({**named, "choices": [choice], "usage": usage})


REWORDED = (("，", "，其中"), ("、", "和"), ("；", "；另外"), ("。", "，如上。"))
"""What a rewrite is made of: other words between those of the reference, and no new fact."""


def _echoed(body: bytes, reworded: bool) -> bytes:
    """The `reference` block of a request as its answer. What is a JSON string there is one here: nothing is read."""
    _, found, rest = body.rpartition(b"<reference>\\n")
    text, closed, _ = rest.partition(b"\\n</reference>")
    if not (found and closed):
        return REPLIES[zlib.crc32(body) % 10]
    for before, after in REWORDED if reworded else ():
        text = text.replace(before.encode(), after.encode())
    whole = b"".join((BEFORE, text, BEHIND))
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(whole), whole,
    )  # fmt: skip


REPLIES = [_completion(n) for n in range(1, 11)]
BEFORE, BEHIND = (
    REPLIES[0].partition(b"\r\n\r\n")[2].replace(f"{TEXT}\\n[[1]]".encode(), b"\0").split(b"\0")
)
MODELS = _reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]})


class Chat(asyncio.Protocol):
    """One connection."""

    asked = 0
    first = last = 0.0

    def __init__(self, latency_s: float, answers: str = "") -> None:
        self._latency_s, self._answers = latency_s, answers
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            whole = end + 4 + length
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            if head.startswith(b"get"):
                counting = b"/asked" in head.split(b"\r\n", 1)[0]
                counted = {"asked": Chat.asked, "seconds": Chat.last - Chat.first}
                self._send(_reply(counted) if counting else MODELS)
            else:
                Chat.asked += 1
                Chat.first = Chat.first or time.perf_counter()
                self._answer(
                    _echoed(body, self._answers == "reworded")
                    if self._answers
                    else REPLIES[zlib.crc32(body) % 10]
                )

    def _answer(self, reply: bytes) -> None:
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._done, reply)
        else:
            self._done(reply)

    def _done(self, reply: bytes) -> None:
        self._send(reply)
        Chat.last = time.perf_counter()

    def _send(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


async def _serve(latency_s: float, answers: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Chat(latency_s, answers), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(latency_ms: float, *, answers: str = "") -> Iterator[str]:
    """The server as a process of its own; yields its base URL. `answers`: "echo", "reworded" or the same for all."""
    command = [sys.executable, str(Path(__file__)), "--latency-ms", str(latency_ms)]
    command += [f"--{answers}"] if answers else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def asked(url: str) -> int:
    """POSTs that the server at this base URL has had so far."""
    with urllib.request.urlopen(f"{url}/asked") as reply:
        return int(json.load(reply)["asked"])


def seconds(url: str) -> float:
    """Seconds from the first POST that the server had to its last reply."""
    with urllib.request.urlopen(f"{url}/asked") as reply:
        return float(json.load(reply)["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description="The loopback server of the wire benches.")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument(
        "--echo", dest="answers", action="store_const", const="echo", default="",
        help="answer with the reference block",
    )  # fmt: skip
    parser.add_argument(
        "--reworded", dest="answers", action="store_const", const="reworded",
        help="answer with the reference block in other words",
    )  # fmt: skip
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options.latency_ms / 1000, options.answers))


if __name__ == "__main__":
    main()
