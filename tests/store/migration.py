"""Writes the next migration from the difference between the migrations and the tables in the code.

    .venv/bin/python -m tests.store.migration "what changed"

Look through what it wrote: it sees new and lost tables, columns, indexes and constraints, but no change of name and
no data. `tests/store/test_migrations.py` fails for as long as tables and migrations differ.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from sqlalchemy import MetaData

from wardround.store import base, database, schema

TABLES = ("wardround.store.people", "wardround.review.tables", "wardround.survey.tables")
VERSIONS = schema.MIGRATIONS / "versions"


def tables() -> MetaData:
    """The metadata with the tables of every room on it."""
    for name in TABLES:
        if find_spec(name.rsplit(".", 1)[0]) and find_spec(name):
            importlib.import_module(name)
    return base.metadata


def write(message: str, versions: Path = VERSIONS) -> Path:
    """Write the migration that follows those in `versions`."""
    tables()
    before = sorted(versions.glob("[0-9]*.py"))
    number = f"{len(before) + 1:04d}"
    config = schema.migrations(versions)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["batch"] = bool(before)
    with tempfile.TemporaryDirectory() as there:
        store = database.Store(database.engine_of(f"sqlite:///{there}/empty.db"))
        try:
            if before:
                schema.upgrade(store, config)
            with store.write() as conn:
                config.attributes["connection"] = conn
                command.revision(config, message, autogenerate=True, rev_id=number)
        finally:
            store.close()
    made = next(versions.glob(f"{number}_*.py"))
    lines = made.read_text(encoding="utf-8").splitlines(keepends=True)
    made.write_text("".join(x for x in lines if "    # ###" not in x), encoding="utf-8")
    for order in (["check", "--fix", "-q"], ["format", "-q"]):
        subprocess.run([sys.executable, "-m", "ruff", *order, str(made)], check=True)
    return made


if __name__ == "__main__":
    print(write(" ".join(sys.argv[1:])))
