"""The fields of a posted form, read once, whoever asks first: the guard for its token, then the route.

A NUL, which nobody sees and PostgreSQL doesn't keep, is left out.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

FIELDS, FILES, PART = 2000, 20, 4_000_000
"""Fields and files of a form, and bytes of one field, at most."""
_PLAIN = "application/x-www-form-urlencoded"


async def fields_of(request: Request) -> FormData:
    """What the form says; nothing where what was sent is no form. `HTTPException` (400) for one that can't be read or has
    too many fields."""
    found: FormData | None = getattr(request.state, "form", None)
    if found is None:
        found = request.state.form = await _read(request)
    return found


async def _read(request: Request) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _PLAIN:
        sent = await request.form(max_files=FILES, max_fields=FIELDS, max_part_size=PART)
        return FormData([(without_nul(k), without_nul(v)) for k, v in sent.multi_items()])
    # Starlette reads these piece by piece as they come, which takes nearly twice as long.
    text = (await request.body()).decode(errors="replace").replace("%00", "").replace("\0", "")
    try:
        return FormData([*parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS)])
    except ValueError as e:
        raise HTTPException(400) from e


def without_nul(given: Any) -> Any:
    """What was sent, as JSON has it or a field of a form, without that character."""
    if isinstance(given, str):
        return given.replace("\0", "")
    if isinstance(given, dict):
        return {without_nul(k): without_nul(v) for k, v in given.items()}
    return [without_nul(v) for v in given] if isinstance(given, list) else given
