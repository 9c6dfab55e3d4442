"""The bridge to inspect_ai: a run as a log that it reads back, benchmarks as its tasks. Offline, on its mock model."""

import gc
import json
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.test_run import Judge, Junior
from wardround.artifact import open_artifact
from wardround.benchmarks import BENCHMARKS, benchmark
from wardround.benchmarks.inspect_bridge import inspect_task, need_inspect
from wardround.benchmarks.inspect_log import write_inspect_logs
from wardround.benchmarks.run import Settings, evaluate
from wardround.cli import main
from wardround.errors import NotSealedError, UsageError
from wardround.lineage import verify
from wardround.models.names import open_model
from wardround.records import Answer, Message, Request

# inspect_ai calls some of its own dependencies by names they have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

QUESTIONS = ("咳嗽三天", "伴有发热", "痰中带血")


@pytest.fixture
def inspect_ai(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    monkeypatch.setenv("INSPECT_LOG_DIR", str(tmp_path / "logs"))
    return pytest.importorskip("inspect_ai", reason="needs the extra `inspect`")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {"category": "Triage", "input": q, "output": f"参考{q}", "id": str(k)}
        for k, q in enumerate(QUESTIONS)
    ]
    return written(tmp_path / "test.jsonl", rows)


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    rows = [
        {"id": n, "reference": "参考", **{f"turn_{k}_question": f"{n}问{k}" for k in (1, 2, 3)}}
        for n in ("a", "b")
    ]
    return written(tmp_path / "dialogues.jsonl", rows)


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


def logged(run: Path, file: Path) -> Any:
    from inspect_ai.log import read_eval_log

    (path,) = write_inspect_logs(run, file)
    return read_eval_log(str(path))


# -- a run as a log -------------------------------------------------------------------------------------------


def test_a_run_is_read_back_with_its_figures(inspect_ai: Any, data: Path, tmp_path: Path) -> None:
    judges = [Judge("mild"), Judge("strict", {"答天": ["[[3]]"]})]
    run = tmp_path / "run"
    evaluate(["doctorflan_test"], data, Junior(), judges, run, Settings(repeats=2))
    log = logged(run, tmp_path / "run.eval")
    manifest = open_artifact(run).manifest
    assert (log.status, log.eval.task) == ("success", "doctorflan_test")
    assert (log.eval.model, log.eval.metadata["model"]) == ("wardround/junior", "junior")
    assert log.eval.metadata["digest"] == manifest.digest
    assert log.eval.metadata["labels"] == log.eval.tags == list(manifest.labels)
    assert log.eval.config.epochs == 2
    assert [(s.id, s.epoch) for s in log.samples] == [(str(k), e) for e in (1, 2) for k in range(3)]
    sample = log.samples[0]
    assert [(m.role, m.text) for m in sample.messages] == [
        ("user", "咳嗽三天"),
        ("assistant", "答天"),
    ]
    assert (sample.target, sample.output.completion) == ("参考咳嗽三天", "答天")
    assert {k: s.value for k, s in sample.scores.items()} == {
        "score": 5.0, "score: mild": 7.0, "score: strict": 3.0,
    }  # fmt: skip
    assert sample.scores["score: strict"].explanation == "[[3]]"
    figures = json.loads((run / "summary.json").read_text())["benchmarks"]["doctorflan_test"]
    found = {s.name: s for s in log.results.scores}
    assert found["score"].metrics["mean"].value == figures["overall"]["mean"]
    assert found["score"].metrics["ci95_low"].value == figures["overall"]["low"]
    assert found["score: strict"].metrics["mean"].value == pytest.approx((3 + 7 + 7) / 3)
    assert (found["score"].scored_samples, found["score"].unscored_samples) == (6, 0)
    assert log.stats.model_usage["wardround/junior"].input_tokens == 6 * 3


def test_turns_and_the_models_own_answers(inspect_ai: Any, dialogues: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    evaluate(["dotabench"], dialogues, Junior(), [Judge()], run, Settings())
    log = logged(run, tmp_path / "run.eval")
    first = log.samples[0]
    assert [m.text for m in first.messages] == ["a问1", "答1", "a问2", "答2", "a问3", "答3"]
    assert [m.text for m in first.input] == ["a问1"]
    assert first.target == ["参考"] * 3
    assert list(first.scores) == ["turn_1", "turn_2", "turn_3"]
    assert [s.name for s in log.results.scores] == ["turn_1", "turn_2", "turn_3"]
    assert log.results.metadata["overall"]["mean"] == 7.0


def test_what_has_no_score_has_none_in_the_log(inspect_ai: Any, data: Path, tmp_path: Path) -> None:
    from inspect_ai.log import recompute_metrics

    run = tmp_path / "run"
    judge = Judge(replies={"答热": ["说不好"]})
    model = Junior(fail="痰中带血")
    evaluate(["doctorflan_test"], data, model, [judge], run, Settings(accept_failures=True))
    log = logged(run, tmp_path / "run.eval")
    scored, unscored, lost = (s.scores["score"] for s in log.samples)
    assert scored.value == 7.0
    for score, status, reason in (
        (unscored, "unscored", "no verdict in the judge's reply"),
        (lost, "failed", "http 500: Internal Server Error"),
    ):
        assert math.isnan(score.value)
        assert score.reason == score.metadata["reason"] == reason
        assert score.metadata["status"] == status
    assert [s.error is None for s in log.samples] == [True, True, False]
    assert [m.role for m in log.samples[2].messages] == ["user"]
    (figure,) = log.results.scores
    assert figure.metrics["mean"].value == 7.0
    assert (figure.scored_samples, figure.unscored_samples) == (1, 2)
    assert figure.metadata == {"scored": 1, "unscored": 1, "failed": 1}
    recompute_metrics(log)  # by inspect_ai's own mean
    (again,) = log.results.scores
    assert (again.metrics["mean"].value, again.unscored_samples) == (7.0, 2)


def test_nothing_scored_gives_no_mean(inspect_ai: Any, data: Path, tmp_path: Path) -> None:
    from inspect_ai.log import recompute_metrics

    evaluate(["doctorflan_test"], data, Junior(), [], tmp_path / "run", Settings())
    log = logged(tmp_path / "run", tmp_path / "run.eval")
    (figure,) = log.results.scores
    assert (figure.metrics, figure.unscored_samples) == ({}, 3)
    recompute_metrics(log)
    assert math.isnan(log.results.scores[0].metrics["mean"].value)


def test_prompts_around_questions_are_shown_while_the_test_file_is_the_same(
    inspect_ai: Any, tmp_path: Path
) -> None:
    row = {"id": "q", "question": "哪项正确？", "options": {"A": "甲", "B": "乙"}, "answer": "A"}
    data = written(tmp_path / "choice.jsonl", [row])
    run = tmp_path / "run"
    evaluate(["med_choice"], data, open_model("scripted:first-option"), [], run, Settings())
    log = logged(run, tmp_path / "a.eval")
    assert log.eval.metadata["messages"] == "as sent"
    assert "尖括号" in log.samples[0].messages[0].text
    data.write_text(data.read_text().replace("哪项正确", "哪项不正确"), encoding="utf-8")
    log = logged(run, tmp_path / "b.eval")
    assert "not at hand" in log.eval.metadata["messages"]
    assert log.samples[0].messages[0].text.startswith("哪项正确？\nA. ")
    assert log.samples[0].scores["score"].value in (0.0, 1.0)


def test_equal_logs_of_several_benchmarks(inspect_ai: Any, tmp_path: Path) -> None:
    from inspect_ai.log import read_eval_log

    run = tmp_path / "run"
    model, judge = open_model("scripted:echo"), open_model("scripted:overlap")
    evaluate(["dotabench", "doctorflan_test"], None, model, [judge], run, Settings(limit=2))
    once = write_inspect_logs(run, tmp_path / "once" / "x.eval")
    again = write_inspect_logs(run, tmp_path / "again" / "x.json")
    assert [p.name for p in once] == ["x-doctorflan_test.eval", "x-dotabench.eval"]
    for a, b in zip(once, again, strict=True):
        one, other = (read_eval_log(str(p)).model_dump_json() for p in (a, b))
        assert one == other
    assert verify(run).whole


def test_wrong_use(inspect_ai: Any, data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(UsageError, match="no such directory"):
        write_inspect_logs(run, tmp_path / "x.eval")
    evaluate(["doctorflan_test"], data, Junior(fail="咳嗽"), [], run, Settings())
    with pytest.raises(NotSealedError):
        write_inspect_logs(run, tmp_path / "x.eval")
    evaluate(["doctorflan_test"], data, Junior(), [], run, Settings())
    with pytest.raises(UsageError, match=r"ends in \.eval"):
        write_inspect_logs(run, tmp_path / "x.log")
    with pytest.raises(UsageError, match="lies in the run"):
        write_inspect_logs(run, run / "x.eval")
    with pytest.raises(UsageError, match="no benchmark named"):
        inspect_task("nonsense")


def test_the_command(
    inspect_ai: Any,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, file = tmp_path / "run", tmp_path / "run.eval"
    evaluate(["doctorflan_test"], data, Junior(), [], run, Settings())
    capsys.readouterr()
    assert main(["show", str(run), "--inspect-log", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert file.exists()
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    assert main(["show", str(run), "--inspect-log", str(file)]) == 2
    assert "wardround[inspect]" in capsys.readouterr().err


def test_without_inspect_ai_the_hint_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    with pytest.raises(UsageError, match=r"wardround\[inspect\]"):
        need_inspect()
    with pytest.raises(UsageError, match="inspect_ai"):
        inspect_task("dotabench")
    with pytest.raises(UsageError, match="inspect_ai"):
        write_inspect_logs(Path("run"), Path("run.eval"))


# -- benchmarks as tasks --------------------------------------------------------------------------------------

Reply = Callable[[Request], Answer]


def mock(name: str, reply: Reply) -> Any:
    """inspect_ai's mock model, answering as `reply` does."""
    from inspect_ai.model import ModelOutput, ModelUsage, get_model

    def output(messages: Any, tools: Any, choice: Any, config: Any) -> Any:
        asked = tuple(Message(role=m.role, content=m.text) for m in messages)
        answer = reply(Request(key="", messages=asked))
        if answer.status == "failed":
            made = ModelOutput.from_content(name, "", "content_filter")
        else:
            made = ModelOutput.from_content(name, answer.text or "")
        made.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return made

    return get_model(f"mockllm/{name}", custom_outputs=output, memoize=False)


def scripted(name: str) -> Reply:
    """What a scripted model says; scripts answer at once, so no loop is needed."""
    model = open_model(f"scripted:{name}")

    def reply(request: Request) -> Answer:
        try:
            model.complete(request).send(None)
        except StopIteration as e:
            answer: Answer = e.value
            return answer
        raise AssertionError("a script waited")

    return reply


def ran(inspect_ai: Any, task: Any, model: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # inspect_ai leaves streams open
        (log,) = inspect_ai.eval(task, model=model, **more)
        gc.collect()
    assert log.status == "success", log.error
    return log


@pytest.mark.parametrize("name", [n for n in BENCHMARKS if benchmark(n).shipped])
def test_a_task_scores_as_a_run_does(inspect_ai: Any, name: str, tmp_path: Path) -> None:
    """Shipped items, the same answers and verdicts: the same scores, turn by turn, and the same messages."""
    said = "first-option" if name in ("med_choice", "rationale") else "echo"
    judged = "overlap" if name in ("doctorflan_test", "dotabench") else "rubric"
    run = tmp_path / "run"
    evaluate(
        [name], None, open_model(f"scripted:{said}"), [open_model(f"scripted:{judged}")], run,
        Settings(limit=5, accept_failures=True),
    )  # fmt: skip
    expected = logged(run, tmp_path / "run.eval")
    task = inspect_task(name, judge=mock("judge", scripted(judged)))
    found = ran(inspect_ai, task, mock("model", scripted(said)), limit=5)
    assert found.eval.metadata["labels"] == [
        x for x in expected.eval.metadata["labels"] if "Starter" in x
    ]
    by_id = {s.id: s for s in found.samples}
    assert len(by_id) == len(expected.samples) == 5
    for sample in expected.samples:
        other = by_id[sample.id]
        assert [m.text for m in other.messages] == [m.text for m in sample.messages]
        assert other.target == sample.target
        assert list(other.scores) == list(sample.scores)
        for key, score in sample.scores.items():
            assert other.scores[key].value == pytest.approx(score.value, nan_ok=True)
            assert other.scores[key].metadata["detail"] == score.metadata["detail"]
    for a, b in zip(found.results.scores, expected.results.scores, strict=True):
        assert (a.name, a.scored_samples) == (b.name, b.scored_samples)
        if name != "case_rubric":  # its headline is held within 0 and 1
            assert a.metrics["mean"].value == pytest.approx(b.metrics["mean"].value)


def test_a_jury_and_a_verdict_asked_for_again(inspect_ai: Any, data: Path) -> None:
    waiting = ["嗯", "再想", "[[4]]"]

    def slow(request: Request) -> Answer:
        return Answer(status="ok", text=waiting.pop(0) if waiting else "[[4]]")

    judges = [mock("a", scripted("verdict=8")), mock("b", slow)]
    log = ran(
        inspect_ai,
        inspect_task("doctorflan_test", data, judge=judges),
        mock("model", scripted("echo")),
        max_samples=1,
    )
    assert waiting == []
    assert [s.scores["score"].value for s in log.samples] == [6.0] * 3
    by_judge = log.samples[0].scores["score"].metadata["judges"]
    assert {k: v["value"] for k, v in by_judge.items()} == {"mockllm/a": 8.0, "mockllm/b": 4.0}


def test_unscored_does_not_enter_a_tasks_mean(inspect_ai: Any, data: Path) -> None:
    def judge(request: Request) -> Answer:
        return Answer(status="ok", text="[[8]]" if "咳嗽" in request.messages[-1].text else "嗯")

    model = mock("model", scripted("echo"))
    log = ran(inspect_ai, inspect_task("doctorflan_test", data, judge=mock("j", judge)), model)
    (figure,) = log.results.scores
    assert (figure.scored_samples, figure.unscored_samples) == (1, 2)
    assert figure.metrics["mean"].value == 8.0
    log = ran(inspect_ai, inspect_task("doctorflan_test", data), model)
    (figure,) = log.results.scores
    assert figure.unscored_samples == 3
    assert math.isnan(figure.metrics["mean"].value)
    assert {s.scores["score"].reason for s in log.samples} == {"no judge was named"}


def test_the_judge_may_come_by_its_role(inspect_ai: Any, data: Path) -> None:
    log = ran(
        inspect_ai, inspect_task("doctorflan_test", data), mock("model", scripted("echo")),
        model_roles={"grader": mock("judge", scripted("verdict=9"))},
    )  # fmt: skip
    assert log.results.scores[0].metrics["mean"].value == 9.0


def test_a_filtered_turn_ends_the_case(inspect_ai: Any, dialogues: Path) -> None:
    def said(request: Request) -> Answer:
        if request.messages[-1].text == "a问2":
            return Answer(status="failed", reason="content filter")
        return Answer(status="ok", text="答")

    log = ran(
        inspect_ai,
        inspect_task("dotabench", dialogues, judge=mock("judge", scripted("verdict=6"))),
        mock("model", said),
        epochs=2,
    )
    for sample in log.samples:
        values = [s.value for s in sample.scores.values()]
        if sample.id == "b":
            assert values == [6.0] * 3
            continue
        assert values[0] == 6.0
        assert all(math.isnan(v) for v in values[1:])
        assert sample.scores["turn_2"].reason == "content filter"
        assert sample.scores["turn_3"].metadata["status"] == "failed"
    assert [s.unscored_samples for s in log.results.scores] == [0, 1, 1]
    assert [s.metrics["mean"].value for s in log.results.scores] == [6.0] * 3


def test_inspect_ai_finds_the_tasks_by_name(inspect_ai: Any, data: Path) -> None:
    log = ran(
        inspect_ai, "wardround/doctorflan_test", mock("model", scripted("echo")),
        task_args={"data": str(data), "language": "en"},
        model_roles={"grader": mock("judge", scripted("verdict=2"))},
    )  # fmt: skip
    assert log.eval.metadata["language"] == "en"
    assert log.results.scores[0].metrics["mean"].value == 2.0
