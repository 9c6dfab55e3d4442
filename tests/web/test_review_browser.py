"""The reviewer's page in a real browser, by keyboard."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.axe import problems
from tests.web.conftest import BrowserApp
from tests.web.rooms import open_rationales
from wardround.review.tables import draft, item, review, version

pytestmark = pytest.mark.browser


def ready(page: Any, item_id: str = "") -> str:
    """Wait until another item is on the desk; its id."""
    page.wait_for_function(
        "old => document.querySelector('#all-done') || (document.querySelector('form.task [name=assignment]')?.value ?? old) !== old",
        arg=item_id,
    )
    found = page.query_selector("form.task [name=assignment]")
    return found.get_attribute("value") if found else ""


def keys(page: Any, text: str) -> None:
    for key in text:
        page.keyboard.press(key)


def test_three_reviewers_reach_consensus_by_keyboard_alone(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer", name=n) for n in ("zhang", "li", "wang")]
    open_rationales(world, who, count=3)
    for w in who:
        page = browser_app.page(user_id=w)
        page.goto("/review/trial")
        at = ready(page)
        while at:
            keys(page, "44544")
            page.keyboard.press("c")
            page.keyboard.type("依据清楚")
            page.keyboard.press("Escape")
            page.keyboard.press("Enter")
            at = ready(page, at)
        assert page.locator("#all-done").is_visible()
    with world.store.read() as conn:
        assert conn.execute(select(item.c.status)).scalars().all() == ["accepted"] * 3
        rows = conn.execute(select(review)).mappings().all()
    assert len(rows) == 9
    assert all(list(r["scores"].values()) == [4, 4, 5, 4, 4] for r in rows)
    assert all(r["comment"] == "依据清楚" and r["seconds"] > 0 for r in rows)


def test_what_is_missing_is_said_and_nothing_is_sent(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    keys(page, "44")
    page.keyboard.press("Enter")
    assert "信息充分性" in page.locator(".missing").inner_text()
    keys(page, "444")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.count strong').textContent === '1'")
    with world.store.read() as conn:
        assert len(conn.execute(select(review)).all()) == 1


def test_taking_back_by_z_and_marking_a_step(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    first = ready(page)
    page.evaluate(
        """() => { const p = document.querySelector('[data-part="s2"]').firstChild, r = document.createRange();
        r.setStart(p, 0); r.setEnd(p, 5); getSelection().removeAllRanges(); getSelection().addRange(r); }"""
    )
    page.keyboard.press("m")
    page.keyboard.type("应写明机制")
    page.keyboard.press("Escape")
    keys(page, "33333")
    browser_app.shot(page, "marked")
    page.keyboard.press("Enter")
    second = ready(page, first)
    page.keyboard.press("z")
    assert ready(page, second) == first
    assert page.locator("mark").inner_text() == "右心室梗死"
    assert page.locator(".levels input:checked").count() == 5
    with world.store.read() as conn:
        row = conn.execute(select(review)).mappings().one()
    assert row["withdrawn_at"] is not None
    assert row["spans"] == [
        {"part": "s2", "start": 0, "end": 5, "note": "应写明机制", "text": "右心室梗死"}
    ]


def test_a_closed_tab_loses_nothing(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    keys(page, "53")
    page.keyboard.press("c")
    page.keyboard.type("写到一半")
    page.get_by_text("草稿已保存").wait_for()
    page.close(run_before_unload=False)
    again = browser_app.page(user_id=who[0])
    again.goto("/review/trial")
    assert again.locator("#comment").input_value() == "写到一半"
    assert again.locator(".levels input:checked").count() == 2
    with world.store.read() as conn:
        assert len(conn.execute(select(draft)).all()) == 1


def test_a_revision_by_key_e_becomes_the_next_version(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=1)
    for i, w in enumerate(who):
        page = browser_app.page(user_id=w)
        page.goto("/review/trial")
        at = ready(page)
        keys(page, "22222")
        if i == 1:
            page.keyboard.press("e")
            page.locator("#revise-s3").fill("硝酸甘油会降低前负荷，禁用，故选B。")
            page.keyboard.press("Escape")
            page.keyboard.press("Enter")
        else:
            page.keyboard.press("Enter")
        ready(page, at)
    with world.store.read() as conn:
        new = conn.execute(select(version).where(version.c.number == 2)).mappings().one()
        assert conn.execute(select(item.c.status, item.c.round)).one() == ("open", 2)
    assert new["content"][3]["text"] == "硝酸甘油会降低前负荷，禁用，故选B。"
    assert new["author"] == str(who[1])


@pytest.mark.parametrize(("lang", "scheme"), [("zh", "light"), ("en", "dark")])
def test_the_page_is_accessible(browser_app: BrowserApp, lang: str, scheme: str) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = browser_app.page(user_id=who[0], lang=lang, scheme=scheme)
    for path in ("/review", "/review/trial"):
        page.goto(path)
        keys(page, "45")
        assert problems(page) == []
    page.keyboard.press("e")
    assert problems(page) == []
