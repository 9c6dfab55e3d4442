"""Chinese numerals before a measure word as digits: 三次 and 3次, 半月 and 0.5月 are one.

A numeral that is part of a name is none: 十二指肠, 半月线疝, 三七片, 百日咳, 五倍子.
"""

from __future__ import annotations

import re

CN = "零〇一二两三四五六七八九十百千万半"
MEASURED = "次|天|日|周|个月|月|年|岁|小时|分钟|秒|片|粒|丸|袋|支|滴|喷|揿|包|瓶|枚|颗|杯|级|期|度|型|倍|疗程|个疗程|例|胎|指|餐|顿|吸|针"
NAMES = (
    "十二指肠|半月(?:[线板瓣甲襞皱形沟裂]|体(?![检温重])|状(?![况态])|神经|软骨)|百日咳|千日[疮红]|万年[青蒿]|三七(?=[片丸])|五倍子|"
    "[一二三四六八]倍体|半支莲|一支黄花|十滴水|二天油|三颗针|六月[雪寒]|八月[札炸]|九月菊|千年[健艾]|[两三]杯试验|五粒回春|一粒[丸止]"
)
"""What begins with a numeral and means no number."""
_RUN = re.compile(f"[{CN}]+")
_NAME = re.compile(NAMES)
_MEASURE = re.compile(rf"\s*(?:{MEASURED})")
_DIGITS = dict(zip("零〇一二两三四五六七八九", (0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9), strict=True))
_POWERS = {"十": 10, "百": 100, "千": 1000, "万": 10000}


def with_digits(text: str) -> str:
    """The text with its numerals as digits: those before a measure word, and ordinals."""
    return _RUN.sub(_digits, text)


def _digits(match: re.Match[str]) -> str:
    text, start = match.string, match.start()
    if start and text[start - 1] == "第":
        return number(match[0])
    if _MEASURE.match(text, match.end()) and not _NAME.match(text, start):
        # 半月 is half a month's time, as 半个月 is; a bare 月 after other numerals may be the calendar's.
        return "0.5个" if match[0] == "半" and text[match.end()] == "月" else number(match[0])
    return match[0]


def number(written: str) -> str:
    """一百二十 → 120; digits one after the other (二〇二四) are read as such."""
    if written == "半":
        return "0.5"
    if "半" in written:
        return written
    if not any(c in _POWERS for c in written):
        return "".join(str(_DIGITS[c]) for c in written)
    total = section = digit = 0
    for c in written:
        if c == "万":
            total, section, digit = total + (section + digit or 1) * 10000, 0, 0
        elif c in _POWERS:
            section, digit = section + (digit or 1) * _POWERS[c], 0
        else:
            digit = _DIGITS[c]
    return str(total + section + digit)
