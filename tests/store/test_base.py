"""What SQLite is told otherwise than PostgreSQL."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from tests.store.writer import add_user
from wardround.store.base import Known
from wardround.store.database import Store
from wardround.store.people import user


def test_a_known_text_is_written_out_for_sqlite_and_given_to_postgresql() -> None:
    asked = select(user.c.id).where(user.c.name == Known("o'wang"))
    assert str(asked.compile(dialect=sqlite.dialect())).endswith("name = 'o''wang'")
    made = asked.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    assert "o'wang" not in str(made)
    assert list(made.params.values()) == ["o'wang"]


def test_two_known_texts_are_two_statements(store: Store) -> None:
    """SQLAlchemy keeps what it compiled by the statement's shape: the text belongs to it."""
    ids = [add_user(store, name) for name in ("wang", "li")]
    with store.read() as conn:
        found = [
            conn.execute(select(user.c.id).where(user.c.name == Known(name))).scalar_one()
            for name in ("wang", "li")
        ]
    assert found == ids
