"""Every route for every role, against what the route states; and no route states nothing."""

from __future__ import annotations

import re
import types
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import Response
from starlette.routing import Route

from tests.web.world import Client, World
from wardround.errors import WardroundError
from wardround.store.people import ROLES
from wardround.web import app as web_app
from wardround.web import guard

WHO = (None, (), *((role,) for role in ROLES), ROLES)
"""Nobody; somebody without a role; each role; all at once."""


def guarded(app: FastAPI) -> list[guard.GuardedRoute]:
    return [r for r in app.routes if isinstance(r, guard.GuardedRoute)]


def test_every_route_is_guarded_but_the_static_files(app: FastAPI) -> None:
    others = [r for r in app.routes if not isinstance(r, guard.GuardedRoute)]
    assert [r.path for r in others if isinstance(r, Route)] == ["/static/{name}"]
    assert len(others) == 1
    assert len(guarded(app)) > 20
    assert all(guard.declared(r) is not None for r in guarded(app))


def test_a_page_and_a_change_never_share_a_route(app: FastAPI) -> None:
    """GET changes nothing and needs no token, so a handler of it must not answer POST too."""
    for route in guarded(app):
        assert len(route.methods or ()) == 1, route.path


@pytest.mark.parametrize(
    "who", WHO, ids=lambda w: "anonymous" if w is None else "+".join(w) or "none"
)
def test_each_route_lets_in_whom_it_states(
    world: World, monkeypatch: pytest.MonkeyPatch, who: tuple[str, ...] | None
) -> None:
    outcomes: list[type[Exception] | None] = []
    real = guard.admit

    async def watched(request: Any, access: Any) -> None:
        try:
            await real(request, access)
        except WardroundError as e:
            outcomes.append(type(e))
            raise
        outcomes.append(None)

    monkeypatch.setattr(guard, "admit", watched)
    wrong = []
    user_id = None if who is None else world.person(*who)
    for route in guarded(world.app):
        stated = guard.declared(route)
        assert stated is not None
        let_in = stated == "public" or (
            who is not None and (stated == "anyone" or not stated.isdisjoint(who))
        )
        client: Any = _anonymous(world) if who is None else world.client_as(user_id=user_id)
        method = next(iter(route.methods or ()))
        path = re.sub(r"{[^}]*}", "1", route.path)
        outcomes.clear()
        reply = client.request(method, path)
        line = f"{method} {path} as {who}: {reply.status_code}, {outcomes}"
        if let_in and (outcomes != [None] or reply.status_code == 401 or reply.status_code >= 500):
            if reply.status_code == 401 and path == "/login" and method == "POST":
                continue  # a wrong password
            wrong.append(line)
        if not let_in:
            refused = (303, 403) if who is None else (403,)
            to_login = reply.headers.get("location", "/login").startswith("/login")
            if None in outcomes or reply.status_code not in refused or not to_login:
                wrong.append(line)
    assert not wrong, "\n".join(wrong)


def _anonymous(world: World) -> Any:
    """A browser without a session, which has a form's token, so that only access decides."""
    client = world.client()
    page = client.get("/login").text
    client.headers["X-CSRF-Token"] = page.split('name="csrf" content="')[1].split('"')[0]
    return client


def area(stated: bool, router: Any = None) -> types.SimpleNamespace:
    made = guard.router() if router is None else router

    @made.get("/new")
    def new() -> Response:
        return Response("reached")

    if stated:
        guard.access({"admin"})(new)
    return types.SimpleNamespace(__name__="new", router=made)


def test_a_route_that_states_nothing_stops_the_app() -> None:
    with pytest.raises(RuntimeError, match="/new states no access"):
        web_app._checked(area(stated=False))


def test_a_route_of_an_unguarded_router_stops_the_app() -> None:
    from fastapi import APIRouter

    with pytest.raises(RuntimeError, match="/new states no access"):
        web_app._checked(area(stated=True, router=APIRouter()))


def test_a_route_that_slips_in_unchecked_is_closed_all_the_same(world: World) -> None:
    world.app.router.routes.extend(area(stated=False).router.routes)
    reply = world.client_as(*ROLES).get("/new")
    assert reply.status_code == 403
    assert "reached" not in reply.text


def test_access_takes_known_roles_only() -> None:
    for wrong in (set(), {"boss"}, {"admin", "boss"}):
        with pytest.raises(ValueError, match="not roles"):
            guard.access(wrong)


def test_no_address_outside_the_routes_answers(world: World) -> None:
    client = world.client_as("admin")
    for path in (
        "/docs",
        "/openapi.json",
        "/redoc",
        "/static/",
        "/static/../app.py",
        "/static/app.css",
        "/admin/people/",
    ):
        assert client.get(path).status_code == 404, path


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_methods_that_are_not_offered(client_as: Any, method: str) -> None:
    client: Client = client_as("admin")
    assert client.request(method, "/admin/people").status_code == 405


@pytest.mark.parametrize("how", ["header", "field", "query"])
def test_no_method_override(client_as: Any, how: str) -> None:
    """A GET stays a GET, whatever it says of itself."""
    client: Client = client_as("admin")
    headers = (
        {"X-HTTP-Method-Override": "POST", "X-Method-Override": "POST"} if how == "header" else {}
    )
    query = "?_method=POST" if how == "query" else ""
    assert client.request("GET", f"/logout{query}", headers=headers).status_code == 405
    reply = client.request("POST", "/account/sessions/end", data={"_method": "GET"})
    assert reply.status_code == 303
