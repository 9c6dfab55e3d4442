"""What `wardround tune` and `wardround prefer` have in common: options, and how one of several processes ends."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from wardround.cli_common import finish

if TYPE_CHECKING:
    from wardround.artifact import Artifact
    from wardround.tuning.training import TrainingOptions

_Options = TypeVar("_Options", bound="TrainingOptions")


def data(group: argparse._ArgumentGroup) -> None:
    """What must not be learned from."""
    group.add_argument("--held-out", type=Path, action="append", metavar="FILE",
                       help="digests never to learn from, one a line; may be repeated")  # fmt: skip
    group.add_argument("--accept-unchecked", action="store_true", default=None,
                       help="learn from data without a contamination report, and say so")  # fmt: skip


def course(group: argparse._ArgumentGroup) -> None:
    """How long, how fast, on what."""
    group.add_argument("--epochs", type=int)
    group.add_argument("--learning-rate", type=float)
    group.add_argument("--batch-tokens", type=int, help="padded tokens in a batch")
    group.add_argument("--accumulate", type=int, help="batches in a step, of each process")
    group.add_argument("--gradient-checkpointing", action="store_true", default=None,
                       help="less memory, about a third more time")  # fmt: skip
    group.add_argument("--precision", choices=("auto", "fp32", "bf16"))
    group.add_argument("--threads", type=int, help="processor threads")
    group.add_argument("--seed", type=int)
    group.add_argument("--save-seconds", type=float, help="least time between two saved states")


def lora(p: argparse.ArgumentParser) -> None:
    """Adapters."""
    group = p.add_argument_group("LoRA")
    group.add_argument("--lora-rank", type=int, metavar="R", help="train adapters of this rank")
    group.add_argument("--lora-alpha", type=float, help="default: twice the rank")
    group.add_argument("--lora-dropout", type=float)
    group.add_argument("--lora-targets", metavar="NAME,NAME", help="default: all-linear")
    group.add_argument("--adapter", choices=("merged", "apart"), help="default: merged")


def watch(p: argparse.ArgumentParser, *, held_out: str, figures: str, probes: str) -> None:
    """What is seen of it; the words say what is held out, what is taken of it and what is asked."""
    group = p.add_argument_group("watching")
    group.add_argument("--held-out-share", type=float, help=held_out)
    group.add_argument("--evaluations", type=int, metavar="N", help=figures)
    group.add_argument("--early-stop", type=int, metavar="N",
                       help="stop after N evaluations without a lower held-out loss")  # fmt: skip
    group.add_argument("--probes", type=int, metavar="N", help=probes)
    group.add_argument("--probe-tokens", type=int, help="longest answer to one")
    group.add_argument("--track", metavar="NAME,NAME", help="tensorboard, mlflow, wandb")


def options(kind: type[_Options], args: argparse.Namespace) -> _Options:
    """What was given, the rest as `kind` has it."""
    given = {n: getattr(args, n, None) for n in kind.__struct_fields__}
    chosen: dict[str, Any] = {n: v for n, v in given.items() if v is not None}
    for name in ("lora_targets", "track"):
        if name in chosen:
            chosen[name] = tuple(x.strip() for x in chosen[name].split(",") if x.strip())
    if "held_out" in chosen:
        chosen["held_out"] = tuple(chosen["held_out"])
    return kind(**chosen, machine=args.json)


def run(args: argparse.Namespace, work: Callable[[], Artifact]) -> int:
    """Do it, then show what came of it: in the first of several processes. Libraries that print (DeepSpeed, trackers)
    do so on stderr; stdout is for the result."""
    from wardround.tuning import processes

    try:
        with contextlib.redirect_stdout(sys.stderr):
            path: Path = work().path
    except processes.SaidElsewhereError as e:
        return e.exit_code
    return finish(args, path) if processes.leads() else 0
