"""Whatever people, models and clocks do, in whatever order: what always holds of a study."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, select, update

from tests.review.drafts import Said, drafted, said, waiting_item
from tests.review.rooms import FIELDS, counted_right
from wardround.errors import ConflictError, InputError, RefusedError
from wardround.models.wire import failed
from wardround.records import Answer, Request
from wardround.review import desk, handing_in, opening, panel
from wardround.review.study import FINAL, ITEM_STATES, ReviewIn
from wardround.review.tables import assignment, item, job, result, review, version
from wardround.review.worker import Worker
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.people import user

PEOPLE, RATERS, STRIKES = 5, 2, 3
who = st.integers(0, PEOPLE - 1)
REFUSED = (ConflictError, RefusedError, InputError)
_names = itertools.count()


class Study(RuleBasedStateMachine):
    """Five reviewers, two an item, a model that is right, wrong, unreadable or away, a panel, and expiring leases."""

    store: Store

    @initialize(
        on_fail=st.sampled_from(["either", "revise", "regenerate"]),
        drafts=st.lists(st.sampled_from(["A", "B", None]), min_size=1, max_size=4),
        gold=st.booleans(),
    )
    def open_study(self, on_fail: str, drafts: list[str | None], gold: bool) -> None:
        number = next(_names)
        with self.store.write() as conn:
            self.people = [
                conn.execute(
                    insert(user).returning(user.c.id),
                    {
                        "name": f"m{number}-{i}", "display": "评审", "email": "", "roles": ["reviewer"],
                        "title": "", "specialties": [], "preferences": {}, "active": True,
                        "created_at": now(), "version": 1,
                    },
                ).scalar_one()
                for i in range(PEOPLE)
            ]  # fmt: skip
        items = [waiting_item(f"k{i}", d) for i, d in enumerate(drafts)]
        if gold:
            items.append(
                msgspec.structs.replace(waiting_item("gold", "A"), gold=dict.fromkeys(FIELDS, 5))
            )
        self.members = set(range(4))
        self.id = drafted(
            self.store, self.people[:4], items, f"m{number}", raters=RATERS, strikes=STRIKES,
            on_fail=on_fail, gold_rate=0.3 if gold else 0.0,
        )  # fmt: skip
        self.on_fail = on_fail
        self.held: dict[int, list[desk.Task]] = {}

    def may(self, call: Any, *args: Any, **more: Any) -> Any:
        """What a person may try; refusals are answers too."""
        try:
            return call(*args, **more)
        except REFUSED:
            return None

    @rule(n=who, ahead=st.integers(0, 1))
    def claim(self, n: int, ahead: int) -> None:
        tasks = self.may(desk.next_tasks, self.store, self.id, self.people[n], ahead=ahead)
        self.held[n] = tasks or []

    @rule(
        n=who,
        value=st.integers(1, 5),
        revise=st.sampled_from([None, "s1", "answer"]),
        late=st.booleans(),
    )
    def submit(self, n: int, value: int, revise: str | None, late: bool) -> None:
        """The task seen last; `late`: without looking again whether it still is theirs."""
        if not late:
            self.claim(n, 0)
        if not self.held.get(n):
            return
        task = self.held[n].pop(0)
        revision = {revise: "A" if revise == "answer" else f"{n}改"} if revise else None
        given = ReviewIn(scores=dict.fromkeys(FIELDS, value), comment="意见", revision=revision)
        if task.task == "revise":
            given = ReviewIn(scores={}, revision=revision or {"answer": "A", "s1": "重写"})
        self.may(
            handing_in.submit, self.store, self.people[n], task.assignment, task.version, given
        )

    @rule(n=who)
    def undo(self, n: int) -> None:
        self.may(handing_in.undo, self.store, self.id, self.people[n])

    @rule()
    def leases_run_out(self) -> None:
        with self.store.write() as conn:
            conn.execute(
                update(assignment)
                .where(assignment.c.study_id == self.id, assignment.c.state == "held")
                .values(lease_until=now() - 1)
            )
            desk.return_expired(conn, self.id, opening.config_of(conn, self.id))

    @rule(kind=st.sampled_from(["right", "wrong", "mixed", "unreadable", "away"]))
    def model_works(self, kind: str) -> None:
        def reply(request: Request) -> str | Answer:
            if kind == "away":
                return failed("connection", "refused")
            if kind == "unreadable":
                return "不好说"
            wrong = kind == "wrong" or (kind == "mixed" and len(request.key) % 2)
            return said("B" if wrong else "A", f"依据{request.key}")

        with self.store.write() as conn:
            conn.execute(update(job).where(job.c.state == "queued").values(due_at=now()))
        Worker(self.store, opener=lambda _: Said(reply)).work(once=True)

    @rule(decision=st.sampled_from(["accept", "amend", "reject"]), answer=st.sampled_from("AB"))
    def panel_decides(self, decision: Any, answer: str) -> None:
        with self.store.read() as conn:
            queue = panel.queue(conn, self.id)
        if queue:
            row = queue[0]
            self.may(
                panel.decide, self.store, row["id"], by=self.people[0], item_version=row["version"],
                decision=decision, reason="理由", amended={"answer": answer, "s1": "专家"},
            )  # fmt: skip

    @rule(place=st.integers(0, 3))
    def coordinator_sends(self, place: int) -> None:
        with self.store.read() as conn:
            ids = list(conn.execute(select(item.c.id).where(item.c.study_id == self.id)).scalars())
        self.may(panel.send, self.store, ids[place % len(ids)], by=self.people[0], reason="争议")

    @rule(n=who)
    def comes_or_goes(self, n: int) -> None:
        with self.store.write() as conn:
            if n in self.members and len(self.members) > 1:
                opening.leave(conn, self.id, self.people[n], by=None)
                self.members.discard(n)
            else:
                opening.join(conn, self.id, [self.people[n]], by=None)
                self.members.add(n)

    # -- what always holds ----------------------------------------------------------------------------------

    def rows(self, table: Any) -> list[Any]:
        with self.store.read() as conn:
            query = select(table).order_by(table.c.id)
            if "study_id" in table.c:
                query = query.where(table.c.study_id == self.id)
            return list(conn.execute(query).mappings())

    @invariant()
    def every_item_is_in_one_state_and_has_what_it_waits_for(self) -> None:
        if not hasattr(self, "id"):
            return
        slots, jobs = self.rows(assignment), self.rows(job)
        for row in self.rows(item):
            assert row["status"] in ITEM_STATES
            mine = [s for s in slots if s["item_id"] == row["id"]]
            live = [s for s in mine if s["state"] in ("free", "held") and s["task"] != "gold"]
            waiting = [
                j for j in jobs if j["item_id"] == row["id"] and j["state"] in ("queued", "running")
            ]
            if row["is_gold"]:
                assert not live and not waiting and row["status"] == "open"
                continue
            status = row["status"]
            assert len(waiting) == (status == "drafting"), status
            if status == "open":
                done = [
                    s
                    for s in mine
                    if s["round"] == row["round"] and s["state"] == "done" and s["task"] == "review"
                ]
                assert {s["task"] for s in live} == {"review"}
                assert {s["round"] for s in live} == {row["round"]}
                assert len(live) + len(done) == RATERS
            elif status == "revising":
                assert [s["task"] for s in live] == ["revise"]
            else:
                assert live == []

    @invariant()
    def reviews_are_few_enough_and_by_different_people(self) -> None:
        if not hasattr(self, "id"):
            return
        counted = [r for r in self.rows(review) if r["withdrawn_at"] is None and not r["gold"]]
        by_round = Counter((r["item_id"], r["round"]) for r in counted)
        assert all(n <= RATERS for n in by_round.values())
        once = Counter((r["item_id"], r["round"], r["user_id"]) for r in counted)
        assert all(n == 1 for n in once.values())

    @invariant()
    def members_rows_tell_what_they_handed_in(self) -> None:
        assert not hasattr(self, "id") or counted_right(self.store, self.id)

    @invariant()
    def strikes_are_the_failed_results(self) -> None:
        if not hasattr(self, "id"):
            return
        results = [r for r in self.rows(result) if r["withdrawn_at"] is None]
        failures = Counter(r["item_id"] for r in results if r["outcome"] == "failed")
        for row in self.rows(item):
            assert row["strikes"] == failures[row["id"]] <= STRIKES

    @invariant()
    def a_wrong_answer_is_never_shown_or_accepted(self) -> None:
        if not hasattr(self, "id"):
            return
        answers = {v["id"]: v["data"].get("answer") for v in self.rows(version)}
        for row in self.rows(item):
            if row["status"] in ("open", "accepted"):
                assert answers[row["version_id"]] == row["data"]["answer"]
            if row["status"] in FINAL:
                last = [r for r in self.rows(result) if r["item_id"] == row["id"]]
                assert last[-1]["outcome"] in ("accepted", "panel_accepted", "panel_rejected")

    @invariant()
    def versions_are_numbered_without_gaps_and_nobody_reviews_their_own(self) -> None:
        if not hasattr(self, "id"):
            return
        versions = self.rows(version)
        numbers: dict[int, list[int]] = {}
        for v in versions:
            numbers.setdefault(v["item_id"], []).append(v["number"])
        for row in self.rows(item):
            mine = numbers.get(row["id"], [])
            assert mine == list(range(1, len(mine) + 1))
        wrote = {v["id"]: v["author"] for v in versions if v["author_kind"] == "reviewer"}
        for r in self.rows(review):
            assert wrote.get(r["version_id"]) != str(r["user_id"])


@pytest.mark.parametrize("examples", [30])
def test_a_study_in_any_order_of_events(store: Store, examples: int) -> None:
    class Here(Study):
        pass

    Here.store = store
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples if store.is_sqlite else examples // 4,
            stateful_step_count=30,
            deadline=None,
            # A run of thirty steps on a database shrinks for minutes; as found it reads well enough.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
