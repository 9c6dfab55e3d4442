"""A request's body in several pieces, written one after the other, so that none is copied into one long text.

aiohttp would take the pieces from a generator, but then without a Content-Length, which endpoints may refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload


def payload(pieces: Sequence[bytes]) -> bytes | Payload:
    """What aiohttp is to send: one short piece as it is, else all as one body of known length."""
    if len(pieces) == 1 and len(pieces[0]) <= SHORT:
        return pieces[0]
    return Pieces(pieces)


SHORT = 1 << 20
"""Above it aiohttp warns of bodies that are plain bytes."""


class Pieces(Payload):
    """JSON in pieces, which may be sent again."""

    _autoclose = True  # memory alone, nothing to close

    def __init__(self, pieces: Sequence[bytes]) -> None:
        super().__init__(pieces, content_type="application/json")
        self._size = sum(map(len, pieces))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The whole as text."""
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """All pieces."""
        for piece in self._value:
            await writer.write(piece)
