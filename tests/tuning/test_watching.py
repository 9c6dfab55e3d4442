"""Evaluating while training: losses by task, early stop, best and last, sample answers, figures, and faults."""

from __future__ import annotations

import json
import math
import multiprocessing
import resource
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.killed import start
from tests.tuning.outcome import rows
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact, sha256_file
from wardround.errors import UsageError, WardroundError
from wardround.lineage import verify
from wardround.report import render, text
from wardround.tuning import checkpoints, tracking
from wardround.tuning.sft import TuneOptions, tune

pytestmark = pytest.mark.torch

# A rate this high overfits at once, so the held-out loss rises and the best weights are not the last.
RISING = msgspec.structs.replace(TUNE, epochs=12, learning_rate=3e-2, evaluations=12, probes=1,
                                 probe_tokens=8)  # fmt: skip
STOPPED = msgspec.structs.replace(RISING, early_stop=2)


@pytest.fixture(scope="module")
def rising(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tune(dataset, base, tmp_path_factory.mktemp("rising") / "out", RISING).path


@pytest.fixture(scope="module")
def stopped(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tune(dataset, base, tmp_path_factory.mktemp("stopped") / "out", STOPPED).path


def held(path: Path) -> list[dict[str, Any]]:
    return [r for r in rows(path) if "eval_loss" in r]


def loss_now(checkpoint: Path, dataset: Path) -> float:
    from tests.tuning.test_sft import answer_loss

    return answer_loss(checkpoint, dataset)


def test_held_out_loss_is_told_by_task(rising: Path) -> None:
    for row in held(rising):
        assert set(row["by_task"]) == {"dialogue", "disease_inquiry", "treatment_plan", "triage"}
        assert min(row["by_task"].values()) <= row["eval_loss"] <= max(row["by_task"].values())


def test_best_and_last_are_both_kept(rising: Path, dataset: Path) -> None:
    losses = held(rising)
    best = min(losses, key=lambda r: r["eval_loss"])
    counts = open_artifact(rising).manifest.counts
    assert counts["best_step"] == best["step"] < counts["last_step"] == counts["steps"]
    assert math.isclose(loss_now(rising, dataset), losses[-1]["eval_loss"], rel_tol=1e-4)
    assert math.isclose(loss_now(rising / "best", dataset), best["eval_loss"], rel_tol=1e-4)
    assert verify(rising).whole


def test_early_stop_ends_on_the_best_weights(stopped: Path, dataset: Path) -> None:
    losses = held(stopped)
    counts = open_artifact(stopped).manifest.counts
    best = min(losses, key=lambda r: r["eval_loss"])
    assert counts["last_step"] < counts["steps"]
    assert [r["step"] for r in losses].index(best["step"]) == len(losses) - 3
    assert math.isclose(loss_now(stopped, dataset), best["eval_loss"], rel_tol=1e-4)
    assert math.isclose(loss_now(stopped / "last", dataset), losses[-1]["eval_loss"], rel_tol=1e-4)


def test_the_card_and_the_reports_tell_what_was_trained_and_whose_weights_lie_there(
    stopped: Path, rising: Path
) -> None:
    counts = open_artifact(stopped).manifest.counts
    losses = {r["step"]: r["eval_loss"] for r in held(stopped)}
    best, last = counts["best_step"], counts["last_step"]
    told = (
        f"Trained {last} of {counts['steps']} planned steps",
        f"Stopped early: 2 evaluations after step {best} gave no lower held-out loss",
        f"The weights here: after step {best}, held-out loss {losses[best]:.3f} (the lowest)",
        f"The weights in last/: after step {last}, held-out loss {losses[last]:.3f}",
    )
    for shown in ((stopped / "README.md").read_text("utf-8"), text(stopped), render(stopped)):
        assert all(sentence in shown for sentence in told)
    task = next(r for r in held(stopped) if r["step"] == best)["by_task"]["triage"]
    assert f"| 分诊 | Triage | 6 | {task:.3f} |" in (stopped / "README.md").read_text("utf-8")
    whole = open_artifact(rising).manifest.counts
    card = (rising / "README.md").read_text("utf-8")
    assert "Ran to its last step as planned" in card and "Stopped early" not in card
    assert f"The weights here: after step {whole['last_step']}" in card
    assert f"The weights in best/: after step {whole['best_step']}" in card


def test_killed_before_its_early_stop_it_stops_at_the_same_step(
    forks: Any, dataset: Path, base: Path, stopped: Path, tmp_path: Path
) -> None:  # fmt: skip
    out = tmp_path / "out"
    last = open_artifact(stopped).manifest.counts["last_step"]
    for moment, step in (("step", 2), ("step", last), ("weights", 0)):
        assert start(forks, dataset, base, out, STOPPED, moment, step) == -signal.SIGKILL
    assert len(list((out / "work").glob("best-*"))) <= 2
    assert start(forks, dataset, base, out, STOPPED, "never", 0) == 0
    assert sha256_file(out / "model.safetensors") == sha256_file(stopped / "model.safetensors")
    assert open_artifact(out).manifest.digest == open_artifact(stopped).manifest.digest


def test_the_same_questions_are_asked_at_every_evaluation(rising: Path, base: Path) -> None:
    strip = rows(rising, "answers_over_time.jsonl")
    steps = [0, *(r["step"] for r in held(rising))]
    assert len(strip) == 4
    for row in strip:
        assert [a["step"] for a in row["answers"]] == steps
        assert row["reference"]
        assert row["prompt"]
        assert not set(row["prompt"].split()) & {"user", "assistant"}  # the template's words
    assert len({a["text"] for row in strip for a in row["answers"]}) > 2


def test_the_report_shows_them_as_a_strip_and_the_loss_by_task(rising: Path) -> None:
    import html

    from wardround.report import write_report

    page = html.unescape(write_report(rising).read_text("utf-8"))
    strip = page[page.index('class="strip"') :]
    for row in rows(rising, "answers_over_time.jsonl"):
        assert row["reference"] in strip and row["prompt"][:60] in strip
        assert f">{row['task']}<" not in strip  # its names, not its id
        assert all(a["text"].strip() in page for a in row["answers"] if a["text"].isprintable())
    assert "held-out loss by task" in page
    assert verify(rising).whole


def test_asking_and_measuring_change_nothing_in_the_weights(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(TUNE, epochs=1)
    plain = tune(dataset, base, tmp_path / "plain", options).path
    watched = msgspec.structs.replace(options, probes=1, evaluations=4, probe_tokens=4)
    asked = tune(dataset, base, tmp_path / "asked", watched).path
    assert sha256_file(plain / "model.safetensors") == sha256_file(asked / "model.safetensors")


def test_gradient_checkpointing_gives_the_same_weights(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(TUNE, epochs=1)
    plain = tune(dataset, base, tmp_path / "plain", options).path
    saving = msgspec.structs.replace(options, gradient_checkpointing=True)
    again = tune(dataset, base, tmp_path / "again", saving).path
    assert sha256_file(plain / "model.safetensors") == sha256_file(again / "model.safetensors")
    plans = [json.loads((p / "plan.json").read_bytes())["memory_mb"] for p in (plain, again)]
    assert plans[1] <= plans[0]


def test_figures_are_written_each_step_once_whatever_happened(
    forks: Any, dataset: Path, base: Path, rising: Path, tmp_path: Path
) -> None:  # fmt: skip
    steps = [r["step"] for r in rows(rising, tracking.METRICS) if "loss" in r]
    assert steps == list(range(1, steps[-1] + 1))
    out = tmp_path / "out"
    assert start(forks, dataset, base, out, TUNE, "step", 4) == -signal.SIGKILL
    found = tune(dataset, base, out, TUNE)
    again = [r["step"] for r in rows(out, tracking.METRICS) if "loss" in r]
    assert again == list(range(1, found.manifest.counts["steps"] + 1))
    entry = next(f for f in found.manifest.files if f.path == tracking.METRICS)
    assert not entry.content


def test_machines_get_json_lines(
    dataset: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tune(dataset, base, tmp_path / "out", msgspec.structs.replace(TUNE, machine=True))
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    kinds = [e["event"] for e in events]
    assert kinds[0] == "plan"
    assert {"step", "evaluation", "estimate"} <= set(kinds)
    assert events[0]["plan"]["steps"] == kinds.count("step")


def test_diverging_names_step_and_samples(dataset: Path, base: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(TUNE, learning_rate=1e30, clip=1e30, log_steps=3)
    with pytest.raises(WardroundError, match=r"at step \d+, in the batch with \w+-\d") as caught:
        tune(dataset, base, tmp_path / "out", options)
    assert "--learning-rate" in caught.value.hint


def _small_disk(dataset: Path, base: Path, out: Path, most: int, said: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        tune(dataset, base, out, TUNE)
    except WardroundError as e:
        said.send(str(e))
    else:
        said.send("it went well")


def test_full_disk_leaves_the_state_before_it_whole(
    forks: Any, dataset: Path, base: Path, tmp_path: Path
) -> None:  # fmt: skip
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert start(forks, dataset, base, out, TUNE, "step", 4) == -signal.SIGKILL
    before = checkpoints.newest(out / "work")
    assert before is not None
    here, there = multiprocessing.Pipe(duplex=False)
    process = forks.Process(target=_small_disk, args=(dataset, base, out, 20_000, there))
    process.start()
    process.join(timeout=120)
    text = here.recv()
    here.close()
    there.close()
    assert "can't be written" in text
    assert f"the state of step {checkpoints.step_of(before)} is whole" in text
    assert checkpoints.newest(out / "work") == before
    finished = tune(dataset, base, out, TUNE)
    assert finished.manifest.digest == tune(dataset, base, whole, TUNE).manifest.digest


@pytest.mark.parametrize(
    "options",
    [
        TuneOptions(lora_rank=-1), TuneOptions(early_stop=2, held_out_share=0.0),
        TuneOptions(lora_rank=2, lora_targets=()), TuneOptions(cap="x"), TuneOptions(lora_dropout=1.0),
    ],
)  # fmt: skip
def test_options_without_sense_are_refused(
    dataset: Path, base: Path, tmp_path: Path, options: TuneOptions
) -> None:
    with pytest.raises(UsageError):
        tune(dataset, base, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
