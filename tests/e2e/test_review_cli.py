"""`wardround review` as its user meets it: from questions to an export that is tuned on, on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from tests.e2e.conftest import Server, kill_when, wardround
from tests.review.drafts import Said, said
from tests.review.played import play
from tests.review.rooms import people
from wardround.artifact import open_artifact
from wardround.review import candidates, opening
from wardround.store.database import Store
from wardround.store.people import user


def done(*args: object, **options: Any) -> dict[str, Any]:
    found = wardround("review", *args, "--json", **options)
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def refused(status: int, words: str, *args: object) -> None:
    found = wardround("review", *args)
    assert found.returncode == status, found.stderr
    assert words in found.stderr and "Traceback" not in found.stderr


def test_from_questions_to_an_export(store: Store, store_url: str, tmp_path: Path) -> None:
    names = [f"reviewer{i}" for i in range(4)]
    who = people(store, 4)
    out = tmp_path / "candidates"
    made = done(
        "rationale", "med_choice", "--model", "scripted:rationale", "--limit", 10, "--out", out
    )
    assert (made["questions"], made["drafts"]) == (10, 10)
    db = ("--db", store_url)
    told = done("open", out, *db, "--study", "first", "--title", "初评", "--reviewer", *names)
    assert told["items"] == 10 and told["states"]["drafting"] == 10 - told["states"]["open"] > 0
    worked = done("work", "--once", *db)
    assert worked["written"] > 0 and worked["waiting"] == 0
    with store.read() as conn:
        study = opening.study_row(conn, "first")["id"]
    play(store, study, who)
    status = done("status", "first", *db)
    assert status["overview"]["final"] == 10 and status["panel"] == []
    assert {d["field"] for d in status["agreement"]} >= {"medical_correctness"}
    text = wardround("review", "status", "first", *db).stdout
    assert "10 / 10" in text and "Krippendorff" in text
    assert status["agreement"] != status["agreement_all_rounds"] != []
    assert text.index("agreement in first rounds") < text.index("agreement in all rounds")
    exported = done("export", "first", *db, "--out", tmp_path / "export")
    assert exported["counts"]["accepted"] > 0
    shown = wardround("show", tmp_path / "export").stdout
    told_of = json.loads((tmp_path / "export" / "agreement.json").read_text())["all"]
    of_each = [m for d in told_of for m in d["measures"] if m["low"] is not None]
    assert len(of_each) >= 5
    for m in of_each[:10]:  # of the rest it names the page
        assert f"{m['value']:.2f} [{m['low']:.2f}, {m['high']:.2f}]" in shown, m
    artifact = open_artifact(tmp_path / "export", "review")
    assert artifact.manifest.inputs[0].digest == made["digest"]
    assert wardround("verify", tmp_path / "export").returncode == 0
    assert done("close", "first", *db)["status"] == "closed"
    (listed,) = done("list", *db)["studies"]
    assert (listed["slug"], listed["status"], listed["final"]) == ("first", "closed", 10)


@pytest.mark.torch
def test_the_export_is_tuned_on(sqlite_store: Store, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.tuning.conftest import write_dataset
    from tests.tuning.tiny import BASE
    from wardround.tuning.scratch import make_base

    db = ("--db", str(sqlite_store.engine.url.database))
    who = people(sqlite_store, 4)
    out = tmp_path / "candidates"
    done("rationale", "med_choice", "--model", "scripted:rationale", "--limit", 12, "--out", out)
    done("open", out, *db, "--study", "s", "--reviewer", *(f"reviewer{i}" for i in range(4)))
    done("work", "--once", *db)
    play(sqlite_store, 1, who)
    made = done("export", "s", *db, "--out", tmp_path / "export")
    options = msgspec.structs.replace(BASE, max_positions=2048)
    base = make_base(write_dataset(tmp_path / "dataset").path, tmp_path / "base", options).path
    tune = (
        "tune", tmp_path / "export", "--base", base, "--epochs", 1, "--max-tokens", 2048,
        "--out", tmp_path / "checkpoint", "--threads", 1, "--probes", 0,
    )  # fmt: skip
    asked = wardround(*tune)
    assert asked.returncode == 2 and "no contamination report" in asked.stderr
    tuned = wardround(*tune, "--accept-unchecked")
    assert tuned.returncode == 0, tuned.stderr
    manifest = open_artifact(tmp_path / "checkpoint").manifest
    assert made["digest"] in {r.digest for r in manifest.inputs}
    assert (
        manifest.counts["samples"] + manifest.counts["held_out_samples"]
        == made["counts"]["accepted"]
    )
    assert any("脚本化替身所写" in label for label in manifest.labels)


def test_a_dead_endpoint_is_told_and_the_work_goes_on(
    sqlite_store: Store, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    db = ("--db", str(sqlite_store.engine.url.database))
    people(sqlite_store, 3)
    out = tmp_path / "candidates"
    done("rationale", "med_choice", "--model", "scripted:rationale", "--limit", 6, "--out", out)
    server = serve("scripted:rationale")
    (tmp_path / "wardround.toml").write_text(
        f'[models.writer]\nendpoint = "{server.url}"\nmodel = "scripted:rationale"\n'
        '[models.dead]\nendpoint = "http://127.0.0.1:9/v1"\nmodel = "x"\n'
    )
    config = tmp_path / "wardround.toml"
    for study, model in (("dead", "dead"), ("live", "writer")):
        args = ("open", out, *db, "--study", study, "--model", model, "--reviewer", "reviewer0")
        done(*args, config=config)
    found = wardround("review", "work", "--once", *db, "--json", config=config)
    assert found.returncode == 1
    told = json.loads(found.stdout)
    assert told["ok"] is False and told["written"] > 0 and told["waiting"] > 0
    assert any("127.0.0.1:9" in error for error in told["errors"])
    status = done("status", "dead", *db)
    assert status["drafts"]["queued"] > 0 and status["drafts"]["next_due"]
    assert done("status", "live", *db)["drafts"]["queued"] == 0
    config.write_text(config.read_text().replace("http://127.0.0.1:9/v1", server.url))
    config.write_text(config.read_text().replace('model = "x"', 'model = "scripted:rationale"'))
    assert done("retry", "dead", *db)["jobs"] > 0
    assert done("work", "--once", *db, config=config)["waiting"] == 0


def test_the_model_that_wrote_writes_again_without_being_named(
    sqlite_store: Store, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    db = ("--db", str(sqlite_store.engine.url.database))
    people(sqlite_store, 4)
    names = [f"reviewer{i}" for i in range(4)]
    server = serve("scripted:rationale")
    out = tmp_path / "candidates"
    spec = f"scripted:rationale@{server.url}"
    done("rationale", "med_choice", "--model", spec, "--limit", 6, "--out", out)
    told = done("open", out, *db, "--study", "again", "--reviewer", *names)
    assert told["model"] == spec and told["states"]["drafting"] > 0
    before = server.asked().total()
    worked = done("work", "--once", *db)
    assert worked["written"] > 0 and worked["errors"] == {} and worked["waiting"] == 0
    assert server.asked().total() > before
    shown = wardround("review", "open", out, *db, "--study", "shown", "--reviewer", *names)
    assert f"重写用的模型 who writes again: {spec}" in shown.stdout


def test_a_writer_that_can_not_be_opened_is_told_at_opening(
    sqlite_store: Store, tmp_path: Path
) -> None:
    db = ("--db", str(sqlite_store.engine.url.database))
    people(sqlite_store, 4)
    model = Said(said("A"))
    model.name, model.identity = "tuned", {"kind": "local", "digest": "0" * 64}
    path = candidates.questions_file("med_choice")
    candidates.make(path, model, tmp_path / "c", candidates.Settings(limit=3))
    opens = ("open", tmp_path / "c", *db, "--study")
    refused(2, "its model tuned can't be opened", *opens, "s", "--reviewer", "reviewer0")
    refused(2, "--model (NAME@http", *opens, "s", "--reviewer", "reviewer0")
    refused(2, "holds a password", *opens, "s", "--model", "m@http://me:secret@127.0.0.1:9/v1")
    assert done(*opens, "revised", "--on-fail", "revise")["model"] == ""
    named = done(*opens, "named", "--model", "scripted:rationale")
    assert named["model"] == "scripted:rationale"
    none = wardround("review", *opens, "none", "--model", "")
    assert none.returncode == 0 and "no model to write drafts: --model" in none.stdout


def test_rationale_goes_on_after_kill_and_failures(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve("scripted:rationale", "--latency-ms", 50)
    out = tmp_path / "candidates"
    args = ["review", "rationale", "med_choice", "--model", f"scripted:rationale@{server.url}"]
    args += ["--limit", "40", "--concurrency", "2", "--out", str(out)]
    journal = out / "journal.jsonl"
    status = kill_when(
        list(args), lambda: journal.exists() and journal.read_bytes().count(b"\n") > 5
    )
    assert status == -9
    found = wardround(*args)
    assert found.returncode == 0, found.stderr
    assert max(server.asked().values()) <= 2, "only what was in flight is asked again"
    assert open_artifact(out).manifest.counts["drafts"] == 40
    dead = wardround("review", "rationale", "med_choice", "--model", "scripted:fail", "--limit", 3,
                     "--out", tmp_path / "failed")  # fmt: skip
    assert dead.returncode == 1 and "3 of 3 questions failed" in dead.stderr
    assert "run the same command again" in dead.stderr
    unread = done("rationale", "med_choice", "--model", "scripted:say=选A", "--limit", 3,
                  "--out", tmp_path / "unread")  # fmt: skip
    assert (unread["unreadable"], unread["drafts"]) == (3, 0)


def test_what_is_wrong_is_said(sqlite_store: Store, tmp_path: Path) -> None:
    db = ("--db", str(sqlite_store.engine.url.database))
    people(sqlite_store, 2)
    out = tmp_path / "c"
    done("rationale", "med_choice", "--model", "scripted:rationale", "--limit", 3, "--out", out)
    opens = ("open", out, *db, "--study")
    refused(
        2,
        "no such file",
        "rationale",
        "nowhere.jsonl",
        "--model",
        "scripted:rationale",
        "--out",
        out,
    )
    refused(2, "needs the price", "rationale", "med_choice", "--model", "m@http://127.0.0.1:9/v1",
            "--max-cost", 1, "--out", tmp_path / "x")  # fmt: skip
    refused(2, "no account nobody", *opens, "s", "--reviewer", "nobody")
    refused(2, "can't name a study", *opens, "Not A Slug", "--reviewer", "reviewer0")
    refused(2, "no model named", *opens, "s", "--model", "nothing-of-the-kind")
    refused(2, "must be 1 or more", *opens, "s", "--raters", 0)
    (tmp_path / "gold.jsonl").write_text(
        '{"id": "nothing", "scores": {"medical_correctness": 5}}\n'
    )
    gold = ("--gold", tmp_path / "gold.jsonl")
    refused(1, "gold.jsonl, row 1: there is no item 'nothing'", *opens, "s", *gold)
    first = candidates.read_candidates(open_artifact(out))[0].id
    for scores, words in (
        ({"medical_correctnes": 5}, "there is no field 'medical_correctnes'"),
        ({"medical_correctness": 9}, "medical_correctness can't be 9"),
    ):
        (tmp_path / "gold.jsonl").write_text(json.dumps({"id": first, "scores": scores}) + "\n")
        refused(1, words, *opens, "s", *gold)
        refused(1, "gold.jsonl, row 1", *opens, "s", *gold)
    refused(1, "there is no study s", "status", "s", *db)
    done(*opens, "s", "--reviewer", "reviewer0")
    refused(2, "there is a study s already", *opens, "s", "--reviewer", "reviewer0")
    added = done("add-reviewer", "s", "reviewer1", *db)
    assert added["given"] >= 0
    assert done("replan", "s", *db)["left"] != {} or added["left"] == {}
    refused(2, "no such file", "open", tmp_path / "none", *db, "--study", "t")
    refused(2, "med_choice", "open", "nosuch", *db, "--study", "t")
    (tmp_path / "folder").mkdir()
    refused(2, "a folder with no artifact in it", "open", tmp_path / "folder", *db, "--study", "t")


def test_other_kinds_and_other_tools(sqlite_store: Store, items: Path, tmp_path: Path) -> None:
    db = ("--db", str(sqlite_store.engine.url.database))
    people(sqlite_store, 3)
    run = tmp_path / "run"
    evaluated = wardround(
        "eval", "doctorflan_test", "--data", items, "--limit", 3, "--model", "scripted:echo",
        "--judge", "scripted:overlap", "--out", run,
    )  # fmt: skip
    assert evaluated.returncode == 0, evaluated.stderr
    with sqlite_store.write() as conn:  # doctors review as well
        for name, role in (("reviewer0", "doctor"), ("reviewer2", "auditor")):
            conn.execute(update(user).where(user.c.name == name).values(roles=[role]))
    names = ("reviewer0", "reviewer1")
    unfit = ("open", run, *db, "--study", "x", "--reviewer", "reviewer2")
    refused(2, "reviewer2: no active account of a reviewer", *unfit)
    assert (
        done("open", run, *db, "--study", "run", "--raters", 1, "--reviewer", *names)["items"] == 3
    )
    assert done("open", "med_choice", *db, "--study", "items", "--raters", 1)["items"] == 240
    sent = done("send", "run", *db, "--to", "label-studio", "--out", tmp_path / "ls")
    assert sent["items"] == 3
    tasks = json.loads((tmp_path / "ls" / "tasks.json").read_text())
    score = {"from_name": "score", "type": "choices", "value": {"choices": ["7"]}}
    for task in tasks:
        task["annotations"] = [{"completed_by": {"email": "anna@x.org"}, "result": [score]}]
    (tmp_path / "back.json").write_text(json.dumps(tasks))
    take = ("take", "run", tmp_path / "back.json", *db, "--from", "label-studio")
    assert done(*take, "--rater", "anna@x.org=reviewer0")["taken"] == 3
    again = wardround("review", *take, "--rater", "anna@x.org=reviewer0", "--json")
    assert again.returncode == 1 and len(json.loads(again.stdout)["left"]) == 3
    refused(2, "THEIRS=ACCOUNT", *take, "--rater", "anna")
    nobody = wardround("review", *take)
    assert nobody.returncode == 1 and nobody.stdout.count("\n") == 2, "a line a rater, not a rating"
    assert "! anna@x.org: 3 份 ratings" in nobody.stdout
    assert "--rater anna@x.org=ACCOUNT" in nobody.stdout
    done("send", "run", *db, "--to", "potato", "--with-ratings", "--out", tmp_path / "potato")
    assert (tmp_path / "potato/annotation_output/r1/user_state.json").is_file()
    done("export", "run", *db, "--out", tmp_path / "export")
    agreed = wardround("agree", run, tmp_path / "export" / "scores.csv", "--out", tmp_path / "a")
    assert agreed.returncode == 0, agreed.stderr
