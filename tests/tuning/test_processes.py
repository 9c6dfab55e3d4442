"""Several processes train as one does: the same steps, exact resume, one that writes, and no one left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import msgspec
import pytest

from tests.tuning import killed, several
from tests.tuning.outcome import assert_near, assert_same, rows, weights_apart
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact
from wardround.errors import NotSealedError
from wardround.tuning import processes
from wardround.tuning.sft import tune

pytestmark = pytest.mark.torch
pytest.importorskip("accelerate")

SHORT = msgspec.structs.replace(TUNE, epochs=1, batch_tokens=256, log_steps=2)
KILLED = -signal.SIGKILL


@pytest.fixture(scope="module")
def alone(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One process with the global batch of two."""
    options = msgspec.structs.replace(SHORT, accumulate=2)
    return tune(dataset, base, tmp_path_factory.mktemp("alone") / "out", options).path


def test_torchrun_equals_one_process_with_the_same_global_batch(
    dataset: Path, base: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    o = SHORT
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
         "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0",
         "-m", "wardround.cli", "tune", dataset, "--base", base, "--out", out, "--json",
         "--epochs", str(o.epochs), "--learning-rate", str(o.learning_rate),
         "--batch-tokens", str(o.batch_tokens), "--max-tokens", str(o.max_tokens),
         "--held-out-share", str(o.held_out_share), "--evaluations", str(o.evaluations),
         "--precision", "fp32", "--threads", "1", "--save-seconds", "0"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=180,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)  # one line, of one process
    assert said["ok"]
    events = [json.loads(x) for x in run.stderr.splitlines() if x.startswith('{"event"')]
    assert [e["event"] for e in events].count("plan") == 1
    config = open_artifact(out).manifest.config
    assert (config["processes"], config["sharding"]) == (2, "ddp")
    assert "processes" not in open_artifact(alone).manifest.config
    (logged,) = [r for r in rows(out) if "loss" in r]  # the mean over all steps
    each = [r["loss"] for r in rows(alone) if "loss" in r]
    assert logged["loss"] == pytest.approx(mean(each), abs=1e-5)
    steps = [r["step"] for r in rows(alone) if "loss" in r]
    assert [r["step"] for r in rows(out, "metrics.jsonl") if "loss" in r] == steps[-1:]
    assert_near(out, alone, only="eval_loss")


def test_killed_with_all_processes_ends_with_the_same_weights(
    forks: Any, dataset: Path, shaky: Path, tmp_path: Path
) -> None:
    whole, out, errors = tmp_path / "whole", tmp_path / "out", tmp_path / "errors"
    args = (dataset, shaky, out, SHORT)
    quiet = msgspec.structs.replace(SHORT, save_seconds=1e9)
    given = (dataset, shaky, whole, quiet, "never", 0)
    assert several.start(forks, errors, killed.run, [given] * 2) == [0, 0]
    assert several.start(forks, errors, killed.run, [(*args, "step", 3)] * 2) == [KILLED] * 2
    with pytest.raises(NotSealedError):
        open_artifact(out)
    # While the first process writes the model it dies; the other waits for it, and says what happened.
    codes = several.start(forks, errors, killed.run, [(*args, "weights", 0)] * 2)
    assert codes == [KILLED, 1]
    assert "another process of this training has ended" in (errors / "1").read_text()
    assert several.start(forks, errors, killed.run, [(*args, "never", 0)] * 2) == [0, 0]
    assert_same(out, whole)
    assert open_artifact(out).manifest.sessions == 3


def test_weights_spread_by_fsdp_equal_one_process(
    forks: Any, dataset: Path, base: Path, alone: Path, tmp_path: Path
) -> None:
    out, errors = tmp_path / "out", tmp_path / "errors"
    args = (dataset, base, out, SHORT, "never", 0)
    assert several.start(forks, errors, killed.run, [args] * 2, **several.FSDP) == [0, 0]
    assert_near(out, alone)
    config = json.loads((out / "config.json").read_bytes())
    assert config == json.loads((alone / "config.json").read_bytes())


def test_weights_spread_by_fsdp_killed_end_the_same(
    forks: Any, dataset: Path, shaky: Path, tmp_path: Path
) -> None:
    whole, out, errors = tmp_path / "whole", tmp_path / "out", tmp_path / "errors"
    quiet = msgspec.structs.replace(SHORT, save_seconds=1e9)
    given = (dataset, shaky, whole, quiet, "never", 0)
    assert several.start(forks, errors, killed.run, [given] * 2, **several.FSDP) == [0, 0]
    args = (dataset, shaky, out, SHORT)
    # The first process dies before it declares a state whole: the one before it is gone on from.
    codes = several.start(forks, errors, killed.run, [(*args, "mark", 4)] * 2, **several.FSDP)
    assert codes == [KILLED, 1]
    assert list((out / "work").glob("checkpoint-2/pytorch_model_fsdp_0")), "nothing was sharded"
    assert several.start(forks, errors, killed.run, [(*args, "never", 0)] * 2, **several.FSDP) == [
        0,
        0,
    ]
    assert open_artifact(out).manifest.config["sharding_settings"]["FSDP_VERSION"] == "2"
    assert open_artifact(out).manifest.digest == open_artifact(whole).manifest.digest


def test_a_process_that_dies_ends_the_other_with_an_error(
    forks: Any, dataset: Path, base: Path, tmp_path: Path
) -> None:
    errors = tmp_path / "errors"
    args = (dataset, base, tmp_path / "out", SHORT)
    codes = several.start(
        forks, errors, killed.run, [(*args, "never", 0), (*args, "step", 2)]
    )  # fmt: skip
    assert codes == [1, KILLED]
    said = (errors / "0").read_text()
    assert "another process of this training has ended" in said
    assert "run the same command again" in said


def test_an_error_of_one_is_raised_in_all_and_said_by_one(
    forks: Any, dataset: Path, base: Path, tmp_path: Path
) -> None:
    errors, out = tmp_path / "errors", tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    args = (dataset, base, out, SHORT, "never", 0)
    assert several.start(forks, errors, killed.run, [args] * 2) == [2, 2]
    assert (errors / "0").read_text().startswith("UsageError")
    assert (errors / "1").read_text().startswith("SaidElsewhereError")
    # Other options in one of the processes, as from another node's script.
    other = (dataset, base, tmp_path / "new", msgspec.structs.replace(SHORT, seed=1), "never", 0)
    mine = (dataset, base, tmp_path / "new", SHORT, "never", 0)
    assert several.start(forks, errors, killed.run, [mine, other]) == [1, 1]
    assert (errors / "0").read_text().startswith("SaidElsewhereError")
    assert "configuration isn't the first process's" in (errors / "1").read_text()


@pytest.mark.parametrize("batches", [7, 5])
def test_an_objectives_mean_weighs_the_same_where_the_last_step_is_short(
    forks: Any, base: Path, tmp_path: Path, batches: int
) -> None:
    alone, out = tmp_path / "alone", tmp_path / "out"
    several.fit_objective(base, alone, batches, 4)
    args = (base, out, batches, 2)
    assert several.start(forks, tmp_path / "errors", several.fit_objective, [args] * 2) == [0, 0]
    assert weights_apart(out, alone) < 1e-6


def test_a_launchers_signal_ends_in_words(forks: Any, tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    assert several.start(forks, errors, several.ended_by_launcher, [()]) == [1]
    assert "stopped by its launcher" in (errors / "0").read_text()


def test_what_a_launch_adds_to_the_configuration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert processes.settings() == {}
    for name, value in several.environment(0, 1, count=4).items():
        monkeypatch.setenv(name, value)
    assert processes.settings() == {"processes": 4, "sharding": "ddp"}
    config = tmp_path / "zero.json"
    config.write_text("{}")
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_CONFIG_FILE", str(config))
    first = processes.settings()
    config.write_text('{"zero_optimization": {"stage": 2}}')
    assert first["sharding"] == "deepspeed"
    assert processes.settings() != first, "another DeepSpeed configuration is another training"


def test_sharding_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from wardround.errors import UsageError

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="shards over GPUs only"):
        processes.refuse()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(UsageError, match="version 1"):
        processes.refuse()


def test_what_is_not_made_for_several_processes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from wardround.errors import UsageError

    for name, value in several.environment(0, 1).items():
        monkeypatch.setenv(name, value)
    with (
        pytest.raises(UsageError, match="can't be done by several processes"),
        processes.lockstep(),
    ):
        pass
