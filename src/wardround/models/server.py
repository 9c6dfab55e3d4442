"""An OpenAI-compatible server around any `Model`: for `wardround serve`, demos and tests.

`GET /v1/models` and `POST /v1/chat/completions` (plain, or server-sent events with `"stream": true`).
A model that can `stream` is sent as it speaks; others are asked first and sent in pieces.

Errors have OpenAI's shape: 400 for a request that can't be read or asks for what isn't there, 401 for a wrong
key, 404 for another model's name, 503 with Retry-After when `queue_limit` requests are in already or the server
is about to stop, 422 (400 when the prompt is too long) when the model failed to answer. A failed answer is never
sent as text: a stream that breaks off ends in an error event. Who hangs up is no longer worked for.

Stopping: no new requests; those in have `DRAIN_S` to end, then they get 503.

The server counts: `arrivals` of readable chat requests, `asked` per digest of the messages, `served`
answers. `count_file` gets one line (the digest) per answer before it is sent, so another process can prove
that nothing was asked twice even after a kill.

    python -m wardround.models.server scripted:echo --port 0 --latency-ms 100   (URL on the first line)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import msgspec

from wardround.errors import UsageError, WardroundError
from wardround.models import Model
from wardround.models.faults import Faults, add_arguments, from_arguments
from wardround.models.replies import (
    LATER,
    Events,
    announce,
    counts,
    error_reply,
    failure_reply,
    json_reply,
    wants_usage,
)
from wardround.models.speaking import cut
from wardround.models.wire import ChatBody, Terms, as_request, as_terms, read_body
from wardround.records import Answer, Message, Request, encode

if TYPE_CHECKING:
    from aiohttp import web

PIECE = 200
"""Characters per streamed chunk of an answer that was whole already."""

LARGEST_BODY = 64 * 2**20
DRAIN_S = 5.0
"""Seconds that requests have to end when the server stops."""


@runtime_checkable
class Streaming(Protocol):
    """A model that can be followed while it speaks, and knows a chat's `Terms`."""

    def stream(self, request: Request, terms: Terms) -> AsyncIterator[str | Answer]:
        """Pieces of text, then the whole `Answer`; a failed one when it can't be asked or breaks off."""
        ...

    async def answer(self, request: Request, terms: Terms) -> Answer:
        """The whole answer at once."""
        ...


def digest_of_messages(messages: tuple[Message, ...]) -> str:
    """SHA-256 in hex of the messages' canonical JSON: what `asked` and the count file count by."""
    return hashlib.sha256(encode(messages)).hexdigest()


class ChatServer:
    """Serves `model` on loopback while the context (`async with`) is open; `url` ends with /v1.

    Leaving the context stops the server and closes the model. `api_key`, when set, must come as a bearer
    token.
    """

    def __init__(
        self,
        model: Model,
        *,
        faults: Faults | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        queue_limit: int = 1024,
        api_key: str = "",
        count_file: Path | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self.model = model
        self.faults = faults or Faults()
        self.host = host
        self.port = port
        self.queue_limit = queue_limit
        self.arrivals = 0
        self.served = 0
        self.asked: Counter[str] = Counter()
        self._api_key = api_key
        self._count_file = count_file
        self._count_fd = -1
        self._drain_s = drain_s
        self._waiting = 0
        self._idle = asyncio.Event()
        self._site: web.TCPSite | None = None
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """The base URL clients use."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"

    async def __aenter__(self) -> ChatServer:
        from aiohttp import web

        await self.model.check()
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._stopping, self._idle = asyncio.Event(), asyncio.Event()
        if self._count_file is not None:
            self._count_fd = os.open(
                self._count_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
            )
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True
        )
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await self._site.start()
        except (OSError, OverflowError) as e:  # the second where the number is no port
            self._site = None
            await self.__aexit__()
            raise UsageError(
                f"{self.host}:{self.port}: can't listen here ({getattr(e, 'strerror', None) or e})",
                hint="choose another --port; 0 takes a free one",
            ) from e
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        if self._site is not None:
            await self._site.stop()
        if self._waiting:
            self._idle.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), self._drain_s)
        await self.model.close()  # what is still in gets its 503
        if self._runner is not None:
            await self._runner.cleanup()
        if self._count_fd >= 0:
            os.close(self._count_fd)
            self._count_fd = -1

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if not self._allowed(request):
            return error_reply(401, "wrong or missing API key", "invalid_api_key")
        entry = {"id": self.model.name, "object": "model", "created": 0, "owned_by": "wardround"}
        return json_reply({"object": "list", "data": [entry]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        if not self._allowed(request):
            return error_reply(401, "wrong or missing API key", "invalid_api_key")
        try:
            chat = read_body(await request.read())
        except ValueError as e:
            return error_reply(400, str(e), "invalid_request")
        if chat.model != self.model.name:
            return error_reply(
                404, f"no model {chat.model!r}; it is {self.model.name!r}", "model_not_found"
            )
        digest = digest_of_messages(chat.messages)
        self.asked[digest] += 1
        self.arrivals += 1
        if self._stopping.is_set():
            return error_reply(503, "the server is stopping", "stopping", headers=LATER)
        if self._waiting >= self.queue_limit:
            return error_reply(503, "too many requests wait", "overloaded", headers=LATER)
        fate = self.faults.pick(digest, self.asked[digest], self.arrivals - 1)
        self._waiting += 1
        try:
            if self.faults.latency_ms:
                await asyncio.sleep(self.faults.latency_ms / 1000)
            if fate != "ok":
                return await self.faults.reply(fate, request, self._stopping)
            return await self._answer(request, chat, digest)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._idle.set()

    def _allowed(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        return not self._api_key or given == f"Bearer {self._api_key}"

    async def _answer(
        self, request: web.Request, chat: ChatBody, digest: str
    ) -> web.StreamResponse:
        if chat.stream and isinstance(self.model, Streaming):
            return await self._follow(request, chat, digest)
        try:
            answer = await _whole(self.model, as_request(chat, digest), as_terms(chat))
        except WardroundError as e:
            return error_reply(500, e.message, "model_error")
        if answer.status == "failed":
            return failure_reply(answer)
        self._count(digest)
        if chat.stream:
            return await self._pieces(request, chat, answer)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer.text},
            "finish_reason": answer.finish_reason or "stop",
        }
        body = self._head("chat.completion") | {"choices": [choice], "usage": counts(answer)}
        return json_reply(body)

    def _count(self, digest: str) -> None:
        self.served += 1
        if self._count_fd >= 0:
            os.write(self._count_fd, digest.encode() + b"\n")

    def _head(self, kind: str) -> dict[str, Any]:
        name = f"chatcmpl-{self.served}"
        return {"id": name, "object": kind, "created": int(time.time()), "model": self.model.name}

    async def _pieces(
        self, request: web.Request, chat: ChatBody, answer: Answer
    ) -> web.StreamResponse:
        """An answer that is whole already, in pieces."""
        events = Events(self._head("chat.completion.chunk"))
        await events.begin(request)
        text = answer.text or ""
        for start in range(0, len(text), PIECE):
            await events.say(text[start : start + PIECE])
        await events.end(answer, usage=wants_usage(chat))
        return events.response

    async def _follow(
        self, request: web.Request, chat: ChatBody, digest: str
    ) -> web.StreamResponse:
        """An answer as it comes. Until its first piece an error still has a status of its own."""
        assert isinstance(self.model, Streaming)
        events: Events | None = None
        pieces = self.model.stream(as_request(chat, digest), as_terms(chat))
        try:
            async for item in pieces:
                if isinstance(item, Answer) and item.status == "failed":
                    if events is None:
                        return failure_reply(item)
                    await events.fail(item.reason)
                    return events.response
                if events is None:
                    events = Events(self._head("chat.completion.chunk"))
                    await events.begin(request)
                if isinstance(item, str):
                    await events.say(item)
                else:
                    self._count(digest)
                    await events.end(item, usage=wants_usage(chat))
        except WardroundError as e:
            return error_reply(500, e.message, "model_error")
        finally:
            await pieces.aclose()  # type: ignore[attr-defined]
        assert events is not None
        return events.response


async def _whole(model: Model, request: Request, terms: Terms) -> Answer:
    """The whole answer; a model that knows no terms has its text cut at a stop string."""
    if isinstance(model, Streaming):
        return await model.answer(request, terms)
    answer = await model.complete(request)
    text, stopped = cut(answer.text or "", terms.stop)
    if not stopped:
        return answer
    return msgspec.structs.replace(answer, text=text, finish_reason="stop")


@contextlib.contextmanager
def serve_in_thread(what: Model | ChatServer, port: int = 0) -> Iterator[str]:
    """Serve a model, or a `ChatServer` made before, from a thread of its own; yields the base URL.

    An error at the start is raised here. At the end the server has stopped and its port is free.
    """
    server = what if isinstance(what, ChatServer) else ChatServer(what, port=port)
    ready = threading.Event()
    state: dict[str, Any] = {}

    async def body() -> None:
        state["loop"], state["stop"] = asyncio.get_running_loop(), asyncio.Event()
        async with server:
            ready.set()
            await state["stop"].wait()

    def thread() -> None:
        try:
            asyncio.run(body())
        except BaseException as e:
            state["error"] = e
        finally:
            ready.set()

    running = threading.Thread(target=thread, name="chat-server", daemon=True)
    running.start()
    ready.wait()
    try:
        if "error" in state:
            raise state["error"]
        yield server.url
    finally:
        if running.is_alive():
            with contextlib.suppress(RuntimeError):  # its loop may have ended on its own
                state["loop"].call_soon_threadsafe(state["stop"].set)
        running.join()


def serve(
    model: Model,
    host: str = "127.0.0.1",
    port: int = 8000,
    *,
    server: ChatServer | None = None,
    as_json: bool = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM; the base URL is the first line on stdout."""
    server = server or ChatServer(model, host=host, port=port)

    async def body() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with server:
            announce(model.name, server.url, as_json=as_json)
            await stop.wait()

    asyncio.run(body())


def main(arguments: Sequence[str] | None = None) -> int:
    """The test server with faults, as a command."""
    from wardround.models.names import open_model

    parser = argparse.ArgumentParser(
        prog="python -m wardround.models.server",
        description="An OpenAI-compatible server around any model, with faults on demand.",
    )
    parser.add_argument("model", help="NAME@URL, local:PATH, scripted:NAME or a configured name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--queue-limit", type=int, default=1024)
    parser.add_argument("--count-file", type=Path, help="append a digest per answer served")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        model = open_model(options.model)
        server = ChatServer(
            model, faults=from_arguments(options), host=options.host, port=options.port,
            queue_limit=options.queue_limit, count_file=options.count_file,
        )  # fmt: skip
        serve(model, server=server)
    except WardroundError as e:
        print(e, file=sys.stderr)
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
