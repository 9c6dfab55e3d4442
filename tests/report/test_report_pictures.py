"""The page of a run with pictures: each with its truth, the answers of all models, and never another picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.images.pictures import chest, png
from wardround.benchmarks.compare import compare
from wardround.benchmarks.run import Settings, evaluate
from wardround.images.collect import collect
from wardround.metrics.arrays import np
from wardround.models.scripted import ScriptedModel
from wardround.report import write_report


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    for k in range(3):
        png(np.roll(chest(), 7 * k, axis=0), tmp_path / f"set/{k}.png")
    table = [
        {"id": "clean", "image": "0.png", "labels": []},
        {"id": "pacer", "image": "1.png", "labels": ["implant"]},
        {"id": "<b>&", "image": "2.png", "labels": ["apex_cut", "off_centre"]},
    ]
    path = tmp_path / "set/cxr_quality.jsonl"
    path.write_text("\n".join(map(json.dumps, table)))
    return path


def ran(data: Path, out: Path, script: str) -> Path:
    return evaluate(["cxr_quality"], data, ScriptedModel(script), [], out, Settings()).path


@pytest.mark.parametrize("prepared", [True, False])
def test_each_picture_with_truth_answers_and_verdicts(
    rows: Path, tmp_path: Path, prepared: bool
) -> None:
    data = collect("cxr_quality", rows, tmp_path / "a").path if prepared else rows
    runs = [ran(data, tmp_path / s[:3], s) for s in ("say=答案：无问题", "reference")]
    page = write_report(compare(runs, tmp_path / "both").path).read_text("utf-8")
    assert page.count('<img src="data:image/jpeg;base64,') == 3
    assert "img-src data:" in page and "http" not in page.partition('<img src="')[2][:200]
    section = page.partition('id="pictures"')[2]
    for text in (
        "体内植入物",
        "肺尖未包全",
        "无问题",
        "scripted:reference",
        "scripted:say",
        "without the picture",
    ):
        assert text in section
    assert "&lt;b&gt;&amp;" in section and "<b>&<" not in section
    assert section.count("✓") >= 4 and "✗" in section


def test_a_picture_that_changed_or_went_is_not_shown(rows: Path, tmp_path: Path) -> None:
    run = ran(rows, tmp_path / "run", "reference")
    png(chest(99), rows.parent / "0.png")
    (rows.parent / "1.png").unlink()
    page = write_report(run).read_text("utf-8")
    assert page.count('<img src="') == 1
    assert page.count("the picture isn&#39;t where it was, or has changed") == 2
