"""The app's frame in a real Chromium: logging in, keys, languages, light and dark, accessibility, an expired session."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import delete, select

from tests import axe
from tests.web import provider as providers
from tests.web.conftest import BrowserApp, focus_on
from tests.web.provider import CLIENT, SECRET
from tests.web.test_auth_password import GOOD, make
from tests.web.world import World, served
from wardround.store.database import Store
from wardround.store.people import ROLES, session, user
from wardround.web import oidc
from wardround.web.settings import Provider, Settings

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("quick")]
DARK, LIGHT = "rgb(17, 23, 22)", "rgb(244, 246, 245)"


def back(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def rooted(page: Any, how: str) -> None:
    """Wait for a page whose root is like this."""
    page.locator(f"html{how}").wait_for(state="attached")


def focused(page: Any) -> str:
    return str(
        page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
    )


def test_log_in_by_keyboard_alone(browser_app: BrowserApp) -> None:
    make(browser_app.world)
    page = browser_app.page()
    page.goto("/account")
    assert page.url.endswith("/login?next=%2Faccount")
    focus_on(page, "name")
    page.keyboard.type("li")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert "用户名或密码不对" in page.inner_text("[role=alert]")
    focus_on(page, "password")  # the name is still there
    page.keyboard.type(GOOD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account")
    page.keyboard.press("Tab")
    assert focused(page) == "跳到正文"
    page.keyboard.press("Enter")
    assert focused(page) == "main"
    for _ in range(30):
        page.keyboard.press("Shift+Tab")
        if focused(page) == "li":
            break
    page.keyboard.press("Enter")
    page.get_by_role("button", name="退出登录").wait_for()
    for _ in range(3):
        page.keyboard.press("Tab")
    assert focused(page) == "退出登录"
    page.keyboard.press("Enter")
    page.wait_for_url("**/login")
    page.goto("/account")
    assert "/login" in page.url


def test_language_switch_keeps_the_place(browser_app: BrowserApp) -> None:
    page = browser_app.page("admin")
    page.goto("/events?person=li")
    assert page.title() == "操作记录 · 查房"
    page.get_by_role("button", name="English").click()
    page.wait_for_url("**/events?person=li")
    assert page.title() == "Events · Wardround"
    assert page.locator("html").get_attribute("lang") == "en"
    page.get_by_role("button", name="中文").click()
    rooted(page, "[lang=zh-CN]")


def test_light_and_dark_follow_the_system_unless_chosen(browser_app: BrowserApp) -> None:
    page = browser_app.page("doctor", scheme="dark")
    page.goto("/account")
    assert back(page) == DARK
    page.get_by_role("button", name="浅色").click()
    rooted(page, '[data-theme="light"]')
    assert back(page) == LIGHT
    page.get_by_role("button", name="跟随系统").click()
    rooted(page, ":not([data-theme])")
    assert back(page) == DARK
    bright = browser_app.page("doctor", scheme="light")
    bright.goto("/account")
    assert back(bright) == LIGHT
    bright.get_by_role("button", name="深色").click()
    rooted(bright, '[data-theme="dark"]')
    assert back(bright) == DARK


def test_keys_work_outside_text_fields_and_help_lists_them(browser_app: BrowserApp) -> None:
    page = browser_app.page("auditor")
    page.goto("/events")
    page.keyboard.press("/")
    assert focused(page) == "person"
    page.keyboard.type("a/?b")  # in a text field they are letters
    assert page.input_value("#person") == "a/?b"
    assert not page.locator("#keys-help").is_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert "筛选" in page.locator("#keys-help dl").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#keys-help").is_visible()
    page.locator("summary", has_text="auditor").click()
    page.get_by_role("button", name="键盘快捷键").click()
    assert page.locator("#keys-help").is_visible()


def test_an_expired_session_in_mid_form_loses_nothing(browser_app: BrowserApp) -> None:
    world = browser_app.world
    make(world)
    with world.store.write() as conn:
        conn.execute(user.update().values(roles=["admin"]))
    page = browser_app.page(user_id=1)
    page.goto("/admin/people")
    page.fill("#name", "zhang")
    page.fill("#display", "张三")
    page.check("input[value=panel]")
    page.locator("summary", has_text="专科").click()
    page.check("input[value=ophthalmology]")
    with world.store.write() as conn:
        conn.execute(delete(session))
    page.get_by_role("button", name="开设并生成邀请链接").click()
    page.wait_for_url("**/login?next=%2Fadmin%2Fpeople&expired=1")
    assert "登录已过期" in page.inner_text("main")
    page.fill("#name", "li")
    page.fill("#password", GOOD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/people")
    assert "已恢复" in page.inner_text("#notices")
    assert (page.input_value("#name"), page.input_value("#display")) == ("zhang", "张三")
    assert page.is_checked("input[value=panel]") and not page.is_checked("input[value=admin]")
    page.get_by_role("button", name="开设并生成邀请链接").click()
    page.wait_for_selector("#link")
    with world.store.read() as conn:
        made = conn.execute(select(user).where(user.c.name == "zhang")).one()
    assert (made.roles, made.specialties) == (["panel"], ["ophthalmology"])
    page.goto("/admin/people")
    assert page.input_value("#name") == ""  # it comes back once, not for ever


def test_somebody_else_does_not_get_what_was_kept(browser_app: BrowserApp) -> None:
    world = browser_app.world
    make(world)
    with world.store.write() as conn:
        conn.execute(user.update().values(roles=["admin"]))
    page = browser_app.page("admin")
    page.goto("/admin/people")
    page.fill("#name", "zhang")
    page.check("input[value=panel]")
    with world.store.write() as conn:
        conn.execute(delete(session))
    page.get_by_role("button", name="开设并生成邀请链接").click()
    page.wait_for_url("**/login?*")
    page.fill("#name", "li")
    page.fill("#password", GOOD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/people")
    assert page.input_value("#name") == ""
    assert page.evaluate("sessionStorage.getItem('wardround-kept')") is None


def test_without_script_everything_but_keys_works(browser_app: BrowserApp) -> None:
    make(browser_app.world)
    page = browser_app.page(java_script_enabled=False)
    page.goto("/account")
    page.fill("#name", "li")
    page.fill("#password", GOOD)
    page.get_by_role("button", name="登录").click()
    page.wait_for_url("**/account")
    page.get_by_role("button", name="深色").click()
    page.wait_for_url("**/account")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.locator("summary", has_text="li").click()
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url("**/login")


def test_destructive_steps_ask_first(browser_app: BrowserApp) -> None:
    world = browser_app.world
    them = world.person("doctor", name="wang")
    page = browser_app.page("admin")
    answers = iter(["dismiss", "accept"])
    asked: list[str] = []

    def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        getattr(dialog, next(answers))()

    page.on("dialog", answer)
    page.goto(f"/admin/people/{them}")
    page.get_by_role("button", name="停用账号").click()
    assert "停用后" in asked[0] and "重新启用" not in page.inner_text("main")
    page.get_by_role("button", name="停用账号").click()
    page.get_by_role("button", name="重新启用").wait_for()


def test_log_in_by_a_provider(
    sqlite_store: Store, chromium: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_OIDC_SECRET", SECRET)
    oidc._kept.clear()
    with providers.running() as provider:
        configured = Provider(
            issuer=provider.issuer, client_id=CLIENT, client_secret_env="TEST_OIDC_SECRET",
            label_zh="医院统一认证", label_en="hospital login",
        )  # fmt: skip
        world = World(
            sqlite_store, Settings(base_url="http://127.0.0.1:1", oidc={"hospital": configured})
        )
        world.person("reviewer", name="li", display="李医生", email="li@hospital.example")
        provider.people = {
            "li-1": {"email": "li@hospital.example", "email_verified": True},
            "eve": {"email": "li@hospital.example", "email_verified": False},
        }
        with served(world.app) as url:
            world.app.state.settings = Settings(base_url=url, oidc={"hospital": configured})
            app = BrowserApp(world, url, chromium, tmp_path, others=(provider.issuer,))
            for person, ends in (("eve", "没有账号"), ("li-1", "李医生")):
                page = app.page()
                page.goto("/account")
                page.get_by_role("link", name="用医院统一认证登录").click()
                page.wait_for_url(f"{provider.issuer}/authorize?*")
                page.get_by_role("button", name=person).click()
                page.wait_for_url(f"{url}/**")
                assert ends in page.inner_text("body")
            assert page.url == f"{url}/account"
            app.close()
        world.close()
    assert not app.problems


PAGES = ("/login", "/", "/account", "/admin/people", "/admin/people/1", "/events", "/nix")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_axe_finds_nothing(browser_app: BrowserApp, lang: str, scheme: str) -> None:
    world = browser_app.world
    make(world)
    admin = world.person("admin", display="张主任", preferences={"lang": lang})
    world.person("doctor", name="closed", active=False)
    page, nobody = (
        browser_app.page(user_id=admin, scheme=scheme),
        browser_app.page(lang=lang, scheme=scheme),
    )
    found = []
    for path in PAGES:
        tab = nobody if path == "/login" else page
        tab.goto(path)
        for details in tab.locator("details").all():
            details.evaluate("e => e.open = true")
        found += [f"{path}: {line}" for line in axe.problems(tab)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("width", [360, 820, 1280])
def test_pages_fit_their_width(browser_app: BrowserApp, width: int, lang: str) -> None:
    world = browser_app.world
    long = "a-very-long-login-name-of-somebody@a-long-hospital-name.example"
    busy = world.person(*ROLES, name=long, preferences={"lang": lang})
    page = browser_app.page(user_id=busy, size=(width, 900))
    nobody = browser_app.page(size=(width, 900), lang=lang)
    for path in PAGES:
        tab = nobody if path == "/login" else page
        tab.goto(path)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, path
        lowest = "Math.max(...[...document.querySelectorAll('.brand, .nav a, .menu > summary')].map(e => e.getBoundingClientRect().bottom))"
        top = "document.querySelector('.top').getBoundingClientRect().bottom"
        assert tab.evaluate(f"{lowest} <= {top} + 1"), path  # links don't hang into the page


def test_touch_targets_are_large_enough(browser_app: BrowserApp) -> None:
    page = browser_app.page("admin", size=(820, 1180))
    for path in PAGES[1:]:
        page.goto(path)
        small = page.evaluate(
            """() => [...document.querySelectorAll("button, .button, input:not([type=hidden]), select, .nav a, summary, .choices label")]
            .filter(e => e.getClientRects().length && !e.closest("label") )
            .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect().height])
            .filter(([_, height]) => height < 43.5)"""
        )
        assert not small, (path, small)


def test_the_first_view_is_small_and_asks_nobody_else(browser_app: BrowserApp) -> None:
    page = browser_app.page()
    sizes: list[int] = []
    page.on(
        "requestfinished",
        lambda r: sizes.append(r.sizes()["responseBodySize"] + r.sizes()["responseHeadersSize"]),
    )
    page.goto("/login", wait_until="networkidle")
    assert len(sizes) >= 4
    assert sum(sizes) <= 60_000, sizes


def test_the_server_being_away_is_said_and_unsaid(browser_app: BrowserApp) -> None:
    page = browser_app.page("doctor")
    page.goto("/account")
    page.evaluate(
        """() => { const b = document.createElement("button"); b.id = "ask"; b.textContent = "x"; b.setAttribute("hx-get", "/health");
        b.setAttribute("hx-swap", "none"); document.querySelector("main").append(b); htmx.process(b); }"""
    )
    page.context.set_offline(True)
    page.click("#ask")
    page.wait_for_selector("#notices .offline")
    page.context.set_offline(False)
    page.click("#ask")
    page.wait_for_selector("#notices .offline", state="detached")


def test_an_error_of_a_fragment_is_shown_where_it_is_seen(browser_app: BrowserApp) -> None:
    page = browser_app.page("doctor")
    page.goto("/account")
    page.evaluate(
        """() => { const b = document.createElement("button"); b.id = "ask"; b.textContent = "x"; b.setAttribute("hx-get", "/admin/people");
        document.querySelector("main").append(b); htmx.process(b); }"""
    )
    page.click("#ask")
    page.wait_for_selector("#notices .stop")
    assert re.search("没有权限", page.inner_text("#notices"))
    assert page.locator("#ask").is_visible()
