"""kill -9 at any moment, then the same command: the same weights, bit for bit, and the same artifact digest."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.killed import start
from tests.tuning.outcome import assert_same
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact, sha256_file
from wardround.errors import NotSealedError
from wardround.tuning.sft import TuneOptions, tune

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def whole(dataset: Path, shaky: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run that saved no state."""
    quiet = msgspec.structs.replace(TUNE, save_seconds=1e9)
    return tune(dataset, shaky, tmp_path_factory.mktemp("whole") / "out", quiet).path


def test_dropout_makes_the_run_depend_on_the_random_state(
    dataset: Path, base: Path, shaky: Path, whole: Path, tmp_path: Path
) -> None:
    steady = tune(dataset, base, tmp_path / "out", TUNE).path
    assert sha256_file(steady / "model.safetensors") != sha256_file(whole / "model.safetensors")


def test_killed_again_and_again_ends_with_the_same_weights(
    forks: Any, dataset: Path, shaky: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps = open_artifact(whole).manifest.counts["steps"]
    drawn = sorted(random.SystemRandom().sample(range(2, steps), 2))
    moments = [
        ("step", 1),
        ("step", drawn[0]),
        ("state", drawn[1]),
        ("mark", steps),
        ("weights", 0),
    ]
    print("killed at", moments, file=sys.stderr)  # shown when this fails
    for moment, step in moments:
        assert start(forks, dataset, shaky, out, TUNE, moment, step) == -signal.SIGKILL
        with pytest.raises(NotSealedError):
            open_artifact(out)
    assert list((out / "work").glob("checkpoint-*/COMPLETE")), "nothing to resume from"
    assert start(forks, dataset, shaky, out, TUNE, "never", 0) == 0
    assert_same(out, whole)
    assert open_artifact(out).manifest.sessions == len(moments) + 1


def test_resume_does_only_the_steps_that_are_left(
    forks: Any, dataset: Path, shaky: Path, whole: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from transformers import Trainer

    steps = open_artifact(whole).manifest.counts["steps"]
    out = tmp_path / "out"
    options: TuneOptions = msgspec.structs.replace(TUNE, save_seconds=0.0)
    assert start(forks, dataset, shaky, out, options, "step", steps - 1) == -signal.SIGKILL
    done: list[int] = []
    original = Trainer.training_step

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        done.append(self.state.global_step)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", counted)
    tune(dataset, shaky, out, options)
    # A step's state is saved after the moment it was killed at, so that step is done once more.
    assert done == [steps - 2, steps - 1]
    assert_same(out, whole)
