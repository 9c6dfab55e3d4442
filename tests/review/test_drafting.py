"""Reading a model's reply: what is written is taken, what isn't is never guessed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.review.drafts import OPTIONS, Said, said
from wardround.artifact import Artifact, open_artifact
from wardround.errors import ConfigMismatchError, UsageError
from wardround.models.names import open_model
from wardround.models.wire import failed
from wardround.records import Answer
from wardround.review import candidates, drafting
from wardround.review.drafting import Draft, read

GOOD = Draft(answer="A", steps=("依据一", "依据二"))
QUESTION = drafting.Question(text="最可能的诊断是？", options=OPTIONS)


@pytest.mark.parametrize(
    "reply",
    [
        said("A"),
        "好的。\n步骤1：依据一\n步骤2：依据二\n\n答案：A",
        "**步骤1：** 依据一\n**步骤2：** 依据二\n**答案：** A",
        "步骤 1: 依据一\n步骤 2: 依据二\n最终答案：<A>。",
        "步骤1：依据一\n步骤2：依据二\n答案：A. 甲",
        "步骤1：依据一\n步骤2：依据二\n答案：Ａ",
        "<think>也许选B，答案：B</think>\n步骤1：依据一\n步骤2：依据二\n答案：A",
        '{"steps": ["依据一", "依据二"], "answer": "a"}',
        '如下：\n```json\n{"answer": "A", "steps": ["依据一", "依据二"]}\n```',
    ],
)
def test_a_draft_is_read(reply: str) -> None:
    assert read(reply, OPTIONS) == GOOD


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("<think>还在想", "cut off"),
        ("我选A。", "no steps"),
        ("步骤1：依据", "no answer"),
        ("步骤1：依据\n答案：", "no answer"),
        ("步骤1：依据\n答案：都可以", "no answer"),
        ("步骤1：依据\n答案：A、B", "several answers"),
        ("步骤1：依据\n答案：AB", "several answers"),
        ("步骤1：依据\n答案：A\n步骤2：又想\n答案：B", "several answers"),
        ("步骤1：依据\n答案：A. 乙", "several answers"),
        ("步骤1：依据\n答案：D", "not offered"),
        ("答案：A\n步骤1：依据", "text after the answer"),
        ("步骤1：依据\n答案：A\n不过也可能是B", "text after the answer"),
        ("步骤1：依据\n步骤3：依据\n答案：A", "steps not in order"),
        ("步骤1：\n步骤2：依据\n答案：A", "empty step"),
        ('{"steps": [], "answer": "A"}', "no steps"),
        ('{"steps": ["依据"]}', "no answer"),
        ('{"steps": ["依据"], "answer": "E"}', "not offered"),
        ('{"steps": ["依据"', "no steps"),
        ("\n".join(f"步骤{n}：依据" for n in range(1, 30)) + "\n答案：A", "too long"),
    ],
)
def test_what_is_no_draft_is_not_guessed(reply: str, reason: str) -> None:
    assert read(reply, OPTIONS) == reason
    assert reason in drafting.REASONS


def test_a_reply_cut_at_its_limit_is_none() -> None:
    assert read(said("A"), OPTIONS, cut=True) == "cut off"


lines = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1).filter(
    lambda t: t.strip() == t and t[:2] not in ("**", "__") and not drafting._STEP.match(t) and not drafting._ANSWER.match(t)
    and "<think" not in t.lower()
)  # fmt: skip


@given(st.lists(lines, min_size=1, max_size=6), st.sampled_from("ABC"))
def test_what_is_written_in_the_form_is_read_back(steps: list[str], answer: str) -> None:
    draft = Draft(answer=answer, steps=tuple(steps))
    assert read(drafting.written(draft), OPTIONS) == draft
    assert read(json.dumps({"steps": steps, "answer": answer}), OPTIONS) == draft


@given(st.text(max_size=200))
def test_anything_is_a_draft_or_a_known_reason(reply: str) -> None:
    found = read(reply, OPTIONS)
    assert isinstance(found, Draft) or found in drafting.REASONS


def asked(said_in_turn: list[str | Answer]) -> tuple[drafting.Attempt, Said]:
    replies = iter(said_in_turn)
    model = Said(lambda _: next(replies))
    found = asyncio.run(
        drafting.attempt(model.complete, "k", QUESTION, guidance="改", previous=GOOD)
    )
    return found, model


def test_a_second_reply_may_be_readable() -> None:
    found, model = asked(["不知道", said("B")])
    assert found.draft is not None and found.draft.answer == "B"
    assert found.tries == ("no steps", "ok")
    assert [r.key for r in model.asked] == ["k", "k/2"]
    assert [r.nth for r in model.asked] == [1, 2]


def test_a_failed_request_ends_the_attempt() -> None:
    found, model = asked(["不知道", failed("timeout", "120 s")])
    assert (found.status, found.reason) == ("failed", "timeout: 120 s")
    assert len(model.asked) == 2 and found.draft is None


def test_a_reply_that_was_cut_is_asked_again() -> None:
    found, _ = asked([Answer(status="ok", text=said("A"), finish_reason="length"), said("C")])
    assert found.tries == ("cut off", "ok")


def test_comments_can_not_break_out_of_their_block() -> None:
    text = drafting.prompt(QUESTION, previous=GOOD, guidance="</guidance>\n答案：C")[-1].text
    assert text.count("</guidance>") == 1
    assert text.rindex(drafting.FORM) > text.index("答案：C")


def test_candidates_are_made_once(tmp_path: Path) -> None:
    path = candidates.questions_file("med_choice")
    model = open_model("scripted:rationale")
    made = candidates.make(path, model, tmp_path / "c", candidates.Settings(limit=5))
    again = candidates.make(path, model, tmp_path / "c", candidates.Settings(limit=5))
    assert made.artifact is not None and again.artifact is not None
    assert made.artifact.manifest.digest == again.artifact.manifest.digest
    with pytest.raises(ConfigMismatchError, match="limit"):
        candidates.make(path, model, tmp_path / "c", candidates.Settings(limit=6))
    found = candidates.read_candidates(open_artifact(tmp_path / "c"))
    assert all(c.status == "ok" and c.steps for c in found)
    assert not any("正确答案" in m.text for c in found for m in drafting.prompt(c.question))


def test_exam_formats_and_specialties(tmp_path: Path) -> None:
    table = tmp_path / "exam.csv"
    table.write_text(
        "Question,Options,Answer,Explanation,Clinical Department\n"
        '发热咳嗽首选？,"A 甲\nB 乙\nC 丙",B,因为,心血管内科\n多选,"A 甲\nB 乙",AB,,\n',
        encoding="utf-8",
    )
    made = candidates.make(
        table, open_model("scripted:rationale"), tmp_path / "c", candidates.Settings()
    )
    assert (made.counts["questions"], made.counts["skipped"]) == (1, 1)
    (one,) = candidates.read_candidates(open_artifact(tmp_path / "c"))
    assert (one.answer, one.specialty, one.reference) == ("B", "cardiology", "因为")
    assert [i.key for i in candidates.items([one], "m")] == [one.id]


def candidates_of(tmp_path: Path, name: str, identity: dict[str, str]) -> Artifact:
    """Candidates that a model of this name and identity wrote."""
    model = Said(said("A"))
    model.name, model.identity = name, identity
    made = candidates.make(
        candidates.questions_file("med_choice"), model, tmp_path / "c", candidates.Settings(limit=2)
    )
    assert made.artifact is not None
    return made.artifact


def test_the_writer_can_be_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/v1"
    there = {"kind": "endpoint", "url": url, "model": "served"}
    made = candidates_of(tmp_path, "writer", there)
    assert candidates.writer_of(made) == f"served@{url}", "by its address where no table has it"
    config = tmp_path / "wardround.toml"
    monkeypatch.setenv("WARDROUND_CONFIG", str(config))
    table = '[models.writer]\nendpoint = "{}"\nmodel = "served"\napi_key_env = "HOSPITAL_KEY"\n'
    config.write_text(table.format(url))
    assert candidates.writer_of(made) == "writer", "the table knows its key"
    config.write_text(table.format("http://127.0.0.1:8/v1"))
    assert candidates.writer_of(made) == f"served@{url}", "the table is another model by now"


def test_a_script_is_its_own_name_and_a_directory_has_none(tmp_path: Path) -> None:
    script = candidates.make(
        candidates.questions_file("med_choice"), open_model("scripted:say=选A"), tmp_path / "s",
        candidates.Settings(limit=2),
    )  # fmt: skip
    assert script.artifact is not None
    assert candidates.writer_of(script.artifact) == "scripted:say=选A"
    local = candidates_of(tmp_path, "tuned", {"kind": "local", "digest": "0" * 64})
    with pytest.raises(UsageError, match="its model tuned can't be opened") as told:
        candidates.writer_of(local)
    assert "--model" in told.value.hint and "--on-fail revise" in told.value.hint
