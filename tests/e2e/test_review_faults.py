"""What must not go wrong while people review: a server killed, several on one item at once, a lease that ran out, a
model that can't be reached. What shows in a browser is in `test_review_faults_browser`."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("fastapi")

from sqlalchemy import func, select

from tests.e2e.review_server import FIELDS, Reviewer, Sent, at_work, page_of, tokens, web
from tests.review.drafts import Said, said, waiting_item
from tests.review.rooms import people
from tests.web.conftest import both
from tests.web.rooms import open_rationales, question
from tests.web.world import World, served
from wardround.models.server import serve_in_thread
from wardround.review import jobs, opening
from wardround.review.forms import rationale_form
from wardround.review.study import StudyConfig
from wardround.review.tables import assignment, draft, item, job, result, review, version
from wardround.review.worker import Worker
from wardround.store.database import Store, open_store
from wardround.store.people import event

__all__ = ["both"]

AT_ONCE = 20


def opened(url: str, members: int, count: int, **settings: Any) -> list[int]:
    """A study of rationales in the database; its reviewers."""
    store = open_store(url)
    who = people(store, members)
    config: dict[str, Any] = {
        "kind": "rationale",
        "title": "试评",
        "form": rationale_form(),
        "gold_rate": 0.0,
    }
    new = [question(f"q{i:03d}") for i in range(count)]
    with store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(**config | settings), new, by=None, members=who
        )
    store.close()
    return who


# -- a killed server ----------------------------------------------------------------------------------------


def killed(url: str, session: list[str], after: int) -> list[Sent]:
    """Start the server, let all review, kill it in mid-work; what was sent."""
    sent: list[Sent] = []
    enough = threading.Event()
    with web(url) as (address, process):
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(at_work, address, session, sent, enough, after)
            enough.wait(120)
            process.kill()
            work.result(120)
        assert process.wait(30) == -signal.SIGKILL
    return sent


def reviews(store: Store) -> list[Any]:
    with store.read() as conn:
        return list(conn.execute(select(review)).mappings().all())


def consistent(store: Store) -> None:
    """Each review has its slot, its event and nothing half-written; each full round was closed once."""
    rows = reviews(store)
    with store.read() as conn:
        done = (
            conn.execute(select(assignment.c.id).where(assignment.c.state == "done"))
            .scalars()
            .all()
        )
        told = (
            conn.execute(select(event.c.after).where(event.c.verb == "review.submitted"))
            .scalars()
            .all()
        )
        closed = conn.execute(select(result.c.item_id, result.c.round)).all()
    assert sorted(r["assignment_id"] for r in rows) == sorted(done)
    assert sorted(r["assignment_id"] for r in rows) == sorted(t["assignment"] for t in told)
    assert all(r["scores"] == dict.fromkeys(FIELDS, 4) and r["comment"] for r in rows)
    full: dict[tuple[int, int], int] = {}
    for r in rows:
        full[r["item_id"], r["round"]] = full.get((r["item_id"], r["round"]), 0) + 1
    assert max(full.values()) <= 3
    assert sorted((c.item_id, c.round) for c in closed) == sorted(
        k for k, n in full.items() if n == 3
    )


def test_kill_9_while_twenty_hand_in_loses_nothing_that_was_acknowledged(store_url: str) -> None:
    who = opened(store_url, AT_ONCE, 100)
    session = tokens(store_url, who)
    sent: list[Sent] = []
    for after in (40, 25):  # the second time over what the first kill left
        more = killed(store_url, session, after)
        assert any(not s.acknowledged for s in more), "nobody was handing in when it was killed"
        sent += more
        store = open_store(store_url)
        there = [(r["assignment_id"], r["comment"]) for r in reviews(store)]
        consistent(store)
        store.close()
        assert len(there) == len(set(there))
        known = {(int(s.form["assignment"]), s.form["comment"]) for s in sent}
        acknowledged = {
            (int(s.form["assignment"]), s.form["comment"]) for s in sent if s.acknowledged
        }
        assert acknowledged <= set(there) <= known
    # Whoever saw no answer hands in again: one review, whether it had arrived or not.
    lost = [s for s in more if not s.acknowledged]
    with web(store_url) as (address, _):
        for s in lost:
            with Reviewer(address, session[s.who]) as reviewer:
                for _ in range(2):
                    assert "notice warn" not in reviewer.send(s.form).raise_for_status().text
    store = open_store(store_url)
    there = [(r["assignment_id"], r["comment"]) for r in reviews(store)]
    consistent(store)
    store.close()
    assert all(there.count((int(s.form["assignment"]), s.form["comment"])) == 1 for s in lost)


# -- two at once --------------------------------------------------------------------------------------------


def together(reviewers: list[Reviewer], forms: list[dict[str, str]]) -> list[str]:
    """All hand in at the same moment; the answers."""
    gate = threading.Barrier(len(reviewers))

    def one(reviewer: Reviewer, form: dict[str, str]) -> str:
        gate.wait(30)
        return reviewer.send(form).raise_for_status().text

    with ThreadPoolExecutor(len(reviewers)) as pool:
        return list(pool.map(one, reviewers, forms))


@pytest.fixture
def busy(both: World) -> Iterator[tuple[World, str]]:
    with served(both.app) as address:
        yield both, address


def test_reviewers_of_one_item_at_once_close_its_round_once(busy: tuple[World, str]) -> None:
    world, address = busy
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=6)
    clients = [Reviewer(address, world.token(w)) for w in who]
    for client in clients:
        client.__enter__()
    for _ in range(6):
        together(clients, [c.filled(f"意见{i}") for i, c in enumerate(clients)])
    with world.store.read() as conn:
        assert conn.execute(select(item.c.status)).scalars().all() == ["accepted"] * 6
        assert conn.execute(select(func.count()).select_from(result)).scalar_one() == 6
    for client in clients:
        client.__exit__()
    assert len(reviews(world.store)) == 18


def test_one_form_sent_by_two_tabs_at_once_is_one_review(busy: tuple[World, str]) -> None:
    world, address = busy
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    token = world.token(who[0])
    with Reviewer(address, token) as one, Reviewer(address, token) as two:
        form = one.filled("同一份")
        assert two.filled("同一份") == form
        together([one, two], [form, form])
        again = two.send(form | {f"score.{FIELDS[0]}": "5"})
    assert "z" in again.text and "notice warn" in again.text
    assert [r["scores"][FIELDS[0]] for r in reviews(world.store)] == [4]


def test_a_lease_that_ran_out_and_was_taken_keeps_the_text_as_a_draft(both: World) -> None:
    who = [both.person("reviewer") for _ in range(2)]
    open_rationales(both, who, count=1, raters=1)
    slow, fast = (both.client_as(user_id=w) for w in who)
    form = Reviewer.filled(page_of(slow.get("/review/trial").text), "慢慢写的意见")
    with both.store.write() as conn:
        conn.execute(assignment.update().values(state="free", planned_for=None, user_id=None))
    taken = Reviewer.filled(page_of(fast.get("/review/trial").text), "已接手")
    assert taken["item"] == form["item"]
    answer = slow.post("/review/trial/submit", data=form, headers={"HX-Request": "true"})
    assert "已存为草稿" in answer.text
    fast.post("/review/trial/submit", data=taken, headers={"HX-Request": "true"})
    assert [r["comment"] for r in reviews(both.store)] == ["已接手"]
    with both.store.read() as conn:
        kept = conn.execute(select(draft.c.body).where(draft.c.user_id == who[0])).scalar_one()
    assert kept["comment"] == "慢慢写的意见"


# -- a model that can't be reached --------------------------------------------------------------------------


def test_a_dead_endpoint_leaves_regeneration_queued_shown_and_retried(
    both: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardround.review.worker.PAUSE_S", 0.2)
    with socket.socket() as s:  # a port where nobody listens
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    model = Said(said("A", "重写的依据", "故选甲"))
    who = [both.person("reviewer") for _ in range(3)]
    config = StudyConfig(
        kind="rationale", title="试评", form=rationale_form(), gold_rate=0.0, on_fail="regenerate",
        model=f"{model.name}@http://127.0.0.1:{port}/v1",
    )  # fmt: skip
    with both.store.write() as conn:
        opening.open_study(conn, "trial", config, [waiting_item("k", "A")], by=None, members=who)
    for w in who:
        client = both.client_as(user_id=w)
        form = Reviewer.filled(page_of(client.get("/review/trial").text), "没有排除乙", 2)
        assert client.post("/review/trial/submit", data=form).status_code == 303
    coordinator = both.client_as("admin")
    worker = Worker(both.store, poll_s=0.02).begin()
    try:
        _until(both.store, lambda conn: conn.execute(select(job.c.error)).scalar_one())
        shown = coordinator.get("/studies/trial").text
        assert "出错待重试" in shown and f"127.0.0.1:{port}" in shown
        with both.store.read() as conn:
            assert conn.execute(select(job.c.state)).scalar_one() == "queued"
            assert conn.execute(select(item.c.status)).scalar_one() == "drafting"
            assert jobs.waiting(conn, 1).queued == 1
        with serve_in_thread(model, port=port):
            assert coordinator.post("/studies/trial/jobs/retry").status_code == 303
            _until(both.store, lambda conn: conn.execute(select(item.c.round)).scalar_one() == 2)
    finally:
        worker.stop()
    assert "没有排除乙" in model.asked[-1].messages[-1].text
    with both.store.read() as conn:
        row = conn.execute(select(version).where(version.c.number == 2)).mappings().one()
        assert conn.execute(select(item.c.status)).scalar_one() == "open"
        assert jobs.waiting(conn, 1).errors == {}
    assert [p["text"] for p in row["content"]] == ["A", "重写的依据", "故选甲"]
    assert "出错待重试" not in coordinator.get("/studies/trial").text


def _until(store: Store, true: Any, seconds: float = 60) -> None:
    waited = threading.Event()
    for _ in range(int(seconds / 0.05)):
        with store.read() as conn:
            if true(conn):
                return
        waited.wait(0.05)
    raise AssertionError("it never came to that")
