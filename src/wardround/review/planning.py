"""Who gets what: every open slot of a round is planned for a member, evenly and by specialty.

A slot goes to the eligible member with the smallest load; ties are broken by a seeded draw. Nobody gets an item
twice in a round, nor an item whose text they wrote. A member without specialties takes any; an `unmapped` item goes
to anyone. A slot nobody is eligible for stays unplanned and is counted: the coordinator sees it and invites someone.
Each slot carries a random number, so every member meets the items in an order of their own.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from wardround.records import Record
from wardround.review.tables import assignment, item, member, version
from wardround.store.base import Known

ANY = "unmapped"
_PLAN = (
    update(assignment)
    .where(assignment.c.id == bindparam("slot"), assignment.c.state == Known("free"))
    .values(planned_for=bindparam("whom"))
)


class Planned(Record, frozen=True, kw_only=True):
    """What planning did: slots given out, and those left by specialty for want of anyone eligible."""

    given: int
    left: dict[str, int]


class _Members:
    """Members by specialty, the least loaded first."""

    def __init__(
        self, rows: Sequence[tuple[int, list[str], int]], rng: random.Random, stored: dict[int, int]
    ) -> None:
        self.load = {user: load for user, _, load in rows}
        self.stored = stored
        self._rng = rng
        self._of: dict[str, list[int]] = defaultdict(list)
        self._general = [user for user, specialties, _ in rows if not specialties]
        self._all = [user for user, _, _ in rows]
        for user, specialties, _ in rows:
            for s in specialties:
                self._of[s].append(user)
        self._heaps: dict[str, list[tuple[int, float, int]]] = {}

    def give_back(self, planned_for: Iterable[int | None]) -> None:
        """Take slots off those they were planned for, before they are planned again."""
        for user in planned_for:
            if user in self.load:
                self.load[user] -= 1

    def eligible(self, specialty: str) -> list[int]:
        """Who may take an item of this specialty."""
        return self._all if specialty == ANY else self._of.get(specialty, []) + self._general

    def take(self, specialty: str, barred: set[int]) -> int | None:
        """The least loaded eligible member outside `barred`, whose load grows by one."""
        heap = self._heaps.get(specialty)
        if heap is None:
            heap = [(self.load[u], self._rng.random(), u) for u in self.eligible(specialty)]
            heapq.heapify(heap)
            self._heaps[specialty] = heap
        aside = []
        found = None
        while heap:
            load, draw, user = heapq.heappop(heap)
            if load != self.load[user]:  # grew through another specialty
                heapq.heappush(heap, (self.load[user], draw, user))
                continue
            if user in barred:
                aside.append((load, draw, user))
                continue
            self.load[user] += 1
            heapq.heappush(heap, (self.load[user], self._rng.random(), user))
            found = user
            break
        for entry in aside:
            heapq.heappush(heap, entry)
        return found


def plan(
    conn: Connection, study_id: int, *, seed: int, items: Iterable[int] | None = None
) -> Planned:
    """Plan the free slots of `items`, or all of the study's anew (after someone joined or left).

    Only `review` slots are planned: a revision belongs to whom it was given, gold to whom it was shown.
    """
    chosen = None if items is None else list(items)
    hold_members(conn, study_id)
    free = _free(conn, study_id, chosen)
    if not free and chosen is not None:
        return Planned(given=0, left={})
    rng = random.Random(f"{seed}:{study_id}:{'all' if chosen is None else chosen[:1]}")
    members = _members(conn, study_id, rng, anew=chosen is None)
    if chosen is not None:
        members.give_back([planned_for for *_, planned_for in free])
    barred = _barred(conn, study_id, chosen)
    # An item's slots go out one after the other, each to the least loaded: loads then differ by 1 at most.
    first: dict[int, float] = {}
    for _, item_id, _, _, draw, _ in free:
        first[item_id] = min(draw, first.get(item_id, draw))
    rare_first = sorted(free, key=lambda f: (len(members.eligible(f[3])), first[f[1]], f[4]))
    rows, left = [], Counter[str]()
    for slot, item_id, round_, specialty, *_ in rare_first:
        not_these = barred[item_id, round_]
        whom = members.take(specialty, not_these)
        if whom is None:
            left[specialty] += 1
        else:
            not_these.add(whom)
        rows.append({"slot": slot, "whom": whom})
    if rows:
        conn.execute(_PLAN, rows)
    _keep_loads(conn, study_id, members)
    if chosen is None:
        _recount(conn, study_id)
    return Planned(given=len(rows) - left.total(), left=dict(left))


def _recount(conn: Connection, study_id: int) -> None:
    """What each has handed in, counted anew: servers of before migration 0004 didn't keep it."""
    a = assignment.c
    mine = (
        select(func.count())
        .where(a.study_id == study_id, a.user_id == member.c.user_id, a.state == "done")
        .correlate(member)
    )
    conn.execute(
        update(member)
        .where(member.c.study_id == study_id)
        .values(
            reviewed=mine.where(a.task == "review").scalar_subquery(),
            gold_reviewed=mine.where(a.task == "gold").scalar_subquery(),
        )
    )


def hold_members(conn: Connection, study_id: int) -> None:
    """Hold all members, in one order: whoever plans, joins or leaves does so before it touches a slot, and whoever leases
    one holds their own row first."""
    conn.execute(
        select(member.c.user_id)
        .where(member.c.study_id == study_id)
        .order_by(member.c.user_id)
        .with_for_update()
    )


def _free(
    conn: Connection, study_id: int, items: list[int] | None
) -> list[tuple[int, int, int, str, float, int | None]]:
    a = assignment.c
    query = select(a.id, a.item_id, a.round, a.specialty, a.shuffle, a.planned_for).where(
        a.study_id == study_id, a.state == "free", a.task == "review"
    )
    if items is not None:
        query = query.where(a.item_id.in_(items))
    return [(r[0], r[1], r[2], r[3], r[4], r[5]) for r in conn.execute(query)]


def _members(conn: Connection, study_id: int, rng: random.Random, *, anew: bool) -> _Members:
    query = (
        select(member.c.user_id, member.c.specialties, member.c.load)
        .where(member.c.study_id == study_id, member.c.active)
        .order_by(member.c.user_id)
    )
    rows = conn.execute(query).all()
    stored = {r[0]: r[2] for r in rows}
    if not anew:
        return _Members([(r[0], r[1], r[2]) for r in rows], rng, stored)
    # Planned anew, a load is what a member holds or has done.
    a = assignment.c
    counts = conn.execute(
        select(a.user_id, func.count())
        .where(a.study_id == study_id, a.state.in_(("held", "done")), a.task == "review")
        .group_by(a.user_id)
    )
    taken = {int(row[0]): int(row[1]) for row in counts}
    return _Members([(r[0], r[1], taken.get(r[0], 0)) for r in rows], rng, stored)


def _barred(
    conn: Connection, study_id: int, items: list[int] | None
) -> defaultdict[tuple[int, int], set[int]]:
    """(item, round) → members that have the item already, and the reviewer who wrote its text."""
    a = assignment.c
    barred: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    taken = select(a.item_id, a.round, a.user_id).where(
        a.study_id == study_id, a.state.in_(("held", "done")), a.task == "review"
    )
    written = (
        select(item.c.id, item.c.round, version.c.author)
        .join(version, version.c.id == item.c.version_id)
        .where(item.c.study_id == study_id, version.c.author_kind == "reviewer")
    )
    if items is not None:
        taken = taken.where(a.item_id.in_(items))
        written = written.where(item.c.id.in_(items))
    for item_id, round_, user in conn.execute(taken):
        barred[item_id, round_].add(user)
    for item_id, round_, author in conn.execute(written):
        barred[item_id, round_].add(int(author))
    return barred


def _keep_loads(conn: Connection, study_id: int, members: _Members) -> None:
    """By how much loads changed, not what they are: others take items meanwhile. In one order, so that two who plan at
    once don't wait for each other."""
    steps = [
        {"whom": user, "step": n - members.stored[user]}
        for user, n in sorted(members.load.items())
        if n != members.stored[user]
    ]
    if steps:
        conn.execute(
            update(member)
            .where(member.c.study_id == study_id, member.c.user_id == bindparam("whom"))
            .values(load=member.c.load + bindparam("step")),
            steps,
        )
