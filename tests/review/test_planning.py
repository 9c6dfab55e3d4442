"""Who gets what: evenly, by specialty, nobody twice, the same from the same seed."""

import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from tests.review.rooms import new_item, opened, people
from wardround.review import opening, planning
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
