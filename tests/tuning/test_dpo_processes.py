"""`prefer` in several processes: the reference taken together, the steps and figures of one process, exact resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning import killed, several
from tests.tuning.judged import PREFER, judgements, write
from tests.tuning.outcome import assert_near, assert_same, rows
from wardround.artifact import open_artifact
from wardround.errors import NotSealedError
from wardround.tuning.dpo import prefer

pytestmark = pytest.mark.torch
pytest.importorskip("accelerate")

# 7 batches a pass: neither they nor the held-out ones divide by two processes.
SHORT = msgspec.structs.replace(PREFER, epochs=3, batch_tokens=256, log_steps=2)
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def alone(judged: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process with the global batch of two."""
    options = msgspec.structs.replace(SHORT, accumulate=2)
    return prefer(judged, base, tmp_path_factory.mktemp("alone") / "out", options).path


def test_two_processes_equal_one_with_the_same_global_batch(
    forks: Any, judged: Path, base: Path, alone: Path, tmp_path: Path
) -> None:
    out, errors = tmp_path / "out", tmp_path / "errors"
    args = (judged, base, out, SHORT, "never", 0)
    assert several.start(forks, errors, killed.run, [args] * 2) == [0, 0]
    assert_near(out, alone)
    assert [r["measures"] for r in rows(out) if "measures" in r]
    config = open_artifact(out).manifest.config
    assert (config["processes"], config["sharding"]) == (2, "ddp")
    assert open_artifact(out).manifest.counts == open_artifact(alone).manifest.counts


def test_weights_spread_by_fsdp_equal_one_process(
    forks: Any, judged: Path, base: Path, alone: Path, tmp_path: Path
) -> None:
    out, errors = tmp_path / "out", tmp_path / "errors"
    args = (judged, base, out, SHORT, "never", 0)
    codes = several.start(forks, errors, killed.run, [args] * 2, **several.FSDP)
    assert codes == [0, 0]
    assert_near(out, alone)


def test_killed_with_all_processes_ends_with_the_same_weights(
    forks: Any, judged: Path, shaky: Path, tmp_path: Path
) -> None:
    whole, out, errors = tmp_path / "whole", tmp_path / "out", tmp_path / "errors"
    args = (judged, shaky, out, SHORT)
    quiet = msgspec.structs.replace(SHORT, save_seconds=1e9)
    given = (judged, shaky, whole, quiet, "never", 0)
    assert several.start(forks, errors, killed.run, [given] * 2) == [0, 0]
    assert several.start(forks, errors, killed.run, [(*args, "step", 1)] * 2) == [KILLED] * 2
    reference = (out / "work" / "reference.json").read_bytes()
    assert len(json.loads(reference)) == 2 * 2 * 8
    codes = several.start(
        forks, errors, killed.run, [(*args, "never", 0), (*args, "step", 3)]
    )  # fmt: skip
    assert codes == [1, KILLED]
    assert "another process of this training has ended" in (errors / "0").read_text()
    assert (out / "work" / "reference.json").read_bytes() == reference
    with pytest.raises(NotSealedError):
        open_artifact(out)
    assert several.start(forks, errors, killed.run, [(*args, "never", 0)] * 2) == [0, 0]
    assert_same(out, whole)
    assert open_artifact(out).manifest.sessions == 3


def test_the_command_under_torchrun_speaks_once(judged: Path, base: Path, tmp_path: Path) -> None:
    def launched(file: Path, out: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
             "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
             "-m", "wardround.cli", "prefer", file, "--base", base, "--out", out, "--json",
             "--accept-unchecked", "--precision", "fp32", "--threads", "1"],
            env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
            timeout=180, check=False,
        )  # fmt: skip

    run = launched(judged, tmp_path / "out")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["ok"]  # one line, of one process
    events = [json.loads(x)["event"] for x in run.stderr.splitlines() if x.startswith("{")]
    assert (events.count("pairs"), events.count("plan")) == (1, 1)
    bad = write(tmp_path / "bad.jsonl", [*judgements(), {"prompt": []}])
    run = launched(bad, tmp_path / "other")
    assert run.returncode != 0
    assert run.stdout.count('"ok": false') == 1
