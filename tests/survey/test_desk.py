"""The respondent's side, on both databases: links, drafts, two windows, submitting, and what nobody may learn."""

import json
import threading
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from tests.survey.made import ADULT, closed, full, made, patch_of, submit, told
from wardround.errors import ConflictError, RefusedError, UsageError
from wardround.store.database import Store
from wardround.survey import desk, links, surveys, tables
from wardround.survey.answers import Added, Answer, Verdict
from wardround.survey.desk import Patch
from wardround.survey.grouping import additions


def rated(**by_task: Any) -> Patch:
    return Patch(ratings=by_task)


def test_a_draft_comes_back_with_its_link(store: Store) -> None:
    found = made(store)
    one, two = links.make(store, found.id, 2)
    desk.save(store, one, rated(triage={"frequency": 3}))
    desk.save(store, one, Patch(profile={"title": "chief"}, remark="好 "))
    back = desk.look(store, one)
    assert back.answer == Answer(
        ratings={"triage": {"frequency": 3}}, profile={"title": "chief"}, remark="好"
    )
    assert back.version == 3 and back.submitted is None and back.unsent
    assert desk.look(store, two).version == 0 and desk.look(store, two).answer.empty
    desk.save(store, one, rated(triage={"frequency": None}))
    desk.save(store, one, Patch(profile={"title": ""}))
    assert desk.look(store, one).answer == Answer(remark="好")


def test_submitting_twice_is_one_answer_that_can_be_changed(store: Store) -> None:
    found = made(store)
    (token,) = links.make(store, found.id, 1)
    with pytest.raises(UsageError, match="nothing is answered"):
        desk.submit(store, token)
    desk.save(store, token, patch_of(full(added="知情同意书")))
    first = desk.submit(store, token)
    again = desk.submit(store, token)
    assert first.submitted == again.submitted == full(added="知情同意书") and not again.unsent
    assert len(told(store, "answer.submitted")) == 1
    desk.save(store, token, rated(triage={"usefulness": 1}))
    assert desk.look(store, token).unsent
    desk.submit(store, token)
    with store.read() as conn:
        assert surveys.counts(conn, found.id)["answers"] == 1
    (changed,) = told(store, "answer.changed")
    assert changed["before"] == told(store, "answer.submitted")[0]["after"] != changed["after"]


def test_own_tasks_follow_the_answer(store: Store) -> None:
    found = made(store)
    token = submit(store, found.id, full(added="知情同意书"))

    def now() -> list[tuple[str, str]]:
        with store.read() as conn:
            return [(a.name, a.state) for a in additions(conn, found.id)]

    assert now() == [("知情同意书", "open")]
    two = (Added(slot="1", name="知情同意书起草"), Added(slot="2", name="沟通"))
    desk.save(store, token, Patch(added=two))
    assert now() == [("知情同意书", "open")]  # not before it is handed in
    desk.submit(store, token)
    assert now() == [("知情同意书起草", "open"), ("沟通", "open")]
    desk.save(store, token, Patch(added=()))
    desk.submit(store, token)
    assert now() == []


def test_two_windows_lose_nothing(store: Store) -> None:
    (token,) = links.make(store, made(store).id, 1)
    seen = desk.save(store, token, rated(triage={"frequency": 3})).version
    desk.save(store, token, rated(case_summary={"risk": 2}), seen)
    late = desk.save(store, token, rated(triage={"risk": 5}), seen)  # another question: no clash
    assert late.answer.ratings == {
        "triage": {"frequency": 3, "risk": 5},
        "case_summary": {"risk": 2},
    }
    with pytest.raises(desk.ClashError) as e:
        desk.save(store, token, rated(case_summary={"risk": 4, "time": 1}), seen)
    assert e.value.fields == ("case_summary.risk",)
    assert "time" not in desk.look(store, token).answer.ratings["case_summary"]
    desk.save(store, token, rated(case_summary={"risk": 4, "time": 1}), late.version)
    assert desk.look(store, token).answer.ratings["case_summary"] == {"risk": 4, "time": 1}


def test_clashes_of_every_kind() -> None:
    there = Answer(
        profile=ADULT, verdicts={"triage": Verdict(choice="keep")}, added=(Added(slot="1", name="x"),),
        remark="a",
    )  # fmt: skip
    other = Patch(
        profile={"title": "chief"}, verdicts={"triage": None}, added=(), remark="b",
    )  # fmt: skip
    assert desk.clashes(there, other) == ["profile.title", "triage.verdict", "added", "remark"]
    assert desk.merged(there, other).verdicts == {}
    assert desk.clashes(there, Patch()) == [] and desk.merged(there, Patch()) == there


def test_many_saves_at_once_are_all_kept(store: Store) -> None:
    found = made(store)
    (token,) = links.make(store, found.id, 1)
    keys = [t.key for t in desk.look(store, token).tasks]
    wrong: list[BaseException] = []

    def work(key: str, dimension: str) -> None:
        try:
            desk.save(store, token, rated(**{key: {dimension: 2}}))
        except BaseException as e:
            wrong.append(e)

    threads = [
        threading.Thread(target=work, args=(k, d)) for k in keys for d in ("frequency", "risk", "time")
    ]  # fmt: skip
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert desk.look(store, token).answer.ratings == {
        k: {"frequency": 2, "risk": 2, "time": 2} for k in keys
    }


def test_what_is_not_allowed_is_not_kept(store: Store) -> None:
    (token,) = links.make(store, made(store).id, 1)
    for patch in (
        rated(triage={"risk": 9}), rated(nonsense={"risk": 1}), Patch(profile={"title": "king"}),
        Patch(verdicts={"triage": Verdict(choice="keep")}),
        Patch(added=tuple(Added(slot=str(n), name="x") for n in range(9))),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            desk.save(store, token, patch)
    assert desk.look(store, token).answer.empty
    desk.save(store, token, Patch(added=(Added(slot="1", name="", why="还没起名\x00"),)))
    assert desk.look(store, token).answer.added[0].why == "还没起名"
    with pytest.raises(UsageError):
        desk.submit(store, token)


def test_only_an_open_survey_takes_answers(store: Store) -> None:
    found = made(store, open_=False)
    (token,) = links.make(store, found.id, 1)
    with pytest.raises(ConflictError):
        desk.save(store, token, patch_of(full()))
    opened = surveys.move(store, found.id, "open", found.version)
    desk.save(store, token, patch_of(full()))
    desk.submit(store, token)
    shut = surveys.move(store, found.id, "closed", opened.version)
    with pytest.raises(ConflictError):
        desk.submit(store, token)
    assert desk.look(store, token).submitted == full()
    surveys.move(store, found.id, "open", shut.version)
    desk.save(store, token, rated(triage={"risk": 1}))


def test_links_are_checked_and_can_be_stopped(store: Store) -> None:
    found = made(store)
    tokens = links.make(store, found.id, 3, batch="骨科")
    assert len(set(tokens)) == 3 and all(len(x) == 24 for x in tokens)
    for wrong in ("", "x", tokens[0] + "x", tokens[0][:-1]):
        with pytest.raises(RefusedError):
            desk.look(store, wrong)
    assert links.batches(store, found.id) == [("骨科", 3, 3)]
    assert links.revoke(store, found.id, batch="骨科") == 3
    assert links.batches(store, found.id) == [("骨科", 3, 0)]
    with pytest.raises(RefusedError):
        desk.look(store, tokens[0])
    with pytest.raises(UsageError):
        links.make(store, found.id, 0)


def test_a_shared_link_gives_each_browser_its_own(store: Store) -> None:
    found = made(store, most_shared=2)
    shared = links.share(store, found.id)
    assert links.is_shared(store, found.id) and desk.look(store, shared).seat.kind == "shared"
    with pytest.raises(UsageError):
        desk.save(store, shared, patch_of(full()))
    one, two = links.enter(store, shared), links.enter(store, shared)
    desk.save(store, one, patch_of(full()))
    assert desk.look(store, two).answer.empty
    with pytest.raises(RefusedError, match="limit"):
        links.enter(store, shared)
    with pytest.raises(UsageError):
        links.enter(store, one)
    fresh = links.share(store, found.id)
    with pytest.raises(RefusedError):
        links.admit(store, shared)
    assert links.admit(store, fresh).survey.id == found.id
    assert desk.look(store, one).answer == full()


def test_nothing_stored_leads_from_an_answer_to_its_link(store: Store) -> None:
    found = made(store)
    token = submit(store, found.id, full(added="独特的补充任务"))
    with store.read() as conn:
        token_row = conn.execute(select(tables.token)).mappings().one()
        response = conn.execute(select(tables.response)).mappings().one()
    everything = json.dumps([dict(token_row), dict(response)], default=str, ensure_ascii=False)
    assert token not in everything
    assert token_row["id"] == links.token_id(token) and response["holder"] == links.holder_of(token)
    assert token_row["id"] not in json.dumps(dict(response), default=str)
    assert "used" not in token_row and set(token_row) == {
        "id", "survey_id", "kind", "batch", "created_at", "revoked_at",
    }  # fmt: skip


def test_events_of_answers_tell_the_day_and_no_more(store: Store) -> None:
    found = made(store)
    submit(store, found.id, full(added="独特的补充任务"))
    (row,) = told(store, "answer.submitted")
    assert row["actor"] is None and row["before"] is None
    assert row["at"] % desk.DAY == 0  # type: ignore[operator]
    assert list(row["after"]) == ["digest"]  # type: ignore[call-overload]
    with store.read() as conn:
        response = conn.execute(select(tables.response)).mappings().one()
    assert row["entity_id"] == str(found.id) != response["code"]
    answer = msgspec.convert(response["answer"], Answer)
    assert row["after"] == {"digest": desk.digest(response["salt"], answer)}
    for other in told(store, "links.made"):
        assert set(other["after"]) == {"count", "batch"}  # type: ignore[call-overload]


def test_a_share_of_the_tasks_only(store: Store) -> None:
    found = made(store, per_person=2)
    (token,) = links.make(store, found.id, 1)
    form = desk.look(store, token)
    assert len(form.tasks) == 2 and form.progress.total == 2
    mine = {x.key for x in form.tasks}
    with store.read() as conn:
        other = next(t.key for t in surveys.shown(conn, found.id) if t.key not in mine)
    with pytest.raises(UsageError):
        desk.save(store, token, rated(**{other: {"risk": 1}}))


def test_closing_needs_the_version_seen(store: Store) -> None:
    found = made(store)
    closed(store, found.id)
    with pytest.raises(ConflictError):
        surveys.move(store, found.id, "closed", found.version)
