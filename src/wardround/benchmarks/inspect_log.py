"""A sealed run as an inspect_ai log, written through its Python API, so that its viewer and readers open it.

One log holds one benchmark. A sample is a case in one repeat (its epoch), with the conversation, the reference as
target, and its scores under the names `inspect_bridge.score_names` gives: the mean over judges, and each judge's
own beside it where there are several. What has no score is `Score.unscored`, never 0, its reason in the metadata;
a failed request is the sample's error too. Figures are the run's own, with their intervals, and nothing is
computed anew but the mean of each single judge. Labels stand in the metadata and the tags, digests in the metadata.

The prompt around a question is not in the records. It is made again from the test file if that is still where the
run found it, with the same digest; else the log shows the bare questions and says so (`messages` in the metadata).
Equal runs give equal logs: ids come from the digest. What inspect_ai needs to go on from a log is in it: the task's
name and arguments (own data by its path as seen from where the log was written), endpoints by inspect_ai's name for
them with their URLs, and the answers where the task's scorers look.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, digest_of, open_artifact, sha256_file
from wardround.benchmarks import BENCHMARKS, Benchmark, benchmark
from wardround.benchmarks.data import ITEMS
from wardround.benchmarks.inspect_bridge import (
    ANSWERS,
    ROLE,
    need_inspect,
    score_names,
    to_chat,
    to_score,
)
from wardround.benchmarks.record import RunRecord
from wardround.errors import UsageError
from wardround.records import Answer, Case, Message, decode

SUFFIXES = (".eval", ".json")
SERVICE = "openai-api/wardround"
"""inspect_ai's provider for OpenAI-compatible servers, and the service whose key it takes from WARDROUND_API_KEY."""
AS_SENT = "as sent"
BARE = "questions without the prompt around them: the test file is not at hand as it was"


def write_inspect_logs(run: Path, file: Path) -> list[Path]:
    """Write the run at `run` to `file` (.eval, or .json for the same as text); the paths written.

    A run of several benchmarks gives a log for each, `file`'s stem followed by the benchmark's name.
    """
    need_inspect()
    from inspect_ai.log import write_eval_log

    artifact = open_artifact(run, "run")
    if file.suffix not in SUFFIXES:
        raise UsageError(f"{file}: an inspect_ai log ends in .eval (or .json)")
    if file.resolve().is_relative_to(run.resolve()):
        raise UsageError(f"{file}: lies in the run", hint="a sealed run stays as it is: elsewhere")
    summary = json.loads(artifact.file("summary.json").read_bytes())
    names = list(summary["benchmarks"])
    by_benchmark: dict[str, list[RunRecord]] = {name: [] for name in names}
    with open(artifact.file("records.jsonl"), "rb") as f:
        for line in f:
            record = decode(line, RunRecord)
            by_benchmark[record.benchmark].append(record)
    file.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for name in names:
        path = file if len(names) == 1 else file.with_name(f"{file.stem}-{name}{file.suffix}")
        write_eval_log(_Log(artifact, summary, name, by_benchmark[name]).log(), str(path))
        written.append(path)
    return written


class _Log:
    """One benchmark of a run on its way into a log."""

    def __init__(
        self, artifact: Artifact, summary: dict[str, Any], name: str, records: list[RunRecord]
    ) -> None:
        self.path, self.manifest = artifact.path, artifact.manifest
        self.summary, self.name = summary, name
        self.figures: dict[str, Any] = summary["benchmarks"][name]
        self.records = records
        self.bench, self.cases = _cases(artifact, name)
        self.turns = score_names(max((r.turn for r in records), default=1))
        judges = sorted({j for r in records for j in r.judges})
        self.judges = judges if len(judges) > 1 else []
        self.model = _known_as(self.manifest.config["model"], summary["model"])

    def log(self) -> Any:
        """The whole `EvalLog`."""
        from inspect_ai.log import EvalLog, EvalPlan, EvalPlanStep, EvalStats
        from inspect_ai.model import ModelUsage

        def key(r: RunRecord) -> tuple[str, int]:
            return (r.case, r.repeat)

        samples = [
            self._sample(list(group)) for _, group in itertools.groupby(self.records, key=key)
        ]
        usage: ModelUsage = sum((s.model_usage[self.model] for s in samples), ModelUsage())
        return EvalLog(
            status="success",
            eval=self._spec(),
            plan=EvalPlan(steps=[EvalPlanStep(solver="wardround_turns")]),
            results=self._results(samples),
            stats=EvalStats(
                started_at=self._began(),
                completed_at=self.manifest.created,
                model_usage={self.model: usage},
            ),
            samples=samples,
        )

    def _began(self) -> str:
        """So long before the sealing as was worked on the run, in however many sessions."""
        sealed = datetime.fromisoformat(self.manifest.created)
        return (sealed - timedelta(seconds=self.manifest.seconds)).isoformat(timespec="seconds")

    def _spec(self) -> Any:
        from inspect_ai.log import EvalConfig, EvalDataset, EvalRevision, EvalSpec
        from inspect_ai.model import GenerateConfig

        m, config = self.manifest, self.manifest.config
        ids = list(dict.fromkeys(r.case for r in self.records))
        file = next((i.path for i in m.inputs if i.role == f"data:{self.name}"), None)
        commit, _, dirty = m.commit.partition("+")
        return EvalSpec(
            eval_id=m.digest[:22],
            run_id=m.digest[:22],
            task_id=digest_of([m.digest, self.name])[:22],
            created=m.created,
            task=self.name,
            task_registry_name=f"wardround/{self.name}",
            task_display_name=f"{self.figures['zh']} {self.figures['en']}",
            task_version=m.software,
            task_args={"language": config["language"], **self._own_data()},
            tags=list(m.labels) or None,
            dataset=EvalDataset(name=self.name, location=file, samples=len(ids), sample_ids=ids),
            model=self.model,
            model_generate_config=GenerateConfig(
                max_tokens=config["max_tokens"], temperature=config["temperature"]
            ),
            model_base_url=config["model"].get("url"),
            model_roles=self._roles(),
            config=EvalConfig(epochs=config["repeats"], limit=config["limit"]),
            revision=EvalRevision(type="git", origin="", commit=commit, dirty=bool(dirty))
            if commit
            else None,
            packages={"wardround": m.software.removeprefix("wardround ")},
            metrics=[
                {"name": "inspect_ai/mean"},
                {"name": "inspect_ai/stderr", "options": {"cluster": "cluster"}},
            ],  # what inspect_ai computes when someone edits a score
            metadata=self._metadata(),
        )

    def _roles(self) -> dict[str, Any] | None:
        """The judges in their role, if inspect_ai can open them: it gives up on a whole log over one that it can't,
        whoever is named in their place."""
        judges = self.manifest.config["judges"]
        if not judges or any(j.get("kind") != "endpoint" for j in judges):
            return None
        return {ROLE: [{"model": _known_as(j, ""), "base_url": j["url"]} for j in judges]}

    def _own_data(self) -> dict[str, str]:
        """The task's argument for a test file that isn't the shipped one: its path as seen from here."""
        shipped = (ITEMS / self.bench.shipped).resolve() if self.bench is not None else None
        file = next((i.path for i in self.manifest.inputs if i.role == f"data:{self.name}"), None)
        if file is None or (place := (self.path / file).resolve()) == shipped:
            return {}
        return {"data": os.path.relpath(place)}

    def _metadata(self) -> dict[str, Any]:
        m = self.manifest
        return {
            "labels": list(m.labels),
            "digest": m.digest,
            "config_digest": m.config_digest,
            "inputs": [
                {"role": i.role, "kind": i.kind, "path": i.path, "digest": i.digest}
                for i in m.inputs
            ],
            "config": m.config,
            "counts": self.figures["counts"],
            "overall": self.figures["overall"],
            "scale": self.figures["scale"],
            "reasons": self.figures["reasons"],
            "skipped": self.figures["skipped"],
            "model": self.summary["model"],
            "judges": self.summary["judges"],
            "seed": m.seed,
            "cost": m.cost,
            "messages": AS_SENT if self.cases else BARE,
            "prompts": self.bench.prompt if self.bench is not None else {},
        }

    # -- samples --------------------------------------------------------------------------------------------

    def _sample(self, records: Sequence[RunRecord]) -> Any:
        from inspect_ai.log import EvalError, EvalSample
        from inspect_ai.model import ModelOutput, ModelUsage

        first, model = records[0], self.model
        opening, messages, answered = self._conversation(records)
        place = f"{first.case}-r{first.repeat}"
        given = sum(r.tokens_in or 0 for r in records)
        taken = sum(r.tokens_out or 0 for r in records)
        lost = next((r for r in records if r.status == "failed"), None)
        output = ModelOutput(model=model, error=lost.reason if lost is not None else None)
        if lost is None:
            last = records[-1]
            output = ModelOutput.from_content(model, last.answer or "", _stop(last.finish_reason))
            output.choices[0].message.id = f"{place}-{len(messages)}"
        references = [r.reference for r in records]
        return EvalSample(
            id=first.case,
            epoch=first.repeat,
            input=to_chat(opening, f"{place}-in"),
            target=references if len(references) > 1 else references[0],
            messages=to_chat(messages, place),
            output=output,
            scores=self._scores(records),
            metadata={
                "task": first.task,
                "category": first.category,
                "specialty": first.specialty,
                "cluster": first.group or first.case,
                "answered": answered,
            },
            model_usage={
                model: ModelUsage(
                    input_tokens=given, output_tokens=taken, total_tokens=given + taken
                )
            },
            store={ANSWERS: _as_left(records)},
            uuid=digest_of([self.manifest.digest, self.name, place])[:22],
            error=None
            if lost is None
            else EvalError(message=lost.reason, traceback="", traceback_ansi=""),
        )

    def _conversation(
        self, records: Sequence[RunRecord]
    ) -> tuple[list[Message], list[Message], int]:
        """What opened the conversation, the whole of it as far as it went, and how many turns were answered."""
        answers = [
            r.answer for r in itertools.takewhile(lambda r: r.status == "ok", records) if r.answer is not None
        ]  # fmt: skip
        asked = min(len(answers) + 1, len(records))
        case = self.cases.get(records[0].case)
        if case is not None and self.bench is not None:
            opening = list(self.bench.messages(case, ()))
            messages = list(self.bench.messages(case, answers[: asked - 1]))
        else:
            opening = [Message(role="user", content=records[0].question)]
            messages = list(opening)
            for r, answer in zip(records[1:asked], answers, strict=False):
                messages.append(Message(role="assistant", content=answer))
                messages.append(Message(role="user", content=r.question))
        if len(answers) == asked:
            messages.append(Message(role="assistant", content=answers[-1]))
        return opening, messages, len(answers)

    def _scores(self, records: Sequence[RunRecord]) -> dict[str, Any]:
        found = {}
        for r in records:
            name = self.turns[r.turn - 1]
            found[name] = to_score(r.score, r.judges, r.answer)
            for judge in self.judges:
                if judge in r.judges:
                    own = r.judges[judge]
                    found[f"{name}: {judge}"] = to_score(own, {}, None)
        return found

    # -- figures --------------------------------------------------------------------------------------------

    def _results(self, samples: Sequence[Any]) -> Any:
        from inspect_ai.log import EvalResults

        scores = []
        rows = self.figures["by_turn"] or [
            {"turn": 1, "counts": self.figures["counts"], "estimate": self.figures["overall"]}
        ]
        for row in rows:
            name = self.turns[row["turn"] - 1]
            estimate = {
                {"mean": "mean", "low": "ci95_low", "high": "ci95_high"}[k]: v
                for k, v in row["estimate"].items()
                if k in ("mean", "low", "high")
            }
            scores.append(_figure(name, estimate, row["counts"]))
            for judge in self.judges:
                here = (r.judges.get(judge) for r in self.records if r.turn == row["turn"])
                given = [s.value for s in here if s is not None]
                values = [v for v in given if v is not None]
                mean = math.fsum(values) / len(values) if values else None
                counts = {"scored": len(values), "unscored": len(given) - len(values), "failed": 0}
                scores.append(_figure(f"{name}: {judge}", {"mean": mean}, counts))
        return EvalResults(
            total_samples=len(samples),
            completed_samples=sum(s.error is None for s in samples),
            scores=scores,
            metadata={
                "overall": self.figures["overall"],
                "level": self.summary["level"],
                "resamples": self.summary["resamples"],
            },
        )


def _figure(name: str, metrics: dict[str, float | None], counts: dict[str, int]) -> Any:
    """Figures of one score; a figure that is not there is left out."""
    from inspect_ai.log import EvalMetric, EvalScore

    return EvalScore(
        name=name,
        scorer=name,
        scored_samples=counts["scored"],
        unscored_samples=counts["unscored"] + counts["failed"],
        metrics={k: EvalMetric(name=k, value=v) for k, v in metrics.items() if v is not None},
        metadata=counts,
    )


def _known_as(identity: Mapping[str, Any], name: str) -> str:
    """A model's name in the log, its provider first as inspect_ai wants it: for an endpoint the one it can be asked by."""
    known = identity.get("kind") == "endpoint"
    return f"{SERVICE}/{identity['model']}" if known else f"wardround/{name}"


def _as_left(records: Sequence[RunRecord]) -> list[Any]:
    """The answers as our solver leaves them for the scorers: up to the first that failed."""
    answers = []
    for r in records:
        answers.append(
            Answer(
                status=r.status, text=r.answer, reason=r.reason, finish_reason=r.finish_reason,
                tokens_in=r.tokens_in, tokens_out=r.tokens_out,
            )
        )  # fmt: skip
        if r.status == "failed":
            break
    found: list[Any] = msgspec.to_builtins(answers)
    return found


def _stop(reason: str) -> Any:
    return {"stop": "stop", "length": "max_tokens"}.get(reason, "unknown")


def _cases(artifact: Artifact, name: str) -> tuple[Benchmark | None, dict[str, Case]]:
    """The benchmark, and its cases by id if file, cases and prompts are all still what the run had."""
    config = artifact.manifest.config
    if any(n not in BENCHMARKS for n in config["benchmarks"]):
        return None, {}
    benches = [benchmark(n, config["language"]) for n in config["benchmarks"]]
    place = config["benchmarks"].index(name)
    bench = benches[place]
    if digest_of([b.prompt for b in benches]) != config["prompts"]:
        return None, {}
    for i in artifact.manifest.inputs:
        file = artifact.path / i.path
        if i.role == f"data:{name}" and file.is_file() and sha256_file(file) == i.digest:
            cases = bench.load(file)[0][: config["limit"]]
            if digest_of(cases) == config["cases"][place]:
                return bench, {case.id: case for case in cases}
    return bench, {}
