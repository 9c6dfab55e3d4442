"""In a real Chromium: no overflow, no request, no script needed, and the language switch works."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.test_report_league import make as make_league
from wardround.report import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH"),
]
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_pages_fit_their_width_and_ask_for_nothing(browser: Any, world: Path, width: int) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=False
    )
    requests: list[str] = []
    for name in ("demo", "dataset", "comparison"):
        page = context.new_page()
        page.on("request", lambda r: requests.append(r.url))
        page.goto(write_report(world / name).as_uri())
        box = page.locator("body").bounding_box()
        assert box["width"] <= width
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()
    context.close()
    assert all(url.startswith("file:") and url.endswith("report.html") for url in requests)


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_a_league_of_fifteen_fits_too(browser: Any, tmp_path: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    names = tuple(f"organisation/model-{k}-with-a-rather-long-name" for k in range(15))
    page.goto(write_report(make_league(tmp_path, names)).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for details in page.locator("details").all():
        details.evaluate("e => e.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_language_switch_hides_the_other_language(browser: Any, world: Path) -> None:
    page = browser.new_page()
    page.goto(write_report(world / "demo").as_uri())
    zh, en = page.locator("h1 .zh"), page.locator("h1 .en")
    assert zh.is_visible()
    assert en.is_visible()
    page.click("label[for=language-zh]")
    assert (zh.is_visible(), en.is_visible()) == (True, False)
    page.click("label[for=language-en]")
    assert (zh.is_visible(), en.is_visible()) == (False, True)
    page.close()


def test_dark_follows_the_system(browser: Any, world: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(write_report(world / "base").as_uri())
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert colours == ["rgb(244, 246, 245)", "rgb(17, 23, 22)"]
