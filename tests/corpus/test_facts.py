"""What two texts state, and whether they state the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus.facts import differences, facts
from wardround.corpus.lexicon import Lexicon, lexicon
from wardround.corpus.tokens import FACTS, clauses, on_treatment, stated, tokens
from wardround.errors import UsageError

SAME = [
    ("阿莫西林0.5g，每日三次，口服", "口服阿莫西林500mg 3次/日"),
    ("头孢曲松2g静滴q12h", "头孢曲松钠2g静脉滴注每12小时1次"),
    ("患者男性，45岁，左侧胸痛3天", "病人，男，45岁，左胸痛三天"),
    ("建议多饮水，注意休息", "推荐多喝水，注意休息。"),
    ("1.休息2.多饮水", "（1）休息；（2）多饮水"),
    ("HBsAg(+)", "HBsAg阳性"),
    ("疗程2周", "疗程14天"),
    ("建议清淡饮食", "建仪清淡饮食"),
    ("咳嗽3天。无发热。", "无发热。咳嗽3天。"),
    ("口服扑热息痛0.5g", "口服对乙酰氨基酚0.5g"),
]
OTHER = [
    ("dose", "阿莫西林0.5g", "阿莫西林0.25g"),
    ("drug", "泼尼松10mg", "泼尼松龙10mg"),
    ("disease", "诊断为社区获得性肺炎", "诊断为军团菌肺炎"),
    ("side", "左侧胸痛", "右侧胸痛"),
    ("sex", "患者男，45岁", "患者女，45岁"),
    ("frequency", "每日2次", "每日3次"),
    ("frequency", "每日1次", "隔日1次"),
    ("route", "口服给药", "静滴给药"),
    ("number", "肌酐56μmol/L", "肌酐65μmol/L"),
    ("negation", "患者有高血压", "患者无高血压"),
    ("negation", "目前还没有特效药", "目前还有特效药"),
    ("term", "HBsAg(+)", "HBsAg(-)"),
    ("term", "血压升高", "血压降低"),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_another_wording_of_the_same_facts(a: str, b: str) -> None:
    assert differences(a, b) == () == differences(b, a)


@pytest.mark.parametrize(("kind", "a", "b"), OTHER)
def test_another_fact(kind: str, a: str, b: str) -> None:
    around = "患者近日就诊，详述病史。{}。请予以指导。"
    assert {d.kind for d in differences(a, b)} == {kind}
    assert {d.kind for d in differences(around.format(b), around.format(a))} == {kind}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("患者服用格瑞沙尔后好转", "患者服用美托兰辛后好转"),
        ("考虑鸽子肺可能", "考虑铍尘病可能"),
        ("考虑慢性胆泥炎可能", "考虑慢性胆池炎可能"),
        ("可待因30mg", "某双氢可待因30mg"),
        ("给予拜新同75mg", "给予来得时75mg"),
    ],
)
def test_names_that_no_list_has(a: str, b: str) -> None:
    assert differences(a, b) and differences(b, a)


def test_saying_less_is_no_difference_but_saying_other_is() -> None:
    full = "患者发热3天。予阿莫西林0.5g口服。左侧胸痛。"
    assert differences(full, "患者发热3天。左侧胸痛。") == ()
    assert differences(full, "患者发热3天。予头孢克肟0.1g口服。左侧胸痛。")


def test_swapped_sides_are_two_differences_though_the_words_are_the_same() -> None:
    assert differences("左侧疼痛，右侧麻木", "右侧疼痛，左侧麻木")
    assert differences("阿莫西林0.5g，甲硝唑0.2g", "阿莫西林0.2g，甲硝唑0.5g")


def test_facts_have_one_name_each() -> None:
    found = facts("男，52岁，左上腹痛三天，奥美拉唑20mg口服每日两次，q8h，维生素B12 500μg肌注 qod")
    assert found.drugs == {"奥美拉唑", "维生素b12"}
    assert found.doses == {"0.02g", "0.0005g"}
    assert found.frequencies == {"2/d", "1/8h", "1/2d"}
    assert found.routes == {"口服", "肌内注射"}
    assert found.sides == {"左"} and found.sexes == {"男"}
    assert {"52y", "3d"} <= found.numbers


@given(st.text(alphabet="患者男左0123.mg每日次服无阿莫西林，。肺炎、(+)", max_size=60))
def test_a_text_never_differs_from_itself(text: str) -> None:
    assert differences(text, text) == ()
    facts(text)


def test_lists_are_large_and_longest_names_win() -> None:
    words = lexicon()
    assert words.count("drug") >= 800 and words.count("disease") >= 1000
    assert [m[3] for m in words.matches("社区获得性肺炎")] == ["社区获得性肺炎"]


def test_a_list_of_ones_own_adds_names(tmp_path: Path) -> None:
    path = tmp_path / "drugs.txt"
    path.write_text("格瑞沙尔\t格瑞片\n", encoding="utf-8")
    words = lexicon({"drug": [path]})
    assert facts("服用格瑞片", words).drugs == {"格瑞沙尔"}
    assert differences("服用格瑞片", "服用格瑞沙尔", words) == ()
    with pytest.raises(UsageError, match="no word lists of kind"):
        lexicon({"food": [path]})
    with pytest.raises(UsageError, match=r"cannot be read as a word list"):
        lexicon({"drug": [tmp_path / "none.txt"]})


def test_a_number_in_a_disease_name_is_none() -> None:
    assert facts("百日咳由细菌引起").numbers == frozenset()
    assert facts("观察一百天").numbers


@pytest.mark.parametrize(
    ("text", "diseases", "numbers"),
    [
        ("半月线疝行修补术", set(), set()),
        ("十二指肠溃疡伴半月板损伤", {"十二指肠溃疡", "半月板损伤"}, set()),
        ("一期梅毒", {"一期梅毒"}, set()),
        ("1期梅毒", {"一期梅毒"}, set()),
        ("二倍体，五倍子，百日咳", {"百日咳"}, set()),
        ("服药半月", set(), {"0.5mo"}),
        ("服药半个月", set(), {"0.5mo"}),
        ("半月体检一次", set(), {"0.5mo", "1次"}),
        ("每日三次，共十二天", set(), {"12d"}),
    ],
)
def test_a_numeral_in_a_name_is_no_number(text: str, diseases: set[str], numbers: set[str]) -> None:
    found = facts(text)
    assert found.diseases == diseases
    assert found.numbers == numbers


def test_latin_words_are_told_apart() -> None:
    found = facts("阿莫西林 0.5 g po tid，头孢曲松2g iv qd")
    assert found.doses == {"0.5g", "2g"}
    assert found.routes == {"口服", "静脉注射"}
    assert found.frequencies == {"3/d", "1/d"}
    assert facts("HIV，lung abscess，time，维生素AD").routes == frozenset()
    assert facts("维生素AD").drugs == frozenset() != facts("维生素A").drugs


def test_a_word_behind_one_only_begun_is_found() -> None:
    assert lexicon().matches("冬季皮肤瘙痒")[-1][2:] == ("symptom", "瘙痒")
    assert facts("致羊水或胎粪吸入").routes == {"吸入"}


def test_letters_beside_a_latin_word_make_it_none() -> None:
    words = Lexicon(
        {"iv": ("route", "iv"), "i": ("general", "i"), "hiv感染": ("disease", "hiv感染")}
    )
    assert [(m[0], m[3]) for m in words.matches("hiv感染,iv")] == [(0, "hiv感染"), (6, "iv")]
    assert [(m[0], m[3]) for m in words.matches("hiv,div iv")] == [(8, "iv")]
    assert words.matches("hiv,iv", {"general"}) == [] != words.matches("ivy i", {"general"})


@given(st.text("0１一二三半月第天次.:，。、 \nabgmqdIV氯片口服吸入皮肤瘙痒（）", max_size=60))
def test_what_is_stated_is_what_the_tokens_say(text: str) -> None:
    read = [t for clause in clauses(text) for t in tokens(clause, lexicon())]
    assert stated(text, lexicon()) == [(t.kind, t.name, t.text) for t in read if t.kind in FACTS]


ON_TREATMENT = (
    "阿莫西林", "阿莫", "西林", "维生素b", "维生素B12", "十二", "三七片", "头孢", "曲松", "口服", "服", "静脉注射", "吸入", "吸入性肺炎", "iv", "ＰＯ", "po ",
    "每日", "三次", "3次", "0.5", "g", "mg", "毫克", "一", "半", "万单位", "片", "第", "隔日", "q8", "h", "tid", "必要时", "60bpm", "(", "（+", "++)", ")", "①",
    "⑴", "後", "於", "藥", "\n", "。", "，", "；", "、", " ", "\t", "\0", ".", "|", "肺炎", "患者", "月", "个",
)  # fmt: skip


@given(st.lists(st.sampled_from(ON_TREATMENT), max_size=16))
def test_all_on_treatment_is_stated_by_the_clauses_that_may(parts: list[str]) -> None:
    text = "".join(parts)
    may, whole = on_treatment(text), facts(text)
    part = facts(may.clauses)
    assert (part.drugs, part.routes) == (whole.drugs, whole.routes)
    assert (part.doses, part.frequencies) == (whole.doses, whole.frequencies)
    times = [
        {n for n in found.numbers if n.endswith("次") and "/" not in n} for found in (part, whole)
    ]
    assert times[0] == times[1]
    assert may.drugs is None or may.drugs >= whole.drugs
    assert may.routes is None or may.routes >= whole.routes
    assert may.counted or not (whole.doses or whole.frequencies or times[1])


def test_a_text_of_nothing_on_treatment_has_no_clause_that_may_be() -> None:
    none = on_treatment("多饮水，注意休息。体温39℃，3天后复查。")
    assert none == ("", frozenset(), frozenset(), False)
    some = on_treatment("多饮水，口 服阿莫西\u3000林。每日三次；注意休息。")
    assert some.clauses == "口 服阿莫西\u3000林\n每日三次"
    assert some.drugs == frozenset({"阿莫西林"}) and some.routes == frozenset({"口服"})
    assert some.counted
