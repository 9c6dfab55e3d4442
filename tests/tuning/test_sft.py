"""Tuning end to end on a very small model: it learns, says its plan, refuses what it can't use."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.conftest import write_dataset
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact
from wardround.errors import ArtifactError, ConfigMismatchError, UsageError, WardroundError
from wardround.lineage import verify
from wardround.report import render, text
from wardround.tuning import stack
from wardround.tuning.scratch import LABEL
from wardround.tuning.sft import FROM_SCRATCH, PRETRAINED, TuneOptions, _recipe, tune

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def tuned(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = msgspec.structs.replace(TUNE, epochs=6)
    return tune(dataset, base, tmp_path_factory.mktemp("tuned") / "tuned", options).path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "training_log.jsonl").read_text().splitlines()]


def test_loss_falls_and_is_logged_with_the_held_out_loss(tuned: Path) -> None:
    log = rows(tuned)
    train = [r for r in log if "loss" in r]
    held_out = [r["eval_loss"] for r in log if "eval_loss" in r]
    plan = json.loads((tuned / "plan.json").read_bytes())
    assert [r["step"] for r in train] == list(range(1, plan["steps"] + 1))
    assert train[-1]["loss"] < 0.95 * train[0]["loss"]
    assert len(held_out) == 2
    assert train[-1]["tokens"] == plan["tokens"] * plan["epochs"]
    assert train[-1]["epoch"] == 6
    assert train[0]["lr"] < TUNE.learning_rate
    assert not any("runtime" in key for r in log for key in r)


def test_checkpoint_is_whole_and_names_its_chain(tuned: Path, dataset: Path, base: Path) -> None:
    assert verify(tuned).whole
    manifest = open_artifact(tuned, "checkpoint").manifest
    assert [(r.role, r.kind) for r in manifest.inputs] == [
        ("dataset", "dataset"), ("base", "checkpoint"),
    ]  # fmt: skip
    assert LABEL in manifest.labels
    card = (tuned / "README.md").read_text("utf-8")
    for words in (LABEL, open_artifact(dataset).manifest.digest, "分诊", "Dialogue", "CC0-1.0"):
        assert words in card
    assert not (tuned / "work").exists()
    assert str(base) not in "".join(p.read_text("utf-8") for p in tuned.glob("*.json"))


def answer_loss(checkpoint: Path, dataset: Path) -> float:
    """The held-out loss computed token by token from saved weights, without batches or padding."""
    import torch

    from wardround.tuning import model_dir
    from wardround.tuning.chats import read_chats
    from wardround.tuning.data import encode_chats, held_out_documents
    from wardround.tuning.plan import split

    chats = read_chats(open_artifact(dataset))
    encoded = encode_chats(chats, model_dir.load_tokenizer(checkpoint), max_tokens=512)
    _, kept_out = split(encoded.examples, held_out_documents((c.document for c in chats), 0.2))
    model, _ = model_dir.load_model(checkpoint)
    total, tokens = 0.0, 0
    with torch.no_grad():
        for example in kept_out:
            logits = model(torch.tensor([list(example.ids)])).logits[0].log_softmax(-1)
            for start, end in example.spans:
                total -= sum(float(logits[k - 1, example.ids[k]]) for k in range(start, end))
                tokens += end - start
    return total / tokens


def test_held_out_loss_is_the_mean_over_answer_tokens(
    tuned: Path, dataset: Path, base: Path
) -> None:
    last = [r["eval_loss"] for r in rows(tuned) if "eval_loss" in r][-1]
    assert math.isclose(answer_loss(tuned, dataset), last, rel_tol=1e-4)
    assert last < answer_loss(base, dataset)


def test_same_command_again_has_nothing_to_do(tuned: Path, dataset: Path, base: Path) -> None:
    before = (tuned / "manifest.json").read_bytes()
    again = tune(dataset, base, tuned, msgspec.structs.replace(TUNE, epochs=6))
    assert again.path == tuned
    assert (tuned / "manifest.json").read_bytes() == before
    with pytest.raises(ConfigMismatchError, match="epochs: 6 → 7"):
        tune(dataset, base, tuned, msgspec.structs.replace(TUNE, epochs=7))


def test_accumulating_batches_makes_fewer_steps_of_the_same_data(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(TUNE, epochs=1, batch_tokens=256)
    one = tune(dataset, base, tmp_path / "one", options)
    three = tune(dataset, base, tmp_path / "three", msgspec.structs.replace(options, accumulate=3))
    assert three.manifest.counts["steps"] == math.ceil(one.manifest.counts["steps"] / 3)
    assert rows(three.path)[-2]["tokens"] == rows(one.path)[-2]["tokens"]


def test_from_scratch_base_is_made_beside_and_recorded(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.tuning.tiny import BASE
    from wardround.tuning import scratch

    monkeypatch.setitem(scratch.PRESETS, "tiny", BASE)
    tuned = tune(dataset, "scratch:tiny", tmp_path / "model", TUNE)
    base = open_artifact(tmp_path / "model-base", "checkpoint")
    assert tuned.manifest.inputs[1].digest == base.manifest.digest
    assert tuned.manifest.inputs[1].path == "../model-base"
    with pytest.raises(UsageError, match="no from-scratch base named huge"):
        tune(dataset, "scratch:huge", tmp_path / "other", TUNE)
    chats = tmp_path / "chats.jsonl"
    turns = [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]
    chats.write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    options = msgspec.structs.replace(TUNE, accept_unchecked=True)
    with pytest.raises(UsageError, match="made from a dataset, not from") as refused:
        tune(chats, "scratch:tiny", tmp_path / "third", options)
    assert "tune DATASET THIS" in refused.value.hint


def test_settings_follow_the_kind_of_base(dataset: Path, base: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(base, plain)
    (plain / "manifest.json").unlink()
    assert _recipe(TuneOptions(), base) == FROM_SCRATCH
    assert _recipe(TuneOptions(), plain) == PRETRAINED
    asked = _recipe(TuneOptions(epochs=9, threads=2), base)
    assert (asked.epochs, asked.threads) == (9, 2)
    assert asked.learning_rate == FROM_SCRATCH.learning_rate


def test_bf16_trains_too(dataset: Path, base: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(TUNE, epochs=1, precision="bf16")
    tuned = tune(dataset, base, tmp_path / "out", options)
    assert tuned.manifest.config["precision"] == "bf16"
    assert json.loads((tuned.path / "config.json").read_bytes())["dtype"] == "float32"


def test_diverged_training_is_an_error_not_a_checkpoint(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    options = msgspec.structs.replace(TUNE, learning_rate=1e30, clip=1e30)
    with pytest.raises(WardroundError, match="the loss is"):
        tune(dataset, base, tmp_path / "out", options)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_what_is_no_dataset_or_no_model_is_refused(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    run = write_dataset(tmp_path / "run", kind="run")
    with pytest.raises(ArtifactError, match="a dataset is needed here"):
        tune(run.path, base, tmp_path / "out", TUNE)
    with pytest.raises(UsageError, match=r"no config\.json"):
        tune(dataset, dataset, tmp_path / "out", TUNE)
    with pytest.raises(UsageError, match="no such model directory"):
        tune(dataset, tmp_path / "none", tmp_path / "out", TUNE)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no weights"):
        tune(dataset, tmp_path / "bare", tmp_path / "out", TUNE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [TuneOptions(epochs=0), TuneOptions(held_out_share=1.0), TuneOptions(warmup=-0.1)]
)
def test_options_without_sense_are_refused(
    dataset: Path, base: Path, tmp_path: Path, options: TuneOptions
) -> None:
    with pytest.raises(UsageError, match="must be"):
        tune(dataset, base, tmp_path / "out", options)


def test_missing_stack_names_the_extra(
    dataset: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "NEEDED", ("torch", "no_such_library"))
    with pytest.raises(UsageError, match="no_such_library") as caught:
        tune(dataset, base, tmp_path / "out", TUNE)
    assert "wardround[tune]" in caught.value.hint


def test_tasks_without_a_held_out_loss_are_named_with_the_reason(
    dataset: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rare = tmp_path / "rare.jsonl"
    talk = {"messages": [{"role": "user", "content": "头痛"}, {"role": "assistant", "content": "多休息。"}]}  # fmt: skip
    rare.write_text(json.dumps(talk, ensure_ascii=False) + "\n", "utf-8")
    options = msgspec.structs.replace(TUNE, epochs=1, accept_unchecked=True)
    made = tune([dataset, rare], base, tmp_path / "out", options).path
    assert json.loads((made / "plan.json").read_bytes())["unmeasured"] == {"rare": 1}
    assert "without a held-out loss: rare (of 1 documents)" in capsys.readouterr().err
    said = "rare rare: 只有 1 份资料，全部用于训练; only 1 document, all learned from"
    assert said in (made / "README.md").read_text("utf-8")
    assert "| 分诊 | Triage | 6 | " in (made / "README.md").read_text("utf-8")
    for shown in (text(made), render(made)):
        assert "only 1 document, all learned from" in shown or "只有 1 份资料" in shown
    nothing = msgspec.structs.replace(options, held_out_share=0.0)
    bare = tune([dataset, rare], base, tmp_path / "bare", nothing).path
    assert "nothing was held out" in (bare / "README.md").read_text("utf-8")
