"""Runs the migrations in the connection that `wardround.store.schema.upgrade` hands over.

Which tables the metadata holds matters only when a migration is written (see tests/store/migration.py, which imports
the tables of every room first).
"""

from typing import Any, Literal

from alembic import context
from sqlalchemy import JSON, BigInteger

from wardround.store.base import metadata


def rendered(kind: str, thing: Any, _: object) -> str | Literal[False]:
    """The two types that differ between the databases by the names the template gives them."""
    if kind == "type" and isinstance(thing, JSON):
        return "JSON"
    if kind == "type" and isinstance(thing, BigInteger) and "sqlite" in thing._variant_mapping:
        return "ID"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_item=rendered,
    render_as_batch=context.config.attributes.get("batch", False),
)
context.run_migrations()
