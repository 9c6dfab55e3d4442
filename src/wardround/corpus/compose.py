"""Documents → single-turn samples, by the recipes.

For each document every rule of its kind is tried (`corpus.matching`). A sample's input is the task's fixed
instruction, then for a case task the case marker and the case, for a look-up the question; its output is the
reference. A sample that breaks one of the named rules (`corpus.rules`) is set aside with that reason, a case's
question that no recipe asks for is set aside as `question_unmatched`, and a document that gives no sample at all is
reported with what it lacked.

`of_document` looks at one document only, so it can run in any process; `compose` adds what must see all: two
samples with the same input are one question with two references, and the first stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

import msgspec

from wardround.corpus import rules as r
from wardround.corpus.checks import Limits
from wardround.corpus.matching import Attempt, attempts, same_question
from wardround.corpus.recipes import Rule, kinds_for
from wardround.corpus.text import typeset
from wardround.records import Document, Exclusion, Record, Sample

__all__ = ["Composition", "Limits", "Made", "Tally", "compose", "of_document", "uncovered"]

Counts = dict[str, dict[str, int]]


class Tally(msgspec.Struct):
    """Per task: how often a field was missing, and which rules set samples aside."""

    missing: Counts = msgspec.field(default_factory=dict)
    broken: Counts = msgspec.field(default_factory=dict)

    def add(self, other: Tally) -> None:
        """Count another's in."""
        for mine, theirs in ((self.missing, other.missing), (self.broken, other.broken)):
            for task, counts in theirs.items():
                for name, n in counts.items():
                    _count(mine, task, name, n)


def _count(counts: Counts, task: str, name: str, n: int = 1) -> None:
    of_task = counts.setdefault(task, {})
    of_task[name] = of_task.get(name, 0) + n


class Made(NamedTuple):
    """What one document gave: samples, what was set aside, and per task what was lacking."""

    samples: list[Sample]
    aside: list[Exclusion]
    lacking: Tally


class Composition(Record, frozen=True, kw_only=True):
    """What came of it. `uncovered` says for each task without a sample why that is so (中文 / English)."""

    samples: tuple[Sample, ...]
    exclusions: tuple[Exclusion, ...]
    uncovered: dict[str, str]


def of_document(
    document: Document,
    rules: Collection[Rule],
    tasks: Collection[str],
    limits: Limits,
    *,
    labels: Mapping[str, str] | None = None,
    wordings: bool = False,
) -> Made:
    """The samples of one document for `tasks` (ids). Pure, and its result can be sent between processes.

    `labels` are a classifier's: the task of a case's question that no rule asks for, by `document.id:q1`.
    `wordings` lets a sample use one of its task's other instructions, chosen by its id.
    """
    found = attempts(document, rules, tasks, limits, labels=labels, wordings=wordings)
    made = Made([], [], Tally())
    for number, question, choice in found.unmatched:
        reason = "choice_question" if choice else "question_unmatched"
        what = f"{document.id}:q{number}"
        made.aside.append(_aside(document, what, reason, question.split("\n")[0][:80]))
    for attempt in found.attempts:
        _enter(made, document, attempt)
    if not made.samples:
        made.aside.append(_no_sample(document, made))
    return made


def _enter(made: Made, document: Document, attempt: Attempt) -> None:
    task, sample = attempt.rule.recipe.task, attempt.sample
    if attempt.outcome == "made" and sample is not None:
        made.samples.append(sample)
    elif attempt.outcome == "broken":
        (broken,) = attempt.why
        _count(made.lacking.broken, task, broken)
        what = f"{document.id}:{attempt.suffix}"
        made.aside.append(_aside(document, what, broken, r.RULES[broken]))
    elif attempt.outcome == "missing":
        for field in attempt.why:
            _count(made.lacking.missing, task, field)
        if attempt.number and document.kind == "case":
            detail = f"missing: {', '.join(attempt.why)}"
            what = f"{document.id}:{attempt.suffix}"
            made.aside.append(_aside(document, what, "answer_part_missing", detail))


def compose(
    documents: Iterable[Document],
    rules: Collection[Rule],
    *,
    tasks: Collection[str],
    limits: Limits,
) -> Composition:
    """All samples of `documents` for `tasks` (task ids), by id; exclusions in the documents' order."""
    samples: dict[str, Sample] = {}
    exclusions: list[Exclusion] = []
    tally = Tally()
    inputs: dict[str, str] = {}
    for document in documents:
        made = of_document(document, rules, tasks, limits)
        tally.add(made.lacking)
        kept = 0
        for sample in made.samples:
            first = inputs.setdefault(same_question(sample), sample.id)
            if first != sample.id:
                detail = f"asks the same as {first}"
                made.aside.append(_aside(document, sample.id, "duplicate_input", detail))
                continue
            samples[sample.id] = sample
            kept += 1
        if made.samples and not kept:
            made.aside.append(_no_sample(document, made))
        exclusions += made.aside
    covered = {s.task for s in samples.values()}
    return Composition(
        samples=tuple(samples[k] for k in sorted(samples)),
        exclusions=tuple(exclusions),
        uncovered=uncovered([t for t in tasks if t not in covered], rules, tally),
    )


def uncovered(tasks: Iterable[str], rules: Collection[Rule], tally: Tally) -> dict[str, str]:
    """Why no sample serves these tasks, for people: 中文 / English."""
    return {t: _why(t, rules, tally) for t in tasks}


def _aside(document: Document, what: str, reason: str, detail: str) -> Exclusion:
    at = document.provenance
    return Exclusion(
        stage="compose", file=at.file, row=at.row, what=what, reason=reason, detail=typeset(detail)
    )


def _no_sample(document: Document, made: Made) -> Exclusion:
    if any(e.reason in {*r.RULES, "duplicate_input"} - {"choice_question"} for e in made.aside):
        detail = "every sample made of it was set aside"
        return _aside(document, document.id, "no_sample_kept", detail)
    lacking = sum((Counter(c) for c in made.lacking.missing.values()), Counter[str]())
    names = ", ".join(f for f, _ in sorted(lacking.items(), key=lambda p: (-p[1], p[0]))[:8])
    detail = f"missing: {names}" if names else "no recipe asks for what it holds"
    return _aside(document, document.id, "no_recipe_matched", detail)


def _why(task: str, rules: Collection[Rule], tally: Tally) -> str:
    kinds = kinds_for(task, rules)
    if not kinds:
        return "没有对应的组合规则 / no recipe serves it"
    broken = tally.broken.get(task)
    if broken:
        names = ", ".join(f"{k} {n}" for k, n in sorted(broken.items()))
        zh = "；".join(f"{r.RULES.get(k, k)} {n}" for k, n in sorted(broken.items()))
        return f"已组合的样本均未通过检查（{zh}） / every sample made broke a rule ({names})"
    missing = tally.missing.get(task)
    if missing:
        names = ", ".join(
            f"{k} {n}" for k, n in sorted(missing.items(), key=lambda p: (-p[1], p[0]))[:6]
        )
        return f"来源缺少所需字段（{names}） / sources lack the fields it needs ({names})"
    return f"没有可用的来源（需要 {'、'.join(kinds)}） / no source it can be made of (needs {' or '.join(kinds)})"
