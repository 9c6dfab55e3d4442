"""The small template language of recipes.yaml, strict on purpose.

    {field}            the field's text, typeset
    {field|filter}     through a filter; {field|filter:3} with a number
    [[ … ]]            left out whole when a field in it is missing or renders empty
    [[ … || … ]]       the second part stands in then

Nothing else is special. An unknown filter, a stray brace or a nested bracket is an error when the recipes
are loaded, not when a document meets them. A required field that renders empty gives no text at all (None).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from wardround import taxonomy
from wardround.corpus.text import bare, opening, sentence, typeset
from wardround.errors import UsageError
from wardround.records import Record

Value = str | tuple[str, ...]
Filter = Callable[[Value, int], str]


class Given(Protocol):
    """Where a template finds its fields: a mapping, or anything with its `get`."""

    def get(self, name: str, /) -> Value | None: ...


_PLACE = re.compile(r"\{([a-z_]+)(?:\|([a-z]+)(?::(\d+))?)?\}")


class Place(Record, frozen=True, kw_only=True):
    """One `{field|filter:number}`."""

    field: str
    filter: str = "text"
    number: int = 0


class Segment(Record, frozen=True, kw_only=True):
    """A run of literals and places; when `optional`, `instead` takes its place if a field is missing."""

    parts: tuple[str | Place, ...]
    optional: bool = False
    instead: tuple[str | Place, ...] = ()


Template = tuple[Segment, ...]


def parse(source: str, where: str) -> Template:
    """Read a template; `UsageError` naming `where` when it is malformed."""
    segments = []
    for i, piece in enumerate(re.split(r"\[\[(.*?)\]\]", source, flags=re.DOTALL)):
        if i % 2 == 0:
            if piece:
                segments.append(Segment(parts=_parts(piece, where)))
            continue
        main, _, other = piece.partition("||")
        segments.append(
            Segment(parts=_parts(main, where), optional=True, instead=_parts(other, where))
        )
    return tuple(segments)


def _parts(piece: str, where: str) -> tuple[str | Place, ...]:
    out: list[str | Place] = []
    end = 0
    for m in _PLACE.finditer(piece):
        out += [piece[end : m.start()], _place(m, where)]
        end = m.end()
    out.append(piece[end:])
    if any(isinstance(p, str) and re.search(r"[{}]|\[\[|\]\]", p) for p in out):
        raise UsageError(
            f"{where}: stray brace or bracket in {piece!r}", hint="see corpus/template.py"
        )
    return tuple(p for p in out if p != "")


def _place(m: re.Match[str], where: str) -> Place:
    name = m[2] or "text"
    if name not in FILTERS:
        raise UsageError(f"{where}: no filter named {name}", hint=f"one of: {', '.join(FILTERS)}")
    return Place(field=m[1], filter=name, number=int(m[3] or 0))


def fields(template: Template, *, required: bool = False) -> list[str]:
    """Field names a template uses, in order; only those outside optional segments when `required`."""
    found: dict[str, None] = {}
    for segment in template:
        parts = segment.instead if required and segment.optional else segment.parts
        if not required:
            parts = (*segment.parts, *segment.instead)
        found.update((p.field, None) for p in parts if isinstance(p, Place))
    return list(found)


def lacking(template: Template, values: Given) -> list[str]:
    """The fields that render to nothing outside optional segments."""
    return [
        p.field
        for segment in template
        for p in (segment.instead if segment.optional else segment.parts)
        if isinstance(p, Place) and _render((p,), values) is None
    ]


def render(template: Template, values: Given) -> str | None:
    """The text, typeset; None when a required field is missing or empty."""
    out = []
    for segment in template:
        text = _render(segment.parts, values)
        if text is None and segment.optional:
            text = _render(segment.instead, values)
        if text is None:
            return None
        out.append(text)
    return typeset("".join(out))


def _render(parts: tuple[str | Place, ...], values: Given) -> str | None:
    out = []
    for part in parts:
        if isinstance(part, str):
            out.append(part)
            continue
        value = values.get(part.field)
        text = FILTERS[part.filter](value, part.number) if value else ""
        if not text:
            return None
        out.append(text)
    return "".join(out)


def items_of(value: Value) -> tuple[str, ...]:
    """A list field's items; a text is split at Chinese list punctuation."""
    if isinstance(value, tuple):
        return value
    return tuple(p.strip() for p in re.split(r"[，、；;,]", value) if p.strip())


def _text(value: Value) -> str:
    return value if isinstance(value, str) else "、".join(value)


def _list(value: Value, _: int) -> str:
    items = [bare(i) for i in items_of(value)]
    # 血常规，耳、鼻、咽拭子细菌培养: an item that is a list itself is set off by a stronger mark.
    return ("，" if any("、" in i for i in items) else "、").join(items)


def _some(value: Value, number: int) -> str:
    items = items_of(value)
    return _list(items[:number], 0) + ("等" if len(items) > number else "")


def _numbered(value: Value, _: int) -> str:
    items = [bare(i) for i in items_of(value)]
    lines = [f"{n}. {item}" for n, item in enumerate(items, start=1)]
    return "；\n".join(lines) + "。" if lines else ""


def _asked(value: Value, _: int) -> str:
    """Questions, numbered, each with its question mark."""
    items = value if isinstance(value, tuple) else (value,)
    return "\n".join(f"{n}. {typeset(item)}" for n, item in enumerate(items, start=1))


def _department(value: Value, _: int) -> str:
    """The most specific label that names a real department; "" when none does."""
    for label in reversed(items_of(value)):
        first = label.split("/")[0].strip()
        specialty = taxonomy.specialty_of([first])
        if specialty == taxonomy.UNMAPPED:
            continue
        # 儿科综合, 中医综合: a web site's drawer, not a department.
        return taxonomy.specialties()[specialty].zh if first.endswith("综合") else first
    return ""


def _crowd(value: Value, _: int) -> str:
    """Who falls ill, without the leading verb; "" when the source says nobody in particular."""
    text = bare(_text(value))
    if re.match(r"[无没]有?(?:特定|特殊|特发|明显)", text) or re.search(
        r"该病|本病|^[A-Z]{2}", text
    ):
        return ""
    return re.sub(
        r"^(?:该病|本病)?(?:患病)?(?:好发于|多见于|常见于|多发于|多发生于|发生于)", "", text
    )


def _duration(value: Value, _: int) -> str:
    """A course of treatment; "" when it names no number."""
    text = bare(_text(value))
    if not re.search(r"\d", text):
        return ""
    text = re.sub(r"^(?:(?:手术)?治疗周期[：:]?|根据[^\d]*一般为)?[约大]*", "", text)
    text = re.sub(r"(?<=[\d天周月年])\s*[-－~—]+\s*(?=\d)", "～", text)
    return re.sub(r"(?<=\d)月", "个月", text)


def _rate(value: Value, _: int) -> str:
    """A proportion or an outlook in words."""
    text = re.sub(r"\.(?=%)", "", bare(_text(value)))
    text = re.sub(r"(?<=[\d%])\s*[-－~—]+\s*(?=\d)", "～", text)
    return re.sub(r"(?<=%)治愈率$", "", text)


FILTERS: dict[str, Filter] = {
    "text": lambda value, _: typeset(_text(value)),
    "bare": lambda value, _: bare(_text(value)),
    "sentence": lambda value, _: sentence(_text(value)),
    "opening": lambda value, number: opening(_text(value), number or 40),
    "list": _list,
    "some": _some,
    "numbered": _numbered,
    "asked": _asked,
    "department": _department,
    "crowd": _crowd,
    "duration": _duration,
    "rate": _rate,
}
"""Filter name → function of the value and the number after the colon (0 when there is none)."""
