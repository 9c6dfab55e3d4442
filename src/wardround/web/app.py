"""The app, put together: areas, errors, headers. `create_app` is all that `serve` and the tests need."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from wardround.errors import (
    ConflictError,
    InputError,
    RefusedError,
    StoreError,
    UsageError,
    WardroundError,
)
from wardround.records import complete_types
from wardround.store.database import Store
from wardround.web import assets, guard, security, upload_words, words
from wardround.web.accounts import NoAccountError
from wardround.web.gzipped import Gzipped
from wardround.web.pages import problem
from wardround.web.routes.login import ask_to_log_in
from wardround.web.settings import Settings

log = logging.getLogger("wardround.web")
for _english, _chinese in upload_words.FILES:
    words.translate(_english, _chinese)
words.translate(r"someone else changed the same rows", "有人同时改动了同一处，请再试一次。")
words.translate(
    r"a character that can't be kept",
    "文字里有一个看不见的控制字符（NUL），无法保存，请重新输入这一段。",
)
AREAS = (
    "home",
    "review",
    "panel",
    "dashboard",
    "coordinator",
    "survey",
    "survey_answers",
    "respond",
    "events",
    "admin",
    "login",
    "account",
)
"""Modules of `routes/`, in the order of their links. Each has a `router`, and may have `LINKS` for the navigation,
`cards(conn, person)` for the first page, `VERBS` and `FIELDS`, names for its events, and `UPLOADS`, prefixes under which larger
bodies are let in."""
STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NoAccountError, 404), (ConflictError, 409), (RefusedError, 403), (InputError, 422), (UsageError, 422), (StoreError, 503), (WardroundError, 500),
)  # fmt: skip


def create_app(store: Store, settings: Settings | None = None) -> FastAPI:
    """The app over an open database. `RuntimeError` for a route that doesn't say who may call it."""
    settings = settings or Settings()
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_living)
    app.router.redirect_slashes = False
    app.state.store, app.state.settings = store, settings
    areas = [_area(name) for name in AREAS if _exists(name)]
    app.state.links = [link for area in areas for link in getattr(area, "LINKS", ())]
    app.state.verbs = {k: v for area in areas for k, v in getattr(area, "VERBS", {}).items()}
    app.state.fields = {k: v for area in areas for k, v in getattr(area, "FIELDS", {}).items()}
    app.state.cards = [area.cards for area in areas if hasattr(area, "cards")]
    for area in areas:
        app.router.routes.extend(_checked(area))
    app.router.routes.append(Route("/static/{name}", _static, methods=["GET"]))
    _errors(app)
    uploads = tuple(p for area in areas for p in getattr(area, "UPLOADS", ()))
    app.add_middleware(Gzipped, minimum_size=1024)
    app.add_middleware(security.Shell, settings=settings, failed=_failed, uploads=uploads)
    complete_types()
    return app


@asynccontextmanager
async def _living(app: FastAPI) -> AsyncIterator[None]:
    async with app.state.store.in_loop():
        yield


def _exists(name: str) -> bool:
    return importlib.util.find_spec(f"wardround.web.routes.{name}") is not None


def _area(name: str) -> Any:
    return importlib.import_module(f"wardround.web.routes.{name}")


def _checked(area: Any) -> list[APIRoute]:
    """An area's routes, each of them guarded and with its access stated."""
    for route in area.router.routes:
        if not isinstance(route, guard.GuardedRoute) or guard.declared(route) is None:
            raise RuntimeError(f"{area.__name__}: {getattr(route, 'path', route)} states no access")
    return list(area.router.routes)


def _static(request: Request) -> Response:
    return assets.serve(request, request.path_params["name"])


def _errors(app: FastAPI) -> None:
    async def known(request: Request, error: Exception) -> Response:
        await guard.identify(request)
        if isinstance(error, guard.LoginNeededError):
            return ask_to_log_in(request)
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        if status >= 500:
            log.error("%s: %s", type(error).__name__, error)
        return problem(request, status, error)

    async def http(request: Request, error: Exception) -> Response:
        await guard.identify(request)
        assert isinstance(error, HTTPException)
        return problem(request, error.status_code, headers=error.headers)

    async def wrong(request: Request, error: Exception) -> Response:
        await guard.identify(request)
        return problem(request, 422)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    for kind, handler in (
        (ClientDisconnect, gone),
        (WardroundError, known),
        (HTTPException, http),
        (RequestValidationError, wrong),
    ):
        app.add_exception_handler(kind, handler)


async def _failed(request: Request) -> Response:
    """The page for an error nobody foresaw: no trace of it, and plain text where even the page fails."""
    try:
        await guard.identify(request)
        return problem(request, 500)
    except Exception:
        text = "服务器出错了 / something went wrong here"
        return Response(text, 500, media_type="text/plain; charset=utf-8")
