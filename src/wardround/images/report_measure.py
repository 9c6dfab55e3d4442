"""Figures of the rule checker on injected reports, with what the rules know kept apart from what they don't.

A finding hits an error of its type and place; each error is hit once. Whether an injected error's very words are in
the rules' tables is told by `known`: recall on known words only shows that the rules are applied, recall on the rest
what they are worth. Closed classes (organs of a sex, units) can't be held out without making the rules worse than
they need be, so their recall is high by construction and no forecast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from wardround import taxonomy
from wardround.images.report import CTReport, ReportError
from wardround.images.report_check import check
from wardround.images.report_errors import Faulty
from wardround.images.report_rules import Finding, rules
from wardround.records import Record


class TypeFigures(Record, frozen=True, kw_only=True):
    """One error type: errors injected, hit, and found in error or not; None where nothing can be divided by.

    `recall_known` and `recall_unknown` split the errors made from a list of words by whether the rules list the
    wrong word too; None for types that are not made so.
    """

    type: str
    errors: int
    hits: int
    findings: int
    precision: float | None
    recall: float | None
    known: int
    recall_known: float | None
    unknown: int
    recall_unknown: float | None


class Figures(Record, frozen=True, kw_only=True):
    """All types, and reports as a whole. `false_alarms` counts findings on reports without any error."""

    types: tuple[TypeFigures, ...]
    faulty: int
    flagged: int
    clean: int
    clean_flagged: int
    false_alarms: int


def known(error: ReportError) -> bool | None:
    """Whether the rules' tables hold the very wrong word that was injected; None for edits without a word list."""
    r = rules()
    wrong = error.wrong
    if error.how == "lookalike":
        return any(w in wrong or wrong in w for w in r.confusions)
    if error.how == "dropped":
        return any(w in wrong for w in r.remainders)
    if error.how == "colloquial":
        return any(w in wrong for w in r.wording)
    return None


def measure(
    injected: Sequence[Faulty], checker: Callable[[CTReport], list[Finding]] = check
) -> Figures:
    """What the checker finds of what was injected, matched by type and place."""
    types = [i.id for i in taxonomy.items("report_errors")]
    found, hits, errors = Counter[str](), Counter[str](), Counter[str]()
    split: Counter[tuple[str, bool, bool]] = Counter()
    flagged = clean_flagged = alarms = 0
    for one in injected:
        left = checker(one.report)
        found.update(f.type for f in left)
        flagged += bool(one.errors and left)
        clean_flagged += bool(left and not one.errors)
        alarms += 0 if one.errors else len(left)
        for error in one.errors:
            errors[error.type] += 1
            match = next((f for f in left if (f.type, f.place) == (error.type, error.place)), None)
            if match is not None:
                left.remove(match)
                hits[error.type] += 1
            told = known(error)
            if told is not None:
                split[error.type, told, match is not None] += 1
    faulty = sum(bool(one.errors) for one in injected)
    return Figures(
        types=tuple(_type(t, errors[t], hits[t], found[t], split) for t in types),
        faulty=faulty, flagged=flagged, clean=len(injected) - faulty,
        clean_flagged=clean_flagged, false_alarms=alarms,
    )  # fmt: skip


def _type(
    kind: str, errors: int, hits: int, findings: int, split: Counter[tuple[str, bool, bool]]
) -> TypeFigures:
    told = {k: split[kind, k, True] + split[kind, k, False] for k in (True, False)}
    return TypeFigures(
        type=kind, errors=errors, hits=hits, findings=findings,
        precision=_share(hits, findings), recall=_share(hits, errors),
        known=told[True], recall_known=_share(split[kind, True, True], told[True]),
        unknown=told[False], recall_unknown=_share(split[kind, False, True], told[False]),
    )  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 10) if whole else None


def held_out(words: Iterable[str], listed: Iterable[str]) -> float:
    """The share of `words` that `listed` doesn't hold."""
    words, listed = list(words), set(listed)
    return sum(w not in listed for w in words) / len(words) if words else 0.0
