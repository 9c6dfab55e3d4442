"""What of the answers may leave: profiles coarsened until no combination points to few, texts apart and in no order.

An answer is released with its ratings and as much of its profile as `min_cell` or more respondents share in full.
Free texts could point to their writer, and together with a profile more so: they are released in lists of their own,
sorted, with nothing that leads back to an answer. `full` keeps all together, as a copy that can be imported again
needs it; it is for whoever may see single answers, and asking for it is an event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wardround.records import Record
from wardround.survey import cells
from wardround.survey.answers import Answer, Verdict
from wardround.survey.design import profile
from wardround.survey.results import Given


class Released(Record, frozen=True, kw_only=True):
    """Answers as they may leave, and the texts apart from them: kind, task ("" for none), words."""

    answers: tuple[Given, ...]
    texts: tuple[dict[str, str], ...]


def release(answers: Sequence[Given], min_cell: int) -> Released:
    """Coarse profiles, no texts in the answers, the texts sorted by themselves."""
    fields = list(profile())
    coarse = cells.coarsened([a.answer.profile for a in answers], fields, min_cell)
    out = []
    for given, about in zip(answers, coarse, strict=True):
        a = given.answer
        bare = Answer(
            profile=about, ratings=a.ratings,
            verdicts={k: Verdict(choice=v.choice) for k, v in a.verdicts.items()},
        )  # fmt: skip
        out.append(msgspec.structs.replace(given, answer=bare, seconds=None))
    return Released(answers=tuple(out), texts=tuple(_texts(answers)))


def _texts(answers: Sequence[Given]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for a in (g.answer for g in answers):
        found += [
            {"kind": "added", "task": "", "name": x.name, "example": x.example, "words": x.why}
            for x in a.added
        ]
        found += [
            {"kind": v.choice, "task": k, "name": "", "example": "", "words": v.words}
            for k, v in a.verdicts.items()
            if v.words
        ]
        if a.remark:
            found.append(
                {"kind": "remark", "task": "", "name": "", "example": "", "words": a.remark}
            )
    return sorted(found, key=lambda x: tuple(x.values()))


def as_rows(released: Released) -> list[dict[str, Any]]:
    """The answers as JSON rows, without time and source."""
    return [
        {
            "code": g.code, "profile": g.answer.profile, "ratings": g.answer.ratings,
            "verdicts": {k: v.choice for k, v in g.answer.verdicts.items()},
        }
        for g in released.answers
    ]  # fmt: skip
