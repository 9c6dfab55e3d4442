"""Surveys and their tasks: made, changed while in preparation, opened, closed; a feedback stage made from a finished one.

Tasks and settings are fixed once a survey is open, so all respondents answer the same; only the sample outputs and
the coordinator's own decisions may still change. Every change is an event.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, func, insert, select

from wardround.errors import ConflictError, UsageError
from wardround.records import Record
from wardround.store import base, database, events
from wardround.store.database import Store
from wardround.survey import tables as t
from wardround.survey.answers import clean
from wardround.survey.design import Sample, Stage, SurveyConfig, SurveyTask, proposed

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")


class Survey(Record, frozen=True, kw_only=True):
    """A survey as stored."""

    id: int
    slug: str
    stage: Stage
    status: str
    parent_id: int | None
    config: SurveyConfig
    created_at: int
    opened_at: int | None
    closed_at: int | None
    version: int


class StoredTask(Record, frozen=True, kw_only=True):
    """A task of a survey as stored. `kind`: "proposed" (respondents see it) or "grouped" (made of what they added)."""

    id: int
    kind: str
    place: int
    task: SurveyTask
    samples: tuple[Sample, ...]
    overruled: dict[str, Any] | None
    version: int


def create(
    store: Store,
    slug: str,
    config: SurveyConfig,
    *,
    stage: Stage = "inspiration",
    tasks: Sequence[SurveyTask] | None = None,
    parent_id: int | None = None,
    actor: int | None = None,
) -> Survey:
    """A new survey in preparation, with the taxonomy's tasks unless others are given."""
    config.check()
    if not SLUG.fullmatch(slug):
        raise UsageError(f"{slug!r} can't name a survey", hint="lower-case letters, digits and -")
    with store.write() as conn:
        if conn.execute(select(t.survey.c.id).where(t.survey.c.slug == slug)).first():
            raise UsageError(f"there is a survey named {slug}", hint="choose another name")
        row = {
            "slug": slug, "stage": stage, "status": "draft", "parent_id": parent_id,
            "config": msgspec.to_builtins(config), "created_by": actor, "created_at": base.now(),
        }  # fmt: skip
        survey_id = int(
            conn.execute(insert(t.survey).values(row).returning(t.survey.c.id)).scalar_one()
        )
        after = {"slug": slug, "stage": stage, "config": row["config"]}
        events.record(conn, "survey.created", "survey", survey_id, actor=actor, after=after)
        _add_tasks(conn, survey_id, proposed() if tasks is None else tasks, "proposed", actor)
        return load(conn, survey_id)


def _add_tasks(
    conn: Connection, survey_id: int, tasks: Iterable[SurveyTask], kind: str, actor: int | None
) -> list[int]:
    place = conn.execute(
        select(func.coalesce(func.max(t.task.c.place), 0)).where(t.task.c.survey_id == survey_id)
    ).scalar_one()
    made = []
    for place_of, task in enumerate(tasks, start=place + 1):
        _complete(task)
        row = {
            "survey_id": survey_id, "key": task.key, "place": place_of, "kind": kind,
            "body": msgspec.to_builtins(task), "samples": [],
        }  # fmt: skip
        task_id = int(conn.execute(insert(t.task).values(row).returning(t.task.c.id)).scalar_one())
        events.record(
            conn, "task.added", "survey_task", task_id, actor=actor, after={**row["body"], "kind": kind}
        )  # fmt: skip
        made.append(task_id)
    return made


def _complete(task: SurveyTask) -> None:
    if not KEY.fullmatch(task.key):
        raise UsageError(
            f"{task.key!r} can't be a task's id", hint="lower-case letters, digits and _"
        )
    missing = [k for k in ("zh", "en", "phase", "definition") if not getattr(task, k).strip()]
    if missing:
        raise UsageError(f"task {task.key} has no {', '.join(missing)}")


_SURVEY = select(
    t.survey.c.id, t.survey.c.slug, t.survey.c.stage, t.survey.c.status, t.survey.c.parent_id,
    t.survey.c.config, t.survey.c.created_at, t.survey.c.opened_at, t.survey.c.closed_at,
    t.survey.c.version,
)  # fmt: skip


def load(conn: Connection, which: int | str) -> Survey:
    """A survey by its number or name; `UsageError` where there is none."""
    column = t.survey.c.id if isinstance(which, int) else t.survey.c.slug
    row = conn.execute(_SURVEY.where(column == which)).mappings().first()
    if row is None:
        raise UsageError(f"no survey {which}", hint="wardround survey list shows them")
    return msgspec.convert(plain(row), Survey)


def plain(row: RowMapping) -> dict[str, Any]:
    """A row under keys that are `str` itself, as msgspec wants them."""
    return {str(k): v for k, v in row.items()}


def listed(conn: Connection) -> list[tuple[Survey, int]]:
    """All surveys, the newest first, each with its number of answers."""
    answered = (
        select(t.response.c.survey_id, func.count())
        .where(t.response.c.answer.is_not(None))
        .group_by(t.response.c.survey_id)
    )
    counts = {int(survey_id): int(n) for survey_id, n in conn.execute(answered)}
    rows = conn.execute(_SURVEY.order_by(t.survey.c.id.desc())).mappings()
    return [(s, counts.get(s.id, 0)) for s in (msgspec.convert(plain(r), Survey) for r in rows)]


def tasks(conn: Connection, survey_id: int, kind: str | None = None) -> list[StoredTask]:
    """A survey's tasks in their order."""
    chosen = (
        select(t.task).where(t.task.c.survey_id == survey_id).order_by(t.task.c.place, t.task.c.id)
    )
    if kind is not None:
        chosen = chosen.where(t.task.c.kind == kind)
    return [_task(row) for row in conn.execute(chosen).mappings()]


def _task(row: RowMapping) -> StoredTask:
    return msgspec.convert({**plain(row), "task": row["body"]}, StoredTask)


def shown(conn: Connection, survey_id: int) -> list[SurveyTask]:
    """The tasks respondents are asked about."""
    return [x.task for x in tasks(conn, survey_id, "proposed")]


def counts(conn: Connection, survey_id: int) -> dict[str, int]:
    """Links made, drafts begun, answers submitted and rows imported, tasks added that wait for the coordinator."""
    r, a, k = t.response.c, t.addition.c, t.token.c

    def number(*where: Any) -> int:
        return int(conn.execute(select(func.count()).where(*where)).scalar_one())

    return {
        "links": number(k.survey_id == survey_id, k.kind == "single", k.revoked_at.is_(None)),
        "browsers": number(k.survey_id == survey_id, k.kind == "browser"),
        "begun": number(r.survey_id == survey_id, r.answer.is_(None)),
        "answers": number(r.survey_id == survey_id, r.answer.is_not(None)),
        "imported": number(r.survey_id == survey_id, r.source == "import"),
        "additions": number(a.survey_id == survey_id, a.state != "withdrawn"),
        "waiting": number(a.survey_id == survey_id, a.state == "open"),
    }


def in_preparation(found: Survey) -> None:
    """`ConflictError` unless the survey may still be changed."""
    if found.status != "draft":
        raise ConflictError(
            f"survey {found.slug} is {found.status}; its questions are fixed",
            hint="make a new survey for other questions",
        )


def configure(
    store: Store, survey_id: int, config: SurveyConfig, version: int, *, actor: int | None = None
) -> None:
    """Other settings. Once it is open, only the rule may change."""
    config.check()
    with store.write() as conn:
        found = load(conn, survey_id)
        if msgspec.structs.replace(config, rule=found.config.rule) != found.config:
            in_preparation(found)
        before, after = msgspec.to_builtins(found.config), msgspec.to_builtins(config)
        database.changed(conn, t.survey, survey_id, version, {"config": after})
        events.record(
            conn, "survey.configured", "survey", survey_id, actor=actor, before=before, after=after
        )


def add_task(store: Store, survey_id: int, task: SurveyTask, *, actor: int | None = None) -> int:
    """One more task to propose; returns its number."""
    with store.write() as conn:
        in_preparation(load(conn, survey_id))
        _no_twin(conn, survey_id, task.key)
        return _add_tasks(conn, survey_id, [tidy(task)], "proposed", actor)[0]


def add_grouped(conn: Connection, survey_id: int, task: SurveyTask, actor: int | None) -> int:
    """A task made of what respondents added; returns its number."""
    _no_twin(conn, survey_id, task.key)
    return _add_tasks(conn, survey_id, [tidy(task)], "grouped", actor)[0]


def _no_twin(conn: Connection, survey_id: int, task_key: str) -> None:
    there = select(t.task.c.id).where(t.task.c.survey_id == survey_id, t.task.c.key == task_key)
    if conn.execute(there).first():
        raise UsageError(f"the survey has a task {task_key} already", hint="choose another id")


def tidy(task: SurveyTask) -> SurveyTask:
    """The task with its texts cleaned, and a fixed instruction where it has none."""
    words = {
        k: clean(getattr(task, k), 1000)
        for k in ("zh", "en", "definition", "instruction", "example_zh", "example_en")
    }
    words["instruction"] = words["instruction"] or instruction_for(words["zh"], task.takes)
    return msgspec.structs.replace(task, **words)


def instruction_for(zh: str, takes: str) -> str:
    """The fixed instruction of a task that was given none."""
    return (
        f"请根据以下病例描述，完成“{zh}”。" if takes == "case" else f"请回答以下“{zh}”方面的问题。"
    )


def change_task(
    store: Store, task_id: int, task: SurveyTask, version: int, *, actor: int | None = None
) -> None:
    """Other words for a task. A proposed one only while the survey is in preparation; its id stays."""
    with store.write() as conn:
        found, stored = _of(conn, task_id)
        if stored.kind == "proposed":
            in_preparation(found)
        task = tidy(msgspec.structs.replace(task, key=stored.task.key))
        _complete(task)
        after = msgspec.to_builtins(task)
        database.changed(conn, t.task, task_id, version, {"body": after})
        events.record(
            conn, "task.changed", "survey_task", task_id, actor=actor,
            before=msgspec.to_builtins(stored.task), after=after,
        )  # fmt: skip


def remove_task(store: Store, task_id: int, *, actor: int | None = None) -> None:
    """Take a proposed task off the list, while the survey is in preparation."""
    with store.write() as conn:
        found, stored = _of(conn, task_id)
        in_preparation(found)
        conn.execute(t.task.delete().where(t.task.c.id == task_id))
        events.record(
            conn, "task.removed", "survey_task", task_id, actor=actor, before=msgspec.to_builtins(stored.task)
        )  # fmt: skip


def _of(conn: Connection, task_id: int) -> tuple[Survey, StoredTask]:
    row = conn.execute(select(t.task).where(t.task.c.id == task_id)).mappings().first()
    if row is None:
        raise ConflictError("this task is no longer there")
    return load(conn, int(row["survey_id"])), _task(row)


def give_samples(
    store: Store, survey_id: int, samples: dict[str, list[Sample]], *, actor: int | None = None
) -> int:
    """Sample outputs by task, in place of those it had; returns how many tasks have one now."""
    with store.write() as conn:
        mine = {x.task.key: x for x in tasks(conn, survey_id, "proposed")}
        unknown = sorted(set(samples) - set(mine))
        if unknown:
            raise UsageError(f"no task {', '.join(unknown)} in this survey")
        for key, given in samples.items():
            task = mine[key]
            after = [msgspec.to_builtins(s) for s in given]
            database.changed(conn, t.task, task.id, task.version, {"samples": after})
            events.record(
                conn, "samples.given", "survey_task", task.id, actor=actor,
                before={"samples": len(task.samples)}, after={"samples": after},
            )  # fmt: skip
        return sum(bool(x.samples) for x in tasks(conn, survey_id, "proposed"))


def overrule(
    store: Store,
    task_id: int,
    keep: bool | None,
    reason: str,
    version: int,
    *,
    actor: int | None = None,
) -> None:
    """The coordinator's decision against (or for want of) the rule's, with a reason; None takes it back."""
    reason = clean(reason, 500)
    if keep is not None and not reason:
        raise UsageError("a decision against the rule needs a reason")
    after = None if keep is None else {"keep": keep, "reason": reason}
    with store.write() as conn:
        _, stored = _of(conn, task_id)
        database.changed(conn, t.task, task_id, version, {"overruled": after})
        events.record(
            conn, "task.decided", "survey_task", task_id, actor=actor,
            before=stored.overruled, after=after, note=reason,
        )  # fmt: skip


MOVES = {("draft", "open"), ("open", "closed"), ("closed", "open")}


def move(
    store: Store, survey_id: int, status: str, version: int, *, actor: int | None = None
) -> Survey:
    """Open a survey, close it, or open it again. `ConflictError` for another step."""
    with store.write() as conn:
        found = load(conn, survey_id)
        if (found.status, status) not in MOVES:
            raise ConflictError(f"survey {found.slug} is {found.status}; it can't become {status}")
        if not shown(conn, survey_id):
            raise UsageError(f"survey {found.slug} has no task to ask about")
        values: dict[str, Any] = {"status": status}
        if status == "open":
            values |= {"closed_at": None, "opened_at": found.opened_at or base.now()}
        else:
            values["closed_at"] = base.now()
        database.changed(conn, t.survey, survey_id, version, values)
        verb = "survey.closed" if status == "closed" else "survey.opened"
        events.record(
            conn, verb, "survey", survey_id, actor=actor,
            before={"status": found.status}, after={"status": status},
        )  # fmt: skip
        return load(conn, survey_id)


def feedback_of(
    store: Store,
    inspiration_id: int,
    slug: str,
    config: SurveyConfig,
    *,
    actor: int | None = None,
) -> Survey:
    """The feedback stage on a closed inspiration stage: its tasks and those made of what respondents added, without
    those the coordinator has decided against."""
    with store.read() as conn:
        found = load(conn, inspiration_id)
        waiting = counts(conn, inspiration_id)["waiting"]
        consolidated = [
            x.task for x in tasks(conn, inspiration_id) if (x.overruled or {"keep": True})["keep"]
        ]
    if found.stage != "inspiration":
        raise UsageError(
            f"{found.slug} is no inspiration stage", hint="name the survey that came first"
        )
    if found.status != "closed":
        raise ConflictError(f"{found.slug} is still {found.status}", hint="close it first")
    if waiting:
        raise ConflictError(
            f"{found.slug}: {waiting} added tasks are neither merged nor rejected",
            hint="settle them first: wardround survey additions, wardround survey group",
        )
    return create(
        store, slug, config, stage="feedback", tasks=consolidated, parent_id=inspiration_id, actor=actor
    )  # fmt: skip
