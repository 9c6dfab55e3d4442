"""The runner on real models: scripted ones, and a small one of the test's own that can fail or be killed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from wardround.artifact import begin, open_artifact
from wardround.benchmarks.compare import compare
from wardround.benchmarks.run import Outcome, Settings, evaluate
from wardround.errors import (
    ConfigMismatchError,
    ModelError,
    NotSealedError,
    UsageError,
)
from wardround.models.names import open_model
from wardround.models.prompt import read_block
from wardround.records import Answer, Request


class Junior:
    """Answers "答" plus the question's last character; counts calls; fails, dies or says nothing on demand."""

    labels: tuple[str, ...] = ("测试模型 / test model",)

    def __init__(
        self, name: str = "junior", *, fail: str = "", die_after: int | None = None
    ) -> None:
        self.name = name
        self.identity = {"kind": "test", "model": name}
        self.calls: Counter[str] = Counter()
        self.fail, self.die_after = fail, die_after

    async def check(self) -> None:
        return None

    async def complete(self, request: Request) -> Answer:
        if self.die_after is not None and self.calls.total() >= self.die_after:
            raise ModelError("gone", hint="again")
        self.calls[request.key] += 1
        question = request.messages[-1].text
        if self.fail and self.fail in question:
            return Answer(status="failed", reason="http 500: Internal Server Error")
        return Answer(status="ok", text=f"答{question[-1]}", tokens_in=3, tokens_out=2)

    async def close(self) -> None:
        return None


class Judge(Junior):
    """Gives 7, or whatever `replies` holds for the answer at hand, one after the other."""

    labels: tuple[str, ...] = ("测试评审 / test judge",)

    def __init__(self, name: str = "judge", replies: dict[str, list[str]] | None = None) -> None:
        super().__init__(name)
        self.replies = replies or {}

    async def complete(self, request: Request) -> Answer:
        self.calls[request.key] += 1
        answer = read_block("answer", request.messages[-1].text) or ""
        waiting = self.replies.get(answer, ["[[7]]"])
        reply = waiting[0] if len(waiting) == 1 else waiting.pop(0)
        if reply == "FAIL":
            return Answer(status="failed", reason="http 503: busy")
        return Answer(status="ok", text=reply)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [
        {"category": c, "input": f"{c}题{i}", "output": f"参考{i}", "id": f"{c}-{i}"}
        for c in ("Triage", "Treatment Plan")
        for i in range(4)
    ]
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    rows = [
        {"id": n, "reference": "参考", **{f"turn_{k}_question": f"{n}问{k}" for k in (1, 2, 3)}}
        for n in ("a", "b")
    ]
    path = tmp_path / "dialogues.jsonl"
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


def run(
    data: Path,
    out: Path,
    model: Junior | None = None,
    judges: list[Judge] | None = None,
    name: str = "doctorflan_test",
    **settings: Any,
) -> Outcome:
    judges = [Judge()] if judges is None else judges
    return evaluate([name], data, model or Junior(), judges, out, Settings(**settings))


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (out / "records.jsonl").read_text().splitlines()]


def summary(out: Path, name: str = "doctorflan_test") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "summary.json").read_text())["benchmarks"][name]
    return found


def test_a_run_is_sealed_with_its_figures(data: Path, tmp_path: Path) -> None:
    outcome = run(data, tmp_path / "run")
    assert outcome.artifact is not None
    assert outcome.artifact.manifest.labels == ("测试模型 / test model", "测试评审 / test judge")
    cost = outcome.artifact.manifest.cost
    assert (cost["requests"], cost["tokens_in"], cost["tokens_out"]) == (16, 24, 16)
    assert (cost["junior: requests"], cost["junior: tokens_out"]) == (8, 16)
    assert cost["judge: tokens_untold"] == 8
    assert "cost" not in cost
    found = summary(tmp_path / "run")
    assert found["counts"] == {"scored": 8, "unscored": 0, "failed": 0}
    assert found["overall"]["mean"] == 7.0
    assert [t["task"] for t in found["by_task"]] == ["triage", "treatment_plan"]
    assert [t["estimate"]["n"] for t in found["by_task"]] == [4, 4]


def test_without_a_judge_everything_is_unscored_not_zero(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", judges=[])
    found = summary(tmp_path / "run")
    assert found["counts"] == {"scored": 0, "unscored": 8, "failed": 0}
    assert found["overall"]["mean"] is None
    assert found["reasons"] == {"no judge was named": 8}


def test_a_jury_keeps_each_judge_and_means_over_those_that_scored(
    data: Path, tmp_path: Path
) -> None:
    mute = Judge("mute", {"答0": ["说不好"]})
    strict = Judge("strict", {"答0": ["[[3]]"], "答1": ["[[3]]"]})
    run(data, tmp_path / "run", judges=[mute, strict])
    by_id = {r["case"]: r for r in lines(tmp_path / "run")}
    assert by_id["Triage-0"]["judges"]["mute"]["status"] == "unscored"
    assert by_id["Triage-0"]["score"]["value"] == 3.0
    assert by_id["Triage-1"]["score"]["value"] == 5.0
    assert by_id["Triage-2"]["score"]["value"] == 7.0


def test_a_judge_without_verdict_is_asked_again_twice_at_most(data: Path, tmp_path: Path) -> None:
    judge = Judge(replies={"答0": ["嗯", "再想", "[[4]]"], "答1": ["不知道"]})
    run(data, tmp_path / "run", judges=[judge], limit=2)
    zero, one = lines(tmp_path / "run")
    assert (zero["score"]["status"], zero["score"]["value"]) == ("scored", 4.0)
    assert one["score"]["status"] == "unscored"
    assert one["score"]["value"] is None
    asked = Counter(key.rsplit("/", 3)[0] for key in judge.calls)
    assert asked == {"doctorflan_test/Triage-0/r1/t1": 3, "doctorflan_test/Triage-1/r1/t1": 3}
    assert summary(tmp_path / "run")["counts"] == {"scored": 1, "unscored": 1, "failed": 0}


def test_turns_carry_the_models_own_answers(dialogues: Path, tmp_path: Path) -> None:
    model = Junior()
    run(dialogues, tmp_path / "run", model, name="dotabench")
    found = lines(tmp_path / "run")
    assert [(r["case"], r["turn"], r["answer"]) for r in found] == [
        (c, k, f"答{k}") for c in "ab" for k in (1, 2, 3)
    ]
    assert len(model.calls) == 6
    by_turn = summary(tmp_path / "run", "dotabench")["by_turn"]
    assert [t["turn"] for t in by_turn] == [1, 2, 3]


def test_a_failed_turn_fails_the_turns_after_it(dialogues: Path, tmp_path: Path) -> None:
    model = Junior(fail="a问2")
    outcome = run(dialogues, tmp_path / "run", model, name="dotabench")
    assert outcome.artifact is None
    statuses = [(r["case"], r["turn"], r["score"]["status"]) for r in lines(tmp_path / "run")]
    assert statuses[:3] == [("a", 1, "scored"), ("a", 2, "failed"), ("a", 3, "failed")]
    assert all(s == "scored" for _, _, s in statuses[3:])
    third = lines(tmp_path / "run")[2]
    assert third["answer"] is None
    assert third["reason"] == "an earlier turn of this case failed"
    assert "dotabench/a/r1/t3/answer" not in model.calls


def test_failures_leave_the_run_open_and_only_they_are_asked_again(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    first, judge = Junior(fail="Triage题1"), Judge()
    outcome = run(data, out, first, [judge])
    assert (outcome.artifact, outcome.failed) == (None, 1)
    assert outcome.reasons == {"http 500": 1}
    with pytest.raises(NotSealedError):
        open_artifact(out)
    assert summary(out)["counts"] == {"scored": 7, "unscored": 0, "failed": 1}
    assert summary(out)["overall"]["n"] == 7

    second, again = Junior(), Judge()
    assert run(data, out, second, [again]).artifact is not None
    assert list(second.calls) == ["doctorflan_test/Triage-1/r1/t1/answer"]
    assert len(again.calls) == 1
    whole = run(data, tmp_path / "whole").artifact
    assert whole is not None
    assert open_artifact(out).manifest.digest == whole.manifest.digest


def test_failures_can_be_accepted(data: Path, tmp_path: Path) -> None:
    outcome = run(data, tmp_path / "run", Junior(fail="Triage题1"), accept_failures=True)
    assert outcome.artifact is not None
    assert outcome.failed == 1
    assert outcome.artifact.manifest.counts["failed"] == 1


def test_a_failing_judge_leaves_the_item_unscored_and_the_run_open(
    data: Path, tmp_path: Path
) -> None:
    outcome = run(data, tmp_path / "run", judges=[Judge(replies={"答2": ["FAIL"]})])
    assert outcome.artifact is None
    assert outcome.reasons == {"judge failed: http 503": 2}
    assert summary(tmp_path / "run")["counts"] == {"scored": 6, "unscored": 2, "failed": 0}


@pytest.mark.parametrize("die_after", [0, 1, 5, 7])
def test_a_run_that_died_ends_as_one_that_did_not(
    data: Path, tmp_path: Path, die_after: int
) -> None:
    out = tmp_path / "run"
    dying, judge = Junior(die_after=die_after), Judge()
    with pytest.raises(ModelError, match="gone"):
        run(data, out, dying, [judge], concurrency=1)
    rest, again = Junior(), Judge()
    outcome = run(data, out, rest, [again], concurrency=1)
    assert outcome.artifact is not None
    assert (dying.calls + rest.calls).most_common(1)[0][1] == 1
    assert (judge.calls + again.calls).most_common(1)[0][1] == 1
    whole = run(data, tmp_path / "whole").artifact
    assert whole is not None
    assert outcome.artifact.manifest.digest == whole.manifest.digest


def test_concurrency_does_not_change_the_result(dialogues: Path, tmp_path: Path) -> None:
    digests = set()
    for n in (1, 3, 50):
        artifact = run(dialogues, tmp_path / str(n), name="dotabench", concurrency=n).artifact
        assert artifact is not None
        digests.add(artifact.manifest.digest)
    assert len(digests) == 1


@pytest.mark.parametrize(
    "change", [{"max_tokens": 9}, {"seed": 1}, {"language": "en"}, {"limit": 3}, {"repeats": 2}]
)
def test_no_resume_under_another_configuration(
    data: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    run(data, tmp_path / "run")
    with pytest.raises(ConfigMismatchError):
        run(data, tmp_path / "run", **change)
    with pytest.raises(ConfigMismatchError, match="model"):
        run(data, tmp_path / "run", Junior("another"))
    data.write_text(data.read_text().replace("参考0", "参考零"), encoding="utf-8")
    with pytest.raises(ConfigMismatchError, match="cases"):
        run(data, tmp_path / "run")


def test_a_checkpoint_behind_an_endpoint_gives_the_run_its_labels(
    data: Path, tmp_path: Path
) -> None:
    with begin(tmp_path / "tuned", kind="checkpoint", config={}) as ws:
        (ws.path / "weights").write_text("x", encoding="utf-8")
        ws.seal(counts={}, labels=["在该测试集上的成绩不算数 / scores there don't count"])
    outcome = run(data, tmp_path / "run", checkpoint=tmp_path / "tuned")
    assert outcome.artifact is not None
    assert any("不算数" in label for label in outcome.artifact.manifest.labels)


def test_repeats_have_seeds_of_their_own(data: Path, tmp_path: Path) -> None:
    seeds: dict[str, int | None] = {}

    class Noting(Junior):
        async def complete(self, request: Request) -> Answer:
            seeds[request.key] = request.seed
            return await super().complete(request)

    run(data, tmp_path / "run", Noting(), repeats=3, limit=1, temperature=0.7)
    assert len(seeds) == len(set(seeds.values())) == 3
    assert None not in seeds.values()
    assert len(lines(tmp_path / "run")) == 3


def test_phases_and_repeats_have_tables_of_their_own(data: Path, tmp_path: Path) -> None:
    judge = Judge(replies={"答0": ["[[2]]", "[[2]]", "[[4]]", "[[4]]", "[[4]]"]})
    run(data, tmp_path / "run", judges=[judge], repeats=2, temperature=0.5, concurrency=1)
    tables = {t["id"]: t for t in summary(tmp_path / "run")["tables"]}
    phases = {r["phase"]: r for r in tables["phase"]["rows"]}
    assert list(phases) == ["诊前 / Pre-diagnosis", "治疗 / Treatment"]
    assert all(r["scored"] == 8 for r in phases.values())
    assert [r["repeat"] for r in tables["repeat"]["rows"]] == ["1", "2"]
    means = [r["estimate"]["mean"] for r in tables["repeat"]["rows"]]
    assert f"{abs(means[0] - means[1]) / 2**0.5:.3f}" in tables["repeat"]["note_en"]
    run(data, tmp_path / "once")
    assert "repeat" not in {t["id"] for t in summary(tmp_path / "once")["tables"]}


def test_scripted_reference_beats_scripted_echo(data: Path, tmp_path: Path) -> None:
    runs = []
    for name in ("echo", "reference"):
        out = tmp_path / name
        model, judge = open_model(f"scripted:{name}"), open_model("scripted:overlap")
        assert evaluate(["doctorflan_test"], data, model, [judge], out, Settings()).artifact
        runs.append(out)
    assert summary(runs[1])["overall"]["mean"] == 10.0
    artifact = compare(runs, tmp_path / "comparison")
    (pair,) = json.loads((artifact.path / "comparison.json").read_text())["benchmarks"][
        "doctorflan_test"
    ]["pairs"]
    assert pair["n"] == 8
    assert pair["difference"]["low"] > 0
    assert pair["b_mean"] - pair["a_mean"] == pytest.approx(pair["difference"]["mean"])
    assert any("脚本" in label for label in artifact.manifest.labels)


def test_comparison_pairs_only_what_both_scored(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "a", judges=[Judge(replies={"答0": ["无"]})])
    run(data, tmp_path / "b", Junior("other"), judges=[Judge(replies={"答1": ["[[9]]"]})])
    found = json.loads(
        (
            compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c").path / "comparison.json"
        ).read_text()
    )
    (pair,) = found["benchmarks"]["doctorflan_test"]["pairs"]
    assert (pair["n"], pair["unpaired"]) == (6, 2)
    assert pair["difference"]["mean"] == pytest.approx(4 / 6)
    assert pair["p"] == pytest.approx(0.5)
    assert pair["smallest"] > 0
    assert [t["p_holm"] for t in pair["by_task"]] == [1.0, 1.0]
    assert [t["n"] for t in pair["by_task"]] == [3, 3]


def test_runs_judged_differently_are_not_compared(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "a")
    run(data, tmp_path / "b", judges=[Judge("another")])
    with pytest.raises(UsageError, match="judges differ"):
        compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    with pytest.raises(UsageError, match="two runs"):
        compare([tmp_path / "a"], tmp_path / "c")


def test_wrong_use(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same name"):
        run(data, tmp_path / "r", judges=[Judge(), Judge()])
    with pytest.raises(UsageError, match="one file for 2 benchmarks"):
        evaluate(["doctorflan_test", "dotabench"], data, Junior(), [], tmp_path / "r", Settings())
    with pytest.raises(UsageError, match="no case for dotabench"):
        run(data, tmp_path / "r", name="dotabench")
    assert not (tmp_path / "r").exists()
