"""What waits for a model: the queue of drafts to write, in the database, so that it outlives any process.

A job is queued, then running under a lease, then done or cancelled. `claim` takes what is due and what a process left
behind when it died. Each claim counts a try, and only the holder of the newest try may finish the job: a job that is
done twice makes one version. Nothing is lost while an endpoint is down: the job stays queued with what went wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, and_, func, or_, select, update

from wardround.records import Record
from wardround.review import drafting, opening, rounds
from wardround.review.study import Part
from wardround.review.tables import item, job, study, version
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.events import record
from wardround.store.people import event

LEASE_MS = 120_000
"""A running job whose holder was not heard of for so long is queued again."""
FIRST_MS, MOST_MS = 5_000, 600_000
"""The wait after a first failure, doubled at each further one up to the second."""
UNREAD_AFTER = 3
"""Tries after which a question that this model alone can't answer (refused by a filter, too long) is a strike."""


class Claimed(Record, frozen=True, kw_only=True):
    """A job that is ours to do, while its number of tries stays as it is."""

    id: int
    study: int
    item: int
    round: int
    tries: int
    guidance: str
    model: str


class Work(Record, frozen=True, kw_only=True):
    """What a job asks for."""

    key: str
    question: drafting.Question
    previous: drafting.Draft | None


class Waiting(Record, frozen=True, kw_only=True):
    """A study's queue. `errors`: what went wrong last → how many jobs; `next_due`: when one is tried again."""

    queued: int
    running: int
    errors: dict[str, int]
    next_due: int | None


def open_studies(conn: Connection) -> dict[int, str]:
    """Id of each open study → the model that writes for it."""
    rows = conn.execute(select(study.c.id, study.c.config).where(study.c.status == "open"))
    return {row.id: opening.read_config(row.config).model for row in rows}


def _due(studies: Collection[int]) -> Any:
    j = job.c
    ready = and_(j.state.in_(("queued", "running")), j.due_at <= now())
    return and_(j.study_id.in_(list(studies)), ready)


def claim(
    store: Store, most: int, *, paused: Collection[str] = (), lease_ms: int = LEASE_MS
) -> list[Claimed]:
    """Take up to `most` due jobs, the longest due first; none of the models in `paused`."""
    with store.read() as conn:
        models = {k: m for k, m in open_studies(conn).items() if m not in paused}
        if not conn.execute(select(job.c.id).where(_due(models)).limit(1)).first():
            return []
    with store.write() as conn:
        rows = (
            conn.execute(
                select(job)
                .where(_due(models))
                .order_by(job.c.due_at, job.c.id)
                .limit(most)
                .with_for_update(skip_locked=True)
            )
            .mappings()
            .all()
        )
        for row in rows:
            conn.execute(
                update(job)
                .where(job.c.id == row["id"])
                .values(state="running", tries=row["tries"] + 1, due_at=now() + lease_ms)
            )
            if row["state"] == "running":
                _tell(conn, row, "draft.lost", {"try": row["tries"]})
    return [
        Claimed(
            id=r["id"], study=r["study_id"], item=r["item_id"], round=r["round"],
            tries=r["tries"] + 1, guidance=r["guidance"], model=models[r["study_id"]],
        )
        for r in rows
    ]  # fmt: skip


def renew(store: Store, held: Collection[Claimed], *, lease_ms: int = LEASE_MS) -> None:
    """Say that these are still being worked on."""
    with store.write() as conn:
        for one in held:
            conn.execute(update(job).where(_mine(one)).values(due_at=now() + lease_ms))


def release(store: Store, held: Collection[Claimed]) -> None:
    """Give jobs back undone."""
    with store.write() as conn:
        for one in held:
            conn.execute(update(job).where(_mine(one)).values(state="queued", due_at=now()))


def _mine(one: Claimed) -> Any:
    return and_(job.c.id == one.id, job.c.state == "running", job.c.tries == one.tries)


def work_of(conn: Connection, one: Claimed) -> Work | None:
    """What to ask; None when the item waits for no draft any more."""
    row = conn.execute(select(item).where(item.c.id == one.item)).mappings().one()
    if not _wanted(row, one):
        return None
    last = (
        conn.execute(
            select(version.c.content, version.c.data)
            .where(version.c.item_id == one.item)
            .order_by(version.c.number.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    previous = None
    if last is not None:
        content = msgspec.convert(last["content"], tuple[Part, ...])
        previous = drafting.draft_of(content, last["data"])
    return Work(key=row["key"], question=drafting.question_of(row["data"]), previous=previous)


def _wanted(row: RowMapping, one: Claimed) -> bool:
    return bool(row["status"] == "drafting" and row["round"] + 1 == one.round)


def finish(store: Store, one: Claimed, made: drafting.Attempt, author: str) -> str:
    """Write the draft and what follows from it, or the strike that unreadable replies are; all or nothing.

    Returns the item's state, or "late" when the job is no longer ours, "cancelled" when nobody waits for it.
    """
    with store.write() as conn:
        row = rounds.locked(conn, one.item)
        done = conn.execute(
            update(job).where(_mine(one)).values(state="done", ended_at=now(), error=made.reason)
        )
        if done.rowcount != 1:
            return "late"
        if not _wanted(row, one):
            conn.execute(update(job).where(job.c.id == one.id).values(state="cancelled"))
            return "cancelled"
        verb = "draft.written" if made.draft else "draft.unread"
        told = {"job": one.id, "try": one.tries, "model": author, "replies": list(made.tries)}
        record(conn, verb, "item", one.item, actor=None, study_id=one.study, after=told)
        config = opening.config_of(conn, one.study)
        if made.draft is None:
            detail = f"{made.reason}: {made.reply[:500]}" if made.reply else made.reason
            return rounds.unread(conn, config, row, guidance=one.guidance, detail=detail)
        return rounds.add_version(
            conn, config, row, drafting.content_of(made.draft),
            data={"answer": made.draft.answer}, author_kind="model", author=author,
            guidance=one.guidance, by=None,
        )  # fmt: skip


def put_back(store: Store, one: Claimed, error: str) -> None:
    """Queue a job again that could not be done, later each time, and say why."""
    wait = min(FIRST_MS * 2 ** min(one.tries - 1, 16), MOST_MS)
    wait += one.id * 7919 % (wait // 4)  # not all at the same moment
    with store.write() as conn:
        done = conn.execute(
            update(job)
            .where(_mine(one))
            .values(state="queued", due_at=now() + wait, error=error[:2000])
        )
        if done.rowcount == 1:
            row = {"study_id": one.study, "item_id": one.item, "id": one.id}
            _tell(conn, row, "draft.failed", {"try": one.tries, "error": error[:2000]})


def _tell(conn: Connection, row: Any, verb: str, after: dict[str, Any]) -> None:
    told = {"job": row["id"], **after}
    record(conn, verb, "item", row["item_id"], actor=None, study_id=row["study_id"], after=told)


def drop(store: Store, one: Claimed) -> None:
    """End a job that nobody waits for."""
    with store.write() as conn:
        conn.execute(update(job).where(_mine(one)).values(state="cancelled", ended_at=now()))


def waiting(conn: Connection, study_id: int) -> Waiting:
    """A study's queue, for the coordinator."""
    j = job.c
    rows = conn.execute(
        select(j.state, j.error, func.count().label("n"), func.min(j.due_at).label("due"))
        .where(j.study_id == study_id, or_(j.state == "queued", j.state == "running"))
        .group_by(j.state, j.error)
    ).all()
    errors: Counter[str] = Counter()
    for row in rows:
        if row.error:
            errors[row.error] += row.n
    due = [row.due for row in rows if row.state == "queued"]
    return Waiting(
        queued=sum(r.n for r in rows if r.state == "queued"),
        running=sum(r.n for r in rows if r.state == "running"),
        errors=dict(errors.most_common()),
        next_due=min(due) if due else None,
    )


def retry_now(conn: Connection, study_id: int, *, by: int | None) -> int:
    """Make all queued jobs of a study due at once: the coordinator knows that the endpoint is back."""
    done = conn.execute(
        update(job).where(job.c.study_id == study_id, job.c.state == "queued").values(due_at=now())
    )
    record(
        conn, "jobs.hurried", "study", study_id, actor=by, study_id=study_id,
        after={"jobs": done.rowcount},
    )  # fmt: skip
    return int(done.rowcount)


def last_hurried(conn: Connection) -> int:
    """When anybody last said to try drafts again, in milliseconds since 1970; 0 when nobody has."""
    e = event.c
    found = conn.execute(
        select(func.max(e.at)).where(e.verb.in_(("jobs.hurried", "job.hurried")))
    ).scalar()
    return found or 0
