"""The list that comes of a survey, as a taxonomy file: what `wardround build` reads in place of its own.

`WARDROUND_TAXONOMY=DIR` names the folder the file `tasks.yaml` lies in. Kept tasks only, in their order: a task of
the taxonomy with its own words and origin, an added one with origin `survey`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from wardround import taxonomy
from wardround.errors import InputError, UsageError
from wardround.records import Record
from wardround.survey.design import SurveyTask, examples
from wardround.survey.results import Results
from wardround.survey.surveys import StoredTask, tidy

FIELDS = (
    "id", "en", "zh", "phase", "origin", "takes", "definition", "instruction", "wordings",
)  # fmt: skip


def entries(stored: Iterable[StoredTask], found: Results) -> list[dict[str, Any]]:
    """The kept tasks as entries of the taxonomy's file."""
    kept = {r.key for r in found.tasks if r.decision.kept}
    made = []
    for x in stored:
        if x.task.key not in kept:
            continue
        body = msgspec.to_builtins(x.task)
        entry = {"id": x.task.key, **{k: body[k] for k in FIELDS[1:]}}
        msgspec.convert(entry, taxonomy.Task)
        made.append(entry)
    if not made:
        raise UsageError("no task is kept", hint="see the rule and its reasons in the results")
    return made


def as_yaml(stored: Iterable[StoredTask], found: Results) -> bytes:
    """The content of tasks.yaml."""
    listed = entries(stored, found)
    head = (
        f"# Tasks kept by the survey {found.slug} ({found.stage}, {found.n} answers).\n"
        "# Use: WARDROUND_TAXONOMY=<the folder of this file> wardround build ...\n"
    )
    body = {"case_marker": taxonomy.case_marker(), "items": listed}
    return head.encode() + msgspec.yaml.encode(body)


def dropped(found: Results) -> list[dict[str, str]]:
    """The tasks that are not on the list, each with the reason, Chinese and English."""
    return [
        {"id": r.key, "zh": r.zh, "en": r.en, "why_zh": r.decision.reason or r.decision.zh, "why_en": r.decision.reason or r.decision.en}
        for r in found.tasks
        if not r.decision.kept
    ]  # fmt: skip


class _Entry(Record, frozen=True, kw_only=True):
    id: str
    zh: str
    en: str
    phase: str
    definition: str
    takes: Literal["case", "query"] = "case"
    origin: Literal["published", "reconstructed", "survey"] = "survey"
    instruction: str = ""
    wordings: tuple[str, ...] = ()
    example_zh: str = ""
    example_en: str = ""


class _File(Record, frozen=True, kw_only=True):
    items: tuple[_Entry, ...]


def read(path: Path) -> tuple[SurveyTask, ...]:
    """The tasks of a file in the taxonomy's form, which may give each an `example_zh` and `example_en`; a task
    without one gets the shipped example of its id."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="give a YAML file like taxonomy/tasks.yaml")
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=_File).items
    except msgspec.DecodeError as e:
        raise InputError(f"not a task list: {e}", path=path, hint="see docs/survey.md") from e
    return tuple(_task(e) for e in found)


def _task(e: _Entry) -> SurveyTask:
    body = msgspec.to_builtins(e)
    shipped = examples().get(e.id)
    if shipped is not None and not e.example_zh:
        body |= {"example_zh": shipped.zh, "example_en": shipped.en}
    return tidy(msgspec.convert({**body, "key": e.id}, SurveyTask))
