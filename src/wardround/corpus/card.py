"""The dataset card: README.md with the front matter Hugging Face reads, short, Chinese first.

It keeps published and reconstructed tasks apart, and says what is not covered, what was set aside, what was found
of personal data and of other people's test sets, and how to load the dataset. Whatever the build did not record is
not in the card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wardround.corpus.export import usage

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
ORIGIN = {
    "published": "已发表的任务 / Published tasks",
    "reconstructed": "依临床实践补全的任务 / Reconstructed tasks",
    "survey": "医生在需求调查中提出的任务 / Tasks that doctors asked for in a needs survey",
}
CONFIGS = (
    ("default", "train", "train.parquet"),
    ("test", "test", "doctorflan_test.parquet"),
    ("dialogues", "train", "train_dialogues.parquet"),
    ("dotabench", "test", "dotabench.parquet"),
)
SPDX = {
    "apache-2.0": "apache-2.0", "mit": "mit", "cc0": "cc0-1.0", "cc0-1.0": "cc0-1.0", "cc-by-4.0": "cc-by-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0", "cc-by-nc-4.0": "cc-by-nc-4.0", "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0",
}  # fmt: skip
"""Licences that the hub has an identifier for, by their usual spelling in small letters."""


def card(
    coverage: dict[str, Any],
    labels: Iterable[str],
    *,
    exports: Sequence[str] = (),
    tables: Sequence[str] = (),
) -> str:
    """README.md of a dataset with this coverage.json, these labels, these exports and, beside train.parquet, the
    Parquet files `tables` (what `readback.parquet_copies` wrote)."""
    train = sum(t["train"] for t in coverage["tasks"])
    test = sum(t["test"] for t in coverage["tasks"])
    turns = coverage["dialogues"]
    lines = [
        *front(coverage, tables),
        "# 面向医生的指令数据集 / Doctor-facing instruction dataset",
        "",
        "\n>\n".join(f"> {label}" for label in labels),
        "",
        f"单轮样本：训练 {train}，测试 {test}；多轮病例：训练 {turns['train']}，测试 {turns['test']}（DotaBench 格式，"
        "不是已发表的 DotaBench）。 / Single-turn samples: "
        f"{train} train, {test} test; multi-turn cases: {turns['train']} train, {turns['test']} test "
        "(DotaBench format, not the published DotaBench).",
        "",
        "测试集的来源文档不进入训练集。 / No source document of the test side is in the training side.",
        *_tasks(coverage),
        *_sources(coverage),
        *_funnel(coverage),
        *_aside(coverage),
        *_refinement(coverage),
        *_privacy(coverage),
        *_contamination(coverage),
        *_loading(exports),
    ]
    return "\n".join(lines) + "\n"


def front(coverage: Mapping[str, Any], tables: Sequence[str]) -> list[str]:
    """The YAML front matter. The licence has an identifier only where all sources share one that has."""
    n = sum(t["train"] + t["test"] for t in coverage["tasks"])
    size = next((name for limit, name in SIZES if n < limit), "n>1M")
    stated = sorted({str(s["licence"]) for s in coverage["sources"]})
    known = SPDX.get(stated[0].strip().lower()) if len(stated) == 1 else None
    licence = [f"license: {known or 'other'}"]
    if known is None:
        said = json.dumps("; ".join(stated) or "unstated", ensure_ascii=False)
        licence.append(f"license_name: {said}")
    return [
        "---",
        "language: [zh]",
        *licence,
        "pretty_name: Wardround dataset",
        "tags: [medical, instruction, doctor-facing]",
        "task_categories: [text-generation, question-answering]",
        "configs:",
        *_configs(tables),
        f"size_categories: [{size}]",
        "---",
    ]


def _configs(tables: Sequence[str]) -> Iterator[str]:
    """The hub's configurations. All in one format, and none without rows: its loader stops at either."""
    for name, split, file in CONFIGS:
        if name == "default" or file in tables:
            yield f"- config_name: {name}"
            yield "  data_files:"
            yield f"  - {{split: {split}, path: {file}}}"


def _table(*heads: str) -> list[str]:
    return ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]


def _row(*cells: object) -> str:
    return "| " + " | ".join(_cell(str(c)) for c in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _tasks(coverage: Mapping[str, Any]) -> Iterator[str]:
    for origin, heading in ORIGIN.items():
        if not any(t["origin"] == origin for t in coverage["tasks"]):
            continue
        yield from ("", f"## {heading}", "")
        yield from _table(
            "任务", "task", "训练 train", "测试 test", "未覆盖的原因 / why not covered"
        )
        for t in coverage["tasks"]:
            if t["origin"] == origin:
                yield _row(t["zh"], t["en"], t["train"], t["test"], t["reason"])


def _sources(coverage: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## 来源 / Sources", "")
    yield from _table("文件 file", "类型 kind", "行 rows", "文档 documents", "许可 licence")
    for s in coverage["sources"]:
        yield _row(s["file"], s["kind"], s["rows"], s["documents"], s["licence"])


def _funnel(coverage: Mapping[str, Any]) -> Iterator[str]:
    steps = coverage.get("funnel")
    if not steps:
        return
    yield from ("", "## 从来源到样本 / From sources to samples", "")
    yield from _table("步骤", "step", "数量 n", "搁置 set aside")
    for s in steps:
        reasons = "；".join(f"{reason} {n}" for reason, n in s.get("reasons", {}).items())
        yield _row(s["zh"], s["en"], s["n"], reasons)


def _aside(coverage: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## 未采用的内容 / Set aside (excluded.jsonl)", "")
    yield from [f"- {reason}: {n}" for reason, n in coverage["excluded"].items()] or ["- 无 / none"]


def _refinement(coverage: Mapping[str, Any]) -> Iterator[str]:
    r = coverage["refined"]
    if r is None:
        return
    yield from ("", "## 改写 / Refinement", "")
    yield (
        f"{r['model']}：请求 asked {r['asked']}，采用 kept {r['kept']}，重试 retried {r['retried']}，"
        f"退回原文 fell back {r['fell_back']}，失败 failed {r['failed']}。"
    )


def _privacy(coverage: Mapping[str, Any]) -> Iterator[str]:
    p = coverage.get("privacy")
    if not p:
        return
    yield from ("", "## 个人信息 / Personal data", "")
    found = "，".join(f"{kind} {n}" for kind, n in p["found"].items()) or "无 / none"
    yield f"找到并替换 found and replaced: {found}；待人工核对 left for a person to clear: {p['residue']}。"
    yield ""
    yield "自动识别不保证无遗漏，公开前请人工复核。 / Automatic detection is no guarantee; have a person check before publishing."


def _contamination(coverage: Mapping[str, Any]) -> Iterator[str]:
    c = coverage.get("contamination")
    if not c:
        return
    yield from ("", "## 与外部测试集的重合 / Overlap with held-out sets", "")
    if not c["sets"]:
        yield "没有给出外部测试集，未作检查。 / No held-out set was given, so none was checked."
        return
    yield from _table("测试集 set", "题目 items", "移出 dropped", "待核对 to review")
    for s in c["sets"]:
        yield _row(s["file"], s["items"], s["dropped"], s["review"])
    if unread := c.get("unread"):
        yield ""
        yield f"其中 {len(unread)} 行读不出，没有比对。 / {len(unread)} of their rows could not be read and were not held against."


def _loading(exports: Sequence[str]) -> Iterator[str]:
    if exports:
        yield from ("", "## 在其他工具中使用 / Use in other tools", "")
        yield from (f"- {line}" for line in usage(exports))
