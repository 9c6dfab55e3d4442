"""What a survey says: each task's figures over all and by group of respondents, and the decision on it.

Only submitted answers count. Means carry bootstrap intervals over respondents (BCa), shares Wilson's. Priority is
usefulness × frequency of each respondent, 0 to 20, then its mean: not the product of two means. Time saved is a
median level. Groups of fewer than `min_cell` are not shown (`cells`), and nothing is shown at all of a survey with
fewer, nor, unless its settings say so, while it is open: a mean that moves with each answer gives that answer away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median, median_low
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from wardround.artifact import digest_of
from wardround.errors import ConflictError
from wardround.metrics.bootstrap import NOTHING, RESAMPLES, Estimate, column_means
from wardround.metrics.proportions import NONE, Share, wilson
from wardround.records import Record
from wardround.store.database import Store
from wardround.survey import cells
from wardround.survey import tables as t
from wardround.survey.answers import Answer, decoded, priority
from wardround.survey.design import PRIORITY, VERDICTS, Rule, SurveyConfig, SurveyTask, profile
from wardround.survey.grouping import additions
from wardround.survey.rule import Decision, decide, stated
from wardround.survey.surveys import StoredTask, Survey, counts, load, tasks

LATER = ("本阶段没有问，留待反馈阶段", "not asked about in this stage; the feedback stage does")
"""Why a task made of additions is undecided."""
DIVISIONS = ("specialty", "title", "years", "hospital")


class Given(Record, frozen=True, kw_only=True):
    """One submitted answer with what is known about it."""

    code: str
    source: str
    seconds: int | None
    answer: Answer


class Figures(Record, frozen=True, kw_only=True):
    """One task in one group of respondents. `n` counts those who said anything of it; `time` is the median level.

    What fewer than `min_cell` respondents answered is None, or has no values."""

    n: int | None
    usefulness: Estimate = NOTHING
    frequency: Estimate = NOTHING
    priority: Estimate = NOTHING
    risk: Estimate = NOTHING
    time: int | None = None
    verdicts: dict[str, int] = {}
    keep_share: Share = NONE


class TaskResult(Record, frozen=True, kw_only=True):
    """One task over all respondents, with the decision. `words`: what those said who would amend or drop it."""

    key: str
    zh: str
    en: str
    phase: str
    origin: str
    kind: str
    figures: Figures
    decision: Decision
    words: tuple[str, ...] = ()


class Group(Record, frozen=True, kw_only=True):
    """One group of a division. `n` and `tasks` are None where it is too small to be shown; a task whose own number
    of answers is too small is left out of `tasks`."""

    id: str
    zh: str
    en: str
    n: int | None
    tasks: dict[str, Figures] | None


class Results(Record, frozen=True, kw_only=True):
    """The content of results.json."""

    slug: str
    stage: str
    title_zh: str
    title_en: str
    status: str
    n: int
    imported: int
    begun: int
    seconds: float | None
    min_cell: int
    level: float
    resamples: int
    seed: int
    priority_scale: tuple[int, int]
    rule_zh: str
    rule_en: str
    tasks: tuple[TaskResult, ...]
    divisions: dict[str, tuple[Group, ...]]
    additions: dict[str, int]
    rejected: tuple[dict[str, str], ...]
    merged: dict[str, tuple[str, ...]]
    enough: bool
    digest: str


def given(store: Store, survey_id: int) -> list[Given]:
    """All submitted answers, in the order of their random codes."""
    r = t.response.c
    with store.read() as conn:
        rows = conn.execute(
            select(r.code, r.source, r.seconds, r.answer)
            .where(r.survey_id == survey_id, r.answer.is_not(None))
            .order_by(r.code)
        ).mappings()
        return [
            Given(code=x["code"], source=x["source"], seconds=x["seconds"], answer=decoded(x["answer"]))
            for x in rows
        ]  # fmt: skip


def results(store: Store, survey_id: int, *, resamples: int = RESAMPLES) -> Results:
    """The results of a survey; `ConflictError` while it is open and its settings keep figures back."""
    with store.read() as conn:
        found = load(conn, survey_id)
        stored, number = tasks(conn, survey_id), counts(conn, survey_id)
        added = additions(conn, survey_id)
    if found.status == "open" and not found.config.interim:
        raise ConflictError(
            f"survey {found.slug} is open; figures are shown when it is closed",
            hint="close it, or allow figures meanwhile in its settings (interim)",
        )
    answers = given(store, survey_id)
    asked = [x for x in stored if x.kind == "proposed"]
    enough = len(answers) >= found.config.min_cell
    usable = answers if enough else []
    times = [a.seconds for a in answers if a.seconds is not None and a.source == "web"]
    rule_zh, rule_en = stated(_rule(found.config), found.stage, found.config.level)
    merged: dict[str, list[str]] = {}
    for a in added:
        if a.state == "merged":
            merged.setdefault(a.task, []).append(a.name)
    return Results(
        slug=found.slug, stage=found.stage, title_zh=found.config.title_zh,
        title_en=found.config.title_en, status=found.status, n=len(answers),
        imported=sum(a.source == "import" for a in answers), begun=number["begun"],
        seconds=float(median(times)) if enough and len(times) >= found.config.min_cell else None,
        min_cell=found.config.min_cell, level=found.config.level, resamples=resamples,
        seed=found.config.seed, priority_scale=PRIORITY, rule_zh=rule_zh, rule_en=rule_en,
        tasks=_tasks(found, stored, usable, resamples),
        divisions=_divisions(found, [x.task for x in asked], usable, resamples) if enough else {},
        additions=dict(sorted(Counter(a.state for a in added).items())),
        rejected=tuple({"name": a.name, "reason": a.reason} for a in added if a.state == "rejected"),
        merged={k: tuple(sorted(v)) for k, v in sorted(merged.items())}, enough=enough,
        digest=digest_of([
            msgspec.to_builtins(found.config), [(x.task, x.overruled) for x in stored],
            [(g.code, g.answer) for g in answers], [(a.id, a.state, a.task, a.reason) for a in added],
        ]),
    )  # fmt: skip


def stamp(conn: Connection, survey_id: int) -> tuple[int, ...]:
    """What changes whenever the results may have: for keeping them meanwhile."""
    found: list[int] = [survey_id]
    for table in (t.response, t.task, t.addition):
        mine = table.c.survey_id == survey_id
        row = conn.execute(select(func.count(), func.sum(table.c.version)).where(mine)).one()
        found += [int(row[0]), int(row[1] or 0)]
    version = conn.execute(
        select(t.survey.c.version).where(t.survey.c.id == survey_id)
    ).scalar_one()
    return (*found, int(version))


def _tasks(
    found: Survey, stored: Sequence[StoredTask], answers: Sequence[Given], resamples: int
) -> tuple[TaskResult, ...]:
    table = _figures([x.task.key for x in stored], answers, found.stage, found.config, resamples)
    made = []
    for x in stored:
        figures = table[x.task.key]
        feedback = found.stage == "feedback"
        interval: Share | Estimate = figures.keep_share if feedback else figures.priority
        decision = decide(
            _rule(found.config), found.stage, interval.low, interval.high, interval.n, x.overruled
        )
        if x.kind == "grouped" and not decision.overruled:
            decision = msgspec.structs.replace(decision, zh=LATER[0], en=LATER[1])
        made.append(
            TaskResult(
                key=x.task.key, zh=x.task.zh, en=x.task.en, phase=x.task.phase, origin=x.task.origin,
                kind=x.kind, figures=figures, words=_words(x.task.key, answers), decision=decision,
            )
        )  # fmt: skip
    return tuple(made)


def _rule(config: SurveyConfig) -> Rule:
    """The rule as it can be applied: on figures that may be shown."""
    return msgspec.structs.replace(config.rule, at_least=max(config.rule.at_least, config.min_cell))


def _words(key: str, answers: Sequence[Given]) -> tuple[str, ...]:
    said = (a.answer.verdicts[key].words for a in answers if key in a.answer.verdicts)
    return tuple(sorted(w for w in said if w))


def _figures(
    keys: Sequence[str],
    answers: Sequence[Given],
    stage: str,
    config: SurveyConfig,
    resamples: int,
) -> dict[str, Figures]:
    """The figures of each task among `answers`, one drawing of respondents for all."""
    from wardround.metrics.arrays import np

    rows = [
        [of(a.answer.ratings.get(key, {})) for key in keys for of in MEASURES.values()]
        for a in answers
    ]
    values = np.array(rows, dtype=float).reshape(len(answers), len(keys) * len(MEASURES))
    means = column_means(values, seed=config.seed, level=config.level, resamples=resamples)
    found = {}
    for place, key in enumerate(keys):
        mine = means[place * len(MEASURES) : (place + 1) * len(MEASURES)]
        shown: dict[str, Any] = {
            m: e if e.n >= config.min_cell else NOTHING for m, e in zip(MEASURES, mine, strict=True)
        }
        found[key] = Figures(**shown, **_counted(key, answers, config))
    return found


MEASURES: dict[str, Callable[[dict[str, int]], int | None]] = {
    "usefulness": lambda r: r.get("usefulness"),
    "frequency": lambda r: r.get("frequency"),
    "priority": priority,
    "risk": lambda r: r.get("risk"),
}


def _counted(key: str, answers: Sequence[Given], config: SurveyConfig) -> dict[str, Any]:
    """What of a task's figures is no mean, as far as enough have answered."""
    spoke = sum(_answered(key, a) for a in answers)
    times = [r["time"] for a in answers if "time" in (r := a.answer.ratings.get(key, {}))]
    verdicts = [v.choice for a in answers if (v := a.answer.verdicts.get(key))]
    found: dict[str, Any] = {"n": spoke if spoke >= config.min_cell else None}
    if len(times) >= config.min_cell:
        found["time"] = median_low(times)
    if len(verdicts) >= config.min_cell:
        counted = Counter(map(str, verdicts))
        found["verdicts"] = {v: counted[v] for v in VERDICTS}
        hits = len(verdicts) - counted["drop"]
        found["keep_share"] = wilson(hits, len(verdicts), confidence=config.level)
    return found


def _answered(key: str, a: Given) -> bool:
    return bool(a.answer.ratings.get(key)) or key in a.answer.verdicts


def _divisions(
    found: Survey, asked: Sequence[SurveyTask], answers: Sequence[Given], resamples: int
) -> dict[str, tuple[Group, ...]]:
    return {d: tuple(_groups(d, found, asked, answers, resamples)) for d in DIVISIONS}


def _groups(
    division: str,
    found: Survey,
    asked: Sequence[SurveyTask],
    answers: Sequence[Given],
    resamples: int,
) -> Iterable[Group]:
    names = {c.id: (c.zh, c.en) for c in profile()[division].choices}
    names[""] = ("未说明", "not stated")
    members = {g: [a for a in answers if a.answer.profile.get(division, "") == g] for g in names}
    sizes = {g: len(m) for g, m in members.items()}
    least = found.config.min_cell
    open_ = cells.shown(sizes, least)
    keys = [task.key for task in asked]
    by_task = {
        key: cells.shown({g: sum(_answered(key, a) for a in m) for g, m in members.items()}, least)
        for key in keys
    }
    for group, (zh, en) in names.items():
        if not members[group]:
            continue
        if group not in open_:
            yield Group(id=group, zh=zh, en=en, n=None, tasks=None)
            continue
        mine = [key for key in keys if group in by_task[key]]
        figures = _figures(mine, members[group], found.stage, found.config, resamples)
        yield Group(id=group, zh=zh, en=en, n=sizes[group], tasks=figures)


def as_data(found: Results) -> dict[str, Any]:
    """JSON values of the results."""
    data: dict[str, Any] = msgspec.to_builtins(found)
    return data
