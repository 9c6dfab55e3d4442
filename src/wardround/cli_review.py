"""`wardround review`: candidates, studies, the worker, exports; see docs/review.md."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.cli_common import asking, named_model, positive
from wardround.cli_review_open import config_of, members, open_arguments, source_of
from wardround.errors import UsageError, WardroundError

if TYPE_CHECKING:
    from wardround.review.worker import Tally
    from wardround.store.database import Store

DB = "SQLite file or postgresql://user@host/name (default: wardround.db)"
AGAIN = "run the same command again to ask only those, or add --accept-failures"


def arguments(p: argparse.ArgumentParser) -> Callable[..., argparse.ArgumentParser]:
    """The actions; returns what adds one more."""
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(
        name: str, call: Callable[[argparse.Namespace], int], text: str, *, db: bool = True
    ) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        sub.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        if db:
            sub.add_argument("--db", metavar="URL", help=DB)
        sub.set_defaults(call=call)
        return sub

    s = action(
        "rationale",
        _rationale,
        "ask a model for answers with their reasoning → candidates",
        db=False,
    )
    s.add_argument(
        "questions", metavar="QUESTIONS", help="a file of choice questions, or med_choice"
    )
    s.add_argument("--model", required=True, metavar="M")
    s.add_argument("--out", type=Path, required=True, metavar="CANDIDATES")
    s.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    s.add_argument("--max-cost", type=float, metavar="X", help="stop before the cost passes X")
    s.add_argument("--fresh", action="store_true", help="ask anew what the reply cache holds")
    asking(s)
    open_arguments(action("open", _open, "candidates, a sheet, runs, a list or items → a study"))
    s = action("work", _work, "write the drafts that studies wait for, until stopped")
    s.add_argument("--once", action="store_true", help="end when nothing is due")
    s.add_argument("--concurrency", type=int, default=4, metavar="N", help="drafts at once")
    s = action("export", _export, "a study → an artifact: data with its evidence")
    s.add_argument("study", metavar="SLUG")
    s.add_argument("--out", type=Path, required=True, metavar="DIR")
    s.add_argument("--with-names", action="store_true", help="login names in place of r1, r2 …")
    s = action("status", _status, "progress, agreement, drafts waiting, the panel's queue")
    s.add_argument("study", metavar="SLUG")
    action("list", _list, "all studies")
    for name, call, text in (
        ("close", _close, "end a study; what is there stays"),
        ("replan", _replan, "share out what is free anew, by load and specialty"),
        ("retry", _retry, "try the drafts that failed again at once"),
    ):
        action(name, call, text).add_argument("study", metavar="SLUG")
    s = action("add-reviewer", _add, "make accounts reviewers of a study, and plan anew")
    s.add_argument("study", metavar="SLUG")
    s.add_argument("names", nargs="+", metavar="NAME")
    return action


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[Store]:
    """The database of --db."""
    from wardround.store.database import open_store

    store = open_store(args.db)
    try:
        yield store
    finally:
        store.close()


def tell(args: argparse.Namespace, found: Mapping[str, Any], *lines: str) -> int:
    """Print a result; returns 0."""
    print(json.dumps({"ok": True, **found}, ensure_ascii=False) if args.json else "\n".join(lines))
    return 0


# -- candidates ---------------------------------------------------------------------------------------------


def _rationale(args: argparse.Namespace) -> int:
    from wardround.models.names import price
    from wardround.review.candidates import Settings, make, questions_file

    positive(args, "limit", "concurrency")
    if args.max_cost is not None and args.max_cost <= 0:
        raise UsageError(f"--max-cost {args.max_cost:g}: must be more than 0")
    model = named_model(args.model, args)
    known = price(args.model)
    if args.max_cost is not None and known is None:
        raise UsageError(
            f"--max-cost needs the price of {args.model}",
            hint="give it a table in wardround.toml with price_in and price_out, per million tokens",
        )
    settings = Settings(
        limit=args.limit, concurrency=args.concurrency, accept_failures=args.accept_failures,
        prices={} if known is None else {model.name: known}, max_cost=args.max_cost,
        fresh=args.fresh,
    )  # fmt: skip
    found = make(questions_file(args.questions), model, args.out, settings)
    c = found.counts
    if found.artifact is None:
        why = "; ".join(f"{n} × {reason}" for reason, n in found.reasons.items())
        raise WardroundError(
            f"{c['failed']} of {c['questions']} questions failed, the candidates are not sealed ({why})",
            hint=AGAIN,
        )
    labels = found.artifact.manifest.labels
    return tell(
        args,
        {"path": str(found.path), "digest": found.artifact.manifest.digest, **c, "labels": labels},
        f"{found.path}: {c['questions']} 题 questions，{c['drafts']} 份推理 drafts，"
        f"{c['right']} 份答对 give the key，{c['unreadable']} 份读不出 unreadable，"
        f"{c['failed']} 份失败 failed，{c['skipped']} 行未取 rows left aside",
        *(f"! {label}" for label in labels),
    )


# -- studies ------------------------------------------------------------------------------------------------


def _open(args: argparse.Namespace) -> int:
    from wardround.review import opening, progress

    positive(args, "raters", "strikes", "lease_minutes")
    source = source_of(args)
    config = config_of(args, source)
    with opened(args) as store, store.write() as conn:
        who = members(conn, args.reviewer)
        study = opening.open_study(conn, args.study, config, source.items, by=None, members=who)
        found = progress.overview(conn, study)
    lines = [
        f"{args.study}: {found.items} 项 items，{found.gold} 项金标准 gold，{len(who)} 名评审 reviewers",
        "状态 states: " + _counted(found.states),
    ]
    waiting = found.states.get("drafting", 0)
    if config.model:
        lines.append(f"重写用的模型 who writes again: {config.model}")
    elif waiting or (config.consensus and config.on_fail != "revise"):
        lines.append("! 没有模型可写新稿 no model to write drafts: --model")
    if waiting and config.model:
        lines.append(f"{waiting} 项等模型写稿 wait for it: wardround review work")
    lines += [
        f"! {name}: {n} 个名额无人可评 slots nobody may take"
        for name, n in found.unassigned.items()
    ]
    if config.consensus and who and len(who) <= config.raters and config.on_fail != "regenerate":
        lines.append(
            f"! 评审者改写的稿件须由另外 {config.raters} 人评 a reviewer's revision needs {config.raters} others: "
            "add-reviewer"
        )
    told = {"study": args.study, "items": found.items, "gold": found.gold, "states": found.states,
            "model": config.model}  # fmt: skip
    return tell(args, told | {"unassigned": found.unassigned}, *lines)


def _counted(states: Mapping[str, int]) -> str:
    from wardround.review.study import ITEM_STATES

    return "，".join(f"{' '.join(ITEM_STATES[s])} {n}" for s, n in states.items() if n)


def _work(args: argparse.Namespace) -> int:
    from wardround.progress import Progress
    from wardround.review import jobs
    from wardround.review.worker import Worker

    positive(args, "concurrency")
    with opened(args) as store:
        worker = Worker(store, concurrency=args.concurrency)
        if not args.once:
            _until_stopped(worker.stop)
        with Progress("review work", None) as progress:

            def each(tally: Tally) -> None:
                first = tally.trouble.splitlines()[0] if tally.trouble else ""
                progress.advance(note=f"{tally.failed} failed: {first}" if tally.failed else "")

            tally = worker.work(once=args.once, each=each)
        with store.read() as conn:
            left = [jobs.waiting(conn, study) for study in jobs.open_studies(conn)]
    queued = sum(w.queued + w.running for w in left)
    errors = {e: n for w in left for e, n in w.errors.items()}
    told = {
        "written": tally.written, "unreadable": tally.unreadable, "failed": tally.failed,
        "waiting": queued, "errors": errors,
    }  # fmt: skip
    tell(
        args, {**told, "ok": not (args.once and queued)},
        f"{tally.written} 份写成 written，{tally.unreadable} 份读不出 unreadable，{queued} 份在等 waiting",
        *(f"! {n} × {error}" for error, n in errors.items()),
    )  # fmt: skip
    return 1 if args.once and queued else 0


def _until_stopped(stop: Callable[[], None]) -> None:
    """SIGTERM and Ctrl-C end the work in order: what is under way is given back."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())


def _export(args: argparse.Namespace) -> int:
    from wardround.review.export import export

    with opened(args) as store:
        made = export(store, args.study, args.out, names=args.with_names)
    m = made.manifest
    counts = "，".join(f"{k} {n}" for k, n in m.counts.items())
    return tell(
        args, {"path": str(made.path), "digest": m.digest, "counts": m.counts, "labels": m.labels},
        f"{made.path}: {counts}", f"digest {m.digest[:12]}", *(f"! {label}" for label in m.labels),
    )  # fmt: skip


def _status(args: argparse.Namespace) -> int:
    from wardround.review import status

    with opened(args) as store:
        found = status.status(store, args.study)
    return tell(args, found, *status.lines(found))


def _list(args: argparse.Namespace) -> int:
    from wardround.review import status

    with opened(args) as store:
        found = status.studies(store)
    lines = [
        f"{s['slug']:<24} {s['kind']:<10} {s['status']:<7} {s['final']:>6} / {s['items']:<6} {s['title']}"
        for s in found
    ]
    return tell(args, {"studies": found}, *lines, f"{len(found)} studies")


def _close(args: argparse.Namespace) -> int:
    from wardround.review import opening

    with opened(args) as store, store.write() as conn:
        opening.close_study(conn, opening.study_row(conn, args.study)["id"], by=None)
    return tell(args, {"study": args.study, "status": "closed"}, f"{args.study}: 已结束 closed")


def _planned(args: argparse.Namespace, found: Any) -> int:
    return tell(
        args, {"study": args.study, "given": found.given, "left": found.left},
        f"{args.study}: {found.given} 个名额已分配 slots planned",
        *(f"! {name}: {n} 个名额无人可评 slots nobody may take" for name, n in found.left.items()),
    )  # fmt: skip


def _replan(args: argparse.Namespace) -> int:
    from wardround.review import opening
    from wardround.review.planning import plan

    with opened(args) as store, store.write() as conn:
        row = opening.study_row(conn, args.study)
        found = plan(conn, row["id"], seed=opening.read_config(row["config"]).seed)
    return _planned(args, found)


def _retry(args: argparse.Namespace) -> int:
    from wardround.review import jobs, opening

    with opened(args) as store, store.write() as conn:
        n = jobs.retry_now(conn, opening.study_row(conn, args.study)["id"], by=None)
    return tell(args, {"study": args.study, "jobs": n}, f"{args.study}: {n} 份立即再试 due at once")


def _add(args: argparse.Namespace) -> int:
    from wardround.review import opening

    with opened(args) as store, store.write() as conn:
        who = members(conn, args.names)
        found = opening.join(conn, opening.study_row(conn, args.study)["id"], who, by=None)
    return _planned(args, found)
