"""A study as one moment has it, item by item, with people under pseudonyms: what exports are written from.

Reviewers are r1, r2 … in the order of their accounts, panel members who review nothing p1, p2 …; their names only where
asked for. Reviews that were taken back are left out here (the event log has them).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, func, select

from wardround.records import Record
from wardround.review import opening
from wardround.review.study import Part, StudyConfig
from wardround.review.tables import item, member, result, review, version
from wardround.store.people import event, user

CHUNK = 500


class Version(Record, frozen=True, kw_only=True):
    """One version: `author` is a model's name or a pseudonym."""

    id: int
    number: int
    author_kind: str
    author: str
    content: tuple[Part, ...]
    data: dict[str, Any]
    guidance: str
    diff: str
    at: str


class Review(Record, frozen=True, kw_only=True):
    """One review that counts."""

    reviewer: str
    round: int
    version: int
    scores: dict[str, Any]
    comment: str
    spans: tuple[dict[str, Any], ...]
    revision: dict[str, str] | None
    seconds: float
    at: str


class Result(Record, frozen=True, kw_only=True):
    """What came of a round. `reasons` are records with a `code`; the panel's have its words and who decided."""

    round: int
    outcome: str
    reasons: tuple[dict[str, Any], ...]
    next: str
    at: str


class Item(Record, frozen=True, kw_only=True):
    """An item with all that happened to it. `final`: the number of the version that stands, or is under review."""

    key: str
    specialty: str
    status: str
    round: int
    strikes: int
    gold: dict[str, Any] | None
    body: tuple[Part, ...]
    data: dict[str, Any]
    final: int | None
    versions: tuple[Version, ...]
    reviews: tuple[Review, ...]
    results: tuple[Result, ...]

    @property
    def standing(self) -> Version | None:
        """The version that stands, or is under review."""
        return next((v for v in self.versions if v.number == self.final), None)


class Snapshot:
    """A study read through one connection, so that all of it is of one moment."""

    def __init__(self, conn: Connection, slug: str, *, names: bool = False) -> None:
        self._conn = conn
        row = opening.study_row(conn, slug)
        self.id: int = row["id"]
        self.slug, self.status = slug, str(row["status"])
        self.config: StudyConfig = opening.read_config(row["config"])
        self.people = _pseudonyms(conn, self.id, names=names)

    def state(self) -> list[int]:
        """Changes whenever anything of the study did."""
        row = self._conn.execute(
            select(func.max(event.c.id), func.count()).where(event.c.study_id == self.id)
        ).one()
        return [int(row[0] or 0), int(row[1])]

    def who(self, user_id: Any) -> str:
        """The pseudonym of a user id; "" for none."""
        return self.people.get(int(user_id), "") if user_id not in (None, "") else ""

    def items(self) -> Iterator[Item]:
        """All items in the order they were opened, gold among them."""
        last = 0
        while True:
            rows = self._rows(
                select(item)
                .where(item.c.study_id == self.id, item.c.id > last)
                .order_by(item.c.id)
                .limit(CHUNK)
            )
            if not rows:
                return
            yield from self._whole(rows)
            last = rows[-1]["id"]

    def _rows(self, query: Any) -> list[RowMapping]:
        return list(self._conn.execute(query).mappings())

    def _whole(self, rows: Sequence[RowMapping]) -> Iterator[Item]:
        low, high = rows[0]["id"], rows[-1]["id"]

        def of(table: Any, *where: Any) -> defaultdict[int, list[RowMapping]]:
            found: defaultdict[int, list[RowMapping]] = defaultdict(list)
            query = (
                select(table)
                .join(item, item.c.id == table.c.item_id)
                .where(item.c.study_id == self.id, table.c.item_id.between(low, high), *where)
                .order_by(table.c.id)
            )
            for row in self._rows(query):
                found[row["item_id"]].append(row)
            return found

        versions = of(version)
        reviews = of(review, review.c.withdrawn_at.is_(None))
        results = of(result, result.c.withdrawn_at.is_(None))
        for row in rows:
            mine = versions[row["id"]]
            numbers = {v["id"]: v["number"] for v in mine}
            yield Item(
                key=row["key"], specialty=row["specialty"], status=row["status"], round=row["round"],
                strikes=row["strikes"], gold=row["gold"] if row["is_gold"] else None, data=row["data"],
                body=msgspec.convert(row["body"], tuple[Part, ...]),
                final=numbers.get(row["version_id"]),
                versions=tuple(self._version(v) for v in mine),
                reviews=tuple(self._review(r, numbers) for r in reviews[row["id"]]),
                results=tuple(self._result(r) for r in results[row["id"]]),
            )  # fmt: skip

    def _version(self, v: RowMapping) -> Version:
        person = v["author_kind"] in ("reviewer", "panel")
        return Version(
            id=v["id"], number=v["number"], author_kind=v["author_kind"], data=v["data"],
            author=self.who(v["author"]) if person else v["author"],
            content=msgspec.convert(v["content"], tuple[Part, ...]),
            guidance=v["guidance"], diff=v["diff"], at=moment(v["created_at"]),
        )  # fmt: skip

    def _review(self, r: RowMapping, numbers: dict[int, int]) -> Review:
        return Review(
            reviewer=self.who(r["user_id"]), round=r["round"], version=numbers[r["version_id"]],
            scores=r["scores"], comment=r["comment"], spans=tuple(r["spans"]),
            revision=r["revision"], seconds=r["seconds"], at=moment(r["at"]),
        )  # fmt: skip

    def _result(self, r: RowMapping) -> Result:
        reasons = tuple(
            reason | ({"by": self.who(reason["by"])} if "by" in reason else {})
            for reason in r["reasons"]
        )
        return Result(
            round=r["round"], outcome=r["outcome"], reasons=reasons, next=r["next"],
            at=moment(r["at"]),
        )  # fmt: skip


def moment(ms: int) -> str:
    """A time in milliseconds as ISO 8601, to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _pseudonyms(conn: Connection, study_id: int, *, names: bool) -> dict[int, str]:
    """User id → r1, r2 … for members, p1, p2 … for others who decided or wrote here."""
    members = set(
        conn.execute(select(member.c.user_id).where(member.c.study_id == study_id)).scalars()
    )
    actors = set(
        conn.execute(
            select(event.c.actor)
            .where(event.c.study_id == study_id, event.c.actor.is_not(None))
            .distinct()
        ).scalars()
    )
    reviewers = sorted(members)
    others = sorted(a for a in actors - members if a is not None)
    called = {u: f"r{n}" for n, u in enumerate(reviewers, 1)}
    called |= {u: f"p{n}" for n, u in enumerate(others, 1)}
    if names:
        rows = conn.execute(select(user.c.id, user.c.name).where(user.c.id.in_(list(called))))
        called |= {row.id: row.name for row in rows}
    return called
