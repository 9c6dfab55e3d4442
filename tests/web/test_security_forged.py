"""Requests and cookies that another site, or another host of the same domain, might forge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.test_auth_password import GOOD, form, log_in, make
from tests.web.world import World, masked
from wardround.store.database import Store
from wardround.web.settings import Settings

pytestmark = pytest.mark.usefixtures("quick")
HTTPS = "https://review.hospital.example"


@pytest.fixture
def https(sqlite_store: Store) -> Iterator[World]:
    made = World(sqlite_store, Settings(base_url=HTTPS))
    yield made
    made.close()


def test_a_change_without_the_forms_token_is_refused(world: World) -> None:
    client = world.client_as("admin")
    del client.http.headers["X-CSRF-Token"]
    for data in ({}, {"csrf": ""}, {"csrf": "x"}, {"csrf": "A" * 88}, {"csrf": masked("0" * 64)}):
        reply = client.post("/account/sessions/end", data=data)
        assert reply.status_code == 403
        assert "表单已过期" in reply.text
    page = client.get("/account").text
    good = page.split('name="csrf" value="')[1].split('"')[0]
    assert client.post("/account/sessions/end", data={"csrf": good}).status_code == 303
    assert client.post("/account/sessions/end", headers={"X-CSRF-Token": good}).status_code == 303


def test_the_token_of_somebody_else_is_refused(world: World) -> None:
    mine, theirs = world.client_as("admin"), world.client_as("admin")
    reply = mine.post(
        "/account/sessions/end", headers={"X-CSRF-Token": theirs.http.headers["X-CSRF-Token"]}
    )
    assert reply.status_code == 403


def test_a_token_is_masked_anew_in_each_page(world: World) -> None:
    client = world.client_as("admin")
    tokens = {client.get("/account").text.split('name="csrf" content="')[1][:88] for _ in range(5)}
    assert len(tokens) == 5
    for token in tokens:
        reply = client.post("/account/sessions/end", headers={"X-CSRF-Token": token})
        assert reply.status_code == 303


def test_a_login_can_not_be_forged_either(world: World) -> None:
    make(world)
    client = world.client()
    data = {"name": "li", "password": GOOD}
    assert client.post("/login", data=data).status_code == 403
    token = form(client)
    stranger = world.client()
    assert stranger.post("/login", data={**data, "csrf": token}).status_code == 403
    assert client.post("/login", data={**data, "csrf": token}).status_code == 303


def test_a_token_planted_by_another_host_is_no_session_token(world: World) -> None:
    """Cookie tossing: an attacker who can set the cookie of forms before the login gains nothing after it."""
    client = world.client_as("admin")
    client.cookies.set("wardround_form", "a" * 64)
    reply = client.post("/account/sessions/end", headers={"X-CSRF-Token": masked("a" * 64)})
    assert reply.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_a_change_asked_by_another_site_is_refused(client_as: Any, headers: dict[str, str]) -> None:
    client = client_as("admin")
    assert client.post("/account/sessions/end", headers=headers).status_code == 403
    assert client.get("/account", headers=headers).status_code == 200  # links may lead here


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": "http://127.0.0.1:8000"}, {"Sec-Fetch-Site": "same-origin"}]
)
def test_a_change_asked_by_our_own_page_is_not(client_as: Any, headers: dict[str, str]) -> None:
    assert client_as("admin").post("/account/sessions/end", headers=headers).status_code == 303


# Cookies


def test_cookies_on_http(world: World) -> None:
    make(world)
    set_cookies = log_in(world.client(), "li", GOOD).headers.get_list("set-cookie")
    (made,) = [c for c in set_cookies if c.startswith("wardround_session=")]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(made.split("; "))
    assert "Secure" not in made and "Domain" not in made


def test_cookies_on_https_are_bound_to_the_host(https: World) -> None:
    make(https)
    client = https.client()
    first = client.get("/login?lang=en").headers.get_list("set-cookie")
    after = log_in(client, "li", GOOD).headers.get_list("set-cookie")
    names = {c.split("=")[0] for c in first + after}
    assert names == {"__Host-wardround_form", "__Host-wardround_session", "wardround_lang"}
    for cookie in first + after:
        parts = set(cookie.split("; "))
        assert {"HttpOnly", "SameSite=lax", "Path=/", "Secure"} <= parts, cookie
        assert "Domain" not in cookie
    plain = (
        https.client()
    )  # a cookie without the prefix, as a sibling host could set it, counts for nothing
    plain.cookies.set("wardround_session", client.cookies["__Host-wardround_session"])
    assert plain.get("/account").status_code == 303
