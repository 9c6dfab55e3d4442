"""Packing without leaks: several samples in one row, each seeing itself alone.

A packed row has no attention mask; each sample's positions start again at 0. Attention that knows what that means
keeps the samples apart: the varlen kernels of FlashAttention do, and so do the block masks transformers builds for
SDPA and eager attention in the models it carries. A model that doesn't would train on other samples' text without
a word, so `check` compares logits of packed samples with those of each alone before anything is trained, and refuses.

On a CPU, and with SDPA, a block mask is dense and costs the square of the row: there length grouping is faster.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from wardround.errors import UsageError
from wardround.tuning import processes
from wardround.tuning.data import IGNORED, Example, width

_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.15, "float16": 0.03}
"""Largest difference of a logit, relative to the largest logit: kernels differ in the order of their sums."""


def collate(batch: Sequence[Example], *, pad: int) -> Mapping[str, Any]:
    """Tensors (1 × `width` of the sum) `input_ids`, `position_ids`, `labels`; what fills the width is a last sample
    of its own. No sample's first token carries loss, since it would be foretold by another sample."""
    import torch

    ids: list[int] = []
    positions: list[int] = []
    labels: list[int] = []
    for example in batch:
        ids += example.ids
        positions += range(len(example.ids))
        labels += [IGNORED, *example.labels()[1:]]
    left = width([len(ids)]) - len(ids)
    ids += [pad] * left
    positions += range(left)
    labels += [IGNORED] * left
    rows = {"input_ids": ids, "position_ids": positions, "labels": labels}
    return {name: torch.tensor([row], dtype=torch.long) for name, row in rows.items()}


def attention() -> str | None:
    """The attention packing wants: FlashAttention where it can be used, else None (the model's own)."""
    import torch
    from transformers.utils import is_flash_attn_2_available

    return (
        "flash_attention_2" if torch.cuda.is_available() and is_flash_attn_2_available() else None
    )


def apart(model: Any, samples: Sequence[Sequence[int]], *, pad: int) -> float:
    """The largest difference between logits of the samples packed and alone, relative to the largest logit."""
    import torch

    examples = [
        Example(id=str(n), task="", document="", ids=array("i", ids), spans=())
        for n, ids in enumerate(samples)
    ]
    row = collate(examples, pad=pad)
    was = model.training
    model.eval()
    with torch.no_grad():
        tensors = {k: v.to(model.device) for k, v in row.items() if k != "labels"}
        packed = model(**tensors).logits[0].float()
        worst, start, largest = 0.0, 0, 1e-9
        for ids in samples:
            one = torch.tensor([list(ids)], device=model.device)
            alone = model(input_ids=one).logits[0].float()
            worst = max(worst, float((packed[start : start + len(ids)] - alone).abs().max()))
            largest = max(largest, float(alone.abs().max()))
            start += len(ids)
    model.train(was)
    return worst / largest


def check(model: Any, *, pad: int) -> None:
    """Make `model` ready for packed rows; raise `UsageError` when its attention lets samples see one another."""
    # With a cache transformers takes a row for one text that goes on, and builds no block mask.
    model.config.use_cache = False
    if not processes.leads():  # one is enough, and only the first surely has the weights
        return
    vocabulary = int(model.get_input_embeddings().num_embeddings)
    samples = [[(7 * n + 3 * k * k + k) % vocabulary for k in range(9 + 4 * n)] for n in range(3)]
    dtype = str(model.dtype).removeprefix("torch.")
    found = apart(model, samples, pad=pad)
    if not found <= _TOLERANCE.get(dtype, 1e-3):
        raise UsageError(
            f"--packing: this model's attention lets packed samples see one another (logits differ by {found:.1%})",
            hint="leave --packing out: batches are then grouped by length, which leaks nothing",
        )
