"""`wardround images`: gather pictures, make faults, check headers, fetch from and answer to an archive."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.artifact import Artifact


def arguments(p: argparse.ArgumentParser) -> None:
    """The command's options."""
    steps = p.add_subparsers(dest="step", required=True, metavar="STEP")

    def step(name: str, call: Any, text: str) -> argparse.ArgumentParser:
        sub = steps.add_parser(name, help=text, description=text)
        sub.add_argument("--json", action="store_true", help="print the result as one JSON line")
        sub.set_defaults(step_call=call)
        return sub

    s = step("collect", _collect, "a set of pictures → an artifact, prepared and checked")
    s.add_argument("set", choices=("retina", "cxr_quality"))
    s.add_argument("source", type=Path, metavar="SOURCE", help="JSONL, MuReD CSV, label folders")
    s.add_argument("--out", type=Path, required=True, metavar="DIR")
    s = step("faults", _faults, "clean chest X-rays → X-rays with faults of known truth")
    s.add_argument("bases", type=Path, nargs="+", metavar="CLEAN")
    s.add_argument("--out", type=Path, required=True, metavar="DIR")
    s.add_argument("--count", type=int, default=60, metavar="N")
    s.add_argument("--prevalence", type=float, default=0.7, metavar="P")
    s.add_argument("--seed", type=int, default=0)
    s = step("phantoms", _phantoms, "drawn phantoms of known truth: sets to try things with")
    s.add_argument("set", choices=("retina", "cxr_quality"))
    s.add_argument("--out", type=Path, required=True, metavar="DIR")
    s.add_argument("--count", type=int, default=24, metavar="N")
    s.add_argument("--seed", type=int, default=0)
    s = step("check", _check, "what is wrong in DICOM headers: files, folders, or a CSV of headers")
    s.add_argument("sources", type=Path, nargs="+", metavar="SOURCE")
    s = step("fetch", _fetch, "fetch instances from DICOMweb into a folder")
    s.add_argument("url")
    s.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    s.add_argument(
        "--where", action="append", default=[], metavar="KEYWORD=VALUE", help="e.g. Modality=CR"
    )
    s = step("verdicts", _verdicts, "a run's verdicts on DICOM images → SR and FHIR")
    s.add_argument("run", type=Path, metavar="RUN")
    s.add_argument(
        "--dicom", type=Path, required=True, metavar="FOLDER", help="the images as DICOM"
    )
    s.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    s.add_argument("--store", metavar="URL", help="also send the reports to this DICOMweb archive")


def run(args: argparse.Namespace) -> int:
    """Do the step; returns the exit status."""
    return int(args.step_call(args))


def _tell(args: argparse.Namespace, found: Mapping[str, Any], lines: list[str]) -> int:
    print(json.dumps({"ok": True, **found}, ensure_ascii=False) if args.json else "\n".join(lines))
    return 0


def _collect(args: argparse.Namespace) -> int:
    from wardround.images.collect import collect

    return _made(args, collect(args.set, args.source, args.out))


def _faults(args: argparse.Namespace) -> int:
    from wardround.images.made import generate, read_base

    if args.count < 1:
        raise UsageError(f"--count {args.count}: must be 1 or more")
    bases = [(path, read_base(path)) for path in args.bases]
    made = generate(bases, args.out, count=args.count, seed=args.seed, prevalence=args.prevalence)
    return _made(args, made)


def _phantoms(args: argparse.Namespace) -> int:
    from wardround.images.made import phantoms

    if args.count < 1:
        raise UsageError(f"--count {args.count}: must be 1 or more")
    return _made(args, phantoms(args.set, args.out, seed=args.seed, count=args.count))


def _made(args: argparse.Namespace, artifact: Artifact) -> int:
    summary = json.loads((artifact.path / "summary.json").read_text("utf-8"))
    lines = [
        f"{artifact.path}: {summary['pictures']} pictures, digest {artifact.manifest.digest[:12]}"
    ]
    for name in ("modalities", "labels", "excluded", "header_findings"):
        if summary[name]:
            told = ", ".join(f"{k} {n}" for k, n in summary[name].items())
            lines.append(f"{name}: {told}")
    for label, (_, why) in summary.get("not_simulated", {}).items():
        lines.append(f"not drawn: {label}: {why}")
    lines += [f"! {label}" for label in artifact.manifest.labels]
    return _tell(args, {"path": str(artifact.path), "digest": artifact.manifest.digest, **summary}, lines)  # fmt: skip


def _check(args: argparse.Namespace) -> int:
    from wardround.images.headers import RULES, check_header

    found: Counter[str] = Counter()
    unread: list[str] = []
    headers = with_findings = 0
    for source in args.sources:
        for name, header in _headers(source):
            if header is None:
                unread.append(name)
                continue
            findings = check_header(header)
            headers += 1
            with_findings += bool(findings)
            found.update(f.rule for f in findings)
            if headers <= 50 and not args.json and not source.suffix.lower().startswith(".csv"):
                print(f"{name}: {'; '.join(f.en for f in findings) or 'nothing found'}")
    lines = [f"{headers} headers, {with_findings} with findings, {len(unread)} unreadable"]
    lines += [f"{n:>7}  {rule}  {RULES[rule][1]}" for rule, n in found.most_common()]
    lines += [f"unreadable: {name}" for name in unread[:20]]
    result = {
        "headers": headers,
        "with_findings": with_findings,
        "unreadable": unread,
        "rules": found,
    }
    return _tell(args, result, lines)


def _headers(source: Path) -> Iterator[tuple[str, Mapping[str, str] | None]]:
    """(name, header) of DICOM files below a folder, of one file, or of a CSV's rows (.csv, .csv.gz)."""
    import csv
    import gzip

    from wardround.images.dicom import dataset, header_of
    from wardround.images.headers import from_columns
    from wardround.images.held import HeldBack, extra

    if not source.exists():
        raise UsageError(f"{source}: no such file or folder", hint="check the path")
    if source.name.lower().endswith((".csv", ".csv.gz")):
        opened = gzip.open if source.suffix == ".gz" else open
        with opened(source, "rt", encoding="utf-8-sig", newline="") as f:
            for number, row in enumerate(csv.DictReader(f), start=2):
                yield f"{source.name} row {number}", from_columns(row)
        return
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    for path in files:
        with extra():
            try:
                yield str(path), header_of(dataset(path.read_bytes()))
            except HeldBack:
                yield str(path), None


def _fetch(args: argparse.Namespace) -> int:
    from wardround.images.dicomweb import fetch

    query = {}
    for text in args.where:
        keyword, given, value = text.partition("=")
        if not keyword or not given:
            raise UsageError(f"--where {text}: not KEYWORD=VALUE")
        query[keyword] = value
    found = fetch(args.url, args.out, query)
    return _tell(args, {"path": str(args.out), "instances": len(found)}, [f"{args.out}: {len(found)} instances"])  # fmt: skip


def _verdicts(args: argparse.Namespace) -> int:
    from wardround.images.answered import write_verdicts
    from wardround.images.dicomweb import store

    made = write_verdicts(args.run, args.dicom, args.out)
    if args.store:
        store(args.store, {p.name: p.read_bytes() for p in made.reports})
    lines = [f"{args.out}: {len(made.reports)} verdicts as SR and FHIR, read back and equal"]
    lines += [f"left aside: {n} × {reason}" for reason, n in sorted(made.left.items())]
    if args.store:
        lines.append(f"stored in {args.store}")
    if not made.reports:
        print("\n".join(lines), file=sys.stderr)
        raise UsageError(
            f"{args.run}: no verdict on an image in {args.dicom}",
            hint="give the run's own DICOM files",
        )
    return _tell(args, {"path": str(args.out), "verdicts": len(made.reports), "left": made.left}, lines)  # fmt: skip
