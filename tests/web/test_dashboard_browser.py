"""The coordinator's pages in a real browser: progress that moves, actions, accessibility."""

from typing import Any

import pytest

from tests.axe import problems
from tests.web.conftest import BrowserApp
from tests.web.rooms import open_rationales
from tests.web.studies import FIELDS, review_all, scores, struck_out
from wardround.review import desk, handing_in
from wardround.review.study import ReviewIn

pytestmark = pytest.mark.browser


def test_the_coordinator_sees_progress_moving(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer", name=n) for n in ("张敏", "李强", "王芳")]
    study = open_rationales(world, who, count=2)
    page = browser_app.page("admin")
    page.goto("/studies/trial")
    page.locator("#reviewers").wait_for()
    assert page.locator("#handed-in").inner_text() == "0 / 6"
    page.evaluate("document.body.dataset.same = 'yes'")
    review_all(world, study, who, [5, 4, 5])
    page.wait_for_function(
        "() => document.querySelector('#handed-in').textContent === '6 / 6'", timeout=20_000
    )
    assert page.evaluate("document.body.dataset.same") == "yes"
    assert page.locator(".legend").inner_text().split() == ["已通过", "2"]


def test_people_are_added_and_removed_by_mouse(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer", name=n) for n in ("张敏", "李强", "王芳")]
    world.person("reviewer", name="赵磊")
    open_rationales(world, who)
    page = browser_app.page("admin")
    page.on("dialog", lambda d: d.accept())
    page.goto("/studies/trial")
    page.get_by_text("加入评审人").click()
    page.get_by_label("赵磊").check()
    page.get_by_role("button", name="加入并重新分配").click()
    page.get_by_text("已加入 1 人").wait_for()
    page.get_by_role("button", name="退出 赵磊").click()
    page.get_by_text("已退出 1 人").wait_for()
    assert page.locator("#reviewers tr.off").inner_text().startswith("赵磊")


def test_without_a_mouse_the_items_are_searched(browser_app: BrowserApp) -> None:
    world = browser_app.world
    open_rationales(world, [world.person("reviewer") for _ in range(3)], count=60)
    page = browser_app.page("admin")
    page.goto("/studies/trial/items")
    page.keyboard.press("ArrowRight")
    page.get_by_text("q59").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("q07")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=q07**")
    assert page.locator("tbody tr").count() == 1


@pytest.mark.parametrize(
    ("lang", "scheme", "width"), [("zh", "light", 1280), ("zh", "dark", 820), ("en", "light", 820), ("en", "dark", 1280)]
)  # fmt: skip
def test_anybody_can_use_it(browser_app: BrowserApp, lang: str, scheme: str, width: int) -> None:
    world = browser_app.world
    who = [world.person("reviewer", name=n) for n in ("张敏", "李强", "王芳")]
    _, item_id = struck_out(world, who, strikes=2)
    second = open_rationales(world, who, count=24, slug="second", on_fail="regenerate", model="x")
    for n, person in enumerate(who):
        while tasks := desk.next_tasks(world.store, second, person, ahead=0):
            given = ReviewIn(
                scores=scores(3 + (tasks[0].item + n) % 3, **{FIELDS[1]: 4}), seconds=30.0
            )
            handing_in.submit(world.store, person, tasks[0].assignment, tasks[0].version, given)
    open_rationales(
        world, [world.person("reviewer", specialties=["neurology"])], slug="nobody", count=1
    )
    page = browser_app.page("admin", lang=lang, scheme=scheme, size=(width, 900))
    for path in (
        "/studies", "/studies/second", "/studies/nobody", "/studies/trial/items", f"/studies/trial/items/{item_id}",
        "/studies/new/candidates",
    ):  # fmt: skip
        page.goto(path)
        if path.count("/") == 2:
            page.locator("#reviewers").wait_for()
            open_all(page)
        assert problems(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        browser_app.shot(page, path.strip("/").replace("/", "-"))


def open_all(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details.more').forEach(d => { d.open = true; })")
