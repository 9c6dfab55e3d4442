"""Why a document gave these samples and no others: each rule of its kind, and what came of it.

It reads the very attempts that composing makes, so it can't tell another story. For people as text, for programs
as plain data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from wardround import taxonomy
from wardround.corpus import rules as r
from wardround.corpus.checks import Limits
from wardround.corpus.matching import Attempt, attempts
from wardround.corpus.recipes import Rule
from wardround.corpus.specialty import Specialty, specialty_of
from wardround.records import Document, Record, Sample

OUTCOMES = {
    "made": "样本 / sample made",
    "broken": "未通过检查 / broke a rule",
    "missing": "缺少字段 / fields missing",
    "other_rule": "由另一规则负责 / left to another rule",
    "not_matched": "不匹配 / pattern not matched",
    "not_asked": "未要求该任务 / task not asked for",
}
"""Outcome → how it is headed, in the order it is told."""


class Trace(Record, frozen=True, kw_only=True):
    """One rule on the document or on one of its questions (`question` from 1, 0 for the document itself)."""

    rule: str
    task: str
    question: int
    outcome: str
    why: str = ""
    sample: Sample | None = None


class Explanation(Record, frozen=True, kw_only=True):
    """All traces of one document, the made ones first; questions that no rule asked for; its specialty."""

    document: str
    kind: str
    title: str
    file: str
    row: int
    specialty: Specialty
    traces: tuple[Trace, ...]
    unmatched: tuple[str, ...] = ()

    @property
    def made(self) -> tuple[Trace, ...]:
        """The traces that gave a sample."""
        return tuple(t for t in self.traces if t.outcome == "made")


def explain(
    document: Document,
    rules: Collection[Rule],
    tasks: Collection[str],
    limits: Limits,
    *,
    labels: Mapping[str, str] | None = None,
) -> Explanation:
    """Try every rule of the document's kind and tell of each."""
    found = attempts(document, rules, tasks, limits, labels=labels, tell=True)
    order = {name: i for i, name in enumerate(OUTCOMES)}
    traces = sorted(
        (_trace(a) for a in found.attempts), key=lambda t: (order[t.outcome], t.question)
    )
    at = document.provenance
    return Explanation(
        document=document.id,
        kind=document.kind,
        title=document.title,
        file=at.file,
        row=at.row,
        specialty=specialty_of(document),
        traces=tuple(traces),
        unmatched=tuple(
            f"q{number}{' (choice question)' if choice else ''}: {question}"
            for number, question, choice in found.unmatched
        ),
    )


def _trace(attempt: Attempt) -> Trace:
    why = ", ".join(attempt.why)
    if attempt.outcome == "broken":
        why = f"{why}: {r.RULES[why]}"
    return Trace(
        rule=attempt.rule.recipe.id,
        task=attempt.rule.recipe.task,
        question=attempt.number,
        outcome=attempt.outcome,
        why=why,
        sample=attempt.sample if attempt.outcome in ("made", "broken") else None,
    )


def as_data(explanation: Explanation) -> dict[str, Any]:
    """The explanation as plain data for JSON."""
    data: dict[str, Any] = msgspec.to_builtins(explanation)
    return data


def as_text(explanation: Explanation, *, width: int = 160) -> str:
    """The explanation for a terminal; samples' texts cut to `width` characters."""
    e = explanation
    names = taxonomy.specialties()
    told = "、".join(e.specialty.words)
    specialty = names[e.specialty.id].zh if e.specialty.id in names else "未映射"
    by = {"department": "科室标签", "words": "文中词语", "none": "无依据"}[e.specialty.by]
    lines = [
        f"{e.file}, row {e.row}: {e.document} ({e.kind}) {e.title}",
        f"  专科 / specialty: {specialty} {e.specialty.id} ← {by}{f'（{told}）' if told else ''}",
    ]
    for outcome, heading in OUTCOMES.items():
        mine = [t for t in e.traces if t.outcome == outcome]
        if mine:
            lines.append(f"  {heading}: {len(mine)}")
            lines += [line for t in mine for line in _lines(t, width)]
    if e.unmatched:
        lines.append(f"  无规则提问 / questions no rule asks for: {len(e.unmatched)}")
        lines += [f"    {_cut(q, width)}" for q in e.unmatched]
    return "\n".join(lines)


def _lines(trace: Trace, width: int) -> list[str]:
    where = f" q{trace.question}" if trace.question else ""
    why = f" — {_cut(trace.why, width)}" if trace.why else ""
    lines = [f"    {trace.rule} → {trace.task}{where}{why}"]
    if trace.sample is not None and trace.outcome == "made":
        lines.append(f"      题 {_cut(trace.sample.input.partition(chr(10))[2], width)}")
        lines.append(f"      答 {_cut(trace.sample.output, width)}")
    return lines


def _cut(text: str, width: int) -> str:
    flat = text.replace("\n", "⏎")
    return flat if len(flat) <= width else flat[: width - 1] + "…"
