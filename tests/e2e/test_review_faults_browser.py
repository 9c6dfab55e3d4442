"""What reviewers meet in the browser when something goes wrong: a session that ends in mid-edit, a comment of fifty
thousand characters, script in words that others are shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright.sync_api")

from sqlalchemy import delete, select

from tests.e2e.review_server import HIDDEN, Reviewer, page_of
from tests.e2e.test_review_faults import reviews
from tests.review.drafts import waiting_item
from tests.web.conftest import BrowserApp, browser_app, chromium, world
from tests.web.rooms import open_rationales
from tests.web.test_review_browser import keys, ready
from tests.web.world import World
from wardround.errors import ConflictError, StoreError
from wardround.review import handing_in, opening
from wardround.review.forms import rationale_form
from wardround.review.study import StudyConfig
from wardround.review.tables import assignment, draft, item
from wardround.store.people import session
from wardround.web import accounts

__all__ = ["browser_app", "chromium", "world"]
pytestmark = pytest.mark.browser
SCRIPT = '<script>window.broken = 1</script><img src=x onerror="window.broken = 1">{{ 7 * 7 }}'


def test_a_session_that_ends_in_mid_edit_loses_nothing(browser_app: BrowserApp) -> None:
    world = browser_app.world
    new = accounts.NewUser(name="zhang", roles=("reviewer",))
    with world.store.write() as conn:
        me = accounts.open_account(conn, new, actor=None, password="a long enough passphrase")
    open_rationales(world, [me, world.person("reviewer"), world.person("reviewer")])
    page = browser_app.page(user_id=me)
    page.goto("/review/trial")
    here = ready(page)
    keys(page, "53")
    page.keyboard.press("c")
    page.keyboard.type("写到一半")
    page.get_by_text("草稿已保存").wait_for()
    with world.store.write() as conn:
        conn.execute(delete(session))
    page.keyboard.type("，会话已过期")
    page.keyboard.press("Escape")
    keys(page, "444")
    page.evaluate(
        """() => { const p = document.querySelector('[data-part="s2"]').firstChild, r = document.createRange();
        r.setStart(p, 0); r.setEnd(p, 5); getSelection().removeAllRanges(); getSelection().addRange(r); }"""
    )
    keys(page, "m")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    page.locator("#notices").get_by_role("link", name="去登录").click()
    page.wait_for_url("**/login?*")
    assert "登录已过期" in page.locator("main").inner_text()
    with world.store.read() as conn:
        assert conn.execute(select(draft.c.body)).scalar_one()["comment"] == "写到一半"
    page.locator("#name").fill("zhang")
    page.locator("#password").fill("a long enough passphrase")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review/trial")
    assert ready(page) == here
    assert page.locator("#comment").input_value() == "写到一半，会话已过期"
    assert page.locator(".levels input:checked").count() == 5
    page.get_by_text("草稿已保存").wait_for()
    page.keyboard.press("Enter")
    ready(page, here)
    (row,) = reviews(world.store)
    assert (row["comment"], list(row["scores"].values())) == (
        "写到一半，会话已过期",
        [5, 3, 4, 4, 4],
    )
    assert [s["text"] for s in row["spans"]] == ["右心室梗死"]


def test_fifty_thousand_characters_typed_saved_and_handed_in(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    here = ready(page)
    long = ("查体" * 1249 + "无\n") * 20  # 150,000 bytes
    assert len(long) == 50_000
    page.locator("#comment").fill(long[:-10])
    page.get_by_text("草稿已保存").wait_for()
    page.locator("#comment").fill(long)
    page.keyboard.press("Escape")
    keys(page, "44444")
    page.keyboard.press("Enter")
    ready(page, here)
    (row,) = reviews(world.store)
    assert row["comment"] == long


def test_script_in_words_is_shown_as_text_wherever_it_appears(
    browser_app: BrowserApp, tmp_path: Path
) -> None:
    from wardround.review.export import export

    world = browser_app.world
    who = [world.person("reviewer") for _ in range(4)]  # whoever revises doesn't score the revision
    config = StudyConfig(
        kind="rationale", title="试评", form=rationale_form(), gold_rate=0.0, on_fail="revise", strikes=2
    )  # fmt: skip
    with world.store.write() as conn:
        opening.open_study(conn, "trial", config, [waiting_item("k", "A")], by=None, members=who)
    for round_ in range(2):
        for w in who:
            client = world.client_as(user_id=w)
            if not HIDDEN.search(client.get("/review/trial").text):
                continue
            form = Reviewer.filled(page_of(client.get("/review/trial").text), SCRIPT, 2)
            form["spans"] = json.dumps([{"part": "s1", "start": 0, "end": 1, "note": SCRIPT}])
            assert client.post("/review/trial/submit", data=form).status_code == 303
        if round_ == 0:
            with world.store.read() as conn:
                reviser = conn.execute(
                    select(assignment.c.planned_for).where(assignment.c.task == "revise")
                ).scalar_one()
            page = browser_app.page(user_id=reviser)
            page.goto("/review/trial")
            _text(page, 3)
            page.locator("[name='revise.s1']").fill(SCRIPT)
            page.keyboard.press("Control+Enter")
            page.wait_for_function(
                "() => document.querySelector('#all-done, form.task[data-task=review]')"
            )
    with world.store.read() as conn:
        number, status = conn.execute(select(item.c.id, item.c.status)).one()
    assert status == "panel"
    for role, path in (
        ("panel", f"/panel/{number}"), ("admin", f"/studies/trial/items/{number}"), ("admin", "/events"),
        ("auditor", f"/studies/trial/items/{number}"),
    ):  # fmt: skip
        page = browser_app.page(role)
        page.goto(path)
        for more in page.locator("details:not(.menu) > summary").all():
            if more.is_visible():
                more.click()
        _text(page, 0 if path == "/events" else 6)
    made = export(world.store, "trial", tmp_path / "export")
    words = (made.path / "items.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in words.splitlines()]
    assert [r["comment"] for r in rows[0]["reviews"]] == [SCRIPT] * 6


def _text(page: Any, least: int) -> None:
    """The words stand on the page as they were written, and none of them ran."""
    assert page.evaluate("() => window.broken") is None
    assert page.locator("main img[src=x], main script").count() == 0
    found = page.evaluate("text => document.body.textContent.split(text).length - 1", SCRIPT)
    assert found >= least, page.locator("main").inner_text()[:3000]
    assert "49" not in page.evaluate(
        "() => [...document.querySelectorAll('.prose')].map(e => e.textContent).join('')"
    )


@contextmanager
def away(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While this lasts the database can't be had."""

    async def gone(*_: object) -> None:
        raise StoreError("db: can't be reached", hint="check that it runs")

    with monkeypatch.context() as patched:
        for name in ("look", "transact"):
            patched.setattr(world.store, name, gone)
        yield


def test_a_database_that_is_away_for_a_while_takes_nothing_off_the_page(
    browser_app: BrowserApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    here = ready(page)
    with away(world, monkeypatch):
        keys(page, "44544")
        page.keyboard.press("c")
        page.keyboard.type("断线时写的")
        page.keyboard.press("Control+Enter")
        page.locator("#notices").get_by_text("数据库暂时不能读写").wait_for()
        assert page.locator("#comment").input_value() == "断线时写的"
        fresh = browser_app.page(user_id=who[1])
        assert fresh.goto("/review/trial").status == 503
        assert "数据库暂时不能读写" in fresh.locator("main").inner_text()
    page.keyboard.press("Control+Enter")
    ready(page, here)
    assert page.locator("#notices").inner_text().strip() == ""
    (row,) = reviews(world.store)
    assert row["comment"] == "断线时写的"


@pytest.mark.parametrize("size", [(1280, 900), (820, 1000)])
def test_what_is_typed_meanwhile_is_kept_and_the_word_about_it_is_in_sight(
    browser_app: BrowserApp, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """A draft that the server couldn't keep is sent again, and the notice is seen wherever the page is scrolled."""
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0], size=size)
    page.goto("/review/trial")
    ready(page)
    with away(world, monkeypatch):
        keys(page, "44544")
        page.keyboard.press("Enter")
        page.locator("#notices .notice").wait_for()
        for down in (0, 150, 10_000):
            page.evaluate("y => scrollTo(0, y)", down)
            box = page.locator("#notices .notice").bounding_box()
            assert box and 0 <= box["y"] <= size[1] - box["height"], (down, box)
        page.evaluate("scrollTo(0, 0)")
        if size[0] > 1000:
            send = page.locator("form.task button[type=submit]").first.bounding_box()
            assert send and send["y"] + send["height"] <= size[1], send
        page.keyboard.press("c")
        page.keyboard.type("断线时写的")
        page.locator(".state").get_by_text("数据库暂时不能读写").wait_for()
        asked = "() => !dispatchEvent(new Event('beforeunload', { cancelable: true }))"
        page.wait_for_function(asked)  # whoever goes now is asked first
    page.locator(".state").get_by_text("草稿已保存").wait_for()
    with world.store.read() as conn:
        assert conn.execute(select(draft.c.body)).scalar_one()["comment"] == "断线时写的"


def test_what_is_refused_leaves_the_page_and_its_draft_as_they_were(
    browser_app: BrowserApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(*_: object) -> None:
        raise ConflictError("the next round has begun")

    monkeypatch.setattr(handing_in, "undo", begun)
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    first = ready(page)
    keys(page, "44444")
    page.keyboard.press("Enter")
    ready(page, first)
    page.keyboard.press("c")
    page.keyboard.type("先写一句")
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    page.locator("#notices [role=alert]").wait_for()
    page.get_by_text("草稿已保存").wait_for()
    page.keyboard.press("c")
    page.keyboard.type("，再写一句")
    page.wait_for_timeout(1000)
    page.get_by_text("草稿已保存").wait_for()
    with world.store.read() as conn:
        assert conn.execute(select(draft.c.body)).scalar_one()["comment"] == "先写一句，再写一句"


def test_taking_back_keeps_what_stood_on_the_next_item(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    first = ready(page)
    keys(page, "44444")
    page.keyboard.press("Enter")
    second = ready(page, first)
    page.wait_for_timeout(400)
    keys(page, "45z")
    assert ready(page, second) == first
    page.keyboard.press("Enter")
    assert ready(page, first) == second
    assert page.locator(".levels input:checked").count() == 2
    assert float(page.input_value("[name=seconds]")) > 0
