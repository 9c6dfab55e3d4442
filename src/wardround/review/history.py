"""All that ever happened to one item: versions with their authors, each round's reviews and results, jobs, events.

Names of people are in here: it is for the coordinator, the auditor and the panel. `may_not_see` says who must wait:
a reviewer of the study, whatever else they are, until the item is out of the reviewers' hands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from wardround.errors import ConflictError
from wardround.records import Record
from wardround.review import opening
from wardround.review.study import FINAL, Part, StudyConfig
from wardround.review.tables import assignment, item, job, member, result, review, study, version
from wardround.store.people import event, user

EVENTS = 200
"""Events shown of one item, the newest."""


class Reviewed(Record, frozen=True, kw_only=True):
    """One review, withdrawn ones too."""

    id: int
    user: int
    name: str
    scores: dict[str, Any]
    comment: str
    spans: tuple[dict[str, Any], ...]
    revision: dict[str, str] | None
    seconds: float
    gold: bool
    at: int
    withdrawn: bool


class Outcome(Record, frozen=True, kw_only=True):
    """How a round ended. `reasons` as stored; `by` is the panel's decider."""

    round: int
    outcome: str
    reasons: tuple[dict[str, Any], ...]
    next: str
    at: int
    withdrawn: bool
    by: str = ""


class Version(Record, frozen=True, kw_only=True):
    """One version and the round that reviewed it (0: none did). `before` is the content it grew from; `right` is
    None where the item has no key."""

    id: int
    number: int
    round: int
    content: tuple[Part, ...]
    before: tuple[Part, ...]
    data: dict[str, Any]
    author_kind: str
    author: str
    guidance: str
    created_at: int
    right: bool | None
    reviews: tuple[Reviewed, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def marks(self) -> dict[str, list[tuple[int, int]]]:
        """Part → the stretches that reviewers marked, in order, not overlapping."""
        found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        spans = [s for r in self.reviews if not r.withdrawn for s in r.spans]
        for part, start, end in sorted((s["part"], s["start"], s["end"]) for s in spans):
            there = found[part]
            if there and start <= there[-1][1]:
                there[-1] = (there[-1][0], max(end, there[-1][1]))
            else:
                there.append((start, end))
        return dict(found)


class History(Record, frozen=True, kw_only=True):
    """An item with everything. `versions` oldest first; `decisions` are the panel's; `loose` are results of
    rounds that no version was written for; `slots` are open now."""

    row: dict[str, Any]
    slug: str
    study_status: str
    config: StudyConfig
    body: tuple[Part, ...]
    key: str | None
    versions: tuple[Version, ...]
    decisions: tuple[Outcome, ...]
    loose: tuple[Outcome, ...]
    slots: tuple[dict[str, Any], ...]
    jobs: tuple[dict[str, Any], ...]
    events: tuple[dict[str, Any], ...]

    def version(self, version_id: int | None) -> Version | None:
        """A version by its id."""
        return next((v for v in self.versions if v.id == version_id), None)


def history(conn: Connection, item_id: int) -> History:
    """Everything about an item. `ConflictError` where there is none."""
    found = conn.execute(
        select(item, study.c.slug, study.c.status.label("study_status"))
        .join(study, study.c.id == item.c.study_id)
        .where(item.c.id == item_id)
    ).mappings().first()  # fmt: skip
    if found is None:
        raise ConflictError(f"there is no item {item_id}")
    row = dict(found)
    config = opening.config_of(conn, row["study_id"])
    reviews = _all(conn, review, item_id)
    results = _all(conn, result, item_id)
    versions = _all(conn, version, item_id)
    slots = _slots(conn, item_id)
    jobs = _all(conn, job, item_id)
    events = _events(conn, item_id)
    names = _names(conn, _mentioned(reviews, results, versions, slots))
    rounds = _rounds(versions, reviews, events)
    outcomes = [_outcome(r, names) for r in results]
    return History(
        row=row, slug=row.pop("slug"), study_status=row.pop("study_status"), config=config,
        body=msgspec.convert(row["body"], tuple[Part, ...]), key=row["data"].get("answer"),
        versions=_versions(row, versions, reviews, outcomes, rounds, names),
        decisions=tuple(o for o in outcomes if o.outcome.startswith("panel_")),
        loose=tuple(
            o
            for o in outcomes
            if o.round not in rounds.values() and not o.outcome.startswith("panel_")
        ),
        slots=tuple(dict(s) | {"name": names.get(s["user_id"] or s["planned_for"], "")} for s in slots),
        jobs=tuple(dict(j) for j in jobs), events=events,
    )  # fmt: skip


def _all(conn: Connection, table: Any, item_id: int) -> list[RowMapping]:
    return list(
        conn.execute(
            select(table).where(table.c.item_id == item_id).order_by(table.c.id)
        ).mappings()
    )


def _slots(conn: Connection, item_id: int) -> list[RowMapping]:
    a = assignment.c
    return list(
        conn.execute(
            select(assignment)
            .where(a.item_id == item_id, a.state.in_(("free", "held")))
            .order_by(a.id)
        ).mappings()
    )


def _events(conn: Connection, item_id: int) -> tuple[dict[str, Any], ...]:
    rows = conn.execute(
        select(event, user.c.display.label("name"))
        .outerjoin(user, user.c.id == event.c.actor)
        .where(event.c.entity == "item", event.c.entity_id == str(item_id))
        .order_by(event.c.id.desc())
        .limit(EVENTS)
    ).mappings()
    return tuple(dict(r) for r in rows)


def _mentioned(
    reviews: list[RowMapping],
    results: list[RowMapping],
    versions: list[RowMapping],
    slots: list[RowMapping],
) -> set[int]:
    found = {r["user_id"] for r in reviews}
    found |= {x["by"] for r in results for x in r["reasons"] if isinstance(x.get("by"), int)}
    found |= {
        int(v["author"]) for v in versions if v["author_kind"] != "model" and v["author"].isdigit()
    }
    return found | {s[k] for s in slots for k in ("user_id", "planned_for") if s[k] is not None}


def _names(conn: Connection, users: Iterable[int]) -> dict[int, str]:
    rows = conn.execute(select(user.c.id, user.c.display).where(user.c.id.in_(sorted(users))))
    return {int(r[0]): str(r[1]) for r in rows}


def _rounds(
    versions: list[RowMapping], reviews: list[RowMapping], events: Iterable[Mapping[str, Any]]
) -> dict[int, int]:
    """Version id → the round that was opened for it: as told when it was added, else as its reviews say."""
    found = {v["id"]: 1 for v in versions if v["number"] == 1}
    found |= {r["version_id"]: r["round"] for r in reviews}
    for e in events:
        after = e["after"] or {}
        if e["verb"] == "version.added" and after.get("version_id") is not None:
            found[after["version_id"]] = after["round"]
    return found


def _outcome(row: RowMapping, names: Mapping[int, str]) -> Outcome:
    by = next((x["by"] for x in row["reasons"] if isinstance(x.get("by"), int)), None)
    return Outcome(
        round=row["round"], outcome=row["outcome"], reasons=tuple(row["reasons"]), next=row["next"],
        at=row["at"], withdrawn=row["withdrawn_at"] is not None, by=names.get(by, "") if by else "",
    )  # fmt: skip


def _versions(
    row: Mapping[str, Any],
    versions: list[RowMapping],
    reviews: list[RowMapping],
    outcomes: list[Outcome],
    rounds: Mapping[int, int],
    names: Mapping[int, str],
) -> tuple[Version, ...]:
    key = row["data"].get("answer")
    before: tuple[Part, ...] = ()
    found = []
    for v in versions:
        content = msgspec.convert(v["content"], tuple[Part, ...])
        number = rounds.get(v["id"], 0)
        person = v["author_kind"] != "model" and v["author"].isdigit()
        found.append(
            Version(
                id=v["id"], number=v["number"], round=number, content=content, before=before,
                data=v["data"], author_kind=v["author_kind"], guidance=v["guidance"],
                author=names.get(int(v["author"]), "") if person else v["author"],
                created_at=v["created_at"],
                right=None if key is None else (v["data"] or {}).get("answer") == key,
                reviews=tuple(_reviewed(r, names) for r in reviews if r["version_id"] == v["id"]),
                outcomes=tuple(
                    o for o in outcomes if o.round == number and not o.outcome.startswith("panel_")
                ),
            )
        )  # fmt: skip
        before = content
    return tuple(found)


def _reviewed(r: RowMapping, names: Mapping[int, str]) -> Reviewed:
    return Reviewed(
        id=r["id"], user=r["user_id"], name=names.get(r["user_id"], ""), scores=r["scores"],
        comment=r["comment"], spans=tuple(r["spans"]), revision=r["revision"], seconds=r["seconds"],
        gold=r["gold"], at=r["at"], withdrawn=r["withdrawn_at"] is not None,
    )  # fmt: skip


def may_not_see(conn: Connection, row: Mapping[str, Any], study_status: str, user_id: int) -> bool:
    """Whether this user reviews in the study and the item may still come to them: others' scores would break the
    blinding. Once it is before the panel or settled, or the study closed, there is nothing left to blind."""
    if study_status != "open" or row["status"] in ("panel", *FINAL):
        return False
    return (
        conn.execute(
            select(member.c.user_id).where(
                member.c.study_id == row["study_id"], member.c.user_id == user_id, member.c.active
            )
        ).first()
        is not None
    )
