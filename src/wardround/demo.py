"""The whole loop on the bundled example: sources → dataset → base and tuned model → runs → comparison.

Offline, on a CPU, in minutes. Both models are tiny, made from scratch here, and are asked over HTTP on
loopback, the way a real model is; the judge is a script that measures character overlap with the reference.
Both facts are labels of the artifacts and stand on every page. Each stage is an ordinary artifact made by an
ordinary step, so a stopped demo goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from wardround.artifact import Artifact, begin, ref
from wardround.benchmarks.compare import compare
from wardround.benchmarks.run import Settings, evaluate
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
from wardround.errors import UsageError, WardroundError
from wardround.models.endpoint import EndpointModel
from wardround.models.local import LocalModel
from wardround.models.names import open_model
from wardround.models.server import ChatServer, serve_in_thread
from wardround.records import Record
from wardround.tuning.scratch import PRESETS, ScratchOptions, make_base
from wardround.tuning.sft import TuneOptions, tune

BENCHMARKS = ("doctorflan_test", "dotabench")
JUDGE = "scripted:overlap"
LICENCE = "Apache-2.0"
BATCH = 32


class Plan(Record, frozen=True, kw_only=True):
    """How large a demo: the sizes of the test side, the models' training, the length of answers."""

    test_per_task: int = 3
    test_dialogues: int = 8
    base: ScratchOptions = PRESETS["tiny"]
    tuning: TuneOptions = TuneOptions()
    max_tokens: int = 192


def examples() -> Path:
    """The folder of the bundled sources, beside `src/` in a checkout."""
    found = Path(__file__).resolve().parents[2] / "examples"
    if not (found / "encyclopedia.jsonl").is_file():
        raise UsageError(
            f"{found}: the bundled sources are not there", hint="run the demo from a checkout"
        )
    return found


def demo(
    out: Path, *, seed: int = 0, sources: Sequence[Path] = (), plan: Plan | None = None
) -> Path:
    """Run the loop into `out`; returns the directory of the artifact that holds its report."""
    plan = plan or Plan()
    _say("1/6 build: sources → dataset")
    dataset = build(
        sources or [examples() / "encyclopedia.jsonl", examples() / "cases.json"],
        out / "dataset",
        BuildOptions(
            licence=LICENCE,
            test_per_task=plan.test_per_task,
            test_dialogues=plan.test_dialogues,
            seed=seed,
        ),
    )
    _say("2/6 base: a tokenizer and a tiny model from scratch, on the training side's text")
    base = make_base(dataset.path, out / "base", msgspec.structs.replace(plan.base, seed=seed))
    _say("3/6 tune: the base on the dataset")
    options = msgspec.structs.replace(plan.tuning, seed=seed)
    tuned = tune(dataset.path, base.path, out / "tuned", options)
    runs = {}
    for step, (name, checkpoint) in enumerate({"base": base, "tuned": tuned}.items(), start=4):
        _say(f"{step}/6 eval: the {name} model, served on loopback")
        settings = Settings(
            max_tokens=plan.max_tokens,
            seed=seed,
            concurrency=2 * BATCH,
            checkpoint=checkpoint.path,
        )
        runs[name] = _run(name, checkpoint, dataset, out / f"run-{name}", settings)
    _say("6/6 compare: base and tuned, item by item")
    comparison = compare([runs["base"].path, runs["tuned"].path], out / "comparison", seed=seed)
    parts = {
        "dataset": dataset,
        "base": base,
        "tuned": tuned,
        "run_base": runs["base"],
        "run_tuned": runs["tuned"],
        "comparison": comparison,
    }
    return _seal(parts, out / "report", seed)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(
    name: str, checkpoint: Artifact, dataset: Artifact, out: Path, settings: Settings
) -> Artifact:
    """Serve the checkpoint on a free loopback port and evaluate it through the endpoint client."""
    local = LocalModel(checkpoint.path, batch_size=BATCH)
    local.name = name
    with serve_in_thread(ChatServer(local)) as url:
        model = EndpointModel(name, url)
        model.labels = local.labels
        judges = [open_model(JUDGE)]
        outcome = evaluate(BENCHMARKS, dataset.path, model, judges, out, settings)
    if outcome.artifact is None:
        raise WardroundError(
            f"{outcome.failed} requests to the {name} model failed: {outcome.reasons}",
            hint="run the same command again",
        )
    return outcome.artifact


def _seal(parts: dict[str, Artifact], out: Path, seed: int) -> Path:
    inputs = [ref(a.path, role, seen_from=out) for role, a in parts.items()]
    with begin(out, kind="demo", config={"seed": seed}, inputs=inputs) as workspace:
        if workspace.done is None:
            labels = dict.fromkeys(x for a in parts.values() for x in a.manifest.labels)
            seconds = {role: a.manifest.seconds for role, a in parts.items()}
            workspace.volatile("timings.json")
            workspace.write_json("timings.json", seconds)
            counts = {"parts": len(parts)}
            workspace.seal(counts=counts, labels=labels, seed=seed)
    return out
