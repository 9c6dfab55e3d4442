"""The migrations make the tables that the code has, once, whole or not at all."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DatabaseError

from tests.store import migration
from tests.stores import Cluster
from wardround.errors import StoreError
from wardround.review import tables
from wardround.store import database, events, people, schema
from wardround.store.database import Store, open_store


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which there is nothing yet."""
    if request.param == "sqlite":
        yield str(tmp_path / "wardround.db")
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    name = cluster.new("template0")
    yield cluster.url(name)
    cluster.drop(name)


@contextmanager
def unmigrated(url: str) -> Iterator[Store]:
    store = Store(database.engine_of(database.location(url)))
    try:
        yield store
    finally:
        store.close()


def _tables(store: Store) -> set[str]:
    with store.read() as conn:
        return set(inspect(conn).get_table_names())


def _add_user(store: Store, name: str) -> int:
    row = {
        "name": name,
        "display": name,
        "roles": [],
        "specialties": [],
        "preferences": {},
        "created_at": 1,
    }
    with store.write() as conn:
        made = conn.execute(insert(people.user).values(**row)).inserted_primary_key
    assert made
    return int(made[0])


def test_the_migrated_schema_is_that_of_the_tables_in_the_code(store: Store) -> None:
    with store.read() as conn:
        context = MigrationContext.configure(conn, opts={"compare_server_default": True})
        assert compare_metadata(context, migration.tables()) == []


def test_the_revisions_form_one_line_without_gaps() -> None:
    script = ScriptDirectory.from_config(schema.migrations())
    numbers = [r.revision for r in script.walk_revisions()][::-1]
    assert numbers == [f"{n:04d}" for n in range(1, len(numbers) + 1)]


def test_opening_again_changes_nothing(store: Store, store_url: str) -> None:
    user = _add_user(store, "wang")
    tables = _tables(store)
    for _ in range(2):
        again = open_store(store_url)
        with again.read() as conn:
            assert conn.execute(text("SELECT id, name FROM user_account")).all() == [(user, "wang")]
        assert _tables(again) == tables
        again.close()


def test_a_database_of_newer_software_is_refused(store: Store, store_url: str) -> None:
    with store.write() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"schema 9999.*doesn't know"):
        open_store(store_url)


def test_many_may_open_a_new_database_at_once(empty_url: str) -> None:
    failed: list[BaseException] = []
    start = threading.Barrier(4)

    def open_it() -> None:
        try:
            start.wait()
            open_store(empty_url).close()
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []
    with unmigrated(empty_url) as store:
        assert "event" in _tables(store)


HEAD = """
from alembic import op
import sqlalchemy as sa
revision, down_revision, branch_labels, depends_on = "{number:04d}", "{before:04d}", None, None
def upgrade():
"""


@pytest.fixture
def following(tmp_path: Path) -> Callable[[str], Path]:
    """A folder of the migrations, with one more that runs the given lines."""

    def add(body: str) -> Path:
        folder = tmp_path / "versions"
        shutil.copytree(migration.VERSIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        last = len(list(folder.glob("[0-9]*.py")))
        lines = "".join(f"    {x}\n" for x in body.strip().splitlines())
        made = HEAD.format(number=last + 1, before=last) + lines
        (folder / f"{last + 1:04d}_more.py").write_text(made, encoding="utf-8")
        return folder

    return add


def test_a_migration_that_fails_half_way_leaves_nothing(
    store: Store, following: Callable[[str], Path]
) -> None:
    _add_user(store, "li")
    folder = following(
        "op.create_table('extra', sa.Column('id', sa.Integer, primary_key=True))\n"
        "op.execute(\"UPDATE user_account SET display = 'lost'\")\n"
        "op.execute('SELECT nothing FROM nowhere')"
    )
    tables = _tables(store)
    with pytest.raises(DatabaseError, match="nowhere"):
        schema.upgrade(store, schema.migrations(folder))
    with store.read() as conn:
        assert conn.execute(text("SELECT display FROM user_account")).scalar() == "li"
        found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
        assert found == f"{len(list(migration.VERSIONS.glob('[0-9]*.py'))):04d}"
    assert _tables(store) == tables


def test_the_first_migration_too_is_whole_or_nothing(
    empty_url: str, following: Callable[[str], Path]
) -> None:
    folder = following("raise RuntimeError('the power went')")
    with unmigrated(empty_url) as store:
        with pytest.raises(RuntimeError, match="the power went"):
            schema.upgrade(store, schema.migrations(folder))
        assert _tables(store) == set()
        schema.upgrade(store)
        assert "event" in _tables(store)


def test_a_migration_may_rebuild_a_table_that_others_point_to(
    store: Store, following: Callable[[str], Path]
) -> None:
    user = _add_user(store, "zhao")
    with store.write() as conn:
        row = {
            "id": "s",
            "user_id": user,
            "csrf": "c",
            "created_at": 1,
            "seen_at": 1,
            "expires_at": 2,
        }
        conn.execute(insert(people.session).values(**row))
        events.record(conn, "user.created", "user", user, actor=None)
    folder = following(
        "with op.batch_alter_table('user_account', recreate='auto') as batch:\n"
        "    batch.add_column(sa.Column('ward', sa.String(20)))\n"
        "    batch.alter_column('title', type_=sa.String(200))"
    )
    schema.upgrade(store, schema.migrations(folder))
    with store.read() as conn:
        kept = text("SELECT u.name FROM user_session s JOIN user_account u ON u.id = s.user_id")
        assert conn.execute(kept).all() == [("zhao",)]
        assert conn.execute(text("SELECT ward, title FROM user_account")).all() == [(None, "")]
    with pytest.raises(DatabaseError), store.write() as conn:  # foreign keys are watched again
        conn.execute(insert(people.session).values(**row | {"id": "t", "user_id": 99}))


def test_a_migration_that_leaves_a_row_pointing_nowhere_is_taken_back(
    sqlite_store: Store, following: Callable[[str], Path]
) -> None:
    user = _add_user(sqlite_store, "qian")
    with sqlite_store.write() as conn:
        row = {
            "id": "s",
            "user_id": user,
            "csrf": "c",
            "created_at": 1,
            "seen_at": 1,
            "expires_at": 2,
        }
        conn.execute(insert(people.session).values(**row))
    folder = following("op.execute('DELETE FROM user_account')")
    with pytest.raises(StoreError, match="table user_session"):
        schema.upgrade(sqlite_store, schema.migrations(folder))
    with sqlite_store.read() as conn:
        assert conn.execute(text("SELECT name FROM user_account")).all() == [("qian",)]


def test_the_next_migration_is_written_from_the_difference(tmp_path: Path) -> None:
    folder = tmp_path / "versions"
    shutil.copytree(migration.VERSIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    following = len(list(folder.glob("[0-9]*.py"))) + 1
    made = migration.write("nothing changed", folder)
    assert made.name == f"{following:04d}_nothing_changed.py"
    body = made.read_text(encoding="utf-8").split("def upgrade() -> None:")[1]
    assert body.strip() == "pass"


def as_of(number: int, folder: Path) -> Path:
    """The migrations up to this one, in `folder`."""
    migration.tables()
    shutil.copytree(migration.VERSIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for made in folder.glob("[0-9]*.py"):
        if int(made.name[:4]) > number:
            made.unlink()
    return folder


def _a_study(conn: Connection) -> None:
    """With one item."""
    values = {"slug": "s", "config": {}, "status": "open", "created_at": 1, "version": 1}
    conn.execute(insert(tables.study).values(**values))
    of_item = {"study_id": 1, "key": "k", "specialty": "x", "body": [], "data": {}}
    conn.execute(insert(tables.item).values(**of_item, is_gold=False, status="open"))


def _slot(conn: Connection, user: int, state: str, **more: Any) -> None:
    usual = {
        "study_id": 1,
        "item_id": 1,
        "round": 1,
        "task": "review",
        "specialty": "x",
        "shuffle": 0.5,
    }
    conn.execute(insert(tables.assignment).values(**usual | more, user_id=user, state=state))


def test_slots_keep_what_they_are_when_their_indexes_change(empty_url: str, tmp_path: Path) -> None:
    """From 0002 to 0003, with something in the table."""
    with unmigrated(empty_url) as store:
        schema.upgrade(store, schema.migrations(as_of(2, tmp_path / "before")))
        with store.write() as conn:
            _a_study(conn)
            for user, state in enumerate(("free", "held", "done")):
                _slot(conn, user, state)
        schema.upgrade(store)
        with store.read() as conn:
            states = conn.execute(select(tables.assignment.c.state).order_by("id")).scalars().all()
            found = {i["name"]: i["column_names"] for i in inspect(conn).get_indexes("assignment")}
    assert states == ["free", "held", "done"]
    assert found["ix_assignment_pool"] == ["study_id", "shuffle", "specialty"]
    assert found["ix_assignment_held"] == ["study_id", "lease_until"]


def test_what_members_have_done_already_is_counted(empty_url: str, tmp_path: Path) -> None:
    """From 0003 to 0004, in a study under way."""
    m = tables.member.c
    with unmigrated(empty_url) as store:
        schema.upgrade(store, schema.migrations(as_of(3, tmp_path / "before")))
        users = [_add_user(store, name) for name in ("wang", "li", "zhao")]
        with store.write() as conn:
            _a_study(conn)
            for user in users:
                values = {"specialties": [], "active": user != users[2], "load": 4, "shown": 5}
                conn.execute(
                    insert(tables.member).values(study_id=1, user_id=user, joined_at=1, **values)
                )
            for round_ in (1, 2, 3):
                _slot(conn, users[0], "done", round=round_)
            _slot(conn, users[0], "done", task="gold")
            _slot(conn, users[0], "done", task="revise")
            _slot(conn, users[0], "held", round=4)
            _slot(conn, users[2], "done")
            _slot(conn, users[2], "void", task="gold")
        schema.upgrade(store)
        with store.read() as conn:
            kept = select(m.user_id, m.load, m.shown, m.reviewed, m.gold_reviewed).order_by(
                m.user_id
            )
            assert conn.execute(kept).all() == [
                (users[0], 4, 5, 3, 1), (users[1], 4, 5, 0, 0), (users[2], 4, 5, 1, 0),
            ]  # fmt: skip
