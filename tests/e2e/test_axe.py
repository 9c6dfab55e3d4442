"""The accessibility checker finds what it is there for, so that its silence elsewhere means something."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.axe import problems

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH"),
]
PAGE = """<!doctype html><html lang="zh"><head><title>审阅</title>
<meta http-equiv="Content-Security-Policy" content="script-src 'none'"></head>
<body><main><h1>病例审阅</h1>%s</main></body></html>"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def _rules(page: Any, body: str) -> set[str]:
    page.set_content(PAGE % body)
    return {p.split(" ")[0] for p in problems(page)}


def test_a_good_page_has_no_problems(page: Any) -> None:
    good = '<form><label for="a">评分</label><input id="a" name="a"><button>提交</button></form>'
    assert _rules(page, good) == set()


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ('<p style="color:#999;background:#fff">看不清的字</p>', "color-contrast"),
        ('<input name="a">', "label"),
        ("<button></button>", "button-name"),
        (
            '<p id="a">一</p><label for="x">b</label><div role="slider">c</div>',
            "aria-required-attr",
        ),
        ('<img src="data:,">', "image-alt"),
    ],
)
def test_a_bad_page_has_the_problem_it_has(page: Any, body: str, rule: str) -> None:
    assert rule in _rules(page, body)
