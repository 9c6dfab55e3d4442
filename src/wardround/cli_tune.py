"""`wardround tune`: its options, and the call."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wardround.cli_common import finish


def arguments(p: argparse.ArgumentParser) -> None:
    """The command's options. What isn't given is chosen by the kind of base; `TuneOptions` has the defaults."""
    p.add_argument(
        "dataset", nargs="+", metavar="DATASET[:WEIGHT]",
        help="dataset artifacts and plain files (messages JSONL, alpaca, sharegpt); 2 shows each sample twice an epoch",
    )  # fmt: skip
    p.add_argument("--base", required=True, metavar="MODEL", help="directory, or scratch:tiny")
    p.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT")

    data = p.add_argument_group("data")
    data.add_argument("--cap", metavar="N|TASK=N,…", help="samples a task at most")
    data.add_argument("--max-tokens", type=int, help="longer samples are truncated and counted")
    data.add_argument("--max-truncated", type=float, help="share of truncated samples allowed")
    data.add_argument("--held-out", type=Path, action="append", metavar="FILE",
                      help="digests never to learn from, one a line; may be repeated")  # fmt: skip
    data.add_argument("--accept-unchecked", action="store_true", default=None,
                      help="learn from data without a contamination report, and say so")  # fmt: skip

    course = p.add_argument_group("course")
    course.add_argument("--epochs", type=int)
    course.add_argument("--learning-rate", type=float)
    course.add_argument("--batch-tokens", type=int, help="padded tokens in a batch")
    course.add_argument("--accumulate", type=int, help="batches in a step, of each process")
    course.add_argument("--packing", action="store_true", default=None,
                        help="samples end to end in one row, kept apart by the attention")  # fmt: skip
    course.add_argument("--gradient-checkpointing", action="store_true", default=None,
                        help="less memory, about a third more time")  # fmt: skip
    course.add_argument("--precision", choices=("auto", "fp32", "bf16"))
    course.add_argument("--threads", type=int, help="processor threads")
    course.add_argument("--seed", type=int)
    course.add_argument("--save-seconds", type=float, help="least time between two saved states")

    lora = p.add_argument_group("LoRA")
    lora.add_argument("--lora-rank", type=int, metavar="R", help="train adapters of this rank")
    lora.add_argument("--lora-alpha", type=float, help="default: twice the rank")
    lora.add_argument("--lora-dropout", type=float)
    lora.add_argument("--lora-targets", metavar="NAME,NAME", help="default: all-linear")
    lora.add_argument("--adapter", choices=("merged", "apart"), help="default: merged")

    watch = p.add_argument_group("watching")
    watch.add_argument("--held-out-share", type=float, help="of the training documents")
    watch.add_argument("--evaluations", type=int, metavar="N", help="held-out losses taken")
    watch.add_argument("--early-stop", type=int, metavar="N",
                       help="stop after N evaluations without a lower held-out loss")  # fmt: skip
    watch.add_argument("--probes", type=int, metavar="N",
                       help="held-out questions a task asked at each evaluation")  # fmt: skip
    watch.add_argument("--probe-tokens", type=int, help="longest answer to one")
    watch.add_argument("--track", metavar="NAME,NAME", help="tensorboard, mlflow, wandb")


def run(args: argparse.Namespace) -> int:
    """Tune, then show what came of it."""
    from wardround.tuning import processes
    from wardround.tuning.sft import TuneOptions, tune

    given = {n: getattr(args, n, None) for n in TuneOptions.__struct_fields__}
    chosen: dict[str, Any] = {n: v for n, v in given.items() if v is not None}
    for name in ("lora_targets", "track"):
        if name in chosen:
            chosen[name] = tuple(x.strip() for x in chosen[name].split(",") if x.strip())
    if "held_out" in chosen:
        chosen["held_out"] = tuple(chosen["held_out"])
    options = TuneOptions(**chosen, machine=args.json)
    try:
        made = tune(args.dataset, args.base, args.out, options)
    except processes.SaidElsewhereError as e:
        return e.exit_code
    return finish(args, made.path) if processes.leads() else 0
