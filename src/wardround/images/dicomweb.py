"""DICOM over the web: find instances (QIDO-RS), fetch them (WADO-RS), store objects (STOW-RS).

A plain client of PS3.18 for a hospital's own archive: one request at a time, nothing guessed. User and password come from
the environment variable WARDROUND_DICOMWEB as `user:password`, never from the URL, and redirects are not followed, as
they would carry them elsewhere. What an archive sends is written as it came, under its SOP Instance UID; identifiers
leave it when it is prepared (`picture`), so the folder must be kept like the archive itself.
"""

from __future__ import annotations

import base64
import os
import re
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

import msgspec

from wardround.errors import UsageError, WardroundError

VARIABLE = "WARDROUND_DICOMWEB"
PAGE = 500
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_UID = re.compile(r"[0-9.]{1,64}")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, *_: Any) -> NoReturn:
        raise WardroundError(
            f"{req.full_url}: redirects (HTTP {code})", hint="give the archive's own DICOMweb URL"
        )


def find(
    url: str, query: Mapping[str, str] | None = None, *, timeout_s: float = 60.0
) -> Iterator[tuple[str, str, str]]:
    """(study, series, instance) UIDs that match `query` (DICOM keywords → values), page by page."""
    offset = 0
    while True:
        asked = urlencode({**(query or {}), "limit": PAGE, "offset": offset})
        data = _call(f"{_base(url)}/instances?{asked}", "application/dicom+json", timeout_s)
        try:
            rows = msgspec.json.decode(data or b"[]", type=list[dict[str, Any]])
        except msgspec.DecodeError as e:
            raise WardroundError(f"{_base(url)}: not a DICOMweb reply ({e})") from e
        for row in rows:
            found = tuple(_uid(row, tag) for tag in (_STUDY, _SERIES, _INSTANCE))
            yield found[0], found[1], found[2]
        if len(rows) < PAGE:
            return
        offset += PAGE


def _uid(row: Mapping[str, Any], tag: str) -> str:
    values = (row.get(tag) or {}).get("Value") or [""]
    text = str(values[0])
    if not _UID.fullmatch(text):
        raise WardroundError(f"a DICOMweb reply with no usable UID in {tag}: {text[:80]!r}")
    return text


def fetch(
    url: str, out: Path, query: Mapping[str, str] | None = None, *, timeout_s: float = 60.0
) -> list[Path]:
    """Every instance that matches, in `out` as `UID.dcm`; one that is there already is not fetched again."""
    out.mkdir(parents=True, exist_ok=True)
    found = []
    for study, series, instance in find(url, query, timeout_s=timeout_s):
        path = out / f"{instance}.dcm"
        found.append(path)
        if path.exists():
            continue
        place = f"{_base(url)}/studies/{study}/series/{series}/instances/{instance}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        data = _first_part(_call(place, accept, timeout_s), place)
        part = path.with_suffix(".part")
        part.write_bytes(data)
        os.replace(part, path)
    return found


def store(url: str, objects: Mapping[str, bytes], *, timeout_s: float = 60.0) -> None:
    """Send DICOM files (name → bytes); `WardroundError` when the archive doesn't take them all."""
    boundary = uuid.uuid5(uuid.NAMESPACE_OID, ",".join(sorted(objects))).hex
    parts = [
        b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), data)
        for data in objects.values()
    ]
    body = b"".join(parts) + b"--%b--\r\n" % boundary.encode()
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    data = _call(f"{_base(url)}/studies", "application/dicom+json", timeout_s, body, kind)
    try:
        reply = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as e:
        raise WardroundError(f"{_base(url)}: not a DICOMweb reply ({e})") from e
    taken = len((reply.get("00081199") or {}).get("Value") or [])
    if taken < len(objects):
        raise WardroundError(f"{_base(url)}: took {taken} of {len(objects)} objects")


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise UsageError(
            f"{parts.scheme}://{parts.hostname}{parts.path}: not a DICOMweb URL",
            hint=f"e.g. http://host:8042/dicom-web; user and password go in {VARIABLE}",
        )
    return url.rstrip("/")


def _call(
    url: str, accept: str, timeout_s: float, body: bytes | None = None, kind: str = ""
) -> bytes:
    request = urllib.request.Request(url, data=body, headers={"Accept": accept})
    if kind:
        request.add_header("Content-Type", kind)
    secret = os.environ.get(VARIABLE, "")
    if secret:
        coded = base64.b64encode(secret.encode()).decode("ascii")
        request.add_header("Authorization", f"Basic {coded}")
    place = url.partition("?")[0]
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=timeout_s) as reply:
            data: bytes = reply.read()
            return data
    except urllib.error.HTTPError as e:
        with e:
            hint = f"set {VARIABLE}=user:password" if e.code in {401, 403} else ""
            raise WardroundError(f"{place}: HTTP {e.code}", hint=hint) from None
    except (urllib.error.URLError, OSError) as e:
        why = getattr(e, "reason", e)
        raise WardroundError(f"{place}: {why}", hint="is the archive there?") from None


def _first_part(data: bytes, place: str) -> bytes:
    """The first body of a multipart reply; the reply itself when it is a bare DICOM file."""
    if data[128:132] == b"DICM":
        return data
    head, found, rest = data.partition(b"\r\n\r\n")
    boundary = head.partition(b"\r\n")[0].strip() or head.strip().partition(b"\r\n")[0]
    end = rest.find(b"\r\n" + boundary)
    if not found or not boundary.startswith(b"--") or end < 0:
        raise WardroundError(f"{place}: not a multipart reply")
    return rest[:end]
