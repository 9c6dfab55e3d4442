"""The training part of a report: what a checkpoint was trained on, how its loss fell, how large it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wardround.records import Record
from wardround.report import svg
from wardround.report.formats import Names, count, plain, score, size
from wardround.report.reading import Source
from wardround.report.shapes import LogRow, ProbeRow
from wardround.tuning import trained as outcome
from wardround.tuning.trained import Trained

POINTS = 160
STRIP = "answers_over_time.jsonl"

STAGES = {
    "pretrain": Names("预训练", "pretraining"),
    "sft": Names("指令微调", "instruction tuning (SFT)"),
    "dpo": Names("偏好微调", "preference tuning (DPO)"),
}
LOSS = {"dpo": Names("DPO 损失", "DPO loss")}
ALL = Names("全部", "all")
PLAN = {
    "parameters": Names("参数量", "parameters"),
    "trained_parameters": Names("其中训练", "of them trained"),
    "samples": Names("训练样本", "training samples"),
    "held_out_samples": Names("留出样本", "held-out samples"),
    "tokens": Names("每轮词元", "tokens an epoch"),
    "supervised_tokens": Names("其中计入损失", "learned from"),
    "padded_tokens": Names("含填充", "with padding"),
    "epochs": Names("计划轮数", "planned epochs"),
    "steps": Names("计划步数", "planned steps"),
    "batch_tokens": Names("每步词元", "tokens a step"),
    "max_tokens": Names("最长序列", "longest sequence"),
    "excluded": Names("未用样本", "set aside"),
    "memory_mb": Names("预计内存 (MB)", "planned memory (MB)"),
}


class Curve(Record, frozen=True, kw_only=True):
    """One stage's losses. `window` is how many steps were averaged into one point (1: none)."""

    stage: str
    loss: tuple[tuple[float, float], ...]
    held_out: tuple[tuple[float, float], ...]
    window: int


def curves(rows: Sequence[LogRow]) -> list[Curve]:
    """The losses of each stage in the log's order, thinned by averaging neighbours when there are many."""
    found = []
    for stage in dict.fromkeys(r.stage for r in rows):
        loss = [(float(r.step), r.loss) for r in rows if r.stage == stage and r.loss is not None]
        held = [
            (float(r.step), r.eval_loss)
            for r in rows
            if r.stage == stage and r.eval_loss is not None
        ]
        window = max(1, -(-len(loss) // POINTS))
        found.append(
            Curve(
                stage=stage, loss=_averaged(loss, window), held_out=tuple(held), window=window
            )
        )  # fmt: skip
    return found


def _averaged(
    points: Sequence[tuple[float, float]], window: int
) -> tuple[tuple[float, float], ...]:
    groups = [points[i : i + window] for i in range(0, len(points), window)]
    return tuple((g[-1][0], sum(p[1] for p in g) / len(g)) for g in groups)


def checkpoint(source: Source, role: Names) -> dict[str, Any]:
    """One checkpoint: plan, curves, card."""
    plan = source.read("plan.json", dict[str, Any]) if source.has("plan.json") else {}
    truncated = plan.get("truncated") or {}
    log = list(source.rows("training_log.jsonl", LogRow))
    done = trained(source)
    return {
        "role": role,
        "name": source.name,
        "digest": source.digest,
        "labels": source.labels,
        "plan": [(names, _amount(plan[key])) for key, names in PLAN.items() if key in plan],
        "more": [
            (key, plain(value))
            for key, value in sorted(plan.items())
            if key not in {*PLAN, "truncated", "stage", "unmeasured"}
        ],
        "truncated": [(_task(t), n) for t, n in sorted(truncated.items())]
        if isinstance(truncated, dict)
        else [],
        "trained": [Names(*said) for said in outcome.sentences(done)] if done else [],
        "unmeasured": [(Names(*task), Names(*why)) for task, why in outcome.unmeasured(plan)],
        "charts": [_chart(c, role) for c in curves(log)],
        "by_task": _by_task(log, done),
        "preferences": preferences(log, done),
        "probes": [(_task(p.task), _without_gaps(p)) for p in source.rows(STRIP, ProbeRow)]
        if source.has(STRIP)
        else [],
        "weights": _weights(source),
        "card": source.text("README.md") if source.has("README.md") else "",
    }


def trained(source: Source) -> Trained | None:
    """What was really trained, why it ended, and which step's weights are at the top; None without log or plan."""
    plan = source.read("plan.json", dict[str, Any]) if source.has("plan.json") else {}
    manifest = source.manifest
    folders = (
        {f.path.partition("/")[0] for f in manifest.files if "/" in f.path} if manifest else ()
    )
    return outcome.trained(
        source.rows("training_log.jsonl", dict[str, Any]), plan, folders=folders,
        best=manifest.counts.get("best_step", 0) if manifest else 0,
    )  # fmt: skip


def _without_gaps(probe: ProbeRow) -> ProbeRow:
    """The probe with no empty line in its answers: a model that has learned little says many."""
    lines = [[x for x in a.text.splitlines() if x.strip()] for a in probe.answers]
    answers = tuple(
        msgspec.structs.replace(a, text="\n".join(kept).strip())
        for a, kept in zip(probe.answers, lines, strict=True)
    )
    return msgspec.structs.replace(probe, answers=answers)


def _task(task: str) -> Names:
    return Names(*outcome.task_names(task)) if task else ALL


def _by_task(
    log: Sequence[LogRow], done: Trained | None
) -> list[tuple[Names, float, float, float, float | None]]:
    """(task, held-out loss at first, at lowest, at last, of the weights at the top) of the last stage that told losses
    by task."""
    rows = [r for r in log if r.by_task]
    rows = [r for r in rows if r.stage == rows[-1].stage]
    here = done.by_task if done else {}
    out = []
    for task in rows[-1].by_task if rows else ():
        losses = [r.by_task[task] for r in rows if task in r.by_task]
        out.append((_task(task), losses[0], min(losses), losses[-1], here.get(task)))
    return out


def preferences(log: Sequence[LogRow], done: Trained | None = None) -> list[dict[str, Any]]:
    """Of all held-out preferences, then of each kind: how many, and what was measured at first and of the weights at
    the top."""
    kept = [r for r in log if done is None or r.step <= done.weights]
    found = [r.measures for r in kept if {"accuracy", "margin", "pairs"} <= set(r.measures)]
    return [
        {
            "names": _task(kind), "pairs": pairs,
            **{name: [m[name].get(kind) for m in (found[0], found[-1])]
               for name in ("accuracy", "margin", "chosen", "rejected") if name in found[-1]},
        }
        for kind, pairs in (found[-1]["pairs"] if found else {}).items()
    ]  # fmt: skip


def _amount(value: Any) -> str:
    if isinstance(value, float) and not value.is_integer():
        return score(value)
    return count(value) if isinstance(value, (int, float)) else plain(value)


def _weights(source: Source) -> str:
    files = source.manifest.files if source.manifest else ()
    total = sum(f.bytes for f in files if f.path.endswith(".safetensors"))
    return size(total) if total else ""


def _chart(curve: Curve, role: Names) -> dict[str, Any]:
    names = STAGES.get(curve.stage, Names(curve.stage))
    lines = [svg.Line(names=Names("训练损失", "training loss"), points=curve.loss, style="s0")]
    if curve.held_out:
        held = Names("留出集损失", "held-out loss")
        dots = len(curve.held_out) <= 30
        lines.append(svg.Line(names=held, points=curve.held_out, style="s1", dots=dots))
    ends = "；".join(
        f"{line.names.zh} {line.names.en} {score(line.points[0][1])} → {score(line.points[-1][1])}"
        for line in lines
        if line.points
    )
    return {
        "names": names,
        "curve": curve,
        "lines": lines,
        "svg": svg.line_chart(
            lines,
            x=Names("步", "step"),
            y=LOSS.get(curve.stage, Names("交叉熵，纳特/词元", "cross-entropy, nats per token")),
            label=f"{role.zh} {names.zh}损失曲线 {names.en} loss: {ends}",
        ),
        "table": _table(curve),
    }


def _table(curve: Curve) -> list[tuple[float, float | None, float | None]]:
    """(step, training loss, held-out loss), at most about twenty rows and every held-out value."""
    every = max(1, len(curve.loss) // 20)
    kept = {p[0]: p[1] for i, p in enumerate(curve.loss) if i % every == 0 or p is curve.loss[-1]}
    held = dict(curve.held_out)
    return [(step, kept.get(step), held.get(step)) for step in sorted({*kept, *held})]
