"""Out to Label Studio and Potato and back: what is rated there is what stands here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import func, select, update

from tests.review.rooms import (
    config,
    counts,
    give,
    new_item,
    opened,
    people,
    scores,
    true_loads,
)
from wardround.errors import InputError, UsageError
from wardround.review import exchange, exchanging, forms
from wardround.review.exchange import Rating, Sent
from wardround.review.study import Field, Level, Part, ReviewIn, Span, StudyConfig, problems
from wardround.review.tables import item, review
from wardround.store.database import Store

LABELS = Field(
    id="faults", zh="问题", en="Faults", kind="labels", required=False,
    levels=(Level(value="a", zh="甲", en="a"), Level(value="b", zh="乙", en="b")),
)  # fmt: skip
FORM = (*forms.rationale_form()[:2], *forms.pair_form(), *forms.score_form(0, 10), LABELS)
CONFIG: StudyConfig = config(form=FORM)
words = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30)
texts = words.filter(str.strip)


@st.composite
def rated(draw: st.DrawFn) -> tuple[list[Sent], list[Rating]]:
    """Items with parts of any text, and ratings with stretches within them."""
    sent, found = [], []
    for n in range(draw(st.integers(1, 3))):
        parts = tuple(
            Part(id=f"s{k}", role="step", zh=draw(words), text=draw(texts))
            for k in range(draw(st.integers(1, 3)))
        )
        sent.append(
            Sent(
                key=f"k{n}", body=(Part(id="q", role="question", text=draw(texts)),), content=parts
            )
        )
        for r in range(draw(st.integers(0, 2))):
            spans = []
            for part in draw(st.lists(st.sampled_from(parts), max_size=2)):
                start = draw(st.integers(0, len(part.text) - 1))
                end = draw(st.integers(start + 1, len(part.text)))
                spans.append(Span(part=part.id, start=start, end=end, note=draw(texts)))
            given_scores = {
                f.id: draw(st.sampled_from([level.value for level in f.levels]))
                for f in FORM
                if f.kind != "labels"
            }
            if labels := draw(st.lists(st.sampled_from(["a", "b"]), unique=True)):
                given_scores["faults"] = sorted(labels)  # type: ignore[assignment]
            found.append(
                Rating(
                    key=f"k{n}", rater=f"r{r}", scores=given_scores, spans=tuple(spans),
                    comment=draw(words), seconds=float(draw(st.integers(0, 500))),
                )
            )  # fmt: skip
    return sent, found


@given(rated())
def test_label_studio_there_and_back(made: tuple[list[Sent], list[Rating]]) -> None:
    sent, ratings = made
    tasks = json.loads(json.dumps(list(exchange.label_studio_tasks(CONFIG, sent, ratings))))
    assert [t["data"]["id"] for t in tasks] == [s.key for s in sent]
    assert list(exchange.read_label_studio(tasks, CONFIG, "x")) == ratings


@given(rated())
def test_label_studio_knows_who_rated_what_went_along(
    made: tuple[list[Sent], list[Rating]],
) -> None:
    """As Label Studio 1.23 exports it: its own numbers, ours as `import_id`, whoever imported as who completed it."""
    sent, ratings = made
    tasks = json.loads(json.dumps(list(exchange.label_studio_tasks(CONFIG, sent, ratings))))
    for task in tasks:
        for annotation in task.get("annotations", []):
            assert "completed_by" not in annotation  # it refuses an account that it doesn't have
            annotation |= {"import_id": annotation["id"], "id": 1, "completed_by": 1}
    assert list(exchange.read_label_studio(tasks, CONFIG, "x")) == ratings
    ours: dict[str, Any] = {"id": 1, "import_id": None, "completed_by": 3, "result": []}
    for task in tasks:
        found = exchange.read_label_studio([task | {"annotations": [ours]}], CONFIG, "x")
        assert [r.rater for r in found] == ["3"]


@given(rated())
def test_potato_there_and_back(made: tuple[list[Sent], list[Rating]]) -> None:
    sent, ratings = made
    states = json.loads(json.dumps(list(exchange.potato_states(CONFIG, ratings))))
    back = [r for state in states for r in exchange.read_potato_state(state, CONFIG, "x")]
    bare = [structs.replace(r, spans=()) for r in ratings]  # Potato has no place for marks
    assert sorted(back, key=lambda r: (r.rater, r.key)) == sorted(
        bare, key=lambda r: (r.rater, r.key)
    )
    for row in exchange.potato_items(sent):
        assert "<" not in row["text"].replace("<br>", "")


def test_rows_of_an_older_potato() -> None:
    labels = {
        "score": {"scale_7": "7"},
        "preference": {"tie": "tie"},
        "comment": {"text_box": "可以"},
    }
    row = {"id": "k", "displayed_text": "", "label_annotations": labels, "behavioral_data": {}}
    (found,) = exchange.read_potato([row], "anna", CONFIG, "x")
    assert (found.key, found.rater, found.comment) == ("k", "anna", "可以")
    assert found.scores == {"score": 7, "preference": "tie"}


def test_the_labeling_interface_is_of_the_form() -> None:
    view = Xml.fromstring(exchange.labeling_config(CONFIG))
    names = {e.get("name") for e in view.iter("Choices")}
    assert names == {f.id for f in FORM}
    values = [c.get("value") for c in view.findall("Choices[@name='score']/Choice")]
    assert values == [str(n) for n in range(11)]
    assert {e.get("value") for e in view.iter("Text")} == {"$body", "$content"}


def marked(parts: tuple[Part, ...], start: int, end: int) -> Span:
    """What is read of a mark on the whole text, from a character to another."""
    (task,) = exchange.label_studio_tasks(CONFIG, [Sent(key="k", body=(), content=parts)])
    task = json.loads(json.dumps(task))
    units = [len(task["data"]["content"][:n].encode("utf-16-le")) // 2 for n in (start, end)]
    mark = {
        "from_name": "fault",
        "value": {"start": units[0], "end": units[1], "labels": ["fault"]},
    }
    task["annotations"] = [{"completed_by": 1, "result": [mark]}]
    (found,) = exchange.read_label_studio([task], CONFIG, "x")
    assert not found.unread
    return found.spans[0]


def test_a_mark_that_reaches_beyond_its_part_or_meets_only_its_name() -> None:
    parts = (
        Part(role="step", id="a", zh="答案", text="D"),
        Part(role="step", id="s", zh="步骤 1", text="首先😀，"),
        Part(role="step", id="t", text="再次\n\n。"),
    )
    text, places = exchange.text_of(parts)
    assert text == "【答案】\nD\n\n【步骤 1】\n首先😀，\n\n再次\n\n。"
    at = dict(places)
    assert marked(parts, 1, 3) == Span(part="a", start=0, end=1)  # of 答案, the name
    assert marked(parts, 0, at["a"] + 1) == Span(part="a", start=0, end=1)
    assert marked(parts, at["s"] - 5, at["s"] - 1) == Span(part="s", start=0, end=4)
    assert marked(parts, at["s"] + 1, at["t"]) == Span(part="s", start=1, end=4)
    assert marked(parts, at["s"] + 3, len(text)) == Span(part="s", start=3, end=4)
    assert marked(parts, at["t"] - 1, len(text)) == Span(part="t", start=0, end=5)


@given(st.data())
def test_wherever_a_mark_is_it_lies_within_a_part(data: st.DataObject) -> None:
    """Else the whole rating would be refused for a hand that slipped over the end of a line."""
    names, words = st.sampled_from(["", "步骤"]), st.text("一😀\n】【", max_size=4)
    given_parts = data.draw(st.lists(st.tuples(names, words), min_size=1, max_size=4))
    parts = tuple(
        Part(role="step", id=f"p{n}", zh=z, text=w) for n, (z, w) in enumerate(given_parts)
    )
    assume(any(p.text for p in parts))
    length = len(exchange.text_of(parts)[0])
    start = data.draw(st.integers(0, length - 1))
    span = marked(parts, start, data.draw(st.integers(start + 1, length)))
    assert problems(CONFIG, ReviewIn(scores={}, spans=(span,)), parts) == []


def test_a_rating_star_and_a_cancelled_annotation() -> None:
    (task,) = exchange.label_studio_tasks(CONFIG, [Sent(key="k", body=(), content=())])
    star = {"from_name": "score", "type": "rating", "value": {"rating": 7}}
    task["annotations"] = [
        {"completed_by": 12, "result": [star]},
        {"completed_by": 13, "result": [star], "was_cancelled": True},
    ]
    (found,) = exchange.read_label_studio([task], CONFIG, "x")
    assert (found.rater, found.scores) == ("12", {"score": 7})


@pytest.mark.parametrize("row", [{}, {"data": {}}])
def test_what_is_no_export_of_ours_is_named(row: dict[str, object]) -> None:
    with pytest.raises(InputError, match="row 1"):
        list(exchange.read_label_studio([row], CONFIG, "tasks.json"))


def choice(value: object) -> dict[str, object]:
    return {"from_name": "score", "type": "choices", "value": {"choices": [value]}}


@pytest.mark.parametrize(
    "bad",
    [
        {"completed_by": "ann", "result": [choice("99")]},
        {"completed_by": "ann", "result": [{"from_name": "score", "value": {}}]},
        {"completed_by": "ann", "result": ["score"]},
        "no annotation",
        {"completed_by": "ann", "result": [choice("7"), {"from_name": "fault", "value": {"start": 0, "end": 1}}]},
    ],
)  # fmt: skip
def test_one_annotation_that_makes_no_sense_costs_no_other(bad: object) -> None:
    data = {"id": "k", "content": "", "parts": []}
    row = {"data": data, "annotations": [bad, {"completed_by": "bob", "result": [choice("7")]}]}
    odd, good = exchange.read_label_studio([row], CONFIG, "tasks.json")
    assert odd.unread.startswith("tasks.json, row 1: can't be read: ") and not odd.scores
    assert (good.rater, good.scores, good.unread) == ("bob", {"score": 7}, "")


def test_one_annotation_of_potato_that_makes_no_sense_costs_no_other() -> None:
    rows = [
        {"id": "k1", "label_annotations": {"score": {"99": "99"}}},
        {"id": "k2", "label_annotations": {"score": {"7": "7"}}},
    ]
    odd, good = exchange.read_potato(rows, "ann", CONFIG, "x")
    assert "row 1" in odd.unread and "no level '99'" in odd.unread and good.scores == {"score": 7}
    pairs = [[{"schema": "score", "name": "7"}, "7"]]
    state = {"user_id": "ann", "instance_id_to_label_to_value": {"k1": [["odd", 1]], "k2": pairs}}
    odd, good = exchange.read_potato_state(state, CONFIG, "x")
    assert odd.unread and odd.key == "k1" and good.scores == {"score": 7}


def test_potato_shows_what_each_level_means() -> None:
    schemes = {s["name"]: s for s in exchange.potato_config(CONFIG)["annotation_schemes"]}
    rubric = schemes["medical_correctness"]
    levels = forms.rationale_form()[0].levels
    assert rubric["annotation_type"] == "radio"
    assert [x["name"] for x in rubric["labels"]] == ["1", "2", "3", "4", "5"]
    for label, level in zip(rubric["labels"], levels, strict=True):
        assert label["displayed_label"] == f"{level.value}：{level.anchor_zh}"
        assert label["tooltip"] == f"{level.anchor_zh}\n{level.anchor_en}"
    assert [x["displayed_label"] for x in schemes["preference"]["labels"]][2] == "不分高下 a tie"
    assert schemes["faults"]["labels"][0]["name"] == "a"
    plain = Field(
        id="plain", zh="分", en="Score",
        levels=tuple(Level(value=n, zh=str(n), en=str(n)) for n in range(1, 6)),
    )  # fmt: skip
    (scheme, _) = exchange.potato_config(config(form=(plain,)))["annotation_schemes"]
    assert (scheme["annotation_type"], scheme["size"]) == ("likert", 5)


def test_potato_2_keeps_a_state_for_each_annotator() -> None:
    """As Potato 2.12 writes it: likert levels as names, the text box under its own."""
    pairs = [
        [{"schema": "medical_correctness", "name": "4"}, "4"],
        [{"schema": "preference", "name": "tie"}, "true"],
        [{"schema": "score", "name": "scale_7"}, True],
        [{"schema": "comment", "name": "text_box"}, "可以"],
    ]
    state = {"user_id": "anna", "instance_id_to_label_to_value": {"k": pairs}}
    (found,) = exchange.read_potato_state(state, CONFIG, "x")
    assert found.scores == {"medical_correctness": 4, "preference": "tie", "score": 7}
    assert (found.rater, found.comment) == ("anna", "可以")


@pytest.mark.parametrize("tool", exchanging.TOOLS)
def test_ratings_of_one_study_taken_into_another(
    store: Store, tmp_path: Path, tool: exchanging.Tool
) -> None:
    who = people(store, 3)
    first = opened(store, who, [new_item(f"k{i}") for i in range(4)], "one", raters=3)
    for w in who[:2]:
        for value in (4, 5, 4, 5):
            give(store, first, w, value, comment="可以")
    out = tmp_path / "out"
    assert exchanging.send(store, "one", tool, out, ratings=True) == {
        "items": 4, "ratings": 8, "left": 0,
    }  # fmt: skip
    with pytest.raises(UsageError, match="holds files"):
        exchanging.send(store, "one", tool, out)
    second = opened(store, who, [new_item(f"k{i}") for i in range(3)], "two", raters=2)
    file = out / "tasks.json" if tool == "label-studio" else out / "annotation_output"
    ratings = exchanging.read(file, tool, config())
    taken, left = exchanging.take(store, "two", ratings, {"r1": who[0], "r2": who[1]})
    assert taken == 6
    assert [x.reason for x in left] == ["the study has no item k3"] * 2
    again, left = exchanging.take(store, "two", ratings, {"r1": who[0]})
    assert again == 0 and len(left) == 8
    assert any("no account given" in x.reason for x in left)
    assert any("already" in x.reason for x in left)
    with store.read() as conn:
        states = (
            conn.execute(select(item.c.status).where(item.c.study_id == second)).scalars().all()
        )
        count = conn.execute(
            select(func.count()).select_from(review).where(review.c.study_id == second)
        ).scalar_one()
    assert set(states) == {"accepted"} and count == 6
    assert counts(store, second)[who[0]] == ((3, 0), (3, 0))
    assert true_loads(store, second)


@pytest.mark.parametrize("tool", exchanging.TOOLS)
def test_only_what_is_under_review_is_sent(
    store: Store, tmp_path: Path, tool: exchanging.Tool
) -> None:
    """Neither what is decided nor a wrong answer that waits for the model."""
    who = people(store, 1)
    items = [new_item(f"k{i}") for i in range(3)]
    study = opened(store, who, items, "one", raters=1)
    give(store, study, who[0], 5)
    with store.write() as conn:
        waiting = select(item.c.id).where(item.c.status == "open").limit(1).scalar_subquery()
        conn.execute(update(item).where(item.c.id == waiting).values(status="drafting"))
        key = conn.execute(select(item.c.key).where(item.c.status == "open")).scalar_one()
    found = exchanging.send(store, "one", tool, tmp_path / "out")
    assert found == {"items": 1, "ratings": 0, "left": 2}
    sent = (
        tmp_path / "out" / ("tasks.json" if tool == "label-studio" else "items.jsonl")
    ).read_text()
    assert [f"k{i}" for i in range(3) if f'"k{i}"' in sent] == [key]
    found = exchanging.send(store, "one", tool, tmp_path / "all", ratings=True)
    assert found == {"items": 3, "ratings": 1, "left": 0}


def test_incomplete_ratings_are_left_out(store: Store) -> None:
    who = people(store, 2)
    opened(store, who, [new_item("k")], "one", raters=1)
    bad = Rating(key="k", rater="x", scores={"correctness": 4})
    taken, (left,) = exchanging.take(store, "one", [bad], {"x": who[0]})
    assert taken == 0 and "structure" in left.reason
    odd = Rating(key="k", rater="x", scores={}, unread="row 3: no level '99'")
    assert exchanging.take(store, "one", [odd], {"x": who[0]})[1][0].reason == odd.unread
    good = Rating(key="k", rater="x", scores=scores(4))
    assert exchanging.take(store, "one", [good], {"x": who[0]}) == (1, [])
