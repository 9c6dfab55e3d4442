"""From a template's name to a response. Autoescape, StrictUndefined, and what every template may use:

`t(zh, en)`, `pair(names)`, `static(name)`, `when(ms)`, `label(part)`, `part(p)`, `shown(part)`, `person`, `csrf_field` (first in every posted form), `csrf`,
`lang`, `theme`, `path`, `here`, `links`, `settings`, `version`.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from wardround import __version__
from wardround.errors import StoreError, WardroundError
from wardround.records import Record
from wardround.web import part_words, words
from wardround.web.assets import static
from wardround.web.guard import form_token
from wardround.web.templates_in import Templates
from wardround.web.words import LANG, Lang, pair, t

TEMPLATES = Path(__file__).parent / "templates"


class Link(Record, frozen=True, kw_only=True):
    """One entry of the navigation, for people with any of `roles` (empty: everybody logged in)."""

    href: str
    zh: str
    en: str
    roles: frozenset[str] = frozenset()


class Card(Record, frozen=True, kw_only=True):
    """One thing that waits for a person, on the first page. `count`: how many wait; `calm`: nothing does."""

    title: str
    text: str
    href: str
    action: str
    count: int | None = None
    calm: bool = False
    done: int | None = None
    total: int | None = None


def environment() -> Environment:
    """The templates in the language of this request, compiled once per process."""
    return _environment(LANG.get())


@lru_cache
def _environment(lang: Lang) -> Environment:
    env = Environment(
        loader=Templates(TEMPLATES, lang), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    env.globals.update(t=t, pair=pair, static=static, when=when, version=__version__)
    env.globals.update(label=part_words.label, part=part_words.piece, shown=part_words.shown)
    env.filters.update(when=when)
    return env


def when(ms: int | None, *, day: bool = False) -> Markup:
    """A time as the server's clock shows it, with the exact one for machines."""
    if ms is None:
        return Markup("—")
    at = datetime.fromtimestamp(ms / 1000).astimezone()
    text = at.strftime("%Y-%m-%d" if day else "%Y-%m-%d %H:%M")
    return Markup('<time datetime="{}">{}</time>').format(at.isoformat(timespec="seconds"), text)


def common(request: Request) -> dict[str, Any]:
    """What every template is given."""
    state = request.app.state
    person = request.state.person
    links = [link for link in state.links if person and (not link.roles or person.has(*link.roles))]
    path, query = request.scope["path"], request.scope["query_string"].decode(errors="replace")
    token = form_token(request)
    field = Markup('<input type="hidden" name="csrf" value="{}">').format(token)
    return {
        "person": person, "csrf": token, "csrf_field": field, "lang": request.state.lang,
        "theme": request.state.theme, "path": path, "settings": state.settings, "links": links,
        "here": (f"{path}?{query}" if query else path) if request.method == "GET" else "/",
    }  # fmt: skip


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> HTMLResponse:
    """A page or a fragment from `templates/`."""
    text = environment().get_template(template).render({**common(request), **context})
    return HTMLResponse(text, status_code=status, headers=headers)


def is_htmx(request: Request) -> bool:
    """Whether htmx asks, for a fragment; a whole page is wanted when it restores its history."""
    return (
        request.headers.get("hx-request") == "true"
        and request.headers.get("hx-history-restore-request") != "true"
    )


def wants_json(request: Request) -> bool:
    """Whether the caller asked for JSON and not for a page."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


def go(request: Request, path: str) -> Response:
    """Send the browser to a page of ours after a change (303, or htmx's own way)."""
    target = local_path(path)
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, status_code=303)


def local_path(given: str | None) -> str:
    """`given` if it is a path of this app, else "/": a link can't send people elsewhere after a login."""
    text = given or "/"
    bad = any(unicodedata.category(c).startswith("C") for c in text) or "\\" in text
    if bad or not text.startswith("/") or text.startswith("//") or len(text) > 2000:
        return "/"
    parts = urlsplit(text)
    if parts.scheme or parts.netloc:
        return "/"
    return quote(text, safe="/?&=#%:@!$'()*+,;~-._[]")


def problem(
    request: Request,
    status: int,
    error: Exception | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    link: tuple[str, str] | None = None,
) -> Response:
    """An error as its reader needs it: JSON, a fragment for htmx (with a way out: address, words), or a page."""
    title = pair(words.TITLES.get(status, words.TITLES[400]))
    known = isinstance(error, WardroundError)
    text = words.message(error) if isinstance(error, WardroundError) else ""
    if not known or status in (401, 500):
        text = pair(words.TEXTS.get(status, words.TEXTS[400]))
    elif status == 503 and isinstance(error, StoreError):
        text = pair(words.NO_STORE)
    if wants_json(request):
        return JSONResponse({"error": text, "status": status}, status_code=status, headers=headers)
    if is_htmx(request):
        retarget = {"HX-Retarget": "#notices", "HX-Reswap": "innerHTML"}
        way = Markup(' <a class="button small" href="{}">{}</a>').format(*link) if link else ""
        body = Markup(
            '<div class="notice stop" role="alert"><strong>{}</strong> {}{}</div>'
        ).format(title, text, way)
        return HTMLResponse(body, status_code=status, headers={**(headers or {}), **retarget})
    return render(
        request, "error.html", status=status, headers=headers, code=status, title=title, text=text
    )


def to_json(value: object) -> str:
    """A value as readable JSON, for a page to show."""
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True)


__all__ = [
    "Card", "Link", "escape", "go", "is_htmx", "local_path", "problem", "render", "to_json", "wants_json", "when",
]  # fmt: skip
