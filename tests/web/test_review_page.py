"""The reviewer's page over HTTP: forms, drafts, refusals, on both databases."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import select

from tests.web.rooms import open_rationales, question
from tests.web.studies import review_all
from tests.web.world import Client, World
from wardround.review import forms, opening
from wardround.review.forms import rationale_form
from wardround.review.study import Field, Part, Rule, StudyConfig
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
        data=hidden(page.text) | {f"score.{FIELDS[0]}": "4"},
        headers={"HX-Request": "true"},
    )
    assert answer.status_code == 422
    assert "还没有填完" in answer.text
    for odd in ({f"score.{FIELDS[0]}": "9"}, {"comment": "长" * 50_001}):
        answer = client.post(
            "/review/trial/submit", data=scored(page.text) | odd, headers={"HX-Request": "true"}
        )
        assert answer.status_code == 422
        assert "分数不在可选范围内，或文字超过 50,000 字" in answer.text
        assert "还没有填完" not in answer.text
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


def test_who_revises_sees_a_long_comment_folded(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who, on_fail="revise", count=1)
    for w in who:
        client = world.client_as(user_id=w)
        hand_in(client, client.get("/review/trial").text, 2, comment="查" * 50_000)
    pages = [world.client_as(user_id=w).get("/review/trial").text for w in who]
    (page,) = [p for p in pages if "请修改这一稿" in p]
    assert page.count("展开全文（50,000 字）") == 3 == page.count(f"{'查' * 400}…</p>")


KINDS: dict[str, tuple[tuple[Field, ...], str]] = {
    "rationale": (rationale_form(), "分数低于 4 时请写明理由"),
    "sample": (forms.sample_form(), "哪里与原文不符"),
    "verdict": (forms.score_form(0, 1), "失分之处"),
    "pair": (forms.pair_form(), "取舍的理由"),
    "image": (forms.claim_form(), "所见依据"),
    "item": (forms.sign_form(), "理由和出处"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_comment_is_asked_for_in_the_words_of_the_kind(world: World, kind: Any) -> None:
    who = [world.person("reviewer")]
    form, words = KINDS[kind]
    open_rationales(world, who, count=1, kind=kind, form=form, raters=1)
    page = world.client_as(user_id=who[0]).get("/review/trial").text
    (told,) = re.findall(r'placeholder="([^"]*)"', page)
    assert words in told
    assert ("低于" in told) is (kind == "rationale")


def test_the_comment_names_the_rule_of_the_study(world: World) -> None:
    who = [world.person("reviewer")]
    open_rationales(world, who, count=1, rule=Rule(median_at_least=3.5))
    assert "分数低于 3.5 时" in world.client_as(user_id=who[0]).get("/review/trial").text


def test_raw_names_and_marks_are_not_shown(world: World) -> None:
    """What a file calls its fields has a name; what can be marked stands letter for letter."""
    who = [world.person("reviewer")]
    body = (
        Part(id="passage", role="reference", zh="原文", en="Source passage", text="【questions】\n血压多少算高？\n\n【department】\n心内科\n\n【自拟】\n略"),
        Part(id="reference", role="reference", zh="参考答案", en="Reference", text="<B> 舌下含服\n<A,C> 两项"),
    )  # fmt: skip
    content = (Part(id="options", role="step", zh="options", en="options", text="<A> 原样"),)
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="item", title="试", form=forms.sign_form(), raters=1),
            [question("q", body=body, content=content)], by=None, members=who,
        )  # fmt: skip
    client = world.client_as(user_id=who[0])
    page = client.get("/review/trial").text
    assert (
        "【提问】" in page and "【科室】" in page and "【自拟】" in page and "questions" not in page
    )
    assert ">B. 舌下含服\nA,C. 两项</p>" in page and "&lt;B&gt;" not in page
    assert '<p class="label">选项</p>' in page and ">&lt;A&gt; 原样</p>" in page
    assert "【questions】" in client.get("/review/trial?lang=en").text


def test_a_claim_is_read_in_the_language_of_the_page(world: World) -> None:
    """A doctor sees the picture, what is asked and the claim; nothing in it can be marked."""
    who = [world.person("reviewer")]
    part = Part(
        id="claim", role="answer", zh="说法", en="Claim", text="肺尖未包全", text_en="Apex cut off"
    )
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="image", title="试", form=forms.claim_form(), raters=1),
            [question("q", content=(part,))], by=None, members=who,
        )  # fmt: skip
    client = world.client_as(user_id=who[0])
    zh, en = client.get("/review/trial").text, client.get("/review/trial?lang=en").text
    assert ">肺尖未包全</p>" in zh and "Apex" not in zh
    assert ">Apex cut off</p>" in en and "肺尖" not in en
    assert "data-part" not in zh + en and 'data-key="m"' not in zh + en
    story = "/studies/trial/items/1"
    assert "Apex cut off" in world.client_as("auditor").get(f"{story}?lang=en").text


def test_the_words_of_a_report_are_asked_for(world: World) -> None:
    who = [world.person("reviewer")]
    content = (
        Part(id="claim", role="answer", text="方位错误（描述）", text_en="Wrong side (findings)"),
        Part(id="wrong", role="note", zh="原文", en="Words as they stand"),
    )
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="image", title="试", form=forms.claim_form(), raters=1),
            [question("q", content=content)], by=None, members=who,
        )  # fmt: skip
    page = world.client_as(user_id=who[0]).get("/review/trial").text
    assert 'name="revise.wrong"' in page and "revise.claim" not in page


def test_the_row_of_a_source_is_said_once(world: World) -> None:
    who = [world.person("reviewer")]
    where = Part(
        id="source",
        role="source",
        zh="出处",
        en="Source",
        text="x · y.jsonl · 第 12 行 row 12 · own",
    )
    with world.store.write() as conn:
        opening.open_study(
            conn, "trial", StudyConfig(kind="sample", title="试", form=forms.sample_form(), raters=1),
            [question("q", body=(where,))], by=None, members=who,
        )  # fmt: skip
    client = world.client_as(user_id=who[0])
    assert "y.jsonl · 第 12 行 · own" in client.get("/review/trial").text
    assert "y.jsonl · row 12 · own" in client.get("/review/trial?lang=en").text


def test_the_first_page_says_what_there_is_to_do(world: World) -> None:
    """Begin, go on, look: and each count once."""
    who = [world.person("reviewer") for _ in range(3)]
    study = open_rationales(world, who, count=2)
    client = world.client_as(user_id=who[0])

    def card() -> str:
        found = client.get("/").text
        assert ("开始评审" in client.get("/review").text) is ("开始评审" in found)
        return re.sub(r"<[^>]+>|\s+", " ", found[found.index("<section") :])

    assert "2   条待评" in (text := card()) and "开始评审" in text and text.count("0 / 2") == 1
    page = client.get("/review/trial").text
    hand_in(client, page)
    assert "1   条待评" in (text := card()) and "继续评审" in text and text.count("1 / 2") == 1
    review_all(world, study, who[:1], [4])
    text = card()
    assert "分给您的都评完了" in text and "查看" in text and "继续评审" not in text
    assert text.count("2 / 2") == 1 and " 0 " not in text
