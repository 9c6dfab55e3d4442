"""Evaluation against the wire: a whole `wardround eval` beside a bare aiohttp client and beside its peers.

Every contender answers the same items and has each answer judged by the same model, against one loopback server
process (`loopback.py`), in a process of its own that is timed from outside: start-up, journal, a jury of one,
statistics and report are all in it. The bare client (`bare_client.py`) does the calls and nothing else. Rounds
take turns, so that a busy machine is busy for all; figures are medians over the rounds. A first round, not
counted, leaves every contender its compiled bytecode, as an ordinary installation has it. The server counts
requests, and a contender that made another number of them than it should ends the bench or loses its row.

Peers (evalscope, lm-evaluation-harness, inspect_ai) only answer, no judge; "answers" is `wardround eval` doing the
same: as many requests, no verdicts. They are measured when their commands are found: in this Python's environment,
on the PATH, or beside a Python named with --peers-python, so that they need not share an environment. Once each,
at 100 ms (--peers-at, --peer-rounds), where waiting hides work of theirs, so that the bench ends within two minutes.

    uv venv peers/NAME && uv pip install --python peers/NAME/bin/python PACKAGE
        NAME=evalscope   PACKAGE=evalscope==1.14.1
        NAME=lm_eval     PACKAGE=lm-eval[api]==0.4.13
        NAME=inspect_ai  PACKAGE=inspect_ai==0.3.285 openai

    python perf/eval_wire.py                    550 items at 0 and 100 ms, 10,000 at 0 ms
    python perf/eval_wire.py --peers-python lm_eval=peers/lm_eval/bin/python
    python perf/eval_wire.py --json             the last line is JSON with ratio_0ms and ratio_100ms

Limits, checked with `--check` (exit 1 when one is passed): LIMITS below.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import loopback

HERE = Path(__file__).parent
CONCURRENCY = 64
CALLS_PER_ITEM = 2
PEER_LIMIT_S = 60.0
CACHES = ("HF_HOME", "MODELSCOPE_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME")
"""Where peers keep things between runs: beside their bytecode, gone with the bench."""
LIMITS = {
    "ratio_0ms": 2.5, "ratio_100ms": 1.25, "calls_ratio_0ms": 1.5, "cpu_ms_per_call": 0.5,
    "peak_mb_many": 60.0,
}  # fmt: skip
TASKS = ("Triage", "Treatment Plan", "Disease Inquiry", "Case Summary", "Initial Diagnosis")
SYMPTOM = "患者咳嗽咳痰伴发热三天，体温最高三十九度，既往体健，无药物过敏史。"
REFERENCE = "考虑社区获得性肺炎，建议呼吸内科就诊并完善检查。"


def write_items(path: Path, count: int) -> Path:
    """`count` items in DoctorFLAN's columns, some 200 characters of question and as many of reference."""
    with open(path, "w", encoding="utf-8") as f:
        for i in range(count):
            row = {
                "category": TASKS[i % len(TASKS)],
                "input": f"请回答第{i}题：{SYMPTOM * 6}",
                "output": f"参考{i}：{REFERENCE * 8}",
                "id": str(i),
            }
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def timed(command: list[str], cwd: Path, url: str, *, limit_s: float = 300) -> dict[str, float]:
    """Wall seconds, CPU seconds (user and system) and peak megabytes of a process and the requests it made; it
    must end well within `limit_s`, else `SystemExit` says how it ended."""
    log, cache = cwd / "out.txt", str(cwd.parent / "cache")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WARDROUND_", "PYTHON"))}
    kept |= dict.fromkeys(("PYTHONPYCACHEPREFIX", *CACHES), cache)
    kept["HF_HUB_OFFLINE"] = "1"
    before = loopback.asked(url)
    with open(log, "wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=cwd, env=kept)
        overdue = threading.Timer(limit_s, process.kill)
        overdue.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        overdue.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text("utf-8", "replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{text[-2000:]}")
    spent = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "mb": used.ru_maxrss / 1024}
    spent["asked"] = loopback.asked(url) - before
    found = re.findall(r'"calls_s": ([0-9.]+)', text)
    return spent | ({"calls": float(found[-1])} if found else {})


def bare(url: str, items: Path, folder: Path) -> dict[str, float]:
    """The bare client."""
    client = str(HERE / "bare_client.py")
    return timed([sys.executable, client, str(items), url, str(CONCURRENCY)], folder, url)


def ours(url: str, items: Path, folder: Path, *, judged: bool = True) -> dict[str, float]:
    """`wardround eval`, everything in it; "calls" are the seconds between its first request and its last."""
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    model = f"{loopback.MODEL}@{url}"
    command = [
        sys.executable, "-m", "wardround.cli", "eval", "doctorflan_test", "--data", str(items),
        "--model", model, "--out", str(out), "--concurrency", str(CONCURRENCY),
        *(["--judge", model] if judged else []),
    ]  # fmt: skip
    spent = timed(command, folder, url)
    counts = json.loads((out / "manifest.json").read_text())["counts"]
    assert counts["scored" if judged else "unscored"] == counts["cases"], counts
    assert spent["asked"] == counts["cases"] * (CALLS_PER_ITEM if judged else 1), spent
    return spent | {"calls": json.loads((out / "timing.json").read_text())["asking"]["seconds"]}


# -- peers --------------------------------------------------------------------------------------------------


def evalscope(program: str, url: str, items: Path, folder: Path) -> list[str]:
    """Its general_qa, which also computes BLEU and ROUGE."""
    data = folder / "evalscope"
    data.mkdir()
    with open(items, encoding="utf-8") as f, open(data / "wire.jsonl", "w", encoding="utf-8") as g:
        for row in map(json.loads, f):
            pair = {"query": row["input"], "response": row["output"]}
            g.write(json.dumps(pair, ensure_ascii=False) + "\n")
    arguments = {"general_qa": {"local_path": str(data), "subset_list": ["wire"]}}
    return [
        program, "eval", "--model", loopback.MODEL, "--api-url", url, "--api-key", "none",
        "--eval-type", "openai_api", "--datasets", "general_qa",
        "--eval-batch-size", str(CONCURRENCY), "--dataset-args", json.dumps(arguments),
    ]  # fmt: skip


def lm_eval(program: str, url: str, items: Path, folder: Path) -> list[str]:
    """A task of its own over the items, scored by exact match."""
    data = folder / "lm_eval"
    data.mkdir()
    (data / "wire.yaml").write_text(
        "task: wire\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {items}}}}}\n"
        "test_split: test\noutput_type: generate_until\n"
        'doc_to_text: "{{input}}"\ndoc_to_target: "{{output}}"\n'
        "metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]\n"
        "generation_kwargs: {temperature: 0.0, max_gen_toks: 1024, until: []}\n"
    )
    return [
        program, "run", "--model", "local-chat-completions", "--tasks", "wire",
        "--include_path", str(data), "--apply_chat_template", "--model_args",
        f"model={loopback.MODEL},base_url={url}/chat/completions,"
        f"num_concurrent={CONCURRENCY},tokenizer_backend=None",
    ]  # fmt: skip


def inspect_ai(program: str, url: str, items: Path, folder: Path) -> list[str]:
    """A task of its own over the items, scored by inclusion."""
    (folder / "wire_task.py").write_text(
        "from inspect_ai import Task, task\n"
        "from inspect_ai.dataset import FieldSpec, json_dataset\n"
        "from inspect_ai.scorer import includes\n"
        "from inspect_ai.solver import generate\n\n\n"
        "@task\ndef wire():\n"
        "    spec = FieldSpec(input='input', target='output', id='id')\n"
        f"    data = json_dataset({str(items)!r}, sample_fields=spec)\n"
        "    return Task(dataset=data, solver=generate(), scorer=includes())\n"
    )
    return [
        program, "eval", "wire_task.py", "--model", f"openai-api/wire/{loopback.MODEL}",
        "--model-base-url", url, "-M", "api_key=none", "--max-connections", str(CONCURRENCY),
        "--display", "none",
    ]  # fmt: skip


PEERS = {"evalscope": evalscope, "lm_eval": lm_eval, "inspect_ai": inspect_ai}
PROGRAMS = {"inspect_ai": "inspect"}


def programs(named: list[str]) -> dict[str, str]:
    """Peer → its command: beside the Python `named` as NAME=PATH, beside this one, or on the PATH."""
    pythons = dict(n.partition("=")[::2] for n in named)
    if unknown := [
        n for n in named if n.partition("=")[0] not in PEERS or not pythons[n.partition("=")[0]]
    ]:
        raise SystemExit(f"--peers-python {unknown[0]}: not NAME=PATH, NAME of {', '.join(PEERS)}")
    found = {}
    for name in PEERS:
        program = PROGRAMS.get(name, name)
        beside = Path(pythons.get(name, sys.executable)).absolute().with_name(program)
        where = str(beside) if beside.exists() else None
        if name in pythons and where is None:
            raise SystemExit(f"--peers-python {name}={pythons[name]}: no {program} beside it")
        if where := where or shutil.which(program):
            found[name] = where
    return found


def peers(
    url: str, items: Path, few: Path, folder: Path, found: dict[str, str], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """What each peer spent on `items`, after a first time on `few`; one that fails says so and is left out."""
    runs: dict[str, list[dict[str, float]]] = {}
    count = len(items.read_bytes().splitlines())
    for name, program in found.items():
        try:
            for data, times in ((few, 1), (items, rounds)):
                own = folder / f"{name}-{data.stem}"
                own.mkdir()
                command = PEERS[name](program, url, data, own)
                spent = [timed(command, own, url, limit_s=PEER_LIMIT_S) for _ in range(times)]
            if any(s["asked"] != count for s in spent):
                raise SystemExit(f"made {[s['asked'] for s in spent]} requests, not {count}")
            runs[name] = spent
        except SystemExit as e:
            print(f"{name}: {e}", file=sys.stderr)
    return runs


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {k: statistics.median(r[k] for r in runs) for k in runs[0]}


def measure(
    latency_ms: float, count: int, rounds: int, root: Path, found: dict[str, str], peer_rounds: int
) -> dict[str, Any]:
    """Medians of every contender at one latency; peers, and our answers alone, when any was `found`."""
    folder = root / f"{count}-{latency_ms:g}"
    folder.mkdir()
    with loopback.running(latency_ms) as url:
        items = write_items(folder / "items.jsonl", count)
        few = write_items(folder / "few.jsonl", 10)
        runs: dict[str, list[dict[str, float]]] = {"bare": [], "wardround": []}
        bare(url, few, folder), ours(url, few, folder)
        for _ in range(rounds):
            runs["bare"].append(bare(url, items, folder))
            runs["wardround"].append(ours(url, items, folder))
        if found:
            runs["answers"] = [ours(url, items, folder, judged=False) for _ in range(rounds)]
            runs |= peers(url, items, few, folder, found, peer_rounds)
        return {who: medians(spent) for who, spent in runs.items()}


def show(title: str, found: dict[str, Any]) -> None:
    """One table. A request's CPU is the whole process's, shared out."""
    names = ("requests", "wall s", "CPU s", "CPU ms/req", "peak MB", "calls s", "× bare")
    print(f"\n{title}\n{'':<12}" + "".join(f"{n:>11}" for n in names))
    for who, f in found.items():
        calls = f"{f['calls']:>11.2f}" if "calls" in f else f"{'':>11}"
        each = f["cpu"] * 1000 / f["asked"]
        print(
            f"{who:<12}{f['asked']:>11.0f}{f['wall']:>11.2f}{f['cpu']:>11.2f}{each:>11.3f}"
            f"{f['mb']:>11.1f}{calls}{f['wall'] / found['bare']['wall']:>11.2f}"
        )


def figures(made: dict[str, Any], latency: int) -> dict[str, Any]:
    """The figures of one latency under the names that LIMITS has, and seconds of all contenders."""
    we, they = made["wardround"], made["bare"]
    out: dict[str, Any] = {
        f"ratio_{latency}ms": round(we["wall"] / they["wall"], 3),
        f"calls_ratio_{latency}ms": round(we["calls"] / they["calls"], 3),
        f"wall_{latency}ms": {who: round(f["wall"], 3) for who, f in made.items()},
        f"cpu_{latency}ms": {who: round(f["cpu"], 3) for who, f in made.items()},
    }
    if latency == 0:
        out["cpu_ms_per_call"] = round(we["cpu"] * 1000 / we["asked"], 3)
        out["peak_mb"] = round(we["mb"], 1)
    return out


def main() -> int:
    """Measure, print, and with --check hold against the limits."""
    parser = argparse.ArgumentParser(description="Evaluation against the wire.")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is passed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=550)
    parser.add_argument("--many", type=int, default=10_000, help="0 leaves the long run out")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--peers-python", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--peer-rounds", type=int, default=1, help="counted rounds of each peer")
    parser.add_argument("--peers-at", type=int, nargs="+", default=[100], metavar="MS")
    options = parser.parse_args()
    found = {} if options.no_peers else programs(options.peers_python)
    result: dict[str, Any] = {"items": options.items, "rounds": options.rounds}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for latency in (0, 100):
            here = found if latency in options.peers_at else {}
            made = measure(latency, options.items, options.rounds, root, here, options.peer_rounds)
            show(f"{options.items} items, {latency} ms", made)
            result |= figures(made, latency)
        if options.many:
            made = measure(0, options.many, 1, root, {}, 0)
            show(f"{options.many} items, 0 ms", made)
            we, they = made["wardround"], made["bare"]
            result["ratio_many"] = round(we["wall"] / they["wall"], 3)
            result["peak_mb_many"] = round(we["mb"], 1)
            result["cpu_ms_per_call_many"] = round(we["cpu"] * 1000 / we["asked"], 3)
    passed = {k: result[k] for k, limit in LIMITS.items() if k in result and result[k] > limit}
    for key, value in passed.items():
        print(f"over its limit: {key} {value:g} > {LIMITS[key]:g}")
    if options.json:
        print(json.dumps(result))
    return 1 if options.check and passed else 0


if __name__ == "__main__":
    sys.exit(main())
