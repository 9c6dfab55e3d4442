"""Rows of each kind become documents with the fields their kind has."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.made import entry, write
from wardround.corpus.formats import inspect, rows, sources_of
from wardround.corpus.kinds import documents_of
from wardround.errors import UsageError
from wardround.records import Document, Exclusion


def documents(path: Path, mapping: Path | None = None) -> list[Document | Exclusion]:
    source = inspect(path, mapping=mapping)
    return [d for r in rows(path, source) for d in documents_of(r, source)]


def made(tmp_path: Path, *given: dict[str, Any]) -> list[Document | Exclusion]:
    return documents(write(tmp_path / "x.jsonl", list(given)))


def one(tmp_path: Path, row: dict[str, Any]) -> Document:
    (found,) = made(tmp_path, row)
    assert isinstance(found, Document)
    return found


CMB = {
    "exam_type": "医师考试", "exam_class": "执业医师", "exam_subject": "内科", "question": "下列哪项正确？",
    "answer": "B", "question_type": "单项选择题", "option": {"A": "甲", "B": "乙", "C": "丙", "D": "丁", "E": ""},
}  # fmt: skip


def test_cmb(tmp_path: Path) -> None:
    found = one(tmp_path, CMB | {"explanation": "因为乙。"})
    assert found.kind == "choice"
    assert found.fields == {
        "question": "下列哪项正确？", "options": ("A．甲", "B．乙", "C．丙", "D．丁"), "answer": "B",
        "answer_text": "乙", "explanation": "因为乙。", "subject": "内科", "exam": "医师考试",
    }  # fmt: skip
    several = one(tmp_path, CMB | {"answer": "D, A C"})
    assert (several.fields["answer"], several.fields["answer_text"]) == ("ACD", "甲；丙；丁")


def test_cm_exam(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "Question,Options,Answer,Explanation,Clinical Department,Medical Discipline\n"
        '某患者，男，60岁，应首选的检查是,"A 胸片\nB CT\nC 肺功能",C,应作肺功能。,呼吸内科,内科学\n'
        '无答案,"A 胸片\nB CT",,,,\n无此项,"A 胸片\nB CT",E,,,\n',
        encoding="utf-8",
    )
    first, *rest = documents(path)
    assert isinstance(first, Document)
    assert first.fields["options"] == ("A．胸片", "B．CT", "C．肺功能")
    assert (first.fields["answer_text"], first.specialty) == ("肺功能", "respiratory")
    assert (first.fields["subject"], first.provenance.row) == ("内科学", 1)
    assert [e.reason for e in rest if isinstance(e, Exclusion)] == [
        "no_answer",
        "answer_not_offered",
    ]


def test_med_qa(tmp_path: Path) -> None:
    row = {
        "question": "Best next step?", "answer": "Aspirin", "answer_idx": "B", "meta_info": "step2&3",
        "options": {"A": "Warfarin", "B": "Aspirin"},
    }  # fmt: skip
    found = one(tmp_path, row)
    assert (found.fields["answer"], found.fields["exam"]) == ("B", "step2&3")
    del row["answer_idx"]
    assert one(tmp_path, row).fields["answer"] == "B"
    (aside,) = made(tmp_path, row | {"answer": "Heparin"})
    assert isinstance(aside, Exclusion)
    assert aside.reason == "schema_mismatch"


def test_options_within_a_line_keep_words_that_begin_with_a_letter(tmp_path: Path) -> None:
    row = {"Question": "选择", "Options": "A.维生素A B.B族维生素 C.CT检查", "Answer": "C"}
    assert one(tmp_path, row).fields["options"] == ("A．维生素A", "B．B族维生素", "C．CT检查")


def test_cmtmedqa(tmp_path: Path) -> None:
    row = {
        "cate1": "内科", "cate2": "呼吸内科", "instruction": "还要复查吗？", "input": "", "output": "一月后复查。",
        "history": [["咳嗽两周怎么办？", "请先拍胸片。"], ["拍了，正常。", "那多半是感冒后咳嗽。"]],
    }  # fmt: skip
    found = one(tmp_path, row)
    assert found.kind == "consultation"
    assert found.fields["questions"] == ("咳嗽两周怎么办？", "拍了，正常。", "还要复查吗？")
    assert found.fields["answers"][2] == "一月后复查。"
    assert (found.departments, found.specialty) == (("内科", "呼吸内科"), "respiratory")
    cut, aside = made(tmp_path, row | {"output": " "})
    assert isinstance(cut, Document)
    assert isinstance(aside, Exclusion)
    assert len(cut.fields["answers"]) == 2
    assert (aside.reason, aside.what) == ("turn_incomplete", cut.id)


def test_toyhom(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(
        'department,title,ask,answer\n心血管科,高血压能吃甲吗？,"我有高血压，\n能吃甲吗？",可以。\n'
        "心血管科,高血压怎么办？,-,低盐饮食。\n心血管科,高血压怎么办？,详情,\n".encode("gb18030")
    )
    first, second, third = documents(path)
    assert isinstance(first, Document)
    assert first.fields["questions"] == ("我有高血压，能吃甲吗？",)
    assert (first.title, first.specialty) == ("高血压能吃甲吗？", "cardiology")
    assert isinstance(second, Document)
    assert second.fields["questions"] == ("高血压怎么办？",)
    assert "title" not in second.fields
    assert isinstance(third, Exclusion)
    assert (third.row, third.reason) == (3, "empty_field")


def test_html_remains_go_and_powers_stay(tmp_path: Path) -> None:
    row = entry(
        desc='<p class="x">白细胞 12&times;10<sup>9</sup>/L，<b>血压</b>&lt;90mmHg，Hb<100g/L。</p><!-- a --><div>次日<br/>好转。</div>',
        cause="<script>alert('x')</script>受凉。<img src=\"a.png\"/>",
    )  # fmt: skip
    fields = one(tmp_path, row).fields
    assert fields["desc"] == "白细胞 12×10⁹/L，血压<90mmHg，Hb<100g/L。\n次日\n好转。"
    assert fields["cause"] == "受凉。"


def test_traditional_script_becomes_simplified(tmp_path: Path) -> None:
    row = entry(
        "肺氣腫",
        cure_department=["內科", "呼吸內科"],
        check=["肺功能檢查"],
        desc="肺氣腫後期氣促，乾咳。\n",
    )
    found = one(tmp_path, row)
    assert (found.title, found.specialty) == ("肺气肿", "respiratory")
    assert found.departments == ("内科", "呼吸内科")
    assert found.fields["check"] == ("肺功能检查",)
    assert found.fields["desc"] == "肺气肿后期气促，干咳。"


def test_a_row_with_nothing_but_a_name_is_left_aside(tmp_path: Path) -> None:
    _, aside = made(tmp_path, entry(), {"name": "甲病", "desc": "暂无", "symptom": []})
    assert isinstance(aside, Exclusion)
    assert aside.reason == "empty_field"


# -- mapping files ------------------------------------------------------------------------------------------


def mapping(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_mapping_gives_fields_their_names(tmp_path: Path) -> None:
    path = tmp_path / "病.csv"
    path.write_text(
        "疾病,概述,定义,症状\n肺炎,一种感染。,肺的炎症。,发热、咳嗽；胸痛\n", encoding="utf-8"
    )
    said = mapping(
        tmp_path,
        """
- files: other*.csv
  kind: passage
  fields: {text: 无}
- kind: encyclopedia
  fields:
    name: 疾病
    desc: [概述, 定义]
    symptom: {from: 症状, split: "、；"}
    departments: {value: 呼吸内科}
""",
    )
    (found,) = documents(path, said)
    assert isinstance(found, Document)
    assert found.fields == {
        "name": "肺炎", "desc": "一种感染。\n肺的炎症。", "symptom": ("发热", "咳嗽", "胸痛"),
    }  # fmt: skip
    assert (found.title, found.specialty) == ("肺炎", "respiratory")


def test_every_kind_can_be_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    row = {
        "q": ["诊断？", "治疗？"], "a": ["肺炎。", "抗感染。"], "stem": {"text": "男，50岁，发热。"},
        "A": "甲", "B": "乙", "right": "乙",
    }  # fmt: skip
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    wanted = {
        "case": (
            "description: stem.text, question: q, answer: a",
            "questions",
            ("诊断？", "治疗？"),
        ),
        "consultation": ("question: q, answer: a", "answers", ("肺炎。", "抗感染。")),
        "choice": ("question: stem.text, options: [A, B], answer: right", "answer", "B"),
        "passage": ("text: stem.text, headings: [A, B]", "headings", ("甲", "乙")),
    }
    for kind, (fields, name, value) in wanted.items():
        said = mapping(tmp_path, f"{{kind: {kind}, fields: {{{fields}}}}}")
        (found,) = documents(path, said)
        assert isinstance(found, Document)
        assert (found.kind, found.fields[name]) == (kind, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{kind: encyclopedia, fields: {name: 疾病名, desc: 概述}}", "name is taken from 疾病名, which 病.csv does not have"),
        ("{kind: encyclopedia, fields: {desc: 概述}}", "encyclopedia needs name"),
        ("{kind: choice, fields: {question: a, options: b, answer: c, colour: d}}", "no field colour"),
        ("{kind: poem, fields: {a: b}}", "no kind named poem"),
        ("{kind: passage}", "no fields in it"),
        ("{kind: passage, fields: {text: {of: 概述}}}", "field text: neither"),
        ("kind: [", "not YAML"),
    ],
)  # fmt: skip
def test_a_wrong_mapping_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "病.csv"
    path.write_text("疾病,概述\n肺炎,一种感染。\n", encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        documents(path, mapping(tmp_path, text))


def test_a_file_that_the_mapping_does_not_fit_is_set_aside_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    for name, head in (("甲.csv", "疾病名,概述"), ("乙.csv", "疾病,概述")):
        (tmp_path / name).write_text(f"{head}\n肺炎,一种感染。\n", encoding="utf-8")
    said = mapping(tmp_path, "{kind: encyclopedia, fields: {name: 疾病名, desc: 概述}}")
    found, aside = sources_of([tmp_path / "甲.csv", tmp_path / "乙.csv"], mapping=said)
    assert [s.file for _, s in found] == ["甲.csv"]
    assert [(e.file, e.row, e.reason) for e in aside] == [("乙.csv", 0, "unreadable_file")]
    assert "name is taken from 疾病名, which 乙.csv does not have" in aside[0].detail
    with pytest.raises(UsageError, match=r"which 乙\.csv does not have"):
        sources_of([tmp_path / "乙.csv"], mapping=said)
