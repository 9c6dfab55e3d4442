"""Opening: every way to name a database, and what is said where it can't be had. Never a password."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event as listen
from sqlalchemy import make_url, text

from tests.stores import Cluster
from wardround.errors import StoreError, UsageError, WardroundError
from wardround.store import events
from wardround.store.database import Store, location, open_store
from wardround.store.people import event
from wardround.store.trouble import shown

SECRET = "geheim-7531"


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WARDROUND_DB", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def guarded(postgresql: Cluster) -> Iterator[Cluster]:
    """A cluster with the user `guarded`, who has a password."""
    postgresql.run(f"CREATE ROLE guarded LOGIN PASSWORD '{SECRET}'")
    yield postgresql
    postgresql.run("DROP ROLE guarded")


@pytest.fixture
def fresh(postgresql: Cluster) -> Iterator[str]:
    """The name of a database in which there is nothing."""
    name = postgresql.new("template0")
    yield name
    postgresql.drop(name)


def _refused(given: str, kind: type[WardroundError] = StoreError) -> str:
    with pytest.raises(kind) as caught:
        open_store(given).close()
    assert caught.value.hint
    return str(caught.value)


def test_a_path_a_url_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert location(None) == f"sqlite:///{tmp_path}/wardround.db"
    assert location("") == location(None)
    assert location("a b/x.db") == f"sqlite:///{tmp_path}/a b/x.db"
    assert location("~/x.db") == f"sqlite:///{Path.home()}/x.db"
    assert location("sqlite:////x.db") == "sqlite:////x.db"
    for name in ("postgres", "postgresql"):
        assert location(f"{name}://u:p@h:5433/d?x=y") == "postgresql+psycopg://u:p@h:5433/d?x=y"
    monkeypatch.setenv("WARDROUND_DB", "postgres://h/d")
    assert location(None) == "postgresql+psycopg://h/d"
    assert location("x.db") == f"sqlite:///{tmp_path}/x.db"
    monkeypatch.setenv("WARDROUND_DB", "")
    assert location(None) == f"sqlite:///{tmp_path}/wardround.db"


def test_sqlite_is_made_where_it_is_named(tmp_path: Path) -> None:
    for given in ("研究/一 50%.db", "sqlite:///by-url.db"):
        open_store(given).close()
    assert (tmp_path / "研究/一 50%.db").exists() and (tmp_path / "by-url.db").exists()
    assert not list(tmp_path.rglob("*-wal"))  # closed: all is in the one file


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_postgresql_by_each_of_its_names(guarded: Cluster, fresh: str, scheme: str) -> None:
    guarded.run(f'ALTER DATABASE "{fresh}" OWNER TO guarded')
    url = guarded.url(fresh, "guarded", SECRET).replace("postgresql", scheme, 1)
    store = open_store(url)
    with store.write() as conn:
        events.record(conn, "item.edited", "item", 1, actor=None)
    store.close()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mysql://root:geheim-7531@h/d", "not supported"),
        ("nonsense://geheim-7531", "not supported"),
        ("://geheim-7531", "can't be read"),
        ("postgresql://u:geheim-7531", "can't be read"),  # a port to the parser
        ("postgresql://u:gehe@im-7531@h/d", "more than one @"),
        ("sqlite://", "only a file"),
        ("sqlite:///:memory:", "only a file"),
        ("sqlite:///x.db?mode=ro", "only a file"),
    ],
)
def test_what_is_no_database_s_name(given: str, words: str) -> None:
    said = _refused(given, UsageError)
    assert words in said and SECRET not in said and "im-7531" not in said


def test_wrong_password_unknown_user_and_database(guarded: Cluster, fresh: str) -> None:
    for url in (
        guarded.url(fresh, "guarded", SECRET + "x"),
        guarded.url(fresh, "guarded"),
        guarded.url(fresh, "nobody-known", SECRET),
        guarded.url("no_such_database", "guarded", SECRET),
    ):
        said = _refused(url)
        assert "lets this user in" in said and SECRET not in said


def test_no_server_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = taken.getsockname()[1]
        said = _refused(f"postgresql://u:{SECRET}@127.0.0.1:{port}/d")
    assert f"u:***@127.0.0.1:{port}/d" in said
    assert "refused" in said and "check that the database runs" in said and SECRET not in said


def test_a_user_who_may_not_make_tables(guarded: Cluster, fresh: str) -> None:
    said = _refused(guarded.url(fresh, "guarded", SECRET))
    assert "the owner of the database" in said and SECRET not in said


def test_no_secret_is_shown_wherever_it_stands_in_the_url() -> None:
    url = make_url(
        f"postgresql+psycopg://u:{SECRET}@h:5433/d?password={SECRET}&sslpassword={SECRET}&sslmode=require"
    )
    assert shown(url) == "postgresql://u:***@h:5433/d?sslmode=require"


def test_no_error_s_traceback_shows_the_password(guarded: Cluster, fresh: str) -> None:
    import traceback

    for url in (guarded.url(fresh, "guarded", SECRET + "x"), f"postgresql://u:{SECRET}"):
        with pytest.raises(WardroundError) as caught:
            open_store(url)
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("患者主诉咳嗽三天。" * 200)
    before = (tmp_path / "notes.txt").read_bytes()
    assert "is not an SQLite database" in _refused("notes.txt")
    assert (tmp_path / "notes.txt").read_bytes() == before


def test_a_folder_a_file_in_the_way_and_a_place_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "can't be opened" in _refused("folder")
    (tmp_path / "file").write_text("")
    assert "its folder can't be made" in _refused("file/x.db")
    assert "its folder can't be made" in _refused("/proc/none/x.db")


def test_a_database_of_something_else_is_left_alone(
    tmp_path: Path, postgresql: Cluster, fresh: str
) -> None:
    with sqlite3.connect(tmp_path / "other.db") as conn:
        conn.execute("CREATE TABLE patients (id INTEGER)")
    conn.close()
    assert "holds something else: table patients" in _refused("other.db")
    with sqlite3.connect(tmp_path / "other.db") as conn:
        assert conn.execute("SELECT name FROM sqlite_master").fetchall() == [("patients",)]
    conn.close()
    postgresql.run("CREATE TABLE patients (id integer)", fresh)
    assert "a database of its own" in _refused(postgresql.url(fresh))


def test_a_damaged_file_is_told(sqlite_template: Path, tmp_path: Path) -> None:
    damaged = bytearray(sqlite_template.read_bytes())
    damaged[4096:] = os.urandom(len(damaged) - 4096)
    (tmp_path / "x.db").write_bytes(damaged)
    assert "x.db" in _refused("x.db")


OPEN = """
import sys
from wardround.errors import StoreError
from wardround.store.database import open_store
try:
    open_store(sys.argv[1])
except StoreError as e:
    print(e)
"""


def _without_root_s_rights() -> list[str]:
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root may write everything, and there is no setpriv to drop that right")
    return ["setpriv", "--bounding-set", "-dac_override"]


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_file_or_folder_that_may_not_be_written(
    sqlite_template: Path, tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    path = shutil.copyfile(sqlite_template, folder / "x.db")
    (path if what == "file" else folder).chmod(0o555)
    done = subprocess.run(
        [*_without_root_s_rights(), sys.executable, "-c", OPEN, path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    folder.chmod(0o755)
    assert "x.db" in done.stdout and "→" in done.stdout, done.stdout + done.stderr
    assert "this user" in done.stdout


def test_another_program_that_keeps_writing_is_told(sqlite_store: Store) -> None:
    listen.listen(
        sqlite_store.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout=50")
    )
    other = sqlite3.connect(str(sqlite_store.engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program is writing"), sqlite_store.write():
        pass
    with sqlite_store.read() as conn:  # readers don't wait
        conn.execute(text(f"SELECT * FROM {event.name}")).all()
    other.execute("ROLLBACK")
    other.close()
    with sqlite_store.write() as conn:
        events.record(conn, "item.edited", "item", 1, actor=None)
