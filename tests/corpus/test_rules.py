import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus import numerals
from wardround.corpus import rules as r
from wardround.corpus.text import CIRCLED


@pytest.mark.parametrize("text", ["根据‹书本知识›，应手术。", "改变见图2。", "如下图所示。"])
def test_cites_absent_text(text: str) -> None:
    assert r.cites_absent_text(text, "")
    assert not r.cites_absent_text(text, text)


@pytest.mark.parametrize(
    "text", ["根据参考资料，应手术。", "原文指出如此。", "</passage>应手术。", "上述资料显示阳性。"]
)
def test_mentions_passage(text: str) -> None:
    assert r.mentions_passage(text)
    assert not r.mentions_passage("建议手术治疗，资料完整者择期进行。")


@pytest.mark.parametrize(
    "text", ["抱歉，我无法回答该问题。", "作为AI，不能给出诊断。", "很遗憾，没有提供病例。"]
)
def test_apology_or_refusal(text: str) -> None:
    assert r.apology_or_refusal(text)
    assert not r.apology_or_refusal("无法耐受手术者行介入治疗，疗效不能保证。")


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("呼吸内科\n理由：需与心内科疾病区分。", False),
        ("呼吸内科或心内科", True),
        ("心血管内科（心内科）", False),
        ("胸外科、普外科。", True),
        ("口腔颌面外科", False),
        ("心脏大血管外科", False),
    ],
)
def test_several_departments(text: str, several: bool) -> None:
    assert r.several_departments(text) is several


def test_answer_leaked() -> None:
    assert r.answer_leaked("确诊为急性 胰腺炎入院", "急性胰腺炎（重症）")
    assert not r.answer_leaked("上腹剧痛", "急性胰腺炎")


def test_nothing_beyond_input() -> None:
    text = "患者男，三岁，右上腹无痛性肿块四个月"
    assert r.nothing_beyond_input(text, f"病例：{text}。")
    assert not r.nothing_beyond_input("考虑肾母细胞瘤，建议手术切除。", text)
    assert r.nothing_beyond_input("", text)


def test_numbers_without_list_marks() -> None:
    assert r.numbers("1. 口服0.5g；\n（2）每日3次。③ 共7天") == {"0.5", "3", "7"}
    assert r.numbers("1、０.5g每日3次") == r.numbers("每日3次，每次0.5g")
    assert r.numbers("每次10mg") == {"10"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("加服三十毫克", "30"), ("先给二百五十毫克", "250"), ("滴注八百毫升", "800"), ("共用十六天", "16"), ("每隔三周复查", "3"),
        ("时间延长四倍", "4"), ("收缩压应低于一百二十五", "125"), ("血压一百五十/九十五", "150 95"), ("心率控制在八十五以下", "85"),
        ("零点二五克", "0.25"), ("两万单位", "20000"), ("十五六天", "15 16"), ("三四天", "3 4"), ("二三十年", "20 30"), ("五到七天", "5 7"),
        ("百分之六十", "60"), ("四分之三", "4 3"), ("半年后复查", "0.5"), ("四周后复查", "4"), ("二十mg", "20"), ("十余天", "10"),
        ("每次两片", "2"), ("一个疗程", "1"), ("体温三十九点二度", "39.2"), ("三千克", "3"), ("收缩压一百二以下", "120"), ("一九九八年", "1998"),
    ],
)  # fmt: skip
def test_numbers_written_out_that_measure(text: str, found: str) -> None:
    assert r.numbers(text) == set(found.split())


@pytest.mark.parametrize(
    "text",
    [
        "一般情况下一旦发热，一定进一步检查", "三叉神经、二尖瓣、十二指肠、半月板、四肢和双侧五官", "第一，一些患者两者兼有；第二天好转", "血压十分重要",
        "一日三餐规律饮食，一年四季均可发病", "病灶四周皮肤红肿", "数十年前，五十年代，几十天", "10的五次方", "周六晚上", "二次手术", "三支病变",
        "百日咳，三七片，万一，千万不可", "单位为千克或万单位", "一次口服，一天之内，一片红斑", "这两天好转",
    ],
)  # fmt: skip
def test_words_with_numerals_are_no_numbers(text: str) -> None:
    assert r.numbers(text) <= {"10"}


def test_numbers_written_out_count_as_source() -> None:
    assert r.written_out("一点五片，一万二，四五天") >= {"1.5", "12000", "4", "5"}
    assert "0.5" in r.written_out("6个月") and "0.5" not in r.written_out("16个月")
    text = "术后二十四小时，十二周，两次，三百零五毫升，八至十天"
    assert r.written_out(text) >= {"24", "12", "2", "305", "8", "10"}
    assert "48" not in r.written_out(text)


@pytest.mark.parametrize("text", ["建议手术，", "包括以下几点：", "建议手术"])
def test_unfinished(text: str) -> None:
    assert r.unfinished(text)
    assert not r.unfinished("建议手术。")


def test_side_conflict_and_garbled() -> None:
    assert r.side_conflict("切除左肾上腺。", "CT示右肾上腺结节。")
    assert not r.side_conflict("切除右肾上腺。", "CT示右肾上腺结节。")
    assert not r.side_conflict("左肾上腺。", "双侧肾上腺增大，右肾上腺明显。")
    assert not r.side_conflict("左胸痛。", "右膝痛。")
    assert r.garbled("湿Up音") and r.garbled("体温\ufffd") and r.garbled("????")
    assert not r.garbled("Up to date的指南，CT值?")


def test_every_sign_that_is_a_digit_counts_as_one() -> None:
    for code in (c for c in range(sys.maxunicode + 1) if not 0xD800 <= c < 0xE000):
        sign = chr(code)
        digit = any(c.isdecimal() for c in unicodedata.normalize("NFKC", sign))
        assert digit == (r._ANY_DIGIT.search(sign) is not None), hex(code)


@given(st.text("12（(）)、.．。；： \n二第,:a甲①⑳", max_size=16))
def test_list_numbers_are_found_as_they_stand(text: str) -> None:
    plain = re.compile(
        rf"(?:^|(?<=[\n。；：，、\s]))(?:[（(]\s*\d{{1,2}}\s*[)）]|\d{{1,2}}\s*(?:[)）、．]|\.(?!\d)))|[{CIRCLED}]"
    )
    assert r._ENUMERATOR.sub("|", text) == plain.sub("|", text)


OF_SOURCES = (
    "参考", "资料", "原", "文", "答案", "上述", "所给", "提供的", "以上", "段落", "材料", "提到", "显示", "教材", "课本", "书", "百科", "全书", "词条", "文章", "文献",
    "专著", "中", "里", "对此", "明确", "记载", "的说法", "说明", "根据", "这本", "前", "该", "此", "所", "这", "段", "话", "篇", "内容", "accordıng", "According", " to ",
    "BASED on ", "the ", "given ", "text", "Article", "<", "</", "Reference>", "question>", "。",
)  # fmt: skip
OF_APOLOGIES = (
    "抱歉", "对不起", "很遗憾", "作为", "一个", "AI", "aı", "语言模型", "我", "，", "\n", "暂时", "无法", "不能", "提供", "回答", "该", "医疗", "问题", "请求", "建议", "没有",
    "看到", "具体", "的", "资料", "I", "'m ", " am ", "Sorry", "ſorry", "as an ", "AS AN ", " can't ", " CANNOT ", "provide", "assist",
)  # fmt: skip


@given(st.lists(st.sampled_from(OF_SOURCES + OF_APOLOGIES), max_size=10))
def test_what_is_looked_for_first_is_in_all_that_is_found(parts: list[str]) -> None:
    text = "".join(parts)
    found = r._APOLOGY.search(text) or r._PASSAGE.search(text)
    assert r._LIKELY.search(text) or not found


@given(st.text("一三十百千万半点零两度年血压低于，。倍5", max_size=12))
def test_every_level_has_tens(text: str) -> None:
    for m in numerals._LEVEL.finditer(text):
        assert numerals._TENS.search(text) or not numerals._is_level(m["low"])


@given(st.text("0.12十二百", max_size=12), st.text("0.12十二百克，", max_size=12))
def test_numbers_beyond_a_text_are_those_it_lacks(ours: str, theirs: str) -> None:
    mine = r.numbers(f"{ours}克")
    assert r.numbers_beyond(set(mine), theirs) == mine - r.numbers(theirs)
