"""What was really trained, why it ended, and which step's weights a checkpoint holds: from its plan and its log.

The card and every report say it from here. Needs nothing of the tuning stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wardround import taxonomy
from wardround.records import Record
from wardround.tuning.chats import DIALOGUE
from wardround.tuning.data import SPARING
from wardround.tuning.preferences import KINDS

BEST, LAST = "best", "last"
_Said = tuple[str, str]


class Trained(Record, frozen=True, kw_only=True):
    """`step`, `epoch` and `tokens`: where it ended; `planned` and `planned_epochs`: where it should have. `weights` is
    the step whose weights are at the checkpoint's top, `beside` the folder with the others ("" where there are none)
    and `other` their step. `held_out` is the loss by step, `by_task` that of `weights`. `since`: evaluations after the
    lowest loss."""

    step: int
    epoch: float
    tokens: int
    planned: int
    planned_epochs: float
    weights: int
    beside: str
    other: int
    best: int
    since: int
    held_out: dict[int, float]
    by_task: dict[str, float]

    @property
    def early(self) -> bool:
        """Whether it stopped before the planned end."""
        return self.step < self.planned


def trained(
    rows: Iterable[Mapping[str, Any]], plan: Mapping[str, Any], *, folders: Iterable[str],
    best: int = 0,
) -> Trained | None:  # fmt: skip
    """From the rows of a training log, `plan.json`, and the names of folders in the checkpoint; `best` is the step with
    the lowest held-out loss where the manifest tells it. None for an empty log or plan."""
    rows = list(rows)
    learned = [r for r in rows if r.get("loss") is not None]
    if not learned or not plan.get("steps"):
        return None
    last = learned[-1]
    held = {int(r["step"]): float(r["eval_loss"]) for r in rows if r.get("eval_loss") is not None}
    best = best or (min(held, key=lambda s: (held[s], s)) if held else 0)
    there = {BEST, LAST} & set(folders)
    beside = LAST if LAST in there else BEST if BEST in there else ""
    step = int(last["step"])
    weights, other = (best, step) if beside == LAST else (step, best if beside else 0)
    return Trained(
        step=step, epoch=float(last.get("epoch") or 0), tokens=int(last.get("tokens") or 0),
        planned=int(plan["steps"]), planned_epochs=float(plan.get("epochs") or 0),
        weights=weights, beside=beside, other=other, best=best,
        since=sum(s > best for s in held), held_out=held,
        by_task=next(
            (dict(r["by_task"]) for r in rows if r["step"] == weights and r.get("by_task")), {}
        ),
    )  # fmt: skip


def sentences(found: Trained) -> list[_Said]:
    """How far it went, why it ended, what lies at the top: each in Chinese and English."""
    t = found
    said = [(
        f"实际训练 {t.step:,} 步（计划 {t.planned:,} 步）、{t.epoch:.3g} 轮（计划 {t.planned_epochs:g} 轮），"
        f"共 {t.tokens:,} 词元",
        f"Trained {t.step:,} of {t.planned:,} planned steps, {t.epoch:.3g} of {t.planned_epochs:g} epochs, "
        f"{t.tokens:,} tokens in all",
    )]  # fmt: skip
    if t.early:
        said.append((
            f"提前停止：第 {t.best:,} 步之后的 {t.since} 次评估，留出损失都没有更低",
            f"Stopped early: {t.since} evaluations after step {t.best:,} gave no lower held-out loss",
        ))  # fmt: skip
    else:
        said.append(("按计划训练到最后一步", "Ran to its last step as planned"))
    zh, en = _loss(t, t.weights)
    said.append((
        f"此处的权重：第 {t.weights:,} 步之后{zh}", f"The weights here: after step {t.weights:,}{en}"
    ))  # fmt: skip
    if t.beside:
        zh, en = _loss(t, t.other)
        said.append((
            f"{t.beside}/ 中的权重：第 {t.other:,} 步之后{zh}",
            f"The weights in {t.beside}/: after step {t.other:,}{en}",
        ))  # fmt: skip
    return said


def _loss(t: Trained, step: int) -> _Said:
    if step not in t.held_out:
        return "，留出损失未测", ", held-out loss not taken"
    lowest = ("（最低）", " (the lowest)") if step == t.best else ("", "")
    loss = f"{t.held_out[step]:.3f}"
    return f"，留出损失 {loss}{lowest[0]}", f", held-out loss {loss}{lowest[1]}"


def unmeasured(plan: Mapping[str, Any]) -> list[tuple[_Said, _Said]]:
    """The tasks without a held-out loss, and why each has none, each in Chinese and English."""
    return [
        (task_names(task), _why(int(documents), bool(plan.get("held_out_samples"))))
        for task, documents in (plan.get("unmeasured") or {}).items()
    ]


def _why(documents: int, held_out: bool) -> _Said:
    if not held_out:
        return "没有留出任何样本", "nothing was held out"
    if not documents:
        return "没有可用的样本", "no sample of it is left"
    if documents < SPARING:
        return (
            f"只有 {documents} 份资料，全部用于训练",
            f"only {documents} document{'s' * (documents != 1)}, all learned from",
        )
    return (
        "留出的样本都被搁置，见 excluded.jsonl",
        "its held-out samples were all set aside, see excluded.jsonl",
    )


def task_names(task: str) -> _Said:
    """A task's names; those of a multi-turn chat and of kinds of preferences too. A file's task is its own name."""
    known = taxonomy.tasks().get(task)
    if known is not None:
        return known.zh, known.en
    if task == DIALOGUE:
        return "多轮对话", "Dialogue"
    return KINDS.get(task, (task, task))
