"""The respondent's side: an answer is saved as it is given, comes back with the same link, and counts when submitted.

A draft belongs to its link, not to a browser: a closed tab or another telephone goes on where it was. Submitting
twice is one answer, and it may be changed until the survey is closed. Saving is by field, so two tabs that answer
different questions lose nothing; where they answer the same one differently, the later learns of it (`ClashError`).

What the event log says of an answer is that one came in that day, with a salted digest of it: no actor, no time of
day, no content.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from wardround.errors import ConflictError, UsageError
from wardround.records import Record, encode
from wardround.store import base, events
from wardround.store.database import Store
from wardround.survey import tables as t
from wardround.survey.answers import (
    NOTHING,
    Added,
    Answer,
    Progress,
    Verdict,
    checked,
    clean,
    decoded,
    progress,
    stored,
    words_of,
)
from wardround.survey.design import LONGEST, SurveyTask, asked
from wardround.survey.links import Seat, admit
from wardround.survey.surveys import Survey, load, shown

DAY = 86_400_000


class ClashError(ConflictError):
    """Another window has answered the same questions otherwise meanwhile. `fields` names them."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(
            "another window has answered the same question otherwise",
            hint="check it and save again",
        )
        self.fields = tuple(fields)


class Patch(Record, frozen=True, kw_only=True):
    """What one save brings; what is not in it stays as it is. A value of None, or "", takes the answer back."""

    profile: dict[str, str] = {}
    ratings: dict[str, dict[str, int | None]] = {}
    verdicts: dict[str, Verdict | None] = {}
    added: tuple[Added, ...] | None = None
    remark: str | None = None


class Form(Record, frozen=True, kw_only=True):
    """What a respondent sees. `version` 0: nothing was saved yet."""

    seat: Seat
    tasks: tuple[SurveyTask, ...]
    answer: Answer
    submitted: Answer | None
    version: int

    @property
    def progress(self) -> Progress:
        """How far the draft is."""
        return progress(self.answer, self.tasks, self.seat.survey.stage)

    @property
    def unsent(self) -> bool:
        """Whether the draft says something else than what was submitted."""
        return self.submitted is None or self.submitted != self.answer


def merged(answer: Answer, patch: Patch) -> Answer:
    """`answer` with what the patch brings."""
    ratings = {k: dict(v) for k, v in answer.ratings.items()}
    for key, given in patch.ratings.items():
        mine = ratings.setdefault(key, {})
        for dimension, value in given.items():
            if value is None:
                mine.pop(dimension, None)
            else:
                mine[dimension] = value
    verdicts: dict[str, Verdict] = dict(answer.verdicts)
    for key, verdict in patch.verdicts.items():
        if verdict is None:
            verdicts.pop(key, None)
        else:
            verdicts[key] = verdict
    return Answer(
        profile={k: v for k, v in (answer.profile | patch.profile).items() if v},
        ratings={k: v for k, v in ratings.items() if v}, verdicts=verdicts,
        added=answer.added if patch.added is None else patch.added,
        remark=answer.remark if patch.remark is None else patch.remark,
    )  # fmt: skip


def clashes(answer: Answer, patch: Patch) -> list[str]:
    """Questions that the patch answers otherwise than they were answered."""
    found = [
        f"profile.{k}" for k, v in patch.profile.items() if answer.profile.get(k) and answer.profile[k] != v
    ]  # fmt: skip
    for key, given in patch.ratings.items():
        before = answer.ratings.get(key, {})
        found += [f"{key}.{d}" for d, v in given.items() if d in before and before[d] != v]
    for key, verdict in patch.verdicts.items():
        if key in answer.verdicts and answer.verdicts[key] != verdict:
            found.append(f"{key}.verdict")
    if patch.added is not None and answer.added and patch.added != answer.added:
        found.append("added")
    if patch.remark is not None and answer.remark and patch.remark != answer.remark:
        found.append("remark")
    return found


def look(store: Store, token: str) -> Form:
    """The form as its holder left it. `RefusedError` for a link that is none."""
    seat = admit(store, token)
    with store.read() as conn:
        return _form(conn, seat)


def _form(conn: Connection, seat: Seat) -> Form:
    row = _row(conn, seat, lock=False) if seat.holder else None
    return _form_of(seat, _tasks(conn, seat), row)


def _tasks(conn: Connection, seat: Seat) -> tuple[SurveyTask, ...]:
    return tuple(asked(shown(conn, seat.survey.id), seat.survey.config, seat.holder))


def _form_of(seat: Seat, tasks: tuple[SurveyTask, ...], row: RowMapping | None) -> Form:
    if row is None:
        return Form(seat=seat, tasks=tasks, answer=NOTHING, submitted=None, version=0)
    done = None if row["answer"] is None else decoded(row["answer"])
    return Form(
        seat=seat, tasks=tasks, answer=decoded(row["draft"]), submitted=done, version=row["version"]
    )  # fmt: skip


def _row(conn: Connection, seat: Seat, *, lock: bool) -> RowMapping | None:
    chosen = select(t.response).where(
        t.response.c.survey_id == seat.survey.id, t.response.c.holder == seat.holder
    )
    return conn.execute(chosen.with_for_update() if lock else chosen).mappings().first()


def save(store: Store, token: str, patch: Patch, version: int | None = None) -> Form:
    """Keep what was given. With a `version` that is no longer the last, a question that has been answered otherwise
    meanwhile raises `ClashError` and nothing is kept; without, the later answer stands."""
    seat = admit(store, token)
    with store.write() as conn:
        survey, row = _mine(conn, seat)
        tasks = _tasks(conn, seat)
        before = decoded(row["draft"])
        patch = _tidy(patch)
        if version is not None and version != row["version"]:
            fields = clashes(before, patch)
            if fields:
                raise ClashError(fields)
        after = merged(before, patch)
        _allowed(after, survey, tasks, drafting=True)
        if after != before:
            values = {"draft": stored(after), "version": row["version"] + 1}
            conn.execute(update(t.response).where(t.response.c.id == row["id"]).values(values))
        return _form_of(seat, tasks, _row(conn, seat, lock=False))


def _tidy(patch: Patch) -> Patch:
    """The patch with its texts as they may be kept; an added task of which nothing is written is none."""
    verdicts = {
        k: v and Verdict(choice=v.choice, words=clean(v.words, LONGEST["words"]))
        for k, v in patch.verdicts.items()
    }
    added = patch.added
    if added is not None:
        cleaned = [
            Added(slot=a.slot, **{k: clean(getattr(a, k), LONGEST[k]) for k in ("name", "example", "why")})
            for a in added
        ]  # fmt: skip
        added = tuple(a for a in cleaned if a.name or a.example or a.why)
    remark = None if patch.remark is None else clean(patch.remark, LONGEST["remark"])
    return Patch(
        profile=patch.profile, ratings=patch.ratings, verdicts=verdicts, added=added, remark=remark
    )  # fmt: skip


def _allowed(
    answer: Answer, survey: Survey, tasks: Sequence[SurveyTask], *, drafting: bool = False
) -> Answer:
    """The cleaned answer; `UsageError` naming what is not allowed. A draft's own tasks may lack a name yet."""
    if drafting:
        named = tuple(msgspec.structs.replace(a, name=a.name or "?") for a in answer.added)
        checked_as = msgspec.structs.replace(answer, added=named)
    else:
        checked_as = answer
    cleaned, problems = checked(checked_as, survey.stage, tasks, survey.config)
    if problems:
        raise UsageError("; ".join(words_of(p, tasks)[1] for p in problems))
    return cleaned


def _mine(conn: Connection, seat: Seat) -> tuple[Survey, RowMapping]:
    """The survey, open, and the respondent's own row in it, locked; made where there was none."""
    survey = load(conn, seat.survey.id)
    if survey.status != "open":
        raise ConflictError("this survey is not open", hint="nothing was saved")
    if not seat.holder:
        raise UsageError("a shared link first needs a token of its own")
    row = _row(conn, seat, lock=True)
    if row is None:
        new = {
            "survey_id": survey.id, "code": secrets.token_hex(6), "holder": seat.holder, "source": "web",
            "draft": stored(NOTHING), "salt": secrets.token_hex(16), "started_at": base.now(),
        }  # fmt: skip
        try:
            with conn.begin_nested():
                conn.execute(insert(t.response).values(new))
        except IntegrityError:
            pass  # another window was faster
        row = _row(conn, seat, lock=True)
        assert row is not None
    return survey, row


def submit(store: Store, token: str) -> Form:
    """Hand the draft in. Again without a change: nothing happens. `UsageError` when it says nothing at all."""
    seat = admit(store, token)
    with store.write() as conn:
        survey, row = _mine(conn, seat)
        tasks = _tasks(conn, seat)
        answer = _allowed(decoded(row["draft"]), survey, tasks)
        if answer.empty:
            raise UsageError("nothing is answered yet", hint="answer at least one question")
        before = None if row["answer"] is None else decoded(row["answer"])
        if before != answer:
            now = base.now()
            values: dict[str, Any] = {
                "answer": stored(answer), "draft": stored(answer), "version": row["version"] + 1,
            }  # fmt: skip
            if before is None:
                values |= {"submitted_at": now, "seconds": (now - row["started_at"]) // 1000}
            conn.execute(update(t.response).where(t.response.c.id == row["id"]).values(values))
            keep_additions(conn, survey.id, row["id"], answer.added)
            tell(conn, survey.id, row["salt"], before, answer)
        return _form_of(seat, tasks, _row(conn, seat, lock=False))


def digest(salt: str, answer: Answer) -> str:
    """What the event log holds of an answer."""
    return hashlib.sha256(salt.encode() + encode(answer)).hexdigest()


def tell(conn: Connection, survey_id: int, salt: str, before: Answer | None, after: Answer) -> None:
    """The event of an answer: the day, and salted digests of what it was and is."""
    verb = "answer.submitted" if before is None else "answer.changed"
    events.record(
        conn, verb, "survey", survey_id, actor=None, at=base.now() // DAY * DAY,
        before=None if before is None else {"digest": digest(salt, before)},
        after={"digest": digest(salt, after)},
    )  # fmt: skip


def keep_additions(
    conn: Connection, survey_id: int, response_id: int, added: Sequence[Added]
) -> None:
    """The respondent's own tasks as rows for the coordinator. One that was changed waits for a decision again."""
    a = t.addition
    rows = conn.execute(select(a).where(a.c.response_id == response_id)).mappings()
    there = {r["slot"]: r for r in rows}
    for one in added:
        words = {"name": one.name, "example": one.example, "why": one.why}
        old = there.pop(one.slot, None)
        if old is None:
            row = {
                "survey_id": survey_id,
                "response_id": response_id,
                "slot": one.slot,
                "state": "open",
            }
            conn.execute(insert(a).values(**row, **words))
        elif old["state"] == "withdrawn" or any(old[k] != v for k, v in words.items()):
            _reset(conn, old, {**words, "state": "open"})
    for old in there.values():
        if old["state"] != "withdrawn":
            _reset(conn, old, {"state": "withdrawn"})


def _reset(conn: Connection, old: RowMapping, values: dict[str, Any]) -> None:
    """A respondent's change to a task of their own; a decision on it falls, and the log says so."""
    a = t.addition
    fresh = {**values, "task_id": None, "reason": "", "version": old["version"] + 1}
    conn.execute(update(a).where(a.c.id == old["id"]).values(fresh))
    if old["state"] in ("merged", "rejected"):
        events.record(
            conn, "addition.reopened", "survey_addition", old["id"], actor=None,
            at=base.now() // DAY * DAY, before={"state": old["state"], "task_id": old["task_id"]},
            after={"state": values["state"]},
        )  # fmt: skip
