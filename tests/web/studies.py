"""Studies with a past, for the tests of the coordinator's and the panel's pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from tests.web.rooms import open_rationales
from tests.web.world import World
from wardround.review import desk, drafting, handing_in, jobs
from wardround.review.forms import rationale_form
from wardround.review.study import ReviewIn, Span
from wardround.review.tables import item

FIELDS = [f.id for f in rationale_form()]


def scores(value: int, **others: int) -> dict[str, int]:
    """The same in every field, but for `others`."""
    return dict.fromkeys(FIELDS, value) | others


def review_all(
    world: World,
    study: int,
    who: Sequence[int],
    values: Sequence[int],
    *,
    comment: str = "",
    **more: Any,
) -> None:
    """Everyone hands in all they hold or can get, each with a value of their own in every field."""
    for person, value in zip(who, values, strict=True):
        while tasks := desk.next_tasks(world.store, study, person, ahead=0):
            given = ReviewIn(scores=scores(value), comment=comment, seconds=40.0 + value, **more)
            handing_in.submit(world.store, person, tasks[0].assignment, tasks[0].version, given)


def written(world: World, steps: Sequence[str], answer: str = "B") -> int:
    """The model writes every draft that is due; returns how many."""
    claimed = jobs.claim(world.store, 100)
    for one in claimed:
        draft = drafting.Draft(answer=answer, steps=tuple(steps))
        made = drafting.Attempt(status="ok", draft=draft)
        jobs.finish(world.store, one, made, "qwen-medical")
    return len(claimed)


def struck_out(
    world: World, who: Sequence[int], *, strikes: int = 5, slug: str = "trial"
) -> tuple[int, int]:
    """(study, item): an item that failed `strikes` rounds and is before the panel."""
    study = open_rationales(
        world, who, count=1, slug=slug, strikes=strikes, on_fail="regenerate", model="scripted:x"
    )
    for n in range(strikes):
        review_all(
            world, study, who, [2, 3, 2], comment=f"第{n + 1}轮：机制没有写清楚",
            spans=(Span(part="s1", start=0, end=4, note="依据不足"),),
        )  # fmt: skip
        if n + 1 < strikes:
            texts = [
                f"下壁合并右心室梗死（第{n + 2}稿）。",
                "右心室梗死依赖前负荷。",
                "硝酸甘油会降低前负荷，故避免，选B。",
            ]
            written(world, texts)
    with world.store.read() as conn:
        row = conn.execute(select(item.c.id, item.c.status).where(item.c.study_id == study)).one()
    assert row.status == "panel"
    return study, row.id
