"""Reading the event log: filtered, newest first, paged by id; and what changed between before and after."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, select

from wardround.records import Record
from wardround.sheets import inert
from wardround.store.database import Store
from wardround.store.people import event, user
from wardround.web import study_words

PAGE = 50
STEP = 1000  # rows an export reads at a time, so that it never holds a long transaction
LONG = 400  # characters from which a change is shown folded
SHORT = 30  # characters below which a change is shown whole: names, states
COLUMNS = (
    "id",
    "at",
    "actor",
    "person",
    "verb",
    "entity",
    "entity_id",
    "study_id",
    "before",
    "after",
    "note",
)


class Wanted(Record, frozen=True, kw_only=True):
    """What to show. Days as the server's calendar has them, both included; empty: all."""

    person: str = ""
    verb: str = ""
    entity: str = ""
    entity_id: str = ""
    study: int | None = None
    since: str = ""
    until: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is filtered."""
        return self == Wanted()


def _where(wanted: Wanted, *, below: int | None = None) -> ColumnElement[bool]:
    e = event.c
    parts: list[ColumnElement[bool]] = [e.id > 0]
    if wanted.person == "-":
        parts.append(e.actor.is_(None))
    elif wanted.person:
        parts.append(
            e.actor.in_(select(user.c.id).where(user.c.name == wanted.person.strip().lower()))
        )
    if wanted.verb:
        whole = e.verb == wanted.verb
        parts.append(
            e.verb.startswith(wanted.verb, autoescape=True) if wanted.verb.endswith(".") else whole
        )
    for column, value in ((e.entity, wanted.entity), (e.entity_id, wanted.entity_id)):
        if value:
            parts.append(column == value)
    if wanted.study is not None:
        parts.append(e.study_id == wanted.study)
    since, until = _day(wanted.since), _day(wanted.until)
    if since is not None:
        parts.append(e.at >= int(since.timestamp() * 1000))
    if until is not None:
        parts.append(e.at < int((until + timedelta(days=1)).timestamp() * 1000))
    if below is not None:
        parts.append(e.id < below)
    return and_(*parts)


def _day(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


_ROWS = select(event, user.c.name.label("person"), user.c.display).outerjoin(
    user, user.c.id == event.c.actor
)


def page(
    conn: Connection, wanted: Wanted, *, below: int | None = None
) -> tuple[list[Row[Any]], int | None]:
    """Up to 50 events, newest first, and the id to go on below (None: that was all)."""
    query = _ROWS.where(_where(wanted, below=below)).order_by(event.c.id.desc()).limit(PAGE + 1)
    rows = list(conn.execute(query))
    return rows[:PAGE], rows[PAGE - 1].id if len(rows) > PAGE else None


def verbs(conn: Connection) -> list[str]:
    """All verbs that were ever recorded."""
    return list(conn.execute(select(event.c.verb).distinct().order_by(event.c.verb)).scalars())


def _all(store: Store, wanted: Wanted) -> Iterator[dict[str, Any]]:
    below: int | None = None
    while True:
        query = _ROWS.where(_where(wanted, below=below)).order_by(event.c.id.desc()).limit(STEP)
        with store.read() as conn:
            rows = conn.execute(query).all()
        for row in rows:
            yield {c: getattr(row, c) for c in COLUMNS}
        if len(rows) < STEP:
            return
        below = rows[-1].id


def as_jsonl(store: Store, wanted: Wanted) -> Iterator[bytes]:
    """Every event that is wanted, newest first, one JSON object a line."""
    encode = msgspec.json.Encoder().encode
    for row in _all(store, wanted):
        yield encode(row) + b"\n"


def as_csv(store: Store, wanted: Wanted) -> Iterator[bytes]:
    """The same as CSV that spreadsheets read: UTF-8 with its mark, times as ISO, no cell that starts a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)

    def taken() -> bytes:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text.encode()

    writer.writerow(COLUMNS)
    yield "\ufeff".encode() + taken()
    for row in _all(store, wanted):
        at = (
            datetime.fromtimestamp(row["at"] / 1000).astimezone().isoformat(timespec="milliseconds")
        )
        writer.writerow(_cell(at if name == "at" else row[name]) for name in COLUMNS)
        yield taken()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return inert(text)


class Change(Record, frozen=True, kw_only=True):
    """One field that differs. `pieces`: (kind, text) with kind "=", "-" or "+"; `long`: better shown folded."""

    field: str
    pieces: tuple[tuple[str, str], ...]
    long: bool = False


def change(field: str, a: str, b: str, *, folded: bool = False) -> Change:
    """One field's two texts; `folded` even where they are short."""
    return Change(field=field, pieces=_pieces(a, b), long=folded or len(a) + len(b) > LONG)


def text_of(value: object) -> str:
    """A recorded value as text: JSON where it has no other form."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(v, str | int) for v in value):
        return "、".join(map(str, value))
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


def _pieces(a: str, b: str) -> tuple[tuple[str, str], ...]:
    if min(len(a), len(b)) < SHORT:
        return tuple((kind, text) for kind, text in (("-", a), ("+", b)) if text)
    return tuple(study_words.pieces(a, b))
