"""Where a training's figures go while it runs: always a JSONL file, on request a tracker through its own library.

`metrics.jsonl` is volatile (it holds times): a line per logged step and per evaluation. A run that goes on after a kill
drops the lines past the state it goes on from, so that every step stands there once. Trackers (`trackers`) go on in
the run they had. One that no longer answers is left behind with a word, and never ends a training.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import write_atomically
from wardround.errors import UsageError, WardroundError
from wardround.records import decode, encode
from wardround.tuning import processes
from wardround.tuning.course import Settings
from wardround.tuning.telling import Teller
from wardround.tuning.trackers import KINDS, Run, Tracker

METRICS = "metrics.jsonl"
_RUNS = "trackers.json"


def require(names: Sequence[str]) -> None:
    """Raise `UsageError` for a tracker that is none, or whose library is missing."""
    for name in names:
        if name not in KINDS:
            raise UsageError(f"--track {name}: unknown", hint=f"one of: {', '.join(KINDS)}")
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"--track {name} needs {name}", hint=f"pip install {name}")


class Figures:
    """All places the figures of one training go to. Of several processes only the first one has any."""

    def __init__(self, settings: Settings, teller: Teller) -> None:
        self._settings = settings
        self._teller = teller
        self._file = Metrics(settings.metrics if processes.leads() else None, settings.stage)
        self._trackers: dict[str, Tracker] = {}

    def begin(self, work: Path, step: int) -> None:
        """The training starts, or goes on after `step`. `work` keeps which runs the trackers have. Raises
        `WardroundError` for a tracker that can't be begun."""
        self._file.go_on_after(step)
        settings = self._settings
        if not (settings.trackers and settings.metrics and processes.leads()):
            return
        kept = work / _RUNS
        known = decode(kept.read_bytes(), dict[str, str]) if step and kept.is_file() else {}
        for name in settings.trackers:
            run = Run(
                name=settings.run, facts=settings.facts, folder=settings.metrics.parent / "runs",
                step=step, id=known.get(name), quiet=settings.machine,
            )  # fmt: skip
            try:
                self._trackers[name] = KINDS[name](run)
            except Exception as e:
                raise WardroundError(
                    f"--track {name}: {_brief(e)}",
                    hint="look at its settings in the environment, or run the command without it",
                ) from e
        work.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, encode({name: t.id for name, t in self._trackers.items()}))

    def add(self, step: int, values: Mapping[str, Any]) -> None:
        """Figures of one step: of training by their names, of an evaluation "eval_NAME" or "eval_NAME/TASK"."""
        self._file.add(step, values)
        named = {_named(k): float(v) for k, v in values.items() if isinstance(v, (int, float))}
        for name, tracker in list(self._trackers.items()):
            try:
                tracker.add(step, named)
            except Exception as e:
                del self._trackers[name]
                self._lost(name, e, step)

    def end(self, *, whole: bool) -> None:
        """The training is at its end, or failed."""
        for name, tracker in self._trackers.items():
            try:
                tracker.end(whole)
            except Exception as e:
                self._lost(name, e, None)
        self._trackers.clear()

    def _lost(self, name: str, error: Exception, step: int | None) -> None:
        where = (
            "its run may look unfinished"
            if step is None
            else f"it has no figures from step {step} on"
        )
        self._teller.say(
            "tracker_lost", f"{name} can't be reached any more ({_brief(error)}); {where}",
            tracker=name, step=step,
        )  # fmt: skip


def _named(key: str) -> str:
    return f"eval/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}"


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


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
