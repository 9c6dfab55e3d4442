"""A reviewer's desk: leases, drafts, handing in, taking back, two at once."""

import threading
import time
from contextvars import copy_context
from typing import Any

import pytest
from sqlalchemy import Connection, Select, insert, literal, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from tests.review.rooms import (
    counted_right,
    counts,
    give,
    loads,
    new_item,
    opened,
    people,
    scores,
)
from tests.store.told import statements
from wardround.errors import ConflictError, InputError, RefusedError
from wardround.review import desk, drafts, handing_in, opening
from wardround.review.study import MAX_COMMENT, ReviewIn, Span, StudyConfig
from wardround.review.tables import assignment, draft, item, member, review
from wardround.store.database import Store
from wardround.store.people import event
from wardround.store.steps import Steps, alone, side_by_side


def test_the_item_shows_nothing_of_its_author_or_of_others(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    give(store, study, who[0], 2, comment="不同意")
    task = desk.next_tasks(store, study, who[1])[0]
    import msgspec

    shown = msgspec.json.encode(task).decode()
    assert "model:x" not in shown
    assert "不同意" not in shown
    assert '"answer":"A"' not in shown


def test_one_ahead_and_never_the_same_twice(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item(f"k{i}") for i in range(4)])
    seen = []
    for _ in range(4):
        tasks = desk.next_tasks(store, study, who[0])
        seen.append(tasks[0].item)
        again = desk.next_tasks(store, study, who[0])
        assert [t.assignment for t in again] == [t.assignment for t in tasks]
        handing_in.submit(
            store, who[0], tasks[0].assignment, tasks[0].version, ReviewIn(scores=scores(4))
        )
    assert len(set(seen)) == 4
    assert desk.next_tasks(store, study, who[0]) == []
    with store.read() as conn:
        assert desk.progress(conn, study, who[0]) == (4, 4)


def test_every_reviewer_has_an_order_of_their_own(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item(f"k{i}") for i in range(12)])
    orders = []
    for w in who:
        order = []
        while tasks := desk.next_tasks(store, study, w, ahead=0):
            order.append(tasks[0].item)
            handing_in.submit(
                store, w, tasks[0].assignment, tasks[0].version, ReviewIn(scores=scores(4))
            )
        orders.append(tuple(order))
    assert len(set(orders)) == 3
    assert len({frozenset(o) for o in orders}) == 1


def test_an_incomplete_review_names_what_is_missing(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    task = desk.next_tasks(store, study, who[0])[0]

    def hand_in(**given: object) -> None:
        handing_in.submit(store, who[0], task.assignment, task.version, ReviewIn(**given))  # type: ignore[arg-type]

    with pytest.raises(InputError, match="not complete: structure\n"):
        hand_in(scores={"correctness": 4})
    taken = "review: can't be taken: "
    for value in (6, True, [4], {"a": 1}):
        with pytest.raises(InputError, match=f"{taken}correctness is .*, not one of 1, 2, 3, 4, 5"):
            hand_in(scores=scores(4) | {"correctness": value})
    with pytest.raises(InputError, match=f"{taken}correctness is 6, .*[^;]") as told:
        hand_in(scores={"correctness": 6})
    assert "complete" not in str(told.value), "what can't be is told before what is missing"
    with pytest.raises(InputError, match=f"{taken}there is no field 'style'"):
        hand_in(scores=scores(4, style=4))
    with pytest.raises(InputError, match=f"{taken}a mark lies outside of s1"):
        hand_in(scores=scores(4), spans=(Span(part="s1", start=0, end=99),))
    with pytest.raises(InputError, match=f"{taken}the comment is longer than {MAX_COMMENT}"):
        hand_in(scores=scores(4), comment="长" * (MAX_COMMENT + 1))
    with pytest.raises(InputError, match=f"{taken}there is no part 'zz'"):
        hand_in(scores=scores(4), revision={"zz": "x"})
    with pytest.raises(InputError, match=f"{taken}the revised s1 is longer than {MAX_COMMENT}"):
        hand_in(scores=scores(4), revision={"s1": "长" * (MAX_COMMENT + 1)})
    with store.read() as conn:
        assert conn.execute(select(review)).first() is None


def test_a_comment_of_fifty_thousand_characters_is_kept_whole(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    long = "<script>alert('查房')</script>\n" * (MAX_COMMENT // 31)
    give(store, study, who[0], 4, comment=long)
    with store.read() as conn:
        assert conn.execute(select(review.c.comment)).scalar_one() == long


def test_handing_in_twice_is_one_review(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    task = desk.next_tasks(store, study, who[0])[0]
    one = ReviewIn(scores=scores(4), comment="好")
    first = handing_in.submit(store, who[0], task.assignment, task.version, one)
    assert (
        handing_in.submit(store, who[0], task.assignment, task.version, one).review == first.review
    )
    with pytest.raises(ConflictError, match="already"):
        handing_in.submit(store, who[0], task.assignment, task.version, ReviewIn(scores=scores(3)))


def test_someone_elses_item_is_refused(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item("k")])
    task = desk.next_tasks(store, study, who[0])[0]
    for other in (who[1], who[3]):
        with pytest.raises(RefusedError):
            handing_in.submit(
                store, other, task.assignment, task.version, ReviewIn(scores=scores(4))
            )
    with pytest.raises(RefusedError):
        desk.next_tasks(store, study, who[3])


def expire(store: Store, task: desk.Task) -> None:
    with store.write() as conn:
        conn.execute(
            update(assignment).where(assignment.c.id == task.assignment).values(lease_until=1)
        )


def test_an_abandoned_item_returns_and_its_draft_survives(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item("k")])
    task = desk.next_tasks(store, study, who[0])[0]
    place = drafts.place_of(task.item, task.round)
    drafts.save_draft(store, who[0], place, {"comment": "写到一半"}, version=0)
    expire(store, task)
    with store.write() as conn:
        opening.join(conn, study, [who[3]], by=None)
        assert desk.return_expired(conn, study, opening.config_of(conn, study)) == 1
    for w in who[1:]:
        give(store, study, w, 4)
    with pytest.raises((ConflictError, RefusedError)):
        handing_in.submit(store, who[0], task.assignment, task.version, ReviewIn(scores=scores(4)))
    with store.read() as conn:
        assert drafts.read_draft(conn, who[0], place)[0] == {"comment": "写到一半"}
        assert conn.execute(
            select(event.c.verb).where(event.c.verb == "lease.expired")
        ).scalar_one()


def test_an_expired_lease_nobody_took_is_still_the_reviewers(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    task = desk.next_tasks(store, study, who[0])[0]
    expire(store, task)
    with store.write() as conn:
        desk.return_expired(conn, study, opening.config_of(conn, study))
    done = handing_in.submit(
        store, who[0], task.assignment, task.version, ReviewIn(scores=scores(4))
    )
    with store.read() as conn:
        assert (
            conn.execute(select(review.c.user_id).where(review.c.id == done.review)).scalar_one()
            == who[0]
        )


def test_two_tabs_lose_nothing(store: Store) -> None:
    (who,) = people(store, 1)
    assert drafts.save_draft(store, who, "review:1:1", {"comment": "a"}, version=0) == 1
    assert drafts.save_draft(store, who, "review:1:1", {"comment": "ab"}, version=1) == 2
    with pytest.raises(ConflictError):
        drafts.save_draft(store, who, "review:1:1", {"comment": "z"}, version=1)
    with pytest.raises(ConflictError):
        drafts.save_draft(store, who, "review:1:1", {"comment": "z"}, version=0)
    with store.read() as conn:
        assert drafts.read_draft(conn, who, "review:1:1") == ({"comment": "ab"}, 2)


def test_taking_back_reopens_even_the_round_it_closed(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    for w in who[:2]:
        give(store, study, w, 4)
    assert give(store, study, who[2], 4, comment="手快了").state == "accepted"
    task = handing_in.undo(store, study, who[2])
    assert task.draft is not None
    assert task.draft["comment"] == "手快了"
    with store.read() as conn:
        assert conn.execute(select(item.c.status, item.c.strikes)).one() == ("open", 0)
    assert give(store, study, who[2], 1).state == "drafting"
    with store.read() as conn:
        kept = conn.execute(select(review.c.withdrawn_at)).scalars().all()
        assert sum(w is not None for w in kept) == 1
        assert len(kept) == 4


def test_of_two_taken_back_the_later_is_seen_first(store: Store) -> None:
    who = people(store, 1)
    study = opened(store, who, [new_item(f"k{i}") for i in range(9)], raters=1)
    done = []
    for _ in range(6):
        done.append(desk.next_tasks(store, study, who[0], ahead=0)[0].item)
        give(store, study, who[0], 4)
    back = []
    for _ in range(4):
        back.append(handing_in.undo(store, study, who[0]).item)
        time.sleep(0.002)
        assert desk.next_tasks(store, study, who[0], ahead=0)[0].item == back[-1]
    assert back == done[:1:-1]


def test_nothing_is_taken_back_once_the_study_is_closed(store: Store) -> None:
    who = people(store, 1)
    study = opened(store, who, [new_item("k")], raters=1)
    give(store, study, who[0], 4)
    with store.write() as conn:
        opening.close_study(conn, study, by=None)
    with pytest.raises(ConflictError, match="closed"):
        handing_in.undo(store, study, who[0])
    with store.read() as conn:
        assert conn.execute(select(review.c.withdrawn_at)).scalars().all() == [None]


def test_a_free_item_is_only_for_who_held_it(store: Store) -> None:
    who = people(store, 2)
    study = opened(store, who, [new_item("k")], raters=1)
    (task,) = desk.next_tasks(store, study, who[0], ahead=0)
    with store.write() as conn:
        conn.execute(update(assignment).values(lease_until=1))
        desk.return_expired(conn, study, opening.config_of(conn, study))
    given = ReviewIn(scores=scores(4))
    with pytest.raises(RefusedError):
        handing_in.submit(store, who[1], task.assignment, task.version, given)
    assert (
        handing_in.submit(store, who[0], task.assignment, task.version, given).state == "accepted"
    )


def test_what_each_has_done_is_kept_in_their_row(store: Store) -> None:
    """Counting it read all that a reviewer had done with every item."""
    who = people(store, 2)
    gold = [new_item(f"g{i}", gold={"correctness": 2}) for i in range(4)]
    items = [new_item(f"k{i}") for i in range(12)] + gold
    study = opened(store, who, items, gold_rate=0.5, raters=1)
    with store.write() as conn:
        seen = alone(conn, desk.tasks_in(conn, store, study, who[0], ahead=1))
        for task in seen:
            found = alone(conn, handing_in.there(task.assignment, who[0]))
            assert found is not None
            given = ReviewIn(scores=scores(4))
            handed_in = handing_in.submit_at(
                conn, who[0], found, task.version, given, counted=False
            )
            did = alone(conn, handed_in).did
            # with the next lease, or, where another item is held, by itself
            after = desk.tasks_in(conn, store, study, who[0], ahead=0, did=did)
            (next_one,) = alone(conn, after)
        assert next_one.progress[0] == 2
    while desk.next_tasks(store, study, who[0], ahead=0):
        give(store, study, who[0], 4)
    told, found_there = counts(store, study)[who[0]]
    assert told == found_there and min(told) > 0
    before = sum(told)
    assert handing_in.undo(store, study, who[0]).progress[0] == before - 1
    assert handing_in.undo(store, study, who[0]).progress[0] == before - 2
    assert counted_right(store, study)


def test_taking_back_twice_at_once_counts_each_review_once(store: Store) -> None:
    who = people(store, 1)
    study = opened(store, who, [new_item(f"k{i}") for i in range(8)], raters=1)
    for _ in range(8):
        give(store, study, who[0], 4)
    start = threading.Barrier(4)
    ends: list[object] = []

    def take_back() -> None:
        start.wait()
        try:
            ends.append(handing_in.undo(store, study, who[0]).assignment)
        except ConflictError as e:
            ends.append(type(e))

    threads = [threading.Thread(target=take_back) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    taken = [e for e in ends if e is not ConflictError]
    assert len(ends) == 4 and len(taken) == len(set(taken)) >= 1
    assert counts(store, study)[who[0]] == ((8 - len(taken), 0),) * 2
    with store.read() as conn:
        verbs = conn.execute(select(event.c.verb)).scalars().all()
    assert verbs.count("review.withdrawn") == len(taken)


def test_what_is_taken_back_is_taken_back_again_where_postgresql_chose_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = people(store, 2)
    study = opened(store, who, [new_item("k")], raters=2)
    give(store, study, who[0], 4)
    take, left = handing_in._take_back, [2]

    def chosen_against(*given: Any) -> desk.Task:
        done = take(*given)
        left[0] -= 1
        if left[0]:
            cause = DBAPIError("", None, Exception("deadlock detected"))
            raise ConflictError("someone else changed the same rows") from cause
        return done

    monkeypatch.setattr(handing_in, "_take_back", chosen_against)
    back = handing_in.undo(store, study, who[0])
    assert left == [0]
    assert back.draft
    with store.read() as conn:
        assert conn.execute(select(review.c.withdrawn_at)).scalar_one() is not None
        told = select(event.c.verb).where(event.c.verb == "review.withdrawn")
        assert len(conn.execute(told).all()) == 1
    assert counted_right(store, study)


def test_nothing_to_take_back(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    with pytest.raises(ConflictError):
        handing_in.undo(store, study, who[0])


def test_the_last_two_reviews_at_once_close_the_round_once(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item(f"k{i}") for i in range(5)])
    while desk.next_tasks(store, study, who[0], ahead=0):
        give(store, study, who[0], 4)
    failures: list[BaseException] = []
    start = threading.Barrier(2)

    def work(w: int) -> None:
        try:
            start.wait()
            while desk.next_tasks(store, study, w, ahead=0):
                give(store, study, w, 4)
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(w,)) for w in who[1:]]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    with store.read() as conn:
        assert conn.execute(select(item.c.status)).scalars().all() == ["accepted"] * 5
        verbs = conn.execute(select(event.c.verb)).scalars().all()
    assert verbs.count("item.accepted") == 5
    assert verbs.count("review.submitted") == 15


def test_gold_is_mixed_in_and_counts_for_nothing(store: Store) -> None:
    who = people(store, 3)
    gold = [new_item(f"g{i}", gold={"correctness": 2}) for i in range(3)]
    study = opened(store, who, [new_item(f"k{i}") for i in range(20)] + gold, gold_rate=0.3)
    met: list[int] = []
    while tasks := desk.next_tasks(store, study, who[0], ahead=0):
        if tasks[0].task == "gold":
            met.append(tasks[0].item)
        handing_in.submit(
            store, who[0], tasks[0].assignment, tasks[0].version, ReviewIn(scores=scores(4))
        )
    assert met
    assert len(met) == len(set(met)) <= 3
    with store.read() as conn:
        assert desk.progress(conn, study, who[0]) == (20 + len(met), 20 + len(met))
        assert (
            conn.execute(select(review.c.item_id).where(review.c.gold).order_by(review.c.id))
            .scalars()
            .all()
            == met
        )


def test_the_bar_does_not_tell_gold_from_other_items(store: Store) -> None:
    """Each hand-in moves it by one, of as many as there were from the first item to the last."""
    who = people(store, 1)
    gold = [new_item(f"g{i}", gold={"correctness": 2}) for i in range(3)]
    items = [new_item(f"k{i}") for i in range(20)] + gold
    study = opened(store, who, items, gold_rate=0.3, raters=1)
    told: list[tuple[int, int]] = []
    while tasks := desk.next_tasks(store, study, who[0], ahead=0):
        told.append(tasks[0].progress)
        given = ReviewIn(scores=scores(4))
        handing_in.submit(store, who[0], tasks[0].assignment, tasks[0].version, given)
    with store.read() as conn:
        met = len(conn.execute(select(review.c.id).where(review.c.gold)).all())
        assert desk.progress(conn, study, who[0]) == (20 + met, 20 + met)
    assert met
    assert told == [(n, 23) for n in range(20 + met)]


def test_two_tabs_at_once_never_draw_the_same_gold(store: Store) -> None:
    who = people(store, 1)
    gold = [new_item(f"g{i}", gold={"correctness": 2}) for i in range(6)]
    study = opened(store, who, [new_item(f"k{i}") for i in range(6)] + gold, gold_rate=0.99)
    drawn: list[int] = []
    start = threading.Barrier(3)

    def tab() -> None:
        start.wait()
        drawn.extend(t.item for t in desk.next_tasks(store, study, who[0], ahead=1))

    threads = [threading.Thread(target=tab) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(drawn) == 6
    with store.read() as conn:
        slots = conn.execute(select(assignment.c.item_id).where(assignment.c.task == "gold"))
        met = slots.scalars().all()
    assert len(met) == len(set(met))


def test_one_who_left_gets_nothing_more(store: Store) -> None:
    """Not even with the answer to what they hand in: it is refused whole."""
    who = people(store, 3)
    study = opened(store, who, [new_item(f"k{i}") for i in range(3)])
    (task,) = desk.next_tasks(store, study, who[0], ahead=0)
    with store.write() as conn:
        conn.execute(update(member).where(member.c.user_id == who[0]).values(active=False))

    def hand_in() -> None:
        with store.write() as conn:
            given = ReviewIn(scores=scores(4))
            done = alone(
                conn, handing_in.hand_in(conn, who[0], task.assignment, task.version, given)
            )
            alone(conn, desk.tasks_in(conn, store, study, who[0], holds=done.holds))

    with pytest.raises(RefusedError):
        hand_in()
    with store.read() as conn:
        assert conn.execute(select(review)).all() == []


def test_what_is_counted_as_shown(store: Store) -> None:
    """Every item once, gold among them, whichever way it comes to the desk."""
    who = people(store, 1)
    gold = [new_item("g", gold={"correctness": 2})]
    study = opened(store, who, [new_item(f"k{i}") for i in range(4)] + gold, gold_rate=0.5)
    seen = 0
    while tasks := desk.next_tasks(store, study, who[0], ahead=0):
        seen += 1
        with store.write() as conn:
            assert desk.member_row(conn, study, who[0])["shown"] == seen
            given = ReviewIn(scores=scores(4))
            slot, version = tasks[0].assignment, tasks[0].version
            done = alone(conn, handing_in.hand_in(conn, who[0], slot, version, given))
            assert not done.holds
    assert seen == 5


@pytest.mark.parametrize(("item_id", "round_"), [(1, 1), (31_247, 12), (2**40, 5)])
def test_a_draft_s_place_is_one_in_python_and_in_a_statement(
    store: Store, item_id: int, round_: int
) -> None:
    with store.read() as conn:
        made = conn.execute(select(drafts.place_in(literal(item_id), literal(round_)))).scalar()
    assert made == drafts.place_of(item_id, round_)


def plan_of(store: Store, statement: Select[Any], values: dict[str, int]) -> str:
    """How SQLite goes about a statement."""
    text = statement.params(values).compile(
        dialect=store.engine.dialect, compile_kwargs={"literal_binds": True}
    )
    with store.read() as conn:
        rows = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        return "\n".join(str(r[-1]) for r in rows)


def test_of_two_first_drafts_saved_at_the_same_moment_one_is_told(store: Store) -> None:
    who = people(store, 1)[0]
    ends: list[Any] = []

    def save() -> None:
        try:
            ends.append(drafts.save_draft(store, who, "review:1:1", {"comment": "b"}, version=0))
        except Exception as e:
            ends.append(type(e))

    thread = threading.Thread(target=save)
    with store.write() as conn:
        first = {"user_id": who, "place": "review:1:1", "body": {}, "version": 1, "at": 1}
        conn.execute(insert(draft), first)
        thread.start()
        time.sleep(0.3)  # it finds none yet, and waits to add its own
    thread.join(30)
    assert ends == [ConflictError]


def test_the_next_item_is_found_without_going_through_the_study(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a study of 31,247 items a walk through all that is free takes half a second."""
    members = people(sqlite_store, 2)
    study = opened(sqlite_store, members, [new_item("q")])
    me = {"study": study, "user": members[0]}
    with sqlite_store.read() as conn:
        who = desk.member_row(conn, study, members[0])
    pool = plan_of(sqlite_store, desk.open_to(who), {})
    assert "ix_assignment_pool" in pool
    assert (
        "TEMP B-TREE" not in pool
    )  # in the order of the index: the first that fits ends the search
    assert "ix_item_study_id_is_gold" in plan_of(sqlite_store, desk._ALL_GOLD, {"study": study})
    assert "ix_assignment_user" in plan_of(sqlite_store, desk._MET, me)
    config = StudyConfig(kind="rationale", title="", form=())
    late = statements(sqlite_store, monkeypatch)
    with sqlite_store.write() as conn:
        desk.return_expired(conn, study, config)
        found = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {late[0]}", (study, 1)).all()
    assert "ix_assignment_held" in str(found)


def test_sqlite_prepares_nothing_anew_from_one_item_to_the_next(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parameter that might decide whether a partial index holds what is asked makes SQLite prepare the statement at
    each run."""
    who = people(sqlite_store, 1)
    study = opened(sqlite_store, who, [new_item(f"k{i}") for i in range(3)], raters=1)
    seen = statements(sqlite_store, monkeypatch)
    for _ in range(2):
        give(sqlite_store, study, who[0], 4)
    changed = [s for s in seen if s.startswith("UPDATE assignment")]
    assert len(changed) >= 4
    assert [s for s in seen if "state = ?" in s] == []


@pytest.mark.parametrize("many", [1, 5])
def test_postgresql_looks_only_at_what_is_the_reviewer_s(store: Store, many: int) -> None:
    """Also while it has counted nothing yet, and every state seems rare: then it used to walk through all that is free."""
    if store.is_sqlite:
        pytest.skip("SQLite goes by the columns of its indexes alone")
    study = opened(store, people(store, 9), [new_item(f"q{i}") for i in range(1_000)])
    dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
    whole = desk._LEASE_FIRST.statement(many).compile(dialect=dialect)
    with store.write() as conn:
        conn.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")
        raw: Any = conn.connection.driver_connection
        raw.execute(f"PREPARE the_next AS {whole}")
        nothing = ", ".join(["NULL"] * len(whole.positiontup or ()))
        plan = "\n".join(r[0] for r in raw.execute(f"EXPLAIN EXECUTE the_next({nothing})"))
        raw.execute("DEALLOCATE the_next")
    assert study
    assert plan.count("ix_assignment_plan") == many
    assert "ix_assignment_user" not in plan  # nor at what they have done
    assert "ix_assignment_pool" not in plan


def test_of_one_item_one_hands_in_after_the_other(store: Store) -> None:
    """Three who share a transaction and hold the same item: the first goes on, and what closes the round is seen."""
    who = people(store, 4)
    study = opened(store, who, [new_item("k")], raters=3)
    held = {w: tasks[0] for w in who if (tasks := desk.next_tasks(store, study, w, ahead=0))}
    assert len(held) == 3
    given = ReviewIn(scores=scores(4))

    def hand_in(conn: Connection, w: int) -> Steps[handing_in.Submitted]:
        return handing_in.hand_in(conn, w, held[w].assignment, held[w].version, given)

    with store.write() as conn:
        together = [(hand_in(conn, w), copy_context()) for w in held]
        assert {n: done.state for n, done in side_by_side(conn, together).items()} == {0: None}
    for w, state in list(zip(held, (None, None, "accepted"), strict=True))[1:]:
        with store.write() as conn:
            assert alone(conn, hand_in(conn, w)).state == state


def test_one_who_sends_again_looks_for_ended_leases_when_the_others_are_done(store: Store) -> None:
    """Side by side it gave back an item that another was just handing in, and planned it for somebody else."""
    who = people(store, 3)
    study = opened(store, who, [new_item(f"k{i}") for i in range(6)], raters=2)
    held = {w: desk.next_tasks(store, study, w, ahead=0)[0] for w in who[:2]}
    given = ReviewIn(scores=scores(4))

    def hand_in(conn: Connection, w: int) -> Steps[list[desk.Task]]:
        slot = held[w].assignment
        done = yield from handing_in.hand_in(conn, w, slot, held[w].version, given)
        return (yield from desk.tasks_in(conn, store, study, w, ahead=0, holds=done.holds))

    with store.write() as conn:
        alone(conn, hand_in(conn, who[1]))
        late = update(assignment).where(assignment.c.id == held[who[0]].assignment)
        conn.execute(late.values(lease_until=1))
    desk._swept.clear()
    with store.write() as conn:
        together = [(hand_in(conn, w), copy_context()) for w in (who[1], who[0])]
        assert list(side_by_side(conn, together)) == [1]
    with store.write() as conn:
        assert alone(conn, hand_in(conn, who[1]))
    with store.read() as conn:
        told = conn.execute(select(event.c.id).where(event.c.verb == "lease.expired")).all()
    assert told == []
    assert counted_right(store, study)
    assert all(kept == found for kept, found in loads(store, study).values())
