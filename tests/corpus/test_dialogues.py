from pathlib import Path

import pytest

from tests.corpus.made import ANSWERS, QUESTIONS, case, entry, read, write
from wardround.corpus.dialogues import dialogue_of, dialogues, dotabench_row
from wardround.records import Document, Provenance


def documents(tmp_path: Path, *rows: dict) -> list[Document]:
    path = write(tmp_path / "rows.json", list(rows))
    return [d for d in read(path) if isinstance(d, Document)]


def test_the_first_turn_carries_the_case(tmp_path: Path) -> None:
    (document,) = documents(tmp_path, case())
    made = dialogue_of(document)
    assert [t.reference for t in made.turns] == list(ANSWERS)
    assert made.turns[0].question == f"{made.context}\n\n{QUESTIONS[0]}"
    assert [t.question for t in made.turns[1:]] == list(QUESTIONS[1:])
    assert made.context.startswith("现病史\n（1）病史摘要\n患者，男，50岁")
    assert made.title == "第1号肺炎"


def test_dotabench_row(tmp_path: Path) -> None:
    (document,) = documents(tmp_path, case())
    row = dotabench_row(dialogue_of(document))
    assert list(row) == [
        "id", "turn_1_question", "turn_2_question", "turn_3_question", "reference", "turn_1_reference",
        "turn_2_reference", "turn_3_reference", "specialty", "document", "title",
    ]  # fmt: skip
    assert row["reference"] == "\n\n".join(ANSWERS)
    assert row["specialty"] == "respiratory"
    two = case(QA_pairs=case()["QA_pairs"][:2])
    with pytest.raises(ValueError, match="2 turns"):
        dotabench_row(dialogue_of(documents(tmp_path, two)[0]))


def test_a_single_question_is_no_dialogue(tmp_path: Path) -> None:
    pairs = case()["QA_pairs"]
    found = documents(tmp_path, case(1, QA_pairs=pairs[:1]), case(2, QA_pairs=pairs[:2]), case(3))
    kept, aside = dialogues([*found, *documents(tmp_path, entry())])
    assert sorted(len(d.turns) for d in kept) == [2, 3]
    assert [(e.reason, e.row) for e in aside] == [("fewer_than_two_questions", 1)]


GOOD = "多为胃肠功能紊乱所致，可先行血常规、粪便常规与腹部超声检查，同时少量多次饮水，进食易消化的食物。"


def talk(*pairs: tuple[str, str], specialty: str = "gastroenterology") -> Document:
    return Document(
        id="talk-1", kind="consultation", title="腹痛", departments=("消化科",), specialty=specialty,
        fields={"questions": tuple(q for q, _ in pairs), "answers": tuple(a for _, a in pairs)},
        provenance=Provenance(file="made.jsonl", sha256="0" * 64, row=1),
    )  # fmt: skip


def test_a_consultation_is_set_before_the_doctor_without_chat() -> None:
    made = dialogue_of(
        talk(
            ("肚子疼两天了，怎么办？", f"您好，{GOOD}"),
            ("要吃药吗？", f"建议您暂不用药。{GOOD}祝您健康！"),
            ("好的，谢谢医生。", "不客气，祝您早日康复！"),
        )
    )
    assert [t.question for t in made.turns] == [
        "患者自述：肚子疼两天了，怎么办？\n请给出答复要点。",
        "患者接着说：要吃药吗？\n请给出答复要点。",
    ]
    assert [t.reference for t in made.turns] == [GOOD, f"建议暂不用药。{GOOD}"]


@pytest.mark.parametrize(
    "bad", ["请到医院就诊。", f"{GOOD}我院专家会诊。", f"{GOOD}病情引来不适。", f"2.{GOOD}"]
)
def test_a_consultation_ends_before_a_reply_that_is_no_reference(bad: str) -> None:
    pairs = [
        ("肚子疼两天了。", GOOD),
        ("要吃药吗？", GOOD),
        ("还要查什么？", bad),
        ("几天能好？", GOOD),
    ]
    assert len(dialogue_of(talk(*pairs)).turns) == 2
    assert dialogue_of(talk(*pairs, specialty="unmapped")).turns == ()
    kept, aside = dialogues([talk(*pairs), talk(("肚子疼。", bad), ("怎么办？", GOOD))])
    assert (len(kept), [e.reason for e in aside]) == (1, ["fewer_than_two_questions"])
