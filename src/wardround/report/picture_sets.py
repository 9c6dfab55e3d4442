"""A set of pictures as a page: what is in it, what was held back and why, what its DICOM headers lack.

The artifact's own pictures, reduced, each with its labels and, where they were made here, how. For tables see `tables`,
which the terminal shows too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wardround.artifact import sha256_file
from wardround.images.headers import RULES
from wardround.images.held import ASIDE, REASONS
from wardround.images.labels import CLEAN_EN, CLEAN_ZH, MODALITIES, shown
from wardround.images.layouts import Row
from wardround.images.picture import side_by_side, thumbnail
from wardround.records import Exclusion, Record
from wardround.report.cards import Card
from wardround.report.formats import Names, count
from wardround.report.pictures import MOST, label_names
from wardround.report.reading import Source
from wardround.report.shapes import Column, Table

NO_FAULT = {"exposure": "改了曝光", "inverted": "黑白反转", "side marker L drawn": "画上了左标识"}
"""Changes that are no fault of the list, in Chinese (`cxr_faults`)."""
LISTED = 200
"""Pictures left aside that a page names; the file has all."""


class Shown(Record, frozen=True, kw_only=True):
    """One picture: `url` a `data:` URL, "" when the file isn't what was sealed; `made` what was done beside its
    labels, if it was made here; `findings` what its header lacks, None without a header."""

    name: str
    modality: Names
    labels: Names
    url: str
    made: tuple[Names, ...] = ()
    findings: tuple[Names, ...] | None = None


def card(source: Source) -> Card:
    """The first thing to know of a set."""
    summary = source.read("summary.json", dict[str, Any])
    aside = sum(summary["excluded"].values())
    return Card(
        names=Names("有什么", "What is in it"),
        lead=Names(f"{count(summary['pictures'])} 张图像", f"{count(summary['pictures'])} pictures"),
        facts=(
            *((Names(*MODALITIES[m]), count(n)) for m, n in summary["modalities"].items()),
            (Names("没有标签（无问题）", "without a label (no fault)"), count(summary["without_label"])),
            (Names("搁置或扣留", "left aside or held back"), count(aside)),
        ),
    )  # fmt: skip


def section(source: Source) -> dict[str, Any]:
    """The template's data."""
    summary = source.read("summary.json", dict[str, Any])
    rows = list(source.rows(f"{summary['set']}.jsonl", Row))
    made = {t["id"]: t for t in source.rows("truth.jsonl", dict[str, Any])}
    headers = {h["id"]: h["findings"] for h in source.rows("headers.jsonl", dict[str, Any])}

    def one(row: Row) -> Shown:
        found = headers.get(row.id)
        return Shown(
            name=row.id, modality=Names(*MODALITIES[row.modality]), url=_url(source, row),
            labels=label_names(row.modality, row.labels, ()), made=_made(row, made.get(row.id, {})),
            findings=None if found is None else tuple(Names(f["zh"], f["en"]) for f in found),
        )  # fmt: skip

    return {
        "pictures": list(side_by_side(one, rows[:MOST])),
        "all": len(rows),
        "tables": [
            {"zh": t.zh, "en": t.en, "note_zh": t.note_zh, "note_en": t.note_en, "runs": [(None, t)]}
            for t in tables(source)
        ],
    }  # fmt: skip


def tables(source: Source) -> list[Table]:
    """Labels; what was left aside, counted and one by one; header findings; what was not drawn."""
    summary = source.read("summary.json", dict[str, Any])
    return [
        t
        for t in (
            _labels(source, summary), _reasons(summary), _aside(source), _headers(source, summary),
            _not_drawn(summary),
        )
        if t.rows or t.id == "reasons"
    ]  # fmt: skip


def _url(source: Source, row: Row) -> str:
    path = source.path / row.image
    try:
        return thumbnail(path.read_bytes()) if sha256_file(path) == row.sha256 else ""
    except OSError:
        return ""


def _made(row: Row, told: Mapping[str, Any]) -> tuple[Names, ...]:
    """What was done that is no label of it, and labels that a strict reader might add."""
    done = [Names(NO_FAULT.get(e["how"], e["how"]), e["how"]) for e in told.get("edits", ()) if not e["fault"]]  # fmt: skip
    might = [
        Names(f"可议：{shown(row.modality, x)}", f"arguable: {shown(row.modality, x, 'en')}")
        for x in told.get("arguable", ())
    ]
    return (*done, *might)


def _labels(source: Source, summary: Mapping[str, Any]) -> Table:
    modality: dict[str, str] = {}
    for row in source.rows(f"{summary['set']}.jsonl", Row):
        modality |= dict.fromkeys(row.labels, row.modality)
    rows = [
        {"label": f"{shown(modality[x], x)} / {shown(modality[x], x, 'en')}", "n": n}
        for x, n in sorted(summary["labels"].items(), key=lambda p: (-p[1], p[0]))
    ]
    if summary["without_label"]:
        rows.append({"label": f"{CLEAN_ZH} / {CLEAN_EN}", "n": summary["without_label"]})
    return Table(
        id="labels", zh="标签", en="Labels", rows=tuple(rows),
        columns=(Column(key="label", zh="标签", en="Label"), _count("n", "图像", "Pictures")),
    )  # fmt: skip


def _reason(code: str) -> str:
    return (REASONS | ASIDE).get(code, code)


def _reasons(summary: Mapping[str, Any]) -> Table:
    rows = [
        {"reason": _reason(r), "code": r, "n": n}
        for r, n in sorted(summary["excluded"].items(), key=lambda p: (-p[1], p[0]))
    ]
    return Table(
        id="reasons", zh="搁置与扣留", en="Left aside and held back", rows=tuple(rows),
        columns=(
            Column(key="reason", zh="原因", en="Reason"), Column(key="code", zh="代码", en="Code"),
            _count("n", "数量", "Number"),
        ),
        note_zh="这些行或图像不在集合中，也不会发给任何模型。" if rows else "没有搁置任何一行或图像。",
        note_en="These rows or pictures are not in the set and reach no model." if rows
        else "No row and no picture was left aside.",
    )  # fmt: skip


def _aside(source: Source) -> Table:
    rows: list[dict[str, Any]] = []
    left = 0
    for e in source.rows("excluded.jsonl", Exclusion):
        left += len(rows) >= LISTED
        if len(rows) < LISTED:
            rows.append(
                {"what": e.what, "file": e.file, "row": e.row or None, "reason": _reason(e.reason), "detail": e.detail}
            )  # fmt: skip
    return Table(
        id="aside", zh="逐条列出", en="One by one", rows=tuple(rows),
        columns=(
            Column(key="what", zh="病例", en="Case"), Column(key="file", zh="文件", en="File"),
            _count("row", "行", "Row"), Column(key="reason", zh="原因", en="Reason"),
            Column(key="detail", zh="说明", en="Detail"),
        ),
        note_zh=f"另有 {left} 条，见 excluded.jsonl。" if left else "",
        note_en=f"{left} more in excluded.jsonl." if left else "",
    )  # fmt: skip


def _headers(source: Source, summary: Mapping[str, Any]) -> Table:
    judged = sum(1 for _ in source.rows("headers.jsonl", dict[str, Any]))
    rows = [
        {"rule": " / ".join(RULES[r]), "n": n, "of": judged}
        for r, n in sorted(summary["header_findings"].items(), key=lambda p: (-p[1], p[0]))
    ]
    return Table(
        id="headers", zh="DICOM头信息检查", en="DICOM headers, by rule", rows=tuple(rows),
        columns=(
            Column(key="rule", zh="规则", en="Rule"), _count("n", "不合规则", "Rule broken"),
            _count("of", "有头信息的图像", "Pictures with a header"),
        ),
        note_zh="只看头信息，不看像素。", note_en="The header alone; no pixels were looked at.",
    )  # fmt: skip


def _not_drawn(summary: Mapping[str, Any]) -> Table:
    rows = [
        {"label": label, "why": f"{zh} / {en}"}
        for label, (zh, en) in summary.get("not_simulated", {}).items()
    ]
    return Table(
        id="not_drawn", zh="做不出来的标签", en="Labels that can't be made", rows=tuple(rows),
        columns=(Column(key="label", zh="标签", en="Label"), Column(key="why", zh="原因", en="Why")),
    )  # fmt: skip


def _count(key: str, zh: str, en: str) -> Column:
    return Column(key=key, zh=zh, en=en, kind="count")
