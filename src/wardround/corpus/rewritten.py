"""Whether a rewritten reference may stay: every check is a named rule, in the order a reader would object.

A rewrite is held against three texts: the reference it rewrites, the passage it may draw on, and the question
with its case. What is in none of them (a number, a drug, a dose, a patient) is an invention, however plausible.
The passage is evidence and must not be spoken of.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from wardround.corpus import rules as r
from wardround.corpus.evidence import (
    Known,
    changed_doses,
    known_facts,
    new_drugs,
    new_numbers,
    new_patients,
    swapped_routes,
)
from wardround.records import Answer, Record, Sample

HERE = Path(__file__).with_name("required.yaml")
SHORTEST, LONGEST, SLACK = 0.4, 2.5, 200
"""A rewrite is `SHORTEST` to `LONGEST` times as long as its reference, give or take `SLACK` characters above."""
REPEATED, LEAST_REPEATED = 0.25, 8
"""A rewrite says too much again when this share of it are sentences, each of so many letters at least, that it has said before."""

_SENTENCE_END = re.compile(r"[。！？；\n.!?](?:(?<=[。！？；\n])[。！？；\n]*|(?<=[a-z][.!?])\s)")
"""Its first characters stand first, so that a search skips all others quickly."""
_ITEM_FIRST = frozenset("（(0123456789一二三四五六七八九十-*•·")
_ITEM = re.compile(r"^(?:[（(]?[0-9一二三四五六七八九十]{1,3}[)）、.．]|[-*•·])\s*")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_LETTER = re.compile(r"[A-Za-z]+")
_OPENING = 80


class Part(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One required part of a task's answer; see required.yaml."""

    zh: str
    pattern: str = ""
    opening: str = ""
    names_disease: bool = False
    keeps: tuple[str, ...] = ()

    def missing(self, text: str, reference: str) -> bool:
        """Whether `text` lacks the part though `reference` has it."""
        if self.keeps:
            return any(re.search(k, reference) and not re.search(k, text) for k in self.keeps)
        if not self._lacks(text) or self._lacks(reference):
            return False
        return not (self.names_disease and _same_disease(text[:_OPENING], reference))

    def _lacks(self, text: str) -> bool:
        if self.opening:
            return re.search(self.opening, text[:_OPENING]) is None
        return re.search(self.pattern, text) is None


def _same_disease(text: str, reference: str) -> bool:
    return bool(known_facts(text).diseases & known_facts(reference).diseases)


class _File(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    required: dict[str, tuple[Part, ...]]


@cache
def required() -> dict[str, tuple[Part, ...]]:
    """Task → what its answers must hold."""
    return msgspec.yaml.decode(HERE.read_bytes(), type=_File).required


class Broken(Record, frozen=True, kw_only=True):
    """A broken rule and what to tell the model, in Chinese."""

    rule: str
    why: str


class Rewrite(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A model's rewrite (`text`) and what it is held against: the `reference` it rewrites, the `source` passage, the question
    `asked`."""

    text: str
    finish_reason: str | None
    reference: str
    source: str
    asked: str
    task: str


def rewrite_of(answer: Answer, sample: Sample, source: str) -> Rewrite:
    """What a model answered for a sample, made from the passage `source`."""
    text = (answer.text or "").strip()
    return Rewrite(text, answer.finish_reason, sample.output, source, sample.input, sample.task)


def broken_rule(answer: Answer, sample: Sample, source: str) -> Broken | None:
    """The first rule a rewrite breaks; None when it may be kept."""
    return verdict(rewrite_of(answer, sample, source))


def verdict(given: Rewrite) -> Broken | None:
    """The same: what is quick to see goes before what takes reading."""
    name = _of_form(given) or _of_content(given)
    if name:
        return Broken(rule=name, why=r.RULES[name])
    part = _missing_part(given.text, given.reference, given.task)
    return Broken(rule="required_part_missing", why=part) if part else None


def _of_form(given: Rewrite) -> str:
    text, reference = given.text, given.reference
    if not text:
        return "empty"
    if r.apology_or_refusal(text):
        return "apology_or_refusal"
    if r.mentions_passage(text, reference):
        return "mentions_passage"
    if given.finish_reason == "length" or r.unfinished(text):
        return "unfinished"
    if wrong_language(text, reference):
        return "wrong_language"
    if len(text) < SHORTEST * len(reference):
        return "too_short"
    if len(text) > LONGEST * len(reference) + SLACK:
        return "too_long"
    return "repeats_itself" if repeats_itself(text, reference) else ""


def _of_content(given: Rewrite) -> str:
    text, reference, task = given.text, given.reference, given.task
    known = Known(reference, given.source, given.asked)
    if new_patients(text, known):
        return "invented_case"
    news = known.news(text)
    if new_numbers(text, news, known):
        return "number_not_in_source"
    if task == "triage" and r.several_departments(text):
        return "several_departments"
    if task == "triage" and department_changed(text, reference):
        return "department_changed"
    if not news:
        return ""
    if new_drugs(news, known):
        return "drug_not_in_source"
    return "dose_changed" if changed_doses(news, known) or swapped_routes(text, news, known) else ""


def _missing_part(text: str, reference: str, task: str) -> str:
    """What required part is missing, in words for the model; "" when none is."""
    return next((p.zh for p in required().get(task, ()) if p.missing(text, reference)), "")


def wrong_language(text: str, reference: str) -> bool:
    """Whether a Chinese reference became a text that is not mostly Chinese."""
    return not _chinese(text) and _chinese(reference)


def _chinese(text: str) -> bool:
    """Whether at least as many letters are Chinese characters as Latin: mostly the first sentence has more of them than
    the text has of ASCII, and that is quick to count."""
    return _as_many_han(text, len(text.encode("ascii", "ignore"))) or _as_many_han(
        text, sum(map(len, _LETTER.findall(text)))
    )


def _as_many_han(text: str, wanted: int) -> bool:
    """Whether a text has so many Chinese characters."""
    for han in _HAN.finditer(text) if wanted else ():
        wanted -= han.end() - han.start()
        if wanted <= 0:
            return True
    return wanted <= 0


def repeats_itself(text: str, reference: str) -> bool:
    """Whether `REPEATED` of a text is sentences or lines that it has said before, and more than of its reference."""
    said = _repeated(text)
    return said >= REPEATED and said > _repeated(reference)


def _repeated(text: str) -> float:
    """The share of a text's letters in sentences that stood in it before; short ones (多饮水。) may come again, but not
    the text as a whole."""
    pieces = [
        s if s[:1] not in _ITEM_FIRST else _ITEM.sub("", s, 1)
        for s in map(str.strip, _SENTENCE_END.split(text))
    ]
    letters = "".join(pieces)
    # What is one part over and over has its beginning again before its middle.
    if len(letters) >= LEAST_REPEATED and letters.find(letters[: LEAST_REPEATED // 2], 1) > 0:
        period = (letters + letters).find(letters, 1)
        if period < len(letters):
            return 1 - period / len(letters)
    longer = [s for s in pieces if len(s) >= LEAST_REPEATED]
    once = set(longer)
    if len(once) == len(longer):
        return 0.0
    return (sum(map(len, longer)) - sum(map(len, once))) / len(letters)


def department_changed(text: str, reference: str) -> bool:
    """Whether a triage answer names another department first than its reference, or none."""
    wanted = r.first_department(reference)
    return bool(wanted) and r.first_department(text) != wanted
