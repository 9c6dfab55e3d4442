"""Gold: items whose right scores are known beforehand, from a file of rows `{"id": "…", "scores": {field: value}}`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from wardround.errors import InputError
from wardround.review.sources import Source
from wardround.review.study import Field, NewItem, allowed, fits
from wardround.rows import read_json_rows


def with_gold(source: Source, path: Path) -> Source:
    """`source` with the items of the file at `path` as gold, all others up for review.

    Scores no reviewer could ever give would make everybody look wrong, so a row that doesn't fit the study's form or
    items is an `InputError` that names file, row, field and what may stand there. Not every field needs a value.
    """
    fields = {f.id: f for f in source.form}
    there = {i.key: i for i in source.items}
    right: dict[str, dict[str, Any]] = {}
    rows: dict[str, int] = {}
    for number, row in read_json_rows(path):
        wrong = _wrong(row, fields, there, rows)
        if wrong:
            raise InputError(wrong[0], path=path, row=number, hint=wrong[1])
        right[row["id"]], rows[row["id"]] = dict(row["scores"]), number
    if not right:
        raise InputError("holds no gold", path=path, hint=_ROW)
    items = tuple(
        msgspec.structs.replace(i, gold=right[i.key]) if i.key in right else i for i in source.items
    )
    return msgspec.structs.replace(source, items=items)


_ROW = 'a row is {"id": "…", "scores": {"field": value}}'


def _wrong(
    row: Mapping[str, Any],
    fields: Mapping[str, Field],
    there: Mapping[str, NewItem],
    rows: Mapping[str, int],
) -> tuple[str, str] | None:
    """What is wrong with a row, and what to do; None for a good one. `rows`: the ids that came before it."""
    key, scores = row.get("id"), row.get("scores")
    if not isinstance(key, str) or not isinstance(scores, dict) or not scores:
        return "not gold", _ROW
    if key not in there:
        return f"there is no item {key!r}", f"id is an item's key, such as {next(iter(there))!r}"
    if key in rows:
        return f"gold for {key} stands in row {rows[key]} already", "leave one of the two"
    if there[key].content is None:
        return f"gold for {key}, of which there is no draft", "leave it out of the gold file"
    for name, value in scores.items():
        if name not in fields:
            return f"scores: there is no field {name!r}", f"one of: {', '.join(fields)}"
        if not fits(fields[name], value):
            return f"scores: {name} can't be {value!r}", f"{name} is {allowed(fields[name])}"
    return None
