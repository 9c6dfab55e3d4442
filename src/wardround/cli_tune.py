"""`wardround tune`: its options, and the call."""

from __future__ import annotations

import argparse
from pathlib import Path

from wardround import cli_training


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
    cli_training.data(data)

    course = p.add_argument_group("course")
    course.add_argument("--packing", action="store_true", default=None,
                        help="samples end to end in one row, kept apart by the attention")  # fmt: skip
    cli_training.course(course)
    cli_training.lora(p)
    cli_training.watch(
        p, held_out="of the training documents", figures="held-out losses taken",
        probes="held-out questions a task asked at each evaluation",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Tune, then show what came of it."""
    from wardround.tuning.sft import TuneOptions, tune

    options = cli_training.options(TuneOptions, args)
    return cli_training.run(args, lambda: tune(args.dataset, args.base, args.out, options))
