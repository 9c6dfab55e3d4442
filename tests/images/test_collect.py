"""Artifacts of pictures: prepared, without identifiers, the same bytes twice; and made ones with their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.images.pictures import chest, dicom, png
from wardround.artifact import open_artifact
from wardround.errors import InputError, UsageError
from wardround.images.collect import collect
from wardround.images.cxr_faults import NOT_SIMULATED, Base
from wardround.images.made import MADE, generate, read_base
from wardround.metrics.arrays import np


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with DICOM files and a table of their faults."""
    folder = tmp_path / "archive"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(dicom(chest().astype(np.uint16) * 16))
    (folder / "2.dcm").write_bytes(dicom(chest(260), ViewPosition=None))
    (folder / "3.dcm").write_bytes(dicom(chest())[:9000])
    table = [
        {"id": "a", "image": "1.dcm", "labels": []},
        {"id": "b", "image": "2.dcm", "labels": ["吸气不足"]},
        {"id": "c", "image": "3.dcm", "labels": []},
    ]
    (folder / "cxr_quality.jsonl").write_text("\n".join(map(json.dumps, table)), "utf-8")
    return folder


def test_a_dicom_folder_becomes_pictures_without_names(archive: Path, tmp_path: Path) -> None:
    source = archive / "cxr_quality.jsonl"
    made = collect("cxr_quality", source, tmp_path / "out")
    assert made.manifest.counts == {"pictures": 2, "excluded": 1}
    found = rows(made.path / "cxr_quality.jsonl")
    assert [(r["id"], r["labels"]) for r in found] == [("a", []), ("b", ["poor_inspiration"])]
    assert all((made.path / r["image"]).is_file() and r["original"] != r["sha256"] for r in found)
    assert rows(made.path / "excluded.jsonl")[0]["reason"] == "truncated"
    headers = rows(made.path / "headers.jsonl")
    assert [f["rule"] for f in headers[1]["findings"]] == ["missing_view_position"]
    everything = b"".join(p.read_bytes() for p in made.path.rglob("*") if p.is_file())
    assert b"SECRET" not in everything
    again = collect("cxr_quality", source, tmp_path / "again")
    assert again.manifest.digest == made.manifest.digest
    assert collect("cxr_quality", source, tmp_path / "out").manifest == made.manifest


def test_a_changed_picture_is_another_set(archive: Path, tmp_path: Path) -> None:
    source = archive / "cxr_quality.jsonl"
    collect("cxr_quality", source, tmp_path / "out")
    (archive / "1.dcm").write_bytes(dicom(chest(250)))
    from wardround.errors import ConfigMismatchError

    with pytest.raises(ConfigMismatchError, match="pictures"):
        collect("cxr_quality", source, tmp_path / "out")


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "retina.jsonl"
    file.write_text('{"image": "x.png", "labels": ["DR"]}\n', "utf-8")
    with pytest.raises(UsageError, match="1 × missing_image"):
        collect("retina", file, tmp_path / "out")
    with pytest.raises(UsageError, match="no set"):
        collect("knee", file, tmp_path / "out2")


def test_made_faults_have_their_truth(tmp_path: Path) -> None:
    png(chest(), tmp_path / "clean.png")
    (tmp_path / "pdf.png").write_bytes(b"%PDF-1.4")
    bases = [(tmp_path / "clean.png", Base(marker="none")), (tmp_path / "pdf.png", Base())]
    made = generate(bases, tmp_path / "out", count=20, seed=3, prevalence=0.8)
    found, truth = rows(made.path / "cxr_quality.jsonl"), rows(made.path / "truth.jsonl")
    assert [r["labels"] for r in found] == [t["labels"] for t in truth]
    for t in truth:
        assert {e["fault"] for e in t["edits"]} - {""} == set(t["labels"])
    assert made.manifest.labels == (MADE,)
    assert made.manifest.counts == {"pictures": 20, "excluded": 1}
    summary = json.loads((made.path / "summary.json").read_text("utf-8"))
    assert set(summary["not_simulated"]) == set(NOT_SIMULATED)
    again = generate(bases, tmp_path / "again", count=20, seed=3, prevalence=0.8)
    other = generate(bases, tmp_path / "other", count=20, seed=4, prevalence=0.8)
    assert again.manifest.digest == made.manifest.digest != other.manifest.digest
    assert open_artifact(made.path, "images").has("truth.jsonl")
    with pytest.raises(UsageError, match="prevalence"):
        generate(bases, tmp_path / "x", count=1, seed=0, prevalence=1.5)


def test_what_stands_beside_a_base(tmp_path: Path) -> None:
    path = tmp_path / "clean.png"
    assert read_base(path) == Base()
    beside = tmp_path / "clean.json"
    beside.write_text('{"field": [0.2, 0.1, 0.8, 0.9], "marker": "none"}')
    assert read_base(path) == Base(field=(0.2, 0.1, 0.8, 0.9), marker="none")
    for wrong in ('{"marker": "left"}', '{"field": [0.8, 0.1, 0.2, 0.9]}', "x"):
        beside.write_text(wrong)
        with pytest.raises(InputError):
            read_base(path)
