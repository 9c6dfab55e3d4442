"""A backup is whole, of one moment, and never in the place of another file."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.store.writer import add_user
from wardround.errors import StoreError, UsageError
from wardround.store import backup as room
from wardround.store import events, people
from wardround.store.backup import backup
from wardround.store.database import Store, open_store


def test_a_backup_opens_as_a_database_with_all_that_was_written(
    sqlite_store: Store, tmp_path: Path
) -> None:
    user = add_user(sqlite_store, "wang")
    made = backup(sqlite_store, tmp_path / "backups" / "一.db")
    with sqlite_store.write() as conn:
        conn.execute(update(people.user).values(display="later"))
    assert [p.name for p in made.parent.iterdir()] == ["一.db"]  # one file, nothing beside it
    copy = open_store(str(made))
    with copy.read() as conn:
        assert conn.execute(select(people.user.c.id, people.user.c.display)).all() == [
            (user, "wang")
        ]
    copy.close()


def test_a_backup_while_others_write_is_of_one_moment(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "PAGES", 1)
    user, stop = add_user(sqlite_store, "wang"), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with sqlite_store.write() as conn:
                conn.execute(update(people.user).values(version=number))
                events.record(conn, "user.changed", "user", user, actor=user, after={"v": number})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        copies = [backup(sqlite_store, tmp_path / f"{n}.db") for n in range(3)]
    finally:
        stop.set()
        thread.join()
    for path in copies:
        with sqlite3.connect(path) as conn:
            (version,) = conn.execute("SELECT version FROM user_account").fetchone()
            (told,) = conn.execute("SELECT count(*) FROM event").fetchone()
        conn.close()
        assert told in (version, version - 1 if version == 1 else version)


def test_a_backup_never_replaces_a_file(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "old.db").write_text("the only copy")
    with pytest.raises(UsageError, match="is there already"):
        backup(sqlite_store, tmp_path / "old.db")
    assert (tmp_path / "old.db").read_text() == "the only copy"


def test_a_backup_that_fails_leaves_no_file(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        backup(sqlite_store, tmp_path / "out" / "x.db")
    assert "no backup was made" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_can_t_be_made(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="could not be copied"):
        backup(sqlite_store, tmp_path / "file" / "x.db")


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_postgresql_has_its_own_tool(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pg_dump"):
        backup(store, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
