import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.corpus.fake import FakeModel, failed, polite
from tests.corpus.made import case, entry, write
from wardround import taxonomy
from wardround.artifact import Artifact, open_artifact
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
from wardround.errors import (
    ConfigMismatchError,
    InputError,
    NotSealedError,
    UsageError,
    WardroundError,
)
from wardround.lineage import verify
from wardround.records import Dialogue, Document, Exclusion, Sample, decode


def quick(**changes: Any) -> BuildOptions:
    """Options with small test quotas."""
    return BuildOptions(**{"test_per_task": 2, "test_dialogues": 2} | changes)


def sources(folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    texts = {"inquiry": "应询问起病时间、疼痛性质与程度、既往发作、已用药物和家族史。"}
    rows = [entry(f"{c}病", **texts) for c in "甲乙丙丁戊己庚辛"]
    three, pairs = [case(n) for n in range(1, 7)], case()["QA_pairs"]
    more = [case(7, QA_pairs=pairs[:2]), case(8, QA_pairs=pairs[:1])]
    return [
        write(folder / "book.jsonl", [*rows, rows[0]], "gb18030"),
        write(folder / "cases.json", [*three, *more]),
    ]


def rows(artifact: Artifact, name: str, kind: type) -> list[Any]:
    return [decode(line, kind) for line in artifact.file(name).read_bytes().splitlines()]


def test_the_artifact_holds_what_the_contract_says(tmp_path: Path) -> None:
    made = build(sources(tmp_path / "s"), tmp_path / "out", quick(licence="CC0"))
    assert verify(made.path).whole
    names = {f.path for f in made.manifest.files}
    assert names == {
        "train.parquet", "doctorflan_test.jsonl", "dotabench.jsonl", "train_dialogues.jsonl",
        "documents.jsonl", "excluded.jsonl", "coverage.json", "README.md", "contamination.json",
        "residue.jsonl", "blocked_pairs.jsonl", "croissant.json", "doctorflan_test.parquet",
        "dotabench.parquet", "train_dialogues.parquet",
    }  # fmt: skip
    train = pq.read_table(made.file("train.parquet"))
    assert train.column_names[:4] == ["category", "input", "output", "id"]
    assert train.column_names == list(Sample.__struct_fields__)
    test = rows(made, "doctorflan_test.jsonl", Sample)
    documents = rows(made, "documents.jsonl", Document)
    side = {d.id: d.split for d in documents}
    assert {side[s.document] for s in test} == {"test"}
    assert {side[i] for i in train.column("document").to_pylist()} == {"train"}
    assert {d.provenance.licence for d in documents} == {"CC0"}
    assert all(side[d.document] == "train" for d in rows(made, "train_dialogues.jsonl", Dialogue))
    for row in rows(made, "dotabench.jsonl", dict):
        assert side[row["document"]] == "test"
        assert row["turn_1_question"].startswith("现病史")
    counts = made.manifest.counts
    assert counts["train"] == train.num_rows
    assert counts["test"] == len(test)
    assert counts["documents"] == 16
    assert any("未经医生审核" in label for label in made.manifest.labels)


def test_coverage(tmp_path: Path) -> None:
    made = build(sources(tmp_path / "s"), tmp_path / "out", quick())
    found = json.loads(made.file("coverage.json").read_text(encoding="utf-8"))
    assert [t["id"] for t in found["tasks"]] == list(taxonomy.tasks())
    for t in found["tasks"]:
        assert t["covered"] == (t["train"] + t["test"] > 0)
        assert bool(t["reason"]) != t["covered"]
        assert sum(found["matrix"][t["id"]].values()) == t["train"] + t["test"]
    assert [s["id"] for s in found["specialties"]] == [*taxonomy.specialties(), "unmapped"]
    book, cases = found["sources"]
    assert (book["file"], book["kind"], book["encoding"]) == (
        "book.jsonl",
        "encyclopedia",
        "gb18030",
    )
    assert (book["rows"], book["documents"], book["excluded"]) == (9, 8, 1)
    assert (cases["rows"], cases["documents"]) == (8, 8)
    excluded = rows(made, "excluded.jsonl", Exclusion)
    assert sum(found["excluded"].values()) == len(excluded)
    assert {"duplicate_document", "fewer_than_two_questions"} <= set(found["excluded"])
    assert found["refined"] is None
    card = made.file("README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlanguage: [zh]")
    assert card.index("Published tasks") < card.index("Reconstructed tasks")


def test_equal_work_has_equal_digests_in_any_order_of_sources(tmp_path: Path) -> None:
    book, cases = sources(tmp_path / "s")
    one = build([book, cases], tmp_path / "one", quick())
    two = build([cases, book], tmp_path / "two", quick())
    assert one.manifest.digest == two.manifest.digest
    other = build([book, cases], tmp_path / "other", quick(seed=1))
    assert other.manifest.digest != one.manifest.digest


def test_a_sealed_dataset_is_only_opened(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    one = build(files, tmp_path / "out", quick())
    assert build(files, tmp_path / "out", quick()).manifest == one.manifest
    with pytest.raises(ConfigMismatchError, match="seed"):
        build(files, tmp_path / "out", quick(seed=1))


def test_wrong_use_and_bad_rows(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    with pytest.raises(UsageError, match="no source"):
        build([], tmp_path / "out")
    with pytest.raises(UsageError, match="no task named dance"):
        build(files, tmp_path / "out", BuildOptions(tasks=("dance",)))
    assert not (tmp_path / "out").exists()
    with open(files[0], "a", encoding="gb18030") as f:
        f.write("{broken\n")
    with pytest.raises(InputError, match=r"book\.jsonl, row 10"):
        build(files, tmp_path / "out", quick(strict=True))
    made = build(files, tmp_path / "skipping", quick())
    bad = [e for e in rows(made, "excluded.jsonl", Exclusion) if e.reason == "malformed_row"]
    assert [(e.file, e.row) for e in bad] == [("book.jsonl", 10)]


def test_tasks_filter_and_licences_by_file(tmp_path: Path) -> None:
    options = quick(tasks=("triage",), licence={"book.jsonl": "CC BY 4.0"})
    made = build(sources(tmp_path / "s"), tmp_path / "out", options)
    assert set(pq.read_table(made.file("train.parquet")).column("task").to_pylist()) == {"triage"}
    found = json.loads(made.file("coverage.json").read_text(encoding="utf-8"))
    assert {t["reason"] for t in found["tasks"]} == {
        "",
        "本次未选该任务 / not among the tasks asked for",
    }
    assert [s["licence"] for s in found["sources"]] == ["CC BY 4.0", "unstated"]


def test_only_training_references_are_refined(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    plain = build(files, tmp_path / "plain", quick())
    model = FakeModel()
    made = build(files, tmp_path / "refined", quick(), refine=model)
    train = pq.read_table(made.file("train.parquet"))
    assert train.column("refined").to_pylist() == [True] * train.num_rows
    assert len(model.asked) == train.num_rows
    for name in ("doctorflan_test.jsonl", "dotabench.jsonl", "train_dialogues.jsonl"):
        assert made.file(name).read_bytes() == plain.file(name).read_bytes()
    assert model.labels[0] in made.manifest.labels
    found = json.loads(made.file("coverage.json").read_text(encoding="utf-8"))
    assert found["refined"]["kept"] == train.num_rows


SCRIPT = """
import sys
from pathlib import Path
from tests.corpus.fake import FakeModel
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
files, out, dies_at = sys.argv[1].split(","), sys.argv[2], int(sys.argv[3])
options = BuildOptions(test_per_task=2, test_dialogues=2, concurrency=3)
build([Path(f) for f in files], Path(out), options, refine=FakeModel(dies_at=dies_at))
"""


def test_after_kill_9_nothing_is_asked_twice_and_the_digest_is_the_same(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    whole = FakeModel()
    one = build(files, tmp_path / "whole", quick(), refine=whole)
    arguments = [",".join(map(str, files)), str(tmp_path / "out"), "20"]
    root = Path(__file__).resolve().parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=root, capture_output=True, check=False
    )
    assert killed.returncode == -9
    with pytest.raises(NotSealedError):
        open_artifact(tmp_path / "out")
    journal = (tmp_path / "out" / "journal.jsonl").read_text(encoding="utf-8")
    rest = FakeModel()
    two = build(files, tmp_path / "out", quick(), refine=rest)
    before = {json.loads(line).get("k") for line in journal.splitlines()}
    assert len(before & set(whole.keys)) >= 15
    assert sorted(rest.keys) == sorted(set(whole.keys) - before)
    assert two.manifest.digest == one.manifest.digest
    assert two.manifest.sessions == 2


def test_an_error_midway_keeps_what_is_done(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    broken = FakeModel(dies_at=10, error=RuntimeError("cable pulled"))
    with pytest.raises(RuntimeError, match="cable"):
        build(files, tmp_path / "out", quick(concurrency=1), refine=broken)
    rest = FakeModel()
    made = build(files, tmp_path / "out", quick(), refine=rest)
    assert not set(rest.keys) & set(broken.keys[:9])
    assert len(rest.keys) + 9 == made.manifest.counts["train"]


def test_failures_are_not_sealed_unless_accepted(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    sick = FakeModel(lambda r: failed() if ":disease-cause:" in r.key else polite(r))
    with pytest.raises(WardroundError, match=r"\d+ of \d+ refinement requests failed"):
        build(files, tmp_path / "out", quick(), refine=sick)
    with pytest.raises(NotSealedError):
        open_artifact(tmp_path / "out")
    again = FakeModel(lambda r: failed())
    made = build(files, tmp_path / "out", quick(accept_failures=True), refine=again)
    assert again.keys
    assert all(":disease-cause:" in k for k in again.keys)
    train = pq.read_table(made.file("train.parquet")).to_pylist()
    unrefined = {r["recipe"] for r in train if not r["refined"]}
    assert unrefined == {"disease-cause"}
    found = json.loads(made.file("coverage.json").read_text(encoding="utf-8"))
    assert found["refined"]["failed"] == len(again.keys)
