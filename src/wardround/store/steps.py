"""Work on the database told a step at a time, so that several people's can go side by side.

A piece of work that is a generator yields what it asks (`Ask`) and is sent the answer. By itself it is done as if each
were a call. Where several share a transaction on PostgreSQL, those who ask the same are answered with one journey (`Together`).
What is asked otherwise, of the connection, is done at once. One that finds, before it has changed anything, that its way is
not that of the others yields None: it is done by itself.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from wardround.store.together import Together

T = TypeVar("T")


class Ask(NamedTuple):
    """What to `execute`, with which values and rows.

    `apart`: names that no two who go side by side may share, since their order would matter; `apart_by`: columns of the
    answer that are such names with what is found there.
    """

    what: Together
    values: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]] = {}
    apart: tuple[Hashable, ...] = ()
    apart_by: tuple[str, ...] = ()


Steps = Generator[Ask | None, Any, T]


def alone(conn: Connection, steps: Steps[T]) -> T:
    """What a piece of work returns, done by itself."""
    answer: Any = None
    while True:
        try:
            asked = steps.send(answer)
        except StopIteration as e:
            return e.value  # type: ignore[no-any-return]
        if asked is not None:
            answer = asked.what.execute(conn, asked.values, **asked.rows)


class _Walker(NamedTuple):
    place: int
    steps: Steps[Any]
    context: Context


def side_by_side(conn: Connection, works: Sequence[tuple[Steps[Any], Context]]) -> dict[int, Any]:
    """What each returns, by its place, each run in its own context. What one raises is raised.

    One who wants to be by itself, or names what an earlier one has named, goes no further and is left out: it is to be done
    again, from the start, when this transaction is over.
    """
    done: dict[int, Any] = {}
    whose: dict[Hashable, int] = {}
    waiting: list[tuple[_Walker, Ask]] = []

    def free(walker: _Walker, names: Iterable[Hashable]) -> bool:
        return all(whose.setdefault(name, walker.place) == walker.place for name in names)

    def go_on(walker: _Walker, answer: Any) -> None:
        try:
            asked = walker.context.run(walker.steps.send, answer)
        except StopIteration as e:
            done[walker.place] = e.value
            return
        if asked is not None and free(walker, asked.apart):
            waiting.append((walker, asked))

    for place, (steps, context) in enumerate(works):
        go_on(_Walker(place, steps, context), None)
    while waiting:
        what = waiting[0][1].what
        now = [one for one in waiting if one[1].what is what]
        waiting = [one for one in waiting if one[1].what is not what]
        answers = what.execute_all(conn, [(asked.values, asked.rows) for _, asked in now])
        for (walker, asked), answer in zip(now, answers, strict=True):
            if answer is None or free(walker, [(c, answer[c]) for c in asked.apart_by]):
                go_on(walker, answer)
    return done
