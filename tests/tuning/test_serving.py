"""What is trained is what is served: the same tokens before the answer, through the same template."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from wardround.artifact import open_artifact
from wardround.models.loaded import Loaded, prompt_ids
from wardround.models.local import LocalModel
from wardround.models.server import serve_in_thread
from wardround.tuning.chats import read_chats
from wardround.tuning.data import encode_chats
from wardround.tuning.model_dir import load_tokenizer

pytestmark = pytest.mark.torch


def test_the_server_puts_before_an_answer_what_training_did(dataset: Path, base: Path) -> None:
    chats = read_chats(open_artifact(dataset))
    encoded = encode_chats(chats, load_tokenizer(base), max_tokens=10_000)
    by_id = {e.id: e for e in encoded.examples}
    served = Loaded(base, "cpu")
    turns = 0
    for chat in chats:
        example = by_id[chat.id]
        answers = [i for i, m in enumerate(chat.messages) if m.role == "assistant"]
        assert len(answers) == len(example.spans)
        for i, (start, end) in zip(answers, example.spans, strict=True):
            assert served.prompt(chat.messages[:i]) == list(example.ids[:start])
            # and the answer, said by the model, is read back as the words that were learned
            assert served.text(example.ids[start:end]) == chat.messages[i].text
            assert example.ids[end - 1] in served.eos
            turns += 1
    assert turns > len(chats)


def test_the_usage_a_client_sees_counts_the_same_tokens(dataset: Path, base: Path) -> None:
    openai = pytest.importorskip("openai")
    chat = read_chats(open_artifact(dataset))[-1]
    messages = [{"role": m.role, "content": m.text} for m in chat.messages[:-1]]
    model = LocalModel(base)
    with (
        serve_in_thread(model) as url,
        openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client,
    ):
        reply = client.chat.completions.create(model=model.name, messages=messages, max_tokens=3)
    expected = len(prompt_ids(load_tokenizer(base), chat.messages[:-1]))
    assert reply.usage.prompt_tokens == expected
    assert model._thread is None


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_served_merged(base: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import torch
    import transformers

    from wardround.records import Message, Request

    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        lora = peft.LoraConfig(
            r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
        )
        tuned = peft.get_peft_model(model, lora)
    tuned.save_pretrained(tmp_path / "lora")
    load_tokenizer(base).save_pretrained(tmp_path / "lora")
    request = Request(
        key="k", messages=(Message(role="user", content="晨雾咳"),), max_tokens=24, temperature=0.0
    )

    async def ask(path: Path) -> str | None:
        served = LocalModel(path)
        try:
            return (await served.complete(request)).text
        finally:
            await served.close()

    with_adapter, without = asyncio.run(ask(tmp_path / "lora")), asyncio.run(ask(base))
    assert with_adapter != without
    merged = tmp_path / "merged"
    tuned.merge_and_unload().save_pretrained(merged)
    load_tokenizer(base).save_pretrained(merged)
    assert asyncio.run(ask(merged)) == with_adapter
