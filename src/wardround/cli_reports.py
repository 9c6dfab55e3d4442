"""`wardround reports` and `wardround loop`: CT reports checked and injected; disagreements, new set versions, curve."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardround.cli_common import finish
from wardround.errors import UsageError


def arguments(p: argparse.ArgumentParser) -> None:
    """The actions of `reports`."""
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = _action(actions, "check", _check, "find errors in CT reports by rule, no model needed")
    check.add_argument("file", type=Path, metavar="FILE", help="JSONL or JSON, one report a row")
    check.add_argument("--out", type=Path, metavar="JSONL", help="write the findings here")
    inject = _action(actions, "inject", _inject, "put errors of known truth into clean CT reports")
    inject.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="default: the 60 shipped clean reports"
    )
    inject.add_argument("--out", type=Path, required=True, metavar="JSONL")
    inject.add_argument("--prevalence", type=float, default=0.6, help="share of faulty reports")
    inject.add_argument("--most", type=int, default=3, help="errors a report at the most")
    inject.add_argument("--types", default="", metavar="ID,ID", help="default: all eight")
    inject.add_argument("--seed", type=int, default=0)


def loop_arguments(p: argparse.ArgumentParser) -> None:
    """The actions of `loop`."""
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = _action(
        actions, "list", _list, "where runs or judges disagree, as a sheet for experts"
    )
    listed.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    listed.add_argument("--out", type=Path, required=True, metavar="DIR")
    more = _action(
        actions, "extend", _extend, "confirmed truths put into a new version of a test set"
    )
    more.add_argument("sheets", type=Path, nargs="+", metavar="SHEET.csv", help="filled in")
    more.add_argument("--data", type=Path, metavar="SET", help="default: the shipped set")
    more.add_argument("--out", type=Path, required=True, metavar="SET")
    curve = _action(actions, "curve", _curve, "runs' answers scored against each version of a set")
    curve.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    curve.add_argument("--sets", type=Path, nargs="+", required=True, metavar="SET")
    curve.add_argument("--out", type=Path, required=True, metavar="DIR")
    curve.add_argument("--seed", type=int, default=0)


def _action(
    actions: Any, name: str, call: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    found.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    found.set_defaults(call=call)
    return found


def _check(args: argparse.Namespace) -> int:
    from wardround.images.report import PLACES, report_of, split_report
    from wardround.images.report_check import check
    from wardround.records import encode
    from wardround.rows import read_json_rows

    lines: list[dict[str, Any]] = []
    kinds: Counter[str] = Counter()
    reports = skipped = 0
    for number, row in read_json_rows(args.file):
        name = str(row.get("id") or f"row-{number}")
        report = report_of(row, name) or split_report(str(row.get("question") or ""))
        if report is None:
            skipped += 1
            lines.append(
                {"id": name, "row": number, "skipped": "no findings (描述) and impression"}
            )
            continue
        reports += 1
        for f in check(report):
            kinds[f.type] += 1
            lines.append({"id": name, "row": number, **_plain(f)})
    if args.out is not None:
        args.out.write_bytes(b"".join(encode(line) + b"\n" for line in lines))
    summary = {"reports": reports, "skipped": skipped, "findings": dict(sorted(kinds.items()))}
    if args.json:
        print(json.dumps({"ok": True, **summary, "lines": lines}, ensure_ascii=False))
        return 0
    for line in lines:
        if "skipped" in line:
            print(f"{line['id']}: left aside, {line['skipped']}")
        else:
            place = dict(PLACES.items())[line["place"]]
            print(f"{line['id']} {place} {line['start']}–{line['end']} {line['type']}: {line['suggestion']}")  # fmt: skip
    print(f"{reports} reports, {skipped} left aside, {sum(kinds.values())} findings")
    return 0


def _plain(finding: Any) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(finding)
    return plain | {"suggestion": finding.suggestion}


def _inject(args: argparse.Namespace) -> int:
    from wardround.artifact import write_atomically
    from wardround.benchmarks.data import ITEMS
    from wardround.images.report import report_of
    from wardround.images.report_errors import Plan, inject, row_of
    from wardround.records import encode
    from wardround.rows import read_json_rows

    source = args.file or ITEMS / "ct_reports.jsonl"
    rows = [
        (row, report)
        for number, row in read_json_rows(source)
        if (report := report_of(row, str(row.get("id") or f"row-{number}"))) is not None
    ]
    if not rows:
        raise UsageError(f"{source}: no report in it", hint="give rows with 描述 and 诊断")
    types = tuple(t.strip() for t in args.types.split(",") if t.strip())
    plan = Plan(seed=args.seed, prevalence=args.prevalence, most=args.most, types=types)
    made = inject([report for _, report in rows], plan)
    kept = ({k: row[k] for k in ("author", "review") if k in row} for row, _ in rows)
    lines = [encode(row_of(m, plan) | k) + b"\n" for m, k in zip(made, kept, strict=True)]
    write_atomically(args.out, b"".join(lines))
    kinds = Counter(e.type for m in made for e in m.errors)
    counts = {"reports": len(made), "faulty": sum(bool(m.errors) for m in made)}
    missed = sum(len(m.missed) for m in made)
    if args.json:
        print(json.dumps({"ok": True, **counts, "errors": dict(kinds), "missed": missed}))
    else:
        print(
            f"{counts['reports']} reports, {counts['faulty']} faulty, {sum(kinds.values())} errors"
        )
        for kind, n in sorted(kinds.items()):
            print(f"  {kind:30} {n}")
        print(f"drawn but impossible in that report: {missed}\n{args.out}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from wardround.benchmarks.disagreements import disagreements

    return finish(args, disagreements(args.runs, args.out).path)


def _extend(args: argparse.Namespace) -> int:
    from wardround.benchmarks.extend import extend

    return finish(args, extend(args.data, args.sheets, args.out).path)


def _curve(args: argparse.Namespace) -> int:
    from wardround.benchmarks.extend import curve

    return finish(args, curve(args.sets, args.runs, args.out, seed=args.seed).path)
