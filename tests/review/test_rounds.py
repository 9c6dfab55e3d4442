"""From a failed round to the next, to the panel, to the end."""

import pytest
from sqlalchemy import select

from tests.review.rooms import FIELDS, give, new_item, opened, people, scores
from wardround.errors import ConflictError, InputError, RefusedError
from wardround.review import desk, drafts, handing_in, opening, panel, rounds
from wardround.review.study import Part, ReviewIn
from wardround.review.tables import item, job, result, review, version
from wardround.store.database import Store


def state(store: Store) -> tuple[str, int, int]:
    with store.read() as conn:
        row = conn.execute(select(item)).mappings().one()
        return row["status"], row["round"], row["strikes"]


def round_of(store: Store, study: int, who: list[int], value: int, **more: object) -> str | None:
    """All of `who` hand in the same; the state after the last."""
    last = None
    for w in who:
        last = give(store, study, w, value, **more).state
    return last


def redraft(store: Store, study: int, answer: str = "A", text: str = "新的依据") -> str:
    """What the worker does: the model's next version."""
    with store.write() as conn:
        config = opening.config_of(conn, study)
        row = rounds.locked(conn, conn.execute(select(item.c.id)).scalar_one())
        return rounds.add_version(
            conn, config, row, (Part(id="s1", role="step", text=text),), data={"answer": answer},
            author_kind="model", author="model:x", by=None,
        )  # fmt: skip


def test_consensus_accepts(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    assert round_of(store, study, who, 4) == "accepted"
    assert state(store) == ("accepted", 1, 0)


def test_a_failed_round_guides_the_model_without_names_or_the_key(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    assert round_of(store, study, who, 2, comment="未排除其他选项") == "drafting"
    with store.read() as conn:
        waiting = conn.execute(select(job)).mappings().one()
    assert waiting["round"] == 2
    assert "评审1：未排除其他选项" in waiting["guidance"]
    assert "reviewer0" not in waiting["guidance"]
    assert redraft(store, study) == "open"
    assert state(store) == ("open", 2, 1)
    assert round_of(store, study, who, 5) == "accepted"
    with store.read() as conn:
        diff = conn.execute(select(version.c.diff).where(version.c.number == 2)).scalar_one()
    assert "-[s1] 因为发热，" in diff
    assert "+[s1] 新的依据" in diff


def test_the_lowest_scorers_revision_is_the_next_version_and_not_theirs_to_review(
    store: Store,
) -> None:
    who = people(store, 4)
    study = opened(store, who[:3], [new_item("k")])
    with store.write() as conn:
        opening.join(conn, study, who, by=None)
    reviewers = [w for w in who if desk.next_tasks(store, study, w, ahead=0)][:3]
    for w, value in zip(reviewers, (3, 2, 3), strict=True):
        task = desk.next_tasks(store, study, w, ahead=0)[0]
        handed = handing_in.submit(
            store, w, task.assignment, task.version,
            ReviewIn(scores=scores(value), revision={"s1": f"由{value}分者改写"}),
        )  # fmt: skip
    assert handed.state == "open"
    with store.read() as conn:
        new = conn.execute(select(version).where(version.c.number == 2)).mappings().one()
    assert (new["author_kind"], new["author"]) == ("reviewer", str(reviewers[1]))
    assert new["content"][0]["text"] == "由2分者改写"
    assert new["content"][1]["text"] == "所以选A。"
    assert desk.next_tasks(store, study, reviewers[1]) == []
    others = [w for w in who if w != reviewers[1]]
    assert round_of(store, study, others, 4) == "accepted"


def test_asked_to_revise_the_lowest_scorer_gets_the_item_with_the_comments(store: Store) -> None:
    who = people(store, 4)
    study = opened(store, who, [new_item("k")], on_fail="revise")
    reviewers = [w for w in who if desk.next_tasks(store, study, w, ahead=0)][:3]
    for w, value in zip(reviewers, (3, 3, 2), strict=True):
        give(store, study, w, value, comment=f"{value}分")
    assert state(store)[0] == "revising"
    (task,) = desk.next_tasks(store, study, reviewers[2])
    assert task.task == "revise"
    assert set(task.comments) == {"3分", "2分"}
    with pytest.raises(InputError):
        handing_in.submit(store, reviewers[2], task.assignment, task.version, ReviewIn(scores={}))
    done = handing_in.submit(
        store, reviewers[2], task.assignment, task.version, ReviewIn(scores={}, revision={"s2": "故选A。"})
    )  # fmt: skip
    assert done.state == "open"
    assert state(store) == ("open", 2, 1)


def test_five_strikes_and_the_panel_decides_for_good(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    for strike in range(1, 6):
        left = round_of(store, study, who, 2)
        assert state(store)[2] == strike
        if strike < 5:
            assert left == "drafting"
            redraft(store, study, text=f"第{strike + 1}稿")
    assert left == "panel"
    with store.read() as conn:
        (row,) = panel.queue(conn, study)
    with pytest.raises(InputError, match="reason"):
        panel.decide(
            store, row["id"], by=who[0], item_version=row["version"], decision="accept", reason=" "
        )
    after = panel.decide(
        store, row["id"], by=who[0], item_version=row["version"], decision="amend", reason="补充鉴别",
        amended={"s1": "专家组改写"},
    )  # fmt: skip
    assert after == "accepted"
    with pytest.raises(ConflictError):
        panel.decide(
            store, row["id"], by=who[1], item_version=row["version"], decision="reject", reason="x"
        )
    with store.read() as conn:
        final = (
            conn.execute(select(version).join(item, item.c.version_id == version.c.id))
            .mappings()
            .one()
        )
        outcomes = conn.execute(select(result.c.outcome).order_by(result.c.id)).scalars().all()
    assert final["author_kind"] == "panel"
    assert outcomes == ["failed"] * 5 + ["panel_accepted"]


def test_a_wrong_answer_costs_strikes_and_no_reviewers_time(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k", content=None)])
    for _ in range(4):
        assert redraft(store, study, answer="C") == "drafting"
        assert desk.next_tasks(store, study, who[0]) == []
    assert redraft(store, study, answer="C") == "panel"
    with store.read() as conn:
        (row,) = panel.queue(conn, study)
        reasons = conn.execute(select(result.c.reasons)).scalars().all()
        assert conn.execute(select(review)).first() is None
    assert all(
        r == [{"code": "wrong_answer", "field": "", "value": None, "wanted": None}] for r in reasons
    )
    with pytest.raises(InputError, match="wrong answer"):
        panel.decide(
            store,
            row["id"],
            by=who[0],
            item_version=row["version"],
            decision="accept",
            reason="看着行",
        )
    assert (
        panel.decide(
            store,
            row["id"],
            by=who[0],
            item_version=row["version"],
            decision="reject",
            reason="题目有误",
        )
        == "rejected"
    )


def test_other_kinds_are_done_after_one_round(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")], kind="sample", raters=2)
    takers = [w for w in who if desk.next_tasks(store, study, w, ahead=0)][:2]
    assert [give(store, study, w, v).state for w, v in zip(takers, (1, 5), strict=True)] == [
        None,
        "done",
    ]


def test_a_review_for_a_closed_round_is_refused_and_its_draft_stays(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    task = desk.next_tasks(store, study, who[0])[0]
    place = drafts.place_of(task.item, task.round)
    drafts.save_draft(store, who[0], place, {"comment": "还在写"}, version=0)
    panel.send(store, task.item, by=who[2], reason="题干有争议")
    with pytest.raises((ConflictError, Exception)) as e:
        handing_in.submit(store, who[0], task.assignment, task.version, ReviewIn(scores=scores(4)))
    assert type(e.value).__name__ in ("ConflictError", "RefusedError")
    with store.read() as conn:
        assert drafts.read_draft(conn, who[0], place)[0] == {"comment": "还在写"}


def test_taking_back_is_refused_once_the_next_version_is_there(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("k")])
    round_of(store, study, who, 2)
    redraft(store, study)
    with pytest.raises(ConflictError):
        handing_in.undo(store, study, who[2])
    assert FIELDS


def test_the_panel_cannot_settle_an_item_with_another_items_version(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a"), new_item("b")])
    with store.read() as conn:
        first, second = conn.execute(select(item).order_by(item.c.id)).mappings().all()
    panel.send(store, first["id"], by=who[0], reason="题干有争议")
    with store.read() as conn:
        (row,) = panel.queue(conn, study)
    with pytest.raises(ConflictError, match="another item"):
        panel.decide(
            store, row["id"], by=who[0], item_version=row["version"], decision="accept", reason="x",
            version_id=second["version_id"],
        )  # fmt: skip


def test_a_revision_at_hand_goes_with_the_round_that_asked_for_it(store: Store) -> None:
    """Taken back, handed in again, revised: there were two such slots for one person, and a fault at each hand-in."""
    who = people(store, 2)
    study = opened(store, who[:1], [new_item("k")], on_fail="revise", raters=1)
    give(store, study, who[0], 1)
    (asked,) = desk.next_tasks(store, study, who[0], ahead=0)
    assert asked.task == "revise"
    (again,) = [handing_in.undo(store, study, who[0])]
    assert again.task == "review" and state(store) == ("open", 1, 0)
    (only,) = desk.next_tasks(store, study, who[0], ahead=1)
    assert only.task == "review"
    given = ReviewIn(scores=scores(1))
    assert (
        handing_in.submit(store, who[0], again.assignment, again.version, given).state == "revising"
    )
    with store.write() as conn:
        opening.join(conn, study, [who[1]], by=None)
    (task,) = desk.next_tasks(store, study, who[0], ahead=1)
    assert task.task == "revise" and task.assignment != asked.assignment
    with pytest.raises(RefusedError):  # the one of before is nobody's
        handing_in.submit(store, who[0], asked.assignment, asked.version, ReviewIn(scores={}))
    revised = ReviewIn(scores={}, revision={"s1": "因为高热，"})
    assert handing_in.submit(store, who[0], task.assignment, task.version, revised).state == "open"
    assert state(store) == ("open", 2, 1)


def test_a_round_is_not_taken_back_from_under_somebody_s_revision(store: Store) -> None:
    who = people(store, 2)
    study = opened(store, who, [new_item("k")], on_fail="revise", raters=2)
    give(store, study, who[0], 1)
    assert give(store, study, who[1], 2).state == "revising"
    (task,) = desk.next_tasks(store, study, who[0], ahead=0)  # the lowest scorer's
    assert task.task == "revise"
    with pytest.raises(ConflictError, match="next round has begun"):
        handing_in.undo(store, study, who[1])
    revised = ReviewIn(scores={}, revision={"s1": "因为高热，"})
    assert handing_in.submit(store, who[0], task.assignment, task.version, revised).state == "open"
