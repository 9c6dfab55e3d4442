"""A small study with reviewers, for the tests of the review room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select

from wardround.review import desk, handing_in, opening
from wardround.review.study import Field, Level, NewItem, Part, ReviewIn, StudyConfig
from wardround.review.tables import assignment, member
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.people import user

FIELDS = ("correctness", "structure")
FORM = tuple(
    Field(id=f, zh=f, en=f, levels=tuple(Level(value=v, zh=str(v), en=str(v)) for v in range(1, 6)))
    for f in FIELDS
)


def people(
    store: Store, count: int, specialties: Mapping[int, Sequence[str]] | None = None
) -> list[int]:
    """`count` reviewers; `specialties`: place in the list → specialty ids (none: all)."""
    with store.write() as conn:
        return [
            conn.execute(
                insert(user).returning(user.c.id),
                {
                    "name": f"reviewer{i}", "display": f"评审{i}", "email": "", "roles": ["reviewer"], "title": "",
                    "specialties": list((specialties or {}).get(i, [])), "preferences": {}, "active": True,
                    "created_at": now(), "version": 1,
                },
            ).scalar_one()
            for i in range(count)
        ]  # fmt: skip


def config(**settings: Any) -> StudyConfig:
    """A rationale study without gold."""
    usual: dict[str, Any] = {"kind": "rationale", "title": "试评", "form": FORM, "gold_rate": 0.0}
    return StudyConfig(**(usual | settings))


def new_item(key: str, *, given: str = "A", **more: Any) -> NewItem:
    """A question whose key is A, with a rationale by a model that chose `given`."""
    fields: dict[str, Any] = {
        "key": key, "author": "model:x", "data": {"answer": "A", "given": {"answer": given}},
        "body": (Part(id="question", role="question", text="最可能的诊断是？"),),
        "content": (Part(id="s1", role="step", text="因为发热，"), Part(id="s2", role="step", text="所以选A。")),
    }  # fmt: skip
    return NewItem(**fields | more)


def opened(
    store: Store, members: Sequence[int], items: Sequence[NewItem], slug: str = "s", **settings: Any
) -> int:
    """The id of an open study."""
    with store.write() as conn:
        return opening.open_study(conn, slug, config(**settings), items, by=None, members=members)


def scores(value: int, **others: int) -> dict[str, int]:
    """The same score in every field, but for `others`."""
    return dict.fromkeys(FIELDS, value) | others


def give(store: Store, study: int, who: int, value: int, **more: Any) -> handing_in.Submitted:
    """The reviewer's next item, scored alike in every field."""
    task = desk.next_tasks(store, study, who, ahead=0)[0]
    return handing_in.submit(
        store, who, task.assignment, task.version, ReviewIn(scores=scores(value), **more)
    )


def counts(store: Store, study: int) -> dict[int, tuple[tuple[int, int], tuple[int, int]]]:
    """Member → (reviews, gold items) as the member's row tells them, and as their slots do."""
    a = assignment.c
    with store.read() as conn:
        told = conn.execute(select(member).where(member.c.study_id == study)).mappings().all()
        slots = select(a.user_id, a.task).where(a.study_id == study, a.state == "done")
        done = Counter((row.user_id, row.task) for row in conn.execute(slots))
    return {
        who: (
            (row["reviewed"], row["gold_reviewed"]),
            (done[who, "review"], done[who, "gold"]),
        )
        for row in told
        for who in [row["user_id"]]
    }


def counted_right(store: Store, study: int) -> bool:
    """Whether each member's row tells what their slots do."""
    return all(told == found for told, found in counts(store, study).values())


def loads(store: Store, study: int) -> dict[int, tuple[int, int]]:
    """Member → (load as kept, slots they hold, did or are to get)."""
    a = assignment.c
    with store.read() as conn:
        query = select(member.c.user_id, member.c.load).where(member.c.study_id == study)
        kept = {row.user_id: row.load for row in conn.execute(query)}
        found = Counter[int | None]()
        for state, taken, planned in conn.execute(
            select(a.state, a.user_id, a.planned_for).where(a.study_id == study, a.task == "review")
        ):
            found[planned if state == "free" else taken] += 1
    return {user: (load, found[user]) for user, load in kept.items()}


def true_loads(store: Store, study: int) -> bool:
    return all(kept == found for kept, found in loads(store, study).values())
