"""`wardround images` and the benchmarks of pictures from the command line, on real pictures too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.images.pictures import chest, dicom, png
from wardround.cli import main
from wardround.images.verdict import read_fhir, read_sr


def last(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return found


def test_faults_then_a_league(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    png(chest(), tmp_path / "clean.png")
    (tmp_path / "clean.json").write_text('{"marker": "none"}')
    made = ["images", "faults", str(tmp_path / "clean.png"), "--out", str(tmp_path / "set")]
    assert main([*made, "--count", "6", "--json"]) == 0
    assert last(capsys)["pictures"] == 6
    (tmp_path / "models.toml").write_text(
        '[models.clean]\nscripted = "say=答案：无问题"\n[models.knows]\nscripted = "reference"\n'
    )
    league = ["eval", "cxr_quality", "--data", str(tmp_path / "set"), "--models"]
    assert main([*league, str(tmp_path / "models.toml"), "--out", str(tmp_path / "l"), "--json"]) == 0  # fmt: skip
    assert {m["model"] for m in last(capsys)["models"]} == {"clean", "knows"}
    page = (tmp_path / "l/comparison/report.html").read_text("utf-8")
    assert page.count('<img src="data:') == 6
    assert main(["verify", str(tmp_path / "l/comparison")]) == 0


def test_verdicts_on_dicom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(2):
        (folder / f"{k}.dcm").write_bytes(dicom(chest(240 + 20 * k)))
    rows = [{"id": "a", "image": "0.dcm", "labels": ["implant"]}, {"id": "b", "image": "1.dcm", "labels": []}]  # fmt: skip
    (folder / "cxr_quality.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = str(tmp_path / "run")
    assert main(["eval", "cxr_quality", "--data", str(folder), "--model", "scripted:reference", "--out", run]) == 0  # fmt: skip
    capsys.readouterr()
    out = tmp_path / "reports"
    assert main(["images", "verdicts", run, "--dicom", str(folder), "--out", str(out), "--json"]) == 0  # fmt: skip
    assert last(capsys)["verdicts"] == 2
    srs = [read_sr(p.read_bytes()) for p in sorted(out.glob("*.dcm"))]
    fhirs = [read_fhir(json.loads(p.read_bytes())) for p in sorted(out.glob("*.json"))]
    assert srs == fhirs and {v.present for v in srs} == {(), ("implant",)}
    assert main(["images", "check", str(folder), "--json"]) == 0
    checked = last(capsys)
    assert checked["headers"] == 2 and len(checked["unreadable"]) == 1


def test_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "collect", "retina", str(tmp_path / "x"), "--out", str(tmp_path / "o")]) == 2  # fmt: skip
    assert "no such file" in capsys.readouterr().err
    assert main(["images", "fetch", "nonsense", "--out", str(tmp_path / "o")]) == 2


@pytest.mark.realdata
def test_real_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = os.environ.get("WARDROUND_REALDATA")
    if not real:
        pytest.skip("WARDROUND_REALDATA is not set")
    folder = tmp_path / "set"
    folder.mkdir()
    rows = []
    for path in sorted((Path(real) / "images").glob("oct_*.jpeg")):
        (folder / path.name).symlink_to(path)
        label = path.name.split("_")[1].partition("-")[0]
        rows.append({"id": path.stem, "image": path.name, "labels": [label], "modality": "oct"})
    (folder / "retina.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["images", "collect", "retina", str(folder / "retina.jsonl"), "--out", str(tmp_path / "a"), "--json"]) == 0  # fmt: skip
    assert last(capsys)["pictures"] == 4
    command = ["eval", "retina", "--data", str(tmp_path / "a"), "--model", "scripted:pick"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    chests = [str(p) for p in sorted((Path(real) / "images").glob("nih_cxr_*.png"))]
    assert main(["images", "faults", *chests, "--count", "4", "--out", str(tmp_path / "f")]) == 0
    assert main(["images", "check", str(Path(real) / "nlmcxr_dicom_metadata.csv.gz"), "--json"]) == 0  # fmt: skip
    capsys.readouterr()


def test_scikit_images_fundus(tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage", reason="scikit-image is not installed")
    path = Path(skimage.__file__).parent / "data" / "retina.jpg"
    rows = tmp_path / "retina.jsonl"
    (tmp_path / "retina.jpg").write_bytes(path.read_bytes())
    rows.write_text('{"id": "f", "image": "retina.jpg", "labels": ["NORMAL"]}')
    assert main(["images", "collect", "retina", str(rows), "--out", str(tmp_path / "a")]) == 0


def test_phantoms_are_drawn_asked_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set to look at, and the same way without naming any."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert (
        main(["images", "phantoms", "retina", "--count", "5", "--out", str(tmp_path / "set")]) == 0
    )
    said = capsys.readouterr().out
    assert "5 pictures" in said and "not drawn: OTHER" in said and "体模" in said
    assert main(["show", str(tmp_path / "set")]) == 0
    assert "做不出来的标签" in capsys.readouterr().out
    asked = ["eval", "retina", "cxr_quality", "report_quality", "--model", "scripted:pick"]
    assert main([*asked, "--limit", "3", "--out", str(tmp_path / "run")]) == 0
    assert "体模" in capsys.readouterr().out
    assert main(["images", "phantoms", "retina", "--count", "0", "--out", str(tmp_path / "y")]) == 2
