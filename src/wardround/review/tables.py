"""Tables of the review room. Rows of `review`, `version` and `round_result` are added and never rewritten
(a withdrawn review keeps its row, with the time it was withdrawn)."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)

from wardround.store.base import BigId, Json, key, metadata, moment

study = Table(
    "study",
    metadata,
    key(),
    Column("slug", String(80), nullable=False, unique=True),
    Column("config", Json, nullable=False),
    Column("status", String(20), nullable=False),  # open, closed
    Column("created_by", BigId, ForeignKey("user_account.id")),
    moment("created_at"),
    Column("version", Integer, nullable=False, default=1),
)

member = Table(
    "study_member",
    metadata,
    Column("study_id", BigId, ForeignKey("study.id"), primary_key=True),
    Column("user_id", BigId, ForeignKey("user_account.id"), primary_key=True),
    Column("specialties", Json, nullable=False),  # as of joining; empty: all
    Column("active", Boolean, nullable=False, default=True),
    Column("load", Integer, nullable=False, default=0),  # slots planned for or taken by this member
    Column("shown", Integer, nullable=False, default=0),  # items shown so far, gold among them
    # Slots handed in and not taken back: counted here, since counting them would read each one with every item.
    Column("reviewed", Integer, nullable=False, server_default="0"),
    Column("gold_reviewed", Integer, nullable=False, server_default="0"),
    moment("joined_at"),
)

item = Table(
    "item",
    metadata,
    key(),
    Column("study_id", BigId, ForeignKey("study.id"), nullable=False),
    Column("key", String(200), nullable=False),
    Column("specialty", String(60), nullable=False),
    Column("body", Json, nullable=False),  # list of Part
    Column("data", Json, nullable=False),  # what export needs: answer key, source row …
    Column("gold", Json),  # field → value
    Column("is_gold", Boolean, nullable=False, default=False),  # takes no part in consensus
    Column("status", String(20), nullable=False),
    Column("round", Integer, nullable=False, default=0),
    Column("strikes", Integer, nullable=False, default=0),
    Column("version_id", BigId),  # the version under review, or the final one
    Column("version", Integer, nullable=False, default=1),
    UniqueConstraint("study_id", "key"),
    Index("ix_item_study_id_status", "study_id", "status"),
    Index("ix_item_study_id_is_gold", "study_id", "is_gold"),
)

version = Table(
    "item_version",
    metadata,
    key(),
    Column("item_id", BigId, ForeignKey("item.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("content", Json, nullable=False),  # list of Part
    Column("data", Json, nullable=False),  # {"answer": "B"} …
    Column("author_kind", String(20), nullable=False),  # model, reviewer, panel, source
    Column("author", String(200), nullable=False, default=""),  # model name or user id
    Column("guidance", Text, nullable=False, default=""),
    Column("diff", Text, nullable=False, default=""),  # unified diff against the version before
    moment("created_at"),
    UniqueConstraint("item_id", "number"),
)


def _of_state(name: str, state: str, *columns: str) -> Index:
    where = text(f"state = '{state}'")
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


assignment = Table(
    "assignment",
    metadata,
    key(),
    Column("study_id", BigId, ForeignKey("study.id"), nullable=False),
    Column("item_id", BigId, ForeignKey("item.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("task", String(10), nullable=False),  # review, revise, gold
    Column("specialty", String(60), nullable=False),
    Column("state", String(10), nullable=False),  # free, held, done, void
    Column("planned_for", BigId),  # who is to get it; None: nobody is eligible yet
    Column("user_id", BigId),  # who has it, or did it
    Column("shuffle", Float, nullable=False),
    moment("lease_until", nullable=True),
    moment("claimed_at", nullable=True),
    moment("done_at", nullable=True),
    Index("ix_assignment_plan", "study_id", "planned_for", "state", "shuffle", "specialty"),
    # Of that state's rows alone, and for none but a statement that writes the state out (see FREE).
    _of_state("ix_assignment_pool", "free", "study_id", "shuffle", "specialty"),
    _of_state("ix_assignment_held", "held", "study_id", "lease_until"),
    Index("ix_assignment_user", "user_id", "study_id", "state", "task"),
    UniqueConstraint("item_id", "round", "task", "user_id", name="uq_assignment_once"),
)

FREE = assignment.c.state == literal_column("'free'")
HELD = assignment.c.state == literal_column("'held'")
"""Written out, not a parameter: then the index of that state's slots is used. Where another index serves better, state is
`Known`: for PostgreSQL, which takes every state for rare until it has counted, they look alike."""

review = Table(
    "review",
    metadata,
    key(),
    Column("study_id", BigId, ForeignKey("study.id"), nullable=False),
    Column("item_id", BigId, ForeignKey("item.id"), nullable=False),
    Column("version_id", BigId, ForeignKey("item_version.id"), nullable=False),
    Column("assignment_id", BigId, ForeignKey("assignment.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("user_id", BigId, ForeignKey("user_account.id"), nullable=False),
    Column("scores", Json, nullable=False),
    Column("comment", Text, nullable=False, default=""),
    Column("spans", Json, nullable=False),
    Column("revision", Json),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("gold", Boolean, nullable=False, default=False),
    moment("at"),
    moment("withdrawn_at", nullable=True),
    Index("ix_review_item_id_round", "item_id", "round"),
    Index("ix_review_study_id_id", "study_id", "id"),
    Index("ix_review_user_id_study_id", "user_id", "study_id"),
)

draft = Table(
    "draft",
    metadata,
    Column("user_id", BigId, ForeignKey("user_account.id"), primary_key=True),
    Column("place", String(120), primary_key=True),  # "review:<item>:<round>", "panel:<item>" …
    Column("body", Json, nullable=False),
    Column("version", Integer, nullable=False, default=1),
    moment("at"),
)

result = Table(
    "round_result",
    metadata,
    key(),
    Column("study_id", BigId, ForeignKey("study.id"), nullable=False, index=True),
    Column("item_id", BigId, ForeignKey("item.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column(
        "outcome", String(20), nullable=False
    ),  # accepted, failed, done, panel_accepted, panel_rejected
    Column("reasons", Json, nullable=False),
    Column("next", String(20), nullable=False, default=""),  # revision, regeneration, panel
    moment("at"),
    moment("withdrawn_at", nullable=True),
    Index("ix_round_result_item_id", "item_id", "round"),
)

job = Table(
    "job",
    metadata,
    key(),
    Column("study_id", BigId, ForeignKey("study.id"), nullable=False),
    Column("item_id", BigId, ForeignKey("item.id"), nullable=False),
    Column("round", Integer, nullable=False),
    Column("state", String(12), nullable=False),  # queued, running, done, cancelled
    Column("guidance", Text, nullable=False, default=""),
    Column("tries", Integer, nullable=False, default=0),
    Column("error", Text, nullable=False, default=""),
    moment("due_at"),
    moment("created_at"),
    moment("ended_at", nullable=True),
    Index("ix_job_state_due_at", "state", "due_at"),
    Index("ix_job_study_id_state", "study_id", "state"),
)
