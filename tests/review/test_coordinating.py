"""What the coordinator does to a study, and the story of an item; on both databases."""

import pytest
from sqlalchemy import select

from tests.review.rooms import give, new_item, opened, people
from wardround.errors import ConflictError
from wardround.review import (
    coordinating,
    desk,
    figures,
    handing_in,
    history,
    jobs,
    opening,
    progress,
)
from wardround.review import panel as decisions
from wardround.review.tables import assignment, item, member, review
from wardround.store.database import Store
from wardround.store.people import event


def verbs(store: Store) -> list[str]:
    with store.read() as conn:
        return list(conn.execute(select(event.c.verb).order_by(event.c.id)).scalars())


def test_leases_are_returned_to_others(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who, [new_item("a"), new_item("b")])
    task = desk.next_tasks(store, study, who[0], ahead=0)[0]
    with store.write() as conn:
        assert coordinating.return_leases(conn, study, who[0], by=who[3]) == 1
        assert coordinating.return_leases(conn, study, who[0], by=who[3]) == 0
    with store.read() as conn:
        row = conn.execute(
            select(assignment).where(assignment.c.id == task.assignment)
        ).mappings().one()  # fmt: skip
    assert (row["state"], row["user_id"]) == ("free", None)
    assert row["planned_for"] is not None
    assert verbs(store).count("lease.returned") == 1


def test_a_revision_nobody_makes_is_released(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a")], on_fail="revise")
    for w in who:
        give(store, study, w, 2)
    with store.read() as conn:
        waiting = progress.revisions(conn, study)
    assert len(waiting) == 1 and waiting[0].planned_for in who and waiting[0].since is not None
    with store.write() as conn:
        coordinating.release(conn, study, waiting[0].item_id, by=who[0])
        with pytest.raises(ConflictError):
            coordinating.release(conn, study, waiting[0].item_id, by=who[0])
    other = next(w for w in who if w != waiting[0].planned_for)
    assert desk.next_tasks(store, study, other, ahead=0)[0].task == "revise"


def test_one_job_is_hurried(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a", content=None)], model="x")
    claimed = jobs.claim(store, 1)[0]
    jobs.put_back(store, claimed, "connection refused")
    assert jobs.claim(store, 1) == []
    with store.read() as conn:
        waiting = progress.jobs(conn, study)
        assert progress.overview(conn, study).jobs == {"queued": 1, "error": 1}
    assert (waiting[0].error, waiting[0].key) == ("connection refused", "a")
    with store.write() as conn:
        coordinating.retry(conn, study, waiting[0].id, by=who[0])
    assert [j.id for j in jobs.claim(store, 1)] == [waiting[0].id]
    with store.write() as conn, pytest.raises(ConflictError):
        coordinating.retry(conn, study, waiting[0].id, by=who[0])
    assert "job.hurried" in verbs(store)


def test_a_closed_study_is_opened_again(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a")])
    with store.write() as conn:
        opening.close_study(conn, study, by=who[0])
    assert desk.next_tasks(store, study, who[0]) == []
    with store.write() as conn:
        coordinating.reopen_study(conn, study, by=who[0])
    assert len(desk.next_tasks(store, study, who[0])) == 1
    assert verbs(store)[-2:] == ["study.closed", "study.reopened"]


def test_planning_anew_takes_in_the_loads(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item(k) for k in "abcd"])
    with store.write() as conn:
        opening.join(conn, study, who[3:], by=None)
        planned = coordinating.replan(conn, study, by=who[0])
    assert (planned.given, planned.left) == (12, {})
    with store.read() as conn:
        loads = conn.execute(select(member.c.load)).scalars().all()
    assert list(loads) == [3, 3, 3, 3]


def test_the_story_of_an_item(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a")], on_fail="either", strikes=2)
    for n, w in enumerate(who):
        revision = {"s1": "因为发热三天，"} if n == 1 else None
        give(store, study, w, 2, comment=f"意见{n}", revision=revision)
    desk.next_tasks(store, study, who[0])
    with store.read() as conn:
        row = conn.execute(select(item)).mappings().one()
        found = history.history(conn, row["id"])
    assert [(v.number, v.round, v.author_kind, v.right) for v in found.versions] == [
        (1, 1, "model", True), (2, 2, "reviewer", True)
    ]  # fmt: skip
    first, second = found.versions
    assert [r.comment for r in first.reviews] == ["意见0", "意见1", "意见2"]
    assert [r.name for r in first.reviews] == ["评审0", "评审1", "评审2"]
    assert second.author == "评审1" and second.before == first.content
    assert first.outcomes[0].next == "revision" and second.outcomes == ()
    assert {s["state"] for s in found.slots} <= {"free", "held"}
    assert found.events[-1]["verb"] == "review.submitted"


def test_the_panels_decision_is_in_the_story(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item("a")], strikes=1)
    for w in who[:3]:
        give(store, study, w, 2)
    with store.read() as conn:
        row = conn.execute(select(item)).mappings().one()
        assert [r.id for r in progress.before_panel(conn)] == [row["id"]]
    decisions.decide(
        store, row["id"], by=who[3], item_version=row["version"], decision="amend",
        reason="补上机制", amended={"s2": "机制清楚，所以选A。"},
    )  # fmt: skip
    with store.read() as conn:
        found = history.history(conn, row["id"])
        assert progress.before_panel(conn) == []
    assert [(o.outcome, o.by) for o in found.decisions] == [("panel_accepted", "评审3")]
    last = found.versions[-1]
    assert (last.author_kind, last.author, last.round) == ("panel", "评审3", 0)
    assert [o.outcome for o in found.versions[0].outcomes] == ["failed"]


def test_marks_of_several_reviewers_are_joined() -> None:
    def reviewed(*spans: tuple[int, int], withdrawn: bool = False) -> history.Reviewed:
        marks = tuple({"part": "s1", "start": a, "end": b} for a, b in spans)
        return history.Reviewed(
            id=1, user=1, name="", scores={}, comment="", spans=marks, revision=None, seconds=0.0,
            gold=False, at=0, withdrawn=withdrawn,
        )  # fmt: skip

    version = history.Version(
        id=1, number=1, round=1, content=(), before=(), data={}, author_kind="model", author="", guidance="",
        created_at=0, right=None, outcomes=(),
        reviews=(reviewed((0, 4), (8, 9)), reviewed((2, 6)), reviewed((20, 30), withdrawn=True)),
    )  # fmt: skip
    assert version.marks == {"s1": [(0, 6), (8, 9)]}


def test_who_reviews_may_not_look_until_the_item_is_settled(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item("a")], strikes=1)

    def barred(user_id: int) -> bool:
        with store.read() as conn:
            row = conn.execute(select(item)).mappings().one()
            status = opening.study_row(conn, study)["status"]
            return history.may_not_see(conn, dict(row), status, user_id)

    assert barred(who[0]) and not barred(who[3])
    for w in who[:3]:
        give(store, study, w, 2)
    assert not barred(who[0])


def test_withdrawn_reviews_count_nowhere_but_stay_in_the_story(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a")])
    give(store, study, who[0], 2)
    handing_in.undo(store, study, who[0])
    with store.read() as conn:
        item_id = conn.execute(select(review.c.item_id)).scalar_one()
        assert figures.compute(conn, study).reviews == 0
        assert progress.overview(conn, study).reviews == (0, 3)
        assert [r.withdrawn for r in history.history(conn, item_id).versions[0].reviews] == [True]
