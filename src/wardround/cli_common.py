"""What several commands have in common: how models are asked, and how a result is shown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.models import Model


def asking(p: argparse.ArgumentParser) -> None:
    """The options of every command that asks models."""
    p.add_argument("--concurrency", type=int, default=16, metavar="N", help="requests at once")
    p.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds per try")
    p.add_argument(
        "--accept-failures", action="store_true", help="seal with failed requests counted"
    )


def named_model(spec: str, args: argparse.Namespace) -> Model:
    """The model of that name, not connected yet."""
    from wardround.models.names import ModelOptions, open_model

    return open_model(spec, options=ModelOptions(timeout_s=args.timeout))


def positive(args: argparse.Namespace, *names: str) -> None:
    """`UsageError` for an option among `names` that is given and below 1."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: must be 1 or more")


def finish(args: argparse.Namespace, path: Path) -> int:
    """Write the report beside the artifact, print what it says and where it is."""
    from wardround.report import data, text, write_report

    page = write_report(path)
    if args.json:
        print(json.dumps({"ok": True, "report": str(page), **data(path)}, ensure_ascii=False))
    else:
        print(text(path))
        print(f"\nreport: {page}")
    return 0
