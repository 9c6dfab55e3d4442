"""Reviewing: 50 simulated reviewers at once on one study of 31,247 items, over real HTTP, in a bounded run.

`wardround web` is started as its users start it, over a database with 31,247 rationales × 3 reviewers = 93,741 slots
planned. 50 clients then do what the page does: hand in five scores with a comment and take the next item out of the
answer. Twice: without pausing, which is more than any 50 doctors do, and at the fastest pace a doctor could read at
(--pace, 1 second between two items). Each takes --seconds (6), on SQLite and on PostgreSQL (a cluster of its own, fsync
on, where its programs are installed). Nothing is extrapolated: what is printed was sent, answered and found in the
database. The wire's own limit in the same run: as many clients ask the same server for its health page, which reads
the database and renders nothing.

    python perf/review.py                 under two minutes
    python perf/review.py --after 60      late in a study: they work for so many seconds before it is measured
    python perf/review.py --json          the last line is JSON
    python perf/review.py --potato DIR    Potato beside it on the same 500 items (DIR: a venv with potato-annotation)

Marks (--check): p95 of the next item below 150 ms with 50 at once, with and without that pause; at least 3 × Potato's
items a second; nothing acknowledged is missing. Without pausing the p95 is some 60 divided by the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import review_potato as potato
from review_world import (
    FIELDS,
    SLUG,
    cpu_s,
    items,
    postgresql,
    prepare,
    reviews_in,
    serving,
)

from wardround.web.settings import Settings

ITEMS = 31_247
BESIDE = 500
"""Items of the study that Potato gets too."""
REVIEWERS = 50
OVERLAP = 3
P95_MS, TIMES = 150.0, 3.0
COMMENT = "依据清楚。"
HIDDEN = re.compile(r'name="(assignment|item|round|version)" value="(\d+)"')
CSRF = re.compile(r'<meta name="csrf" content="([^"]+)"')
REFUSED = '<div class="notice warn"'
"""In an answer whose review was not taken: it was kept as a draft."""


class Clients:
    """Reviewers at work. `taken` counts the reviews acknowledged over all runs."""

    def __init__(self, address: str, tokens: list[str]) -> None:
        self.address, self.tokens, self.taken = f"{address}/review/{SLUG}", tokens, 0

    def work(self, seconds: float, pace: float = 0.0) -> dict[str, Any]:
        """All at once until the time is up or nothing is left."""
        return asyncio.run(self._work(seconds, pace))

    async def _work(self, seconds: float, pace: float) -> dict[str, Any]:
        self.latencies: list[float] = []
        self.refused: list[str] = []
        ready = asyncio.Barrier(len(self.tokens))
        span = [0.0, 0.0]
        await asyncio.gather(
            *(self._one(i, t, seconds, pace, ready, span) for i, t in enumerate(self.tokens))
        )
        self.taken += len(self.latencies) - len(self.refused)
        self.span = span[1] - span[0]
        found = summary(self.latencies, self.span)
        return found | {"refused": len(self.refused), "first": self.refused[:1]}

    async def _one(
        self, number: int, token: str, seconds: float, pace: float, ready: asyncio.Barrier, span: list[float]
    ) -> None:  # fmt: skip
        import aiohttp

        drawn = random.Random(number)
        headers = {"Cookie": f"{Settings().cookie('session')}={token}"}
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), headers=headers
        ) as http:
            async with http.get(self.address) as reply:
                text = await reply.text()
            csrf = CSRF.search(text)
            assert csrf, text[:500]
            http.headers.update({"X-CSRF-Token": csrf[1], "HX-Request": "true"})
            await ready.wait()
            span[0] = span[0] or time.perf_counter()
            turn = 0
            if pace:
                await asyncio.sleep(drawn.uniform(0, pace))
            while time.perf_counter() - span[0] < seconds:
                hidden = dict(HIDDEN.findall(text))
                if "assignment" not in hidden:
                    break
                turn += 1
                text = await self._hand_in(http, _filled(hidden, number + turn))
                if pace:
                    await asyncio.sleep(drawn.uniform(0.5, 1.5) * pace)
            span[1] = time.perf_counter()

    async def _hand_in(self, http: Any, data: dict[str, str]) -> str:
        start = time.perf_counter()
        async with http.post(f"{self.address}/submit", data=data) as reply:
            text: str = await reply.text()
        self.latencies.append(time.perf_counter() - start)
        if reply.status != 200 or REFUSED in text:
            self.refused.append(f"{reply.status} {text[:200]}")
        if reply.status != 200:
            async with http.get(self.address) as reply:
                text = await reply.text()
        return text


def _filled(hidden: dict[str, str], turn: int) -> dict[str, str]:
    """A form filled in. Most items are accepted; one review in ten disputes, so that rounds fail as well."""
    value = 2 if turn % 10 == 0 else 4 + turn % 2
    return {
        **hidden, **{f"score.{f}": str(value) for f in FIELDS}, "comment": COMMENT, "seconds": "12",
    }  # fmt: skip


async def health(address: str, clients: int, seconds: float) -> dict[str, Any]:
    """The same clients, a page that does next to nothing: what the wire and the server allow at most."""
    import aiohttp

    latencies: list[float] = []
    begin = time.perf_counter()

    async def one() -> None:
        async with aiohttp.ClientSession() as http:
            while time.perf_counter() - begin < seconds:
                start = time.perf_counter()
                async with http.get(f"{address}/health") as reply:
                    await reply.read()
                latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(one() for _ in range(clients)))
    return summary(latencies, time.perf_counter() - begin)


def summary(latencies: list[float], seconds: float) -> dict[str, Any]:
    """Count, rate and percentiles in milliseconds."""
    ms = sorted(x * 1000 for x in latencies) or [0.0]
    return {
        "n": len(latencies), "per_s": round(len(latencies) / max(seconds, 1e-9), 1), "p50_ms": round(statistics.median(ms), 1),
        "p95_ms": round(ms[int(len(ms) * 0.95)], 1), "p99_ms": round(ms[int(len(ms) * 0.99)], 1),
        "max_ms": round(ms[-1], 1),
    }  # fmt: skip


def told(found: dict[str, Any]) -> str:
    """A line's middle."""
    text = (
        f"{found['n']} reviews, {found['per_s']}/s; next item p50 {found['p50_ms']} ms, p95 {found['p95_ms']} ms, "
        f"p99 {found['p99_ms']} ms, worst {found['max_ms']} ms"
    )
    return f"{text}; {found['refused']} refused {found['first']}" if found["refused"] else text


def measure(
    name: str, url: str, count: int, seconds: float, pace: float, after: float
) -> dict[str, Any]:
    """One database: open, serve, review without pausing and at a pace, look for all that was acknowledged."""
    tokens, opened = prepare(url, count, REVIEWERS)
    with serving(url) as (address, pid):
        limit = asyncio.run(health(address, REVIEWERS, 2.0))
        clients = Clients(address, tokens)
        clients.work(after)
        had = clients.taken
        before = cpu_s(pid)
        flat = clients.work(seconds)
        flat["cpu_ms"] = round(1000 * (cpu_s(pid) - before) / flat["n"], 2)
        paced = clients.work(seconds, pace) if pace else None
    there = reviews_in(url)
    ratio = round(flat["per_s"] / limit["per_s"], 2)
    print(
        f"{name}, study of {count} items opened in {opened:.1f} s\n"
        f"  {REVIEWERS} at once, no pause, {had} reviews done before: {told(flat)}; server {flat['cpu_ms']} ms of processor a review; "
        f"{ratio} × the health page ({limit['per_s']}/s)"
    )
    if paced:
        print(f"  {REVIEWERS} at once, {pace:g} s between two items: {told(paced)}")
    print(f"  acknowledged {clients.taken}, in the database {there}", flush=True)
    return {
        "opened_s": round(opened, 1), "health_per_s": limit["per_s"], "ratio": ratio, "flat": flat, "paced": paced,
        "before": had, "acknowledged": clients.taken, "there": there,
    }  # fmt: skip


TURNS = 2


def beside(venv: Path, folder: Path, seconds: float) -> dict[str, Any] | None:
    """Wardround (SQLite) and Potato on the same items, as many people, in turns: other work meets both alike."""
    if not (venv / "bin" / "potato").exists():
        print(f"Potato not installed in {venv}, skipped")
        return None
    url = f"{folder}/beside.db"
    tokens, _ = prepare(url, BESIDE, REVIEWERS, gold=False)
    place = folder / "potato"
    given = items(BESIDE, gold=False)
    ours, theirs = Side(), Side()
    with (
        serving(url) as (address, pid),
        potato.serving(venv, place, FIELDS, given, REVIEWERS, OVERLAP) as (other, other_pid),
    ):
        clients = Clients(address, tokens)
        asyncio.run(potato.annotate(other, FIELDS, REVIEWERS, 0, COMMENT))  # all log in
        for _ in range(TURNS):
            before = cpu_s(pid)
            clients.work(seconds / TURNS)
            ours.add(clients.latencies, clients.span, clients.refused, cpu_s(pid) - before)
            latencies, span, trouble, used = asyncio.run(
                potato.annotate(
                    other, FIELDS, REVIEWERS, seconds / TURNS, COMMENT, lambda: cpu_s(other_pid)
                )
            )
            theirs.add(latencies, span, trouble, used)
    found = {"wardround": ours.told(), "potato": theirs.told()}
    times = round(found["wardround"]["per_s"] / found["potato"]["per_s"], 1)
    by_cpu = round(found["potato"]["cpu_ms"] / found["wardround"]["cpu_ms"], 1)
    print(
        f"{BESIDE} items × {OVERLAP} reviewers, {REVIEWERS} at once, no pause, {TURNS} turns of {seconds / TURNS:g} s"
    )
    for name, side in found.items():
        print(f"  {name}: {told(side)}; server {side['cpu_ms']} ms of processor a review")
    print(
        f"  Wardround does {times} × Potato's items a second, {by_cpu} × by processor time "
        f"(in Potato's files {potato.stored(place)})"
    )
    return found | {"times": times, "times_by_cpu": by_cpu}


class Side:
    """What one server did over its turns."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.refused: list[str] = []
        self.span = self.cpu = 0.0

    def add(self, latencies: list[float], span: float, refused: list[str], cpu: float) -> None:
        """One turn."""
        self.latencies += latencies
        self.refused += refused
        self.span += span
        self.cpu += cpu

    def told(self) -> dict[str, Any]:
        """All turns in one."""
        found = summary(self.latencies, self.span)
        found |= {"cpu_ms": round(1000 * self.cpu / found["n"], 2)}
        return found | {"refused": len(self.refused), "first": self.refused[:1]}


def failures(found: dict[str, Any]) -> list[str]:
    """Marks that were missed."""
    missed = []
    for name in ("sqlite", "postgresql"):
        if name not in found:
            continue
        for how, words in (("flat", "without pause"), ("paced", "at this pace")):
            run = found[name][how]
            if run and run["p95_ms"] >= P95_MS:
                missed.append(f"{name}: p95 {run['p95_ms']} ms {words}, not below {P95_MS:g}")
        if found[name]["acknowledged"] > found[name]["there"]:
            missed.append(f"{name}: reviews that were acknowledged are not there")
    if found.get("beside") and found["beside"]["times"] < TIMES:
        missed.append(f"{found['beside']['times']} × Potato's items a second, not {TIMES:g}")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument(
        "--pace", type=float, default=1.0, help="seconds between two items; 0 leaves it out"
    )
    parser.add_argument(
        "--after", type=float, default=1.0, help="seconds of work before it is measured"
    )
    parser.add_argument("--only", choices=("sqlite", "postgresql", "potato"))
    parser.add_argument("--potato", type=Path, metavar="DIR", help="a venv with potato-annotation")
    parser.add_argument("--check", action="store_true", help="exit 1 where a mark is missed")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    run = args.items, args.seconds, args.pace, args.after
    with tempfile.TemporaryDirectory(prefix="wardround-review-") as name:
        folder = Path(name)
        if args.only in (None, "sqlite"):
            found["sqlite"] = measure("SQLite", f"{folder}/review.db", *run)
        if args.only in (None, "postgresql"):
            with postgresql() as url:
                if url:
                    found["postgresql"] = measure("PostgreSQL", url, *run)
                else:
                    print("PostgreSQL not installed, skipped")
        if args.only in (None, "potato"):
            if args.potato:
                found["beside"] = beside(args.potato, folder, args.seconds)
            else:
                print("Potato not installed, skipped (--potato DIR)")
    missed = failures(found) if args.check else []
    for line in missed:
        print(f"missed: {line}")
    if args.json:
        print(json.dumps(found))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
