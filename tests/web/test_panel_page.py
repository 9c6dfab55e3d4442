"""The panel over HTTP: who decides, what is refused, what is kept."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from tests.web.rooms import open_rationales, question
from tests.web.studies import review_all, struck_out
from tests.web.world import Client, World
from wardround.review import drafting, jobs, opening, panel
from wardround.review.forms import rationale_form
from wardround.review.study import StudyConfig
from wardround.review.tables import draft, item, result, version

HTMX = {"HX-Request": "true"}


def reviewers(world: World) -> list[int]:
    return [world.person("reviewer") for _ in range(3)]


def row_of(world: World, item_id: int) -> Any:
    with world.store.read() as conn:
        return conn.execute(select(item).where(item.c.id == item_id)).mappings().one()


def decide(client: Client, world: World, item_id: int, decision: str, **more: Any) -> Any:
    row = row_of(world, item_id)
    given = {
        "decision": decision, "version": str(row["version_id"]), "item_version": str(row["version"]),
        "reason": "依据充分，可以采纳",
    }  # fmt: skip
    return client.post(f"/panel/{item_id}", data=given | more, headers=HTMX)


def test_the_queue_and_a_decision(both: World) -> None:
    _, item_id = struck_out(both, reviewers(both), strikes=2)
    client = both.client_as("panel")
    assert "q00" in client.get("/panel").text and "专家组裁定" in client.get("/").text
    page = client.get(f"/panel/{item_id}").text
    assert "第2轮：机制没有写清楚" in page and "重写时给模型的意见" in page
    answer = decide(client, both, item_id, "accept")
    assert answer.status_code == 200 and "都裁定完了" in answer.text
    assert answer.headers["hx-push-url"] == "/panel"
    assert row_of(both, item_id)["status"] == "accepted"
    with both.store.read() as conn:
        last = conn.execute(select(result).order_by(result.c.id.desc())).mappings().first()
    assert last is not None and last["reasons"][0]["text"] == "依据充分，可以采纳"
    again = client.get(f"/panel/{item_id}").text
    assert "依据充分，可以采纳" in again and 'name="decision"' not in again


def test_after_a_decision_comes_the_next(world: World) -> None:
    who = reviewers(world)
    study = open_rationales(world, who, count=3, strikes=1)
    review_all(world, study, who, [2, 2, 2])
    client = world.client_as("panel")
    answer = decide(client, world, 2, "reject")
    assert answer.headers["hx-push-url"] == "/panel/3" and "<html" not in answer.text
    answer = decide(client, world, 3, "reject")
    assert answer.headers["hx-push-url"] == "/panel/1"
    row = row_of(world, 1)
    plain = client.post(
        "/panel/1", data={"decision": "reject", "version": row["version_id"], "item_version": row["version"], "reason": "x"}
    )  # fmt: skip
    assert (plain.status_code, plain.headers["location"]) == (303, "/panel")


def test_amending_makes_a_version_of_the_panels_own(both: World) -> None:
    _, item_id = struck_out(both, reviewers(both), strikes=2)
    client = both.client_as("panel")
    current = row_of(both, item_id)["version_id"]
    texts = {
        f"amend.{current}.s1": "下壁合并右心室梗死，\r\n前负荷依赖。",
        f"amend.{current}.s2": "右心室梗死依赖前负荷。",
    }
    assert decide(client, both, item_id, "amend", **texts).status_code == 200
    with both.store.read() as conn:
        new = conn.execute(select(version).where(version.c.author_kind == "panel")).mappings().one()
    assert new["content"][1]["text"] == "下壁合并右心室梗死，\n前负荷依赖。"
    assert new["data"]["answer"] == "B"
    assert row_of(both, item_id)["version_id"] == new["id"]


def test_nothing_amended_and_no_reason_are_refused(world: World) -> None:
    _, item_id = struck_out(world, reviewers(world), strikes=1)
    client = world.client_as("panel")
    assert "还没有改动" in decide(client, world, item_id, "amend").text
    assert "请写明裁定理由" in decide(client, world, item_id, "accept", reason=" ").text
    assert "请先选择裁定" in decide(client, world, item_id, "").text
    assert row_of(world, item_id)["status"] == "panel"


def test_a_wrong_answer_is_refused_in_plain_words_and_can_be_put_right(world: World) -> None:
    who = reviewers(world)
    wrong = question("w", data={"answer": "A", "given": {"answer": "B"}})
    with world.store.write() as conn:
        opening.open_study(
            conn, "wrong", StudyConfig(kind="rationale", title="t", form=rationale_form(), strikes=1), [wrong], by=None,
            members=who,
        )  # fmt: skip
        item_id = conn.execute(select(item.c.id)).scalar_one()
    assert row_of(world, item_id)["status"] == "panel"
    client = world.client_as("panel")
    assert "data-wrong" in client.get(f"/panel/{item_id}").text
    answer = decide(client, world, item_id, "accept")
    assert answer.status_code == 422 and "不能采纳" in answer.text
    current = row_of(world, item_id)["version_id"]
    done = decide(
        client,
        world,
        item_id,
        "amend",
        **{f"amend.{current}.answer": "A", f"amend.{current}.s3": "故选A。"},
    )
    assert done.status_code == 200
    with world.store.read() as conn:
        assert (
            conn.execute(
                select(version.c.data).where(version.c.author_kind == "panel")
            ).scalar_one()["answer"]
            == "A"
        )


def test_a_version_of_another_item_is_none(world: World) -> None:
    who = reviewers(world)
    study = open_rationales(world, who, count=2, strikes=1)
    review_all(world, study, who, [2, 2, 2])
    client = world.client_as("panel")
    other = str(row_of(world, 2)["version_id"])
    assert decide(client, world, 1, "accept", version=other).status_code == 422
    assert decide(client, world, 1, "accept", version="0").status_code == 422
    assert decide(client, world, 1, "accept", version="x").status_code == 409
    assert row_of(world, 1)["status"] == "panel"


def test_what_was_written_survives_someone_elses_decision(both: World) -> None:
    _, item_id = struck_out(both, reviewers(both), strikes=1)
    client = both.client_as("panel")
    row = row_of(both, item_id)
    panel.decide(
        both.store, item_id, by=both.person("panel"), item_version=row["version"], decision="reject", reason="先到"
    )  # fmt: skip
    given = {
        "decision": "amend", "version": str(row["version_id"]), "item_version": str(row["version"]),
        "reason": "写了很久的理由", f"amend.{row['version_id']}.s1": "写了很久的修改",
    }  # fmt: skip
    answer = client.post(f"/panel/{item_id}", data=given, headers=HTMX)
    assert answer.status_code == 409
    assert (
        "写了很久的理由" in answer.text
        and "写了很久的修改" in answer.text
        and "先到" in answer.text
    )
    with both.store.read() as conn:
        assert conn.execute(select(draft.c.body)).scalar_one()["reason"] == "写了很久的理由"


def test_drafts_come_back_two_tabs_are_told_and_a_decision_ends_them(both: World) -> None:
    _, item_id = struck_out(both, reviewers(both), strikes=1)
    client = both.client_as("panel")
    current = row_of(both, item_id)["version_id"]

    def save(number: int, reason: str, **more: Any) -> Any:
        body = {
            "decision": "amend",
            "version": current,
            "reason": reason,
            "amended": {str(current): {"s1": "改"}},
        }
        raw = msgspec.json.encode({"version": number, "body": body} | more)
        return client.put(f"/panel/{item_id}/draft", content=raw)

    assert save(0, "一半").json() == {"version": 1}
    page = client.get(f"/panel/{item_id}").text
    assert (
        ">一半</textarea>" in page
        and ">改</textarea>" in page
        and 'value="amend" data-key="e" data-key-label="修改" checked' in page
    )
    assert save(0, "另一页").status_code == 409
    assert save(0, "另一页", replace=True).json() == {"version": 2}
    assert save(2, "长" * 400_000).status_code == 413
    assert client.put(f"/panel/{item_id}/draft", content=b"{}").status_code == 422
    assert decide(client, both, item_id, "reject").status_code == 200
    with both.store.read() as conn:
        assert conn.execute(select(draft)).first() is None


@pytest.mark.parametrize("role", ["admin", "auditor", "reviewer", "doctor"])
def test_only_the_panel_decides(world: World, role: str) -> None:
    _, item_id = struck_out(world, reviewers(world), strikes=1)
    client = world.client_as(role)
    page = client.get(f"/panel/{item_id}")
    assert page.status_code == (200 if role in ("admin", "auditor") else 403)
    assert 'name="decision"' not in page.text
    assert client.get("/panel").status_code == page.status_code
    assert decide(client, world, item_id, "reject").status_code == 403
    body = msgspec.json.encode({"version": 0, "body": {}})
    assert client.put(f"/panel/{item_id}/draft", content=body).status_code == 403
    assert row_of(world, item_id)["status"] == "panel"


def test_an_item_that_is_not_there(world: World) -> None:
    assert world.client_as("panel").get("/panel/77").status_code == 409


def test_whoever_reviewed_it_is_told(world: World) -> None:
    judge = world.person("panel", "reviewer")
    who = [judge, *(world.person("reviewer") for _ in range(2))]
    _, item_id = struck_out(world, who, strikes=1)
    assert "您评过这一条" in world.client_as(user_id=judge).get(f"/panel/{item_id}").text
    assert "您评过这一条" not in world.client_as("panel").get(f"/panel/{item_id}").text


def test_where_no_version_was_ever_written(world: World) -> None:
    asked = drafting.Question(text="题", options={"A": "甲", "B": "乙"})
    new = drafting.item_of("n", asked, "B", draft=None, author="")
    config = StudyConfig(kind="rationale", title="t", form=rationale_form(), strikes=1, model="x")
    with world.store.write() as conn:
        opening.open_study(conn, "none", config, [new], by=None, members=())
    claimed = jobs.claim(world.store, 1)[0]
    jobs.finish(world.store, claimed, drafting.Attempt(status="unreadable", reason="empty"), "x")
    item_id = claimed.item
    assert row_of(world, item_id)["status"] == "panel"
    client = world.client_as("panel")
    page = client.get(f"/panel/{item_id}").text
    assert "没有写出可读的一稿" in page and "模型回复无法读取" in page
    assert decide(client, world, item_id, "amend", version="0").status_code == 422
    texts = {"amend.0.answer": "B", "amend.0.s1": "由专家写出。", "amend.0.s2": ""}
    done = decide(client, world, item_id, "amend", version="0", **texts)
    assert done.status_code == 200, done.text
    assert row_of(world, item_id)["status"] == "accepted"
