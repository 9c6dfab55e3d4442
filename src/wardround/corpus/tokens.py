"""Medical text as tokens: facts as single tokens with one name each, words that say nothing left out.

"每日三次", "3次/日" and "tid" are one token, as are "0.5g" and "500mg", or a drug under two names. That makes two
wordings of one fact equal before any comparison, and a name one piece that is the same or another, never a bit of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from wardround.corpus.finder import Finder
from wardround.corpus.folded import narrow, plain, simplified_letters
from wardround.corpus.lexicon import Lexicon, lexicon
from wardround.corpus.numerals import CN, with_digits

NAMES = ("drug", "disease")
FACTS = (*NAMES, "symptom", "dose", "number", "frequency", "route", "side", "sex")


class Token(NamedTuple):
    """`kind` is one of FACTS, "negation", "contrast", "plain", "synonym" (a general word) or "char"; equal `name`
    and kind are the same. `first` opens a clause."""

    kind: str
    name: str
    text: str
    first: bool


_N = r"\d+(?:\.\d+)?|\.\d+"
_RANGE = rf"(?P<low>{_N})(?:\s*[-~—–−至到]\s*(?P<high>{_N}))?"
_DOSE_UNITS = {
    "kg": ("g", 1e3), "千克": ("g", 1e3), "公斤": ("g", 1e3), "g": ("g", 1), "克": ("g", 1), "mg": ("g", 1e-3),
    "毫克": ("g", 1e-3), "μg": ("g", 1e-6), "ug": ("g", 1e-6), "mcg": ("g", 1e-6), "微克": ("g", 1e-6),
    "ng": ("g", 1e-9), "l": ("l", 1), "升": ("l", 1), "ml": ("l", 1e-3), "毫升": ("l", 1e-3), "dl": ("l", 0.1),
    "万单位": ("u", 1e4), "万iu": ("u", 1e4), "万u": ("u", 1e4), "单位": ("u", 1), "iu": ("u", 1), "u": ("u", 1),
    "片": ("片", 1), "粒": ("粒", 1), "丸": ("丸", 1), "袋": ("袋", 1), "支": ("支", 1), "滴": ("滴", 1),
    "喷": ("喷", 1), "揿": ("揿", 1), "包": ("袋", 1), "瓶": ("瓶", 1),
}  # fmt: skip
_UNITS = {
    "天": "d", "日": "d", "d": "d", "周": "w", "星期": "w", "个星期": "w", "个月": "mo", "年": "y", "岁": "y",
    "小时": "h", "个小时": "h", "h": "h", "分钟": "min", "min": "min", "秒": "s", "次": "次", "mmhg": "mmhg",
    "mmol": "mmol", "μmol": "μmol", "umol": "μmol", "cm": "cm", "mm": "mm", "m": "m", "°c": "°", "度": "°",
    "°": "°", "%": "%", "月": "月", "号": "d", "bpm": "次",
}  # fmt: skip


def _any(words: Sequence[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_PER = r"(?:\s*[/每]\s*(?P<per>kg|ml|dl|l|d|h|min|日|天|小时|分钟?|次|片|粒|m2|24h))?"
_QUANTITY = re.compile(
    rf"(?P<sign>[<>≤≥±]=?\s*)?{_RANGE}\s*(?:(?P<dose>{_any(list(_DOSE_UNITS))})(?![a-z])|(?P<unit>{_any(list(_UNITS))})(?![a-z]))?{_PER}"
)
_SPAN = r"(?P<span>\d*(?:\.\d+)?)\s*(?P<what>小时|h|日|天|d|周|星期|月|晚|晨|早|夜|qn)"
_FREQUENCY = re.compile(
    rf"(?:每隔?|一(?=日|天|周))\s*{_SPAN}\s*(?:内)?[,、]?\s*(?:服|用|各|口服|滴|给药)?\s*(?P<n>\d+(?:\s*[-~至到]\s*\d+)?)\s*(?:次|回|餐)"
    rf"|(?<!\d)1\s*(?P<a>日|天|周)\s*(?P<an>\d+(?:\s*[-~至到]\s*\d+)?)\s*(?:次|回)"
    rf"|(?<![\d.隔每])日\s*(?P<dn>\d+)\s*次"
    rf"|(?P<m>\d+(?:\s*[-~至到]\s*\d+)?)\s*(?:次|回)\s*[/每]\s*(?P<per>\d*\s*(?:日|天|d|周|星期|月|小时|h|晚))"
    rf"|(?P<other>隔[日天])(?:\s*1\s*次)?"
    rf"|每隔?\s*(?P<hours>\d+)\s*(?:小时|h)"
    rf"|(?<![a-z])q(?P<q>\d+)h(?![a-z])"
    rf"|(?<![a-z])(?P<latin>qd|bid|tid|qid|qod|qn|prn|biw|qw)(?![a-z])"
)
_LATIN = {
    "qd": "1/d", "bid": "2/d", "tid": "3/d", "qid": "4/d", "qod": "1/2d", "qn": "1/晚", "prn": "prn",
    "biw": "2/w", "qw": "1/w",
}  # fmt: skip
_EACH = {"日": "d", "天": "d", "d": "d", "周": "w", "星期": "w", "月": "mo", "小时": "h", "h": "h", "晚": "晚",
         "夜": "晚", "晨": "晨", "早": "晨", "qn": "晚"}  # fmt: skip
_PER_ONE = {"分": "min", "分钟": "min", "24h": "d"}
_MARKER = re.compile(
    r"[(\d第一二三四五六七八九十](?<![^\s,;。:|].)"
    r"(?:(?<=[(])(?:\d{1,2}[)、]|[一二三四五六七八九十]{1,3}[)])|(?<=\d)\d?(?:[)、]|\.(?!\d))"
    r"|(?<=第)[一二三四五六七八九十]{1,3}[、.是]|(?<=[一二三四五六七八九十])[一二三四五六七八九十]{0,2}[、.是])",
    re.S,
)
"""An item's number: its first character, then what must stand before it, which makes the search quick."""
_CIRCLED = re.compile(r"[\u2460-\u2473\u2474-\u2487\u2488-\u249b]")
_STOPS = re.compile(r"[。;!?\n\r,、|()\[\]{}【】「」『』《》〈〉“”\"'‘’]")
_LOOSE = {".": re.compile(r"(?<=[\u3400-\u9fff])\.|\.(?=\s|$)"), ":": re.compile(r"[:](?!\d)")}
"""What stops a clause in some places only."""
_APART = re.compile(r"(?<=[a-z])\s+(?=[a-z])")
"""Blanks that part words: 0.5g po tid."""
_SIGNS = re.compile(r"\(\s*([-+±]{1,4})\s*\)")
_RAGGED = ".-_*#~·…—"


def clauses(text: str) -> list[str]:
    """The text's clauses in `plain` form, item numbers and blanks (but between Latin words) taken out, Chinese numerals before a measure word
    as digits. Format is gone; what bears meaning stays."""
    text = plain(_CIRCLED.sub("|", text))
    text = _MARKER.sub("|", _SIGNS.sub(_signed, text))
    for sign, stop in _LOOSE.items():
        if sign in text:
            text = stop.sub("|", text)
    text = _APART.sub("\0", with_digits(_STOPS.sub("|", text)))
    text = "".join(text.split()).replace("\0", " ")
    return [c for piece in text.split("|") if (c := piece.strip(_RAGGED))]


def _signed(match: re.Match[str]) -> str:
    """(-) 阴性, (++) 阳性2: a sign in brackets is a result."""
    sign = match[1]
    if sign[0] == "+":
        return f"阳性{len(sign)}" if len(sign) > 1 else "阳性"
    return "阴性" if sign[0] == "-" else "弱阳性"


Span = tuple[int, int, str, str]
"""Start, end (exclusive), kind, name."""


@lru_cache(maxsize=1 << 14)
def tokens(clause: str, words: Lexicon) -> tuple[Token, ...]:
    """Tokens of one clause. Names of drugs and diseases come first (维生素b12 holds no number), then quantities."""
    return tuple(_in_order(clause, *_spans(clause, words)))


def stated(text: str, words: Lexicon) -> list[tuple[str, str, str]]:
    """(kind, name, as written) of each fact of a text: the `tokens` of its clauses without the wording. No word, quantity or frequency reaches over a "|", so all clauses are read at once."""
    joined = "|".join(clauses(text))
    spans, _ = _spans(joined, words, _IS_FACT)
    return [(kind, name, joined[start:end]) for start, end, kind, name in spans]


class Treatment(NamedTuple):
    """What a text may state on drugs and how they are given: it states no drugs and routes but these (None: whatever its
    facts are), and no dose, frequency or number of times where it is not `counted`. All that it does state of them is in
    its `clauses`."""

    clauses: str
    drugs: frozenset[str] | None
    routes: frozenset[str] | None
    counted: bool


_NOTHING = Treatment("", frozenset(), frozenset(), False)
_ON_TREATMENT = frozenset({"drug", "route", "frequency"})
_COPIED = re.compile(r"[^\d.个|\s]+")
"""What stands in a clause as it stood in the text but for blanks: digits may have been numerals, and 0.5个月 was 半月."""
_COUNTS = re.compile(
    rf"[\d{CN}隔(bpqt](?:(?<=[\d{CN}])(?:{_any(list(_DOSE_UNITS))}|次|回|餐|小时|h|bpm)|(?<=隔)[日天]|(?<=\()[-+±]"
    r"|(?<=q)(?:[dnw]|id|od)|(?<=b)i[dw]|(?<=t)id|(?<=p)rn)"
)
"""One of these is in what every dose, frequency and number of times is written as. A sign in brackets becomes a word, with a
digit."""


@cache
def _hints() -> tuple[Finder, list[list[tuple[str, str]]]]:
    """What finds a part of each drug, route and frequency of the shipped lists, and which (kind, name) each part is of."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for word, (kind, name) in lexicon().words().items():
        if kind in _ON_TREATMENT:
            parts.setdefault(max(_COPIED.findall(word), key=len), []).append((kind, name))
    return Finder(list(parts)), list(parts.values())


def rough(text: str) -> str:
    """The text with a line for each of its rough clauses: no fact takes more than one."""
    for stop in "。；，":
        text = text.replace(stop, "\n")
    return text


def on_treatment(text: str) -> Treatment:
    """What `text` may state on treatment, at a fifth of the time of reading it: most texts have nothing of it. Lists of a
    user's own don't count."""
    lines = rough(text)
    made = narrow(lines)
    bare = "".join(made.lower().replace("\n", "\0").split())
    # One line's script tells another's, and a sign in brackets may reach over lines.
    if simplified_letters(made) is not made or "(\0" in bare or "\0)" in bare or "\0" in text:
        return Treatment(text, None, None, True)
    finder, named = _hints()
    found = finder.find(bare)
    counts = [m.start() for m in _COUNTS.finditer(bare)]
    if not found and not counts:
        return _NOTHING
    hints = {hint for which, _, _ in found for hint in named[which]}
    drugs, routes, often = (
        frozenset(name for kind, name in hints if kind == wanted)
        for wanted in ("drug", "route", "frequency")
    )
    pieces = lines.split("\n")
    places = {bare.count("\0", 0, at) for at in (*(start for _, start, _ in found), *counts)}
    clauses = "\n".join(pieces[i] for i in sorted(places))
    return Treatment(clauses, drugs, routes, bool(counts or often))


_IS_FACT = frozenset(FACTS)
_COUNTED = re.compile(r"\d[^|]*")
"""From a clause's first digit to its end: there can't be a quantity where there is none."""
_COUNTABLE = re.compile(r"\d|隔|[bqtp][idnorw]")
"""One of these is in every quantity and frequency."""
_OFTEN = re.compile(r"(?:[次回餐隔每]|q\d|[bqtp][idnorw])[^|]*")
"""Likewise of a frequency."""


def _spans(
    clause: str, words: Lexicon, kinds: frozenset[str] | None = None
) -> tuple[list[Span], bytearray]:
    """What the lists and patterns find in a clause, in order, and which characters that takes; of `kinds` only,
    where given."""
    found = words.matches(clause, kinds)
    busy = bytearray(len(clause))
    if not _COUNTABLE.search(clause):
        for start, end, _, _ in found:
            busy[start:end] = b"\1" * (end - start)
        return found, busy
    taken = [m for m in found if m[2] in NAMES]
    others = [m for m in found if m[2] not in NAMES]
    for start, end, _, _ in taken:
        busy[start:end] = b"\1" * (end - start)
    # The digits of a name (维生素b12) are no part of the quantity behind it.
    bare = _without(clause, taken) if taken else clause
    counted = [(bare.rfind("|", 0, m.start()) + 1, m.end()) for m in _COUNTED.finditer(bare)]
    often = [(bare.rfind("|", 0, m.start()) + 1, m.end()) for m in _OFTEN.finditer(bare)]
    for more in (_frequencies(bare, often), _quantities(bare, counted), others):
        for start, end, kind, name in more:
            if not any(busy[start:end]):
                taken.append((start, end, kind, name))
                busy[start:end] = b"\1" * (end - start)
    taken.sort()
    return taken, busy


def _without(clause: str, names: Sequence[Span]) -> str:
    """The clause with its names blotted out."""
    parts: list[str] = []
    at = 0
    for start, end, _, _ in names:
        parts += (clause[at:start], "\0" * (end - start))
        at = end
    return "".join((*parts, clause[at:]))


_SALT = re.compile(
    r"[钠钾钙镁锌]?(?:片|胶囊|针|颗粒|注射液|分散片|缓释片|肠溶片|混悬液|干混悬剂|软膏|乳膏|粉针|口服液)?"
)


def _in_order(clause: str, spans: Sequence[Span], busy: bytearray) -> Iterator[Token]:
    at, first = 0, True
    for start, end, kind, name in [*spans, (len(clause), len(clause), "", "")]:
        for c in clause[at:start]:
            if c.isalnum() or c in "%+-±<>≤≥=":
                yield Token("char", c, c, first)
                first = False
        if kind == "filler" or not kind:
            at = max(at, end)
            continue
        yield Token(kind, name, clause[start:end], first)
        first = False
        at = end
        if kind == "drug":
            # A salt or form behind a drug's name is no other drug.
            salt = _SALT.match(clause, end)
            if salt and not any(busy[end : salt.end()]):
                at = salt.end()


def _frequencies(text: str, where: Iterable[tuple[int, int]]) -> Iterator[Span]:
    for m in (m for start, end in where for m in _FREQUENCY.finditer(text, start, end)):
        g = m.groupdict()
        if g["n"]:
            name = f"{g['n']}/{_times(g['span'])}{_EACH[g['what']]}"
        elif g["a"] or g["dn"]:
            name = f"{g['an'] or g['dn']}/{_EACH[g['a'] or '日']}"
        elif g["m"]:
            span = re.match(r"\d*", g["per"])
            count = span[0] if span else ""
            name = f"{g['m']}/{_times(count)}{_EACH[g['per'][len(count) :].strip()]}"
        elif g["other"]:
            name = _LATIN["qod"]
        elif g["latin"]:
            name = _LATIN[g["latin"]]
        else:
            name = f"1/{_times(g['hours'] or g['q'])}h"
        yield m.start(), m.end(), "frequency", re.sub(r"[~至到]", "-", name)


def _times(count: str) -> str:
    return "" if count in ("", "1") else count


def _quantities(text: str, where: Iterable[tuple[int, int]]) -> Iterator[Span]:
    for m in (m for start, end in where for m in _QUANTITY.finditer(text, start, end)):
        sign = (m["sign"] or "").strip()
        dose, unit, per = m["dose"], m["unit"], m["per"]
        ends = [m["low"], *([m["high"]] if m["high"] else [])]
        if dose:
            base, factor = _DOSE_UNITS[dose]
            values = "-".join(f"{float(x) * factor:.9g}" for x in ends)
        else:
            base = _UNITS.get(unit or "", "")
            # A year of the calendar is no span of time.
            spans = base == "y" and unit == "年" and max(map(float, ends)) < 1900
            factor = 7 if base == "w" else 12 if spans else 1
            base = "d" if base == "w" else "mo" if spans else base
            values = "-".join(f"{float(x) * factor:.9g}" for x in ends)
        of = f"/{_PER_ONE.get(per) or _EACH.get(per, per)}" if per else ""
        # A count in front of kg is a weight, of grams a dose: both are quantities that must agree.
        yield m.start(), m.end(), "dose" if dose else "number", f"{sign}{values}{base}{of}"
