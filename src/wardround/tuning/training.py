"""What `tune` and `prefer` have in common besides the loop: options and what they must hold, what the loop is told of
them, and what is written at the end. What differs stands in the two scripts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.artifact import InputRef, Workspace
from wardround.errors import UsageError
from wardround.records import Exclusion, Record
from wardround.tuning import adapters, stack, weights
from wardround.tuning.course import Settings
from wardround.tuning.plan import Plan

if TYPE_CHECKING:
    from wardround.tuning.loop import Fitted

_POSITIVE = ("accumulate", "evaluations", "log_steps", "threads", "learning_rate", "lora_alpha",
             "probe_tokens")  # fmt: skip
_SHARES = ("held_out_share", "warmup", "lora_dropout")
_COUNTS = ("lora_rank", "early_stop", "probes")


class TrainingOptions(Record, frozen=True, kw_only=True):
    """How to train, whatever the loss. `accumulate` batches of every process make one step. `held_out_share`: the share
    of the training documents (or prompts) whose loss is taken and not learned from; `evaluations`: how often. `warmup`:
    share of the steps. `precision` and `threads`: see `stack.set_up`.

    `lora_rank` 0 trains all weights; `lora_alpha` None is twice the rank; `adapter`: whether it ends up merged.
    `early_stop`: evaluations without a lower held-out loss until it stops, 0 for never. `probes`: held-out questions
    a task that are asked at each evaluation.

    Without influence on the result: `save_seconds`, least time between two saved states (0: after every logged
    step); `track`, names of trackers; `held_out`, files of digests; `accept_unchecked`; `machine`: JSON lines.
    """

    learning_rate: float | None = None
    threads: int | None = None
    accumulate: int = 1
    held_out_share: float = 0.05
    evaluations: int = 5
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    log_steps: int = 10
    seed: int = 0
    precision: stack.Precision = "auto"
    lora_rank: int = 0
    lora_alpha: float | None = None
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = (adapters.ALL_LINEAR,)
    adapter: adapters.Kept = "merged"
    gradient_checkpointing: bool = False
    early_stop: int = 0
    probes: int = 0
    probe_tokens: int = 96
    save_seconds: float = 20.0
    track: tuple[str, ...] = ()
    held_out: tuple[Path, ...] = ()
    accept_unchecked: bool = False
    machine: bool = False


def check(
    options: TrainingOptions, *, positive: Iterable[str] = (), shares: Iterable[str] = ()
) -> None:
    """Raise `UsageError` for a value without sense; `positive` and `shares` name options beyond the shared ones. None is
    always allowed."""
    for name in (*_POSITIVE, *positive):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise UsageError(f"{_flag(name)} {value}: must be above 0", hint="raise it")
    for name in _COUNTS:
        if getattr(options, name) < 0:
            raise UsageError(f"{_flag(name)} {getattr(options, name)}: must be 0 or more")
    for name in (*_SHARES, *shares):
        if not 0 <= getattr(options, name) < 1:
            raise UsageError(
                f"{_flag(name)} {getattr(options, name)}: must be a share", hint="0 to below 1"
            )
    if (options.early_stop or options.probes) and not options.held_out_share:
        raise UsageError(
            "--early-stop and --probes need something held out", hint="raise --held-out-share"
        )
    if not options.lora_targets:
        raise UsageError("--lora-targets: names nothing", hint=adapters.ALL_LINEAR)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def lora(options: TrainingOptions) -> adapters.Lora | None:
    """The adapters asked for, None for whole weights."""
    rank = options.lora_rank
    if not rank:
        return None
    alpha = 2.0 * rank if options.lora_alpha is None else options.lora_alpha
    return adapters.Lora(
        rank=rank, alpha=alpha, dropout=options.lora_dropout, targets=options.lora_targets
    )


def settings(
    stage: str, options: TrainingOptions, *, learning_rate: float, steps: int, bf16: bool,
    metrics: Path, run: str, facts: Mapping[str, str | int | float],
) -> Settings:  # fmt: skip
    """What `loop.fit` is told of the options. `run` and `facts` are for trackers."""
    return Settings(
        stage=stage, learning_rate=learning_rate, warmup=options.warmup,
        weight_decay=options.weight_decay, clip=options.clip, accumulate=options.accumulate,
        log_steps=options.log_steps, eval_steps=math.ceil(steps / options.evaluations),
        seed=options.seed, bf16=bf16, save_seconds=options.save_seconds,
        gradient_checkpointing=options.gradient_checkpointing, keep_best=True,
        early_stop=options.early_stop, probe_tokens=options.probe_tokens,
        machine=options.machine, metrics=metrics, trackers=options.track, run=run, facts=facts,
    )  # fmt: skip


def facts(
    config: Mapping[str, Any], inputs: Iterable[InputRef], plan: Plan
) -> dict[str, str | int | float]:
    """What a tracker is told of a training: its configuration, the digests of data and base, its size. No path."""
    told: dict[str, str | int | float] = {}
    for name, value in sorted(config.items()):
        if isinstance(value, (str, int, float)):
            told[name] = value
        elif isinstance(value, (list, tuple)):
            told[name] = ",".join(map(str, value))
    digests: dict[str, list[str]] = {}
    for ref in inputs:
        digests.setdefault(f"{ref.role}_digest", []).append(ref.digest)
    told |= {name: ",".join(found) for name, found in digests.items()}
    for name in ("samples", "tokens", "supervised_tokens", "steps", "parameters"):
        told[name] = getattr(plan, name)
    return told


def write(
    ws: Workspace, model: Any, tokenizer: Any, fitted: Fitted, options: TrainingOptions, *,
    base: Path, dtype: Any, excluded: Iterable[Exclusion],
) -> None:  # fmt: skip
    """Write the weights, the log, the sample answers and what was set aside. `model` is used up."""
    weights.write(
        ws.path, model, tokenizer, dtype=dtype, best=fitted.best,
        best_on_top=options.early_stop > 0, adapter=options.adapter,
        base=os.path.relpath(base.resolve(), ws.path.resolve()),
    )  # fmt: skip
    for path in (*ws.path.glob(adapters.CONFIG), *ws.path.glob(f"*/{adapters.CONFIG}")):
        ws.volatile(str(path.relative_to(ws.path)))  # it names the base's path
    ws.write_jsonl("training_log.jsonl", fitted.rows)
    ws.write_jsonl("excluded.jsonl", excluded)
    if fitted.answers:
        ws.write_jsonl(weights.STRIP, fitted.answers)


def counts(plan: Plan, fitted: Fitted) -> dict[str, int]:
    """The manifest's counts of what every training has."""
    return {
        "tokens": plan.tokens, "supervised_tokens": plan.supervised_tokens,
        "excluded": plan.excluded, "steps": plan.steps, "parameters": plan.parameters,
        "trained_parameters": plan.trained_parameters, "last_step": fitted.step,
        "best_step": fitted.best_step,
    }  # fmt: skip
