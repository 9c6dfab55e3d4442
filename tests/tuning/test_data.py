"""Masks, truncation, batches: what carries loss is the assistant's words and end of turn, nothing else."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tuning.conftest import write_dataset
from wardround.artifact import open_artifact
from wardround.errors import InputError, UsageError
from wardround.records import Dialogue, Message, Turn
from wardround.tuning.chats import Chat, read_chats
from wardround.tuning.data import (
    IGNORED,
    PAD_TO,
    SPARING,
    Example,
    batches,
    check_truncation,
    collate,
    encode_chats,
    held_out_documents,
    width,
)  # fmt: skip

WITHOUT_MARKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
DROPS_EARLIER_THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}[想]{% endif %}{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REWRITES = "{{ messages | length }}" + WITHOUT_MARKS
NO_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
LOSES_ANSWER = (
    "{% for m in messages %}<|im_start|>{% if m.role == 'user' %}{{ m.content }}{% endif %}"
    "<|im_end|>\n{% endfor %}"
)

words = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("咳嗽\n。, 7"),
    min_size=1, max_size=30,
).filter(lambda s: "<|" not in s)  # fmt: skip
talks = st.lists(st.tuples(words, words.filter(str.strip)), min_size=1, max_size=3)


@pytest.fixture(scope="session")
def tokenizer(base: Path) -> Any:
    from wardround.tuning.model_dir import load_tokenizer

    return load_tokenizer(base)


@pytest.fixture
def templated(tokenizer: Any) -> Any:
    """The tokenizer, with whatever template a test sets taken back afterwards."""
    before = tokenizer.chat_template
    yield tokenizer
    tokenizer.chat_template = before


def chat(*turns: tuple[str, str], name: str = "chat") -> Chat:
    messages = []
    for question, answer in turns:
        messages.append(Message(role="user", content=question))
        messages.append(Message(role="assistant", content=answer))
    return Chat(id=name, task="triage", document="doc", messages=tuple(messages))


def unmasked(example: Example, tokenizer: Any) -> list[str]:
    return [tokenizer.decode(list(example.ids[a:b])) for a, b in example.spans]


def plain(chat: Chat) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.text} for m in chat.messages]


@pytest.mark.torch
@settings(max_examples=60, deadline=None)
@given(turns=talks)
def test_loss_is_on_answers_and_their_end_only(
    tokenizer: Any, turns: list[tuple[str, str]]
) -> None:
    talk = chat(*turns)
    encoded = encode_chats([talk], tokenizer, max_tokens=10_000)
    said = [text for e in encoded.examples for text in unmasked(e, tokenizer)]
    # A dialogue may be split; each part's spans are its own turns, the last example having the last turn.
    assert said[-1] == turns[-1][1] + "<|im_end|>"
    assert {a + "<|im_end|>" for _, a in turns} == set(said)
    for example in encoded.examples:
        labels = example.labels()
        inside = {k for a, b in example.spans for k in range(a, b)}
        assert all((labels[k] != IGNORED) == (k in inside) for k in range(len(labels)))
        assert all(labels[k] in (IGNORED, example.ids[k]) for k in range(len(labels)))


@pytest.mark.torch
@settings(max_examples=40, deadline=None)
@given(turns=talks)
def test_prompt_tokens_are_those_a_server_sends(
    tokenizer: Any, turns: list[tuple[str, str]]
) -> None:
    talk = chat(*turns)
    example = encode_chats([talk], tokenizer, max_tokens=10_000).examples[-1]
    served = tokenizer.apply_chat_template(
        plain(talk)[:-1], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert list(example.ids[: example.spans[-1][0]]) == served


@pytest.mark.torch
def test_mask_agrees_with_generation_marks_where_a_template_has_them(tokenizer: Any) -> None:
    talk = chat(("咳嗽三天", "呼吸内科。"), ("怎么办？", "多喝水，复诊。"))
    (example,) = encode_chats([talk], tokenizer, max_tokens=1000).examples
    marked = tokenizer.apply_chat_template(
        plain(talk), return_dict=True, return_assistant_tokens_mask=True
    )
    assert list(example.ids) == marked["input_ids"][: len(example.ids)]
    ours = [int(label != IGNORED) for label in example.labels()]
    assert ours == marked["assistant_masks"][: len(ours)]
    assert sum(ours) > 4


@pytest.mark.torch
def test_mask_needs_no_generation_marks(templated: Any) -> None:
    talk = chat(("咳嗽三天", "呼吸内科。"), ("怎么办？", "多喝水。"))
    with_marks = encode_chats([talk], templated, max_tokens=1000)
    templated.chat_template = WITHOUT_MARKS
    assert encode_chats([talk], templated, max_tokens=1000) == with_marks


@pytest.mark.torch
def test_template_that_drops_earlier_text_gives_one_example_a_turn(templated: Any) -> None:
    templated.chat_template = DROPS_EARLIER_THINKING
    talk = chat(("一", "甲"), ("二", "乙"))
    first, second = encode_chats([talk], templated, max_tokens=1000).examples
    assert unmasked(first, templated) == ["[想]甲<|im_end|>"]
    assert unmasked(second, templated) == ["[想]乙<|im_end|>"]
    assert "[想]" not in templated.decode(list(second.ids[: second.spans[0][0]]))
    assert (first.id, second.id) == ("chat", "chat#2")


@pytest.mark.torch
@pytest.mark.parametrize(
    ("template", "why"),
    [
        (REWRITES, "changes the text before it"),
        (NO_END, "doesn't end with a special token"),
        (LOSES_ANSWER, "can't be read back"),
        (None, "can't be used"),
        ("{{ raise_exception('no') }}", "can't be used"),
    ],
)
def test_template_that_cannot_be_masked_is_refused(
    templated: Any, template: str | None, why: str
) -> None:
    templated.chat_template = template
    with pytest.raises(UsageError, match=why):
        encode_chats([chat(("一", "甲乙"))], templated, max_tokens=1000)


@pytest.mark.torch
def test_control_token_in_text_is_set_aside(tokenizer: Any) -> None:
    bad = chat(("一", "甲<|im_end|>\n<|im_start|>user"), name="bad")
    encoded = encode_chats([bad, chat(("一", "甲"))], tokenizer, max_tokens=1000)
    assert [e.id for e in encoded.examples] == ["chat"]
    assert [(x.what, x.reason) for x in encoded.excluded] == [("bad", "control_token")]


@pytest.mark.torch
def test_empty_answer_is_set_aside(tokenizer: Any) -> None:
    encoded = encode_chats(
        [chat(("一", " \n"), name="bad"), chat(("一", "甲"))], tokenizer, max_tokens=99
    )
    assert [(x.what, x.reason) for x in encoded.excluded] == [("bad", "empty_answer")]
    assert [e.id for e in encoded.examples] == ["chat"]
    none = encode_chats([chat(("一", " "))], tokenizer, max_tokens=99)
    assert not none.examples and len(none.excluded) == 1


@pytest.mark.torch
def test_a_character_the_tokenizer_cannot_write_sets_one_chat_aside() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<|im_start|>", "<|im_end|>", "甲", "一", "user", "assistant", "\n"]
    inner = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    poor = PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"], chat_template=WITHOUT_MARKS,
    )  # fmt: skip
    encoded = encode_chats(
        [chat(("一", "甲髎"), name="rare"), chat(("一", "甲"))], poor, max_tokens=99
    )
    assert [(x.what, x.reason) for x in encoded.excluded] == [("rare", "unwritable")]
    assert [e.id for e in encoded.examples] == ["chat"]


@pytest.mark.torch
def test_cut_chats_are_counted_and_a_chat_without_answer_is_set_aside(tokenizer: Any) -> None:
    long_answer, long_question = chat(("一", "甲" * 200)), chat(("二" * 300, "乙"), name="q")
    encoded = encode_chats(
        [long_answer, long_question, chat(("三", "丙"))], tokenizer, max_tokens=100
    )
    assert encoded.truncated == {"triage": 2}
    assert [(x.what, x.reason) for x in encoded.excluded] == [("q", "too_long")]
    cut = encoded.examples[0]
    assert len(cut.ids) == 100
    assert cut.spans[-1][1] == 100
    assert encoded.ends == (tokenizer.eos_token_id,)
    with pytest.raises(UsageError, match=r"2 of 3 .*triage 2"):
        check_truncation(encoded, max_share=0.5, max_tokens=100)
    check_truncation(encoded, max_share=0.7, max_tokens=100)


def test_chats_come_from_samples_and_training_dialogues(dataset: Path) -> None:
    chats = read_chats(open_artifact(dataset))
    assert len([c for c in chats if c.task == "dialogue"]) == 7
    assert len(chats) == 7 * 4
    talk = next(c for c in chats if c.id == "talk-0")
    assert talk.messages[0].text == "患者，女，五十岁，多在清晨出现的干咳。\n\n考虑什么？"
    assert [m.role for m in talk.messages] == ["user", "assistant"] * 3


def test_a_dialogue_whose_first_question_lacks_the_case_is_given_it(tmp_path: Path) -> None:
    bare = Dialogue(
        id="t", document="doc-1", specialty="骨科", title="石阶膝", context="膝痛一月。",
        turns=(Turn(question="考虑什么？", reference="石阶膝。"),),
    )  # fmt: skip
    source = write_dataset(tmp_path / "bare", talks=[bare])
    talk = next(c for c in read_chats(source) if c.id == "t")
    assert talk.messages[0].text == "膝痛一月。\n\n考虑什么？"


def test_sample_from_a_test_document_is_refused(tmp_path: Path) -> None:
    leaking = write_dataset(tmp_path / "leak", leak=True)
    with pytest.raises(InputError, match="made from test document doc-7"):
        read_chats(leaking)


@given(st.lists(st.text(min_size=1), min_size=0, max_size=40), st.floats(0, 0.99))
def test_held_out_documents_is_a_proper_part_whatever_the_order(
    ids: list[str], share: float
) -> None:
    picked = held_out_documents(ids, share)
    assert picked == held_out_documents(reversed(ids), share)
    assert picked <= set(ids)
    assert not ids or len(picked) < len(set(ids))
    assert bool(picked) == (share > 0 and len(set(ids)) > 1)


def example(length: int, n: int = 0) -> Example:
    ids = array("i", range(1, length + 1))
    return Example(id=str(n), task="t", document="d", ids=ids, spans=((length // 2, length),))


def test_every_task_that_can_spare_a_document_has_one_held_out() -> None:
    """Rare tasks too, whose documents the share alone would miss; those of few documents keep all of them."""
    common = [(f"d{n}", "common") for n in range(200)]
    rare = [(f"d{n}", f"rare-{n // 10}") for n in range(40)]
    few = [(f"e{n}", "few") for n in range(SPARING - 1)]
    documents, tasks = zip(*common, *rare, *few, strict=True)
    plain = held_out_documents(documents, 0.01)
    found = held_out_documents(documents, 0.01, tasks=tasks)
    held = {task for document, task in zip(documents, tasks, strict=True) if document in found}
    assert plain <= found and len(found) <= len(plain) + 4
    assert held == {"common", *(f"rare-{n}" for n in range(4))}
    assert found == held_out_documents(documents[::-1], 0.01, tasks=tasks[::-1])
    assert not held_out_documents(documents, 0.0, tasks=tasks)


def test_an_answer_knows_the_words_it_answers(tokenizer: Any) -> None:
    said = ("咳嗽三天", "多饮水。", "还要做什么？", "查血常规。")
    messages = tuple(
        Message(role=("user", "assistant")[k % 2], content=text) for k, text in enumerate(said)
    )
    chat = Chat(id="a", task="t", document="d", messages=messages)
    (found,) = encode_chats([chat], tokenizer, max_tokens=512).examples
    assert found.asked == tuple(
        (start, said[2 * k]) for k, (start, _) in enumerate(found.spans)
    )  # fmt: skip


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=80),
    budget=st.integers(10, 200), epochs=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_each_epoch_shows_each_example_once_within_the_token_budget(
    lengths: list[int], budget: int, epochs: int, seed: int
) -> None:
    examples = [example(n) for n in lengths]
    order = batches(examples, batch_tokens=budget, epochs=epochs, seed=seed)
    assert order == batches(examples, batch_tokens=budget, epochs=epochs, seed=seed)
    shown = [i for batch in order for i in batch]
    for epoch in range(epochs):
        part = shown[epoch * len(examples) : (epoch + 1) * len(examples)]
        assert sorted(part) == list(range(len(examples)))
    for batch in order:
        assert len(batch) == 1 or len(batch) * width(lengths[i] for i in batch) <= budget


def test_length_grouping_leaves_little_padding() -> None:
    examples = [example(10 + (n * 37) % 190) for n in range(600)]
    order = batches(examples, batch_tokens=2000, epochs=1, seed=1)
    padded = sum(len(b) * width(len(examples[i].ids) for i in b) for b in order)
    assert padded < 1.25 * sum(len(e.ids) for e in examples)
    assert order != batches(examples, batch_tokens=2000, epochs=1, seed=2)


@pytest.mark.torch
def test_collate_pads_on_the_right_without_loss() -> None:
    pytest.importorskip("torch")
    tensors = collate([example(4), example(2)], pad=9)
    assert {t.shape for t in tensors.values()} == {(2, PAD_TO)}
    assert tensors["input_ids"][:, :5].tolist() == [[1, 2, 3, 4, 9], [1, 2, 9, 9, 9]]
    assert tensors["attention_mask"].sum(1).tolist() == [4, 2]
    assert tensors["labels"][:, :5].tolist() == [[-100, -100, 3, 4, -100], [-100, 2] + [-100] * 3]
    assert (tensors["labels"][:, 5:] == IGNORED).all()
