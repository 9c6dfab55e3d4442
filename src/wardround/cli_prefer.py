"""`wardround prefer`: its options, and the call."""

from __future__ import annotations

import argparse
from pathlib import Path

from wardround import cli_training


def arguments(p: argparse.ArgumentParser) -> None:
    """The command's options; `PreferOptions` has the defaults."""
    p.add_argument(
        "preferences", nargs="+", metavar="PREFERENCES",
        help="JSON Lines of prompt, chosen, rejected, provenance; or an artifact that has preferences.jsonl",
    )  # fmt: skip
    p.add_argument("--base", required=True, metavar="CHECKPOINT", help="the model to start from")
    p.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT")

    data = p.add_argument_group("data")
    data.add_argument("--max-tokens", type=int, help="longer pairs are set aside and counted")
    data.add_argument("--max-too-long", type=float, help="share of such pairs allowed")
    cli_training.data(data)

    course = p.add_argument_group("course")
    course.add_argument("--beta", type=float, help="smaller moves further from the base (0.1)")
    cli_training.course(course)
    cli_training.lora(p)
    cli_training.watch(
        p, held_out="of the prompts", figures="held-out figures taken",
        probes="held-out prompts a kind asked at each evaluation",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Tune on preferences, then show what came of it."""
    from wardround.tuning.dpo import PreferOptions, prefer

    options = cli_training.options(PreferOptions, args)
    return cli_training.run(args, lambda: prefer(args.preferences, args.base, args.out, options))
