import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.models.support import question
from wardround.artifact import begin
from wardround.errors import ModelError, NotSealedError, UsageError
from wardround.journal import Journal
from wardround.models.ask import Ask, run
from wardround.models.endpoint import EndpointModel
from wardround.models.local import LocalModel
from wardround.models.names import ModelOptions, open_model
from wardround.models.server import serve_in_thread
from wardround.records import Answer, ImagePart, ImageURL, Message, Request

pytestmark = pytest.mark.torch

PROMPTS = [
    "咳嗽",
    "发热三天，伴有头痛、乏力，体温38.5℃，请给出初步诊断",
    "腹痛",
    "a" * 60,
    "复查胸片",
]


def ask_all(model: LocalModel, *requests: Request, most: list[int] | None = None) -> list[Answer]:
    """All requests at once, so that they can share steps; `most` is told how many shared one."""

    async def scenario() -> list[Answer]:
        try:
            await model.check()
            return list(await asyncio.gather(*(model.complete(r) for r in requests)))
        finally:
            if most is not None:
                most.append(model.load["most"])
            await model.close()

    return asyncio.run(scenario())


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def test_greedy_answers_are_the_same_alone_and_in_any_batch(tiny_checkpoint: Path) -> None:
    requests = [question(p, str(i), max_tokens=24) for i, p in enumerate(PROMPTS)]
    most: list[int] = []
    single = ask_all(LocalModel(tiny_checkpoint, batch_size=1), *requests, most=most)
    batched = ask_all(LocalModel(tiny_checkpoint, batch_size=8), *requests, most=most)
    assert most == [1, 5]
    assert [a.text for a in batched] == [a.text for a in single]
    assert len({a.text for a in single}) == 5
    assert all(a.status == "ok" and a.tokens_out and a.finish_reason for a in single)


def test_it_generates_what_transformers_does(tiny_checkpoint: Path) -> None:
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_checkpoint)
    plain = transformers.AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    chat = [{"role": "system", "content": "你是医生"}, {"role": "user", "content": "咳嗽"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    end = tokenizer.eos_token_id
    made: list[int] = []
    with torch.inference_mode():
        for _ in range(16):
            made.append(
                int(
                    plain(torch.cat([ids, torch.tensor([made], dtype=torch.long)], 1))
                    .logits[0, -1]
                    .argmax()
                )
            )
            if made[-1] == end:
                break
    messages = (Message(role="system", content="你是医生"), Message(role="user", content="咳嗽"))
    answer = ask_all(
        LocalModel(tiny_checkpoint), Request(key="k", messages=messages, max_tokens=16)
    )[0]
    assert answer.text == tokenizer.decode(made, skip_special_tokens=True)
    assert (answer.tokens_in, answer.tokens_out) == (ids.shape[1], len(made))


def test_the_end_token_stops_and_the_limit_cuts(copy: Path) -> None:
    import transformers

    free = ask_all(LocalModel(copy), question(max_tokens=12))[0]
    assert (free.finish_reason, free.tokens_out) == ("length", 12)
    tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
    plain = transformers.AutoModelForCausalLM.from_pretrained(copy)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "咳嗽三天"}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    fifth = int(plain.generate(ids, max_new_tokens=5, do_sample=False)[0, -1])
    settings = {
        "eos_token_id": [fifth, tokenizer.eos_token_id],
        "do_sample": True,
        "temperature": 0.6,
    }
    (copy / "generation_config.json").write_text(json.dumps(settings | {"top_k": 20}))
    cut, other = ask_all(
        LocalModel(copy), question(max_tokens=12), question(PROMPTS[1], max_tokens=12)
    )
    assert cut.finish_reason == "stop"
    assert cut.tokens_out is not None
    assert cut.tokens_out <= 5
    assert (free.text or "").startswith(cut.text or "")
    assert other.status == "ok"


def test_a_seed_fixes_a_drawn_answer_whatever_its_company(tiny_checkpoint: Path) -> None:
    def drawn(seed: int | None, text: str = "咳嗽") -> Request:
        return question(text, max_tokens=16, temperature=1.0, seed=seed)

    alone = ask_all(LocalModel(tiny_checkpoint), drawn(1))[0]
    same_seed = ask_all(LocalModel(tiny_checkpoint), drawn(1, "腹痛两周"), drawn(1))
    assert same_seed[1].text == alone.text
    crowd = ask_all(
        LocalModel(tiny_checkpoint), drawn(2), drawn(None), drawn(1), question(max_tokens=16)
    )
    assert crowd[2].text == alone.text
    assert crowd[0].text != alone.text
    assert crowd[3].text != alone.text


def test_a_prompt_beyond_the_context_fails_and_its_company_does_not(tiny_checkpoint: Path) -> None:
    long, short = ask_all(
        LocalModel(tiny_checkpoint), question("b" * 400), question("咳", max_tokens=4)
    )
    assert (long.status, long.text) == ("failed", None)
    assert long.reason.startswith("context: the prompt has 4")
    assert long.reason.endswith("the model takes 256")
    assert short.status == "ok"


def test_an_answer_ends_where_the_context_does(tiny_checkpoint: Path) -> None:
    answer = ask_all(LocalModel(tiny_checkpoint), question("c" * 230, max_tokens=4000))[0]
    assert answer.tokens_in is not None
    assert answer.tokens_out is not None
    assert answer.tokens_in + answer.tokens_out <= 256


def test_an_image_is_not_silently_left_out(tiny_checkpoint: Path) -> None:
    parts = (ImagePart(image_url=ImageURL(url="data:image/png;base64,AAAA")),)
    request = Request(key="k", messages=(Message(role="user", content=parts),))
    assert ask_all(LocalModel(tiny_checkpoint), request)[0].reason.startswith("images")


def test_it_is_loaded_again_after_closing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = LocalModel(tiny_checkpoint)

    def piece(key: str) -> Callable[[Ask], Awaitable[Answer]]:
        return lambda ask: ask(model, question("咳嗽", key, max_tokens=4))

    with Journal(tmp_path / "j", config="c") as journal:
        first = run([piece("a"), piece("b")], models=[model], journal=journal, concurrency=2)
        again = run([piece("c")], models=[model], journal=journal, concurrency=2)
    assert model._engine is None
    assert first[0].text == first[1].text == again[0].text


def test_closing_stops_a_long_answer_and_gives_no_half_one(tiny_checkpoint: Path) -> None:
    async def scenario() -> tuple[Answer, Answer]:
        model = LocalModel(tiny_checkpoint, batch_size=1)
        await model.check()
        assert model._engine is not None
        model._engine.loaded.context = 10**6
        first = asyncio.create_task(model.complete(question(max_tokens=10**5)))
        second = asyncio.create_task(model.complete(question(max_tokens=10**5)))
        while not model.load["steps"]:
            await asyncio.sleep(0.001)
        await model.close()
        return await first, await second

    for answer in asyncio.run(scenario()):
        assert answer.reason.startswith("closed")


def test_behind_the_server_it_answers_the_same(tiny_checkpoint: Path) -> None:
    direct = ask_all(LocalModel(tiny_checkpoint), question(max_tokens=8))[0]
    with serve_in_thread(LocalModel(tiny_checkpoint)) as url:

        async def scenario() -> list[Answer]:
            model = EndpointModel("tiny", url)
            try:
                await model.check()
                long = question("d" * 400)
                return [await model.complete(question(max_tokens=8)), await model.complete(long)]
            finally:
                await model.close()

        served, long = asyncio.run(scenario())
    assert (served.text, served.tokens_in, served.tokens_out, served.finish_reason) == (
        direct.text,
        direct.tokens_in,
        direct.tokens_out,
        direct.finish_reason,
    )
    assert long.reason.startswith("http 400: context: ")


def test_identity_is_the_content_and_labels_come_with_the_checkpoint(
    copy: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    plain = open_model(f"local:{tiny_checkpoint}", options=ModelOptions(batch_size=3))
    assert isinstance(plain, LocalModel)
    assert plain.batch_size == 3
    assert plain.name == "tiny"
    assert plain.labels == ()
    assert LocalModel(copy).identity == plain.identity
    (copy / "config.json").write_text((copy / "config.json").read_text() + "\n")
    assert LocalModel(copy).identity != plain.identity
    with begin(tmp_path / "sealed", kind="checkpoint", config={}) as ws:
        for file in tiny_checkpoint.iterdir():
            shutil.copy(file, ws.path)
        with pytest.raises(NotSealedError):
            LocalModel(tmp_path / "sealed")
        artifact = ws.seal(counts={}, labels=["很小 / tiny"])
    model = LocalModel(tmp_path / "sealed")
    assert model.labels == ("很小 / tiny",)
    assert model.identity == {"kind": "local", "digest": artifact.manifest.digest}


def test_weights_that_are_not_there_are_named_and_not_made_up(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    kept = {k: v for k, v in tensors.items() if "down_proj" not in k}
    assert len(kept) < len(tensors)
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"of its weights are missing.*down_proj"):
        ask_all(LocalModel(copy), question("咳"))


def test_the_best_weights_in_a_checkpoint_carry_its_labels(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with begin(tmp_path / "sealed", kind="checkpoint", config={}) as ws:
        shutil.copytree(tiny_checkpoint, ws.path / "best")
        ws.seal(counts={}, labels=["很小 / tiny"])
    assert LocalModel(tmp_path / "sealed" / "best").labels == ("很小 / tiny",)
    shutil.copytree(tiny_checkpoint, tmp_path / "sealed" / "mine")
    assert LocalModel(tmp_path / "sealed" / "mine").labels == (), "not in the manifest"


def test_directories_that_hold_no_model(tmp_path: Path, copy: Path) -> None:
    with pytest.raises(UsageError, match="no such directory"):
        LocalModel(tmp_path / "none")
    with begin(tmp_path / "data", kind="dataset", config={}) as ws:
        ws.seal(counts={})
    with pytest.raises(UsageError, match="a dataset artifact, not a checkpoint"):
        LocalModel(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="can't be loaded") as caught:
        asyncio.run(LocalModel(tmp_path / "empty").check())
    assert "whole Hugging Face directory" in caught.value.hint
    (copy / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="can't be loaded"):
        asyncio.run(LocalModel(copy).check())


def test_a_checkpoint_without_chat_template_is_refused(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="no chat template"):
        asyncio.run(LocalModel(copy).check())


def test_code_in_a_checkpoint_is_never_run(copy: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "model_type": "odd",
        "auto_map": {"AutoConfig": "odd.Odd", "AutoModelForCausalLM": "odd.Odd"},
    }
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "odd.py").write_text(f"open({str(ran)!r}, 'w')\nclass Odd: pass\n")
    with pytest.raises(ModelError):
        asyncio.run(LocalModel(copy).check())
    assert not ran.exists()


def test_without_the_tuning_stack_it_says_what_to_install(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: Any = None
    monkeypatch.setitem(sys.modules, "torch", hidden)
    with pytest.raises(UsageError, match="needs torch") as caught:
        LocalModel(tiny_checkpoint)
    assert "wardround[tune]" in caught.value.hint
