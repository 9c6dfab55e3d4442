"""How a study stands: counts for its coordinator, from aggregates alone, so that size hardly matters.

Gold is left out of all counts but `gold`. What needs every score (agreement,
severity, gold accuracy, time per item) is in `figures`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    cast,
    false,
    func,
    or_,
    select,
    true,
)

from wardround.records import Record
from wardround.review.study import FINAL
from wardround.review.tables import assignment, item, job, member, result, study
from wardround.store.people import user

PAGE = 50
"""Items a page."""
WAITING = ("queued", "running")
"""States of a job that isn't over."""


class Specialty(Record, frozen=True, kw_only=True):
    """One specialty. `reviews`: (handed in, wanted so far), revisions among them; `unassigned`: slots nobody is
    eligible for."""

    id: str
    states: dict[str, int]
    items: int
    final: int
    reviews: tuple[int, int]
    unassigned: int


class Overview(Record, frozen=True, kw_only=True):
    """A study at a glance. `strikes`: number of strikes → items. `jobs`: state → jobs; "error" counts those of them
    that failed before and are tried again."""

    items: int
    gold: int
    final: int
    states: dict[str, int]
    strikes: dict[int, int]
    reviews: tuple[int, int]
    held: int
    specialties: tuple[Specialty, ...]
    unassigned: dict[str, int]
    jobs: dict[str, int]


def overview(conn: Connection, study_id: int) -> Overview:
    """All counts of the dashboard's first screen."""
    i = item.c
    rows = conn.execute(
        select(i.specialty, i.status, i.strikes, func.count())
        .where(i.study_id == study_id, i.is_gold == false())
        .group_by(i.specialty, i.status, i.strikes)
    ).all()
    states, strikes = Counter[str](), Counter[int]()
    of: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for specialty, status, struck, n in rows:
        states[status] += n
        strikes[struck] += n
        of[specialty][status] += n
    slots = _slots(conn, study_id)
    specialties = tuple(
        Specialty(
            id=name, states=dict(found), items=found.total(), final=sum(found[s] for s in FINAL),
            reviews=(slots[name]["done"], slots[name]["done"] + slots[name]["open"]),
            unassigned=slots[name]["unassigned"],
        )
        for name, found in sorted(of.items(), key=lambda e: (-e[1].total(), e[0]))
    )  # fmt: skip
    done = sum(s["done"] for s in slots.values())
    return Overview(
        items=states.total(), gold=_gold(conn, study_id), final=sum(states[s] for s in FINAL),
        states=dict(states), strikes=dict(sorted(strikes.items())),
        reviews=(done, done + sum(s["open"] for s in slots.values())),
        held=sum(s["held"] for s in slots.values()), specialties=specialties,
        unassigned={k: s["unassigned"] for k, s in sorted(slots.items()) if s["unassigned"]},
        jobs=job_counts(conn, study_id),
    )  # fmt: skip


def _gold(conn: Connection, study_id: int) -> int:
    return int(
        conn.execute(
            select(func.count()).where(item.c.study_id == study_id, item.c.is_gold == true())
        ).scalar_one()
    )


def _slots(conn: Connection, study_id: int) -> defaultdict[str, Counter[str]]:
    """Specialty → slots of reviews and revisions: done, open (free or held), held, unassigned.

    Counted within an index, and gold taken off again: of a hundred thousand rows none is read.
    """
    a = assignment.c
    number = select(a.specialty, a.state, func.count()).group_by(a.specialty, a.state)
    gold = (
        number.join(item, item.c.id == a.item_id)
        .where(item.c.study_id == study_id, item.c.is_gold == true())
    )  # fmt: skip
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sign, rows in (
        (1, conn.execute(number.where(a.study_id == study_id))),
        (-1, conn.execute(gold)),
    ):
        for specialty, state, n in rows:
            if state != "void":
                found[specialty]["done" if state == "done" else "open"] += sign * n
            if state == "held":
                found[specialty]["held"] += sign * n
    nobody = conn.execute(
        select(a.specialty, func.count())
        .where(a.study_id == study_id, a.planned_for.is_(None), a.state == "free", a.task == "review")
        .group_by(a.specialty)
    )  # fmt: skip
    for specialty, n in nobody:
        found[specialty]["unassigned"] += n
    return found


def job_counts(conn: Connection, study_id: int) -> dict[str, int]:
    """State → jobs of the model that aren't over, and under "error" those that have failed before."""
    j = job.c
    rows = conn.execute(
        select(j.state, func.length(j.error) > 0, func.count())
        .where(j.study_id == study_id, j.state.in_(WAITING))
        .group_by(j.state, j.error)
    )
    found = Counter[str]()
    for state, wrong, n in rows:
        found[state] += n
        if wrong:
            found["error"] += n
    return dict(found)


def jobs(conn: Connection, study_id: int, *, limit: int = 20) -> Sequence[Any]:
    """Jobs that aren't over, those with an error first, then the oldest."""
    j = job.c
    return conn.execute(
        select(job, item.c.key)
        .join(item, item.c.id == j.item_id)
        .where(j.study_id == study_id, j.state.in_(WAITING))
        .order_by((j.error == ""), j.id)
        .limit(limit)
    ).all()


class Reviewer(Record, frozen=True, kw_only=True):
    """A member's share. `planned`: in all, done ones among them; `held`: leased now; `last`: when they handed in."""

    id: int
    name: str
    display: str
    title: str
    specialties: tuple[str, ...]
    active: bool
    done: int
    planned: int
    held: int
    last: int | None


def reviewers(conn: Connection, study_id: int) -> list[Reviewer]:
    """Every member, those who have left last; then by name."""
    a = assignment.c
    counts = conn.execute(
        select(a.user_id, a.task, a.state, func.count(), func.max(a.done_at))
        .where(a.study_id == study_id, a.state.in_(("held", "done")))
        .group_by(a.user_id, a.task, a.state)
    ).all()
    done, held = Counter[int](), Counter[int]()
    last: dict[int, int] = {}
    for whom, task, state, n, at in counts:
        if state == "held":
            held[whom] += n
        elif task == "review":
            done[whom] += n
        if at is not None:
            last[whom] = max(at, last.get(whom, 0))
    rows = conn.execute(
        select(user.c.id, user.c.name, user.c.display, user.c.title, member)
        .join(member, member.c.user_id == user.c.id)
        .where(member.c.study_id == study_id)
    ).mappings()
    found = [
        Reviewer(
            id=r["id"], name=r["name"], display=r["display"], title=r["title"], active=r["active"],
            specialties=tuple(r["specialties"]), done=done[r["id"]],
            planned=max(r["load"] if r["active"] else 0, done[r["id"]]), held=held[r["id"]],
            last=last.get(r["id"]),
        )
        for r in rows
    ]  # fmt: skip
    return sorted(found, key=lambda r: (not r.active, r.display, r.id))


def candidates(conn: Connection, study_id: int, roles: Collection[str]) -> list[Any]:
    """Active accounts with one of `roles` that aren't active members: id, name, display, title, specialties, roles."""
    there = select(member.c.user_id).where(member.c.study_id == study_id, member.c.active)
    rows = conn.execute(
        select(
            user.c.id, user.c.name, user.c.display, user.c.title, user.c.specialties, user.c.roles
        )
        .where(user.c.active, user.c.id.not_in(there))
        .order_by(user.c.display, user.c.id)
    )
    return [r for r in rows if not set(roles).isdisjoint(r.roles)]


class FailedFor(Record, frozen=True, kw_only=True):
    """How many failed rounds name this reason; `field` is "" where it is about no field."""

    code: str
    field: str
    rounds: int


def failures(conn: Connection, study_id: int) -> tuple[int, list[FailedFor]]:
    """(failed rounds, their reasons, the most frequent first). A round may name several."""
    r = result.c
    texts = (
        conn.execute(
            select(cast(r.reasons, Text)).where(
                r.study_id == study_id, r.outcome == "failed", r.withdrawn_at.is_(None)
            )
        )
        .scalars()
        .all()
    )
    rounds = msgspec.json.decode("[" + ",".join(texts) + "]", type=list[list[dict[str, Any]]])
    found = Counter(
        named for reasons in rounds for named in {(x["code"], x.get("field", "")) for x in reasons}
    )
    ordered = sorted(found.items(), key=lambda e: (-e[1], e[0]))
    return len(rounds), [FailedFor(code=c, field=f, rounds=n) for (c, f), n in ordered]


def revisions(conn: Connection, study_id: int) -> Sequence[Any]:
    """Revisions nobody has handed in: item, key, who it was given to, who holds it, since when (ms)."""
    a, r = assignment.c, result.c
    since = (
        select(func.max(r.at))
        .where(r.item_id == a.item_id, r.round == a.round, r.withdrawn_at.is_(None))
        .scalar_subquery()
    )
    holder = user.alias("holder")
    return conn.execute(
        select(
            a.item_id, item.c.key, a.specialty, a.state, a.planned_for,
            user.c.display.label("given_to"), holder.c.display.label("held_by"), since.label("since"),
        )
        .join(item, item.c.id == a.item_id)
        .outerjoin(user, user.c.id == a.planned_for)
        .outerjoin(holder, holder.c.id == a.user_id)
        .where(a.study_id == study_id, a.task == "revise", a.state.in_(("free", "held")))
        .order_by(a.id)
    ).all()  # fmt: skip


class Standing(Record, frozen=True, kw_only=True):
    """A study in the list."""

    id: int
    slug: str
    status: str
    config: Any
    created_at: int
    items: int
    states: dict[str, int]
    errors: int
    members: int

    @property
    def final(self) -> int:
        """Items that are settled."""
        return sum(self.states.get(s, 0) for s in FINAL)


def studies(conn: Connection) -> list[Standing]:
    """Every study, open ones first, the newest first."""
    states: defaultdict[int, Counter[str]] = defaultdict(Counter)
    rows = conn.execute(
        select(item.c.study_id, item.c.status, func.count())
        .where(~item.c.is_gold)
        .group_by(item.c.study_id, item.c.status)
    )
    for study_id, status, n in rows:
        states[study_id][status] += n
    errors = _counted(conn, job, job.c.state.in_(WAITING) & (job.c.error != ""))
    members = _counted(conn, member, member.c.active)
    found = [
        Standing(
            id=s.id, slug=s.slug, status=s.status, config=s.config, created_at=s.created_at,
            items=states[s.id].total(), states=dict(states[s.id]), errors=errors.get(s.id, 0),
            members=members.get(s.id, 0),
        )
        for s in conn.execute(select(study).order_by(study.c.id.desc()))
    ]  # fmt: skip
    return sorted(found, key=lambda s: s.status != "open")


def _counted(conn: Connection, table: Any, where: ColumnElement[bool]) -> dict[int, int]:
    rows = conn.execute(
        select(table.c.study_id, func.count()).where(where).group_by(table.c.study_id)
    )
    return {int(r[0]): int(r[1]) for r in rows}


class Wanted(Record, frozen=True, kw_only=True):
    """Which items to list; empty or None: all. `text`: within the key. `strikes`: at least so many."""

    state: str = ""
    specialty: str = ""
    strikes: int | None = None
    text: str = ""


def items(
    conn: Connection, study_id: int, wanted: Wanted, *, after: int = 0
) -> tuple[list[Any], int | None, int]:
    """(a page of items in the order they came, the id the next page starts after or None, how many in all)."""
    i = item.c
    parts = [i.study_id == study_id]
    if wanted.state == "gold":
        parts.append(i.is_gold)
    elif wanted.state:
        parts += [i.status == wanted.state, ~i.is_gold]
    if wanted.specialty:
        parts.append(i.specialty == wanted.specialty)
    if wanted.strikes:
        parts.append(i.strikes >= wanted.strikes)
    if wanted.text.strip():
        words = wanted.text.strip()
        parts.append(
            or_(i.key.icontains(words, autoescape=True), i.id == _number(words))
            if _number(words)
            else i.key.icontains(words, autoescape=True)
        )
    total = conn.execute(select(func.count()).where(and_(*parts))).scalar_one()
    rows = list(
        conn.execute(
            select(i.id, i.key, i.specialty, i.status, i.round, i.strikes, i.is_gold)
            .where(and_(*parts), i.id > after)
            .order_by(i.id)
            .limit(PAGE + 1)
        )
    )
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None, total


def _number(words: str) -> int | None:
    return int(words) if words.isascii() and words.isdigit() and len(words) < 16 else None


def specialties(conn: Connection, study_id: int) -> list[str]:
    """The specialties of a study's items."""
    found = conn.execute(select(item.c.specialty).where(item.c.study_id == study_id).distinct())
    return sorted(found.scalars())


def before_panel(conn: Connection) -> list[Any]:
    """Items of all studies that wait for the panel, in the order they came: with slug and config of their study."""
    i = item.c
    return list(
        conn.execute(
            select(i.id, i.key, i.specialty, i.round, i.strikes, study.c.slug, study.c.config)
            .join(study, study.c.id == i.study_id)
            .where(i.status == "panel")
            .order_by(i.id)
        )
    )
