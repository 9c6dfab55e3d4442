"""What a survey asks, as plain records: its stage, its scales with an anchor for every level, its tasks, its rule.

Scales. Usefulness and risk run from 1 to 5. Frequency runs from 0 (never) to 4 (every day) and time saved from 0
(none) to 4 (more than half an hour): a task that never comes up has nothing to be multiplied with. Stored are the
numbers; the words stand here only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from wardround import taxonomy
from wardround.errors import UsageError
from wardround.records import Record

HERE = Path(__file__).parent
Stage = Literal["inspiration", "feedback"]
STAGES: dict[str, tuple[str, str]] = {
    "inspiration": ("启发阶段", "inspiration"),
    "feedback": ("反馈阶段", "feedback"),
}
STATES: dict[str, tuple[str, str]] = {
    "draft": ("准备中", "in preparation"),
    "open": ("进行中", "open"),
    "closed": ("已结束", "closed"),
}
LONGEST = {"name": 60, "example": 500, "why": 500, "words": 500, "remark": 1000}
"""Characters of what a respondent writes."""


class Level(Record, frozen=True, kw_only=True):
    """One value of a scale: a short word for its button and an anchor that says what it means."""

    value: int
    zh: str
    en: str
    anchor_zh: str
    anchor_en: str


class Dimension(Record, frozen=True, kw_only=True):
    """One question asked of every task."""

    id: str
    zh: str
    en: str
    ask_zh: str
    ask_en: str
    levels: tuple[Level, ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The allowed numbers, lowest first."""
        return tuple(level.value for level in self.levels)


def _levels(first: int, *words: tuple[str, str, str, str]) -> tuple[Level, ...]:
    return tuple(
        Level(value=n, zh=zh, en=en, anchor_zh=a, anchor_en=b)
        for n, (zh, en, a, b) in enumerate(words, start=first)
    )


DIMENSIONS: dict[str, Dimension] = {
    d.id: d
    for d in (
        Dimension(
            id="frequency", zh="频率", en="Frequency",
            ask_zh="您多久做一次这件事？", ask_en="How often do you do this?",
            levels=_levels(
                0,
                ("从不", "Never", "我的工作不涉及", "not part of my work"),
                ("每年", "Yearly", "每年几次", "a few times a year"),
                ("每月", "Monthly", "每月几次", "a few times a month"),
                ("每周", "Weekly", "每周几次", "a few times a week"),
                ("每天", "Daily", "几乎每天", "nearly every day"),
            ),
        ),
        Dimension(
            id="usefulness", zh="有用程度", en="Usefulness",
            ask_zh="模型先写好草稿，对您有多大用处？", ask_en="How useful would a model's draft be?",
            levels=_levels(
                1,
                ("1", "1", "没有用", "of no use"),
                ("2", "2", "用处不大", "of little use"),
                ("3", "3", "有些用", "of some use"),
                ("4", "4", "比较有用", "useful"),
                ("5", "5", "非常有用", "very useful"),
            ),
        ),
        Dimension(
            id="time", zh="省时", en="Time saved",
            ask_zh="估计每次能省多少分钟？", ask_en="How many minutes would it save each time?",
            levels=_levels(
                0,
                ("不省", "None", "不省时间", "none"),
                ("<5", "<5", "不到 5 分钟", "less than 5 minutes"),
                ("5–15", "5–15", "5 到 15 分钟", "5 to 15 minutes"),
                ("15–30", "15–30", "15 到 30 分钟", "15 to 30 minutes"),
                (">30", ">30", "30 分钟以上", "more than 30 minutes"),
            ),
        ),
        Dimension(
            id="risk", zh="风险", en="Risk",
            ask_zh="如果模型写错又没被发现，后果多严重？",
            ask_en="If the draft were wrong and nobody noticed, how bad would it be?",
            levels=_levels(
                1,
                ("1", "1", "几乎没有影响", "next to no effect"),
                ("2", "2", "带来不便，不影响诊疗", "a nuisance, care unaffected"),
                ("3", "3", "延误或多做检查", "delay or needless tests"),
                ("4", "4", "可能造成伤害", "may cause harm"),
                ("5", "5", "可能致残或致死", "may cause disability or death"),
            ),
        ),
    )
}  # fmt: skip
"""In the order they are asked: who never does a task need not answer the rest."""
ASKED: dict[str, tuple[str, ...]] = {
    "inspiration": ("frequency", "usefulness", "time", "risk"),
    "feedback": ("frequency", "usefulness"),
}
"""Stage → the dimensions it rates."""
PRIORITY = (0, 20)
"""Range of usefulness × frequency."""
VERDICTS: dict[str, tuple[str, str]] = {
    "keep": ("保留", "Keep"),
    "amend": ("修改后保留", "Keep, amended"),
    "drop": ("删去", "Drop"),
}


class Choice(Record, frozen=True, kw_only=True):
    """One answer about the respondent. `aliases` are how other tools and people write it."""

    id: str
    zh: str
    en: str
    aliases: tuple[str, ...] = ()


class ProfileField(Record, frozen=True, kw_only=True):
    """One question about the respondent, never required."""

    id: str
    zh: str
    en: str
    ask_zh: str
    ask_en: str
    choices: tuple[Choice, ...]


OTHER = Choice(id="other", zh="其他", en="Other", aliases=("其它", "以上都不是"))


@cache
def profile() -> dict[str, ProfileField]:
    """The questions about the respondent, in their order. Bands and no free text: none may point to a person."""
    specialties = tuple(
        Choice(id=s.id, zh=s.zh, en=s.en, aliases=s.aliases)
        for s in taxonomy.specialties().values()
    )
    return {f.id: f for f in (_specialty((*specialties, OTHER)), _title(), _years(), _hospital())}


def _specialty(choices: tuple[Choice, ...]) -> ProfileField:
    return ProfileField(
        id="specialty", zh="专科", en="Specialty", ask_zh="您的专科", ask_en="Your specialty", choices=choices
    )  # fmt: skip


def _title() -> ProfileField:
    rows = (
        ("resident", "住院医师", "Resident", ("医师", "规培医师", "初级", "初级职称")),
        ("attending", "主治医师", "Attending physician", ("主治", "中级", "中级职称")),
        ("associate_chief", "副主任医师", "Associate chief physician", ("副高", "副高级", "副高级职称", "副主任")),
        ("chief", "主任医师", "Chief physician", ("正高", "正高级", "正高级职称", "主任")),
    )  # fmt: skip
    choices = tuple(Choice(id=i, zh=zh, en=en, aliases=a) for i, zh, en, a in rows)
    return ProfileField(
        id="title", zh="职称", en="Title", ask_zh="您的职称", ask_en="Your title", choices=(*choices, OTHER)
    )  # fmt: skip


YEARS = {"under_5": (0, 5), "5_9": (5, 10), "10_19": (10, 20), "20_up": (20, 99)}
"""Band → years in practice, the upper end left out."""


def _years() -> ProfileField:
    rows = (
        ("under_5", "不到 5 年", "Under 5 years", ("5年以下", "5年以内", "<5年", "0-5年", "1-5年", "0-4年")),
        ("5_9", "5–9 年", "5–9 years", ("5-10年", "6-10年", "5~10年")),
        ("10_19", "10–19 年", "10–19 years", ("10-20年", "11-20年", "10~20年")),
        ("20_up", "20 年及以上", "20 years or more", ("20年以上", ">20年", "≥20年", "大于20年")),
    )  # fmt: skip
    choices = tuple(Choice(id=i, zh=zh, en=en, aliases=a) for i, zh, en, a in rows)
    return ProfileField(
        id="years", zh="从业年限", en="Years in practice",
        ask_zh="您从业多少年", ask_en="Your years in practice", choices=choices,
    )  # fmt: skip


def _hospital() -> ProfileField:
    rows = (
        ("tertiary", "三级医院", "Tertiary hospital", ("三级", "三甲", "三级甲等", "三乙", "三级乙等")),
        ("secondary", "二级医院", "Secondary hospital", ("二级", "二甲", "二级甲等", "二乙", "二级乙等")),
        ("primary", "一级及基层", "Primary care", ("一级", "一级医院", "基层", "社区卫生服务中心", "乡镇卫生院")),
    )  # fmt: skip
    choices = tuple(Choice(id=i, zh=zh, en=en, aliases=a) for i, zh, en, a in rows)
    return ProfileField(
        id="hospital", zh="医院级别", en="Hospital level",
        ask_zh="您所在医院的级别", ask_en="Level of your hospital", choices=(*choices, OTHER),
    )  # fmt: skip


class Sample(Record, frozen=True, kw_only=True):
    """What a model wrote for a task, as shown beside it. `labels` are the model's own ("中文 / English")."""

    question: str
    answer: str
    model: str
    labels: tuple[str, ...] = ()


class SurveyTask(Record, frozen=True, kw_only=True):
    """One task as it is asked about, with all that the task list needs when it is kept."""

    key: str
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


class Rule(Record, frozen=True, kw_only=True):
    """When a task is kept. Feedback: by the share of those who would keep it (as it is or amended); inspiration:
    by its priority. Below `at_least` respondents, or where the interval holds the limit, it stays undecided, and
    then `undecided` says what the list does with it until the coordinator decides."""

    keep_share: float = 0.5
    priority: float = 4.0
    at_least: int = 5
    undecided: Literal["keep", "drop"] = "keep"


class SurveyConfig(Record, frozen=True, kw_only=True):
    """All settings of a survey. Fixed once it is open.

    `min_cell`: results of fewer respondents are not shown; `per_person`: ask each respondent only so many of the
    tasks, drawn by chance (0: all); `most_added`: own tasks a respondent may add; `most_shared`: browsers that the
    shared link lets in; `interim`: show figures while answers still come in.
    """

    title_zh: str
    title_en: str = ""
    intro_zh: str = ""
    intro_en: str = ""
    contact: str = ""
    min_cell: int = 5
    level: float = 0.95
    per_person: int = 0
    most_added: int = 3
    most_shared: int = 500
    interim: bool = False
    seed: int = 0
    rule: Rule = Rule()

    def check(self) -> None:
        """`UsageError` on settings that make no sense."""
        if not self.title_zh.strip():
            raise UsageError("a survey needs a title")
        if self.min_cell < 1 or self.rule.at_least < 1:
            raise UsageError("min_cell and at_least are 1 or more")
        if not 0.5 <= self.level < 1:
            raise UsageError(f"level {self.level} is not from 0.5 to below 1")
        if self.per_person < 0 or self.most_added < 0 or self.most_shared < 0:
            raise UsageError("per_person, most_added and most_shared are 0 or more")
        if not 0 < self.rule.keep_share < 1 or not PRIORITY[0] < self.rule.priority < PRIORITY[1]:
            raise UsageError(
                "the rule's limits: keep_share between 0 and 1, priority between 0 and 20"
            )


class _Example(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    zh: str
    en: str


@cache
def examples() -> dict[str, _Example]:
    """task id → its shipped example."""
    return msgspec.yaml.decode((HERE / "examples.yaml").read_bytes(), type=dict[str, _Example])


def proposed() -> tuple[SurveyTask, ...]:
    """The tasks of the taxonomy in force, each with its example where one is shipped."""
    shipped = examples()
    return tuple(_proposed(t, shipped.get(t.id)) for t in taxonomy.tasks().values())


def _proposed(t: taxonomy.Task, example: _Example | None) -> SurveyTask:
    return SurveyTask(
        key=t.id, zh=t.zh, en=t.en, phase=t.phase, definition=t.definition, takes=t.takes, origin=t.origin,
        instruction=t.instruction, wordings=t.wordings,
        example_zh=example.zh if example else "", example_en=example.en if example else "",
    )  # fmt: skip


def by_phase(tasks: Sequence[SurveyTask]) -> list[tuple[str, list[SurveyTask]]]:
    """Tasks in the patient's way through the hospital: (phase id, its tasks), unknown phases last."""
    order = [p.id for p in taxonomy.items("phases")]
    order += [p for p in dict.fromkeys(t.phase for t in tasks) if p not in order]
    grouped = [(p, [t for t in tasks if t.phase == p]) for p in order]
    return [(p, found) for p, found in grouped if found]


def asked(tasks: Sequence[SurveyTask], config: SurveyConfig, holder: str) -> list[SurveyTask]:
    """The tasks one respondent is asked about: all, or `per_person` of them drawn by the respondent's digest."""
    if not config.per_person or config.per_person >= len(tasks):
        return list(tasks)
    drawn = sorted(tasks, key=lambda t: hashlib.sha256(f"{holder}\n{t.key}".encode()).digest())
    mine = {t.key for t in drawn[: config.per_person]}
    return [t for t in tasks if t.key in mine]


READ_S, TAP_S, START_S = 2.0, 1.2, 15.0
"""Seconds to read a task's name and example, for a tap, and for the first page: an assumption, not a measurement."""


def minutes(stage: str, tasks: int) -> float:
    """About how long a respondent needs without writing anything."""
    taps = len(ASKED[stage]) + (stage == "feedback")
    return (START_S + tasks * (READ_S + taps * TAP_S)) / 60
