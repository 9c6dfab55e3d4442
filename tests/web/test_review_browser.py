"""The reviewer's page in a real browser, by keyboard."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.axe import problems
from tests.web.conftest import BrowserApp
from tests.web.rooms import open_rationales, question
from wardround.review import opening
from wardround.review.forms import rationale_form, score_form
from wardround.review.study import Part, StudyConfig
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
    with world.store.write() as conn:
        conn.execute(review.update().values(seconds=90.5))
    page.keyboard.press("z")
    assert ready(page, second) == first
    assert float(page.input_value("[name=seconds]")) == 90.5  # its time counts on
    assert page.locator("mark").inner_text() == "右心室梗死"
    assert page.locator(".levels input:checked").count() == 5
    with world.store.read() as conn:
        row = conn.execute(select(review)).mappings().one()
    assert row["withdrawn_at"] is not None
    assert row["spans"] == [
        {"part": "s2", "start": 0, "end": 5, "note": "应写明机制", "text": "右心室梗死"}
    ]


def chosen(page: Any) -> str:
    return str(page.evaluate("() => getSelection().toString()"))


def test_words_are_marked_by_keyboard_alone(browser_app: BrowserApp) -> None:
    """m with nothing selected: sentences, then letters at both ends; the other keys don't score meanwhile."""
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    texts = {"s1": "下壁抬高。\n提示右室梗死；血压低。", "s2": "𝄞前负荷已低，故避免。"}
    steps = [Part(id=k, role="step", text=v) for k, v in texts.items()]
    content = (Part(id="answer", role="answer", text="B"), *steps)
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="rationale", title="试", form=rationale_form()),
            [question("q", content=content)], by=None, members=who,
        )  # fmt: skip
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    page.keyboard.press("m")
    assert chosen(page) == "B" == page.locator(".spoken").inner_text()
    assert "Enter 标出" in page.locator(".state").inner_text()
    for key, wanted in (
        ("j", "下壁抬高。"), ("ArrowDown", "提示右室梗死；"), ("Shift+ArrowDown", "提示右室梗死；血压低。"),
        ("Shift+ArrowDown", "提示右室梗死；血压低。"), ("Shift+ArrowUp", "提示右室梗死；"), ("k", "下壁抬高。"),
        ("ArrowRight", "壁抬高。"), ("Shift+ArrowLeft", "壁抬高"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert chosen(page) == wanted, key
    assert problems(page) == []
    page.keyboard.press("Enter")
    page.keyboard.type("应写导联")
    page.keyboard.press("Escape")
    # Again, over what is marked already and over a character outside the first plane; Escape leaves all as it was.
    keys(page, "mjjjj")
    page.keyboard.press("ArrowRight")
    assert chosen(page) == "前负荷已低，故避免。"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert chosen(page) == "" and page.locator(".marks li").count() == 1
    assert page.locator(".levels input:checked").count() == 0
    keys(page, "mjjjjm")
    assert page.locator(".marks q").all_inner_texts() == ["壁抬高", "𝄞前负荷已低，故避免。"]
    page.keyboard.press("Escape")
    keys(page, "33333")
    at = ready(page)
    page.keyboard.press("Enter")
    ready(page, at)
    with world.store.read() as conn:
        row = conn.execute(select(review)).mappings().one()
    assert row["spans"] == [
        {"part": "s1", "start": 1, "end": 4, "note": "应写导联", "text": "壁抬高"},
        {"part": "s2", "start": 0, "end": 11, "note": "", "text": "𝄞前负荷已低，故避免。"},
    ]


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_a_note_on_a_whole_sentence_is_kept_as_typed(browser_app: BrowserApp, width: int) -> None:
    """However long the words are, their note has room; what an input method writes comes out in its order."""
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    long = "下壁导联与右胸导联同时抬高，提示下壁合并右心室梗死，右心室梗死依赖前负荷维持排血，血压已低于正常，不应再减少回心血量。"
    content = (Part(id="answer", role="answer", text="B"), Part(id="s1", role="step", text=long))
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="rationale", title="试", form=rationale_form()),
            [question("q", content=content)], by=None, members=who,
        )  # fmt: skip
    page = browser_app.page(user_id=who[0], size=(width, 900))
    page.goto("/review/trial")
    keys(page, "m")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator(".marks q").inner_text() == long
    note = page.locator(".marks input")
    field, off = note.bounding_box(), page.locator(".marks button").bounding_box()
    assert field["width"] >= 150 and field["x"] + field["width"] <= off["x"]
    assert off["x"] + off["width"] <= width and off["width"] >= 44
    page.keyboard.insert_text("没有")
    page.keyboard.insert_text("依据")
    method = page.context.new_cdp_session(page)
    for half in ("，y", "，ying", "，应引"):
        method.send(
            "Input.imeSetComposition",
            {"text": half, "selectionStart": len(half), "selectionEnd": len(half)},
        )
    method.send("Input.insertText", {"text": "，应引指南"})
    page.keyboard.insert_text("。")
    assert note.input_value() == "没有依据，应引指南。"
    browser_app.shot(page, f"note-{width}")
    page.keyboard.press("Escape")
    keys(page, "33333")
    at = ready(page)
    page.keyboard.press("Enter")
    ready(page, at)
    with world.store.read() as conn:
        assert (
            conn.execute(select(review)).mappings().one()["spans"][0]["note"]
            == "没有依据，应引指南。"
        )


@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (820, 1180), (1280, 720)])
def test_every_item_begins_with_its_question(
    browser_app: BrowserApp, size: tuple[int, int]
) -> None:
    """On load, on the next item and with a draft; keys still bring the field they go to into sight."""
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=2)
    page = browser_app.page(user_id=who[0], size=size)
    page.goto("/review/trial")
    at = ready(page)

    def begun() -> None:
        page.wait_for_timeout(150)
        assert page.evaluate("scrollY") == 0
        assert page.locator(".body .question").bounding_box()["y"] < size[1] / 2

    begun()
    keys(page, "444")
    now = page.locator(".judged.now").bounding_box()
    assert now["y"] >= 0 and now["y"] + now["height"] <= size[1] + 1
    page.get_by_text("草稿已保存").wait_for(state="attached")
    page.goto("/review/trial")  # with a draft, its fourth field is the one to fill in
    begun()
    assert page.locator(".judged").nth(3).evaluate("f => f.classList.contains('now')")
    keys(page, "44")
    page.keyboard.press("Enter")
    assert ready(page, at)
    begun()


def open_scores(world: Any, who: list[int], low: int, high: int) -> None:
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="verdict", title="试", form=score_form(low, high), raters=1),
            [question("q")], by=None, members=who,
        )  # fmt: skip


def test_ten_levels_have_a_key_each(browser_app: BrowserApp) -> None:
    """0 is the tenth, and says so; a finger finds each of them, in one line."""
    world = browser_app.world
    who = [world.person("reviewer")]
    open_scores(world, who, 1, 10)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    for key in ("0", "1", "9", "0"):
        page.keyboard.press(key)
        assert page.locator(".levels input:checked").input_value() == (key if key != "0" else "10")
    assert page.locator(".level kbd").all_inner_texts() == ["0"]
    page.keyboard.press("?")
    assert "第十级" in page.locator("#keys-help .keys").inner_text()
    page.keyboard.press("Escape")
    for width in (1280, 820, 390):
        page.set_viewport_size({"width": width, "height": 844})
        boxes = [b.bounding_box() for b in page.locator(".level span").all()]
        assert all(b["width"] >= 44 and 44 <= b["height"] < 50 for b in boxes), width
    assert problems(page) == []


def test_other_scales_take_no_0(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer")]
    open_scores(world, who, 0, 5)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    page.keyboard.press("0")
    assert page.locator(".levels input:checked").count() == 0
    page.keyboard.press("6")
    assert page.locator(".levels input:checked").input_value() == "5"
    assert page.locator(".level kbd").count() == 0
    page.keyboard.press("?")
    assert "第十级" not in page.locator("#keys-help .keys").inner_text()


def test_what_came_back_after_a_login_is_said_of_that_item_alone(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=2)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    at = ready(page)
    entry = {
        "path": "/review/trial", "person": str(who[0]), "lost": True, "fields": [["comment", "写到一半"]],
        "form": page.locator("form.task").get_attribute("data-keep"),
    }  # fmt: skip
    page.evaluate("e => sessionStorage.setItem('wardround-kept', JSON.stringify(e))", entry)
    page.goto("/review/trial")
    kept = page.locator("#notices", has_text="登录曾过期")
    assert kept.count() == 1 and page.locator("#comment").input_value() == "写到一半"
    page.evaluate(
        "() => { const n = document.createElement('p'); n.id = 'other'; document.querySelector('#notices').append(n); }"
    )
    page.keyboard.press("Enter")  # refused: nothing is scored yet
    assert kept.count() == 1
    keys(page, "44444")
    page.keyboard.press("Enter")
    assert ready(page, at)
    assert kept.count() == 0 and page.locator("#other").count() == 1


def test_a_kept_revision_comes_open_and_catches_no_key(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=2)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    first = ready(page)
    page.keyboard.press("e")
    page.locator(".edit textarea:focus").wait_for()
    page.keyboard.type("改：")
    page.keyboard.press("Escape")
    keys(page, "44444")
    page.keyboard.press("Enter")
    second = ready(page, first)
    page.keyboard.press("z")
    assert ready(page, second) == first
    page.wait_for_timeout(200)  # a fold that comes open tells so a moment later
    assert page.locator("details.edit").get_attribute("open") is not None
    assert page.evaluate("() => document.activeElement.tagName") != "TEXTAREA"
    keys(page, "5")
    box = page.locator(".judge").bounding_box()
    assert box and box["y"] + box["height"] <= page.viewport_size["height"]  # below its notice
    page.keyboard.press("Enter")
    assert ready(page, first) == second
    with world.store.read() as conn:
        told = conn.execute(
            select(review.c.revision).where(review.c.withdrawn_at.is_(None))
        ).scalar_one()
    assert len(told) == 1 and next(iter(told.values())).count("改：") == 1
    assert not any(c in next(iter(told.values())) for c in "5\n")


def test_a_revision_restored_after_a_login_is_seen_and_its_time_counts_on(
    browser_app: BrowserApp,
) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=2)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    at = ready(page)
    entry = {
        "path": "/review/trial", "person": str(who[0]), "lost": True,
        "fields": [["revise.s1", "改过的第一步。"], ["seconds", "90.5"]],
        "form": page.locator("form.task").get_attribute("data-keep"),
    }  # fmt: skip
    page.evaluate("e => sessionStorage.setItem('wardround-kept', JSON.stringify(e))", entry)
    page.goto("/review/trial")
    assert page.locator("#revise-s1").is_visible()
    assert page.locator("#revise-s1").input_value() == "改过的第一步。"
    keys(page, "44444")
    page.keyboard.press("Enter")
    ready(page, at)
    with world.store.read() as conn:
        row = conn.execute(select(review)).mappings().one()
    assert row["seconds"] >= 90.5 and row["revision"] == {"s1": "改过的第一步。"}


def test_marking_by_mouse_says_what_to_do_first(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=1)
    page = browser_app.page(user_id=who[0])
    page.goto("/review/trial")
    page.locator("button.mark").click()
    assert "先选中有问题的文字" in page.locator(".state").inner_text()
    assert chosen(page) == ""
    keys(page, "4")
    assert page.locator(".levels input:checked").count() == 1


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_help_names_every_key_of_the_desk(browser_app: BrowserApp, lang: str) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=1)
    page = browser_app.page(user_id=who[0], lang=lang)
    page.goto("/review/trial")
    page.keyboard.press("?")
    told = page.locator("#keys-help .keys")
    for key in ("1–9", "↑", "↓", "j", "k", "m", "←", "→", "c", "e", "Enter", "Esc"):
        assert told.get_by_text(key, exact=True).count(), key
    assert all(told.locator("dd").all_inner_texts())
    assert problems(page) == []


def hidden_beneath(page: Any, above: str, bar: str) -> list[str]:
    """What the bar stands over: pieces of the other box that are seen inside the bar's own rectangle."""
    return list(
        page.evaluate(
            """([above, bar]) => {
        const box = document.querySelector(bar).getBoundingClientRect(), found = [];
        for (let x = box.left + 2; x < box.right - 2; x += 12) for (let y = box.top + 2; y < Math.min(box.bottom, innerHeight) - 2; y += 6)
          for (const e of document.elementsFromPoint(x, y)) if (document.querySelector(above).contains(e)) found.push(e.outerHTML.slice(0, 60));
        return found; }""",
            [above, bar],
        )
    )


@pytest.mark.parametrize(("lang", "size"), [("zh", (1280, 900)), ("en", (1440, 900)), ("en", (1280, 900))])  # fmt: skip
def test_all_dimensions_are_in_sight_and_nothing_is_covered(
    browser_app: BrowserApp, lang: str, size: tuple[int, int]
) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=1)
    page = browser_app.page(user_id=who[0], lang=lang, size=size)
    page.goto("/review/trial")
    bar = page.locator(".hand-in").bounding_box()
    last = page.locator(".judged").last.bounding_box()
    assert last["y"] + last["height"] <= bar["y"]
    assert bar["y"] + bar["height"] <= size[1]
    tops = [b.bounding_box()["y"] for b in page.locator(".hand-in .row button").all()]
    assert max(tops) - min(tops) < 2  # in one row
    page.keyboard.press("c")
    page.wait_for_timeout(100)
    comment = page.locator("#comment").bounding_box()
    assert comment["y"] + comment["height"] <= bar["y"] + 1
    assert hidden_beneath(page, ".asked", ".hand-in") == []


def test_two_tabs_are_told_beside_the_comment_not_over_it(browser_app: BrowserApp) -> None:
    world = browser_app.world
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, count=1)
    tabs = [browser_app.page(user_id=who[0]) for _ in range(2)]
    for tab in tabs:
        tab.goto("/review/trial")
    for tab, words in zip(tabs, ("一", "二"), strict=True):
        tab.keyboard.press("c")
        tab.keyboard.type(words)
        tab.get_by_text("草稿已保存" if words == "一" else "载入那一份").wait_for()
    tab = tabs[1]
    bar, comment = (tab.locator(s).bounding_box() for s in (".hand-in", "#comment"))
    assert bar["y"] + bar["height"] <= 900
    assert hidden_beneath(tab, ".asked", ".hand-in") == []
    tab.locator("#comment").scroll_into_view_if_needed()
    comment = tab.locator("#comment").bounding_box()
    assert comment["y"] + comment["height"] <= bar["y"] + 1


@pytest.mark.parametrize("path", ["/", "/review", "/review/trial", "/studies", "/studies/trial", "/panel", "/events"])  # fmt: skip
def test_pages_header_and_footer_share_their_edges(browser_app: BrowserApp, path: str) -> None:
    world = browser_app.world
    mine = world.person("reviewer", "admin", "panel")
    open_rationales(world, [mine], count=1)
    for width in (1280, 1440):
        page = browser_app.page(user_id=mine, size=(width, 900))
        page.goto(path)
        edges = [
            page.evaluate("s => { const e = document.querySelector(s), b = e.getBoundingClientRect(), c = getComputedStyle(e); return [b.left + parseFloat(c.paddingLeft), b.right - parseFloat(c.paddingRight)]; }", s)
            for s in (".top .in", ".layout", "footer")
        ]  # fmt: skip
        assert edges[0] == edges[1] == edges[2], (path, width, edges)


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
    assert float(again.input_value("[name=seconds]")) > 0
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
            page.locator(
                ".edit textarea:focus"
            ).wait_for()  # the cursor comes a moment after the fold opens
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
