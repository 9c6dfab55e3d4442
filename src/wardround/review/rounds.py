"""What follows when a round closes: acceptance, another version and another round, or the panel.

A round closes with its last review. Under a consensus rule a failed round is a strike; a revision handed in with the
scores becomes the next version (the lowest scorer's, where there are several), else a revision is asked for or the
model is given the reviewers' comments, as the study says; at the last strike the panel gets it. Without a rule the
item is done. Everything that was written stays: versions, scores, comments, guidance, results.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, insert, select, update

from wardround.errors import ConflictError
from wardround.review import opening
from wardround.review.consensus import WRONG_ANSWER, Reason, Verdict, decide
from wardround.review.planning import plan
from wardround.review.study import Part, StudyConfig
from wardround.review.tables import assignment, item, job, result, review, version
from wardround.store.base import now
from wardround.store.database import meanwhile
from wardround.store.events import event_row
from wardround.store.people import event
from wardround.store.steps import Ask, Steps, alone
from wardround.store.together import Listed, Together

_R = review.c


def counting(item_id: Any, round_: Any) -> tuple[ColumnElement[bool], ...]:
    """Which reviews of a round count."""
    return _R.item_id == item_id, _R.round == round_, _R.withdrawn_at.is_(None), ~_R.gold


_COUNTING = select(review).where(*counting(bindparam("item"), bindparam("round"))).order_by(_R.id)
ITEM = tuple(c for c in item.c if c.name != "body")
"""An item's columns but the longest, which no round needs."""
_CLOSING = Listed(
    select(
        *_R,
        select(version.c.data).where(version.c.id == bindparam("shown")).scalar_subquery().label("data"),
    ).where(*counting(bindparam("item"), bindparam("of_round")))
)  # fmt: skip
"""The reviews of a round that count, with the data of the version that is under review."""
_LOCKED = select(*ITEM).where(item.c.id == bindparam("item")).with_for_update()


def close(
    conn: Connection, config: StudyConfig, row: Mapping[Any, Any], *, by: int | None
) -> Steps[str]:
    """Close the item's round, all of whose reviews are in; returns the item's new state.

    `row`: the item, locked in this transaction.
    """
    if not config.consensus:
        return (yield from _settle(row, "done", by=by))
    which = {"item": row["id"], "of_round": row["round"], "shown": row["version_id"]}
    reviews: list[dict[str, Any]] = yield Ask(_CLOSING, which)
    reviews.sort(key=lambda r: r["id"])
    fields = [f.id for f in config.form if f.kind == "scale"]
    right = _gives_key(row, reviews[0]["data"])
    verdict = decide([r["scores"] for r in reviews], fields, config.rule, right=right)
    if verdict.accepted:
        return (yield from _settle(row, "accepted", by=by))
    return (yield from fail(conn, config, row, verdict, reviews, by=by))


def active_reviews(conn: Connection, item_id: int, round_: int) -> Sequence[RowMapping]:
    """The reviews of a round that count, in the order they came."""
    return conn.execute(_COUNTING, {"item": item_id, "round": round_}).mappings().all()


def is_right(conn: Connection, row: Mapping[Any, Any]) -> bool:
    """Whether the version under review gives the key; True where the item has none."""
    given = conn.execute(select(version.c.data).where(version.c.id == row["version_id"])).scalar()
    return _gives_key(row, given)


def _gives_key(row: Mapping[Any, Any], given: Mapping[str, Any] | None) -> bool:
    key = row["data"].get("answer")
    return key is None or bool((given or {}).get("answer") == key)


def _settle(row: Mapping[Any, Any], state: str, *, by: int | None) -> Steps[str]:
    ended = _result(row, state, [], "")
    yield from _moving(row, {"status": state}, by=by, verb=f"item.{state}", ended=ended)
    return state


def fail(
    conn: Connection,
    config: StudyConfig,
    row: Mapping[Any, Any],
    verdict: Verdict,
    reviews: Sequence[Mapping[str, Any]],
    *,
    by: int | None,
) -> Steps[str]:
    """A strike, and what comes of it; returns the item's new state."""
    strikes = row["strikes"] + 1
    struck: dict[str, Any] = {"strikes": strikes}
    reasons = msgspec.to_builtins(verdict.reasons)
    if strikes >= config.strikes:
        ended, values = _result(row, "failed", reasons, "panel"), {"status": "panel"}
        yield from _moving(row, values | struck, by=by, verb="item.to_panel", ended=ended)
        return "panel"
    offered = [r for r in reviews if r["revision"]]
    if offered and config.on_fail != "regenerate":
        chosen = min(offered, key=_mean_score)
        ended = _result(row, "failed", reasons, "revision")
        row = yield from _moving(row, struck, by=by, verb="item.struck", ended=ended)
        return revised(conn, config, row, chosen["revision"], author=chosen["user_id"])
    if config.on_fail == "revise":
        lowest = min(reviews, key=_mean_score) if reviews else None
        return _ask_revision(conn, row, strikes, reasons, lowest, by=by)
    ended, values = _result(row, "failed", reasons, "regeneration"), {"status": "drafting"}
    yield from _moving(row, values | struck, by=by, verb="item.to_model", ended=ended)
    guidance = guidance_of(config, verdict, reviews)
    conn.execute(
        insert(job),
        opening.queued(row["study_id"], row["id"], row["round"] + 1, guidance, now()),
    )
    return "drafting"


def unread(
    conn: Connection, config: StudyConfig, row: Mapping[Any, Any], *, guidance: str, detail: str
) -> str:
    """A strike because the model's replies can't be read; it is asked again with the same guidance.

    The result belongs to the round that the draft was to open.
    """
    strikes = row["strikes"] + 1
    last = strikes >= config.strikes
    reasons = [{"code": "unreadable", "field": "", "text": detail}]
    ended = _result(row, "failed", reasons, "panel" if last else "regeneration", ahead=1)
    state = "panel" if last else "drafting"
    verb = "item.to_panel" if last else "item.to_model"
    _move(conn, row, {"status": state, "strikes": strikes}, by=None, verb=verb, ended=ended)
    if not last:
        conn.execute(
            insert(job),
            opening.queued(row["study_id"], row["id"], row["round"] + 1, guidance, now()),
        )
    return state


def _mean_score(row: Mapping[Any, Any]) -> float:
    given = [v for v in row["scores"].values() if isinstance(v, int | float)]
    return fmean(given) if given else 0.0


def _ask_revision(
    conn: Connection,
    row: Mapping[Any, Any],
    strikes: int,
    reasons: list[Any],
    lowest: Mapping[str, Any] | None,
    *,
    by: int | None,
) -> str:
    """`lowest`: whose review is to lead to the revision; without one anybody may take it."""
    ended, values = _result(row, "failed", reasons, "revision"), {"status": "revising"}
    _move(conn, row, values | {"strikes": strikes}, by=by, verb="item.to_revision", ended=ended)
    conn.execute(
        insert(assignment),
        opening.slot(
            row["study_id"], row["id"], row["round"], row["specialty"], 0.0,
            task="revise", planned_for=lowest["user_id"] if lowest else None,
        ),
    )  # fmt: skip
    return "revising"


def guidance_of(config: StudyConfig, verdict: Verdict, reviews: Sequence[Mapping[str, Any]]) -> str:
    """The reviewers' guidance for the model: which dimensions failed, the comments, the marked stretches.

    Reviewers are numbered, never named; the key is not told.
    """
    names = {f.id: f.zh for f in config.form}
    lines = []
    for reason in verdict.reasons:
        if reason.code == "wrong_answer":
            lines.append(WRONG_ANSWER)
        elif reason.code in ("median", "low"):
            lines.append(f"“{names.get(reason.field, reason.field)}”评分偏低（{reason.value:g}）。")
        elif reason.code == "spread":
            lines.append(f"对“{names.get(reason.field, reason.field)}”评审意见不一。")
    for number, r in enumerate(reviews, 1):
        if r["comment"].strip():
            lines.append(f"评审{number}：{r['comment'].strip()}")
        for span in r["spans"]:
            if span.get("text"):
                note = f"：{span['note']}" if span.get("note") else ""
                lines.append(f"评审{number}标出“{span['text']}”{note}")
    return "\n".join(dict.fromkeys(lines))


def revised(
    conn: Connection,
    config: StudyConfig,
    row: Mapping[Any, Any],
    revision: Mapping[str, str],
    *,
    author: int,
    kind: str = "reviewer",
) -> str:
    """A person's revision becomes the next version and opens the next round; returns the item's state.

    A revised part `answer` is the version's answer from then on.
    """
    old = conn.execute(select(version).where(version.c.id == row["version_id"])).mappings().one()
    content = [
        msgspec.to_builtins(p) | ({"text": revision[p["id"]]} if p["id"] in revision else {})
        for p in old["content"]
    ]
    data = dict(old["data"])
    if "answer" in data and revision.get("answer", "").strip():
        data["answer"] = revision["answer"].strip()
    return add_version(
        conn, config, row, msgspec.convert(content, tuple[Part, ...]), data=data,
        author_kind=kind, author=str(author), by=author,
    )  # fmt: skip


def add_version(
    conn: Connection,
    config: StudyConfig,
    row: Mapping[Any, Any],
    content: tuple[Part, ...],
    *,
    data: Mapping[str, Any],
    author_kind: str,
    author: str,
    guidance: str = "",
    by: int | None,
) -> str:
    """Write the next version and open the round that reviews it; returns the item's state.

    A version with a wrong answer isn't shown to anyone: it is a strike at once.
    """
    last = (
        conn.execute(
            select(version).where(version.c.item_id == row["id"]).order_by(version.c.number.desc())
        )
        .mappings()
        .first()
    )
    number = 1 if last is None else last["number"] + 1
    values = {
        "item_id": row["id"], "number": number, "content": content, "data": dict(data), "guidance": guidance,
        "author_kind": author_kind, "author": author, "created_at": now(),
        "diff": "" if last is None else difference(last["content"], msgspec.to_builtins(content)),
    }  # fmt: skip
    version_id = conn.execute(insert(version).returning(version.c.id), values).scalar_one()
    row = _move(
        conn, row, {"status": "open", "round": row["round"] + 1, "version_id": version_id},
        by=by, verb="version.added",
    )  # fmt: skip
    if not is_right(conn, row):
        wrong = Verdict(accepted=False, reasons=(Reason(code="wrong_answer"),))
        return alone(conn, fail(conn, config, row, wrong, [], by=by))
    rng = random.Random(f"{config.seed}:{row['key']}:{row['round']}")
    conn.execute(
        insert(assignment),
        [
            opening.slot(row["study_id"], row["id"], row["round"], row["specialty"], rng.random())
            for _ in range(config.raters)
        ],
    )
    plan(conn, row["study_id"], seed=config.seed, items=[row["id"]])
    return "open"


def difference(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> str:
    """A unified diff of two contents, one line per line of text, each part under its id."""

    def lines(parts: Sequence[Mapping[str, Any]]) -> list[str]:
        return [f"[{p['id']}] {line}" for p in parts for line in p.get("text", "").splitlines()]

    return "\n".join(difflib.unified_diff(lines(before), lines(after), lineterm="", n=1))


def _result(
    row: Mapping[Any, Any], outcome: str, reasons: list[Any], following: str, *, ahead: int = 0
) -> dict[str, Any]:
    """How a round ended, as a row."""
    return {
        "study_id": row["study_id"], "item_id": row["id"], "round": row["round"] + ahead, "outcome": outcome,
        "reasons": reasons, "next": following, "at": now(),
    }  # fmt: skip


_KEPT = ("status", "round", "strikes", "version_id")
_MOVE = (
    update(item)
    .where(item.c.id == bindparam("which"), item.c.version == bindparam("was"))
    .values({k: bindparam(f"to_{k}") for k in _KEPT} | {"version": item.c.version + 1})
    .returning(*ITEM)
)
_MOVED = Together(_MOVE, event=event)
_ENDED = Together(_MOVE, event=event, result=result)


def _move(
    conn: Connection, row: Mapping[Any, Any], values: dict[str, Any], **told: Any
) -> Mapping[Any, Any]:
    return alone(conn, _moving(row, values, **told))


def _moving(
    row: Mapping[Any, Any],
    values: dict[str, Any],
    *,
    by: int | None,
    verb: str,
    ended: dict[str, Any] | None = None,
) -> Steps[Mapping[Any, Any]]:
    """Change an item, tell of it, and how a round `ended` with it; returns the row as it stands now."""
    before = {k: row[k] for k in _KEPT}
    after = before | values
    told = event_row(
        verb, "item", row["id"], actor=by, study_id=row["study_id"], before=before, after=after
    )
    to = {f"to_{k}": v for k, v in after.items()} | {"which": row["id"], "was": row["version"]}
    rows = {"event": told} if ended is None else {"event": told, "result": ended}
    moved: Mapping[Any, Any] | None = yield Ask(_MOVED if ended is None else _ENDED, to, rows)
    if moved is None:
        raise meanwhile(item, row["id"])
    return moved


def locked(conn: Connection, item_id: int) -> RowMapping:
    """An item's row, held against other writers until the transaction ends."""
    row = conn.execute(_LOCKED, {"item": item_id}).mappings().first()
    if row is None:
        raise ConflictError(f"there is no item {item_id}")
    return row


def _begun() -> ConflictError:
    return ConflictError(
        "the next round has begun", hint="the panel or the coordinator can still change it"
    )


def reopen(conn: Connection, row: Mapping[Any, Any], round_: int, *, by: int) -> Mapping[Any, Any]:
    """Take back the closing of the item's round `round_`; `ConflictError` once anybody built on it.

    Possible while no version and no review came after it, the model hasn't been asked, and nobody else is at the revision.
    """
    last = (
        conn.execute(
            select(result)
            .where(result.c.item_id == row["id"], result.c.withdrawn_at.is_(None))
            .order_by(result.c.id.desc())
        )
        .mappings()
        .first()
    )
    if (
        last is None
        or not last["round"] == row["round"] == round_
        or last["outcome"] not in ("accepted", "failed", "done")
    ):
        raise _begun()
    if row["status"] == "drafting":
        gone = conn.execute(
            update(job)
            .where(job.c.item_id == row["id"], job.c.state == "queued", job.c.tries == 0)
            .values(state="cancelled", ended_at=now())
        )
        if gone.rowcount != 1:
            raise ConflictError("the model has been asked already", hint="wait for the next round")
    a = assignment.c
    asked = select(a.id, a.user_id).where(
        a.item_id == row["id"], a.task == "revise", a.state.in_(("free", "held"))
    )
    slots = conn.execute(asked.with_for_update()).all()
    if any(slot.user_id not in (None, by) for slot in slots):
        raise _begun()
    conn.execute(
        update(assignment)
        .where(a.id.in_([slot.id for slot in slots]))
        .values(state="void", user_id=None, lease_until=None)
    )
    conn.execute(update(result).where(result.c.id == last["id"]).values(withdrawn_at=now()))
    struck = 1 if last["outcome"] == "failed" else 0
    return _move(
        conn,
        row,
        {"status": "open", "strikes": row["strikes"] - struck},
        by=by,
        verb="round.reopened",
    )
