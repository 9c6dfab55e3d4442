"""One rule tried on one document: made a sample, or why not.

`attempts` tries every rule of a document's kind, on the document and on each of its questions, and tells for each
what came of it. Both composing and explaining read it, so what is explained is what happened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from wardround import taxonomy
from wardround.corpus import rules as r
from wardround.corpus import template
from wardround.corpus.cases import (
    before_differential,
    differential,
    finding,
    is_choice,
    says_diagnosis,
)
from wardround.corpus.checks import Limits, broken
from wardround.corpus.recipes import Recipe, Rule, of_kind, rule_of
from wardround.corpus.template import Value
from wardround.corpus.text import points
from wardround.corpus.values import Values, source_field, values_of
from wardround.metrics.overlap import normalise
from wardround.records import Document, Sample
from wardround.taxonomy import Task

CASE = "case"
ANSWERED = {"treatment_plan": "treatment", "initial_diagnosis": "initial"}
"""Task → the case value that holds the answer to a question for it."""

Outcome = Literal["made", "not_matched", "missing", "other_rule", "broken", "not_asked"]


class Attempt(NamedTuple):
    """One rule on one document (`suffix`: its id) or one question of it (q2.its-id).

    `outcome`: made (`sample` is set) · not_matched (a pattern failed) · missing (fields) · other_rule (a field of
    `unless` is there) · broken (the named rule in `why`) · not_asked (its task was not wanted). `why` are the
    details: fields, or one reason.
    """

    rule: Rule
    suffix: str
    number: int
    outcome: Outcome
    why: tuple[str, ...] = ()
    sample: Sample | None = None


class Tried(NamedTuple):
    """All attempts, and a case's questions that no rule asks for: (number, question, is a choice question)."""

    attempts: Iterator[Attempt]
    unmatched: list[tuple[int, str, bool]]


def attempts(
    document: Document,
    rules: Collection[Rule],
    tasks: Collection[str],
    limits: Limits,
    *,
    labels: Mapping[str, str] | None = None,
    wordings: bool = False,
    tell: bool = False,
) -> Tried:
    """Try the rules. Those whose patterns fail are left out unless `tell` is set.

    `labels` name the task (id) of a question that no rule asks for, by `document.id:q1`.
    """
    mine = of_kind(rules, document.kind)
    if document.kind not in _KINDS:
        return Tried(iter(()), [])
    whole, pairs = values_of(document)
    own = [rule for rule in mine if not rule.each_pair]
    failed: list[Attempt] = []
    asked: list[tuple[Rule, int, Values]] = []
    unmatched: list[tuple[int, str, bool]] = []
    paired = [rule for rule in mine if rule.each_pair]
    for number, values in pairs:
        asking = _asking(document, paired, number, values, labels, failed if tell else None)
        if not asking and document.kind == CASE:
            question = values.text("question")
            unmatched.append((number, question, is_choice(question)))
        asked += [(rule, number, _for_part(rule, values, len(asking))) for rule in asking]
    if document.kind == CASE:
        whole = _with_answers(whole, asked)
        asked = [(rule, n, v.over(**_answers(whole))) for rule, n, v in asked]
    work = [(rule, 0, whole) for rule in own] + asked
    return Tried(_attempts(document, work, failed, tasks, limits, wordings, tell), unmatched)


_KINDS = frozenset({"encyclopedia", CASE, "choice", "consultation", "passage", "fhir"})


def _attempts(
    document: Document,
    work: list[tuple[Rule, int, Values]],
    failed: list[Attempt],
    tasks: Collection[str],
    limits: Limits,
    wordings: bool,
    tell: bool,
) -> Iterator[Attempt]:
    yield from failed
    for rule, number, values in work:
        suffix = f"q{number}.{rule.recipe.id}" if number else rule.recipe.id
        if rule.recipe.task not in tasks:
            if tell:
                yield Attempt(rule, suffix, number, "not_asked")
            continue
        why = "" if number else _fails(rule, values)
        if why and not _unfilled(rule, values):
            if tell:
                yield Attempt(rule, suffix, number, "not_matched", (why,))
            continue
        yield _made(document, rule, suffix, number, values, limits, wordings)


def _asking(
    document: Document,
    rules: list[Rule],
    number: int,
    values: Values,
    labels: Mapping[str, str] | None,
    failed: list[Attempt] | None,
) -> list[Rule]:
    """The rules that ask for one question, or the one a label names."""
    choice = document.kind == CASE and is_choice(values.text("question"))
    found = []
    for rule in rules:
        why = "it is a choice question" if choice else _fails(rule, values)
        if not why:
            found.append(rule)
        elif failed is not None:
            suffix = f"q{number}.{rule.recipe.id}"
            failed.append(Attempt(rule, suffix, number, "not_matched", (why,)))
    task = (labels or {}).get(f"{document.id}:q{number}")
    if not found and not choice and task and document.kind == CASE:
        return [labelled_rule(task)]
    return found


def _fails(rule: Rule, values: Values) -> str:
    """Why a rule's patterns do not match; "" when they do."""
    about = values.get("about")
    if about and rule.each_pair and about != rule.recipe.about:
        return f"the question is about the {about}"
    for check in rule.checks:
        why = check.fails(values.get(check.field))
        if why:
            return why
    return ""


def _unfilled(rule: Rule, values: Values) -> bool:
    """Whether a field that a rule both needs and looks at is empty: then it is missing, not another thing."""
    needed = {field for field, _ in rule.recipe.needed()}
    return any(c.field in needed and not values.get(c.field) for c in rule.checks)


def labelled_rule(task: str) -> Rule:
    """The rule for a case's question that a classifier gave to a task."""
    query = taxonomy.tasks()[task].takes == "query"
    return rule_of(
        Recipe(
            id=f"labelled-{task}", task=task, kind="case", each="pair",
            needs=("question", "answer") if query else ("text", "question", "answer"),
            input="{question}" if query else "{text}\n问题：{question}", output="{answer|sentence}",
        )
    )  # fmt: skip


# -- a case's answers, part by part ---------------------------------------------------------------------


def _for_part(rule: Rule, values: Values, asked: int) -> Values:
    """The values with the part of the answer a recipe is for."""
    if rule.recipe.part == "whole":
        return values
    return values.over(answer=_part(rule, values.text("answer"), asked))


def _part(rule: Rule, answer: str, asked: int) -> str:
    """The part of an answer a recipe is for; "" when the answer does not have it."""
    if rule.recipe.part == "diagnosis":
        return before_differential(answer)
    # A question for several things whose answer has no heading for this one does not answer it apart.
    return differential(answer) or (answer if asked == 1 else "")


_FOUND = ("line", "basis", "diagnosis", "named", "points", *ANSWERED.values())


def _with_answers(whole: Values, asked: list[tuple[Rule, int, Values]]) -> Values:
    """A case's own values with what the answers to its questions tell."""
    told: dict[str, Value] = {}
    for rule, _, values in asked:
        part = values.text("answer")
        found = finding(part) if rule.recipe.part == "diagnosis" else None
        if found is not None and "line" not in told:
            told |= _diagnosis_values(found.line, found.basis, found.diagnosis)
        name = ANSWERED.get(rule.recipe.task)
        if name and part:
            told.setdefault(name, part)
    # What the record itself says under 诊断 is not said again behind it.
    if told.get("diagnosis") and not says_diagnosis(whole.text("text")):
        told["named"] = told["diagnosis"]
    return whole.over(**told)


def _answers(whole: Values) -> dict[str, Value]:
    return {name: value for name in _FOUND if (value := whole.get(name))}


_NO_SIGN = re.compile(r"(?:无|未见)(?:明显)?(?:阳性发现|阳性体征|异常)[。；]?$")


def _diagnosis_values(line: str, basis: str, diagnosis: str) -> dict[str, Value]:
    found = points(basis)
    values: dict[str, Value] = {
        "line": line,
        "basis": basis,
        "diagnosis": diagnosis,
        # Without what speaks for no disease; the case holds the tests too, so they may stand in the reason.
        "points": tuple(p for p in found if not _NO_SIGN.search(p)),
    }
    return {k: v for k, v in values.items() if v}


# -- one sample -----------------------------------------------------------------------------------------


def _made(
    document: Document,
    rule: Rule,
    suffix: str,
    number: int,
    values: Values,
    limits: Limits,
    wordings: bool,
) -> Attempt:
    other = [f for f in rule.recipe.unless if values.get(f)]
    if other:
        return Attempt(rule, suffix, number, "other_rule", tuple(other))
    missing = _missing(rule, values)
    if missing:
        return Attempt(rule, suffix, number, "missing", tuple(missing))
    given = _hidden(rule, values)
    missing = _missing(rule, given) if given is not values else missing
    asked = None if missing else template.render(rule.input, given)
    output = None if asked is None else template.render(rule.output, given)
    if asked is None or output is None:
        return Attempt(rule, suffix, number, "missing", tuple(missing or _empty(rule, given)))
    sample = _sample(document, rule, suffix, given, asked, output, wordings)
    why = broken(rule, sample, asked, values, given, limits)
    if why:
        return Attempt(rule, suffix, number, "broken", (why,), sample)
    return Attempt(rule, suffix, number, "made", (), sample)


def _hidden(rule: Rule, values: Values) -> Values:
    """The values with what gives the answer away left out, when the recipe hides it: list items that hold
    it, and who falls ill (有高血压家族史者 for 高血压)."""
    hidden = values.get(rule.recipe.hides) if rule.recipe.hides else None
    if not isinstance(hidden, str) or not hidden:
        return values
    kept: dict[str, Value] = {}
    symptoms, crowd = values.get("symptom"), values.text("easy_get")
    if isinstance(symptoms, tuple):
        kept["symptom"] = tuple(i for i in symptoms if not r.answer_leaked(i, hidden))
    if crowd and r.answer_leaked(crowd, hidden):
        kept["easy_get"] = ""
    return values.over(**kept) if kept else values


def _missing(rule: Rule, values: Values) -> list[str]:
    """Needed fields that are not there or have too few items."""
    missing = []
    for field, least in rule.needed:
        value = values.get(field)
        if not value or (least > 1 and len(template.items_of(value)) < least):
            missing.append(field)
    return missing


def _empty(rule: Rule, values: Values) -> list[str]:
    """Fields that are there but render to nothing where a template requires them."""
    lacking = [f for t in (rule.input, rule.output) for f in template.lacking(t, values)]
    return list(dict.fromkeys(lacking))


def _sample(
    document: Document,
    rule: Rule,
    suffix: str,
    values: Values,
    asked: str,
    output: str,
    wordings: bool,
) -> Sample:
    task = taxonomy.tasks()[rule.recipe.task]
    key = f"{document.id}:{suffix}"
    return Sample(
        category=task.en,
        input=_framed(
            task, asked, taxonomy.instruction(task, key) if wordings else task.instruction
        ),
        output=output,
        id=key,
        task=task.id,
        phase=task.phase,
        specialty=document.specialty,
        document=document.id,
        recipe=rule.recipe.id,
        source_fields=_source_fields(document, rule, values),
    )


def _framed(task: Task, text: str, instruction: str) -> str:
    marker = taxonomy.case_marker() if task.takes == "case" else ""
    return f"{instruction}\n{marker}{text}"


def _source_fields(document: Document, rule: Rule, values: Values) -> tuple[str, ...]:
    used = [f for t in (rule.input, rule.output) for f in template.fields(t) if values.get(f)]
    return tuple(dict.fromkeys(source_field(document.kind, f) for f in used))


def same_question(sample: Sample) -> str:
    """What makes two samples ask the same."""
    return normalise(sample.input)
