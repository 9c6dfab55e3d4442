"""How long a login lasts, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from tests.web.test_auth_password import GOOD, log_in, make
from tests.web.world import World
from wardround.store.base import now
from wardround.store.people import session
from wardround.web import accounts, sessions
from wardround.web.sessions import MINUTE


def row(world: World) -> Any:
    with world.store.read() as conn:
        return conn.execute(select(session)).one()


def shift(world: World, **values: int) -> None:
    with world.store.write() as conn:
        conn.execute(update(session).values(**values))


def test_a_session_ends_when_unused_and_at_its_end(both: World) -> None:
    client = both.client_as("reviewer")
    made = row(both)
    assert made.expires_at - made.created_at == both.settings.session_minutes * MINUTE
    shift(both, seen_at=now() - both.settings.idle_minutes * MINUTE + 5000)
    assert client.get("/").status_code == 200  # used in time: it goes on
    assert row(both).seen_at > now() - 5000
    shift(both, seen_at=now() - both.settings.idle_minutes * MINUTE - 1)
    assert client.get("/").status_code == 303
    shift(both, seen_at=now(), expires_at=now() - 1)
    assert client.get("/").status_code == 303


def test_use_is_noted_once_a_minute_not_at_each_request(world: World) -> None:
    client = world.client_as("reviewer")
    before = row(world).seen_at
    client.get("/")
    assert row(world).seen_at == before
    shift(world, seen_at=before - 61_000)
    client.get("/")
    assert row(world).seen_at >= before


def test_a_new_token_at_each_login_whatever_was_there(world: World) -> None:
    """Session fixation: a token planted before the login is not the one after it."""
    make(world)
    client = world.client()
    client.cookies.set("wardround_session", "planted-by-somebody-else", domain="127.0.0.1")
    log_in(client, "li", GOOD)
    tokens = {c.value for c in client.cookies.jar if c.name == "wardround_session"}
    fresh = tokens - {"planted-by-somebody-else"}
    assert len(fresh) == 1
    with world.store.read() as conn:
        ids = conn.execute(select(session.c.id)).scalars().all()
    assert ids == [sessions.hashed(str(fresh.pop()))]


def test_a_second_login_in_the_same_browser_ends_the_first(world: World) -> None:
    make(world)
    make(world, "wang")
    client = world.client()
    log_in(client, "li", GOOD)
    first = client.cookies["wardround_session"]
    csrf = client.get("/account").text.split('name="csrf" content="')[1].split('"')[0]
    client.post("/login", data={"csrf": csrf, "name": "wang", "password": GOOD})
    assert client.cookies["wardround_session"] != first
    with world.store.read() as conn:
        assert len(conn.execute(select(session.c.id)).all()) == 1


@pytest.mark.parametrize("values", [{"active": False}, {"roles": ["doctor"]}])
def test_less_rights_end_every_session_at_once(both: World, values: dict[str, Any]) -> None:
    user_id = both.person("panel")
    one, two = both.client_as(user_id=user_id), both.client_as(user_id=user_id)
    other = both.client_as("panel")
    assert one.get("/").status_code == 200
    with both.store.write() as conn:
        accounts.change(conn, accounts.by_id(conn, user_id), values, actor=None)
    assert (one.get("/").status_code, two.get("/").status_code) == (303, 303)
    assert other.get("/").status_code == 200


def test_a_change_that_touches_no_rights_ends_nothing(world: World) -> None:
    client = world.client_as("panel")
    with world.store.write() as conn:
        row = accounts.by_id(conn, client.user_id)
        accounts.change(conn, row, {"display": "王主任"}, actor=None)
    assert "王主任" in client.get("/").text


def test_sessions_that_are_over_are_swept_out_at_the_next_login(world: World) -> None:
    world.token(world.person("doctor"))
    shift(world, expires_at=now() - 1)
    world.token(world.person("doctor"))
    assert row(world).expires_at > now()


@pytest.mark.parametrize("token", ["", "x", "../../etc", "' OR 1=1 --", "a" * 5000, "0" * 64])
def test_made_up_tokens(world: World, token: str) -> None:
    world.client_as("admin")
    client = world.client()
    client.cookies.set("wardround_session", token)
    assert client.get("/account").status_code == 303


def test_the_hash_in_the_database_is_no_token(world: World) -> None:
    world.client_as("admin")
    client = world.client()
    client.cookies.set("wardround_session", row(world).id)
    assert client.get("/account").status_code == 303
