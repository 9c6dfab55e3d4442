"""A user's mapping file: what the fields of their own sources are.

    - files: ["diseases_*.csv"]        # names or paths it speaks of, with * and ?; all when left out
      kind: encyclopedia
      fields:
        name: 疾病名称                  # our field: the source's field
        symptom: {from: 症状, split: "、，；"}      # one text taken apart at these characters
        desc: {from: [概述, 定义]}      # several fields, joined by a line break
        departments: {value: 呼吸内科}  # a constant

A field within an object is named with a dot (`patient.history`), if no field bears that very name. Our fields
of each kind are in `FIELDS`; an encyclopedia takes any further ones too. The result is a row in the shape
that kind's reader knows, so what holds for published schemas (tidying, exclusions) holds for mapped ones.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.errors import UsageError
from wardround.records import Record

FIELDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "encyclopedia": (frozenset({"name"}), frozenset({"departments"})),
    "case": (
        frozenset({"description", "question", "answer"}),
        frozenset({"title", "departments"}),
    ),
    "choice": (
        frozenset({"question", "options", "answer"}),
        frozenset({"explanation", "subject", "exam", "departments"}),
    ),
    "consultation": (
        frozenset({"question", "answer"}),
        frozenset({"title", "history", "departments", "topic"}),
    ),
    "passage": (frozenset({"text"}), frozenset({"headings", "departments"})),
}
"""Kind → fields it needs, fields it may have besides. `question` and `answer` of a case or consultation may be
lists that run side by side; `options` one text, a list, an object of letters, or several fields."""

_LISTS = frozenset({"options", "question", "answer", "headings", "departments"})


class Taken(Record, frozen=True, kw_only=True):
    """Where a field comes from: source fields, or a constant; `split` holds the characters to split at."""

    sources: tuple[str, ...] = ()
    split: str = ""
    value: str | tuple[str, ...] | None = None


class Mapped(Record, frozen=True, kw_only=True):
    """One mapping: the files it speaks of, the kind and its fields. `file` is the mapping file's name."""

    file: str
    kind: str
    fields: dict[str, Taken]
    files: tuple[str, ...] = ()


def load(path: Path) -> tuple[Mapped, ...]:
    """The mappings of a YAML file; `UsageError` naming what is wrong with it."""
    if not path.is_file():
        raise UsageError(f"{path}: no such mapping file", hint="check the path")
    try:
        data = msgspec.yaml.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise UsageError(f"{path}: not YAML: {e}", hint="see docs/sources.md") from e
    entries = data if isinstance(data, list) else [data]
    return tuple(_mapped(path, entry, n) for n, entry in enumerate(entries, start=1))


def _mapped(path: Path, entry: object, number: int) -> Mapped:
    def wrong(what: str, hint: str) -> UsageError:
        return UsageError(f"{path}, mapping {number}: {what}", hint=hint)

    if not isinstance(entry, dict) or not isinstance(entry.get("fields"), dict):
        raise wrong("no fields in it", "a mapping has kind and fields, and files if not for all")
    unknown = sorted(set(map(str, entry)) - {"files", "kind", "fields"})
    if unknown:
        raise wrong(f"nothing is called {', '.join(unknown)}", "it has files, kind and fields")
    kind = entry.get("kind")
    if kind not in FIELDS:
        raise wrong(f"no kind named {kind}", f"one of: {', '.join(FIELDS)}")
    need, may = FIELDS[kind]
    fields = {}
    for name, given in entry["fields"].items():
        try:
            fields[str(name)] = _taken(given)
        except ValueError as e:
            raise wrong(f"field {name}: {e}", "see docs/sources.md") from e
    lacking = sorted(need - fields.keys())
    if lacking:
        raise wrong(f"{kind} needs {', '.join(lacking)}", "say which source field holds it")
    extra = sorted(fields.keys() - need - may) if kind != "encyclopedia" else []
    if extra:
        raise wrong(
            f"{kind} has no field {', '.join(extra)}", f"it has {', '.join(sorted(need | may))}"
        )
    files = entry.get("files", ())
    return Mapped(
        file=path.name, kind=kind, fields=fields,
        files=(files,) if isinstance(files, str) else tuple(map(str, files)),
    )  # fmt: skip


def _taken(given: object) -> Taken:
    if isinstance(given, str):
        return Taken(sources=(given,))
    if isinstance(given, list):
        return Taken(sources=tuple(map(str, given)))
    if not isinstance(given, dict) or ("from" in given) == ("value" in given):
        raise ValueError("neither a field's name nor {from: …} or {value: …}")
    unknown = sorted(set(map(str, given)) - {"from", "split", "value"})
    if unknown:
        raise ValueError(f"nothing is called {', '.join(unknown)}")
    if "value" in given:
        value = given["value"]
        return Taken(value=tuple(map(str, value)) if isinstance(value, list) else str(value))
    source = given["from"]
    names = tuple(map(str, source)) if isinstance(source, list) else (str(source),)
    return Taken(sources=names, split=str(given.get("split", "")))


def of_file(mappings: Sequence[Mapped], path: Path) -> Mapped | None:
    """The first mapping that speaks of this file."""
    for m in mappings:
        if not m.files or any(
            fnmatch.fnmatch(path.name, g) or fnmatch.fnmatch(path.as_posix(), f"*/{g}")
            for g in m.files
        ):
            return m
    return None


class FieldError(UsageError):
    """A mapping names a field that a file does not have: that file can't be read, others can."""


def check(
    mapping: Mapped, path: Path, first: Iterable[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    """`FieldError` when the mapping names a field that none of the file's first rows has."""
    seen = list(first)
    there = sorted({str(k) for row in seen for k in row} | set(columns))
    for name, taken in mapping.fields.items():
        for source in taken.sources:
            if source in there or any(_reach(row, source) is not None for row in seen):
                continue
            raise FieldError(
                f"{mapping.file}: {name} is taken from {source}, which {path.name} does not have",
                hint=f"{path.name} has {', '.join(there)}",
            )


def apply(mapping: Mapped, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under our field names; fields it does not have are left out."""
    out: dict[str, Any] = {}
    for name, taken in mapping.fields.items():
        value = taken.value if taken.value is not None else _found(row, taken)
        if isinstance(value, list) and len(taken.sources) > 1 and name not in _LISTS:
            value = "\n".join(map(str, value))
        if value not in (None, "", [], ()):
            out[name] = list(value) if isinstance(value, tuple) else value
    return out


def _found(row: Mapping[str, Any], taken: Taken) -> Any:
    found = [v for s in taken.sources if (v := _reach(row, s)) not in (None, "")]
    if not found:
        return None
    if len(taken.sources) > 1 and len(found) != 1:
        return found
    value = found[0]
    if taken.split and isinstance(value, str):
        return [p for p in re.split(f"[{re.escape(taken.split)}]+", value) if p.strip()]
    return value


def _reach(row: Mapping[str, Any], name: str) -> Any:
    """A field by its name, or by a dotted path into objects."""
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value
