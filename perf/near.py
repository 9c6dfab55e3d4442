"""Near-duplicate removal beside its peers: speed, recall by level, precision, fact-changed twins lost, peak memory.

    python perf/near.py [--n 24000] [--seed 1] [--tools ours,rensa,datasketch] [--json FILE]
    python perf/near.py --peers-python datatrove=PATH --peers-python data-juicer=PATH
    WARDROUND_REALDATA=FOLDER python perf/near.py        # names and sentences from real data

Every tool runs in a process of its own (see perf/near_contenders.py), held to one core, on the same texts in the same order (see
perf/near_corpus.py), with the same 64 permutations in 16 bands on character 4-grams. Speed is texts by processor seconds (a shared
machine's wall clock says little) from the texts in memory to the decision on each; reading and generating are not timed. Peak
memory is the process's, less what there was before. `rensa` is its documented loop (query, compare, insert), which like ours names
the text that each one equals; `rensa matrix` its quickest call, which only flags. datasketch, datatrove and data-juicer run where
this Python has them, or with the Python that `--peers-python` names.

A drop is right when both texts come of one original; a twin is lost when it, or its original for its sake, is dropped. Of tools
that don't say what a text equals (datatrove, data-juicer, rensa matrix), any drop in a cluster of several counts as right and any
twin or original gone as lost.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from near_contenders import TOOLS, Dropped


def measured(tool: str, python: str, docs: Sequence[Any], file: Path) -> dict[str, Any]:
    """One tool in a process of its own, on one core, and how right it was."""
    kept = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [python, str(Path(__file__).with_name("near_contenders.py")), tool, str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | kept, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        raise ChildProcessError(last[:100])
    found = json.loads(done.stdout.strip().splitlines()[-1])
    dropped = dict(map(tuple, found.pop("dropped")))
    more = found.pop("more")
    pairs = more.pop("blocked_pairs", None)
    if pairs is not None and os.environ.get("NEAR_SHOW"):
        _show(docs, dropped, pairs)
    speed = {"tool": tool, "docs": len(docs), "docs_s": len(docs) / found["cpu_s"]}
    return speed | found | _judged(docs, dropped) | more


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
    p.add_argument("--peers-python", action="append", default=[], metavar="TOOL=PATH")
    p.add_argument("--json", type=Path)
    args = p.parse_args()
    from near_corpus import corpus

    data = "recombined real data" if os.environ.get("WARDROUND_REALDATA") else "synthetic texts"
    print(f"{data}, seed {args.seed}; generator's names: {_known()}")
    pythons = dict(x.split("=", 1) for x in args.peers_python)
    docs = corpus(args.n, args.seed)
    results = {}
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "texts.json"
        file.write_text(json.dumps([d.text for d in docs], ensure_ascii=False), encoding="utf-8")
        for tool in args.tools.split(","):
            try:
                found = measured(tool, pythons.get(tool, sys.executable), docs, file)
            except ChildProcessError as e:
                print(f"{tool}: not run ({e})")
                continue
            results[tool] = found
            _line(found)
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
