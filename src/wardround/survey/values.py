"""What a cell of another tool says: option words, option numbers, or nothing.

Tools write a choice as its text ("B.主治医师", "非常有用(5)", "其他〖骨病科〗"), its number, or its score. A cell that says
nothing readable is no answer but a fault of that row (`FaultError`); only an unknown department, title or kind of
hospital counts as "other", and the import says how often.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from wardround.metrics.overlap import normalise
from wardround.survey.design import DIMENSIONS, YEARS, profile

EMPTY = {
    "",
    "(空)",
    "（空）",
    "(跳过)",
    "（跳过）",
    "-2",
    "-3",
    "null",
    "none",
    "nan",
    "n/a",
    "-",
    "—",
    "/",
    "#n/a",
}
_PREFIX = re.compile(r"^\s*(?:[A-Za-z]\s*[.、．)）:：]\s*(?=\S)|\d{1,2}\s*[.、．)）:：]\s*(?=\D))")
_FILLED = re.compile(r"^(.*?)[〖\[【(（]([^〗\]】)）]*)[〗\]】)）]?\s*$", re.S)
_NUMBER = re.compile(r"^([+-]?\d{1,3})(?:\.0+)?\s*(?:分|星|年)?$")
_SAID = {
    "usefulness": {
        1: "没有用 完全没用 完全没有用 无用 没用 毫无用处 完全没有帮助 没有帮助 非常没用",
        2: "用处不大 不太有用 帮助不大 较没用 比较没用",
        3: "有些用 一般 有点用 有些帮助 中等 不确定",
        4: "比较有用 有用 较有用 比较有帮助 有帮助",
        5: "非常有用 很有用 十分有用 非常有帮助 极其有用",
    },
    "frequency": {
        0: "从不 从来不 没有 不涉及 我的工作不涉及 从未",
        1: "每年 每年几次 每年数次 很少 极少 偶尔",
        2: "每月 每月几次 每月数次 有时",
        3: "每周 每周几次 每周数次 经常",
        4: "每天 每日 几乎每天 天天 总是 每天多次",
    },
    "time": {
        0: "不省 不省时间 不能节省 0分钟 没有节省",
        1: "<5分 不到5分钟 5分钟以内 5分钟以下 少于5分钟 <5分钟 1-5分钟",
        2: "5–15分 5到15分钟 5-15分钟 5~15分钟 6-15分钟",
        3: "15–30分 15到30分钟 15-30分钟 15~30分钟 16-30分钟",
        4: ">30分 30分钟以上 超过30分钟 >30分钟 大于30分钟 半小时以上",
    },
    "risk": {
        1: "几乎没有影响 没有风险 无风险 很低 极低 非常低",
        2: "带来不便 带来不便，不影响诊疗 低 较低 风险较低",
        3: "延误或多做检查 中 中等 一般",
        4: "可能造成伤害 高 较高 风险较高",
        5: "可能致残或致死 很高 极高 非常高",
    },
}  # fmt: skip
_VERDICTS = {
    "keep": "保留 保持 同意 keep 留",
    "amend": "修改后保留 修改 需修改 amend 调整 keepamended",
    "drop": "删去 删除 不保留 drop 去掉 剔除",
}


class FaultError(ValueError):
    """A cell that says nothing readable; the message says why, `zh` in Chinese."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh


def is_empty(cell: str) -> bool:
    """Whether a cell is an unanswered question."""
    return cell.strip().lower() in EMPTY


def number(cell: str) -> int | None:
    """The whole number a cell is ("4", "4.0", "4分"), None for other cells."""
    found = _NUMBER.match(cell.strip())
    return int(found[1]) if found else None


def mapped(
    target: str, cell: str, given: Mapping[str, Mapping[str, str | int]]
) -> str | int | None:
    """What the mapping file says a cell of this target is, by the target's own or its dimension's list."""
    words = {
        k: v for name in (target.rpartition(".")[2], target) for k, v in given.get(name, {}).items()
    }
    return words.get(cell.strip(), words.get(_option(cell)))


def rating(dimension: str, cell: str, numbers: str) -> int:
    """A scale's value. `numbers` "position": a number is the place of the option, from 1."""
    values = DIMENSIONS[dimension].values
    n = number(cell)
    if n is not None:
        if numbers == "position":
            if not 1 <= n <= len(values):
                raise FaultError(
                    f"没有第 {n} 个选项（1–{len(values)}）",
                    f"{n} is no option from 1 to {len(values)}",
                )
            return values[n - 1]
        if n not in values:
            raise FaultError(
                f"{n} 不在 {values[0]}–{values[-1]} 之间",
                f"{n} is not from {values[0]} to {values[-1]}",
            )
        return n
    found = _scale_words(dimension).get(_plain(_option(cell)))
    if found is None:
        tail = re.search(r"[(（\[【](\d)\s*分?[)）\]】]\s*$", cell)
        head = _FILLED.match(_option(cell))
        found = _scale_words(dimension).get(_plain(head[1])) if head else None
        if found is None and tail and int(tail[1]) in values:
            found = int(tail[1])
    if found is None:
        raise FaultError(
            f"“{_short(cell)}”不是可选的程度", f"“{_short(cell)}” is none of its levels"
        )
    return found


def verdict(cell: str) -> str:
    """keep, amend or drop."""
    plain = _plain(_option(cell))
    for choice, words in _VERDICTS.items():
        if plain in {_plain(w) for w in words.split()}:
            return choice
    raise FaultError(
        f"“{_short(cell)}”不是保留、修改或删去", f"“{_short(cell)}” is none of keep, amend, drop"
    )


def about(field: str, cell: str, numbers: str) -> tuple[str, bool]:
    """A profile choice, and whether the cell named none of the known ones and became "other"."""
    option = _option(cell)
    filled = _FILLED.match(option)
    for text in (option, *((filled[2], filled[1]) if filled else ())):
        found = _choices(field).get(_plain(text))
        if found and found != "other":
            return found, False
    n = number(cell)
    if field == "years":
        if n is None or numbers == "position" or not 0 <= n < 80:
            raise FaultError(
                f"“{_short(cell)}”看不出年数", f"“{_short(cell)}” is no number of years"
            )
        return next(band for band, (low, high) in YEARS.items() if low <= n < high), False
    if n is not None:
        raise FaultError(
            f"数字 {n} 的含义需要在对照文件的 values 里写明",
            f"the number {n} says nothing without the mapping's `values`",
        )
    return "other", _plain(option) not in ("其他", "其它", "other")


def seconds(cell: str) -> int | None:
    """A duration in seconds ("128秒", "2分8秒", "00:02:08", "128"); None where it can't be read."""
    text = cell.strip()
    clock = re.fullmatch(r"(?:(\d+):)?(\d{1,2}):(\d{2})", text)
    if clock:
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
    parts = re.fullmatch(
        r"(?:(\d+)\s*(?:小)?时)?\s*(?:(\d+)\s*分(?:钟)?)?\s*(?:(\d+(?:\.\d+)?)\s*秒?)?", text
    )
    if not text or not parts or not any(parts.groups()):
        return None
    return int(parts[1] or 0) * 3600 + int(parts[2] or 0) * 60 + round(float(parts[3] or 0))


def _option(cell: str) -> str:
    return _PREFIX.sub("", cell.strip())


def _plain(text: str) -> str:
    """Folded, but with the marks that tell "<5" from ">5"."""
    for mark, word in (
        ("<", "小于"),
        ("＜", "小于"),
        (">", "大于"),
        ("＞", "大于"),
        ("≥", "大于等于"),
    ):
        text = text.replace(mark, word)
    return normalise(re.sub(r"(?<=\d)\s*[-–~～—到至]\s*(?=\d)", "至", text))


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:29] + "…"


@cache
def _scale_words(dimension: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for value, words in _SAID[dimension].items():
        found |= {_plain(w): value for w in words.split()}
    for level in DIMENSIONS[dimension].levels:
        for text in (level.anchor_zh, level.anchor_en, level.zh, level.en):
            found.setdefault(_plain(text), level.value)
    return found


@cache
def _choices(field: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for c in profile()[field].choices:
        for text in (c.id, c.zh, c.en, *c.aliases):
            found.setdefault(_plain(text), c.id)
    return found
