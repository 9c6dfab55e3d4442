"""Sources that nobody here wrote, as found."""

import json
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from wardround.artifact import Artifact
from wardround.corpus.build import build
from wardround.lineage import verify

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        pytest.skip("WARDROUND_REALDATA is not set")
    names = (
        "encyclopedia_respiratory.gb18030.jsonl",
        "encyclopedia_respiratory.jsonl",
        "cmb_clin_dev.json",
    )
    return build([Path(folder) / n for n in names], tmp_path_factory.mktemp("real") / "dataset")


def test_every_row_is_a_document_or_has_its_reason(dataset: Artifact) -> None:
    assert verify(dataset.path).whole
    found = json.loads(dataset.file("coverage.json").read_text(encoding="utf-8"))
    sources = {s["file"]: s for s in found["sources"]}
    assert sources["encyclopedia_respiratory.gb18030.jsonl"]["encoding"] == "gb18030"
    assert sources["encyclopedia_respiratory.gb18030.jsonl"]["documents"] == 100
    # The same 100 rows in UTF-8 are the same 100 documents.
    assert sources["encyclopedia_respiratory.jsonl"]["documents"] == 0
    assert found["excluded"]["duplicate_document"] == 100
    assert sources["cmb_clin_dev.json"]["documents"] == 37
    covered = {t["id"] for t in found["tasks"] if t["covered"]}
    assert {
        "triage", "case_summary", "initial_diagnosis", "differential_diagnosis", "next_examinations",
        "definitive_diagnosis", "treatment_plan", "disease_inquiry", "symptom_inquiry",
        "examination_inquiry",
    } <= covered  # fmt: skip
    # The entries list drugs without a word on their use: no answer to be learnt.
    assert "medication_inquiry" not in covered


def test_samples_read_as_finished_chinese(dataset: Artifact) -> None:
    train = pq.read_table(dataset.file("train.parquet")).to_pylist()
    assert len(train) > 500
    for row in train:
        text = f"{row['input']}\n{row['output']}"
        assert not re.search(r"（\s*）|[，、；：][，。；、]|。。|\{|\}|None|查看更多", text), row[
            "id"
        ]
        assert row["output"][-1] in "。！？", row["id"]
