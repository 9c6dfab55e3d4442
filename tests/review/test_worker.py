"""Drafts by a model: written once, again with guidance, put off while the endpoint is down, struck when unreadable."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.review.drafts import Said, drafted, said, waiting_item
from tests.review.rooms import give, people
from wardround.errors import ConflictError, ModelError
from wardround.models.wire import failed
from wardround.records import Answer, Request
from wardround.review import desk, drafting, handing_in, jobs, opening, panel
from wardround.review.study import ReviewIn
from wardround.review.tables import item, job, result, version
from wardround.review.worker import Worker
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.people import event


def worked(store: Store, reply: Callable[[Request], str | Answer] | str) -> tuple[Worker, Said]:
    """A worker that did all that was due, and its model."""
    model = Said(reply)
    worker = Worker(store, opener=lambda _: model)
    worker.work(once=True)
    return worker, model


def items(store: Store) -> list[tuple[str, int, int]]:
    with store.read() as conn:
        rows = conn.execute(select(item.c.status, item.c.round, item.c.strikes).order_by(item.c.id))
        return [(r[0], r[1], r[2]) for r in rows]


def due_now(store: Store) -> None:
    with store.write() as conn:
        conn.execute(update(job).values(due_at=now()))


def test_first_drafts_are_written_and_open_for_review(store: Store) -> None:
    who = people(store, 3)
    study = drafted(store, who, [waiting_item(f"k{i}") for i in range(5)])
    worker, model = worked(store, said("A"))
    assert items(store) == [("open", 1, 0)] * 5
    assert (worker.tally.written, len(model.asked), model.closed) == (5, 5, 1)
    task = desk.next_tasks(store, study, who[0])[0]
    assert [p.role for p in task.content] == ["answer", "step", "step"]
    assert "key" in [p.role for p in task.body]
    assert not any("model:said" in p.text for p in (*task.body, *task.content))


def test_the_next_draft_is_told_the_last_and_the_comments_but_never_the_key(store: Store) -> None:
    who = people(store, 3)
    study = drafted(store, who, [waiting_item("k", "A")])
    for w in who:
        give(store, study, w, 2, comment="没有排除乙")
    _, model = worked(store, said("A", "排除乙", "故选甲"))
    asked = model.asked[0].messages[-1].text
    assert "评审1：没有排除乙" in asked and "步骤1：一" in asked
    assert "正确答案" not in asked and "key" not in asked
    assert items(store) == [("open", 2, 1)]
    with store.read() as conn:
        new = conn.execute(select(version).where(version.c.number == 2)).mappings().one()
    assert (new["author"], new["author_kind"], new["data"]) == (
        "model:said",
        "model",
        {"answer": "A"},
    )
    assert "没有排除乙" in new["guidance"]


def test_a_wrong_candidate_is_struck_at_once_and_drafted_anew(store: Store) -> None:
    who = people(store, 3)
    study = drafted(store, who, [waiting_item("k", "C"), waiting_item("l", "A")])
    assert items(store) == [("drafting", 1, 1), ("open", 1, 0)]
    assert {t.item for w in who for t in desk.next_tasks(store, study, w, ahead=3)} == {2}
    _, model = worked(store, said("A"))
    assert "所选答案不正确" in model.asked[0].messages[-1].text
    assert items(store) == [("open", 2, 1), ("open", 1, 0)]


@pytest.mark.parametrize(
    ("settings", "after"), [({"strikes": 1}, "panel"), ({"on_fail": "revise"}, "revising")]
)
def test_a_wrong_candidate_where_no_model_may_write(
    store: Store, settings: dict[str, Any], after: str
) -> None:
    who = people(store, 3)
    study = drafted(store, who, [waiting_item("k", "B")], **settings)
    assert items(store) == [(after, 1, 1)]
    if after == "revising":
        (task,) = desk.next_tasks(store, study, who[1])
        assert task.task == "revise"
        done = handing_in.submit(
            store, who[1], task.assignment, task.version,
            ReviewIn(scores={}, revision={"answer": "A", "s1": "改"}),
        )  # fmt: skip
        assert (done.state, items(store)) == ("open", [("open", 2, 1)])


def test_always_wrong_reaches_the_panel_without_a_reviewer(store: Store) -> None:
    drafted(store, people(store, 3), [waiting_item("k")])
    worker, model = worked(store, said("B"))
    assert items(store) == [("panel", 5, 5)]
    assert len(model.asked) == 5
    assert worker.tally.states == {"drafting": 4, "panel": 1}


def test_unreadable_replies_are_asked_three_times_and_struck(store: Store) -> None:
    drafted(store, people(store, 3), [waiting_item("k")], strikes=2)
    worker, model = worked(store, "我觉得选A。")
    assert items(store) == [("panel", 0, 2)]
    assert len(model.asked) == 6 and worker.tally.unreadable == 2
    assert [r.temperature for r in model.asked[:3]] == [0.0, 0.4, 0.8]
    assert "读不出来" in model.asked[1].messages[-1].text
    with store.read() as conn:
        rows = conn.execute(select(result.c.reasons, result.c.round)).all()
        (row,) = panel.queue(conn, 1)
        told = conn.execute(select(event.c.verb).where(event.c.verb == "draft.unread")).all()
    assert [(r.reasons[0]["code"], r.round) for r in rows] == [("unreadable", 1)] * 2
    assert "我觉得选A" in rows[0].reasons[0]["text"] and len(told) == 2
    # The panel writes one itself: there is no version to amend.
    state = panel.decide(
        store, row["id"], by=1, item_version=row["version"], decision="amend", reason="重写",
        amended={"answer": "A", "s1": "专家组所写"},
    )  # fmt: skip
    assert state == "accepted"


def test_a_dead_endpoint_leaves_jobs_queued_shown_and_tried_again(store: Store) -> None:
    who = people(store, 3)
    study = drafted(store, who, [waiting_item(f"k{i}") for i in range(9)])
    worker, _ = worked(store, lambda _: failed("connection", "refused"))
    assert worker.tally.failed <= 4  # the rest isn't tried in vain
    with store.read() as conn:
        shown = jobs.waiting(conn, study)
        failures = conn.execute(
            select(func.count()).where(event.c.verb == "draft.failed")
        ).scalar_one()
    assert (shown.queued, shown.running) == (9, 0)
    assert shown.errors == {"model:said: connection: refused": worker.tally.failed}
    assert failures == worker.tally.failed
    assert items(store) == [("drafting", 0, 0)] * 9
    due_now(store)
    worked(store, said("A"))
    assert items(store) == [("open", 1, 0)] * 9
    with store.read() as conn:
        assert jobs.waiting(conn, study).errors == {}


def test_trying_again_now_ends_the_pause_of_a_running_worker(store: Store) -> None:
    study = drafted(store, people(store, 3), [waiting_item("k")])
    replies: list[Callable[[Request], str | Answer]] = [lambda _: failed("connection", "refused")]
    model = Said(lambda request: replies[0](request))
    worker = Worker(store, opener=lambda _: model, poll_s=0.05).begin()
    try:
        until = time.monotonic() + 20
        while not worker.tally.failed:
            assert time.monotonic() < until
            time.sleep(0.02)
        replies[0] = lambda _: said("A")
        time.sleep(0.3)  # it rests: nothing is asked though the job could be claimed
        assert items(store) == [("drafting", 0, 0)]
        with store.write() as conn:
            assert jobs.retry_now(conn, study, by=None) == 1
        while items(store) != [("open", 1, 0)]:
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        worker.stop()


def test_a_model_that_fails_its_check_is_told(store: Store) -> None:
    class Dead(Said):
        async def check(self) -> None:
            raise ModelError("http://127.0.0.1:9: no answer", hint="start the server")

    study = drafted(store, people(store, 3), [waiting_item("k")])
    model = Dead("")
    Worker(store, opener=lambda _: model).work(once=True)
    with store.read() as conn:
        (error,) = jobs.waiting(conn, study).errors
    assert "no answer" in error and "start the server" in error
    assert model.closed == 1


def test_a_question_this_model_refuses_is_struck_after_some_tries(store: Store) -> None:
    drafted(store, people(store, 3), [waiting_item("k")], strikes=1)
    for _ in range(jobs.UNREAD_AFTER):
        assert items(store) == [("drafting", 0, 0)]
        due_now(store)
        worked(store, lambda _: failed("content filter"))
    assert items(store) == [("panel", 0, 1)]


def test_a_job_done_twice_makes_one_version(store: Store) -> None:
    drafted(store, people(store, 3), [waiting_item("k")])
    (first,) = jobs.claim(store, 5)
    assert jobs.claim(store, 5) == []
    due_now(store)  # the first holder fell silent
    (second,) = jobs.claim(store, 5)
    made = drafting.Attempt(status="ok", draft=drafting.Draft(answer="A", steps=("一",)))
    assert jobs.finish(store, second, made, "m") == "open"
    assert jobs.finish(store, first, made, "m") == "late"
    assert jobs.finish(store, second, made, "m") == "late"
    jobs.put_back(store, first, "too late")
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(version)).scalar_one() == 1
        assert conn.execute(select(job.c.state)).scalars().all() == ["done"]


def test_sent_to_the_panel_meanwhile_the_draft_is_dropped(store: Store) -> None:
    who = people(store, 3)
    drafted(store, who, [waiting_item("k", "B")])
    (held,) = jobs.claim(store, 1)
    panel.send(store, 1, by=who[0], reason="题目有误")
    made = drafting.Attempt(status="ok", draft=drafting.Draft(answer="A", steps=("一",)))
    assert jobs.finish(store, held, made, "m") == "cancelled"
    assert items(store) == [("panel", 1, 1)]


def test_a_strike_by_the_model_can_not_be_undone_by_a_reviewer(store: Store) -> None:
    who = people(store, 3)
    study = drafted(store, who, [waiting_item("k", "A")])
    for w in who:
        give(store, study, w, 2)
    (held,) = jobs.claim(store, 1)
    made = drafting.Attempt(status="ok", draft=drafting.Draft(answer="C", steps=("一",)))
    assert jobs.finish(store, held, made, "m") == "drafting"
    with pytest.raises(ConflictError):
        handing_in.undo(store, study, who[2])


def test_a_closed_study_asks_nothing(store: Store) -> None:
    study = drafted(store, people(store, 3), [waiting_item("k")])
    with store.write() as conn:
        opening.close_study(conn, study, by=None)
    _, model = worked(store, said("A"))
    assert model.asked == []


def test_a_thread_works_and_gives_back_what_it_held(store: Store) -> None:
    drafted(store, people(store, 3), [waiting_item("k")])
    worker = Worker(store, opener=lambda _: Said(said("A")), poll_s=0.05).begin()
    end = time.monotonic() + 20
    while items(store)[0][0] != "open" and time.monotonic() < end:
        time.sleep(0.02)
    assert worker.alive
    worker.stop()
    worker.stop()
    assert [t.name for t in threading.enumerate() if t.name == "review-worker"] == []
    assert items(store) == [("open", 1, 0)]


KILLED = """
import sys, asyncio
from tests.review.drafts import Said
from wardround.review.worker import Worker
from wardround.store.database import open_store

class Slow(Said):
    async def complete(self, request):
        print("asked", flush=True)
        await asyncio.sleep(60)

Worker(open_store(sys.argv[1]), opener=lambda _: Slow("")).work()
"""


def test_kill_9_in_mid_job_loses_and_doubles_nothing(store: Store, store_url: str) -> None:
    drafted(store, people(store, 3), [waiting_item("k")])
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, store_url], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "asked\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with store.read() as conn:
        assert conn.execute(select(job.c.state)).scalar_one() == "running"
    _, early = worked(store, said("A"))
    assert early.asked == []  # the lease of the dead one still runs
    due_now(store)
    worked(store, said("A"))
    assert items(store) == [("open", 1, 0)]
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(version)).scalar_one() == 1
        verbs = conn.execute(select(event.c.verb).where(event.c.verb.like("draft.%"))).scalars()
        assert list(verbs) == ["draft.lost", "draft.written"]
