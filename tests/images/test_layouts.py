"""Every layout, and everything that can be wrong with one, named and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.images.pictures import chest, jpeg, png
from wardround.errors import InputError, UsageError
from wardround.images.layouts import read_layout

RETINA = ("fundus", "oct")


def reasons(found: object) -> dict[str, str]:
    return {e.what: e.reason for e in found.excluded}  # type: ignore[attr-defined]


def test_rows_of_our_own(tmp_path: Path) -> None:
    for name in ("a", "b", "lonely"):
        png(chest(), tmp_path / f"p/{name}.png")
    rows = [
        {"id": "1", "image": "p/a.png", "labels": ["糖网", "Media haze"], "modality": "fundus"},
        {"id": "2", "image": "p/b.png", "labels": "黄斑裂孔", "modality": "oct", "frame": 2, "text_reviewed": True},
        {"id": "3", "image": "p/a.png", "labels": ["NOSUCH"]},
        {"id": "4", "labels": ["DR"]},
        {"id": "5", "image": "../secret.png", "labels": ["DR"]},
        {"id": "6", "image": "p/a.png", "labels": []},
        {"id": "7", "image": "p/a.png", "labels": ["DR"], "modality": "mri"},
        {"id": "8", "image": "p/a.png", "labels": ["DR"], "frame": 0},
        {"id": "9", "image": ["p/a.png", "p/b.png"], "labels": ["DR"]},
        {"id": "1", "image": "p/a.png", "labels": ["DR"]},
        {"id": "1", "image": "p/b.png", "labels": ["DR"]},
    ]  # fmt: skip
    file = tmp_path / "retina.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n[1]\n", encoding="utf-8")
    found = read_layout(file, RETINA)
    assert [(r.id, r.labels) for r in found.rows] == [
        ("1", ("DR", "MH")), ("2", ("MH",)), ("1#11", ("DR",)),
    ]  # fmt: skip
    assert found.rows[1].frame == 2 and found.rows[1].text_reviewed
    assert reasons(found) == {
        "3": "label_not_in_list", "4": "no_image", "5": "outside_the_set", "6": "no_label", "7": "unknown_modality",
        "8": "bad_frame", "9": "several_images", "1": "duplicate_row", "row 12": "unreadable_row",
        "p/lonely.png": "image_without_row",
    }  # fmt: skip


def test_medbench(tmp_path: Path) -> None:
    rows = [
        {
            "question": "质控",
            "answer": "无左右标识，肺尖未包全",
            "img_path": "i/1.png",
            "other": {"id": 7},
        },
        {"question": "质控", "answer": "无问题", "img_path": "i/2.png", "other": {"id": 8}},
        {"question": "质控", "answer": "曝光不足", "img_path": "i/3.png", "other": {"id": 9}},
    ]
    file = tmp_path / "m.jsonl"
    file.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    found = read_layout(file, ("cxr",))
    assert found.layout == "MedBench"
    assert [(r.id, r.labels) for r in found.rows] == [("7", ("no_side_marker", "apex_cut")), ("8", ())]  # fmt: skip
    assert reasons(found) == {"9": "label_not_in_list"}


def test_mured(tmp_path: Path) -> None:
    for name in ("aria_1.png", "b.jpg", "lonely.png"):
        png(chest(), tmp_path / "images/images" / name)
    text = "ID,DR,NORMAL,MH,ZZZ\naria_1,1,0,1,0\nb,0,1,0,0\ngone,1,0,0,0\nb2,x,0,0,0\nb3,0,0,0,0\nb4,0,0,0,1\n"
    file = tmp_path / "val_data.csv"
    file.write_text(text, encoding="utf-8")
    found = read_layout(file, RETINA)
    assert [(r.id, r.labels, r.image) for r in found.rows] == [
        ("aria_1", ("DR", "MH"), "images/images/aria_1.png"), ("b", ("NORMAL",), "images/images/b.jpg"),
    ]  # fmt: skip
    assert reasons(found) == {
        "ZZZ": "label_not_in_list", "gone": "missing_image", "b2": "unreadable_row", "b3": "no_label",
        "b4": "label_not_in_list", "images/images/lonely.png": "image_without_row",
    }  # fmt: skip
    file.write_text("name;x\n", encoding="utf-8")
    with pytest.raises(InputError, match="row 1"):
        read_layout(file, RETINA)


def test_oct_folders(tmp_path: Path) -> None:
    for place in ("train/CNV/1.jpg", "test/CNV/2.jpg", "test/NORMAL/3.jpg", "test/OTHERS/4.jpg"):
        jpeg(chest(), tmp_path / place)
    (tmp_path / "test/CNV/notes.txt").write_text("x")
    found = read_layout(tmp_path, RETINA)
    assert [(r.image, r.labels, r.modality) for r in found.rows] == [
        ("test/CNV/2.jpg", ("CNV",), "oct"), ("test/NORMAL/3.jpg", ("NORMAL",), "oct"),
    ]  # fmt: skip
    assert reasons(found) == {"test/OTHERS/4.jpg": "label_not_in_list", "test/CNV/notes.txt": "not_an_image"}  # fmt: skip


def test_what_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such"):
        read_layout(tmp_path / "x.jsonl", RETINA)
    with pytest.raises(UsageError, match="no folder named after a label"):
        read_layout(tmp_path, RETINA)
