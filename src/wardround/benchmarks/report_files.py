"""Annotated CT reports from the shapes they come in; told apart row by row.

    ours       id, age, sex, examination, findings, impression, errors [{type, place, start, end, wrong, right}]
    Chinese    the same fields as 年龄 性别 检查项目 描述 诊断, truth in 错误, 标注 or 答案
    MedBench   question (the report under its labels, or anything), answer (the truth), other {id, source}

The truth of the latter two is read as an answer is (`report_answers`): `{type: suggestion}`, a list of 错误类型 and
修改建议, or words that there is none; a place or span that it doesn't give is worked out from what it quotes, where
that stands in one place alone. A row without report or truth is left aside with the reason; one of MedBench whose
answer is held out too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from wardround.benchmarks.data import read_rows, starter_label, text_of
from wardround.benchmarks.report_answers import Claim, placed, read_answer
from wardround.benchmarks.report_match import targets_of
from wardround.images.report import (
    PLACES,
    CTReport,
    Place,
    ReportError,
    report_of,
    split_report,
    type_in,
)
from wardround.records import Exclusion, Record, encode

TRUTH = ("errors", "错误", "标注", "错误标注", "答案", "answer", "truth", "label")


class Annotated(Record, frozen=True, kw_only=True):
    """One report with its errors. `asked` is the question as given, where a file brings its own; `report` None when
    that question can't be taken apart."""

    id: str
    report: CTReport | None
    errors: tuple[ReportError, ...]
    asked: str = ""
    region: str = ""


class _Aside(Exception):  # noqa: N818
    """The row can't be used: (reason, detail)."""


def read_reports(path: Path) -> tuple[list[Annotated], list[Exclusion], list[str]]:
    """Annotated reports in file order, rows left aside, labels that reports must show."""
    found: list[Annotated] = []
    skipped: list[Exclusion] = []
    labels: list[str] = []
    for number, row in read_rows(path):
        name = text_of(row, "id") or text_of(_other(row), "id") or f"row-{number}"
        try:
            found.append(_read(row, name))
        except _Aside as e:
            reason, detail = e.args
            skipped.append(
                Exclusion(
                    stage="load", file=path.name, row=number, what=name,
                    reason=reason, detail=detail,
                )
            )  # fmt: skip
            continue
        labels += starter_label(row)
    return found, skipped, list(dict.fromkeys(labels))


def _other(row: Mapping[str, Any]) -> Mapping[str, Any]:
    other = row.get("other")
    return other if isinstance(other, Mapping) else {}


def _read(row: Mapping[str, Any], name: str) -> Annotated:
    asked = text_of(row, "question")
    report = report_of(row, name)
    if report is None and asked:
        report = split_report(asked)
    if report is None and not asked:
        raise _Aside("no_report", "no findings (描述) and impression (诊断)")
    key = next((k for k in TRUTH if k in row), None)
    if key is None or row[key] is None or row[key] == "":
        raise _Aside("no_truth", "the errors are not given")
    given = row[key]
    if isinstance(given, list) and all(isinstance(e, Mapping) and "type" in e for e in given):
        errors = tuple(_own(e, report) for e in given)
    else:
        errors = _published(given, report)
    if report is not None:
        report = msgspec.structs.replace(report, id=name)
    return Annotated(
        id=name, report=report, errors=errors, asked=asked,
        region=report.region if report else "",
    )  # fmt: skip


def _own(given: Mapping[str, Any], report: CTReport | None) -> ReportError:
    kind = type_in(text_of(given, "type"))[0]
    if not kind:
        raise _Aside("unknown_type", f"error type {text_of(given, 'type')!r}")
    known = {k: v for k, v in given.items() if k in ReportError.__struct_fields__}
    try:
        error = msgspec.convert(known | {"type": kind}, ReportError)
    except msgspec.ValidationError as e:
        raise _Aside("bad_truth", str(e)) from e
    if report is not None and error.place and error.start >= 0:
        there = report.text(error.place)[error.start : error.end]
        if error.end < error.start or there != error.wrong:
            raise _Aside("bad_truth", f"{error.place}[{error.start}:{error.end}] is {there!r}")
    return error


def _published(given: Any, report: CTReport | None) -> tuple[ReportError, ...]:
    claims = read_answer(given if isinstance(given, str) else encode(given).decode())
    if claims is None:
        raise _Aside("bad_truth", "the errors can't be read")
    if any(not c.type for c in claims):
        named = next(c.named for c in claims if not c.type)
        raise _Aside("unknown_type", f"error type {named!r}")
    return tuple(_annotated(placed(c, report), report) for c in claims)


def _annotated(claim: Claim, report: CTReport | None) -> ReportError:
    """A published annotation as an error, with a span where what it quotes stands once in its place."""
    start = end = -1
    wrong = right = ""
    place: Place | None = next((p for p in PLACES if p == claim.place), None)
    if report is not None and place is not None:
        text = report.text(place)
        quote = next((q for q in claim.quotes if text.count(q) == 1), "")
        if quote:
            start = text.index(quote)
            end, wrong = start + len(quote), quote
            right = next((t for t in targets_of(claim.text) if t != quote), "")
            if not right:  # what should stand is not told, so no rule may judge a correction
                start = end = -1
    return msgspec.convert(
        {
            "type": claim.type, "place": claim.place, "start": start, "end": end, "wrong": wrong,
            "right": right, "how": "", "origin": "published", "note": claim.text,
        },
        ReportError,
    )  # fmt: skip
