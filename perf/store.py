"""Small transactions by many threads at once: SQLite as Wardround uses it, beside SQLite's own ways, and PostgreSQL.

    .venv/bin/python perf/store.py [--folder DIR] [--seconds 4] [--postgresql URL]

Each transaction changes one user and tells the event log. `shared` is what `wardround.store` does; `full` flushes
within each transaction (PRAGMA synchronous=FULL, writers in no order); `none` never flushes, and loses the last
transactions at a power cut. They take turns for several rounds, because a disk is rarely alone.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event as listen
from sqlalchemy import insert, update

from wardround.store import events, people
from wardround.store.database import Store, open_store

THREADS = (1, 8, 50)


def sqlite(folder: Path, way: str) -> Store:
    """An SQLite database that keeps its writes in the given way."""
    store = open_store(str(folder / f"{way}.db"), pool=60)
    if way != "shared":
        pragma = "PRAGMA synchronous=" + {"full": "FULL", "none": "NORMAL"}[way]
        listen.listen(store.engine, "checkout", lambda raw, *_: raw.execute(pragma))
        store._log.settle = lambda: None  # type: ignore[method-assign]
        store._turn = threading.Lock()  # type: ignore[assignment]
    return store


def measure(store: Store, threads: int, seconds: float) -> tuple[float, list[float]]:
    """Transactions a second, and how long each took in milliseconds, sorted."""
    stamp = f"{time.time_ns()}"
    users = [_user(store, f"{stamp}-{n}") for n in range(threads)]
    took: list[float] = []
    end = time.perf_counter() + seconds

    def work(user: int) -> None:
        mine, number = [], 0
        while (start := time.perf_counter()) < end:
            number += 1
            with store.write() as conn:
                row = update(people.user).where(people.user.c.id == user)
                conn.execute(row.values(version=number))
                after = {"version": number}
                events.record(conn, "user.changed", "user", user, actor=user, after=after)
            mine.append((time.perf_counter() - start) * 1e3)
        took.extend(mine)

    workers = [threading.Thread(target=work, args=(user,)) for user in users]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    return len(took) / seconds, sorted(took)


def _user(store: Store, name: str) -> int:
    row = {
        "name": name,
        "display": "",
        "roles": [],
        "specialties": [],
        "preferences": {},
        "created_at": 1,
    }
    with store.write() as conn:
        made = conn.execute(insert(people.user).values(**row)).inserted_primary_key
    assert made
    return int(made[0])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where the databases are made (its disk counts)"
    )
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", metavar="URL", help="an empty database")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as there:
        ways: dict[str, Callable[[], Store]] = {
            f"sqlite {way}": lambda way=way: sqlite(Path(there), way)  # type: ignore[misc]
            for way in ("shared", "full", "none")
        }
        if args.postgresql:
            ways["postgresql"] = lambda: open_store(args.postgresql, pool=50)
        for threads in THREADS:
            for number in range(args.rounds):
                for name, make in ways.items():
                    store = make()
                    rate, took = measure(store, threads, args.seconds)
                    store.close()
                    p50, p95 = (took[int(len(took) * q)] for q in (0.5, 0.95))
                    print(
                        f"{threads:3} threads · round {number + 1} · {name:14} {rate:7.0f}/s"
                        f"   p50 {p50:7.2f} ms   p95 {p95:7.2f} ms",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
