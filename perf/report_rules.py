"""The rule checker on injected Chinese reports, and on real English ones for stability.

    python perf/report_rules.py [SEEDS]

Prints precision and recall by error type over SEEDS injections (20) of the shipped clean reports at a prevalence of
0.6, and false alarms on the clean ones. With WARDROUND_REALDATA set it also runs over the reports in
nlmcxr_reports.tgz there: that many were read, none made it fail, so many findings.
"""

from __future__ import annotations

import os
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from wardround.benchmarks.data import ITEMS, read_rows
from wardround.images.report import CTReport, report_of
from wardround.images.report_check import check
from wardround.images.report_errors import Plan, inject
from wardround.images.report_measure import measure


def clean() -> list[CTReport]:
    """The shipped clean reports."""
    rows = read_rows(ITEMS / "ct_reports.jsonl")
    return [r for _, row in rows if (r := report_of(row, str(row["id"])))]


def english(folder: Path) -> Iterator[CTReport]:
    """Every report of the archive, findings and impression as they are, empty ones too."""
    with tarfile.open(folder / "nlmcxr_reports.tgz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            root = ET.fromstring(file.read())
            parts = {e.get("Label", ""): e.text or "" for e in root.iter("AbstractText")}
            yield CTReport(
                id=member.name, age="", sex="", examination="Chest X-ray",
                findings=parts.get("FINDINGS", ""), impression=parts.get("IMPRESSION", ""),
            )  # fmt: skip


def _percent(value: float | None) -> str:
    return "    —" if value is None else f"{100 * value:5.1f}"


def main() -> None:
    """Print the figures."""
    reports = clean()
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    found = measure([x for s in range(seeds) for x in inject(reports, Plan(seed=s))])
    print(f"{'type':30} errors  prec.  recall  known n, recall  unknown n, recall")
    for t in found.types:
        print(
            f"{t.type:30} {t.errors:6} {_percent(t.precision)}  {_percent(t.recall)}   "
            f"{t.known:6} {_percent(t.recall_known)}    {t.unknown:6} {_percent(t.recall_unknown)}"
        )
    hits, errors = sum(t.hits for t in found.types), sum(t.errors for t in found.types)
    named = sum(t.findings for t in found.types)
    print(f"all: precision {_percent(hits / named)}, recall {_percent(hits / errors)}")
    print(f"faulty reports flagged: {found.flagged}/{found.faulty}")
    own = sum(len(check(r)) for r in reports)
    print(f"false alarms on the {len(reports)} clean reports: {own}")
    folder = os.environ.get("WARDROUND_REALDATA")
    if folder:
        started, kinds, n = time.perf_counter(), Counter[str](), 0
        for report in english(Path(folder)):
            n += 1
            kinds.update(f"{f.type}/{f.rule}" for f in check(report))
        spent = time.perf_counter() - started
        print(
            f"real English reports: {n} read, findings {dict(kinds)}, {1000 * spent / n:.2f} ms each"
        )


if __name__ == "__main__":
    main()
