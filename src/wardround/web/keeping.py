"""Unfinished work, as a page sends it while somebody writes: kept as a draft, and told where another tab was here since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection
from starlette.responses import JSONResponse, Response

from wardround.errors import ConflictError
from wardround.review import drafts
from wardround.store.database import Store
from wardround.web import words
from wardround.web.forms import without_nul
from wardround.web.words import t

LARGEST = 1_000_000
"""Bytes of a draft: room for the longest comment and for revisions of every version."""


class DraftIn(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a page sends. `version`: of the draft it began with; `replace`: over whatever another tab saved."""

    version: int
    body: Any
    replace: bool = False


D = TypeVar("D", bound=DraftIn)


def keep(
    db: Store, user_id: int, raw: bytes, kind: type[D], place: Callable[[Connection, D], str]
) -> Response:
    """Keep a draft and answer with its version; 409 with the newer one's where another tab saved since.

    `place` says where it belongs, or raises where this person has no business.
    """
    if len(raw) > LARGEST:
        return _refusal(413, t("草稿太长，没有保存。", "The draft is too long to keep."))
    try:
        given = msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return _refusal(422, t("草稿没有保存。", "The draft was not kept."))
    with db.read() as conn:
        where = place(conn, given)
        _, there = drafts.read_draft(conn, user_id, where)
    body = without_nul(msgspec.to_builtins(given.body))
    try:
        version = drafts.save_draft(
            db, user_id, where, body, version=there if given.replace else given.version
        )
    except ConflictError as e:
        return _refusal(409, words.message(e), version=there)
    return JSONResponse({"version": version})


def _refusal(status: int, why: str, **more: int) -> Response:
    return JSONResponse({"error": why, **more}, status_code=status)
