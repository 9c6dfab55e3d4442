"""The coordinator's side, on both databases: making surveys, grouping what was added, the second stage."""

import msgspec
import pytest

from tests.survey.made import CONFIG, SAMPLE, TASKS, closed, full, made, submit, told
from wardround.errors import ConflictError, UsageError
from wardround.store.database import Store
from wardround.survey import grouping, surveys
from wardround.survey.design import Rule, SurveyTask

CONSENT = SurveyTask(
    key="consent_form", zh="知情同意书", en="Consent Form", phase="treatment", definition="起草知情同意书。",
)  # fmt: skip


def tasks_of(store: Store, survey_id: int) -> list[surveys.StoredTask]:
    with store.read() as conn:
        return surveys.tasks(conn, survey_id)


def board(store: Store, survey_id: int, state: str = "open") -> dict[int, int]:
    """number → version of the additions in a state."""
    found = grouping.board(store, survey_id).additions
    return {a.id: a.version for a in found if a.state == state}


def test_the_taxonomys_tasks_are_proposed_unless_others_are_given(store: Store) -> None:
    found = surveys.create(store, "all", CONFIG, actor=None)
    assert len(tasks_of(store, found.id)) == 22
    assert [x.task for x in tasks_of(store, made(store).id)] == list(TASKS)
    with store.read() as conn:
        assert [(s.slug, n) for s, n in surveys.listed(conn)] == [("needs", 0), ("all", 0)]
        assert surveys.load(conn, "all") == found
        with pytest.raises(UsageError):
            surveys.load(conn, "none")
    for slug in ("all", "Ä", "", "a b"):
        with pytest.raises(UsageError):
            surveys.create(store, slug, CONFIG)
    assert [e["entity_id"] for e in told(store, "survey.created")] == ["1", "2"]


def test_questions_change_only_in_preparation(store: Store) -> None:
    found = made(store, open_=False)
    task_id = surveys.add_task(store, found.id, CONSENT)
    with pytest.raises(UsageError, match="already"):
        surveys.add_task(store, found.id, CONSENT)
    for wrong in ({"key": "Bad Key"}, {"key": "x", "definition": " "}):
        with pytest.raises(UsageError):
            surveys.add_task(store, found.id, msgspec.structs.replace(CONSENT, **wrong))
    surveys.change_task(store, task_id, msgspec.structs.replace(CONSENT, zh="同意书"), 1)
    with pytest.raises(ConflictError):
        surveys.change_task(store, task_id, CONSENT, 1)  # someone else was first
    last = tasks_of(store, found.id)[-1]
    assert (last.task.zh, last.task.key) == ("同意书", "consent_form")
    assert last.task.instruction == "请根据以下病例描述，完成“同意书”。"
    surveys.remove_task(store, tasks_of(store, found.id)[0].id)
    assert len(tasks_of(store, found.id)) == len(TASKS)
    opened = surveys.move(store, found.id, "open", found.version)
    for refused in (
        lambda: surveys.add_task(store, found.id, CONSENT),
        lambda: surveys.remove_task(store, task_id),
        lambda: surveys.change_task(store, task_id, CONSENT, 2),
        lambda: surveys.configure(
            store, found.id, msgspec.structs.replace(CONFIG, title_zh="别的"), opened.version
        ),
        lambda: surveys.move(store, found.id, "draft", opened.version),
    ):
        with pytest.raises(ConflictError):
            refused()
    rule = msgspec.structs.replace(CONFIG, rule=Rule(priority=9.0))
    surveys.configure(store, found.id, rule, opened.version)
    (change,) = told(store, "survey.configured")
    assert change["before"]["rule"]["priority"] == 4.0  # type: ignore[index]


def test_a_survey_without_tasks_is_not_opened(store: Store) -> None:
    found = surveys.create(store, "empty", CONFIG, tasks=[])
    with pytest.raises(UsageError, match="no task"):
        surveys.move(store, found.id, "open", found.version)


def test_grouping_step_by_step(store: Store) -> None:
    found = made(store)
    for name in ("知情同意书", "起草知情同意书", "写病历总结", "修打印机"):
        submit(store, found.id, full(added=name))
    seen = grouping.board(store, found.id)
    assert [a.name for a in seen.additions] == [
        "知情同意书",
        "起草知情同意书",
        "写病历总结",
        "修打印机",
    ]
    one, two, three, four = (a.id for a in seen.additions)
    assert seen.groups[0] == (one, two)
    assert seen.suggestions[three].tasks[0].to == "case_summary"

    grouping.merge(store, found.id, {three: 1}, "case_summary", actor=None)
    grouping.name_new(store, found.id, {one: 1}, CONSENT)
    grouping.merge(store, found.id, {two: 1}, "consent_form")
    with pytest.raises(UsageError, match="reason"):
        grouping.reject(store, found.id, {four: 1}, "  ")
    grouping.reject(store, found.id, {four: 1}, "不是语言模型能做的")
    after = {a.id: (a.state, a.task, a.reason) for a in grouping.board(store, found.id).additions}
    assert after == {
        one: ("merged", "consent_form", ""), two: ("merged", "consent_form", ""),
        three: ("merged", "case_summary", ""), four: ("rejected", "", "不是语言模型能做的"),
    }  # fmt: skip
    new = tasks_of(store, found.id)[-1]
    assert (new.kind, new.task.origin) == ("grouped", "survey")
    assert [
        e["verb"] for e in (*told(store, "addition.merged"), *told(store, "addition.rejected"))
    ] == ["addition.merged"] * 3 + ["addition.rejected"]
    surveys.change_task(
        store, new.id, msgspec.structs.replace(CONSENT, zh="知情同意书起草"), new.version
    )  # allowed though the survey is open
    with pytest.raises(ConflictError):
        grouping.release(store, found.id, {one: 1})
    grouping.release(store, found.id, {one: 2, two: 2})
    assert board(store, found.id) == {one: 3, two: 3}
    assert "consent_form" not in {x.task.key for x in tasks_of(store, found.id)}
    assert told(store, "task.removed")[-1]["note"] == "no addition is left in it"


def test_grouping_refuses_what_is_not_there(store: Store) -> None:
    found = made(store)
    submit(store, found.id, full(added="x 任务"))
    with pytest.raises(UsageError):
        grouping.merge(store, found.id, board(store, found.id), "nonsense")
    with pytest.raises(ConflictError):
        grouping.merge(store, found.id, {999: 1}, "triage")
    with pytest.raises(UsageError):
        grouping.name_new(store, found.id, {}, CONSENT)
    with pytest.raises(UsageError):
        grouping.release(store, found.id, {})
    with pytest.raises(UsageError, match="already"):
        grouping.name_new(
            store, found.id, board(store, found.id), msgspec.structs.replace(CONSENT, key="triage")
        )
    assert board(store, found.id) == {1: 1}


def test_a_changed_wish_waits_again(store: Store) -> None:
    from wardround.survey import desk
    from wardround.survey.answers import Added

    found = made(store)
    token = submit(store, found.id, full(added="知情同意书"))
    grouping.name_new(store, found.id, board(store, found.id), CONSENT)
    desk.save(store, token, desk.Patch(added=(Added(slot="1", name="出院带药说明"),)))
    desk.submit(store, token)
    (a,) = grouping.board(store, found.id).additions
    assert (a.state, a.name, a.task) == ("open", "出院带药说明", "")
    (event,) = told(store, "addition.reopened")
    assert event["actor"] is None


def test_ids_from_names() -> None:
    assert grouping.new_key([], "Consent Form (draft)") == "consent_form_draft"
    assert grouping.new_key([], "知情同意") == "added"
    assert grouping.new_key([], "3D planning") == "task_3d_planning"
    known = [
        surveys.StoredTask(
            id=1, kind="grouped", place=1, task=CONSENT, samples=(), overruled=None, version=1
        )
    ]
    assert grouping.new_key(known, "Consent form") == "consent_form_2"


def test_the_second_stage_follows_a_settled_first(store: Store) -> None:
    found = made(store)
    submit(store, found.id, full(added="知情同意书"))
    with pytest.raises(ConflictError, match="open"):
        surveys.feedback_of(store, found.id, "again", CONFIG)
    closed(store, found.id)
    with pytest.raises(ConflictError, match="neither merged nor rejected"):
        surveys.feedback_of(store, found.id, "again", CONFIG)
    grouping.name_new(store, found.id, board(store, found.id), CONSENT)
    first = tasks_of(store, found.id)[0]
    with pytest.raises(UsageError, match="reason"):
        surveys.overrule(store, first.id, False, "", first.version)
    surveys.overrule(store, first.id, False, "医院已有分诊系统", first.version)
    second = surveys.feedback_of(store, found.id, "again", CONFIG)
    assert second.parent_id == found.id and second.stage == "feedback"
    keys = [x.task.key for x in tasks_of(store, second.id)]
    assert keys == ["case_summary", "follow_up_plan", "disease_inquiry", "consent_form"]
    assert {x.kind for x in tasks_of(store, second.id)} == {"proposed"}
    with pytest.raises(UsageError, match="no inspiration"):
        surveys.feedback_of(store, second.id, "third", CONFIG)
    assert surveys.give_samples(store, second.id, {"consent_form": [SAMPLE]}) == 1
    assert tasks_of(store, second.id)[-1].samples == (SAMPLE,)
    with pytest.raises(UsageError, match="nonsense"):
        surveys.give_samples(store, second.id, {"nonsense": [SAMPLE]})
