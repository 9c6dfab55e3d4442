"""What a needs survey says, as a plot and tables: for its report, for the terminal and for the web app.

All of it is made of `results.json`. Groups that were too small to be shown have no figures there, and none here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from wardround import taxonomy
from wardround.records import Record
from wardround.report import formats, svg
from wardround.report.cards import Card
from wardround.report.formats import NOTHING, Names
from wardround.report.reading import Source
from wardround.report.shapes import Column, Estimate, Table
from wardround.survey.design import DIMENSIONS, STAGES, VERDICTS

OUTCOMES = {
    "keep": Names("保留", "keep"),
    "drop": Names("删去", "drop"),
    "undecided": Names("未定", "undecided"),
}
DIVISIONS = {
    "specialty": Names("按专科", "By specialty"),
    "title": Names("按职称", "By title"),
    "years": Names("按从业年限", "By years in practice"),
    "hospital": Names("按医院级别", "By hospital level"),
}
_NO = Estimate(mean=None, low=None, high=None, n=0)


class Share(Record, frozen=True, kw_only=True):
    """A share with its interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def estimate(self) -> Estimate:
        """The same under the names of an estimate."""
        return Estimate(mean=self.value, low=self.low, high=self.high, n=self.n)


class Figures(Record, frozen=True, kw_only=True):
    """One task in one group."""

    n: int | None
    usefulness: Estimate
    frequency: Estimate
    priority: Estimate
    risk: Estimate
    time: int | None
    verdicts: dict[str, int]
    keep_share: Share


class Decision(Record, frozen=True, kw_only=True):
    """What becomes of a task."""

    outcome: str
    kept: bool
    zh: str
    en: str
    overruled: bool
    reason: str

    @property
    def names(self) -> Names:
        """The decision in the end, marked * where it is not the rule's."""
        if not self.overruled:
            return OUTCOMES[self.outcome]
        zh, en = OUTCOMES["keep" if self.kept else "drop"]
        return Names(f"{zh}*", f"{en}*")

    @property
    def told(self) -> Names:
        """The same, and of an undecided task whether the list has it for now."""
        if self.overruled or self.outcome != "undecided":
            return self.names
        zh, en = ("暂且保留", "kept for now") if self.kept else ("暂不列入", "left out for now")
        return Names(f"{self.names.zh}（{zh}）", f"{self.names.en} ({en})")

    @property
    def why(self) -> Names:
        """The reason; a coordinator's own words before the rule's."""
        if not self.overruled:
            return Names(self.zh, self.en)
        return Names(
            f"协调人决定：{self.reason}（按规则：{self.zh}）",
            f"coordinator: {self.reason} (by the rule: {self.en})",
        )


class TaskSaid(Record, frozen=True, kw_only=True):
    """One task over all respondents."""

    key: str
    zh: str
    en: str
    phase: str
    origin: str
    figures: Figures
    decision: Decision
    words: tuple[str, ...]


class Group(Record, frozen=True, kw_only=True):
    """One group of respondents; `tasks` None where it is too small."""

    id: str
    zh: str
    en: str
    n: int | None
    tasks: dict[str, Figures] | None


class Said(Record, frozen=True, kw_only=True):
    """What of results.json is shown."""

    slug: str
    stage: str
    title_zh: str
    title_en: str
    n: int
    imported: int
    seconds: float | None
    min_cell: int
    level: float
    priority_scale: tuple[int, int]
    rule_zh: str
    rule_en: str
    tasks: tuple[TaskSaid, ...]
    divisions: dict[str, tuple[Group, ...]]
    additions: dict[str, int]
    rejected: tuple[dict[str, str], ...]
    merged: dict[str, tuple[str, ...]]
    enough: bool

    @property
    def feedback(self) -> bool:
        """Whether it is the second stage, which decides by the share of those who would keep a task."""
        return self.stage == "feedback"


def said_of(data: Mapping[str, Any]) -> Said:
    """The results from their JSON values."""
    return msgspec.convert(dict(data), Said)


def headline(said: Said) -> Names:
    """What is plotted."""
    low, high = said.priority_scale
    if said.feedback:
        return Names("保留比例（含修改后保留）", "share that would keep it, as it is or amended")
    return Names(
        f"优先级 = 有用程度 × 频率（{low}–{high}）",
        f"priority = usefulness × frequency ({low}–{high})",
    )


def plot(said: Said, lang: str = "", *, narrow: bool = False) -> Markup:
    """Each task's priority, or in the second stage its keep share, with intervals, by phase. `lang` "zh" or "en":
    only that language. `narrow`: for a telephone, with room for the mean alone beside it."""
    phases = {p.id: Names(p.zh, p.en) for p in taxonomy.items("phases")}
    rows: list[svg.DotRow] = []
    order = [*phases, *dict.fromkeys(t.phase for t in said.tasks if t.phase not in phases)]
    for phase in order:
        mine = [t for t in said.tasks if t.phase == phase]
        if mine:
            rows.append(svg.DotRow(names=_in(phases.get(phase, Names(phase)), lang)))
        for t in sorted(mine, key=lambda t: -(_shown(t, said).mean or -1.0)):
            noted = t.origin == "survey"
            names = _in(Names(t.zh, t.en), lang)
            rows.append(svg.DotRow(names=names, estimates=(_shown(t, said),), noted=noted))
    axis = _in(headline(said), lang)
    span = (0.0, 1.0) if said.feedback else tuple(map(float, said.priority_scale))
    label = f"{axis.zh} {axis.en}".strip()
    width, column = (340, 44) if narrow else (980, 122)
    return svg.dot_plot(
        rows, axis=axis, label=label, span=(span[0], span[1]), width=width, column=column
    )


def _shown(t: TaskSaid, said: Said) -> Estimate:
    return t.figures.keep_share.estimate if said.feedback else t.figures.priority


def _in(names: Names, lang: str) -> Names:
    if lang == "zh":
        return Names(names.zh)
    return Names(names.en or names.zh) if lang == "en" else names


def tables(said: Said) -> list[Table]:
    """The tables: decisions, all ratings, each division, what was added and rejected."""
    return [
        _decided(said),
        _whole(said),
        *(_division(d, said) for d in DIVISIONS if said.divisions.get(d)),
        *_added(said),
    ]


def _decided(said: Said) -> Table:
    """What becomes of each task, with the figure it was decided by: narrow enough to be read without scrolling."""
    rows = tuple(
        {
            "task": _label(t.zh, t.en), "decision": " / ".join(t.decision.told),
            **_cells(t.figures, said), "why": " / ".join(t.decision.why),
        }
        for t in said.tasks
    )  # fmt: skip
    by = ("share", *VERDICTS) if said.feedback else ("priority", "n")
    known = {c.key: c for c in _columns(said)}
    columns = (
        Column(key="task", zh="任务", en="Task"), Column(key="decision", zh="结论", en="Decision"),
        *(known[k] for k in by), Column(key="why", zh="依据", en="Reason"),
    )  # fmt: skip
    return Table(
        id="decisions", zh="任务与取舍", en="Tasks and decisions", columns=columns, rows=rows,
        note_zh=said.rule_zh, note_en=said.rule_en,
    )  # fmt: skip


def _whole(said: Said) -> Table:
    """All ratings; the verdicts of the second stage stand with the decisions."""
    rows = tuple(
        {
            "task": _label(t.zh, t.en), "origin": " / ".join(formats.origin_names(t.origin)),
            **_cells(t.figures, said),
        }
        for t in said.tasks
    )  # fmt: skip
    columns = (
        Column(key="task", zh="任务", en="Task"), Column(key="origin", zh="来历", en="Origin"),
        *(c for c in _columns(said) if c.key not in ("share", *VERDICTS)),
    )  # fmt: skip
    return Table(id="tasks", zh="全部评分", en="All ratings", columns=columns, rows=rows)


def _columns(said: Said) -> tuple[Column, ...]:
    low, high = said.priority_scale
    people = Column(key="n", zh="作答", en="n", kind="count")
    found = [
        Column(key="usefulness", zh="有用程度 1–5", en="Usefulness 1–5", kind="estimate"),
        Column(key="frequency", zh="频率 0–4", en="Frequency 0–4", kind="estimate"),
        Column(
            key="priority", zh=f"优先级 {low}–{high}", en=f"Priority {low}–{high}", kind="estimate"
        ),
    ]
    if said.feedback:
        share = Column(key="share", zh="保留比例", en="Keep share", kind="estimate")
        verdicts = (Column(key=v, zh=zh, en=en, kind="count") for v, (zh, en) in VERDICTS.items())
        return (people, share, *verdicts, *found)
    found += [
        Column(key="risk", zh="风险 1–5", en="Risk 1–5", kind="estimate"),
        Column(key="time", zh="省时（中位）", en="Time saved (median)"),
    ]
    return (people, *found)


def _cells(f: Figures, said: Said) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "n": f.n,
        "usefulness": _json(f.usefulness),
        "frequency": _json(f.frequency),
        "priority": _json(f.priority),
    }
    if said.feedback:
        return (
            cells
            | {v: f.verdicts.get(v) for v in VERDICTS}
            | {"share": _json(f.keep_share.estimate)}
        )
    return cells | {"risk": _json(f.risk), "time": " / ".join(time_names(f.time))}


def _json(e: Estimate) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(e)
    return found


def _label(zh: str, en: str) -> str:
    return f"{zh} / {en}" if en else zh


def time_names(level: int | None) -> Names:
    """A level of time saved in words."""
    if level is None:
        return Names(NOTHING, NOTHING)
    found = next(x for x in DIMENSIONS["time"].levels if x.value == level)
    return Names(found.anchor_zh, found.anchor_en)


def _division(division: str, said: Said) -> Table:
    groups = said.divisions[division]
    names = {t.key: _label(t.zh, t.en) for t in said.tasks}
    rows = tuple(
        {"group": _label(g.zh, g.en), "people": g.n, "task": names[key], **_cells(f, said)}
        for g in groups
        for key, f in (g.tasks or {}).items()
    )
    zh, en = hidden(groups, said.min_cell)
    heads = (
        Column(key="group", zh="组", en="Group"), Column(key="people", zh="人数", en="People", kind="count"),
        Column(key="task", zh="任务", en="Task"),
    )  # fmt: skip
    title = DIVISIONS[division]
    return Table(
        id=division, zh=title.zh, en=title.en, columns=(*heads, *_columns(said)), rows=rows, note_zh=zh, note_en=en,
    )  # fmt: skip


def hidden(groups: Sequence[Group], min_cell: int) -> Names:
    """Which groups are not shown, and why."""
    small = [g for g in groups if g.tasks is None]
    if not small:
        return Names("", "")
    zh = "、".join(g.zh for g in small)
    en = ", ".join(g.en for g in small)
    return Names(
        f"不显示的组（少于 {min_cell} 人，或与这样的组合在一起才不会被推算出来）：{zh}。",
        f"Not shown (fewer than {min_cell} people, or kept back so that such a group can't be worked out): {en}.",
    )


def _added(said: Said) -> Iterator[Table]:
    known = {t.key: _label(t.zh, t.en) for t in said.tasks}
    rows = [
        {"name": n, "became": known.get(k, k)} for k, names in said.merged.items() for n in names
    ]
    rows += [
        {"name": r["name"], "became": f"未采纳：{r['reason']} / rejected: {r['reason']}"}
        for r in said.rejected
    ]
    if rows:
        yield Table(
            id="added", zh="医生补充的任务", en="Tasks that doctors added", rows=tuple(rows),
            columns=(Column(key="name", zh="原文", en="As written"), Column(key="became", zh="去向", en="What became of it")),
        )  # fmt: skip


def card(source: Source) -> Card:
    """The first thing a reader sees."""
    said = said_of(source.read("results.json", dict[str, Any]))
    kept = sum(t.decision.kept for t in said.tasks)
    stage = Names(*STAGES[said.stage])
    facts = [
        (Names("答卷", "answers"), formats.count(said.n)),
        (Names("其中导入", "of them imported"), formats.count(said.imported)),
        (Names("作答用时（中位）", "time taken (median)"), formats.seconds(said.seconds) if said.seconds else NOTHING),
        *((Names(o.zh, o.en), formats.count(sum(t.decision.outcome == k for t in said.tasks))) for k, o in OUTCOMES.items()),
    ]  # fmt: skip
    return Card(
        names=Names("医生要什么", "What doctors want"),
        lead=Names(
            f"{len(said.tasks)} 个任务，列入 {kept} 个", f"{kept} of {len(said.tasks)} tasks listed"
        ),
        facts=tuple(facts),
        note=Names(
            f"{said.title_zh} · {stage.zh}", f"{said.title_en or said.title_zh} · {stage.en}"
        ),
    )


def section(source: Source) -> dict[str, Any]:
    """The template's data."""
    said = said_of(source.read("results.json", dict[str, Any]))
    return {
        "said": said,
        "svg": plot(said) if said.enough else "",
        "axis": headline(said),
        "words": [(t, t.words) for t in said.tasks if t.words],
        "tables": [
            {"zh": t.zh, "en": t.en, "note_zh": t.note_zh, "note_en": t.note_en, "runs": [(None, t)]}
            for t in tables(said)
        ],
    }  # fmt: skip


def lines(said: Said) -> Iterator[str | list[list[str]]]:
    """The results for a terminal, tables as rows: the tasks by priority (or keep share) with the decision."""
    stage = Names(*STAGES[said.stage])
    yield f"{said.title_zh} · {stage.zh} {stage.en} · {said.n} 份答卷 answers（导入 imported {said.imported}）"
    if not said.enough:
        yield f"少于 {said.min_cell} 份，不显示数字 / fewer than {said.min_cell}: no figures"
        return
    share = "保留 share" if said.feedback else "优先级 priority"
    rows = [["", "n", "有用 useful", "频率 often", share, "区间 interval", "结论 decision"]]
    for t in sorted(said.tasks, key=lambda t: -(_shown(t, said).mean or -1.0)):
        e = _shown(t, said)
        rows.append([
            f"{t.zh} {t.en}", formats.count(t.figures.n), formats.score(t.figures.usefulness.mean),
            formats.score(t.figures.frequency.mean), formats.score(e.mean), formats.interval(e),
            " ".join(t.decision.names),
        ])  # fmt: skip
    yield rows
    yield said.rule_zh
    yield said.rule_en
    if any(t.decision.overruled for t in said.tasks):
        yield "* 协调人另有决定 / decided otherwise by the coordinator"
