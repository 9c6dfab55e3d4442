"""Departments that can't be right for what is told."""

import pytest

from wardround.corpus import triage


@pytest.mark.parametrize(
    ("text", "specialty", "missed"),
    [
        ("今早呕血两次。", "gastroenterology", True),
        ("无呕血、黑便。", "gastroenterology", False),
        ("三年前曾昏迷。", "neurology", False),
        ("意识不清半天。", "emergency_critical_care", False),
        ("呼吸困难三天。", "respiratory", False),
        ("突然呼吸困难。", "respiratory", True),
        ("呼吸困难三天。", "gastroenterology", True),
        ("主要表现为胸痛、呼吸衰竭。", "respiratory", True),
        ("主要表现为咳嗽、慢性呼吸衰竭。", "thoracic_surgery", False),
        ("主要表现为无力、紫绀、消瘦。", "respiratory", True),
        ("主要表现为乏力、发绀。", "pediatrics", True),
        ("无发绀、水肿。", "respiratory", False),
        ("夜间端坐呼吸。", "cardiology", True),
        ("乏力、心力衰竭。", "respiratory", True),
        ("乏力、心力衰竭。", "cardiology", False),
        ("慢性心力衰竭。", "respiratory", False),
        ("低热、惊厥。", "pediatrics", True),
        ("反复抽搐多年。", "neurology", False),
        ("小腿抽搐。", "endocrinology", False),
        ("声嘶、喉头水肿。", "thoracic_surgery", True),
        ("呼吸抑制，三凹征。", "pediatrics", True),
        ("打鼾、睡眠呼吸暂停。", "respiratory", False),
        ("无明显诱因昏迷。", "neurology", True),
        ("主要表现为咯血、心脏压塞征象。", "respiratory", True),
        ("主要表现为咯血、心脏压塞征象。", "emergency_critical_care", False),
    ],
)
def test_emergency_missed(text: str, specialty: str, missed: bool) -> None:
    assert triage.emergency_missed(text, specialty) is missed


@pytest.mark.parametrize(
    ("text", "specialty", "wrong"),
    [
        ("好发人群：5岁以下儿童", "respiratory", True),
        ("儿童、高龄老人", "respiratory", False),
        ("孩子3岁，室间隔缺损", "cardiovascular_surgery", False),
        ("患者，男，56岁", "pediatrics", True),
        ("患儿，8个月大", "pediatrics", False),
        ("工作13年", "cardiology", False),
        ("家属代述：亲戚家的女儿才两岁半，不对，是两岁四个月，常抽筋。", "neurology", True),
        ("家属代述：我家孩子上课时昏倒。", "neurology", True),
        ("家属代述：我儿子跑步时晕倒。", "neurology", True),
        ("家属代述：我儿子28岁，跑步时晕倒。", "neurology", False),
        ("家属代述：我儿子上高中，跑步时晕倒。", "neurology", False),
        ("家属代述：宝宝出生五天，反复吐奶。", "gastroenterology", True),
        ("家属代述：我妈头晕，女儿带她量了血压。", "cardiology", False),
        ("患者自述：头晕，女儿给我买了降压药。", "cardiology", False),
        ("患者自述：十岁的时候得过肾炎，最近腿肿。", "nephrology", False),
        ("患者自述：今年三十岁，尿频。", "nephrology", False),
    ],
)
def test_wrong_age_department(text: str, specialty: str, wrong: bool) -> None:
    assert triage.wrong_age_department(text, specialty) is wrong


@pytest.mark.parametrize(
    ("text", "specialty", "wrong"),
    [
        ("做试管婴儿取卵以后肚子胀。", "gastroenterology", True),
        ("做试管婴儿取卵以后肚子胀。", "obstetrics_gynecology", False),
        ("这两天小腹隐痛，腰也酸。", "orthopedics", True),
        ("高血压吃着药，这周嗓子疼、流鼻涕。", "cardiology", True),
        ("感冒嗓子疼以后心慌。", "cardiology", False),
        ("反酸烧心，嗓子也疼。", "gastroenterology", False),
        ("左胸口疼，还咳嗽。", "gastroenterology", True),
        ("胃胀，胸口疼，反酸。", "gastroenterology", False),
        ("有乙肝，这个月月经推迟。", "infectious_disease", True),
        ("有乙肝，月经推迟。", "endocrinology", False),
        ("无月经推迟，乏力。", "infectious_disease", False),
        ("女儿满月，黄疸未退。", "infectious_disease", True),
    ],
)
def test_wrong_department(text: str, specialty: str, wrong: bool) -> None:
    assert triage.wrong_department(text, specialty) is wrong
