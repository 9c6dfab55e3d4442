"""The event log, for auditors: who did what, when, and what it changed."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wardround.web import event_words, guard, trail
from wardround.web.guard import Db, Who, access
from wardround.web.pages import Link, render

router = guard.router()
READERS = {"auditor", "admin"}
LINKS = (Link(href="/events", zh="操作记录", en="Events", roles=frozenset(READERS)),)


def _wanted(
    person: str = "", verb: str = "", entity: str = "", entity_id: str = "", study: str = "",
    since: str = "", until: str = "",
) -> trail.Wanted:  # fmt: skip
    number = int(study) if study.isdecimal() and len(study) < 18 else None
    return trail.Wanted(
        person=person, verb=verb, entity=entity, entity_id=entity_id, study=number, since=since, until=until
    )  # fmt: skip


Wanted = Annotated[trail.Wanted, guard.Depends(_wanted)]


@router.get("/events")
@access(READERS)
def events(
    request: Request, person: Who, db: Db, wanted: Wanted, below: Annotated[int | None, Query(ge=1)] = None
) -> Response:  # fmt: skip
    """Fifty events, newest first."""
    with db.read() as conn:
        rows, further = trail.page(conn, wanted, below=below)
        verbs = trail.verbs(conn)
        known = event_words.Known(conn, rows, person)
        studies = event_words.studies(conn)
    fields = request.app.state.fields
    filters = {k: v for k, v in msgspec.structs.asdict(wanted).items() if v not in ("", None)}
    return render(
        request, "events/events.html", further=further, below=below, wanted=wanted, verbs=verbs, studies=studies,
        rows=[(row, known.subject(row), known.changes(row, fields)) for row in rows],
        query=urlencode(filters), names=request.app.state.verbs, entities=event_words.ENTITIES,
    )  # fmt: skip


@router.get("/events.jsonl")
@access(READERS)
def jsonl(person: Who, db: Db, wanted: Wanted) -> Response:
    """All events that are wanted, as JSON lines."""
    return _download(trail.as_jsonl(db, wanted), "application/x-ndjson", "events.jsonl")


@router.get("/events.csv")
@access(READERS)
def table(person: Who, db: Db, wanted: Wanted) -> Response:
    """All events that are wanted, as a table."""
    return _download(trail.as_csv(db, wanted), "text/csv; charset=utf-8", "events.csv")


def _download(body: object, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type=kind, headers=headers)  # type: ignore[arg-type]
