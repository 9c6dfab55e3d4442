"""The panel's desk in a real browser, by keyboard."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.axe import problems
from tests.web.conftest import BrowserApp
from tests.web.rooms import open_rationales
from tests.web.studies import review_all, struck_out
from tests.web.test_review_browser import hidden_beneath
from tests.web.world import World
from wardround.review import panel as decisions
from wardround.review.tables import draft, item, result, version

pytestmark = pytest.mark.browser


def reviewers(world: World) -> list[int]:
    return [world.person("reviewer", name=n) for n in ("张敏", "李强", "王芳")]


def settled(page: Any, path: str, key: str) -> None:
    page.wait_for_url(f"**{path}")
    page.locator("h1", has_text=key).wait_for()


def test_three_decisions_by_keyboard_alone(browser_app: BrowserApp) -> None:
    world = browser_app.world
    study = open_rationales(world, (who := reviewers(world)), count=3, strikes=1)
    review_all(world, study, who, [2, 2, 2])
    page = browser_app.page("panel")
    page.goto("/panel")
    page.keyboard.press("Enter")
    settled(page, "/panel/1", "q00")
    page.keyboard.press("a")
    page.keyboard.type("依据充分")
    page.keyboard.press("Control+Enter")
    settled(page, "/panel/2", "q01")
    page.keyboard.press("x")
    page.keyboard.type("题干有误")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    settled(page, "/panel/3", "q02")
    page.keyboard.press("e")
    page.keyboard.type("（改）")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.type("补充一句")
    page.keyboard.press("Control+Enter")
    page.locator("#panel-done").wait_for()
    with world.store.read() as conn:
        states = conn.execute(select(item.c.status).order_by(item.c.id)).scalars().all()
        told = (
            conn.execute(select(result.c.reasons).where(result.c.outcome.like("panel%")))
            .scalars()
            .all()
        )
        new = conn.execute(
            select(version.c.content).where(version.c.author_kind == "panel")
        ).scalar_one()
        assert conn.execute(select(draft)).first() is None
    assert states == ["accepted", "rejected", "accepted"]
    assert [r[0]["text"] for r in told] == ["依据充分", "题干有误", "补充一句"]
    assert any("（改）" in p["text"] for p in new)


def test_after_five_strikes_it_is_in_the_queue_and_amended(browser_app: BrowserApp) -> None:
    world = browser_app.world
    page = browser_app.page("panel")
    page.goto("/panel")
    assert page.get_by_text("没有等待裁定的条目").is_visible()
    _, item_id = struck_out(world, reviewers(world))
    page.reload()
    assert page.locator("tbody td.n").all_inner_texts() == ["5", "5"]
    page.get_by_role("link", name="q00").click()
    assert page.locator(".version").count() == 5
    page.keyboard.press("d")
    assert page.locator("details.diffs[open]").count() == 4
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    assert page.locator(".amend.on legend").inner_text() == "修改第 2 稿"
    page.locator(".amend.on textarea").nth(1).fill("右心室梗死时前负荷不足，左室充盈下降。")
    page.locator("#reason").fill("五轮意见都指向机制，已补全")
    page.keyboard.press("Control+Enter")
    page.locator("#panel-done").wait_for()
    with world.store.read() as conn:
        row = conn.execute(select(item).where(item.c.id == item_id)).mappings().one()
        new = (
            conn.execute(select(version).where(version.c.id == row["version_id"])).mappings().one()
        )
    assert (row["status"], row["strikes"], new["author_kind"], new["number"]) == (
        "accepted",
        5,
        "panel",
        6,
    )
    assert new["content"][2]["text"] == "右心室梗死时前负荷不足，左室充盈下降。"
    assert new["content"][1]["text"] == "下壁合并右心室梗死（第2稿）。"


@pytest.mark.parametrize("size", [(1280, 900), (1440, 900), (768, 1024)])
def test_the_decision_is_in_sight_and_nothing_is_covered(
    browser_app: BrowserApp, size: tuple[int, int]
) -> None:
    world = browser_app.world
    _, item_id = struck_out(world, reviewers(world), strikes=2)
    page = browser_app.page("panel", size=size)
    page.goto(f"/panel/{item_id}")
    for key in ("x", "Control+Enter"):
        page.keyboard.press(key)
    for _ in range(2):
        told, send, bar = (
            page.locator(s).bounding_box()
            for s in (".missing", ".verdict .send", ".verdict .hand-in")
        )
        assert told["height"] > 10 and told["y"] + told["height"] <= send["y"]
        assert bar["y"] + bar["height"] <= size[1]
        assert hidden_beneath(page, ".verdict .asked", ".verdict .hand-in") == []
        page.evaluate("scrollTo(0, 400)")
        page.wait_for_timeout(150)
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        page.keyboard.press("Control+Enter")


def test_what_is_missing_is_said_and_nothing_is_sent(browser_app: BrowserApp) -> None:
    world = browser_app.world
    _, item_id = struck_out(world, reviewers(world), strikes=1)
    page = browser_app.page("panel")
    page.goto(f"/panel/{item_id}")
    page.keyboard.press("Enter")
    assert "请先选择裁定" in page.locator(".missing").inner_text()
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    assert "还没有改动" in page.locator(".missing").inner_text()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.press("Control+Enter")
    assert "请写明裁定理由" in page.locator(".missing").inner_text()
    with world.store.read() as conn:
        assert conn.execute(select(item.c.status)).scalar_one() == "panel"


def test_a_closed_tab_and_another_members_decision_lose_nothing(browser_app: BrowserApp) -> None:
    world = browser_app.world
    _, item_id = struck_out(world, reviewers(world), strikes=1)
    judge = world.person("panel")
    page = browser_app.page(user_id=judge)
    page.goto(f"/panel/{item_id}")
    page.keyboard.press("e")
    page.keyboard.type("改到一半")
    page.get_by_text("草稿已保存").wait_for()
    page.close(run_before_unload=False)
    again = browser_app.page(user_id=judge)
    again.goto(f"/panel/{item_id}")
    assert "改到一半" in again.locator(".amend.on textarea").first.input_value()
    again.locator("#reason").fill("写了很久的理由")
    with world.store.read() as conn:
        seen = conn.execute(select(item.c.version)).scalar_one()
    decisions.decide(
        world.store, item_id, by=world.person("panel"), item_version=seen, decision="reject", reason="先到"
    )  # fmt: skip
    again.keyboard.press("Control+Enter")
    again.locator("#kept-reason").wait_for()
    assert again.locator("#kept-reason").inner_text() == "写了很久的理由"
    assert "先到" in again.locator(".decided").inner_text()


def test_a_wrong_answer_says_so_before_it_is_sent(browser_app: BrowserApp) -> None:
    world = browser_app.world
    _, item_id = struck_out(world, reviewers(world), strikes=1)
    with world.store.write() as conn:
        conn.execute(version.update().values(data={"answer": "C"}))
    page = browser_app.page("panel")
    page.goto(f"/panel/{item_id}")
    assert not page.locator(".wrong-answer").is_visible()
    page.keyboard.press("a")
    page.locator(".wrong-answer").wait_for()
    page.locator("#reason").fill("想采纳")
    page.keyboard.press("Control+Enter")
    assert "不能采纳" in page.locator(".missing").inner_text()
    page.keyboard.press("e")
    page.locator(".amend.on select").select_option("B")
    page.keyboard.press("Control+Enter")
    page.locator("#panel-done").wait_for()
    with world.store.read() as conn:
        assert conn.execute(select(item.c.status)).scalar_one() == "accepted"


@pytest.mark.parametrize(
    ("lang", "scheme", "width"), [("zh", "light", 1280), ("zh", "dark", 820), ("en", "light", 820), ("en", "dark", 1280)]
)  # fmt: skip
def test_anybody_can_use_it(browser_app: BrowserApp, lang: str, scheme: str, width: int) -> None:
    world = browser_app.world
    _, item_id = struck_out(world, reviewers(world), strikes=3)
    page = browser_app.page("panel", lang=lang, scheme=scheme, size=(width, 900))
    page.goto("/panel")
    assert problems(page) == []
    page.goto(f"/panel/{item_id}")
    assert problems(page) == []
    for key in ("a", "Escape", "x", "Escape", "e", "Escape", "d"):
        page.keyboard.press(key)
    assert problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    browser_app.shot(page, "panel")
