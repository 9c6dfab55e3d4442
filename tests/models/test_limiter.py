"""The limit on requests in flight, on a clock of the test's own and against a real server with bursts."""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.support import Naps, question
from wardround.journal import Journal
from wardround.models.ask import run
from wardround.models.endpoint import EndpointModel
from wardround.models.faults import Faults
from wardround.models.limiter import FLOOR, SHRINK, Limiter
from wardround.models.scripted import ScriptedModel
from wardround.models.server import ChatServer, serve_in_thread
from wardround.records import Answer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(limiter: Limiter, count: int) -> list[float]:
    """`count` slots that are free right now."""

    async def body() -> list[float]:
        async with asyncio.timeout(1):
            return [await limiter.acquire() for _ in range(count)]

    return asyncio.run(body())


def test_a_burst_is_one_decrease() -> None:
    clock = Clock()
    limiter = Limiter(64, clock=clock)
    sent = take(limiter, 64)
    clock.now = 1.0
    for started in sent[:40]:
        limiter.release(started, status=429)
    assert limiter.decreases == 1
    assert limiter.limit == pytest.approx(64 * SHRINK)
    naive = 64 * SHRINK**40
    assert naive < 1


def test_the_next_round_trip_may_decrease_again_down_to_the_floor() -> None:
    clock = Clock()
    limiter = Limiter(64, clock=clock)
    for _ in range(50):
        sent = take(limiter, 2)
        clock.now += 1
        for started in sent:
            limiter.release(started, status=503)
        clock.now += 1
    assert limiter.limit == limiter.floor == FLOOR


def test_it_climbs_back_by_one_a_round_trip_and_never_past_the_ceiling() -> None:
    clock = Clock()
    limiter = Limiter(16, clock=clock)
    (started,) = take(limiter, 1)
    clock.now += 0.1
    limiter.release(started, status=429)
    low = limiter.limit
    for _ in range(3):
        sent = take(limiter, int(limiter.limit))
        clock.now += 0.1
        for started in sent:
            limiter.release(started, status=200, answered=True)
    assert low + 2 < limiter.limit <= low + 3
    for _ in range(500):
        (started,) = take(limiter, 1)
        limiter.release(started, status=200, answered=True)
    assert limiter.limit == 16


def test_latency_that_blows_up_lowers_the_limit_and_lasting_slowness_does_not_hold_it_down() -> (
    None
):
    clock = Clock()
    limiter = Limiter(32, clock=clock)

    def answers(seconds: float, count: int) -> None:
        for _ in range(count):
            (started,) = take(limiter, 1)
            clock.now += seconds
            limiter.release(started, status=200, answered=True)

    answers(0.5, 100)
    assert limiter.decreases == 0
    answers(10.0, 30)
    assert limiter.decreases > 0
    assert limiter.limit < 32
    answers(10.0, 1500)
    assert limiter.limit == 32


def test_a_slow_model_beside_a_quick_one_is_no_blow_up() -> None:
    clock = Clock()
    limiter = Limiter(32, clock=clock)

    def answers(seconds: float, count: int, who: str) -> None:
        for _ in range(count):
            (started,) = take(limiter, 1)
            clock.now += seconds
            limiter.release(started, status=200, answered=True, who=who)

    answers(0.1, 100, "small")
    answers(9.0, 100, "large")
    assert limiter.decreases == 0
    answers(9.0, 30, "small")
    assert limiter.decreases > 0


def test_quick_answers_may_vary() -> None:
    clock = Clock()
    limiter = Limiter(32, clock=clock)
    for i in range(300):
        (started,) = take(limiter, 1)
        clock.now += 0.01 if i % 50 else 0.2
        limiter.release(started, status=200, answered=True)
    assert limiter.decreases == 0


@given(
    ceiling=st.integers(1, 40),
    ends=st.lists(st.sampled_from([200, 429, 503, 500, 0]), max_size=120),
    step=st.floats(0.001, 5),
)
@settings(max_examples=60, deadline=None)
def test_laws(ceiling: int, ends: list[int], step: float) -> None:
    """Always between floor and ceiling; never more in flight than the limit; nobody waits in vain."""
    clock = Clock()
    limiter = Limiter(ceiling, clock=clock)
    flying = most = 0

    async def one(status: int) -> None:
        nonlocal flying, most
        started = await limiter.acquire()
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0)
        clock.now += step
        flying -= 1
        limiter.release(started, status=status, answered=status == 200)
        assert limiter.floor <= limiter.limit <= limiter.ceiling

    async def body() -> None:
        async with asyncio.timeout(10):
            await asyncio.gather(*(one(status) for status in ends))

    asyncio.run(body())
    assert most <= ceiling


def test_a_cancelled_wait_leaks_no_slot() -> None:
    async def body() -> None:
        limiter = Limiter(1)
        started = await limiter.acquire()
        waits = [asyncio.create_task(limiter.acquire()) for _ in range(3)]
        await asyncio.sleep(0)
        waits[0].cancel()
        limiter.release(started)
        waits[1].cancel()  # the slot was just given to it
        async with asyncio.timeout(1):
            await waits[2]
        assert [w.cancelled() for w in waits] == [True, True, False]

    asyncio.run(body())


def test_bursts_do_not_make_it_collapse(tmp_path: Path) -> None:
    """20 of every 200 arrivals are pushed back at once; what is in flight stays far above the floor."""
    faults = Faults(latency_ms=20, burst_every=200, burst_length=20)
    server = ChatServer(ScriptedModel("echo"), faults=faults)
    levels: list[float] = []

    with serve_in_thread(server) as url, Journal(tmp_path / "j", config="c") as journal:
        model = EndpointModel("scripted:echo", url, retries=30, sleep=Naps())

        async def work(ask: object, i: int) -> Answer:
            answer: Answer = await ask(model, question(f"问{i}", str(i)))  # type: ignore[operator]
            assert model.limiter is not None
            levels.append(model.limiter.limit)
            return answer

        began = time.monotonic()
        found = run(
            (lambda ask, i=i: work(ask, i) for i in range(1200)),  # type: ignore[misc]
            models=[model],
            journal=journal,
            concurrency=64,
        )
        spent = time.monotonic() - began
    assert all(a.status == "ok" for a in found)
    assert model.limiter is not None
    assert model.limiter.decreases <= 1200 / 200 * 3
    assert sum(levels) / len(levels) > 16
    assert min(levels) > FLOOR
    assert spent < 30
