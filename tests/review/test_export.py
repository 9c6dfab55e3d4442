"""Exports: nothing vanishes, nobody is named, the same state gives the same bytes, and it can be learned from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.review.played import play
from tests.review.rooms import config as rules
from tests.review.rooms import people
from wardround.artifact import open_artifact
from wardround.errors import ConfigMismatchError
from wardround.lineage import verify
from wardround.models.names import open_model
from wardround.review import candidates, opening, sources
from wardround.review.export import export
from wardround.review.gold import with_gold
from wardround.store.database import Store


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def made(tmp_path: Path, limit: int = 12) -> Path:
    """Candidates of the shipped questions."""
    out = tmp_path / "candidates"
    candidates.make(
        candidates.questions_file("med_choice"), open_model("scripted:rationale"), out,
        candidates.Settings(limit=limit),
    )  # fmt: skip
    return out


def studied(
    store: Store, path: Path, who: list[int], gold: Path | None = None, **more: object
) -> int:
    source = sources.from_candidates(path)
    if gold is not None:
        source = with_gold(source, gold)
    settings = rules(form=source.form, model=source.model, source=source.record, raters=3, **more)
    with store.write() as conn:
        return opening.open_study(conn, "s", settings, source.items, by=None, members=who)


def test_a_study_played_through_is_exported_whole(store: Store, tmp_path: Path) -> None:
    who = people(store, 4)
    path = made(tmp_path)
    study = studied(store, path, who)
    play(store, study, who)
    out = export(store, "s", tmp_path / "out")
    counts = out.manifest.counts
    accepted, undecided = rows(out.path / "rationales.jsonl"), rows(out.path / "undecided.jsonl")
    assert counts["items"] == 12 == len(accepted) + len(undecided)
    assert counts["accepted"] == len(accepted) > 0
    assert counts["by_panel"] > 0 and undecided, "the panel had its part"
    for row in accepted:
        last = row["versions"][-1]
        assert last["answer"] == row["answer"] and "\n".join(last["steps"]) == row["rationale"]
        if row["decided_by"] == "consensus":
            own = [s["scores"] for s in row["scores"] if s["round"] == row["rounds"]]
            assert len(own) == 3 and min(min(s.values()) for s in own) >= 3
            assert row["provenance"]["validated_by"]
        failed = [r for r in row["results"] if r["outcome"] == "failed"]
        assert len(failed) == row["strikes"]
    assert all(r["status"] == "rejected" and r["panel"]["reason"] for r in undecided)
    assert any(s["revision"] for r in accepted + undecided for s in r["scores"])
    train = rows(out.path / "train.jsonl")
    assert [t["id"] for t in train] == [r["id"] for r in accepted]
    assert train[0]["messages"][1]["content"].endswith(f"答案：{accepted[0]['answer']}")
    info = json.loads((out.path / "llamafactory/dataset_info.json").read_text())
    assert (out.path / "llamafactory" / info["wardround_rationales"]["file_name"]).is_file()
    assert any("脚本化替身" in label for label in out.manifest.labels)
    assert_people_are_named(out.manifest.labels, rows(out.path / "items.jsonl"))
    agreement = json.loads((out.path / "agreement.json").read_text())
    assert {d["field"] for d in agreement["first"]} == set(
        json.loads(json.dumps([f.id for f in sources.from_candidates(path).form]))
    )
    assert set(agreement["raters"]) <= {"r1", "r2", "r3", "r4"}


def assert_people_are_named(labels: Sequence[str], items: list[dict[str, Any]]) -> None:
    """Whoever rewrote a text is in the labels, with how many such texts there are and how many stand."""
    for kind, words in (("reviewer", "revised by reviewers"), ("panel", "written by the panel")):
        wrote = [v for i in items for v in i["versions"] if v["author_kind"] == kind]
        stand = sum(
            v["author_kind"] == kind and v["number"] == i["final"]
            for i in items
            for v in i["versions"]
        )
        (label,) = [x for x in labels if words in x]
        assert wrote and label.startswith(f"{len(wrote)} 份") and f"{stand} of them stand" in label
        assert all(v["author"] in label for v in wrote)


def test_no_name_in_it_unless_asked_and_the_same_bytes_again(store: Store, tmp_path: Path) -> None:
    who = people(store, 3)
    study = studied(store, made(tmp_path, 4), who)
    play(store, study, who)
    first = export(store, "s", tmp_path / "a")
    again = export(store, "s", tmp_path / "b")
    assert first.manifest.digest == again.manifest.digest
    for file in first.path.rglob("*"):
        if file.is_file():
            assert b"reviewer0" not in file.read_bytes(), file
            assert "评审0".encode() not in file.read_bytes(), file
    named = export(store, "s", tmp_path / "c", names=True)
    assert "reviewer0" in (named.path / "items.jsonl").read_text("utf-8")
    found = verify(first.path)
    assert found.whole and [v.kind for v in found.inputs] == ["candidates"]


def test_another_state_needs_another_directory(store: Store, tmp_path: Path) -> None:
    who = people(store, 3)
    study = studied(store, made(tmp_path, 4), who)
    export(store, "s", tmp_path / "a")
    play(store, study, who)
    with pytest.raises(ConfigMismatchError, match="state"):
        export(store, "s", tmp_path / "a")


def test_gold_and_unfinished_items_are_there_too(store: Store, tmp_path: Path) -> None:
    who = people(store, 3)
    path = made(tmp_path, 5)
    first = candidates.read_candidates(open_artifact(path))[0]
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"id": first.id, "scores": {"medical_correctness": 2}}) + "\n")
    studied(store, path, who, gold)
    out = export(store, "s", tmp_path / "out")
    assert [g["key"] for g in rows(out.path / "gold.jsonl")] == [first.id]
    undecided = rows(out.path / "undecided.jsonl")
    assert len(undecided) == 4 and not rows(out.path / "rationales.jsonl")
    assert {u["status"] for u in undecided} <= {"open", "drafting"}
    import pyarrow.parquet as pq

    assert pq.read_table(out.path / "rationales.parquet").num_rows == 0


def test_the_table_holds_what_the_lines_hold(store: Store, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    who = people(store, 3)
    study = studied(store, made(tmp_path, 6), who)
    play(store, study, who)
    out = export(store, "s", tmp_path / "out")
    table = pq.read_table(out.path / "rationales.parquet").to_pylist()
    lines = rows(out.path / "rationales.jsonl")
    assert [t["id"] for t in table] == [r["id"] for r in lines]
    for t, r in zip(table, lines, strict=True):
        assert t["steps"] == r["steps"] and t["options_in_question"] == r["options_in_question"]
        assert json.loads(t["scores"]) == r["scores"]
        assert msgspec.json.decode(t["options"]) == r["options"]


def test_both_artifacts_have_a_page(sqlite_store: Store, tmp_path: Path) -> None:
    from wardround.report import data, render, text

    who = people(sqlite_store, 4)
    path = made(tmp_path, 6)
    study = studied(sqlite_store, path, who)
    play(sqlite_store, study, who)
    out = export(sqlite_store, "s", tmp_path / "out").path
    assert "专家评审" in render(out) and "待评的推理" in render(path)
    told = text(out)
    assert "Krippendorff α" in told and "r1" in told and "脚本化替身" in told
    assert data(out)["summary"]["items"] == 6
    assert "推理稿 drafts" in text(path)
