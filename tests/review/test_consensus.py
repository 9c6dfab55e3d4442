"""The rule of acceptance: worked cases and laws."""

from hypothesis import given
from hypothesis import strategies as st

from wardround.review.consensus import decide
from wardround.review.study import Rule

FIELDS = ("a", "b")
ROUND = st.lists(
    st.fixed_dictionaries({f: st.integers(1, 5) for f in FIELDS}), min_size=1, max_size=5
)


def codes(scores: list[dict[str, int]], **more: bool) -> set[str]:
    return {r.code for r in decide(scores, FIELDS, Rule(), **more).reasons}


def test_worked_cases() -> None:
    assert decide([{"a": 4, "b": 5}] * 3, FIELDS, Rule()).accepted
    assert codes([{"a": 4, "b": 4}, {"a": 4, "b": 4}, {"a": 3, "b": 4}]) == set()
    assert codes([{"a": 4, "b": 4}, {"a": 3, "b": 4}, {"a": 3, "b": 4}]) == {"median"}
    assert codes([{"a": 5, "b": 4}, {"a": 5, "b": 4}, {"a": 3, "b": 4}]) == {"spread"}
    assert codes([{"a": 4, "b": 4}, {"a": 4, "b": 4}, {"a": 2, "b": 4}]) == {"low", "spread"}


def test_a_wrong_answer_is_never_accepted() -> None:
    assert codes([{"a": 5, "b": 5}] * 3, right=False) == {"wrong_answer"}


def test_a_missing_score_is_no_agreement() -> None:
    verdict = decide([{"a": 5, "b": 5}, {"a": 5}], FIELDS, Rule())
    assert not verdict.accepted
    assert [(r.code, r.field) for r in verdict.reasons] == [("missing", "b")]
    assert not decide([], FIELDS, Rule()).accepted


@given(ROUND)
def test_accepted_means_every_condition_holds(scores: list[dict[str, int]]) -> None:
    verdict = decide(scores, FIELDS, Rule())
    holds = all(
        sorted(v)[len(v) // 2] + sorted(v)[(len(v) - 1) // 2] >= 8
        and min(v) >= 3
        and max(v) - min(v) <= 1
        for v in ([s[f] for s in scores] for f in FIELDS)
    )
    assert verdict.accepted == holds == (not verdict.reasons)


@given(ROUND, st.randoms())
def test_the_order_of_reviewers_does_not_matter(scores: list[dict[str, int]], rng: object) -> None:
    mixed = list(scores)
    rng.shuffle(mixed)  # type: ignore[attr-defined]
    assert decide(scores, FIELDS, Rule()) == decide(mixed, FIELDS, Rule())


@given(ROUND)
def test_raising_every_score_to_the_top_accepts(scores: list[dict[str, int]]) -> None:
    assert decide([dict.fromkeys(FIELDS, 5) for _ in scores], FIELDS, Rule()).accepted
