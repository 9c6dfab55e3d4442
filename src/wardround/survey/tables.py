"""Tables of the survey room.

No table holds a recipient, an address or a token: `survey_token.id` and `survey_response.holder` are two different
SHA-256 digests of the token in the link, so that only who holds the link itself can bring the two together.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from wardround.store.base import BigId, Json, key, metadata, moment

survey = Table(
    "survey_form",
    metadata,
    key(),
    Column("slug", String(80), nullable=False, unique=True),
    Column("stage", String(20), nullable=False),  # inspiration, feedback
    Column("status", String(20), nullable=False),  # draft, open, closed
    Column(
        "parent_id", BigId, ForeignKey("survey_form.id")
    ),  # of a feedback stage: the inspiration stage
    Column("config", Json, nullable=False),  # design.SurveyConfig
    Column("created_by", BigId, ForeignKey("user_account.id")),
    moment("created_at"),
    moment("opened_at", nullable=True),
    moment("closed_at", nullable=True),
    Column("version", Integer, nullable=False, default=1),
)

task = Table(
    "survey_task",
    metadata,
    key(),
    Column("survey_id", BigId, ForeignKey("survey_form.id"), nullable=False),
    Column("key", String(60), nullable=False),  # task id of the list that comes of it
    Column("place", Integer, nullable=False),
    Column(
        "kind", String(20), nullable=False
    ),  # proposed: respondents see it; grouped: made of what they added
    Column("body", Json, nullable=False),  # design.SurveyTask
    Column("samples", Json, nullable=False),  # list of design.Sample
    Column("overruled", Json),  # {"keep": bool, "reason": str}: the coordinator against the rule
    Column("version", Integer, nullable=False, default=1),
    UniqueConstraint("survey_id", "key"),
)

token = Table(
    "survey_token",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the token
    Column("survey_id", BigId, ForeignKey("survey_form.id"), nullable=False),
    Column("kind", String(10), nullable=False),  # single, shared, browser (made from a shared one)
    Column("batch", String(80), nullable=False, default=""),
    moment("created_at"),
    moment("revoked_at", nullable=True),
    Index("ix_survey_token_survey_id_kind", "survey_id", "kind"),
)

response = Table(
    "survey_response",
    metadata,
    key(),
    Column("survey_id", BigId, ForeignKey("survey_form.id"), nullable=False),
    Column("code", String(20), nullable=False),  # random: what exports call it
    Column("holder", String(80), nullable=False),  # see above; "import:…" for a row of a file
    Column("source", String(10), nullable=False),  # web, import
    Column("draft", Json, nullable=False),  # answers.Answer in the making
    Column("answer", Json),  # the one submitted last
    Column("salt", String(32), nullable=False),  # of the digest that the event log holds
    Column("seconds", Integer),  # from the first save to the first submission; None: not known
    moment("started_at"),
    moment("submitted_at", nullable=True),
    Column("version", Integer, nullable=False, default=1),
    UniqueConstraint("survey_id", "holder"),
    UniqueConstraint("survey_id", "code"),
)

addition = Table(
    "survey_addition",
    metadata,
    key(),
    Column("survey_id", BigId, ForeignKey("survey_form.id"), nullable=False),
    Column("response_id", BigId, ForeignKey("survey_response.id"), nullable=False, index=True),
    Column("slot", String(20), nullable=False),  # which of the respondent's own tasks
    Column("name", String(120), nullable=False),
    Column("example", Text, nullable=False, default=""),
    Column("why", Text, nullable=False, default=""),
    Column(
        "state", String(12), nullable=False
    ),  # open, merged, rejected, withdrawn (by the respondent)
    Column("task_id", BigId, ForeignKey("survey_task.id")),  # merged: into this
    Column("reason", Text, nullable=False, default=""),  # rejected: why
    Column("version", Integer, nullable=False, default=1),
    UniqueConstraint("response_id", "slot"),
    Index("ix_survey_addition_survey_id_state", "survey_id", "state"),
)
