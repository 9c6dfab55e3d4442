"""Surveys for tests: small ones, and respondents who fill them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import select

from wardround.store.database import Store
from wardround.store.people import event
from wardround.survey import desk, links, surveys
from wardround.survey.answers import Added, Answer, Verdict, stored
from wardround.survey.design import Sample, Stage, SurveyConfig, SurveyTask, proposed
from wardround.survey.surveys import Survey

CONFIG = SurveyConfig(title_zh="医生需求调查", title_en="What doctors need")
TASKS = tuple(
    t
    for t in proposed()
    if t.key in {"triage", "case_summary", "follow_up_plan", "disease_inquiry"}
)
ADULT = {"specialty": "cardiology", "title": "attending", "years": "5_9", "hospital": "tertiary"}


def made(
    store: Store,
    slug: str = "needs",
    *,
    stage: Stage = "inspiration",
    tasks: Sequence[SurveyTask] = TASKS,
    open_: bool = True,
    **settings: object,
) -> Survey:
    """A survey, open unless said otherwise."""
    config = msgspec.structs.replace(CONFIG, **settings)
    found = surveys.create(store, slug, config, stage=stage, tasks=tasks)
    return surveys.move(store, found.id, "open", found.version) if open_ else found


def closed(store: Store, survey_id: int) -> Survey:
    """The survey, closed."""
    with store.read() as conn:
        found = surveys.load(conn, survey_id)
    return surveys.move(store, survey_id, "closed", found.version)


def patch_of(answer: Answer) -> desk.Patch:
    """A patch that says all of an answer."""
    return msgspec.convert(stored(answer), desk.Patch)


def submit(store: Store, survey_id: int, answer: Answer) -> str:
    """One respondent's answer handed in by a link of its own; the link's token."""
    (token,) = links.make(store, survey_id, 1)
    desk.save(store, token, patch_of(answer))
    desk.submit(store, token)
    return token


def full(
    frequency: int = 3, usefulness: int = 4, about: dict[str, str] | None = None, added: str = ""
) -> Answer:
    """Every task rated the same."""
    rated = {"frequency": frequency, "usefulness": usefulness, "time": 2, "risk": 3}
    return Answer(
        profile=ADULT if about is None else about,
        ratings={t.key: dict(rated) for t in TASKS},
        added=(Added(slot="1", name=added),) if added else (),
    )


def judged(choice: Callable[[str], str], usefulness: int = 4) -> Answer:
    """Every task judged in a feedback stage."""
    return Answer(
        profile=ADULT,
        ratings={t.key: {"frequency": 3, "usefulness": usefulness} for t in TASKS},
        verdicts={t.key: msgspec.convert({"choice": choice(t.key)}, Verdict) for t in TASKS},
    )


def told(store: Store, verb: str) -> list[dict[str, object]]:
    """The events of a verb."""
    with store.read() as conn:
        rows = conn.execute(
            select(event).where(event.c.verb == verb).order_by(event.c.id)
        ).mappings()
        return [dict(r) for r in rows]


SAMPLE = Sample(
    question="问", answer="模型写的回答", model="scripted:echo", labels=("脚本 / scripted",)
)
