"""What is measured while training: held-out loss by task, and what the model says to a fixed handful of questions.

Neither draws a random number, so a training is the same with them and without. This module imports the tuning
stack at its top.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from wardround.tuning import head, processes
from wardround.tuning.course import Probe
from wardround.tuning.data import IGNORED, Example, collate
from wardround.tuning.model_dir import context_in


@torch.no_grad()  # type: ignore[untyped-decorator]
def losses(
    model: Any, examples: Sequence[Example], order: Sequence[tuple[int, ...]], *, pad: int
) -> dict[str, float]:
    """Mean loss per supervised token, in nats: of all examples under "", and of each task that has a name. Several
    processes share the batches, and all get the same; summed in the order of one process."""
    model.eval()
    selection = head.Selection(model) if head.applies(model) else None
    by_batch = processes.dealt(
        order, lambda b: _row_losses(model, examples, b, pad=pad, selection=selection)
    )
    if selection:
        selection.remove()
    totals: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for batch, found in zip(order, by_batch, strict=True):
        mine = [examples[i] for i in batch]
        for example, loss in zip(mine, found, strict=True):
            for task in {"", example.task}:
                totals[task][0] += loss
                totals[task][1] += example.supervised
    model.train()
    return {task: total / count for task, (total, count) in sorted(totals.items()) if count}


def _row_losses(
    model: Any, examples: Sequence[Example], batch: Sequence[int], *, pad: int,
    selection: head.Selection | None,
) -> list[float]:  # fmt: skip
    """The summed loss of each example of a batch."""
    mine = [examples[i] for i in batch]
    tensors = {k: v.to(model.device) for k, v in collate(mine, pad=pad).items()}
    labels = tensors.pop("labels")
    with selection.of(labels) if selection else contextlib.nullcontext():
        found = model(**tensors, use_cache=False).logits
    logits, target, row = head.aligned(found, labels)
    each = cross_entropy(logits.float(), target, ignore_index=IGNORED, reduction="none")
    summed: list[float] = (
        torch.zeros(len(mine), device=each.device).index_add_(0, row.to(each.device), each).tolist()
    )
    return summed


def probes(examples: Sequence[Example], tokenizer: Any, *, per_task: int) -> tuple[Probe, ...]:
    """The first turns of `per_task` examples of each task, picked by the digest of their ids. What is shown of a
    question are the words asked; the model gets them in its template."""
    by_task: defaultdict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: hashlib.sha256(e.id.encode()).digest()):
        if len(by_task[example.task]) < per_task:
            by_task[example.task].append(example)
    return tuple(
        Probe(
            id=e.id, task=task, ids=tuple(e.ids[:start]),
            prompt=dict(e.asked).get(start, ""),
            reference=tokenizer.decode(list(e.ids[start:end]), skip_special_tokens=True),
        )
        for task in sorted(by_task)
        for e in by_task[task]
        for start, end in e.spans[:1]
    )  # fmt: skip


@torch.no_grad()  # type: ignore[untyped-decorator]
def answers(
    model: Any, tokenizer: Any, asked: Sequence[Probe], *, most: int
) -> list[dict[str, str]]:
    """What the model says to each probe now, greedily, at most `most` tokens: {"id", "text"}."""
    model.eval()
    said = []
    context = context_in(model.config) or sys.maxsize
    for probe in asked:
        prompt = torch.tensor([probe.ids], device=model.device)
        room = min(most, context - prompt.shape[1])
        if room < 1:  # nothing fits behind the question
            said.append({"id": probe.id, "text": ""})
            continue
        out = model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
            max_new_tokens=room, use_cache=True, pad_token_id=tokenizer.pad_token_id or 0,
        )  # fmt: skip
        text = tokenizer.decode(out[0, prompt.shape[1] :].tolist(), skip_special_tokens=True)
        said.append({"id": probe.id, "text": str(text)})
    model.train()
    return said
