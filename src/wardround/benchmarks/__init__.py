"""Benchmarks: one readable file each, listed in one explicit dict.

A benchmark loads cases, makes the messages for the next turn, and grades an answer. Grading calls no model:
it returns a judge's prompt, or a score where none is needed, and reads the judge's reply. `run` is the only
runner; to add a benchmark, write its file and add its line to `BENCHMARKS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from wardround.benchmarks.judge import Language
from wardround.benchmarks.record import RunRecord, Table
from wardround.errors import UsageError
from wardround.records import Case, Exclusion, Message, Score


class Benchmark(Protocol):
    """What the runner needs of a benchmark. `scale` is the lowest and highest score; `file` the name of its
    test set in a dataset artifact; `prompt` everything that changes what is asked, for the configuration."""

    name: str
    zh: str
    en: str
    file: str
    shipped: str
    scale: tuple[float, float]
    language: Language

    @property
    def prompt(self) -> dict[str, str]:
        """The prompt texts in force."""
        ...

    def load(self, path: Path) -> tuple[list[Case], list[Exclusion], list[str]]:
        """Cases in file order, what was left aside and why, and labels the data needs in every report.

        A remark on a case that is asked all the same has the stage "note" and doesn't count as skipped.
        """
        ...

    def messages(self, case: Case, earlier: Sequence[str]) -> tuple[Message, ...]:
        """The conversation up to the next question; `earlier` holds the model's own answers so far."""
        ...

    def grade(self, case: Case, answers: Sequence[str]) -> tuple[Message, ...] | Score:
        """How to judge the last of `answers`: a judge's messages, or the score itself."""
        ...

    def read(self, case: Case, reply: str) -> Score:
        """The score in a judge's reply; "unscored" with the reason when there is none."""
        ...

    def tables(self, records: Sequence[RunRecord], seed: int) -> list[Table]:
        """Figures of this benchmark's own, beside the means every benchmark gets."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A benchmark that can say something of an answer without a judge, judged or not (the option it chose)."""

    def note(self, case: Case, turn: int, answer: str) -> dict[str, Any]:
        """What the record's own `Score.detail` shall hold of the answer to `turn` (from 1)."""
        ...


@runtime_checkable
class Ruling(Protocol):
    """A benchmark that scores by rule and asks a judge only what no rule can tell.

    Without judges `ruled` is the score; with them a verdict is read beside the answer it is about, and not by `read`.
    """

    def ruled(self, case: Case, answers: Sequence[str]) -> Score:
        """The score of the last of `answers` by rule alone."""
        ...

    def read_beside(self, case: Case, answers: Sequence[str], reply: str) -> Score:
        """The score of the last of `answers` with what a judge's reply says of it."""
        ...


def _shipped(module: str, name: str) -> Callable[[Language], Benchmark]:
    """The class `name` in a module of this room, loaded at first use: a run needs one or two of them all."""

    def made(language: Language) -> Benchmark:
        found: Benchmark = getattr(importlib.import_module(f"{__name__}.{module}"), name)(language)
        return found

    return made


BENCHMARKS: dict[str, Callable[[Language], Benchmark]] = {
    "doctorflan_test": _shipped("doctorflan_test", "DoctorFlanTest"),
    "dotabench": _shipped("dotabench", "DotaBench"),
    "med_choice": _shipped("med_choice", "MedChoice"),
    "med_risk": _shipped("med_risk", "MedRisk"),
    "rationale": _shipped("rationale", "Rationale"),
    "case_rubric": _shipped("case_rubric", "CaseRubric"),
    "retina": _shipped("retina", "Retina"),
    "retina_no_image": _shipped("retina", "no_image"),
    "cxr_quality": _shipped("cxr_quality", "CxrQuality"),
    "cxr_quality_no_image": _shipped("cxr_quality", "no_image"),
    "report_quality": _shipped("report_quality", "ReportQuality"),
}
"""What makes each benchmark, given a language: a class, or a function that makes one."""


def benchmark(name: str, language: Language = "zh") -> Benchmark:
    """The benchmark called `name`, its prompts in `language`; `UsageError` for an unknown one."""
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark named {name}", hint=f"one of: {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name](language)
