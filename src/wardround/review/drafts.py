"""Drafts: what a person has written and not handed in, one for each place on the pages, told apart by its version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    and_,
    cast,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from wardround.errors import ConflictError
from wardround.review.tables import draft
from wardround.store.base import now
from wardround.store.database import Store


def place_of(item_id: int, round_: int) -> str:
    """Where the draft of a review is kept."""
    return f"review:{item_id}:{round_}"


def place_in(item_id: ColumnElement[int], round_: ColumnElement[int]) -> ColumnElement[str]:
    """`place_of` within a statement."""
    return literal("review:") + cast(item_id, String) + literal(":") + cast(round_, String)


def save_draft(
    store: Store, user_id: int, place: str, body: Mapping[str, Any], *, version: int
) -> int:
    """Keep an unfinished review; returns the draft's new version. Renews nothing and tells nobody.

    `version`: the draft's version this text grew from, 0 for none. `ConflictError` when another tab saved since.
    """
    with store.write() as conn:
        values = {"body": dict(body), "at": now(), "version": version + 1}
        here = and_(draft.c.user_id == user_id, draft.c.place == place)
        done = conn.execute(update(draft).where(here, draft.c.version == version).values(**values))
        if done.rowcount == 1:
            return version + 1
        newer = ConflictError(
            "a newer draft was saved in another tab", hint="load it, or go on here and replace it"
        )
        if version or conn.execute(select(draft.c.version).where(here)).first():
            raise newer
        try:
            conn.execute(insert(draft), values | {"user_id": user_id, "place": place})
        except IntegrityError:  # PostgreSQL: another tab was quicker by a moment
            raise newer from None
        return 1


def read_draft(conn: Connection, user_id: int, place: str) -> tuple[dict[str, Any] | None, int]:
    """(body, version) of a draft; (None, 0) without one."""
    row = conn.execute(
        select(draft.c.body, draft.c.version).where(
            draft.c.user_id == user_id, draft.c.place == place
        )
    ).first()
    return (None, 0) if row is None else (row[0], row[1])
