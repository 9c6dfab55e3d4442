import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus.text import (
    _STEPS,
    bare,
    cut_short,
    opening,
    placeholder,
    points,
    sentence,
    tidy,
    typeset,
    without_more,
)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("  发热 、咳嗽\u3000，\u00a0气促 ", "发热、咳嗽，气促"),
        ("诊断\n\n\n依据", "诊断\n依据"),
        ("重复一行\n重复一行", "重复一行"),
        ("腹部B超考虑， \n包块内为肠管", "腹部B超考虑，包块内为肠管"),
        ("外源性(extrinsic\nalveolitis)", "外源性(extrinsic alveolitis)"),
        ("见下，\n②其他", "见下，\n②其他"),
        ("肺炎<br/>治疗&nbsp;原则", "肺炎\n治疗原则"),
        ("pH<7.35 时", "pH<7.35 时"),
    ],
)
def test_tidy(given_text: str, expected: str) -> None:
    assert tidy(given_text) == expected


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("发热,咳嗽;气促:", "发热，咳嗽；气促："),
        ("肺泡蛋白沉积症(简称PAP),少见", "肺泡蛋白沉积症（简称PAP），少见"),
        ("如下(见表1)所述。", "如下所述。"),
        ("白细胞升高（）。", "白细胞升高。"),
        ("高血压。，糖尿病；；肾病。。", "高血压。糖尿病；肾病。"),
        ("(1)手术治疗 (2)药物", "（1）手术治疗（2）药物"),
        ("疗程1--3周", "疗程1～3周"),
        ("比例1:2，时间8:00", "比例1:2，时间8:00"),
        ("剂量1,000mg", "剂量1,000mg"),
        ("少见.", "少见。"),
        ("① 新生儿肝炎", "①新生儿肝炎"),
    ],
)
def test_typeset(given_text: str, expected: str) -> None:
    assert typeset(given_text) == expected


@given(st.text(alphabet="肺炎病ab12，。；：、（）() ,.;\n①", max_size=60))
def test_cleaning_settles_and_keeps_every_word(text: str) -> None:
    clean = typeset(tidy(text))
    assert typeset(clean) == clean

    def words(t: str) -> str:
        return "".join(c for c in t if c.isalnum())

    again = words(clean)
    # Only a line said twice may go; no character is ever changed or added.
    rest = iter(words(text))
    assert all(c in rest for c in again)


@pytest.mark.parametrize(
    "text", ["见于老人，", "包括：", "发热伴咳嗽、咯...", "可达100mm/", "常见（如"]
)
def test_a_text_that_breaks_off_is_seen(text: str) -> None:
    assert cut_short(text)
    assert not cut_short("常见（如老人）。")


def test_sentence_bare_opening() -> None:
    assert sentence("完善检查") == "完善检查。"
    assert sentence("完善检查；") == "完善检查。"
    assert sentence("真的？") == "真的？"
    assert sentence("包括，") == "包括，"
    assert bare("咳嗽2天。") == "咳嗽2天"
    assert opening("甲是病。多见于老人。第三句很长很长。", 6) == "甲是病。多见于老人。"


def test_page_furniture_is_left_out() -> None:
    assert placeholder("查看更多")
    assert placeholder(" 暂无 ")
    assert not placeholder("无痛")
    assert without_more("多见于老人。…查看更多>>") == "多见于老人。"


def test_points() -> None:
    assert points("①发热；②咳嗽。③胸片阳性") == ["发热", "咳嗽。", "胸片阳性"]
    assert points("没有编号") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("WBC 6×109/L", "WBC 6×10⁹/L"),
        ("红细胞4.1×1012／L。", "红细胞4.1×10¹²／L。"),
        ("血小板120×10^9/L", "血小板120×10⁹/L"),
        ("血压109/70mmHg，比109/L低", "血压109/70mmHg，比109/L低"),
        ("体温36.5oC", "体温36.5℃"),
        ("粉尘100mg/m3，体表面积1.7m2", "粉尘100mg/m³，体表面积1.7m2"),
    ],
)
def test_powers_and_signs_that_lost_their_place(text: str, wanted: str) -> None:
    assert typeset(text) == wanted


@given(
    st.text(
        alphabet="中文咳嗽见图表，、。；：！？,;:!?.()（）【】“”129 \t\n/cm×Co°℃%-—aB①…",
        max_size=30,
    )
)
def test_a_step_that_is_passed_over_would_have_found_nothing(given_text: str) -> None:
    for signs, pattern, _ in _STEPS:
        assert any(sign in given_text for sign in signs) or not pattern.search(given_text)
