"""Reviews of other steps' work: opened from their files, blind, and given back in the form those steps read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks import test_loop as loop
from tests.benchmarks.test_report_quality import Fixed
from tests.review.rooms import people
from tests.tuning.conftest import write_dataset
from wardround.artifact import open_artifact
from wardround.benchmarks import cxr_quality, retina
from wardround.benchmarks.agree import agree
from wardround.benchmarks.disagreements import disagreements
from wardround.benchmarks.extend import extend
from wardround.benchmarks.med_choice import MedChoice
from wardround.benchmarks.run import Settings, evaluate
from wardround.choices import read_questions
from wardround.corpus.sampling import sheet
from wardround.corpus.verdicts import read_back
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.images import labels
from wardround.images.report import PLACES
from wardround.models.names import open_model
from wardround.review import desk, handing_in, item_sources, opening, sources
from wardround.review.asked import plain
from wardround.review.export import export
from wardround.review.sources import Source
from wardround.review.study import ReviewIn, StudyConfig
from wardround.rows import ITEMS
from wardround.store.database import Store
from wardround.tuning import preferences

Say = Callable[[desk.Task, int], ReviewIn]


def opened(store: Store, source: Source, who: list[int], slug: str = "s", raters: int = 2) -> int:
    """A study of what `source` holds."""
    config = StudyConfig(
        kind=source.kind, title="评审", form=source.form, raters=raters, gold_rate=0.0,
        source=source.record, guide_zh=source.guide_zh, guide_en=source.guide_en,
    )  # fmt: skip
    with store.write() as conn:
        return opening.open_study(conn, slug, config, source.items, by=None, members=who)


def reviewed(store: Store, study: int, who: list[int], say: Say) -> list[desk.Task]:
    """Everybody does all they are given; the tasks as they saw them."""
    seen = []
    for place, w in enumerate(who):
        while tasks := desk.next_tasks(store, study, w, ahead=0):
            seen.append(tasks[0])
            handing_in.submit(store, w, tasks[0].assignment, tasks[0].version, say(tasks[0], place))
    return seen


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in path.read_text("utf-8").splitlines()]


def a_run(tmp_path: Path, model: str) -> Path:
    out = tmp_path / f"run-{model.partition('=')[0]}"
    evaluate(
        ["doctorflan_test"], None, open_model(f"scripted:{model}"), [open_model("scripted:overlap")],
        out, Settings(limit=4),
    )  # fmt: skip
    return out


def test_a_checking_sheet_comes_back_filled_in(store: Store, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset").path
    path = tmp_path / "sheet.csv"
    drawn = sheet(dataset, path, half_width=0.4)
    source = sources.from_sheet(path)
    assert len(source.items) == drawn.n
    who = people(store, 2)
    study = opened(store, source, who)
    verdicts = ("good", "minor")
    seen = reviewed(
        store, study, who,
        lambda task, place: ReviewIn(scores={"verdict": verdicts[place]}, comment="一处" if place else ""),
    )  # fmt: skip
    assert {p.role for p in seen[0].body} >= {"question"} and seen[0].content[0].role == "answer"
    out = export(store, "s", tmp_path / "out").path
    both = read_back(dataset, out / "sheet.csv")
    assert both.n == drawn.n and both.verdicts["有小问题"] == drawn.n, "of two the graver stands"
    assert "r2：一处" in both.remarks[0].comment
    assert read_back(dataset, out / "sheets" / "r1.csv").verdicts["合格"] == drawn.n
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="not a checking sheet"):
        sources.from_sheet(tmp_path / "other.csv")


def test_scores_of_a_runs_answers_are_what_agree_reads(store: Store, tmp_path: Path) -> None:
    run = a_run(tmp_path, "echo")
    source = sources.from_run(run)
    assert [level.value for level in source.form[0].levels] == list(range(1, 11))
    who = people(store, 2)
    study = opened(store, source, who)
    seen = reviewed(store, study, who, lambda t, place: ReviewIn(scores={"score": 3 + place}))
    assert not any("scripted" in p.text for t in seen for p in (*t.body, *t.content)), "blind"
    out = export(store, "s", tmp_path / "out").path
    made = agree(run, out / "scores.csv", tmp_path / "agreement")
    assert made.manifest.counts == {"rows": 8, "unmatched": 0, "items": 4, "raters": 2}


def test_two_runs_side_by_side(store: Store, tmp_path: Path) -> None:
    runs = [a_run(tmp_path, "echo"), a_run(tmp_path, "say=多喝水")]
    source = sources.from_pair(runs[0], runs[1], seed=2)
    assert {i.data["A"] for i in source.items} == {0, 1}, "the sides are drawn"
    again = sources.from_pair(runs[0], runs[1], seed=2)
    assert [i.content for i in again.items] == [i.content for i in source.items]
    who = people(store, 3)
    study = opened(store, source, who, raters=3)

    def say(task: desk.Task, place: int) -> ReviewIn:
        echo = next(p.side for p in task.content if p.text != "多喝水")
        return ReviewIn(scores={"preference": "tie" if place == 2 else echo})

    seen = reviewed(store, study, who, say)
    assert not any("scripted" in p.text for t in seen for p in (*t.body, *t.content)), "blind"
    out = export(store, "s", tmp_path / "out").path
    told = lines(out / "verdicts.jsonl")
    assert {t["preferred"] for t in told} == {"scripted:echo", None}
    wins = json.loads((out / "pairs.json").read_text())["wins"]
    assert wins == {"scripted:echo": 8, "tie": 4}
    pairs, aside = preferences.read(preferences.sources([out]))
    assert len(pairs) == 8 and {a.reason for a in aside} == {"tie"}
    assert all(p.rejected == "多喝水" for p in pairs)
    (data,) = (r for r in open_artifact(runs[0]).manifest.inputs if r.role.startswith("data:"))
    assert {(t.benchmark, t.digest) for p in pairs for t in p.origin.tests} == {
        ("doctorflan_test", data.digest)
    }


def test_confirmed_claims_extend_the_set(store: Store, tmp_path: Path) -> None:
    listed = loop.listed(tmp_path)
    source = sources.from_disagreements(listed)
    assert len(source.items) == 2
    for one in source.items:
        claim = next(p for p in one.content or () if p.id == "claim")
        place = one.data["place"]
        assert claim.text.endswith(f"（{PLACES[place]}）") and claim.text_en.endswith(f"({place})")
        report = next(p.text for p in one.body if p.role == "question")
        assert (
            report == one.data["prompt"] and "描述：" in report
        )  # it was asked for the report alone
    who = people(store, 3)
    study = opened(store, source, who, raters=3)

    def say(task: desk.Task, place: int) -> ReviewIn:
        words = (
            {"wrong": "左肺", "right": "右肺"}
            if any(p.id == "wrong" for p in task.content)
            else None
        )
        return ReviewIn(scores={"verdict": "unsure" if place == 2 else "yes"}, revision=words)

    seen = reviewed(store, study, who, say)
    assert not any(
        "good" in p.text or "poor" in p.text for t in seen for p in (*t.body, *t.content)
    )
    out = export(store, "s", tmp_path / "out").path
    made = extend(tmp_path / "set.jsonl", [out / "sheet.csv"], tmp_path / "v2")
    changes = lines(made.path / "changes.jsonl") + lines(made.path / "unsettled.jsonl")
    votes = {(c["case"], c["yes"], c["no"], c["unsure"]) for c in changes}
    assert votes == {("a", 2, 0, 1), ("b", 2, 0, 1)}
    assert all(set(c["experts"]) == {"r1", "r2", "r3"} for c in changes)


def test_the_form_of_an_answer_is_no_part_of_the_question() -> None:
    """Whatever the benchmarks with claims ask: nothing is left of how to write the answer down, all else stands."""
    retina_prompts = [p for by_modality in retina.PROMPT.values() for p in by_modality.values()]
    for prompt in (*cxr_quality.PROMPT.values(), *retina_prompts):
        asked = plain(prompt.replace("{options}", "肺尖未包全：肺尖在片外。\nDR: 3.5 mm."))
        assert "答案：" not in asked and "Answer:" not in asked
        assert (
            prompt.startswith(asked.split("\n")[0])
            and "肺尖未包全：肺尖在片外。\nDR: 3.5 mm." in asked
        )
    assert plain("左肺见结节。右肺清晰。") == "左肺见结节。右肺清晰。"
    alone = "请先用不超过三句话说明依据，再在最后一行写“答案：”。"
    assert plain(alone) == alone


def test_a_claim_of_a_picture_comes_with_the_picture_first() -> None:
    row = {
        "benchmark": "cxr_quality", "case": "a", "turn": 1, "picture": {"modality": "cxr"},
        "question": cxr_quality.PROMPT["zh"].replace("{options}", "肺尖未包全"),
    }  # fmt: skip
    claim = {
        "claim": "apex_cut",
        "in_truth": True,
        "made_by": [],
        "not_made_by": ["m"],
        "reasons": [],
    }
    made = sources._claim(row, claim, "data:image/png;base64,")
    assert [p.role for p in made.body] == ["picture", "question"]
    assert [(p.text, p.text_en) for p in made.content or ()] == [
        (labels.shown("cxr", "apex_cut"), labels.shown("cxr", "apex_cut", "en"))
    ]
    assert made.data["prompt"] == row["question"] and "答案：" not in made.body[1].text


def test_disagreements_without_claims_can_not_be_reviewed(tmp_path: Path) -> None:
    same = loop.run(tmp_path, "one", Fixed("one", loop.GOOD))
    other = loop.run(tmp_path, "two", Fixed("two", loop.GOOD))
    disagreements([same, other], tmp_path / "list")
    found = lines(tmp_path / "list" / "items.jsonl")
    if not any(d["claims"] for d in found):
        with pytest.raises(UsageError, match="no contested claims"):
            sources.from_disagreements(tmp_path / "list")


def test_items_are_signed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "med_choice.jsonl"
    rows = lines(ITEMS / "med_choice.jsonl")[:4]
    rows[3]["review"] = {"status": "ok", "reviewers": ["x"], "date": "2026-01-01"}
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    source = item_sources.from_items(str(path))
    assert len(source.items) == 3 and source.record["signed"] == 1
    who = people(store, 2)
    study = opened(store, source, who)
    keys = {
        rows[0]["id"]: ("ok", "ok"),
        rows[1]["id"]: ("ok", "minor"),
        rows[2]["id"]: ("ok", "wrong"),
    }

    def say(task: desk.Task, place: int) -> ReviewIn:
        key = next(k for k in keys if k in task.body[0].text)
        verdict = keys[key][place]
        revision = {"answer": "B"} if verdict == "wrong" else None
        return ReviewIn(
            scores={"verdict": verdict},
            revision=revision,
            comment="" if verdict == "ok" else "见改文",
        )

    reviewed(store, study, who, say)
    out = export(store, "s", tmp_path / "out")
    new = lines(out.path / "med_choice.jsonl")
    states = [r["review"]["status"] if isinstance(r["review"], dict) else r["review"] for r in new]
    assert states == ["ok", "minor", "unreviewed", "ok"]
    assert [{k: v for k, v in r.items() if k != "review"} for r in new] == [
        {k: v for k, v in r.items() if k != "review"} for r in rows
    ]
    findings = lines(out.path / "findings.jsonl")
    assert [(f["id"], f["status"]) for f in findings] == [
        (rows[1]["id"], "minor"), (rows[2]["id"], "divided"),
    ]  # fmt: skip
    assert findings[1]["reviews"][0]["correction"] == {"answer": "B"}
    assert out.manifest.counts["signed"] == 3
    questions, _, labels = read_questions(out.path / "med_choice.jsonl")
    assert len(questions) == 4 and labels, "one item is unreviewed still, and the set says so"
    assert MedChoice().load(out.path / "med_choice.jsonl")[0]
    path.write_text("{}\n")
    with pytest.raises(ArtifactError, match="not the file"):
        export(store, "s", tmp_path / "again")


@pytest.mark.parametrize(
    "name", ["case_rubric", "doctorflan_test", "dotabench", "med_choice", "med_risk", "ct_reports"]
)
def test_every_shipped_set_can_be_reviewed(name: str) -> None:
    source = item_sources.from_items(name)
    assert all(i.content and i.key for i in source.items)
    assert len({i.key for i in source.items}) == len(source.items)


@pytest.mark.parametrize("name", item_sources.shipped())
def test_parts_of_shipped_items_are_named_in_both_languages(name: str) -> None:
    """A reviewer reads names, not the fields of a file, and no brackets or quotes of a program."""
    for one in item_sources.from_items(name).items:
        for part in one.content or ():
            assert part.zh != part.id and re.search(r"[一-鿿]", part.zh), part.id
            assert part.en and not re.search(r"[一-鿿_]", part.en), part.id
            assert "['" not in part.text and "{'" not in part.text
        assert not re.search(r" · [A-Za-z_ ]+$", one.body[0].text)


def test_what_can_not_be_opened_is_said(tmp_path: Path) -> None:
    run = a_run(tmp_path, "echo")
    with pytest.raises(UsageError, match="no med_choice in it"):
        sources.from_run(run, "med_choice")
    with pytest.raises(UsageError, match="no such file"):
        sources.from_sheet(tmp_path / "none.csv")
