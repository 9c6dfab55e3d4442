"""What one training is about: what to learn from in which order, and how. Handed to `loop.fit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from wardround.records import Record
from wardround.tuning.data import Example


class Probe(Record, frozen=True, kw_only=True):
    """A held-out question asked at every evaluation: prompt token ids, the user's words in it, the reference answer."""

    id: str
    task: str
    ids: tuple[int, ...]
    prompt: str
    reference: str


class Settings(Record, frozen=True, kw_only=True):
    """How to train. `log_steps` and `eval_steps` count optimiser steps; `accumulate` batches of every process make
    one step.
    `early_stop`: evaluations without a lower held-out loss before it stops, 0 for never. `metrics`: the JSONL file of
    figures; `trackers`: names of others who get them (see `tracking`), and `run` and `facts` what those are told."""

    stage: str
    learning_rate: float
    warmup: float
    weight_decay: float
    clip: float
    accumulate: int
    log_steps: int
    eval_steps: int
    seed: int
    bf16: bool
    save_seconds: float
    gradient_checkpointing: bool = False
    keep_best: bool = False
    early_stop: int = 0
    probe_tokens: int = 96
    machine: bool = False
    metrics: Path | None = None
    trackers: tuple[str, ...] = ()
    run: str = ""
    facts: Mapping[str, str | int | float] = {}


class Objective(Protocol):
    """What a training minimises and measures where that isn't the loss of the next token."""

    def gather(self, batch: Sequence[Example]) -> Mapping[str, Any]:
        """The tensors of a batch."""

    def loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """The loss of a batch so gathered, a scalar tensor."""

    def measure(
        self, model: Any, examples: Sequence[Example], order: Sequence[tuple[int, ...]]
    ) -> dict[str, float]:
        """What the held-out examples give: "eval_loss" and others, of a task as "eval_loss/TASK"; the same in every
        process."""


class Course(Record, frozen=True, kw_only=True):
    """What to train on: `order` holds indices into `examples`, batch by batch; `held_out` likewise one pass.
    `packed`: a batch is one row of samples kept apart. `probes` are asked of the model at each evaluation.
    `objective` None is the loss of the next token."""

    examples: Sequence[Example]
    order: Sequence[tuple[int, ...]]
    held_out_examples: Sequence[Example]
    held_out: Sequence[tuple[int, ...]]
    epochs: int
    pad: int
    packed: bool = False
    probes: Sequence[Probe] = ()
    tokenizer: Any = None
    objective: Objective | None = None
