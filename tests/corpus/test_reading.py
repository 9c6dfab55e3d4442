"""What a doctor who read samples whole objected to, each as a rule: entries, cases, dialogues and what patients tell."""

from pathlib import Path

import pytest

from tests.corpus.made import ANSWERS, DESCRIPTION, QUESTIONS, case, entry
from tests.corpus.test_compose import by_recipe, made, reasons
from tests.corpus.test_dialogues import documents
from tests.corpus.test_narrative import turns
from tests.corpus.test_privacy import cleaned
from wardround.corpus import chat, narrative, triage
from wardround.corpus import rules as r
from wardround.corpus.cases import finding, sections
from wardround.corpus.dialogues import dialogue_of
from wardround.corpus.specialty import by_words
from wardround.corpus.text import renumbered, typeset

# ---- entries


def test_ways_of_treatment_begin_with_no_comma(tmp_path: Path) -> None:
    ways = ["甲素静脉滴注", "，手术治疗", "；对症治疗"]
    found = by_recipe(made(tmp_path, entry(cure_way=ways)))["treatment-plan-outline"].output
    assert "1. 甲素静脉滴注；\n2. 手术治疗；\n3. 对症治疗。" in found


def test_an_entry_has_no_words_run_together_and_no_heading_for_its_question(
    tmp_path: Path,
) -> None:
    desc = "甲病（radiationjiapneumonitis，JP）是由射线引起的炎症反应，又称乙病（yibingoftheupperlung）。轻者没有任何症状。"
    found = by_recipe(
        made(tmp_path, entry(desc=desc, cause="病因：\n由受凉引起，劳累时容易发生并可反复发作。"))
    )
    assert found["disease-definition"].output.startswith(
        "甲病（JP）是由射线引起的炎症反应，又称乙病。"
    )
    assert found["disease-cause"].output.startswith("由受凉引起")


def test_headings_that_part_a_text_stay(tmp_path: Path) -> None:
    cause = "发病原因：\n由受凉引起，劳累时容易发生。\n发病机制：\n身体变弱之后病菌趁机侵入而发病。"
    assert by_recipe(made(tmp_path, entry(cause=cause)))["disease-cause"].output.startswith(
        "发病原因：\n"
    )


@pytest.mark.parametrize("desc", ["甲病常见于六个月至三岁的婴幼儿，", "甲病是临床常见病，"])
def test_how_common_it_is_defines_no_disease(tmp_path: Path, desc: str) -> None:
    text = f"{desc}四季均易发生，由于气道狭小，感染后容易肿胀，引起呼吸困难，应当及时治疗。"
    found = by_recipe(made(tmp_path, entry(desc=text)))
    assert "disease-definition" not in found
    assert "可见于甲病。\n确诊" in found["initial-diagnosis"].output


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("由受凉引起。\n1、冷空气。\n2、雨水。\n1、疲劳。\n2、失眠。", "list_restarts"),
        ("由受凉引起，当细菌在你的身体内繁殖时，就会发病，并可反复发作。", "speaks_to_patient"),
        ("甲病大多生长于软骨环与膜部交界处，晚期可侵犯食管和喉返神经。", "off_topic"),
        ("甲病由汞引起，各种植物⒖晌动物所吸收，因此危害很大，不可忽视。", "garbled"),
    ],
)
def test_a_cause_that_is_none(tmp_path: Path, cause: str, reason: str) -> None:
    assert (reason, "disease-cause") in reasons(made(tmp_path, entry(cause=cause)))


def test_a_list_within_a_list_does_not_restart() -> None:
    assert r.list_restarts("由粉尘引起。\n它们都在向四周扩散。")
    assert not r.list_restarts("1、甲：\n（1）丙\n（2）丁\n2、乙：\n（1）戊\n（2）己")
    assert r.list_restarts("（1）丙\n（2）丁\n（1）戊")


def test_nobody_asks_whether_what_is_no_infection_is_contagious(tmp_path: Path) -> None:
    crowd = "长期接触粉尘的矿工、磨粉工和石匠"
    none = by_recipe(made(tmp_path, entry(easy_get=crowd)))
    assert "disease-spread" not in none and crowd in none["disease-crowd"].output
    spread = by_recipe(made(tmp_path, entry(easy_get=crowd, get_way="呼吸道传播")))
    assert "disease-crowd" not in spread and "呼吸道传播" in spread["disease-spread"].output
    assert "disease-crowd" not in by_recipe(made(tmp_path, entry(easy_get="婴幼儿")))


def test_what_a_laboratory_or_a_pathologist_finds_is_no_sign(tmp_path: Path) -> None:
    symptoms = ["咳痰", "肺纤维化", "猝死", "嗜酸性粒细胞增多", "低热", "肺部疼痛"]
    found = by_recipe(made(tmp_path, entry(symptom=symptoms)))
    assert "有咳痰、低热、肺部疼痛。" in found["symptom-inquiry"].output
    assert "为咳痰、嗜酸性粒细胞增多、低热、肺部疼痛，" in found["next-examinations"].input


def test_one_symptom_is_told_in_one_word(tmp_path: Path) -> None:
    symptoms = ["面色青紫", "新生儿发绀", "口唇紫绀", "呻吟", "鼻翼扇动"]
    found = by_recipe(made(tmp_path, entry(symptom=symptoms)))
    assert "有面色青紫、呻吟、鼻翼扇动。" in found["symptom-inquiry"].output


def test_an_examination_that_fits_another_organ_is_none(tmp_path: Path) -> None:
    checks = ["钼靶X线检查", "血常规", "支气管造影", "血清-氧化氮", "胸片"]
    found = by_recipe(made(tmp_path, entry(check=checks)))
    assert found["examination-inquiry"].output.endswith("1. 血常规；\n2. 胸片。")


def test_no_poisoning_is_found_without_an_exposure(tmp_path: Path) -> None:
    symptoms = ["恶心", "咽喉灼热感", "眼睛刺痒", "步态蹒跚"]
    alone = by_recipe(made(tmp_path, entry("甲中毒", symptom=symptoms, easy_get=None)))
    assert not {"triage", "initial-diagnosis"} & set(alone)
    exposed = by_recipe(made(tmp_path, entry("甲中毒", symptom=symptoms, easy_get="制鞋工人")))
    assert {"triage", "initial-diagnosis"} <= set(exposed)


def test_an_infant_follows_no_instructions(tmp_path: Path) -> None:
    checks = ["肺功能检查", "胸片", "血常规", "激发试验"]
    young = by_recipe(made(tmp_path, entry("新生儿甲病", check=checks, easy_get="新生儿")))
    assert young["examination-inquiry"].output.endswith("1. 胸片；\n2. 血常规。")
    grown = by_recipe(made(tmp_path, entry(check=checks)))
    assert "肺功能检查" in grown["examination-inquiry"].output


def test_letters_that_a_scanner_misread_and_words_set_twice() -> None:
    assert r.garbled("粉尘由呼吸道吸人中毒。") and r.garbled("铍及其化台物。")
    assert not r.garbled("呼吸人工辅助，吸入人体，每次吸人民币。")
    assert typeset("患者患者夜里咳得厉害，结节直径直径9mm。") == "患者夜里咳得厉害，结节直径9mm。"


# ---- cases


def test_a_record_that_contradicts_itself_gives_nothing(tmp_path: Path) -> None:
    told = "现病史\n患者，女，31岁，CT示左侧肾上腺结节。\n主诉\n肢体无力1周。\n辅助检查\n超声\n右侧肾上腺结节。"
    assert r.sides_differ(told)
    assert not r.sides_differ(told.replace("右侧", "左侧"))
    assert not r.sides_differ(told.replace("超声\n", "超声\n左肾上腺增粗，"))
    found = made(tmp_path, case(description=told))
    assert "side_conflict" in {why for why, _ in reasons(found)}
    assert dialogue_of(documents(tmp_path, case(description=told))[0]).turns == ()


def test_what_a_masked_name_left_behind_goes() -> None:
    found = sections(
        "现病史\n患者，女，66岁，发现3年，右上腹痛10天。\n主诉\n发现3年，右上腹痛10天。\n辅助检查\nCT检查\n左侧占位，考虑。\nMRI检查\n左侧肿块，可能。"
    )
    assert found.chief == "右上腹痛10天。"
    assert found.history == "患者，女，66岁，右上腹痛10天。"
    assert found.tests == "CT检查：左侧占位。MRI检查：左侧肿块。"
    assert "发现包块3年" in sections("主诉\n发现包块3年，增大1周。").chief


def test_headings_and_captions_without_their_picture_go() -> None:
    text = "主诉\n胸闷\n体格检查\n右小腿皮肤红肿，可见水疱。\n皮肤红肿，水疱\n辅助检查\n（1）血常规\n正常。\n（2）腰椎MRI检查"
    shown = sections(text).text
    assert shown.endswith("可见水疱。\n辅助检查\n（1）血常规\n正常。")
    assert sections("主诉\n胸闷\n体格检查\n无异常。\n辅助检查\n胸部CT扫描").text.endswith(
        "无异常。"
    )
    assert "胸片：正常" in sections("主诉\n胸闷\n辅助检查\n胸片：正常").text


def test_circled_numbers_that_skip_one_are_put_in_order() -> None:
    assert renumbered("①甲②乙④丁") == "①甲②乙③丁"
    for text in ("①甲②乙", "①（a）甲①乙", "②甲③乙", "无"):
        assert renumbered(text) == text


def test_a_basis_must_say_something_and_be_told() -> None:
    assert finding("诊断：右肾肿瘤。\n诊断依据：\n根据病史、症状和检查均可明确诊断。") is None
    assert finding(ANSWERS[0]) is not None
    told = "患者，男，40岁，右下腹痛3小时。"
    assert r.basis_not_told("有腹胀、呕吐，类似肠梗阻。", told)
    assert not r.basis_not_told("右下腹痛，消瘦。", told)


def answered(tmp_path: Path, question: str, answer: str) -> list[tuple[str, str]]:
    pairs = [{"question": question, "answer": answer}]
    return reasons(made(tmp_path, case(QA_pairs=pairs, department=None)))


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (
            "该患者最可能的诊断是什么？",
            "男，50岁，病程较短。主诉：咳嗽、发热2天。查体：右下肺湿啰音。胸片：右下肺片状影。",
            "off_topic",
        ),
        (
            "该患者最可能的诊断是什么？",
            "老年男性，受凉后起病，首先考虑右下肺炎，需要抗感染治疗。",
            "contradicts_case",
        ),
        (
            QUESTIONS[0],
            "诊断：右下肺炎？\n诊断依据：①受凉后咳嗽、发热；②右下肺湿啰音。",
            "unsure_diagnosis",
        ),
        (
            "需要与哪些疾病鉴别？",
            "原发性：包括多种先天因素引起的肺炎；继发性：由各种病原和肿瘤引起的肺炎。",
            "no_distinction",
        ),
        (
            "治疗原则是什么？",
            "主要采用药物治疗，可口服或静脉给药。",
            "output_too_short",
        ),
        ("治疗原则是什么？", "主要采用药物治疗，给药方式可选择口服或静脉。", "thin_answer"),
    ],
)
def test_an_answer_that_no_doctor_would_sign(
    tmp_path: Path, question: str, answer: str, reason: str
) -> None:
    assert reason in {why for why, _ in answered(tmp_path, question, answer)}


def test_a_family_history_denied_is_none() -> None:
    given = "患者，男，50岁。家族史：否认遗传性疾病史。"
    assert r.contradicts_case("中年男性，肿瘤家族史阳性。", given)
    assert not r.contradicts_case("中年男性，吸烟史。", given)
    assert not r.contradicts_case("中老年男性。", "男，70岁。")


def test_a_reason_holds_the_tests_but_not_what_found_nothing(tmp_path: Path) -> None:
    answer = "诊断：右下肺炎。\n诊断依据：①咳嗽、发热2天。②查体无阳性发现。③胸片见右下肺片状影。"
    found = made(tmp_path, case(QA_pairs=[{"question": QUESTIONS[0], "answer": answer}]))
    output = by_recipe(found)["case-initial-diagnosis"].output
    assert output.endswith("1. 咳嗽、发热2天；\n2. 胸片见右下肺片状影。")


def test_a_treatment_is_asked_for_with_what_its_question_tells(tmp_path: Path) -> None:
    plan = {"question": "穿刺证实病人为急性脓胸，接下来该怎样治疗？", "answer": ANSWERS[2]}
    told = by_recipe(made(tmp_path, case(QA_pairs=[plan])))["case-treatment-plan"].input
    assert told.endswith("\n补充：穿刺证实病人为急性脓胸。")
    said = f"{DESCRIPTION}\n诊断：右下肺炎，待查。"
    once = by_recipe(made(tmp_path, case(description=said)))["case-treatment-plan"].input
    assert once.count("诊断：") == 1
    over = f"{DESCRIPTION}\n治疗经过\n抗感染治疗7天后好转出院。"
    assert "case-treatment-plan" not in by_recipe(made(tmp_path, case(description=over)))


def test_a_grading_is_asked_for_in_its_own_words(tmp_path: Path) -> None:
    question = "该病人处于什么代偿阶段？为什么？"
    answer = "已经失代偿；理由：pH 7.52，高于正常，实际的二氧化碳分压在预测范围之内。"
    found = by_recipe(made(tmp_path, case(QA_pairs=[{"question": question, "answer": answer}])))
    assert found["case-disease-grading"].input.endswith(f"\n问题：{question}")


# ---- dialogues


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("最可能的诊断是什么？", "男，50岁。主诉：咳嗽。查体：右下肺湿啰音。"),
        ("最可能的诊断是\nA. 肺炎\nB. 肺癌\nC. 肺结核", "答案是A，即右下肺炎。"),
        ("根据胸部CT，请问首先考虑什么？", "考虑右下肺炎。"),
    ],
)
def test_a_question_that_cannot_be_put_is_no_turn(
    tmp_path: Path, question: str, answer: str
) -> None:
    row = case()
    row["QA_pairs"] = [{"question": question, "answer": answer}, *row["QA_pairs"]]
    dialogue = dialogue_of(documents(tmp_path, row)[0])
    assert [t.reference for t in dialogue.turns] == list(ANSWERS)
    assert dialogue.turns[0].question.startswith(dialogue.context)


def test_a_case_that_holds_its_answers_is_no_dialogue(tmp_path: Path) -> None:
    row = case(description=f"{DESCRIPTION}\n本例各题答案\n1.肝素用量？\n每公斤三毫克。")
    assert dialogue_of(documents(tmp_path, row)[0]).turns == ()


# ---- what patients tell


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("肚子疼，但他常常说头昏。", ""),
        ("我胃疼，他说没事。", "患者自述"),
        ("我二姐一直口渴。", "家属代述"),
        ("厂里的王领班得了肝炎。", "家属代述"),
    ],
)
def test_a_nameless_third_person_tells_nothing(text: str, who: str) -> None:
    assert narrative.teller(text) == who


@pytest.mark.parametrize(
    "asked",
    [
        "治大三阳的药有那些",
        "这是一种什么样的病",
        "会引起口臭么",
        "彻底治愈",
        "这种降压药要吃几年",
        "喝什么茶",
    ],
)
def test_what_is_asked_is_not_told(asked: str) -> None:
    assert narrative.narrative(f"我有乙肝三年。{asked}。") == "我有乙肝三年。"


@pytest.mark.parametrize("text", ["清晨上床睡觉，醒来头昏。", "表现出得很疲惫。"])
def test_words_that_a_machine_put_there(text: str) -> None:
    assert chat.reworded(text)
    assert not chat.reworded("早上起床胃胀痛，吃饭不香，一直注射胰岛素。")


@pytest.mark.parametrize(
    ("text", "specialty", "wrong"),
    [
        ("高血压好多年，上个月又得了脑梗塞。", "cardiology", True),
        ("高血压好多年，上个月又得了脑梗塞。", "neurology", False),
        ("有高血压，最近手抖。", "cardiology", True),
        ("有甲亢，最近手抖。", "endocrinology", False),
        ("有高血压，最近头晕。", "cardiology", False),
    ],
)
def test_what_the_neurologist_sees(text: str, specialty: str, wrong: bool) -> None:
    assert triage.wrong_department(text, specialty) is wrong


def test_a_question_for_all_is_one_question_and_no_hearsay() -> None:
    answer = (
        "癫痫由大脑神经元异常放电引起，病因有遗传、脑外伤、感染和肿瘤等，"
        "发作形式取决于放电的部位，脑电图和磁共振检查有助于明确病因，应当规律服药。"
    )
    for asked, general in (
        ("癫痫的病因有哪些？", True),
        ("癫痫？那是什么病啊？会不会很严重？", False),
        ("据说癫痫会遗传，是什么原因？", False),
    ):
        found = turns((asked, answer))
        assert ("disease_inquiry" in found) is general


def test_a_question_for_more_needs_what_was_said_before() -> None:
    first = ("我昨天做了胫骨骨折手术，请问多久能走？", "六周左右。")
    reply = (
        "可以先做踝泵练习，每天三次，每次十分钟，再逐渐增加膝关节屈伸的幅度，"
        "四周后扶拐部分负重，循序渐进，避免剧烈运动；训练后肿胀明显时抬高患肢休息，疼痛不退时暂停一天再继续。"
    )
    assert "rehabilitation_guidance" in turns(first, ("怎样做康复训练？", reply))
    assert "rehabilitation_guidance" not in turns(first, ("还有哪些康复训练方法？", reply))


def test_whom_it_befalls_decides_between_two_specialties() -> None:
    text = "患儿出生后皮肤黄染，腹部膨隆，脾大，全腹无反跳痛。"
    assert by_words("胆道闭锁", text).id == "pediatrics"


def test_a_date_with_its_year_that_lost_its_day_sign_is_one() -> None:
    assert "25" not in cleaned("2011年2月25急性黄疸肝炎入院。")
    assert "25例" in cleaned("2011年2月25例患者入组。")
