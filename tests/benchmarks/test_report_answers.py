"""Answers of every shape are read alike, and corrections are told right from wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import taxonomy
from wardround.benchmarks.report_answers import Claim, placed, read_answer
from wardround.benchmarks.report_match import corrected, match
from wardround.images.report import CTReport, ReportError, names

REPORT = CTReport(
    id="r", age="50岁", sex="男", examination="胸部CT平扫",
    findings="左肺上叶见结结，大小约8mm×7kg，边界清楚。纵膈居中。", impression="1. 右肺上叶结节。\n2. 心包积液。",
)  # fmt: skip
LIST = [
    {"错误类型": "单位错误", "位置": "描述", "原文": "8mm×7kg", "修改建议": "“7kg”改为“7mm”"},
    {"错误类型": "错别字", "位置": "描述", "原文": "纵膈", "修改建议": "“纵膈”改为“纵隔”"},
]
WANTED = [("unit", "findings"), ("wrong_character", "findings")]


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def pairs(answer: str) -> list[tuple[str, str]]:
    claims = read_answer(answer)
    assert claims is not None
    return [(c.type, placed(c, REPORT).place) for c in claims]


@pytest.mark.parametrize(
    "answer",
    [
        dump(LIST),
        json.dumps(LIST, ensure_ascii=True, indent=2),
        f"检查结果如下：\n```json\n{dump(LIST)}\n```\n请核对。",
        f"检查结果如下：{dump(LIST)}，共两处[注]。",
        f"<think>[{{'错误类型': '性别错误'}}]</think>{dump(LIST)}",
        dump({"错误": LIST}),
        dump({"result": {"errors": LIST, "n": 2}}),
        "\n".join(dump(x) for x in LIST),
        dump([{"type": "Wrong unit", "section": "findings", "suggestion": "“7kg”改为“7mm”"},
              {"error_type": "typo", "location": "描述", "correction": "纵膈→纵隔"}]),
        dump({"单位错误": "描述中“7kg”应为“7mm”", "错别字": "描述中“纵膈”应为“纵隔”"}),
        dump({"单位错误": ["“7kg”应为“7mm”"], "错别字": "“纵膈”应为“纵隔”", "性别错误": "无", "方位错误": ""}),
        dump({"描述-单位错误": "7kg应为7mm", "错别字（描述）": "纵膈应为纵隔"}),
        dump({"单位错误": {"描述": "7kg应为7mm"}, "错别字": {"描述": "纵膈应为纵隔", "诊断": "无"}}),
        dump({"描述": {"单位错误": "7kg应为7mm", "错别字": "纵膈应为纵隔"}, "诊断": {}}),
        dump([{"单位错误": "“7kg”应为“7mm”"}, {"错别字": "“纵膈”应为“纵隔”"}]),
        str(LIST),
        dump(LIST).replace("}]", "},]"),
        dump(LIST).replace("[", "［").replace("]", "］").replace("{", "｛").replace("}", "｝").replace(": ", "："),
        "[{“错误类型”：“单位错误”，“位置”：“描述”，“修改建议”：“7kg改为7mm”}，{“错误类型”：“错别字”，“位置”：“描述”，“修改建议”：“纵膈改为纵隔”}]",
        "发现两处错误：\n1. 单位错误（描述）：“7kg”应为“7mm”。\n2. **错别字**（描述）：“纵膈”应为“纵隔”。",
        "- 单位有误：描述中7kg应为7mm\n- 别字 - 描述中纵膈应为纵隔",
    ],
)  # fmt: skip
def test_every_shape_gives_the_same_claims(answer: str) -> None:
    assert pairs(answer) == WANTED


@pytest.mark.parametrize(
    "answer",
    ["[]", "{}", "```json\n[]\n```", "未发现错误。", "该报告无误，无需修改。", '{"错误类型": "无", "修改建议": "无"}',
     '[{"错误类型": "无错误", "修改建议": ""}]', '{"单位错误": "无", "错别字": null}', "No errors found."],
)  # fmt: skip
def test_no_error_is_an_answer(answer: str) -> None:
    assert read_answer(answer) == []


@pytest.mark.parametrize(
    "answer", ["", "我不能回答。", "<think>[]", "{坏的", "报告写得很好，层次分明"]
)
def test_what_cannot_be_read_is_not_the_same_as_nothing_found(answer: str) -> None:
    assert read_answer(answer) is None


def test_a_type_that_is_not_on_the_list_is_kept() -> None:
    claims = read_answer(dump([{"错误类型": "标点错误", "修改建议": "补句号"}]))
    assert claims is not None
    assert [(c.type, c.named) for c in claims] == [("", "标点错误")]


def test_the_same_claim_twice_counts_once() -> None:
    assert pairs(dump(LIST * 3)) == WANTED


@given(st.sampled_from([(k, a) for k, known in names().types.items() for a in known]))
def test_every_synonym_means_its_type(pair: tuple[str, str]) -> None:
    kind, alias = pair
    for answer in (dump({alias: "改"}), dump([{"错误类型": alias, "修改建议": "改"}])):
        claims = read_answer(answer)
        assert claims and claims[0].type == kind


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    found = read_answer(text)
    assert found is None or all(isinstance(c, Claim) for c in found)


def error(kind: str, wrong: str, right: str, place: str = "findings") -> ReportError:
    text = REPORT.findings if place == "findings" else REPORT.impression
    start = text.index(wrong)
    return ReportError(
        type=kind, place=place, start=start, end=start + len(wrong), wrong=wrong, right=right  # type: ignore[arg-type]
    )  # fmt: skip


def claim(kind: str, place: str, text: str, *quotes: str) -> Claim:
    return Claim(type=kind, place=place, text=text, quotes=quotes)


def test_matching_needs_type_and_place_and_parts_are_apart() -> None:
    errors = [error("unit", "kg", "mm"), error("wrong_character", "膈", "隔")]
    found = match(REPORT, errors, [
        claim("unit", "impression", "单位应为mm"), claim("wrong_character", "findings", "纵膈应为纵隔"),
        claim("sex", "findings", "x"),
    ])  # fmt: skip
    assert (found.full, found.part) == (((1, 1),), ((0, 0),))
    assert found.beyond(3) == [2]
    assert found.pointed == (True,)


def test_of_two_claims_the_one_that_points_at_the_words_matches() -> None:
    errors = [error("wrong_character", "膈", "隔")]
    found = match(REPORT, errors, [
        claim("wrong_character", "findings", "“结结”改为“结节”", "结结", "结节"),
        claim("wrong_character", "findings", "“纵膈”改为“纵隔”", "纵膈", "纵隔"),
    ])  # fmt: skip
    assert found.full == ((0, 1),) and found.beyond(2) == [0]


def test_another_type_for_the_very_words_is_a_part() -> None:
    errors = [error("wrong_character", "膈", "隔")]
    found = match(REPORT, errors, [claim("wording", "findings", "“纵膈”改为“纵隔”", "纵膈")])
    assert (found.full, found.part) == ((), ((0, 0),))


def test_a_claim_without_place_matches_in_part_only() -> None:
    errors = [error("unit", "kg", "mm")]
    assert match(REPORT, errors, [claim("unit", "", "单位有误")]).part == ((0, 0),)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("“7kg”改为“7mm”", True),
        ("kg → mm", True),
        ("应为8mm×7mm", True),
        ("大小约8mm×7mm", True),
        ("“7kg”改为“7kg”", False),
        ("单位有误", None),
        ("“7kg”应改为“7cm”", None),
    ],
)
def test_corrections_by_rule(text: str, right: bool | None) -> None:
    one = error("unit", "kg", "mm")
    assert corrected(REPORT, one, claim("unit", "findings", text)) is right


def test_a_correction_that_takes_something_out() -> None:
    one = ReportError(
        type="findings_impression_mismatch", place="impression", start=9, end=18,
        wrong=REPORT.impression[9:18], right="",
    )  # fmt: skip
    assert "心包积液" in one.wrong
    for text, right in (
        ("删除“心包积液”", True),
        ("诊断“心包积液”应删除", True),
        ("补充描述", None),
    ):
        assert corrected(REPORT, one, claim(one.type, "impression", text)) is right


def test_an_error_without_a_span_is_left_to_a_judge() -> None:
    one = ReportError(type="unit", place="findings", note="单位错误")
    assert corrected(REPORT, one, claim("unit", "findings", "改为mm")) is None


def test_type_names_come_from_the_taxonomy() -> None:
    assert set(names().types) == {i.id for i in taxonomy.items("report_errors")}
