"""What a training is about to do, said and written before its first step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from wardround.records import Record
from wardround.tuning import memory
from wardround.tuning.data import Encoded, Example, width
from wardround.tuning.stack import Stack
from wardround.tuning.telling import Teller


class Plan(Record, frozen=True, kw_only=True):
    """The content of `plan.json`. Token counts are of one epoch (their mean where epochs differ); `padded_tokens` is
    what is computed on. `tasks` counts the samples, `sources` the samples an epoch shows of each set. `unmeasured`: the tasks
    without a held-out sample, and of how many documents each is learned.

    `memory_mb` is an estimate, see `memory`.
    """

    stage: str
    samples: int
    held_out_samples: int
    tokens: int
    supervised_tokens: int
    padded_tokens: int
    epochs: int
    steps: int
    batch_tokens: int
    max_tokens: int
    truncated: dict[str, int]
    excluded: int
    parameters: int
    trained_parameters: int
    memory_mb: int
    tasks: dict[str, int]
    sources: dict[str, int] = {}
    unmeasured: dict[str, int] = {}


def make_plan(
    model: Any, encoded: Encoded, order: list[tuple[int, ...]], *, stage: str, held_out: int,
    epochs: int, steps: int, batch_tokens: int, max_tokens: int, here: Stack, accumulate: int = 1,
    packed: bool = False, checkpointing: bool = False, tasks: Iterable[str] = (),
    sources: dict[str, int] | None = None, every_logit: bool = False,
    measured: Iterable[str] | None = None,
) -> Plan:  # fmt: skip
    """The plan of training `model` on `encoded.examples` in `order`. `every_logit`: also those of tokens without loss
    are made. `measured`: the tasks of the held-out samples, None where there are no tasks."""
    examples = encoded.examples
    lengths = [[len(examples[i].ids) for i in b] for b in order]
    padded = [width([sum(b)]) if packed else len(b) * width(b) for b in lengths]
    supervised = [sum(examples[i].supervised for i in b) for b in order]
    load = memory.Load(
        tokens=padded, logits=padded if every_logit else [width([n]) for n in supervised],
        accumulate=accumulate, here=here, checkpointing=checkpointing,
    )  # fmt: skip
    counts = dict.fromkeys(sorted(tasks), 0)
    counts |= dict(sorted(Counter(e.task for e in examples if e.task).items()))
    return Plan(
        stage=stage,
        samples=len(examples),
        held_out_samples=held_out,
        tokens=sum(map(sum, lengths)) // epochs,
        supervised_tokens=sum(supervised) // epochs,
        padded_tokens=sum(padded) // epochs,
        epochs=epochs,
        steps=steps,
        batch_tokens=batch_tokens,
        max_tokens=max_tokens,
        truncated=encoded.truncated,
        excluded=len(encoded.excluded),
        parameters=sum(p.numel() for p in model.parameters()),
        trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        memory_mb=memory.estimate_mb(model, load),
        tasks=counts,
        sources=sources or {},
        unmeasured={} if measured is None else _without(set(measured), counts, examples),
    )


def show(plan: Plan, *, machine: bool = False) -> None:
    """Say the plan on stderr."""
    lines = [
        f"{plan.samples:,} samples (+ {plan.held_out_samples:,} held out), "
        f"{plan.tokens:,} tokens an epoch, {plan.supervised_tokens:,} of them learned from",
        f"{plan.epochs} epochs = {plan.steps:,} steps of up to {plan.batch_tokens:,} tokens; "
        f"{plan.parameters / 1e6:.1f} M parameters; about {plan.memory_mb:,} MB of memory",
    ]
    if plan.trained_parameters != plan.parameters:
        lines.append(f"{plan.trained_parameters / 1e6:.2f} M of the parameters are trained")
    if len(plan.sources) > 1:
        shares = ", ".join(f"{name} {n:,}" for name, n in plan.sources.items())
        lines.append(f"samples an epoch: {shares}")
    empty = [task for task, n in plan.tasks.items() if not n]
    if empty:
        lines.append(f"no sample left to learn from: {', '.join(empty)}")
    lines += _unmeasured(plan)
    if plan.truncated:
        by_task = ", ".join(f"{task} {n}" for task, n in sorted(plan.truncated.items()))
        lines.append(f"cut at {plan.max_tokens} tokens: {by_task}")
    if plan.excluded:
        lines.append(f"{plan.excluded} chats set aside, see excluded.jsonl")
    Teller(plan.stage, machine=machine).say("plan", *lines, plan=msgspec.to_builtins(plan))


def _without(
    measured: set[str], tasks: Iterable[str], examples: Iterable[Example]
) -> dict[str, int]:
    documents = Counter(task for task, _ in {(e.task, e.document) for e in examples})
    return {task: documents[task] for task in tasks if task not in measured}


def _unmeasured(plan: Plan) -> list[str]:
    if not plan.held_out_samples or not plan.unmeasured:
        return []
    tasks = ", ".join(f"{task} (of {n} documents)" for task, n in plan.unmeasured.items())
    return [f"without a held-out sample, so without a held-out loss: {tasks}"]


def split(
    examples: tuple[Example, ...], documents: frozenset[str]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """(to learn from, held out): the examples drawn from `documents` are held out."""
    kept = tuple(e for e in examples if e.document not in documents)
    return kept, tuple(e for e in examples if e.document in documents)
