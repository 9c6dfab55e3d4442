"""The event log's page and exports."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests.web.rooms import open_rationales
from tests.web.studies import review_all, struck_out
from tests.web.world import Client, World
from wardround.review import handing_in
from wardround.review.tables import item
from wardround.store import events
from wardround.store.people import event
from wardround.web import trail
from wardround.web.event_words import FIELDS

DAY = 24 * 3600 * 1000


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).timestamp() * 1000)


def fill(world: World, count: int = 120) -> tuple[int, int]:
    """Events of two people and of the system over some days; returns the people's ids."""
    li, wang = (
        world.person("reviewer", name="li", display="李医生"),
        world.person("panel", name="wang"),
    )
    with world.store.write() as conn:
        for k in range(count):
            events.record(
                conn, ("review.submitted", "item.accepted", "user.opened")[k % 3], ("review", "item", "user")[k % 3], k,
                actor=(li, wang, None)[k % 3], before={"score": k, "same": 1}, after={"score": k + 1, "same": 1},
                study_id=k % 2 + 1, note="note" if k == 5 else "", at=at("2026-11-01T12:00") + k // 10 * DAY,
            )  # fmt: skip
    return li, wang


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r'<tr id="e(\d+)">', text)]


@pytest.fixture
def auditor(both: World) -> Client:
    fill(both)
    return both.client_as("auditor")


def test_newest_first_and_paged_by_number(auditor: Client) -> None:
    seen, path, pages = [], "/events?", 0
    while path:
        text = auditor.get(path).text
        seen += numbers(text)
        pages += 1
        found = re.search(r'href="(/events\?[^"]*below=\d+)"', text)
        path = found[1].replace("&amp;", "&") if found else ""
    assert (pages, len(seen), seen) == (3, 120, sorted(seen, reverse=True))
    assert len(set(seen)) == 120


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("person=li", 40),
        ("person=LI", 40),
        ("person=-", 40),
        ("person=nobody", 0),
        ("verb=item.accepted", 40),
        ("verb=item.", 40),
        ("verb=item", 0),
        ("entity=user", 40),
        ("entity=user&entity_id=5", 1),
        ("study=2", 60),
        ("study=x", 120),
        ("study=9999999999999999999999", 120),
        ("since=2026-11-03&until=2026-11-03", 10),
        ("since=2026-11-12", 10),
        ("until=2026-11-01", 10),
        ("since=nix&until=2026-13-45", 120),
        ("person=li&study=1&since=2026-11-02", 18),
    ],
)
def test_filters(auditor: Client, query: str, count: int) -> None:
    lines = auditor.get(f"/events.jsonl?{query}").text.splitlines()
    assert len(lines) == count
    assert len(numbers(auditor.get(f"/events?{query}").text)) == min(count, 50)


def test_before_and_after_are_read_at_a_glance(auditor: Client) -> None:
    text = auditor.get("/events?entity=user&entity_id=5").text
    assert ">5</del>" in text and ">6</ins>" in text
    assert "same" not in text  # what stayed the same is left out
    assert "系统" in text and "note" in text and "开设账号" in text
    assert "李医生" in auditor.get("/events?person=li").text


def test_exports_hold_the_same(auditor: Client) -> None:
    reply = auditor.get("/events.jsonl?person=li")
    assert reply.headers["content-disposition"] == 'attachment; filename="events.jsonl"'
    rows = [json.loads(line) for line in reply.text.splitlines()]
    assert list(rows[0]) == list(trail.COLUMNS)
    assert rows[0]["before"]["score"] + 1 == rows[0]["after"]["score"]
    reply = auditor.get("/events.csv?person=li")
    assert reply.content.startswith(b"\xef\xbb\xbfid,at,actor")
    table = list(csv.DictReader(io.StringIO(reply.content.decode("utf-8-sig"))))
    assert [int(r["id"]) for r in table] == [r["id"] for r in rows]
    assert json.loads(table[0]["after"]) == rows[0]["after"]
    assert datetime.fromisoformat(table[0]["at"]).timestamp() * 1000 == rows[0]["at"]


def test_an_export_reads_in_steps(both: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "STEP", 7)
    fill(both, 50)
    lines = list(trail.as_jsonl(both.store, trail.Wanted()))
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 50


def test_no_cell_is_a_formula(world: World) -> None:
    with world.store.write() as conn:
        for note in ("=1+1", "+1", "-1", "@x", "\tx", "plain"):
            events.record(conn, "x.y", "x", 1, actor=None, note=note)
    rows = csv.DictReader(
        io.StringIO(world.client_as("auditor").get("/events.csv").content.decode("utf-8-sig"))
    )
    assert [r["note"] for r in rows] == ["plain", "'\tx", "'@x", "'-1", "'+1", "'=1+1"]


def test_an_empty_log(client_as: Any) -> None:
    client = client_as("auditor")
    assert "没有符合条件的记录" in client.get("/events").text
    assert client.get("/events.jsonl").text == ""
    assert client.get("/events?below=0").status_code == 422


def test_a_long_text_is_compared_within_and_folded(world: World) -> None:
    before = "患者咳嗽三天，伴有发热，体温最高三十八度五。" * 30
    after = before.replace("三天", "五天", 1) + "建议复查。"
    with world.store.write() as conn:
        events.record(
            conn,
            "review.revised",
            "review",
            1,
            actor=None,
            before={"text": before},
            after={"text": after},
        )
    text = world.client_as("auditor").get("/events").text
    assert '<details class="more"><summary>text</summary>' in text
    assert ">三</del>" in text and ">五</ins>" in text and ">建议复查。</ins>" in text


Json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(Json, Json)
def test_a_difference_holds_both_sides_whole(before: Any, after: Any) -> None:
    a, b = trail.text_of(before), trail.text_of(after)
    change = trail.change("field", a, b)
    assert "".join(text for kind, text in change.pieces if kind in "=-") == a
    assert "".join(text for kind, text in change.pieces if kind in "=+") == b


@pytest.mark.parametrize(
    ("before", "after"), [("under review", "before the panel"), ("accepted", "rejected")]
)
def test_a_short_change_is_shown_whole(before: str, after: str) -> None:
    """Letter by letter it read "und b e r fo re vi the w panel"."""
    assert trail.change("status", before, after).pieces == (("-", before), ("+", after))


def test_of_a_long_change_no_single_letters_stay() -> None:
    a, b = (
        "患者发热三天，伴咳嗽、咳痰，考虑细菌性肺炎，建议住院。" * 2,
        "患者腹痛一天，伴恶心、呕吐，考虑急性阑尾炎，建议手术。" * 2,
    )
    pieces = trail.change("text", a, b).pieces
    assert all(len(text) > 2 for kind, text in pieces[1:-1] if kind == "=")


def _plain(page: str) -> str:
    table = re.search(r'<table class="trail">.*</table>', page, re.DOTALL)
    assert table
    return " ".join(
        re.sub(r"<[^>]+>", " ", re.sub(r'<span class="sr">.*?</span>', "", table[0])).split()
    )


@pytest.mark.parametrize(
    ("lang", "wanted"),
    [
        ("zh", ("题目 q00 评审： 推理依据试评", "医学正确性 4", "状态 评审中 已通过", "评审 推理依据试评", "人员 王医生", "方式 密码", "模型回复 可以读取")),
        ("en", ("item q00 study: 推理依据试评", "Medical correctness 4", "state under review accepted", "study 推理依据试评", "person 王医生", "by password", "replies could be read")),
    ],
)  # fmt: skip
def test_events_are_told_in_words(both: World, lang: str, wanted: tuple[str, ...]) -> None:
    """Entities, fields, states and score dimensions by their names; what is structured only behind a fold."""
    who = [both.person("reviewer", display="王医生") for _ in range(3)]
    study = open_rationales(both, who, count=1)
    review_all(both, study, who, [4, 4, 4])
    with both.store.write() as conn:
        item_id = conn.execute(select(item.c.id)).scalar_one()
        events.record(
            conn, "session.started", "user", who[0], actor=who[0], after={"by": "password"}
        )
        events.record(conn, "draft.written", "item", item_id, actor=None, study_id=study, after={"job": 1, "replies": ["ok"]})  # fmt: skip
    client = both.client_as("admin")
    page = client.get(f"/events?lang={lang}").text
    text = _plain(page)
    for words in wanted:
        assert words in text, (words, text)
    outside = re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)
    assert (
        "{" not in _plain(outside)
        and "version_id" not in text
        and "medical_correctness" not in _plain(outside)
    )
    assert f'href="/studies/trial/items/{item_id}"' in page and 'href="/studies/trial"' in page
    assert re.search(rf'<option value="{study}"[^>]*>推理依据试评</option>', page)


def test_an_item_is_linked_for_those_who_may_see_it(world: World) -> None:
    blind = world.person("reviewer", "admin")
    study = open_rationales(world, [blind, world.person("reviewer")], count=1, raters=2)
    review_all(world, study, [blind], [4])
    path = "/studies/trial/items/"
    assert path not in world.client_as(user_id=blind).get("/events").text
    page = world.client_as("auditor").get("/events").text
    assert path in page and "/admin/people/" not in page


def test_an_error_of_the_endpoint_is_told_in_both_languages(world: World) -> None:
    study = open_rationales(world, [world.person("reviewer")], count=1)
    with world.store.write() as conn:
        item_id = conn.execute(select(item.c.id)).scalar_one()
        for error in (
            "http://x/v1: no answer from the endpoint of m (refused)",
            "HTTP 500: overloaded",
            "odd",
        ):
            events.record(conn, "draft.failed", "item", item_id, actor=None, study_id=study, after={"job": 1, "try": 1, "error": error})  # fmt: skip
    text = _plain(world.client_as("auditor").get("/events").text)
    assert "连不上模型服务：http://x/v1: no answer" in text
    assert "模型服务报错：HTTP 500: overloaded" in text and "模型任务出错：odd" in text


def test_what_a_round_writes_has_names(both: World) -> None:
    """All that the events of reviews, undone ones, failed rounds and the way to the panel say of themselves."""
    who = [both.person("reviewer") for _ in range(3)]
    struck_out(both, who)
    other = open_rationales(both, who, count=1, slug="other")
    review_all(both, other, who[:1], [4])
    handing_in.undo(both.store, other, who[0])
    with both.store.read() as conn:
        told = conn.execute(select(event.c.verb, event.c.before, event.c.after))
        said = {(verb, key) for verb, *sides in told for side in sides for key in side or ()}
    assert ("review.submitted", "assignment") in said
    assert {"review.withdrawn", "item.to_panel", "item.to_model"} <= {verb for verb, _ in said}
    assert {
        (v, k)
        for v, k in said
        if v.split(".")[0] in ("review", "item", "draft", "version") and k not in FIELDS
    } == set()
