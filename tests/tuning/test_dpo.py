"""`prefer`: the loss, what it does to a tiny model, what it says, and going on after a kill."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.judged import PREFER, judgements, write
from tests.tuning.killed import start
from tests.tuning.outcome import assert_same, rows
from wardround.artifact import open_artifact, sha256_file
from wardround.errors import ConfigMismatchError, NotSealedError, UsageError, WardroundError
from wardround.report import data, text, write_report
from wardround.tuning.dpo import encode_pairs, pair_batches, prefer
from wardround.tuning.preferences import read, sources

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def tuned(judged: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prefer(judged, base, tmp_path_factory.mktemp("tuned") / "out", PREFER).path


def chosen_minus_rejected(checkpoint: Path, judged: Path) -> list[float]:
    """By pair, computed one answer at a time from saved weights, without batches, padding or the tested code."""
    import torch

    from wardround.tuning import model_dir

    told, _ = read(sources(judged))
    encoded, _ = encode_pairs(told, model_dir.load_tokenizer(checkpoint), PREFER)
    model, _ = model_dir.load_model(checkpoint)
    sums = []
    with torch.no_grad():
        for example in encoded.examples:
            logits = model(torch.tensor([list(example.ids)])).logits[0].log_softmax(-1)
            ((start, end),) = example.spans
            sums.append(sum(float(logits[k - 1, example.ids[k]]) for k in range(start, end)))
    return [c - r for c, r in zip(sums[0::2], sums[1::2], strict=True)]


def test_the_loss_is_the_papers(base: Path, judged: Path) -> None:
    import torch

    from wardround.tuning import model_dir
    from wardround.tuning.data import collate
    from wardround.tuning.dpo_loss import answer_log_probs, pair_losses

    told, _ = read(sources(judged))
    encoded, _ = encode_pairs(told, model_dir.load_tokenizer(base), PREFER)
    model, _ = model_dir.load_model(base)
    with torch.no_grad():
        found = answer_log_probs(model, collate(encoded.examples, pad=0))
    gaps = (found[0::2] - found[1::2]).tolist()
    assert gaps == pytest.approx(chosen_minus_rejected(base, judged), abs=1e-3)
    reference = torch.arange(len(found)) / 7.0 - 9.0
    losses = pair_losses(found, reference, 0.3).tolist()
    for loss, gap in zip(losses, gaps, strict=True):
        reward = 0.3 * (
            gap + 1 / 7
        )  # each rejected answer's reference is 1/7 above its chosen one's
        assert math.isclose(loss, math.log1p(math.exp(-reward)), rel_tol=1e-4)


def test_only_the_last_answer_counts_and_pairs_stay_together(base: Path, judged: Path) -> None:
    from wardround.tuning import model_dir

    tokenizer = model_dir.load_tokenizer(base)
    told, _ = read(sources(judged))
    encoded, aside = encode_pairs(told, tokenizer, PREFER)
    assert not aside
    for pair, chosen, rejected in zip(
        told, encoded.examples[0::2], encoded.examples[1::2], strict=True
    ):
        for example, answer in ((chosen, pair.chosen), (rejected, pair.rejected)):
            ((start, end),) = example.spans
            assert end == len(example.ids)
            assert tokenizer.decode(example.ids[start:end]).startswith(answer)
        assert chosen.ids[: chosen.spans[0][0]] == rejected.ids[: rejected.spans[0][0]]
    order = pair_batches(encoded.examples, PREFER, epochs=2)
    assert len(order) > 2
    assert all(b[1::2] == tuple(i + 1 for i in b[0::2]) for b in order)
    assert sorted(i for b in order for i in b) == sorted([*range(2 * len(told))] * 2)


def test_margins_rise_and_start_from_nothing(tuned: Path, base: Path, judged: Path) -> None:
    before, after = chosen_minus_rejected(base, judged), chosen_minus_rejected(tuned, judged)
    assert sum(b > a for a, b in zip(before, after, strict=True)) > 0.9 * len(before)
    losses = [r["loss"] for r in rows(tuned) if "loss" in r]
    assert math.isclose(losses[0], math.log(2), rel_tol=1e-3)  # as the base is its own reference
    assert losses[-1] < losses[0]


def test_held_out_figures_are_in_the_log_by_kind(tuned: Path, base: Path, judged: Path) -> None:
    last = [r for r in rows(tuned) if "eval_loss" in r][-1]
    found = last["measures"]
    assert set(found) == {"accuracy", "margin", "chosen", "rejected", "pairs"}
    held = open_artifact(tuned).manifest.counts["held_out_pairs"]
    assert set(found["pairs"]) <= {"", "review", "edit"} and found["pairs"][""] == held > 1
    before, after = chosen_minus_rejected(base, judged), chosen_minus_rejected(tuned, judged)
    told, _ = read(sources(judged))
    learned = {i.removesuffix(" chosen") for i in ids_of(tuned)}
    gains = [
        PREFER.beta * (b - a)
        for p, a, b in zip(told, before, after, strict=True)
        if p.id not in learned
    ]
    assert len(gains) == held
    assert math.isclose(found["margin"][""], sum(gains) / held, abs_tol=1e-3)
    assert found["accuracy"][""] == pytest.approx(sum(g > 0 for g in gains) / held, abs=1e-6)
    assert found["chosen"][""] - found["rejected"][""] == pytest.approx(
        found["margin"][""], abs=1e-5
    )
    assert last["eval_loss"] < math.log(2)


def ids_of(out: Path) -> set[str]:
    """The chosen examples that were learned from, worked out anew."""
    from wardround.tuning import model_dir
    from wardround.tuning.data import held_out_documents
    from wardround.tuning.plan import split

    path = open_artifact(out).manifest.inputs[0].path
    told, _ = read(sources((out / path).resolve()))
    encoded, _ = encode_pairs(told, model_dir.load_tokenizer(out), PREFER)
    held = held_out_documents((p.document for p in told), PREFER.held_out_share)
    learned, _ = split(encoded.examples, held)
    return {e.id for e in learned[0::2]}


def test_plan_card_labels_and_report_say_whose_preferences(
    tuned: Path, base: Path, judged: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    made = open_artifact(tuned, "checkpoint")
    plan = json.loads((tuned / "plan.json").read_bytes())
    kinds = plan["tasks"]
    assert plan["stage"] == "dpo" and plan["samples"] == sum(kinds.values())
    assert set(kinds) == {"edit", "review"}
    assert made.manifest.counts["pairs"] == plan["samples"]
    assert made.manifest.counts["excluded"] == plan["excluded"] == 1
    excluded = json.loads((tuned / "excluded.jsonl").read_bytes())
    assert (excluded["reason"], excluded["row"]) == ("tie", len(judgements()))
    assert [r.role for r in made.manifest.inputs] == ["preferences", "base"]
    label = next(x for x in made.manifest.labels if "preferences of 3 doctors" in x)
    assert f"{kinds['edit']} doctor edits" in label and f"{kinds['review']} review" in label
    assert set(open_artifact(base).manifest.labels) < set(made.manifest.labels)
    readme = (tuned / "README.md").read_text("utf-8")
    assert label in readme and "| 医生修改 doctor edits |" in readme and "β = 0.1" in readme

    page = write_report(tuned).read_text("utf-8")
    assert "偏好准确率" in page and "preference accuracy" in page and "DPO" in page
    assert "交叉熵，纳特/词元" not in page
    assert label.split(" / ")[0] in text(tuned) and "accuracy" in text(tuned)
    assert data(tuned)["manifest"]["counts"]["doctors"] == 3

    AutoTokenizer.from_pretrained(tuned)
    AutoModelForCausalLM.from_pretrained(tuned)
    assert str(base) not in "".join(p.read_text("utf-8") for p in tuned.glob("*.json"))


def test_same_command_again_has_nothing_to_do(tuned: Path, judged: Path, base: Path) -> None:
    before = (tuned / "manifest.json").read_bytes()
    assert prefer(judged, base, tuned, PREFER).path == tuned
    assert (tuned / "manifest.json").read_bytes() == before
    with pytest.raises(ConfigMismatchError, match=r"beta: 0.1 → 0.2"):
        prefer(judged, base, tuned, msgspec.structs.replace(PREFER, beta=0.2))


def test_accumulating_batches_divides_the_loss(judged: Path, base: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(PREFER, epochs=1, accumulate=3, learning_rate=1e-9)
    out = prefer(judged, base, tmp_path / "out", options).path
    assert all(math.isclose(r["loss"], math.log(2), rel_tol=1e-3) for r in rows(out) if "loss" in r)


def test_lora_trains_beside_the_base(judged: Path, base: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(PREFER, lora_rank=4, epochs=1, learning_rate=1e-2)
    made = prefer(judged, base, tmp_path / "out", options)
    counts = made.manifest.counts
    assert counts["trained_parameters"] < counts["parameters"] / 2
    losses = [r["loss"] for r in rows(made.path) if "loss" in r]
    assert math.isclose(losses[0], math.log(2), rel_tol=1e-3)
    assert "LoRA" in (made.path / "README.md").read_text("utf-8")


def test_long_pairs_are_set_aside_and_too_many_refused(
    judged: Path, base: Path, tmp_path: Path
) -> None:
    long = judgements()[0] | {"rejected": "不清楚，请先观察。" * 60}
    some = write(tmp_path / "some.jsonl", [*judgements(), long])
    made = prefer(some, base, tmp_path / "out", msgspec.structs.replace(PREFER, epochs=1))
    excluded = rows(made.path, "excluded.jsonl")
    assert ("too_long", f"some.jsonl:{len(judgements()) + 1}") in {
        (x["reason"], x["what"]) for x in excluded
    }
    strict = msgspec.structs.replace(PREFER, max_tokens=40)
    with pytest.raises(UsageError, match=r"of 16 pairs are longer than 40 tokens"):
        prefer(judged, base, tmp_path / "strict", strict)


def test_a_loss_that_is_no_number_stops_and_names_the_pairs(
    judged: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wardround.tuning import dpo_loss

    original = dpo_loss.PreferenceObjective.loss
    seen: list[int] = []

    def broken(self: Any, model: Any, inputs: Any) -> Any:
        seen.append(1)
        return original(self, model, inputs) * (math.nan if len(seen) == 2 else 1.0)

    monkeypatch.setattr(dpo_loss.PreferenceObjective, "loss", broken)
    with pytest.raises(WardroundError, match=r"dpo: the loss is nan at step 2, .*judged.jsonl:\d+"):
        prefer(judged, base, tmp_path / "out", PREFER)
    with pytest.raises(NotSealedError):
        open_artifact(tmp_path / "out")


def test_a_base_without_finite_log_probabilities_is_named(
    judged: Path, base: Path, tmp_path: Path
) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "base"
    shutil.copytree(base, broken)
    (broken / "manifest.json").unlink()
    tensors = load_file(broken / "model.safetensors")
    save_file({k: v * math.nan for k, v in tensors.items()}, broken / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    with pytest.raises(WardroundError, match=r"the base gives judged.jsonl:.* no log-probability"):
        prefer(judged, broken, tmp_path / "out", PREFER)


def test_what_is_refused(judged: Path, base: Path, dataset: Path, tmp_path: Path) -> None:
    unchecked = msgspec.structs.replace(PREFER, accept_unchecked=False)
    with pytest.raises(UsageError, match="no contamination report"):
        prefer(judged, base, tmp_path / "out", unchecked)
    exams = tmp_path / "exams.txt"
    exams.write_text(sha256_file(judged) + "\n")
    with pytest.raises(UsageError, match="listed as held out"):
        prefer(judged, base, tmp_path / "out", msgspec.structs.replace(PREFER, held_out=(exams,)))
    with pytest.raises(UsageError, match=r"--beta 0\.0: must be above 0"):
        prefer(judged, base, tmp_path / "out", msgspec.structs.replace(PREFER, beta=0.0))
    with pytest.raises(UsageError, match="no such model directory"):
        prefer(judged, tmp_path / "nowhere", tmp_path / "out", PREFER)
    assert not (tmp_path / "out").exists()


def test_answers_to_a_test_sets_questions_are_refused_unless_given_up(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exam = {"benchmark": "exam", "digest": "cd" * 32}
    told = judgements()
    told[0]["provenance"]["tests"] = [exam]
    path, options = write(tmp_path / "a.jsonl", told), msgspec.structs.replace(PREFER, epochs=1)
    with pytest.raises(UsageError, match="the questions of a test set"):
        prefer(path, base, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
    config = tmp_path / "wardround.toml"
    config.write_text(f'[tuning]\nspent = ["{exam["digest"]}"]\n')
    monkeypatch.setenv("WARDROUND_CONFIG", str(config))
    usual = msgspec.structs.replace(options, max_tokens=None)
    manifest = prefer(path, base, tmp_path / "out", usual).manifest
    assert any("test set exam (cdcdcdcdcdcd)" in x for x in manifest.labels)
    assert manifest.config["max_tokens"] == 512, "the context of the base"


def test_killed_and_gone_on_ends_with_the_same_weights(
    forks: Any, judged: Path, base: Path, tuned: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    steps = open_artifact(tuned).manifest.counts["steps"]
    for moment, step in (("step", 1), ("state", steps // 2), ("mark", steps), ("weights", 0)):
        assert start(forks, judged, base, out, PREFER, moment, step) == -signal.SIGKILL, moment
        assert (out / "work" / "reference.json").is_file()
    prefer(judged, base, out, PREFER)
    assert_same(out, tuned)
    assert open_artifact(out).manifest.sessions == 5


def test_the_command(
    judged: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from wardround.cli import main

    out = tmp_path / "out"
    arguments = ["prefer", str(judged), "--base", str(base), "--out", str(out), "--json"]
    course = ["--epochs", "1", "--precision", "fp32", "--threads", "1", "--beta", "0.2"]
    assert main([*arguments, *course]) == 2
    assert "no contamination report" in json.loads(capsys.readouterr().out)["error"]
    assert main([*arguments, *course, "--accept-unchecked", "--probes", "1"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["ok"] is True
    events = [json.loads(x) for x in said.err.splitlines() if x.startswith("{")]
    assert [e["event"] for e in events[:2]] == ["pairs", "plan"]
    evaluation = next(e for e in events if e["event"] == "evaluation")
    assert set(evaluation["by_task"]) <= {"review", "edit"} and "eval_accuracy" in evaluation
    config = open_artifact(out).manifest.config
    assert (config["step"], config["beta"], config["learning_rate"]) == ("dpo", 0.2, 1e-6)
    assert (out / "answers_over_time.jsonl").is_file()
