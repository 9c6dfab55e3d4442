"""The loopback server of the wire benches: as little server as HTTP allows, so that the client is what is timed.

A raw `asyncio.Protocol`, one process, keep-alive: every POST is answered with one chat completion of about 200
Chinese characters that ends in a verdict `[[n]]`, n drawn from the request's bytes, so that equal requests get
equal answers whoever asks. `GET …/models` lists the one model, `GET …/asked` how many POSTs there have been, so
that a bench can see that a client did what it was timed for. Run as a program it prints its base URL.

    python perf/loopback.py --latency-ms 100
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
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


REPLIES = [_completion(n) for n in range(1, 11)]
MODELS = _reply({"object": "list", "data": [{"id": MODEL, "object": "model"}]})


class Chat(asyncio.Protocol):
    """One connection."""

    asked = 0

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
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
                self._send(_reply({"asked": Chat.asked}) if counting else MODELS)
            else:
                Chat.asked += 1
                self._answer(REPLIES[zlib.crc32(body) % 10])

    def _answer(self, reply: bytes) -> None:
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, self._send, reply)
        else:
            self._send(reply)

    def _send(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


async def _serve(latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Chat(latency_s), "127.0.0.1", 0, backlog=512)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def running(latency_ms: float) -> Iterator[str]:
    """The server as a process of its own; yields its base URL."""
    command = [sys.executable, str(Path(__file__)), "--latency-ms", str(latency_ms)]
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


def main() -> None:
    parser = argparse.ArgumentParser(description="The loopback server of the wire benches.")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().latency_ms / 1000))


if __name__ == "__main__":
    main()
