"""How much memory a training will take, guessed before it: a sum of parts, each fitted to measured peaks.

Measured were whole runs on one CPU thread, of ten shapes from 1 M to 110 M parameters (Qwen3's, also with few key heads
and with a wide feed-forward part), fp32 and bf16, batches of 512 to 8,192 tokens: docs/performance.md has both figures.

- Weights in fp32 and, for each trained one, Adam's two moments. Gradients are there when activations no longer are,
  so they count only where they are kept between batches (accumulation).
- Activations by token and layer, in bytes: 12 a hidden unit, 30 a unit of queries and keys (norms, rotation, heads), 15 a
  unit of the feed-forward part; computed in bf16 they are 0.46 of that. With gradient checkpointing a layer's input
  stays, and one layer whole.
- Logits of the supervised tokens (see `head`), with their softmax and gradients.
- In bf16 on a CPU also a copy of the weights, and kernels: oneDNN compiles one for each shape of a matrix product, three
  for each (forward, gradients of input and weight), 0.6 MB each, and keeps up to 1,024 of them. So batches of varying
  length take more than equal ones; fp32 does without.
- The libraries and what they hold from the first step on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from wardround.records import Record
from wardround.tuning.stack import Stack

_MB = 2**20
_LIBRARIES = {False: 550, True: 760}  # by bf16
_ACTIVATIONS = {False: 1.0, True: 0.46}
_LOGIT = {False: 16, True: 8}
_KERNEL_MB = 0.6
_KERNELS_KEPT = 1024


class Load(Record, frozen=True, kw_only=True):
    """What the batches of a training ask for. `tokens`: the padded tokens of each, `logits`: how many of each have theirs
    computed. `accumulate`: batches a step."""

    tokens: Collection[int]
    logits: Collection[int]
    accumulate: int
    here: Stack
    checkpointing: bool


def estimate_mb(model: Any, load: Load) -> int:
    """The peak of a training of `model` under that load, in MB."""
    parameters = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    bf16 = load.here.precision == "bf16"
    weights = 4 * parameters + (8 + 4 * (load.accumulate > 1)) * trained
    if bf16:
        weights += 2 * parameters
    config = model.config.get_text_config()
    logits = max(load.logits) * config.vocab_size * _LOGIT[bf16]
    activations = max(load.tokens) * _activations(config, load.checkpointing) * _ACTIVATIONS[bf16]
    found = _LIBRARIES[bf16] + (weights + activations + logits) / _MB
    if bf16 and load.here.device == "cpu":
        shapes = _products(model) * len(set(load.tokens)) + len(set(load.logits))
        found += _KERNEL_MB * min(_KERNELS_KEPT, 3 * shapes)
    return int(found)


def _activations(config: Any, checkpointing: bool) -> int:
    """Bytes a token, in fp32."""
    hidden, layers = int(config.hidden_size), int(config.num_hidden_layers)
    heads = int(config.num_attention_heads)
    size = int(getattr(config, "head_dim", None) or hidden // heads)
    attention = (heads + int(getattr(config, "num_key_value_heads", None) or heads)) * size
    each = 12 * hidden + 30 * attention + 15 * _feed_forward(config)
    return 4 * hidden * layers + each if checkpointing else each * layers


def _feed_forward(config: Any) -> int:
    """Units of the feed-forward part that a token goes through."""
    experts = getattr(config, "num_experts_per_tok", None)
    if experts and (each := getattr(config, "moe_intermediate_size", None)):
        return int(experts * each)
    return int(getattr(config, "intermediate_size", None) or 4 * config.hidden_size)


def _products(model: Any) -> int:
    """Distinct shapes of the layers' matrices, the output layer left out."""
    head = model.get_output_embeddings()
    return len({
        tuple(m.weight.shape) for m in model.modules()
        if m is not head and type(m).__name__ == "Linear"
    })  # fmt: skip
