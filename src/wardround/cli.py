"""The command line: parse, one call, an exit status.

Exit 0: done. 1: the work failed, or is not whole yet. 2: wrong use. 130: stopped by Ctrl-C; the same command
goes on. Nothing heavy is imported before a command is known to need it, so `--help` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wardround import __version__, cli_eval
from wardround.cli_common import asking, finish, named_model, positive
from wardround.errors import WardroundError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    if argv is None:
        # A process of our own: mostly imports and what lives on, so cycles are looked for less often.
        gc.set_threshold(20_000, 20)
    parser = build_parser()
    args = parser.parse_args(argv)
    try:
        return int(args.call(args))
    except WardroundError as e:
        return _fail(str(e), e.exit_code, args)
    except KeyboardInterrupt:
        return _fail("stopped\n  → run the same command again to go on where it was", 130, args)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        if e.errno in FULL:
            text = f"{where}the disk is full\n  → free some space, then run the same command again"
        else:
            text = f"{where}{e.strerror or e}\n  → check the path and its permissions"
        return _fail(text, 1, args)


def _fail(text: str, status: int, args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps({"ok": False, "exit": status, "error": text}, ensure_ascii=False))
    print(f"wardround {args.command}: {text}", file=sys.stderr)
    return status


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="wardround",
        description="Wardround 查房: the model is the junior, the doctor signs. 模型是实习医生，签字的是主治医师。",
        epilog="A model is named NAME@http://host/v1 (OpenAI-compatible), local:PATH (a Hugging Face "
        "directory), scripted:NAME (offline, deterministic), or a name from wardround.toml.",
    )
    parser.add_argument("--version", action="version", version=f"wardround {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str, call: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--json", action="store_true", help="print the result as one JSON line")
        sub.set_defaults(call=call)
        return sub

    _demo_parser(command("demo", _demo, "the whole loop on the bundled example, offline, on a CPU"))
    _build_parser(command("build", _build, "sources → a doctor-facing instruction dataset"))
    _tune_parser(command("tune", _tune, "dataset + base model → checkpoint"))
    _serve_parser(command("serve", _serve, "serve a checkpoint, OpenAI-compatible, on loopback"))
    cli_eval.arguments(command("eval", cli_eval.run, "run benchmarks on a model or many, judged"))
    _compare_parser(command("compare", _compare, "paired differences between runs, with intervals"))
    _agree_parser(
        command("agree", _agree, "a run's judges beside doctors' scores of the same items")
    )
    show = command("show", _show, "the report of any artifact")
    show.add_argument("dir", type=Path, metavar="DIR")
    show.add_argument(
        "--stats-json", action="store_true", help="a run as the published evaluator's stats.json"
    )
    show.add_argument(
        "--inspect-log", type=Path, metavar="FILE.eval", help="write a run as an inspect_ai log"
    )
    show.add_argument("--html", action="store_true", help="write DIR/report.html anew and name it")
    lists = command("list", _list, "the closed lists, benchmarks and models")
    lists.add_argument("what", metavar="LIST", help="tasks, specialties, benchmarks, models, …")
    verify = command(
        "verify", _verify, "recompute every digest and walk the lineage of an artifact"
    )
    verify.add_argument("dir", type=Path, metavar="DIR")
    return parser


def _demo_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo")
    p.add_argument("--seed", type=int, default=0)


def _build_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("sources", type=Path, nargs="+", metavar="SOURCE")
    p.add_argument("--out", type=Path, required=True, metavar="DATASET")
    p.add_argument("--tasks", metavar="ID,ID", help="only these tasks (default: all 22)")
    p.add_argument("--licence", default="unstated", help="licence of the sources, for the record")
    p.add_argument("--refine", metavar="MODEL", help="rewrite answers against their source")
    p.add_argument("--test-per-task", type=int, default=25, metavar="N")
    p.add_argument("--test-dialogues", type=int, default=74, metavar="N")
    p.add_argument("--skip-bad-rows", action="store_true", help="keep malformed rows aside")
    p.add_argument("--seed", type=int, default=0)
    asking(p)


def _tune_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("dataset", type=Path, metavar="DATASET")
    p.add_argument("--base", required=True, metavar="MODEL", help="directory, or scratch:tiny")
    p.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT")
    p.add_argument("--epochs", type=int)
    p.add_argument("--learning-rate", type=float)
    p.add_argument("--batch-tokens", type=int, help="padded tokens in a batch")
    p.add_argument("--accumulate", type=int, help="batches in a step")
    p.add_argument("--max-tokens", type=int, help="longer samples are truncated and counted")
    p.add_argument("--max-truncated", type=float, help="share of truncated samples allowed")
    p.add_argument("--save-seconds", type=float, help="least time between two saved states")
    p.add_argument("--precision", choices=("auto", "fp32", "bf16"))
    p.add_argument("--seed", type=int)


def _serve_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("checkpoint", metavar="CHECKPOINT", help="directory, or scripted:NAME")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--port", type=int, default=8000)
    p.add_argument("--name", help="name it is served under (default: the directory's)")


def _compare_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    p.add_argument("--out", type=Path, required=True, metavar="COMPARISON")
    p.add_argument(
        "--against", metavar="RUN_OR_NAME", help="the run all others are compared with (the first)"
    )
    p.add_argument("--seed", type=int, default=0)


def _agree_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("run", type=Path, metavar="RUN")
    p.add_argument("scores", type=Path, metavar="HUMAN_SCORES.csv", help="item, rater, score, …")
    p.add_argument("--out", type=Path, metavar="DIR", help="default: RUN-agreement beside it")
    p.add_argument("--seed", type=int, default=0)


def _demo(args: argparse.Namespace) -> int:
    from wardround.demo import demo

    return finish(args, demo(args.out, seed=args.seed))


def _build(args: argparse.Namespace) -> int:
    from wardround.corpus.build import BuildOptions, build

    positive(args, "concurrency")
    tasks = tuple(t.strip() for t in args.tasks.split(",")) if args.tasks else ()
    options = BuildOptions(
        tasks=tasks,
        licence=args.licence,
        test_per_task=args.test_per_task,
        test_dialogues=args.test_dialogues,
        skip_bad_rows=args.skip_bad_rows,
        seed=args.seed,
        concurrency=args.concurrency,
        refine=named_model(args.refine, args) if args.refine else None,
        accept_failures=args.accept_failures,
    )
    return finish(args, build(args.sources, args.out, options).path)


def _tune(args: argparse.Namespace) -> int:
    from wardround.tuning.sft import TuneOptions, tune

    names = (
        "epochs", "learning_rate", "batch_tokens", "accumulate", "max_tokens", "max_truncated",
        "precision", "save_seconds", "seed",
    )  # fmt: skip
    chosen: dict[str, Any] = {n: getattr(args, n) for n in names if getattr(args, n) is not None}
    return finish(args, tune(args.dataset, args.base, args.out, TuneOptions(**chosen)).path)


def _serve(args: argparse.Namespace) -> int:
    from wardround.models.names import open_model
    from wardround.models.server import serve

    spec = args.checkpoint if ":" in args.checkpoint else f"local:{args.checkpoint}"
    model = open_model(spec)
    model.name = args.name or model.name
    serve(model, host=args.host, port=args.port)
    return 0


def _compare(args: argparse.Namespace) -> int:
    from wardround.benchmarks.compare import compare

    return finish(args, compare(args.runs, args.out, against=args.against, seed=args.seed).path)


def _agree(args: argparse.Namespace) -> int:
    from wardround.benchmarks.agree import agree

    return finish(args, agree(args.run, args.scores, args.out, seed=args.seed).path)


def _show(args: argparse.Namespace) -> int:
    if args.stats_json:
        from wardround.benchmarks.published import stats

        print(json.dumps(stats(args.dir), ensure_ascii=False, indent=4))
        return 0
    if args.inspect_log is not None:
        from wardround.benchmarks.inspect_log import write_inspect_logs

        logs = [str(p) for p in write_inspect_logs(args.dir, args.inspect_log)]
        print(json.dumps({"ok": True, "logs": logs}) if args.json else "\n".join(logs))
        return 0
    from wardround.report import data, text, write_report

    if args.html:
        print(write_report(args.dir))
        return 0
    print(json.dumps(data(args.dir), ensure_ascii=False) if args.json else text(args.dir))
    return 0


def _list(args: argparse.Namespace) -> int:
    from wardround.listing import listing

    rows = listing(args.what)
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for row in rows:
        first, *rest = [str(v) for v in row.values() if v not in ("", [], ())]
        print("  ".join([f"{first:<28}", *rest]))
    print(f"{len(rows)} {args.what}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from wardround.lineage import lines, verify
    from wardround.records import encode

    found = verify(args.dir)
    print(encode(found).decode() if args.json else "\n".join(lines(found)))
    if not found.whole:
        raise WardroundError(
            f"{args.dir}: does not match its digests",
            hint="restore it from a copy, or make it anew",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
