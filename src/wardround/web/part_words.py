"""Parts of an item as a page shows them: named in both languages, without the marks that files keep for programs.

A study keeps its parts as they were when it was opened. What stays the same of an item (its body) is shown with
names for raw field names; what is under review is shown letter for letter, since marks point into it.
"""

from __future__ import annotations

import re

from wardround.report.dataset import FIELDS
from wardround.review.item_sources import FIELD_NAMES
from wardround.review.study import Part
from wardround.web.words import pair

NAMES: dict[str, tuple[str, str]] = {k: (v.zh, v.en) for k, v in FIELDS.items()} | FIELD_NAMES
"""Fields of documents and of test sets → Chinese and English name."""
_HEADING = re.compile(r"^【([^】\n]{1,40})】$", re.MULTILINE)
_ROW = re.compile(r"第 (\d[\d,]*) 行 row \1\b")
_OPTION = re.compile(r"^<([A-Z](?:[,，、 ]*[A-Z])*)>[ \t]*", re.MULTILINE)


def label(part: Part) -> str:
    """What a part is called; a bare field name by its name."""
    if part.zh in (part.en, "") and part.en in NAMES:
        return pair(NAMES[part.en])
    return pair((part.zh or part.en, part.en or part.zh))


def shown(part: Part) -> str:
    """The text of a part nothing points into, in the page's language where it has one: 【field】 with the field's name,
    <A> as the letter of an option, the row of a source said once."""
    text = pair((part.text, part.text_en or part.text))
    named = _HEADING.sub(lambda m: f"【{pair(NAMES[m[1]]) if m[1] in NAMES else m[1]}】", text)
    named = _ROW.sub(lambda m: pair((f"第 {m[1]} 行", f"row {m[1]}")), named)
    return _OPTION.sub(r"\1. ", named) if part.role in ("reference", "answer", "key") else named
