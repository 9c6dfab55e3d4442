"""Coming in and going out: password, invitation, provider, and what anybody may choose (language, theme)."""

from __future__ import annotations

import base64
import logging
from typing import Annotated
from urllib.parse import quote, urlsplit

import msgspec
from fastapi import Form
from sqlalchemy import select, update
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from wardround.errors import RefusedError, UsageError
from wardround.store import events
from wardround.store.database import Store
from wardround.store.people import user
from wardround.web import accounts, auth, guard, linking, oidc, sessions
from wardround.web.guard import Config, Db, MaybeWho, Who, access
from wardround.web.pages import go, is_htmx, local_path, problem, render, wants_json
from wardround.web.settings import Settings
from wardround.web.words import message, said, t

log = logging.getLogger("wardround.web")
router = guard.router()
Text = Annotated[str, Form()]


def ask_to_log_in(request: Request) -> Response:
    """To the login page, and back here afterwards; a fragment or JSON where no page was asked for."""
    if is_htmx(request):
        back = quote(_path_of(request.headers.get("hx-current-url", "")), safe="")
        link = (f"/login?next={back}&expired=1", t("去登录", "Log in"))
        return problem(request, 401, headers={"X-Login": "needed"}, link=link)
    if wants_json(request):
        return problem(request, 401, headers={"X-Login": "needed"})
    back = _page_before(request) if request.method != "GET" else _path_of(str(request.url))
    had = request.app.state.settings.cookie("session") in request.cookies
    expired = "&expired=1" if request.method != "GET" or had else ""
    return go(request, f"/login?next={quote(back, safe='')}{expired}")


def _page_before(request: Request) -> str:
    """The page a form was on, by the Referer, of which only the path is used."""
    return _path_of(request.headers.get("referer", ""))


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return local_path(parts.path + (f"?{parts.query}" if parts.query else ""))


def set_session(response: Response, token: str, settings: Settings) -> Response:
    """Put a session's token into its cookie, which the browser forgets when it is closed."""
    response.set_cookie(
        settings.cookie("session"), token, httponly=True, samesite="lax", secure=settings.https
    )
    return response


def enter(request: Request, db: Store, user_id: int, target: str) -> Response:
    """A new session for this user, in place of any this browser had; on to `target`."""
    settings: Settings = request.app.state.settings
    old = request.state.person
    with db.write() as conn:
        if old is not None:
            sessions.end(conn, old.session_id)
        agent = request.headers.get("user-agent", "")
        token = sessions.start(conn, user_id, settings, agent=agent)
    response = set_session(go(request, target), token, settings)
    _forget(response, settings, "form")
    return response


def _forget(response: Response, settings: Settings, name: str) -> None:
    response.delete_cookie(
        settings.cookie(name), secure=settings.https, httponly=True, samesite="lax"
    )


def _login_form(
    request: Request, *, target: str, name: str = "", error: str = "", expired: bool = False,
    status: int = 200, wait: int = 0,
) -> Response:  # fmt: skip
    settings: Settings = request.app.state.settings
    providers = [
        (key, t(p.label_zh or p.label_en or key, p.label_en or p.label_zh or key))
        for key, p in settings.oidc.items()
    ]
    return render(
        request, "account/login.html", status=status, headers={"Retry-After": str(wait)} if wait else None,
        next=local_path(target), name=name, error=error, expired=expired, providers=providers,
        here=f"/login?next={quote(local_path(target), safe='')}{'&expired=1' if expired else ''}",
    )  # fmt: skip


@router.get("/login")
@access("public")
def login_page(
    request: Request,
    person: MaybeWho,
    next: str = "/",  # noqa: A002
    expired: str = "",
) -> Response:
    """The form; whoever is logged in already goes on."""
    if person is not None:
        return go(request, next)
    return _login_form(request, target=next, expired=bool(expired))


@router.post("/login")
@access("public")
def login(
    request: Request,
    db: Db,
    name: Text = "",
    password: Text = "",
    next: Text = "/",  # noqa: A002
) -> Response:
    """Check name and password; a new session each time."""
    address = request.client.host if request.client else ""
    try:
        user_id = auth.log_in(db, name, password, address)
    except RefusedError as e:
        return _login_form(request, target=next, name=name[:80], error=message(e), status=401)
    except auth.TooManyError as e:
        text = t("失败次数过多，请稍后再试。", "Too many failed attempts. Please try again later.")
        return _login_form(
            request, target=next, name=name[:80], error=text, status=429, wait=e.wait
        )
    return enter(request, db, user_id, next)


@router.post("/logout")
@access("anyone")
def logout(request: Request, person: Who, db: Db, settings: Config) -> Response:
    """End this session; what this browser kept of it goes too."""
    with db.write() as conn:
        sessions.end(conn, person.session_id)
        events.record(conn, "session.ended", "user", person.id, actor=person.id)
    response = go(request, "/login")
    _forget(response, settings, "session")
    response.headers["Clear-Site-Data"] = '"storage"'
    return response


@router.get("/invite/{token}")
@access("public")
def invite_page(request: Request, token: str, db: Db) -> Response:
    """The form to set a password by a one-time link; looking at it doesn't use it up."""
    with db.read() as conn:
        row = accounts.invited(conn, token)
    if row is None:
        return render(request, "account/dead_link.html", status=404)
    return render(request, "account/invite.html", account=row, token=token, error="")


@router.post("/invite/{token}")
@access("public")
def accept_invite(
    request: Request, token: str, db: Db, password: Text = "", again: Text = ""
) -> Response:
    """Set the password and log in."""
    try:
        if password != again:
            raise _differ()
        with db.write() as conn:
            user_id = accounts.accept(conn, token, password)
    except UsageError as e:
        with db.read() as conn:
            row = accounts.invited(conn, token)
        if row is None:
            return render(request, "account/dead_link.html", status=404)
        return render(
            request, "account/invite.html", status=422, account=row, token=token, error=message(e)
        )
    except RefusedError:
        return render(request, "account/dead_link.html", status=404)
    return enter(request, db, user_id, "/")


def _differ() -> UsageError:
    return said(UsageError, "两次输入的密码不一样。", "The two passwords differ.")


def _redirect_uri(settings: Settings, provider: str) -> str:
    return f"{settings.base_url.rstrip('/')}/login/oidc/{provider}/back"


@router.get("/login/oidc/{provider}")
@access("public")
def leave_for_provider(
    request: Request,
    provider: str,
    settings: Config,
    next: str = "/",  # noqa: A002
) -> Response:
    """Off to the provider."""
    if provider not in settings.oidc:
        raise HTTPException(404)
    redirect = _redirect_uri(settings, provider)
    try:
        url, pending = oidc.begin(provider, settings.oidc[provider], redirect, local_path(next))
    except oidc.ProviderError as e:
        log.warning("login by %s not possible: %s", provider, e.why)
        return _login_form(request, target=next, error=message(e), status=503)
    response = RedirectResponse(url, status_code=303)
    kept = base64.urlsafe_b64encode(msgspec.json.encode(pending)).decode()
    response.set_cookie(
        settings.cookie("oidc"), kept, max_age=oidc.PENDING_SECONDS, httponly=True, samesite="lax",
        secure=settings.https,
    )  # fmt: skip
    return response


@router.get("/login/oidc/{provider}/back")
@access("public")
def back_from_provider(request: Request, provider: str, db: Db, settings: Config) -> Response:
    """Back from the provider: check what it says, find the account, log in."""
    configured = settings.oidc.get(provider)
    if configured is None:
        raise HTTPException(404)
    pending = _pending(request.cookies.get(settings.cookie("oidc"), ""))
    try:
        if pending is None or pending.provider != provider:
            raise oidc.refused("no login under way")
        params = dict(request.query_params)
        known = oidc.finish(configured, pending, params, _redirect_uri(settings, provider))
        with db.write() as conn:
            user_id = linking.account_of(conn, configured, known)
    except (RefusedError, oidc.ProviderError) as e:
        why = getattr(e, "why", "") or "no account"
        log.warning("login by %s refused: %r", provider, why)
        status = 503 if isinstance(e, oidc.ProviderError) else 403
        response = _login_form(request, target="/", error=message(e), status=status)
    else:
        response = enter(request, db, user_id, pending.target)
    _forget(response, settings, "oidc")
    return response


def _pending(cookie: str) -> oidc.Pending | None:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cookie), type=oidc.Pending)
    except ValueError:
        return None


@router.post("/preferences")
@access("public")
def preferences(
    request: Request, person: MaybeWho, db: Db, settings: Config,
    lang: Text = "", theme: Text = "", next: Text = "/",  # noqa: A002
) -> Response:  # fmt: skip
    """Language and theme: kept in a cookie, and with the account when somebody is logged in."""
    chosen: dict[str, str] = {}
    if lang in ("zh", "en"):
        chosen["lang"] = lang
    if theme in ("auto", "light", "dark"):
        chosen["theme"] = theme
    if person is not None and chosen:
        mine = user.c.id == person.id
        with db.write() as conn:
            old = conn.execute(select(user.c.preferences).where(mine)).scalar_one()
            conn.execute(update(user).where(mine).values(preferences={**old, **chosen}))
    response = go(request, next)
    for key, value in chosen.items():
        guard.remember(response, settings, f"wardround_{key}", value)
    return response
