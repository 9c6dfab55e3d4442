"""The worked example of every benchmark's page runs as it is printed, and every page has its parts."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wardround.benchmarks import BENCHMARKS
from wardround.cli import main

PAGES = Path(__file__).parents[2] / "docs" / "benchmarks"
BLOCK = re.compile(r"`([a-z_]+\.[a-z]+)`[^`\n]*:\n\n```[a-z]+\n(.*?)\n```", re.DOTALL)
JUDGES = {"doctorflan_test": "scripted:overlap", "dotabench": "scripted:overlap"}


@pytest.fixture(autouse=True)
def own_list() -> Iterator[None]:
    """The list of benchmarks as it was, after an example added to it."""
    kept = dict(BENCHMARKS)
    yield
    BENCHMARKS.clear()
    BENCHMARKS.update(kept)


def example(page: str, folder: Path) -> tuple[str, Path]:
    """Write a page's files to `folder` and load its code; the benchmark's name and its data."""
    found = dict(BLOCK.findall((PAGES / f"{page}.md").read_text("utf-8")))
    (code,) = (name for name in found if name.endswith(".py"))
    for name, text in found.items():
        (folder / name).write_text(text + "\n", "utf-8")
    name = code.removesuffix(".py")
    spec = importlib.util.spec_from_file_location(f"page_{name}", folder / code)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return name, folder / f"{name}.jsonl"


ALONE = [b for b in BENCHMARKS if not b.endswith("_no_image")]
"""A control is told of on the page of what it is the control of."""


@pytest.mark.parametrize("page", ALONE)
def test_a_page_has_its_parts(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text("utf-8")
    for part in ("**What.**", "**Why", "**Source.**", "## Figures", "## Limits", "## Your own"):
        assert part in text, part
    assert "## Prompts" in text or "## What is sent" in text


@pytest.mark.parametrize("page", [b for b in ALONE if b != "med_choice"])
def test_a_pages_own_benchmark_runs(page: str, tmp_path: Path) -> None:
    name, data = example(page, tmp_path)
    judge = JUDGES.get(page, "scripted:rubric")
    command = ["eval", name, "--data", str(data), "--model", "scripted:reference"]
    assert main([*command, "--judge", judge, "--out", str(tmp_path / "run")]) == 0
    lines = (tmp_path / "run" / "records.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["score"]["status"] for line in lines] == ["scored"] * len(lines)
    assert len(lines) == (2 if page == "dotabench" else 1)


@pytest.mark.parametrize(
    ("answer", "status", "value"),
    [
        ("20 × 15 = 300\n剂量：300 mg", "scored", 1.0),
        ("剂量：30 mg", "scored", 0.0),
        ("剂量：0.3 g", "unscored", None),
        ("约三百毫克。", "unscored", None),
    ],
)
def test_the_example_without_a_judge_scores_by_rule(
    answer: str, status: str, value: float | None, tmp_path: Path
) -> None:
    name, data = example("med_choice", tmp_path)
    row = {"id": "d1", "input": "", "output": answer, "reference": ""}
    given = tmp_path / "answers.jsonl"
    given.write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    command = ["eval", name, "--data", str(data), "--answers", str(given)]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    (line,) = (tmp_path / "run" / "records.jsonl").read_text("utf-8").splitlines()
    score = json.loads(line)["score"]
    assert (score["status"], score["value"]) == (status, value)
