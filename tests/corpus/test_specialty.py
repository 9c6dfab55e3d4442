"""Specialties by department label, else by words, else none."""

import pytest

from wardround.corpus.specialty import by_department, by_words, labelled, specialty_of
from wardround.records import Document, Provenance


def document(title: str, departments: tuple[str, ...] = (), text: str = "") -> Document:
    return Document(
        id="c", kind="case", title=title, departments=departments, specialty="unmapped",
        fields={"description": text or "主诉：不适。"},
        provenance=Provenance(file="a.json", sha256="0" * 64, row=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("departments", "specialty"),
    [
        (("内科", "呼吸内科"), "respiratory"), (("小儿综合",), "pediatrics"), (("肝病科其它",), "infectious_disease"),
        (("家居健康",), "unmapped"), ((), "unmapped"), (("儿科", "家居健康"), "pediatrics"),
    ],
)  # fmt: skip
def test_by_department(departments: tuple[str, ...], specialty: str) -> None:
    assert by_department(departments) == specialty


@pytest.mark.parametrize(
    ("title", "text", "specialty"),
    [
        ("急性阑尾炎", "", "general_surgery"), ("输尿管结石", "", "urology"), ("慢性硬膜下血肿", "", "neurosurgery"),
        ("社区获得性肺炎", "患儿，4岁，发热、咳嗽。", "pediatrics"), ("高血压", "停经30周，妊娠期高血压。", "obstetrics_gynecology"),
        ("头皮热油烫伤", "", "burn_plastic"), ("不适", "不适。", "unmapped"), ("银屑病", "发热", "dermatology"),
    ],
)  # fmt: skip
def test_by_words(title: str, text: str, specialty: str) -> None:
    assert by_words(title, text).id == specialty


def test_two_of_the_same_weight_are_no_answer() -> None:
    found = by_words("阑尾炎与青光眼")
    assert (found.id, found.by) == ("unmapped", "none")
    assert set(found.words) == {"阑尾炎", "青光眼"}


def test_the_source_s_own_label_goes_first() -> None:
    found = specialty_of(document("急性阑尾炎", ("儿科",)))
    assert (found.id, found.by) == ("pediatrics", "department")
    assert labelled(document("急性阑尾炎")).specialty == "general_surgery"
    unknown = document("不适")
    assert labelled(unknown) is unknown
