import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.finished import put, sample, small
from wardround.corpus.export import EXPORTS, export, layouts, parted
from wardround.corpus.readback import train_samples
from wardround.errors import ArtifactError, UsageError


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def joined(instruction: str, given_input: str) -> str:
    """How LLaMA-Factory and ms-swift make one prompt of the two."""
    return "\n".join(part for part in (instruction, given_input) if part)


@given(st.text(alphabet="甲乙\n 丙", min_size=1))
def test_the_two_parts_are_the_whole_again(text: str) -> None:
    assert joined(*parted(text)) == text


@pytest.mark.parametrize("name", ["trl", "ms-swift"])
def test_messages(tmp_path: Path, name: str) -> None:
    dataset = small(tmp_path / "dataset")
    written = export(dataset, [name])
    assert written == {f"{name}/train.jsonl": 52, f"{name}/train_dialogues.jsonl": 2}
    folder = dataset / "exports" / name
    samples = list(train_samples(dataset))
    for row, s in zip(rows(folder / "train.jsonl"), samples, strict=True):
        assert row == {
            "id": s.id,
            "messages": [
                {"role": "user", "content": s.input}, {"role": "assistant", "content": s.output},
            ],
        }  # fmt: skip
    three, two = rows(folder / "train_dialogues.jsonl")
    assert [m["role"] for m in three["messages"]] == ["user", "assistant"] * 3
    assert [m["content"] for m in two["messages"]][2:] == ["第2问？", "答2。"]
    assert three["messages"][0]["content"].startswith("病例1。")


def test_llamafactory_names_its_files_and_columns(tmp_path: Path) -> None:
    dataset = small(tmp_path / "dataset")
    written = export(dataset, ["llamafactory"])
    folder = dataset / "exports" / "llamafactory"
    info = json.loads((folder / "dataset_info.json").read_text("ascii"))
    assert list(info) == ["wardround_alpaca", "wardround_sharegpt", "wardround_dialogues"]
    for described in info.values():
        found = rows(folder / described["file_name"])
        assert len(found) == written[f"llamafactory/{described['file_name']}"] > 0
        assert all(set(described["columns"].values()) <= set(row) for row in found)
    for row, s in zip(rows(folder / "alpaca.jsonl"), train_samples(dataset), strict=True):
        assert joined(row["instruction"], row["input"]) == s.input
        assert row["input"].startswith("‹病例描述>：")
        assert row["output"] == s.output
    tags = info["wardround_dialogues"]["tags"]
    for row in rows(folder / "sharegpt_dialogues.jsonl"):
        said = [m[tags["role_tag"]] for m in row["conversations"]]
        assert said == [tags["user_tag"], tags["assistant_tag"]] * (len(said) // 2)


def test_the_published_layout(tmp_path: Path) -> None:
    dataset = small(tmp_path / "dataset")
    export(dataset, ["doctorflan"])
    folder = dataset / "exports" / "doctorflan"
    for side, n in (("train", 52), ("test", 3)):
        table = pq.read_table(folder / "parquet" / f"{side}.parquet")
        assert table.column_names == ["category", "input", "output", "id"]
        lines = rows(folder / "jsonl" / f"{side}.jsonl")
        assert sorted(lines[0]) == ["category", "id", "input", "output"]
        assert table.to_pylist() == lines and len(lines) == n


def test_nothing_held_out_is_in_a_layout_for_training(tmp_path: Path) -> None:
    dataset = small(tmp_path / "dataset")
    export(dataset, ["trl", "llamafactory", "ms-swift"])
    for path in (dataset / "exports").rglob("*.jsonl"):
        assert "disease_inquiry" not in path.read_text("utf-8"), path


def test_no_dialogues_no_file(tmp_path: Path) -> None:
    dataset = put(tmp_path / "d", [sample(0)], [], [])
    assert export(dataset, ["trl"]) == {"trl/train.jsonl": 1}
    export(dataset, ["llamafactory"])
    assert sorted(p.name for p in (dataset / "exports").rglob("*") if p.is_file()) == [
        "alpaca.jsonl", "dataset_info.json", "sharegpt.jsonl", "train.jsonl",
    ]  # fmt: skip


def test_twice_is_the_same_bytes(tmp_path: Path) -> None:
    dataset = small(tmp_path / "dataset")
    both = []
    for name in ("a", "b"):
        written = export(dataset, EXPORTS, out=tmp_path / name)
        both.append({f: (tmp_path / name / f).read_bytes() for f in written})
    assert both[0] == both[1]
    assert len(both[0]) == 11


def test_names(tmp_path: Path) -> None:
    assert layouts(["ms-swift,trl", "trl"]) == ("trl", "ms-swift")
    with pytest.raises(UsageError, match="axolotl"):
        export(tmp_path, ["axolotl"])
    with pytest.raises(ArtifactError, match=r"train\.parquet"):
        export(tmp_path, ["trl"])


def test_datasets_loads_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    dataset = small(tmp_path / "dataset")
    export(dataset, EXPORTS)
    folder, cache = dataset / "exports", str(tmp_path / "cache")

    def load(*args: Any, **kwargs: Any) -> Any:
        return datasets.load_dataset(*args, cache_dir=cache, **kwargs)

    for name in ("trl", "ms-swift"):
        both = load("json", data_files=str(folder / name / "train*.jsonl"), split="train")
        assert both.num_rows == 54
        assert both[0]["messages"][0]["role"] == "user"
    sides = load(str(folder / "doctorflan" / "parquet"))
    assert {k: v.num_rows for k, v in sides.items()} == {"train": 52, "test": 3}
    assert load(str(folder / "doctorflan" / "jsonl"))["test"].num_rows == 3
    for file in ("alpaca", "sharegpt", "sharegpt_dialogues"):
        path = folder / "llamafactory" / f"{file}.jsonl"
        assert load("json", data_files=str(path), split="train").num_rows > 0
