"""What a coordinator does to a running study, each with its event: plan anew, return leases, release a revision, ask
the model again, open a closed study again. Joining, leaving and closing are in `opening`, sending on in `panel`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select, update

from wardround.errors import ConflictError
from wardround.review import opening
from wardround.review.planning import Planned, hold_members, plan
from wardround.review.tables import assignment, draft, item, job, member, study
from wardround.store.base import now
from wardround.store.events import record


def replan(conn: Connection, study_id: int, *, by: int) -> Planned:
    """Plan all free slots anew, evenly over who is there now."""
    config = opening.config_of(conn, study_id)
    planned = plan(conn, study_id, seed=config.seed)
    record(
        conn, "study.replanned", "study", study_id, actor=by, study_id=study_id,
        after={"given": planned.given, "left": planned.left},
    )  # fmt: skip
    return planned


def reopen_study(conn: Connection, study_id: int, *, by: int) -> None:
    """Let reviews in again."""
    row = opening.study_row(conn, study_id)
    if row["status"] == "open":
        return
    conn.execute(update(study).where(study.c.id == study_id).values(status="open"))
    record(
        conn, "study.reopened", "study", study_id, actor=by, study_id=study_id,
        before={"status": row["status"]}, after={"status": "open"},
    )  # fmt: skip


def return_leases(conn: Connection, study_id: int, user_id: int, *, by: int) -> int:
    """Give back what a reviewer holds; returns how many. Their drafts stay, and they may still hand in what nobody
    else has taken up."""
    config = opening.config_of(conn, study_id)
    hold_members(conn, study_id)
    a = assignment.c
    held = conn.execute(
        select(a.id, a.item_id, a.task)
        .where(a.study_id == study_id, a.user_id == user_id, a.state == "held")
        .with_for_update(skip_locked=True)
    ).all()
    for row in held:
        values: dict[str, Any] = {"state": "void" if row.task == "gold" else "free"}
        if row.task == "revise":
            values["planned_for"] = None
        conn.execute(
            update(assignment)
            .where(a.id == row.id, a.state == "held")
            .values(**values, user_id=None, lease_until=None)
        )
        record(
            conn, "lease.returned", "item", row.item_id, actor=by, study_id=study_id,
            before={"user": user_id},
        )  # fmt: skip
    reviews = [row.item_id for row in held if row.task == "review"]
    if reviews:
        plan(conn, study_id, seed=config.seed, items=reviews)
    return len(held)


def release(conn: Connection, study_id: int, item_id: int, *, by: int) -> None:
    """A revision that was given to someone may now be made by anybody of the specialty.

    `ConflictError` when the item waits for none, or anybody may make it already.
    """
    a = assignment.c
    row = (
        conn.execute(
            select(assignment)
            .where(
                a.study_id == study_id, a.item_id == item_id, a.task == "revise",
                a.state.in_(("free", "held")),
            )
            .with_for_update()
        )
        .mappings()
        .first()
    )  # fmt: skip
    if row is None:
        raise ConflictError("this item waits for no revision", hint="load it again")
    if row["state"] == "free" and row["planned_for"] is None:
        raise ConflictError("anybody may make this revision already")
    conn.execute(
        update(assignment)
        .where(a.id == row["id"])
        .values(state="free", planned_for=None, user_id=None, lease_until=None)
    )
    record(
        conn, "revision.released", "item", item_id, actor=by, study_id=study_id,
        before={"planned_for": row["planned_for"], "user": row["user_id"]},
        after={"planned_for": None, "user": None},
    )  # fmt: skip


def retry(conn: Connection, study_id: int, job_id: int, *, by: int) -> None:
    """Ask the model for one draft again at once, not when its turn would come (all of them: `jobs.retry_now`).

    `ConflictError` when the job isn't waiting.
    """
    j = job.c
    row = conn.execute(
        select(j.item_id, j.due_at, j.tries, j.error)
        .where(j.id == job_id, j.study_id == study_id, j.state == "queued")
        .with_for_update()
    ).first()
    if row is None:
        raise ConflictError("this job is running or over", hint="load the page again")
    at = now()
    conn.execute(update(job).where(j.id == job_id).values(due_at=at))
    record(
        conn, "job.hurried", "item", row.item_id, actor=by, study_id=study_id, at=at,
        before={"job": job_id, "due_at": row.due_at, "tries": row.tries, "error": row.error},
        after={"job": job_id, "due_at": at},
    )  # fmt: skip


def item_row(conn: Connection, study_id: int, item_id: int) -> Any:
    """An item of this study. `ConflictError` for another study's, as for none."""
    row = (
        conn.execute(select(item).where(item.c.id == item_id, item.c.study_id == study_id))
        .mappings()
        .first()
    )
    if row is None:
        raise ConflictError("there is no such item in this study")
    return row


def forget_draft(conn: Connection, user_id: int, place: str) -> None:
    """A draft has become what it was for."""
    conn.execute(delete(draft).where(draft.c.user_id == user_id, draft.c.place == place))


def is_member(conn: Connection, study_id: int, user_id: int) -> bool:
    """Whether someone is or was a member of this study."""
    query = select(member.c.user_id).where(
        member.c.study_id == study_id, member.c.user_id == user_id
    )
    return conn.execute(query).first() is not None
