"""What a composed sample must not be: the named rules (`corpus.rules`) that each kind of source has to keep.

`broken` tells the first one that a sample breaks, cheap rules before dear ones. Which rules there are for a sample follows from its kind and
task alone, never from the source's name.
"""

from __future__ import annotations

from collections.abc import Callable

from wardround import taxonomy
from wardround.corpus import chat, template, triage
from wardround.corpus import rules as r
from wardround.corpus.recipes import Rule
from wardround.corpus.text import cut_short
from wardround.corpus.values import Values
from wardround.records import Record, Sample

Check = tuple[str, Callable[[], bool]]
LEAST = {"disease_inquiry": 40, "treatment_plan": 30}
"""Task → characters that an answer of a case must have: fewer name parts and explain none."""


class Limits(Record, frozen=True, kw_only=True):
    """Lengths in characters that a sample's own text (without instruction) and its output must keep to."""

    min_input: int = 4
    min_output: int = 20
    max_output: int = 2000


def broken(
    rule: Rule, sample: Sample, asked: str, values: Values, given: Values, limits: Limits
) -> str:
    """The first rule a sample breaks; "" when it keeps them all. `values` still hold what `given` hides."""
    recipe, output = rule.recipe, sample.output
    hidden = values.get(recipe.hides) if recipe.hides else None
    used = [v for f in template.fields(rule.output) if isinstance(v := given.get(f), str) and v]
    checks: list[Check] = [
        ("input_too_short", lambda: len(asked) < limits.min_input),
        ("truncated", lambda: any(cut_short(v) for v in (output, *used))),
        ("output_too_short", lambda: len(output) < limits.min_output),
        ("output_too_long", lambda: len(output) > limits.max_output),
        ("cites_absent_text", lambda: r.cites_absent_text(output, asked)),
        ("talks_about_answering", lambda: r.talks_about_answering(output)),
        ("answer_leaked", lambda: isinstance(hidden, str) and r.answer_leaked(asked, hidden)),
        ("garbled", lambda: r.garbled(asked) or r.garbled(output)),
    ]
    if recipe.kind == "case":
        checks += _of_case(rule, given, asked, output)
    if recipe.kind in ("encyclopedia", "passage"):
        checks.append(("list_restarts", lambda: r.list_restarts(output)))
    if recipe.kind == "encyclopedia":
        checks += [
            ("speaks_to_patient", lambda: r.speaks_to_reader(output)),
            ("off_topic", lambda: _query(rule) and chat.unanswered(output, asked)),
        ]
    if recipe.task == "triage":
        checks += _of_triage(asked, output)
    if recipe.kind == "consultation":
        checks += _of_reply(rule, given, asked, output)
    checks += [
        (
            "nothing_beyond_input",
            lambda: not recipe.extractive and r.nothing_beyond_input(output, asked),
        ),
        (
            "thin_answer",
            lambda: recipe.kind == "case" and len(output) < LEAST.get(recipe.task, 0),
        ),
    ]
    return next((name for name, breaks in checks if breaks()), "")


def _of_case(rule: Rule, given: Values, asked: str, output: str) -> list[Check]:
    """What the answer of a case must not be."""
    task, whole = rule.recipe.task, rule.recipe.input.startswith("{text}")
    reasoned = {"basis", "points"} & set(template.fields(rule.output))
    basis = f"{given.text('basis')}{given.text('points')}" if reasoned else ""
    return [
        (
            "side_conflict",
            lambda: whole and (r.sides_differ(asked) or r.side_conflict(output, asked)),
        ),
        ("basis_not_told", lambda: bool(basis) and r.basis_not_told(basis, given.text("text"))),
        ("off_topic", lambda: task == "initial_diagnosis" and not r.diagnoses(output)),
        ("contradicts_case", lambda: r.contradicts_case(output, asked)),
        (
            "unsure_diagnosis",
            lambda: task == "definitive_diagnosis" and "？" in given.text("line"),
        ),
        (
            "no_distinction",
            lambda: task == "differential_diagnosis" and not r.distinguishes(output),
        ),
    ]


def _of_triage(asked: str, output: str) -> list[Check]:
    department = next(iter(r.departments_in(output.split("\n")[0])), "")
    return [
        ("several_departments", lambda: r.several_departments(output)),
        ("emergency_missed", lambda: triage.emergency_missed(asked, department)),
        ("wrong_age_department", lambda: triage.wrong_age_department(asked, department)),
        ("wrong_department", lambda: triage.wrong_department(asked, department)),
    ]


def _of_reply(rule: Rule, values: Values, asked: str, output: str) -> list[Check]:
    """What a doctor's reply to a patient must not be, when it is the reference."""
    raw, used = values.text("raw_answer"), template.fields(rule.output)
    words = f"{asked}\n{raw}" if {"answer", "inquiries"} & set(used) else asked
    swapped = ("reworded_by_machine", lambda: chat.reworded(words))
    if "answer" not in used:
        return [swapped]
    reply = values.text("reply")
    return [
        swapped,
        ("advertises", lambda: chat.advertises(raw)),
        ("speaks_to_patient", lambda: chat.to_patient(output)),
        ("thin_answer", lambda: chat.thin(reply)),
        ("starts_midway", lambda: r.starts_midway(output)),
        ("unpunctuated", lambda: r.unpunctuated(output)),
        (
            "off_topic",
            lambda: _query(rule) and (r.off_topic(output, asked) or chat.misses(output, asked)),
        ),
    ]


def _query(rule: Rule) -> bool:
    return taxonomy.tasks()[rule.recipe.task].takes == "query"
