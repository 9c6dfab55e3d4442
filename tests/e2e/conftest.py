"""The command line as a subprocess, and a real OpenAI-compatible server on loopback beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TIMEOUT = 300


def command(*args: object) -> list[str]:
    """`wardround ARGS` run by this very Python."""
    return [sys.executable, "-m", "wardround.cli", *map(str, args)]


def environment() -> dict[str, str]:
    """This process's environment without anything that would change what a command does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WARDROUND_")}
    return kept | {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "default"}


def wardround(
    *args: object, cwd: Path | None = None, config: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, with the models of the file `config`."""
    env = environment() | ({"WARDROUND_CONFIG": str(config)} if config else {})
    return subprocess.run(
        command(*args), capture_output=True, text=True, timeout=TIMEOUT, cwd=cwd, env=env,
        check=False,
    )  # fmt: skip


def kill_when(args: list[object], ready: Callable[[], bool]) -> int:
    """Start a command and kill -9 it as soon as `ready`; returns its exit status (−9 when it was killed)."""
    process = subprocess.Popen(
        command(*args),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None and not ready():
        assert time.monotonic() < deadline, "never came to the point where it was to be killed"
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    return process.returncode


class Server:
    """A running test server: its base URL and what it was asked."""

    def __init__(self, url: str, counts: Path) -> None:
        self.url = url
        self._counts = counts

    def asked(self) -> Counter[str]:
        """How often each conversation was answered, by digest of its messages."""
        if not self._counts.exists():
            return Counter()
        return Counter(self._counts.read_text().split())


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start `python -m wardround.models.server MODEL OPTIONS` on a free port; all end with the test."""
    running: list[subprocess.Popen[str]] = []

    def start(model: str, *options: object) -> Server:
        counts = tmp_path / f"asked-{len(running)}"
        arguments = [sys.executable, "-m", "wardround.models.server", model, "--count-file", counts]
        process = subprocess.Popen(
            [*map(str, arguments), *map(str, options)], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment(),
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        return Server(url, counts)

    yield start
    for process in running:
        process.terminate()
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture
def items(tmp_path: Path) -> Path:
    """Sixty single-turn items in DoctorFLAN's columns."""
    path = tmp_path / "items.jsonl"
    categories = ("Triage", "Treatment Plan", "Disease Inquiry")
    rows = [
        {
            "category": categories[i % 3],
            "input": f"请回答第{i}题：患者咳嗽{i}天。",
            "output": f"建议就诊呼吸内科，复查第{i}项。",
            "id": str(i),
        }
        for i in range(60)
    ]
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def examples() -> list[Path]:
    """The bundled sources."""
    folder = Path(__file__).parents[2] / "examples"
    return [folder / "encyclopedia.jsonl", folder / "cases.json"]


@pytest.fixture(scope="session")
def small_sources(examples: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A dozen entries and six cases of them, so that a test ends soon."""
    folder = tmp_path_factory.mktemp("sources")
    lines = examples[0].read_text(encoding="utf-8").splitlines()[::4]
    (folder / "entries.jsonl").write_text("\n".join(lines), encoding="utf-8")
    cases = json.loads(examples[1].read_text(encoding="utf-8"))[::5]
    text = json.dumps(cases, ensure_ascii=False)
    (folder / "cases.json").write_text(text, encoding="utf-8")
    return [folder / "entries.jsonl", folder / "cases.json"]
