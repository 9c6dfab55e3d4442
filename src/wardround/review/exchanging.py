"""Studies out to other annotation tools, and their ratings into a study: the files, the slots, what was left out.

A rating that comes in is a review like any other: it takes a slot, closes rounds, is in the event log. One that can't
be (unreadable, no account, no such item, round closed, fields missing) is listed with the reason; nothing vanishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, select, update

from wardround.artifact import write_atomically
from wardround.errors import ConflictError, InputError, RefusedError, UsageError
from wardround.records import Record, encode
from wardround.review import desk, handing_in, opening
from wardround.review.exchange import (
    Rating,
    Sent,
    label_studio_tasks,
    labeling_config,
    potato_config,
    potato_items,
    potato_states,
    read_label_studio,
    read_potato,
    read_potato_state,
)
from wardround.review.snapshot import Snapshot
from wardround.review.study import ReviewIn, Span, StudyConfig
from wardround.review.tables import assignment, item
from wardround.rows import read_json_rows
from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.steps import alone

Tool = Literal["label-studio", "potato"]
TOOLS = ("label-studio", "potato")


NO_ACCOUNT = "no account given for this rater"


class Left(Record, frozen=True, kw_only=True):
    """A rating that was not taken in, and why."""

    item: str
    rater: str
    reason: str


def send(
    store: Store, slug: str, tool: Tool, out: Path, *, ratings: bool = False
) -> dict[str, int]:
    """Write what is under review for another tool into the new folder `out`; `ratings`: all that there is, with what was
    scored here. Returns how many `items` and `ratings` were written, and how many items were `left`."""
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"{out}: holds files already", hint="name a new folder")
    with store.read() as conn:
        snapshot = Snapshot(conn, slug)
        config = snapshot.config
        found = [i for i in snapshot.items() if i.standing is not None and i.gold is None]
    there = len(found)
    if not ratings:  # elsewhere too nobody is to see a wrong answer, nor to score what is decided
        found = [i for i in found if i.status == "open"]
    sent = [Sent(key=i.key, body=i.body, content=i.standing.content) for i in found if i.standing]
    given = [
        Rating(
            key=i.key, rater=r.reviewer, scores=r.scores, comment=r.comment, seconds=r.seconds,
            spans=tuple(msgspec.convert(s, Span) for s in r.spans),
        )
        for i in found
        for r in i.reviews
        if ratings and i.standing is not None and r.version == i.standing.number
    ]  # fmt: skip
    if tool == "label-studio":
        _put(out / "config.xml", labeling_config(config).encode())
        _put(
            out / "tasks.json",
            msgspec.json.format(encode(list(label_studio_tasks(config, sent, given)))),
        )
    else:
        import yaml

        text = yaml.safe_dump(potato_config(config), allow_unicode=True, sort_keys=False)
        _put(out / "config.yaml", text.encode())
        _put_lines(out / "items.jsonl", potato_items(sent))
        for state in potato_states(config, given):
            _put(out / "annotation_output" / state["user_id"] / "user_state.json", encode(state))
    return {"items": len(sent), "ratings": len(given), "left": there - len(sent)}


def _put(path: Path, data: bytes) -> None:
    write_atomically(path, data)


def _put_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    _put(path, b"".join(encode(row) + b"\n" for row in rows))


def read(path: Path, tool: Tool, config: StudyConfig) -> list[Rating]:
    """The ratings in an export of another tool: a JSON file, or of Potato the folder of its annotators."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder", hint="check the path")
    if tool == "label-studio":
        rows = (row for _, row in read_json_rows(path))
        return list(read_label_studio(rows, config, str(path)))
    found = list(_potato(path, config))
    if not found:
        raise InputError(
            "no ratings of Potato", path=path,
            hint="name its output folder, with annotated_instances.jsonl or user_state.json of each annotator",
        )  # fmt: skip
    return found


def _potato(path: Path, config: StudyConfig) -> Iterator[Rating]:
    states = sorted(path.rglob("user_state.json")) if path.is_dir() else []
    for file in states:
        try:
            state = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except msgspec.DecodeError as e:
            raise InputError(f"not a user_state.json: {e}", path=file) from e
        yield from read_potato_state(state, config, str(file))
    seen = {file.parent for file in states}
    files = sorted(path.rglob("annotated_instances.jsonl")) if path.is_dir() else [path]
    for file in files:
        if file.parent not in seen:
            rows = (row for _, row in read_json_rows(file))
            yield from read_potato(rows, file.parent.name, config, str(file))


def take(
    store: Store, slug: str, ratings: Iterable[Rating], raters: Mapping[str, int]
) -> tuple[int, list[Left]]:
    """Put ratings into a study as reviews; returns how many, and those left out. `raters`: their name → account id."""
    taken, left = 0, []
    for rating in ratings:
        reason = ""
        if rating.unread:
            reason = rating.unread
        elif rating.rater not in raters:
            reason = NO_ACCOUNT
        else:
            try:
                with store.write() as conn:
                    _take(conn, slug, rating, raters[rating.rater])
                taken += 1
            except (ConflictError, RefusedError, InputError) as e:
                reason = e.message
        if reason:
            left.append(Left(item=rating.key, rater=rating.rater, reason=reason))
    return taken, left


def _take(conn: Connection, slug: str, rating: Rating, user_id: int) -> None:
    study = opening.study_row(conn, slug)
    desk.member_row(conn, study["id"], user_id)
    row = (
        conn.execute(select(item).where(item.c.study_id == study["id"], item.c.key == rating.key))
        .mappings()
        .first()
    )
    if row is None:
        raise ConflictError(f"the study has no item {rating.key}")
    a = assignment.c
    of_round = (a.item_id == row["id"], a.round == row["round"], a.task == "review")
    slots = select(assignment).where(*of_round)
    mine = conn.execute(slots.where(a.user_id == user_id)).mappings().first()
    if mine is not None and mine["state"] == "done":
        raise ConflictError("this reviewer has rated it in this round already")
    free = (
        mine
        or conn.execute(slots.where(a.state == "free").order_by(a.planned_for != user_id, a.id))
        .mappings()
        .first()
    )
    if free is None:
        raise ConflictError(f"no review is wanted: the item is {row['status']}")
    desk.take_over(conn, free, user_id)
    until = now() + opening.read_config(study["config"]).lease_minutes * 60_000
    conn.execute(
        update(assignment)
        .where(a.id == free["id"])
        .values(
            state="held", user_id=user_id, planned_for=user_id, claimed_at=now(), lease_until=until
        )
    )
    given = ReviewIn(
        scores=rating.scores, comment=rating.comment, spans=rating.spans, seconds=rating.seconds
    )
    alone(conn, handing_in.hand_in(conn, user_id, free["id"], row["version_id"], given))
