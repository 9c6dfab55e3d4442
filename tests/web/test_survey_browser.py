"""The survey in a real browser: a doctor's telephone, by tapping alone; the coordinator's pages; nothing axe objects to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.axe import problems
from tests.survey.made import SAMPLE, TASKS, closed, full, judged, made, submit
from tests.web.conftest import BrowserApp
from tests.web.world import World
from wardround.report import render
from wardround.survey import desk, grouping, keeping, links, surveys
from wardround.survey.answers import Answer
from wardround.survey.design import ASKED, DIMENSIONS, Stage, by_phase, proposed

pytestmark = pytest.mark.browser
PHONE: dict[str, Any] = {
    "size": (390, 844),
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
SMALL: dict[str, Any] = {"size": (360, 640), "has_touch": True, "is_mobile": True}


def tap(page: Any, name: str, value: object) -> None:
    """Tap an option where a thumb would, and see it taken."""
    box = page.locator(f'input[name="{name}"][value="{value}"]')
    box.locator("xpath=following-sibling::label").tap()
    assert box.is_checked()


def saved(page: Any, done: int) -> None:
    """Wait until the server has said that so many tasks are complete."""
    page.wait_for_function(
        "n => document.querySelector('#progress .count').textContent.startsWith(n + ' /')",
        arg=str(done),
    )


def fits(page: Any, width: int) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def targets(page: Any) -> list[str]:
    """What can be tapped but is smaller than 44 × 44 CSS pixels."""
    return list(
        page.evaluate(
            """() => [...document.querySelectorAll('main button, main label, main select, main a, main summary, main input:not([type=radio]):not([type=hidden]), main textarea')]
            .filter(e => e.getClientRects().length && !e.matches('.field > label, .sr'))
            .map(e => [e, e.getBoundingClientRect()])
            .filter(([e, b]) => b.height < 44 || b.width < 44)
            .map(([e, b]) => `${e.outerHTML.slice(0, 80)} ${b.width}×${b.height}`)"""
        )
    )


def next_page(page: Any) -> None:
    with page.expect_navigation():
        page.locator("button[value=next]").tap()


def test_a_doctor_fills_it_in_on_a_telephone_and_comes_back(browser_app: BrowserApp) -> None:
    store = browser_app.world.store
    found = made(store, tasks=proposed())
    (token,) = links.make(store, found.id, 1)
    page = browser_app.page(**PHONE)
    page.goto(f"/s/{token}")
    assert problems(page) == [] and targets(page) == []
    browser_app.shot(page, "start")
    with page.expect_navigation():
        page.get_by_role("button", name="开始").tap()
    page.locator("select").select_option("cardiology")
    for field, choice in (("title", "attending"), ("years", "5_9"), ("hospital", "tertiary")):
        tap(page, f"profile.{field}", choice)
    assert problems(page) == [] and targets(page) == []
    browser_app.shot(page, "about")
    next_page(page)

    taps, done = 5, 0
    phases = by_phase(proposed())
    for phase, tasks in phases[:2]:
        assert page.url.endswith(phase)
        for number, task in enumerate(tasks):
            taps += rate(page, task.key, never=number == 1)
            done += 1
        saved(page, done)
        fits(page, 390)
        assert targets(page) == []
        if phase == "pre_diagnosis":
            assert problems(page) == []
            browser_app.shot(page, "tasks")
        next_page(page)
        taps += 1

    # Half-way through a task of the third page the tab is closed.
    tap(page, "treatment_plan.frequency", 4)
    tap(page, "treatment_plan.usefulness", 5)
    page.wait_for_function("() => document.querySelector('.saved').textContent.trim() !== ''")
    until(
        lambda: (
            desk.look(store, token).answer.ratings.get("treatment_plan")
            == {"frequency": 4, "usefulness": 5}
        )
    )
    page.context.close()

    page = browser_app.page(**PHONE)  # no cookies left of the first visit: the link is enough
    page.goto(f"/s/{token}")
    with page.expect_navigation():
        page.get_by_role("button", name="接着上次的答").tap()
    assert page.url.endswith("/treatment")
    assert page.locator('input[name="treatment_plan.usefulness"][value="5"]').is_checked()
    for phase, tasks in phases[2:]:
        assert page.url.endswith(phase)
        for task in tasks:
            taps += rate(page, task.key)
            done += 1
        saved(page, done)
        next_page(page)
        taps += 1
    page.get_by_label("名称").first.fill("知情同意书起草")
    browser_app.shot(page, "own")
    assert problems(page) == []
    next_page(page)
    assert page.get_by_text("5 / 5").first.is_visible()
    assert problems(page) == [] and targets(page) == []
    browser_app.shot(page, "send")
    with page.expect_navigation():
        page.get_by_role("button", name="提交").tap()
    assert page.get_by_text("22 个任务中的 22 个").is_visible()
    assert problems(page) == []
    browser_app.shot(page, "done")
    said = desk.look(store, token).submitted
    assert said is not None and len(said.ratings) == 22 and said.added[0].name == "知情同意书起草"
    assert said.ratings["case_summary"] == {"frequency": 0}
    assert taps < 100  # 22 tasks of at most 4 taps, and the way through


def rate(page: Any, key: str, *, never: bool = False) -> int:
    """Answer all that is asked of a task; returns the taps it took."""
    if never:
        tap(page, f"{key}.frequency", 0)
        assert page.locator(f"#t-{key} .rest").is_hidden()
        return 1
    for n, dimension in enumerate(ASKED["inspiration"]):
        values = DIMENSIONS[dimension].values
        tap(page, f"{key}.{dimension}", values[(len(key) + n) % 4 + 1])
    return len(ASKED["inspiration"])


def until(true: Any) -> None:
    import time

    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_small_telephones_in_both_languages_and_schemes(
    browser_app: BrowserApp, lang: str, scheme: str
) -> None:
    store = browser_app.world.store
    found = made(store)
    (token,) = links.make(store, found.id, 1)
    desk.save(store, token, desk.Patch(ratings={"triage": {"frequency": 3, "risk": 5}}))
    page = browser_app.page(lang=lang, scheme=scheme, **SMALL)
    for step in ("", "/about", "/pre_diagnosis", "/own", "/send"):
        page.goto(f"/s/{token}{step}")
        fits(page, 360)
        assert problems(page) == [], step
        assert targets(page) == [], step
        browser_app.shot(page, f"small-{lang}-{scheme}-{step.strip('/') or 'start'}")
    bar = page.locator("#bar")
    page.goto(f"/s/{token}/pre_diagnosis")
    page.mouse.wheel(0, 900)
    page.wait_for_function("() => window.scrollY > 200")
    assert bar.bounding_box()["y"] == pytest.approx(0, abs=1)  # the progress stays in sight


def test_without_scripts_it_is_a_plain_form(browser_app: BrowserApp) -> None:
    store = browser_app.world.store
    (token,) = links.make(store, made(store).id, 1)
    page = browser_app.page(java_script_enabled=False, **PHONE)
    page.goto(f"/s/{token}")
    page.get_by_role("button", name="开始").tap()
    page.locator("button[value=next]").tap()
    tap(page, "triage.frequency", 0)
    assert page.locator("#t-triage .rest").is_hidden()
    tap(page, "case_summary.frequency", 4)
    page.locator("button[value=next]").tap()
    page.wait_for_url("**/post_treatment")
    assert desk.look(store, token).answer == Answer(
        ratings={"triage": {"frequency": 0}, "case_summary": {"frequency": 4}}
    )


def test_by_keyboard(browser_app: BrowserApp) -> None:
    store = browser_app.world.store
    (token,) = links.make(store, made(store).id, 1)
    page = browser_app.page(size=(900, 900))
    page.goto(f"/s/{token}/pre_diagnosis")
    page.locator('input[name="triage.frequency"]').first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    until(lambda: desk.look(store, token).answer.ratings.get("triage") == {"frequency": 2})
    outline = page.locator('label[for="triage-frequency-2"]').evaluate(
        "e => getComputedStyle(e).outlineStyle"
    )
    assert outline == "solid"


def test_two_tabs_at_once(browser_app: BrowserApp) -> None:
    store = browser_app.world.store
    (token,) = links.make(store, made(store).id, 1)
    one = browser_app.page(**PHONE)
    one.goto(f"/s/{token}/pre_diagnosis")
    two = one.context.new_page()
    two.goto(f"/s/{token}/pre_diagnosis")
    tap(one, "triage.frequency", 3)
    until(lambda: desk.look(store, token).answer.ratings.get("triage") == {"frequency": 3})
    tap(two, "case_summary.frequency", 2)  # another question: both are kept
    until(lambda: len(desk.look(store, token).answer.ratings) == 2)
    tap(two, "triage.frequency", 3)
    tap(one, "case_summary.frequency", 4)  # the same question: told, and nothing lost
    one.get_by_text("另一个窗口已改过").wait_for()
    assert desk.look(store, token).answer.ratings["case_summary"] == {"frequency": 2}
    tap(one, "case_summary.frequency", 3)
    until(lambda: desk.look(store, token).answer.ratings["case_summary"] == {"frequency": 3})


def test_the_second_stage_on_a_telephone(browser_app: BrowserApp) -> None:
    store = browser_app.world.store
    found = made(store, "back", stage="feedback")
    surveys.give_samples(store, found.id, {"triage": [SAMPLE]})
    (token,) = links.make(store, found.id, 1)
    page = browser_app.page(**PHONE)
    page.goto(f"/s/{token}/pre_diagnosis")
    assert page.get_by_text("未经医生审核").first.is_visible()
    words = page.locator("#triage-words")
    assert words.is_hidden()
    tap(page, "triage.verdict", "amend")
    words.fill("加上急诊")
    tap(page, "triage.frequency", 3)
    tap(page, "triage.usefulness", 4)
    tap(page, "case_summary.verdict", "drop")
    assert page.locator("#t-case_summary .rest").is_hidden()
    saved(page, 2)
    assert problems(page) == [] and targets(page) == []
    browser_app.shot(page, "second")
    answer = desk.look(store, token).answer
    assert (
        answer.verdicts["triage"].words == "加上急诊"
        and answer.verdicts["case_summary"].choice == "drop"
    )


def test_the_coordinators_pages(browser_app: BrowserApp) -> None:
    store = browser_app.world.store
    found = made(store)
    for k in range(8):
        submit(
            store,
            found.id,
            full(
                frequency=k % 5, usefulness=1 + k % 5, added="知情同意书" if k % 2 else "修打印机"
            ),
        )
    for lang in ("zh", "en"):
        page = browser_app.page("admin", lang=lang, size=(1024, 800))
        for path in ("", "/needs", "/needs/tasks", "/needs/additions"):
            page.goto(f"/survey{path}")
            fits(page, 1024)
            assert problems(page) == [], path
            browser_app.shot(page, f"coordinator-{lang}{path.replace('/', '-')}")
    page = browser_app.page("admin", size=(768, 1024))
    page.goto("/survey/needs/additions")
    page.locator('input[name="addition"][value*=","]').first.check()
    page.get_by_text("新建一个任务").click()
    for label, text in (
        ("中文名", "知情同意书"),
        ("英文名", "Consent form"),
        ("定义", "起草知情同意书。"),
    ):
        page.get_by_label(label).fill(text)
    with page.expect_navigation():
        page.get_by_role("button", name="新建任务").click()
    page.locator('#waiting input[name="addition"][value*=","]').check()
    page.get_by_label("不采纳的原因").fill("不是模型能做的")
    with page.expect_navigation():
        page.get_by_role("button", name="不采纳", exact=True).click()
    assert {a.state for a in grouping.board(store, found.id).additions} == {"merged", "rejected"}
    closed(store, found.id)
    for scheme in ("light", "dark"):
        page = browser_app.page("admin", scheme=scheme, size=(1024, 800))
        page.goto("/survey/needs/results")
        fits(page, 1024)
        assert problems(page) == []
        shown = page.locator("svg.chart:visible")
        assert shown.count() == 1 and shown.get_attribute("aria-label")
        browser_app.shot(page, f"results-{scheme}")


@pytest.mark.parametrize("stage", ["inspiration", "feedback"])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_results_are_read_without_scrolling_sideways(
    browser_app: BrowserApp, stage: Stage, lang: str
) -> None:
    """Decision, figures and every dot of the plot stand inside the page, on a telephone under their own names."""
    store = browser_app.world.store
    found = made(store, stage=stage, tasks=TASKS)
    for _ in range(6):
        submit(
            store,
            found.id,
            full(usefulness=5, frequency=4) if stage == "inspiration" else judged(lambda _: "keep"),
        )
    closed(store, found.id)
    page = browser_app.page("admin", lang=lang)
    for width in (390, 820, 1100, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto("/survey/needs/results")
        fits(page, width)
        over = page.evaluate(
            "() => [...document.querySelectorAll('#plot .scroll, #tasks .scroll')].filter(e => e.clientWidth).map(e => e.scrollWidth - e.clientWidth)"
        )
        assert over == [0, 0], width
        for what in ("#plot svg:visible .mark", "#tasks .decision"):
            boxes = [e.bounding_box() for e in page.locator(what).all()]
            assert len(boxes) == len(TASKS), what
            assert all(b["x"] >= 0 and b["x"] + b["width"] <= width for b in boxes), (width, what)
    page.set_viewport_size({"width": 390, "height": 844})
    row = page.locator("#tasks tbody tr").first
    tops = [row.locator(s).first.bounding_box()["y"] for s in ("th", ".decided", "td[data-name]")]
    assert tops == sorted(tops)
    assert problems(page) == []
    browser_app.shot(page, f"results-390-{stage}-{lang}")


@pytest.mark.parametrize("stage", ["inspiration", "feedback"])
def test_the_report_shows_the_decision_without_scrolling(
    world: World, chromium: Any, tmp_path: Path, stage: Stage
) -> None:
    found = made(world.store, stage=stage, tasks=TASKS)
    for choice in ("drop", "keep") * 3:
        said = (
            full() if stage == "inspiration" else judged({t.key: choice for t in TASKS}.__getitem__)
        )
        submit(world.store, found.id, said)
    closed(world.store, found.id)
    keeping.keep(world.store, found.id, tmp_path / "a")
    page = chromium.new_page(viewport={"width": 1100, "height": 900})
    page.set_content(render(tmp_path / "a"))
    heads = page.locator("table").first.locator("th").all_inner_texts()
    wanted = "保留比例" if stage == "feedback" else "优先级"
    assert [h.split()[0] for h in heads][:3] == ["任务", "结论", wanted]
    around = page.locator(".scroll:has(> table)").first
    assert around.evaluate("e => e.scrollWidth - e.clientWidth") == 0
    page.set_viewport_size({"width": 390, "height": 844})
    box = page.locator("table").first.locator("tbody tr").first.locator("td").nth(1).bounding_box()
    assert box["x"] + 80 < 390  # on a telephone too the decision is read first
    page.close()
