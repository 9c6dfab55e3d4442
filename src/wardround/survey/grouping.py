"""What becomes of the tasks that respondents added: merged into a task, named as a new one, or rejected with a reason.

The coordinator sees an added task without anything about who wrote it. Every step is an event; every step can be
taken back (`release`). A task made of additions disappears with the last of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from wardround.errors import ConflictError, UsageError
from wardround.records import Record
from wardround.store import database, events
from wardround.store.database import Store
from wardround.survey import similar
from wardround.survey import tables as t
from wardround.survey.answers import clean
from wardround.survey.design import SurveyTask
from wardround.survey.surveys import StoredTask, add_grouped, load, plain, tasks

STATES: dict[str, tuple[str, str]] = {
    "open": ("待处理", "waiting"),
    "merged": ("已归入", "merged"),
    "rejected": ("未采纳", "rejected"),
}


class Addition(Record, frozen=True, kw_only=True):
    """One added task. `task`: the key of the task it is merged into, "" otherwise."""

    id: int
    name: str
    example: str
    why: str
    state: str
    task: str
    reason: str
    version: int

    @property
    def text(self) -> str:
        """What is said beside the name."""
        return f"{self.example}\n{self.why}".strip()


class Suggestion(Record, frozen=True, kw_only=True):
    """What an added task is like: tasks of the survey, and other additions."""

    tasks: tuple[similar.Near, ...]
    others: tuple[similar.Near, ...]


class Board(Record, frozen=True, kw_only=True):
    """All the coordinator needs to group: additions, tasks, suggestions by addition, groups of alike ones."""

    additions: tuple[Addition, ...]
    tasks: tuple[StoredTask, ...]
    suggestions: dict[int, Suggestion]
    groups: tuple[tuple[int, ...], ...]


def additions(conn: Connection, survey_id: int) -> list[Addition]:
    """The added tasks of a survey that their writers have not withdrawn, by number."""
    rows = conn.execute(
        select(t.addition, t.task.c.key.label("task"))
        .outerjoin(t.task, t.task.c.id == t.addition.c.task_id)
        .where(t.addition.c.survey_id == survey_id, t.addition.c.state != "withdrawn")
        .order_by(t.addition.c.id)
    ).mappings()
    return [msgspec.convert({**plain(r), "task": r["task"] or ""}, Addition) for r in rows]


def board(store: Store, survey_id: int) -> Board:
    """The additions with suggestions for those that wait."""
    with store.read() as conn:
        found, known = additions(conn, survey_id), tasks(conn, survey_id)
    waiting = {a.id: (a.name, a.text) for a in found if a.state == "open"}
    others = similar.others_near(waiting)
    near = similar.tasks_near(waiting, [x.task for x in known])
    suggestions = {i: Suggestion(tasks=tuple(near[i]), others=tuple(others[i])) for i in waiting}
    return Board(
        additions=tuple(found), tasks=tuple(known), suggestions=suggestions,
        groups=tuple(tuple(g) for g in similar.clusters(others)),
    )  # fmt: skip


def merge(
    store: Store,
    survey_id: int,
    versions: Mapping[int, int],
    into: str,
    *,
    actor: int | None = None,
) -> None:
    """Put additions (number → version) under a task of the survey, by its key."""
    with store.write() as conn:
        target = next((x for x in tasks(conn, survey_id) if x.task.key == into), None)
        if target is None:
            raise UsageError(f"no task {into} in this survey", hint="choose one of its tasks")
        _settle(conn, survey_id, versions, "merged", actor, task_id=target.id)


def name_new(
    store: Store,
    survey_id: int,
    versions: Mapping[int, int],
    task: SurveyTask,
    *,
    actor: int | None = None,
) -> None:
    """Make a new task of additions."""
    if not versions:
        raise UsageError("a new task is made of at least one addition")
    task = msgspec.structs.replace(task, origin="survey")
    with store.write() as conn:
        load(conn, survey_id)
        task_id = add_grouped(conn, survey_id, task, actor)
        _settle(conn, survey_id, versions, "merged", actor, task_id=task_id)


def reject(
    store: Store,
    survey_id: int,
    versions: Mapping[int, int],
    reason: str,
    *,
    actor: int | None = None,
) -> None:
    """Leave additions out, with a reason that the results show."""
    reason = clean(reason, 500)
    if not reason:
        raise UsageError("a rejection needs a reason")
    with store.write() as conn:
        _settle(conn, survey_id, versions, "rejected", actor, reason=reason)


def release(
    store: Store, survey_id: int, versions: Mapping[int, int], *, actor: int | None = None
) -> None:
    """Take a decision on additions back."""
    with store.write() as conn:
        _settle(conn, survey_id, versions, "open", actor)


def _settle(
    conn: Connection,
    survey_id: int,
    versions: Mapping[int, int],
    state: str,
    actor: int | None,
    *,
    task_id: int | None = None,
    reason: str = "",
) -> None:
    if not versions:
        raise UsageError("no addition is chosen")
    rows = conn.execute(
        select(t.addition).where(
            t.addition.c.survey_id == survey_id, t.addition.c.id.in_(list(versions))
        )
    ).mappings()
    there = {r["id"]: r for r in rows}
    gone = [i for i in versions if i not in there or there[i]["state"] == "withdrawn"]
    if gone:
        raise ConflictError(
            f"added tasks {', '.join(map(str, gone))} are no longer there", hint="load the page again"
        )  # fmt: skip
    after: dict[str, Any] = {"state": state, "task_id": task_id, "reason": reason}
    for number, version in versions.items():
        old = there[number]
        before = {k: old[k] for k in after}
        if before == after:
            continue
        database.changed(conn, t.addition, number, version, after)
        verb = {"open": "released"}.get(state, state)
        events.record(
            conn, f"addition.{verb}", "survey_addition", number, actor=actor,
            before=before, after=after, note=reason,
        )  # fmt: skip
    _drop_empty(conn, survey_id, actor)


def _drop_empty(conn: Connection, survey_id: int, actor: int | None) -> None:
    """Tasks made of additions of which none is left."""
    used = select(t.addition.c.task_id).where(
        t.addition.c.survey_id == survey_id, t.addition.c.state == "merged"
    )
    rows = conn.execute(
        select(t.task).where(
            t.task.c.survey_id == survey_id, t.task.c.kind == "grouped", t.task.c.id.not_in(used)
        )
    ).mappings()
    for row in rows.all():
        conn.execute(
            t.addition.update().where(t.addition.c.task_id == row["id"]).values(task_id=None)
        )
        conn.execute(t.task.delete().where(t.task.c.id == row["id"]))
        events.record(
            conn, "task.removed", "survey_task", row["id"], actor=actor, before=row["body"],
            note="no addition is left in it",
        )  # fmt: skip


def new_key(known: Sequence[StoredTask], en: str) -> str:
    """A task id from an English name, unlike those in use."""
    words = "".join(c if c.isascii() and c.isalnum() else "_" for c in en.lower())
    stem = "_".join(w for w in words.split("_") if w)[:50].strip("_") or "added"
    if not stem[0].isalpha():
        stem = f"task_{stem}"
    taken = {x.task.key for x in known}
    numbers = (stem if n == 1 else f"{stem}_{n}" for n in range(1, len(taken) + 2))
    return next(k for k in numbers if k not in taken)
