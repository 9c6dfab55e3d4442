"""TensorBoard, MLflow and Weights & Biases, each through its own library, with the same names in all three.

Why not the Trainer's own callbacks: they record its 149 arguments and neither data nor base; a training that fails
ends there as one that went well, or not at all; one that goes on after a kill gets another run; and tasks with Chinese
names fall together, as MLflow's replaces every letter beyond ASCII.

Server, project, experiment and key are found where the libraries look for them, in the environment. Nothing heavy is
imported before a tracker is made.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from wardround.records import Record


class Run(Record, frozen=True, kw_only=True):
    """What a tracker is told at the start. `step` is 0, or the step that is gone on after; then `id` is the run it had,
    where known. `folder` is for what is written here; `quiet`: say nothing on stderr."""

    name: str
    facts: Mapping[str, str | int | float]
    folder: Path
    step: int
    id: str | None
    quiet: bool


class Tracker(Protocol):
    """Takes figures as "train/NAME", "eval/NAME" and "eval/NAME/TASK". `id` is its run, for going on after a kill."""

    id: str

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """The figures of one step."""

    def end(self, whole: bool) -> None:
        """The training has ended, `whole` or failed."""


class TensorBoard:
    """Files in the folder; on going on, what was written past the state is hidden."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.id = ""
        self._writer = SummaryWriter(
            log_dir=str(run.folder), purge_step=run.step + 1 if run.step else None
        )
        lines = [f"| {name} | {value} |" for name, value in run.facts.items()]
        self._writer.add_text("facts", "\n".join(["| | |", "|---|---|", *lines]), run.step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, whole: bool) -> None:
        self._writer.close()


class MLflow:
    """A run of the experiment MLFLOW_EXPERIMENT_NAME at MLFLOW_TRACKING_URI; facts are its parameters."""

    def __init__(self, run: Run) -> None:
        mlflow = importlib.import_module("mlflow")
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._mlflow = mlflow
        nested = mlflow.active_run() is not None
        again = self._known(run.id)
        if again:
            found = mlflow.start_run(run_id=again, nested=nested)
        else:
            found = mlflow.start_run(run_name=run.name, nested=nested)
            mlflow.log_params(dict(run.facts))
        self.id: str = found.info.run_id
        self._recorded = self._last_step() if again else 0

    def _known(self, run: str | None) -> str | None:
        if run is None:
            return None
        try:
            status: str = self._mlflow.get_run(run).info.lifecycle_stage
        except self._mlflow.MlflowException:  # another server's
            return None
        return run if status == "active" else None

    def _last_step(self) -> int:
        history = self._mlflow.MlflowClient().get_metric_history(self.id, "train/loss")
        return max((int(m.step) for m in history), default=0)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if step > self._recorded:
            named = {re.sub(r"[^\w\-. :/]", "_", name): v for name, v in values.items()}
            self._mlflow.log_metrics(named, step=step)

    def end(self, whole: bool) -> None:
        self._mlflow.end_run("FINISHED" if whole else "FAILED")


class WandB:
    """A run of WANDB_PROJECT ("wardround"); facts are its config. The console isn't recorded."""

    def __init__(self, run: Run) -> None:
        wandb = importlib.import_module("wandb")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "wardround"),
            name=os.environ.get("WANDB_NAME", run.name), id=run.id,
            resume="allow" if run.id else None, config=dict(run.facts),
            settings=wandb.Settings(console="off", quiet=True, silent=run.quiet),
        )  # fmt: skip
        self.id: str = self._run.id

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self._run.step:  # what it has already can't be written again
            self._run.log(dict(values), step=step)

    def end(self, whole: bool) -> None:
        self._run.finish(exit_code=0 if whole else 1)


KINDS: dict[str, Callable[[Run], Tracker]] = {
    "tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB,
}  # fmt: skip
