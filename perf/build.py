"""Building at size: a whole `wardround build` beside a bare read and write, and refinement beside a bare client.

    python perf/build.py                            100,000 rows, then refinement of 10,000 samples at 0 and 50 ms
    python perf/build.py --rows 1000000 --no-refine  for memory
    python perf/build.py --json                     the last line is JSON
    python perf/build.py --check                    exit 1 when one of LIMITS is passed

WARDROUND_REALDATA names the real data that `sources.py` recombines. The build is the command line in a process of its
own: reading, de-identification, composition, near-duplicates, split, files, report. `pyarrow` and `polars` (where this
Python has it, or with `--peers-python polars=PATH`) read the same files and write their rows as Parquet, nothing else: what any
build must spend at the least. CPU is user and system of the whole process tree, peak memory the tree's resident sets added up, ten
times a second (pages that two processes share count twice).

Refinement is measured by `refine.py`, beside a bare client.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import refine
import sources

HERE = Path(__file__).parent
LIMITS = {"peak_mb": 4000.0} | refine.limits()


def _tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from _tree(int(child))
    except OSError:
        return


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def timed(command: list[str], folder: Path) -> dict[str, Any]:
    """Wall and CPU seconds and peak megabytes of a command and its children; the last line it printed as `said`.
    One that fails ends the bench."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WARDROUND_")}
    log = folder / "log.txt"
    with open(log, "wb") as out, open(folder / "errors.txt", "wb") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=kept)
        ended = threading.Event()
        peak = 0

        def watch() -> None:
            nonlocal peak
            while not ended.wait(0.1):
                peak = max(peak, sum(map(_resident, _tree(process.pid))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        ended.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        said = (folder / "errors.txt").read_text("utf-8", "replace")
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said[-2000:]}")
    lines = log.read_text("utf-8").splitlines() or [""]
    return {
        "wall": wall, "cpu": used.ru_utime + used.ru_stime,
        "mb": max(peak / 1e6, used.ru_maxrss * 1024 / 1e6), "said": lines[-1],
    }  # fmt: skip


def bare_pyarrow(files: list[str], out: Path) -> None:
    """Read each source whole and write it as Parquet."""
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet

    for i, file in enumerate(files):
        if file.endswith(".csv"):
            options = pyarrow.csv.ReadOptions(encoding="gb18030")
            parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
            table = pyarrow.csv.read_csv(file, read_options=options, parse_options=parse)
        else:
            table = pyarrow.json.read_json(file)
        pyarrow.parquet.write_table(table, out / f"{i}.parquet")


def bare_polars(files: list[str], out: Path) -> None:
    """The same with polars."""
    import polars  # type: ignore[import-not-found,unused-ignore]

    for i, file in enumerate(files):
        table = (
            polars.read_csv(file, encoding="gb18030")
            if file.endswith(".csv")
            else polars.read_ndjson(file)
        )
        table.write_parquet(out / f"{i}.parquet")


BARE = {"pyarrow": bare_pyarrow, "polars": bare_polars}


def bare(name: str, python: str, files: list[Path], root: Path) -> dict[str, Any]:
    """A bare read and write in a process of its own."""
    folder = root / f"bare-{name}"
    folder.mkdir()
    command = [python, str(HERE / "build.py"), "--bare", name, str(folder)]
    return timed([*command, *map(str, files)], folder)


def built(
    files: list[Path], root: Path, *more: str, name: str = "dataset"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`wardround build`; what it spent, and its manifest."""
    folder = root / name
    folder.mkdir()
    out = folder / "out"
    command = [
        sys.executable, "-m", "wardround.cli", "build", *map(str, files), "--out", str(out),
        "--json", *more,
    ]  # fmt: skip
    spent = timed(command, folder)
    return spent, json.loads((out / "manifest.json").read_text())


def at_size(rows: int, root: Path, pythons: dict[str, str]) -> dict[str, Any]:
    """The build of `rows` rows beside the bare ones, each with this Python or the one `pythons` has for it."""
    files = sources.make(root / "sources", rows)
    names = [n for n in BARE if n in pythons or importlib.util.find_spec(n)]
    they = {n: bare(n, pythons.get(n, sys.executable), files, root) for n in names}
    we, manifest = built(files, root)
    counts = manifest["counts"]
    samples = counts["train"] + counts["test"]
    megabytes = sum(f.stat().st_size for f in files) / 1e6
    print(f"\n{rows:,} rows, {megabytes:.0f} MB → {samples:,} samples  {manifest['digest'][:12]}")
    print(
        f"{'':<12}{'wall s':>10}{'CPU s':>10}{'rows/s':>10}{'peak MB':>10}{'× wall':>10}{'× CPU':>10}"
    )
    for name, spent in {**they, "wardround": we}.items():
        base = they[names[0]]
        print(
            f"{name:<12}{spent['wall']:>10.2f}{spent['cpu']:>10.2f}{rows / spent['wall']:>10,.0f}"
            f"{spent['mb']:>10.0f}{spent['wall'] / base['wall']:>10.1f}{spent['cpu'] / base['cpu']:>10.1f}"
        )
    found = {
        "rows": rows, "samples": samples, "build_s": we["wall"], "build_cpu_s": we["cpu"],
        "rows_s": rows / we["wall"], "peak_mb": we["mb"],
    }  # fmt: skip
    for name, spent in they.items():
        found |= {
            f"{name}_s": spent["wall"], f"{name}_rows_s": rows / spent["wall"],
            f"build_ratio_{name}": we["wall"] / spent["wall"],
            f"build_cpu_ratio_{name}": we["cpu"] / spent["cpu"],
        }  # fmt: skip
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Building at size.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument(
        "--refine", type=int, default=refine.SAMPLES, metavar="N", help="samples to refine"
    )
    parser.add_argument("--no-refine", action="store_true")
    parser.add_argument("--rounds", type=int, default=3, help="of refinement")
    parser.add_argument("--peers-python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is passed")
    parser.add_argument("--bare", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        name, out, *files = options.bare
        BARE[name](files, Path(out))
        return 0
    sources.real()
    pythons = dict(x.split("=", 1) for x in options.peers_python)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="wardround-bench-") as name:
        root = Path(name)
        if options.rows:
            result |= at_size(options.rows, root, pythons)
        if not options.no_refine:
            result |= refine.measured(options.refine, options.rounds, root)
    result = {k: round(v, 3) for k, v in result.items()}
    passed = {k: result[k] for k, limit in LIMITS.items() if k in result and result[k] > limit}
    for key, value in passed.items():
        print(f"over its limit: {key} {value:g} > {LIMITS[key]:g}")
    if options.json:
        print(json.dumps(result))
    return 1 if options.check and passed else 0


if __name__ == "__main__":
    sys.exit(main())
