"""Figures, small groups, the decision, and what may leave."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.survey.made import ADULT, CONFIG, SAMPLE, TASKS, closed, full, judged, made, submit, told
from wardround import taxonomy
from wardround.artifact import open_artifact
from wardround.errors import ConflictError, UsageError
from wardround.lineage import verify
from wardround.metrics.bootstrap import column_means
from wardround.store.database import Store
from wardround.survey import grouping, keeping, surveys, task_list
from wardround.survey.answers import Added, Answer, Verdict
from wardround.survey.design import Rule, SurveyTask
from wardround.survey.release import as_rows, release
from wardround.survey.results import Given, given, results

CONSENT = SurveyTask(
    key="consent_form", zh="知情同意书", en="Consent Form", phase="treatment", definition="起草知情同意书。",
)  # fmt: skip


def people(store: Store, survey_id: int, *groups: tuple[int, dict[str, str], int]) -> None:
    """(number, profile, usefulness) of respondents."""
    for n, about, usefulness in groups:
        for k in range(n):
            submit(store, survey_id, full(frequency=k % 5, usefulness=usefulness, about=about))


def test_figures_by_hand(sqlite_store: Store) -> None:
    found = made(sqlite_store)
    for frequency, usefulness in ((4, 5), (4, 4), (0, 3), (2, 1), (1, 2)):
        submit(sqlite_store, found.id, full(frequency, usefulness))
    submit(sqlite_store, found.id, Answer(ratings={"triage": {"frequency": 0}}))
    submit(sqlite_store, found.id, Answer(ratings={"triage": {"usefulness": 5}}))
    closed(sqlite_store, found.id)
    said = results(sqlite_store, found.id)
    triage = said.tasks[0].figures
    assert (said.n, triage.n) == (7, 7)
    assert triage.usefulness.mean == pytest.approx((5 + 4 + 3 + 1 + 2 + 5) / 6)
    assert triage.priority.mean == pytest.approx((20 + 16 + 0 + 2 + 2 + 0) / 6)
    assert triage.priority.n == 6 and triage.risk.n == 5 and triage.time == 2
    low, mean, high = triage.priority.low, triage.priority.mean, triage.priority.high
    assert (
        low is not None and mean is not None and high is not None and 0 <= low < mean < high <= 20
    )
    assert said.priority_scale == (0, 20)
    again = results(sqlite_store, found.id)
    assert msgspec.json.encode(again) == msgspec.json.encode(said)


def test_one_drawing_serves_all_columns_alike() -> None:
    import numpy as np

    rng = np.random.default_rng(3)
    table = rng.integers(1, 6, (60, 3)).astype(float)
    table[rng.random(table.shape) < 0.2] = np.nan
    apart = [column_means(table[:, [j]])[0] for j in range(3)]
    assert column_means(table) == apart
    for j, e in enumerate(apart):
        column = table[~np.isnan(table[:, j]), j]
        assert e.mean == pytest.approx(column.mean()) and e.n == len(column)
        half = 1.96 * column.std(ddof=1) / len(column) ** 0.5
        assert e.low == pytest.approx(column.mean() - half, abs=0.12)
        assert e.high == pytest.approx(column.mean() + half, abs=0.12)
    empty = column_means(np.full((3, 1), np.nan))[0]
    assert empty.mean is None and empty.n == 0
    assert column_means(np.empty((0, 2)))[1].mean is None
    assert column_means(np.array([[2.0]]))[0].low is None


def test_small_groups_are_not_shown(sqlite_store: Store) -> None:
    found = made(sqlite_store)
    people(
        sqlite_store, found.id,
        (7, ADULT, 5), (6, {**ADULT, "specialty": "urology"}, 3), (3, {**ADULT, "specialty": "neurology"}, 1),
        (9, {"title": "chief"}, 2),
    )  # fmt: skip
    closed(sqlite_store, found.id)
    said = results(sqlite_store, found.id)
    groups = {g.id: g for g in said.divisions["specialty"]}
    # 3 are too few; so that they don't follow from the rest, the smallest shown group goes with them.
    assert groups["neurology"].n is None and groups["urology"].n is None
    assert groups["cardiology"].n == 7 and groups[""].n == 9
    assert groups["neurology"].tasks is None
    mine = groups["cardiology"].tasks
    assert mine is not None and mine["triage"].usefulness.mean == 5.0
    assert [g.id for g in said.divisions["title"]] == ["attending", "chief"]
    assert "neurology" not in json.dumps([g.id for g in said.divisions["specialty"] if g.n])


def test_a_task_few_have_answered_is_not_shown(sqlite_store: Store) -> None:
    found = made(sqlite_store)
    people(sqlite_store, found.id, (6, ADULT, 4))
    only = Answer(
        ratings={"case_summary": {"frequency": 4, "usefulness": 5}}, profile={"title": "chief"}
    )
    for _ in range(6):
        submit(sqlite_store, found.id, only)
    closed(sqlite_store, found.id)
    said = results(sqlite_store, found.id)
    chief = next(g for g in said.divisions["title"] if g.id == "chief")
    assert chief.tasks is not None and list(chief.tasks) == ["case_summary"]
    assert chief.tasks["case_summary"].risk.mean is None


def test_nothing_of_a_survey_with_few_answers_or_an_open_one(sqlite_store: Store) -> None:
    found = made(sqlite_store)
    people(sqlite_store, found.id, (4, ADULT, 5))
    with pytest.raises(ConflictError, match="closed"):
        results(sqlite_store, found.id)
    closed(sqlite_store, found.id)
    said = results(sqlite_store, found.id)
    assert (said.n, said.enough, said.divisions) == (4, False, {})
    assert all(r.figures.n is None and r.figures.usefulness.mean is None for r in said.tasks)
    assert {r.decision.outcome for r in said.tasks} == {"undecided"}
    early = made(sqlite_store, "early", interim=True)
    people(sqlite_store, early.id, (5, ADULT, 5))
    assert results(sqlite_store, early.id).enough


def test_feedback_decides_by_share_and_the_coordinator_may_overrule(sqlite_store: Store) -> None:
    found = made(sqlite_store, "back", stage="feedback")
    votes = {"triage": "drop", "case_summary": "keep", "follow_up_plan": "amend"}
    for k in range(12):
        answer = judged(lambda key, k=k: votes.get(key, "keep" if k % 2 else "drop"))  # type: ignore[misc]
        words = {**answer.verdicts, "follow_up_plan": Verdict(choice="amend", words="加上提醒")}
        submit(sqlite_store, found.id, msgspec.structs.replace(answer, verdicts=words))
    closed(sqlite_store, found.id)
    said = {r.key: r for r in results(sqlite_store, found.id).tasks}
    assert {k: r.decision.outcome for k, r in said.items()} == {
        "triage": "drop", "case_summary": "keep", "follow_up_plan": "keep", "disease_inquiry": "undecided",
    }  # fmt: skip
    assert said["follow_up_plan"].figures.verdicts == {"keep": 0, "amend": 12, "drop": 0}
    assert said["follow_up_plan"].words == ("加上提醒",) * 12
    with sqlite_store.read() as conn:
        stored = {x.task.key: x for x in surveys.tasks(conn, found.id)}
    triage = stored["triage"]
    surveys.overrule(sqlite_store, triage.id, True, "院里要求", triage.version)
    decision = results(sqlite_store, found.id).tasks[0].decision
    assert (decision.outcome, decision.kept, decision.overruled) == ("drop", True, True)
    surveys.overrule(sqlite_store, triage.id, None, "", triage.version + 1)
    assert not results(sqlite_store, found.id).tasks[0].decision.kept


def test_released_answers_point_to_nobody() -> None:
    rare = Answer(
        profile={**ADULT, "title": "chief"},
        ratings={"triage": {"risk": 1}},
        remark="我是唯一的主任",
    )
    common = Answer(
        profile=ADULT, added=(Added(slot="1", name="甲", why="乙"),),
        verdicts={"triage": Verdict(choice="drop", words="丙")},
    )  # fmt: skip
    answers = [
        Given(code=f"{i:02}", source="web", seconds=100, answer=a)
        for i, a in enumerate([rare, *[common] * 6])
    ]
    out = release(answers, 5)
    assert json.dumps(as_rows(out), ensure_ascii=False).count("chief") == 0
    assert all(not g.answer.added and not g.answer.remark for g in out.answers)
    assert all(not v.words for g in out.answers for v in g.answer.verdicts.values())
    assert {x["kind"] for x in out.texts} == {"added", "drop", "remark"}
    assert set(out.texts[0]) == {"kind", "task", "name", "example", "words"}
    assert list(out.texts) == sorted(out.texts, key=lambda x: tuple(x.values()))


def two_stages(store: Store, folder: Path) -> tuple[surveys.Survey, Path]:
    """An inspiration and a feedback stage, kept as artifacts; the second survey and its artifact."""
    first = made(store)
    for _ in range(6):
        submit(store, first.id, full(added="知情同意书"))
    closed(store, first.id)
    waiting = {a.id: a.version for a in grouping.board(store, first.id).additions}
    grouping.name_new(store, first.id, waiting, CONSENT)
    keeping.keep(store, first.id, folder / "inspiration")
    second = surveys.feedback_of(store, first.id, "needs-2", CONFIG)
    surveys.give_samples(store, second.id, {"consent_form": [SAMPLE]})
    second = surveys.move(store, second.id, "open", second.version)
    for _ in range(8):
        answer = judged(lambda key: "drop" if key == "triage" else "keep")
        verdicts = {**answer.verdicts, "consent_form": Verdict(choice="amend", words="要双语")}
        submit(store, second.id, msgspec.structs.replace(answer, verdicts=verdicts))
    closed(store, second.id)
    with pytest.raises(UsageError, match="--after"):
        keeping.keep(store, second.id, folder / "feedback")
    keeping.keep(store, second.id, folder / "feedback", after=folder / "inspiration")
    return second, folder / "feedback"


def test_the_artifact_and_the_list_that_build_reads(store: Store, tmp_path: Path) -> None:
    second, path = two_stages(store, tmp_path)
    found = open_artifact(path, "survey")
    assert found.manifest.counts == {"answers": 8, "imported": 0, "tasks": 5, "kept": 4, "added": 0}
    assert [r.role for r in found.manifest.inputs] == ["inspiration"]
    assert any("模型生成" in label for label in found.manifest.labels)
    assert any("scripted" in label for label in found.manifest.labels)
    assert verify(path).whole
    everything = b"".join(p.read_bytes() for p in path.iterdir())
    assert b"holder" not in everything and b"salt" not in everything
    rows = [json.loads(line) for line in (path / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 8 and set(rows[0]) == {"code", "profile", "ratings", "verdicts"}
    again = keeping.keep(store, second.id, path, after=tmp_path / "inspiration")
    assert again.manifest.digest == found.manifest.digest
    with pytest.raises(UsageError):
        keeping.keep(store, second.id, tmp_path / "x", after=path)

    listed = msgspec.yaml.decode((path / "tasks.yaml").read_bytes())
    by_id = {i["id"]: i for i in listed["items"]}
    assert list(by_id) == ["case_summary", "follow_up_plan", "disease_inquiry", "consent_form"]
    assert by_id["consent_form"]["origin"] == "survey"
    original = taxonomy.tasks()["case_summary"]
    assert msgspec.convert(by_id["case_summary"], taxonomy.Task) == original
    assert len(told(store, "survey.kept")) == 2


def test_no_list_without_a_kept_task(sqlite_store: Store) -> None:
    found = made(sqlite_store, rule=Rule(undecided="drop"))
    people(sqlite_store, found.id, (2, ADULT, 1))
    closed(sqlite_store, found.id)
    said = results(sqlite_store, found.id)
    with sqlite_store.read() as conn:
        stored = surveys.tasks(conn, found.id)
    with pytest.raises(UsageError, match="no task is kept"):
        task_list.as_yaml(stored, said)
    assert [d["id"] for d in task_list.dropped(said)] == [t.key for t in TASKS]


def test_build_takes_the_list(sqlite_store: Store, tmp_path: Path) -> None:
    _, path = two_stages(sqlite_store, tmp_path)
    examples = Path(__file__).parents[2] / "examples"
    out = tmp_path / "dataset"
    done = subprocess.run(
        [sys.executable, "-m", "wardround.cli", "build", str(examples), "--out", str(out), "--json"],
        env=os.environ | {"WARDROUND_TAXONOMY": str(path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tasks = {t["id"]: t for t in json.loads((out / "coverage.json").read_text())["tasks"]}
    assert list(tasks) == ["case_summary", "follow_up_plan", "disease_inquiry", "consent_form"]
    assert tasks["consent_form"]["origin"] == "survey" and not tasks["consent_form"]["covered"]
    assert tasks["case_summary"]["train"] + tasks["case_summary"]["test"] > 0
    assert "需求调查" in (out / "README.md").read_text()
    manifest = open_artifact(out, "dataset").manifest
    assert [(r.kind, r.role) for r in manifest.inputs if r.role == "taxonomy"] == [
        ("survey", "taxonomy")
    ]
    assert verify(out).whole
    assert len(given(sqlite_store, 2)) == 8
