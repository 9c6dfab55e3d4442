"""The tools of `near.py`, each in a process of its own, which need not have this project installed.

    python perf/near_contenders.py TOOL TEXTS.json      (TEXTS: a JSON list of strings)

Prints one line of JSON: which texts it drops, CPU and wall seconds from the texts in memory to the decision on each, and the
peak memory beyond what there was before. All use 64 permutations in 16 bands on character 4-grams, and 0.65 where
they take a threshold. datatrove has none: what shares a band is a duplicate; its stages go through files, as they do in use, and
its normalisation is its own (which makes all numbers one), but words are characters.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PERMUTATIONS, BAND_COUNT, GRAM, SEED, LIKE = 64, 16, 4, 42, 0.65

Dropped = dict[int, int]
"""Index of a dropped text → index of the text it was taken to equal; −1 where the tool doesn't say."""


def ours(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from wardround.corpus.near import near_duplicates, signatures

    begun = time.perf_counter()
    bands = signatures(texts)
    signed = time.perf_counter()
    blocked: list[Any] = []
    near = near_duplicates(bands, [0] * len(texts), texts.__getitem__, on_blocked=blocked.append)
    seconds = {"signatures": signed - begun, "comparing": time.perf_counter() - signed}
    kinds = Counter(b.differences[0].kind for b in blocked)
    return near.dropped, {
        "seconds": {k: round(v, 2) for k, v in seconds.items()}, "candidates": near.candidates,
        "verified": near.verified, "blocked": near.blocked, "capped": near.capped,
        "blocked_kinds": dict(kinds.most_common()),
        "blocked_pairs": [(b.kept, b.other, [(d.kind, d.a, d.b) for d in b.differences]) for b in blocked],
    }  # fmt: skip


def ours_unguarded(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from wardround.corpus.near import near_duplicates, signatures

    return near_duplicates(
        signatures(texts), [0] * len(texts), texts.__getitem__, guard=None
    ).dropped, {}


def rensa(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(LIKE, PERMUTATIONS, BAND_COUNT)
    kept: dict[int, Any] = {}
    dropped: Dropped = {}
    for i, text in enumerate(texts):
        sketch = RMinHash(PERMUTATIONS, SEED)
        sketch.update([text[k : k + GRAM] for k in range(max(1, len(text) - GRAM + 1))])
        same = next((c for c in index.query(sketch) if kept[c].jaccard(sketch) >= LIKE), None)
        if same is None:
            kept[i] = sketch
            index.insert(i, sketch)
        else:
            dropped[i] = same
    return dropped, {}


def rensa_matrix(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from rensa import RMinHash, RMinHashLSH

    grams = [[t[k : k + GRAM] for k in range(max(1, len(t) - GRAM + 1))] for t in texts]
    matrix = RMinHash.digest_matrix_from_token_sets(grams, PERMUTATIONS, SEED)
    index = RMinHashLSH(LIKE, PERMUTATIONS, BAND_COUNT)
    flags = index.insert_matrix_and_query_duplicate_flags(matrix)
    return {i: -1 for i, f in enumerate(flags) if f}, {}


def datasketch(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=PERMUTATIONS, params=(BAND_COUNT, PERMUTATIONS // BAND_COUNT))
    kept: dict[int, Any] = {}
    dropped: Dropped = {}
    for i, text in enumerate(texts):
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1)
        grams = {text[k : k + GRAM].encode() for k in range(max(1, len(text) - GRAM + 1))}
        sketch.update_batch(list(grams))
        same = next((c for c in index.query(sketch) if kept[c].jaccard(sketch) >= LIKE), None)
        if same is None:
            kept[i] = sketch
            index.insert(i, sketch)
        else:
            dropped[i] = same
    return dropped, {}


def data_juicer(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from data_juicer.core.data import NestedDataset
    from data_juicer.ops.deduplicator.document_minhash_deduplicator import (
        DocumentMinhashDeduplicator,
    )

    op = DocumentMinhashDeduplicator(
        tokenization="character", window_size=GRAM, jaccard_threshold=LIKE,
        num_permutations=PERMUTATIONS, num_bands=BAND_COUNT,
        num_rows_per_band=PERMUTATIONS // BAND_COUNT, lowercase=False,
    )  # fmt: skip
    data = NestedDataset.from_dict({"text": list(texts), "i": list(range(len(texts)))})
    kept, _ = op.process(data.map(op.compute_hash, num_proc=1))
    left = set(kept["i"])
    return {i: -1 for i in range(len(texts)) if i not in left}, {}


def datatrove(texts: Sequence[str]) -> tuple[Dropped, dict[str, Any]]:
    from datatrove.data import Document
    from datatrove.pipeline.dedup import minhash
    from datatrove.utils.logging import logger
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Characters(WordTokenizer):
        def word_tokenize(self, text: str) -> list[str]:
            return list(text)

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    logger.remove()
    config = minhash.MinhashConfig(
        n_grams=GRAM, num_buckets=BAND_COUNT, hashes_per_bucket=PERMUTATIONS // BAND_COUNT
    )

    def documents() -> Iterator[Any]:
        return (Document(text=t, id=str(i)) for i, t in enumerate(texts))

    with tempfile.TemporaryDirectory() as name:
        signed, paired, removed = (f"{name}/{part}" for part in ("signed", "paired", "removed"))
        stage = minhash.MinhashDedupSignature(signed, config=config, language=Characters())
        stage.run(documents())
        for rank in range(BAND_COUNT):
            stage = minhash.MinhashDedupBuckets(signed, paired, config=config)
            stage.run(None, rank=rank, world_size=BAND_COUNT)
        minhash.MinhashDedupCluster(paired, removed, config=config).run(None)
        kept = minhash.MinhashDedupFilter(removed).run(documents())
        left = {int(d.id) for d in kept}
    return {i: -1 for i in range(len(texts)) if i not in left}, {}


TOOLS: dict[str, Callable[[Sequence[str]], tuple[Dropped, dict[str, Any]]]] = {
    "ours": ours, "unguarded": ours_unguarded, "rensa": rensa, "rensa matrix": rensa_matrix,
    "datasketch": datasketch, "datatrove": datatrove, "data-juicer": data_juicer,
}  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    tool, path = sys.argv[1:]
    texts: list[str] = json.loads(Path(path).read_text(encoding="utf-8"))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    TOOLS[tool](texts[:500])  # imports, tables and lexicon
    before, cpu, begun = _peak_mb(), time.process_time(), time.perf_counter()
    dropped, more = TOOLS[tool](texts)
    found = {
        "wall_s": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu,
        "peak_mb": _peak_mb() - before, "dropped": list(dropped.items()), "more": more,
    }  # fmt: skip
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
