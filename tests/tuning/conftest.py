"""A small dataset artifact by the contract, in sentences written for these tests, and a tiny base on it."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wardround.artifact import Artifact, begin
from wardround.records import Dialogue, Document, Provenance, Sample, Turn
from wardround.taxonomy import case_marker, tasks

DISEASES = (
    ("晨雾咳", "多在清晨出现的干咳", "避开冷空气", "呼吸内科"),
    ("石阶膝", "上下台阶时膝前疼痛", "减少爬楼并锻炼股四头肌", "骨科"),
    ("夜航眩", "夜间翻身时短暂眩晕", "由医生做复位手法", "神经内科"),
    ("春尘鼻", "春季反复喷嚏和清水样鼻涕", "戴口罩并用鼻腔冲洗", "耳鼻咽喉头颈外科"),
    ("盐汗心", "大量出汗后心慌乏力", "补充水和电解质", "心血管内科"),
    ("灯下眼", "久看屏幕后眼干眼涩", "每半小时远望并人工泪液", "眼科"),
    ("秋燥肤", "秋季小腿皮肤干痒脱屑", "洗澡后涂保湿霜", "皮肤性病科"),
    ("空腹痛", "饥饿时上腹隐痛进食后缓解", "规律进餐并查幽门螺杆菌", "消化内科"),
)
TEST_SIDE = frozenset({"doc-7"})


def provenance(row: int) -> Provenance:
    return Provenance(file="entries.jsonl", sha256="0" * 64, row=row, licence="CC0-1.0")


def documents() -> list[Document]:
    return [
        Document(
            id=f"doc-{n}", kind="encyclopedia", title=name,
            fields={"desc": f"{name}指{sign}。", "symptom": (sign,), "cure_way": (advice,)},
            departments=(department,), specialty=department, provenance=provenance(n + 1),
            split="test" if f"doc-{n}" in TEST_SIDE else "train",
        )
        for n, (name, sign, advice, department) in enumerate(DISEASES)
    ]  # fmt: skip


def sample(task: str, question: str, answer: str, n: int) -> Sample:
    entry = tasks()[task]
    marker = f"\n{case_marker()}\n" if entry.takes == "case" else ""
    return Sample(
        category=entry.en, input=f"{entry.instruction}{marker}{question}", output=answer,
        id=f"{task}-{n}", task=task, phase=entry.phase, specialty=DISEASES[n][3],
        document=f"doc-{n}", recipe="test", source_fields=("desc",),
    )  # fmt: skip


def samples() -> list[Sample]:
    found = []
    for n, (name, sign, advice, department) in enumerate(DISEASES):
        found += [
            sample("triage", f"患者{sign}。", f"{department}。理由：{sign}。", n),
            sample("disease_inquiry", name, f"{name}指{sign}，宜{advice}。", n),
            sample("treatment_plan", f"患者{sign}，考虑{name}。", f"{advice}，两周后复诊。", n),
        ]
    return found


def dialogues() -> list[Dialogue]:
    return [
        Dialogue(
            id=f"talk-{n}", document=f"doc-{n}", specialty=department, title=name,
            context=f"患者，女，五十岁，{sign}。",
            turns=(
                Turn(question=f"患者，女，五十岁，{sign}。\n\n考虑什么？", reference=f"考虑{name}。"),
                Turn(question="应如何处理？", reference=f"{advice}。"),
                Turn(question="何时复诊？", reference="两周后复诊。"),
            ),
        )
        for n, (name, sign, advice, department) in enumerate(DISEASES)
    ]  # fmt: skip


def write_dataset(
    out: Path, *, leak: bool = False, kind: str = "dataset",
    talks: Sequence[Dialogue] | None = None, checked: bool = True,
) -> Artifact:  # fmt: skip
    """The dataset artifact; with `leak` the test document's samples are among the training ones, without `checked`
    it has no contamination report."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    learned = [s for s in samples() if leak or s.document not in TEST_SIDE]
    with begin(out, kind=kind, config={"leak": leak}) as ws:
        table = pa.Table.from_pylist([msgspec.to_builtins(s) for s in learned])
        pq.write_table(table, ws.file("train.parquet"))
        ws.write_jsonl("documents.jsonl", documents())
        if talks is None:
            talks = [d for d in dialogues() if d.document not in TEST_SIDE]
        ws.write_jsonl("train_dialogues.jsonl", talks)
        if checked:
            ws.write_json("contamination.json", {"sets": [], "own_test": {}})
        return ws.seal(counts={"train": len(learned)}, labels=["测试数据 / test data"])


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the dataset artifact."""
    return write_dataset(tmp_path_factory.mktemp("data") / "dataset").path


@pytest.fixture(scope="session")
def base(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of a base checkpoint made on it with a few steps."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tests.tuning.tiny import BASE
    from wardround.tuning.scratch import make_base

    return make_base(dataset, tmp_path_factory.mktemp("base") / "base", BASE).path


@pytest.fixture(scope="session")
def shaky(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base with dropout, so that training depends on the random state (of every process) and not on the data
    alone."""
    copy = tmp_path_factory.mktemp("shaky") / "base"
    shutil.copytree(base, copy)
    (copy / "manifest.json").unlink()
    config = json.loads((copy / "config.json").read_bytes())
    (copy / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.2}))
    return copy


@pytest.fixture(scope="session")
def forks() -> Any:
    """Processes forked from one that has loaded the stack and used no thread of it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([
        "wardround.tuning.loop", "transformers.models.qwen3.modeling_qwen3",
        "torch.distributed.checkpoint.state_dict", "accelerate.utils.fsdp_utils", "pyarrow.parquet",
        "wardround.tuning.mixture", "wardround.tuning.training", "wardround.tuning.card",
    ])  # fmt: skip
    return context


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of preferences."""
    from tests.tuning.judged import judgements, write

    return write(tmp_path_factory.mktemp("preferences") / "judged.jsonl", judgements())
