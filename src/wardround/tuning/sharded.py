"""Weights spread over processes (FSDP2, DeepSpeed ZeRO-3): saving them, and putting them together at the end.

Everything here is done by all processes at once, through the Trainer and accelerate, and does nothing where weights are
whole. This module imports the tuning stack at its top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from wardround.tuning import processes


def spread(trainer: Any) -> bool:
    """Whether no process has the whole weights."""
    if trainer.is_deepspeed_enabled:
        return bool(trainer.accelerator.state.deepspeed_plugin.zero_stage == 3)
    return bool(trainer.is_fsdp_enabled)


def save(trainer: Any, folder: Path) -> None:
    """Write the weights as they are now as an ordinary directory, from the first process."""
    if not trainer.is_fsdp_enabled:
        trainer.save_model(str(folder))
        return
    plugin = trainer.accelerator.state.fsdp_plugin
    usual = plugin.state_dict_type  # the Trainer writes sharded ones as states only
    plugin.set_state_dict_type("FULL_STATE_DICT")
    try:
        trainer.save_model(str(folder))
    finally:
        plugin.set_state_dict_type(usual)


def gather(trainer: Any, model: Any) -> None:
    """Put the whole weights into `model` of the first process, on its CPU; in the others it is used up."""
    if not spread(trainer):
        return
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if processes.leads():
        fill(model, state)


def fill(model: Any, state: dict[str, torch.Tensor]) -> None:
    """Make `model` an ordinary one again, with the weights of `state`; tied ones stay tied."""
    whole: dict[int, torch.nn.Parameter] = {}
    places = [
        (module, leaf, f"{prefix}.{leaf}" if prefix else leaf, p)
        for prefix, module in model.named_modules()
        for leaf, p in module._parameters.items()
        if p is not None
    ]
    for _, _, name, p in places:
        if name in state and id(p) not in whole:
            whole[id(p)] = torch.nn.Parameter(state[name], requires_grad=p.requires_grad)
    for module, leaf, _, p in places:
        module._parameters[leaf] = whole[id(p)]
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.__class__ = type(module).__mro__[
                2
            ]  # the class `fully_shard` derived its own from
