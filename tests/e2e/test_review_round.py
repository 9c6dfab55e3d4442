"""The whole way on the shipped starter items, as people go it: a model's rationales, three reviewers and the panel in a
browser by keyboard alone, in Chinese and English, the model writing again, the export, and a model tuned on it.

Every step is the command or the page that a user has; what they do in between is read from the database.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("playwright.sync_api")

from sqlalchemy import select

from tests.e2e.conftest import TIMEOUT, command, environment, wardround
from tests.e2e.review_server import web
from tests.web.conftest import BrowserApp, chromium, focus_on
from tests.web.test_review_browser import keys, ready
from tests.web.world import World
from wardround.artifact import open_artifact
from wardround.review.tables import item, result
from wardround.store.database import Store, open_store

__all__ = ["chromium"]
QUESTIONS = 6
PASSWORD = "four words make one"
REVIEWERS = {"zhang": "zh", "li": "en", "wang": "zh"}
PANEL = "chen"


def done(*args: object) -> dict[str, Any]:
    """A command that must go well; what it says."""
    found = wardround(*args, "--json")
    assert found.returncode == 0, found.stderr + found.stdout
    said: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return said


def account(db: Path, name: str, role: str) -> None:
    """An account with a password, made on the command line."""
    args = ("user", "add", name, "--role", role, "--password-stdin", "--db", db)
    subprocess.run(
        command(*args), input=PASSWORD, text=True, check=True, capture_output=True, timeout=TIMEOUT,
        env=environment(),
    )  # fmt: skip


def logged_in(app: BrowserApp, name: str, lang: str) -> Any:
    """A page on which somebody has logged in by keyboard."""
    page = app.page(lang=lang)
    page.goto("/login")
    focus_on(page, "name")
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.url == f"{app.url}/", page.inner_text("main")
    return page


def follow(page: Any, path: str) -> None:
    """Go to a link by the Tab key, and through it."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.getAttribute('href')") == path:
            page.keyboard.press("Enter")
            page.wait_for_url(f"**{path}")
            return
    raise AssertionError(f"no link to {path} by keyboard on {page.url}")


class Cast(NamedTuple):
    """Items with a part: accepted at once, accepted when written again, never agreed on."""

    plain: int
    again: int
    never: int


def review_all(app: BrowserApp, page: Any, cast: Cast, name: str) -> int:
    """Score by keys until nothing is left; returns how many were scored."""
    follow(page, "/review/trial")
    here, count = ready(page), 0
    while here:
        at = int(page.locator("form.task [name=item]").get_attribute("value"))
        first = page.locator("form.task [name=round]").get_attribute("value") == "1"
        if at == cast.never or (at == cast.again and first):
            keys(page, "22322")
            keys(page, "c")
            page.keyboard.type(f"{name}：没有说明为什么不选其他各项")
            page.keyboard.press("Escape")
        else:
            keys(page, "44544")
        if count == 0:
            app.shot(page, f"desk-{name}")
        page.keyboard.press("Enter")
        here, count = ready(page, here), count + 1
    return count


def decide(app: BrowserApp, page: Any) -> None:
    """The panel amends what is before it."""
    follow(page, "/panel")
    link = page.locator("main a[href^='/panel/']").first.get_attribute("href")
    follow(page, link)
    keys(page, "e")
    page.keyboard.type("The panel's own words: the other options lack the key finding. ")
    page.keyboard.press("Escape")
    keys(page, "c")
    page.keyboard.type("Reasoning completed by the panel.")
    app.shot(page, "panel")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/panel")


def states(store: Store) -> dict[int, tuple[str, int, int]]:
    """Item → (state, round, strikes)."""
    with store.read() as conn:
        rows = conn.execute(select(item.c.id, item.c.status, item.c.round, item.c.strikes))
        return {r.id: (r.status, r.round, r.strikes) for r in rows}


class Played(NamedTuple):
    """What is left when all is decided."""

    folder: Path
    store: Store
    cast: Cast
    shown: dict[str, str]


@pytest.fixture(scope="module")
def played(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """From the questions to the export."""
    folder = tmp_path_factory.mktemp("round")
    db = folder / "people.db"
    made = done(
        "review", "rationale", "med_choice", "--limit", QUESTIONS, "--model", "scripted:rationale",
        "--out", folder / "candidates",
    )  # fmt: skip
    assert made["drafts"] == QUESTIONS
    for name in REVIEWERS:
        account(db, name, "reviewer")
    account(db, PANEL, "panel")
    done(
        "review", "open", folder / "candidates", "--study", "trial", "--title", "推理依据试评", "--on-fail", "regenerate",
        "--reviewer", *REVIEWERS, "--db", db,
    )  # fmt: skip
    done("review", "work", "--once", "--db", db)  # drafts with a wrong answer are written again
    store = open_store(str(db))
    begun = states(store)
    assert {s for s, _, _ in begun.values()} == {"open"}
    plain, again, *_ = [i for i, (_, round_, _) in begun.items() if round_ == 1]
    never = max((i for i in begun if i not in (plain, again)), key=lambda i: begun[i][2])
    cast = Cast(plain, again, never)
    world = World(store)
    with web(str(db)) as (address, _):
        app = BrowserApp(world, address, chromium, folder)
        app.problems = []
        shown = _play(app, store, cast, db)
        app.close()
    world.close()
    assert not app.problems, app.problems
    done("review", "export", "trial", "--out", folder / "export", "--db", db)
    yield Played(folder, store, cast, shown)
    store.close()


def _play(app: BrowserApp, store: Store, cast: Cast, db: Path) -> dict[str, str]:
    pages = {name: logged_in(app, name, lang) for name, lang in REVIEWERS.items()}
    shown = {}
    for _ in range(6):
        if not any(s == "open" for s, _, _ in states(store).values()):
            break
        for name, page in pages.items():
            page.goto("/")
            review_all(app, page, cast, name)
            shown[name] = page.locator("main").inner_text()
        done("review", "work", "--once", "--db", db)
    assert states(store)[cast.never][0] == "panel"
    page = logged_in(app, PANEL, "en")
    decide(app, page)
    shown[PANEL] = page.locator("main").inner_text()
    coordinator = app.page("admin")
    coordinator.goto("/studies/trial")
    app.shot(coordinator, "coordinator")
    shown["coordinator"] = coordinator.locator("main").inner_text()
    return shown


@pytest.mark.browser
def test_by_keyboard_to_consensus_to_a_second_draft_and_to_the_panel(played: Played) -> None:
    now = states(played.store)
    assert {s for s, _, _ in now.values()} == {"accepted"}
    assert now[played.cast.plain] == ("accepted", 1, 0)
    assert now[played.cast.again] == ("accepted", 2, 1)
    assert now[played.cast.never][2] == 5
    with played.store.read() as conn:
        rows = conn.execute(select(result.c.item_id, result.c.outcome).order_by(result.c.id)).all()
    told: dict[int, list[str]] = {}
    for row in rows:
        told.setdefault(row.item_id, []).append(row.outcome)
    assert told[played.cast.plain] == ["accepted"]
    assert told[played.cast.again] == ["failed", "accepted"]
    assert told[played.cast.never] == [*["failed"] * 5, "panel_accepted"]
    assert "都评完了" in played.shown["zhang"] and "All of yours are done" in played.shown["li"]
    assert f"{QUESTIONS} / {QUESTIONS}" in played.shown["coordinator"]


@pytest.mark.browser
def test_the_export_holds_what_was_said_and_by_whom(played: Played) -> None:
    made = open_artifact(played.folder / "export")
    counts = made.manifest.counts
    assert (counts["accepted"], counts["by_panel"], counts["undecided"]) == (QUESTIONS, 1, 0)
    text = (made.path / "rationales.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    assert all(r["versions"][-1]["answer"] == r["answer"] for r in rows)
    by_strikes = {r["strikes"]: r for r in rows}
    assert by_strikes[5]["panel"]["reason"] == "Reasoning completed by the panel."
    assert by_strikes[5]["steps"][0].startswith("The panel's own words")
    assert by_strikes[5]["provenance"]["author_kind"] == "panel"
    second = next(
        r for r in rows if r["rounds"] == 2 and r["versions"][-1]["guidance"].count("没有说明") == 3
    )
    assert len(second["scores"]) == 6
    assert not any(
        name in text.replace("：没有说明", "") for name in ('"zhang"', '"li"', '"wang"', '"chen"')
    )
    assert any("scripted" in label for label in made.manifest.labels)


@pytest.mark.torch
@pytest.mark.browser
def test_a_model_is_tuned_on_the_export(played: Played, tiny_checkpoint: Path) -> None:
    base = (
        played.folder / "base"
    )  # rotary positions: the context may be longer, which three bytes a character need
    shutil.copytree(tiny_checkpoint, base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 4096}))
    out = played.folder / "tuned"
    done(
        "tune", played.folder / "export", "--base", base, "--out", out, "--epochs", 1,
        "--max-tokens", 4096, "--precision", "fp32",
        "--accept-unchecked",  # the starter items are test items themselves
    )  # fmt: skip
    made = open_artifact(out)
    export = open_artifact(played.folder / "export").manifest
    assert [i.digest for i in made.manifest.inputs if i.kind == "review"] == [export.digest]
    plan = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    assert plan["samples"] + plan["held_out_samples"] == QUESTIONS
    assert plan["steps"] > 0 and plan["truncated"] == {}
