"""Identifiers: what is found, what stays, how it is replaced; the synthetic notes' figures; no value gets out."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus import privacy
from wardround.corpus.privacy_numbers import luhn, resident_id_checks
from wardround.errors import UsageError, WardroundError

PERF = Path(__file__).parents[2] / "perf"
ID = "11010519491231002X"  # the worked example of GB 11643


@pytest.fixture(scope="module")
def notes() -> Iterator[ModuleType]:
    sys.path.insert(0, str(PERF))
    try:
        yield importlib.import_module("privacy_notes")
    finally:
        sys.path.remove(str(PERF))


def cleaned(text: str) -> str:
    value = privacy.clean({"text": text}).fields["text"]
    assert isinstance(value, str)
    return value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"身份证{ID}已核", "身份证[证件号1]已核"),
        ("身份证１１０１０５１９４９１２３１００２Ｘ", "身份证[证件号1]"),
        ("编号 110105 19491231 002X 在册", "编号 [证件号1] 在册"),
        ("旧证130503670401001号", "旧证[证件号1]号"),
        ("电话13812345678联系", "电话[手机号1]联系"),
        ("手机138 1234 5678，+86-13812345678", "手机[手机号1]，[手机号1]"),
        ("致电010-62781234转8016", "致电[电话1]"),
        ("座机：(0731)84321234", "座机：[电话1]"),
        ("患者姓名：陈晓明，男", "患者姓名：[姓名1]，男"),
        ("姓名：欧阳志远　性别：男", "姓名：[姓名1]　性别：男"),
        ("姓名：阿依古丽·买买提，女", "姓名：[姓名1]，女"),
        ("主治医师：李建军。李建军查房", "主治医师：[姓名1]。[姓名1]查房"),
        ("李×，56岁，环卫工人", "[姓名1]，56岁，环卫工人"),
        ("王X，女，31岁", "[姓名1]，女，31岁"),
        ("请王医生会诊，随访", "请[姓名1]医生会诊，随访"),
        ("家住湖南省甲乙市丙区丁路12号3栋2单元501室，", "家住[地址1]，"),
        ("曾在甲乙市第二人民医院住院", "曾在[医院1]住院"),
        ("住院号：ZY0012345，床号：12", "住院号：[编号1]，床号：[病区床位1]"),
        ("邮箱a.b_1@example.com。", "邮箱[邮箱1]。"),
        ("微信：abc_1234，QQ：12345678", "微信：[账号1]，QQ：[账号2]"),
        ("银行卡6222 0212 3456 7890 128", "银行卡[卡号1]"),
        ("车牌京A·12345撞伤", "车牌[车牌1]撞伤"),
        ("孙女周晓燕陪同来诊，岳父吴志强代诉", "孙女[姓名1]陪同来诊，岳父[姓名2]代诉"),
        ("手机：0912-345-678，电话：+886-2-2345-6789", "手机：[电话1]，电话：[电话2]"),
    ],
)
def test_found_and_replaced(text: str, wanted: str) -> None:
    assert cleaned(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"身份證號碼：{ID}", "身份證號碼：[证件号1]"),
        ("身分證字號B223456789", "身分證字號[证件号1]"),
        (
            "主治醫師：陳曉明。陈晓明查房，請張醫生會診",
            "主治醫師：[姓名1]。[姓名1]查房，請[姓名2]醫生會診",
        ),
        ("患者吳建國，男，56歲，於甲乙市中醫院住院", "患者[姓名1]，男，56歲，於[医院1]住院"),
        ("門診號：A7654321，病歷號B1234567", "門診號：[编号1]，病歷號[编号2]"),
        ("住院號：20240101009，床號：12", "住院號：[编号1]，床號：[病区床位1]"),
        ("電話：02-23456789，手機13812345678", "電話：[电话1]，手機[手机号1]"),
        ("孫子鄭小龍陪同就診", "孫子[姓名1]陪同就診"),
        ("住址：臺北市甲乙區丙丁路3段20號", "住址：[地址1]"),
    ],
)
def test_traditional_text_is_read_as_simplified(text: str, wanted: str) -> None:
    assert cleaned(text) == wanted


def test_a_name_behind_a_family_word_is_residue_where_it_is_not_replaced() -> None:
    found = privacy.clean({"text": "昨晚姑妈刘建国庆生，外婆和宝宝都好，母亲高血压"})
    assert [r.cue for r in found.residue] == ["name after a family word"]


@pytest.mark.parametrize(
    "text",
    [
        "患者高血压病史10年，患者黄疸，患者白细胞升高，患者安静，患者方可进食，患者连续3天发热",
        "诊断：J44.101 慢性阻塞性肺疾病；ICD-O 8140/3；编码K35.801",
        "参见PMID: 28752345，doi:10.1056/NEJMoa1312884，NCT01234567",
        "HBV-DNA 12500000 IU/mL，血小板213×10^9/L，铁蛋白1234.5 ng/mL，BNP 1345 pg/mL",
        "BP 135/85mmHg，1:5000高锰酸钾坐浴，4ml×70kg×45=12600ml，日1剂",
        "2015年诊断糖尿病，67岁，病程10年，随访至2022年，每2～3周一次",
        "《中国2型糖尿病防治指南（2020年版）》，WS/T 476-2015，国药准字H20063456，批号20231105",
        "到当地医院、县人民医院、三甲医院或儿童专科医院就诊",
        "任何医生都会建议，谢谢医生，主管医生，家庭医生",
        "卧床休息，床旁超声，空床3张，下床活动3次，开放床位300床",
        "12月1日世界艾滋病日；2004年12月1日起施行",
        "家属于走廊等候，家属应签字，医师签名：",
    ],
)
def test_what_is_no_identifier_stays(text: str) -> None:
    result = privacy.clean({"text": text})
    assert result.fields["text"] == text
    assert result.found == {}


def test_dates_become_intervals_from_the_first() -> None:
    text = "2023年12月28日入院，2023-12-30手术，1月3日出院；2019.05.06曾住院，2022年11月起咳嗽，2020年确诊。"
    assert cleaned(text) == (
        "第1天入院，第3天手术，第7天出院；第1天前1697天曾住院，第1天前约13个月起咳嗽，2020年确诊。"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("出生日期：1956-03-04，2023/5/6入院", "出生日期：1956年，某日入院"),
        ("二〇二三年五月六日入院，五月八日出院", "第1天入院，第3天出院"),
        ("2023年5月6日至10日住院", "第1天至第5天住院"),
        ("Admitted May 6, 2023, seen 8 May 2023", "Admitted 第1天, seen 第3天"),
        ("２０２３年５月６日", "某日"),
        ("20230506入院", "某日入院"),
        ("去年5月6日做的胃镜", "去年某日做的胃镜"),
        ("去年5月6日做胃镜，今年5月7日复查", "第1天做胃镜，第2天复查"),
        (
            "2009年11月25日出血，2010年3月又出血，7月17日手术",
            "第1天出血，第1天后约4个月又出血，第235天手术",
        ),
    ],
)
def test_ways_to_write_a_date(text: str, wanted: str) -> None:
    assert cleaned(text) == wanted


def test_same_value_same_replacement_over_all_fields() -> None:
    fields: dict[str, str | tuple[str, ...]] = {
        "title": "随访",
        "questions": ("患者姓名：陈晓明，电话13812345678", "陈晓明何时复诊？电话138-1234-5678"),
        "note": "2023年5月6日，陈晓明来电",
    }
    result = privacy.clean(fields)
    assert result.fields == {
        "title": "随访",
        "questions": ("患者姓名：[姓名1]，电话[手机号1]", "[姓名1]何时复诊？电话[手机号1]"),
        "note": "某日，[姓名1]来电",
    }
    assert result.found == {"mobile": 2, "name": 3, "date": 1}


@pytest.mark.parametrize(
    ("text", "cue"),
    [
        ("号码110105194912310021备查", "18 digits, no valid checksum"),
        ("参考87654321该数", "long number"),
        ("2019年3月发病", "month without a date"),
        ("患者，男，93岁", "age over 89"),
        ("见https://example.com/a/b", "web address"),
        ("我爸爸秦芮乙肝", "name after a family word"),
        ("于2021年2月30日前", "impossible date"),
    ],
)
def test_doubts_are_left_for_a_human(text: str, cue: str) -> None:
    result = privacy.clean({"before": "电话13812345678", "text": text})
    assert [r.cue for r in result.residue] == [cue]
    place = result.residue[0]
    value = result.fields["text"]
    assert place.field == "text" and isinstance(value, str)
    assert 0 <= place.start < place.end <= len(value)


def test_residue_points_into_the_cleaned_text() -> None:
    result = privacy.clean({"a": ("无", "姓名：陈晓明，电话13812345678，男，93岁")})
    (place,) = result.residue
    assert place.field == "a[1]"
    assert result.fields["a"][1][place.start : place.end] == "93岁"


def test_checksums() -> None:
    assert resident_id_checks(ID) and not resident_id_checks(ID[:-1] + "1")
    assert luhn("79927398713") and not luhn("79927398710")


def test_no_value_in_the_result_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    result = privacy.clean({"a": f"姓名：陈晓明，{ID}，93岁"})
    assert "陈晓明" not in repr(result) and ID not in repr(result)

    def fails(text: str) -> None:
        raise ValueError(f"cannot read {text}")

    monkeypatch.setattr("wardround.corpus.privacy_numbers.find", fails)
    with pytest.raises(WardroundError) as caught:
        privacy.clean({"a": f"姓名：陈晓明，{ID}"})
    assert "陈晓明" not in str(caught.value) and "ValueError" in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_figures_on_the_synthetic_notes(notes: ModuleType) -> None:
    """Floors a little below what docs/privacy.md reports, so that a slip is seen; they are not the target, which
    the held-out notes miss."""
    for part, at_least in (("seen", 0.96), ("held_out", 0.86)):
        totals: Counter[str] = Counter()
        for note in notes.notes(120, seed=3, part=part):
            found = [(s.start, s.end, s.kind) for s in privacy.find(note.text)]
            for marked, covered, _, count, right in notes.scored(found, note.marks).values():
                totals.update(marked=marked, covered=covered, found=count, right=right)
        assert totals["covered"] >= at_least * totals["marked"]
        assert totals["right"] >= 0.97 * totals["found"]


def test_generator_marks_what_it_says_and_shares_nothing(notes: ModuleType) -> None:
    made = notes.notes(400)
    assert made == notes.notes(400)
    assert len({n.skeleton for n in made}) >= 40
    assert all(0 <= m.start < m.end <= len(n.text) for n in made for m in n.marks)
    ids = [
        re.sub(r"\s", "", n.text[m.start : m.end])
        for n in made
        for m in n.marks
        if m.kind == "resident_id"
    ]
    assert sum(i.isascii() and len(i) == 18 and resident_id_checks(i) for i in ids) >= 20
    source = Path(str(notes.__file__)).read_text(encoding="utf-8")
    assert "import wardround" not in source and "from wardround" not in source


def test_cleaning_twice_changes_nothing_more(notes: ModuleType) -> None:
    for note in notes.notes(144, seed=5):
        once = privacy.clean({"text": note.text})
        again = privacy.clean(once.fields)
        assert again.fields == once.fields, note.skeleton


TEXT = st.text(
    st.sampled_from(
        "患者姓名：陈明王医生电话号住院13800X-@年月日床路市县区0123456789 \n，。（）[]·a\x00"
    ),
    max_size=60,
)


@given(st.dictionaries(st.sampled_from("abc"), TEXT | st.lists(TEXT, max_size=3).map(tuple)))
def test_laws(fields: dict[str, str | tuple[str, ...]]) -> None:
    result = privacy.clean(fields)
    assert result == privacy.clean(fields)
    assert list(result.fields) == list(fields)
    assert all(
        type(result.fields[k]) is type(v) and len(result.fields[k]) >= 0 for k, v in fields.items()
    )
    if not result.found:
        assert result.fields == fields
    assert set(result.found) <= set(privacy.KINDS)


@given(TEXT)
def test_spans_are_in_order_apart_and_inside(text: str) -> None:
    spans = privacy.find(text)
    ends = [0, *(s.end for s in spans)]
    assert all(low <= s.start < s.end <= len(text) for low, s in zip(ends, spans, strict=False))


def test_presidio_adapter_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    from wardround.corpus import privacy_presidio

    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)
    with pytest.raises(UsageError, match="presidio-analyzer"):
        privacy_presidio.recognizers()
    assert set(privacy_presidio.ENTITIES) == set(privacy.KINDS)


def test_presidio_finds_what_we_find() -> None:
    pytest.importorskip("presidio_analyzer", reason="presidio-analyzer is not installed")
    from wardround.corpus import privacy_presidio

    (recognizer,) = privacy_presidio.recognizers()
    text = f"姓名：陈晓明，身份证{ID}，电话13812345678"
    found = {text[r.start : r.end] for r in recognizer.analyze(text, [], None)}
    assert found == {"陈晓明", ID, "13812345678"}


@pytest.mark.realdata
def test_encyclopedia_holds_next_to_no_identifiers() -> None:
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        pytest.skip("WARDROUND_REALDATA names no folder")
    counts: Counter[str] = Counter()
    with open(Path(folder) / "encyclopedia_respiratory.jsonl", encoding="utf-8") as f:
        for line in f:
            row = {
                k: v if isinstance(v, str) else tuple(map(str, v))
                for k, v in json.loads(line).items()
                if isinstance(v, str | list)
            }
            counts.update(privacy.clean(row).found)
    assert set(counts) <= {"hospital", "date"} and counts.total() <= 6


def test_a_published_text_keeps_who_studied_what_when() -> None:
    text = "甲乙市第二人民医院2005年3月8日起观察了120例，患者姓名：陈晓明。"
    kept = privacy.clean({"text": text}, published=True)
    assert kept.fields["text"] == text.replace("陈晓明", "[姓名1]")
    assert kept.found == {"name": 1}
    assert set(privacy.clean({"text": text}).found) == {"name", "hospital", "date"}


@pytest.mark.parametrize(
    "text", ["生育计划与医生商定。", "手术方式由主任商议后确定。", "请与医师商讨用药。"]
)
def test_to_consult_a_doctor_is_no_name(text: str) -> None:
    assert privacy.find(text) == []
