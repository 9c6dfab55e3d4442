"""What the rules leave, put to a model."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.fake import FakeModel, failed, ok
from wardround import taxonomy
from wardround.corpus.compose import Limits, of_document
from wardround.corpus.label import NONE, Left, classify, left, read
from wardround.corpus.recipes import load
from wardround.journal import Journal
from wardround.records import Document, Provenance

ALL = tuple(taxonomy.tasks())


def case(questions: tuple[str, ...], answers: tuple[str, ...]) -> Document:
    return Document(
        id="case-1", kind="case", title="某病", departments=(), specialty="unmapped",
        fields={"description": "主诉：咳嗽2天。\n现病史：2天前受凉后咳嗽。", "questions": questions, "answers": answers},
        provenance=Provenance(file="a.json", sha256="0" * 64, row=1),
    )  # fmt: skip


LONG = "应当先了解起病的情况，再了解诱因、伴随的表现和以往的诊治经过，并作记录。"


def test_only_what_no_rule_asks_for_is_left() -> None:
    found = case(("如何治疗？", "谈谈本例。", "以下哪项对\nA. 甲\nB. 乙\nC. 丙"), (LONG, LONG, "A"))
    assert [x.id for x in left(found, load(), ALL, Limits())] == ["case-1:q2"]


def test_labels_become_samples_that_keep_the_rules() -> None:
    found = case(("谈谈本例。", "再谈谈。"), (LONG, "略。"))
    labels = {"case-1:q1": "inquiry_prompts", "case-1:q2": "follow_up_plan"}
    made = of_document(found, load(), ALL, Limits(), labels=labels)
    assert [(s.task, s.recipe, s.output) for s in made.samples] == [
        ("inquiry_prompts", "labelled-inquiry_prompts", LONG)
    ]
    assert "问题：谈谈本例。" in made.samples[0].input
    assert {e.reason for e in made.aside} == {"output_too_short"}


def test_replies_are_read_strictly() -> None:
    text = "1: triage\n2：分诊\n3. Next Examinations\n第4项: `none`\n5: 心内科\n6: triage 或 case_summary\n7: triage\n7: none\n废话"
    assert read(text, 9) == ["triage", "triage", "next_examinations", NONE, "", "", "", "", ""]


@given(st.text(max_size=200), st.integers(0, 12))
def test_nothing_but_a_task_is_ever_read(text: str, count: int) -> None:
    labels = read(text, count)
    assert len(labels) == count
    assert set(labels) <= {*ALL, NONE, ""}


def items(count: int) -> list[Left]:
    return [Left(id=f"d{n:03}:q1", question=f"问题{n}", answer="答案") for n in range(count)]


def numbers(text: str) -> list[str]:
    return re.findall(r"^(\d+)\. 问题", text, re.M)


def test_batches_abstention_and_replay(tmp_path: Path) -> None:
    model = FakeModel(
        lambda r: ok(
            "\n".join(
                f"{n}: {('triage', NONE, '胡说')[int(n) % 3]}" for n in numbers(r.messages[-1].text)
            )
        )
    )
    with Journal(tmp_path / "j.jsonl", config="x") as journal:
        found = classify(items(7), model, tasks=ALL, journal=journal, concurrency=2, batch=3)
    assert (found.asked, len(found.tasks), found.none, found.unread, found.failed) == (
        7,
        2,
        3,
        2,
        0,
    )
    assert set(found.tasks.values()) == {"triage"}
    again = FakeModel()
    with Journal(tmp_path / "j.jsonl", config="x") as journal:
        assert (
            classify(
                reversed(items(7)), again, tasks=ALL, journal=journal, concurrency=2, batch=3
            ).tasks
            == found.tasks
        )
    assert again.asked == []


def test_a_failed_request_labels_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", config="x") as journal:
        found = classify(
            items(2), FakeModel(lambda _: failed()), tasks=ALL, journal=journal, concurrency=1
        )
    assert (found.tasks, found.failed) == ({}, 2)


def test_a_task_that_was_not_offered_is_no_label(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.jsonl", config="x") as journal:
        found = classify(
            items(1),
            FakeModel(lambda _: ok("1: triage")),
            tasks=("case_summary",),
            journal=journal,
            concurrency=1,
        )
    assert (found.tasks, found.unread) == ({}, 1)
