"""What needs no database: answers, small cells, the rule, likeness, the design."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.survey.made import CONFIG, TASKS, full
from wardround import taxonomy
from wardround.errors import UsageError
from wardround.survey import cells, similar
from wardround.survey.answers import (
    Added,
    Answer,
    Verdict,
    checked,
    clean,
    complete,
    priority,
    progress,
    verdict_of,
    words_of,
)
from wardround.survey.design import (
    ASKED,
    DIMENSIONS,
    OTHER,
    Rule,
    SurveyConfig,
    asked,
    by_phase,
    examples,
    minutes,
    profile,
    proposed,
)
from wardround.survey.rule import decide, stated

texts = st.text(max_size=40)


def test_every_task_has_an_example_in_both_languages() -> None:
    assert list(examples()) == list(taxonomy.tasks())
    for t in proposed():
        assert re.search("[\u4e00-\u9fff]", t.example_zh) and 8 <= len(t.example_zh) <= 90, t.key
        assert not re.search("[\u4e00-\u9fff]", t.example_en) and t.example_en, t.key


def test_every_level_has_an_anchor_in_both_languages() -> None:
    for d in DIMENSIONS.values():
        assert len(d.levels) == 5
        assert d.values == tuple(range(d.values[0], d.values[0] + 5))
        assert all(x.zh and x.en and x.anchor_zh and x.anchor_en for x in d.levels)
    assert DIMENSIONS["frequency"].values[0] == 0 and DIMENSIONS["usefulness"].values[0] == 1


def test_profile_fields_are_bands_with_distinct_names() -> None:
    assert list(profile()) == ["specialty", "title", "years", "hospital"]
    assert len(profile()["specialty"].choices) == 28 and profile()["specialty"].choices[-1] == OTHER
    for f in profile().values():
        assert len({c.zh for c in f.choices}) == len({c.id for c in f.choices}) == len(f.choices)


def test_tasks_are_shown_in_the_patients_way() -> None:
    assert [p for p, _ in by_phase(proposed())] == [p.id for p in taxonomy.items("phases")]
    assert sum(len(x) for _, x in by_phase(proposed())) == 22


def test_a_share_of_the_tasks_is_drawn_evenly_and_for_good() -> None:
    config = SurveyConfig(title_zh="x", per_person=6)
    drawn = [tuple(t.key for t in asked(proposed(), config, f"holder{i}")) for i in range(400)]
    assert {len(d) for d in drawn} == {6}
    assert drawn[0] == tuple(t.key for t in asked(proposed(), config, "holder0"))
    counts = [sum(t.key in d for d in drawn) for t in proposed()]
    assert min(counts) > 70 and max(counts) < 150  # 109 expected
    assert len(asked(proposed(), CONFIG, "x")) == 22


def test_the_whole_survey_is_made_to_take_three_minutes() -> None:
    assert minutes("inspiration", 22) < 3 and minutes("feedback", 22) < 3


def test_settings_that_make_no_sense() -> None:
    for wrong in (
        {"title_zh": " "}, {"title_zh": "x", "min_cell": 0}, {"title_zh": "x", "level": 1.0},
        {"title_zh": "x", "per_person": -1}, {"title_zh": "x", "rule": Rule(keep_share=1.0)},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            SurveyConfig(**wrong).check()
    CONFIG.check()


@given(texts)
def test_cleaning_is_done_once_and_leaves_nothing_odd(text: str) -> None:
    once = clean(text, 20)
    assert clean(once, 20) == once and len(once) <= 20
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\ud800-\udfff\u202e\ufffe]", once)
    once.encode()


def test_an_answer_is_checked_field_by_field() -> None:
    wrong = Answer(
        profile={"title": "king", "shoe": "44"},
        ratings={"triage": {"risk": 0, "usefulness": 5}, "nonsense": {"risk": 1}, "case_summary": {}},
        verdicts={"triage": Verdict(choice="keep")},
        added=(Added(slot="1", name=""), Added(slot="2", name=" x ", why="y\x00")),
    )  # fmt: skip
    cleaned, problems = checked(wrong, "inspiration", TASKS, CONFIG)
    assert problems == [
        "profile.title",
        "profile.shoe",
        "triage.risk",
        "nonsense.risk",
        "triage.verdict",
    ]
    assert cleaned.added == (Added(slot="2", name="x", why="y"),)
    assert "case_summary" not in cleaned.ratings
    assert all(all(words_of(p, TASKS)) for p in problems)
    many = Answer(added=tuple(Added(slot=str(n), name="x") for n in range(4)))
    assert checked(many, "inspiration", TASKS, CONFIG)[1] == ["added.4"]
    nameless = Answer(added=(Added(slot="1", name="", why="because"),))
    assert checked(nameless, "inspiration", TASKS, CONFIG)[1] == ["added.1"]
    assert checked(full(added="x"), "feedback", TASKS, CONFIG)[1]
    with pytest.raises(UsageError):
        verdict_of("perhaps")


def test_never_needs_no_more_answers_and_has_no_priority() -> None:
    never = Answer(ratings={"triage": {"frequency": 0}})
    assert complete(never, "triage", "inspiration") and not complete(
        never, "case_summary", "inspiration"
    )
    assert priority({"frequency": 0}) == 0 and priority({"frequency": 3}) is None
    assert priority({"frequency": 3, "usefulness": 4}) == 12 and priority({}) is None
    assert progress(full(), TASKS, "inspiration").done == 4
    drop = Answer(
        verdicts={"triage": Verdict(choice="drop"), "case_summary": Verdict(choice="keep")}
    )
    assert progress(drop, TASKS, "feedback").done == 1


sizes = st.dictionaries(st.text("abcdef", min_size=1, max_size=2), st.integers(0, 12), max_size=8)


@given(sizes, st.integers(1, 6))
def test_hidden_groups_are_small_or_keep_a_small_one_company(
    found: dict[str, int], least: int
) -> None:
    kept = cells.shown(found, least)
    assert all(found[k] >= least for k in kept)
    hidden = [n for k, n in found.items() if n and k not in kept]
    assert sum(hidden) == 0 or sum(hidden) >= least or not kept
    if all(n == 0 or n >= least for n in found.values()):
        assert kept == {k for k, n in found.items() if n}


people = st.lists(
    st.fixed_dictionaries({
        "specialty": st.sampled_from("abc"), "title": st.sampled_from("xy"), "years": st.sampled_from("12"),
    }),
    max_size=40,
)  # fmt: skip


@given(people, st.integers(1, 6))
def test_released_profiles_are_shared_and_true(found: list[dict[str, str]], least: int) -> None:
    out = cells.coarsened(found, ["specialty", "title", "years"], least)
    assert len(out) == len(found)
    for given_, released in zip(found, out, strict=True):
        assert released.items() <= given_.items()
    tally = [tuple(sorted(p.items())) for p in out]
    assert all(tally.count(x) >= min(least, len(found)) for x in tally)


def test_the_rule_has_three_outcomes_and_says_why() -> None:
    rule = Rule()
    assert decide(rule, "feedback", 0.52, 0.9, 20).outcome == "keep"
    assert decide(rule, "feedback", 0.1, 0.49, 20).outcome == "drop"
    between = decide(rule, "feedback", 0.4, 0.6, 20)
    assert (between.outcome, between.kept) == ("undecided", True) and "40.0%" in between.zh
    assert decide(rule, "feedback", 0.9, 1.0, 4).outcome == "undecided"
    assert decide(rule, "inspiration", None, None, 9).outcome == "undecided"
    assert decide(rule, "inspiration", 4.2, 8.0, 9).outcome == "keep"
    strict = Rule(undecided="drop")
    assert not decide(strict, "feedback", 0.4, 0.6, 20).kept
    over = decide(rule, "feedback", 0.9, 1.0, 20, {"keep": False, "reason": "已有系统"})
    assert (over.outcome, over.kept, over.overruled, over.reason) == (
        "keep",
        False,
        True,
        "已有系统",
    )
    for stage in ASKED:
        zh, en = stated(strict, stage, 0.9)
        assert "90%" in zh and "90%" in en and "不列入" in zh


def test_alike_names_are_suggested_and_others_are_not() -> None:
    added = {
        1: ("知情同意书", ""), 2: ("手术知情同意书起草", "每台手术都要写"), 3: ("检验报告解读", "看化验单"),
        4: ("检查报告解读", "解释化验结果"), 5: ("DRG 编码", ""), 6: ("写病历摘要", ""), 7: ("Follow up plans", ""),
    }  # fmt: skip
    near = similar.tasks_near(added, proposed())
    assert near[6][0].to == "case_summary" and near[7][0].to == "follow_up_plan"
    assert near[5] == []
    others = similar.others_near(added)
    assert {n.to for n in others[1]} == {"2"} and {n.to for n in others[3]} == {"4"}
    assert similar.clusters(others)[0] == [1, 2]
    assert sorted(itertools.chain(*similar.clusters(others))) == sorted(added)


names = st.text("知情同意书检验报告解读AB ", max_size=8)


@given(names, names, names, names)
def test_likeness_is_symmetric_and_bounded(a: str, x: str, b: str, y: str) -> None:
    grams = similar.Grams()
    one, two = similar.Words(a, x, grams), similar.Words(b, y, grams)
    assert similar.alike(one, two) == pytest.approx(similar.alike(two, one))
    assert 0 <= similar.alike(one, two) <= 1
    if one.name:
        assert similar.alike(one, one) == pytest.approx(1)
