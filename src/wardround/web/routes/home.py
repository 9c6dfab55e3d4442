"""The first page: what waits for this person, area by area."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from wardround.web import guard
from wardround.web.guard import Db, Who, access
from wardround.web.pages import Link, render

router = guard.router()
LINKS = (Link(href="/", zh="首页", en="Home"),)


@router.get("/")
@access("anyone")
def home(request: Request, person: Who, db: Db) -> Response:
    """What waits for me."""
    with db.read() as conn:
        cards = [card for area in request.app.state.cards for card in area(conn, person)]
    return render(request, "home.html", cards=cards)


@router.get("/health")
@access("public")
def health(db: Db) -> Response:
    """Whether the app and its database answer; nothing else is told."""
    with db.read() as conn:
        conn.exec_driver_sql("SELECT 1")
    return Response("ok", media_type="text/plain")
