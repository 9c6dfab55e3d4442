"""The injector: errors of known type, place and span put into clean reports, so that a checker has a known truth.

Seeded and independent of everything but report, place in the list, and options: the same reports and seed give the
same faulty reports. Edits never touch or neighbour one another, nor the words that make another edit an error, so
each of them is one error and stays one. Undoing them restores the original (`undone`), and every difference from
it is in the list of errors (`differences` of both is what the tests compare).

What is injected is what tables can say (`report_edits`): of the errors of real reports, those that need the images
to be seen are not among them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from wardround import taxonomy
from wardround.errors import UsageError
from wardround.images.report import PLACES, CTReport, Place, ReportError
from wardround.images.report_edits import MAKERS, Edit, edits
from wardround.records import Record

APART = 3
"""Characters that two edits of one place are apart at the least."""


class Plan(Record, frozen=True, kw_only=True):
    """How to inject. `prevalence` is the share of reports that get errors; a faulty report gets 1 to `most`, each
    number as likely as any other; `types` are taxonomy ids, all eight when empty."""

    seed: int = 0
    prevalence: float = 0.6
    most: int = 3
    types: tuple[str, ...] = ()


class Faulty(Record, frozen=True, kw_only=True):
    """A report with its errors (none in a report left clean), and the original. `missed` are types that were drawn
    and have no edit in this report."""

    report: CTReport
    original: CTReport
    errors: tuple[ReportError, ...]
    missed: tuple[str, ...] = ()


def inject(reports: Sequence[CTReport], plan: Plan) -> list[Faulty]:
    """Errors put into `reports` as `plan` says; `UsageError` for a plan that makes no sense.

    Exactly round(prevalence × reports) of them are made faulty, drawn by the seed; types take turns, so that each is
    about as frequent as its edits allow.
    """
    types = _types(plan)
    draw = random.Random(f"report errors {plan.seed}")
    chosen = set(draw.sample(range(len(reports)), round(plan.prevalence * len(reports))))
    used = dict.fromkeys(types, 0)
    found = []
    for k, report in enumerate(reports):
        if k not in chosen:
            found.append(Faulty(report=report, original=report, errors=()))
            continue
        own = random.Random(f"{plan.seed} {k} {report.id}")
        made = _made(report, own, own.randint(1, plan.most), types, used)
        for error in made.errors:
            used[error.type] += 1
        found.append(made)
    return found


def _types(plan: Plan) -> tuple[str, ...]:
    known = tuple(i.id for i in taxonomy.items("report_errors") if i.id in MAKERS)
    unknown = [t for t in plan.types if t not in known]
    if unknown:
        raise UsageError(f"no error type {', '.join(unknown)}", hint=f"of: {', '.join(known)}")
    if not 0 <= plan.prevalence <= 1:
        raise UsageError(f"prevalence {plan.prevalence:g}: must be from 0 to 1")
    if plan.most < 1:
        raise UsageError(f"at most {plan.most} errors a report: must be 1 or more")
    return plan.types or known


def _made(
    report: CTReport,
    draw: random.Random,
    wanted: int,
    types: Sequence[str],
    used: dict[str, int],
) -> Faulty:
    """Up to `wanted` errors of different types, the least used so far first, ties drawn."""
    order = sorted(types, key=lambda t: (used[t], draw.random()))
    taken: list[tuple[str, Edit]] = []
    missed = []
    for kind in order:
        if len(taken) == wanted:
            break
        edit = _drawn([e for e in edits(report, kind) if _free(e, taken)], draw)
        if edit is None:
            missed.append(kind)
        else:
            taken.append((kind, edit))
    return applied(report, taken, missed)


def _drawn(found: Sequence[Edit], draw: random.Random) -> Edit | None:
    """One of the edits: first the kind of edit, then one of that kind, so that frequent kinds don't crowd out
    the others."""
    if not found:
        return None
    how = draw.choice(sorted({e.how for e in found}))
    return draw.choice([e for e in found if e.how == how])


def _free(edit: Edit, taken: Iterable[tuple[str, Edit]]) -> bool:
    """Whether the edit keeps clear of all edits taken, and each of what the others need unchanged."""
    own = (edit.place, edit.start, edit.end)
    for _, other in taken:
        theirs = (other.place, other.start, other.end)
        if _near(own, theirs, APART):
            return False
        if any(_near(own, kept, 1) for kept in other.keeps):
            return False
        if any(_near(theirs, kept, 1) for kept in edit.keeps):
            return False
    return True


def _near(a: tuple[Place, int, int], b: tuple[Place, int, int], apart: int) -> bool:
    return a[0] == b[0] and a[1] - apart < b[2] and b[1] - apart < a[2]


def applied(
    report: CTReport, taken: Iterable[tuple[str, Edit]], missed: Sequence[str] = ()
) -> Faulty:
    """The report with the edits made, and each as an error with its span in the faulty text."""
    texts: dict[Place, str] = {}
    errors = []
    listed = list(taken)
    for place in PLACES:
        text = report.text(place)
        pieces, last, length = [], 0, 0
        for kind, edit in sorted(listed, key=lambda x: (x[1].start, x[1].end)):
            if edit.place != place:
                continue
            pieces += [text[last : edit.start], edit.text]
            start = length + edit.start - last
            length = start + len(edit.text)
            last = edit.end
            errors.append(
                ReportError(
                    type=kind, place=place, start=start, end=length, wrong=edit.text,
                    right=text[edit.start : edit.end], how=edit.how, note=edit.word,
                )
            )  # fmt: skip
        texts[place] = "".join([*pieces, text[last:]])
    faulty = CTReport(
        id=report.id, age=report.age, sex=report.sex, examination=report.examination,
        region=report.region, **texts,
    )  # fmt: skip
    return Faulty(report=faulty, original=report, errors=tuple(errors), missed=tuple(missed))


def row_of(faulty: Faulty, plan: Plan) -> dict[str, Any]:
    """A faulty report as a row of a test set, its original places and the plan beside it."""
    r, original = faulty.report, faulty.original
    return {
        "id": f"{r.id}-s{plan.seed}",
        "report": r.id,
        **{f: getattr(r, f) for f in ("region", "age", "sex", "examination")},
        **{p: r.text(p) for p in PLACES},
        "errors": [msgspec.to_builtins(e) for e in faulty.errors],
        "original": {p: original.text(p) for p in PLACES},
        "injected": {"seed": plan.seed, "prevalence": plan.prevalence, "most": plan.most},
    }


def undone(report: CTReport, errors: Iterable[ReportError]) -> CTReport:
    """The report with every error that has a span put right."""
    texts = {p: report.text(p) for p in PLACES}
    for e in sorted(errors, key=lambda e: (e.place, e.start), reverse=True):
        if e.place and e.start >= 0:
            text = texts[e.place]
            texts[e.place] = text[: e.start] + e.right + text[e.end :]
    return CTReport(
        id=report.id, age=report.age, sex=report.sex, examination=report.examination,
        region=report.region, findings=texts["findings"], impression=texts["impression"],
    )  # fmt: skip
