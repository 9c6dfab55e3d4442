"""The reviewer's page over HTTP: forms, drafts, refusals, on both databases."""

import json
import re
from typing import Any

from sqlalchemy import select

from tests.web.rooms import open_rationales
from tests.web.world import Client, World
from wardround.review.forms import rationale_form
from wardround.review.tables import draft, item, review

FIELDS = [f.id for f in rationale_form()]


def hidden(html: str) -> dict[str, str]:
    return dict(
        re.findall(r'type="hidden" name="(assignment|item|round|version)" value="(\d+)"', html)
    )


def scored(html: str, value: int = 4, **more: str) -> dict[str, str]:
    return hidden(html) | {f"score.{f}": str(value) for f in FIELDS} | more


def hand_in(client: Client, html: str, value: int = 4, **more: str) -> Any:
    return client.post(
        "/review/trial/submit", data=scored(html, value, **more), headers={"HX-Request": "true"}
    )


def test_hand_in_and_the_next_item_is_in_the_answer(both: World) -> None:
    who = [both.person("reviewer") for _ in range(3)]
    open_rationales(both, who)
    client = both.client_as(user_id=who[0])
    page = client.get("/review/trial")
    assert page.status_code == 200
    assert "model:x" not in page.text
    assert "未经医师签字" in page.text
    before = hidden(page.text)
    answer = hand_in(
        client, page.text, comment="依据充分\r\n可用", spans='[{"part":"s1","start":0,"end":4}]'
    )
    assert answer.status_code == 200
    after = hidden(answer.text)
    assert after["item"] != before["item"]
    assert "<html" not in answer.text
    with both.store.read() as conn:
        row = conn.execute(select(review)).mappings().one()
    assert row["comment"] == "依据充分\n可用"
    assert row["spans"][0]["text"] == "下壁导联"
    assert row["scores"] == dict.fromkeys(FIELDS, 4)


def test_without_javascript_the_form_posts_and_comes_back(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    client = world.client_as(user_id=who[0])
    page = client.get("/review/trial")
    answer = client.post("/review/trial/submit", data=scored(page.text))
    assert answer.status_code == 303
    assert answer.headers["location"] == "/review/trial"


def test_an_incomplete_form_is_refused_and_says_so(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    client = world.client_as(user_id=who[0])
    page = client.get("/review/trial")
    answer = client.post(
        "/review/trial/submit",
        data=hidden(page.text) | {f"score.{FIELDS[0]}": "9"},
        headers={"HX-Request": "true"},
    )
    assert answer.status_code == 422
    assert "还没有填完" in answer.text
    assert client.post("/review/trial/submit", data={"assignment": "x"}).status_code == 409


def test_a_closed_round_keeps_what_was_written_as_a_draft(world: World) -> None:
    from wardround.review import panel

    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    client = world.client_as(user_id=who[0])
    page = client.get("/review/trial")
    panel.send(world.store, int(hidden(page.text)["item"]), by=who[1], reason="题干有争议")
    answer = hand_in(client, page.text, comment="写了很久的意见")
    assert answer.status_code == 200
    assert "已存为草稿" in answer.text
    with world.store.read() as conn:
        assert conn.execute(select(draft.c.body)).scalar_one()["comment"] == "写了很久的意见"
        assert conn.execute(select(review)).first() is None


def test_drafts_come_back_and_two_tabs_are_told(both: World) -> None:
    who = [both.person("reviewer") for _ in range(3)]
    open_rationales(both, who)
    client = both.client_as(user_id=who[0])
    place = {
        k: int(v)
        for k, v in hidden(client.get("/review/trial").text).items()
        if k in ("item", "round")
    }

    def save(version: int, comment: str, **more: object) -> Any:
        body = (
            place
            | {"version": version, "body": {"comment": comment, "scores": {FIELDS[0]: 5}}}
            | more
        )
        return client.put("/review/trial/draft", content=json.dumps(body))

    assert save(0, "一半").json() == {"version": 1}
    page = client.get("/review/trial").text
    assert "一半" in page
    assert f'name="score.{FIELDS[0]}" value="5" checked' in page
    other_tab = save(0, "另一页")
    assert other_tab.status_code == 409
    assert other_tab.json()["version"] == 1
    assert save(0, "另一页", replace=True).json() == {"version": 2}
    assert save(2, "长" * 200_000).status_code == 413


def test_taking_back_shows_the_item_again(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    client = world.client_as(user_id=who[0])
    page = client.get("/review/trial").text
    hand_in(client, page, comment="手快了")
    back = client.post("/review/trial/undo", headers={"HX-Request": "true"})
    assert hidden(back.text)["item"] == hidden(page)["item"]
    assert "手快了" in back.text
    again = client.post("/review/trial/undo", headers={"HX-Request": "true"})
    assert again.status_code == 409
    assert "没有可以撤回的评审" in again.text


def test_strangers_are_refused(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    page = world.client_as(user_id=who[0]).get("/review/trial").text
    stranger = world.client_as("reviewer")
    assert stranger.get("/review/trial").status_code == 403
    assert stranger.post("/review/trial/submit", data=scored(page)).status_code == 403
    body = {"item": 1, "round": 1, "version": 0, "body": {}}
    assert stranger.put("/review/trial/draft", content=json.dumps(body)).status_code == 403
    assert stranger.post("/review/trial/undo").status_code in (403, 409)
    assert world.client_as("auditor").get("/review/trial").status_code == 403
    assert stranger.get("/review/nothing").status_code == 409


def test_script_in_a_comment_stays_text(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, on_fail="revise", count=1)
    for w in who:
        client = world.client_as(user_id=w)
        page = client.get("/review/trial").text
        hand_in(client, page, 2, comment="<script>alert(1)</script>")
    with world.store.read() as conn:
        assert conn.execute(select(item.c.status)).scalar_one() == "revising"
    pages = [world.client_as(user_id=w).get("/review/trial").text for w in who]
    assert any("&lt;script&gt;alert(1)&lt;/script&gt;" in p for p in pages)
    assert not any("<script>alert" in p for p in pages)


def test_a_comment_of_fifty_thousand_characters_arrives_whole(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    client = world.client_as(user_id=who[0])
    hand_in(client, client.get("/review/trial").text, comment="查" * 50_000)
    with world.store.read() as conn:
        assert len(conn.execute(select(review.c.comment)).scalar_one()) == 50_000
