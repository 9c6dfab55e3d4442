"""What a rewrite states that none of its sources does: numbers, drugs, doses and how they are given, patients.

A statement may be worded in another way and stay the same: 500mg for 0.5g, 三次 for 3次, qd for 每日一次, 半年 for 6个月,
每8小时一次 for 每日三次, one end of a range, a dose with or without "每次". All these count as known; what is left is new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from wardround.corpus import rules as r
from wardround.corpus.facts import Facts, facts
from wardround.corpus.lexicon import lexicon
from wardround.corpus.tokens import Treatment, on_treatment, rough, stated

_QUANTIFIED = frozenset({"dose", "number", "frequency"})
_SPANS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = tuple(
    (re.compile(said), frozenset(numbers))
    for said, numbers in (
        (r"半年", {"6"}),
        (r"(?<!\d)[一1]年(?!半)", {"12"}),
        (r"一年半|1年半", {"18"}),
        (r"半个?小时", {"30"}),
        (r"半个月", {"15"}),
        (r"(?<!\d)[一1](?:个星期|周|星期)", {"7"}),
        (r"[两二2](?:个星期|周|星期)", {"14"}),
        (r"(?<!\d)[一1]个?月", {"30"}),
    )
)
"""Spans of time that may be told in smaller units."""
_A_DAY = {"1/6h": "4/d", "1/8h": "3/d", "1/12h": "2/d", "1/24h": "1/d"}
_SIGN = re.compile(r"^[<>≤≥±=]+")
_COUNTED = re.compile(r"^(\d+(?:-\d+)?)/")


class Known:
    """What a rewrite may draw on: its `reference`, the `source` passage and the question `asked`. Each line is read once,
    when it is first needed: the lines of a passage come again with the next sample of its document."""

    def __init__(self, reference: str, source: str, asked: str) -> None:
        self.reference, self._source, self._asked = reference, source, asked

    @cached_property
    def text(self) -> str:
        """All three."""
        return "\n".join((self.reference, self._source, self._asked))

    @cached_property
    def told(self) -> Facts:
        """The facts of the reference."""
        return _read(self.reference).facts

    @cached_property
    def facts(self) -> Facts:
        """The facts of all three."""
        return _facts_of_lines(self.text)

    @cached_property
    def treatment_told(self) -> Facts:
        """Of the facts of the reference all drugs, routes, doses, frequencies and numbers of times."""
        return known_facts(_treatment(self.reference).clauses)

    @cached_property
    def treatment(self) -> Facts:
        """The same of all three."""
        return _facts_of_lines(_treatment(self.text).clauses)

    @cached_property
    def numbers(self) -> set[str]:
        """The numbers of all three, in digits or written out."""
        return set[str]().union(*(_read(line).numbers for line in self.text.split("\n") if line))

    def news(self, text: str) -> str:
        """The clauses of `text` that the reference doesn't have word for word: only these can say anything new."""
        theirs = frozenset(rough(self.reference).split("\n"))
        return "\n".join([c for c in rough(text).split("\n") if c not in theirs])


_KINDS = Facts.__struct_fields__


def _facts_of_lines(text: str) -> Facts:
    read = [_read(line).facts for line in text.split("\n") if line]
    return Facts(**{k: frozenset[str]().union(*(getattr(f, k) for f in read)) for k in _KINDS})


class _Line:
    """What one line holds, worked out when asked for."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def facts(self) -> Facts:
        return facts(self._text)

    @cached_property
    def numbers(self) -> set[str]:
        return r.numbers(self._text) | r.written_out(self._text)


@lru_cache(maxsize=1024)
def _read(line: str) -> _Line:
    return _Line(line)


def known_facts(text: str) -> Facts:
    """The facts of a text, as a rewrite is held against them."""
    return _read(text).facts


@lru_cache(maxsize=256)
def _treatment(text: str) -> Treatment:
    return on_treatment(text)


def new_numbers(text: str, news: str, known: Known) -> set[str]:
    """Numbers of `news`, what `text` has anew, that are in `known` neither as they stand nor in other units or words."""
    left = r.numbers_beyond(r.numbers(news), known.reference)
    left = left and left - known.numbers
    if not left:
        return left
    for said, numbers in _SPANS:
        if left & numbers and said.search(known.text):
            left -= numbers
    for kind, name, written in _quantities(text) if left else ():
        told = left & r.numbers(written)
        if told and (_is_known(kind, name, known.told) or _is_known(kind, name, known.facts)):
            left -= told
    return left


def _quantities(text: str) -> Iterable[tuple[str, str, str]]:
    return (s for s in stated(text, lexicon()) if s[0] in _QUANTIFIED)


def _is_known(kind: str, name: str, theirs: Facts) -> bool:
    if kind == "dose":
        return dose_known(name, theirs.doses)
    if kind == "frequency":
        return frequency_known(name, theirs)
    return name in theirs.numbers


def new_drugs(text: str, known: Known) -> set[str]:
    """Drugs that `text` names and `known` does not, by any of its names."""
    may = _treatment(text)
    named = known_facts(may.clauses).drugs if may.drugs is None else may.drugs
    unwritten = {d for d in named if d not in known.text}
    if unwritten:
        unwritten &= known_facts(may.clauses).drugs
    return unwritten - known.treatment.drugs if unwritten else unwritten


def changed_doses(text: str, known: Known) -> set[str]:
    """Doses and frequencies of `text` that `known` does not state."""
    may = _treatment(text)
    if not may.counted:
        return set()
    mine = known_facts(may.clauses)
    left = set(mine.doses | mine.frequencies)
    for part in ("treatment_told", "treatment"):
        if not left:
            break
        theirs: Facts = getattr(known, part)
        left = {
            d
            for d in left
            if not (dose_known(d, theirs.doses) if d in mine.doses else frequency_known(d, theirs))
        }
    return left


def swapped_routes(text: str, news: str, known: Known) -> set[str]:
    """Routes of `text` that no source has, where the reference had one that is gone. A route more or one less is
    no change: "口服" often goes without saying. What is new can only stand in `news`, what `text` has anew."""
    may = _treatment(news)
    if may.routes is not None and not _one_for_another(may.routes, known.reference):
        return set()
    told = known_facts(may.clauses).routes
    if not told or told <= (theirs := known.treatment_told.routes):
        return set()
    mine = known_facts(_treatment(text).clauses).routes
    return set(mine - known.treatment.routes) if mine - theirs and theirs - mine else set()


def _one_for_another(routes: frozenset[str], reference: str) -> bool:
    """Whether one of these routes may stand for another that the reference has."""
    if not routes:
        return False
    theirs = _treatment(reference).routes
    return theirs is None or (bool(theirs) and len(routes | theirs) > 1)


def dose_known(dose: str, theirs: Iterable[str]) -> bool:
    """Whether a dose is among others, its sign or "每次" told or not, or as the ends of a range."""
    values, *mine = _plain_dose(dose)
    parts = [_plain_dose(d) for d in theirs]
    fitting = [ends for ends, *other in parts if _fit(mine, other)]
    return values in fitting or all(any(v in ends for ends in fitting) for v in values)


def _plain_dose(dose: str) -> tuple[tuple[str, ...], str, str, str]:
    """(ends, unit, per, sign) of a dose such as "≤0.5-1g/d"."""
    sign = m[0] if (m := _SIGN.match(dose)) else ""
    body, _, per = dose[len(sign) :].partition("/")
    m = re.match(r"([\d.e+-]*\d)(.*)$", body)
    values, unit = (m[1], m[2]) if m else (body, "")
    ends = tuple(re.split(r"(?<!e)-", values))
    return ends, unit, "" if per == "次" else per, sign


def _fit(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether unit, per and sign agree, the latter two where both are told."""
    return a[0] == b[0] and all(x == y or not x or not y for x, y in zip(a[1:], b[1:], strict=True))


def frequency_known(name: str, theirs: Facts) -> bool:
    """Whether a source tells the same frequency. Times of day and "必要时" are no counts and may be added."""
    mine = _A_DAY.get(name, name)
    if not _COUNTED.match(mine) or mine.endswith(("晚", "晨")):
        return True
    if mine in {_A_DAY.get(f, f) for f in theirs.frequencies}:
        return True
    # "一日量分三次服": the count stands apart from the day.
    count = _COUNTED.match(mine)
    return count is not None and f"{count[1]}次" in theirs.numbers


_AGE = r"(?P<age{0}>\d{{1,3}}|[一二三四五六七八九十]{{1,3}})\s*(?:岁|月龄|个月)(?!以|左右|后|前|至|[-~～—])"
_SEX = r"(?P<sex{0}>[男女])"
_PATIENT = re.compile(
    rf"(?:患者|病人|患儿|某|该)[^，。；\n]{{0,6}}?[，,（(]?\s*{_SEX.format(1)}性?[，,\s]*{_AGE.format(1)}"
    rf"|{_SEX.format(2)}性?[，,]\s*{_AGE.format(2)}"
    rf"|(?:患者|病人|患儿|一例|一名|一位|某)[^。；\n]{{0,6}}?{_AGE.format(3)}[的，,]?\s*{_SEX.format(3)}"
    rf"|{_AGE.format(4)}的?{_SEX.format(4)}性?(?:患者|病人|患儿)"
)
_SOMEONE = re.compile(
    rf"{_SEX.format(1)}[^。；]{{0,12}}?{_AGE.format(1)}|{_AGE.format(2)}[^。；]{{0,6}}?{_SEX.format(2)}"
)
_AGED = re.compile(r"年龄[:：\s]*(\d{1,3})")


def new_patients(text: str, known: Known) -> set[tuple[str, str]]:
    """(sex, age) of patients whom `text` describes and `known` does not."""
    if not (("男" in text or "女" in text) and ("岁" in text or "月" in text)):
        return set()
    mine = {_who(m) for m in _PATIENT.finditer(text)}
    if not mine:
        return set()
    theirs = {_who(m) for m in _SOMEONE.finditer(known.text)}
    ages = _AGED.findall(known.text)
    theirs |= {(sex, age) for age in ages for sex in "男女" if sex in known.text}
    return mine - theirs


def _who(m: re.Match[str]) -> tuple[str, str]:
    g = m.groupdict()
    sex = next(v for k, v in g.items() if k.startswith("sex") and v)
    age = next(v for k, v in g.items() if k.startswith("age") and v)
    return sex, age if age.isdigit() else next(iter(r.written_out(age)), age)
