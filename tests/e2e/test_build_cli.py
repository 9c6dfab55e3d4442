"""`wardround build` and `wardround sample` as their user meets them: every option, and sources as they are found."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.corpus.made import case, entry, told, write
from tests.e2e.conftest import Server, command, environment, wardround
from wardround.artifact import open_artifact

NAMES = "甲乙丙丁戊己庚辛壬癸"
QUOTAS = ("--test-per-task", 1, "--test-dialogues", 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sources")
    return [
        write(folder / "book.jsonl", [entry(f"{c}病") for c in NAMES], "gb18030"),
        write(folder / "cases.json", [case(n) for n in range(1, 6)]),
    ]


def done(*args: object, **options: Any) -> subprocess.CompletedProcess[str]:
    found = wardround(*args, **options)
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    return found


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def coverage(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "coverage.json").read_text(encoding="utf-8"))
    return found


def all_rows_accounted(out: Path) -> None:
    """Each row of each source is a document or has its reason."""
    at = {
        (d["provenance"]["file"], d["provenance"]["row"]) for d in rows_of(out / "documents.jsonl")
    }
    at |= {(e["file"], e["row"]) for e in rows_of(out / "excluded.jsonl") if e["stage"] == "read"}
    for source in coverage(out)["sources"]:
        assert source["rows"] == sum(file == source["file"] for file, _ in at), source["file"]


# -- what it says before and after ---------------------------------------------------------------------------


def test_plan_then_build(files: list[Path], tmp_path: Path) -> None:
    asked = ["build", *files, *QUOTAS, "--size", 40, "--max-per-task", 5]
    planned = json.loads(done(*asked, "--plan", "--json").stdout)
    told_ = done(*asked, "--plan", "--refine", "scripted:rewrite").stdout
    assert f"训练 train {planned['totals']['train']}" in told_
    assert "费用 cost ≈ 0.00" in told_
    out = tmp_path / "out"
    made = json.loads(done(*asked, "--out", out, "--json").stdout)
    assert made["ok"] is True
    counts = open_artifact(out).manifest.counts
    assert planned["totals"] == {k: counts[k] for k in planned["totals"]}
    found = coverage(out)
    assert planned["tasks"] == found["tasks"]
    assert planned["funnel"] == found["funnel"]
    assert max(t["train"] for t in found["tasks"]) <= 5
    assert counts["train"] == 40
    again = done(*asked, "--out", out)
    assert "report:" in again.stdout


def test_explain(files: list[Path]) -> None:
    text = done("build", files[0], "--explain", 2).stdout
    assert "book.jsonl, row 2" in text
    assert "样本 / sample made" in text
    assert "缺少字段 / fields missing" in text
    found = json.loads(done("build", files[0], "--explain", 2, "--json").stdout)
    (row,) = found["rows"]
    made = {t["task"] for t in row["traces"] if t["outcome"] == "made"}
    assert {"triage", "disease_inquiry"} <= made
    none = wardround("build", files[0], "--explain", 99)
    assert (none.returncode, "no row 99" in none.stderr) == (2, True)
    two = wardround("build", *files, "--explain", 1)
    assert (two.returncode, "one source" in two.stderr) == (2, True)


def test_every_export(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done("build", *files, *QUOTAS, "--out", out, "--export", "trl,llamafactory,ms-swift,doctorflan")
    n = open_artifact(out).manifest.counts["train"]
    e = out / "exports"
    assert len(rows_of(e / "trl" / "train.jsonl")) == n
    assert len(rows_of(e / "llamafactory" / "alpaca.jsonl")) == n
    assert "wardround_alpaca" in json.loads((e / "llamafactory" / "dataset_info.json").read_text())
    assert len(rows_of(e / "ms-swift" / "train.jsonl")) == n
    table = pq.read_table(e / "doctorflan" / "parquet" / "train.parquet")
    assert table.column_names == ["category", "input", "output", "id"]
    assert table.num_rows == n
    wrong = wardround("build", *files, "--out", tmp_path / "w", "--export", "csv")
    assert wrong.returncode == 2
    assert "csv" in wrong.stderr


def test_held_out_and_balance_files(files: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "first"
    done("build", *files, *QUOTAS, "--out", out, "--workers", 2)
    (tmp_path / "balance.yaml").write_text("max_per_task: 3\ntasks: {triage: 0}\n")
    other = tmp_path / "other"
    done(
        "build", *files, *QUOTAS, "--seed", 7, "--out", other, "--held-out", out,
        "--balance", tmp_path / "balance.yaml",
    )  # fmt: skip
    found = coverage(other)
    tasks = {t["id"]: t["train"] for t in found["tasks"]}
    assert tasks["triage"] == 0
    assert max(tasks.values()) == 3
    assert sum(s["dropped"] for s in found["contamination"]["sets"]) > 0
    trained = set(pq.read_table(other / "train.parquet").column("id").to_pylist())
    assert not trained & {s["id"] for s in rows_of(out / "doctorflan_test.jsonl")}
    (tmp_path / "bad.yaml").write_text("max_per_tusk: 3\n")
    bad = wardround("build", *files, "--out", tmp_path / "b", "--balance", tmp_path / "bad.yaml")
    assert bad.returncode == 1
    assert "max_per_tusk" in bad.stderr


def test_refinement_capped_then_on_broken_drop(
    files: list[Path], tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve("scripted:rewrite")
    (tmp_path / "wardround.toml").write_text(
        f'[models.junior]\nendpoint = "{server.url}"\nmodel = "scripted:rewrite"\n'
        "price_in = 100.0\nprice_out = 100.0\n"
    )
    out = tmp_path / "out"
    asked = ["build", *files, *QUOTAS, "--out", out, "--refine", "junior", "--concurrency", 4]
    stopped = wardround(*asked, "--max-cost", 3, cwd=tmp_path)
    assert stopped.returncode == 1, stopped.stderr
    assert "stopped before the cost would pass 3" in stopped.stderr
    first = sum(server.asked().values())
    assert first > 0
    assert not (out / "manifest.json").exists()
    whole = done(*asked, "--max-cost", 1000, "--json", cwd=tmp_path)
    assert json.loads(whole.stdout)["ok"] is True
    refined = coverage(out)["refined"]
    assert first < sum(server.asked().values()) <= refined["asked"] + refined["retried"]
    assert max(server.asked().values()) == 1
    # Echoing the prompt breaks a rule every time.
    gone = tmp_path / "gone"
    done(
        "build", *files, *QUOTAS, "--out", gone, "--refine", "scripted:echo", "--on-broken", "drop"
    )
    assert open_artifact(gone).manifest.counts["train"] == 0
    dropped = coverage(gone)["refined"]["dropped"]
    reasons = [e["reason"] for e in rows_of(gone / "excluded.jsonl") if e["stage"] == "refine"]
    assert reasons == ["not_refined"] * dropped
    assert dropped > 0


def test_classify_with_a_script_that_always_abstains(tmp_path: Path) -> None:
    pair = {"question": "您怎么看？", "answer": told("a")}
    path = write(tmp_path / "c.json", [case(1, QA_pairs=[pair]), case(2)])
    out = tmp_path / "out"
    done("build", path, *QUOTAS, "--out", out, "--classify", "scripted:reference")
    (left,) = [e for e in rows_of(out / "excluded.jsonl") if e["reason"] == "question_unmatched"]
    assert left["row"] == 1
    assert any("scripted" in x.lower() for x in open_artifact(out).manifest.labels)


def test_a_checking_sheet_goes_out_and_comes_back(files: list[Path], tmp_path: Path) -> None:
    out, sheet = tmp_path / "out", tmp_path / "check.csv"
    done("build", *files, *QUOTAS, "--out", out)
    drawn = done("sample", out, "--out", sheet, "--half-width", 0.2).stdout
    assert f"sheet: {sheet}" in drawn
    text = sheet.read_text(encoding="utf-8-sig")
    rows = list(csv.reader(text.splitlines(keepends=True)))
    verdict = next(i for i, h in enumerate(rows[0]) if h.startswith("结论"))
    for number, row in enumerate(rows[1:]):
        row[verdict] = "不合格" if number == 0 else "合格"
    with open(sheet, "w", encoding="gb18030", newline="") as f:
        csv.writer(f).writerows(rows)
    read = done("sample", out, "--read", sheet).stdout
    assert "合格" in read
    both = wardround("sample", out, "--out", sheet, "--read", sheet)
    assert both.returncode == 2
    rows[1][verdict] = "大概行"
    with open(sheet, "w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows(rows)
    wrong = wardround("sample", out, "--read", sheet)
    assert wrong.returncode == 1
    assert "大概行" in wrong.stderr
    assert "row 2" in wrong.stderr


# -- identifiers ---------------------------------------------------------------------------------------------


SECRETS = (
    "11010519491231002X",
    "13812345678",
    "欧阳明远",
    "长宁路1288弄7号",
    "010-65551234",
    "20230817",
)


def test_identifiers_are_nowhere_in_what_is_written_or_said(tmp_path: Path) -> None:
    person, number, phone = "欧阳明远", "11010519491231002X", "13812345678"
    told_of = (
        f"姓名：{person}，身份证号：{number}，手机号：{phone}，住址：上海市长宁区长宁路1288弄7号，"
        "电话：010-65551234，住院号：20230817。"
    )
    story = case()["description"].replace("（2）主诉", f"{told_of}\n（2）主诉")
    rows = [
        case(1, description=story, title=f"案例分析-患者{person}的肺炎"),
        *(case(n) for n in range(2, 5)),
        {"title": person, "description": "", "QA_pairs": f"{phone} {number}"},
        case(
            6, QA_pairs=[{"question": f"患者{person}（手机{phone}）您怎么看？", "answer": told(1)}]
        ),
    ]
    path = write(tmp_path / "cases.json", rows)
    bad = tmp_path / "more.jsonl"
    bad.write_text(
        json.dumps(entry("甲病", cause=f"{told_of}{told(3)}"), ensure_ascii=False)
        + f'\n{{"name": "{person}", "desc": "{number} {phone}\n',
        encoding="utf-8",
    )
    out = tmp_path / "out"
    made = done(
        "build", path, bad, *QUOTAS, "--out", out, "--refine", "scripted:rewrite",
        "--classify", "scripted:reference", "--export", "trl,llamafactory,ms-swift,doctorflan",
    )  # fmt: skip
    explained = done("build", path, "--explain", 1)
    for name, text in (
        ("output", made.stdout + made.stderr),
        ("explain", explained.stdout + explained.stderr),
    ):
        assert not [s for s in SECRETS if s in text], name
    for file in sorted(p for p in out.rglob("*") if p.is_file()):
        if file.suffix == ".parquet":
            text = json.dumps(pq.read_table(file).to_pylist(), ensure_ascii=False)
        else:
            text = file.read_text(encoding="utf-8")
        assert not [s for s in SECRETS if s in text], file
    found = coverage(out)["privacy"]["found"]
    assert {"resident_id", "mobile", "name", "address", "landline"} <= set(found)
    all_rows_accounted(out)
    kept = tmp_path / "kept"
    done("build", path, *QUOTAS, "--out", kept, "--keep-identifiers")
    assert phone in (kept / "documents.jsonl").read_text(encoding="utf-8")
    assert coverage(kept)["privacy"] is None


# -- sources as they are found --------------------------------------------------------------------------------


def line(row: dict[str, Any], encoding: str = "utf-8") -> bytes:
    return json.dumps(row, ensure_ascii=False).encode(encoding) + b"\n"


def test_a_file_with_everything_wrong_in_it(tmp_path: Path) -> None:
    path = tmp_path / "book.jsonl"
    html = entry(
        "丙病", desc="<p>丙病是一种<b>少见</b>的疾病，&lt;5%&nbsp;复发。</p><br/>" + told(1)
    )
    path.write_bytes(
        b"\xef\xbb\xbf"
        + line(entry("甲病"))  # 1, behind a byte-order mark
        + line(entry("乙病"), "gb18030")  # 2
        + line(html)  # 3
        + line(entry("丁病", desc="丁病是一種臨床少見的疾病，患者應儘早檢查。" + told(2)))  # 4
        + line({**entry("戊病"), "cause": "", "symptom": [], "check": None})  # 5
        + line(entry("甲病"))  # 6, the first again
        + b'{"name": "broken\n'  # 7
        + b'{"name": "\xff\xfe\xff", "desc": "x"}\n'  # 8
        + b"[1, 2]\n"  # 9
        + line({"name": ""})  # 10
        + line({"name": "己病", "desc": ""})  # 11
    )
    cases = write(tmp_path / "cases.json", [case(1), {**case(2), "id": "t-1"}, case(3)])
    out = tmp_path / "out"
    args = ["build", path, cases, "--test-per-task", 0, "--test-dialogues", 0]
    made = done(*args, "--out", out)
    aside = {e["row"]: e for e in rows_of(out / "excluded.jsonl") if e["stage"] == "read"}
    assert {r: e["reason"] for r, e in aside.items()} == {
        6: "duplicate_document", 7: "malformed_row", 8: "undecodable", 9: "malformed_row",
        10: "schema_mismatch", 11: "empty_field",
    }  # fmt: skip
    assert all(e["file"] == "book.jsonl" and e["detail"] for e in aside.values())
    assert "row 1" in aside[6]["detail"]
    all_rows_accounted(out)
    book, told_of = coverage(out)["sources"]
    assert (book["encoding"], book["rows"], book["documents"], book["excluded"]) == (
        "mixed",
        11,
        5,
        6,
    )
    assert told_of["documents"] == 3  # the same id, another case
    documents = {d["title"]: d for d in rows_of(out / "documents.jsonl")}
    assert {"甲病", "乙病", "丙病", "丁病", "戊病"} <= set(documents)
    text = json.dumps(pq.read_table(out / "train.parquet").to_pylist(), ensure_ascii=False)
    assert "<p>" not in text
    assert "&nbsp;" not in text
    assert "少见的疾病，<5%" in text.replace(" ", "")
    assert "5 kept aside, each with its reason in excluded.jsonl" in made.stderr
    assert "book.jsonl, row 7: malformed_row" in made.stderr
    strict = wardround(*args, "--out", tmp_path / "strict", "--strict")
    assert strict.returncode == 1
    assert f"{path}, row 7" in strict.stderr
    assert not (tmp_path / "strict" / "manifest.json").exists()


def test_a_mapping_that_names_a_field_which_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", [{"疾病": f"{c}病", "概述": told(c)} for c in NAMES])
    mapping = tmp_path / "map.yaml"
    mapping.write_text(
        "- kind: encyclopedia\n  fields: {name: 疾病名称, desc: 概述}\n", encoding="utf-8"
    )
    args = ["build", path, *QUOTAS, "--out", tmp_path / "out", "--mapping", mapping]
    wrong = wardround(*args)
    assert wrong.returncode == 2
    for part in ("own.jsonl", "疾病名称", "概述"):
        assert part in wrong.stderr
    assert not (tmp_path / "out").exists()
    unknown = wardround("build", path, "--out", tmp_path / "out")
    assert unknown.returncode == 2
    assert "--mapping" in unknown.stderr
    mapping.write_text(
        "- kind: encyclopedia\n  fields: {name: 疾病, desc: 概述}\n", encoding="utf-8"
    )
    done(*args)
    assert open_artifact(tmp_path / "out").manifest.counts["documents"] == len(NAMES)


def test_a_folder_with_a_file_that_is_no_source(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder / "book.jsonl", [entry("甲病"), entry("乙病")])
    (folder / "picture.png").write_bytes(b"\x89PNG\x00\x01")
    out = tmp_path / "out"
    done("build", folder, *QUOTAS, "--out", out)
    (aside,) = [e for e in rows_of(out / "excluded.jsonl") if e["reason"] == "unreadable_file"]
    assert (aside["file"], aside["row"]) == ("picture.png", 0)


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
# In a small process of its own: a child's peak counts what its parent held when it was started.


def test_a_long_single_line_json(tmp_path: Path) -> None:
    """20 MB in one line: every row is accounted for, in memory that does not hold them all."""
    path = tmp_path / "cases.json"
    filler = "。".join(told(n, length=400) for n in range(4))
    with open(path, "w", encoding="utf-8") as f:
        f.write("[" + ", ".join(json.dumps(case(n), ensure_ascii=False) for n in range(1, 9)))
        for n in range(4000):
            row = {
                "title": f"空{n}",
                "description": "",
                "QA_pairs": [{"question": filler, "answer": ""}],
            }
            f.write(", " + json.dumps(row, ensure_ascii=False))
        f.write("]")
    assert path.stat().st_size > 19_000_000
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *command("build", path, *QUOTAS, "--out", out, "--workers", 1)],
        capture_output=True, text=True, env=environment(), check=True,
    )  # fmt: skip
    (source,) = coverage(out)["sources"]
    assert (source["rows"], source["documents"]) == (4008, 8)
    assert coverage(out)["excluded"]["schema_mismatch"] == 4000
    all_rows_accounted(out)
    assert (
        int(done.stdout.splitlines()[-1]) < 500_000
    )  # KB; the interpreter with its libraries takes about 200 MB
