"""The model card: what a checkpoint was made from and on what, and what it must not be used for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import InputRef, write_atomically
from wardround.models.loaded import checkpoint_of
from wardround.taxonomy import tasks
from wardround.tuning.adapters import Kept, Lora
from wardround.tuning.chats import DIALOGUE
from wardround.tuning.data import Example
from wardround.tuning.plan import Plan

LIMITS = (
    "仅供研究。未经临床验证，不得用于诊断、治疗或处方；任何输出须由医生核对并签字。",
    "For research. Not clinically validated; never to be used for diagnosis, treatment or prescribing. A doctor "
    "checks and signs whatever it writes.",
)


def inherited_labels(*inputs: Path) -> tuple[str, ...]:
    """The labels of the inputs that are artifacts, each once: what they had to say holds for what follows."""
    labels: list[str] = []
    for path in inputs:
        artifact = checkpoint_of(path)
        if artifact is not None:  # a plain Hugging Face directory carries none
            labels += artifact.manifest.labels
    return tuple(dict.fromkeys(labels))


def made(lora: Lora | None, adapter: Kept) -> tuple[str, str]:
    """How the weights came about, Chinese and English."""
    if lora is None:
        return "在下列数据集上全参数微调。", "Fully fine-tuned on the data below."
    kept = "已并入权重", "merged into the weights"
    if adapter == "apart":
        kept = "单独存放，须与基础模型一起加载", "kept apart, to be loaded onto the base"
    return (
        f"在下列数据集上以 LoRA 微调（秩 {lora.rank}，alpha {lora.alpha:g}），适配器{kept[0]}。",
        f"Fine-tuned with LoRA (rank {lora.rank}, alpha {lora.alpha:g}) on the data below; the adapter is {kept[1]}.",
    )


def base_licence(base: Path) -> str:
    """What the base's own card states as its licence."""
    card = base / "README.md"
    text = card.read_text("utf-8", errors="replace") if card.is_file() else ""
    front = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = re.search(r"^licen[sc]e:\s*(\S+)", front, re.MULTILINE)
    return found[1].strip("\"'") if found else "unstated"


def write(
    out: Path, *, title: str, made: Iterable[str], licences: Iterable[str],
    inputs: Iterable[InputRef], plan: Plan, rows: Sequence[Mapping[str, Any]],
    labels: Iterable[str], examples: Sequence[Example], base: Path | None = None,
) -> None:  # fmt: skip
    """Write `README.md`, Chinese beside English, with the front matter Hugging Face tools read."""
    lines = [
        "---", "language: [zh]", "library_name: transformers", "pipeline_tag: text-generation",
        "tags: [wardround, medical]", "---", "", f"# {title}", "",
    ]  # fmt: skip
    lines += [*made, "", "## 须知 Limits", "", *(f"- {x}" for x in (*labels, *LIMITS)), ""]
    lines += ["## 来历 Lineage", ""]
    lines += [f"- {r.role} ({r.kind}): `{r.digest}`" for r in inputs]
    lines += [f"- 来源许可 Licences of the sources: {', '.join(sorted(set(licences)))}"]
    if base is not None:
        lines.append(f"- 基础模型许可 Licence of the base: {base_licence(base)}")
    lines.append("")
    lines += ["## 训练 Training", "", *_training(plan, rows), ""]
    lines += ["## 任务 Tasks", "", "| 任务 | Task | 样本 Samples |", "|---|---|---|"]
    lines += [*_task_rows(examples), ""]
    write_atomically(out / "README.md", "\n".join(lines).encode())


def _training(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [
        f"- {plan.samples:,} 条样本 samples, {plan.tokens:,} 词元 tokens × {plan.epochs} 轮 epochs, "
        f"{plan.steps:,} 步 steps",
        f"- 参数 Parameters: {plan.parameters:,}",
        f"- 截断 Cut at {plan.max_tokens} tokens: {sum(plan.truncated.values())}",
    ]
    losses = [row["eval_loss"] for row in rows if "eval_loss" in row]
    if losses:
        lines.append(
            f"- 留出损失 Held-out loss: {losses[0]:.3f} → {losses[-1]:.3f} "
            f"({plan.held_out_samples} 条 samples, 取自训练侧文档 from documents of the training side)"
        )
    return lines


def _task_rows(examples: Sequence[Example]) -> list[str]:
    counts = Counter(e.task for e in examples)
    known = {t.id: (t.zh, t.en) for t in tasks().values()} | {DIALOGUE: ("多轮对话", "Dialogue")}
    order = [*known, *sorted(set(counts) - set(known))]
    return [
        f"| {known.get(t, (t, t))[0]} | {known.get(t, (t, t))[1]} | {counts[t]} |"
        for t in order
        if counts[t]
    ]
