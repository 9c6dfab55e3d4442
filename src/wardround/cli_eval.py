"""`wardround eval`: one model's run, or a league of many from one file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.cli_common import asking, finish, named_model, positive
from wardround.errors import CostCapError, UsageError, WardroundError

if TYPE_CHECKING:
    from wardround.benchmarks.league import League, Standing
    from wardround.benchmarks.settings import Settings
    from wardround.models import Model
    from wardround.models.config import Config
    from wardround.models.ledger import Price

AGAIN = "run the same command again to ask only those, or add --accept-failures"


def arguments(p: argparse.ArgumentParser) -> None:
    """The command's options."""
    p.add_argument("benchmarks", nargs="+", metavar="BENCHMARK")
    p.add_argument("--model", metavar="M")
    p.add_argument("--answers", type=Path, metavar="FILE", help="judge these answers, ask no model")
    p.add_argument("--models", type=Path, metavar="TOML", help="a league: every model of this file")
    p.add_argument("--only", metavar="NAME,NAME", help="of a league, ask only these models")
    p.add_argument(
        "--against", metavar="NAME", help="the league's reference (default: the file's first model)"
    )
    p.add_argument("--judge", action="append", default=[], metavar="J", help="may be repeated")
    p.add_argument(
        "--data",
        type=Path,
        help="a dataset artifact, the test file, or a hub id (default: the shipped items)",
    )
    p.add_argument("--out", type=Path, required=True, metavar="RUN", help="a league: its directory")
    p.add_argument("--checkpoint", type=Path, help="the artifact behind an endpoint, for lineage")
    p.add_argument("--language", choices=("zh", "en"), default="zh", help="of the judge's prompts")
    p.add_argument("--limit", type=int, metavar="N", help="only the first N cases")
    p.add_argument("--repeats", type=int, default=1, metavar="N")
    p.add_argument("--max-tokens", type=int, default=1024)
    p.add_argument("--temperature", type=float, default=0.0)
    p.add_argument("--max-cost", type=float, metavar="X", help="stop before the cost passes X")
    p.add_argument("--fresh", action="store_true", help="ask anew what the reply cache holds")
    p.add_argument("--seed", type=int, default=0)
    asking(p)


def run(args: argparse.Namespace) -> int:
    """Do the command; returns the exit status."""
    positive(args, "concurrency", "limit", "repeats", "max_tokens")
    if sum(given is not None for given in (args.model, args.answers, args.models)) != 1:
        raise UsageError("give one of --model, --answers, --models")
    if args.models is not None:
        return _league(args)
    if args.only is not None or args.against is not None:
        raise UsageError("--only and --against belong to --models")
    return _one(args)


def _one(args: argparse.Namespace) -> int:
    from wardround.benchmarks.run import evaluate
    from wardround.models.names import checkpoint, price

    specs = [*([args.model] if args.model else []), *args.judge]
    opened = {spec: named_model(spec, args) for spec in specs}
    judges = [opened[spec] for spec in args.judge]
    model, data = (
        (opened[args.model], args.data) if args.model else _answers(args.answers, args.data)
    )
    prices = _prices({m.name: price(spec) for spec, m in opened.items()}, args)
    behind = args.checkpoint or (checkpoint(args.model) if args.model else None)
    settings = _settings(args, prices, behind)
    outcome = evaluate(args.benchmarks, data, model, judges, args.out, settings)
    finish(args, outcome.path)
    if outcome.artifact is None:
        raise WardroundError(
            f"{outcome.failed} requests failed, the run is not sealed ({_many(outcome.reasons)})",
            hint=AGAIN,
        )
    return 0


def _settings(
    args: argparse.Namespace, prices: dict[str, Price], checkpoint: Path | None
) -> Settings:
    from wardround.benchmarks.settings import Settings

    return Settings(
        language=args.language,
        limit=args.limit,
        repeats=args.repeats,
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        seed=args.seed,
        concurrency=args.concurrency,
        accept_failures=args.accept_failures,
        checkpoint=checkpoint,
        answers=args.answers,
        prices=prices,
        max_cost=args.max_cost,
        fresh=args.fresh,
    )


def _answers(path: Path, data: Path | None) -> tuple[Model, Path]:
    """A file of answers as a model, and the test set: without one of its own, the file itself."""
    from wardround.benchmarks.published import AnswerFile

    return AnswerFile(path, alone=data is None), data or path


def _prices(found: Mapping[str, Price | None], args: argparse.Namespace) -> dict[str, Price]:
    """Prices by model name; with --max-cost every model needs one."""
    unknown = [name for name, known in found.items() if known is None]
    if args.max_cost is not None and args.max_cost <= 0:
        raise UsageError(f"--max-cost {args.max_cost:g}: must be more than 0")
    if args.max_cost is not None and unknown:
        where = args.models or "wardround.toml"
        raise UsageError(
            f"--max-cost needs the price of every model, and none is known for {', '.join(unknown)}",
            hint=f"give it a table in {where} with price_in and price_out, per million tokens",
        )
    return {name: known for name, known in found.items() if known is not None}


def _many(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{n} × {reason}" for reason, n in reasons.items())


def _league(args: argparse.Namespace) -> int:
    from wardround.benchmarks.league import Entry, evaluate_all
    from wardround.models.config import read_config
    from wardround.models.names import ModelOptions, open_configured, price

    if args.checkpoint is not None:
        raise UsageError(
            "--checkpoint is one model's",
            hint=f'say it in its table in {args.models}: checkpoint = "DIR"',
        )
    if not args.models.is_file():
        raise UsageError(f"{args.models}: no such file", hint="check --models")
    config = read_config(args.models)
    options = ModelOptions(timeout_s=args.timeout)
    judging = args.judge or list(config.judges)
    asked, others = _chosen(config, judging, args)
    opened = {
        name: open_configured(name, config.models[name], options=options)
        for name in [*config.models]
        if name in {*asked, *others, *judging}
    }
    costs = {name: config.models[name].price() for name in opened if name not in others}
    for spec in judging:
        if spec not in opened:
            opened[spec] = named_model(spec, args)
            costs[opened[spec].name] = price(spec)
    entries = [
        Entry(
            model=opened[name],
            checkpoint=Path(table.checkpoint) if table.checkpoint else None,
            asked=name in asked,
        )
        for name, table in config.models.items()
        if name in asked or name in others
    ]
    settings = _settings(args, _prices(costs, args), None)
    judges = [opened[spec] for spec in judging]
    against = args.against
    found = evaluate_all(
        args.benchmarks, args.data, entries, judges, args.out, settings, against=against
    )
    return _tell(args, found)


def _chosen(
    config: Config, judging: Iterable[str], args: argparse.Namespace
) -> tuple[list[str], list[str]]:
    """The models to ask, and those that are only compared if they were asked before. A judge of this league is no
    contestant unless --only names it."""
    judges = {*judging, *config.judges}
    contestants = [name for name in config.models if name not in judges]
    if args.only is None:
        return contestants, []
    only = [name.strip() for name in args.only.split(",") if name.strip()]
    unknown = [name for name in only if name not in config.models]
    if unknown or not only:
        raise UsageError(
            f"--only {args.only}: no model named {', '.join(unknown) or 'so'} in {args.models}",
            hint=f"one or more of: {', '.join(config.models)}",
        )
    return only, [name for name in contestants if name not in only]


def _tell(args: argparse.Namespace, league: League) -> int:
    """Write every report, print the league's, and name what is missing and why; the exit status."""
    from wardround.report import data, text, write_report

    for one in league.models:
        if one.outcome is not None:
            write_report(one.path)
    missing = [one for one in league.models if not one.sealed]
    status = 1 if missing else 0
    page = None if league.comparison is None else write_report(league.comparison.path)
    if args.json:
        result: dict[str, Any] = {
            "ok": not missing,
            "exit": status,
            "report": None if page is None else str(page),
            "models": [_machine(one) for one in league.models],
        }
        if league.comparison is not None:
            result |= data(league.comparison.path)
        print(json.dumps(result, ensure_ascii=False))
    elif league.comparison is not None:
        print(text(league.comparison.path))
    for one in league.models:
        if one.outcome is not None and not args.json:
            print(f"{one.name}: {one.path / 'report.html'}")
    if page is not None and not args.json:
        print(f"\nreport: {page}")
    if missing:
        lines = [f"{len(missing)} of {len(league.models)} models are not sealed", *_why(missing)]
        print("wardround eval: " + "\n".join(lines), file=sys.stderr)
    return status


def _machine(one: Standing) -> dict[str, Any]:
    found: dict[str, Any] = {"model": one.name, "path": str(one.path), "sealed": one.sealed}
    if one.outcome is not None:
        found |= {"failed": one.outcome.failed, "reasons": one.outcome.reasons}
        if one.outcome.artifact is not None:
            found["digest"] = one.outcome.artifact.manifest.digest
    if not one.sealed:
        found["error"], found["hint"] = _said(one)
    return found


def _said(one: Standing) -> tuple[str, str]:
    """What went wrong, and what to do."""
    if isinstance(one.error, WardroundError):
        return one.error.message, one.error.hint
    if one.error is not None:
        return str(one.error), "see to it, then run the same command again"
    if one.outcome is None:
        return "not finished", "run the same command again"
    return f"{one.outcome.failed} requests failed ({_many(one.outcome.reasons)})", AGAIN


def _why(missing: Iterable[Standing]) -> list[str]:
    """Two lines for each cause, after the names of those it befell; the cost cap is one cause."""
    causes: dict[object, list[Standing]] = {}
    for one in missing:
        capped = isinstance(one.error, CostCapError)
        causes.setdefault(CostCapError if capped else _said(one), []).append(one)
    lines = []
    for same in causes.values():
        message, hint = _said(same[0])
        lines.append(f"  {', '.join(one.name for one in same)}: {message}")
        lines.append(f"    → {hint}")
    return lines
