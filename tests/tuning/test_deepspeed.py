"""DeepSpeed's ZeRO through accelerate: what is refused beforehand, and on CPUs the losses and weights of one process."""

from __future__ import annotations

import importlib.util
import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning import killed, several
from tests.tuning.judged import PREFER
from tests.tuning.outcome import assert_near, assert_same
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact
from wardround.errors import UsageError
from wardround.tuning import processes
from wardround.tuning.dpo import prefer
from wardround.tuning.sft import tune

pytestmark = pytest.mark.torch
pytest.importorskip("accelerate")

SHORT = msgspec.structs.replace(TUNE, epochs=1, batch_tokens=256, log_steps=2, probes=1,
                                probe_tokens=4)  # fmt: skip
AUTO = ("train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps",
        "gradient_clipping")  # fmt: skip
needed = pytest.mark.skipif(not importlib.util.find_spec("deepspeed"), reason="needs deepspeed")


def launch(folder: Path, zero: dict[str, Any]) -> dict[str, str]:
    """What `accelerate launch` puts into the environment for a DeepSpeed file."""
    file = folder / "zero.json"
    file.write_text(json.dumps({"zero_optimization": zero, **dict.fromkeys(AUTO, "auto")}))
    return {
        "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_CONFIG_FILE": str(file),
        "ACCELERATE_DEEPSPEED_ZERO3_INIT": "false",
        "ACCELERATE_CONFIG_DS_FIELDS": "deepspeed_config_file,zero3_init_flag",
    }  # fmt: skip


def zero(stage: int) -> dict[str, Any]:
    return {"stage": stage} | (
        # No parameter of these tiny models would be spread otherwise.
        {"stage3_gather_16bit_weights_on_model_save": True, "stage3_param_persistence_threshold": 0}
        if stage == 3 else {}
    )  # fmt: skip


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: find("json" if name == "deepspeed" else name, *more)
    )  # fmt: skip


@pytest.mark.usefixtures("installed")
def test_what_accelerate_does_not_take_is_said_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in launch(tmp_path, {"stage": 2}).items():
        monkeypatch.setenv(name, value)
    processes.refuse()
    monkeypatch.setenv("ACCELERATE_CONFIG_DS_FIELDS", "deepspeed_config_file,mixed_precision")
    with pytest.raises(UsageError, match="accelerate doesn't take this configuration"):
        processes.refuse()
    for name, value in launch(tmp_path, {"stage": 3}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="no weights to write at the end"):
        processes.refuse()
    for name, value in launch(tmp_path, zero(3)).items():
        monkeypatch.setenv(name, value)
    processes.refuse()


def test_without_deepspeed_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None)
    with pytest.raises(UsageError, match="not installed"):
        processes.refuse()


@needed
@pytest.mark.parametrize("stage", [2, 3])
def test_zero_equals_one_process(
    forks: Any, dataset: Path, judged: Path, base: Path, tmp_path: Path, stage: int
) -> None:
    env, errors = launch(tmp_path, zero(stage)), tmp_path / "errors"
    alone = tune(dataset, base, tmp_path / "a", msgspec.structs.replace(SHORT, accumulate=2)).path
    args = (dataset, base, tmp_path / "out", SHORT, "never", 0)
    assert several.start(forks, errors, killed.run, [args] * 2, **env) == [0, 0]
    assert_near(tmp_path / "out", alone)
    config = open_artifact(tmp_path / "out").manifest.config
    assert config["sharding"] == "deepspeed"

    short = msgspec.structs.replace(PREFER, epochs=1)
    alone = prefer(judged, base, tmp_path / "p", msgspec.structs.replace(short, accumulate=2)).path
    given = (judged, base, tmp_path / "preferred", short, "never", 0)
    assert several.start(forks, errors, killed.run, [given] * 2, **env) == [0, 0]
    assert_near(tmp_path / "preferred", alone)


@needed
@pytest.mark.parametrize("stage", [2, 3])
def test_killed_under_zero_ends_with_the_same_weights(
    forks: Any, dataset: Path, shaky: Path, tmp_path: Path, stage: int
) -> None:
    env, errors = launch(tmp_path, zero(stage)), tmp_path / "errors"
    whole, out = tmp_path / "whole", tmp_path / "out"
    quiet = msgspec.structs.replace(SHORT, save_seconds=1e9)
    given = (dataset, shaky, whole, quiet, "never", 0)
    assert several.start(forks, errors, killed.run, [given] * 2, **env) == [0, 0]
    args = (dataset, shaky, out, SHORT)
    codes = several.start(forks, errors, killed.run, [(*args, "step", 3)] * 2, **env)
    assert codes == [-signal.SIGKILL] * 2
    assert several.start(forks, errors, killed.run, [(*args, "never", 0)] * 2, **env) == [0, 0]
    assert_same(out, whole)
    assert open_artifact(out).manifest.sessions == 2


@needed
def test_values_that_are_the_trainings_are_refused_in_words(
    forks: Any, dataset: Path, base: Path, tmp_path: Path
) -> None:
    env, errors = launch(tmp_path, zero(2)), tmp_path / "errors"
    file = tmp_path / "zero.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"gradient_clipping": 0.5}))
    args = (dataset, base, tmp_path / "out", SHORT, "never", 0)
    assert several.start(forks, errors, killed.run, [args] * 2, **env) == [2, 2]
    said = (errors / "0").read_text()
    assert said.startswith("UsageError") and "gradient_clipping=0.5" in said
