"""What the columns of a table mean: our own headings, those of 问卷星 (Wenjuanxing) and 腾讯问卷 (Tencent), and a mapping.

A column's target is written as in our own tables: "specialty", "triage.risk", "triage.verdict", "triage.words",
"added.1.name", "remark", "code", "row" (the tool's own number of the answer), "time" (when it was given), "seconds",
"ignore", or "private" (addresses, names and numbers that point to a person: never read). Other tools number their
questions ("1、您的科室", "Q3.…") and write a matrix as one column a row ("第3题(病历总结)", "3、有用程度—病历总结",
"3.有用程度:病历总结"). A heading that says neither task nor question clearly is not guessed at: the mapping names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from wardround.errors import InputError, UsageError
from wardround.metrics.overlap import normalise
from wardround.records import Record
from wardround.survey.design import ASKED, SurveyTask, profile

NAMED = ("code", "row", "time", "seconds", "source", "ignore", "private", "remark")
_META = {
    "row": "序号 编号 答卷编号 答题编号 答题序号 答卷序号 id",
    "time": "提交答卷时间 提交时间 结束答题时间 结束时间 答题结束时间",
    "seconds": "所用时间 答题时长 填写时长 作答时长 用时",
    "ignore": "开始答题时间 开始时间 来源 来源详情 语言 清洗数据结果 智能清洗数据结果 智能清洗数据无效概率 总分 得分 "
    "标签 渠道 用户类型 完成状态",
    "private": "来自ip ip ip地址 ua useragent referrer 昵称 用户标识 用户id 微信昵称 微信openid openid qq 姓名 您的姓名 "
    "手机 手机号 手机号码 您的手机号码 电话 联系方式 联系电话 邮箱 工号 地理位置国家和地区 地理位置国家地区 地理位置省 "
    "地理位置市 地理位置 省份 城市 自定义字段 设备 浏览器 操作系统",
}
_KNOWN = {normalise(word): target for target, words in _META.items() for word in words.split()}
_NUMBERED = re.compile(
    r"^\s*(?:第\s*(\d{1,3})\s*题|Q?\s*(\d{1,3})\s*[、.．:：)）_])\s*(.*)$", re.I | re.S
)
_TAG = re.compile(
    r"[\[【(（][^\[\]【】()（）]{0,8}题[^\[\]【】()（）]{0,4}[\]】)）]|[\[【(（]必[填答][\]】)）]|\*"
)
_SPLIT = re.compile(r"\s*(?:——|—|–|:|：|_|-|\||·)\s*")
_BRACKET = re.compile(r"^(.*?)[(（\[【]([^()（）\[\]【】]+)[)）\]】]\s*$", re.S)
_QUOTED = re.compile(r"[“「『《\"']([^”」』》\"']{1,40})[”」』》\"']")
_ABOUT = {
    "specialty": r"科室|专科|科别|所在科|specialty|department",
    "title": r"职称|title",
    "years": r"年限|工龄|从业|从医|工作(?:了)?(?:多少)?年|years",
    "hospital": r"医院.{0,6}(?:级别|等级|类型|性质)|hospital",
}
_ASKS = {
    "risk": r"风险|后果|危害|危险|\brisk",
    "time": r"省时|节省|节约|省(?:下)?(?:多少|的)?时间|time saved",
    "frequency": r"频率|频次|多久|经常|常用|frequen|how often",
    "usefulness": r"有用|用处|帮助|价值|useful",
    "verdict": r"取舍|去留|是否保留|保留与否|保留还是|verdict",
    "words": r"修改意见|如何修改|怎么改|怎样修改",
}
_ADDED = r"补充|新增|还(?:希望|想|需要)|其[他它]任务|另外|added"
_PARTS = {"example": r"例子|举例|示例|example", "why": r"理由|原因|为什么|why"}
_REMARK = r"意见|建议|备注|还想说|其[他它]想法|remark|comment"


class ColumnMap(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping file. `columns`: heading (or "#n", counted from 1) → target; `questions`: a matrix question's number
    → dimension; `values`: target or dimension → cell → value; `numbers`: whether numbers of other tools are the
    place of an option, from 1, or its value."""

    columns: dict[str, str] = {}
    questions: dict[int, str] = {}
    values: dict[str, dict[str, str | int]] = {}
    numbers: Literal["", "position", "value"] = ""


NONE = ColumnMap()


class Read(Record, frozen=True, kw_only=True):
    """The targets of a table's columns, "" where none is known; `own` when the headings are our own."""

    targets: tuple[str, ...]
    own: bool

    def unknown(self, headings: Sequence[str]) -> list[tuple[int, str]]:
        """Columns nobody could place: number from 1 and heading. One without a heading is passed over."""
        pairs = zip(headings, self.targets, strict=True)
        return [(n, h) for n, (h, t) in enumerate(pairs, start=1) if not t and h.strip()]


def read_mapping(path: Path | None) -> ColumnMap:
    """A mapping file (YAML). `InputError` naming what is wrong with it."""
    if path is None:
        return NONE
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="give a YAML mapping")
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=ColumnMap, strict=False)
    except msgspec.DecodeError as e:
        raise InputError(f"not a mapping: {e}", path=path, hint="see docs/survey.md") from e


def targets_of(stage: str, tasks: Sequence[SurveyTask], most_added: int) -> set[str]:
    """Every target a column of this survey may have."""
    found = {*NAMED, *profile()}
    asked = (*ASKED[stage], *(("verdict", "words") if stage == "feedback" else ()))
    found |= {f"{t.key}.{d}" for t in tasks for d in asked}
    if stage == "inspiration":
        parts = ("name", "example", "why")
        found |= {f"added.{n}.{p}" for n in range(1, most_added + 1) for p in parts}
    return found


def recognise(
    headings: Sequence[str],
    stage: str,
    tasks: Sequence[SurveyTask],
    *,
    most_added: int = 3,
    mapping: ColumnMap = NONE,
) -> Read:
    """The target of each column. `UsageError` where the mapping names what is not there, or two columns are one."""
    known = targets_of(stage, tasks, most_added)
    _check(mapping, known, headings, stage)
    own = any((h.split() or [""])[0] in known and "." in (h.split() or [""])[0] for h in headings)
    reader = _Reader(stage, tasks, mapping, known)
    found = [
        mapping.columns.get(f"#{n}") or mapping.columns.get(h) or reader.target(h)
        for n, h in enumerate(headings, start=1)
    ]
    _no_twins(headings, found)
    return Read(targets=tuple(found), own=own)


def _check(mapping: ColumnMap, known: set[str], headings: Sequence[str], stage: str) -> None:
    places = {f"#{n}" for n in range(1, len(headings) + 1)}
    lost = [h for h in mapping.columns if h not in headings and h not in places]
    if lost:
        raise UsageError(f"the mapping names columns that are not there: {'、'.join(lost[:5])}")
    wrong = sorted({t for t in mapping.columns.values() if t not in known})
    if wrong:
        raise UsageError(
            f"the mapping has targets this survey doesn't: {', '.join(wrong[:5])}",
            hint="a target is a profile field, TASK.DIMENSION, added.1.name, remark, ignore or private",
        )
    asked = (*ASKED[stage], "verdict", "words", "ignore")
    odd = sorted({d for d in mapping.questions.values() if d not in asked})
    if odd:
        raise UsageError(
            f"the mapping's questions: no dimension {', '.join(odd)}",
            hint=f"one of {', '.join(asked)}",
        )


def _no_twins(headings: Sequence[str], found: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for heading, target in zip(headings, found, strict=True):
        if target in ("", "ignore", "private", "time"):
            continue
        if target in first:
            raise UsageError(
                f"two columns are {target}: “{first[target]}” and “{heading}”",
                hint="say in a mapping which is which, or ignore one",
            )
        first[target] = heading


class _Reader:
    """Reads one table's headings."""

    def __init__(
        self, stage: str, tasks: Sequence[SurveyTask], mapping: ColumnMap, known: set[str]
    ) -> None:
        self._stage, self._mapping, self._known = stage, mapping, known
        self._names: dict[str, str] = {}
        for t in tasks:
            for name in (t.key, t.zh, t.en):
                self._names[normalise(name)] = t.key

    def target(self, heading: str) -> str:
        """The target, "" when it is not clear."""
        first = (heading.split() or [""])[0]
        if first in self._known:
            return first
        meta = _KNOWN.get(normalise(heading))
        if meta:
            return meta
        number, said = _question(heading)
        return self._rating(number, said) or self._other(said)

    def _rating(self, number: int, said: str) -> str:
        for title, row in _pairs(said):
            for task_part, other in ((row, title), (title, row)):
                task = self._task(task_part)
                if not task:
                    continue
                dimension = _one(_ASKS, other) or self._mapping.questions.get(number, "")
                if dimension == "ignore":
                    return "ignore"
                target = f"{task}.{dimension}"
                if target in self._known:
                    return target
        return ""

    def matrix(self, heading: str) -> int:
        """The number of the question of which this column is a task's row, though what it asks isn't known; else 0."""
        number, said = _question(heading)
        return number if any(self._task(part) for pair in _pairs(said) for part in pair) else 0

    def _task(self, part: str) -> str:
        plain = normalise(part)
        if plain in self._names:
            return self._names[plain]
        bracket = _BRACKET.match(part)
        if bracket and normalise(bracket[1]) in self._names:
            return self._names[normalise(bracket[1])]
        return ""

    def _other(self, said: str) -> str:
        about = _one(_ABOUT, said)
        if about:
            return about
        if re.search(_ADDED, said, re.I) and self._stage == "inspiration":
            number = re.search(r"(?<!\d)([1-9])(?!\d)", said)
            target = f"added.{number[1] if number else 1}.{_one(_PARTS, said) or 'name'}"
            return target if target in self._known else ""
        return "remark" if re.search(_REMARK, said, re.I) and not _one(_ASKS, said) else ""


def _question(heading: str) -> tuple[int, str]:
    """The question's number (0: none) and what it says, without the tool's own marks."""
    found = _NUMBERED.match(heading)
    number, said = (int(found[1] or found[2]), found[3]) if found else (0, heading)
    return number, _TAG.sub("", said).strip()


def _pairs(said: str) -> Iterable[tuple[str, str]]:
    """Ways to part a heading into a title and a row of its matrix."""
    bracket = _BRACKET.match(said)
    if bracket:
        yield bracket[1].strip(), bracket[2].strip()
    cuts = list(_SPLIT.finditer(said))
    for cut in reversed(cuts):
        yield said[: cut.start()].strip(), said[cut.end() :].strip()
    for quoted in _QUOTED.finditer(said):
        yield said[: quoted.start()] + said[quoted.end() :], quoted[1]
    yield "", said


def _one(patterns: Mapping[str, str], said: str) -> str:
    """The one pattern that fits; "" when none does, or more than one."""
    found = [k for k, p in patterns.items() if re.search(p, said, re.I)]
    return found[0] if len(found) == 1 else ""


def skeleton(headings: Sequence[str], read: Read, stage: str, tasks: Sequence[SurveyTask]) -> bytes:
    """A mapping file to fill in: every column that nobody could place, and every matrix whose question is not told,
    ignored until something else is said."""
    reader = _Reader(stage, tasks, NONE, targets_of(stage, tasks, 0))
    unknown = [(h, reader.matrix(h)) for _, h in read.unknown(headings)]
    body: dict[str, Any] = {
        "columns": {h: "ignore" for h, number in unknown if not number},
        "questions": {number: "ignore" for _, number in unknown if number}, "values": {},
    }  # fmt: skip
    head = (
        "# What the columns of a table are. Put a target in place of `ignore`: specialty, title, years, hospital,\n"
        "# TASK.frequency, TASK.usefulness, TASK.time, TASK.risk, TASK.verdict, TASK.words, added.1.name, remark.\n"
        "# questions: number of a matrix question -> frequency, usefulness, time, risk or verdict.\n"
        "# values: target or dimension -> cell -> value. numbers: position or value.\n"
    )
    return head.encode() + msgspec.yaml.encode(body)
