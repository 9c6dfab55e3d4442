"""The from-scratch base: an ordinary Hugging Face directory that has seen training documents only."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.tuning.tiny import BASE
from wardround.artifact import open_artifact
from wardround.lineage import verify
from wardround.tuning.chats import read_chats, read_documents
from wardround.tuning.data import held_out_documents
from wardround.tuning.scratch import LABEL, make_base, rows_of, training_texts

pytestmark = pytest.mark.torch


def test_base_loads_like_any_model_and_says_what_it_is(base: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "患者咳嗽"}], add_generation_prompt=True, return_tensors="pt",
        return_dict=True,
    )  # fmt: skip
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    manifest = open_artifact(base, "checkpoint").manifest
    assert LABEL in manifest.labels
    assert "测试数据 / test data" in manifest.labels
    assert LABEL in (base / "README.md").read_text("utf-8")
    assert "CC0-1.0" in (base / "README.md").read_text("utf-8")
    assert verify(base).whole


def test_tokenizer_loses_no_character(base: Path) -> None:
    from wardround.tuning.model_dir import load_tokenizer

    tokenizer = load_tokenizer(base)
    for text in ("肺炎 2.5 mg/d，\n① 复查🙂", "  a\tb  ", "①③⑨ µmol/L ×10⁹"):
        assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_neither_test_nor_held_out_documents_are_read(dataset: Path) -> None:
    source = open_artifact(dataset)
    documents = [d for d in read_documents(source) if d.split == "train"]
    chats = read_chats(source)
    held_out = held_out_documents((c.document for c in chats), 0.2)
    text = "\n".join(training_texts(documents, chats, without=held_out))
    other = "\n".join(training_texts(documents, chats, only=held_out))
    assert held_out
    for document in read_documents(source):
        learned = document.split == "train" and document.id not in held_out
        assert (document.title in text) == learned
        assert (document.title in other) == (document.id in held_out)


def test_rows_hold_every_token_once(base: Path) -> None:
    from wardround.tuning.model_dir import load_tokenizer

    tokenizer = load_tokenizer(base)
    texts = ["咳嗽三天。", "上下台阶时膝前疼痛。"]
    rows = rows_of(texts, tokenizer, 8)
    ids = [i for row in rows for i in row.ids]
    assert tokenizer.decode(ids) == "<|endoftext|>".join(texts) + "<|endoftext|>"
    assert [len(row.ids) for row in rows[:-1]] == [8] * (len(rows) - 1)


def test_same_command_elsewhere_gives_the_same_digest(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    again = make_base(dataset, tmp_path / "deep" / "again", BASE)
    assert again.manifest.digest == open_artifact(base).manifest.digest
    other = make_base(dataset, tmp_path / "other", msgspec.structs.replace(BASE, seed=1))
    assert other.manifest.digest != again.manifest.digest
