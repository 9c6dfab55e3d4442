"""The output layer on the tokens that carry loss, and on no others.

A chat's question carries none, so about half of the logits are made to be thrown away, at a cost in time and memory that
grows with the vocabulary. `Selection` puts a hook before the output layer that hands it only the states whose next token
carries loss; whatever a model does to its logits afterwards is done to those. The loss is the same sum, in another
order. Models that add to it, or have a loss of their own, are left alone (`applies`).

This module imports the tuning stack at its top.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers.loss.loss_utils import ForCausalLMLoss

from wardround.tuning.data import IGNORED, width


def applies(model: Any) -> bool:
    """Whether the loss of `model` is nothing but the mean over the supervised tokens of their negative log-likelihood."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    outputs = getattr(base, "get_output_embeddings", None)
    return (
        outputs is not None
        and outputs() is not None
        and getattr(base, "loss_function", None) is ForCausalLMLoss
        and not getattr(base.config.get_text_config(), "output_router_logits", False)
    )


class Selection:
    """Within `of`, the output layer of `model` sees only the states before supervised tokens; elsewhere it sees all.

    They come as one row a token, filled up with others to a multiple of `PAD_TO` rows, since every new shape makes a
    CPU compile and keep kernels. `loss` knows which.
    """

    def __init__(self, model: Any) -> None:
        self._shape: torch.Size | None = None
        self._places = torch.empty(0)
        self._handle = model.get_output_embeddings().register_forward_pre_hook(self._select)

    def _select(self, module: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._shape is None or given[0].shape[:2] != self._shape:
            return None
        states = given[0].flatten(0, 1)
        return (states.index_select(0, self._places.to(states.device)), *given[1:])

    @contextlib.contextmanager
    def of(self, labels: torch.Tensor) -> Iterator[None]:
        """While a batch with these `labels` (rows × columns) goes through the model."""
        self._shape, self._places = labels.shape, places(labels)
        try:
            yield
        finally:
            self._shape = None

    def remove(self) -> None:
        """Leave the model as it was."""
        self._handle.remove()


def places(labels: torch.Tensor) -> torch.Tensor:
    """Where in the flat batch the states before supervised tokens stand, then the last place as often as it takes; no
    token follows that one."""
    found = (labels[:, 1:] != IGNORED).nonzero()
    flat = found[:, 0] * labels.shape[1] + found[:, 1]
    more = width([max(1, len(flat))]) - len(flat)
    return torch.cat([flat, flat.new_full((more,), labels.numel() - 1)])


def aligned(
    logits: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of a batch: logits (tokens × vocabulary), the label each foretells (`IGNORED` where it only fills up), and
    the row of the batch it is in."""
    found = places(labels)
    if (
        logits.dim() > 2
    ):  # the output layer was called in a way the hook doesn't know, or without it
        logits = logits.flatten(0, 1).index_select(0, found.to(logits.device))
    following = torch.nn.functional.pad(labels, (0, 1), value=IGNORED)[:, 1:].flatten()
    return logits, following[found].to(logits.device), found // labels.shape[1]


def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
    """The Trainer's `compute_loss_func`: the sum over the batch's supervised tokens, by how many the whole step has
    (None: their mean)."""
    logits, target, _ = aligned(outputs.logits, labels)
    total = cross_entropy(logits.float(), target, ignore_index=IGNORED, reduction="sum")
    return total / ((target != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
