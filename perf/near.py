"""Near-duplicate removal beside its peers: speed, recall by level, precision, fact-changed twins lost, peak memory.

    python perf/near.py [--n 24000] [--seed 1] [--tools ours,rensa,datasketch] [--json FILE]
    WARDROUND_REALDATA=FOLDER python perf/near.py        # names and sentences from real data

Every tool runs in a process of its own, held to one core, on the same texts in the same order (see
perf/near_corpus.py), with the same 64 permutations in 16 bands on character 4-grams. Speed is texts by processor seconds (a shared machine's
wall clock says little) from the texts in memory to the decision on each; reading and generating are not timed. Peak memory is the process's, less what the
texts took. `rensa` is its documented loop (query, compare, insert), which like ours names the text that each one
equals; `rensa matrix` its quickest call, which only flags. datasketch, datatrove and data-juicer run where installed.

A drop is right when both texts come of one original; a twin is lost when it, or its original for its sake, is dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
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
    near = near_duplicates(bands, [0] * len(texts), texts.__getitem__)
    seconds = {"signatures": signed - begun, "comparing": time.perf_counter() - signed}
    kinds = Counter(b.differences[0].kind for b in near.blocked)
    return near.dropped, {
        "seconds": {k: round(v, 2) for k, v in seconds.items()}, "candidates": near.candidates,
        "verified": near.verified, "blocked": len(near.blocked), "capped": near.capped,
        "blocked_kinds": dict(kinds.most_common()),
        "blocked_pairs": [(b.kept, b.other, [(d.kind, d.a, d.b) for d in b.differences]) for b in near.blocked],
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


TOOLS: dict[str, Callable[[Sequence[str]], tuple[Dropped, dict[str, Any]]]] = {
    "ours": ours, "unguarded": ours_unguarded, "rensa": rensa, "rensa matrix": rensa_matrix,
    "datasketch": datasketch, "data-juicer": data_juicer,
}  # fmt: skip


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(tool: str, n: int, seed: int) -> dict[str, Any]:
    """One tool in this process, held to one core."""
    from near_corpus import corpus

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    docs = corpus(n, seed)
    texts = [d.text for d in docs]
    TOOLS[tool](texts[:500])  # imports, tables and lexicon
    before, cpu, begun = _peak_mb(), time.process_time(), time.perf_counter()
    dropped, more = TOOLS[tool](texts)
    wall, used = time.perf_counter() - begun, time.process_time() - cpu
    out = {
        "tool": tool, "docs": len(docs), "docs_s": len(docs) / used, "wall_s": wall, "cpu_s": used,
        "peak_mb": _peak_mb() - before, **_judged(docs, dropped),
    }  # fmt: skip
    pairs = more.pop("blocked_pairs", None)
    if pairs is not None and os.environ.get("NEAR_SHOW"):
        _show(docs, dropped, pairs)
    return out | more


def _judged(docs: Sequence[Any], dropped: Dropped) -> dict[str, Any]:
    at: dict[int, list[int]] = {}
    for i, d in enumerate(docs):
        at.setdefault(d.cluster, []).append(i)
    planted, found, right = Counter[str](), Counter[str](), 0
    for d in docs:
        if d.level:
            planted[d.level] += 1
            found[d.level] += any(j in dropped for j in at[d.cluster])
    named = all(k >= 0 for k in dropped.values())
    for i, k in dropped.items():
        mates = [m for m in at[docs[i].cluster] if m != i]
        right += (docs[k].cluster == docs[i].cluster) if named else bool(mates)
    twins, lost = Counter[str](), Counter[str]()
    for i, d in enumerate(docs):
        if d.fact:
            twins[d.fact] += 1
            original = at[d.twin_of][0]
            gone = [x for x in (i, original) if x in dropped]
            lost[d.fact] += any(not named or dropped[x] in (i, original) for x in gone)
    return {
        "dropped": len(dropped), "precision": right / max(1, len(dropped)),
        "recall": {k: found[k] / v for k, v in sorted(planted.items())},
        "twins": twins.total(), "lost": lost.total() / max(1, twins.total()),
        "lost_by_fact": {k: f"{lost[k]}/{v}" for k, v in sorted(twins.items())},
    }  # fmt: skip


def _show(docs: Sequence[Any], dropped: Dropped, pairs: Sequence[Any]) -> None:
    """What went wrong, on stderr: duplicates the guard kept, twins it lost."""
    for a, b, why in pairs:
        if docs[a].cluster == docs[b].cluster and b not in dropped:
            print("KEPT", docs[a].level or docs[b].level, why, file=sys.stderr)
    for i, k in dropped.items():
        if k >= 0 and docs[i].cluster != docs[k].cluster:
            fact = docs[i].fact or docs[k].fact
            print("LOST", fact, _parts(docs[i].text, docs[k].text), file=sys.stderr)


def _parts(a: str, b: str) -> list[tuple[str, str]]:
    from difflib import SequenceMatcher

    ops = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return [
        (a[max(0, i - 6) : j + 4], b[max(0, k - 6) : m + 4])
        for o, i, j, k, m in ops
        if o != "equal"
    ]


def _known() -> str:
    from near_corpus import names

    from wardround.corpus.folded import plain
    from wardround.corpus.lexicon import lexicon

    words, known = lexicon(), names()
    shares = []
    for kind, listed in (("drug", known.drugs), ("disease", known.diseases)):
        hits = sum(bool(words.kind(plain(x))) for x in listed)
        shares.append(
            f"{kind}: {len(listed)}, of them {hits} ({hits / len(listed):.0%}) in the lexicon"
        )
    return "; ".join(shares)


def main() -> int:
    """Run every tool in turn and print the table; exit 1 when a target is missed."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--n", type=int, default=24_000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--tools", default=",".join(TOOLS))
    p.add_argument("--json", type=Path)
    p.add_argument("--one", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.one:
        print(json.dumps(measure(args.one, args.n, args.seed), ensure_ascii=False))
        return 0
    data = "recombined real data" if os.environ.get("WARDROUND_REALDATA") else "synthetic texts"
    print(f"{data}, seed {args.seed}; generator's names: {_known()}")
    results = {}
    for tool in args.tools.split(","):
        command = [
            sys.executable,
            __file__,
            "--one",
            tool,
            "--n",
            str(args.n),
            "--seed",
            str(args.seed),
        ]
        env = os.environ | {
            "RAYON_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            print(f"{tool}: not run ({(done.stderr.strip().splitlines() or ['?'])[-1][:100]})")
            continue
        sys.stderr.write(done.stderr if os.environ.get("NEAR_SHOW") else "")
        results[tool] = json.loads(done.stdout.strip().splitlines()[-1])
        _line(results[tool])
    if args.json:
        args.json.write_text(json.dumps(results, ensure_ascii=False, indent=1), encoding="utf-8")
    return _verdict(results)


def _line(r: dict[str, Any]) -> None:
    recall = " ".join(f"{k} {v:.3f}" for k, v in r["recall"].items())
    print(
        f"{r['tool']:<15} {r['docs_s']:>7,.0f} docs/s  +{r['peak_mb']:,.0f} MB  precision {r['precision']:.3f}  "
        f"twins lost {r['lost']:.1%} of {r['twins']}  recall: {recall}",
        flush=True,
    )
    if r["tool"] == "ours":
        print(
            "   ",
            {k: r[k] for k in ("docs", "seconds", "candidates", "verified", "blocked", "capped")},
        )
        print("    blocked:", r["blocked_kinds"], " lost:", r["lost_by_fact"])


def _verdict(results: dict[str, dict[str, Any]]) -> int:
    mine = results.get("ours")
    if mine is None:
        return 1
    checks = [
        ("precision ≥ 0.99", mine["precision"] >= 0.99), ("twins lost ≤ 2 %", mine["lost"] <= 0.02),
        *((f"recall {k} ≥ 0.9", mine["recall"].get(k, 0) >= 0.9) for k in ("exact", "format", "edit", "order")),
    ]  # fmt: skip
    for tool, factor in (("rensa", 0.5), ("datasketch", 2.0)):
        if tool in results:
            ratio = mine["docs_s"] / results[tool]["docs_s"]
            checks.append((f"speed {ratio:.2f} × {tool}, wanted ≥ {factor}", ratio >= factor))
    if "rensa matrix" in results:
        print(
            f"beside rensa's flag-only matrix call: {mine['docs_s'] / results['rensa matrix']['docs_s']:.2f} ×"
        )
    for name, met in checks:
        print("met   " if met else "MISSED", name)
    return 0 if all(met for _, met in checks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
