"""Work told in steps comes to the same alone and side by side, on both databases."""

from __future__ import annotations

from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, bindparam, delete, func, select, update

from tests.store.told import statements
from tests.store.writer import add_user
from wardround.errors import RefusedError
from wardround.store import people
from wardround.store.database import Store
from wardround.store.events import event_row
from wardround.store.steps import Ask, Steps, alone, side_by_side
from wardround.store.together import Together

USER, TOLD = people.user, people.event
LANG: ContextVar[str] = ContextVar("LANG", default="")
HELD = Together(
    select(USER.c.id, USER.c.display, USER.c.preferences, USER.c.version.label("team"))
    .where(USER.c.id == bindparam("who"))
    .with_for_update()
)
RENAMED = Together(
    update(USER)
    .where(USER.c.id == bindparam("who"))
    .values(display=bindparam("called"))
    .returning(
        USER.c.display,
        select(func.count()).select_from(TOLD).scalar_subquery().label("told_before"),
    ),
    told=TOLD,
)
GONE = Together(delete(USER).where(USER.c.id == bindparam("who")).returning(USER.c.name))


def _row(who: int, to: Any = "x") -> dict[str, Any]:
    return event_row("user.renamed", "user", who, actor=None, after={"to": to})


def renaming(who: int, called: str, *, ends: bool = False) -> Steps[tuple[Any, ...]]:
    """Find, rename and tell, perhaps delete; what was found at each step."""
    was = yield Ask(HELD, {"who": who}, apart=(("user", who),))
    done = yield Ask(RENAMED, {"who": who, "called": called}, {"told": _row(who, called)})
    gone = (yield Ask(GONE, {"who": who})) if ends else None
    return (
        was and was["display"], was and was["preferences"], done and done["display"],
        done is not None and done["told_id"] > 0, gone and gone["name"], LANG.get(),
    )  # fmt: skip


def both_ways(conn: Connection, works: list[Steps[Any]]) -> dict[int, Any]:
    return side_by_side(conn, [(one, copy_context()) for one in works])


def display(store: Store) -> dict[int, str]:
    with store.read() as conn:
        return {r.id: r.display for r in conn.execute(select(USER.c.id, USER.c.display))}


def told(store: Store, *, left_out: int = 0) -> list[Any]:
    """What the log tells, but for the first so many."""
    with store.read() as conn:
        found = conn.execute(select(TOLD.c.entity_id, TOLD.c.after).order_by(TOLD.c.id)).all()
        return sorted((r.entity_id, r.after["to"]) for r in found[left_out:])


def test_each_gets_its_own_and_one_who_is_not_there_nothing(store: Store) -> None:
    who = [add_user(store, f"u{n}") for n in range(6)]
    with store.write() as conn:
        conn.execute(update(USER).where(USER.c.id == who[2]).values(preferences={"lang": "en"}))
    with store.write() as conn:
        works = [renaming(w, f"n{w}", ends=w == who[4]) for w in [*who, 10**6]]
        found = both_ways(conn, works)
    liked: list[dict[str, str]] = [{}] * 6
    liked[2] = {"lang": "en"}
    assert [found[n] for n in range(6)] == [
        (f"u{n}", liked[n], f"n{w}", True, "u4" if n == 4 else None, "") for n, w in enumerate(who)
    ]
    assert found[6] == (None, None, None, False, None, "")
    assert display(store) == {w: f"n{w}" for w in who if w != who[4]}
    assert told(store) == sorted((str(w), f"n{w}") for w in [*who, 10**6])


def test_those_who_ask_the_same_make_one_journey(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = [add_user(store, f"u{n}") for n in range(4)]
    sent = statements(store, monkeypatch)
    with store.write() as conn:
        works = [renaming(w, "x", ends=n == 3) for n, w in enumerate(who)]
        both_ways(conn, works)
    # On SQLite held, renamed and told of each, and the one gone.
    assert len(sent) == (13 if store.is_sqlite else 3)


def test_one_who_names_what_another_named_is_left_out_whole(store: Store) -> None:
    """The second for one user is known before it is asked, the second of one team by what is found; neither changes
    anything, nor keeps a later one from going on."""
    who = [add_user(store, f"u{n}") for n in range(5)]
    teams = {who[0]: 1, who[1]: 2, who[2]: 1, who[3]: 3, who[4]: 2}
    with store.write() as conn:
        for w, team in teams.items():
            conn.execute(update(USER).where(USER.c.id == w).values(version=team))

    def one(which: int) -> Steps[int]:
        found = yield Ask(HELD, {"who": which}, apart=(("user", which),), apart_by=("team",))
        assert found
        yield Ask(RENAMED, {"who": which, "called": "x"}, {"told": _row(which)})
        return which

    order = [who[0], who[0], who[1], who[2], who[3], who[4]]
    with store.write() as conn:
        found = both_ways(conn, [one(w) for w in order])
    assert found == {0: who[0], 2: who[1], 4: who[3]}
    assert told(store) == sorted((str(w), "x") for w in found.values())


def test_one_who_wants_to_be_alone_is(store: Store) -> None:
    who = [add_user(store, f"u{n}") for n in range(2)]

    def one(which: int, *, apart: bool) -> Steps[str]:
        found = yield Ask(HELD, {"who": which})
        if apart:
            yield None
        yield Ask(RENAMED, {"who": which, "called": "x"}, {"told": _row(which)})
        return str(found["display"])

    with store.write() as conn:
        assert both_ways(conn, [one(who[0], apart=True), one(who[1], apart=False)]) == {1: "u1"}
    assert display(store) == {who[0]: "u0", who[1]: "x"}
    with store.write() as conn:
        assert alone(conn, one(who[0], apart=True)) == "u0"
    assert display(store) == {who[0]: "x", who[1]: "x"}


def test_each_runs_in_its_own_context_and_says_so_once_asked(store: Store) -> None:
    who = [add_user(store, f"u{n}") for n in range(3)]
    works = []
    for w in who:
        context = copy_context()
        context.run(LANG.set, f"lang{w}")
        works.append((renaming(w, "x"), context))
    with store.write() as conn:
        found = side_by_side(conn, works)
    assert [found[n][-1] for n in range(3)] == [f"lang{w}" for w in who]


def test_what_one_raises_is_raised_for_all_and_nothing_is_kept(store: Store) -> None:
    who = [add_user(store, f"u{n}") for n in range(3)]

    def refused(which: int) -> Steps[None]:
        yield Ask(HELD, {"who": which})
        raise RefusedError("not yours")

    def write() -> None:
        with store.write() as conn:
            both_ways(conn, [renaming(who[0], "x"), refused(who[1]), renaming(who[2], "x")])

    with pytest.raises(RefusedError, match="not yours"):
        write()
    assert display(store) == {w: f"u{n}" for n, w in enumerate(who)}
    assert told(store) == []


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 2)), max_size=6))
def test_side_by_side_is_as_one_after_the_other(
    store: Store, plan: list[tuple[int, bool, int]]
) -> None:
    """Whatever each asks, in how many steps, and what is asked of the connection between two: those who are not left out
    come to what they would have come to by themselves."""

    def work(conn: Connection, which: int, direct: bool, steps: int) -> Steps[list[Any]]:
        found: list[Any] = []
        yield Ask(HELD, {"who": who[which]}, apart=(("user", who[which]),))
        for n in range(steps):
            if direct:
                mine = USER.c.id == who[which]
                conn.execute(update(USER).where(mine).values(display=USER.c.display + "!"))
            values = {"who": who[which], "called": f"{which}{n}"}
            done = yield Ask(RENAMED, values, {"told": _row(which, n)})
            held = yield Ask(HELD, {"who": who[which]})
            found.append((done and done["display"], held and held["display"]))
        return found

    with store.write() as conn:
        conn.execute(delete(USER))
    before = len(told(store))
    who = [add_user(store, f"u{n}") for n in range(4)]
    with store.write() as conn:
        found = both_ways(conn, [work(conn, *one) for one in plan])
    firsts = {one[0]: n for n, one in reversed(list(enumerate(plan)))}
    assert set(found) == set(firsts.values())
    after, said = display(store), told(store, left_out=before)
    with store.write() as conn:
        conn.execute(update(USER).values(display=USER.c.name))
        for n in sorted(found):
            assert alone(conn, work(conn, *plan[n])) == found[n]
    again = told(store, left_out=before + len(said))
    assert (display(store), again) == (after, said)
