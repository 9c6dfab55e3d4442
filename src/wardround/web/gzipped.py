"""Answers compressed on their way: Starlette's gzip, done by ISA-L.

A page of 15 kB takes zlib 200 µs at the level that was set and 115 µs at its fastest, ISA-L 27 µs for as few bytes as
that: compressing was a tenth of the server's work from one item to the next.
"""

from __future__ import annotations

from typing import Any

from isal import isal_zlib
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware, GZipResponder
from starlette.types import Receive, Scope, Send

LEVEL = 1
GZIP = 16 + isal_zlib.MAX_WBITS


class _Responder(GZipResponder):
    _ours: Any = None

    @property
    def compressor(self) -> Any:
        self._ours = self._ours or isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
        return self._ours


class Gzipped(GZipMiddleware):
    """As `GZipMiddleware`, which says what is left as it is."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """For who takes gzip; else what Starlette does."""
        if scope["type"] == "http" and "gzip" in Headers(scope=scope).get("Accept-Encoding", ""):
            responder = _Responder(self.app, self.minimum_size)
            await responder(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
