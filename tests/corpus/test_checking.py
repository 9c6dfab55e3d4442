"""Checks in processes beside the one that asks come to the same, whatever becomes of the processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from wardround.corpus import checking
from wardround.corpus.checking import ENOUGH, Checkers
from wardround.corpus.rewritten import Broken, Rewrite, verdict

REFERENCE = "阿莫西林0.5g口服，每日三次，疗程七天。注意休息，多饮水。"
TEXTS = (
    REFERENCE, "", "抱歉，我无法回答。", "阿莫西林1g口服，每日三次，疗程七天。注意休息，多饮水。", "头孢克肟0.5g口服，每日三次，疗程七天。注意休息。",
    "阿莫西林0.5g静脉滴注，每日三次，疗程七天。注意休息。", "书中提到：阿莫西林0.5g口服，每日三次，疗程七天。",
    "多饮水，注意休息；阿莫西林500mg口服，一日三次，连用7天。",
)  # fmt: skip
REWRITES = [
    Rewrite(text, reason, REFERENCE, "上呼吸道感染", f"第{n}位患者", "medication_advice")
    for n, text in enumerate(TEXTS * 20)
    for reason in ("stop", "length")
]
WANTED = [verdict(r) for r in REWRITES]


def counting(monkeypatch: pytest.MonkeyPatch) -> list[Rewrite]:
    """What is checked in this process."""
    here: list[Rewrite] = []

    def counted(rewrite: Rewrite) -> Broken | None:
        here.append(rewrite)
        return verdict(rewrite)

    monkeypatch.setattr(checking, "verdict", counted)
    return here


async def up(checkers: Checkers) -> None:
    """Until every process is."""
    until = time.monotonic() + 30
    waited_for = list(checkers._beside)
    while waited_for := [one for one in waited_for if not one.takes()]:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


async def checked(checkers: Checkers, rewrites: list[Rewrite]) -> list[Broken | None]:
    return list(await asyncio.gather(*(checkers.check(r) for r in rewrites)))


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("processes", [0, 1, 2])
def test_the_same_is_said_wherever_it_is_checked(
    run: Callable[[Coroutine[Any, Any, Any]], Any], processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = counting(monkeypatch)

    async def work(checkers: Checkers) -> list[Broken | None]:
        before = await checked(checkers, REWRITES[:20])  # no process is up yet
        await up(checkers)
        found = []
        for start in range(20, len(REWRITES), ENOUGH):
            found += await checked(checkers, REWRITES[start : start + ENOUGH])
        return before + found

    with Checkers(processes) as checkers:
        assert run(work(checkers)) == WANTED
        there = [one._process for one in checkers._beside]
    assert len(here) == (20 if processes else len(REWRITES))
    assert [p.returncode for p in there] == [0] * processes


def test_all_have_enough_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    here = counting(monkeypatch)

    async def work(checkers: Checkers) -> list[Broken | None]:
        await up(checkers)
        return await checked(checkers, REWRITES)

    with Checkers(1) as checkers:
        assert asyncio.run(work(checkers)) == WANTED
    assert len(here) == len(REWRITES) - ENOUGH


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_dies_loses_nothing_and_ctrl_c_is_not_its_business(number: int) -> None:
    async def work(checkers: Checkers) -> list[Broken | None]:
        await up(checkers)
        waiting = asyncio.ensure_future(checked(checkers, REWRITES[:ENOUGH]))
        await asyncio.sleep(0)
        os.kill(checkers._beside[0]._process.pid, number)
        found = await waiting
        return found + await checked(checkers, REWRITES[ENOUGH:])

    with Checkers(1) as checkers:
        assert asyncio.run(work(checkers)) == WANTED


def test_long_ones_pass_in_pieces_and_odd_ones_stay() -> None:
    long = [
        Rewrite(f"{REFERENCE}{n}", "stop", REFERENCE, "肺" * 100_000, "", "triage")
        for n in range(ENOUGH)
    ]
    odd = [Rewrite("\ud83d" + REFERENCE, "stop", REFERENCE, "", "", "triage")] * 3

    async def work(checkers: Checkers) -> list[Broken | None]:
        await up(checkers)
        found = await checked(checkers, long)
        return found + await checked(checkers, odd)

    with Checkers(1) as checkers:
        assert asyncio.run(work(checkers)) == [verdict(r) for r in (*long, *odd)]


def test_one_who_stops_waiting_holds_nobody_up() -> None:
    async def work(checkers: Checkers) -> list[Broken | None]:
        await up(checkers)
        gone = [asyncio.ensure_future(checkers.check(r)) for r in REWRITES[:ENOUGH]]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        while checkers._beside[0].busy:
            await asyncio.sleep(0.01)
        return await checked(checkers, REWRITES[:ENOUGH])

    with Checkers(1) as checkers:
        assert asyncio.run(work(checkers)) == WANTED[:ENOUGH]
