"""LoRA: adapters alone are trained, merged or kept apart they say the same, and a kill changes nothing."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.killed import start
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact, sha256_file
from wardround.errors import UsageError
from wardround.lineage import verify
from wardround.tuning.sft import ADAPTED, TuneOptions, _recipe, tune

pytestmark = [
    pytest.mark.torch,
    # peft asks transformers for an attribute by its old name.
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
]

LORA = msgspec.structs.replace(TUNE, lora_rank=4, lora_dropout=0.1)


@pytest.fixture(scope="module")
def merged(dataset: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("peft")
    return tune(dataset, base, tmp_path_factory.mktemp("lora") / "merged", LORA).path


@pytest.fixture(scope="module")
def apart(dataset: Path, base: Path, merged: Path) -> Path:
    options = msgspec.structs.replace(LORA, adapter="apart")
    return tune(dataset, base, merged.parent / "apart", options).path


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(torch.tensor([[5, 6, 7, 8, 9]])).logits


def test_merged_is_an_ordinary_model_and_apart_gives_the_same(
    merged: Path, apart: Path, base: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    assert not (merged / "adapter_config.json").exists()
    assert not (apart / "model.safetensors").exists()
    whole = logits(AutoModelForCausalLM.from_pretrained(merged))
    plain = AutoModelForCausalLM.from_pretrained(base)
    before = logits(plain)
    adapted = logits(PeftModel.from_pretrained(plain, str(apart)))
    assert torch.allclose(whole, adapted, atol=1e-4)
    assert not torch.allclose(whole, before, atol=1e-3)


def test_only_the_adapters_are_trained_and_the_card_says_so(merged: Path) -> None:
    plan = json.loads((merged / "plan.json").read_bytes())
    assert 0 < plan["trained_parameters"] < 0.5 * plan["parameters"]
    card = (merged / "README.md").read_text("utf-8")
    assert "LoRA (rank 4, alpha 8)" in card
    assert "merged into the weights" in card


def test_apart_names_its_base_by_a_path_seen_from_itself(
    apart: Path, base: Path, dataset: Path, tmp_path: Path
) -> None:
    config = json.loads((apart / "adapter_config.json").read_bytes())
    assert (apart / config["base_model_name_or_path"]).resolve() == base.resolve()
    elsewhere = tune(
        dataset, base, tmp_path / "a" / "b", msgspec.structs.replace(LORA, adapter="apart")
    )
    assert elsewhere.manifest.digest == open_artifact(apart).manifest.digest
    assert verify(apart).whole


def test_apart_is_loaded_by_the_local_model(apart: Path) -> None:
    import asyncio

    from wardround.models.local import LocalModel
    from wardround.records import Message, Request

    async def ask() -> Any:
        model = LocalModel(apart)
        try:
            asked = (Message(role="user", content="患者干咳"),)
            return await model.complete(Request(key="k", messages=asked, max_tokens=4))
        finally:
            await model.close()

    assert asyncio.run(ask()).status == "ok"


def test_killed_lora_ends_with_the_same_weights(
    forks: Any, dataset: Path, base: Path, apart: Path, tmp_path: Path
) -> None:  # fmt: skip
    out = tmp_path / "out"
    options = msgspec.structs.replace(LORA, adapter="apart")
    steps = open_artifact(apart).manifest.counts["steps"]
    for step in (3, steps - 1):
        assert start(forks, dataset, base, out, options, "step", step) == -signal.SIGKILL
    assert start(forks, dataset, base, out, options, "never", 0) == 0
    name = "adapter_model.safetensors"
    assert sha256_file(out / name) == sha256_file(apart / name)
    assert open_artifact(out).manifest.digest == open_artifact(apart).manifest.digest


def test_targets_the_model_lacks_are_named(dataset: Path, base: Path, tmp_path: Path) -> None:
    options = msgspec.structs.replace(LORA, lora_targets=("wqkv",))
    with pytest.raises(UsageError, match="no such modules") as caught:
        tune(dataset, base, tmp_path / "out", options)
    assert "q_proj" in caught.value.hint


def test_an_adapter_is_no_base(dataset: Path, apart: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="an adapter, not a whole model"):
        tune(dataset, apart, tmp_path / "out", LORA)


def test_a_pretrained_base_gets_a_higher_rate_for_lora(base: Path, tmp_path: Path) -> None:
    import shutil

    plain = shutil.copytree(base, tmp_path / "plain")
    (plain / "manifest.json").unlink()
    assert _recipe(TuneOptions(lora_rank=8), plain) == ADAPTED
