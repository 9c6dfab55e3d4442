"""Sample outputs, the sheet for grouping, and the whole survey from the command line."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.survey.made import TASKS, closed, full, made, submit
from wardround import cli, taxonomy
from wardround.artifact import open_artifact
from wardround.errors import InputError, UsageError, WardroundError
from wardround.lineage import verify
from wardround.models.names import open_model
from wardround.models.prompt import read_block
from wardround.report import render
from wardround.store.database import Store
from wardround.survey import group_sheet, grouping, samples, surveys


def test_a_model_is_asked_for_the_very_example(tmp_path: Path) -> None:
    out = samples.ask(TASKS, open_model("scripted:echo"), tmp_path / "out", slug="needs")
    assert out.manifest.kind == "samples" and out.manifest.counts == {"samples": 4}
    assert samples.UNREVIEWED in out.manifest.labels and any(
        "scripted" in x for x in out.manifest.labels
    )
    found = samples.read(tmp_path / "out")
    assert list(found) == [t.key for t in TASKS]
    (first,) = found["triage"]
    assert first.question == TASKS[0].example_zh and TASKS[0].instruction in first.answer
    assert "‹病例描述>：" in first.answer and first.labels
    assert "‹病例描述>" not in found["disease_inquiry"][0].answer
    again = samples.ask(TASKS, open_model("scripted:echo"), tmp_path / "out", slug="needs")
    assert again.manifest.digest == out.manifest.digest
    assert read_block("reference", first.answer) is None


def test_a_model_that_fails_leaves_the_work_open(tmp_path: Path) -> None:
    with pytest.raises(WardroundError):
        samples.ask(TASKS, open_model("x@http://127.0.0.1:9/v1"), tmp_path / "out", slug="needs")


def test_files_of_samples(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(
        '{"task": "triage", "answer": "答", "model": "m"}\n{"task": "triage", "answer": "答二", "model": "n"}\n'
    )
    assert [s.answer for s in samples.read(path)["triage"]] == ["答", "答二"]
    for line, said in (
        ('{"task": "triage"}', "no answer, model"),
        ('{"task":"t","answer":"a","model":"m","labels":"x"}', "list"),
    ):
        path.write_text(line)
        with pytest.raises(InputError, match=said):
            samples.read(path)
        with pytest.raises(UsageError, match=r"up\.jsonl, row 1"):
            samples.parsed(line.encode(), "up.jsonl")


def rows_of(data: bytes) -> list[dict[str, str]]:
    head, *rows = csv.reader(io.StringIO(data.decode("utf-8-sig")))
    names = [h.split()[0] for h in head]
    return [dict(zip(names, r, strict=True)) for r in rows]


def filled(rows: list[dict[str, str]], **by_name: dict[str, str]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows([r | by_name.get(r["name"], {}) for r in rows])
    return out.getvalue().encode("gb18030")


NEW = {
    "decision": "新建",
    "zh": "知情同意书",
    "en": "Consent form",
    "phase": "treatment",
    "definition": "起草。",
}


def test_grouping_on_a_sheet(store: Store, tmp_path: Path) -> None:
    found = made(store)
    for name in ("知情同意书", "同意书起草", "写病历总结", "修打印机", "以后再说"):
        submit(store, found.id, full(added=name))
    rows = rows_of(group_sheet.write(store, found.id))
    assert [r["name"] for r in rows] == [
        "知情同意书",
        "同意书起草",
        "写病历总结",
        "修打印机",
        "以后再说",
    ]
    heads = next(csv.reader(io.StringIO(group_sheet.write(store, found.id).decode("utf-8-sig"))))
    told = {h.split()[0]: h for h in heads}
    assert all(
        f"{d} {group_sheet.DECISIONS[d][1]}" in told["decision"] for d in ("merge", "new", "reject")
    )
    assert all(
        p.id in told["phase"] and "新建" in told["definition"] for p in taxonomy.items("phases")
    )
    assert rows[2]["near_task"].startswith("case_summary") and "知情同意书" in rows[1]["near_added"]
    path = tmp_path / "sheet.csv"

    def send(**by_name: dict[str, str]) -> group_sheet.Settled:
        path.write_bytes(filled(rows, **by_name))
        return group_sheet.read(store, found.id, path)

    for wrong, said in (
        ({"decision": "merge", "task": "none"}, "no task none"), ({"decision": "reject"}, "reason"),
        ({"decision": "maybe"}, "unknown decision"), ({**NEW, "en": ""}, "has no en"),
        ({**NEW, "phase": "x"}, "no phase"), ({**NEW, "takes": "x"}, "takes"), ({"id": "99"}, "no added task 99"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said) as e:
            send(知情同意书=wrong)
        assert "row 2" in str(e.value)
    assert {a.state for a in grouping.board(store, found.id).additions} == {"open"}
    decisions: dict[str, Any] = {
        "知情同意书": NEW, "同意书起草": {"decision": "new", "zh": "知情同意书", "en": "Consent form"},
        "写病历总结": {"decision": "归入", "task": "case_summary"}, "修打印机": {"decision": "不采纳", "reason": "不是文书"},
    }  # fmt: skip
    done = send(**decisions)
    assert (done.merged, done.named, done.rejected, done.left) == (1, 2, 1, 1)
    assert done.new_tasks == ("consent_form",)
    again = group_sheet.read(store, found.id, path)
    assert again.new_tasks == () and again.named == 2
    after = {a.name: (a.state, a.task) for a in grouping.board(store, found.id).additions}
    assert after == {
        "知情同意书": ("merged", "consent_form"), "同意书起草": ("merged", "consent_form"),
        "写病历总结": ("merged", "case_summary"), "修打印机": ("rejected", ""), "以后再说": ("open", ""),
    }  # fmt: skip
    assert rows_of(group_sheet.write(store, found.id))[3]["reason"] == "不是文书"


def run(capsys: pytest.CaptureFixture[str], *args: object, status: int = 0) -> dict[str, Any]:
    assert cli.main([*map(str, ("survey", *args)), "--json"]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return found


def test_a_survey_from_the_command_line(
    store_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    db = ("--db", store_url)
    made_ = run(capsys, "new", "needs", "--title", "需求", "--min-cell", 5, *db)
    assert made_["tasks"] == 22 and made_["minutes"] == 2.7
    run(capsys, "links", "needs", *db, status=2)
    assert run(capsys, "links", "needs", "--shared", *db)["link"].startswith(
        "http://127.0.0.1:8000/s/"
    )
    assert run(capsys, "links", "needs", "--count", 2, "--out", "links.csv", *db)["count"] == 2
    assert (
        len(run(capsys, "links", "needs", "--count", 2, "--base-url", "https://x/", *db)["links"])
        == 2
    )
    run(capsys, "open", "needs", *db)
    heads = ["triage.frequency", "triage.usefulness", "triage.risk", "added.1.name"]
    Path("in.csv").write_text(
        "\n".join([",".join(heads), *["4,5,2,知情同意书"] * 6, "9,1,1,"]), encoding="utf-8"
    )
    said = run(capsys, "import", "needs", "in.csv", *db)["files"][0]
    assert (said["new"], said["aside"]) == (6, 1)
    aside = json.loads(Path("in.aside.jsonl").read_text())
    assert (aside["row"], aside["column"]) == (8, "triage.frequency")
    Path("odd.csv").write_text("什么\n1", encoding="utf-8")
    assert run(capsys, "import", "needs", "odd.csv", "--plan", *db)["files"][0]["unknown"] == [
        "什么"
    ]
    assert "什么: ignore" in Path("odd.mapping.yaml").read_text(encoding="utf-8")
    run(capsys, "import", "needs", "odd.csv", *db, status=2)
    run(capsys, "results", "needs", *db, status=1)
    run(capsys, "close", "needs", *db)

    assert len(run(capsys, "additions", "needs", *db)["additions"]) == 6
    run(capsys, "additions", "needs", "--out", "sheet.csv", *db)
    rows = rows_of(Path("sheet.csv").read_bytes())
    Path("sheet.csv").write_bytes(filled(rows, 知情同意书=NEW))
    assert run(capsys, "group", "needs", "sheet.csv", *db)["new_tasks"] == ["consent_form"]
    assert run(capsys, "export", "needs", "--out", "out.csv", *db)["files"] == [
        "out.csv",
        "out-texts.csv",
    ]
    assert run(capsys, "export", "needs", "--out", "out.xlsx", "--full", *db)["answers"] == 6
    run(capsys, "export", "needs", "--out", "out.pdf", *db, status=2)
    run(capsys, "decide", "needs", "case_summary", "drop", *db, status=2)
    run(capsys, "decide", "needs", "case_summary", "drop", "--reason", "已有", *db)
    assert (
        run(capsys, "results", "needs", "--csv", "r.csv", *db)["results"]["tasks"][0]["decision"][
            "outcome"
        ]
        == "keep"
    )
    assert run(capsys, "results", "needs", "--out", "first", *db)["kind"] == "survey"

    run(capsys, "feedback", "needs-2", "--of", "needs", *db)
    assert (
        run(capsys, "samples", "needs-2", "--model", "scripted:echo", "--out", "s", *db)["tasks"]
        == 21
    )
    assert run(capsys, "samples", "needs-2", "--from", "s", *db)["tasks"] == 21
    run(capsys, "samples", "needs-2", *db, status=2)
    run(capsys, "open", "needs-2", *db)
    Path("in2.csv").write_text(
        "\n".join(["triage.verdict,consent_form.verdict", *["删去,保留"] * 6]), encoding="utf-8"
    )
    assert run(capsys, "import", "needs-2", "in2.csv", *db)["files"][0]["new"] == 6
    run(capsys, "tasks", "needs-2", *db, status=1)
    run(capsys, "close", "needs-2", *db)
    kept = run(capsys, "tasks", "needs-2", "--out", "list", *db)
    assert "consent_form" in kept["kept"] and [d["id"] for d in kept["dropped"]] == ["triage"]
    assert "origin: survey" in Path("list/tasks.yaml").read_text(encoding="utf-8")
    run(capsys, "results", "needs-2", "--out", "second", *db, status=2)
    run(capsys, "results", "needs-2", "--out", "second", "--after", "first", *db)
    assert verify(Path("second")).whole
    assert [s["answers"] for s in run(capsys, "list", *db)["surveys"]] == [6, 6]
    assert run(capsys, "show", "needs-2", *db)["counts"]["imported"] == 6


def test_text_output_and_wrong_use(
    sqlite_store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WARDROUND_DB", str(sqlite_store.engine.url.database))
    found = made(sqlite_store)
    for k in range(6):
        submit(sqlite_store, found.id, full(frequency=k % 5, added="知情同意书" if k else ""))
    for args in (["list"], ["show", "needs"], ["additions", "needs"]):
        assert cli.main(["survey", *args]) == 0
    shown = capsys.readouterr().out
    assert "知情同意书" in shown and "1 surveys" in shown and "5 added tasks" in shown
    for address, words in (
        ([], "http://127.0.0.1:8000，只有本机"),
        (["--base-url", "https://x"], ""),
    ):
        assert cli.main(["survey", "links", "needs", "--shared", *address]) == 0
        out, told = capsys.readouterr()
        assert out.count("\n") == 1, "stdout is the link alone"
        assert words in told and bool(told) == bool(words)
    Path("wardround.toml").write_text('[web]\nbase_url = "https://review.example/"\n')
    assert cli.main(["survey", "links", "needs", "--shared"]) == 0
    out, told = capsys.readouterr()
    assert out.startswith("https://review.example/s/") and "begin with https://review" in told
    Path("wardround.toml").unlink()
    closed(sqlite_store, found.id)
    assert cli.main(["survey", "results", "needs"]) == 0
    assert "优先级 priority" in capsys.readouterr().out
    Path("settings.yaml").write_text("nonsense: 1")
    for args in (
        ["new", "x", "--settings", "settings.yaml"], ["new", "Bad Name"], ["show", "none"],
        ["new", "x", "--settings", "none.yaml"], ["decide", "needs", "none", "keep"],
        ["samples", "needs", "--model", "scripted:echo"],
    ):  # fmt: skip
        assert cli.main(["survey", *args]) == 2
    Path("settings.yaml").write_text(
        "title_zh: 甲\nrule: {priority: 9, undecided: drop}\nmin_cell: 7\n", encoding="utf-8"
    )
    assert cli.main(["survey", "new", "x", "--settings", "settings.yaml", "--min-cell", "6"]) == 0
    with sqlite_store.read() as conn:
        config = surveys.load(conn, "x").config
    assert (config.rule.priority, config.rule.undecided, config.min_cell) == (9.0, "drop", 6)
    Path("tasks.yaml").write_text(
        "items:\n- {id: one, zh: 一, en: One, phase: diagnosis, definition: 一件事。}\n",
        encoding="utf-8",
    )
    assert cli.main(["survey", "new", "y", "--tasks", "tasks.yaml"]) == 0
    with sqlite_store.read() as conn:
        (only,) = surveys.shown(conn, surveys.load(conn, "y").id)
    assert (only.key, only.origin, only.instruction) == (
        "one",
        "survey",
        "请根据以下病例描述，完成“一”。",
    )
    assert cli.main(["survey", "new", "z", "--tasks", "none.yaml"]) == 2


def test_the_report_of_a_survey(sqlite_store: Store, tmp_path: Path) -> None:
    from wardround.survey import keeping

    found = made(sqlite_store)
    for k in range(9):
        submit(
            sqlite_store, found.id, full(frequency=k % 5, added="知情同意书<script>" if k else "")
        )
    closed(sqlite_store, found.id)
    keeping.keep(sqlite_store, found.id, tmp_path / "a")
    page = render(tmp_path / "a")
    assert "需求与取舍" in page and "病历总结" in page and "<script>" not in page
    assert "不是临床效果的证据" in page and "<svg" in page and "心血管内科" in page
    assert open_artifact(tmp_path / "a", "survey").manifest.counts["answers"] == 9
