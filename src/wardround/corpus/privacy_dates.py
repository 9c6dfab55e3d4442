"""Exact dates → intervals. A date with its day becomes its distance from the document's first date.

The first exact date that is read is 第1天; a later one 第N天, an earlier one 第1天前N天. A document's only date is 某日:
there is no interval to tell, and "去年第1天" would be New Year's Day. 今年 or 去年 before a date that becomes an
interval goes with it. A date without its year takes the year nearest to the date or month before it. A birth date keeps its year only. A month (2019年3月) becomes an
interval in months where the document has an exact date, and is left for a human where it has none. Years, ages,
durations and the dates of public events (a world day, a regulation coming into force) stay. An impossible date
(2月30日) is left for a human.

`find` gives places and what is written there; `Calendar` gives each its replacement, in reading order.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator

from wardround.corpus.privacy_spans import holds
from wardround.records import Record

MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FULL_YEAR = re.compile(r"(?:19|20)[0-9]{2}(?: ?[\-/.] ?[0-9]|[0-9]{4}|(?<=/[0-9]{4}))")
_NUMBERISH = re.compile(r"[0-9][0-9 \-/.,]{3}")
_THREE = re.compile(r"[0-9][\-/.][0-9]{1,2}[\-/.][0-9]")
_EN = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_HAN_DIGITS = {c: i for i, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "○": 0, "O": 0}
_N = "一二三四五六七八九十"

_CN = re.compile(
    r"(?<![0-9])(?:((?:19|20)?[0-9]{2})[ ]?年[ ]?)?(1[0-2]|0?[1-9])[ ]?月[ ]?(3[01]|[12][0-9]|0?[1-9])"
    r"(?:[ ]?[日号]|(?=[ ]?(?:起|开始|左右|上午|下午|晚|夜|晨|凌晨|[0-2]?[0-9][:：时]))"
    # a date with its year that lost its 日: 2011年2月25急性起病
    r"|(?(1)(?=[\u3400-\u9fff])(?![个例次天周岁人名床份]|余|多)|(?!)))"
    r"(?:[ ]?[\-~～至到、][ ]?(?![0-9]{1,2}[ ]?月)(3[01]|[12][0-9]|0?[1-9])[ ]?[日号])?"
)
_SOME = re.compile(rf"[0-9{_N}] ?月 ?[0-9{_N}]")
_HAN_DATE = re.compile(
    rf"(?:([〇零○一二三四五六七八九]{{4}})年)?([{_N}]{{1,2}})月([{_N}]{{1,3}})[日号]"
)
_YMD = re.compile(
    r"(?<![0-9A-Za-z.])((?:19|20)[0-9]{2})[ ]?([\-/.])[ ]?(1[0-2]|0?[1-9])[ ]?\2[ ]?(3[01]|[12][0-9]|0?[1-9])(?![0-9])(?!\.[0-9])"
)
_COMPACT = re.compile(
    r"(?<![0-9A-Za-z.\-/_])((?:19|20)[0-9]{2})(1[0-2]|0[1-9])(3[01]|[12][0-9]|0[1-9])(?![0-9A-Za-z.\-/_%])"
)
_NOT_DATE_BEFORE = re.compile(r"(?:批号|编号|编码|号码|项目|基金|准字|第|号[:：])[^0-9]{0,3}$")
_UNIT_AFTER = re.compile(r"\s?(?:IU|U|拷贝|个|copies|/|元|×|号)", re.I)
_SHORT = re.compile(
    r"(?:日期|时间|于|出生|生日|[初复二三四]诊)[:：\s]{0,3}(([0-9]{2})([\-/.])(1[0-2]|0?[1-9])\3(3[01]|[12][0-9]|0?[1-9]))(?![0-9])"
)
_CLOCKED = re.compile(
    r"(0[1-9]|1[0-2])-(3[01]|[12][0-9]|0[1-9])(?= +(?:[01]?[0-9]|2[0-3])[:：][0-5][0-9])"
)
_IN_NUMBER = frozenset("0123456789-/.")
_SAME_MONTH = re.compile(r"(?:同|本|当)月(3[01]|[12][0-9]|0?[1-9])[日号]")
_EN_MDY = re.compile(
    rf"(?<![A-Za-z])({_EN}) ?(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)?,? ((?:19|20)[0-9]{{2}})(?![0-9])"
)
_EN_DMY = re.compile(
    rf"(?<![0-9])(3[01]|[12][0-9]|0?[1-9])(?:st|nd|rd|th)? ({_EN}),? ((?:19|20)[0-9]{{2}})(?![0-9])"
)
_US = re.compile(
    r"(?<![0-9/.])(1[0-2]|0?[1-9])/(3[01]|[12][0-9]|0?[1-9])/((?:19|20)[0-9]{2})(?![0-9/])"
)
_MONTH = re.compile(
    r"(?<![0-9])((?:19|20)[0-9]{2})[ ]?年[ ]?(1[0-2]|0?[1-9])[ ]?月(?:份)?(?![ ]?[0-9]{1,2}(?:[日号]|(?=[\u3400-\u9fff])(?![个例次天周岁人名床份余多])))"
)

_LEADS = frozenset({"今年", "去年", "前年", "当年", "同年", "本年"})
_BIRTH = re.compile(r"(?:出生|生日|生于|诞辰|DOB|birth)[^0-9，,。；;\n]{0,12}$", re.I)
_PUBLIC = re.compile(
    r"[，,]?\s?(?:起|开始|正式|是|为|定为|被定为|全国|在[^，。]{2,8})?\s?"
    r"(?:发布|颁布|公布|实施|施行|生效|上市|获批|批准|修订|出版|发表|印发|国际|世界|全国|国家|联合国|世卫|WHO|FDA|CDC|爱|护|助残|中国)"
)
_PUBLIC_BEFORE = re.compile(r"(?:每年|每年的|农历|阴历|国庆节?|元旦|截至|截止)[^0-9，。；]{0,3}$")
_ANY_YEAR = 2000


class Written(Record, frozen=True, kw_only=True):
    """A date as written: `year` is None where it was left out, `day` None in a month, `month` 0 for 同月.

    `birth` says that a birth date's cue stands before it; `lead` is 今年, 去年 … where one does."""

    start: int
    end: int
    year: int | None
    month: int
    day: int | None
    birth: bool = False
    lead: str = ""


def find(text: str) -> list[Written]:
    """The exact dates and months in one text's view, in order, longest first where they overlap."""
    found: list[Written] = []
    for written in sorted(_candidates(text), key=lambda w: (w.start, -(w.end - w.start))):
        if found and written.start < found[-1].end:
            continue
        before = max(0, written.start - 16)
        if _PUBLIC.match(text, written.end) or _PUBLIC_BEFORE.search(text, before, written.start):
            continue
        found.append(written)
    return found


def impossible(written: Written) -> bool:
    """Whether no calendar has this day."""
    return (
        written.month > 0
        and written.day is not None
        and _day(written.year or _ANY_YEAR, written) is None
    )


class Calendar:
    """One document's dates: fed in reading order, it says what each becomes."""

    def __init__(self, dates: list[Written]) -> None:
        """`dates`: all of the document's, in reading order; the first exact one that is no birth date is 第1天."""
        exact = [d for d in dates if d.day is not None and not d.birth]
        self.only = len(exact) == 1 and not any(d.day is None and d.year for d in dates)
        first = next((d.year for d in exact if d.year is not None), None)
        self.last = dt.date(first or _ANY_YEAR, 7, 1)
        self.base: dt.date | None = None
        if exact:
            self.base = next((d for d in map(self._resolved, exact) if d is not None), None)
            if self.base:
                self.last = self.base

    def replacement(self, written: Written) -> str | None:
        """What stands in the date's place; None when it stays for a human to see."""
        if written.birth:
            return f"{written.year}年" if written.year else "[生日]"
        if written.day is None:
            return self._months(written)
        day = self._resolved(written)
        if day is None or self.base is None:
            return None
        self.last = day
        if self.only:
            return f"{written.lead}某日"
        distance = (day - self.base).days
        return f"第{distance + 1}天" if distance >= 0 else f"第1天前{-distance}天"

    def _months(self, written: Written) -> str | None:
        if self.base is None or written.year is None:
            return None
        self.last = dt.date(written.year, written.month, 15)
        distance = (written.year - self.base.year) * 12 + written.month - self.base.month
        if distance == 0:
            return "第1天当月"
        return f"第1天后约{distance}个月" if distance > 0 else f"第1天前约{-distance}个月"

    def _resolved(self, written: Written) -> dt.date | None:
        if written.month == 0:
            return _day(self.last.year, written, self.last.month)
        if written.year is not None:
            return _day(written.year, written)
        near = [_day(self.last.year + shift, written) for shift in (0, -1, 1)]
        days = [d for d in near if d is not None]
        return min(days, key=lambda d: abs((d - self.last).days)) if days else None


def _day(year: int, written: Written, month: int = 0) -> dt.date | None:
    try:
        return dt.date(year, written.month or month, written.day or 1)
    except ValueError:
        return None


def _candidates(text: str) -> Iterator[Written]:
    if "月" in text:
        yield from _chinese(text)
    if not _NUMBERISH.search(text):
        return
    if _FULL_YEAR.search(text):
        yield from _numeric(text)
    if ("20" in text or "19" in text) and holds(text, MONTH_NAMES):
        yield from _english(text)
    for m in _SHORT.finditer(text) if _THREE.search(text) else ():
        yield _written(text, m.start(1), m.end(1), _full_year(m[2]), int(m[4]), int(m[5]))
    for m in _CLOCKED.finditer(text) if "-" in text and ":" in text else ():
        if text[m.start() - 1 : m.start()] not in _IN_NUMBER:
            yield _written(text, m.start(), m.end(), None, int(m[1]), int(m[2]))


def _chinese(text: str) -> Iterator[Written]:
    for near in _SOME.finditer(text):
        # The year before a month, the day and the end of a range behind it.
        low, high = max(0, near.start() - 9), near.end() + 14
        for m in _CN.finditer(text, low, high):
            year = _full_year(m[1]) if m[1] else None
            end = m.end()
            if m[4]:
                end = m.end(3) + (text[m.end(3)] in "日号")
                yield _written(text, m.start(4), m.end(), year, int(m[2]), int(m[4]))
            lead = "" if m[1] else text[max(0, m.start() - 2) : m.start()]
            yield _written(text, m.start(), end, year, int(m[2]), int(m[3]), lead)
        for m in _HAN_DATE.finditer(text, low, high):
            year = int("".join(str(_HAN_DIGITS[c]) for c in m[1])) if m[1] else None
            month, day = _han_number(m[2]), _han_number(m[3])
            if 1 <= month <= 12 and 1 <= day <= 31 and (year is None or 1900 <= year <= 2100):
                yield _written(text, m.start(), m.end(), year, month, day)
    for m in _SAME_MONTH.finditer(text):
        yield _written(text, m.start(), m.end(), None, 0, int(m[1]))
    for m in _MONTH.finditer(text) if "年" in text else ():
        yield _written(text, m.start(), m.end(), int(m[1]), int(m[2]), None)


def _numeric(text: str) -> Iterator[Written]:
    for m in _YMD.finditer(text):
        yield _written(text, m.start(), m.end(), int(m[1]), int(m[3]), int(m[4]))
    for m in _COMPACT.finditer(text):
        before = max(0, m.start() - 8)
        if _NOT_DATE_BEFORE.search(text, before, m.start()) or _UNIT_AFTER.match(text, m.end()):
            continue
        yield _written(text, m.start(), m.end(), int(m[1]), int(m[2]), int(m[3]))
    for m in _US.finditer(text):
        yield _written(text, m.start(), m.end(), int(m[3]), int(m[1]), int(m[2]))


def _english(text: str) -> Iterator[Written]:
    for m in _EN_MDY.finditer(text):
        month = MONTH_NAMES.index(m[1][:3]) + 1
        yield _written(text, m.start(), m.end(), int(m[3]), month, int(m[2]))
    for m in _EN_DMY.finditer(text):
        month = MONTH_NAMES.index(m[2][:3]) + 1
        yield _written(text, m.start(), m.end(), int(m[3]), month, int(m[1]))


def _written(
    text: str, start: int, end: int, year: int | None, month: int, day: int | None, lead: str = ""
) -> Written:
    birth = bool(_BIRTH.search(text, max(0, start - 16), start))
    lead = lead if lead in _LEADS else ""
    return Written(
        start=start - len(lead), end=end, year=year, month=month, day=day, birth=birth, lead=lead
    )


def _full_year(written: str) -> int:
    year = int(written)
    if year >= 100:
        return year
    return 2000 + year if year < 50 else 1900 + year


def _han_number(written: str) -> int:
    if "十" not in written:
        return _HAN_DIGITS[written] if len(written) == 1 else 0
    tens, _, units = written.partition("十")
    if len(tens) > 1 or len(units) > 1 or "十" in units:
        return 0
    return (_HAN_DIGITS[tens] if tens else 1) * 10 + (_HAN_DIGITS[units] if units else 0)
