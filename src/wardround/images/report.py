"""CT reports and the errors in them, as values: what injector, rule checker and benchmark have in common.

A report has a head (age, sex, examination) and two places an error can lie in: 描述 (`findings`) and 诊断
(`impression`). Spans are character offsets into the text of their place, end not included. The eight error
types are the taxonomy's "report_errors"; how else people call them, the places and the fields is data
(`report_names.yaml`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from wardround import taxonomy
from wardround.errors import InputError
from wardround.records import Record

HERE = Path(__file__).parent

Place = Literal["findings", "impression"]
PLACES: dict[Place, str] = {"findings": "描述", "impression": "诊断"}
FIELDS: dict[str, str] = {
    "age": "年龄",
    "sex": "性别",
    "examination": "检查项目",
    "findings": "描述",
    "impression": "诊断",
}
"""Field → its usual Chinese name, in the order in which a report is written."""


class CTReport(Record, frozen=True, kw_only=True):
    """One report. `age` as written ("58岁"), `sex` 男, 女 or ""; `region` a coarse name of ours, may be ""."""

    id: str
    age: str
    sex: str
    examination: str
    findings: str
    impression: str
    region: str = ""

    def text(self, place: Place) -> str:
        """The text of one place."""
        return self.findings if place == "findings" else self.impression

    def written(self) -> str:
        """The report as a model gets it: one labelled field a line, the long ones below their label."""
        head = [f"{FIELDS[f]}：{getattr(self, f)}" for f in ("age", "sex", "examination")]
        return "\n".join([*head, f"描述：\n{self.findings}", f"诊断：\n{self.impression}"])


class ReportError(Record, frozen=True, kw_only=True):
    """One error: where it lies in the faulty report, the text there (`wrong`) and what should stand (`right`).

    `type` is a taxonomy id. `how` names the kind of edit that made it, `origin` who said so ("injected",
    "published", "expert"). A published annotation may lack a span (-1) or have its words in `note` alone.
    """

    type: str
    place: Place | Literal[""]
    start: int = -1
    end: int = -1
    wrong: str = ""
    right: str = ""
    how: str = ""
    origin: str = "injected"
    note: str = ""


class Names(Record, frozen=True, kw_only=True):
    """`report_names.yaml`: synonyms, each list longest word first when looked up."""

    types: dict[str, tuple[str, ...]]
    places: dict[Place, tuple[str, ...]]
    fields: dict[str, tuple[str, ...]]
    answer_fields: dict[str, tuple[str, ...]]
    none: tuple[str, ...]


def read_table(name: str, kind: type[Any]) -> Any:
    """A YAML table of this room as `kind`; `InputError` naming the file when it is not one."""
    path = HERE / name
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as e:
        raise InputError(f"bad table: {e}", path=path, hint="see the shipped file") from e


@cache
def names() -> Names:
    """The synonyms in force, the taxonomy's own names among them."""
    found: Names = read_table("report_names.yaml", Names)
    own = {i.id: (i.id, i.zh, i.en.lower()) for i in taxonomy.items("report_errors")}
    types = {
        k: tuple(dict.fromkeys((*v, *(_folded(x) for x in found.types.get(k, ())))))
        for k, v in own.items()
    }
    return msgspec.structs.replace(found, types=types)


@cache
def _aliases() -> tuple[tuple[str, str], ...]:
    pairs = [(alias, k) for k, known in names().types.items() for alias in known]
    return tuple(sorted(pairs, key=lambda p: (-len(p[0]), p[0])))


def _folded(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().lower()


def type_in(text: str) -> tuple[str, str]:
    """(type id, `text` without its name) of the first error type named in `text`; ("", text) when none is."""
    folded = _folded(text)
    best: tuple[int, int, str, str] | None = None
    for alias, kind in _aliases():
        at = folded.find(alias)
        if at >= 0 and (best is None or (at, -len(alias)) < best[:2]):
            best = (at, -len(alias), alias, kind)
    if best is None:
        return "", text
    at, _, alias, kind = best
    return kind, folded[:at] + " " + folded[at + len(alias) :]


def place_in(text: str) -> Place | Literal[""]:
    """The one place that `text` names; "" when it names none, or both."""
    folded = _folded(text)
    named: list[Place] = [
        p for p, known in names().places.items() if any(w.lower() in folded for w in known)
    ]
    return named[0] if len(named) == 1 else ""


_LABEL = r"(?:^|(?<=[\n；;。，,\s]))[\s*【\[#]*(?:{})[\s*】\]]*[:：]\s*"


@cache
def _labels() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (field, re.compile(_LABEL.format("|".join(sorted(known, key=len, reverse=True)))))
        for field, known in names().fields.items()
    )


def split_report(text: str) -> CTReport | None:
    """The report that stands in `text` under its usual labels, the first of each; None unless 描述 and 诊断 are
    both there."""
    found: list[tuple[int, int, str]] = []
    for field, pattern in _labels():
        match = pattern.search(text)
        if match:
            found.append((match.start(), match.end(), field))
    found.sort()
    fields = {
        field: text[end : found[k + 1][0] if k + 1 < len(found) else len(text)].strip(" \n\t；;，,")
        for k, (_, end, field) in enumerate(found)
    }
    if not fields.get("findings") or not fields.get("impression"):
        return None
    return CTReport(
        id="", age=fields.get("age", ""), sex=sex_of(fields.get("sex", "")),
        examination=fields.get("examination", ""), findings=fields["findings"],
        impression=fields["impression"],
    )  # fmt: skip


def sex_of(text: str) -> str:
    """男, 女 or "" for what a head says of the sex."""
    folded = _folded(text)
    for word, sex in (("女", "女"), ("男", "男"), ("female", "女"), ("male", "男")):
        if word in folded:
            return sex
    return {"f": "女", "m": "男"}.get(folded, "")


def field_of(row: Mapping[str, Any], field: str) -> str:
    """A row's value for a report's field under any of its names, "" when there is none."""
    for name in (field, FIELDS.get(field, field), *names().fields.get(field, ())):
        value = row.get(name)
        if value is not None and str(value).strip():
            return str(value).strip()
    return ""


def report_of(row: Mapping[str, Any], name: str) -> CTReport | None:
    """The report in a row's own fields (ours or Chinese ones); None without findings and impression."""
    fields = {f: field_of(row, f) for f in (*FIELDS, "region")}
    if not fields["findings"] or not fields["impression"]:
        return None
    age = fields["age"]
    fields["age"] = f"{age}岁" if age.isdigit() else age
    fields["sex"] = sex_of(fields["sex"])
    return CTReport(id=name, **fields)


def clause(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of the clause or clauses around [start, end): from one punctuation mark to the next."""
    marks = "，。；、\n,;"
    left = max((text.rfind(m, 0, start) for m in marks), default=-1) + 1
    ends = [at for at in (text.find(m, end) for m in marks) if at >= 0]
    return left, min(ends, default=len(text))
