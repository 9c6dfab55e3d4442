"""How well the rules label tasks and specialties, on 300 rows labelled by hand.

    python perf/labelling.py [--part development|held_out|all] [--errors] [--json]
    python perf/labelling.py --speed SOURCE       documents a second on one core, on a source file of your own

The rows (tests/data/labelled.jsonl) were written and labelled before any rule was tuned on them. Half of them
(`development`) were then looked at while mending rules; the other half (`held_out`) never was. Rows and rules have one author,
so even the held-out half says how well the rules do on rows of this style, not on yours.

A task counts as predicted when the rules made a sample of it. With the classifier, questions that no rule asks for are
put to a scripted model which answers from the hand labels with a seeded error rate: it measures
the plumbing (batches, parsing, abstention), not a model.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from wardround import taxonomy
from wardround.corpus.compose import Limits, of_document
from wardround.corpus.formats import inspect
from wardround.corpus.formats import rows as rows_of
from wardround.corpus.kinds import documents_of
from wardround.corpus.label import NONE, Left, classify, left
from wardround.corpus.recipes import load
from wardround.corpus.specialty import specialty_of
from wardround.journal import Journal
from wardround.records import Answer, Document, Provenance, Request

ROWS = Path(__file__).parents[1] / "tests" / "data" / "labelled.jsonl"
SOURCE = Provenance(file=ROWS.name, sha256="0" * 64, row=1)


def document_of(row: Mapping[str, Any]) -> Document:
    """A hand-labelled row as a document; its specialty is not told."""
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in row["fields"].items()}
    return Document(
        id=row["id"], kind=row["kind"], title=row["title"], fields=fields, departments=tuple(row["departments"]),
        specialty=taxonomy.UNMAPPED, provenance=SOURCE,
    )  # fmt: skip


class Scripted:
    """Answers from the hand labels of the row, wrong or "none" at the given rates; by a seed."""

    name: str = "scripted:labels"
    identity: dict[str, str] = {"kind": "scripted", "name": "labels"}
    labels: tuple[str, ...] = ("由脚本按人工标注作答 / answers scripted from the hand labels",)

    def __init__(self, gold: Mapping[str, set[str]], *, wrong: float = 0.1, seed: int = 0) -> None:
        self._gold = gold
        self._wrong = wrong
        self._seed = seed
        self.waiting: list[list[Left]] = []

    async def check(self) -> None:
        """Nothing to check."""

    async def close(self) -> None:
        """Nothing to close."""

    async def complete(self, request: Request) -> Answer:
        lines = []
        for n, item in enumerate(self.waiting.pop(0), start=1):
            chance = random.Random(f"{self._seed}{item.id}")
            right = sorted(self._gold[item.id]) or [NONE]
            wrong = chance.random() < self._wrong
            lines.append(f"{n}: {chance.choice(list(taxonomy.tasks())) if wrong else right[0]}")
        return Answer(status="ok", text="\n".join(lines), finish_reason="stop")


def labelled_by_model(rows: list[dict[str, Any]], rules: Any, limits: Limits) -> dict[str, str]:
    """Question → task, as the scripted model has it."""
    items: list[Left] = []
    gold: dict[str, set[str]] = {}
    for row in rows:
        found = left(document_of(row), rules, tuple(taxonomy.tasks()), limits)
        made = {
            s.task
            for s in of_document(document_of(row), rules, tuple(taxonomy.tasks()), limits).samples
        }
        for item in found:
            gold[item.id] = set(row["tasks"]) - made
        items += found
    model = Scripted(gold)
    ordered = sorted(items, key=lambda x: x.id)
    model.waiting = [ordered[i : i + 10] for i in range(0, len(ordered), 10)]
    with (
        tempfile.TemporaryDirectory() as folder,
        Journal(Path(folder) / "journal.jsonl", config="labels") as journal,
    ):
        return classify(
            items, model, tasks=tuple(taxonomy.tasks()), journal=journal, concurrency=1
        ).tasks


def counts(pairs: Iterable[tuple[set[str], set[str]]]) -> dict[str, dict[str, Any]]:
    """(gold, predicted) → per label and over all: right, predicted, gold, precision, recall, f1."""
    right, predicted, gold = Counter[str](), Counter[str](), Counter[str]()
    for wanted, found in pairs:
        right.update(wanted & found)
        predicted.update(found)
        gold.update(wanted)
    names = sorted(set(predicted) | set(gold))
    table = {n: _row(right[n], predicted[n], gold[n]) for n in names}
    return table | {"all": _row(right.total(), predicted.total(), gold.total())}


def _row(right: int, predicted: int, gold: int) -> dict[str, Any]:
    precision = right / predicted if predicted else None
    recall = right / gold if gold else None
    f1 = 2 * right / (predicted + gold) if predicted + gold else None
    return {
        "right": right,
        "predicted": predicted,
        "gold": gold,
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }


def measure(
    rows: list[dict[str, Any]], tell: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The figures of one part."""
    rules, limits, tasks = load(), Limits(), tuple(taxonomy.tasks())
    by_rules, by_both, by_specialty = [], [], []
    labels = labelled_by_model(rows, rules, limits)
    for row in rows:
        document = document_of(row)
        gold = set(row["tasks"])
        made = {s.task for s in of_document(document, rules, tasks, limits).samples}
        both = {s.task for s in of_document(document, rules, tasks, limits, labels=labels).samples}
        by_rules.append((gold, made))
        by_both.append((gold, both))
        if made != gold:
            tell(
                f"{row['id']} {row['title']}: missed {sorted(gold - made)} wrong {sorted(made - gold)}"
            )
        found = specialty_of(document)
        unlabelled = specialty_of(
            Document(
                **{f: getattr(document, f) for f in document.__struct_fields__}
                | {"departments": ()}
            )
        )
        if unlabelled.id != row["specialty"]:
            tell(
                f"{row['id']} {row['title']}: specialty {row['specialty']}, words say {unlabelled.id} {unlabelled.words}"
            )
        by_specialty.append((row["specialty"], found.id, unlabelled.id))
    return {
        "rows": len(rows),
        "tasks": {"rules": counts(by_rules), "rules and classifier": counts(by_both)},
        "specialties": {
            "department, else words": _specialties((g, f) for g, f, _ in by_specialty),
            "words alone": _specialties((g, u) for g, _, u in by_specialty),
        },
    }


def _specialties(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, Any]]:
    """`unmapped` is an abstention: neither predicted nor, as gold, to be found."""
    return counts(({g} - {taxonomy.UNMAPPED}, {f} - {taxonomy.UNMAPPED}) for g, f in pairs)


def shown(found: dict[str, Any]) -> str:
    """The figures as a table."""
    lines = []
    for what in ("tasks", "specialties"):
        for how, table in found[what].items():
            lines.append(f"\n{what}, {how} ({found['rows']} rows)")
            lines.append(
                f"  {'':28}{'precision':>10}{'recall':>8}{'f1':>7}{'right':>7}{'made':>6}{'gold':>6}"
            )
            for name, r in table.items():
                parts = "".join(
                    f"{'–' if r[k] is None else f'{r[k]:.2f}':>{w}}"
                    for k, w in (("precision", 10), ("recall", 8), ("f1", 7))
                )
                lines.append(f"  {name:28}{parts}{r['right']:>7}{r['predicted']:>6}{r['gold']:>6}")
    return "\n".join(lines)


def speed(path: Path) -> str:
    """How many of a source's documents a second are matched and composed, after a warm-up of fifty."""
    rules, limits, tasks = load(), Limits(), tuple(taxonomy.tasks())
    source = inspect(path)
    found = [d for r in rows_of(path, source) for d in documents_of(r, source)]
    documents = [d for d in found if isinstance(d, Document)]
    for document in documents[:50]:
        of_document(document, rules, tasks, limits)
    began = time.perf_counter()
    made = sum(len(of_document(d, rules, tasks, limits).samples) for d in documents)
    took = time.perf_counter() - began
    return f"{source.kind}: {len(documents)} documents, {made} samples, {len(documents) / took:.0f} documents/s"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("development", "held_out", "all"), default="")
    parser.add_argument(
        "--errors", action="store_true", help="name the rows that went wrong (development only)"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--speed", type=Path, metavar="SOURCE")
    args = parser.parse_args()
    if args.speed:
        print(speed(args.speed))
        return
    rows = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    found = {}
    for part in (args.part,) if args.part else ("development", "held_out"):
        mine = [r for r in rows if part in ("all", r["part"])]
        found[part] = measure(
            mine, print if args.errors and part == "development" else lambda _: None
        )
    if args.json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for part, figures in found.items():
        print(f"\n== {part} =={shown(figures)}")


if __name__ == "__main__":
    main()
