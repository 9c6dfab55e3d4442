"""Tuning speed on a CPU: `wardround tune`'s loop beside a bare PyTorch loop and beside its peers.

All train the same model (Qwen3 shape, 4 × 256, vocabulary 8,192, random weights) on the same chats (`tune_chats.py`:
recombined from the bundled examples, 193 tokens on average, loss on the answers) in as many steps, with the same
number of threads and the same precision. Each is a process of its own, kept alive (`tune_contenders.py`); rounds take
turns, so a busy machine is busy for all, and a first round, not counted, leaves each its compiled kernels. Ratios are of
supervised tokens per CPU second, which other work on the machine hardly touches with one thread; wall seconds are
printed beside them. The bare loop runs over tensors that lie ready, padded and ordered as ours.

Besides: what preparing 92,000 chats takes (read, tokenise, mask, order), and what the whole command takes beyond
its training. Peers are measured when a Python that has them is named:

    uv venv peers/trl && uv pip install --python peers/trl/bin/python torch==2.13.0 transformers==5.23.0 trl==1.16.0
    python perf/tune.py --trl-python peers/trl/bin/python
    python perf/tune.py --json                  the last line is JSON with ratio_bare, ratio_memory, prepare_s, …

Limits, checked with `--check` (exit 1 when one is missed): LIMITS below.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import tune_chats
from tune_contenders import RATE

from wardround.records import encode
from wardround.tuning import mixture, model_dir, stack
from wardround.tuning.data import Example, batches, encode_all, width

HERE = Path(__file__).parent
MAX_TOKENS = 2048
LIMITS = {  # name: (at least, at most)
    "ratio_bare": (0.9, None), "ratio_trl": (1.3, None), "ratio_llamafactory": (1.3, None),
    "ratio_memory": (None, 1.15), "prepare_s": (None, 60.0),
}  # fmt: skip


class Contender:
    """A process that trains whenever it is told to."""

    def __init__(self, name: str, python: str, folder: Path, threads: int) -> None:
        self.name = name
        kept = {k: v for k, v in os.environ.items() if not k.startswith("WARDROUND_")}
        kept |= {
            "OMP_NUM_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
            "DISABLE_VERSION_CHECK": "1",
        }
        self._log = open(folder / f"{name}.txt", "w+b")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, str(HERE / "tune_contenders.py"), name, str(folder)], env=kept, cwd=folder,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.rounds: list[dict[str, float]] = []
        self.first: dict[str, float] = {}

    def _line(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            said = self._log.read().decode(errors="replace")[-3000:]
            raise SystemExit(f"{self.name} ended with {self._process.wait()}:\n{said}")
        return line

    def wait(self) -> None:
        """Until it has imported and read everything."""
        while self._line().strip() != "ready":
            pass

    def train(self, *, counts: bool = True) -> None:
        """One round."""
        assert self._process.stdin
        print("go", file=self._process.stdin, flush=True)
        found = json.loads(self._line())
        if counts:
            self.rounds.append(found)
        else:
            self.first = found

    def close(self) -> dict[str, float]:
        """End it; the medians over its rounds, peak memory over all of them."""
        self._process.communicate()
        self._log.close()
        found = {k: statistics.median(r[k] for r in self.rounds) for k in self.rounds[0]}
        return found | {"mb": max(r["mb"] for r in self.rounds), "first_cpu": self.first["cpu"]}


def prepared(base: Path, chats: Path, batch_tokens: int) -> tuple[list[Example], list[Any]]:
    """What `wardround tune` makes of the chats before it trains: examples, and batches of one epoch."""
    found = mixture.renamed(mixture.read(mixture.sources(chats)))
    encoded, _ = encode_all(found, model_dir.load_tokenizer(base), max_tokens=MAX_TOKENS)
    examples = list(encoded.examples)
    return examples, batches(examples, batch_tokens=batch_tokens, epochs=1, seed=0)


def preparing(base: Path, chats: Path, batch_tokens: int) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of `prepared`, in a process of its own."""
    code = (
        "import json, sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import tune\n"
        "from wardround.tuning import stack; stack.set_up('auto', None); tune.used()\n"
        "a, b = time.perf_counter(), time.process_time()\n"
        "e, o = tune.prepared(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))\n"
        "print(json.dumps({'wall': time.perf_counter() - a, 'cpu': time.process_time() - b, 'samples': len(e),\n"
        "                  'tokens': sum(len(x.ids) for x in e), 'batches': len(o), 'mb': tune.used()}))\n"
    )
    arguments = [str(HERE), str(base), str(chats), str(batch_tokens)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def used() -> float:
    """Peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def command(folder: Path, chats: Path, threads: int, batch_tokens: int) -> dict[str, float]:
    """The whole command: wall seconds until the plan is said, of the training, and after its last step; CPU of all."""
    started, before = time.perf_counter(), os.times()
    process = subprocess.Popen(
        [sys.executable, "-m", "wardround.cli", "tune", str(chats), "--base", str(folder / "base"),
         "--out", str(folder / "tuned"), "--epochs", "1", "--batch-tokens", str(batch_tokens),
         "--max-tokens", str(MAX_TOKENS), "--learning-rate", str(RATE), "--threads", str(threads),
         "--held-out-share", "0", "--accept-unchecked", "--json"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    at: dict[str, float] = {}
    said = []
    assert process.stderr
    for line in process.stderr:
        said.append(line)
        if line.startswith("{"):
            at[json.loads(line)["event"]] = time.perf_counter() - started
    if process.wait():
        raise SystemExit("".join(said)[-3000:])
    wall, after = time.perf_counter() - started, os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    return {
        "wall": wall, "cpu": cpu, "before": at["plan"], "training": at["step"] - at["plan"],
        "after": wall - at["step"],
    }  # fmt: skip


def compete(folder: Path, pythons: dict[str, str], rounds: int, threads: int) -> dict[str, Any]:
    """Every contender's medians."""
    contenders = [Contender(n, python, folder, threads) for n, python in pythons.items()]
    for contender in contenders:
        contender.wait()
        contender.train(counts=False)
    for _ in range(rounds):
        for contender in contenders:
            contender.train()
    return {c.name: c.close() | {"rounds": c.rounds} for c in contenders}


def ratios(found: dict[str, Any]) -> dict[str, Any]:
    """Ours against each, by CPU seconds and by wall seconds; medians over rounds of the same turn."""
    mine, out = found["wardround"]["rounds"], {}
    for name, other in found.items():
        if name != "wardround":
            for unit, key in (("cpu", f"ratio_{name}"), ("wall", f"ratio_{name}_wall")):
                turns = zip(other["rounds"], mine, strict=True)
                out[key] = round(statistics.median(t[unit] / m[unit] for t, m in turns), 3)
    out["ratio_memory"] = round(found["wardround"]["mb"] / found["bare"]["mb"], 3)
    return out


def missed(result: dict[str, Any]) -> list[str]:
    """What is beyond its limit."""
    return [
        f"{name} is {result[name]}, limit {least or most}"
        for name, (least, most) in LIMITS.items()
        if name in result
        and ((least and result[name] < least) or (most and result[name] > most))
    ]  # fmt: skip


def main() -> int:
    """Measure, print, and with --check hold against the limits."""
    parser = argparse.ArgumentParser(description="Tuning speed on a CPU.")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is missed")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--batch-tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--prepare", type=int, default=92_000, help="chats; 0 leaves it out")
    parser.add_argument("--no-command", action="store_true", help="leave the whole command out")
    parser.add_argument("--trl-python", metavar="PATH", help="a Python that has trl")
    parser.add_argument("--trl-pad", type=int, default=32, help="its pad_to_multiple_of; 0: none")
    parser.add_argument("--llamafactory-python", metavar="PATH", help="one that has llamafactory")
    options = parser.parse_args()
    pythons = {"bare": sys.executable, "wardround": sys.executable}
    for name in ("trl", "llamafactory"):
        if python := getattr(options, f"{name}_python"):
            pythons[name] = str(Path(python).absolute())
    here = stack.set_up(options.precision, options.threads)
    result: dict[str, Any] = {"threads": options.threads, "precision": here.precision}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = tune_chats.dataset(folder)
        base = tune_chats.make_base(built, folder)
        chats = tune_chats.write(built, folder / "chats.jsonl", options.samples)
        examples, order = prepared(base, chats, options.batch_tokens)
        tokens = sum(len(e.ids) for e in examples)
        supervised = sum(e.supervised for e in examples)
        padded = sum(len(b) * width(len(examples[i].ids) for i in b) for b in order)
        result |= {"samples": len(examples), "tokens": tokens, "supervised_tokens": supervised,
                   "padded_tokens": padded, "steps": len(order)}  # fmt: skip
        with open(folder / "samples.jsonl", "wb") as f:
            f.writelines(
                encode({"ids": e.ids.tolist(), "spans": e.spans}) + b"\n" for e in examples
            )
        job = {"threads": options.threads, "bf16": here.precision == "bf16", "order": order,
               "trl_pad": options.trl_pad}  # fmt: skip
        (folder / "job.json").write_text(json.dumps(job))
        found = compete(folder, pythons, options.rounds, options.threads)
        result |= ratios(found)
        print(f"\n{len(examples)} chats, {tokens:,} tokens, {supervised:,} of them learned from, {len(order)} steps; "
              f"{here.precision}, {options.threads} threads")  # fmt: skip
        print(
            f"{'':<14}{'wall s':>9}{'CPU s':>9}{'sup. tok/s':>12}{'/CPU s':>9}{'first':>9}{'peak MB':>9}{'loss':>8}{'ours ×':>8}"
        )
        for who, f in found.items():
            against = f"{result[f'ratio_{who}']:>8.2f}" if who != "wardround" else ""
            print(f"{who:<14}{f['wall']:>9.2f}{f['cpu']:>9.2f}{supervised / f['wall']:>12,.0f}"
                  f"{supervised / f['cpu']:>9,.0f}{supervised / f['first_cpu']:>9,.0f}{f['mb']:>9,.0f}{f['loss']:>8.3f}{against}")  # fmt: skip
            result[who] = {k: round(v, 3) for k, v in f.items() if k != "rounds"}
        if not options.no_command:
            spent = command(folder, chats, options.threads, options.batch_tokens)
            result["command"] = {k: round(v, 2) for k, v in spent.items()}
            print(f"\nthe whole command: {spent['wall']:.1f} s ({spent['cpu']:.1f} CPU s): {spent['before']:.1f} to its plan, "
                  f"{spent['training']:.1f} training, {spent['after']:.1f} writing and sealing")  # fmt: skip
        if options.prepare:
            many = tune_chats.write(built, folder / "many.jsonl", options.prepare, seed=1)
            spent = preparing(base, many, options.batch_tokens)
            result["prepare"] = spent
            result |= {
                "prepare_s": round(spent["wall"], 1),
                "prepare_cpu_s": round(spent["cpu"], 1),
            }
            print(f"\npreparing {spent['samples']:,} chats, {spent['tokens']:,} tokens: {spent['wall']:.1f} s, "
                  f"{spent['cpu']:.1f} CPU s, peak {spent['mb']:,.0f} MB")  # fmt: skip
    late = missed(result)
    print("\n" + ("\n".join(late) or "every limit is met"))
    if options.json:
        print(json.dumps(result))
    return 1 if options.check and late else 0


if __name__ == "__main__":
    sys.exit(main())
