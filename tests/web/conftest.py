"""Fixtures of the web app's tests.

world         an app on SQLite: .app .store .settings .person(*roles) .client() .client_as(*roles)
both          the same, once on SQLite and once on PostgreSQL
app           world.app
client_as     world.client_as: `client_as("reviewer").get("/")`
quick         cheap password hashes
browser_app   the world's app behind a real server: .url, .world, .page(role…) → a Playwright page, logged in
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from tests.web.world import Client, World, served
from wardround.store.database import Store
from wardround.web import auth

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Cheap password hashes, for tests of what happens around them."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(auth, "_hasher", cheap)
    auth._nobody.cache_clear()
    yield
    auth._nobody.cache_clear()


@pytest.fixture
def world(sqlite_store: Store) -> Iterator[World]:
    made = World(sqlite_store)
    yield made
    made.close()


@pytest.fixture
def both(store: Store) -> Iterator[World]:
    made = World(store)
    yield made
    made.close()


@pytest.fixture
def app(world: World) -> FastAPI:
    return world.app


@pytest.fixture
def client_as(world: World) -> Callable[..., Client]:
    return world.client_as


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on PATH")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def focus_on(page: Any, element_id: str) -> None:
    """Wait until an element has the focus. A page's `autofocus` takes effect when it is first drawn, which on a busy
    machine is after its `load`."""
    page.wait_for_function("id => document.activeElement?.id === id", arg=element_id)


class BrowserApp:
    """The app as people meet it: a real server and a real browser."""

    def __init__(
        self, world: World, url: str, chromium: Any, folder: Path, others: tuple[str, ...] = ()
    ) -> None:
        self.world, self.url, self.chromium, self.folder = world, url, chromium, folder
        self.problems: list[str] = []
        self._expected = (url, "data:", "blob:", "about:", *others)
        self._contexts: list[Any] = []

    def page(
        self, *roles: str, user_id: int | None = None, lang: str = "zh",
        scheme: str = "light", size: tuple[int, int] = (1280, 900), **options: Any,
    ) -> Any:  # fmt: skip
        """A page in a context of its own. With roles or a user id somebody is logged in. Errors in the page's
        console, requests to other hosts and broken pages fail the test when the fixture closes."""
        context = self.chromium.new_context(
            base_url=self.url, color_scheme=scheme, locale="zh-CN",
            viewport={"width": size[0], "height": size[1]}, **options,
        )  # fmt: skip
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        cookies = [{"name": "wardround_lang", "value": lang, "url": self.url}]
        if roles or user_id is not None:
            user_id = self.world.person(*roles) if user_id is None else user_id
            name = self.world.settings.cookie("session")
            cookies.append({"name": name, "value": self.world.token(user_id), "url": self.url})
        context.add_cookies(cookies)
        page = context.new_page()
        page.on("pageerror", lambda e: self.problems.append(f"script: {e}"))
        page.on("request", lambda r: self._asked(r.url))
        page.on("console", lambda m: self._said(m))
        return page

    def _asked(self, url: str) -> None:
        if not url.startswith(self._expected):
            self.problems.append(f"outside request: {url}")

    def _said(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    def shot(self, page: Any, name: str) -> Path:
        """A screenshot of the whole page in the test's folder."""
        path = self.folder / f"{name}.png"
        page.screenshot(path=str(path), full_page=True, caret="initial")
        return path

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def browser_app(world: World, chromium: Any, tmp_path: Path) -> Iterator[BrowserApp]:
    with served(world.app) as url:
        made = BrowserApp(world, url, chromium, tmp_path)
        yield made
        made.close()
    assert not made.problems, made.problems
