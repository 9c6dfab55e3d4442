"""Which bases are taken, and what is said of those that aren't; refusals leave `--out` as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact
from wardround.errors import InputError, UsageError
from wardround.tuning.data import fitting, held_to, longer
from wardround.tuning.sft import tune

pytestmark = pytest.mark.torch

SMALL = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip
EXPERTS = {
    "moe_intermediate_size": 16, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2,
    "n_group": 1, "topk_group": 1, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 16, "first_k_dense_replace": 1,
}  # fmt: skip
QUICK = msgspec.structs.replace(TUNE, epochs=1, evaluations=1)


def plain(base: Path, to: Path, **config: Any) -> Path:
    """The base as a plain Hugging Face directory, its configuration changed."""
    shutil.copytree(base, to)
    (to / "manifest.json").unlink()
    told = json.loads((to / "config.json").read_bytes())
    (to / "config.json").write_text(json.dumps(told | config))
    return to


def drawn(base: Path, to: Path, kind: str, **more: Any) -> Path:
    """A base of another model class with random weights and the tokenizer of `base`."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    ends = {
        "vocab_size": len(tokenizer), "bos_token_id": None, "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    config = AutoConfig.for_model(kind, **{**ends, **more})
    AutoModelForCausalLM.from_config(config).save_pretrained(to)
    tokenizer.save_pretrained(to)
    return to


@pytest.mark.parametrize("kind", ["qwen2", "llama", "deepseek_v3"])
def test_model_classes_train(kind: str, dataset: Path, base: Path, tmp_path: Path) -> None:
    more = SMALL | (EXPERTS if kind == "deepseek_v3" else {})
    made = tune(dataset, drawn(base, tmp_path / kind, kind, **more), tmp_path / "out", QUICK)
    told = json.loads((made.path / "config.json").read_bytes())
    assert told["model_type"] == kind and made.manifest.counts["last_step"] > 1


def test_a_model_that_needs_its_own_code_is_named_in_our_words(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    auto = {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}
    own = plain(base, tmp_path / "own", model_type="own", auto_map=auto)
    with pytest.raises(UsageError, match="type own needs code from its own folder") as caught:
        tune(dataset, own, tmp_path / "out", QUICK)
    assert "trust_remote_code" not in str(caught.value) + caught.value.hint
    assert "converted" in caught.value.hint
    strange = plain(base, tmp_path / "strange", model_type="strange")
    with pytest.raises(UsageError, match="knows no model of type strange"):
        tune(dataset, strange, tmp_path / "out", QUICK)
    # What transformers knows itself is taken, whatever else lies beside it.
    tune(dataset, plain(base, tmp_path / "known", auto_map=auto), tmp_path / "out", QUICK)


def test_missing_weights_are_named_and_never_drawn(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    holed = plain(base, tmp_path / "holed")
    tensors = load_file(holed / "model.safetensors")
    kept = {k: v for k, v in tensors.items() if ".layers.1.mlp" not in k}
    assert len(kept) == len(tensors) - 3
    save_file(kept, holed / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UsageError, match=r"3 of its weights are missing.*layers\.1\.mlp\.down_proj"
    ):
        tune(dataset, holed, tmp_path / "out", QUICK)
    other = plain(base, tmp_path / "other", intermediate_size=96)
    with pytest.raises(UsageError, match=r"another shape than config\.json says: .*mlp\.down"):
        tune(dataset, other, tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


def test_the_context_holds_the_default_and_refuses_more() -> None:
    assert fitting(None, 2048, None) == 2048 and fitting(300, 2048, None) == 300
    assert fitting(None, 2048, 256) == 256 and fitting(200, 2048, 256) == 200
    assert fitting(None, 2048, 250) == 224, "batches are padded to multiples of 32"
    assert fitting(None, 2048, 4096) == 2048 and fitting(4096, 2048, 4096) == 4096
    with pytest.raises(UsageError, match="--max-tokens 300: the base's context is 256 tokens"):
        fitting(300, 2048, 256)
    assert held_to(256, 2048, 256) == (
        "at most 256 tokens a sample (usually 2048): the base's context is 256"
    )
    assert held_to(2048, 2048, 4096) == "" and held_to(200, 2048, 256) == ""
    assert (
        "longer context than 256" in longer(256, 256) and longer(200, 256) == "raise --max-tokens"
    )


def test_learned_positions_are_not_run_past(
    dataset: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 96}
    short = drawn(base, tmp_path / "short", "gpt2", **shape)
    options = msgspec.structs.replace(QUICK, max_tokens=None, max_truncated=0.9, probes=1)
    made = tune(dataset, short, tmp_path / "out", options)
    assert made.manifest.config["max_tokens"] == 96
    assert "at most 96 tokens a sample (usually 2048)" in capsys.readouterr().err
    with pytest.raises(UsageError, match="context is 96 tokens"):
        tune(dataset, short, tmp_path / "more", QUICK)
    with pytest.raises(UsageError, match="are longer than 96 tokens") as caught:
        tune(
            dataset, short, tmp_path / "more", msgspec.structs.replace(options, max_truncated=0.01)
        )
    assert "longer context than 96" in caught.value.hint


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 20}, {"cap": "nosuch=3"}, {"lora_rank": 2, "lora_targets": ("foo",)},
    ],
)  # fmt: skip
def test_a_refusal_lets_out_go(
    wrong: dict[str, Any], dataset: Path, base: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError):
        tune(dataset, base, out, msgspec.structs.replace(QUICK, **wrong))
    assert not out.exists()
    out.mkdir()
    with pytest.raises(UsageError):
        tune(dataset, base, out, msgspec.structs.replace(QUICK, **wrong))
    assert list(out.iterdir()) == []
    tune(dataset, base, out, QUICK)
    before = open_artifact(out).manifest
    with pytest.raises(UsageError, match="no such model directory"):
        tune(dataset, tmp_path / "nowhere", out, QUICK)
    assert open_artifact(out).manifest == before


def test_empty_answers_alone_are_told_with_their_rows(base: Path, tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text('{"instruction": "问", "output": ""}\n' * 4)
    with pytest.raises(InputError, match=r"4 with an empty answer \(empty.jsonl:1, ") as caught:
        tune(path, base, tmp_path / "out", msgspec.structs.replace(QUICK, accept_unchecked=True))
    assert "fill the answers in" in caught.value.hint


def test_a_checkpoint_keeps_what_it_was_made_from(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    made = tune(dataset, base, tmp_path / "out", QUICK)
    rows = [json.loads(x) for x in (made.path / "ancestry.jsonl").read_text().splitlines()]
    assert [(r["role"], r["of"]) for r in rows if not r["of"]] == [("dataset", ""), ("base", "")]
    behind = open_artifact(base).manifest
    assert {r["digest"] for r in rows if r["of"] == behind.digest} == {
        r.digest for r in behind.inputs
    }
