"""A league on the command line: twelve models and two judges behind loopback servers with limits of their own."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web

from tests.e2e.conftest import command, environment, kill_when, wardround
from wardround.artifact import Manifest, open_artifact
from wardround.models.faults import Faults
from wardround.models.scripted import ScriptedModel
from wardround.models.server import ChatServer, digest_of_messages, serve_in_thread
from wardround.models.wire import read_body
from wardround.records import Message

DEAD = "http://127.0.0.1:9/v1"
ENDPOINTS = {
    "a": ("echo", 2),
    "b": ("verdict=3", 3),
    "c": ("verdict=7", 5),
    "d": ("first-option", 7),
}
JUDGES = {"judge-a": ("overlap", 6), "judge-b": ("verdict=8", 4)}
MODELS = [f"{letter}{k}" for letter in ENDPOINTS for k in (1, 2, 3)]
ITEMS = 15


class Watched(ChatServer):
    """A server that knows how many requests it ever had at once, and what it answered."""

    def __init__(self, script: str, limit: int) -> None:
        super().__init__(ScriptedModel(script), faults=Faults(latency_ms=15))
        self.limit = limit
        self.now = self.peak = 0
        self.answered: Counter[str] = Counter()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            messages: tuple[Message, ...] = read_body(await request.read()).messages
            response = await super()._chat(request)
            self.answered[digest_of_messages(messages)] += 1
            return response
        finally:
            self.now -= 1


class Hall:
    """All servers, and the file that names them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.file = folder / "models.toml"
        self.servers = {k: Watched(*v) for k, v in (ENDPOINTS | JUDGES).items()}
        self.urls = {k: stack.enter_context(serve_in_thread(s)) for k, s in self.servers.items()}
        self.tables: dict[str, str] = {m: self.table(m[0]) for m in MODELS}
        self.tables |= {j: self.table(j) for j in JUDGES}

    def table(self, server: str, more: str = "") -> str:
        script, limit = (ENDPOINTS | JUDGES)[server]
        return (
            f'endpoint = "{self.urls[server]}"\nmodel = "scripted:{script}"\n'
            f"concurrency = {limit}\n{more}"
        )

    def write(self) -> Path:
        text = 'judges = ["judge-a", "judge-b"]\n'
        text += "".join(f'[models."{name}"]\n{table}\n' for name, table in self.tables.items())
        self.file.write_text(text, encoding="utf-8")
        return self.file

    def total(self) -> int:
        return sum(s.answered.total() for s in self.servers.values())


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    with ExitStack() as stack:
        yield Hall(tmp_path, stack)


def league(hall: Hall, items: Path, out: Path, *more: object) -> list[object]:
    return [
        "eval", "doctorflan_test", "--data", items, "--limit", ITEMS, "--models", hall.write(),
        "--out", out, "--max-tokens", 64, *more,
    ]  # fmt: skip


def manifest(path: Path) -> Manifest:
    return open_artifact(path).manifest


def test_twelve_models_and_two_judges_at_once(hall: Hall, items: Path, tmp_path: Path) -> None:
    """Each endpoint within its limit and at it, every run as it would be alone, one comparison of all."""
    out = tmp_path / "league"
    done = wardround(*league(hall, items, out))
    assert done.returncode == 0, done.stderr
    assert "eval 12 models: 180/180" in done.stderr
    for server in hall.servers.values():
        assert 2 <= server.peak <= server.limit
    assert hall.servers["judge-a"].peak == 6
    assert hall.servers["judge-b"].peak == 4
    # Three models of one server have the same answers, so each judge sees 4 x 15 prompts three times.
    assert hall.total() == 12 * ITEMS * 3
    found = json.loads((out / "comparison" / "comparison.json").read_text())
    assert [r["model"] for r in found["runs"]] == MODELS
    assert len(found["benchmarks"]["doctorflan_test"]["pairs"]) == 11
    assert (out / "comparison" / "report.html").exists()
    single = wardround(
        "eval", "doctorflan_test", "--data", items, "--limit", ITEMS, "--model", "b2", "--judge",
        "judge-a", "--judge", "judge-b", "--out", tmp_path / "single", "--max-tokens", 64,
        config=hall.file,
    )  # fmt: skip
    assert single.returncode == 0, single.stderr
    for name in ("records.jsonl", "summary.json", "skipped.jsonl"):
        assert (out / "b2" / name).read_bytes() == (tmp_path / "single" / name).read_bytes()
    assert manifest(out / "b2").digest == manifest(tmp_path / "single").digest
    assert manifest(out / "b2").cost == manifest(tmp_path / "single").cost
    before = hall.total()
    again = wardround(*league(hall, items, out, "--json"))
    assert (again.returncode, hall.total()) == (0, before)
    (line,) = again.stdout.splitlines()
    said = json.loads(line)
    assert said["ok"] and [m["model"] for m in said["models"]] == MODELS
    assert wardround("verify", out / "comparison").returncode == 0


def test_a_dead_endpoint_does_not_stop_the_others(hall: Hall, items: Path, tmp_path: Path) -> None:
    out = tmp_path / "league"
    alive = hall.tables["b1"]
    hall.tables["b1"] = f'endpoint = "{DEAD}"\nmodel = "scripted:verdict=3"'
    hall.tables["c/1 ?"] = hall.tables.pop("c1")
    done = wardround(*league(hall, items, out, "--timeout", 10))
    assert done.returncode == 1
    assert "1 of 12 models are not sealed" in done.stderr
    assert "b1: http://127.0.0.1:9/v1: no answer" in done.stderr
    assert "check that the server runs" in done.stderr
    comparison = json.loads((out / "comparison" / "comparison.json").read_text())
    assert len(comparison["runs"]) == 11
    assert not (out / "b1").exists()
    hall.tables["b1"] = alive
    before = hall.total()
    again = wardround(*league(hall, items, out, "--against", "d3"))
    assert again.returncode == 0, again.stderr
    assert hall.total() == before + 3 * ITEMS
    comparison = json.loads((out / "comparison" / "comparison.json").read_text())
    assert len(comparison["runs"]) == 12
    assert comparison["runs"][comparison["reference"]]["model"] == "d3"


def test_kill_9_and_the_same_command_again(hall: Hall, items: Path, tmp_path: Path) -> None:
    """Sealed runs stay, the others go on; asked twice is at most what was in flight."""
    out = tmp_path / "league"
    args = league(hall, items, out)
    whole = 12 * ITEMS * 3
    for share in (0.3, 0.8):
        assert kill_when(args, lambda s=share: hall.total() >= s * whole) == -9  # type: ignore[misc]
    assert not (out / "comparison" / "manifest.json").exists()
    done = wardround(*args)
    assert done.returncode == 0, done.stderr
    in_flight = sum(limit for _, limit in (ENDPOINTS | JUDGES).values())
    assert whole <= hall.total() <= whole + 2 * in_flight
    fresh = wardround(*league(hall, items, tmp_path / "fresh"))
    assert fresh.returncode == 0, fresh.stderr
    for name in [*MODELS, "comparison"]:
        assert manifest(out / name).digest == manifest(tmp_path / "fresh" / name).digest


def test_ctrl_c_and_the_same_command_again(hall: Hall, items: Path, tmp_path: Path) -> None:
    out = tmp_path / "league"
    args = league(hall, items, out)
    whole = 12 * ITEMS * 3
    with subprocess.Popen(
        command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as running:
        until = time.monotonic() + 60
        while hall.total() < whole / 2 and time.monotonic() < until:
            time.sleep(0.005)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "run the same command again" in said
    assert "Traceback" not in said and "Warning" not in said
    done = wardround(*args)
    assert done.returncode == 0, done.stderr
    assert hall.total() <= whole + sum(limit for _, limit in (ENDPOINTS | JUDGES).values())


def test_one_cost_cap_for_all(hall: Hall, items: Path, tmp_path: Path) -> None:
    out = tmp_path / "league"
    hall.tables = {k: v + "price_in = 100.0\nprice_out = 100.0\n" for k, v in hall.tables.items()}
    unpriced = hall.tables["a1"]
    hall.tables["a1"] = hall.table("a")
    refused = wardround(*league(hall, items, out, "--max-cost", 1))
    assert refused.returncode == 2
    assert "none is known for a1" in refused.stderr
    hall.tables["a1"] = unpriced
    stopped = wardround(*league(hall, items, out, "--max-cost", 4))
    assert stopped.returncode == 1
    assert stopped.stderr.count("stopped before the cost would pass 4") == 1
    assert "with a higher --max-cost goes on" in stopped.stderr
    first = hall.total()
    assert 0 < first < 12 * ITEMS * 3
    spent = json.loads(wardround(*league(hall, items, out, "--max-cost", 4, "--json")).stdout)
    assert not spent["ok"]
    assert "cost would pass 4" in spent["models"][-1]["error"]
    done = wardround(*league(hall, items, out, "--max-cost", 1000))
    assert done.returncode == 0, done.stderr
    assert hall.total() == 12 * ITEMS * 3


def test_only_some_and_wrong_use(hall: Hall, items: Path, tmp_path: Path) -> None:
    out = tmp_path / "league"
    some = wardround(*league(hall, items, out, "--only", "a1, c1"))
    assert some.returncode == 0, some.stderr
    assert sorted(p.name for p in out.iterdir()) == ["a1", "c1", "comparison"]
    more = wardround(*league(hall, items, out, "--only", "d1", "--judge", "judge-a"))
    assert more.returncode == 1
    assert "2 of 3 models are not sealed" in more.stderr
    assert more.stderr.count("another configuration") == 2
    for wrong, why in (
        (["--only", "x"], "no model named x"),
        (["--against", "x"], "no model named 'x'"),
        (["--model", "a1"], "one of --model"),
        (["--checkpoint", out / "a1"], "one model's"),
    ):
        found = wardround(*league(hall, items, tmp_path / "w", *wrong))
        assert (found.returncode, (tmp_path / "w").exists()) == (2, False), found.stderr
        assert why in found.stderr
    single = wardround(*league(hall, items, out / "a1"))
    assert single.returncode == 2
    assert "not a league" in single.stderr
    hall.tables["a1"] += "temperature = 0.3\n"
    mixed = wardround(*league(hall, items, out))
    assert mixed.returncode == 1
    assert "temperature" in mixed.stderr


@pytest.mark.realdata
def test_published_cases_as_three_turns(hall: Hall, tmp_path: Path) -> None:
    """Twelve models on CMB-Clin cases as DotaBench dialogues, every turn judged by both judges."""
    if "WARDROUND_REALDATA" not in os.environ:
        pytest.skip("WARDROUND_REALDATA is not set")
    data = Path(os.environ["WARDROUND_REALDATA"]) / "cmb_clin_dev.json"
    out = tmp_path / "league"
    done = wardround(
        "eval", "dotabench", "--data", data, "--models", hall.write(), "--out", out, "--limit", 10
    )
    assert done.returncode == 0, done.stderr
    assert "eval 12 models: 120/120" in done.stderr
    found = json.loads((out / "comparison" / "comparison.json").read_text())
    assert len(found["benchmarks"]["dotabench"]["pairs"]) == 11
    for server in hall.servers.values():
        assert server.peak <= server.limit
    for name in MODELS:
        turns = json.loads((out / name / "summary.json").read_text())["benchmarks"]["dotabench"]
        assert [t["counts"]["scored"] for t in turns["by_turn"]] == [10, 10, 10]
