"""Static files, read once: each under a name with its digest, so that a browser keeps it for ever, and gzipped."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from wardround.records import Record

ROOT = Path(__file__).parent / "static"
TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_EVER = "public, max-age=31536000, immutable"


class Asset(Record, frozen=True, kw_only=True):
    """One file: its address part (name with digest), bytes, gzipped bytes and kind."""

    name: str
    body: bytes
    packed: bytes
    kind: str


@lru_cache(maxsize=1)
def assets() -> dict[str, Asset]:
    """All files of `static/` by plain name."""
    found = {}
    for path in sorted(ROOT.iterdir()):
        if path.suffix in TYPES or path.suffix in (".png", ".ico", ".txt"):
            body = path.read_bytes()
            digest = hashlib.sha256(body).hexdigest()[:12]
            kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
            found[path.name] = Asset(
                name=f"{path.stem}.{digest}{path.suffix}",
                body=body,
                packed=gzip.compress(body, 9, mtime=0),
                kind=kind,
            )
    return found


@lru_cache(maxsize=1)
def _by_address() -> dict[str, Asset]:
    return {a.name: a for a in assets().values()}


def static(name: str) -> str:
    """The address of a file of `static/`; `KeyError` when there is none."""
    return f"/static/{assets()[name].name}"


def serve(request: Request, name: str) -> Response:
    """The file under an address made by `static`; 404 for any other, an older digest too."""
    asset = _by_address().get(name)
    if asset is None:
        return Response("not found", status_code=404, media_type="text/plain")
    headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            asset.packed, media_type=asset.kind, headers={**headers, "Content-Encoding": "gzip"}
        )
    return Response(asset.body, media_type=asset.kind, headers=headers)
