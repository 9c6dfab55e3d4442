"""What the readers of all kinds share: a document to be, and fields made into tidy text."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from wardround.corpus.template import Value
from wardround.corpus.text import cut_short, placeholder, tidy, without_more

TITLE = 60
_SHORT = 64


class Draft:
    """A document to be: title, fields, departments; and what of its row was left aside (reason, detail)."""

    __slots__ = ("aside", "departments", "fields", "title")

    def __init__(self, title: str, fields: dict[str, Value], departments: Value = ()) -> None:
        self.title = title
        self.fields = {k: v for k, v in fields.items() if v}
        self.departments = departments
        self.aside: list[tuple[str, str]] = []


def listed(value: object) -> list[Any]:
    """A list as it is, anything else as a list of one; nothing as none."""
    if isinstance(value, list):
        return value
    return [] if value in (None, "") else [value]


def text(value: object) -> str:
    """A field as tidied text; lines when it is a list of texts; "" when it is neither."""
    if isinstance(value, str):
        return tidy(value)
    if isinstance(value, list):
        return "\n".join(filter(None, map(text, value)))
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def content(value: object) -> Value:
    """A field as text or a list of texts, without placeholders; "" or () when there is nothing in it."""
    if isinstance(value, list):
        return tuple(dict.fromkeys(filter(None, map(_item, value))))
    found = without_more(text(value))
    return "" if placeholder(found) else found


def _item(value: object) -> str:
    """A list's item; "" when there is nothing in it or it breaks off."""
    if isinstance(value, str) and len(value) < _SHORT:
        return _short_item(value)
    found = "" if isinstance(value, list) else without_more(text(value))
    return "" if placeholder(found) or cut_short(found) else found


@lru_cache(1 << 16)
def _short_item(value: str) -> str:
    """The same symptoms, drugs and examinations come again in document after document."""
    found = without_more(tidy(value))
    return "" if placeholder(found) or cut_short(found) else found


def shortened(words: str, most: int = TITLE) -> str:
    """A title made of a text's first line, of at most `most` characters."""
    first = words.split("\n", 1)[0]
    return first if len(first) <= most else first[: most - 1] + "…"
