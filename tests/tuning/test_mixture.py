"""Several sources: weights, caps, plain files in the usual layouts, and test text that stays out."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuning.conftest import write_dataset
from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact
from wardround.errors import InputError, UsageError
from wardround.records import Message
from wardround.tuning import mixture
from wardround.tuning.chats import Chat, read_file
from wardround.tuning.data import Example
from wardround.tuning.sft import tune

MESSAGES = {"messages": [
    {"role": "system", "content": "简短回答"}, {"role": "user", "content": "头痛怎么办"},
    {"role": "assistant", "content": "休息，观察。"},
]}  # fmt: skip
SHAREGPT = {"system": "简短回答", "conversations": [
    {"from": "human", "value": "头痛怎么办"}, {"from": "gpt", "value": "休息，观察。"},
]}  # fmt: skip
ALPACA = {"system": "简短回答", "instruction": "头痛", "input": "怎么办", "output": "休息，观察。",
          "history": [["在吗", "在。"]]}  # fmt: skip


def written(path: Path, rows: list[Any], *, as_list: bool = False) -> Path:
    if as_list:
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    return path


@pytest.mark.parametrize("as_list", [False, True])
def test_known_layouts_give_the_same_conversation(tmp_path: Path, as_list: bool) -> None:
    file = written(tmp_path / "general.json", [MESSAGES, SHAREGPT, ALPACA], as_list=as_list)
    first, second, third = read_file(file)
    assert first.messages == second.messages
    assert [m.role for m in first.messages] == ["system", "user", "assistant"]
    assert [m.role for m in third.messages] == ["system", *["user", "assistant"] * 2]
    assert third.messages[3].text == "头痛\n怎么办"
    assert (first.task, first.id, second.id) == ("general", "general.json:1", "general.json:2")
    assert first.document == second.document != third.document


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"text": "正文"}, "its keys are text"),
        ({"messages": [{"role": "user", "content": "问"}]}, "the assistant last"),
        ({"messages": [{"role": "tool", "content": "问"}]}, "tool"),
        ({"conversations": []}, "the assistant last"),
        ({"instruction": "问", "output": None}, "without text"),
        ([], "not a conversation"),
    ],
)
def test_a_row_that_is_no_conversation_is_named(tmp_path: Path, row: Any, why: str) -> None:
    file = written(tmp_path / "bad.jsonl", [MESSAGES, row])
    with pytest.raises(InputError, match=why) as caught:
        read_file(file)
    assert "row 2" in str(caught.value)


def test_broken_or_empty_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"messages": [\n')
    (tmp_path / "b.json").write_text("[{]")
    (tmp_path / "c.jsonl").write_text("")
    for name, why in (
        ("a.jsonl", "row 1: not JSON"),
        ("b.json", "not JSON"),
        ("c.jsonl", "no conv"),
    ):
        with pytest.raises(InputError, match=why):
            read_file(tmp_path / name)


def test_arguments_carry_a_weight(tmp_path: Path) -> None:
    plain = written(tmp_path / "a.jsonl", [MESSAGES])
    odd = written(tmp_path / "b:2", [MESSAGES])
    found = mixture.sources([f"{plain}:0.5", odd])
    assert [(s.path, s.weight) for s in found] == [(plain, 0.5), (odd, 1.0)]
    wrong: list[tuple[list[str | Path], str]] = [
        ([f"{plain}:0"], "above 0"), ([f"{plain}:nan"], "above 0"), ([plain, f"{plain}:2"], "twice"),
        ([tmp_path / "none"], "no such"), ([], "nothing"),
    ]  # fmt: skip
    for given_, why in wrong:
        with pytest.raises(UsageError, match=why):
            mixture.sources(given_)


def example(n: int) -> Example:
    return Example(id=str(n), task="t", document="d", ids=array("i", [1, 2]), spans=((1, 2),))


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4),
    weights=st.lists(st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0]), min_size=4, max_size=4),
    epoch=st.integers(0, 3),
)
def test_an_epoch_shows_each_source_by_its_weight(
    sizes: list[int], weights: list[float], epoch: int
) -> None:
    parts, start = [], 0
    for n, (size, weight) in enumerate(zip(sizes, weights, strict=False)):
        parts.append(mixture.Portion(name=str(n), weight=weight, start=start, end=start + size))
        start += size
    seen = Counter(mixture.shown(parts, 7)(epoch))
    assert seen == Counter(mixture.shown(parts, 7)(epoch))
    for part in parts:
        times = [seen[i] for i in range(part.start, part.end)]
        assert sum(times) == sum(
            [int(part.weight) * len(times), round(part.weight % 1 * len(times))]
        )
        assert not times or max(times) - min(times) <= 1
    assert sum(mixture.shares(parts).values()) <= sum(seen.values()) + len(parts)


def chat(n: int, task: str, document: str = "d") -> Chat:
    said = (Message(role="user", content="问"), Message(role="assistant", content="答"))
    return Chat(id=f"{task}-{n}", task=task, document=document, messages=said)


def test_caps_hold_tasks_and_say_what_went() -> None:
    chats = [chat(n, t) for n in range(10) for t in ("triage", "other")]
    chats.append(chat(99, "triage", "spared"))
    caps = mixture.parse_caps("4, triage=2")
    (kept,), aside = mixture.cap_all([chats], caps, spare=frozenset({"spared"}))
    assert Counter(c.task for c in kept) == {"triage": 3, "other": 4}
    assert kept == [c for c in chats if c in kept]
    assert {x.what for x in aside} | {c.id for c in kept} == {c.id for c in chats}
    assert {x.reason for x in aside} == {"capped"}
    reversed_, _ = mixture.cap(list(reversed(chats[:-1])), caps)
    assert {c.id for c in reversed_} == {c.id for c in kept} - {"triage-99"}
    with pytest.raises(UsageError, match="no sample has the task nonsense"):
        mixture.cap(chats, {"nonsense": 3})
    for text in ("x", "0", "triage=", "triage=1,triage=2"):
        with pytest.raises(UsageError, match="can't be read"):
            mixture.parse_caps(text)


def test_ids_of_two_sources_never_meet() -> None:
    one, two = [chat(1, "a"), chat(2, "a")], [chat(2, "a"), chat(3, "a")]
    found = mixture.renamed([one, two, two])
    ids = [c.id for mine in found for c in mine]
    assert len(set(ids)) == len(ids) == 6
    assert found[0] == one


def test_text_another_dataset_holds_for_testing_is_refused(tmp_path: Path) -> None:
    from tests.tuning.conftest import TEST_SIDE, dialogues

    clean = write_dataset(tmp_path / "clean")
    leaking = write_dataset(tmp_path / "other", talks=dialogues())
    assert TEST_SIDE
    with pytest.raises(InputError, match="test document doc-7"):
        mixture.read(mixture.sources([clean.path, leaking.path]))


@pytest.mark.torch
def test_doctor_facing_and_general_data_are_mixed_in_one_training(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    rows = [
        {"instruction": f"第{n}个问题", "output": f"第{n}个回答。"} for n in range(20)
    ]  # fmt: skip
    general = written(tmp_path / "general.json", rows, as_list=True)
    options = msgspec.structs.replace(TUNE, accept_unchecked=True, cap="5,general=12")
    found = tune([dataset, f"{general}:0.5"], base, tmp_path / "out", options)
    plan = json.loads((found.path / "plan.json").read_bytes())
    assert plan["tasks"]["general"] == 12
    assert plan["sources"] == {"dataset": plan["samples"] - 12, "general.json": 6}
    assert [(r.role, r.kind) for r in found.manifest.inputs] == [
        ("dataset", "dataset"), ("source", "file"), ("base", "checkpoint"),
    ]  # fmt: skip
    assert any("not held against any test set" in x for x in found.manifest.labels)
    log = [json.loads(x) for x in (found.path / "training_log.jsonl").read_text().splitlines()]
    assert "general" in log[-1]["by_task"]
    aside = (found.path / "excluded.jsonl").read_text()
    assert aside.count("capped") == found.manifest.counts["excluded"] > 0
    assert "unstated (general.json)" in (found.path / "README.md").read_text("utf-8")
    assert open_artifact(found.path).manifest.config["weights"] == [1.0, 0.5]
