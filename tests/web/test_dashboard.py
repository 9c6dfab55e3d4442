"""The coordinator's pages over HTTP: what they show, who may do what, and what each action leaves behind."""

import html
import io
import re
import zipfile
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, update

from tests.web.rooms import open_rationales
from tests.web.studies import FIELDS, review_all, scores, struck_out
from tests.web.world import Client, World
from wardround.review import candidates, desk, drafting, handing_in
from wardround.review.study import ReviewIn
from wardround.review.tables import assignment, item, job, member, review, study, version
from wardround.store.people import event, user

HTMX = {"HX-Request": "true"}


def verbs(world: World) -> list[str]:
    with world.store.read() as conn:
        return list(conn.execute(select(event.c.verb)).scalars())


def reviewers(world: World, count: int = 3, **columns: Any) -> list[int]:
    return [world.person("reviewer", **columns) for _ in range(count)]


def test_the_pages_stand_on_both_databases(both: World) -> None:
    who = reviewers(both)
    _, item_id = struck_out(both, who, strikes=2)
    admin = both.client_as("admin")
    assert "推理依据试评" in admin.get("/studies").text
    page = admin.get("/studies/trial").text
    assert "待专家组裁定" in page and 'id="handed-in">6 / 6<' in page
    figures = admin.get("/studies/trial/figures", headers=HTMX).text
    assert "<html" not in figures and "Krippendorff" in figures
    assert "<html" in admin.get("/studies/trial/figures").text
    assert "<html" not in admin.get("/studies/trial/overview", headers=HTMX).text
    assert "q00" in admin.get("/studies/trial/items?strikes=2&text=q0").text
    assert "没有符合条件" in admin.get("/studies/trial/items?state=accepted").text
    story = admin.get(f"/studies/trial/items/{item_id}").text
    assert "第1轮：机制没有写清楚" in story and "qwen-medical" in story
    assert "<mark>下壁导联</mark>" in story and "依据不足" in story


def test_unanimous_is_undefined_and_never_zero(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who, count=3)
    review_all(world, study_id, who, [5, 5, 5])
    admin = world.client_as("admin")
    page = admin.get("/studies/trial/figures").text
    assert page.count("未定义：评分完全一致") >= 5
    assert "undefined: unanimous" in admin.get("/studies/trial/figures?lang=en").text
    assert page.count("α") and "0.00" not in page.split('id="agreement"')[1].split("</section>")[0]


def test_names_and_scores_are_for_coordinator_auditor_and_panel(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who)
    review_all(world, study_id, who[:1], [4], comment="只有协调者能看")
    with world.store.read() as conn:
        item_id = conn.execute(select(item.c.id)).scalars().first()
    story = f"/studies/trial/items/{item_id}"
    for roles in (("admin",), ("auditor",), ("panel",)):
        assert "只有协调者能看" in world.client_as(*roles).get(story).text
    for path in (
        "/studies",
        "/studies/trial",
        "/studies/trial/figures",
        "/studies/trial/items",
        story,
    ):
        assert world.client_as(user_id=who[0]).get(path).status_code == 403
        assert world.client_as("doctor").get(path).status_code == 403
    for path in ("/studies", "/studies/trial", "/studies/trial/figures", "/studies/trial/items"):
        assert world.client_as("panel").get(path).status_code == 403


@pytest.mark.parametrize(
    "roles", [("admin", "reviewer"), ("panel", "reviewer"), ("auditor", "doctor")]
)
def test_whoever_reviews_too_stays_blind(world: World, roles: tuple[str, ...]) -> None:
    both_hats = world.person(*roles)
    who = [both_hats, *reviewers(world, 2)]
    study_id = open_rationales(world, who, count=1, strikes=1)
    review_all(world, study_id, who[1:], [2, 2], comment="他人意见")
    client = world.client_as(user_id=both_hats)
    answer = client.get("/studies/trial/items/1")
    assert answer.status_code == 403 and "他人意见" not in answer.text
    if "panel" in roles:
        assert client.get("/panel/1").status_code == 403
        body = msgspec.json.encode({"version": 0, "body": {}})
        assert client.put("/panel/1/draft", content=body).status_code == 403
    review_all(world, study_id, who[:1], [2])
    assert "他人意见" in client.get("/studies/trial/items/1").text


def test_a_comment_that_was_taken_back_says_so(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who, count=1)
    review_all(world, study_id, who[:1], [4], comment="说过一次")
    handing_in.undo(world.store, study_id, who[0])
    review_all(world, study_id, who[:1], [4], comment="说过一次")
    page = world.client_as("auditor").get("/studies/trial/items/1").text
    said = re.findall(r"<li( class=\"off\")?><strong>(.*?)</p>", page, re.DOTALL)
    assert [(bool(off), "已撤回" in text) for off, text in said if "说过一次" in text] in (
        [(True, True), (False, False)], [(False, False), (True, True)],
    )  # fmt: skip


def test_a_long_comment_is_folded_and_whole(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who, count=1)
    long, short = "<查>" * 20_000, "简短的意见"
    for w, comment in zip(who, (long[:50_000], short, ""), strict=True):
        review_all(world, study_id, [w], [4], comment=comment)
    page = world.client_as("auditor").get("/studies/trial/items/1").text
    shown, folded = re.findall(r'<p class="prose">((?:&lt;查&gt;)+.*?)</p>', page)
    assert html.unescape(folded) == long[:50_000] and html.unescape(shown) == long[:400] + "…"
    assert "展开全文（50,000 字）" in page
    assert page.count(f'<p class="prose">{short}</p>') == 1
    english = world.client_as("auditor").get("/studies/trial/items/1?lang=en").text
    assert "Show all of it (50,000 characters)" in english


def test_positive_offsets_are_called_lenient(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who, count=1)
    review_all(world, study_id, who, [4, 4, 4])
    page = world.client_as("admin").get("/studies/trial/figures?lang=en").text
    assert ">Leniency</th>" in page and "Severity" not in page


def test_an_item_of_another_study_is_not_shown(world: World) -> None:
    who = reviewers(world)
    open_rationales(world, who, count=1)
    open_rationales(world, who, count=1, slug="other")
    admin = world.client_as("admin")
    assert admin.get("/studies/trial/items/2").status_code == 409
    assert admin.get("/studies/nothing").status_code == 409
    for action in ("panel", "release"):
        done = admin.post(f"/studies/trial/items/2/{action}", data={"reason": "x"})
        assert done.status_code == 409
    assert "item.to_panel" not in verbs(world)


ACTIONS = (
    "members", "members/{who}/leave", "members/{who}/return", "plan", "close", "reopen", "jobs/retry",
    "jobs/1/retry", "items/1/release", "items/1/panel",
)  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_only_the_coordinator_acts(world: World, action: str) -> None:
    who = reviewers(world)
    open_rationales(world, who, count=1)
    before = verbs(world)
    path = f"/studies/trial/{action.format(who=who[0])}"
    for roles in (("auditor",), ("panel",), ("reviewer",), ("doctor",)):
        assert (
            world.client_as(*roles).post(path, data={"users": "1", "reason": "x"}).status_code
            == 403
        )
    assert world.client().post(path).status_code in (303, 401)
    assert verbs(world) == before


def test_people_in_and_out(world: World) -> None:
    who = reviewers(world, 4)
    study_id = open_rationales(world, who[:3])
    admin = world.client_as("admin")
    page = admin.get("/studies/trial/figures").text
    assert f'value="{who[3]}"' in page
    done = admin.post("/studies/trial/members", data={"users": [str(who[3])]})
    assert done.headers["location"].startswith("/studies/trial?did=joined&n=1")
    desk.next_tasks(world.store, study_id, who[3], ahead=0)
    returned = admin.post(f"/studies/trial/members/{who[3]}/return")
    assert "did=returned&n=1" in returned.headers["location"]
    assert admin.post(f"/studies/trial/members/{who[3]}/leave").status_code == 303
    with world.store.read() as conn:
        active = conn.execute(select(member.c.user_id).where(member.c.active)).scalars().all()
        held = conn.execute(select(assignment.c.id).where(assignment.c.state == "held")).all()
    assert sorted(active) == sorted(who[:3]) and held == []
    assert {"member.joined", "lease.returned", "member.left"} <= set(verbs(world))
    assert "已退出" in admin.get("/studies/trial/figures").text


def test_only_fitting_accounts_join(world: World) -> None:
    who = reviewers(world)
    open_rationales(world, who)
    admin = world.client_as("admin")
    gone = world.person("reviewer", active=False)
    for users in ([world.person("auditor")], [gone], [999], [who[0], 999]):
        done = admin.post("/studies/trial/members", data={"users": [str(u) for u in users]})
        assert done.status_code == 422
    assert admin.post("/studies/trial/members", data={}).status_code == 422
    stranger = world.person("reviewer")
    assert admin.post(f"/studies/trial/members/{stranger}/leave").status_code == 403
    assert admin.post(f"/studies/trial/members/{stranger}/return").status_code == 403


def test_nobody_to_review_names_the_next_step(world: World) -> None:
    who = reviewers(world, specialties=["neurology"])
    open_rationales(world, who)
    admin = world.client_as("admin")
    page = admin.get("/studies/trial").text
    assert "无人可评" in page and "先开设账号" in page
    fits = world.person("reviewer", name="心内医生", specialties=["cardiology"])
    page = admin.get("/studies/trial").text
    assert "加入 心内医生" in page
    assert "加入 心内医生" not in world.client_as("auditor").get("/studies/trial").text
    admin.post("/studies/trial/members", data={"users": [str(fits)]})
    done = admin.post("/studies/trial/plan")
    assert "did=planned&n=3" in done.headers["location"]
    assert "已重新分配 3 个名额" in admin.get(done.headers["location"]).text


def test_a_study_is_closed_and_opened_again(world: World) -> None:
    who = reviewers(world)
    open_rationales(world, who)
    admin = world.client_as("admin")
    admin.post("/studies/trial/close")
    page = admin.get("/studies/trial").text
    assert "已结束" in page and "重新开放" in page and "every 10s" not in page
    admin.post("/studies/trial/reopen")
    with world.store.read() as conn:
        assert conn.execute(select(study.c.status)).scalar_one() == "open"


def test_jobs_are_shown_with_their_error_and_tried_again(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who, count=2, on_fail="regenerate", model="x")
    review_all(world, study_id, who, [2, 2, 2])
    with world.store.write() as conn:
        conn.execute(
            update(job).values(error="<b>connection refused</b>", tries=4, due_at=9_000_000_000_000)
        )
    admin = world.client_as("admin")
    page = admin.get("/studies/trial").text
    assert "&lt;b&gt;connection refused" in page and "出错待重试 2" in page
    assert '连不上模型服务：<span lang="en">&lt;b&gt;connection refused' in page
    assert "endpoint out of reach: <span" in admin.get("/studies/trial?lang=en").text
    assert '连不上模型服务：<span lang="en">' in admin.get("/studies/trial/items/1?lang=zh").text
    assert "立即重试" not in world.client_as("auditor").get("/studies/trial").text
    assert "2 项模型任务出错" in admin.get("/").text
    admin.post("/studies/trial/jobs/1/retry")
    with world.store.read() as conn:
        due = conn.execute(select(job.c.due_at).order_by(job.c.id)).scalars().all()
    assert due[0] < due[1] == 9_000_000_000_000
    assert "did=retried&n=2" in admin.post("/studies/trial/jobs/retry").headers["location"]
    assert admin.post("/studies/trial/jobs/99/retry").status_code == 409


def test_a_revision_is_released(world: World) -> None:
    who = reviewers(world)
    study_id = open_rationales(world, who, count=1, on_fail="revise")
    for person in who:
        task = desk.next_tasks(world.store, study_id, person, ahead=0)[0]
        given = ReviewIn(scores=scores(2))
        handing_in.submit(world.store, person, task.assignment, task.version, given)
    admin = world.client_as("admin")
    assert "放开给他人" in admin.get("/studies/trial").text
    assert admin.post("/studies/trial/items/1/release").status_code == 303
    page = admin.get("/studies/trial").text
    assert "任何人可接手" in page and "放开给他人" not in page


def test_sent_to_the_panel_with_a_reason(world: World) -> None:
    who = reviewers(world)
    open_rationales(world, who, count=1)
    admin = world.client_as("admin")
    assert admin.post("/studies/trial/items/1/panel", data={"reason": " "}).status_code == 422
    assert (
        admin.post("/studies/trial/items/1/panel", data={"reason": "题干有争议"}).status_code == 303
    )
    assert "题干有争议" in admin.get("/studies/trial/items/1").text
    assert admin.post("/studies/trial/items/1/panel", data={"reason": "又一次"}).status_code == 409


def test_script_stays_text_everywhere(world: World) -> None:
    who = [*reviewers(world, 2), world.person("reviewer", display="<script>alert(1)</script>")]
    study_id = open_rationales(world, who, count=1, title="<img src=x onerror=alert(1)>")
    review_all(world, study_id, who, [2, 2, 2], comment="<script>alert(2)</script>")
    admin = world.client_as("admin")
    for path in (
        "/",
        "/studies",
        "/studies/trial",
        "/studies/trial/figures",
        "/studies/trial/items/1",
    ):
        text = admin.get(path).text
        assert "<script>alert" not in text and "<img src=x" not in text


def jsonl(*rows: candidates.Candidate) -> bytes:
    return b"\n".join(msgspec.json.encode(r) for r in rows)


def candidate(number: int, chosen: str = "B") -> candidates.Candidate:
    question = drafting.Question(text=f"题{number}", options={"A": "甲", "B": "乙"})
    return candidates.Candidate(
        id=f"c{number}", row=number, question=question, answer="B", status="ok", chosen=chosen, steps=("因为", "所以选B"),
    )  # fmt: skip


def upload(client: Client, raw: bytes, **more: str) -> Any:
    given = {
        "slug": "fresh",
        "title": "新批次",
        "raters": "2",
        "strikes": "3",
        "everybody": "1",
        "on_fail": "revise",
    }
    return client.post(
        "/studies/new/candidates", data=given | more, files={"file": ("candidates.jsonl", io.BytesIO(raw))}
    )  # fmt: skip


def test_a_study_is_opened_from_candidates(both: World) -> None:
    reviewers(both, 2)
    admin = both.client_as("admin")
    assert admin.get("/studies/new/candidates").status_code == 200
    done = upload(admin, jsonl(candidate(1), candidate(2)))
    assert done.headers["location"] == "/studies/fresh?did=opened&n=2", done.text
    page = admin.get(done.headers["location"]).text
    assert "已建立，共 2 条" in page and 'id="handed-in">0 / 4<' in page
    assert "无人可评" not in page.split("各专科进度")[0]


def test_a_wrong_file_opens_nothing_and_says_why(world: World) -> None:
    admin = world.client_as("admin")
    for raw, more, said in (
        (jsonl(candidate(1)) + b'\n{"id": 3}', {}, "第 2 行"),
        (b"", {}, "nothing to review"),
        (jsonl(candidate(1)), {"slug": "Not A Slug"}, "短名"),
        (jsonl(candidate(1), candidate(1)), {}, "c1"),
        (jsonl(candidate(1)), {"on_fail": "either"}, "请填写重写用的模型"),
        (jsonl(candidate(1)), {"on_fail": "either", "model": "nobody"}, "nobody"),
        (jsonl(candidate(1)), {"model": "m@http://u:pass@127.0.0.1:9/v1"}, "password"),
    ):
        answer = upload(admin, raw, **more)
        assert answer.status_code == 422
        assert "新批次" in answer.text
        assert said in answer.text or "notice stop" in answer.text
    with world.store.read() as conn:
        assert conn.execute(select(study)).first() is None
    assert upload(world.client_as("auditor"), jsonl(candidate(1))).status_code == 403


def test_the_export_is_downloaded(world: World) -> None:
    who = reviewers(world, 2)
    upload(world.client_as("admin"), jsonl(candidate(1), candidate(2)))
    with world.store.read() as conn:
        study_id = conn.execute(select(study.c.id)).scalar_one()
    review_all(world, study_id, who, [5, 4])
    answer = world.client_as("auditor").get("/studies/fresh/export.zip")
    assert answer.status_code == 200, answer.text
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert "fresh/items.jsonl" in names and "fresh/manifest.json" in names
    assert world.client_as("panel").get("/studies/fresh/export.zip").status_code == 403


def test_first_page_and_links(world: World) -> None:
    who = reviewers(world)
    open_rationales(world, who)
    home = world.client_as("admin").get("/").text
    assert 'href="/studies"' in home and "推理依据试评" in home
    assert '<p class="big">3</p>' in home and "条还没有结论" in home and home.count("0 / 3") == 1
    assert 'href="/studies"' not in world.client_as(user_id=who[0]).get("/").text


def test_many_reviews_are_shown_by_their_numbers(world: World) -> None:
    """Thousands of rows through the same pages, with reviews written straight into the tables."""
    who = reviewers(world)
    study_id = open_rationales(world, who, count=400)
    with world.store.write() as conn:
        slots = conn.execute(select(assignment)).mappings().all()
        ids = {r.item_id: r.id for r in conn.execute(select(version.c.id, version.c.item_id))}
        conn.execute(
            update(assignment).values(state="done", user_id=assignment.c.planned_for, done_at=1)
        )
        rows = [
            {
                "study_id": study_id, "item_id": s["item_id"], "version_id": ids[s["item_id"]], "assignment_id": s["id"],
                "round": 1, "user_id": s["planned_for"], "scores": scores(4 + (s["id"] % 7 == 0)), "comment": "",
                "spans": [], "seconds": 20.0, "gold": False, "at": n * 60_000,
            }
            for n, s in enumerate(slots)
        ]  # fmt: skip
        conn.execute(insert(review), rows)
    admin = world.client_as("admin")
    assert 'id="handed-in">1,200 / 1,200<' in admin.get("/studies/trial").text
    page = admin.get("/studies/trial/figures").text
    assert "1,200 份评分" in page.replace("\n", "") or "1,200" in page
    assert page.count('class="chart"') == len(FIELDS)
    assert page.count("<title") >= len(FIELDS) and "<desc" in page
    with world.store.read() as conn:
        assert conn.execute(select(user.c.id)).first() is not None
