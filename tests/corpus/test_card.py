import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tests.corpus.coverage_made import coverage
from tests.corpus.finished import small
from wardround.corpus.card import card
from wardround.corpus.export import EXPORTS
from wardround.corpus.readback import parquet_copies


def front(text: str) -> dict[str, Any]:
    _, matter, _ = text.split("---\n", 2)
    found = yaml.safe_load(matter)
    assert isinstance(found, dict)
    return found


def test_the_hub_reads_the_front_matter() -> None:
    found = front(card(coverage(), ["标签 / label"], tables=["train_dialogues.parquet"]))
    assert found["license"] == "cc0-1.0"
    assert found["size_categories"] == ["n<1K"]
    assert [c["config_name"] for c in found["configs"]] == ["default", "dialogues"]
    assert found["configs"][0]["data_files"] == [{"split": "train", "path": "train.parquet"}]


def test_licences_that_differ_are_other_and_named() -> None:
    one = coverage()["sources"][0]
    found = front(card(coverage(sources=[one, one | {"licence": 'my "own": terms'}]), []))
    assert found["license"] == "other"
    assert found["license_name"] == 'CC0; my "own": terms'


def test_the_card_says_what_the_build_recorded_and_no_more() -> None:
    whole = card(coverage(), ["标签 / label"], exports=list(EXPORTS))
    for words in (
        "> 标签 / label", "source rows", "mobile 3", "exam.csv", "wardround_alpaca", "kept 18", "甲\\|乙.jsonl",
    ):  # fmt: skip
        assert words in whole, words
    older = coverage(funnel=None, privacy=None, contamination=None, refined=None)
    plain = card(older, ["标签 / label"])
    for heading in ("Personal data", "held-out sets", "From sources", "Refinement", "other tools"):
        assert heading in whole and heading not in plain, heading


def test_no_held_out_set_is_said_not_passed_over() -> None:
    none = {"sets": [], "rules": {}, "own_test": 0}
    assert "未作检查" in card(coverage(contamination=none), [])


def test_the_hub_loads_the_configurations(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    folder = small(tmp_path / "dataset")
    (folder / "README.md").write_text(
        card(coverage(), ["标签 / label"], tables=parquet_copies(folder)), "utf-8"
    )

    def rows(config: str, split: str) -> int:
        loaded = datasets.load_dataset(
            str(folder), config, split=split, cache_dir=str(tmp_path / "cache")
        )
        return int(loaded.num_rows)

    assert (rows("default", "train"), rows("test", "test"), rows("dialogues", "train")) == (
        52,
        3,
        2,
    )


def test_parquet_copies_hold_the_same_rows(tmp_path: Path) -> None:
    folder = small(tmp_path / "dataset")
    (folder / "dotabench.jsonl").write_bytes(b"")
    assert parquet_copies(folder) == ["doctorflan_test.parquet", "train_dialogues.parquet"]
    for name in ("doctorflan_test", "train_dialogues"):
        rows = [json.loads(x) for x in (folder / f"{name}.jsonl").read_bytes().splitlines()]
        assert pq.read_table(folder / f"{name}.parquet").to_pylist() == rows
