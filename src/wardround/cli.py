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

from wardround import (
    __version__,
    cli_build,
    cli_eval,
    cli_exchange,
    cli_images,
    cli_people,
    cli_prefer,
    cli_reports,
    cli_review,
    cli_serve,
    cli_survey,
    cli_tune,
)
from wardround.cli_common import finish
from wardround.errors import UsageError, WardroundError

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
    cli_build.arguments(
        command("build", cli_build.run, "sources → a doctor-facing instruction dataset")
    )
    cli_build.sample_arguments(
        command("sample", cli_build.sample, "a sheet for doctors to check a dataset; read it back")
    )
    cli_tune.arguments(command("tune", cli_tune.run, "datasets + base model → checkpoint"))
    cli_prefer.arguments(
        command("prefer", cli_prefer.run, "doctors' preferences + checkpoint → checkpoint (DPO)")
    )
    cli_serve.arguments(
        command("serve", cli_serve.run, "serve a checkpoint, OpenAI-compatible, on loopback")
    )
    cli_images.arguments(
        command(
            "images",
            cli_images.run,
            "pictures: collect, make faults, check headers, DICOM in and out",
        )
    )
    cli_eval.arguments(command("eval", cli_eval.run, "run benchmarks on a model or many, judged"))
    _compare_parser(command("compare", _compare, "paired differences between runs, with intervals"))
    _agree_parser(
        command("agree", _agree, "a run's judges beside doctors' scores of the same items")
    )
    cli_reports.arguments(
        command("reports", _action_missing, "CT reports: check them by rule, inject known errors")
    )
    cli_reports.loop_arguments(
        command("loop", _action_missing, "disagreements → experts → a new version of a test set")
    )
    cli_people.web_arguments(command("web", cli_people.web, "the app: review, survey, accounts"))
    cli_people.user_arguments(
        command("user", _action_missing, "accounts of the app: open, roles, close, reset")
    )
    cli_survey.arguments(
        command(
            "survey", _action_missing, "ask doctors what they need, in two stages → a task list"
        )
    )
    review = cli_review.arguments(
        command("review", _action_missing, "expert review: candidates, studies, worker, exports")
    )
    cli_exchange.arguments(review)
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


def _action_missing(args: argparse.Namespace) -> int:
    raise UsageError("no action given")  # argparse sees to it before


def _demo_parser(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default: demo")
    p.add_argument("--seed", type=int, default=0)


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
