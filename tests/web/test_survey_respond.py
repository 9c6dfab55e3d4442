"""The survey's public pages as plain forms: no script, no login, on both databases."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from tests.survey.made import SAMPLE, TASKS, closed, full, made, submit, told
from tests.web.world import World
from wardround.store.people import event
from wardround.survey import desk, links, surveys, tables
from wardround.survey.answers import Added, Answer, Verdict
from wardround.survey.design import SurveyTask


class Phone:
    """A browser without scripts: it loads a page and sends its form with what was filled in."""

    def __init__(self, world: World) -> None:
        self.http = world.client()
        self.page = ""
        self.path = ""

    def get(self, path: str, status: int = 200) -> str:
        reply = self.http.get(path)
        while reply.status_code == 303:
            path = reply.headers["location"]
            reply = self.http.get(path)
        assert reply.status_code == status, (path, reply.status_code)
        self.page, self.path = reply.text, path
        return self.page

    def hidden(self) -> dict[str, str]:
        main = self.page[self.page.index("<main") :]
        found = re.findall(
            r'<input type="hidden" name="([^"]+)"(?: id="[^"]*")? value="([^"]*)"', main
        )
        return {name: unescape(value) for name, value in found}

    def chosen(self) -> dict[str, str]:
        """What the page shows as chosen."""
        found = re.findall(r'name="([^"]+)" value="([^"]*)" checked', self.page)
        return dict(found)

    def send(self, status: int = 303, path: str = "", **fields: str) -> Any:
        data = {
            **self.hidden(),
            **self.chosen(),
            **{k.replace("__", "."): v for k, v in fields.items()},
        }
        reply = self.http.post(path or self.path, data=data)
        assert reply.status_code == status, (reply.status_code, reply.text[:400])
        if reply.status_code == 303:
            self.get(reply.headers["location"])
        else:
            self.page = reply.text
        return reply


def phone(world: World, token: str) -> Phone:
    made_ = Phone(world)
    made_.get(f"/s/{token}")
    return made_


def test_the_whole_survey_without_scripts(both: World) -> None:
    found = made(both.store)
    (token,) = links.make(both.store, found.id, 1)
    p = phone(both, token)
    assert "4 个任务" in p.page and "不登录、不记姓名" in p.page
    with both.store.read() as conn:  # looking stores nothing
        assert surveys.counts(conn, found.id)["begun"] == 0
    p.send()
    assert p.path.endswith("/about")
    p.send(profile__title="attending", profile__specialty="cardiology", go="next")
    assert p.path.endswith("/pre_diagnosis") and "病历总结" in p.page and "随访计划" not in p.page
    p.send(
        triage__frequency="0", case_summary__frequency="4", case_summary__usefulness="5", go="next"
    )
    assert p.path.endswith("/post_treatment")
    p.send(go="back")
    assert p.chosen()["case_summary.usefulness"] == "5" and p.chosen()["triage.frequency"] == "0"
    p.send(case_summary__time="2", case_summary__risk="3", go="send")
    assert p.path.endswith("/send") and "2 / 2" in p.page and "0 / 1" in p.page
    p.get(f"/s/{token}/own")
    p.send(added__1__name="知情同意书", added__1__why="每台手术都要", go="next")
    p.send(remark="谢谢", go="send")
    assert p.path.endswith("/done") and "已收到" in p.page and "4 个任务中的 2 个" in p.page
    assert desk.look(both.store, token).submitted == Answer(
        profile={"specialty": "cardiology", "title": "attending"},
        ratings={"triage": {"frequency": 0}, "case_summary": {"frequency": 4, "usefulness": 5, "time": 2, "risk": 3}},
        added=(Added(slot="1", name="知情同意书", why="每台手术都要"),), remark="谢谢",
    )  # fmt: skip
    assert [e["actor"] for e in told(both.store, "answer.submitted")] == [None]


def test_a_closed_tab_comes_back_and_an_answer_can_be_changed(world: World) -> None:
    found = made(world.store)
    (token,) = links.make(world.store, found.id, 1)
    p = phone(world, token)
    p.send()
    p.send(profile__title="chief", go="next")
    p.send(triage__frequency="3", go="next")
    again = phone(world, token)  # another browser, the same link
    assert "接着上次的答" in again.page
    again.send()
    assert again.path.endswith("/pre_diagnosis") and again.chosen() == {"triage.frequency": "3"}
    again.get(f"/s/{token}/send")
    again.send(go="send")
    again.get(f"/s/{token}")
    assert "查看或修改我的答卷" in again.page
    again.get(f"/s/{token}/pre_diagnosis")
    again.send(triage__frequency="1", go="send")
    again.get(f"/s/{token}/done")
    assert "尚未重新提交" in again.page
    again.get(f"/s/{token}/send")
    again.send(go="send")
    with world.store.read() as conn:
        assert surveys.counts(conn, found.id)["answers"] == 1
    closed(world.store, found.id)
    assert "已经结束" in again.get(f"/s/{token}") and "您的答卷已收到" in again.page
    assert "没有保存" in p.send(409, go="next").text  # a page that was still open elsewhere


def test_two_windows_that_disagree_are_told(world: World) -> None:
    (token,) = links.make(world.store, made(world.store).id, 1)
    one, two = phone(world, token), phone(world, token)
    for p in (one, two):
        p.get(f"/s/{token}/pre_diagnosis")
    one.send(triage__frequency="4", case_summary__risk="2", go="next")
    two.send(409, triage__frequency="1", case_summary__time="3", go="next")
    assert (
        "另一个窗口已改过" in two.page
        and "分诊·频率" in two.page
        and "病历总结·风险" not in two.page
    )
    assert two.chosen()["triage.frequency"] == "1"  # what was chosen here is still there
    assert desk.look(world.store, token).answer.ratings["triage"] == {"frequency": 4}
    two.send(go="next")  # pressed again: this page stands
    assert desk.look(world.store, token).answer.ratings == {
        "triage": {"frequency": 1}, "case_summary": {"time": 3, "risk": 2},
    }  # fmt: skip


def test_each_tap_is_saved_with_htmx(world: World) -> None:
    (token,) = links.make(world.store, made(world.store).id, 1)
    p = phone(world, token)
    p.get(f"/s/{token}/pre_diagnosis")
    headers = {"HX-Request": "true", "X-CSRF-Token": p.hidden()["csrf"]}

    def tap(**fields: str) -> str:
        data = {k.replace("__", "."): v for k, v in fields.items()}
        reply = p.http.post(f"/s/{token}/-/save", data=data, headers=headers)
        assert reply.status_code == 200
        return str(reply.text)

    said = tap(version="0", triage__frequency="0")
    assert "1 / 4" in said and 'id="version" value="2"' in said and "已保存" in said
    assert said.count('hx-swap-oob="true"') == 3
    tap(version="2", case_summary__risk="5")
    stale = tap(version="2", case_summary__risk="1")
    assert "另一个窗口已改过" in stale
    assert desk.look(world.store, token).answer.ratings["case_summary"] == {"risk": 5}


def test_a_shared_link_gives_each_browser_its_own_answer(both: World) -> None:
    found = made(both.store, most_shared=2)
    shared = links.share(both.store, found.id)
    paths = []
    for _ in range(2):
        p = phone(both, shared)
        p.send()
        paths.append(p.path)
        assert shared not in p.path
        assert phone_again(p, shared).startswith("/s/")
    assert paths[0] != paths[1]
    third = phone(both, shared)
    assert "人数已满" in third.send(403).text
    cookies = [c for c in p.http.cookies.jar if c.name == f"wardround_survey{found.id}"]
    assert [c.path for c in cookies] == ["/s/"] and all("HttpOnly" in c._rest for c in cookies)  # type: ignore[attr-defined]


def phone_again(p: Phone, shared: str) -> str:
    """The same browser with the shared link again lands on its own."""
    p.get(f"/s/{shared}")
    assert shared not in p.path
    return p.path


def test_what_public_pages_refuse(world: World) -> None:
    found = made(world.store)
    (token,) = links.make(world.store, found.id, 1)
    p = phone(world, token)
    for wrong in (f"/s/{token}x", "/s/none", "/s/none/about"):
        assert "无效或已停用" in p.get(wrong, 403)
    p.get(f"/s/{token}/nonsense")
    assert p.path == f"/s/{token}"
    p.get(f"/s/{token}/done")
    assert p.path.endswith("/send")  # nothing handed in yet
    assert "还没有回答" in p.send(422, go="send").text
    p.get(f"/s/{token}/pre_diagnosis")
    for bad in ({"triage.risk": "9"}, {"triage.risk": "x"}, {"profile.title": "king"}):
        assert p.http.post(p.path, data={**p.hidden(), **bad}).status_code == 422
    assert p.http.post(p.path, data={"triage.risk": "3"}).status_code == 403  # no form of ours
    assert p.http.post(f"/s/{token}/-/save", data={"triage.risk": "3"}).status_code == 403
    assert desk.look(world.store, token).answer.empty
    p.get(f"/s/{token}/own")
    long = "很" * 5000
    p.send(added__1__name=long, added__1__why=long, go="next")
    assert len(desk.look(world.store, token).answer.added[0].why) == 500


def test_a_survey_in_preparation_and_links_that_were_stopped(world: World) -> None:
    found = made(world.store, open_=False)
    (token,) = links.make(world.store, found.id, 1, batch="b")
    assert "还没有开始" in phone(world, token).page
    links.revoke(world.store, found.id, batch="b")
    Phone(world).get(f"/s/{token}", 403)


def test_markup_in_answers_is_text(world: World) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    found = made(world.store)
    token = submit(world.store, found.id, full(added=evil[:60]))
    p = phone(world, token)
    assert "<script>alert" not in p.get(f"/s/{token}/own")
    coordinator = world.client_as("admin").get("/survey/needs/additions").text
    assert "<script>alert" not in coordinator and "&lt;script&gt;" in coordinator


def test_the_second_stage_shows_what_models_wrote_as_such(world: World) -> None:
    found = made(world.store, "back", stage="feedback")
    surveys.give_samples(world.store, found.id, {"triage": [SAMPLE]})
    (token,) = links.make(world.store, found.id, 1)
    p = phone(world, token)
    p.get(f"/s/{token}/pre_diagnosis")
    assert (
        SAMPLE.answer in p.page
        and "未经医生审核" in p.page
        and "脚本" in p.page
        and SAMPLE.model in p.page
    )
    assert "风险" not in p.page  # rated again briefly
    p.send(
        triage__verdict="amend",
        triage__words="加上急诊",
        triage__frequency="4",
        triage__usefulness="5",
        go="next",
    )
    p.send(go="back")
    p.send(triage__words="加上急诊标志", go="send")
    assert desk.look(world.store, token).answer.verdicts == {
        "triage": Verdict(choice="amend", words="加上急诊标志")
    }
    assert "补充任务" not in p.page


def test_english_and_no_trace_of_who(world: World) -> None:
    found = made(world.store)
    (token,) = links.make(world.store, found.id, 1)
    http = world.client_as("doctor")  # somebody who happens to be logged in
    page = http.get(f"/s/{token}?lang=en").text
    assert "What doctors need" in page and "No login, no name" in page
    csrf = re.search(r'name="csrf" value="([^"]+)"', page)
    assert csrf
    http.post(f"/s/{token}/pre_diagnosis", data={"csrf": csrf[1], "triage.risk": "3"})
    http.post(f"/s/{token}/send", data={"csrf": csrf[1], "go": "send"})
    with world.store.read() as conn:
        actors = conn.execute(
            select(event.c.actor).where(event.c.verb == "answer.submitted")
        ).scalars()
        assert list(actors) == [None]
        row = conn.execute(select(tables.response)).mappings().one()
    assert str(http.user_id) not in {str(row[c]) for c in ("holder", "code", "source")}


def test_added_tasks_need_a_name_when_handed_in(world: World) -> None:
    (token,) = links.make(world.store, made(world.store).id, 1)
    p = phone(world, token)
    p.get(f"/s/{token}/send")
    assert re.search(
        r'name="go" value="own"><span>补充任务</span> <span class="chip">没有补充<', p.page
    )
    p.get(f"/s/{token}/own")
    told = p.send(422, added__2__why="没有起名", go="next").text
    assert "补充的任务需要填写名称" in told and told.count(">请填写名称<") == 1
    assert re.search(r'id="a2-name"[^>]*aria-invalid="true" aria-describedby="a2-wrong"', told)
    p.send(added__2__why="没有起名", go="back")
    p.get(f"/s/{token}/send")
    assert '<span class="chip warn">缺名称 1 项<' in p.page
    assert "补充的任务需要填写名称" in p.send(422, go="send").text
    p.get(f"/s/{token}/own")
    p.send(added__2__name="会诊单", added__2__why="没有起名", go="next")
    assert p.path.endswith("/send") and '<span class="chip good">1 项<' in p.page


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_page_in_each_language(world: World, lang: str) -> None:
    extra = SurveyTask(
        key="odd", zh="特别的", en="Odd", phase="elsewhere", definition="不在任何阶段。"
    )
    found = made(world.store, tasks=[*TASKS, extra])
    (token,) = links.make(world.store, found.id, 1)
    p = phone(world, token)
    for step in (
        "about",
        "pre_diagnosis",
        "post_treatment",
        "knowledge",
        "elsewhere",
        "own",
        "send",
    ):
        page = p.get(f"/s/{token}/{step}?lang={lang}")
        main = page[page.index("<main") : page.index("</main")]
        shown = re.sub(r"<[^>]+>", " ", main)
        if lang == "en" and step in ("about", "own", "send"):
            assert not re.search("[\u4e00-\u9fff]", shown), (step, shown)
