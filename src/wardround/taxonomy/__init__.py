"""The closed lists the product is built on: YAML files here, loaded into typed objects, repeated nowhere.

Each list is one file with `items`; every item has id, zh, en, definition and origin ("published": named in
the published work; "reconstructed": the publication gives only the count and we filled it in; "survey": doctors
asked for it in a needs survey). The origins are kept apart wherever a list is shown. A user overrides a list by
putting a file of the same name into the folder named by the environment variable WARDROUND_TAXONOMY.
"""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from wardround.errors import InputError, UsageError
from wardround.records import Record

HERE = Path(__file__).parent
UNMAPPED = "unmapped"


class Item(Record, frozen=True, kw_only=True):
    """One entry of a closed list."""

    id: str
    zh: str
    en: str
    definition: str
    origin: Literal["published", "reconstructed", "survey"]


class Task(Item, frozen=True, kw_only=True):
    """One clinical task. `category` in DoctorFLAN is `en`; `instruction` is the task's fixed instruction, and
    `wordings` say the same in other words."""

    phase: str
    takes: Literal["case", "query"]
    instruction: str
    wordings: tuple[str, ...] = ()


class Specialty(Item, frozen=True, kw_only=True):
    """One specialty, with the department names sources use for it."""

    aliases: tuple[str, ...] = ()


class Label(Item, frozen=True, kw_only=True):
    """One label of a picture, with the other names it goes by (beside id, zh and en)."""

    aliases: tuple[str, ...] = ()


class Dimension(Item, frozen=True, kw_only=True):
    """One ethics or safety dimension."""

    group: str = ""


class Anchor(Record, frozen=True, kw_only=True):
    """What one level of a scale means."""

    zh: str
    en: str


class RubricDimension(Item, frozen=True, kw_only=True):
    """One dimension of a rationale, with what its levels mean: level 1 first."""

    definition_en: str = ""
    anchors: tuple[Anchor, ...] = ()


LISTS: dict[str, type[Item]] = {
    "tasks": Task,
    "phases": Item,
    "specialties": Specialty,
    "dimensions": Dimension,
    "rubric": RubricDimension,
    "fundus_labels": Label,
    "oct_labels": Label,
    "cxr_faults": Label,
    "report_errors": Item,
}
"""Name of each list (its YAML file's stem) → the type of its items."""


def _file(name: str) -> Path:
    override = os.environ.get("WARDROUND_TAXONOMY")
    if override and (Path(override) / f"{name}.yaml").is_file():
        return Path(override) / f"{name}.yaml"
    return HERE / f"{name}.yaml"


def own(name: str) -> Path | None:
    """The user's own file for list `name`; None where the shipped one is in force."""
    path = _file(name)
    return None if path.parent == HERE else path


@cache
def _read(path: Path) -> dict[str, object]:
    try:
        data = msgspec.yaml.decode(path.read_bytes(), type=dict[str, object])
    except msgspec.DecodeError as e:
        raise InputError(f"not a taxonomy list: {e}", path=path, hint="see the shipped file") from e
    return data


@cache
def shipped(name: str) -> frozenset[str]:
    """The ids of the shipped list `name`, whatever list is in force."""
    found: Any = _read(HERE / f"{name}.yaml")["items"]
    return frozenset(str(i["id"]) for i in found)


@cache
def items(name: str) -> tuple[Item, ...]:
    """The items of list `name` in their fixed order; `UsageError` for an unknown list."""
    if name not in LISTS:
        raise UsageError(f"no list named {name}", hint=f"one of: {', '.join(LISTS)}")
    path = _file(name)
    kind: Any = LISTS[name]
    try:
        found: tuple[Item, ...] = msgspec.convert(_read(path).get("items"), tuple[kind, ...])
    except msgspec.ValidationError as e:
        raise InputError(f"bad item: {e}", path=path, hint="see the shipped file") from e
    ids = [i.id for i in found]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(f"ids given twice: {', '.join(twice)}", path=path)
    return found


@cache
def tasks() -> dict[str, Task]:
    """task_id → Task, in the order of the patient's way."""
    return {i.id: i for i in items("tasks") if isinstance(i, Task)}


def instruction(task: Task, key: str) -> str:
    """One of the task's instructions, the fixed one among them, chosen by the digest of `key`."""
    offered = (task.instruction, *task.wordings)
    return offered[int.from_bytes(sha256(key.encode()).digest()[:8]) % len(offered)]


@cache
def specialties() -> dict[str, Specialty]:
    """specialty_id → Specialty."""
    return {i.id: i for i in items("specialties") if isinstance(i, Specialty)}


@cache
def case_marker() -> str:
    """The marker under which a case task carries its case."""
    return str(_read(_file("tasks"))["case_marker"])


@cache
def _aliases() -> dict[str, str]:
    table: dict[str, str] = {}
    for s in specialties().values():
        for name in (s.id, s.zh, *s.aliases):
            table.setdefault(name, s.id)
    return table


def specialty_of(departments: tuple[str, ...] | list[str]) -> str:
    """The specialty_id of a source's own department labels, the most specific (last) first.

    Returns `UNMAPPED` when no label is known: such rows are kept and counted, never dropped.
    """
    table = _aliases()
    for label in reversed(departments):
        found = table.get(label.strip())
        if found is not None:
            return found
    return UNMAPPED
