"""The fields of a posted form, read once, whoever asks first: the guard for its token, then the route."""

from __future__ import annotations

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
        return await request.form(max_files=FILES, max_fields=FIELDS, max_part_size=PART)
    # Starlette reads these piece by piece as they come, which takes nearly twice as long.
    text = (await request.body()).decode(errors="replace")
    try:
        return FormData([*parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS)])
    except ValueError as e:
        raise HTTPException(400) from e
