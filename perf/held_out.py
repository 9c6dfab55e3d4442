"""Decontamination measured: planted leaks found, clean text wrongly flagged, texts a second.

    python perf/held_out.py [--questions 2000] [--clean 20000] [--seed 1]

Choice questions and single turns are composed as perf/near_corpus.py composes texts (with WARDROUND_REALDATA, of real
sentences); leaks are planted whole, with options shuffled, and with slips, each behind 100 to 200 characters of other text.
Clean texts come of the same patterns and names, so they share phrases with the questions but hold none.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable

from near_corpus import Text, corpus, duplicate, names

from wardround.corpus.held_items import Item
from wardround.corpus.held_out import HeldOut, of_items


def _items(n: int, seed: int) -> list[Item]:
    """Half choice questions, half single turns. A choice question's text is the first 90 characters of one."""
    r = random.Random(seed)
    known = names()
    docs = [d.text for d in corpus(n, seed, half=0) if not d.level and not d.fact][:n]
    items = []
    for i, text in enumerate(docs):
        if i % 2:
            items.append(Item(id=f"s{i}", file="single", row=i, question=text[:200]))
            continue
        pool = known.diseases if r.random() < 0.5 else known.drugs
        options = tuple(r.sample(list(pool), 5))
        items.append(Item(id=f"c{i}", file="choice", row=i, question=text[:90], options=options))
    return items


def _slips(text: str, r: random.Random) -> str:
    return duplicate(Text([[(text, "")]]), "edit", r)


def _leaks(r: random.Random) -> dict[str, Callable[[Item], str]]:
    return {
        "whole": lambda i: "\n".join([i.question, *i.options]),
        "options shuffled": lambda i: i.question + "\n".join(r.sample(i.options, len(i.options))),
        "slips": lambda i: "\n".join([_slips(i.question, r), *i.options]),
    }


def main() -> int:
    """Print the figures; exit 1 when clean text is flagged to be dropped or leaks are missed."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--questions", type=int, default=2000)
    p.add_argument("--clean", type=int, default=20_000)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    items = _items(args.questions, args.seed)
    begun = time.perf_counter()
    held = of_items(items)
    kind = "recombined real data" if os.environ.get("WARDROUND_REALDATA") else "synthetic texts"
    print(f"{kind}: {held.sets}, indexed in {time.perf_counter() - begun:.1f} s")
    clean = [d.text for d in corpus(args.clean, args.seed + 1, half=1)]
    begun = time.process_time()
    hits = held.check(clean)
    speed = len(clean) / (time.process_time() - begun)
    dropped = sum(h is not None and h.action == "drop" for h in hits)
    review = sum(h is not None and h.action == "review" for h in hits)
    print(f"clean: {len(clean)} texts, dropped {dropped}, to review {review}, {speed:,.0f} docs/s")
    missed = _planted(held, items, clean, random.Random(args.seed))
    return int(missed or dropped > len(clean) // 1000)


def _planted(held: HeldOut, items: list[Item], clean: list[str], r: random.Random) -> int:
    low = 0
    for name, leak in _leaks(r).items():
        for file in ("choice", "single"):
            mine = [i for i in items if i.file == file]
            if name == "options shuffled" and file == "single":
                continue
            hits = held.check([r.choice(clean)[: r.randint(100, 200)] + leak(i) for i in mine])
            found = sum(h is not None and h.action == "drop" for h in hits)
            print(f"planted {file}, {name}: {found / len(mine):.3f} of {len(mine)} dropped")
            low += found < 0.95 * len(mine)
    return low


if __name__ == "__main__":
    raise SystemExit(main())
