"""Who may call a route. Every route says so; one that doesn't keeps the app from starting.

    router = guard.router()

    @router.get("/panel")
    @access({"panel", "admin"})
    def panel(request: Request, person: Who, db: Db) -> Response: ...

`"public"`: anybody. `"anyone"`: anybody logged in. A set of roles: whoever has one of them. The check, with that of
the CSRF token for unsafe methods, runs before FastAPI reads the body, on the route itself: a page can't be reached
round it. Whether this person may see *this* item is for the handler to ask (`RefusedError`).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from wardround.errors import RefusedError, WardroundError
from wardround.store.database import Store
from wardround.store.people import ROLES
from wardround.web import sessions, words
from wardround.web.forms import fields_of
from wardround.web.sessions import Person
from wardround.web.settings import Settings

Access = Literal["public", "anyone"] | frozenset[str]
F = TypeVar("F", bound=Callable[..., Any])
SAFE = {"GET", "HEAD", "OPTIONS"}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class LoginNeededError(WardroundError):
    """Nobody is logged in, or not any more."""


def access(who: Literal["public", "anyone"] | set[str]) -> Callable[[F], F]:
    """State who may call the handler."""
    if isinstance(who, set) and (not who or not who <= set(ROLES)):
        raise ValueError(f"not roles: {who}")

    def mark(handler: F) -> F:
        handler.wardround_access = frozenset(who) if isinstance(who, set) else who  # type: ignore[attr-defined]
        return handler

    return mark


def declared(route: APIRoute) -> Access | None:
    """What a route's handler states; None where it states nothing."""
    found: Access | None = getattr(route.endpoint, "wardround_access", None)
    return found


class GuardedRoute(APIRoute):
    """A route that asks who is calling before anything else is done."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        who = declared(self)

        async def handler(request: Request) -> Response:
            await admit(request, who)
            response = await inner(request)
            leave(request, response)
            return response

        return handler


def router() -> APIRouter:
    """A router whose routes are guarded."""
    return APIRouter(route_class=GuardedRoute)


async def admit(request: Request, who: Access | None) -> None:
    """Let the request in, or raise: `LoginNeededError`, or `RefusedError` for a wrong role or CSRF token."""
    await identify(request)
    person: Person | None = request.state.person
    if who is None:
        raise RefusedError("this page states nobody who may see it")
    if who != "public" and person is None:
        raise LoginNeededError("please log in")
    if isinstance(who, frozenset) and person is not None and who.isdisjoint(person.roles):
        raise RefusedError("your roles don't allow this")
    if request.method not in SAFE:
        await _check_token(request)


async def identify(request: Request) -> None:
    """Put person, language and theme into `request.state`, once. Where the database can't be asked its error is raised,
    and for the page that tells of it the person is nobody."""
    if hasattr(request.state, "person"):
        return
    settings: Settings = request.app.state.settings
    token = request.cookies.get(settings.cookie("session"), "")
    _see(request, None)
    if token and (person := await _look_up(request, token)) is not None:
        _see(request, person)


def _see(request: Request, person: Person | None) -> None:
    request.state.person = person
    cookies = request.cookies
    request.state.lang = (
        words.lang_of(request.query_params.get("lang"))
        or (words.lang_of(person.lang) if person else None)
        or words.lang_of(cookies.get("wardround_lang"))
        or "zh"
    )
    theme = (person.theme if person else "") or cookies.get("wardround_theme", "")
    request.state.theme = theme if theme in ("light", "dark") else "auto"
    words.LANG.set(request.state.lang)


async def _look_up(request: Request, token: str) -> Person | None:
    store: Store = request.app.state.store
    settings: Settings = request.app.state.settings

    def seen(person: Person) -> None:
        with store.write() as conn:
            sessions.seen(conn, person.session_id)

    found = await store.look(lambda _: sessions.find(token, settings))
    if found is None:
        return None
    person, due = found
    if due:
        await run_in_threadpool(seen, person)
    return person


def leave(request: Request, response: Response) -> None:
    """Cookies that any page may need to set: a language chosen by link, the token of forms before a login."""
    settings: Settings = request.app.state.settings
    chosen = words.lang_of(request.query_params.get("lang"))
    if chosen:
        remember(response, settings, "wardround_lang", chosen)
    made = getattr(request.state, "new_form_token", None)
    if made:
        response.set_cookie(
            settings.cookie("form"), made, httponly=True, samesite="lax", secure=settings.https
        )


def remember(response: Response, settings: Settings, name: str, value: str) -> None:
    """A cookie for a year, for a preference: nothing secret, nothing personal."""
    response.set_cookie(
        name, value, max_age=31_536_000, httponly=True, samesite="lax", secure=settings.https
    )


def form_token(request: Request) -> str:
    """The CSRF token for a page, masked anew each time: compression can't give it away (BREACH)."""
    secret = _secret(request)
    if secret is None:
        secret = request.state.new_form_token = secrets.token_hex(32)
    mask = secrets.token_bytes(32)
    return base64.urlsafe_b64encode(mask + _masked(bytes.fromhex(secret), mask)).decode()


def token_fits(request: Request, given: str) -> bool:
    """Whether a token from a page belongs to this session (or, before a login, to this browser)."""
    secret = _secret(request)
    try:
        raw = base64.urlsafe_b64decode(given.encode())
    except ValueError:
        return False
    if secret is None or len(raw) != 64:
        return False
    return hmac.compare_digest(_masked(raw[:32], raw[32:]), bytes.fromhex(secret))


def _masked(secret: bytes, mask: bytes) -> bytes:
    return (int.from_bytes(secret) ^ int.from_bytes(mask)).to_bytes(len(mask))


def _secret(request: Request) -> str | None:
    person: Person | None = request.state.person
    if person is not None:
        return person.csrf
    settings: Settings = request.app.state.settings
    found = getattr(request.state, "new_form_token", None) or request.cookies.get(
        settings.cookie("form"), ""
    )
    return found if len(found) == 64 and set(found) <= set("0123456789abcdef") else None


async def _check_token(request: Request) -> None:
    given = request.headers.get("x-csrf-token", "")
    if not given and request.headers.get("content-type", "").startswith(FORMS):
        field = (await fields_of(request)).get("csrf", "")
        given = field if isinstance(field, str) else ""
    if not given or not token_fits(request, given):
        raise words.said(
            RefusedError,
            "这张表单已过期，请返回刷新后再提交。",
            "This form is out of date. Go back, reload the page and send it again.",
        )


# Not plain functions: FastAPI would send each to another thread and back, at every request.


async def _person(request: Request) -> Person:
    person: Person | None = request.state.person
    if person is None:
        raise LoginNeededError("please log in")
    return person


async def _maybe(request: Request) -> Person | None:
    person: Person | None = request.state.person
    return person


async def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Who = Annotated[Person, Depends(_person)]
MaybeWho = Annotated[Person | None, Depends(_maybe)]
Db = Annotated[Store, Depends(_store)]
Config = Annotated[Settings, Depends(_settings)]
