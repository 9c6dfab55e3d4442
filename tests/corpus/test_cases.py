from tests.corpus.made import ANSWERS, DESCRIPTION
from wardround.corpus.cases import (
    differential,
    finding,
    is_choice,
    no_past,
    sections,
    with_past,
    without_captions,
    without_echo,
)
from wardround.corpus.text import tidy


def test_sections_of_a_description() -> None:
    found = sections(tidy(DESCRIPTION))
    assert found.chief == "咳嗽、发热2天。"
    assert found.history == "患者，男，50岁，2天前受凉后咳嗽、发热。"
    assert found.past == "体健。"
    assert found.exam.startswith("T 38.9℃")
    assert found.tests == "实验室检查：WBC 15×10⁹/L。胸片：右下肺片状影。"


def test_headings_with_their_text_behind_a_colon() -> None:
    found = sections(
        "现病史\n(1)主诉：跌倒后腹痛1天\n(2)现病史：昨日跌倒。\n体格检查\n(1)既往史：糖尿病。\n(2)专科查体：腹软。"
    )
    assert (found.chief, found.history) == ("跌倒后腹痛1天", "昨日跌倒。")
    assert (found.past, found.exam) == ("糖尿病。", "腹软。")
    assert found.tests == ""


def test_captions_of_absent_pictures_go_but_findings_stay() -> None:
    text = "主诉\n头痛\n辅助检查\nCT检查\n左额占位，考虑胶质瘤。"
    assert (
        without_captions(f"{text}\n辅助检查\n头部CT平扫\n辅助检查\n左额占位，考虑胶质瘤。") == text
    )
    kept = f"{text}\n辅助检查\n影像学检查\n腹部CT：胆管扩张。"
    assert without_captions(kept) == kept


def test_diagnosis_and_basis() -> None:
    found = finding(ANSWERS[0])
    assert found is not None
    assert (found.diagnosis, found.line) == ("右下肺炎。", "诊断：右下肺炎。")
    assert found.basis.startswith("①受凉后")
    numbered = finding("（1）诊断：混合痔\n（2）诊断依据：①便血。\n（3）鉴别诊断：①息肉：可排除。")
    assert numbered is not None
    assert (numbered.line, numbered.basis) == ("诊断：混合痔。", "①便血。")
    chinese = finding("中医诊断：胸痹。西医诊断：冠心病。\n诊断依据：\n①胸闷。")
    assert chinese is not None
    assert (chinese.diagnosis, chinese.line) == ("", "中医诊断：胸痹。西医诊断：冠心病。")
    assert finding("脾切除。") is None


def test_differential_part() -> None:
    assert differential("诊断：痔\n鉴别诊断：①息肉。") == "①息肉。"
    assert differential("①息肉：肠镜可见。") is None


def test_choice_questions_and_echoes() -> None:
    assert is_choice("最可能的诊断是\nA. 肝破裂\nB. 脾破裂\nC. 胃穿孔")
    assert not is_choice("A型与B型夹层如何鉴别？")
    question = "需要与哪些疾病鉴别？是否还要做检查？"
    assert without_echo("是否还要做检查？\n肺癌。", question) == "肺癌。"
    assert without_echo("肺癌。\n肺结核。", question) == "肺癌。\n肺结核。"


def test_a_past_history_is_told_apart_clause_by_clause() -> None:
    told = (
        "咽痛3天；无发热。患者既往高血压病史8年，最高160/100mmHg，2天前停药。否认糖尿病，结核病史。"
    )
    assert with_past(told, "") == (
        "咽痛3天；无发热。2天前停药。",
        "患者既往高血压病史8年，最高160/100mmHg。否认糖尿病，结核病史。",
    )
    assert with_past(told, "体健。") == (told, "体健。")
    for kept in ("既往体健。", "咽痛，无发热，无家族史。", "追问病史，受凉后起病。"):
        assert with_past(kept, "") == (kept, "")
    assert no_past("咽痛3天。", "") == "既往史：资料未单独记载。"
    assert no_past("咽痛3天，有结核病史。", "") == no_past("咽痛3天。", "体健。") == ""


def test_a_wrapped_line_is_one_and_a_diagnosis_is_no_test() -> None:
    long = "右肺上叶见一不规则软组织肿块，边缘有毛刺，大小约35mm×28mm，增强后呈明"
    found = sections(
        f"主诉\n咳嗽\n辅助检查\n（1）CT检查\n{long}\n显不均匀强化。\n诊断：肺占位。\n血糖：正常\n尿常规正常。"
    )
    assert found.tests == f"CT检查：{long}显不均匀强化。血糖：正常。尿常规正常。"
    assert f"{long}显不均匀" in found.text
