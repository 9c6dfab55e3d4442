"""What a study's scores say: agreement by dimension and over time, and each reviewer's time, severity and gold.

Every score is read once, in bulk, into arrays; the result is kept in the process until another review comes in or is
taken back. A unit of agreement is an item in one round: the reviewers of a round saw the same version. Reviews that
were withdrawn count nowhere, gold only in the reviewer's accuracy.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Text, cast, func, select

from wardround.metrics import chance
from wardround.metrics.arrays import np
from wardround.metrics.panel import DASHBOARD, Coefficient, panels
from wardround.metrics.proportions import Share, wilson
from wardround.metrics.severity import Offset, offsets
from wardround.records import Record
from wardround.review import opening
from wardround.review.study import Field, StudyConfig
from wardround.review.tables import item, review
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.people import event

NOMINAL = ("percent", "alpha_nominal", "ac1")
"""Measures of a field whose levels have no order."""
OVER_TIME = {"scale": ("ac2_ordinal", "alpha_ordinal"), "choice": ("ac1", "alpha_nominal")}
"""Kind of field → what is drawn over time."""
WINDOWS, LEAST = 12, 10
"""At most so many windows, of at least so many units each."""
PATIENCE = 20.0
"""Figures that took over a second are made again after this many times that, however many reviews came in."""


class Ratings(Record, frozen=True, kw_only=True):
    """All reviews of a study in the order they came, as arrays of one length; `scores` (fields, reviews), NaN where
    there is none, a choice as its place among the levels."""

    id: Any
    item: Any
    round: Any
    user: Any
    at: Any
    seconds: Any
    gold: Any
    scores: Any


class Dimension(Record, frozen=True, kw_only=True):
    """One field's measures, in the order of `DASHBOARD` (of `NOMINAL` for a choice)."""

    field: str
    measures: tuple[Coefficient, ...]


class Window(Record, frozen=True, kw_only=True):
    """A stretch of the study: units whose last review fell between two times (ms), and each field's measures."""

    start: int
    end: int
    units: int
    dimensions: tuple[Dimension, ...]


class Rater(Record, frozen=True, kw_only=True):
    """One reviewer. `seconds`: median per item. `gold`: share of gold items with every field within tolerance.
    `offset`: mean of the scale fields against the others on the same items; None without a scale field."""

    user: int
    reviews: int
    seconds: float | None
    gold: Share
    offset: Offset | None


class Figures(Record, frozen=True, kw_only=True):
    """All of it, as of `at`. `first`: first rounds only; `all`: every round, each a unit of its own."""

    at: int
    reviews: int
    first: tuple[Dimension, ...]
    all: tuple[Dimension, ...]
    windows: tuple[Window, ...]
    raters: dict[int, Rater]
    cost: float


def judged(config: StudyConfig) -> tuple[Field, ...]:
    """The fields with one value a review: those that agreement is of."""
    return tuple(f for f in config.form if f.kind != "labels" and len(f.levels) > 1)


def ratings(conn: Connection, study_id: int, config: StudyConfig) -> Ratings:
    """Every review that counts, gold among them."""
    r = review.c
    rows = conn.execute(
        select(
            r.id, r.item_id, r.round, r.user_id, r.at, r.seconds, r.gold, cast(r.scores, Text)
        )
        .where(r.study_id == study_id, r.withdrawn_at.is_(None))
        .order_by(r.id)
    ).all()  # fmt: skip
    columns = list(zip(*rows, strict=True)) or [()] * 8
    given = msgspec.json.decode("[" + ",".join(columns[7]) + "]", type=list[dict[str, Any]])
    fields = judged(config)
    scores = np.full((len(fields), len(rows)), np.nan)
    for place, field in enumerate(fields):
        codes: dict[Any, float] = {
            level.value: float(level.value) if field.kind == "scale" else float(n)
            for n, level in enumerate(field.levels)
        }
        name = field.id
        try:
            scores[place] = [codes.get(one.get(name), math.nan) for one in given]
        except TypeError:  # a list where one value should be: from another form, not from ours
            scores[place] = [codes.get(_plain(one.get(name)), math.nan) for one in given]
    whole = {
        name: np.asarray(columns[n], int)
        for n, name in enumerate(("id", "item", "round", "user", "at"))
    }
    return Ratings(
        **whole, seconds=np.asarray(columns[5], float), gold=np.asarray(columns[6], bool), scores=scores
    )  # fmt: skip


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else None


def compute(conn: Connection, study_id: int) -> Figures:
    """All figures, from the reviews as they stand."""
    began = time.perf_counter()
    config = opening.config_of(conn, study_id)
    given = ratings(conn, study_id, config)
    fields = judged(config)
    counted = ~given.gold
    _, unit = np.unique(
        np.stack([given.item[counted], given.round[counted]]), axis=1, return_inverse=True
    )
    unit = np.asarray(unit).reshape(-1)
    scores, rounds = given.scores[:, counted], given.round[counted]
    early = rounds == 1
    return Figures(
        at=now(), reviews=int(counted.sum()),
        first=_dimensions(fields, unit[early], scores[:, early]),
        all=_dimensions(fields, unit, scores) if not early.all() else (),
        windows=_windows(fields, unit[early], scores[:, early], given.at[counted][early]),
        raters=_raters(conn, study_id, config, given, unit, counted),
        cost=time.perf_counter() - began,
    )  # fmt: skip


def _values(field: Field) -> tuple[float, ...]:
    """The categories of a field, ascending."""
    if field.kind == "scale":
        return tuple(sorted(float(level.value) for level in field.levels))
    return tuple(float(n) for n in range(len(field.levels)))


def _dimensions(
    fields: Sequence[Field],
    unit: np.ndarray,
    scores: np.ndarray,
    *,
    over_time: bool = False,
) -> tuple[Dimension, ...]:
    """The measures of each field. `unit` numbers what was rated, one entry a review; `scores` (fields, reviews)."""
    _, row = np.unique(unit, return_inverse=True)
    number = int(row.max()) + 1 if len(row) else 0
    alike: dict[tuple[str, tuple[float, ...]], list[int]] = {}
    for place, field in enumerate(fields):
        alike.setdefault((field.kind, _values(field)), []).append(place)
    found: dict[int, Dimension] = {}
    for (kind, values), places in alike.items():
        tables = []
        for place in places:
            there = ~np.isnan(scores[place])
            tables.append(
                chance.count_table(row[there], scores[place][there], items=number, categories=values)
            )  # fmt: skip
        names = OVER_TIME[kind] if over_time else DASHBOARD if kind == "scale" else NOMINAL
        measured = panels(tables, categories=values, measures=names)
        for place, measures in zip(places, measured, strict=True):
            found[place] = Dimension(field=fields[place].id, measures=tuple(measures))
    return tuple(found[place] for place in range(len(fields)))


def _windows(
    fields: Sequence[Field], unit: np.ndarray, scores: np.ndarray, at: np.ndarray
) -> tuple[Window, ...]:
    """Consecutive windows of first rounds, by the time of each unit's last review, as equal in size as can be."""
    _, row, ratings_of = np.unique(unit, return_inverse=True, return_counts=True)
    if not len(row):
        return ()
    last = np.zeros(len(ratings_of), int)
    np.maximum.at(last, row, at)
    several = np.flatnonzero(ratings_of > 1)
    order = several[np.argsort(last[several], kind="stable")]
    number = max(1, min(WINDOWS, len(order) // LEAST))
    found = []
    for part in np.array_split(order, number):
        if len(part) < 2:
            continue
        inside = np.zeros(len(ratings_of), bool)
        inside[part] = True
        mine = inside[row]
        found.append(
            Window(
                start=int(last[part].min()), end=int(last[part].max()), units=len(part),
                dimensions=_dimensions(fields, row[mine], scores[:, mine], over_time=True),
            )
        )  # fmt: skip
    return tuple(found)


def _raters(
    conn: Connection,
    study_id: int,
    config: StudyConfig,
    given: Ratings,
    unit: np.ndarray,
    counted: np.ndarray,
) -> dict[int, Rater]:
    users, row = np.unique(given.user[counted], return_inverse=True)
    row = np.asarray(row).reshape(-1)
    apart = _offsets(config, given.scores[:, counted], given.at[counted], unit, row, len(users))
    gold = gold_accuracy(conn, study_id, config, given)
    found = {}
    everyone = np.unique(given.user)
    for whom in everyone.tolist():
        mine = (given.user == whom) & counted
        place = int(np.searchsorted(users, whom))
        rated = place < len(users) and int(users[place]) == whom
        spent = given.seconds[mine]
        spent = spent[spent > 0]
        found[whom] = Rater(
            user=whom, reviews=int(mine.sum()),
            seconds=round(float(np.median(spent)), 1) if len(spent) else None,
            gold=gold.get(whom, wilson(0, 0)), offset=apart[place] if rated and apart else None,
        )  # fmt: skip
    return found


def _offsets(
    config: StudyConfig,
    scores: np.ndarray,
    at: np.ndarray,
    unit: np.ndarray,
    row: np.ndarray,
    raters: int,
) -> list[Offset]:
    """Each reviewer's offset, of the mean over the scale fields; [] without a scale field."""
    scales = [n for n, f in enumerate(judged(config)) if f.kind == "scale"]
    if not scales or not raters:
        return []
    units = int(unit.max()) + 1
    m, when = np.full((raters, units), np.nan), np.zeros((raters, units), int)
    with np.errstate(invalid="ignore"):
        there = ~np.isnan(scores[scales])
        number = there.sum(axis=0)
        mean = np.where(there, scores[scales], 0.0).sum(axis=0) / np.maximum(number, 1)
    m[row, unit] = np.where(number > 0, mean, np.nan)
    when[row, unit] = at
    return offsets(m, when=when)


def gold_accuracy(
    conn: Connection, study_id: int, config: StudyConfig, given: Ratings
) -> dict[int, Share]:
    """User → share of their gold items that are right: every field that has a gold value is within tolerance of it
    (a choice: is it). The interval is Wilson's, over the reviewer's gold items."""
    fields = judged(config)
    found: dict[int, list[bool]] = {}
    if not given.gold.any():
        return {}
    rows = conn.execute(
        select(item.c.id, item.c.gold).where(item.c.study_id == study_id, item.c.is_gold)
    )
    right = {int(r[0]): r[1] or {} for r in rows}
    for n in np.flatnonzero(given.gold).tolist():
        wanted = right.get(int(given.item[n]), {})
        fits = [
            _near(field, wanted[field.id], float(given.scores[place, n]), config.gold_tolerance)
            for place, field in enumerate(fields)
            if field.id in wanted
        ]
        if fits:
            found.setdefault(int(given.user[n]), []).append(all(fits))
    return {whom: wilson(sum(hits), len(hits)) for whom, hits in found.items()}


def _near(field: Field, wanted: Any, score: float, tolerance: int) -> bool:
    if math.isnan(score):
        return False
    if field.kind == "scale":
        return abs(score - float(wanted)) <= tolerance
    return bool(field.levels[int(score)].value == wanted)


# -- kept in the process ------------------------------------------------------------------------------------

_kept: WeakKeyDictionary[Store, dict[int, tuple[tuple[int, int], Figures, float]]] = (
    WeakKeyDictionary()
)
_turn = threading.Lock()


def last_change(conn: Connection, study_id: int) -> tuple[int, int]:
    """(the last review, the last taking back): what figures depend on."""
    newest = conn.execute(
        select(func.max(review.c.id)).where(review.c.study_id == study_id)
    ).scalar()
    # Of any study: within the index of verbs, where that of one study would be searched for.
    taken_back = conn.execute(
        select(func.max(event.c.id)).where(event.c.verb == "review.withdrawn")
    ).scalar()
    return int(newest or 0), int(taken_back or 0)


def figures(store: Store, study_id: int) -> Figures:
    """A study's figures, computed once for each state of its reviews. One computation at a time: whoever asks
    meanwhile waits for it and shares it."""
    with _turn:
        with store.read() as conn:
            state = last_change(conn, study_id)
        mine = _kept.setdefault(store, {})
        kept = mine.get(study_id)
        if kept is not None:
            there, found, made = kept
            slow = found.cost > 1 and time.monotonic() - made < PATIENCE * found.cost
            if there == state or slow:
                return found
        with store.read() as conn:
            state = last_change(conn, study_id)
            found = compute(conn, study_id)
        mine[study_id] = (state, found, time.monotonic())
        return found
