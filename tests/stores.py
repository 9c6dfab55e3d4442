"""Databases for tests: each test gets one of its own, migrated and empty, on SQLite and on PostgreSQL.

    def test_x(store): ...              the open `Store`, once on each database
    def test_x(store_url): ...          what `open_store` and `--db` take, once on each database
    def test_x(sqlite_store): ...       an open `Store`, on SQLite only

SQLite databases are copies of a migrated file. For PostgreSQL the first test that wants it starts a real server (its
own cluster in a temporary folder, on a Unix socket only, stopped at the end of the session); databases are copies of
a migrated template. Without PostgreSQL's programs those tests are skipped, and say so.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wardround.store.database import Store

ADMIN = "wardround"
TEMPLATE = "wardround_template"
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # a test database need not outlive the machine
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class NoPostgresError(Exception):
    """Why there is no PostgreSQL to test with."""


class Cluster:
    """A PostgreSQL server of our own. Use it in `with`."""

    def __init__(self) -> None:
        self._bin = _programs()
        self._user = _server_user()
        self._numbers = itertools.count(1)
        # Not pytest's folder: that is closed to other users, and too long for the name of a socket.
        self.root = Path(tempfile.mkdtemp(prefix="wardround-pg-"))
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, name: str, user: str = ADMIN, password: str = "") -> str:
        """The URL of one of its databases, as a user would write it."""
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@/{name}?host={self.root}"

    def new(self, template: str = TEMPLATE) -> str:
        """The name of a new database, a copy of the template."""
        name = f"test_{next(self._numbers)}"
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Take a database away, whoever is still connected."""
        self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def run(self, statement: str, database: str = "postgres") -> None:
        """One statement, outside any transaction."""
        import psycopg

        there = f"host={self.root} user={ADMIN} dbname={database}"
        with psycopg.connect(there, autocommit=True) as conn:
            conn.execute(statement.encode())

    def close(self) -> None:
        """Stop the server and take its files away."""
        if self._server:
            self._server.send_signal(signal.SIGQUIT)  # at once: its files go anyway
            try:
                self._server.wait(30)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        shutil.rmtree(self.root, ignore_errors=True)

    def _start(self) -> None:
        data = self.root / "data"
        if self._user:
            shutil.chown(self.root, self._user, self._user)
        subprocess.run(
            [self._bin / "initdb", "-D", data, "-U", ADMIN, "--auth=trust", "--encoding=UTF8",
             "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            check=True, capture_output=True, **self._as_server(),
        )  # fmt: skip
        hba = data / "pg_hba.conf"
        hba.write_text("local all guarded scram-sha-256\n" + hba.read_text())
        settings = [x for k, v in SETTINGS.items() for x in ("-c", f"{k}={v}")]
        # Where this process is killed, the server ends too.
        leash = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
        with (self.root / "log").open("wb") as log:
            self._server = subprocess.Popen(
                [*leash, self._bin / "postgres", "-D", data, "-k", self.root, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._as_server(),
            )  # fmt: skip
        self._await()
        self._fill_template()

    def _as_server(self) -> dict:
        """The server refuses to run as root."""
        given = {"user": self._user, "group": self._user, "extra_groups": []} if self._user else {}
        return {"cwd": self.root, "env": {"PATH": os.defpath, "LANG": "C.UTF-8"}, **given}

    def _await(self) -> None:
        import psycopg

        assert self._server
        end = time.monotonic() + 60
        while True:
            try:
                return self.run("SELECT 1")
            except psycopg.OperationalError:
                if self._server.poll() is not None or time.monotonic() > end:
                    said = (self.root / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start: {said[-2000:]}") from None
                time.sleep(0.02)

    def _fill_template(self) -> None:
        from wardround.store.database import open_store

        self.run(f'CREATE DATABASE "{TEMPLATE}"')
        open_store(self.url(TEMPLATE)).close()


def _programs() -> Path:
    """The folder with `initdb` and `postgres`: Debian keeps them off the PATH."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = [p.parent for p in sorted(debian, key=lambda p: int(p.parts[-3]))]
    if on_path := shutil.which("postgres"):
        found.append(Path(on_path).resolve().parent)
    for folder in reversed(found):
        if (folder / "initdb").exists():
            return folder
    raise NoPostgresError("PostgreSQL's programs (initdb, postgres) are not installed")


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise NoPostgresError(
            "PostgreSQL won't run as root, and no user `postgres` is here"
        ) from None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """The running server."""
    try:
        cluster = Cluster()
    except NoPostgresError as e:
        pytest.skip(str(e))
    with cluster:
        yield cluster


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file to copy."""
    from wardround.store.database import open_store

    path = tmp_path_factory.mktemp("store") / "template.db"
    open_store(str(path)).close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What `open_store` and `--db` take: a migrated, empty database of the test's own."""
    if request.param == "sqlite":
        yield _copied(request.getfixturevalue("sqlite_template"), tmp_path)
        return
    cluster: Cluster = request.getfixturevalue("postgresql")
    name = cluster.new()
    try:
        yield cluster.url(name)
    finally:
        cluster.drop(name)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store, migrated and empty, on each database."""
    yield from _opened(store_url)


@pytest.fixture
def sqlite_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """An open store, migrated and empty, on SQLite only: for what can't differ between databases."""
    yield from _opened(_copied(sqlite_template, tmp_path))


def _copied(template: Path, folder: Path) -> str:
    return str(shutil.copyfile(template, folder / "wardround.db"))


def _opened(url: str) -> Iterator[Store]:
    from wardround.store.database import open_store

    store = open_store(url)
    try:
        yield store
    finally:
        store.close()
