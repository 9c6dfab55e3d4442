"""What a patient tells, apart from what a patient asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.test_matching import FULL, consultation, document, made, tasks
from wardround.corpus import chat, narrative
from wardround.records import Sample


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("您好，肚子胀三天了，怎么办？", "肚子胀三天了。"),
        ("医生，我反酸两周。请问要吃什么药？谢谢！", "我反酸两周。"),
        ("我母亲头晕，想咨询一下专家，是不是高血压。", "我母亲头晕。"),
        ("胃疼，能治好吗", ""),
        ("怎么回事？", ""),
    ],
)
def test_questions_and_courtesies_go(text: str, told: str) -> None:
    assert narrative.narrative(text) == told


@given(st.text(max_size=80))
def test_what_is_told_ends_and_is_told_again_alike(text: str) -> None:
    told = narrative.narrative(text)
    assert told == "" or len(told) >= narrative.LEAST
    assert narrative.question(text) == "" or narrative.question(text)[-1] in "？”）"


def test_a_denied_complaint_is_none() -> None:
    assert narrative.complaints("胃胀，不恶心呕吐，没有腹泻，感觉不舒服头晕") == ("胃胀", "头晕")
    assert narrative.complaints("血尿酸高，胃镜见红斑性胃炎、幽门水肿，腿水肿") == ("水肿",)
    assert narrative.illnesses("我有高血压，没有冠心病", "cardiology") == ("高血压",)
    for text in ("怀疑是高血压", "去看了高血压病人", "父辈有高血压家族史"):
        assert narrative.illnesses(text, "cardiology") == ()
    assert narrative.belongs("每天拉肚子", "gastroenterology")
    assert not narrative.belongs("每天拉肚子", "cardiology")


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("我胃疼两天。", "患者自述"),
        ("我妈胃疼两天。", "家属代述"),
        ("孩子发烧。", "家属代述"),
        ("我二伯头晕。", "家属代述"),
        ("女儿给我买了药，我胃疼。", "患者自述"),
        ("我爷爷有肝炎，我最近也恶心。", ""),
    ],
)
def test_who_tells_it(text: str, who: str) -> None:
    assert narrative.teller(text) == who


def test_a_triage_case_is_told_and_its_reason_names_the_illness() -> None:
    asked = "我有糖尿病五年了，最近口渴、多尿，人也瘦了，不知道该怎么办？"
    found = tasks(
        consultation(asked, "请复查血糖。", title="糖尿病口渴怎么办？", department="内分泌科")
    )
    assert found["triage"].input.endswith(
        "‹病例描述>：患者自述：我有糖尿病五年了，最近口渴、多尿，人也瘦了。"
    )
    assert found["triage"].output == (
        "内分泌科\n分诊理由：患者有糖尿病，主诉口渴、多尿、瘦了，属内分泌科诊治范围。"
    )


@pytest.mark.parametrize(
    ("asked", "department", "rule"),
    [
        ("我胃胀打嗝半个月了，昨天晚上开始呕血，人很没劲。", "消化科", "emergency_missed"),
        ("我胃胀一周了，今天突然呼吸困难，还恶心反酸。", "消化科", "emergency_missed"),
        ("我今年6岁的小孩总是胃胀、肚子疼，吃不下饭。", "消化科", ""),
    ],
)
def test_no_department_is_told_that_would_be_wrong(asked: str, department: str, rule: str) -> None:
    found = made(consultation(asked, "好的。", department=department))
    assert found.samples == []
    assert not rule or rule in {e.reason for e in found.aside}


def turns(*pairs: tuple[str, str]) -> dict[str, Sample]:
    questions, answers = zip(*pairs, strict=True)
    return tasks(
        document("consultation", questions[0], ("骨科",), questions=questions, answers=answers)
    )


CARE = (
    "术后应抬高患肢，保持切口敷料干燥，定期换药拆线；麻醉清醒后即做踝泵练习预防血栓，"
    "按计划下床负重，出现发热、切口渗液或小腿肿痛时请及时复诊处理，一个月后复查拍片。"
)


def test_a_later_question_needs_a_case_that_fits_it() -> None:
    after = ("手术后护理上要注意什么？", CARE)
    found = turns(("我昨天做了胫骨骨折手术，请问多久能走？", "六周左右。"), after)
    assert found["postoperative_care"].input.endswith(
        "‹病例描述>：患者自述：我昨天做了胫骨骨折手术。\n问题：手术后护理上要注意什么？"
    )
    assert "应及时复诊" in found["postoperative_care"].output
    assert turns(("取钢钉要多少钱？", "五千元左右。"), after) == {}
    assert turns(("我的膝盖一弯就响三个月了。", "多休息。"), after) == {}


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("癫痫会遗传吗？", "患者的情况是发作频繁，应当尽早控制，避免跌倒和咬伤舌头。"),
        ("癫痫会遗传吗？", "癫痫发作时应扶住身体慢慢放倒，头偏向一侧，防止跌伤。"),
        ("如何预防癫痫？", "癫痫的发作形式很多，有失神和强直阵挛等，脑电图可见放电。"),
    ],
)
def test_another_thing_than_was_asked_is_off_topic(asked: str, answer: str) -> None:
    assert chat.misses(answer, asked)
    assert not chat.misses("部分癫痫与遗传有关，预防重在避免诱因。", asked)
    assert not chat.misses(FULL, "奥美拉唑的副作用是什么？")


@pytest.mark.parametrize(
    "told",
    [
        "胃痛三天，多半是胃炎。", "胃痛，会不会是胃炎，很烦。", "早上吃了胃炎灵，胃痛。", "跟胃炎的症状很像，胃痛。",
        "劝我少喝酒，否则会引起胃炎，胃痛。", "胃炎还是溃疡，胃痛。", "幽门螺杆菌是胃炎主要病因，胃痛。",
        "胃炎会胃痛。", "我是胃炎妈妈，胃痛。",
    ],
)  # fmt: skip
def test_an_illness_supposed_is_none_told_of(told: str) -> None:
    assert narrative.illnesses(told, "gastroenterology") == ()


@pytest.mark.parametrize("told", ["有胃炎，胃痛。", "胃镜诊断为胃炎，还是胃痛。", "胃炎还是没好。"])
def test_an_illness_found_is_told_of(told: str) -> None:
    assert narrative.illnesses(told, "gastroenterology") == ("胃炎",)


def test_words_within_words_are_no_complaints() -> None:
    assert narrative.complaints("胃炎伴发烧心，严重影响学业。") == ()
    assert narrative.complaints("四肢无力、呕吐。") == ("无力", "呕吐")
