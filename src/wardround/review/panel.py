"""The panel: what comes after the last strike, or what the coordinator sends there. Its decision is final and reasoned.

The panel sees everything: all versions with their authors, scores, comments and guidance. It accepts a version, writes
one of its own, or rejects the item. A version whose answer is wrong can't be accepted by the panel either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from wardround.errors import ConflictError, InputError
from wardround.review import opening, rounds
from wardround.review.study import FINAL, MAX_COMMENT, Part
from wardround.review.tables import assignment, item, job, result, version
from wardround.store.base import now
from wardround.store.database import Store, changed
from wardround.store.events import record

Decision = Literal["accept", "amend", "reject"]


def queue(conn: Connection, study_id: int) -> list[RowMapping]:
    """Items before the panel, in the order they came into the study."""
    return list(
        conn.execute(
            select(item)
            .where(item.c.study_id == study_id, item.c.status == "panel")
            .order_by(item.c.id)
        ).mappings()
    )


def decide(
    store: Store,
    item_id: int,
    *,
    by: int,
    item_version: int,
    decision: Decision,
    reason: str,
    version_id: int | None = None,
    amended: Mapping[str, str] | None = None,
) -> str:
    """Settle an item for good; returns its state.

    Args:
        item_version: the item's `version` as the panel saw it; `ConflictError` when it moved.
        version_id: which version is accepted or amended; None is the newest.
        amended: part id → text, for `amend`. The part `answer` may be amended to the key.
    """
    if not reason.strip():
        raise InputError("a decision needs its reason", path="panel", hint="write why")
    if len(reason) > MAX_COMMENT:
        raise InputError(f"the reason is longer than {MAX_COMMENT} characters", path="panel")
    with store.write() as conn:
        row = rounds.locked(conn, item_id)
        if row["version"] != item_version or row["status"] != "panel":
            raise ConflictError("this item was decided or changed meanwhile", hint="load it again")
        final = row["version_id"] if version_id is None else version_id
        if final is not None and not _belongs(conn, item_id, final):
            raise ConflictError("that version is of another item", hint="load it again")
        if decision == "amend":
            final = _amended(conn, row, final, amended or {}, by)
        if decision != "reject":
            _must_be_right(conn, row, final)
        state = "rejected" if decision == "reject" else "accepted"
        changed(conn, item, item_id, item_version, {"status": state, "version_id": final})
        conn.execute(
            insert(result),
            {
                "study_id": row["study_id"], "item_id": item_id, "round": row["round"], "next": "", "at": now(),
                "outcome": f"panel_{state}", "reasons": [{"code": decision, "text": reason, "by": by}],
            },
        )  # fmt: skip
        record(
            conn, f"panel.{state}", "item", item_id, actor=by, study_id=row["study_id"], note=reason,
            before={"status": "panel", "version_id": row["version_id"]},
            after={"status": state, "version_id": final, "decision": decision},
        )  # fmt: skip
    return state


def _amended(
    conn: Connection, row: RowMapping, version_id: int | None, amended: Mapping[str, str], by: int
) -> int:
    old = conn.execute(select(version).where(version.c.id == version_id)).mappings().first()
    if old is None:
        return _written(conn, row, amended, by)
    ids = {p["id"] for p in old["content"]}
    if not amended or not set(amended) <= ids:
        raise InputError("nothing was changed", path="panel", hint="edit at least one step")
    content = [
        dict(p) | ({"text": amended[p["id"]]} if p["id"] in amended else {}) for p in old["content"]
    ]
    data: dict[str, Any] = dict(old["data"])
    if "answer" in amended:
        data["answer"] = amended["answer"].strip()
    number = conn.execute(
        select(version.c.number)
        .where(version.c.item_id == row["id"])
        .order_by(version.c.number.desc())
        .limit(1)
    ).scalar_one()
    return int(
        conn.execute(
            insert(version).returning(version.c.id),
            {
                "item_id": row["id"], "number": number + 1, "data": data, "author_kind": "panel", "author": str(by),
                "content": msgspec.convert(content, tuple[Part, ...]), "guidance": "", "created_at": now(),
                "diff": rounds.difference(old["content"], content),
            },
        ).scalar_one()
    )  # fmt: skip


def _written(conn: Connection, row: RowMapping, parts: Mapping[str, str], by: int) -> int:
    """The panel's own text where no model ever wrote one: the part `answer` and the steps `s1`, `s2` …"""
    steps = sorted(
        (k for k in parts if k[:1] == "s" and k[1:].isdecimal()), key=lambda k: int(k[1:])
    )
    answer = parts.get("answer", "").strip()
    if not answer or not steps or set(parts) != {"answer", *steps}:
        raise InputError(
            "there is no version to amend",
            path="panel",
            hint="write the answer and its steps s1, s2 …",
        )
    content = (
        Part(id="answer", role="answer", zh="所选答案", en="Answer chosen", text=answer),
        *(
            Part(id=k, role="step", zh=f"步骤 {k[1:]}", en=f"Step {k[1:]}", text=parts[k])
            for k in steps
        ),
    )
    return int(
        conn.execute(
            insert(version).returning(version.c.id),
            {
                "item_id": row["id"], "number": 1, "data": {"answer": answer}, "author_kind": "panel",
                "author": str(by), "content": content, "guidance": "", "diff": "", "created_at": now(),
            },
        ).scalar_one()
    )  # fmt: skip


def _belongs(conn: Connection, item_id: int, version_id: int) -> bool:
    owner = conn.execute(select(version.c.item_id).where(version.c.id == version_id)).scalar()
    return bool(owner == item_id)


def _must_be_right(conn: Connection, row: RowMapping, version_id: int | None) -> None:
    key = row["data"].get("answer")
    if key is None:
        return
    data = conn.execute(select(version.c.data).where(version.c.id == version_id)).scalar()
    if (data or {}).get("answer") != key:
        raise InputError(
            "a version with a wrong answer can't be accepted",
            path="panel", hint="amend the answer and its reasoning, or reject the item",
        )  # fmt: skip


def send(store: Store, item_id: int, *, by: int, reason: str) -> None:
    """The coordinator puts an item before the panel by hand; its open slots and jobs end."""
    with store.write() as conn:
        row = rounds.locked(conn, item_id)
        if row["is_gold"]:
            raise ConflictError("a gold item has its answer already")
        if row["status"] in (*FINAL, "panel") or row["version_id"] is None:
            raise ConflictError(f"an item that is {row['status']} can't go to the panel")
        opening.study_row(conn, row["study_id"])
        changed(conn, item, item_id, row["version"], {"status": "panel"})
        at = now()
        conn.execute(
            update(assignment)
            .where(assignment.c.item_id == item_id, assignment.c.state.in_(("free", "held")))
            .values(state="void", user_id=None, lease_until=None)
        )
        conn.execute(
            update(job)
            .where(job.c.item_id == item_id, job.c.state == "queued")
            .values(state="cancelled", ended_at=at)
        )
        record(
            conn, "item.to_panel", "item", item_id, actor=by, study_id=row["study_id"], note=reason,
            before={"status": row["status"]}, after={"status": "panel"},
        )  # fmt: skip
