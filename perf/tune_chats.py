"""Chats for the tuning bench, recombined from the bundled examples by a seed.

The examples are built into a dataset; a chat then keeps the instruction of one of its samples, and question and answer
get as many sentences as that sample's have, dealt out of all samples of the same task. Medically it is nonsense; in
length, wording and layout it is like the real thing.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from wardround.artifact import open_artifact
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
from wardround.records import Sample
from wardround.tuning.chats import read_chats, read_documents, read_samples
from wardround.tuning.scratch import ScratchOptions, make_model, make_tokenizer, training_texts

EXAMPLES = Path(__file__).parents[1] / "examples"
SHAPE = ScratchOptions(
    vocabulary=8192, layers=4, hidden=256, heads=4, kv_heads=4, feed_forward=768, max_positions=2048
)
LONGER = 1.35
"""Sentences dealt for each of the sample's: brings a chat to 193 tokens on average, as many as real ones have."""
_PIECES = re.compile(r"(?<=[。！？；\n])")


def dataset(folder: Path) -> Path:
    """The dataset built from the bundled examples."""
    sources = [EXAMPLES / "encyclopedia.jsonl", EXAMPLES / "cases.json"]
    return build(sources, folder / "dataset", BuildOptions()).path


def make_base(built: Path, folder: Path) -> Path:
    """A Hugging Face directory: a tokenizer trained on the dataset, the bench's shape with random weights."""
    source = open_artifact(built, "dataset")
    documents = [d for d in read_documents(source) if d.split == "train"]
    tokenizer = make_tokenizer(training_texts(documents, read_chats(source)), SHAPE)
    base = folder / "base"
    make_model(tokenizer, SHAPE).save_pretrained(base)
    tokenizer.save_pretrained(base)
    return base


def write(built: Path, path: Path, count: int, seed: int = 0) -> Path:
    """`count` chats as {"messages": …} rows."""
    samples = read_samples(open_artifact(built, "dataset"))
    deck = _Deck(samples, seed)
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(count):
            f.write(json.dumps(deck.chat(), ensure_ascii=False) + "\n")
    return path


class _Deck:
    """The samples' sentences, by task and side."""

    def __init__(self, samples: list[Sample], seed: int) -> None:
        self._random = random.Random(seed)
        self._samples = samples
        self._asked: dict[str, list[str]] = defaultdict(list)
        self._said: dict[str, list[str]] = defaultdict(list)
        for sample in samples:
            self._asked[sample.task] += _pieces(sample.input)[1:]
            self._said[sample.task] += _pieces(sample.output)

    def chat(self) -> dict[str, Any]:
        """One row."""
        draw = self._random
        base = draw.choice(self._samples)
        head, *rest = _pieces(base.input)
        asked = head + "".join(draw.choices(self._asked[base.task] or [head], k=_more(rest)))
        said = "".join(draw.choices(self._said[base.task], k=_more(_pieces(base.output))))
        pairs = (("user", asked.strip()), ("assistant", said.strip()))
        return {"messages": [{"role": role, "content": text} for role, text in pairs]}


def _more(pieces: list[str]) -> int:
    return round(LONGER * len(pieces))


def _pieces(text: str) -> list[str]:
    return [p for p in _PIECES.split(text) if p.strip()]
