"""Who gets what: evenly, by specialty, nobody twice, the same from the same seed."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select, update

from tests.review.rooms import (
    counted_right,
    give,
    loads,
    new_item,
    opened,
    people,
    scores,
    true_loads,
)
from wardround.review import coordinating, desk, handing_in, opening, planning
from wardround.review.study import ReviewIn
from wardround.review.tables import assignment, member
from wardround.store.database import Store


def plans(store: Store, study: int) -> list[tuple[str, int | None, int]]:
    """(item key, planned for, item id) of every slot."""
    from wardround.review.tables import item

    with store.read() as conn:
        return [
            (row.key, row.planned_for, row.item_id)
            for row in conn.execute(
                select(item.c.key, assignment.c.planned_for, assignment.c.item_id)
                .join(item, item.c.id == assignment.c.item_id)
                .where(assignment.c.study_id == study)
                .order_by(assignment.c.id)
            )
        ]


_numbers = iter(range(10**6))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 25), members=st.integers(1, 7), raters=st.integers(1, 4))
def test_even_and_nobody_twice(sqlite_store: Store, count: int, members: int, raters: int) -> None:
    with sqlite_store.write() as conn:
        conn.exec_driver_sql("UPDATE user_account SET name = name || '-' || hex(randomblob(8))")
    who = people(sqlite_store, members)
    slug = f"s{next(_numbers)}"
    study = opened(
        sqlite_store, who, [new_item(f"k{i}") for i in range(count)], slug, raters=raters
    )
    got = plans(sqlite_store, study)
    assert len(got) == count * raters
    load = Counter(w for _, w, _ in got if w is not None)
    assert load.total() == count * min(raters, members)
    assert max(load.values()) - min(load[w] for w in who) <= 1
    pairs = [(k, w) for k, w, _ in got if w is not None]
    assert len(pairs) == len(set(pairs))


def test_specialists_get_their_own_and_generalists_the_rest(store: Store) -> None:
    who = people(store, 4, {0: ["cardiology"], 1: ["cardiology"], 2: ["nephrology"]})
    items = [
        new_item(f"k{i}", specialty=s)
        for i, s in enumerate(["cardiology", "nephrology", "ophthalmology", "unmapped"] * 5)
    ]
    study = opened(store, who, items, raters=2)
    for key, whom, _ in plans(store, study):
        kind = items[int(key[1:])].specialty
        allowed: dict[str, set[int | None]] = {
            "cardiology": {who[0], who[1], who[3]},
            "nephrology": {who[2], who[3]},
            "ophthalmology": {who[3], None},
            "unmapped": set(who),
        }
        assert whom in allowed[kind]
    left = [k for k, w, _ in plans(store, study) if w is None]
    assert len(left) == 5  # ophthalmology has one generalist for two raters


def test_joining_later_plans_anew_and_leaving_gives_back(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item(f"k{i}") for i in range(12)])
    with store.write() as conn:
        opening.join(conn, study, [who[3]], by=None)
    assert Counter(w for _, w, _ in plans(store, study)) == dict.fromkeys(who, 9)
    with store.write() as conn:
        opening.leave(conn, study, who[0], by=None)
    assert Counter(w for _, w, _ in plans(store, study)) == dict.fromkeys(who[1:], 12)


def test_the_same_seed_plans_the_same(store: Store) -> None:
    who = people(store, 5)
    items = [new_item(f"k{i}") for i in range(20)]
    study = opened(store, who, items, "one", seed=3)
    first = [(k, w) for k, w, _ in plans(store, study)]
    with store.write() as conn:
        opening.join(conn, study, [who[0]], by=None)
        opening.join(conn, study, [who[0]], by=None)
    assert [(k, w) for k, w, _ in plans(store, study)] == first


def test_what_others_took_while_a_plan_was_made_still_counts(store: Store) -> None:
    """A load is changed by steps: written as it was read, others' items would be lost."""
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    load = select(member.c.user_id, member.c.load).where(member.c.study_id == study)
    with store.write() as conn:
        before = {row.user_id: row.load for row in conn.execute(load)}
        planned = planning._members(conn, study, random.Random(1), anew=False)
        conn.execute(
            update(member).where(member.c.study_id == study).values(load=member.c.load + 5)
        )
        chosen = planned.take("unmapped", set())
        planning._keep_loads(conn, study, planned)
        after = {row.user_id: row.load for row in conn.execute(load)}
    assert chosen in who
    assert after == {w: n + 5 + (w == chosen) for w, n in before.items()}


def hand_in_all(store: Store, study: int, who: int) -> int:
    """All that a reviewer can get; returns how many."""
    n = 0
    while desk.next_tasks(store, study, who, ahead=0):
        give(store, study, who, 4)
        n += 1
    return n


def test_loads_stay_true_when_leases_end(store: Store) -> None:
    """By themselves or by the coordinator: else bars never fill."""
    who = people(store, 4)
    study = opened(store, who, [new_item(f"k{i}") for i in range(8)])
    assert true_loads(store, study)
    for _ in range(3):
        desk.next_tasks(store, study, who[0], ahead=1)
        with store.write() as conn:
            held = assignment.c.state == "held"
            conn.execute(update(assignment).where(held).values(lease_until=1))
            assert desk.return_expired(conn, study, opening.config_of(conn, study)) == 2
        assert true_loads(store, study)
    desk.next_tasks(store, study, who[1], ahead=2)
    with store.write() as conn:
        assert coordinating.return_leases(conn, study, who[1], by=who[0]) == 3
    assert true_loads(store, study)
    assert sum(hand_in_all(store, study, w) for w in who) == 24
    with store.read() as conn:
        assert {done == total for done, total in (desk.progress(conn, study, w) for w in who)} == {
            True
        }


def test_loads_are_true_as_well_when_somebody_comes_back_and_nothing_is_left(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who, [new_item(f"k{i}") for i in range(8)])
    give(store, study, who[3], 4)
    with store.write() as conn:
        opening.leave(conn, study, who[3], by=None)
    for w in who[:3]:
        hand_in_all(store, study, w)
    with store.write() as conn:
        opening.join(conn, study, [who[3]], by=None)
    assert true_loads(store, study)


def test_one_s_own_slot_out_of_the_pool_counts_once(store: Store) -> None:
    who = people(store, 1)
    study = opened(store, who, [new_item("k")], raters=1)
    with store.write() as conn:
        found, _ = desk._pool(conn, desk.member_row(conn, study, who[0]))
        assert found is not None
        assert found["planned_for"] == who[0]
    assert loads(store, study)[who[0]] == (1, 1)


def test_one_who_asks_while_all_is_planned_anew_gets_their_own(store: Store) -> None:
    """And not another's slot of an item that is also planned for them: they could never do both."""
    who = people(store, 4)
    study = opened(store, who, [new_item(f"k{i}") for i in range(20)])
    got: list[desk.Task] = []
    asking = threading.Thread(
        target=lambda: got.extend(desk.next_tasks(store, study, who[0], ahead=0))
    )
    with store.write() as conn:
        coordinating.replan(conn, study, by=who[0])
        asking.start()
        time.sleep(0.2)
        a = assignment.c
        mine = set(conn.execute(select(a.id).where(a.planned_for == who[0])).scalars())
    asking.join()
    assert got[0].assignment in mine
    assert true_loads(store, study)
    assert hand_in_all(store, study, who[0]) == 20
    assert true_loads(store, study)


def test_planning_joining_and_leaving_while_others_review(store: Store) -> None:
    who = people(store, 6)
    study = opened(store, who[:5], [new_item(f"k{i}") for i in range(40)])
    failures: list[BaseException] = []

    def review(reviewer: int) -> None:
        try:
            hand_in_all(store, study, reviewer)
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=review, args=(w,)) for w in who[:4]]
    for t in threads:
        t.start()
    steps: list[Callable[[Connection], object]] = [
        lambda c: coordinating.replan(c, study, by=who[0]),
        lambda c: opening.join(c, study, [who[5]], by=who[0]),
        lambda c: coordinating.replan(c, study, by=who[0]),
        lambda c: opening.leave(c, study, who[4], by=who[0]),
        lambda c: coordinating.replan(c, study, by=who[0]),
    ]
    for step in steps:
        store.done(step)
        time.sleep(0.05)
    for t in threads:
        t.join()
    assert not failures
    for w in who[:4]:
        hand_in_all(store, study, w)  # what came back after they were done
    of_all = loads(store, study)
    del of_all[who[4]]
    assert all(kept == found for kept, found in of_all.values())
    with store.read() as conn:
        a = assignment.c
        held = conn.execute(select(a.id).where(a.state == "held")).all()
        done = conn.execute(select(a.item_id, a.user_id).where(a.state == "done")).all()
    assert held == []
    assert len(done) == len(set(done))
    assert counted_right(store, study)


def test_loads_stay_true_when_a_review_comes_late(store: Store) -> None:
    """After its lease ended and it was planned for another: else their bar never fills."""
    who = people(store, 2)
    study = opened(store, who, [new_item(f"k{i}") for i in range(3)], raters=1)
    (task,) = desk.next_tasks(store, study, who[0], ahead=0)
    a = assignment.c
    with store.write() as conn:
        conn.execute(update(assignment).where(a.state == "held").values(lease_until=1))
        desk.return_expired(conn, study, opening.config_of(conn, study))
        conn.execute(update(assignment).where(a.id == task.assignment).values(planned_for=who[1]))
        m = member.c
        for whom, step in ((who[0], -1), (who[1], 1)):
            conn.execute(update(member).where(m.user_id == whom).values(load=m.load + step))
    before = loads(store, study)
    given = ReviewIn(scores=scores(4))
    handing_in.submit(store, who[0], task.assignment, task.version, given)
    assert true_loads(store, study) and loads(store, study) != before
    for w in who:
        hand_in_all(store, study, w)
        with store.read() as conn:
            done, total = desk.progress(conn, study, w)
        assert done == total


def test_a_late_review_leaves_nobody_the_same_item_twice(store: Store) -> None:
    """Another slot of the item was planned for them meanwhile: each lease of that was a fault."""
    who = people(store, 2)
    study = opened(store, who, [new_item("k")], raters=2)
    (task,) = desk.next_tasks(store, study, who[0], ahead=0)
    a = assignment.c
    with store.write() as conn:
        conn.execute(update(assignment).where(a.state == "held").values(lease_until=1))
        desk.return_expired(conn, study, opening.config_of(conn, study))
        mine = a.id == task.assignment
        conn.execute(update(assignment).where(mine).values(planned_for=who[1]))
        conn.execute(update(assignment).where(~mine).values(planned_for=who[0]))
    assert true_loads(store, study)
    given = ReviewIn(scores=scores(4))
    handing_in.submit(store, who[0], task.assignment, task.version, given)
    assert true_loads(store, study)
    assert desk.next_tasks(store, study, who[0]) == []
    assert hand_in_all(store, study, who[1]) == 1


def test_planning_anew_counts_anew(store: Store) -> None:
    """A server of before the counters may have written beside them."""
    who = people(store, 2)
    gold = [new_item(f"g{i}", gold={"correctness": 2}) for i in range(3)]
    items = [new_item(f"k{i}") for i in range(6)] + gold
    study = opened(store, who, items, raters=1, gold_rate=0.4)
    hand_in_all(store, study, who[0])
    assert counted_right(store, study)
    with store.write() as conn:
        conn.execute(update(member).values(reviewed=-1, gold_reviewed=7))
    assert not counted_right(store, study)
    with store.write() as conn:
        coordinating.replan(conn, study, by=who[0])
    assert counted_right(store, study)
