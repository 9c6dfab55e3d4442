"""The pages of accounts: one's own, and everybody's for administrators."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.web.test_auth_password import GOOD, log_in, make
from tests.web.world import Client, World
from wardround.store.people import event, session, user
from wardround.web import auth
from wardround.web.routes.account import browser

pytestmark = pytest.mark.usefixtures("quick")


def verbs(world: World) -> list[str]:
    with world.store.read() as conn:
        return list(conn.execute(select(event.c.verb).order_by(event.c.id)).scalars())


def account(world: World, user_id: int) -> Any:
    with world.store.read() as conn:
        return conn.execute(select(user).where(user.c.id == user_id)).one()


# My own


def change_password(client: Any, current: str, new: str, again: str = "") -> Any:
    return client.post(
        "/account/password", data={"current": current, "new": new, "again": again or new}
    )


def test_a_new_password_ends_the_other_sessions_and_renews_this_one(both: World) -> None:
    user_id = make(both)
    here, there = both.client_as(user_id=user_id), both.client_as(user_id=user_id)
    reply = change_password(here, GOOD, "ein neuer Satz")
    assert reply.headers["location"] == "/account?done=password"
    assert here.http.cookies["wardround_session"] != here.token
    assert "密码已修改" in here.get("/account?done=password").text
    assert there.get("/account").status_code == 303
    assert log_in(both.client(), "li", GOOD).status_code == 401
    assert log_in(both.client(), "li", "ein neuer Satz").status_code == 303
    assert verbs(both) == ["user.opened", "user.password_changed", "session.started"]


@pytest.mark.parametrize(
    ("current", "new", "again", "text"),
    [
        ("wrong wrong", "ein neuer Satz", "", "当前密码不对"),
        (GOOD, "short", "", "密码须为"),
        (GOOD, "ein neuer Satz", "ein anderer", "两次输入的密码不一样"),
        ("", "ein neuer Satz", "", "当前密码不对"),
    ],
)
def test_passwords_that_are_not_changed(
    world: World, current: str, new: str, again: str, text: str
) -> None:
    client = world.client_as(user_id=make(world))
    reply = change_password(client, current, new, again)
    assert reply.status_code == 422
    assert text in reply.text
    assert log_in(world.client(), "li", GOOD).status_code == 303


def test_a_stolen_session_can_not_guess_the_password(world: World) -> None:
    client = world.client_as(user_id=make(world))
    for _ in range(auth.LIMITS["pair"]):
        assert change_password(client, "wrong wrong", "ein neuer Satz").status_code == 422
    reply = change_password(client, GOOD, "ein neuer Satz")
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) > 0


def test_my_sessions_are_listed_and_can_be_ended(world: World) -> None:
    user_id = make(world)
    here, one, two = (world.client_as(user_id=user_id) for _ in range(3))
    stranger = world.client_as("admin")
    page = here.get("/account").text
    ends = re.findall(r"/account/sessions/(\w+)/end", page)
    assert len(ends) == 2 and "本设备" in page
    assert stranger.post(f"/account/sessions/{ends[0]}/end").status_code == 404
    assert here.post(f"/account/sessions/{ends[0]}/end").status_code == 303
    assert sorted(c.get("/").status_code for c in (one, two)) == [200, 303]
    assert here.post("/account/sessions/end").status_code == 303
    assert [c.get("/").status_code for c in (here, one, two, stranger)] == [200, 303, 303, 200]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge · Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) MicroMessenger/8.0", "微信 / WeChat · iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox · Linux"),
        ("curl/8", "curl/8"),
        ("", "—"),
    ],
)  # fmt: skip
def test_browsers_by_their_names(agent: str, name: str) -> None:
    assert browser(agent) == name


def test_language_and_theme_are_kept_with_the_account_and_the_browser(world: World) -> None:
    client = world.client_as("doctor")
    reply = client.post("/preferences", data={"lang": "en", "theme": "dark", "next": "/account"})
    assert reply.headers["location"] == "/account"
    page = client.get("/account").text
    assert '<html lang="en" data-theme="dark">' in page and "My account" in page
    assert account(world, client.user_id).preferences == {"lang": "en", "theme": "dark"}
    assert (
        '<html lang="en"' in world.client_as(user_id=client.user_id).get("/").text
    )  # elsewhere too
    client.http.cookies.delete("wardround_session")
    assert "Log in" in client.get("/login").text  # and before the next login
    client.post("/preferences", data={"lang": "fr", "theme": "pink"})
    assert "Log in" in client.get("/login").text


def test_a_language_by_link(world: World) -> None:
    client = world.client()
    assert "登录" in client.get("/login").text
    assert "Log in" in client.get("/login?lang=en").text
    assert "Log in" in client.get("/login").text
    assert "登录" in client.get("/login?lang=zh").text


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_pages_speak_one_language(world: World, lang: str) -> None:
    client = world.client_as("admin")
    client.post("/preferences", data={"lang": lang})
    for path in ("/", "/account", "/admin/people", f"/admin/people/{client.user_id}", "/events"):
        text = client.get(path).text
        text = re.sub(r'<span lang="zh-CN">.*?</span>', "", text, flags=re.S)
        text = text.replace(">中文<", "><").replace(">English<", "><")
        chinese = re.findall(r"[一-鿿]+", text)
        if lang == "en":
            assert not chinese, (path, chinese)
        else:
            assert len(chinese) > 5


# Everybody's


def open_account(admin: Client, **fields: Any) -> Any:
    data = {
        "name": "Zhang.San",
        "display": "张三",
        "roles": ["reviewer"],
        "specialty": ["ophthalmology"],
    }
    return admin.post("/admin/people", data={**data, **fields})


def test_open_invite_and_first_login(both: World) -> None:
    admin = both.client_as("admin")
    page = open_account(admin)
    assert page.status_code == 200
    (path,) = re.findall(r"http://127\.0\.0\.1:8000(/invite/[\w-]{43})", page.text)
    people = admin.get("/admin/people").text
    assert "张三" in people and "未登录过" in people and path not in people
    assert "个账号已开设但还没有登录过" in admin.get("/").text
    client = both.client()
    token = client.get(path).text.split('name="csrf" value="')[1].split('"')[0]
    assert (
        client.post(path, data={"csrf": token, "password": GOOD, "again": GOOD}).status_code == 303
    )
    assert "张三" in client.get("/account").text
    assert client.get("/admin/people").status_code == 403
    assert verbs(both)[:3] == ["user.opened", "user.invited", "user.password_changed"]


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"name": "admin1"}, 409, "已被使用"),
        ({"name": "a b"}, 422, "用户名须为"),
        ({"roles": []}, 422, "至少要有一个角色"),
        ({"roles": ["boss"]}, 422, "no role named boss"),
        ({"email": "nix"}, 422, "邮箱地址有误"),
        ({"specialty": ["magic"]}, 422, "no specialty named magic"),
    ],
)
def test_accounts_that_are_not_opened(
    world: World, fields: dict[str, Any], status: int, text: str
) -> None:
    admin = world.client_as("admin")
    reply = open_account(admin, **fields)
    assert (reply.status_code, text in reply.text) == (status, True)
    assert "张三" in reply.text  # what was typed is still there
    with world.store.read() as conn:
        assert len(conn.execute(select(user.c.id)).all()) == 1


def edit(admin: Client, user_id: int, **fields: Any) -> Any:
    row = account(admin.world, user_id)
    data = {"version": row.version, "display": row.display, "roles": row.roles, **fields}
    return admin.post(f"/admin/people/{user_id}", data=data)


@pytest.fixture
def admin(world: World) -> Client:
    made = world.client_as("admin")
    made.world = world  # type: ignore[attr-defined]
    return made


def test_other_roles_end_the_persons_sessions(world: World, admin: Client) -> None:
    them = world.client_as("panel")
    assert edit(admin, them.user_id, roles=["doctor", "reviewer"]).status_code == 303
    assert account(world, them.user_id).roles == ["doctor", "reviewer"]
    assert them.get("/").status_code == 303
    with world.store.read() as conn:
        last = conn.execute(select(event).order_by(event.c.id.desc())).first()
    assert last is not None
    assert (last.verb, last.actor) == ("user.roles_changed", admin.user_id)
    assert (last.before, last.after) == ({"roles": ["panel"]}, {"roles": ["doctor", "reviewer"]})


def test_my_own_roles_renew_my_session(world: World, admin: Client) -> None:
    world.person("admin")
    assert edit(admin, admin.user_id, roles=["admin", "panel"]).status_code == 303
    assert admin.http.cookies["wardround_session"] != admin.token
    assert admin.get("/admin/people").status_code == 200
    assert (
        edit(admin, admin.user_id, roles=["panel"]).status_code == 403
    )  # the form's token was the old session's
    with world.store.read() as conn:
        old = conn.execute(select(session.c.id).where(session.c.user_id == admin.user_id)).all()
    assert len(old) == 1


def test_the_last_administrator_stays(world: World, admin: Client) -> None:
    reply = edit(admin, admin.user_id, roles=["panel"])
    assert (reply.status_code, "最后一个管理员" in reply.text) == (422, True)
    reply = admin.post(f"/admin/people/{admin.user_id}/active", data={"active": "false"})
    assert (reply.status_code, "最后一个管理员" in reply.text) == (422, True)
    world.person("admin")
    assert edit(admin, admin.user_id, roles=["panel"]).status_code == 303


def test_two_administrators_at_one_account(world: World, admin: Client) -> None:
    them = world.person("doctor")
    before = account(world, them)
    assert edit(admin, them, display="甲").status_code == 303
    reply = edit(admin, them, display="乙", version=before.version)
    assert (reply.status_code, "刚被其他人改过" in reply.text) == (409, True)
    assert account(world, them).display == "甲"


def test_close_and_open_again(world: World, admin: Client) -> None:
    them = make(world)
    client = world.client_as(user_id=them)
    path = f"/admin/people/{them}/active"
    assert admin.post(path, data={"active": "false"}).status_code == 303
    assert client.get("/").status_code == 303
    assert log_in(world.client(), "li", GOOD).status_code == 401
    assert "已停用" in admin.get(f"/admin/people/{them}?done=disabled").text
    assert admin.post(path, data={"active": "true"}).status_code == 303
    assert log_in(world.client(), "li", GOOD).status_code == 303


def test_reset_by_the_administrator(world: World, admin: Client) -> None:
    them = make(world)
    client = world.client_as(user_id=them)
    page = admin.post(f"/admin/people/{them}/link", data={"reset": "true"})
    assert "/invite/" in page.text
    assert client.get("/").status_code == 303
    assert log_in(world.client(), "li", GOOD).status_code == 401


def test_roles_an_administrator_set_no_longer_follow_the_provider(
    world: World, admin: Client
) -> None:
    them = world.person("reviewer", preferences={"roles_from": "hospital", "lang": "en"})
    edit(admin, them, display="甲")
    assert account(world, them).preferences["roles_from"] == "hospital"
    edit(admin, them, roles=["panel"])
    assert account(world, them).preferences == {"lang": "en"}


def test_auditors_read_and_change_nothing(world: World, admin: Client) -> None:
    auditor = world.client_as("auditor")
    assert auditor.get("/admin/people").status_code == 200
    page = auditor.get(f"/admin/people/{admin.user_id}")
    assert page.status_code == 200
    assert '<form method="post" action="/admin' not in page.text
    assert open_account(auditor).status_code == 403
    assert auditor.post(f"/admin/people/{admin.user_id}/link").status_code == 403


def test_accounts_that_are_not_there(admin: Client) -> None:
    assert admin.get("/admin/people/99").status_code == 404
    assert admin.get("/admin/people/x").status_code == 422
    assert admin.post("/admin/people/99/active", data={"active": "true"}).status_code == 404
    assert admin.post("/admin/people/99/link").status_code == 404


def test_a_people_list_of_all_states(world: World, admin: Client) -> None:
    make(world)
    world.person("panel", name="closed", active=False)
    world.person("doctor", name="by-provider", issuer="https://x", subject="1")
    with world.store.write() as conn:
        conn.execute(
            update(user).where(user.c.name == "li").values(specialties=["ophthalmology", "gone"])
        )
    text = admin.get("/admin/people").text
    for word in ("已停用", "未登录过", "未登录", "眼科、gone"):
        assert word in text
