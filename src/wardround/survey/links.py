"""Links that let respondents in without a name: one each in batches, or one for all with a token for each browser.

A token is 144 random bits and is shown once, when it is made; the database has its SHA-256. Answers are kept under
another digest (`holder_of`), so neither table leads to the other without the link. Nobody's name is asked or stored:
who got which link is known only to whoever sent the links out.
"""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import func, insert, select, update

from wardround.errors import RefusedError, UsageError
from wardround.records import Record
from wardround.store import base, events
from wardround.store.database import Store
from wardround.survey import tables as t
from wardround.survey.surveys import Survey, load

MOST = 5000
"""Links in one batch."""


class Seat(Record, frozen=True, kw_only=True):
    """What a token lets its holder do. `holder` is "" for a shared link, which first makes a token of its own."""

    survey: Survey
    kind: str
    holder: str


def new_token() -> str:
    """A fresh token: 24 characters, safe in a URL."""
    return secrets.token_urlsafe(18)


def token_id(token: str) -> str:
    """What the table of tokens holds of it."""
    return hashlib.sha256(f"link\n{token}".encode()).hexdigest()


def holder_of(token: str) -> str:
    """Under what an answer given with it is kept."""
    return hashlib.sha256(f"answer\n{token}".encode()).hexdigest()


def make(
    store: Store, survey_id: int, count: int, *, batch: str = "", actor: int | None = None
) -> list[str]:
    """`count` new single links' tokens. They are returned this once and can't be had again."""
    if not 1 <= count <= MOST:
        raise UsageError(f"{count} links", hint=f"from 1 to {MOST} at a time")
    tokens = [new_token() for _ in range(count)]
    made = {"survey_id": survey_id, "kind": "single", "batch": batch[:80], "created_at": base.now()}
    with store.write() as conn:
        load(conn, survey_id)
        # In the order of their digests: the order in which they were made says nothing later.
        rows = [{**made, "id": x} for x in sorted(map(token_id, tokens))]
        conn.execute(insert(t.token), rows)
        after = {"count": count, "batch": made["batch"]}
        events.record(conn, "links.made", "survey", survey_id, actor=actor, after=after)
    return tokens


def share(store: Store, survey_id: int, *, actor: int | None = None) -> str:
    """A new link for all; the one before stops letting new browsers in."""
    token = new_token()
    at = base.now()
    with store.write() as conn:
        load(conn, survey_id)
        revoked = conn.execute(
            update(t.token)
            .where(
                t.token.c.survey_id == survey_id,
                t.token.c.kind == "shared",
                t.token.c.revoked_at.is_(None),
            )
            .values(revoked_at=at)
        ).rowcount
        row = {"id": token_id(token), "survey_id": survey_id, "kind": "shared", "created_at": at}
        conn.execute(insert(t.token).values(row))
        events.record(
            conn, "link.shared", "survey", survey_id, actor=actor, after={"replaced": revoked}
        )
    return token


def revoke(store: Store, survey_id: int, *, batch: str, actor: int | None = None) -> int:
    """Stop the single links of a batch; what was answered with them stays. Returns their number."""
    with store.write() as conn:
        stopped = conn.execute(
            update(t.token)
            .where(
                t.token.c.survey_id == survey_id, t.token.c.kind == "single",
                t.token.c.batch == batch, t.token.c.revoked_at.is_(None),
            )
            .values(revoked_at=base.now())
        ).rowcount  # fmt: skip
        after = {"count": stopped, "batch": batch}
        events.record(conn, "links.revoked", "survey", survey_id, actor=actor, after=after)
    return int(stopped)


def batches(store: Store, survey_id: int) -> list[tuple[str, int, int]]:
    """Each batch of single links: its name, how many there are, and how many of them still work."""
    k = t.token.c
    with store.read() as conn:
        rows = conn.execute(
            select(k.batch, func.count(), func.count() - func.count(k.revoked_at))
            .where(k.survey_id == survey_id, k.kind == "single")
            .group_by(k.batch)
            .order_by(func.min(k.created_at))
        )
        return [(str(name), int(n), int(left)) for name, n, left in rows]


def is_shared(store: Store, survey_id: int) -> bool:
    """Whether a shared link is in use."""
    k = t.token.c
    with store.read() as conn:
        found = conn.execute(
            select(k.id).where(k.survey_id == survey_id, k.kind == "shared", k.revoked_at.is_(None))
        ).first()
    return found is not None


def admit(store: Store, token: str) -> Seat:
    """Who comes with this token. `RefusedError` when no such link is in use."""
    with store.read() as conn:
        row = conn.execute(
            select(t.token.c.survey_id, t.token.c.kind).where(
                t.token.c.id == token_id(token), t.token.c.revoked_at.is_(None)
            )
        ).first()
        if row is None:
            raise RefusedError("this link is not valid", hint="ask for a new one where you got it")
        found = load(conn, int(row.survey_id))
    return Seat(
        survey=found, kind=row.kind, holder="" if row.kind == "shared" else holder_of(token)
    )


def enter(store: Store, shared: str) -> str:
    """A browser's own token from the shared link. `RefusedError` when the link has let enough in."""
    seat = admit(store, shared)
    if seat.kind != "shared":
        raise UsageError("this link is one person's own")
    token = new_token()
    k = t.token.c
    with store.write() as conn:
        let_in = conn.execute(
            select(func.count()).where(k.survey_id == seat.survey.id, k.kind == "browser")
        ).scalar_one()
        if let_in >= seat.survey.config.most_shared:
            raise RefusedError(
                "this shared link has reached its limit", hint="ask the coordinator for a link of your own"
            )  # fmt: skip
        row = {
            "id": token_id(token), "survey_id": seat.survey.id, "kind": "browser", "created_at": base.now(),
        }  # fmt: skip
        conn.execute(insert(t.token).values(row))
    return token
