"""A survey's answers as files, and the event that says they left: who, in which form, how many."""

from __future__ import annotations

from typing import Literal

from wardround.store import events
from wardround.store.database import Store
from wardround.survey import exchange
from wardround.survey.release import release
from wardround.survey.results import given
from wardround.survey.surveys import load, shown


def export(
    store: Store,
    survey_id: int,
    kind: Literal["csv", "xlsx"],
    *,
    full: bool = False,
    actor: int | None = None,
) -> tuple[int, dict[str, bytes]]:
    """Number of answers, and the files by name. Released form unless `full`: see `release`. CSV has the texts in a
    second file. Of a survey with fewer than `min_cell` answers the released form has none."""
    with store.read() as conn:
        found, tasks = load(conn, survey_id), shown(conn, survey_id)
    answers = given(store, survey_id)
    about = (found.stage, tasks, found.config)
    if full:
        write = exchange.full_xlsx if kind == "xlsx" else exchange.full_csv
        files = {f"{found.slug}.{kind}": write(answers, *about)}
    else:
        enough = len(answers) >= found.config.min_cell
        released = release(answers if enough else [], found.config.min_cell)
        answers = list(released.answers)
        if kind == "xlsx":
            files = {f"{found.slug}.xlsx": exchange.released_xlsx(released, *about)}
        else:
            table, texts = exchange.released_csv(released, *about)
            files = {f"{found.slug}.csv": table, f"{found.slug}-texts.csv": texts}
    with store.write() as conn:
        after = {"full": full, "answers": len(answers), "kind": kind}
        events.record(conn, "answers.exported", "survey", survey_id, actor=actor, after=after)
    return len(answers), files
