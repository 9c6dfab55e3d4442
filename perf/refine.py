"""Refinement beside a bare client: the same prompts to the same server, with and without all that refinement does.

    WARDROUND_REALDATA=FOLDER python perf/refine.py [--samples 10000] [--rounds 5] [--json] [--check]

`wardround` is `corpus.refine.refine` on a built dataset in a process of its own: prompts made, journalled, replies held
against every rule, rewrites stored. `bare` is aiohttp sending the same prompts ready-made, 64 at once, and keeping the replies.
Both report the wall and CPU seconds (those of processes beside too) of that alone (what stands before it, a build's other steps have loaded already).
They take turns; medians of the rounds.

The server answers with the prompt's reference, as it is (`same`) or in other words (`reworded`, see loopback.py): then no
clause is known from the reference and all of them have to be read. Other workloads lie between the two.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import loopback
import sources

HERE = Path(__file__).parent
CONCURRENCY = 64
LATENCIES = (0, 50)
ANSWERS = {"same": "echo", "reworded": "reworded"}
SAMPLES = 10_000
A_SAMPLE = 0.16
"""Encyclopedia entries to make for each sample to refine: some more than it takes."""
LIMIT = 1.5


def prepare(samples: int, root: Path) -> tuple[Path, Path]:
    """A dataset with so many training samples, and the requests of its refinement, ready to send."""
    from wardround.corpus import readback, refine
    from wardround.records import Document

    files = sources.make(root / "few", round(samples * A_SAMPLE), share=1.0)[:1]
    out, ready = root / "few" / "out", root / "few" / "ready.jsonl"
    command = [sys.executable, "-m", "wardround.cli", "build", *map(str, files), "--out", str(out)]
    subprocess.run([*command, "--size", str(samples)], check=True, capture_output=True)
    documents = {d.id: d for d in readback.rows_of(out / readback.DOCUMENTS, Document)}
    with open(ready, "w", encoding="utf-8") as f:
        for sample in readback.train_samples(out):
            source = refine.passage(documents[sample.document], sample)
            messages = refine.request(sample, source, 1).messages
            body = {
                "model": loopback.MODEL,
                "messages": [{"role": m.role, "content": m.text} for m in messages],
                "max_tokens": refine.MAX_TOKENS, "temperature": 0.0,
            }  # fmt: skip
            f.write(json.dumps(body, ensure_ascii=False) + "\n")
    return out, ready


def ours(dataset: Path, url: str) -> dict[str, Any]:
    """Refine the dataset's training samples; what it took."""
    import gc

    import msgspec
    import pycurl  # noqa: F401 (as aiohttp in the bare client: loading it is no call)

    from wardround.corpus import readback, refine
    from wardround.corpus.facts import facts
    from wardround.corpus.keys import sample_key
    from wardround.corpus.store import Store
    from wardround.journal import Journal
    from wardround.models.ledger import Ledger
    from wardround.models.names import open_model
    from wardround.records import Document, encode

    gc.set_threshold(20_000, 20)  # as the command line does
    documents = {d.id: d for d in readback.rows_of(dataset / readback.DOCUMENTS, Document)}
    facts("口服")  # word lists are loaded by the search for near-duplicates
    with tempfile.TemporaryDirectory() as name, Store(Path(name) / "samples") as samples:
        keys = []
        for sample in readback.train_samples(dataset):
            place = samples.append(encode(sample))
            keys.append(msgspec.structs.replace(sample_key(sample), place=place))
        with Store(Path(name) / "rewrites") as rewrites:
            wall, cpu = time.perf_counter(), _cpu()
            file = Path(name) / "journal.jsonl"
            with Journal(file, config="bench", sync_lines=refine.SYNC_LINES) as journal:
                found = refine.refine(
                    keys, samples, documents.__getitem__, open_model(f"{loopback.MODEL}@{url}"),
                    rewrites=rewrites, journal=journal, concurrency=CONCURRENCY, ledger=Ledger(),
                ).counts  # fmt: skip
            wall, cpu = time.perf_counter() - wall, _cpu() - cpu
    return {"items": found.asked, "kept": found.kept, "calls_s": wall, "calls_cpu_s": cpu}


def _cpu() -> float:
    """CPU seconds of this process and of those it has waited for: they check the rewrites."""
    return sum(os.times()[:4])


def _said(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(samples: int, rounds: int, root: Path) -> dict[str, Any]:
    """The table, printed as it comes, and its figures."""
    dataset, ready = prepare(samples, root)
    print(f"\nrefinement of {samples:,} samples, {CONCURRENCY} at once, medians of {rounds} rounds")
    print(
        f"{'':<18}{'bare s':>8}{'ours s':>8}{'ratio':>7}{'bare CPU':>10}{'ours CPU':>10}{'ratio':>7}{'kept':>8}"
    )
    found: dict[str, Any] = {}
    for latency in LATENCIES:
        for name, answers in ANSWERS.items():
            pairs = [_pair(latency, answers, dataset, ready) for _ in range(rounds)]
            figures = {
                f"{who}_{what}": statistics.median(p[i][key] / p[i]["items"] * samples for p in pairs)
                for i, who in enumerate(("bare", "ours"))
                for what, key in (("s", "calls_s"), ("cpu_s", "calls_cpu_s"))
            }  # fmt: skip
            ratios = [p[1]["calls_s"] / p[0]["calls_s"] for p in pairs]
            figures["ratio"] = statistics.median(ratios)
            figures["cpu_ratio"] = figures["ours_cpu_s"] / figures["bare_cpu_s"]
            figures["kept"] = statistics.median(p[1]["kept"] for p in pairs)
            print(
                f"{latency:>3} ms, {name:<10}{figures['bare_s']:>8.2f}{figures['ours_s']:>8.2f}{figures['ratio']:>7.2f}"
                f"{figures['bare_cpu_s']:>10.2f}{figures['ours_cpu_s']:>10.2f}{figures['cpu_ratio']:>7.2f}"
                f"{figures['kept']:>8.0f}   ratios {min(ratios):.2f}–{max(ratios):.2f}",
                flush=True,
            )
            found |= {f"refine_{name}_{latency}ms_{k}": v for k, v in figures.items()}
    return found


def _pair(latency: float, answers: str, dataset: Path, ready: Path) -> tuple[dict[str, Any], ...]:
    with loopback.running(latency, answers=answers) as url:
        client = [str(HERE / "bare_client.py"), str(ready), url, str(CONCURRENCY), "--ready"]
        bare = _said([sys.executable, *client])
    with loopback.running(latency, answers=answers) as url:
        return bare, _said([sys.executable, __file__, "--one", str(dataset), url])


def limits() -> dict[str, float]:
    """What each ratio may come to."""
    return {f"refine_{name}_{ms}ms_ratio": LIMIT for name in ANSWERS for ms in LATENCIES}


def main() -> int:
    parser = argparse.ArgumentParser(description="Refinement beside a bare client.")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is passed")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(ours(Path(options.one[0]), options.one[1])))
        return 0
    sources.real()
    with tempfile.TemporaryDirectory(prefix="wardround-bench-") as name:
        result = measured(options.samples, options.rounds, Path(name))
    over = {k: result[k] for k, limit in limits().items() if result[k] > limit}
    for key, value in over.items():
        print(f"over its limit: {key} {value:.2f} > {LIMIT:g}")
    if options.json:
        print(json.dumps({k: round(v, 3) for k, v in result.items()}))
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
