"""Sources of any size for the build bench, recombined from real ones by a seed.

    python perf/sources.py FOLDER --rows 100000 [--seed 0]        (WARDROUND_REALDATA names the real data)

Encyclopedia entries are put together anew: a disease, symptoms, examinations and drugs of the dictionaries, and prose
of as many sentences as a real entry has, dealt out of all real entries with the disease's name put in. Consultations
are real ones whose sentences are dealt out again. Medically it is nonsense; in length, fields and wording it is like the real thing. Nothing of it is
kept in the repository.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import sys
from pathlib import Path
from typing import Any

ENTRIES = 0.1205
"""Share of encyclopedia entries among the rows: some eight samples each, so 100,000 rows give some 92,000."""
PROSE = ("desc", "cause", "prevent")
NAME = "〔病名〕"
_NUMBERED = re.compile(r"^\s*[（(]?\d{1,2}\s*(?:[)）、．]|\.(?!\d))\s*")


def real() -> Path:
    """The folder of real data; ends the program when there is none."""
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        sys.exit("WARDROUND_REALDATA is not set: this bench recombines real sources")
    return Path(folder)


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


class Deck:
    """The real material, and how it is dealt out."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.entries: list[dict[str, Any]] = [
            json.loads(line) for line in _lines(folder / "encyclopedia_respiratory.jsonl")
        ]
        self.prose = {f: [self._sentences(e, f) for e in self.entries] for f in PROSE}
        self.pool = {f: [s for own in self.prose[f] for s in own] for f in PROSE}
        names = {
            n: _lines(folder / "dict" / f"{n}.txt")
            for n in ("disease", "symptom", "drug", "check", "department")
        }
        self.diseases, self.symptoms, self.drugs = names["disease"], names["symptom"], names["drug"]
        self.checks, self.departments = names["check"], names["department"]
        with open(
            folder / "dialogue_internal_medicine.gb18030.csv", encoding="gb18030", newline=""
        ) as f:
            self.talks = list(csv.DictReader(f))

    @staticmethod
    def _sentences(entry: dict[str, Any], field: str) -> list[str]:
        """The field's sentences without their numbers, `NAME` for the disease."""
        text = str(entry.get(field) or "").replace(entry["name"], NAME)
        pieces = [_NUMBERED.sub("", p).strip() for p in re.split(r"(?<=[。！？\n])", text)]
        return [p if p[-1] in "。！？" else p.rstrip("；;，,：:") + "。" for p in pieces if p]

    def entry(self, number: int) -> dict[str, Any]:
        """One encyclopedia row."""
        draw = self.random
        base = draw.choice(self.entries)
        name = self.diseases[number % len(self.diseases)]
        if number >= len(self.diseases):
            name += f"（{draw.choice(self.symptoms)}型）"
        row = {k: v for k, v in base.items() if k != "_id"}
        for field in PROSE:
            some = draw.choices(self.pool[field], k=len(draw.choice(self.prose[field])))
            row[field] = "".join(dict.fromkeys(some)).replace(NAME, name)
        return row | {
            "name": name,
            "symptom": draw.sample(self.symptoms, draw.randint(3, 8)),
            "check": draw.sample(self.checks, draw.randint(2, 6)),
            "recommand_drug": draw.sample(self.drugs, draw.randint(2, 5)),
            "acompany": draw.sample(self.diseases, draw.randint(1, 4)),
            "cure_department": ["内科", draw.choice(self.departments)],
        }

    def talk(self) -> dict[str, str]:
        """One consultation row."""
        draw = self.random
        base, other = draw.choice(self.talks), draw.choice(self.talks)
        pieces = [p for p in re.split(r"(?<=[。！？])", base["answer"] + other["answer"]) if p]
        draw.shuffle(pieces)
        ask = f"{draw.choice(self.symptoms)}，{base['ask']}"
        return {
            "department": base["department"], "title": base["title"], "ask": ask,
            "answer": "".join(pieces[: max(2, len(pieces) * 2 // 3)]),
        }  # fmt: skip


def make(folder: Path, rows: int, seed: int = 0, share: float = ENTRIES) -> list[Path]:
    """Write an encyclopedia (JSONL) and consultations (CSV, GB18030) of `rows` rows together, a `share` of them
    entries."""
    folder.mkdir(parents=True, exist_ok=True)
    deck = Deck(real(), seed)
    entries = round(rows * share)
    book, talks = folder / "encyclopedia.jsonl", folder / "consultations.csv"
    with open(book, "w", encoding="utf-8") as f:
        for number in range(entries):
            f.write(json.dumps(deck.entry(number), ensure_ascii=False) + "\n")
    with open(talks, "w", encoding="gb18030", errors="ignore", newline="") as f:
        writer = csv.DictWriter(f, ["department", "title", "ask", "answer"])
        writer.writeheader()
        writer.writerows(deck.talk() for _ in range(rows - entries))
    return [book, talks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for path in make(args.folder, args.rows, args.seed):
        print(f"{path}  {path.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
