"""Packed samples see themselves alone: their logits and losses are those each has by itself."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuning.tiny import TUNE
from wardround.errors import UsageError
from wardround.tuning import packing
from wardround.tuning.data import IGNORED, Example, batches
from wardround.tuning.sft import tune

pytestmark = pytest.mark.torch


def example(length: int, n: int = 0) -> Example:
    ids = array("i", [(7 * n + 3 * k) % 60 + 1 for k in range(length)])
    return Example(id=str(n), task="t", document="d", ids=ids, spans=((length // 2, length),))


def tiny(kind: str, attention: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind, vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=16, max_position_embeddings=256,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention)


@pytest.mark.parametrize("kind", ["qwen3", "llama", "mistral"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_logits_of_packed_samples_equal_those_alone(kind: str, attention: str) -> None:
    model = tiny(kind, attention)
    samples = [list(example(n, n).ids) for n in (3, 17, 1, 40)]
    packing.check(model, pad=0)
    assert packing.apart(model, samples, pad=0) < 1e-5


def test_attention_that_leaks_is_found_and_refused() -> None:
    import torch

    class Leaky(torch.nn.Module):  # type: ignore[misc]
        """Hands a packed row on without its positions, so that all of it is one text."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = tiny("qwen3", "sdpa")
            self.device, self.dtype = self.inner.device, self.inner.dtype
            self.get_input_embeddings = self.inner.get_input_embeddings
            self.config = self.inner.config

        def forward(self, input_ids: Any, position_ids: Any = None) -> Any:
            return self.inner(input_ids=input_ids)

    with pytest.raises(UsageError, match="see one another"):
        packing.check(Leaky(), pad=0)


def test_loss_of_a_packed_row_is_that_of_the_padded_batch() -> None:
    import torch

    from wardround.tuning.data import collate

    model = tiny("qwen3", "sdpa").eval()
    assert (
        packing.apart(model, [[1, 2, 3], [4, 5]], pad=0) > 0.01
    )  # a cache makes one text of the row
    packing.check(model, pad=0)
    mine = [example(n, n) for n in (5, 30, 12)]
    with torch.no_grad():
        packed = model(**packing.collate(mine, pad=0)).loss
        padded = model(**collate(mine, pad=0)).loss
    assert torch.isclose(packed, padded, rtol=1e-5)


def test_a_row_carries_no_loss_across_samples_or_on_its_filling() -> None:
    whole = Example(id="w", task="", document="", ids=array("i", [4, 5, 6]), spans=((0, 3),))
    row = packing.collate([whole, whole], pad=9)
    assert row["labels"][0, :8].tolist() == [IGNORED, 5, 6, IGNORED, 5, 6, IGNORED, IGNORED]
    assert row["position_ids"][0, :8].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert row["input_ids"].shape == (1, 32)
    assert "attention_mask" not in row


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=80),
    budget=st.integers(10, 200), seed=st.integers(0, 9),
)  # fmt: skip
def test_packed_rows_hold_each_example_once_within_their_length(
    lengths: list[int], budget: int, seed: int
) -> None:
    examples = [example(n) for n in lengths]
    order = batches(examples, batch_tokens=budget, epochs=1, seed=seed, packed=True)
    assert sorted(i for row in order for i in row) == list(range(len(examples)))
    assert all(len(r) == 1 or sum(lengths[i] for i in r) <= budget for r in order)


def test_training_packed_keeps_apart_and_learns_as_much_from_fewer_tokens(
    dataset: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer

    leaks: list[float] = []
    original = Trainer.training_step

    def tried(self: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        if self.train_dataset._course.packed:
            leaks.append(packing.apart(model, [[5, 6, 7], [8, 9], [10, 11, 12, 13]], pad=0))
        return original(self, model, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", tried)

    def final(out: Path) -> float:
        rows = [json.loads(x) for x in (out / "training_log.jsonl").read_text().splitlines()]
        return float([r["eval_loss"] for r in rows if "eval_loss" in r][-1])

    padded = tune(dataset, base, tmp_path / "padded", TUNE).path
    packed = tune(
        dataset, base, tmp_path / "packed", msgspec.structs.replace(TUNE, packing=True)
    ).path
    assert leaks
    assert max(leaks) < 1e-5
    plans = [json.loads((p / "plan.json").read_bytes()) for p in (padded, packed)]
    assert plans[0]["tokens"] == plans[1]["tokens"]
    assert plans[1]["padded_tokens"] < plans[0]["padded_tokens"]
    assert abs(final(packed) - final(padded)) < 0.3
