import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.coverage_made import coverage
from tests.corpus.finished import put, sample, small
from wardround.artifact import sha256_file
from wardround.corpus.croissant import NAME, croissant
from wardround.records import encode


def made(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "dotabench.jsonl").write_bytes(b"")
    found = croissant(folder, coverage(**changes), ["标签 / label"])
    (folder / NAME).write_bytes(encode(found))
    return found


def test_files_are_there_with_their_digests(tmp_path: Path) -> None:
    folder = small(tmp_path / "dataset")
    found = made(folder)
    files = {f["@id"]: f for f in found["distribution"]}
    assert set(files) == {"train.parquet", "doctorflan_test.jsonl", "train_dialogues.jsonl"}
    for name, file in files.items():
        assert file["sha256"] == sha256_file(folder / name)
        assert file["contentUrl"] == name
    assert [r["@id"] for r in found["recordSet"]] == ["train", "test", "dialogues"]
    assert found["license"] == ["CC0"]


def test_responsible_use_is_told_from_what_was_recorded(tmp_path: Path) -> None:
    folder = small(tmp_path / "dataset")
    whole = made(folder)
    assert "3 处标识信息" in whole["rai:personalSensitiveInformation"][0]
    assert any("m 改写" in step for step in whole["rai:dataPreprocessingProtocol"])
    plain = made(folder, privacy=None, refined=None)
    assert "rai:personalSensitiveInformation" not in plain
    assert len(plain["rai:dataPreprocessingProtocol"]) == 1


def test_same_files_same_metadata(tmp_path: Path) -> None:
    one, two = small(tmp_path / "a"), small(tmp_path / "b")
    assert made(one) == made(two)


@pytest.mark.parametrize("dialogues", [True, False])
def test_mlcroissant_finds_no_error_and_loads_every_record(tmp_path: Path, dialogues: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlc = pytest.importorskip("mlcroissant")
        folder = (
            small(tmp_path / "dataset")
            if dialogues
            else put(tmp_path / "dataset", [sample(n) for n in range(52)], [], [])
        )
        made(folder)
        loaded = mlc.Dataset(jsonld=str(folder / NAME))
        assert not loaded.metadata.ctx.issues.errors
        rows = {r.id: list(loaded.records(r.id)) for r in loaded.metadata.record_sets}
    wanted = {"train": 52, "test": 3, "dialogues": 2} if dialogues else {"train": 52}
    assert {k: len(v) for k, v in rows.items()} == wanted
    first = rows["train"][0]
    assert first["train/output"].decode().startswith("心血管内科。")
    assert first["train/refined"] is dialogues
    assert first["train/source_fields"] == [b"desc"]
    if dialogues:
        turns = rows["dialogues"][0]["dialogues/turns"]
        assert [t["dialogues/turns/reference"].decode() for t in turns] == [
            "答1。",
            "答2。",
            "答3。",
        ]
