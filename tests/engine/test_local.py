"""Local processes: order, bounds, errors, and workers that die."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.work import die_always, die_once, refuse_seven, square
from wardround.engine import Engine, local, open_engine
from wardround.errors import UsageError, WardroundError


@pytest.fixture
def engine() -> Iterator[Engine]:
    found = open_engine("local", workers=2)
    yield found
    found.close()


def test_results_come_in_the_order_of_the_shards(engine: Engine) -> None:
    assert list(engine.map(square, range(25))) == [square(n) for n in range(25)]


def test_one_worker_needs_no_process() -> None:
    def local(n: int) -> bytes:  # would not pickle
        return square(n)

    alone = open_engine("local", workers=1)
    assert list(alone.map(local, range(3))) == [b"0", b"1", b"4"]
    assert list(open_engine("local", workers=2).map(local, [5])) == [b"25"]


def test_nothing_to_do(engine: Engine) -> None:
    assert list(engine.map(square, [])) == []


def test_an_error_in_a_worker_is_raised_as_it_was(engine: Engine) -> None:
    with pytest.raises(ValueError, match="seven is refused"):
        list(engine.map(refuse_seven, range(20)))
    assert list(engine.map(square, range(4))) == [b"0", b"1", b"4", b"9"]


def test_a_killed_worker_costs_only_time(engine: Engine, tmp_path: Path) -> None:
    jobs = [(n, str(tmp_path / "died")) for n in range(12)]
    assert list(engine.map(die_once, jobs)) == [square(n) for n in range(12)]
    assert (tmp_path / "died").exists()


def test_workers_that_keep_dying_end_with_a_reason(engine: Engine) -> None:
    with pytest.raises(WardroundError, match="died 3 times at shard 3 of 6"):
        list(engine.map(die_always, range(6)))


def test_a_reader_that_stops_early_leaves_nothing_running(engine: Engine) -> None:
    found = engine.map(square, range(100))
    assert next(found) == b"0"
    found.close()  # type: ignore[attr-defined]
    assert next(iter(engine.map(square, range(2)))) == b"0"


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="no engine named 'spark'"):
        open_engine("spark")
    with pytest.raises(UsageError, match="workers"):
        open_engine("local", workers=0)


def test_cores_are_counted_where_the_system_tells_no_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 1 <= local.cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert local.cores() == (os.cpu_count() or 1)
