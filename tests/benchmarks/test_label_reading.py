"""Which labels an answer gives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import taxonomy
from wardround.benchmarks.label_reading import read_labels
from wardround.images.labels import LISTS, names

READ = [
    ("fundus", "血管迂曲，可见出血点。\n答案：DR, MH", ("DR", "MH"), "stated"),
    ("fundus", "答案：MH、DR", ("DR", "MH"), "stated"),
    ("fundus", "**答案**：糖网，屈光间质混浊。", ("DR", "MH"), "stated"),
    ("fundus", "Final answer: **Diabetic retinopathy** and **Media haze**", ("DR", "MH"), "stated"),
    ("fundus", '["DR", "MYA"]', ("DR", "MYA"), "stated"),
    ("fundus", "<DR>", ("DR",), "stated"),
    ("fundus", "答案：ＤＲ", ("DR",), "stated"),
    ("fundus", "答案：DR。\n更正，最终答案：NORMAL", ("NORMAL",), "stated"),
    ("fundus", "<think>答案：MH</think>答案：DR", ("DR",), "stated"),
    ("fundus", "考虑糖尿病视网膜病变，伴屈光介质混浊。未见视盘水肿、黄斑变性。", ("DR", "MH"), "prose"),
    ("fundus", "答案：轻度糖尿病视网膜病变（DR）", ("DR",), "stated"),
    ("oct", "This looks like macular hole, no drusen.", ("MH",), "prose"),
    ("oct", "Answer: Choroidal-Neovascularisation", ("CNV",), "stated"),
    ("oct", "答案：\n- 黄斑裂孔", ("MH",), "stated"),
    ("cxr", "答案：无问题", (), "stated"),
    ("cxr", "影像质量合格，无问题。", (), "prose"),
    ("cxr", "答案：无左右标识、肺尖未包全", ("no_side_marker", "apex_cut"), "stated"),
    ("cxr", "答案：\n1. 吸气不足\n2. 偏中心", ("off_centre", "poor_inspiration"), "stated"),
    ("cxr", "Answer: no fault", (), "stated"),
    ("cxr", "Answer: lung apex cut off, implant", ("apex_cut", "implant"), "stated"),
]  # fmt: skip

UNREAD = [
    ("fundus", "", "empty"),
    ("fundus", "<think>DR", "no label"),
    ("fundus", "这张图很清楚。", "no label"),
    ("oct", "答案：CNV 或 DME", "several labels"),
    ("oct", "可能是黄斑裂孔，也可能是玻璃膜疣。", "several labels"),
    ("cxr", "答案：无问题，体内植入物", "contradiction"),
    ("cxr", "抱歉，我无法判读该图像。", "refusal"),
    ("cxr", "I'm sorry, I cannot view images.", "refusal"),
    ("fundus", "候选有DR、MH、ODC、TSLN、ARMD、DN、MYA。", "list repeated"),
]


@pytest.mark.parametrize(("modality", "reply", "labels", "how"), READ)
def test_read(modality: str, reply: str, labels: tuple[str, ...], how: str) -> None:
    found = read_labels(reply, modality, single=modality == "oct")
    assert (found.labels, found.how, found.unlisted, found.reason) == (labels, how, (), "")


@pytest.mark.parametrize(("modality", "reply", "reason"), UNREAD)
def test_not_guessed(modality: str, reply: str, reason: str) -> None:
    found = read_labels(reply, modality, single=modality == "oct")
    assert (found.labels, found.reason) == ((), reason)


def test_a_name_outside_the_list_is_kept_as_a_claim() -> None:
    found = read_labels("答案：DR，视网膜脱离", "fundus", single=False)
    assert found.labels == ("DR",) and found.unlisted == ("视网膜脱离",)
    assert read_labels("答案：视网膜脱离", "oct", single=True).unlisted == ("视网膜脱离",)


@pytest.mark.parametrize("modality", LISTS)
def test_every_name_of_a_list_reads_as_its_label(modality: str) -> None:
    for item in taxonomy.items(LISTS[modality]):
        assert isinstance(item, taxonomy.Label)
        for name in (item.id, item.zh, item.en, *item.aliases):
            for reply in (f"答案：{name}", f"Answer: {name.upper()}."):
                assert read_labels(reply, modality, single=True).labels == (item.id,), name


@given(st.text(max_size=200), st.sampled_from(sorted(LISTS)))
def test_any_text_is_read_or_has_a_reason(text: str, modality: str) -> None:
    found = read_labels(text, modality, single=False)
    assert bool(found.how) != bool(found.reason)
    assert set(found.labels) <= set(names(modality).ids)


@given(st.sets(st.sampled_from(names("fundus").ids), min_size=1))
def test_what_is_asked_for_reads_back(labels: set[str]) -> None:
    found = read_labels(f"所见如下。\n答案：{', '.join(sorted(labels))}", "fundus", single=False)
    assert set(found.labels) == labels and found.how == "stated"
