"""Parts of an item as a page shows them: named in both languages, without the marks that files keep for programs.

A study keeps its parts as they were when it was opened. What stays the same of an item (its body) is shown with
names for raw field names; what is under review is shown letter for letter, since marks point into it.
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from wardround.report.dataset import FIELDS
from wardround.review.item_sources import FIELD_NAMES
from wardround.review.study import Part
from wardround.web.words import pair, t

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


def piece(part: Part, marked: bool = False) -> Markup:
    """One part of an item. Text is escaped; line breaks are kept by CSS. `marked`: words of it can be marked, so that it
    stands letter for letter. Here and not a template's macro, which takes longer and is called for each of them."""
    role, inside = escape(part.role), []
    if part.zh or part.en:
        inside.append(f'<p class="label">{escape(label(part))}</p>')
    if part.picture:
        told = escape(part.text or t("待评影像", "picture under review"))
        inside.append(f'<img src="{escape(part.picture)}" alt="{told}" loading="lazy">')
    if part.text:
        whole = marked and not part.text_en
        place = f' data-part="{escape(part.id)}"' if whole else ""
        inside.append(f'<p class="prose"{place}>{escape(part.text if whole else shown(part))}</p>')
    kind = " data-picture" if part.role == "picture" else ""
    return Markup(f'<div class="piece {role}"{kind}>{"".join(inside)}</div>')
