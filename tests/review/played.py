"""A study played through by made-up reviewers, deterministic: some agree, some don't, one in ten revises."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from wardround.models.names import open_model
from wardround.review import desk, handing_in, opening, panel
from wardround.review.study import ReviewIn
from wardround.review.worker import Worker
from wardround.store.database import Store


def draw(*words: object) -> float:
    """A number in [0, 1) that depends on the words alone."""
    return int.from_bytes(sha256(repr(words).encode()).digest()[:6]) / 2**48


def reviewed(task: desk.Task, who: int, fields: Sequence[str]) -> ReviewIn:
    """What this reviewer makes of it: content when the item is, with a little noise."""
    content = draw("item", task.item, task.round) < 0.6
    scores = {
        f: (4 if content else 2) + int(draw(who, task.item, task.round, f) < 0.5) for f in fields
    }
    revision = None
    if not content and draw("revise", who, task.item) < 0.1:
        last = task.content[-1]
        revision = {last.id: f"{last.text}（{who}改）"}
    return ReviewIn(
        scores=scores, comment="" if content else f"第{task.round}轮：依据不足", revision=revision,
        seconds=10 + 50 * draw("s", who, task.item),
    )  # fmt: skip


def play(
    store: Store, study: int, who: Sequence[int], *, model: str = "scripted:rationale"
) -> None:
    """All rounds to their end; the panel accepts what it can and rejects the rest."""
    with store.read() as conn:
        fields = [f.id for f in opening.config_of(conn, study).form]
    moved = True
    while moved:
        moved = False
        for w in who:
            while tasks := desk.next_tasks(store, study, w, ahead=0):
                task = tasks[0]
                given = reviewed(task, w, fields)
                if task.task == "revise":
                    given = ReviewIn(scores={}, revision={task.content[-1].id: f"{w}重写"})
                handing_in.submit(store, w, task.assignment, task.version, given)
                moved = True
        worker = Worker(store, opener=lambda _: open_model(model))
        moved = bool(worker.work(once=True).written) or moved
    with store.read() as conn:
        waiting = panel.queue(conn, study)
    for row in waiting:
        key = row["data"]["answer"]
        amend = draw("panel", row["key"]) < 0.5
        panel.decide(
            store, row["id"], by=who[0], item_version=row["version"], reason="专家组意见",
            decision="amend" if amend else "reject",
            amended={"answer": key, "s1": "专家组改写"} if amend else None,
        )  # fmt: skip
