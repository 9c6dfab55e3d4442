"""What holds for every request: hosts, sizes, headers, errors without insides, logs without secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from tests.web.test_auth_password import GOOD, form, link, log_in, make
from tests.web.world import World
from wardround.store.database import Store
from wardround.web import accounts, assets, pages, security
from wardround.web.app import create_app
from wardround.web.settings import Settings

pytestmark = pytest.mark.usefixtures("quick")
HTTPS = "https://review.hospital.example"


@pytest.fixture
def https(sqlite_store: Store) -> Iterator[World]:
    made = World(sqlite_store, Settings(base_url=HTTPS))
    yield made
    made.close()


# Headers and hosts


def test_headers_of_every_kind_of_reply(world: World) -> None:
    client = world.client_as("admin")
    paths = [
        "/",
        "/login",
        "/nix",
        "/events.csv",
        "/account",
        assets.static("app.css"),
        "/admin/people/99",
    ]
    for path in paths:
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy == security.POLICY and "unsafe" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "camera=()" in headers["permissions-policy"]
        assert "strict-transport-security" not in headers
        assert "server" not in headers and "x-powered-by" not in headers
        if not path.startswith("/static/"):
            assert headers["cache-control"] == "no-store", path


def test_hsts_on_https_only(https: World) -> None:
    reply = https.client().get("/login")
    assert reply.headers["strict-transport-security"].startswith("max-age=31536000")


def test_no_page_holds_inline_script_or_style(world: World) -> None:
    client = world.client_as("admin", "auditor")
    for path in (
        "/",
        "/account",
        "/admin/people",
        f"/admin/people/{client.user_id}",
        "/events",
        "/nix",
    ):
        text = client.get(path).text
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", text), (
            path
        )
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text), path


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "", "127.0.0.1:8000@evil.example", "review.hospital.example"],
)  # fmt: skip
def test_a_host_that_is_not_ours_is_refused(world: World, host: str) -> None:
    reply = world.client().get("/login", headers={"Host": host})
    assert reply.status_code == 400
    assert host not in reply.text or not host


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:9000"])
def test_a_loopback_installation_answers_to_its_names(world: World, host: str) -> None:
    assert world.client().get("/login", headers={"Host": host}).status_code == 200


def test_https_installation_answers_to_its_own_name_only(https: World) -> None:
    assert https.client().get("/login").status_code == 200
    for host in ("127.0.0.1", "localhost:8000", "review.hospital.example:444"):
        assert https.client().get("/login", headers={"Host": host}).status_code == 400


# Where a login leads


EVIL = (
    "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example",
    "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", " //evil.example", "///evil.example",
    "evil.example", "/%0d%0aSet-Cookie:x=1\r\nX: y", "/\u202e", "", "data:text/html,x",
)  # fmt: skip


@pytest.mark.parametrize("target", EVIL, ids=repr)
def test_next_never_leaves_the_app(world: World, target: str) -> None:
    make(world)
    reply = log_in(world.client(), "li", GOOD, next=target)
    assert reply.status_code == 303
    assert reply.headers["location"] == "/"
    assert "x" not in reply.cookies


@given(st.text(max_size=60))
def test_a_local_path_is_one(text: str) -> None:
    path = pages.local_path(text)
    assert path.startswith("/") and not path.startswith("//")
    assert "\\" not in path and path.isascii() and path.isprintable()
    assert pages.local_path(path) == path


def test_next_keeps_a_path_of_ours(world: World) -> None:
    make(world)
    reply = log_in(world.client(), "li", GOOD, next="/events?person=张&verb=a.b#e1")
    assert reply.headers["location"] == "/events?person=%E5%BC%A0&verb=a.b#e1"


def test_no_header_can_be_smuggled_in(world: World) -> None:
    client = world.client_as("admin")
    for path in (
        "/login?next=%0d%0aX-Evil:1",
        "/?lang=en%0d%0aX-Evil:1",
        "/events.csv?verb=%0d%0aX-Evil:1",
    ):
        reply = client.get(path)
        assert "x-evil" not in reply.headers
    reply = client.post(
        "/preferences", data={"lang": "en\r\nX-Evil: 1", "theme": "dark;x", "next": "/"}
    )
    assert "x-evil" not in reply.headers and "set-cookie" not in reply.headers


# Sizes


def shell_of(world: World, uploads: tuple[str, ...] = ()) -> security.Shell:
    async def failed(request: Request) -> Response:
        return Response("failed", 500)

    return security.Shell(world.app, settings=world.settings, failed=failed, uploads=uploads)


def test_a_body_that_is_too_large(world: World) -> None:
    client = world.client_as("admin")
    size = world.settings.body_limit
    reply = client.post("/account/password", content=b"x" * (size + 1))
    assert reply.status_code == 413

    def dripping() -> Iterator[bytes]:  # without a length said beforehand
        for _ in range(size // 100_000 + 2):
            yield b"x" * 100_000

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = client.post("/account/password", content=dripping(), headers=kind)
    assert reply.status_code == 413
    del client.http.headers["X-CSRF-Token"]
    reply = client.post("/account/password", content=dripping(), headers=kind)
    assert reply.status_code == 413


def test_uploads_have_their_own_limit(world: World) -> None:
    shell = shell_of(world, uploads=("/survey/import",))
    assert shell._limit("/survey/import/1") == world.settings.upload_limit
    assert shell._limit("/survey") == world.settings.body_limit


@pytest.mark.parametrize("length", ["-1", "x", "1e9", "٣"])
def test_a_length_that_is_none(world: World, length: str) -> None:
    shell = shell_of(world)
    raw = [(b"host", b"127.0.0.1:8000"), (b"content-length", length.encode("utf-8"))]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw}
    refusal = shell._refusal(scope, 10)
    assert refusal is not None and refusal.status_code == 413


def test_a_very_long_name_or_password_costs_nothing(world: World) -> None:
    make(world)
    assert log_in(world.client(), "x" * 100_000, "y" * 100_000).status_code == 401


# Scripts in what people write


def test_what_people_write_is_text(world: World) -> None:
    script = "<script>alert(1)</script>\"' onload=x {{ 7*7 }}"
    client = world.client_as("admin")
    with world.store.write() as conn:
        row = accounts.by_id(conn, client.user_id)
        values = {"display": script, "title": script}
        accounts.change(conn, row, values, actor=client.user_id)
    for path in ("/", "/account", "/admin/people", f"/admin/people/{client.user_id}", "/events"):
        text = client.get(path).text
        assert "<script>alert" not in text, path
        assert "&lt;script&gt;alert(1)" in text, path
        assert "{{ 7*7 }}" in text, path


@pytest.mark.parametrize(
    "path",
    [
        '/login?next="><script>x</script>',
        "/nix/<script>x</script>",
        '/events?person="><script>x</script>&verb=<b>',
    ],
)
def test_what_stands_in_an_address_is_text(client_as: Any, world: World, path: str) -> None:
    for client in (world.client(), client_as("admin")):
        assert "<script>x" not in client.get(path, follow_redirects=True).text


def test_sql_in_filters_is_text(client_as: Any) -> None:
    client = client_as("auditor")
    for value in ("' OR '1'='1", "%", "_", "x'; DROP TABLE event; --", "\x00"):
        reply = client.get(
            "/events", params={"person": value, "verb": value, "entity": value, "study": value}
        )
        assert reply.status_code == 200
        assert "没有符合条件的记录" in reply.text


# Errors and logs


@pytest.fixture
def broken(world: World) -> World:
    def fail() -> None:
        raise ZeroDivisionError("the secret inside")

    world.app.state.cards = [lambda conn, person: fail()]
    return world


def test_an_error_shows_nothing_of_the_inside(
    broken: World, caplog: pytest.LogCaptureFixture
) -> None:
    client = broken.client_as("admin")
    reply = client.get("/")
    assert reply.status_code == 500
    assert "服务器出错了" in reply.text
    for inside in ("secret inside", "Traceback", "ZeroDivision", "wardround/", ".py"):
        assert inside not in reply.text
    assert reply.headers["content-security-policy"] == security.POLICY
    assert "ZeroDivisionError" in caplog.text  # for the administrator it is on record


def test_an_error_as_its_caller_wants_it(broken: World) -> None:
    client = broken.client_as("admin")
    reply = client.get("/", headers={"Accept": "application/json"})
    assert (reply.status_code, reply.json()["status"]) == (500, 500)
    reply = client.get("/", headers={"HX-Request": "true"})
    assert reply.text.startswith('<div class="notice stop"')
    assert reply.headers["hx-retarget"] == "#notices"


def test_even_the_error_page_may_fail(broken: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = broken.client_as("admin")
    monkeypatch.setattr(pages.environment(), "get_template", lambda name: 1 / 0)
    reply = client.get("/")
    assert (reply.status_code, reply.headers["content-type"]) == (500, "text/plain; charset=utf-8")


@pytest.mark.parametrize(("lang", "text"), [("zh", "没有这个页面"), ("en", "No such page")])
def test_errors_speak_the_readers_language(world: World, lang: str, text: str) -> None:
    reply = world.client().get(f"/nix?lang={lang}")
    assert reply.status_code == 404 and text in reply.text


def test_without_a_session_each_caller_is_told_in_its_way(world: World) -> None:
    client = world.client()
    page = client.get("/events?person=li")
    assert page.headers["location"] == "/login?next=%2Fevents%3Fperson%3Dli"
    htmx = client.get("/events", headers={"HX-Request": "true"})
    assert (htmx.status_code, htmx.headers["x-login"]) == (401, "needed")
    machine = client.get("/events", headers={"Accept": "application/json"})
    assert machine.status_code == 401 and machine.json()["error"] == "登录后即可继续。"
    sent = client.post("/logout", headers={"Referer": "http://127.0.0.1:8000/account?x=1"})
    assert sent.headers["location"] == "/login?next=%2Faccount%3Fx%3D1&expired=1"


def test_the_log_holds_no_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = link(world, make(world, password=None))
    client = world.client()
    client.get(path + "?x=secret-in-query")
    client.post(path, data={"csrf": form(client, path), "password": GOOD, "again": GOOD})
    log_in(world.client(), "li", GOOD)
    log_in(world.client(), "li", "wrong secret")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("wardround")]
    assert any("GET /invite/{token} 200" in line for line in ours)
    text = "\n".join(ours)
    for secret in (
        path.split("/")[-1],
        "secret-in-query",
        GOOD,
        "wrong secret",
        client.cookies["wardround_session"],
    ):
        assert secret not in text


def test_static_files_are_named_by_their_content_and_kept(world: World) -> None:
    client = world.client()
    address = assets.static("app.css")
    assert re.fullmatch(r"/static/app\.[0-9a-f]{12}\.css", address)
    reply = client.get(address)
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert reply.headers["content-encoding"] == "gzip"
    assert "set-cookie" not in reply.headers
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.text == reply.text
    for name in ("app.000000000000.css", "..%2fapp.py", "app.css"):
        assert client.get(f"/static/{name}").status_code == 404


def test_the_first_view_is_small(world: World) -> None:
    """What crosses the wire for somebody who was never here: page, style, scripts, icon."""
    client = world.client()
    page = client.get("/login")
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    total = int(page.headers["content-length"])
    for address in links:
        reply = client.get(address)
        total += int(reply.headers["content-length"])
    assert len(links) == len(set(links)) >= 4
    assert total <= 60_000, total


def test_other_names_of_an_installation() -> None:
    settings = Settings(base_url=HTTPS, hosts=("review",))
    assert settings.knows("review") and not settings.knows("review.evil.example")


def test_create_app_twice_shares_nothing(sqlite_store: Store) -> None:
    one, two = create_app(sqlite_store), create_app(sqlite_store, Settings(base_url=HTTPS))
    assert one.state.settings != two.state.settings
    assert [r.path for r in one.routes] == [r.path for r in two.routes]  # type: ignore[attr-defined]
