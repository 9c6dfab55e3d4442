"""Where a training's figures go while it runs: always a JSONL file, on request a tracker through its own library.

`metrics.jsonl` is volatile (it holds times): a line per logged step and per evaluation. A run that goes on after a kill
drops the lines past the state it goes on from, so that every step stands there once. Trackers find their server,
project and key where their libraries look for them, in the environment.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.errors import UsageError
from wardround.records import encode

METRICS = "metrics.jsonl"
TRACKERS = ("tensorboard", "mlflow", "wandb")


def require(names: Sequence[str]) -> None:
    """Raise `UsageError` for a tracker that is none, or whose library is missing."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"--track {name}: unknown", hint=f"one of: {', '.join(TRACKERS)}")
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"--track {name} needs {name}", hint=f"pip install {name}")


def callbacks(names: Sequence[str], folder: Path) -> list[Any]:
    """The trackers as callbacks of the Trainer; TensorBoard writes into `folder`."""
    from transformers import integrations

    found: list[Any] = []
    for name in names:
        if name == "tensorboard":
            from torch.utils.tensorboard import SummaryWriter

            writer = SummaryWriter(log_dir=str(folder))
            found.append(integrations.TensorBoardCallback(writer))
        elif name == "mlflow":
            found.append(integrations.MLflowCallback())
        else:
            found.append(integrations.WandbCallback())
    return found


class Metrics:
    """The file `metrics.jsonl`, appended to line by line. `path` None writes nothing."""

    def __init__(self, path: Path | None, stage: str) -> None:
        self._path = path
        self._stage = stage

    def go_on_after(self, step: int) -> None:
        """Drop what was written past `step`, and a torn last line."""
        if self._path is None or not self._path.exists():
            return
        kept = []
        for line in self._path.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["step"] <= step:
                kept.append(line + b"\n")
        self._path.write_bytes(b"".join(kept))

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """One line: when, which stage and step, the values."""
        if self._path is not None:
            row = {"time": round(time.time(), 3), "stage": self._stage, "step": step, **values}
            with open(self._path, "ab") as f:
                f.write(encode(row) + b"\n")


def peak_memory_mb() -> int:
    """The most memory this process has held, on the GPU where there is one."""
    import resource

    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated() // 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
