"""A study of a test set's own items: those that no doctor has signed yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wardround.errors import InputError, UsageError
from wardround.review import forms
from wardround.review.sources import Gold, Source, part_of, record_of, specialty_id
from wardround.review.study import NewItem, Part
from wardround.rows import ITEMS, read_json_rows, text_of

_META = (
    "id",
    "review",
    "author",
    "pair",
    "group",
    "kind",
    "task",
    "category",
    "specialty",
    "title",
)


def from_items(given: str, gold: Gold | None = None) -> Source:
    """The items of a test set's file, or of a shipped one by its name; those signed already are left out."""
    path = ITEMS / f"{given}.jsonl" if (ITEMS / f"{given}.jsonl").is_file() else Path(given)
    items, signed = [], 0
    for number, row in read_json_rows(path):
        if text_of(row, "review") not in ("", "unreviewed"):
            signed += 1
            continue
        key = text_of(row, "id") or f"row-{number}"
        about = " · ".join(
            t for k in ("title", "category", "dimension", "task") if (t := text_of(row, k))
        )
        body = (part_of("about", "note", "题目", "Item", f"{key} {about}".strip()),)
        content = tuple(_texts(row))
        if not content:
            raise InputError("no text to review", path=path, row=number)
        items.append(
            NewItem(
                key=key, specialty=specialty_id(text_of(row, "specialty") or text_of(row, "category")),
                body=body, content=content, data={"row": number}, gold=(gold or {}).get(key),
            )
        )  # fmt: skip
    if not items:
        raise UsageError(f"{path}: all {signed} items are signed already")
    return Source(
        kind="item", form=forms.sign_form(), items=tuple(items),
        record=record_of(path, (), "items", name=path.name, signed=signed),
        guide_zh="审定题目：题干、答案、依据。需要改动时直接改文字，并在意见里说明。",
        guide_en="Sign the item: question, answer, grounds. Mend the text where needed and say why.",
    )  # fmt: skip


def _texts(row: Mapping[str, Any]) -> Iterator[Part]:
    """The item's texts as parts under their fields' names; nested ones as a line each."""
    for name, value in row.items():
        if name in _META:
            continue
        if isinstance(value, Mapping):
            text = "\n".join(f"{k}. {v}" for k, v in value.items())
        elif isinstance(value, list):
            text = "\n".join(_listed(v) for v in value)
        else:
            text = "" if value is None else str(value)
        if text:
            role = "source" if name == "source" else "answer" if name == "answer" else "step"
            yield part_of(name, role, name, name, text)


def _listed(value: object) -> str:
    if isinstance(value, Mapping):
        return " · ".join(f"{k}: {v}" for k, v in value.items())
    return str(value)
