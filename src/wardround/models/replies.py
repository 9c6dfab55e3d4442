"""What the server sends, in the shapes OpenAI sends it: JSON, errors, and completions as server-sent events."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from wardround.models.wire import reason_code
from wardround.records import Answer, encode

if TYPE_CHECKING:
    from aiohttp import web

    from wardround.models.wire import ChatBody


LATER = {"Retry-After": "1"}


class Events:
    """One streamed answer: `begin`, then `say` for every piece, then `end` or `fail`. `head` is what all its
    chunks have in common."""

    def __init__(self, head: dict[str, Any]) -> None:
        from aiohttp import web

        self._head = head
        self.response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )

    async def begin(self, request: web.Request) -> None:
        """Send the headers and the chunk that says who speaks."""
        await self.response.prepare(request)
        await self._choice({"role": "assistant", "content": ""})

    async def say(self, text: str) -> None:
        """Send one piece of the text."""
        await self._choice({"content": text})

    async def end(self, answer: Answer, *, usage: bool) -> None:
        """Send why it ended and, where asked for, what it took."""
        await self._choice({}, answer.finish_reason or "stop")
        if usage:
            await self._send(encode(self._head | {"choices": [], "usage": counts(answer)}))
        await self._send(b"[DONE]")

    async def fail(self, reason: str) -> None:
        """Send that the answer broke off: clients raise on it."""
        error = {"message": reason, "type": "server_error", "param": None, "code": "model_failed"}
        await self._send(encode({"error": error}))

    async def _choice(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        await self._send(encode(self._head | {"choices": [choice]}))

    async def _send(self, data: bytes) -> None:
        await self.response.write(b"data: " + data + b"\n\n")


def counts(answer: Answer) -> dict[str, int]:
    """The tokens an answer took, as `usage` reports them; 0 where nobody counted."""
    given, made = answer.tokens_in or 0, answer.tokens_out or 0
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def wants_usage(chat: ChatBody) -> bool:
    """Whether a stream's client asked for its `usage`."""
    return bool(chat.stream_options and chat.stream_options.get("include_usage"))


def json_reply(
    value: object, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """A value as a JSON body."""
    from aiohttp import web

    return web.Response(
        body=encode(value), status=status, content_type="application/json", headers=headers
    )


def error_reply(
    status: int, message: str, code: str, *, headers: dict[str, str] | None = None
) -> web.Response:
    """An error body; its type follows from the status."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": None, "code": code}
    return json_reply({"error": error}, status, headers)


def failure_reply(answer: Answer) -> web.Response:
    """A failed answer as an error."""
    code = reason_code(answer.reason)
    if code == "context":
        return error_reply(400, answer.reason, "context_length_exceeded")
    if code == "closed":
        return error_reply(503, "the server is stopping", "stopping", headers=LATER)
    return error_reply(422, answer.reason, "model_failed")


def announce(name: str, url: str, *, as_json: bool, by: str = "") -> None:
    """Say where it is: the URL (or one JSON line) on stdout, how to use it on stderr."""
    found = {"ok": True, "url": url, "model": name, "backend": by or "wardround"}
    print(json.dumps(found, ensure_ascii=False) if as_json else url, flush=True)
    with_ = f" by {by}" if by else ""
    print(
        f"{name} is served{with_}; use it as  {name}@{url}  · Ctrl-C ends it",
        file=sys.stderr,
        flush=True,
    )
