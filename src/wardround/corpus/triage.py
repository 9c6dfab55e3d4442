"""Which department can't be right for what a patient tells. The words are data (triage.yaml).

Three rules on a triage sample, each a named reason in `corpus.rules`: an emergency sent to an ordinary clinic, a child to
doctors for adults or an adult to doctors for children, and complaints that the department doesn't see. None of
them finds the right department; they only say that the one given is unsafe, and the sample is set aside.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from wardround import taxonomy
from wardround.errors import InputError
from wardround.records import Record

HERE = Path(__file__).with_name("triage.yaml")
EMERGENCY, CHILDREN = "emergency_critical_care", "pediatrics"
_SELF_TOLD = "患者自述"


class _Urgent(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    words: str
    seen_by: tuple[str, ...] = ()


class _Contradicts(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    told: tuple[str, ...]
    never: tuple[str, ...]
    unless: str = ""


class _Ages(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    child: str
    kin: str
    adult: str
    youth: str
    relative: str


class _File(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    urgent: tuple[_Urgent, ...]
    denied: str
    ages: _Ages
    adults: tuple[str, ...]
    contradicts: tuple[_Contradicts, ...]


class _Lists:
    """The file's patterns, compiled."""

    def __init__(self, found: _File) -> None:
        self.urgent = [(_pattern(u.words), frozenset(u.seen_by)) for u in found.urgent]
        self.denied = _pattern(found.denied)
        self.child, self.kin = _pattern(found.ages.child), _pattern(found.ages.kin)
        self.adult, self.youth = _pattern(found.ages.adult), _pattern(found.ages.youth)
        self.relative = _pattern(found.ages.relative)
        self.adults = frozenset(found.adults)
        self.contradicts = [
            (
                [_pattern(t) for t in c.told],
                frozenset(c.never),
                _pattern(c.unless) if c.unless else None,
            )
            for c in found.contradicts
        ]


def _pattern(source: str) -> re.Pattern[str]:
    return re.compile("".join(source.split()))


@cache
def _lists() -> _Lists:
    try:
        found = msgspec.yaml.decode(HERE.read_bytes(), type=_File)
    except msgspec.DecodeError as e:
        raise InputError(f"not a list of words: {e}", path=HERE, hint="see its head") from e
    named = {*found.adults, *(s for u in found.urgent for s in u.seen_by)}
    named |= {s for c in found.contradicts for s in c.never}
    unknown = named - set(taxonomy.specialties())
    if unknown:
        raise InputError(f"no specialty named {', '.join(sorted(unknown))}", path=HERE)
    return _Lists(found)


def _told(pattern: re.Pattern[str], given: str) -> bool:
    """Whether a text tells of what a pattern finds as present: neither denied nor long past."""
    denied = _lists().denied
    return any(not denied.search(given, 0, m.start()) for m in pattern.finditer(given))


def emergency_missed(given: str, specialty: str) -> bool:
    """Whether a patient's words tell of what cannot wait, and the department sees no emergencies first."""
    if specialty == EMERGENCY:
        return False
    return any(
        specialty not in seen_by and _told(words, given) for words, seen_by in _lists().urgent
    )


def wrong_age_department(given: str, specialty: str) -> bool:
    """Whether only children are spoken of and the department treats adults, or only adults and it treats children.

    A son or a daughter of no told age counts as a child, unless an adult relative is spoken of or the patient tells
    it himself: then the child need not be the patient.
    """
    lists = _lists()
    adult, child = lists.adult.search(given), lists.child.search(given)
    if specialty == CHILDREN:
        return bool(adult and not child and not lists.kin.search(given))
    if specialty not in lists.adults or adult or lists.youth.search(given):
        return False
    if child:
        return True
    of_child = lists.kin.search(given) and not lists.relative.search(given)
    return bool(of_child and _SELF_TOLD not in given)


def wrong_department(given: str, specialty: str) -> bool:
    """Whether a patient tells of complaints that the department doesn't see."""
    return any(
        specialty in never
        and all(_told(pattern, given) for pattern in told)
        and not (unless and unless.search(given))
        for told, never, unless in _lists().contradicts
    )
