"""Handing in and taking back. All or nothing, and once: a review sent twice is one review; a review for a round that
closed meanwhile is refused, and what was written stays a draft."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BindParameter,
    Connection,
    RowMapping,
    Text,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from wardround.errors import ConflictError, InputError, RefusedError
from wardround.records import Record
from wardround.review import desk, opening, rounds
from wardround.review.drafts import place_of
from wardround.review.study import (
    Part,
    ReviewIn,
    StudyConfig,
    missing,
    problems,
    revision_problems,
)
from wardround.review.tables import assignment, draft, item, review, study, version
from wardround.store.base import Known, now
from wardround.store.database import Store
from wardround.store.events import event_row, record
from wardround.store.people import event
from wardround.store.steps import Ask, Steps, alone
from wardround.store.together import Together


class Submitted(Record, frozen=True, kw_only=True):
    """`state`: the item's new state when its round closed with this review, else None. `did`: the task, where a review was
    written. `holds`: whether the reviewer may hold another item of the study already."""

    review: int
    state: str | None
    did: str = ""
    holds: bool = True


ENDED = ("lease.expired", "lease.returned")
"""Events of an item that tell who held it, without having handed it in."""


class There(NamedTuple):
    """A slot, its item (held with it against other writers until the transaction ends) and its study, whose settings
    are the JSON as stored."""

    slot: Mapping[Any, Any]
    item: Mapping[Any, Any]
    study: Mapping[Any, Any]


# Statements of every hand-in, made once: building them costs more than running them. Few, since on PostgreSQL each is a
# journey to the server and back.
_A = assignment.c
_USER: BindParameter[int] = bindparam("user")
_SLOT: BindParameter[int] = bindparam("slot")
_SETTINGS = cast(study.c.config, Text).label("config")
_STUDY = tuple(_SETTINGS if c.name == "config" else c for c in study.c)
_OF = {"slot": tuple(_A), "item": rounds.ITEM, "study": _STUDY}
_NAMES = tuple(tuple(c.name for c in columns) for columns in _OF.values())
_THERE = Together(
    select(*(c.label(f"{of}_{c.name}") for of, columns in _OF.items() for c in columns))
    .select_from(assignment)
    .join(item, item.c.id == _A.item_id)
    .join(study, study.c.id == _A.study_id)
    .where(_A.id == _SLOT)
    .with_for_update(of=(assignment, item))
)
_CONTENT = select(version.c.content).where(version.c.id == bindparam("of"))
_OTHER = assignment.alias("other").c
_DONE = Together(
    update(assignment)
    .where(_A.id == _SLOT)
    .values(
        state="done", user_id=_USER, planned_for=_USER, done_at=bindparam("at"), lease_until=None
    )
    .returning(
        select(func.count()).select_from(review).where(*rounds.counting(bindparam("item"), bindparam("of_round")))
        .scalar_subquery().label("before"),
        exists().where(draft.c.user_id == _USER, draft.c.place == bindparam("place")).label("drafted"),
        exists().where(
            _OTHER.user_id == _USER, _OTHER.study_id == bindparam("study"), _OTHER.state == Known("held"), _OTHER.id != _SLOT
        ).label("holds"),
    ),
    review=review, event=event,
)  # fmt: skip
"""Also tells how many reviews of the round counted before this one, whether a draft is there, and whether the reviewer
holds another item."""
_FORGET = Together(
    delete(draft)
    .where(draft.c.user_id == _USER, draft.c.place == bindparam("place"))
    .returning(draft.c.version)
)


def submit(
    store: Store, user_id: int, assignment_id: int, version_id: int, given: ReviewIn
) -> Submitted:
    """Hand in a review of the version that was shown. See `submit_at`."""
    with store.write() as conn:
        return alone(conn, hand_in(conn, user_id, assignment_id, version_id, given))


def hand_in(
    conn: Connection, user_id: int, assignment_id: int, version_id: int, given: ReviewIn
) -> Steps[Submitted]:
    """`submit` within a transaction that is open already."""
    found = yield from there(assignment_id, user_id)
    if found is None:
        raise gone()
    return (yield from submit_at(conn, user_id, found, version_id, given))


def there(assignment_id: int, user_id: int) -> Steps[There | None]:
    """A slot with what belongs to it, for this user to hand in at."""
    # Of one item one after the other: each sees whether its review makes the round full.
    row = yield Ask(
        _THERE, {"slot": assignment_id}, apart=(("user", user_id),), apart_by=("item_id",)
    )
    if row is None:
        return None
    values = iter(row.values())
    return There(*({name: next(values) for name in names} for names in _NAMES))


def gone() -> ConflictError:
    """What to raise where there is no such slot."""
    return ConflictError("this item is gone", hint="go on with the next")


def submit_at(
    conn: Connection,
    user_id: int,
    found: There,
    version_id: int,
    given: ReviewIn,
    *,
    counted: bool = True,
) -> Steps[Submitted]:
    """Write the review and what follows from it, all or nothing. `counted`: False where the caller hands what was `did` to
    `desk.tasks_in`, which counts it with the next lease.

    `ConflictError` when the round closed or another version is under review; `InputError` naming the fields that
    are missing, or naming what can't be taken; `RefusedError` for somebody else's item.
    """
    slot, row, study = found
    if slot["state"] == "done" or slot["user_id"] != user_id or slot["task"] == "revise":
        # Those who go side by side have all handed in before any of them looks for leases that ran out, or for a free
        # slot: it may be one that another of them is at.
        yield None
    _check_holder(conn, slot, user_id)
    config = opening.read_config(study["config"])
    if slot["state"] == "done":
        return _again(conn, slot, given)
    gold = slot["task"] == "gold"
    status = {"review": "open", "revise": "revising"}.get(slot["task"])
    moved = not gold and (row["status"] != status or row["round"] != slot["round"])
    if study["status"] != "open" or moved or row["version_id"] != version_id:
        raise ConflictError(
            "this round is closed", hint="your text is kept as a draft; go on with the next"
        )
    parts: tuple[Part, ...] = ()
    if given.spans or given.revision:  # only they point into the text
        content = conn.execute(_CONTENT, {"of": version_id}).scalar_one()
        parts = msgspec.convert(content, tuple[Part, ...])
    if slot["task"] == "revise":
        _check(revision_problems(given, parts))
        return _hand_in_revision(conn, config, slot, row, user_id, given)
    _check(problems(config, given, parts), missing(config, given))
    done = yield from _write(slot, user_id, version_id, given, parts)
    full = not gold and done["before"] + 1 >= config.raters
    state = (yield from rounds.close(conn, config, row, by=user_id)) if full else None
    if not gold:
        desk.take_over(conn, slot, user_id)  # free, when it came late
    if counted:
        desk.count(conn, slot["study_id"], user_id, slot["task"])
    return Submitted(
        review=done["review_id"], state=state, did=slot["task"], holds=bool(done["holds"])
    )


def _check(wrong: list[str], left_out: Sequence[str] = ()) -> None:
    """`InputError` for what can't be taken, else for what isn't filled in: two things, told in different words."""
    if wrong:
        raise InputError(
            f"can't be taken: {'; '.join(wrong)}", path="review", hint="correct what is named"
        )
    if left_out:
        raise InputError(
            f"not complete: {', '.join(left_out)}", path="review", hint="fill in what is marked"
        )


def _check_holder(conn: Connection, slot: Mapping[Any, Any], user_id: int) -> None:
    """`RefusedError` unless this user holds the slot, or held it until a lease that ended and nobody has taken it up."""
    if slot["user_id"] == user_id:
        return
    if slot["state"] == "free" and slot["task"] != "gold":
        desk.member_row(conn, slot["study_id"], user_id)
        other, told = assignment.c, event.c
        ended = conn.execute(
            select(told.before).where(
                told.entity == "item", told.entity_id == str(slot["item_id"]), told.verb.in_(ENDED)
            )
        ).scalars()
        if any((before or {}).get("user") == user_id for before in ended) and not conn.execute(
            select(other.id).where(
                other.item_id == slot["item_id"], other.round == slot["round"],
                other.task == slot["task"], other.user_id == user_id,
            )
        ).first():  # fmt: skip
            return
    raise RefusedError(
        "your time for this item ran out and someone else has taken it",
        hint="your text is kept as a draft; go on with the next",
    )


def _again(conn: Connection, slot: Mapping[Any, Any], given: ReviewIn) -> Submitted:
    """The same review sent twice (a lost reply, a double click) is one review."""
    r = review.c
    there = (
        conn.execute(select(review).where(r.assignment_id == slot["id"], r.withdrawn_at.is_(None)))
        .mappings()
        .first()
    )
    same = there is not None and (there["scores"], there["comment"]) == (
        msgspec.to_builtins(given.scores), given.comment,
    )  # fmt: skip
    if there is None or not same:
        raise ConflictError(
            "this item was handed in already, with other scores",
            hint="undo it first to change them",
        )
    return Submitted(review=there["id"], state=None)


def _write(
    slot: Mapping[Any, Any],
    user_id: int,
    version_id: int,
    given: ReviewIn,
    parts: tuple[Part, ...],
) -> Steps[Mapping[Any, Any]]:
    """What `_DONE` tells, and the review's id."""
    texts = {p.id: p.text for p in parts}
    spans = [msgspec.to_builtins(s) | {"text": texts[s.part][s.start : s.end]} for s in given.spans]
    at = now()
    changed_parts = {
        k: v for k, v in (given.revision or {}).items() if v.strip() and v != texts.get(k)
    }
    item_id, round_, study_id = slot["item_id"], slot["round"], slot["study_id"]
    values = {
        "study_id": study_id, "item_id": item_id, "version_id": version_id,
        "assignment_id": slot["id"], "round": round_, "user_id": user_id,
        "scores": given.scores, "comment": given.comment, "spans": spans, "revision": changed_parts or None,
        "seconds": given.seconds, "gold": slot["task"] == "gold", "at": at,
    }  # fmt: skip
    told = event_row(
        "review.submitted", "item", item_id, actor=user_id, study_id=study_id, at=at,
        after={"assignment": slot["id"], "round": round_, "scores": given.scores, "comment": given.comment},
    )  # fmt: skip
    where = {"user": user_id, "place": place_of(item_id, round_)}
    which = {"slot": slot["id"], "at": at, "study": study_id, "item": item_id, "of_round": round_}
    done: Mapping[Any, Any] | None = yield Ask(
        _DONE, where | which, {"review": values, "event": told}
    )
    if done is None:
        raise gone()
    if done["drafted"]:
        yield Ask(_FORGET, where)
    return done


def _hand_in_revision(
    conn: Connection,
    config: StudyConfig,
    slot: Mapping[Any, Any],
    row: Mapping[Any, Any],
    user_id: int,
    given: ReviewIn,
) -> Submitted:
    if not given.revision or not any(v.strip() for v in given.revision.values()):
        raise InputError("nothing was changed", path="revision", hint="edit at least one step")
    conn.execute(
        update(assignment)
        .where(assignment.c.id == slot["id"])
        .values(state="done", user_id=user_id, done_at=now(), lease_until=None)
    )
    conn.execute(
        delete(draft).where(
            draft.c.user_id == user_id, draft.c.place == place_of(slot["item_id"], slot["round"])
        )
    )
    state = rounds.revised(conn, config, row, given.revision, author=user_id)
    return Submitted(review=0, state=state)


def undo(store: Store, study_id: int, user_id: int) -> desk.Task:
    """Take back the reviewer's last review: it becomes a draft on the desk again, the old row stays on file.

    `ConflictError` when there is none, when the round it closed has been built upon, or when the study is closed.
    """
    return store.done(lambda conn: _undo(conn, study_id, user_id))


def _undo(conn: Connection, study_id: int, user_id: int) -> desk.Task:
    if opening.study_row(conn, study_id)["status"] != "open":
        raise ConflictError("this study is closed", hint="the coordinator can open it again")
    r = review.c
    last = (
        conn.execute(
            select(review)
            .where(r.user_id == user_id, r.study_id == study_id, r.withdrawn_at.is_(None))
            .order_by(r.id.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )
    if last is None:
        raise ConflictError("there is nothing to take back")
    desk.member_row(conn, study_id, user_id)
    row = rounds.locked(conn, last["item_id"])
    closed = row["status"] != "open" or row["round"] != last["round"]
    if closed and not last["gold"]:
        rounds.reopen(conn, row, last["round"], by=user_id)
    return _take_back(conn, last, user_id)


def _take_back(conn: Connection, last: RowMapping, user_id: int) -> desk.Task:
    at = now()
    config = opening.config_of(conn, last["study_id"])
    r = review.c
    mine = update(review).where(r.id == last["id"], r.withdrawn_at.is_(None))
    if not conn.execute(mine.values(withdrawn_at=at)).rowcount:  # undone twice at one moment
        raise ConflictError("this review was taken back just now")
    conn.execute(
        update(assignment)
        .where(assignment.c.id == last["assignment_id"])
        .values(
            # before all that is held, and before what was taken back earlier
            state="held",
            done_at=None,
            claimed_at=-at,
            lease_until=at + config.lease_minutes * 60_000,
        )
    )
    body = {k: last[k] for k in ("scores", "comment", "spans", "revision", "seconds")}
    place = place_of(last["item_id"], last["round"])
    desk.count(conn, last["study_id"], user_id, "gold" if last["gold"] else "review", -1)
    conn.execute(delete(draft).where(draft.c.user_id == user_id, draft.c.place == place))
    conn.execute(
        insert(draft), {"user_id": user_id, "place": place, "body": body, "version": 1, "at": at}
    )
    record(
        conn, "review.withdrawn", "item", last["item_id"], actor=user_id, study_id=last["study_id"], at=at,
        before={
            "review": last["id"], "assignment": last["assignment_id"],
            "scores": last["scores"], "comment": last["comment"],
        },
    )  # fmt: skip
    return desk.task_at(conn, last["assignment_id"], last["study_id"], user_id)
