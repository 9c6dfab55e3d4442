"""What crosses the wire is what was said, in fewer bytes."""

from __future__ import annotations

import random
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from wardround.web.gzipped import Gzipped

PAGE = "".join(f"<p>第 {i} 步：患者发热，考虑感染。</p>" for i in range(400))
NOISE = random.Random(0).randbytes(200_000)


async def page(request: Request) -> Response:
    return Response(PAGE, media_type="text/html")


async def small(request: Request) -> Response:
    return Response("小", media_type="text/html")


async def picture(request: Request) -> Response:
    return Response(NOISE, media_type="image/png")


async def large(request: Request) -> Response:
    return Response(NOISE + PAGE.encode(), media_type="application/octet-stream")


async def rows(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for i in range(300):
            yield f"{i},{PAGE[:40]}\n".encode()

    return StreamingResponse(pieces(), media_type="text/csv")


@pytest.fixture
def client() -> TestClient:
    places: list[Any] = [page, small, picture, large, rows]
    app = Starlette(routes=[Route(f"/{f.__name__}", f) for f in places])
    app.add_middleware(Gzipped, minimum_size=1024)
    return TestClient(app)


@pytest.mark.parametrize("path", ["/page", "/large", "/rows"])
def test_what_arrives_is_what_was_said(client: TestClient, path: str) -> None:
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as reply:
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.headers["vary"] == "Accept-Encoding"
        raw = b"".join(reply.iter_raw())
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert unpacking.decompress(raw) == plain.content
    assert unpacking.eof and not unpacking.unused_data
    if path == "/page":
        assert len(raw) < len(plain.content) / 10 and int(reply.headers["content-length"]) == len(
            raw
        )


@pytest.mark.parametrize("path", ["/small", "/picture"])
def test_what_gains_nothing_goes_as_it_is(client: TestClient, path: str) -> None:
    assert "content-encoding" not in client.get(path).headers
