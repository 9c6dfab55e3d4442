"""How a study stands: counts, figures, an item's story, and what the coordinator does to it; on both databases."""

import itertools

import msgspec
import numpy as np
import pytest
from sqlalchemy import select, update

from tests.review.rooms import FIELDS, give, new_item, opened, people, scores
from wardround.metrics.panel import panel as measured
from wardround.review import desk, figures, handing_in, opening, progress
from wardround.review.figures import figures as kept_figures
from wardround.review.study import ReviewIn
from wardround.review.tables import item, job
from wardround.store.database import Store
from wardround.store.people import user


def rate(store: Store, study: int, given: dict[int, dict[str, list[int]]]) -> None:
    """Each reviewer scores every item they get: user → item key → one score for each field."""
    with store.read() as conn:
        keys = {r.id: r.key for r in conn.execute(select(item.c.id, item.c.key))}
    for who, of in given.items():
        while tasks := desk.next_tasks(store, study, who, ahead=0):
            task = tasks[0]
            values = dict(zip(FIELDS, of[keys[task.item]], strict=True))
            handing_in.submit(
                store, who, task.assignment, task.version, ReviewIn(scores=values, seconds=30.0)
            )


def test_counts_follow_the_work(store: Store) -> None:
    who = people(store, 3)
    items = [
        new_item("a", specialty="cardiology"),
        new_item("b", specialty="cardiology"),
        new_item("c"),
    ]
    gold = [new_item("g", gold=dict.fromkeys(FIELDS, 4))]
    study = opened(store, who, [*items, *gold])
    with store.read() as conn:
        before = progress.overview(conn, study)
    assert (before.items, before.gold, before.final, before.reviews) == (3, 1, 0, (0, 9))
    assert before.states == {"open": 3}
    assert [(s.id, s.items, s.reviews) for s in before.specialties] == [
        ("cardiology", 2, (0, 6)), ("unmapped", 1, (0, 3))
    ]  # fmt: skip
    for w in who:
        give(store, study, w, 5)
    desk.next_tasks(store, study, who[0], ahead=0)
    with store.read() as conn:
        after = progress.overview(conn, study)
        people_now = progress.reviewers(conn, study)
    assert (after.reviews, after.held) == ((3, 9), 1)
    assert [(r.done, r.held) for r in people_now] == [(1, 1), (1, 0), (1, 0)]
    assert all(r.last is not None and r.planned == 3 for r in people_now)


def test_gold_slots_are_no_reviews(store: Store) -> None:
    who = people(store, 3)
    study = opened(
        store, who, [new_item("a"), new_item("g", gold=dict.fromkeys(FIELDS, 4))], gold_rate=0.99
    )
    task = desk.next_tasks(store, study, who[0], ahead=0)[0]
    assert task.task == "gold"
    with store.read() as conn:
        held = progress.overview(conn, study)
    assert (held.reviews, held.held) == ((0, 3), 0)
    give(store, study, who[0], 4)
    with store.read() as conn:
        assert progress.overview(conn, study).reviews == (0, 3)
        found = figures.compute(conn, study)
    assert found.reviews == 0
    gold = found.raters[who[0]].gold
    assert (gold.value, gold.n) == (1.0, 1)
    assert gold.low is not None and 0 < gold.low < 1


def test_gold_is_right_only_when_every_field_is_near(store: Store) -> None:
    who = people(store, 3)
    study = opened(
        store, who, [new_item("g", gold=dict.fromkeys(FIELDS, 4)), new_item("a")], gold_rate=0.99
    )
    for w, others in zip(who, ({}, {FIELDS[0]: 3}, {FIELDS[0]: 2}), strict=True):
        task = desk.next_tasks(store, study, w, ahead=0)[0]
        assert task.task == "gold"
        given = ReviewIn(scores=scores(4, **others))
        handing_in.submit(store, w, task.assignment, task.version, given)
    with store.read() as conn:
        found = figures.compute(conn, study)
    assert [found.raters[w].gold.value for w in who] == [1.0, 1.0, 0.0]


def test_a_specialty_without_a_reviewer_is_unassigned(store: Store) -> None:
    who = people(store, 3, {0: ["cardiology"], 1: ["cardiology"], 2: ["cardiology"]})
    study = opened(
        store, who, [new_item("a", specialty="neurology"), new_item("b", specialty="cardiology")]
    )
    with store.read() as conn:
        assert progress.overview(conn, study).unassigned == {"neurology": 3}
    with store.write() as conn:
        conn.execute(update(user).where(user.c.id == who[0]).values(specialties=[]))
        opening.join(conn, study, who[:1], by=None)
    with store.read() as conn:
        assert progress.overview(conn, study).unassigned == {"neurology": 2}


def test_failed_rounds_by_reason(store: Store) -> None:
    who = people(store, 3)
    study = opened(store, who, [new_item("a"), new_item("b")], on_fail="regenerate")
    rate(store, study, {w: {"a": [3, 5], "b": [5, 5]} for w in who})
    with store.read() as conn:
        failed, why = progress.failures(conn, study)
        found = progress.overview(conn, study)
    assert failed == 1
    assert [(f.code, f.field, f.rounds) for f in why] == [("median", FIELDS[0], 1)]
    assert found.strikes == {0: 1, 1: 1}
    assert found.jobs == {"queued": 1}
    assert found.states == {"accepted": 1, "drafting": 1}


def test_agreement_is_that_of_the_scores(store: Store) -> None:
    who = people(store, 3)
    keys = [f"q{i}" for i in range(8)]
    study = opened(store, who, [new_item(k) for k in keys], on_fail="regenerate")
    rng = np.random.default_rng(1)
    table = {w: {k: [int(rng.integers(1, 6)), 4] for k in keys} for w in who}
    rate(store, study, table)
    with store.read() as conn:
        found = figures.compute(conn, study)
        order = conn.execute(select(item.c.key).order_by(item.c.id)).scalars().all()
    scored = np.array([[table[w][k][0] for k in order] for w in who], float)
    expected = measured(scored, categories=(1, 2, 3, 4, 5))
    assert [c.value for c in found.first[0].measures] == [c.value for c in expected]
    assert found.first[0].measures[0].items == 8
    alpha = next(c for c in found.first[1].measures if c.measure == "alpha_ordinal")
    assert (alpha.value, alpha.undefined) == (None, "unanimous")
    percent = next(c for c in found.first[1].measures if c.measure == "percent")
    assert percent.value == 1.0
    assert len(found.windows) == 1 and found.windows[0].units == 8


def test_windows_are_consecutive_and_even(store: Store) -> None:
    who = people(store, 2)
    keys = [f"q{i:02d}" for i in range(35)]
    study = opened(store, who, [new_item(k) for k in keys], raters=2, on_fail="regenerate")
    rng = np.random.default_rng(2)
    rate(store, study, {w: {k: [int(rng.integers(3, 6)), 5] for k in keys} for w in who})
    with store.read() as conn:
        windows = figures.compute(conn, study).windows
    assert [w.units for w in windows] == [12, 12, 11]
    assert all(a.end <= b.start for a, b in itertools.pairwise(windows))
    assert [m.measure for m in windows[0].dimensions[0].measures] == [
        "ac2_ordinal",
        "alpha_ordinal",
    ]


def test_a_severe_reviewer_shows(store: Store) -> None:
    who = people(store, 3)
    keys = [f"q{i:02d}" for i in range(12)]
    study = opened(store, who, [new_item(k) for k in keys], on_fail="regenerate")
    rate(store, study, {w: {k: [4 - 2 * (w == who[2])] * 2 for k in keys} for w in who})
    with store.read() as conn:
        found = figures.compute(conn, study)
    offsets = [found.raters[w].offset for w in who]
    assert [o.offset for o in offsets if o] == [1.0, 1.0, -2.0]
    assert found.raters[who[0]].seconds == 30.0


def test_figures_are_kept_until_a_review_comes_or_goes(sqlite_store: Store) -> None:
    store = sqlite_store
    who = people(store, 3)
    study = opened(store, who, [new_item("a"), new_item("b")])
    give(store, study, who[0], 4)
    first = kept_figures(store, study)
    assert first.reviews == 1
    assert kept_figures(store, study) is first
    give(store, study, who[1], 4)
    second = kept_figures(store, study)
    assert second.reviews == 2
    handing_in.undo(store, study, who[1])
    assert kept_figures(store, study).reviews == 1


def test_a_choice_is_measured_without_order(store: Store) -> None:
    from wardround.review.study import Field, Level

    verdict = Field(
        id="winner", zh="胜者", en="Winner", kind="choice",
        levels=tuple(Level(value=v, zh=v, en=v) for v in ("A", "B", "tie")),
    )  # fmt: skip
    why = Field(id="why", zh="理由", en="Why", kind="labels", required=False, levels=verdict.levels)
    who = people(store, 2)
    study = opened(
        store, who, [new_item(k) for k in "abc"], kind="pair", form=(verdict, why), raters=2
    )
    given = {"a": ["A", "A"], "b": ["B", "tie"], "c": ["B", "B"]}
    with store.read() as conn:
        keys = {r.id: r.key for r in conn.execute(select(item.c.id, item.c.key))}
    for n, w in enumerate(who):
        while tasks := desk.next_tasks(store, study, w, ahead=0):
            chosen = {"winner": given[keys[tasks[0].item]][n]}
            handing_in.submit(
                store, w, tasks[0].assignment, tasks[0].version, ReviewIn(scores=chosen)
            )
    with store.read() as conn:
        found = figures.compute(conn, study)
    assert [d.field for d in found.first] == ["winner"]
    assert [m.measure for m in found.first[0].measures] == list(figures.NOMINAL)
    assert found.first[0].measures[0].value == pytest.approx(2 / 3)
    assert found.raters[who[0]].offset is None


def test_nothing_reviewed_is_no_error(store: Store) -> None:
    study = opened(store, people(store, 2), [new_item("a")])
    with store.read() as conn:
        found = figures.compute(conn, study)
    assert (found.reviews, found.windows, found.raters) == (0, (), {})
    assert all(m.undefined == "too_few" for d in found.first for m in d.measures)
    assert msgspec.json.encode(found)


def test_items_are_found_and_paged(store: Store) -> None:
    items = [new_item(f"心内_{i:03d}%", specialty="cardiology") for i in range(60)]
    study = opened(
        store, people(store, 3), [*items, new_item("other", gold=dict.fromkeys(FIELDS, 4))]
    )
    with store.read() as conn:
        page, further, total = progress.items(conn, study, progress.Wanted())
        rest, end, _ = progress.items(conn, study, progress.Wanted(), after=further or 0)
        assert (len(page), len(rest), end, total) == (50, 11, None, 61)
        wanted = progress.Wanted(text="059%", specialty="cardiology")
        assert [r.key for r in progress.items(conn, study, wanted)[0]] == ["心内_059%"]
        assert progress.items(conn, study, progress.Wanted(text="5_9"))[2] == 0
        assert progress.items(conn, study, progress.Wanted(state="gold"))[2] == 1
        assert progress.items(conn, study, progress.Wanted(state="open"))[2] == 60
        assert progress.items(conn, study, progress.Wanted(strikes=1))[2] == 0


def test_the_list_of_studies(store: Store) -> None:
    who = people(store, 3)
    first = opened(store, who, [new_item("a")], slug="first")
    opened(store, who[:2], [new_item("a"), new_item("b", content=None)], slug="second", model="x")
    with store.write() as conn:
        opening.close_study(conn, first, by=None)
        conn.execute(update(job).values(error="refused"))
    with store.read() as conn:
        found = progress.studies(conn)
    assert [(s.slug, s.status, s.items, s.members, s.errors) for s in found] == [
        ("second", "open", 2, 2, 1), ("first", "closed", 1, 3, 0)
    ]  # fmt: skip
