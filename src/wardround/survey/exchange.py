"""Answers as tables for people and for another copy of Wardround: CSV or XLSX, one row an answer.

A column's heading is its key, a blank and its Chinese name ("triage.risk 分诊·风险"); `importing` knows it by the
key. Ratings are numbers, choices their Chinese words. Two forms: released (coarse profiles, texts on a sheet or in a
file of their own) and full, which can be read back exactly. See `release`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wardround import sheets
from wardround.records import Record
from wardround.survey.design import ASKED, DIMENSIONS, VERDICTS, SurveyConfig, SurveyTask, profile
from wardround.survey.release import Released
from wardround.survey.results import Given, Results

TEXTS = ("kind", "task", "name", "example", "words")
_SCALES = ("量表", "key", "value", "zh", "en")


class Column(Record, frozen=True, kw_only=True):
    """One column: its key, its name and what stands in it."""

    key: str
    zh: str
    of: Callable[[Given], Any]

    @property
    def heading(self) -> str:
        """As it stands in the file."""
        return f"{self.key} {self.zh}"


def columns(
    stage: str, tasks: Sequence[SurveyTask], config: SurveyConfig, *, full: bool
) -> list[Column]:
    """The columns of a survey's table."""
    found = [Column(key="code", zh="编号", of=lambda g: g.code)]
    if full:
        found += [
            Column(key="source", zh="来源", of=lambda g: g.source),
            Column(key="seconds", zh="用时秒", of=lambda g: g.seconds),
        ]
    found += [Column(key=k, zh=f.zh, of=_choice(k)) for k, f in profile().items()]
    for t in tasks:
        found += [
            Column(key=f"{t.key}.{d}", zh=f"{t.zh}·{DIMENSIONS[d].zh}", of=_rating(t.key, d))
            for d in ASKED[stage]
        ]
        if stage == "feedback":
            found.append(Column(key=f"{t.key}.verdict", zh=f"{t.zh}·取舍", of=_verdict(t.key)))
            if full:
                found.append(Column(key=f"{t.key}.words", zh=f"{t.zh}·意见", of=_words(t.key)))
    if full:
        if stage == "inspiration":
            names = {"name": "名称", "example": "例子", "why": "理由"}
            found += [
                Column(key=f"added.{n}.{part}", zh=f"补充任务{n}·{zh}", of=_added(n, part))
                for n in range(1, config.most_added + 1)
                for part, zh in names.items()
            ]
        found.append(Column(key="remark", zh="其他意见", of=lambda g: g.answer.remark))
    return found


def _choice(field: str) -> Callable[[Given], str]:
    words = {c.id: c.zh for c in profile()[field].choices}
    return lambda g: words.get(g.answer.profile.get(field, ""), "")


def _rating(key: str, dimension: str) -> Callable[[Given], int | None]:
    return lambda g: g.answer.ratings.get(key, {}).get(dimension)


def _verdict(key: str) -> Callable[[Given], str]:
    def of(g: Given) -> str:
        found = g.answer.verdicts.get(key)
        return VERDICTS[found.choice][0] if found else ""

    return of


def _words(key: str) -> Callable[[Given], str]:
    return lambda g: g.answer.verdicts[key].words if key in g.answer.verdicts else ""


def _added(number: int, part: str) -> Callable[[Given], str]:
    def of(g: Given) -> str:
        added = g.answer.added
        return str(getattr(added[number - 1], part)) if len(added) >= number else ""

    return of


def table(found: Sequence[Column], answers: Sequence[Given]) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows."""
    return [c.heading for c in found], [[c.of(g) for c in found] for g in answers]


def full_csv(
    answers: Sequence[Given], stage: str, tasks: Sequence[SurveyTask], config: SurveyConfig
) -> bytes:
    """All of the answers in one CSV file, which `importing` reads back exactly."""
    return sheets.write_csv(*table(columns(stage, tasks, config, full=True), answers))


def full_xlsx(
    answers: Sequence[Given], stage: str, tasks: Sequence[SurveyTask], config: SurveyConfig
) -> bytes:
    """All of the answers in a workbook, the scales on its second sheet."""
    made = table(columns(stage, tasks, config, full=True), answers)
    return sheets.write_xlsx({"answers": made, "scales": _scales(stage)})


def released_csv(
    released: Released, stage: str, tasks: Sequence[SurveyTask], config: SurveyConfig
) -> tuple[bytes, bytes]:
    """Two CSV files: the answers with coarse profiles, and the texts apart from them."""
    made = table(columns(stage, tasks, config, full=False), released.answers)
    return sheets.write_csv(*made), sheets.write_csv(*_texts(released, tasks))


def released_xlsx(
    released: Released, stage: str, tasks: Sequence[SurveyTask], config: SurveyConfig
) -> bytes:
    """A workbook: answers with coarse profiles, texts, scales."""
    made = table(columns(stage, tasks, config, full=False), released.answers)
    texts, scales = _texts(released, tasks), _scales(stage)
    return sheets.write_xlsx({"answers": made, "texts": texts, "scales": scales})


def _texts(released: Released, tasks: Sequence[SurveyTask]) -> tuple[list[str], list[list[str]]]:
    names = {t.key: t.zh for t in tasks}
    rows = [
        [x["kind"], names.get(x["task"], x["task"]), x["name"], x["example"], x["words"]]
        for x in released.texts
    ]
    zh = ("种类", "任务", "名称", "例子", "文字")
    return [f"{k} {z}" for k, z in zip(TEXTS, zh, strict=True)], rows


def _scales(stage: str) -> tuple[list[str], list[list[Any]]]:
    rows = [
        [DIMENSIONS[d].zh, d, level.value, level.anchor_zh, level.anchor_en]
        for d in ASKED[stage]
        for level in DIMENSIONS[d].levels
    ]
    return list(_SCALES), rows


def results_csv(found: Results) -> bytes:
    """The table of results, one row a task."""
    heads = [
        "id", "任务 zh", "task en", "来历 origin", "n", "有用程度 usefulness", "下限 low", "上限 high",
        "频率 frequency", "下限 low", "上限 high", "优先级 priority", "下限 low", "上限 high",
        "风险 risk", "下限 low", "上限 high", "省时中位 time median", "保留 keep", "修改 amend", "删去 drop",
        "保留比例 keep share", "下限 low", "上限 high", "结论 decision", "列入 listed", "依据", "reason",
    ]  # fmt: skip
    rows = []
    for r in found.tasks:
        f, d = r.figures, r.decision
        row: list[Any] = [r.key, r.zh, r.en, r.origin, f.n]
        for e in (f.usefulness, f.frequency, f.priority, f.risk):
            row += [e.mean, e.low, e.high]
        row += [f.time, *(f.verdicts.get(v) for v in VERDICTS)]
        row += [f.keep_share.value, f.keep_share.low, f.keep_share.high, d.outcome]
        row += ["yes" if d.kept else "no", d.reason or d.zh, d.reason or d.en]
        rows.append([round(v, 4) if isinstance(v, float) else v for v in row])
    return sheets.write_csv(heads, rows)


def links_csv(urls: Sequence[str]) -> bytes:
    """The links of a batch, numbered, for sending out."""
    return sheets.write_csv(
        ["序号 number", "链接 link"], [[n, u] for n, u in enumerate(urls, start=1)]
    )
