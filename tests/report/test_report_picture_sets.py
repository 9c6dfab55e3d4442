"""The page of a set of pictures: the pictures, what was held back with the reason, what headers lack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.images.pictures import chest, dicom, png
from wardround.images.collect import collect
from wardround.images.made import phantoms
from wardround.report import write_report
from wardround.report.terminal import lines


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom(chest()))
    (folder / "b.dcm").write_bytes(dicom(chest(250), ViewPosition=None))
    (folder / "c.dcm").write_bytes(dicom(chest())[:5000])
    (folder / "d.png").write_bytes(b"%PDF-1.4")
    png(chest(30), folder / "e.png")
    rows = [{"id": x.stem, "image": x.name, "labels": []} for x in sorted(folder.iterdir())]
    rows[1]["labels"] = ["implant"]
    rows.append({"id": "<b>", "image": "e.png", "labels": ["headache"]})
    (folder / "cxr_quality.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return collect("cxr_quality", folder / "cxr_quality.jsonl", tmp_path / "set").path


def test_pictures_held_back_cases_and_header_findings(films: Path) -> None:
    page = write_report(films).read_text("utf-8")
    assert page.count('<img src="data:image/jpeg;base64,') == 3
    for words in (
        "体内植入物", "文件不完整或已损坏", "not an image", "a PDF by its first bytes", "标签不在列表中",
        "缺少投照体位", "no view position", "头信息无异常", "&lt;b&gt;",
    ):  # fmt: skip
        assert words in page, words
    assert "SECRET" not in page
    text = "\n".join(lines(films))
    assert "文件不完整或已损坏" in text and "缺少投照体位" in text


def test_a_changed_picture_is_not_shown(films: Path) -> None:
    first = next(iter(sorted((films / "images").rglob("*.png"))))
    first.write_bytes(first.read_bytes() + b"x")
    page = write_report(films).read_text("utf-8")
    assert page.count('<img src="') == 2 and "the file has changed or is gone" in page


def test_made_pictures_say_how_and_what_is_not_made(tmp_path: Path) -> None:
    made = phantoms("cxr_quality", tmp_path / "set").path
    page = write_report(made).read_text("utf-8")
    for words in ("体模", "画上了左标识", "黑白反转", "可议：偏中心", "Labels that can&#39;t be made", "malposition"):  # fmt: skip
        assert words in page, words
    assert page.count('<img src="') == 24
