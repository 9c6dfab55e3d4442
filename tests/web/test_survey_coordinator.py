"""The survey's pages for its coordinator: from the first task to the list, and who may do what."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import msgspec
import pytest
from openpyxl import load_workbook

from tests.survey.made import ADULT, CONFIG, TASKS, closed, full, judged, made, submit, told
from tests.survey.test_import import WJX, WJX_ROWS
from tests.web.world import World
from wardround.survey import grouping, links, surveys
from wardround.survey.answers import Added
from wardround.survey.surveys import Survey


def stored(world: World, slug: str) -> Survey:
    with world.store.read() as conn:
        return surveys.load(conn, slug)


def tasks_of(world: World, slug: str) -> list[surveys.StoredTask]:
    with world.store.read() as conn:
        return surveys.tasks(conn, surveys.load(conn, slug).id)


def post(client: Any, path: str, status: int = 303, /, **data: Any) -> Any:
    reply = client.post(path, data=data)
    assert reply.status_code == status, (path, reply.status_code, reply.text[-2500:])
    return reply


def test_from_the_first_task_to_the_list(both: World) -> None:
    c = both.client_as("admin")
    post(c, "/survey", slug="needs", title_zh="需求", min_cell="5", per_person="0")
    assert len(tasks_of(both, "needs")) == 22
    post(
        c,
        "/survey/needs/tasks",
        zh="知情同意书",
        en="Consent form",
        phase="treatment",
        definition="起草。",
        takes="case",
    )
    added = tasks_of(both, "needs")[-1]
    assert added.task.key == "consent_form" and added.task.origin == "survey"
    post(
        c,
        f"/survey/needs/tasks/{added.id}",
        version="1",
        zh="同意书",
        en="Consent",
        definition="起草同意书。",
        example_zh="例",
    )
    assert tasks_of(both, "needs")[-1].task.example_zh == "例"
    post(c, f"/survey/needs/tasks/{added.id}", act="remove", version="2")
    version = stored(both, "needs").version
    post(
        c,
        "/survey/needs/settings",
        version=str(version),
        title_zh="医生的需求",
        interim_asked="1",
        **{"rule.priority": "6"},
    )
    settings = stored(both, "needs").config
    assert (settings.title_zh, settings.rule.priority, settings.interim) == (
        "医生的需求",
        6.0,
        False,
    )
    version = stored(both, "needs").version
    post(c, "/survey/needs/status", to="open", version=str(version))
    assert "已开放" in c.get("/survey/needs?did=opened").text
    assert (
        "题目不能再改"
        in post(
            c, "/survey/needs/tasks", 422, zh="x", en="x", phase="treatment", definition="x"
        ).text
    )
    post(c, "/survey/needs/status", 409, to="open", version=str(version))

    reply = post(c, "/survey/needs/links", 200, count="3", batch="骨科")
    rows = list(csv.reader(io.StringIO(reply.content.decode("utf-8-sig"))))
    assert len(rows) == 4 and "attachment" in reply.headers["content-disposition"]
    for _, url in rows[1:]:
        assert links.admit(both.store, url.rpartition("/")[2]).survey.slug == "needs"
    assert rows[1][1] not in c.get("/survey/needs").text
    found = stored(both, "needs")
    for k in range(6):
        answer = full(frequency=4, usefulness=5 - k % 2, added="知情同意书" if k else "")
        submit(both.store, found.id, answer)
    assert "结束后才显示数字" in c.get("/survey/needs/results").text
    post(c, "/survey/needs/status", to="closed", version=str(found.version))

    page = c.get("/survey/needs/additions").text
    group = re.search(r'name="addition" value="([^"]*,[^"]*)"', page)
    assert group and "整组勾选：字面相近的 5 条" in page
    assert "还有 5 条补充任务未处理" in c.get("/survey/needs").text
    post(c, "/survey/needs/feedback", 422, name="needs-2")
    post(
        c, "/survey/needs/additions", act="new", addition=group[1], zh="知情同意书", en="Consent form",
        phase="treatment", definition="按手术起草知情同意书。",
    )  # fmt: skip
    assert tasks_of(both, "needs")[-1].kind == "grouped"
    page = c.get("/survey/needs/results").text
    assert "<svg" in page and "style=" not in page[page.index("<svg") : page.index("</svg>")]
    assert "知情同意书" in page and "医生补充的任务" in page and "留待反馈阶段" in page
    assert ">unscored<" not in page and "未评分" not in c.get("/survey/needs/results?lang=en").text
    c.get("/survey/needs/results?lang=zh")

    post(c, "/survey/needs/feedback", name="needs-2", title_zh="第二轮")
    assert len(tasks_of(both, "needs-2")) == 23
    sample = {"task": "triage", "answer": "模型写的", "model": "m", "labels": ["脚本 / scripted"]}
    files = {
        "file": ("s.jsonl", json.dumps(sample, ensure_ascii=False).encode(), "application/jsonl")
    }
    assert c.post("/survey/needs-2/samples", files=files).status_code == 303
    assert "模型写的" in c.get("/survey/needs-2/tasks").text
    bad = {"file": ("s.jsonl", b'{"task": "triage"}', "application/jsonl")}
    assert "缺少 answer, model" in c.post("/survey/needs-2/samples", files=bad).text
    post(c, "/survey/needs-2/status", to="open", version=str(stored(both, "needs-2").version))
    for _ in range(6):
        submit(
            both.store,
            stored(both, "needs-2").id,
            judged(lambda key: "drop" if key == "triage" else "keep"),
        )
    closed(both.store, stored(both, "needs-2").id)
    listed = msgspec.yaml.decode(c.get("/survey/needs-2/tasks.yaml").content)
    ids = [i["id"] for i in listed["items"]]
    assert "triage" not in ids and "consent_form" in ids and len(ids) == 22
    triage = tasks_of(both, "needs-2")[0]
    post(c, "/survey/needs-2/decide", 422, task_id=triage.id, version=triage.version, what="keep")
    post(
        c,
        "/survey/needs-2/decide",
        task_id=triage.id,
        version=triage.version,
        what="keep",
        reason="院里要求",
    )
    assert "协调人决定：院里要求" in c.get("/survey/needs-2/results").text
    assert "triage" in c.get("/survey/needs-2/tasks.yaml").text
    said = json.loads(c.get("/survey/needs-2/results.json").text)
    assert said["n"] == 6 and said["tasks"][0]["decision"]["overruled"]
    assert c.get("/survey/needs-2/results.csv").content.count(b"\r\n") == 24
    assert told(both.store, "task.decided")[0]["actor"] == c.user_id


def test_small_groups_on_the_page(world: World) -> None:
    found = made(world.store)
    for k in range(9):
        submit(
            world.store, found.id, full(about={**ADULT, "title": "chief" if k < 2 else "attending"})
        )
    closed(world.store, found.id)
    page = world.client_as("auditor").get("/survey/needs/results").text
    assert (
        "主任医师 不显示" in page and "主治医师 不显示" in page
    )  # together, or the two would follow
    assert "心血管内科 9" in page
    few = made(world.store, "few")
    submit(world.store, few.id, full())
    closed(world.store, few.id)
    page = world.client_as("auditor").get("/survey/few/results").text
    assert "不显示任何数字" in page and "<svg" not in page


def table(rows: list[list[str]], encoding: str = "gb18030") -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([WJX, *rows])
    return out.getvalue().encode(encoding)


def test_import_names_what_stays_out(world: World) -> None:
    made(world.store)
    c = world.client_as("admin")
    files: dict[str, Any] = {"file": ("问卷星.csv", table(WJX_ROWS), "text/csv")}
    reply = c.post("/survey/needs/import", files=files)
    assert reply.status_code == 422 and "第5题" in reply.text and "未识别" in reply.text
    mapping = re.search(r"<pre>(# What.*?)</pre>", reply.text, re.S)
    assert mapping and "5: ignore" in mapping[1]
    files["mapping"] = (
        "m.yaml",
        mapping[1].replace("5: ignore", "5: frequency").replace("&gt;", ">").encode(),
        "text/yaml",
    )
    page = c.post("/survey/needs/import", files=files).text
    assert "八分" in page and "来自IP" in page and "归为“其他”" in page and "10.0.0.1" not in page
    with world.store.read() as conn:
        assert surveys.counts(conn, 1)["imported"] == 2
    bad: dict[str, Any] = {"file": ("x.xls", b"\xd0\xcf\x11\xe0....", "application/vnd.ms-excel")}
    reply = c.post("/survey/needs/import", files=bad)
    assert reply.status_code == 422 and "x.xls" in reply.text and "/tmp" not in reply.text
    assert told(world.store, "answers.imported")[0]["actor"] == c.user_id


def test_export_is_an_event_and_coarse_unless_asked(world: World) -> None:
    found = made(world.store)
    for k in range(7):
        about = {**ADULT, "title": "chief"} if k == 0 else ADULT
        submit(
            world.store, found.id, full(about=about, added="=只有一个人写的话" if k == 0 else "")
        )
    c = world.client_as("admin")
    book = load_workbook(io.BytesIO(post(c, "/survey/needs/export", 200, kind="xlsx").content))
    cells = [str(v) for row in book["answers"].values for v in row]
    assert "主任医师" not in cells and not any("只有一个人" in x for x in cells)
    assert "'=只有一个人写的话" in [v for row in book["texts"].values for v in row]
    assert "只有一个人" in post(c, "/survey/needs/export", 200, kind="texts").text
    everything = post(c, "/survey/needs/export", 200, kind="csv", full="full").text
    assert "主任医师" in everything and "'=只有一个人写的话" in everything
    assert [(e["actor"], e["after"]["full"]) for e in told(world.store, "answers.exported")] == [  # type: ignore[index]
        (c.user_id, False), (c.user_id, False), (c.user_id, True),
    ]  # fmt: skip
    post(c, "/survey/needs/export", 422, kind="exe")


def test_grouping_conflicts_keep_what_was_typed(world: World) -> None:
    found = made(world.store)
    token = submit(world.store, found.id, full(added="知情同意书"))
    c = world.client_as("admin")
    from wardround.survey import desk

    desk.save(world.store, token, desk.Patch(added=(Added(slot="1", name="别的"),)))
    desk.submit(world.store, token)
    reply = post(
        c,
        "/survey/needs/additions",
        409,
        act="new",
        addition="1:1",
        zh="已经起好的名字",
        en="Named",
        phase="treatment",
        definition="定义",
    )
    assert ("已经起好的名字" in reply.text and "刷新" in reply.text) or "其他人改过" in reply.text
    assert "请先勾选" in post(c, "/survey/needs/additions", 422, act="merge", into="triage").text
    assert (
        "请写明原因" in post(c, "/survey/needs/additions", 422, act="reject", addition="1:2").text
    )
    post(c, "/survey/needs/additions", 422, act="", addition="1:2")
    post(c, "/survey/needs/additions", act="reject", addition="1:2", reason="重复")
    page = c.get("/survey/needs/additions").text
    assert "未采纳：重复" in page
    post(c, "/survey/needs/additions", act="release", addition="1:3")
    assert grouping.board(world.store, found.id).additions[0].state == "open"


def test_a_shared_link_is_shown_once(world: World) -> None:
    found = made(world.store)
    c = world.client_as("admin")
    page = post(c, "/survey/needs/shared", 200).text
    link = re.search(r"http://127.0.0.1:8000/s/([\w-]{24})", page)
    assert link and links.admit(world.store, link[1]).kind == "shared"
    assert link[1] not in c.get("/survey/needs").text
    links.make(world.store, found.id, 2, batch="b")
    post(c, "/survey/needs/revoke", batch="b")
    assert "0 / 2" in c.get("/survey/needs").text


def test_who_may_what(world: World) -> None:
    made(world.store)
    auditor = world.client_as("auditor")
    pages = ["/survey", "/survey/needs", "/survey/needs/tasks", "/survey/needs/additions"]
    for path in pages:
        page = auditor.get(path)
        assert page.status_code == 200 and '<form method="post" action="/survey' not in page.text
    for path in (
        "export",
        "import",
        "links",
        "shared",
        "status",
        "settings",
        "additions",
        "feedback",
        "decide",
    ):
        assert auditor.post(f"/survey/needs/{path}", data={}).status_code == 403
    for role in ("doctor", "reviewer", "panel"):
        for path in pages:
            assert world.client_as(role).get(path).status_code == 403
    assert world.client().get("/survey/needs").status_code == 303
    assert "没有这份调查" in world.client_as("admin").get("/survey/none").text


def test_names_of_events_and_what_waits(world: World) -> None:
    found = made(world.store)
    submit(world.store, found.id, full(added="x 任务"))
    c = world.client_as("admin")
    assert "条在调查 needs 中等待处理" in c.get("/").text
    page = c.get("/events").text
    assert "收到一份匿名答卷" in page and "answer.submitted" not in re.sub("<[^>]+>", " ", page)


@pytest.mark.parametrize(
    "given",
    [
        {"slug": "A b", "title_zh": "x"}, {"slug": "needs", "title_zh": "x"}, {"slug": "ok", "title_zh": " "},
        {"slug": "ok", "title_zh": "x", "min_cell": "0"},
    ],
)  # fmt: skip
def test_a_survey_that_can_not_be_made(world: World, given: dict[str, str]) -> None:
    made(world.store)
    reply = world.client_as("admin").post("/survey", data=given)
    assert reply.status_code == 422 and f'value="{given["slug"]}"' in reply.text


def test_settings_that_are_not_right(world: World) -> None:
    found = made(world.store, open_=False)
    c = world.client_as("admin")
    post(c, "/survey/needs/settings", 422, version=found.version, min_cell="many")
    post(c, "/survey/needs/settings", 409, version="99", title_zh="别人先改了")
    assert stored(world, "needs").config == CONFIG and len(TASKS) == 4
