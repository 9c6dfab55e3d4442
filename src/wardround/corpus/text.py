"""Chinese source text made clean. Pure functions on strings; layout, punctuation and script change, words never.

`tidy` is for text as read (blanks, broken lines, tags, traditional characters); `typeset` for text about to be shown (full-width
punctuation, nothing doubled, no empty brackets, no pointer to a figure that is not there).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from wardround.corpus.folded import simplified

HAN = r"\u3400-\u9fff"
WIDE = rf"{HAN}\u3000-\u303f\uff00-\uffef“”‘’"
STOP = "，、；：。！？"
CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"

_BLANK = r"[ \t\u00a0\u3000\u200b\ufeff]"
_ATTRIBUTES = r"""(?:\s+[\w:-]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))?)*\s*/?>"""
_UNSEEN = re.compile(r"<!--.*?-->|<(script|style)\b[^>]*>.*?</\1\s*>", re.S | re.I)
_RAISED = re.compile(r"<sup>\s*([-+0-9]{1,3})\s*</sup>", re.I)
_TO_RAISED = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
_INLINE_TAG = re.compile(
    r"</?(?:span|b|i|u|s|strong|em|a|font|sub|sup|small|big|mark|label|code|img|abbr|o:p)"
    + _ATTRIBUTES,
    re.I,
)
_BLOCK_TAG = re.compile(
    r"</?(?:p|br|hr|div|section|article|center|h[1-6]|ul|ol|li|dl|dt|dd|table|thead|tbody|tr|td|th|pre"
    r"|blockquote|html|head|body|title|meta|link|figure|figcaption|video|audio|iframe|input|button|form)"
    + _ATTRIBUTES,
    re.I,
)
_UNTIDY = re.compile(r"[<&\s\u200b\ufeff]")
_PLACEHOLDERS = frozenset(
    {"查看更多", "查看全部", "查看详情", "更多", "详情", "暂无", "暂无数据", "无相关数据", "不详",
     "null", "none", "nan", "n/a", "-", "--", "/", "—", "——"}
)  # fmt: skip
_MORE = re.compile(
    r"(?:\.{2,}|…+)?\s*[\[【]?(?:查看更多|查看全部|查看详情|点击查看)[\]】]?\s*[>＞»]*$"
)
_DANGLING = ("，", "、", "：", ":", "（", "(", "/", "\\", "—", "-", "..", "…")
_NUMBERED = re.compile(rf"(?:[（(]\s*\d{{1,2}}\s*[)）]|\d{{1,2}}\s*[、.．](?!\d)|[{CIRCLED}])")


_LATIN = re.compile(r"[A-Za-z]")
_BROKEN_OFF = re.compile(r"[，。；、）]|是|系指|系由")
_BETWEEN = re.compile(rf"(?<=[{WIDE}]){_BLANK}(?=[{WIDE}])")
_BLANKS = re.compile(rf"{_BLANK}+")
_AT_MARKS = re.compile(rf"(?<=[{STOP}（【]) | (?=[{STOP}）】])")
_TO_WIDE = str.maketrans(",;:!?", "，；：！？")
_POWER = re.compile(
    r"(?<=[×xX*])\s*10\s?\^?\s?(3|6|9|12)(?=\s?[/／]\s?(?:[uμ]?[lL]|m[lL]|升|毫升))"
)
_Step = tuple[tuple[str, ...], re.Pattern[str], str | Callable[[re.Match[str]], str]]
_STEPS: tuple[_Step, ...] = (
    (tuple(",;:!?"), re.compile(rf"(?<=[{WIDE}%℃])[,;:!?]"), lambda m: m[0].translate(_TO_WIDE)),
    (tuple(",;:"), re.compile(rf"(?<=[A-Za-z0-9%])[,;:](?=[{HAN}])"), lambda m: m[0].translate(_TO_WIDE)),
    ((".",), re.compile(rf"(?<=[{HAN}）”])\.(?=[{HAN}\s]|$)"), "。"),
    (("(",), re.compile(rf"\((\d{{1,2}})\)(?=\s*[{HAN}])"), r"（\1）"),
    (("(",), re.compile(rf"(?<=[{WIDE}])\(([^()\n]*)\)"), r"（\1）"),
    (("(",), re.compile(rf"\(([^()\n]*[{HAN}][^()\n]*)\)"), r"（\1）"),
    # A power that lost its place: 6×109/L is 6×10⁹/L, as no laboratory counts in 109ths.
    (("/",), re.compile(r"(?<=/)(c?m)([23])(?![0-9A-Za-z])"), lambda m: m[1] + m[2].translate(_TO_RAISED)),
    (("C",), re.compile(r"(?<=\d)\s?[oº°]C(?![A-Za-z])"), "℃"),
    (("10",), _POWER, lambda m: "10" + m[1].translate(_TO_RAISED)),
    # Pointers to figures and tables that are not there, then brackets with nothing in them.
    (tuple("图表"), re.compile(r"[（(](?:详?见|如|参见)?\s*[图表]\s*\d[^）)\n]{0,8}[）)]"), ""),
    (tuple("（(【“"), re.compile(r"（[\s，、；。：]*）|\([\s,;]*\)|【\s*】|“\s*”"), ""),
    (("患", "病", "直"), re.compile(r"(患者|病人|患儿|直径)\1"), r"\1"),
    (("--",), re.compile(r"(?<=\d)\s*-{2,}\s*(?=\d)"), "～"),
    (tuple(STOP), re.compile(rf"(?<=[，、；：])[，、；：]+|[，、；：]+(?=[。！？])|(?<=[。！？])[{STOP}]+"), ""),
    (tuple(" \t"), re.compile(rf"(?<=[{STOP}（）{CIRCLED}])[ \t]+(?=[{WIDE}])|(?<=[{WIDE}])[ \t]+(?=[{STOP}（）])"), ""),
    (tuple(" \t"), re.compile(r"[ \t]+(?=\n|$)|(?<=\n)[ \t]+"), ""),
)  # fmt: skip
"""What a text must hold one of for the step to find anything (a search for each costs much more), what the step
looks for, and what is put there."""
_SHORT = 64


def tidy(text: str) -> str:
    """Tags and doubled blanks out, blanks between Chinese characters out, broken lines joined, lines that
    repeat the one before dropped. Line breaks that part sentences stay, and so does the power in 10<sup>9</sup>
    (10⁹, not 109). Traditional script becomes simplified here, as every text that is read passes here: the lists,
    rules and frames behind it are simplified, and a sample must not change its script halfway."""
    text = simplified(text)
    if not _UNTIDY.search(text):
        return text
    return _tidy_short(text) if len(text) < _SHORT else _tidy(text)


def _tidy(text: str) -> str:
    lines: list[str] = []
    for raw in _untagged(html.unescape(text) if "&" in text else text).splitlines():
        line = _BETWEEN.sub("", raw.strip())
        line = _AT_MARKS.sub("", _BLANKS.sub(" ", line).strip(" \u3000\ufeff"))
        if not line or (lines and line == lines[-1]):
            continue
        if lines and (glue := _glue(lines[-1], line)) is not None:
            lines[-1] += glue + line
        else:
            lines.append(line)
    return "\n".join(lines)


def _untagged(text: str) -> str:
    """Text without HTML's tags, where a block's tag ends the line; "<" before a number stays."""
    if "<" not in text:
        return text
    text = _RAISED.sub(lambda m: m[1].translate(_TO_RAISED), _UNSEEN.sub("", text))
    return _BLOCK_TAG.sub("\n", _INLINE_TAG.sub("", text))


def _glue(above: str, line: str) -> str | None:
    """What joins a line to the one above it when a sentence was broken there; None when they stay apart."""
    if _NUMBERED.match(line):
        return None
    if above[-1] in "，、" or (above[-1] not in "。！？；：" and _BROKEN_OFF.match(line)):
        return ""
    return " " if _LATIN.match(above[-1]) and _LATIN.match(line[0]) else None


def placeholder(text: str) -> bool:
    """Whether a value only says that there is none."""
    return len(text) < _SHORT and text.strip().lower() in _PLACEHOLDERS


def without_more(text: str) -> str:
    """Text without a web page's trailing "查看更多"."""
    return (_MORE.sub("", text) if "查看" in text else text).strip()


def cut_short(text: str) -> bool:
    """Whether the text breaks off: it ends in an ellipsis, a comma, a colon or an open bracket."""
    stripped = text.rstrip()
    open_bracket = max(stripped.rfind("（"), stripped.rfind("("))
    closed = max(stripped.rfind("）"), stripped.rfind(")"))
    return stripped.endswith(_DANGLING) or open_bracket > closed


def typeset(text: str) -> str:
    """Full-width punctuation in Chinese, single punctuation, no empty brackets or pointers to figures."""
    return _typeset_short(text) if len(text) < _SHORT else _typeset(text)


def _typeset(text: str) -> str:
    """All steps until nothing changes: a mark made full-width may call for its neighbour's change."""
    while True:
        before = text
        for signs, pattern, replacement in _STEPS:
            for sign in signs:
                if sign in text:
                    text = pattern.sub(replacement, text)
                    break
        text = text.strip()
        if text == before:
            return text


# The same symptoms, drugs and examinations come again in document after document.
_tidy_short = lru_cache(maxsize=1 << 16)(_tidy)
_typeset_short = lru_cache(maxsize=1 << 16)(_typeset)


def bare(text: str) -> str:
    """Typeset text without its final punctuation, to stand inside a sentence."""
    return typeset(text).rstrip(STOP + ",;:. ")


def sentence(text: str) -> str:
    """Typeset text that ends with a full stop; one that breaks off is left so, to be caught by its rule."""
    text = typeset(text).rstrip("；; ")
    if not text or text[-1] in "。！？" or cut_short(text):
        return text
    return text[:-1] + "。" if text[-1] == "." and not text[-2:-1].isdigit() else text + "。"


def opening(text: str, at_least: int = 40) -> str:
    """The first sentences of a text, as many as reach `at_least` characters."""
    out = ""
    for piece in re.findall(r"[^。！？\n]*[。！？\n]|[^。！？\n]+$", typeset(text)):
        out += piece.strip()
        if len(out) >= at_least:
            break
    return sentence(out)


def renumbered(text: str) -> str:
    """Text whose one list of circled numbers skips one (①②③⑤) with its numbers in their order; other text as it is."""
    found = [CIRCLED.index(c) + 1 for c in text if c in CIRCLED]
    skips = found and found[0] == 1 and all(a < b for a, b in pairwise(found))
    if not skips or found[-1] == len(found):
        return text
    marks = iter(CIRCLED)
    return re.sub(f"[{CIRCLED}]", lambda _: next(marks), text)


def points(text: str) -> list[str]:
    """The circled-number points of an answer (①…②…) without their numbers; [] when it has fewer than two."""
    pieces = re.split(rf"[{CIRCLED}]", text)
    if len(pieces) < 3:
        return []
    return [p.strip().rstrip("；;") for p in pieces[1:] if p.strip()]
