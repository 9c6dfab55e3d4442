"""Figures on their way to trackers: what they are told, what a kill and a failure leave, and a tracker that dies."""

from __future__ import annotations

import importlib
import os
import signal
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.killed import start
from tests.tuning.outcome import rows
from tests.tuning.tiny import TUNE
from wardround.errors import UsageError, WardroundError
from wardround.tuning import trackers, tracking
from wardround.tuning.sft import tune

pytestmark = pytest.mark.torch

SHORT = msgspec.structs.replace(TUNE, epochs=1)
KEPT = msgspec.structs.replace(SHORT, track=("json",))


class Kept:
    """A tracker that keeps what it is told."""

    all: list[Kept] = []
    broken = ""

    def __init__(self, run: trackers.Run) -> None:
        if self.broken == "begin":
            raise RuntimeError("no such server")
        self.id = run.id or f"run-{len(self.all)}"
        self.run = run
        self.rows: list[tuple[int, Mapping[str, float]]] = []
        self.whole: bool | None = None
        self.all.append(self)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if self.broken == "add" and step > 2:
            raise RuntimeError("gone")
        self.rows.append((step, values))

    def end(self, whole: bool) -> None:
        self.whole = whole
        if self.broken == "end":
            raise RuntimeError("gone")


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> type[Kept]:
    monkeypatch.setattr(Kept, "all", [])
    monkeypatch.setattr(Kept, "broken", "")
    monkeypatch.setattr(tracking, "KINDS", trackers.KINDS | {"json": Kept})
    return Kept


@pytest.fixture(scope="module")
def plain(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The digest of a run nobody tracks."""
    return tune(dataset, base, tmp_path_factory.mktemp("plain") / "out", SHORT).manifest.digest


def test_trackers_are_known_and_installed(
    dataset: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="unknown"):
        tune(dataset, base, tmp_path / "a", msgspec.structs.replace(TUNE, track=("visdom",)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="mlflow needs mlflow"):
        tracking.require(("mlflow",))


def test_a_tracker_is_told_data_options_and_every_figure(
    dataset: Path, base: Path, tmp_path: Path, plain: str
) -> None:
    found = tune(dataset, base, tmp_path / "out", KEPT)
    (tracker,) = Kept.all
    facts = tracker.run.facts
    digests = {i.role: i.digest for i in found.manifest.inputs}
    assert (facts["dataset_digest"], facts["base_digest"]) == (digests["dataset"], digests["base"])
    assert facts["learning_rate"] == TUNE.learning_rate
    assert facts["steps"] == found.manifest.counts["steps"]
    assert str(tmp_path) not in str(facts)
    assert tracker.run.name == "out" and tracker.whole is True
    written = [
        (r["step"], {k: v for k, v in r.items() if k not in ("time", "stage", "step")})
        for r in rows(found.path, tracking.METRICS)
    ]
    assert [(s, sorted(v.values())) for s, v in tracker.rows] == [
        (s, sorted(v.values())) for s, v in written
    ]
    names = {name for _, values in tracker.rows for name in values}
    assert {"train/loss", "train/lr", "eval/loss", "eval/loss/triage"} <= names
    assert found.manifest.digest == plain


def test_going_on_after_a_kill_has_the_same_run(
    forks: Any, dataset: Path, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert start(forks, dataset, base, out, SHORT, "step", 4) == -signal.SIGKILL
    (out / "work" / "trackers.json").write_text('{"json": "run-of-before"}')
    tune(dataset, base, out, KEPT)
    (tracker,) = Kept.all
    assert (tracker.id, tracker.run.step) == ("run-of-before", 3)
    assert min(s for s, _ in tracker.rows) == 4


def test_a_failed_training_is_a_failed_run(dataset: Path, base: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(KEPT, learning_rate=1e30, clip=1e30)
    with pytest.raises(WardroundError, match="the loss is"):
        tune(dataset, base, tmp_path / "out", options)
    assert [t.whole for t in Kept.all] == [False]


@pytest.mark.parametrize("when", ["add", "end"])
def test_a_tracker_that_dies_ends_nothing(
    dataset: Path, base: Path, tmp_path: Path, plain: str, when: str,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(Kept, "broken", when)
    assert tune(dataset, base, tmp_path / "out", KEPT).manifest.digest == plain
    said = capfd.readouterr().err
    assert said.count("json can't be reached any more (gone)") == 1
    assert ("no figures from step 3 on" in said) == (when == "add")


def test_a_tracker_that_cannot_begin_stops_in_words(
    dataset: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: str
) -> None:
    monkeypatch.setattr(Kept, "broken", "begin")
    with pytest.raises(WardroundError, match="--track json: no such server"):
        tune(dataset, base, tmp_path / "out", KEPT)
    assert tune(dataset, base, tmp_path / "out", SHORT).manifest.digest == plain


def test_tensorboard_gets_the_losses(
    forks: Any, dataset: Path, base: Path, tmp_path: Path, plain: str
) -> None:
    pytest.importorskip("tensorboard")
    module = "tensorboard.backend.event_processing.event_accumulator"
    accumulator = importlib.import_module(module).EventAccumulator
    options = msgspec.structs.replace(SHORT, track=("tensorboard",))
    out = tmp_path / "out"
    assert start(forks, dataset, base, out, options, "mark", 4) == -signal.SIGKILL
    found = tune(dataset, base, out, options)
    events = accumulator(str(found.path / "runs"))
    events.Reload()
    assert {"train/loss", "eval/loss", "eval/loss/triage"} <= set(events.Tags()["scalars"])
    steps = [e.step for e in events.Scalars("train/loss")]
    assert steps == list(range(1, found.manifest.counts["steps"] + 1))  # each once
    assert found.manifest.digest == plain


@pytest.mark.filterwarnings("ignore")  # of the library's own making
def test_mlflow_has_one_run_with_all_steps(
    forks: Any, dataset: Path, base: Path, tmp_path: Path, plain: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    mlflow: Any = pytest.importorskip("mlflow")
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "查房")
    options = msgspec.structs.replace(SHORT, track=("mlflow",))
    out = tmp_path / "out"
    process = forks.Process(
        target=_with, args=({"MLFLOW_TRACKING_URI": store, "MLFLOW_EXPERIMENT_NAME": "查房"},
                            dataset, base, out, options, "step", 4),
    )  # fmt: skip
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    found = tune(dataset, base, out, options)
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("查房").experiment_id
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "out")
    assert run.data.params["dataset_digest"] == found.manifest.inputs[0].digest
    steps = [m.step for m in client.get_metric_history(run.info.run_id, "train/loss")]
    assert steps == list(range(1, found.manifest.counts["steps"] + 1))
    assert "eval/loss/triage" in run.data.metrics
    with pytest.raises(WardroundError):
        tune(dataset, base, tmp_path / "bad", msgspec.structs.replace(options, learning_rate=1e30, clip=1e30))  # fmt: skip
    states = sorted(r.info.status for r in client.search_runs([experiment]))
    assert states == ["FAILED", "FINISHED"]
    assert found.manifest.digest == plain


def _with(env: Mapping[str, str], *args: Any) -> None:
    from tests.tuning import killed

    os.environ.update(env)
    killed.run(*args)


@pytest.mark.filterwarnings("ignore")  # of the library's own making
def test_wandb_offline_has_all_steps(
    dataset: Path, base: Path, tmp_path: Path, plain: str, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    options = msgspec.structs.replace(SHORT, track=("wandb",))
    found = tune(dataset, base, tmp_path / "out", options)
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    records = list(_wandb_records(file))
    (begun,) = [r.run for r in records if r.WhichOneof("record_type") == "run"]
    config = {i.key: i.value_json for i in begun.config.update}
    assert (begun.project, begun.display_name) == ("wardround", "out")
    assert found.manifest.inputs[0].digest in config["dataset_digest"]
    history = [
        {(i.key or i.nested_key[0]): i.value_json for i in r.history.item}
        for r in records if r.WhichOneof("record_type") == "history"
    ]  # fmt: skip
    steps = [int(h["_step"]) for h in history if "train/loss" in h]
    assert steps == list(range(1, found.manifest.counts["steps"] + 1))
    assert any("eval/loss/triage" in h for h in history)
    assert [r.exit.exit_code for r in records if r.WhichOneof("record_type") == "exit"] == [0]
    assert found.manifest.digest == plain
    assert not capfd.readouterr().out, "stdout is for the result"


def _wandb_records(file: Path) -> Iterator[Any]:
    """The records of an offline run's file: a LevelDB log of protobuf messages."""
    messages = importlib.import_module("wandb.proto.wandb_internal_pb2")
    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            yield messages.Record.FromString(whole)
            whole = b""
