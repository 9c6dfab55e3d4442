"""De-identification measured: recall, precision and speed of `wardround.corpus.privacy`.

Recall, precision and F1 by kind on the synthetic notes of `privacy_notes.py`, for the skeletons the detector was
developed on and for those held out; false positives per 1,000 characters; what is replaced under any kind
("removed"). Then MB/s (UTF-8) on encyclopedia entries ("knowledge"), on clinical sentences without identifiers, full of
what looks like them ("plain"), and on the notes, beside one bare regular expression over the same texts, which is
the least any detector can cost.

    python perf/privacy.py               the tables
    python perf/privacy.py --json        the last line is JSON
    python perf/privacy.py --check       exit 1 when a limit is passed: LIMITS below
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import privacy_notes

from wardround.corpus import privacy

LIMITS = {"recall": 0.98, "precision": 0.97, "mb_s_knowledge": 20.0, "mb_s_plain": 20.0}
BARE = re.compile(r"(?<![0-9])1[3-9][0-9]{9}(?![0-9])|[0-9]{17}[0-9Xx]")
ROUNDS = 5
EXAMPLES = Path(__file__).parents[1] / "examples" / "encyclopedia.jsonl"


def quality(notes: Sequence[privacy_notes.Note]) -> dict[str, Any]:
    """Totals by kind over `notes`, and overall: recall (wholly covered, kind right), removed (wholly covered
    by findings of any kind), precision, F1, and false positives per 1,000 characters."""
    totals: dict[str, list[int]] = {}
    for note in notes:
        found = [(s.start, s.end, s.kind) for s in privacy.find(note.text)]
        for kind, counts in privacy_notes.scored(found, note.marks).items():
            row = totals.setdefault(kind, [0] * 5)
            for i, n in enumerate(counts):
                row[i] += n
    characters = sum(len(n.text) for n in notes)
    whole = [sum(row[i] for row in totals.values()) for i in range(5)]
    kinds = {k: _rates(totals[k]) for k in privacy.KINDS if k in totals}
    wrong = whole[3] - whole[4]
    return {"kinds": kinds, "all": _rates(whole), "false_per_1000": 1000 * wrong / characters}


def _rates(row: Sequence[int]) -> dict[str, float | int | None]:
    marked, covered, gone, found, right = row
    recall = covered / marked if marked else None
    precision = right / found if found else None
    f1 = 2 * recall * precision / (recall + precision) if recall and precision else None
    removed = gone / marked if marked else None
    return {
        "marked": marked, "recall": recall, "removed": removed, "found": found, "precision": precision, "f1": f1,
    }  # fmt: skip


def knowledge() -> list[str]:
    """The bundled encyclopedia's entries, each as one text: what most sources are like."""
    rows = [json.loads(line) for line in EXAMPLES.read_text(encoding="utf-8").splitlines()]
    return [
        "\n".join(v if isinstance(v, str) else "、".join(v) for v in row.values()) for row in rows
    ]


def speed(texts: Sequence[str]) -> dict[str, float]:
    """MB/s (10^6 bytes of UTF-8) of `clean` and of one bare regular expression; medians, taking turns."""
    size = sum(len(t.encode()) for t in texts) / 1e6
    took: dict[str, list[float]] = {"clean": [], "bare": []}
    work: dict[str, Callable[[str], object]] = {
        "clean": lambda t: privacy.clean({"text": t}),
        "bare": BARE.findall,
    }
    for _ in range(ROUNDS):
        for name, do in work.items():
            start = time.perf_counter()
            for text in texts:
                do(text)
            took[name].append(time.perf_counter() - start)
    rates = {name: size / statistics.median(seconds) for name, seconds in took.items()}
    return rates | {"times_bare": rates["bare"] / rates["clean"], "mb": size}


def _print(title: str, measured: dict[str, Any]) -> None:
    print(f"\n{title}: {measured['false_per_1000']:.3f} false positives per 1,000 characters")
    print(
        f"{'kind':<14}{'marked':>7}{'recall':>8}{'removed':>9}{'found':>7}{'precision':>11}{'F1':>7}"
    )
    for kind, r in [*measured["kinds"].items(), ("all", measured["all"])]:
        cells = [
            f"{r[k]:.3f}" if r[k] is not None else "–"
            for k in ("recall", "removed", "precision", "f1")
        ]
        print(
            f"{kind:<14}{r['marked']:>7}{cells[0]:>8}{cells[1]:>9}{r['found']:>7}{cells[2]:>11}{cells[3]:>7}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="De-identification measured on synthetic notes.")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    notes = privacy_notes.notes(args.count, args.seed)
    result: dict[str, Any] = {}
    for part, held_out in (("seen", False), ("held_out", True)):
        result[part] = quality([n for n in notes if n.held_out == held_out])
        _print(f"{part}, {sum(n.held_out == held_out for n in notes)} notes", result[part])
    result["knowledge"] = speed(knowledge())
    result["plain"] = speed(privacy_notes.plain_text(700_000))
    result["notes"] = speed([n.text for n in notes])
    for name in ("knowledge", "plain", "notes"):
        r = result[name]
        print(
            f"\n{name}: clean {r['clean']:.1f} MB/s, one bare regex {r['bare']:.1f} MB/s ({r['times_bare']:.1f} ×)"
        )
    found = {
        "recall": result["held_out"]["all"]["recall"],
        "precision": result["held_out"]["all"]["precision"],
        "mb_s_knowledge": result["knowledge"]["clean"],
        "mb_s_plain": result["plain"]["clean"],
    }
    missed = [k for k, limit in LIMITS.items() if found[k] < limit]
    if args.json:
        print(json.dumps(result))
    if args.check and missed:
        sys.exit("below the limit: " + ", ".join(missed))


if __name__ == "__main__":
    main()
