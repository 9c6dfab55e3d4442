"""Models and studies for the tests of drafting: what a model says is set by the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.review.rooms import opened
from wardround.records import Answer, Request
from wardround.review import drafting
from wardround.review.study import NewItem
from wardround.store.database import Store

OPTIONS = {"A": "甲", "B": "乙", "C": "丙"}


def said(answer: str, *steps: str) -> str:
    """A reply in the form that is asked for."""
    return drafting.written(drafting.Draft(answer=answer, steps=steps or ("依据一", "依据二")))


class Said:
    """A model that says what `reply` makes of a request; counts its requests."""

    name = "model:said"
    identity = {"kind": "test"}
    labels: tuple[str, ...] = ()

    def __init__(self, reply: Callable[[Request], str | Answer] | str) -> None:
        self._reply = reply
        self.asked: list[Request] = []
        self.closed = 0

    async def check(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Counted."""
        self.closed += 1

    async def complete(self, request: Request) -> Answer:
        """What the test says."""
        self.asked.append(request)
        reply = self._reply if isinstance(self._reply, str) else self._reply(request)
        return reply if isinstance(reply, Answer) else Answer(status="ok", text=reply)


def waiting_item(key: str, draft: str | None = None) -> NewItem:
    """A question whose key is A; `draft`: the letter of a first draft, None waits for the model."""
    return drafting.item_of(
        key, drafting.Question(text=f"题目{key}？", options=OPTIONS), "A",
        draft=None if draft is None else drafting.Draft(answer=draft, steps=("一", "二")),
        author="" if draft is None else "model:first",
    )  # fmt: skip


def drafted(
    store: Store, members: Sequence[int], items: Sequence[NewItem], slug: str = "s", **more: Any
) -> int:
    """A study whose drafts the model `m` writes."""
    return opened(store, members, items, slug, **({"model": "m"} | more))
