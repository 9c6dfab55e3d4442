"""The model card: what a checkpoint was made from and on what, and what it must not be used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround import taxonomy
from wardround.artifact import InputRef, write_atomically
from wardround.models.loaded import checkpoint_of
from wardround.tuning import licences as licensing
from wardround.tuning.adapters import Kept, Lora
from wardround.tuning.chats import DIALOGUE
from wardround.tuning.data import Example
from wardround.tuning.licences import Licences
from wardround.tuning.plan import Plan
from wardround.tuning.trained import BEST, LAST, Trained, sentences, task_names, trained, unmeasured

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


def until_kept(
    out: Path, rows: Iterable[Mapping[str, Any]], best_step: int
) -> list[Mapping[str, Any]]:
    """The rows of the log up to the step whose weights are at the top of `out`, where they have been written."""
    on_top = (out / LAST).is_dir()
    return [r for r in rows if not on_top or r["step"] <= best_step]


def write(
    out: Path, *, title: str, made: Iterable[str], licences: Iterable[str],
    inputs: Iterable[InputRef], plan: Plan, rows: Sequence[Mapping[str, Any]],
    labels: Iterable[str], examples: Sequence[Example], base: Path | None = None, best_step: int = 0,
) -> None:  # fmt: skip
    """Write `README.md`, Chinese beside English, with the front matter Hugging Face tools read. The weights are written
    before: where they lie tells which step's are at the top. `best_step` is the one with the lowest held-out loss."""
    mine = sorted(set(licences))
    found = trained(
        rows, msgspec.to_builtins(plan), best=best_step,
        folders=[f for f in (BEST, LAST) if (out / f).is_dir()],
    )  # fmt: skip
    lines = [_front(base, licensing.onwards(base, mine)), "", f"# {title}", "", *made, ""]
    lines += ["## 须知 Limits", "", *(f"- {x}" for x in dict.fromkeys((*labels, *LIMITS))), ""]
    lines += ["## 来历 Lineage", ""]
    lines += [f"- {r.role} ({r.kind}): `{r.digest}`" for r in inputs]
    lines += [f"- 来源许可 Licences of the sources: {', '.join(mine)}"]
    if base is not None:
        lines += _base_licences(licensing.of_base(base))
    lines += ["", "## 训练 Training", "", *_training(plan, found), ""]
    lines += ["## 任务 Tasks", "", *_tasks(examples, plan, found), ""]
    write_atomically(out / "README.md", "\n".join(lines).encode())


def _front(base: Path | None, licences: Licences) -> str:
    front: dict[str, Any] = {
        "language": "zh", "library_name": "transformers", "pipeline_tag": "text-generation",
        "tags": ["wardround", "medical"],
    }  # fmt: skip
    if base is not None:
        front["base_model"] = licensing.name_of(base)
    return f"---\n{msgspec.yaml.encode(front | licences.front()).decode()}---"


def _base_licences(found: Licences) -> list[str]:
    if not found.base:
        return [
            "- 基础模型由本项目从零得到，其来源许可 The base was made from scratch; licences of its sources: "
            f"{', '.join(found.sources)}"
        ]
    lines = [f"- 基础模型许可 Licence of the base: {', '.join(found.base)}"]
    if found.sources:
        lines.append(
            "- 基础模型此前各次训练的来源许可 Licences of the sources of the base's earlier trainings: "
            f"{', '.join(found.sources)}"
        )
    return lines


def _training(plan: Plan, found: Trained | None) -> list[str]:
    lines = [
        f"- 每轮 An epoch: {plan.samples:,} 条样本 samples, {plan.tokens:,} 词元 tokens",
        f"- 参数 Parameters: {plan.parameters:,}",
        f"- 截断 Cut at {plan.max_tokens} tokens: {sum(plan.truncated.values())}",
    ]
    if found is None:
        return lines
    lines += [f"- {zh}。{en}." for zh, en in sentences(found)]
    if found.held_out:
        # First, lowest and last; each step once.
        steps = sorted({min(found.held_out), found.best, max(found.held_out)})
        told = " → ".join(
            f"{found.held_out[s]:.3f} (第 {s:,} 步 step {s:,})"
            for s in steps
            if s in found.held_out
        )
        lines.append(
            f"- 留出损失 Held-out loss: {told}; {plan.held_out_samples} 条 samples, "
            "取自训练侧文档 from documents of the training side"
        )
    return lines


def _tasks(examples: Sequence[Example], plan: Plan, found: Trained | None) -> list[str]:
    """Samples learned from and the held-out loss of these weights by task, then the tasks without one."""
    counts = Counter(e.task for e in examples)
    losses = found.by_task if found else {}
    every = {*counts, *losses} - {""}
    order = [t for t in (*taxonomy.tasks(), DIALOGUE) if t in every]
    order += sorted(every - set(order))
    lines = [
        "| 任务 | Task | 样本 Samples | 留出损失 Held-out loss |", "|---|---|---|---|",
        *(
            f"| {' | '.join(task_names(t))} | {counts[t]} | {f'{losses[t]:.3f}' if t in losses else '—'} |"
            for t in order
        ),
    ]  # fmt: skip
    none = unmeasured(msgspec.to_builtins(plan))
    if none:
        lines += ["", "没有留出损失的任务 Tasks without a held-out loss:", ""]
        lines += [f"- {zh} {en}: {why}; {because}" for (zh, en), (why, because) in none]
    return lines
