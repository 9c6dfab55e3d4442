"""What was acknowledged outlives the process that did it, and nothing is there by halves."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict

import pytest
from sqlalchemy import select, text

from tests.store.writer import THREADS
from wardround.store.database import Store, open_store
from wardround.store.people import event, user


def _written_until_killed(url: str, acknowledgements: int) -> list[tuple[int, int]]:
    """Start the writer, kill it without warning after so many acknowledgements; all it acknowledged."""
    command = [sys.executable, "-m", "tests.store.writer", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout
        lines = [child.stdout.readline() for _ in range(acknowledgements)]
        child.kill()
        lines += child.stdout.readlines()
        assert child.wait() == -9
    whole = [x.split() for x in lines if x.endswith(b"\n")]
    return [(int(u), int(n)) for u, n in whole]


def _said_and_kept(store: Store) -> tuple[dict[int, list[int]], dict[int, int]]:
    said = defaultdict(list)
    with store.read() as conn:
        for row in conn.execute(select(event.c.actor, event.c.after).order_by(event.c.id)):
            said[row.actor].append(row.after["version"])
        kept = {r.id: r.version for r in conn.execute(select(user.c.id, user.c.version))}
    return said, kept


@pytest.mark.parametrize("acknowledgements", [1, 300])
def test_what_was_acknowledged_is_there_after_kill_9(store_url: str, acknowledgements: int) -> None:
    acknowledged = _written_until_killed(store_url, acknowledgements)
    assert len(acknowledged) >= acknowledgements
    store = open_store(store_url)
    try:
        said, kept = _said_and_kept(store)
        assert len(kept) == THREADS
        for actor, number in acknowledged:
            assert number in said[actor]
        for actor, numbers in said.items():
            assert numbers == list(range(1, len(numbers) + 1))  # in order, none lost, none twice
            assert kept[actor] == numbers[-1]  # the change and its event stand or fall together
        if store.is_sqlite:
            with store.read() as conn:
                assert conn.execute(text("PRAGMA integrity_check")).scalar() == "ok"
    finally:
        store.close()


def test_the_work_goes_on_after_kill_9(store_url: str) -> None:
    first = _written_until_killed(store_url, 20)
    second = _written_until_killed(store_url, 20)
    store = open_store(store_url)
    try:
        said, _ = _said_and_kept(store)
        assert all(number in said[actor] for actor, number in first + second)
        assert len({actor for actor, _ in first} & {actor for actor, _ in second}) == 0
    finally:
        store.close()
