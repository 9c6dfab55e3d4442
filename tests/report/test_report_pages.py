"""Whole pages: complete, self-contained, safe against what models write, the same for the same artifact."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tests.report.made import (
    LABEL_DATA,
    LABEL_JUDGE,
    LABEL_TINY,
    make_checkpoint,
    make_comparison,
    make_dataset,
    make_demo,
    make_run,
)
from wardround.artifact import begin
from wardround.errors import ArtifactError, NotSealedError
from wardround.lineage import verify
from wardround.report import render, write_report
from wardround.report.shapes import RunSummary

KINDS = ("dataset", "base", "tuned", "run-base", "run-tuned", "comparison", "demo")
ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
VOID = {"meta", "input", "br", "img", "link", "hr"}


class Reader(HTMLParser):
    """Checks that tags are balanced; keeps tags, attributes, text and ids."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def pages(world: Path) -> dict[str, str]:
    return {name: render(world / name) for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_page_is_balanced_and_its_contents_lead_somewhere(pages: dict[str, str], name: str) -> None:
    page = read(pages[name])
    ids = [a["id"] for _, a in page.tags if a.get("id") and a["id"] != "hatch"]
    assert len(ids) == len(set(ids))
    links = [a["href"] or "" for tag, a in page.tags if tag == "a"]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)


@pytest.mark.parametrize("name", KINDS)
def test_page_asks_nothing_of_the_network_and_runs_nothing(
    pages: dict[str, str], name: str
) -> None:
    page = pages[name]
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {"#hatch"}
    assert "default-src 'none'" in page
    for tag, attributes in read(page).tags:
        assert tag not in {"script", "img", "link", "iframe", "object", "embed"}
        assert "src" not in attributes
        assert not any(a.startswith("on") for a in attributes)


@pytest.mark.parametrize("name", KINDS)
def test_every_label_of_the_lineage_is_shown(pages: dict[str, str], name: str) -> None:
    text = read(pages[name]).text
    expected = [LABEL_DATA]
    expected += [LABEL_TINY] if name != "dataset" else []
    expected += [LABEL_JUDGE] if name in {"run-base", "run-tuned", "comparison", "demo"} else []
    for label in expected:
        for part in label.split(" / "):
            assert part in text


@pytest.mark.parametrize("name", KINDS)
def test_every_chart_has_a_text_alternative(pages: dict[str, str], name: str) -> None:
    charts = [a for tag, a in read(pages[name]).tags if tag == "svg" and "aria-hidden" not in a]
    assert charts
    assert all(c.get("role") == "img" and c.get("aria-label") for c in charts)


def test_demo_page_is_the_whole_loop(pages: dict[str, str]) -> None:
    page = read(pages["demo"])
    headings = [a["id"] for tag, a in page.tags if tag == "section" and a.get("id")]
    assert headings == ["sources", "coverage", "samples", "training", "scores", "answers", "lineage", "details"]  # fmt: skip
    text = page.text
    assert "模型是实习医生，签字的是主治医师。" in text
    assert "wardround verify demo" in text
    assert text.count("模型生成，未经医师签字") == 16  # eight questions, two models
    for words in ("12,345", "Apache-2.0", "empty_answer", "5,240,832", "来源没有术前宣教字段", "3 min 21 s",
                  "与测试条目重复", "HTTP 500"):  # fmt: skip
        assert words in text


def test_samples_stand_beside_their_source(pages: dict[str, str]) -> None:
    text = read(pages["dataset"]).text
    assert "支气管哮喘。吸入糖皮质激素控制气道炎症" in text
    assert "定义 desc" in text
    assert "病情分级 grading —" in text  # the sample names a field that its document lacks


def test_numbers_come_from_the_files(world: Path, pages: dict[str, str]) -> None:
    summary = msgspec.json.decode(
        (world / "run-base" / "summary.json").read_bytes(), type=RunSummary
    )
    text = read(pages["run-base"]).text
    for b in summary.benchmarks.values():
        assert b.overall.low is not None
        assert f"{b.overall.mean:.2f} [{b.overall.low:.2f}, {b.overall.high:.2f}]" in text
        assert b.counts["failed"] + b.counts["unscored"] == 0 or "HTTP 500" in text


def test_what_could_not_be_scored_is_said_and_never_zero(world: Path, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    run = make_run(
        tmp_path, "run", dataset=dataset, checkpoint=None, quality=1.0, unscored_task="triage"
    )
    text = read(render(run)).text
    assert "no verdict in the judge's reply" in text
    assert "分诊 Triage 未评分 unscored" in text
    assert "0.00" not in text


def test_the_same_artifact_gives_the_same_page_wherever_it_lies(
    world: Path, pages: dict[str, str], tmp_path: Path
) -> None:
    assert render(world / "demo") == pages["demo"]
    moved = shutil.copytree(world, tmp_path / "elsewhere")
    assert render(moved / "demo") == pages["demo"]
    assert render(moved / "run-base") == pages["run-base"]


def test_writing_the_report_leaves_the_artifact_whole(tmp_path: Path) -> None:
    run = make_run(tmp_path, "run", dataset=make_dataset(tmp_path), checkpoint=None, quality=1.0)
    target = write_report(run)
    assert target == run / "report.html"
    assert target.read_text("utf-8") == render(run)
    assert verify(run).whole
    assert verify(run).unlisted == ()
    assert not list(run.glob("*.part"))


def test_an_answer_a_title_or_a_label_cannot_break_out(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path, title=ATTACK, labels=(f"{ATTACK} / {ATTACK}",))
    run = make_run(tmp_path, "run", dataset=dataset, checkpoint=None, quality=1.0, answer=ATTACK, labels=(ATTACK,))  # fmt: skip
    for made in (dataset, run):
        page = render(made)
        assert "<script" not in page
        assert "<img" not in page
        reader = read(page)
        assert not any(tag in {"script", "img"} for tag, _ in reader.tags)
        assert not any(a.startswith("on") for _, attributes in reader.tags for a in attributes)
        assert "<script>alert(1)</script>" in reader.text  # shown as text


def test_an_unfinished_run_is_shown_as_unfinished(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    run = make_run(tmp_path, "run", dataset=dataset, checkpoint=None, quality=1.0, seal=False)
    text = read(render(run)).text
    assert "未完成，尚未封存" in text
    assert "Unfinished: never sealed" in text
    assert "单轮临床任务" in text


def test_other_unfinished_work_has_no_report(tmp_path: Path) -> None:
    with begin(tmp_path / "a", kind="dataset", config={}) as workspace:
        workspace.write_json("summary.json", {})
    with pytest.raises(NotSealedError):
        render(tmp_path / "a")
    with begin(tmp_path / "b", kind="run", config={}):
        pass
    with pytest.raises(NotSealedError):
        render(tmp_path / "b")


def test_a_kind_without_a_report_is_refused_by_name(tmp_path: Path) -> None:
    with begin(tmp_path / "a", kind="strange", config={}) as workspace:
        workspace.seal(counts={})
    with pytest.raises(ArtifactError, match="no report for a strange"):
        render(tmp_path / "a")


def test_a_malformed_file_is_named(tmp_path: Path) -> None:
    with begin(tmp_path / "run", kind="run", config={}) as workspace:
        workspace.write_json("summary.json", {"model": "m", "benchmarks": 3})
        workspace.seal(counts={})
    with pytest.raises(ArtifactError, match=r"summary\.json"):
        render(tmp_path / "run")


def test_inputs_that_moved_or_changed_are_said_not_shown(tmp_path: Path) -> None:
    make_demo(tmp_path)
    shutil.rmtree(tmp_path / "tuned")
    shutil.rmtree(tmp_path / "run-tuned")
    make_run(tmp_path, "run-tuned", dataset=tmp_path / "dataset", checkpoint=None, quality=9.0)
    text = read(render(tmp_path / "demo")).text
    assert "不在原处 not where it was" in text
    assert "不是当时用的那份 not the one that was used" in text
    assert "微调后" in text  # the comparison still knows it


def test_a_comparison_stands_without_its_runs(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    runs = [make_run(tmp_path, n, dataset=dataset, checkpoint=None, quality=q) for n, q in (("a", 0.2), ("b", 1.5))]  # fmt: skip
    comparison = make_comparison(tmp_path, runs)
    assert "评测目录不在原处" not in read(render(comparison)).text
    shutil.rmtree(runs[1])
    text = read(render(comparison)).text
    assert "评测目录不在原处" in text
    assert "local:b" in text
    assert "95% 区间全部高于 0：评分更高" in text


def test_a_checkpoint_without_a_log_says_so(tmp_path: Path) -> None:
    with begin(tmp_path / "c", kind="checkpoint", config={}) as workspace:
        workspace.write_json("plan.json", {"parameters": 7, "truncated": {}})
        workspace.seal(counts={})
    assert "没有训练记录" in read(render(tmp_path / "c")).text


def test_a_held_out_curve_of_one_point_is_drawn(tmp_path: Path) -> None:
    out = make_checkpoint(tmp_path, "c", inputs={}, stage="sft")
    rows = [
        line
        for line in (out / "training_log.jsonl").read_bytes().splitlines()
        if b'"eval_loss"' in line
    ]
    with begin(tmp_path / "d", kind="checkpoint", config={}) as workspace:
        workspace.file("training_log.jsonl").write_bytes(rows[0] + b"\n")
        workspace.seal(counts={})
    assert 'class="mark s1"' in render(tmp_path / "d")


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


TEXT = [("ink", "page"), ("ink", "card"), ("ink", "soft"), ("muted", "page"), ("muted", "card"), ("muted", "soft"),
        ("accent", "page"), ("accent", "card"), ("card", "accent"), ("link", "card"), ("warn-ink", "warn-back"),
        ("stop-ink", "stop-back"), *((f"s{i}", "card") for i in range(4)),
        *((f"t{i}", f"h{i}") for i in range(1, 6))]  # fmt: skip


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_colours_meet_wcag_aa(scheme: int) -> None:
    css = (Path(__file__).parents[2] / "src/wardround/report/templates/style.css").read_text(
        "utf-8"
    )
    block = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block))
    low = {pair: round(_contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in TEXT}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
