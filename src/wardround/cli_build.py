"""`wardround build` and `wardround sample`: a dataset made, planned, explained, and checked by doctors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.cli_common import asking, finish, named_model, positive
from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.corpus.options import BuildOptions
    from wardround.models.ledger import Price


def arguments(p: argparse.ArgumentParser) -> None:
    """The options of `build`."""
    p.add_argument("sources", type=Path, nargs="+", metavar="SOURCE", help="files or folders")
    p.add_argument("--out", type=Path, metavar="DATASET")
    p.add_argument("--tasks", metavar="ID,ID", help="only these tasks (default: all 22)")
    p.add_argument("--mapping", type=Path, metavar="YAML", help="what the fields of a source are")
    p.add_argument("--licence", default="unstated", help="licence of the sources, for the record")
    p.add_argument(
        "--strict",
        action="store_true",
        help="stop at the first bad row, of sources and of held-out files",
    )
    p.add_argument(
        "--explain", type=int, metavar="ROW", help="which rules fire on this row of SOURCE, and why"
    )
    p.add_argument(
        "--plan", action="store_true", help="say what would be built and what refinement would cost"
    )
    p.add_argument(
        "--held-out", type=Path, nargs="+", default=[], metavar="FILE", help="test sets to keep out"
    )
    p.add_argument(
        "--balance", type=Path, metavar="YAML", help="size, caps and weights by task and specialty"
    )
    p.add_argument("--size", type=int, metavar="N", help="training samples wanted")
    p.add_argument("--max-per-task", type=int, metavar="N")
    p.add_argument("--wordings", action="store_true", help="vary the tasks' instructions")
    p.add_argument(
        "--keep-identifiers", action="store_true", help="do not replace personal identifiers"
    )
    p.add_argument("--keep-near-duplicates", action="store_true")
    p.add_argument("--classify", metavar="MODEL", help="place the questions that no rule places")
    p.add_argument("--refine", metavar="MODEL", help="rewrite answers against their source")
    p.add_argument(
        "--on-broken", choices=("keep", "drop"), default="keep",
        help="what becomes of a sample whose rewrites broke a rule: unrefined, or out",
    )  # fmt: skip
    p.add_argument("--max-cost", type=float, metavar="X", help="stop before the cost passes X")
    p.add_argument("--fresh", action="store_true", help="ask anew what the reply cache holds")
    p.add_argument(
        "--export", default="", metavar="NAME,NAME", help="trl, llamafactory, ms-swift, doctorflan"
    )
    p.add_argument("--test-per-task", type=int, default=25, metavar="N")
    p.add_argument("--test-dialogues", type=int, default=74, metavar="N")
    p.add_argument("--engine", choices=("local", "ray"), default="local")
    p.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one for each core)"
    )
    p.add_argument("--seed", type=int, default=0)
    asking(p)


def run(args: argparse.Namespace) -> int:
    """Do `build`; returns the exit status."""
    positive(args, "concurrency", "workers", "size", "max_per_task")
    if args.explain is not None:
        return _explain(args)
    options = _options(args)
    if args.plan:
        from wardround.corpus.plan import as_text, plan

        planned = plan(args.sources, options, price=_price(args.refine))
        print(json.dumps(planned, ensure_ascii=False) if args.json else as_text(planned))
        return 0
    if args.out is None:
        raise UsageError("--out is missing", hint="name the directory to write the dataset to")
    from wardround.corpus.build import build

    made = build(
        args.sources,
        args.out,
        options,
        refine=named_model(args.refine, args) if args.refine else None,
        classify=named_model(args.classify, args) if args.classify else None,
    )
    return finish(args, made.path)


def _options(args: argparse.Namespace) -> BuildOptions:
    from wardround.corpus.options import BuildOptions

    return BuildOptions(
        tasks=tuple(t.strip() for t in args.tasks.split(",")) if args.tasks else (),
        licence=args.licence,
        mapping=args.mapping,
        strict=args.strict,
        test_per_task=args.test_per_task,
        test_dialogues=args.test_dialogues,
        held_out=tuple(args.held_out),
        balance=_balance(args),
        wordings=args.wordings,
        private=not args.keep_identifiers,
        near=not args.keep_near_duplicates,
        exports=(args.export,) if args.export else (),
        on_broken=args.on_broken,
        seed=args.seed,
        concurrency=args.concurrency,
        accept_failures=args.accept_failures,
        engine=args.engine,
        workers=args.workers,
        prices=_prices(args),
        max_cost=args.max_cost,
        fresh=args.fresh,
    )


def _balance(args: argparse.Namespace) -> Any:
    import msgspec

    from wardround.corpus.balance import Balance, read_balance

    found = read_balance(args.balance) if args.balance else Balance()
    asked = {"size": args.size, "max_per_task": args.max_per_task}
    return msgspec.structs.replace(found, **{k: v for k, v in asked.items() if v is not None})


def _price(spec: str | None) -> Price | None:
    from wardround.models.names import price

    return price(spec) if spec else None


def _prices(args: argparse.Namespace) -> dict[str, Price]:
    """Prices by model name; with --max-cost every model needs one."""
    if args.max_cost is not None and args.max_cost <= 0:
        raise UsageError(f"--max-cost {args.max_cost:g}: must be more than 0")
    found = {}
    for spec in filter(None, (args.refine, args.classify)):
        known = _price(spec)
        if known is not None:
            found[named_model(spec, args).name] = known
        elif args.max_cost is not None:
            raise UsageError(
                f"--max-cost needs the price of every model, and none is known for {spec}",
                hint="give it a table in wardround.toml with price_in and price_out, per million tokens",
            )
    return found


def _explain(args: argparse.Namespace) -> int:
    """Which rules fired on one row, and why; identifiers are replaced first, as in a build."""
    from wardround.corpus.build import find
    from wardround.corpus.explain import as_data, as_text, explain
    from wardround.corpus.formats import rows
    from wardround.corpus.kinds import documents_of
    from wardround.corpus.options import tasks_of
    from wardround.corpus.recipes import load
    from wardround.corpus.shards import ready
    from wardround.records import Exclusion

    options = _options(args)
    files = find(args.sources, options).files
    if len(files) != 1:
        raise UsageError("--explain takes one source", hint="name the file the row is in")
    path, source = files[0]
    row = next((r for r in rows(path, source) if r.number == args.explain), None)
    if row is None:
        raise UsageError(f"{path}: no row {args.explain}", hint="rows count from 1")
    shown = []
    for item in documents_of(row, source):
        if isinstance(item, Exclusion):
            shown.append(
                {"row": item.row, "reason": item.reason, "detail": item.detail}
                if args.json
                else f"{path}, row {item.row}: {item.reason}: {item.detail}"
            )
            continue
        document, _, _ = ready(item, private=options.private)
        told = explain(document, load(), tasks_of(options.tasks), options.limits)
        shown.append(as_data(told) if args.json else as_text(told))
    if args.json:
        print(json.dumps({"ok": True, "rows": shown}, ensure_ascii=False))
    else:
        print("\n\n".join(map(str, shown)))
    return 0


def sample_arguments(p: argparse.ArgumentParser) -> None:
    """The options of `sample`."""
    p.add_argument("dataset", type=Path, metavar="DATASET")
    p.add_argument("--out", type=Path, metavar="CSV", help="write the checking sheet here")
    p.add_argument("--read", type=Path, metavar="CSV", help="read a filled-in sheet back")
    p.add_argument(
        "--by",
        choices=("refined", "specialty"),
        default="refined",
        help="second division beside the task",
    )
    p.add_argument(
        "--scope",
        choices=("stratum", "whole"),
        default="whole",
        help="precision wanted of each stratum, or of the whole",
    )
    p.add_argument(
        "--half-width", type=float, default=0.1, help="of the interval wanted (default 0.1)"
    )
    p.add_argument("--confidence", type=float, default=0.95)
    p.add_argument("--seed", type=int, default=0)


def sample(args: argparse.Namespace) -> int:
    """Do `sample`; returns the exit status."""
    from wardround.artifact import open_artifact
    from wardround.corpus import sampling, verdicts
    from wardround.records import encode

    if (args.out is None) == (args.read is None):
        raise UsageError("give --out to draw a sheet, or --read to read one back")
    dataset = open_artifact(args.dataset, "dataset").path
    if args.read is not None:
        checked = verdicts.read_back(dataset, args.read, confidence=args.confidence)
        print(encode(checked).decode() if args.json else "\n".join(verdicts.lines(checked)))
        return 0
    drawn = sampling.sheet(
        dataset, args.out, by=args.by, scope=args.scope, half_width=args.half_width,
        confidence=args.confidence, seed=args.seed,
    )  # fmt: skip
    said = [*sampling.lines(drawn), f"\nsheet: {args.out}"]
    print(encode(drawn).decode() if args.json else "\n".join(said))
    return 0
