"""What the dataset page says of how a dataset was made, and that it stays silent where nothing is known."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.made import make_dataset
from wardround.corpus.rules import RULES
from wardround.report import dataset, render, text
from wardround.report.dataset_charts import histogram, span_of
from wardround.report.dataset_making import _marked, _median
from wardround.report.dataset_names import KINDS, REFINED
from wardround.report.dataset_shapes import Histogram
from wardround.report.formats import Names

MAKING: dict[str, Any] = {
    "funnel": [
        {"step": "rows", "n": 1200, "zh": "来源行", "en": "source rows", "reasons": {"malformed_row": 12}},
        {"step": "kept", "n": 900, "zh": "留用", "en": "kept", "reasons": {"near_duplicate": 41, "x_y": 2}},
    ],
    "lengths": {
        "input": {"bins": [0, 100, 200], "counts": [3, 7, 2]},
        "output": {"bins": [0, 100, 200, 400], "counts": [0, 8, 4]},
    },
    "privacy": {"found": {"mobile": 132, "resident_id": 51}, "documents": 81, "residue": 46},
    "near": {"candidates": 9023, "verified": 3102, "dropped": 1920, "blocked": 61},
    "contamination": {
        "sets": [{"file": "exam.csv", "items": 6811, "dropped": 301, "review": 22}],
        "rules": {"options": 201}, "own_test": 67,
    },
    "examples": [
        {"id": "enc-1:t", "task": "treatment_plan", "before": "先退热，再补液。", "after": "先退热，再口服补液。<b>",
         "passage": "发热者先退热，再口服补液。"},
    ],
}  # fmt: skip
PAIRS = [
    {"kept": "a:1", "other": f"a:{n}", "task": "triage", "jaccard": 0.94, "kept_text": f"每次{n} g",
     "differences": [{"kind": kind, "a": "0.5 g", "b": "5 g"}]}
    for n, kind in ((2, "dose"), (3, "dose"), (4, "side"))
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("making")
    return make_dataset(root, making=MAKING, pairs=PAIRS)


def sections(html: str) -> list[str]:
    return re.findall(r'<section id="([a-z]+)" class="part">', html)


def part(html: str, name: str) -> str:
    return html.split(f'<section id="{name}" class="part">')[1].split("</section>")[0]


def test_sections_stand_in_the_order_of_the_work(whole: Path) -> None:
    assert sections(render(whole)) == [
        "sources", "funnel", "coverage", "checks", "refined", "samples", "lineage", "details",
    ]  # fmt: skip


def test_an_older_dataset_has_none_of_them(tmp_path: Path) -> None:
    path = make_dataset(tmp_path)
    assert sections(render(path)) == ["sources", "coverage", "samples", "lineage", "details"]
    assert "漏斗" not in text(path)


def test_the_funnel_gives_numbers_and_reasons(whole: Path) -> None:
    html = part(render(whole), "funnel")
    assert html.count("<rect") == 2 + 3 + 3
    assert "漏斗 funnel: 来源行 1,200，留用 900" in html
    for words in (
        "无法读取的行",
        "<b>12</b>",
        "近似重复",
        "<b>41</b>",
        "x_y",
        "中位数在 100–199 字",
        "≥ 200",
    ):
        assert words in html, words


def test_checks_give_counts_and_never_values(whole: Path) -> None:
    html = part(render(whole), "checks")
    for words in (
        "手机号",
        "132",
        "residue.jsonl",
        "46",
        "9,023",
        "61",
        "exam.csv",
        "301",
        "67",
        "选项组相同",
    ):
        assert words in html, words


def test_one_blocked_pair_for_each_kind_of_difference(whole: Path) -> None:
    html = part(render(whole), "checks")
    assert html.count('<article class="sample">') == 2
    assert "剂量" in html and "侧别" in html and "每次2 g" in html and "每次3 g" not in html


@pytest.mark.parametrize(
    ("making", "said"),
    [
        ({"privacy": MAKING["privacy"]}, ["没有近似重复检查的记录", "未作检查"]),
        ({"near": MAKING["near"]}, ["没有个人信息检查的记录", "未作检查"]),
        ({"contamination": {"sets": [], "rules": {}, "own_test": 4}}, ["未作检查", "<b>4</b>"]),
    ],
)
def test_a_check_that_was_not_made_is_not_shown_as_clean(
    tmp_path: Path, making: dict[str, Any], said: list[str]
) -> None:
    html = part(render(make_dataset(tmp_path, making=making)), "checks")
    for words in said:
        assert words in html, words


def test_rewrites_stand_beside_their_source_escaped(whole: Path) -> None:
    html = part(render(whole), "refined")
    assert "先退热，<mark>再补液。</mark>" in html
    assert "先退热，<mark>再口服补液。&lt;b&gt;</mark>" in html
    assert "发热者先退热，再口服补液。" in html
    assert "未经医师签字" in html


def test_the_terminal_says_it_in_four_lines(whole: Path) -> None:
    said = text(whole)
    for words in (
        "来源行 1,200 → 留用 900",
        "替换 replaced 183",
        "kept apart by a fact 61",
        "移出 dropped 301",
    ):
        assert words in said, words


@given(
    st.text(alphabet="甲乙丙，。\n 3", max_size=40), st.text(alphabet="甲乙丙，。\n 3", max_size=40)
)
def test_marking_loses_nothing(a: str, b: str) -> None:
    assert "".join(words for _, words in _marked(a, b)) == a
    assert not any(changed for changed, _ in _marked(a, a))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.booleans())
def test_histograms_of_any_counts(counts: list[int], closed: bool) -> None:
    edges = tuple(float(i * 10) for i in range(len(counts) + closed))
    found = Histogram(bins=edges, counts=tuple(counts))
    svg = histogram(found, axis=Names("字数"), label="l")
    assert svg.count("<rect") == len(counts)
    assert span_of(found, len(counts) - 1).startswith("≥") is not closed
    middle = [span_of(found, i) for i in range(len(counts))].index(_median(found))
    assert sum(counts[:middle]) <= sum(counts) / 2 <= sum(counts[: middle + 1])


def test_every_reason_and_kind_has_a_chinese_and_an_english_name() -> None:
    for code in (
        *RULES,
        "not_refined",
        "over_cap",
        "held_out",
        "held_out_review",
        "near_duplicate",
    ):
        names = dataset.reason_names(code)
        assert re.search(r"[\u4e00-\u9fff]", names.zh) and names.en, code
    for names in (*KINDS.values(), *REFINED.values()):
        assert re.search(r"[\u4e00-\u9fff]", names.zh) and names.en
