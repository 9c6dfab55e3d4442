"""FHIR R4 → cases: one document for each patient of a bundle.

Read are Patient (sex and age, nothing that names anyone), Encounter, Condition, MedicationRequest (with its
Medication), Observation, and DocumentReference with its text attachments. Entries that were never true or
never given (entered-in-error, refuted, cancelled, …) are left out; resources of other types and attachments
that are no text are told of as exclusions.

`description` holds what was known before the doctor decided: patient, reason for the visit, other conditions,
earlier medicines, findings of the visit (the latest one). It does not hold the main condition, which is the
title, nor the medicines ordered at the visit: those are `conditions` and `medications`, so a task may ask for
them. Dates are not given, only ages. The words around the findings are Chinese where the bundle's own are,
else English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from wardround.corpus.drafts import Draft, listed, shortened, text
from wardround.corpus.fhir_values import HAN, Resource, attached, concept, dosage, quantity, span

READ = frozenset(
    {"Patient", "Encounter", "Condition", "MedicationRequest", "Medication", "Observation",
     "DocumentReference"}
)  # fmt: skip
# Who treated and where they work says nothing of the case.
_ASIDE_SILENTLY = frozenset({"Practitioner", "PractitionerRole", "Organization", "Location"})
_VOID = frozenset({"entered-in-error", "cancelled", "refuted", "unknown-error"})
_FLAGS = {
    "H": ("偏高", "high"), "HH": ("危急偏高", "critically high"), "HU": ("明显偏高", "very high"),
    "L": ("偏低", "low"), "LL": ("危急偏低", "critically low"), "LU": ("明显偏低", "very low"),
    "A": ("异常", "abnormal"), "AA": ("危急异常", "critically abnormal"), "POS": ("阳性", "positive"),
    "NEG": ("阴性", "negative"), "N": ("", ""),
}  # fmt: skip
_SEX = {"male": ("男", "male"), "female": ("女", "female")}
_CLASS = {
    "AMB": ("门诊", "outpatient"), "EMER": ("急诊", "emergency"), "IMP": ("住院", "inpatient"),
    "ACUTE": ("住院", "inpatient"), "NONAC": ("住院", "inpatient"), "OBSENC": ("留观", "observation"),
    "HH": ("家庭病房", "home health"), "VR": ("线上", "virtual"), "SS": ("日间", "short stay"),
}  # fmt: skip


def patients(row: Mapping[str, Any]) -> Iterable[Draft]:
    """A document for each patient of a bundle (or of a single resource)."""
    resources, table = _resources(row)
    unread = Counter(
        str(r.get("resourceType")) for r in resources
        if r.get("resourceType") not in READ | _ASIDE_SILENTLY
    )  # fmt: skip
    if not any(r.get("resourceType") in READ - {"Patient", "Medication"} for r in resources):
        raise ValueError(
            f"nothing of a case in it; it holds {_counted(unread) or 'no resource'}", "no_case"
        )
    drafts = [_Patient(own, table).draft() for own in _by_patient(resources, table)]
    made = [d for d in drafts if d.title]
    if not made:
        raise ValueError("no condition, reason or note in it", "no_case")
    if unread:
        made[0].aside.append(("resources_not_read", _counted(unread)))
    if len(made) < len(drafts):
        detail = (
            f"{len(drafts) - len(made)} of {len(drafts)} patients have no condition, reason or note"
        )
        made[0].aside.append(("no_case", detail))
    return made


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def _resources(row: Resource) -> tuple[list[Resource], dict[str, Resource]]:
    """All resources of a bundle in order, and a table of them by every name they are referred to."""
    if row.get("resourceType") != "Bundle":
        return [row], _names(row, "")
    found: list[Resource] = []
    table: dict[str, Resource] = {}
    for entry in listed(row.get("entry")):
        resource = entry.get("resource") if isinstance(entry, Mapping) else None
        if not isinstance(resource, Mapping):
            continue
        if resource.get("resourceType") == "Bundle":
            inner, names = _resources(resource)
            found += inner
            table |= names
            continue
        found.append(resource)
        table |= _names(resource, str(entry.get("fullUrl") or ""))
    return found, table


def _names(resource: Resource, url: str) -> dict[str, Resource]:
    names = {f"{resource.get('resourceType')}/{resource.get('id')}": resource}
    return names | {url: resource} if url else names


def reference(resource: Resource, *fields: str) -> str:
    """Whom or what a resource refers to, without server and version; "" for nobody."""
    for field in fields:
        given = resource.get(field)
        if isinstance(given, Mapping) and isinstance(given.get("reference"), str):
            name: str = given["reference"].split("/_history/")[0]
            return name if name.startswith("urn:") else "/".join(name.split("/")[-2:])
    return ""


def _by_patient(
    resources: Sequence[Resource], table: Mapping[str, Resource]
) -> Iterator[list[Resource]]:
    """Each patient's resources; what names no patient goes to the only one there is."""
    own: dict[object, list[Resource]] = {}
    for r in resources:
        kind = r.get("resourceType")
        if kind not in READ or kind == "Medication":
            continue
        name = f"Patient/{r.get('id')}" if kind == "Patient" else reference(r, "subject", "patient")
        patient = table.get(name)
        own.setdefault(id(patient) if patient is not None else name, []).append(r)
    nobody = own.pop("", [])
    if len(own) == 1:
        next(iter(own.values())).extend(nobody)
    elif nobody:
        own[""] = nobody
    for mine in own.values():
        if any(r.get("resourceType") != "Patient" for r in mine):
            yield mine


class _Patient:
    """One patient's resources, made into a case."""

    def __init__(self, own: Sequence[Resource], table: Mapping[str, Resource]) -> None:
        self.table = table
        self.of = {k: [r for r in own if r.get("resourceType") == k and not _void(r)] for k in READ}
        visits = self.of["Encounter"]
        self.visit: Resource = max(visits, key=_started) if visits else {}
        self.zh = bool(HAN.search("".join(self._all_names(own))))

    def _all_names(self, own: Iterable[Resource]) -> Iterator[str]:
        for r in own:
            for field in ("code", "medicationCodeableConcept"):
                yield concept(r.get(field))
            yield from (concept(c) for c in listed(r.get("reasonCode")))

    def say(self, zh: str, en: str) -> str:
        return zh if self.zh else en

    def draft(self) -> Draft:
        main, others = self._conditions()
        ordered, earlier = self._medications()
        here, findings = self._observations()
        notes, aside = self._notes()
        reasons = [concept(c) for c in listed(self.visit.get("reasonCode"))]
        reason = self.say("；", "; ").join(dict.fromkeys(filter(None, reasons)))
        sections = [
            self._who(),
            _section(self.say("就诊原因：", "Reason for visit: "), [reason], self),
            _section(self.say("既往及伴随疾病：", "Other conditions: "), others, self),
            _section(self.say("用药史：", "Earlier medication: "), earlier, self),
            _section(self.say("检查结果：", "Findings: "), here, self),
        ]
        title = main or reason or (shortened(notes[0]) if notes else "")
        draft = Draft(
            title,
            {
                "description": "\n".join(filter(None, sections)),
                "conditions": tuple(filter(None, [main, *others])),
                "medications": tuple(dict.fromkeys([*ordered, *earlier])),
                "observations": findings,
                "encounter": reason,
                "notes": notes,
            },
            concept(self.visit.get("serviceType")),
        )
        draft.aside += aside
        return draft

    def _who(self) -> str:
        """Sex, age at the visit and where they were seen."""
        person: Resource = next(iter(self.of["Patient"]), {})
        sex = _SEX.get(str(person.get("gender")), ("", ""))
        dates = [_started(self.visit), *(_date(c) for c in self.of["Condition"])]
        age = self._age(str(person.get("birthDate") or ""), next(filter(None, dates), ""))
        kind = self.visit.get("class")
        code = kind.get("code") if isinstance(kind, Mapping) else ""
        seen = _CLASS.get(str(code), ("", ""))
        parts = [self.say("患者", "Patient"), self.say(*sex), age, self.say(*seen)]
        said = self.say("，", ", ").join(filter(None, parts))
        return said + self.say("。", ".") if sum(map(bool, parts)) > 1 else ""

    def _age(self, born: str, then: str) -> str:
        """Whole years, months below two years; "" when a date is missing."""
        years = [re.match(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?", d) for d in (born, then)]
        if not all(years):
            return ""
        (by, bm, bd), (ty, tm, td) = (
            (int(m[1]), int(m[2] or 1), int(m[3] or 1)) for m in years if m
        )
        months = (ty - by) * 12 + tm - bm - (td < bd)
        if months < 0:
            return ""
        if months < 24:
            return self.say(f"{months}个月", f"{months} months old")
        return self.say(f"{months // 12}岁", f"{months // 12} years old")

    def _conditions(self) -> tuple[str, list[str]]:
        """The main condition of the visit, and the others."""
        ranked = sorted(
            (d for d in listed(self.visit.get("diagnosis")) if isinstance(d, Mapping)),
            key=lambda d: d["rank"] if isinstance(d.get("rank"), int) else 99,
        )
        named = [self.table.get(reference(d, "condition")) for d in ranked]
        here = [c for c in self.of["Condition"] if self._is_here(c)]
        order = [
            *(c for c in named if c is not None and not _void(c)),
            *here,
            *self.of["Condition"],
        ]
        names = list(dict.fromkeys(filter(None, (concept(c.get("code")) for c in order))))
        return (names[0], names[1:]) if names else ("", [])

    def _is_here(self, resource: Resource) -> bool:
        """Whether a resource belongs to the visit; one that names none does, when there is but one visit."""
        name = reference(resource, "encounter", "context")
        if not name:
            return len(self.of["Encounter"]) < 2
        return self.table.get(name) is self.visit or name == f"Encounter/{self.visit.get('id')}"

    def _medications(self) -> tuple[list[str], list[str]]:
        """Medicines with their dosage: ordered at the visit, and before it."""
        ordered: list[str] = []
        earlier: list[str] = []
        for request in self.of["MedicationRequest"]:
            name = concept(request.get("medicationCodeableConcept")) or self._medicine(request)
            if not name:
                continue
            doses = [dosage(d, self.zh) for d in listed(request.get("dosageInstruction"))]
            words = self.say("，", ", ").join([name, *filter(None, doses)])
            before = str(request.get("authoredOn") or "")[:10] < _started(self.visit)[:10]
            past = not self._is_here(request) or (bool(request.get("authoredOn")) and before)
            (earlier if past else ordered).append(words)
        return list(dict.fromkeys(ordered)), list(dict.fromkeys(earlier))

    def _medicine(self, request: Resource) -> str:
        given = request.get("medicationReference")
        if not isinstance(given, Mapping):
            return ""
        name = str(given.get("reference") or "")
        inside = {
            f"#{c.get('id')}": c for c in listed(request.get("contained")) if isinstance(c, Mapping)
        }
        found = inside.get(name) or self.table.get(reference(request, "medicationReference")) or {}
        return concept(found.get("code")) or text(given.get("display"))

    def _observations(self) -> tuple[list[str], tuple[str, ...]]:
        """Findings of the visit, and all of them; in the order of their time."""
        ordered = sorted(self.of["Observation"], key=_date)
        said = [(o, self._finding(o)) for o in ordered]
        here = [words for o, words in said if words and self._is_here(o)]
        return list(dict.fromkeys(here)), tuple(dict.fromkeys(w for _, w in said if w))

    def _finding(self, observation: Resource) -> str:
        name = concept(observation.get("code"))
        value = self._value(observation)
        parts = [
            f"{concept(c.get('code'))} {v}"
            for c in listed(observation.get("component"))
            if isinstance(c, Mapping) and (v := self._value(c))
        ]
        whole = self.say("，", ", ").join(filter(None, [value, *parts]))
        return f"{name}{self.say('：', ': ')}{whole}" if name and whole else ""

    def _value(self, given: Resource) -> str:
        """A measured value with unit, flag and reference range."""
        measured = given.get("valueQuantity")
        if isinstance(measured, Mapping):
            value = quantity(measured)
        else:
            value = concept(given.get("valueCodeableConcept")) or next(
                (text(given[k]) for k in ("valueString", "valueInteger", "valueDecimal") if k in given), ""
            )  # fmt: skip
            if isinstance(given.get("valueBoolean"), bool):
                value = self.say("是", "yes") if given["valueBoolean"] else self.say("否", "no")
        if not value:
            return ""
        codes = [
            str(c.get("code"))
            for i in listed(given.get("interpretation")) if isinstance(i, Mapping)
            for c in listed(i.get("coding")) if isinstance(c, Mapping)
        ]  # fmt: skip
        notes = [self.say(*_FLAGS[c]) for c in codes if c in _FLAGS]
        spans = [s for s in listed(given.get("referenceRange"))[:1] if isinstance(s, Mapping)]
        notes += [self.say("参考值 ", "reference ") + w for s in spans if (w := span(s))]
        inside = self.say("，", ", ").join(filter(None, notes))
        return value + (self.say(f"（{inside}）", f" ({inside})") if inside else "")

    def _notes(self) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
        """Text attachments, and what kept the others from being read."""
        found: list[str] = []
        aside: list[tuple[str, str]] = []
        for document in self.of["DocumentReference"]:
            for content in listed(document.get("content")):
                attachment = content.get("attachment") if isinstance(content, Mapping) else None
                words, *why = attached(attachment if isinstance(attachment, Mapping) else {})
                if words:
                    found.append(words)
                else:
                    aside.append((why[0], f"DocumentReference {document.get('id')}: {why[1]}"))
        return tuple(dict.fromkeys(found)), aside


def _section(label: str, items: Sequence[str], of: _Patient) -> str:
    kept = [i.rstrip("。.；;") for i in items if i]
    return f"{label}{of.say('；', '; ').join(kept)}{of.say('。', '.')}" if kept else ""


def _void(resource: Resource) -> bool:
    """Whether a resource says that it is not so."""
    verified = resource.get("verificationStatus")
    codes = listed(verified.get("coding")) if isinstance(verified, Mapping) else []
    said = {str(c.get("code")) for c in codes if isinstance(c, Mapping)}
    return (
        bool(_VOID & {*said, str(resource.get("status"))}) or resource.get("doNotPerform") is True
    )


def _started(visit: Resource) -> str:
    period = visit.get("period")
    return str(period.get("start") or "") if isinstance(period, Mapping) else ""


def _date(resource: Resource) -> str:
    names = ("effectiveDateTime", "effectiveInstant", "issued", "onsetDateTime", "recordedDate")
    return next((str(resource[n]) for n in names if resource.get(n)), "")
