"""The fields of a form as a patch: "profile.title", "triage.risk", "triage.verdict", "triage.words", "added.1.name", "remark".

A form may hold all of a page or one question. What it does not hold stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wardround.errors import UsageError
from wardround.survey.answers import Added, Answer, Verdict, verdict_of
from wardround.survey.design import DIMENSIONS, SurveyTask, profile
from wardround.survey.desk import Patch

_PARTS = ("name", "example", "why")


def patch_of(
    fields: Mapping[str, str], answer: Answer, tasks: Sequence[SurveyTask], most_added: int
) -> Patch:
    """What the fields say. `answer` is what was saved: a field of a group (a task's words) needs the rest of it."""
    ratings: dict[str, dict[str, int | None]] = {}
    verdicts: dict[str, Verdict | None] = {}
    for task in tasks:
        for dimension in DIMENSIONS:
            given = fields.get(f"{task.key}.{dimension}")
            if given is not None:
                ratings.setdefault(task.key, {})[dimension] = _number(given)
        verdict = _verdict(task.key, fields, answer)
        if verdict is not None:
            verdicts[task.key] = verdict
    return Patch(
        profile={k: fields[f"profile.{k}"] for k in profile() if f"profile.{k}" in fields},
        ratings=ratings, verdicts=verdicts, added=_added(fields, answer, most_added),
        remark=fields.get("remark"),
    )  # fmt: skip


def _number(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 3):
        raise UsageError(f"{text[:20]!r} is not on the scale")
    return int(text)


def _verdict(key: str, fields: Mapping[str, str], answer: Answer) -> Verdict | None:
    choice, words = fields.get(f"{key}.verdict"), fields.get(f"{key}.words")
    if choice is None and words is None:
        return None
    before = answer.verdicts.get(key)
    choice = choice or (before.choice if before else "")
    if not choice:
        return verdict_of("amend", words) if words and words.strip() else None
    return verdict_of(choice, words if words is not None else before.words if before else "")


def _added(fields: Mapping[str, str], answer: Answer, most: int) -> tuple[Added, ...] | None:
    """The respondent's own tasks: those of the form in place of the saved ones, by slot; None where it has none."""
    slots = [str(n) for n in range(1, most + 1)]
    if not any(f"added.{s}.{p}" in fields for s in slots for p in _PARTS):
        return None
    saved = {a.slot: a for a in answer.added}
    made = []
    for slot in slots:
        before = saved.get(slot)
        words = {
            p: fields.get(f"added.{slot}.{p}", getattr(before, p) if before else "") for p in _PARTS
        }
        if any(w.strip() for w in words.values()):
            made.append(Added(slot=slot, **words))
    return tuple(made)
