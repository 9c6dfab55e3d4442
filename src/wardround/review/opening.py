"""Studies: opened from items, joined and left by members, closed.

Opening is one transaction: a study is there with all its items or not at all. An item with content is open for
review at once; one without waits for the model (a job), and so does one whose draft gives a wrong answer: that is its
first strike, and costs no reviewer's time. Gold is shown now and then and takes no part in consensus.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from wardround.errors import ConflictError, UsageError
from wardround.review.consensus import WRONG_ANSWER, Reason
from wardround.review.planning import Planned, hold_members, plan
from wardround.review.study import NewItem, StudyConfig
from wardround.review.tables import assignment, item, job, member, result, study, version
from wardround.store.base import now
from wardround.store.events import record
from wardround.store.people import user

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
CHUNK = 500
_BY_ID = select(study).where(study.c.id == bindparam("which"))
_BY_SLUG = select(study).where(study.c.slug == bindparam("which"))


def open_study(
    conn: Connection,
    slug: str,
    config: StudyConfig,
    items: Iterable[NewItem],
    *,
    by: int | None,
    members: Sequence[int] = (),
) -> int:
    """Open a study; returns its id. `UsageError` for a slug in use, no items, or an item key that comes twice."""
    config.check()
    if not _SLUG.fullmatch(slug):
        raise UsageError(
            f"{slug!r} can't name a study", hint="use lower-case letters, digits and hyphens"
        )
    if conn.execute(select(study.c.id).where(study.c.slug == slug)).first():
        raise UsageError(f"there is a study {slug} already", hint="choose another name")
    at = now()
    study_id = int(
        conn.execute(
            insert(study).returning(study.c.id),
            {"slug": slug, "config": config, "status": "open", "created_by": by, "created_at": at, "version": 1},
        ).scalar_one()
    )  # fmt: skip
    keys: set[str] = set()
    rng = random.Random(f"{config.seed}:{slug}")
    for chunk in _chunks(items):
        for new in chunk:
            if new.key in keys:
                raise UsageError(
                    f"item {new.key} comes twice", hint="give each item a key of its own"
                )
            keys.add(new.key)
        _add(conn, study_id, config, chunk, rng, at)
    if not keys:
        raise UsageError("there is nothing to review", hint="check the file the items come from")
    record(
        conn, "study.opened", "study", study_id, actor=by, study_id=study_id,
        after={"slug": slug, "config": msgspec.to_builtins(config), "items": len(keys)},
    )  # fmt: skip
    if members:
        join(conn, study_id, members, by=by)
    return study_id


def _add(
    conn: Connection,
    study_id: int,
    config: StudyConfig,
    chunk: Sequence[NewItem],
    rng: random.Random,
    at: int,
) -> None:
    struck = {"status": _after_wrong(config), "strikes": 1}
    rows = [
        {
            "study_id": study_id, "key": new.key, "specialty": new.specialty, "body": new.body, "data": new.data,
            "gold": new.gold, "is_gold": new.gold is not None, "round": 0 if new.content is None else 1,
            "status": "drafting" if new.content is None else "open", "strikes": 0, "version": 1,
        }
        | (struck if is_wrong(config, new) else {})
        for new in chunk
    ]  # fmt: skip
    found = conn.execute(insert(item).returning(item.c.id, sort_by_parameter_order=True), rows)
    ids = list(found.scalars())
    pairs = list(zip(ids, chunk, strict=True))
    ready = [(i, new) for i, new in pairs if new.content is not None]
    waiting = [(i, new) for i, new in pairs if new.content is None]
    if waiting:
        conn.execute(insert(job), [queued(study_id, i, 1, "", at) for i, _ in waiting])
    if not ready:
        return
    versions = conn.execute(
        insert(version).returning(version.c.id, sort_by_parameter_order=True),
        [
            {
                "item_id": i, "number": 1, "content": new.content, "created_at": at, "guidance": "", "diff": "",
                "data": new.data.get("given", {}), "author_kind": "model" if new.author else "source",
                "author": new.author,
            }
            for i, new in ready
        ],
    ).scalars()  # fmt: skip
    conn.execute(
        update(item).where(item.c.id == bindparam("row")).values(version_id=bindparam("of")),
        [{"row": i, "of": v} for (i, _), v in zip(ready, versions, strict=True)],
    )
    slots = [
        slot(study_id, i, 1, new.specialty, rng.random())
        for i, new in ready
        if new.gold is None and not is_wrong(config, new)
        for _ in range(config.raters)
    ]
    if slots:
        conn.execute(insert(assignment), slots)
    _strike(conn, study_id, config, [(i, n) for i, n in ready if is_wrong(config, n)], at)


def is_wrong(config: StudyConfig, new: NewItem) -> bool:
    """Whether the item comes with a draft that doesn't give the key."""
    key = new.data.get("answer")
    if not config.consensus or new.content is None or new.gold is not None or key is None:
        return False
    return bool(new.data.get("given", {}).get("answer") != key)


def _after_wrong(config: StudyConfig) -> str:
    if config.strikes == 1:
        return "panel"
    return "revising" if config.on_fail == "revise" else "drafting"


_FOLLOWS = {"panel": "panel", "revising": "revision", "drafting": "regeneration"}


def _strike(
    conn: Connection,
    study_id: int,
    config: StudyConfig,
    wrong: Sequence[tuple[int, NewItem]],
    at: int,
) -> None:
    """The first strike of drafts with a wrong answer, and what comes of it."""
    if not wrong:
        return
    after = _after_wrong(config)
    conn.execute(
        insert(result),
        [
            {
                "study_id": study_id, "item_id": i, "round": 1, "outcome": "failed", "next": _FOLLOWS[after],
                "reasons": [Reason(code="wrong_answer")], "at": at,
            }
            for i, _ in wrong
        ],
    )  # fmt: skip
    if after == "drafting":
        conn.execute(insert(job), [queued(study_id, i, 2, WRONG_ANSWER, at) for i, _ in wrong])
    elif after == "revising":
        conn.execute(
            insert(assignment),
            [slot(study_id, i, 1, new.specialty, 0.0, task="revise") for i, new in wrong],
        )


def _chunks(items: Iterable[NewItem]) -> Iterator[list[NewItem]]:
    several = iter(items)
    while chunk := list(islice(several, CHUNK)):
        yield chunk


def slot(
    study_id: int, item_id: int, round_: int, specialty: str, shuffle: float, **more: Any
) -> dict[str, Any]:
    """The row of a free review slot."""
    return {
        "study_id": study_id, "item_id": item_id, "round": round_, "task": "review", "specialty": specialty,
        "state": "free", "planned_for": None, "user_id": None, "shuffle": shuffle,
    } | more  # fmt: skip


def queued(study_id: int, item_id: int, round_: int, guidance: str, at: int) -> dict[str, Any]:
    """The row of a job for the model: write the version that round `round_` will review."""
    return {
        "study_id": study_id, "item_id": item_id, "round": round_, "state": "queued", "guidance": guidance,
        "tries": 0, "error": "", "due_at": at, "created_at": at,
    }  # fmt: skip


def join(conn: Connection, study_id: int, users: Sequence[int], *, by: int | None) -> Planned:
    """Make these users members (again) and plan all free slots anew."""
    config = config_of(conn, study_id)
    hold_members(conn, study_id)
    there = {
        m.user_id: m.active
        for m in conn.execute(select(member).where(member.c.study_id == study_id))
    }
    at = now()
    for row in conn.execute(select(user.c.id, user.c.specialties).where(user.c.id.in_(users))):
        values = {"specialties": row.specialties, "active": True}
        if row.id in there:
            conn.execute(
                update(member)
                .where(member.c.study_id == study_id, member.c.user_id == row.id)
                .values(**values)
            )
        else:
            conn.execute(
                insert(member),
                {"study_id": study_id, "user_id": row.id, "joined_at": at, "load": 0, "shown": 0}
                | values,
            )
        record(
            conn, "member.joined", "study", study_id, actor=by, study_id=study_id,
            after={"user": row.id, "specialties": row.specialties},
        )  # fmt: skip
    return plan(conn, study_id, seed=config.seed)


def leave(conn: Connection, study_id: int, user_id: int, *, by: int | None) -> Planned:
    """End a membership: what this member holds returns, what was planned goes to others. Reviews stay."""
    config = config_of(conn, study_id)
    hold_members(conn, study_id)
    conn.execute(
        update(member)
        .where(member.c.study_id == study_id, member.c.user_id == user_id)
        .values(active=False)
    )
    a = assignment.c
    holds = select(a.id).where(
        a.study_id == study_id, a.user_id == user_id, a.state == "held", a.task != "gold"
    )  # what is being handed in at this moment is left to that
    held = conn.execute(holds.with_for_update(skip_locked=True)).scalars().all()
    conn.execute(
        update(assignment)
        .where(a.id.in_(held))
        .values(state="free", user_id=None, lease_until=None)
    )
    conn.execute(
        update(assignment)
        .where(
            a.study_id == study_id, a.planned_for == user_id, a.state == "free", a.task == "revise"
        )
        .values(planned_for=None)
    )
    record(
        conn, "member.left", "study", study_id, actor=by, study_id=study_id, after={"user": user_id}
    )
    return plan(conn, study_id, seed=config.seed)


def close_study(conn: Connection, study_id: int, *, by: int | None) -> None:
    """No more reviews; what is there stays and can be exported."""
    row = study_row(conn, study_id)
    conn.execute(update(study).where(study.c.id == study_id).values(status="closed"))
    record(
        conn, "study.closed", "study", study_id, actor=by, study_id=study_id,
        before={"status": row["status"]}, after={"status": "closed"},
    )  # fmt: skip


def study_row(conn: Connection, study_id: int | str) -> RowMapping:
    """A study by id or slug. `ConflictError` where there is none."""
    by = _BY_SLUG if isinstance(study_id, str) else _BY_ID
    row = conn.execute(by, {"which": study_id}).mappings().first()
    if row is None:
        raise ConflictError(f"there is no study {study_id}", hint="look at the list of studies")
    return row


_CONFIGS: dict[bytes | str, StudyConfig] = {}


def config_of(conn: Connection, study_id: int) -> StudyConfig:
    """The settings of a study."""
    return read_config(study_row(conn, study_id)["config"])


def read_config(stored: Any) -> StudyConfig:
    """Settings as stored, or their JSON → a record. The conversion is kept: a study's settings are read on every
    request."""
    raw = stored if isinstance(stored, str) else msgspec.msgpack.encode(stored)
    found = _CONFIGS.get(raw)
    if found is None:
        if len(_CONFIGS) > 64:
            _CONFIGS.clear()
        if isinstance(stored, str):
            found = msgspec.json.decode(stored, type=StudyConfig)
        else:
            found = msgspec.convert(stored, StudyConfig)
        _CONFIGS[raw] = found
    return found
