"""Pictures against the wire: `wardround eval` on 500 two-megapixel cases beside a bare client with ready-made bodies.

The bodies are the very ones the evaluation sends (a question with its picture, and the same question without for the
control), written to a file beforehand, so the bare client only reads and posts. One loopback server; rounds take turns;
figures are medians. Three of ours are given: the asking alone, from the first request to the last reply as the server saw
them, in pictures a second, which is what a throttling encoder would show in; the whole command, with start-up, checking
500 digests, statistics and a report with its thumbnails; and how many pictures a second `images collect` prepares, once
for all runs.

    python perf/images.py [--cases 500] [--rounds 3] [--latency-ms 0 20 100] [--check]

Limit with `--check`: the asking at 0.8 of the bare client's rate or better, however quickly the endpoint answers. At 0 ms the
server itself is what both wait for; the bare client gives aiohttp each body whole, which copies it behind its headers once
more, while ours go out in pieces, so that a ratio above 1 is possible.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import loopback
from eval_wire import HERE, timed

CONCURRENCY = 16
SIZE = 1632, 1224
LIMIT = 0.8


def write_set(folder: Path, count: int) -> Path:
    """`count` different JPEGs of two megapixels with something of a film's structure, and their rows."""
    from PIL import Image

    from wardround.metrics.arrays import np

    columns, rows = SIZE
    y, x = np.mgrid[0:rows, 0:columns]
    smooth = 110 + 60 * np.sin(x / 190) * np.cos(y / 230)
    grain = np.random.default_rng(0).normal(0, 6, (rows, columns))
    (folder / "i").mkdir(parents=True)
    lines = []
    for k in range(count):
        pixels = np.clip(smooth + np.roll(grain, 7 * k), 0, 255).astype(np.uint8)
        out = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(out, "JPEG", quality=90)
        (folder / f"i/{k}.jpg").write_bytes(out.getvalue())
        labels = ["implant"] if k % 2 else []
        lines.append(json.dumps({"id": f"p{k:04d}", "image": f"i/{k}.jpg", "labels": labels}))
    path = folder / "cxr_quality.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    return path


def write_bodies(data: Path, path: Path) -> int:
    """The bodies that the evaluation of `data` sends, a line each, in its order; how many there are."""
    from wardround.benchmarks.cxr_quality import CxrQuality
    from wardround.models.wire import encode_body
    from wardround.records import Request

    bench = CxrQuality()
    cases, _, _ = bench.load(data / "cxr_quality.jsonl")
    count = 0
    with open(path, "wb") as f:
        for one in (bench, bench.control()):
            for case in cases:
                messages = one.messages(case, [])
                f.write(encode_body(loopback.MODEL, Request(key="k", messages=messages)) + b"\n")
                count += 1
    return count


def made(folder: Path, cases: int) -> tuple[float, int]:
    """The set, collected, and its bodies; pictures a second in collecting, and how many bodies."""
    from wardround.images.collect import collect

    rows = write_set(folder / "raw", cases)
    started = time.perf_counter()
    collect("cxr_quality", rows, folder / "set")
    spent = time.perf_counter() - started
    return cases / spent, write_bodies(folder / "set", folder / "bodies.jsonl")


def measure(name: str, command: list[str], folder: Path, latency_ms: float) -> dict[str, float]:
    """One contender against a server of its own, so that its first and last request are this one's."""
    with loopback.running(latency_ms) as url:
        spent = timed([c.replace("URL", url) for c in command], folder, url)
        return spent | {"asking": loopback.seconds(url)}


def main() -> int:
    parser = argparse.ArgumentParser(description="Pictures against the wire.")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0.0, 20.0, 100.0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    result: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: a contender's peak memory counts from what its parent had when it was started.
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            result["collect_per_s"], asked = apart.submit(made, folder, options.cases).result()
        size = (folder / "bodies.jsonl").stat().st_size / options.cases
        print(f"{options.cases} pictures of {SIZE[0]} × {SIZE[1]}, {size / 1e3:.0f} kB of body each; "
              f"collect: {result['collect_per_s']:.0f} a second")  # fmt: skip
        for latency in options.latency_ms:
            result |= compare(folder, options.cases, asked, options.rounds, latency)
    print(json.dumps({k: round(v, 3) for k, v in result.items()}))
    low = [k for k, v in result.items() if k.startswith("rate_ratio") and v < LIMIT]
    if options.check and low:
        print(f"below {LIMIT}: {', '.join(low)}", file=sys.stderr)
        return 1
    return 0


def compare(folder: Path, cases: int, asked: int, rounds: int, latency: float) -> dict[str, float]:
    """Medians of both contenders at one latency."""
    client = [
        sys.executable, str(HERE / "bare_client.py"), str(folder / "bodies.jsonl"), "URL",
        str(CONCURRENCY), "--ready",
    ]  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    for k in range(rounds):
        ours = [
            sys.executable, "-m", "wardround.cli", "eval", "cxr_quality", "--data", str(folder / "set"),
            "--model", f"{loopback.MODEL}@URL", "--out", str(folder / f"run-{latency:g}-{k}"),
            "--concurrency", str(CONCURRENCY),
        ]  # fmt: skip
        for name, command in (("bare", client), ("ours", ours)):
            spent = measure(name, command, folder, latency)
            assert spent["asked"] == asked, (name, spent, asked)
            found[name].append(spent)
    middle = {
        (name, key): statistics.median(s[key] for s in spent)
        for name, spent in found.items()
        for key in ("asking", "wall", "mb")
    }
    ratio = middle["bare", "asking"] / middle["ours", "asking"]
    for name in found:
        print(
            f"{latency:g} ms  {name:<5} {cases / middle[name, 'asking']:7.1f} pictures/s asking  "
            f"{middle[name, 'wall']:6.2f} s whole  {middle[name, 'mb']:6.0f} MB"
        )
    print(f"{latency:g} ms  asking at {ratio:.2f} of the bare client's rate")
    at = f"{latency:g}ms"
    return {
        f"rate_ratio_{at}": ratio,
        f"ours_whole_s_{at}": middle["ours", "wall"],
        f"bare_whole_s_{at}": middle["bare", "wall"],
        f"ours_mb_{at}": middle["ours", "mb"],
    }


if __name__ == "__main__":
    sys.exit(main())
