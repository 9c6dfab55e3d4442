"""The event log: who, when, what, before → after. Rows are only ever added; the database refuses the rest.

An event is written in the transaction of the change it tells of, so neither stands without the other. Values that
are secret (hashes, tokens) are never handed to `record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from wardround.store.base import now
from wardround.store.people import event

_ADD = insert(event)


def record(
    conn: Connection,
    verb: str,
    entity: str,
    entity_id: int | str,
    *,
    actor: int | None,
    **what: Any,
) -> None:
    """Write one event: the row that `event_row` makes of the same arguments."""
    conn.execute(_ADD, event_row(verb, entity, entity_id, actor=actor, **what))


def event_row(
    verb: str,
    entity: str,
    entity_id: int | str,
    *,
    actor: int | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    study_id: int | None = None,
    note: str = "",
    at: int | None = None,
) -> dict[str, Any]:
    """An event's columns. `verb` is `noun.past_participle`; `actor` None is the system."""
    return {
        "at": now() if at is None else at, "actor": actor, "verb": verb, "entity": entity,
        "entity_id": str(entity_id), "study_id": study_id, "before": before, "after": after, "note": note,
    }  # fmt: skip
