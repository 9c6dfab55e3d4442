"""What `perf/review.py` measures in: a study in a database, the server as its users start it, a PostgreSQL of our own."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from wardround.review import opening
from wardround.review.forms import rationale_form
from wardround.review.study import NewItem, Part, StudyConfig
from wardround.review.tables import review
from wardround.store.base import now
from wardround.store.database import open_store
from wardround.store.people import user
from wardround.web import sessions
from wardround.web.settings import Settings

SPECIALTIES = ("cardiology", "nephrology", "respiratory", "pediatrics", "unmapped")
FIELDS = tuple(f.id for f in rationale_form())
STEP = "患者突发胸骨后压榨样疼痛，心电图下壁导联抬高，血压偏低，提示右心室受累，此时应维持前负荷。"
SLUG = "bench"


def items(count: int, gold: bool = True) -> Iterator[NewItem]:
    """Questions of a usual length, each with a rationale of four steps; one in a hundred is gold."""
    for i in range(count):
        yield NewItem(
            key=f"q{i:05d}", specialty=SPECIALTIES[i % 5], author="model:bench",
            data={"answer": "B", "given": {"answer": "B"}},
            gold={FIELDS[0]: 4} if gold and i % 100 == 0 else None,
            body=(
                Part(id="question", role="question", text=f"（{i}）{STEP}最恰当的处理是？"),
                *(Part(id=o, role="option", text=f"{o}. 选项{o}的内容") for o in "ABCDE"),
                Part(id="key", role="key", zh="标准答案", en="Key", text="B"),
            ),
            content=tuple(Part(id=f"s{n}", role="step", text=STEP) for n in range(1, 5)),
        )  # fmt: skip


def prepare(url: str, count: int, people: int, *, gold: bool = True) -> tuple[list[str], float]:
    """A database with the study in it; session tokens of the reviewers, and the seconds opening took."""
    store = open_store(url)
    settings = Settings()
    row: dict[str, Any] = {
        "email": "", "roles": ["reviewer"], "specialties": [], "title": "", "preferences": {}, "active": True,
        "created_at": now(), "version": 1,
    }  # fmt: skip
    with store.write() as conn:
        adding = insert(user).returning(user.c.id)
        names = [f"r{i}" for i in range(people)]
        ids = [conn.execute(adding, {**row, "name": n, "display": n}).scalar_one() for n in names]
        tokens = [sessions.start(conn, p, settings, agent="bench") for p in ids]
    start = time.perf_counter()
    config = StudyConfig(
        kind="rationale", title="bench", form=rationale_form(), gold_rate=0.05 if gold else 0.0
    )
    with store.write() as conn:
        opening.open_study(conn, SLUG, config, items(count, gold), by=None, members=ids)
    took = time.perf_counter() - start
    store.close()
    return tokens, took


def reviews_in(url: str) -> int:
    """How many reviews the database holds."""
    store = open_store(url)
    with store.read() as conn:
        there = conn.execute(select(func.count()).select_from(review)).scalar_one()
    store.close()
    return int(there)


@contextlib.contextmanager
def serving(url: str) -> Iterator[tuple[str, int]]:
    """`wardround web` on a free port; its address and process id."""
    how = ["--db", url, "--port", "0", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wardround.cli", "web", *how], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the server did not start (exit {process.wait()})")
        yield json.loads(line)["url"], process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_own_cpu_s(p) for p in (pid, *map(int, children)))


def _own_cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def postgresql() -> Iterator[str | None]:
    """The URL of an empty database in a PostgreSQL of our own, which keeps what it acknowledges (fsync on).

    Its settings are its own defaults. None where its programs aren't installed, or run as root with no user `postgres`.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    on_path = shutil.which("initdb")
    programs = found[-1] if found else Path(on_path).resolve().parent if on_path else None
    other = "postgres" if os.geteuid() == 0 else None
    known = other is None or any(p.pw_name == other for p in pwd.getpwall())
    if programs is None or not known:
        yield None
        return
    root = Path(tempfile.mkdtemp(prefix="wardround-pg-"))
    given: dict[str, Any] = {
        "cwd": root,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    if other:
        shutil.chown(root, other, other)
        given |= {"user": other, "group": other, "extra_groups": []}
    server: subprocess.Popen[bytes] | None = None
    try:
        making = f"{programs}/initdb -D {root}/data -U wardround --auth=trust --encoding=UTF8"
        subprocess.run([*making.split(), "--locale=C.UTF-8"], check=True, **given)
        options = ["-c", "listen_addresses=", "-c", "fsync=on", "-c", "synchronous_commit=on"]
        server = subprocess.Popen(
            [programs / "postgres", "-D", root / "data", "-k", root, *options], **given
        )
        _await(root)
        yield f"postgresql://wardround@/review?host={root}"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)
            server.wait(30)
        shutil.rmtree(root, ignore_errors=True)


def _await(root: Path) -> None:
    import psycopg

    until = time.monotonic() + 60
    while True:
        try:
            there = psycopg.connect(f"host={root} user=wardround dbname=postgres", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise SystemExit("PostgreSQL did not start") from None
            time.sleep(0.05)
            continue
        with there:
            there.execute("CREATE DATABASE review")
        return
