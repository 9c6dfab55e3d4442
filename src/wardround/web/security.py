"""What holds for every request, before any route: a known host, our own origin, a bounded body, safe headers.

One plain ASGI layer, outermost but for compression. It also writes the access log: the route's template, never the
path or the query, which may hold a token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wardround.web.settings import Settings

log = logging.getLogger("wardround.web.access")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
    "X-Frame-Options": "DENY",
}
HSTS = "max-age=31536000"
SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE, "POST", "PUT", "PATCH", "DELETE")


class Shell:
    """The layer. `failed` makes the page for an error nobody foresaw; `uploads` are prefixes with the larger limit."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        failed: Callable[[Request], Awaitable[Response]],
        uploads: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.settings = settings
        self.failed = failed
        self.uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableHeaders(scope=message), scope["path"])
            await send(message)

        limit = self._limit(scope["path"])
        refusal = self._refusal(scope, limit)
        try:
            if refusal is not None:
                await refusal(scope, receive, sending)
            else:
                await self.app(scope, _bounded(receive, limit), sending)
        except Exception:
            log.exception("unforeseen, in %s", _route(scope))
            if status:  # too late for a page: the connection is cut
                raise
            await (await self.failed(Request(scope)))(scope, receive, sending)
        finally:
            spent = (time.perf_counter() - started) * 1000
            log.info("%s %s %d %.0f ms", scope["method"][:10], _route(scope), status, spent)

    def _limit(self, path: str) -> int:
        return (
            self.settings.upload_limit
            if path.startswith(self.uploads)
            else self.settings.body_limit
        )

    def _refusal(self, scope: Scope, limit: int) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if not self.settings.knows(headers.get("host", "")) or len(headers.getlist("host")) != 1:
            return PlainTextResponse("unknown host", status_code=400)
        if scope["method"] not in METHODS:
            return PlainTextResponse("method not allowed", status_code=405)
        if scope["method"] not in SAFE and not self._ours(headers):
            return PlainTextResponse("request from another site", status_code=403)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limit:
            return PlainTextResponse("内容太大 / too large", status_code=413)
        return None

    def _ours(self, headers: Headers) -> bool:
        """Whether a browser says that the request comes from our own pages; others are left to the token."""
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        parts = urlsplit(origin)
        scheme = "https" if self.settings.https else "http"
        return parts.scheme == scheme and parts.netloc.lower() == headers.get("host", "").lower()

    def _dress(self, headers: MutableHeaders, path: str) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if self.settings.https:
            headers["Strict-Transport-Security"] = HSTS
        if not path.startswith("/static/"):
            headers["Cache-Control"] = "no-store"


def _route(scope: Scope) -> str:
    """The template of the route, which holds no token."""
    return getattr(scope.get("route"), "path", "-")


def _bounded(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises once more than `limit` bytes came, whatever the length said."""
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > limit:
            raise HTTPException(413)
        return message

    return bounded
