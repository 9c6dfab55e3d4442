"""A reviewer's desk: the next item, its draft, handing in, taking back. Blind: no author, no other reviewer.

`next_tasks` leases one item (and one ahead, so that the page has it ready): first what the reviewer holds, then what
is planned for them, then what they may take from others whose queue is longer. A lease that ran out returns to the
pool. A review handed in twice is one review; a review for a round that closed meanwhile is refused and stays a draft.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import (
    BindParameter,
    Connection,
    Engine,
    Label,
    RowMapping,
    Select,
    Update,
    and_,
    bindparam,
    exists,
    insert,
    or_,
    select,
    update,
)

from wardround.errors import RefusedError
from wardround.records import Record
from wardround.review import opening, rounds
from wardround.review.drafts import place_in
from wardround.review.planning import ANY, plan
from wardround.review.study import Part, StudyConfig
from wardround.review.tables import FREE, HELD, assignment, draft, item, member, version
from wardround.store.base import Known, now
from wardround.store.database import Store
from wardround.store.events import record
from wardround.store.steps import Ask, Steps, alone
from wardround.store.together import Together

SWEEP_S = 5.0
"""Seconds between two looks for leases that ran out, in one process."""


class Task(Record, frozen=True, kw_only=True):
    """One item as a reviewer sees it. `task`: review, revise, or gold, which the page must not tell from review.
    `progress`: as `progress` below tells."""

    assignment: int
    item: int
    task: str
    round: int
    specialty: str
    version: int
    body: tuple[Part, ...]
    content: tuple[Part, ...]
    comments: tuple[str, ...] = ()
    draft: dict[str, Any] | None = None
    draft_version: int = 0
    lease_until: int
    progress: tuple[int, int]


_swept: dict[tuple[int, int], float] = {}
_gold_there: WeakKeyDictionary[Engine, dict[int, list[tuple[int, str]]]] = WeakKeyDictionary()
"""Gold items of each study, (id, specialty): all come when it is opened. Reading them took PostgreSQL longer than leasing
an item."""

# Statements of the way from one item to the next, made once: building them costs more than running them. Few, since on
# PostgreSQL each is a journey to the server and back.
_A = assignment.c
_STUDY: BindParameter[int] = bindparam("study")
_USER: BindParameter[int] = bindparam("user")
_ME = member.c.study_id == _STUDY, member.c.user_id == _USER
_EVER = select(member).where(*_ME)
_MEMBER = _EVER.where(member.c.active)
_COUNT = (
    update(member)
    .where(*_ME)
    .values(
        reviewed=member.c.reviewed + bindparam("review"),
        gold_reviewed=member.c.gold_reviewed + bindparam("gold"),
    )
)
_SHOWN = Together(
    _COUNT.values(shown=member.c.shown + 1).where(member.c.active).returning(*member.c)
)
_FIRST = (
    select(_A.id)
    .where(_A.study_id == _STUDY, _A.planned_for == _USER, _A.state == Known("free"))
    .order_by(_A.shuffle)
    .limit(1)
    .with_for_update(skip_locked=True)
)


def _of(statement: Select[Any], name: str) -> Label[Any]:
    return statement.scalar_subquery().label(name)


_ITEM = item.c.id == _A.item_id
_UNDER_REVIEW = select(version.c.content).join(item, version.c.id == item.c.version_id)
_DRAFT = and_(draft.c.user_id == _USER, draft.c.place == place_in(_A.item_id, _A.round))
_SLOT = (
    *_A, _of(select(item.c.body).where(_ITEM), "body"),
    _of(select(item.c.version_id).where(_ITEM), "version"), _of(_UNDER_REVIEW.where(_ITEM), "content"),
    _of(select(draft.c.body).where(_DRAFT), "draft"), _of(select(draft.c.version).where(_DRAFT), "draft_version"),
)  # fmt: skip
"""A slot with all that its reviewer is shown. Only scalar subqueries: a RETURNING takes them too."""
_HELD = (
    select(*_SLOT)
    .where(_A.user_id == _USER, _A.study_id == _STUDY, _A.state == Known("held"))
    .order_by(_A.claimed_at, _A.id)
)
_AT = select(*_SLOT).where(_A.id == bindparam("slot"))


def _leasing(which: Any) -> Update:
    return (
        update(assignment)
        .where(_A.id == which, _A.state == Known("free"))
        .values(
            state="held",
            user_id=_USER,
            claimed_at=bindparam("at"),
            lease_until=bindparam("until"),
        )
        .returning(*_SLOT)
    )


_LEASE = _leasing(bindparam("slot"))
_LEASE_FIRST = Together(_leasing(_FIRST.scalar_subquery()))
_ALL_GOLD = (
    select(item.c.id, item.c.specialty)
    .where(item.c.study_id == _STUDY, item.c.is_gold)
    .order_by(item.c.id)
)
_MET = select(_A.item_id).where(_A.user_id == _USER, _A.study_id == _STUDY, _A.task == "gold")


def next_tasks(store: Store, study_id: int, user_id: int, *, ahead: int = 1) -> list[Task]:
    """What the reviewer holds now, filled up to 1 + `ahead` items, the oldest first. [] when nothing is left.

    `RefusedError` for someone who isn't an active member; `ConflictError` for a closed study.
    """
    with store.write() as conn:
        return alone(conn, tasks_in(conn, store, study_id, user_id, ahead=ahead))


def tasks_in(
    conn: Connection,
    store: Store,
    study_id: int,
    user_id: int,
    *,
    ahead: int = 1,
    study: Mapping[Any, Any] | None = None,
    holds: bool = True,
    did: str = "",
) -> Steps[list[Task]]:
    """`next_tasks` within a transaction that is open already; `study`: its row, where the caller has it; `holds`: False
    where the caller knows that this reviewer holds nothing; `did`: the task just handed in, if it is to be counted here."""
    study = study or opening.study_row(conn, study_id)
    config = opening.read_config(study["config"])
    is_open = study["status"] == "open"
    due = time.monotonic()
    if is_open and due - _swept.get((id(store), study_id), -SWEEP_S) >= SWEEP_S:
        _swept[id(store), study_id] = due
        return_expired(conn, study_id, config)
    held: list[Mapping[Any, Any]] = []
    if is_open and holds:
        held += conn.execute(_HELD, {"study": study_id, "user": user_id}).mappings()
    wanted = 1 + ahead - len(held) if is_open else 0
    if wanted <= 0:
        count(conn, study_id, user_id, did)
        who: Mapping[Any, Any] = member_row(conn, study_id, user_id)
    for _ in range(wanted):
        claimed, who = yield from _claim(conn, config, study_id, user_id, len(held), did)
        did = ""
        if claimed is None:
            break
        held.append(claimed)
    if not held:
        return []
    told = _told(who, config, len(_gold_of(conn, study_id)), 1)
    return [_task(conn, row, told) for row in held[: 1 + ahead]]


def count(conn: Connection, study_id: int, user_id: int, task: str, step: int = 1) -> None:
    """Keep a member's row at what they have handed in: a `task` more, or with `step` -1 one less. Revisions aren't counted."""
    steps = _steps(task, step)
    if any(steps.values()):
        conn.execute(_COUNT, {"study": study_id, "user": user_id} | steps)


def _steps(task: str, step: int = 1) -> dict[str, int]:
    return {which: step * (task == which) for which in ("review", "gold")}


def member_row(conn: Connection, study_id: int, user_id: int) -> Mapping[Any, Any]:
    """The active membership. `RefusedError` without one."""
    return _active(conn.execute(_MEMBER, {"study": study_id, "user": user_id}).mappings().first())


def _active(row: Mapping[Any, Any] | None) -> Mapping[Any, Any]:
    if row is None:
        raise RefusedError(
            "you are not a reviewer of this study", hint="ask the coordinator to add you"
        )
    return row


def return_expired(conn: Connection, study_id: int, config: StudyConfig) -> int:
    """Give back what was leased and not handed in; returns how many. Drafts stay with their author."""
    a = assignment.c
    late = conn.execute(
        select(a.id, a.item_id, a.user_id, a.task)
        .where(a.study_id == study_id, HELD, a.lease_until < now())
        .with_for_update(skip_locked=True)  # one that is being handed in is not late
    ).all()
    for row in late:
        values: dict[str, Any] = {"state": "void" if row.task == "gold" else "free"}
        if row.task == "revise":
            values["planned_for"] = None  # anyone's now
        conn.execute(
            update(assignment)
            .where(a.id == row.id, a.state == Known("held"))
            .values(**values, user_id=None, lease_until=None)
        )
        record(
            conn, "lease.expired", "item", row.item_id, actor=None, study_id=study_id,
            before={"user": row.user_id},
        )  # fmt: skip
    reviews = [row.item_id for row in late if row.task == "review"]
    if reviews:
        plan(conn, study_id, seed=config.seed, items=reviews)
    return len(late)


def _claim(
    conn: Connection, config: StudyConfig, study_id: int, user_id: int, holding: int, did: str
) -> Steps[tuple[Mapping[Any, Any] | None, Mapping[Any, Any]]]:
    """Lease one more item for this member: it, or None, and the member's row. `RefusedError` for someone who isn't active.

    The member's row comes first, the slot in a later statement, seen as it is then: so this and `planning`, which holds
    all members before it looks at slots, wait for one another. What can cross with that is the rows of several members
    who share a transaction, and a slot out of another's queue, whose load changes too; such a transaction is done again.
    """
    me = {"study": study_id, "user": user_id}
    who = _active((yield Ask(_SHOWN, me | _steps(did))))
    shown = who["shown"]
    at = now()
    lease = me | {"at": at + holding, "until": at + config.lease_minutes * 60_000}
    found = None
    if random.Random(f"{config.seed}:{user_id}:{shown}").random() < config.gold_rate:
        found = _gold(conn, study_id, user_id, shown)
    if found is None:
        own = yield Ask(_LEASE_FIRST, lease)
        if own is not None:
            return own, who
        found, who = _pool(conn, who)
    if found is None:
        return None, who
    return conn.execute(_LEASE, lease | {"slot": found["id"]}).mappings().first(), who


def open_to(who: Mapping[Any, Any]) -> Select[Any]:
    """The first slot planned for someone else, or for nobody, that this member may take."""
    a, mine = assignment.c, assignment.alias("mine")
    user_id = who["user_id"]
    taken = exists().where(
        mine.c.item_id == a.item_id,
        mine.c.round == a.round,
        mine.c.task == "review",
        mine.c.user_id == user_id,
    )
    wrote = exists().where(
        item.c.id == a.item_id,
        version.c.id == item.c.version_id,
        version.c.author_kind == "reviewer",
        version.c.author == str(user_id),
    )
    query = select(assignment).where(
        a.study_id == who["study_id"],
        FREE,
        or_(
            and_(a.task == "review", ~taken, ~wrote),
            and_(a.task == "revise", a.planned_for.is_(None)),
        ),
    )
    if who["specialties"]:
        query = query.where(a.specialty.in_([*who["specialties"], ANY]))
    return query.order_by(a.shuffle).limit(1).with_for_update(skip_locked=True)


def _pool(conn: Connection, who: Mapping[Any, Any]) -> tuple[RowMapping | None, Mapping[Any, Any]]:
    """A slot out of the pool, and the member's row as it then is."""
    a, user_id = assignment.c, who["user_id"]
    found = conn.execute(open_to(who)).mappings().first()
    if found is not None and found["task"] == "review":
        grown = take_over(conn, found, user_id)
        if found["planned_for"] != user_id:  # or was it planned for them since they last looked?
            conn.execute(update(assignment).where(a.id == found["id"]).values(planned_for=user_id))
        return found, {**who, "load": who["load"] + grown}
    return found, who


def take_over(conn: Connection, slot: Mapping[Any, Any], user_id: int) -> int:
    """What follows when this member takes a review slot, whoever it was planned for; returns by how much their load grew.

    A slot of the same item that was planned for them goes in exchange, since nobody has an item twice.
    """
    was, a = slot["planned_for"], assignment.c
    if was == user_id:
        return 0
    same = (a.item_id == slot["item_id"], a.round == slot["round"], a.task == slot["task"])
    theirs = update(assignment).where(*same, a.state == Known("free"), a.planned_for == user_id)
    if conn.execute(theirs.values(planned_for=was)).rowcount:
        return 0
    steps = {was: -1, user_id: 1}
    for whom, step in sorted((w, s) for w, s in steps.items() if w):  # in one order
        conn.execute(
            update(member)
            .where(member.c.study_id == slot["study_id"], member.c.user_id == whom)
            .values(load=member.c.load + step)
        )
    return 1


def _gold(conn: Connection, study_id: int, user_id: int, shown: int) -> RowMapping | None:
    """A gold item this reviewer hasn't met, as a slot of its own; None when they have met all."""
    met = set(conn.execute(_MET, {"study": study_id, "user": user_id}).scalars())
    left = [gold for gold in _gold_of(conn, study_id) if gold[0] not in met]
    if not left:
        return None
    item_id, specialty = random.Random(f"{user_id}:{shown}").choice(left)
    row = opening.slot(study_id, item_id, 1, specialty, 0.0, task="gold", planned_for=user_id)
    return conn.execute(insert(assignment).returning(*assignment.c), row).mappings().one()


def task_at(conn: Connection, assignment_id: int, study_id: int, user_id: int) -> Task:
    """A slot that this reviewer holds, as they see it."""
    wanted = {"slot": assignment_id, "study": study_id, "user": user_id}
    row = conn.execute(_AT, wanted).mappings().one()
    return _task(conn, row, progress(conn, study_id, user_id, at_hand=1))


def _task(conn: Connection, row: Mapping[Any, Any], told: tuple[int, int]) -> Task:
    comments: tuple[str, ...] = ()
    if row["task"] == "revise":
        comments = tuple(
            r["comment"]
            for r in rounds.active_reviews(conn, row["item_id"], row["round"])
            if r["comment"]
        )
    return Task(
        assignment=row["id"], item=row["item_id"], task=row["task"], round=row["round"],
        specialty=row["specialty"], version=row["version"], comments=comments,
        body=msgspec.convert(row["body"], tuple[Part, ...]),
        content=msgspec.convert(row["content"], tuple[Part, ...]),
        draft=row["draft"], draft_version=row["draft_version"] or 0, lease_until=row["lease_until"],
        progress=told,
    )  # fmt: skip


def progress(conn: Connection, study_id: int, user_id: int, *, at_hand: int = 0) -> tuple[int, int]:
    """(handed in, to be handed in in all): the bar at the top of the page. `at_hand`: items surely left."""
    who = conn.execute(_EVER, {"study": study_id, "user": user_id}).mappings().first()
    if who is None:
        return 0, 0
    gold = len(_gold_of(conn, study_id))
    return _told(who, opening.config_of(conn, study_id), gold, at_hand)


def _gold_of(conn: Connection, study_id: int) -> list[tuple[int, str]]:
    known = _gold_there.setdefault(conn.engine, {})
    if study_id not in known:
        found = conn.execute(_ALL_GOLD, {"study": study_id})
        known[study_id] = [(row.id, row.specialty) for row in found]
    return known[study_id]


def _told(who: Mapping[Any, Any], config: StudyConfig, gold: int, at_hand: int) -> tuple[int, int]:
    """Gold counts as any item and is expected from the start, at its rate, so that the bar doesn't tell it from others. Once
    nothing is left and nothing `at_hand`, all is what was done."""
    done, load = who["reviewed"] + who["gold_reviewed"], who["load"]
    left = max(load - who["reviewed"], at_hand)
    if not left:
        return done, done
    expected = min(gold, round(load * config.gold_rate / (1 - config.gold_rate)))
    return done, max(load + expected, done + left)
