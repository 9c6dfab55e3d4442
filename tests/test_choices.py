"""Importers, on rows made up here in each file's shape."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from wardround.benchmarks.data import STARTER
from wardround.choices import read_questions
from wardround.errors import InputError

FOUR = {"A": "如实告知", "B": "隐瞒", "C": "推诿", "D": "拖延"}


def jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


def table(path: Path, rows: Sequence[dict[str, str]], encoding: str = "utf-8-sig") -> Path:
    with open(path, "w", encoding=encoding, newline="") as f:
        writer = csv.DictWriter(f, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def ethic(**changes: str) -> dict[str, str]:
    row = {
        "uuid": "u1", "task_type": "medical knowledge QA",
        "question_type": "single-choice question", "query": "请回答：\n第一行\n第二行",
        "question": "发现差错后，首先应当？\n（单选）",
        "options": "['A.如实告知', 'B.隐瞒', 'C.推诿', 'D.拖延']", "answer": "A", "exp": "",
        "other": "医学伦理学", "source": "MedQA", "level": "",
    }  # fmt: skip
    return {**row, **changes}


def bench(answer: object = "<B>", number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "question": "发现差错后，首先应当？\nA. 隐瞒\nB. 如实告知\nC. 推诿\n请用<>给出答案。",
        "answer": answer, "other": {"id": number, "source": "MedEthics"}, **changes,
    }  # fmt: skip


def test_med_ethic_eval_reads_bom_newlines_and_the_list_literal(tmp_path: Path) -> None:
    path = table(tmp_path / "k.csv", [ethic(), ethic(uuid="u2", answer="D", other="")])
    (one, two), skipped, labels = read_questions(path)
    assert (one.id, one.row, one.text) == ("u1", 1, "发现差错后，首先应当？\n（单选）")
    assert one.options == tuple(FOUR.values()) and one.answer == 0
    assert (one.dimension, one.side, one.source) == ("医学伦理学", "ethics", "MedEthicEval / MedQA")
    assert (two.answer, two.dimension) == (3, "medical knowledge QA")
    assert (skipped, labels) == ([], [])


def test_options_with_letters_of_their_own_keep_their_letters(tmp_path: Path) -> None:
    rows = [ethic(options="['B.隐瞒', 'A.如实告知']"), ethic(uuid="u2", options="['甲', '乙']")]
    first, second = read_questions(table(tmp_path / "k.csv", rows))[0]
    assert first.options[first.answer] == "如实告知"
    assert second.options == ("甲", "乙") and second.answer == 0


def test_med_bench_takes_choices_as_given_and_leaves_the_rest_aside(tmp_path: Path) -> None:
    rows = [
        bench(),
        bench("<A><C>", 2),
        bench("告知家属并记录。", 3),
        bench(None, 4),
        bench("<A>", 5, question="不良事件：A.上报 B.不报；C.缓报"),
        bench("<B>", 6, question="选一项", options=["A: 甲", "B: 乙"]),
    ]
    found, skipped, _ = read_questions(jsonl(tmp_path / "m.jsonl", rows))
    assert [(q.id, q.options, q.answer, q.as_given) for q in found] == [
        ("1", ("隐瞒", "如实告知", "推诿"), 1, True),
        ("5", ("上报", "不报；", "缓报"), 0, True),
        ("6", ("甲", "乙"), 1, True),
    ]
    assert found[0].text == rows[0]["question"]
    assert found[2].text == "选一项\nA. 甲\nB. 乙"
    assert [(e.row, e.reason) for e in skipped] == [
        (2, "several_answers"), (3, "not_a_choice"), (4, "no_answer"),
    ]  # fmt: skip


def test_letters_in_the_stem_are_no_options(tmp_path: Path) -> None:
    text = "缺乏维生素 A 的患者，哪项错误？\nA. 补充 B 族\nB. 定期复查\nC. 停药"
    (q,), _, _ = read_questions(jsonl(tmp_path / "m.jsonl", [bench("<C>", question=text)]))
    assert q.options == ("补充 B 族", "定期复查", "停药")


def test_cmb_cmexam_and_med_qa(tmp_path: Path) -> None:
    cmb = {
        "exam_type": "医师考试", "question": "问", "option": {**FOUR, "E": ""}, "answer": "B",
    }  # fmt: skip
    (q,), _, _ = read_questions(jsonl(tmp_path / "a.jsonl", [cmb]))
    assert (q.options, q.answer, q.dimension, q.source) == (
        tuple(FOUR.values()), 1, "医师考试", "CMB",
    )  # fmt: skip
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([cmb, {**cmb, "answer": "ABD"}]), encoding="utf-8")
    one, aside, _ = read_questions(listed)
    assert len(one) == 1 and [(e.row, e.reason) for e in aside] == [(2, "several_answers")]

    exam = {"Question": "问", "Options": "A 甲\nB 乙\nC 丙", "Answer": "C", "Explanation": "因为丙"}
    rows = [exam, {**exam, "Answer": ""}]
    (q,), aside, _ = read_questions(table(tmp_path / "c.csv", rows, "gb18030"))
    assert (q.id, q.options, q.answer, q.rationale) == ("row-1", ("甲", "乙", "丙"), 2, "因为丙")
    assert [(e.row, e.what, e.reason) for e in aside] == [(2, "row-2", "no_answer")]

    qa = {"question": "Which?", "options": {"A": "x", "B": "y"}, "answer": "y", "answer_idx": "B"}
    (q,), _, _ = read_questions(jsonl(tmp_path / "q.jsonl", [{**qa, "meta_info": "step1"}]))
    assert (q.options, q.answer, q.dimension) == (("x", "y"), 1, "step1")


def test_our_own_items_carry_their_label(tmp_path: Path) -> None:
    own = {
        "id": "x1", "dimension": "用药安全", "group": "safety", "question": "问", "options": FOUR,
        "answer": "C", "source": "某办法", "rationale": "理由", "review": "unreviewed",
    }  # fmt: skip
    (q,), _, labels = read_questions(jsonl(tmp_path / "o.jsonl", [own]))
    assert (q.id, q.side, q.dimension, q.answer, q.source) == (
        "x1", "safety", "用药安全", 2, "某办法",
    )  # fmt: skip
    assert labels == [STARTER]
    assert read_questions(jsonl(tmp_path / "r.jsonl", [{**own, "review": "signed"}]))[2] == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": "E"}, "answer_not_offered"),
        ({"answer": "A,B"}, "several_answers"),
        ({"answer": ""}, "no_answer"),
        ({"question": " "}, "empty_field"),
        ({"options": {"A": "同", "B": "同"}}, "options_not_distinct"),
        ({"options": {"A": "甲", "B": ""}}, "options_not_distinct"),
        ({"options": {x: f"项{x}" for x in "ABCDEFGHI"}}, "too_many_options"),
    ],
)
def test_what_is_no_single_choice_is_left_aside(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    good: dict[str, Any] = {"id": "a", "question": "问", "options": FOUR, "answer": "A"}
    path = jsonl(tmp_path / "o.jsonl", [good, {**good, "id": "b", **changes}])
    found, skipped, _ = read_questions(path)
    assert [q.id for q in found] == ["a"]
    assert [(e.row, e.what, e.reason) for e in skipped] == [(2, "b", reason)]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"question": "问", "options": "甲、乙", "answer": "A"}, "not letters with texts"),
        ({"question": "问", "options": {"1": "甲"}, "answer": "1"}, "option letters are 1"),
        ({"question": "问", "options": {"A": "甲"}, "answer": "A"}, "1 option"),
        ({"question": "问", "options": FOUR, "answer": "甲"}, "not a letter"),
        ({"question": "问", "options": FOUR, "answer": "A", "group": "x"}, "not ethics or safety"),
        ({"question": "问", "option": None, "answer": "A"}, "not a CMB question"),
        ({"prompt": "问"}, "its fields are prompt"),
        (bench(question="没有选项"), "no options A, B"),
        (dict(ethic(options="[甲]")), "no Python list literal"),
        (dict(ethic(options="{'A': 1}")), "no list of texts"),
    ],
)
def test_a_row_that_cannot_be_read_stops_with_file_and_row(
    tmp_path: Path, row: dict[str, Any], problem: str
) -> None:
    good = {"question": "问", "options": FOUR, "answer": "A"}
    with pytest.raises(InputError, match=problem) as e:
        read_questions(jsonl(tmp_path / "o.jsonl", [good, row]))
    assert (e.value.row, e.value.path) == (2, str(tmp_path / "o.jsonl"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Question,Options,Answer\n问,A 甲\n", "3 fields"),
        ('Question,Options,Answer\n"问"x,,A\n', "CSV"),
    ],
)
def test_a_broken_csv_stops_with_its_row(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem) as e:
        read_questions(path)
    assert e.value.row == 1


def test_other_question_types_are_left_aside(tmp_path: Path) -> None:
    path = table(tmp_path / "k.csv", [ethic(question_type="multiple-choice question")])
    assert [e.reason for e in read_questions(path)[1]] == ["not_single_choice"]
