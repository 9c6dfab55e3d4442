"""Tables of people and of what they did: users, sessions, login attempts, events.

A user's secrets never stand here in clear: the password as an argon2 hash, a session and an invitation as the
SHA-256 of their tokens.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from wardround.store.base import BigId, Json, key, metadata, moment

ROLES = ("doctor", "reviewer", "panel", "auditor", "admin")
REVIEWING = frozenset({"reviewer", "panel", "doctor"})
"""Whoever has one of these roles may be made a reviewer of a study."""

user = Table(
    "user_account",
    metadata,
    key(),
    Column("name", String(80), nullable=False, unique=True),  # folded to lower case
    Column("display", String(120), nullable=False),
    Column("email", String(200), nullable=False, default=""),
    Column("password_hash", String(200)),  # None: only by OIDC, or not yet set
    Column("issuer", String(300)),  # of OIDC
    Column("subject", String(300)),
    Column("roles", Json, nullable=False),  # list of ROLES
    Column("specialties", Json, nullable=False),  # specialty ids; empty: all
    Column("title", String(80), nullable=False, default=""),  # 主任医师 …
    Column(
        "preferences", Json, nullable=False
    ),  # {"lang": "zh"|"en", "theme": "auto"|"light"|"dark"}
    Column("active", Boolean, nullable=False, default=True),
    moment("created_at"),
    Column("version", Integer, nullable=False, default=1),
    UniqueConstraint("issuer", "subject"),
)

session = Table(
    "user_session",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the cookie's token
    Column("user_id", BigId, ForeignKey("user_account.id"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("agent", String(120), nullable=False, default=""),  # the browser, as it names itself
    moment("created_at"),
    moment("seen_at"),
    moment("expires_at"),
)

invitation = Table(
    "invitation",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the token in the link
    Column("user_id", BigId, ForeignKey("user_account.id"), nullable=False, index=True),
    moment("created_at"),
    moment("expires_at"),
    moment("used_at", nullable=True),
)

login_attempt = Table(
    "login_attempt",
    metadata,
    key(),
    Column("name", String(80), nullable=False),
    Column("address", String(64), nullable=False),
    Column("ok", Boolean, nullable=False),
    moment("at"),
    Index("ix_login_attempt_name_at", "name", "at"),
    Index("ix_login_attempt_address_at", "address", "at"),
)

event = Table(
    "event",
    metadata,
    key(),
    moment("at"),
    Column("actor", BigId),  # user id; None: the system, or an anonymous answer
    Column("verb", String(60), nullable=False),  # review.submitted
    Column("entity", String(40), nullable=False),  # item
    Column("entity_id", String(80), nullable=False),
    Column("study_id", BigId, index=True),
    Column("before", Json),
    Column("after", Json),
    Column("note", Text, nullable=False, default=""),
    Index("ix_event_entity_entity_id", "entity", "entity_id"),
    Index("ix_event_verb", "verb"),
    Index("ix_event_actor", "actor"),
)
