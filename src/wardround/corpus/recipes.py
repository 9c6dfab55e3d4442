"""Loading the recipes: every rule is checked here, so a mistake in it shows at once and not in a sample.

A rule says which kind of document it is for, which values must be there (`needs`), and what several of them
must match at once (`when`). Patterns are compiled once; a loaded rule can be sent to another process.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from wardround import taxonomy
from wardround.artifact import digest_of
from wardround.corpus import template
from wardround.corpus.template import Value
from wardround.errors import InputError, UsageError
from wardround.records import Record

HERE = Path(__file__).with_name("recipes.yaml")
"""Encyclopedias and cases. The other kinds' files stand beside it."""

Kind = Literal["encyclopedia", "case", "choice", "consultation", "passage", "fhir"]


class Clause(
    Record, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"avoids": "not"}
):
    """What one value must match, and must not. A value that is not there matches nothing."""

    field: str
    matches: str = ""
    avoids: str = ""


class Recipe(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule, as in the file; see its head for what each field means."""

    id: str
    task: str
    kind: Kind
    needs: tuple[str, ...]
    input: str
    output: str
    each: Literal["document", "pair"] = "document"
    when: tuple[Clause, ...] = ()
    unless: tuple[str, ...] = ()
    hides: Literal["", "name", "disease", "answer_text"] = ""
    part: Literal["whole", "diagnosis", "differential"] = "whole"
    about: Literal["patient", "disease"] = "patient"
    extractive: bool = False

    def needed(self) -> list[tuple[str, int]]:
        """(field, least number of items) for each entry of `needs`."""
        return [(f, int(n or 1)) for f, _, n in (need.partition(":") for need in self.needs)]


class Check(Record, frozen=True, kw_only=True):
    """A clause with its patterns compiled; None where it asks for nothing."""

    field: str
    matches: re.Pattern[str] | None
    avoids: re.Pattern[str] | None

    def fails(self, value: Value) -> str:
        """Why `value` does not pass: what it would have to match, or what it holds; "" when it passes."""
        text = value if isinstance(value, str) else "、".join(value)
        if self.matches is not None and (not text or not self.matches.search(text)):
            return (
                f"{self.field} does not match {self.matches.pattern}"
                if text
                else f"no {self.field}"
            )
        found = self.avoids.search(text) if self.avoids is not None else None
        return f"{self.field} holds {found[0]!r}, which is for another rule" if found else ""


class Rule(Record, frozen=True, kw_only=True):
    """A recipe with its templates parsed and its patterns compiled."""

    recipe: Recipe
    input: template.Template
    output: template.Template
    checks: tuple[Check, ...]
    needed: tuple[tuple[str, int], ...]

    @property
    def each_pair(self) -> bool:
        """Whether it makes a sample of each question rather than one of the document."""
        return self.recipe.each == "pair"


class _File(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recipes: tuple[Recipe, ...]


def files() -> tuple[Path, ...]:
    """The shipped recipe files, in the order of their names."""
    return (HERE, *sorted(HERE.parent.glob("recipes_*.yaml")))


@cache
def digest() -> str:
    """The digest of all shipped recipes and word lists: other rules, other samples."""
    lists = (
        HERE.with_name("cues.yaml"),
        HERE.with_name("triage.yaml"),
        taxonomy.HERE / "specialty_cues.yaml",
    )
    return digest_of([p.read_text(encoding="utf-8") for p in (*files(), *lists)])


def load(path: Path | None = None) -> tuple[Rule, ...]:
    """All rules of one recipes file, or of all shipped. `InputError` or `UsageError` naming the recipe when one
    is wrong."""
    recipes = [r for p in (files() if path is None else (path,)) for r in _read(p)]
    ids = [r.id for r in recipes]
    for twice in sorted({i for i in ids if ids.count(i) > 1}):
        raise UsageError(f"recipe {twice}: its id is given twice")
    return tuple(rule_of(r) for r in recipes)


def _read(path: Path) -> tuple[Recipe, ...]:
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=_File).recipes
    except msgspec.DecodeError as e:
        raise InputError(f"not a recipes file: {e}", path=path, hint="see its head") from e


def rule_of(recipe: Recipe) -> Rule:
    """The rule of a recipe. `UsageError` when it is wrong."""
    where = f"recipe {recipe.id}"
    # A list of the user's own may lack a shipped task; its rules still say what the answers of a case hold.
    if recipe.task not in taxonomy.tasks() and recipe.task not in taxonomy.shipped("tasks"):
        raise UsageError(f"{where}: no task named {recipe.task}", hint="see taxonomy/tasks.yaml")
    rule = Rule(
        recipe=recipe,
        input=template.parse(recipe.input, f"{where}, input"),
        output=template.parse(recipe.output, f"{where}, output"),
        checks=tuple(_check(c, where) for c in recipe.when),
        needed=tuple(recipe.needed()),
    )
    required = {
        *template.fields(rule.input, required=True),
        *template.fields(rule.output, required=True),
    }
    missing = required - {f for f, _ in rule.needed}
    if missing:
        raise UsageError(f"{where}: uses {', '.join(sorted(missing))} but does not need them")
    return rule


def _check(clause: Clause, where: str) -> Check:
    if not clause.matches and not clause.avoids:
        raise UsageError(f"{where}: {clause.field} in `when` needs `matches` or `not`")
    return Check(
        field=clause.field,
        matches=_compiled(clause.matches, where),
        avoids=_compiled(clause.avoids, where),
    )


def _compiled(pattern: str, where: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern else None
    except re.error as e:
        raise UsageError(f"{where}: bad pattern {pattern!r} ({e})") from e


def of_kind(rules: Collection[Rule], kind: str) -> list[Rule]:
    """The rules for one kind of document, in order."""
    return [rule for rule in rules if rule.recipe.kind == kind]


def kinds_for(task: str, rules: Collection[Rule]) -> list[str]:
    """Kinds of document that some rule makes samples of `task` from."""
    return sorted({rule.recipe.kind for rule in rules if rule.recipe.task == task})
