"""The loss of direct preference optimisation, flat: no second model in memory, no reference pass while training.

Of each answer only the sum of its tokens' log-probabilities matters. The reference's (the base's, before the first
step) are computed once, by several processes together. A pair's reward is β · (now − reference) for either answer, its loss −log σ(chosen's
reward − rejected's): Rafailov et al. 2023, arXiv 2305.18290, eq. 7, the "sigmoid" loss of TRL.

Batches hold examples in twos, chosen then rejected. This module imports the tuning stack at its top.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch.nn.functional import cross_entropy, logsigmoid

from wardround.artifact import write_atomically
from wardround.errors import WardroundError
from wardround.records import decode, encode
from wardround.tuning import processes
from wardround.tuning.data import IGNORED, Example, collate

_NAMED = 8


def answer_log_probs(model: Any, tensors: Mapping[str, Any]) -> torch.Tensor:
    """Of each row, the sum of its labelled tokens' log-probabilities (rows), in float32. Logits are computed from the
    first answer of the batch on: of the prompts nobody needs them."""
    labels = tensors["labels"]
    first = int((labels != IGNORED).any(0).nonzero()[0])
    logits = model(
        input_ids=tensors["input_ids"], attention_mask=tensors["attention_mask"], use_cache=False,
        logits_to_keep=labels.shape[1] - first + 1,
    ).logits[:, :-1]  # fmt: skip
    target = labels[:, first:]
    counted = target != IGNORED
    each = cross_entropy(logits[counted].float(), target[counted], reduction="none")
    rows = counted.nonzero()[:, 0]
    return -torch.zeros(len(labels), device=each.device).index_add(0, rows, each)


def pair_losses(log_probs: torch.Tensor, reference: torch.Tensor, beta: float) -> torch.Tensor:
    """The loss of each pair (rows / 2)."""
    rewards = beta * (log_probs - reference)
    return -logsigmoid(rewards[0::2] - rewards[1::2])


@torch.no_grad()  # type: ignore[untyped-decorator]
def reference_log_probs(
    model: Any, examples: Sequence[Example], order: Sequence[tuple[int, ...]], *, pad: int,
    device: str, bf16: bool, kept: Path,
) -> dict[str, float]:  # fmt: skip
    """`answer_log_probs` of every example under its id, as `model` gives them now; each in the company of `order`.
    They are kept in the file `kept`, so that a run that goes on has the very same.

    Several processes share the batches. With FSDP only the first one is sure to have the weights yet: it works alone."""
    leads = processes.leads()
    known = decode(kept.read_bytes(), dict[str, float]) if leads and kept.is_file() else None
    known = processes.told(known)
    if known is not None:
        return known

    def of(batch: Sequence[int]) -> list[float]:
        tensors = {
            k: v.to(model.device) for k, v in collate([examples[i] for i in batch], pad=pad).items()
        }
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
            sums: list[float] = answer_log_probs(model, tensors).tolist()
        return sums

    if processes.sharding() != "fsdp":
        model.to(device).eval()
        sums = processes.dealt(order, of)
    else:
        if leads:
            model.to(device).eval()
        sums = processes.told([of(batch) for batch in order] if leads else [])
    model.train()
    found = {examples[i].id: v for b, values in zip(order, sums, strict=True)
             for i, v in zip(b, values, strict=True)}  # fmt: skip
    bad = sorted(k for k, v in found.items() if not -float("inf") < v <= 0)
    if bad:
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise WardroundError(
            f"dpo: the base gives {', '.join(bad[:_NAMED])}{more} no log-probability",
            hint="look at the base's weights: its own loss on these answers is no number",
        )
    if leads:
        write_atomically(kept, encode(found))
    return found


class PreferenceObjective(msgspec.Struct, frozen=True):
    """What `loop.fit` minimises and measures instead of the next token's loss (`course.Objective`)."""

    reference: Mapping[str, float]
    beta: float
    pad: int

    def gather(self, batch: Sequence[Example]) -> Mapping[str, Any]:
        """`data.collate`, and each row's reference log-probability."""
        reference = torch.tensor([self.reference[e.id] for e in batch], dtype=torch.float32)
        return {**collate(batch, pad=self.pad), "reference": reference}

    def loss(self, model: Any, inputs: Mapping[str, Any]) -> torch.Tensor:
        """Mean over the batch's pairs."""
        found = answer_log_probs(model, inputs)
        return pair_losses(found, inputs["reference"], self.beta).mean()

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def measure(
        self, model: Any, examples: Sequence[Example], order: Sequence[tuple[int, ...]]
    ) -> dict[str, float]:
        """Of all held-out pairs and of each kind: mean loss; accuracy, the share whose chosen answer has gained on the
        rejected one; mean margin between their rewards; mean reward of either; number of pairs."""
        model.eval()

        def of(batch: Sequence[int]) -> list[tuple[float, float, float]]:
            mine = [examples[i] for i in batch]
            tensors = {k: v.to(model.device) for k, v in self.gather(mine).items()}
            found, reference = answer_log_probs(model, tensors), tensors["reference"]
            rewards = (self.beta * (found - reference)).tolist()
            losses = pair_losses(found, reference, self.beta).tolist()
            return list(zip(losses, rewards[0::2], rewards[1::2], strict=True))

        sums: defaultdict[str, float] = defaultdict(float)
        for batch, found in zip(order, processes.dealt(order, of), strict=True):
            for i, (loss, won, lost) in zip(batch[0::2], found, strict=True):
                values = {
                    "loss": loss, "accuracy": float(won > lost), "margin": won - lost,
                    "chosen": won, "rejected": lost, "pairs": 1.0,
                }  # fmt: skip
                for name, value in values.items():
                    sums[f"eval_{name}"] += value
                    sums[f"eval_{name}/{examples[i].task}"] += value
        model.train()
        count = {k.partition("/")[2]: n for k, n in sums.items() if k.startswith("eval_pairs")}
        return {
            k: v if k.startswith("eval_pairs") else v / count[k.partition("/")[2]]
            for k, v in sorted(sums.items())
        }
