"""A process that writes until it is killed: `python -m tests.store.writer URL`.

Several threads change a user and tell the event log, in one transaction each; the event's number is written to the
standard output once `Store.write` has returned, which is when a person would be told "saved".
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, insert, update

from wardround.store import events, people
from wardround.store.database import Store, open_store
from wardround.store.steps import Steps

T = TypeVar("T")

THREADS = 6


def add_user(store: Store, name: str) -> int:
    """A user with nothing special to them."""
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


def plain(work: Callable[[Connection], T]) -> Callable[[Connection], Steps[T]]:
    """Work done at once, in no steps."""

    def steps(conn: Connection) -> Steps[T]:
        yield from ()
        return work(conn)

    return steps


def _write(store: Store, user: int) -> None:
    number = 0
    while True:
        number += 1
        with store.write() as conn:
            mine = people.user.c.id == user
            conn.execute(update(people.user).where(mine).values(version=number))
            events.record(conn, "user.changed", "user", user, actor=user, after={"version": number})
        os.write(1, f"{user} {number}\n".encode())


def main(url: str) -> None:
    store = open_store(url)
    users = [add_user(store, f"{os.getpid()}-{n}") for n in range(THREADS)]
    threads = [threading.Thread(target=_write, args=(store, user)) for user in users]
    for t in threads:
        t.start()


if __name__ == "__main__":
    main(sys.argv[1])
