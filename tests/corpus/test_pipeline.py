"""The whole build: the same bytes however it is run, and nothing lost on the way."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.built import NAMES, accounted, coverage_of, lines, quick, sources, train_of
from tests.corpus.fake import FakeModel, block_of, ok, polite
from tests.corpus.made import case, entry, told, write
from wardround.artifact import open_artifact
from wardround.corpus import making
from wardround.corpus.balance import Balance
from wardround.corpus.build import build
from wardround.corpus.plan import plan
from wardround.corpus.shards import work
from wardround.errors import NotSealedError, WardroundError
from wardround.models.ledger import Price
from wardround.records import Answer, Exclusion, Request


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows a shard, so that a handful of rows is several."""
    monkeypatch.setattr(making, "ROWS", 3)


# -- the same bytes -------------------------------------------------------------------------------------------


def test_processes_and_the_size_of_shards_change_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sources(tmp_path / "s")
    whole = build(files, tmp_path / "whole", quick())
    monkeypatch.setattr(making, "ROWS", 3)
    one = build(files, tmp_path / "one", quick(workers=1))
    two = build(files, tmp_path / "two", quick(workers=2))
    assert one.manifest.digest == two.manifest.digest == whole.manifest.digest
    assert one.manifest.counts["train"] > 50


SCRIPT = """
import os, signal, sys
from pathlib import Path
from wardround.corpus import making
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
making.ROWS, done, work = 3, [], making.work
def dying(job):
    done.append(job)
    if len(done) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
    return work(job)
making.work = dying
build([Path(f) for f in sys.argv[1].split(",")], Path(sys.argv[2]),
      BuildOptions(test_per_task=2, test_dialogues=2, workers=1))
"""


def test_after_kill_9_finished_shards_are_not_made_again(
    tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sources(tmp_path / "s")
    whole = build(files, tmp_path / "whole", quick())
    arguments = [",".join(map(str, files)), str(tmp_path / "out"), "4"]
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=Path(__file__).parents[2],
        capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr
    with pytest.raises(NotSealedError):
        open_artifact(tmp_path / "out")
    assert len(list((tmp_path / "out" / "work").glob("shards/*/*.made"))) == 3
    again: list[Any] = []

    def counted(job: Any) -> bytes:
        again.append(job)
        return work(job)

    monkeypatch.setattr(making, "work", counted)
    made = build(files, tmp_path / "out", quick(workers=1))
    # Twelve rows and six cases in shards of three: six, of which three were finished.
    assert len(again) == 3
    assert made.manifest.digest == whole.manifest.digest
    assert made.manifest.sessions == 2
    assert not (made.path / "work").exists()


def test_a_second_build_in_one_process_sees_a_changed_held_out_file(tmp_path: Path) -> None:
    files = sources(tmp_path / "s", 4, 0)
    free = build(files[:1], tmp_path / "free", quick())
    leaked = train_of(free)[0]
    held = write(tmp_path / "held.jsonl", [{"question": told("nothing of it"), "id": "x"}])
    build(files[:1], tmp_path / "one", quick(held_out=(held,)))
    write(held, [{"question": leaked.output, "id": "y"}, {"question": told("more"), "id": "z"}])
    made = build(files[:1], tmp_path / "two", quick(held_out=(held,)))
    assert leaked.id not in {s.id for s in train_of(made)}


# -- nothing is lost ------------------------------------------------------------------------------------------


@st.composite
def books(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows with duplicates of rows, of questions and of texts, and rows of which nothing can be made."""
    name = st.sampled_from(NAMES[:6]).map(lambda c: f"{c}病")
    changed = st.fixed_dictionaries(
        {},
        optional={
            "cause": st.sampled_from(["受凉后起病。", told(1), told(1)[:-1] + "，较为多见。", ""]),
            "symptom": st.sampled_from([["发热", "咳嗽"], ["皮疹"], []]),
            "easy_get": st.sampled_from(["好发于儿童", ""]),
            "inquiry": st.just("应询问起病时间、疼痛性质与程度、既往发作、已用药物和家族史。"),
        },
    )
    rows = draw(st.lists(st.builds(lambda n, c: entry(n, **c), name, changed), max_size=9))
    rows += draw(
        st.lists(st.sampled_from([{"name": ""}, {"name": "乙病"}, entry("甲病")]), max_size=3)
    )
    pairs = case()["QA_pairs"]
    asked = st.lists(
        st.sampled_from([*pairs, {"question": "你怎么看？", "answer": told("look")}, {"question": "", "answer": "无"}]),
        min_size=1, max_size=4,
    )  # fmt: skip
    cases = draw(
        st.lists(
            st.builds(lambda n, qs: case(n, QA_pairs=qs), st.integers(1, 4), asked), max_size=5
        )
    )
    return rows, cases


@given(
    data=books(), cap=st.none() | st.integers(0, 4), quota=st.integers(0, 2), drops=st.booleans()
)
@settings(max_examples=15)
def test_every_sample_is_kept_or_set_aside_once(
    data: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    cap: int | None,
    quota: int,
    drops: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("build")
    rows, cases = data
    files = [write(folder / "a.jsonl", [entry("申病"), *rows])]
    if cases:
        files.append(write(folder / "b.json", cases))
    model = FakeModel(lambda r: ok("抱歉。") if ":disease-cause:" in r.key else polite(r))
    made = build(
        files, folder / "out",
        quick(
            test_per_task=quota, test_dialogues=quota, balance=Balance(max_per_task=cap),
            on_broken="drop" if drops else "keep",
        ),
        refine=model,
    )  # fmt: skip
    accounted(made)


def test_a_sample_whose_rewrites_break_a_rule_goes_where_asked(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    sorry = FakeModel(lambda r: ok("抱歉。") if ":disease-cause:" in r.key else polite(r))
    kept = build(files, tmp_path / "kept", quick(), refine=sorry)
    gone = build(files, tmp_path / "gone", quick(on_broken="drop"), refine=sorry)
    of_rule = [s for s in train_of(kept) if s.recipe == "disease-cause"]
    assert of_rule
    assert not any(s.refined for s in of_rule)
    assert not [s for s in train_of(gone) if s.recipe == "disease-cause"]
    aside = [e for e in lines(gone, "excluded.jsonl", Exclusion) if e.stage == "refine"]
    assert {e.what for e in aside} == {s.id for s in of_rule}
    assert {(e.reason, e.detail) for e in aside} == {
        ("not_refined", "its rewrites broke apology_or_refusal")
    }
    assert coverage_of(gone)["refined"]["dropped"] == len(of_rule)
    assert coverage_of(kept)["refined"]["fell_back"] == len(of_rule)
    accounted(kept)
    accounted(gone)


# -- plan, balance, classifier --------------------------------------------------------------------------------


def test_a_plan_says_what_the_build_then_gives(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    options = quick(balance=Balance(size=40, max_per_task=6), seed=3)
    model = FakeModel()
    planned = plan(files, options, price=Price(per_in=1.0, per_out=2.0))
    made = build(files, tmp_path / "out", options, refine=model)
    found = coverage_of(made)
    counts = made.manifest.counts
    for name in ("train", "test", "train_dialogues", "test_dialogues", "documents"):
        assert planned["totals"][name] == counts[name]
    both = {
        t: {s: n + planned["test"][t][s] for s, n in row.items()}
        for t, row in planned["train"].items()
    }
    assert both == found["matrix"]
    assert planned["tasks"] == found["tasks"]
    assert planned["funnel"] == found["funnel"]
    asked = planned["refinement"]
    assert asked["requests"] == pytest.approx(len(model.asked), rel=0.12)
    assert asked["cost"] > 0


def test_size_and_caps(tmp_path: Path) -> None:
    made = build(
        sources(tmp_path / "s"), tmp_path / "out",
        quick(balance=Balance(size=30, max_per_task=4, tasks={"triage": 0})),
    )  # fmt: skip
    by_task = Counter(s.task for s in train_of(made))
    assert sum(by_task.values()) == 30
    assert max(by_task.values()) <= 4
    assert not by_task["triage"]
    over = [e for e in lines(made, "excluded.jsonl", Exclusion) if e.reason == "over_cap"]
    assert len(over) == coverage_of(made)["excluded"]["over_cap"] > 0
    accounted(made)


def test_what_no_rule_places_goes_to_the_classifier(tmp_path: Path) -> None:
    strange = [
        {"question": f"您对第{n}例怎么看？", "answer": f"应卧床休息，监测体温。{told('answer', n)}"}
        for n in (1, 2, 3)
    ]
    rows = [case(n, QA_pairs=[strange[n - 1]]) for n in (1, 2, 3)]
    files = [write(tmp_path / "cases.json", rows)]

    def reply(request: Request) -> Answer:
        asked = block_of(request, "question").splitlines()
        known = [line.partition(".")[0] for line in asked if "第1例" in line or "第3例" in line]
        return ok("\n".join(f"{n}: treatment_plan" for n in known) + "\n2.5: 胡言")

    model = FakeModel(reply)
    options = quick(test_per_task=0, test_dialogues=0, tasks=("treatment_plan",))
    plain = build(files, tmp_path / "plain", options)
    assert plain.manifest.counts["train"] == 0
    made = build(files, tmp_path / "out", options, classify=model)
    assert len(model.asked) == 1
    assert {s.task for s in train_of(made)} == {"treatment_plan"}
    assert len(train_of(made)) == 2
    aside = lines(made, "excluded.jsonl", Exclusion)
    left = [e for e in aside if e.reason == "question_unmatched"]
    assert ["第2例" in e.detail for e in left] == [True]
    # A document that did give a sample is not said to have given none.
    assert [e.row for e in aside if e.reason == "no_recipe_matched"] == [left[0].row]
    assert model.labels[0] in made.manifest.labels
    assert build(files, tmp_path / "out", options, classify=model).manifest == made.manifest
    assert len(model.asked) == 1
    steps = {s["step"]: s for s in coverage_of(made)["funnel"]}
    assert steps["samples"]["n"] == 2


def test_an_unclassified_question_is_no_silent_loss(tmp_path: Path) -> None:
    files = [
        write(
            tmp_path / "c.json", [case(1, QA_pairs=[{"question": "您怎么看？", "answer": told(9)}])]
        )
    ]
    sick = FakeModel(lambda r: Answer(status="failed", reason="timeout"))
    with pytest.raises(WardroundError, match="1 questions could not be classified"):
        build(files, tmp_path / "out", quick(), classify=sick)
    made = build(files, tmp_path / "out", quick(accept_failures=True), classify=sick)
    assert coverage_of(made)["excluded"]["question_unmatched"] == 1
