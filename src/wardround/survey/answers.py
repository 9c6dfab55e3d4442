"""What one respondent says, as a plain record, and what follows from it alone: is it allowed, how far is it, what counts.

Every question may be left out, and what was left out is missing, never zero. Who never does a task need not answer
the rest of it: its priority is 0, since usefulness is multiplied with a frequency of 0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from wardround.errors import UsageError
from wardround.records import Record
from wardround.survey.design import (
    ASKED,
    DIMENSIONS,
    LONGEST,
    VERDICTS,
    SurveyConfig,
    SurveyTask,
    profile,
)

_BLANK_RUNS = re.compile(r"[^\S\n]+")
SLOT = re.compile(r"[0-9A-Za-z_-]{1,20}")


class Added(Record, frozen=True, kw_only=True):
    """A task of the respondent's own. `slot` tells it from the same respondent's others."""

    slot: str
    name: str
    example: str = ""
    why: str = ""


class Verdict(Record, frozen=True, kw_only=True):
    """Keep, amend or drop one task; `words` say how to amend it, or why."""

    choice: Literal["keep", "amend", "drop"]
    words: str = ""


class Answer(Record, frozen=True, kw_only=True):
    """All one respondent says. `profile`: field → choice id; `ratings`: task key → dimension → value."""

    profile: dict[str, str] = {}
    ratings: dict[str, dict[str, int]] = {}
    verdicts: dict[str, Verdict] = {}
    added: tuple[Added, ...] = ()
    remark: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is said of any task."""
        return not (any(self.ratings.values()) or self.verdicts or self.added or self.remark)


NOTHING = Answer()


def clean(text: str, most: int) -> str:
    """Text as it is kept: line ends as \\n, no control characters or halves of characters, cut to `most`."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    kept = "".join(c for c in plain if c == "\n" or not _unfit(c))
    return _BLANK_RUNS.sub(" ", kept).strip()[:most].strip()


def _unfit(c: str) -> bool:
    """Control characters, halves of characters, what is no character, marks that turn the direction of writing."""
    point = ord(c)
    if (
        unicodedata.category(c) in ("Cc", "Cs")
        or 0xFDD0 <= point <= 0xFDEF
        or point & 0xFFFE == 0xFFFE
    ):
        return True
    return c == "\ufeff" or 0x202A <= point <= 0x202E or 0x2066 <= point <= 0x2069


def checked(
    answer: Answer, stage: str, tasks: Sequence[SurveyTask], config: SurveyConfig
) -> tuple[Answer, list[str]]:
    """The answer with its texts cleaned and what is empty left out, and what is not allowed in it.

    Problems name their place: "profile.title", "triage.risk", "triage.verdict", "added.1".
    """
    keys = {t.key for t in tasks}
    problems = [f"profile.{k}" for k, v in answer.profile.items() if not _of_profile(k, v)]
    ratings: dict[str, dict[str, int]] = {}
    for key, given in answer.ratings.items():
        problems += [f"{key}.{d}" for d, v in given.items() if not _rated(stage, key, d, v, keys)]
        if given:
            ratings[key] = {d: given[d] for d in DIMENSIONS if d in given}
    verdicts = {}
    for key, verdict in answer.verdicts.items():
        if stage != "feedback" or key not in keys:
            problems.append(f"{key}.verdict")
        verdicts[key] = Verdict(choice=verdict.choice, words=clean(verdict.words, LONGEST["words"]))
    added, wrong = _added(answer.added, stage, config)
    cleaned = Answer(
        profile={k: answer.profile[k] for k in profile() if answer.profile.get(k)},
        ratings=_in_order(ratings, tasks), verdicts=_in_order(verdicts, tasks), added=added,
        remark=clean(answer.remark, LONGEST["remark"]),
    )  # fmt: skip
    return cleaned, problems + wrong


def _in_order(found: Mapping[str, Any], tasks: Sequence[SurveyTask]) -> dict[str, Any]:
    return {t.key: found[t.key] for t in tasks if t.key in found}


def _of_profile(field: str, value: str) -> bool:
    known = profile().get(field)
    return known is not None and (not value or any(c.id == value for c in known.choices))


def _rated(stage: str, key: str, dimension: str, value: Any, keys: set[str]) -> bool:
    return (
        key in keys
        and dimension in ASKED[stage]
        and isinstance(value, int)
        and not isinstance(value, bool)
        and value in DIMENSIONS[dimension].values
    )


def _added(
    given: Sequence[Added], stage: str, config: SurveyConfig
) -> tuple[tuple[Added, ...], list[str]]:
    kept, problems = [], []
    for number, one in enumerate(given, start=1):
        texts = {k: clean(getattr(one, k), LONGEST[k]) for k in ("name", "example", "why")}
        if not any(texts.values()):
            continue
        if not texts["name"] or not SLOT.fullmatch(one.slot):
            problems.append(f"added.{number}")
        kept.append(Added(slot=one.slot, **texts))
    if kept and (stage != "inspiration" or len(kept) > config.most_added):
        problems.append(f"added.{len(kept)}")
    if len({a.slot for a in kept}) < len(kept):
        problems.append("added.slot")
    return tuple(kept), problems


def words_of(problem: str, tasks: Sequence[SurveyTask]) -> tuple[str, str]:
    """A problem of `checked` for people, Chinese and English."""
    head, _, tail = problem.partition(".")
    if head == "added":
        return "补充的任务：缺名称，或数量过多", "an added task: no name, or too many"
    if head == "profile":
        found = profile().get(tail)
        return (f"{found.zh}：无此选项", f"{found.en}: no such choice") if found else (tail, tail)
    task = next((t for t in tasks if t.key == head), None)
    dimension = DIMENSIONS.get(tail)
    what = (dimension.zh, dimension.en) if dimension else ("取舍", "verdict")
    name = (task.zh, task.en) if task else (head, head)
    return f"{name[0]}·{what[0]}：不是可选的值", f"{name[1]}, {what[1]}: not one of the values"


class Progress(Record, frozen=True, kw_only=True):
    """How far an answer is: tasks with all their questions answered, of those asked."""

    done: int
    total: int


def complete(answer: Answer, key: str, stage: str) -> bool:
    """Whether every question of one task is answered."""
    rated = answer.ratings.get(key, {})
    if stage == "feedback":
        verdict = answer.verdicts.get(key)
        return verdict is not None and (verdict.choice == "drop" or _all_rated(rated, stage))
    return _all_rated(rated, stage)


def _all_rated(rated: Mapping[str, int], stage: str) -> bool:
    return rated.get("frequency") == 0 or all(d in rated for d in ASKED[stage])


def progress(answer: Answer, tasks: Sequence[SurveyTask], stage: str) -> Progress:
    """How many of `tasks` are complete."""
    return Progress(done=sum(complete(answer, t.key, stage) for t in tasks), total=len(tasks))


def priority(rated: Mapping[str, int]) -> int | None:
    """usefulness × frequency, 0 to 20; None where it is not known."""
    if rated.get("frequency") == 0:
        return 0
    if "frequency" in rated and "usefulness" in rated:
        return rated["frequency"] * rated["usefulness"]
    return None


def decoded(stored: Any) -> Answer:
    """An answer from its JSON."""
    return msgspec.convert(stored, Answer)


def stored(answer: Answer) -> dict[str, Any]:
    """An answer as JSON values."""
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


def verdict_of(choice: str, words: str = "") -> Verdict:
    """A verdict from its word; `UsageError` for another one."""
    if choice not in VERDICTS:
        raise UsageError(f"no verdict {choice!r}", hint=f"one of {', '.join(VERDICTS)}")
    return msgspec.convert({"choice": choice, "words": words}, Verdict)
