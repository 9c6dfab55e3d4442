"""The injector: undoing restores, the truth list is complete, the same seed gives the same reports."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import taxonomy
from wardround.benchmarks.data import ITEMS, read_rows
from wardround.errors import UsageError
from wardround.images.report import PLACES, CTReport, report_of
from wardround.images.report_edits import MAKERS, edits, tables
from wardround.images.report_errors import Plan, applied, inject, row_of, undone

TYPES = [i.id for i in taxonomy.items("report_errors")]
REPORTS = [
    r
    for _, row in read_rows(ITEMS / "ct_reports.jsonl")
    if (r := report_of(row, str(row["id"]))) is not None
]


def test_every_type_of_the_taxonomy_has_its_edits() -> None:
    assert set(MAKERS) == set(TYPES)
    for kind in TYPES:
        able = [r for r in REPORTS if edits(r, kind)]
        assert len(able) >= len(REPORTS) / 2, kind


@given(
    seed=st.integers(0, 10**6),
    prevalence=st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    most=st.integers(1, 5),
    types=st.lists(st.sampled_from(TYPES), unique=True),
)
def test_undoing_restores_the_original_and_the_truth_is_complete(
    seed: int, prevalence: float, most: int, types: list[str]
) -> None:
    plan = Plan(seed=seed, prevalence=prevalence, most=most, types=tuple(types))
    made = inject(REPORTS[:20], plan)
    assert sum(bool(m.errors) for m in made) <= round(prevalence * 20)
    for one in made:
        assert len(one.errors) <= most
        assert len({e.type for e in one.errors}) == len(one.errors)
        assert {e.type for e in one.errors} <= set(types or TYPES)
        assert undone(one.report, one.errors) == one.original
        for e in one.errors:
            assert e.place
            assert one.report.text(e.place)[e.start : e.end] == e.wrong
            assert e.wrong != e.right
            # Leaving one in leaves a fault: none is a part of another.
            assert undone(one.report, [x for x in one.errors if x is not e]) != one.original
        for place in PLACES:
            _all_told(one.original.text(place), one.report.text(place), one.errors, place)


def _all_told(original: str, faulty: str, errors: object, place: str) -> None:
    """Outside the errors' spans the faulty text is the original's, character by character."""
    assert isinstance(errors, tuple)
    kept, last = [], 0
    for e in sorted((e for e in errors if e.place == place), key=lambda e: e.start):
        kept.append(faulty[last : e.start])
        last = e.end
    kept.append(faulty[last:])
    at = 0
    for piece in kept:
        found = original.find(piece, at)
        assert found >= 0
        at = found + len(piece)
    if faulty == original:
        assert not [e for e in errors if e.place == place]
    changed = any(op != "equal" for op, *_ in SequenceMatcher(None, original, faulty).get_opcodes())
    assert changed == bool([e for e in errors if e.place == place])


def test_the_same_seed_gives_the_same_reports_and_another_others() -> None:
    a, b, c = (inject(REPORTS, Plan(seed=s)) for s in (3, 3, 4))
    assert a == b != c


def test_types_take_turns() -> None:
    made = inject(REPORTS, Plan(seed=1, prevalence=1.0, most=3))
    counts = [sum(e.type == t for m in made for e in m.errors) for t in TYPES]
    assert max(counts) - min(counts) <= 0.2 * max(counts)
    assert sum(bool(m.errors) for m in made) == len(REPORTS)


@pytest.mark.parametrize("kind", TYPES)
def test_every_edit_of_every_report_can_be_undone(kind: str) -> None:
    for report in REPORTS[::5]:
        for edit in edits(report, kind):
            one = applied(report, [(kind, edit)])
            assert one.report != report
            assert undone(one.report, one.errors) == report


def test_a_turned_side_contradicts_the_other_place() -> None:
    (report,) = [r for r in REPORTS if r.id == "wr-ct-head-02"]
    found = edits(report, "laterality_or_position")
    assert found
    for edit in found:
        assert edit.keeps and all(place != edit.place for place, *_ in edit.keeps)
        turned = applied(report, [("laterality_or_position", edit)]).report
        assert edit.word in turned.text("impression" if edit.place == "findings" else "findings")


def test_good_doublings_are_never_injected() -> None:
    report = CTReport(
        id="x", age="", sex="", examination="颅脑CT平扫", findings="双侧脑室不大。", impression="双侧脑室旁病变。"
    )  # fmt: skip
    made = {
        applied(report, [("extra_or_missing_characters", e)]).report.findings
        for e in edits(report, "extra_or_missing_characters")
    }
    assert made and not any("双侧侧脑室" in text for text in made)
    assert all(len(d) > 1 for d in tables().good_doublings)


def test_a_row_of_the_test_set_holds_truth_plan_and_original() -> None:
    plan = Plan(seed=2, prevalence=1.0)
    one = inject(REPORTS[:1], plan)[0]
    row = row_of(one, plan)
    assert row["id"] == f"{one.report.id}-s2"
    assert row["original"]["findings"] == one.original.findings
    assert [e["type"] for e in row["errors"]] == [e.type for e in one.errors]


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan(prevalence=1.5), "prevalence"),
        (Plan(most=0), "at most 0"),
        (Plan(types=("typo",)), "no error type typo"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        inject(REPORTS, plan)
