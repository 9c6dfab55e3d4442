"""Passwords, the limit on attempts, one-time links."""

from __future__ import annotations

import statistics
import threading
import time
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from tests.web.world import World
from wardround.errors import ConflictError, RefusedError, UsageError
from wardround.store.base import now
from wardround.store.people import event, invitation, login_attempt, session, user
from wardround.web import accounts, auth
from wardround.web.accounts import NewUser

GOOD = "一句好记的话"


def make(world: World, name: str = "li", password: str | None = GOOD, **options: Any) -> int:
    new = NewUser(name=name, roles=("reviewer",), **options)
    with world.store.write() as conn:
        return accounts.open_account(conn, new, actor=None, password=password)


def form(client: TestClient, path: str = "/login") -> str:
    page = client.get(path).text
    return page.split('name="csrf" value="')[1].split('"')[0]


def log_in(client: TestClient, name: str, password: str, **fields: str) -> Any:
    data = {"csrf": form(client), "name": name, "password": password, **fields}
    return client.post("/login", data=data)


def test_login_and_out_again(both: World) -> None:
    make(both)
    client = both.client()
    reply = log_in(client, " LI ", GOOD, next="/account")
    assert (reply.status_code, reply.headers["location"]) == (303, "/account")
    page = client.get("/account")
    assert page.status_code == 200
    token = client.cookies["wardround_session"]
    csrf = page.text.split('name="csrf" content="')[1].split('"')[0]
    out = client.post("/logout", data={"csrf": csrf})
    assert out.headers["location"] == "/login"
    assert "storage" in out.headers["clear-site-data"]
    client.cookies.set("wardround_session", token)
    assert client.get("/account").status_code == 303  # the token is worth nothing any more
    with both.store.read() as conn:
        verbs = conn.execute(select(event.c.verb).order_by(event.c.id)).scalars().all()
    assert verbs == ["user.opened", "session.started", "session.ended"]


def test_the_database_holds_no_secret_in_clear(world: World) -> None:
    make(world)
    client = world.client()
    log_in(client, "li", GOOD)
    token = client.cookies["wardround_session"]
    with world.store.read() as conn:
        hashed = conn.execute(select(user.c.password_hash)).scalar_one()
        kept = conn.execute(select(session.c.id)).scalar_one()
        told = str(conn.execute(select(event)).all())
    assert hashed.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert token not in kept and len(kept) == 64 and len(token) == 43
    assert GOOD not in told and token not in told and hashed not in told


@pytest.mark.parametrize(
    ("name", "password"),
    [("li", "wrong wrong"), ("nobody", GOOD), ("closed", GOOD), ("invited", GOOD), ("li", ""), ("", GOOD), ("li", GOOD * 50)],
)  # fmt: skip
def test_every_refusal_reads_the_same(world: World, quick: None, name: str, password: str) -> None:
    make(world)
    make(world, "invited", None)
    closed = make(world, "closed")
    with world.store.write() as conn:
        accounts.change(conn, accounts.by_id(conn, closed), {"active": False}, actor=None)
    reply = log_in(world.client(), name, password)
    assert reply.status_code == 401
    assert "用户名或密码不对，或账号已停用。" in reply.text
    assert "set-cookie" not in reply.headers or "session" not in reply.headers["set-cookie"]


def test_an_unknown_name_takes_as_long_as_a_wrong_password(world: World) -> None:
    make(world)
    auth._nobody()

    def took(name: str) -> float:
        started = time.perf_counter()
        with pytest.raises(RefusedError):
            auth.log_in(world.store, name, "wrong wrong", "10.0.0.1")
        return time.perf_counter() - started

    pairs = [(took("li"), took(f"nobody{k}")) for k in range(5)]
    known, unknown = (statistics.median(side) for side in zip(*pairs, strict=True))
    assert unknown > known / 3  # without the work for a hash it would be a hundredth
    assert known > unknown / 3


def test_ten_failures_from_one_address_close_the_name_there(both: World, quick: None) -> None:
    make(both)
    client = both.client()
    for _ in range(10):
        assert log_in(client, "li", "wrong wrong").status_code == 401
    reply = log_in(client, "li", GOOD)  # the right one too
    assert reply.status_code == 429
    assert 0 < int(reply.headers["retry-after"]) <= 900
    assert log_in(client, "nobody", GOOD).status_code == 401  # another name is not closed
    assert auth.log_in(both.store, "li", GOOD, "10.9.9.9") > 0  # nor the name elsewhere
    with both.store.write() as conn:
        conn.execute(update(login_attempt).values(at=login_attempt.c.at - auth.WINDOW))
    assert log_in(client, "li", GOOD).status_code == 303


def test_limits_for_a_name_and_for_an_address(world: World, quick: None) -> None:
    make(world)
    for k in range(auth.LIMITS["name"]):
        with pytest.raises(RefusedError):
            auth.log_in(world.store, "li", "wrong wrong", f"10.0.{k}.1")
    with pytest.raises(auth.TooManyError):
        auth.log_in(world.store, "li", GOOD, "10.1.1.1")
    for k in range(auth.LIMITS["address"]):
        with pytest.raises(RefusedError):
            auth.log_in(world.store, f"name{k}", "wrong wrong", "10.2.2.2")
    with pytest.raises(auth.TooManyError):
        auth.log_in(world.store, "somebody", GOOD, "10.2.2.2")


def test_attempts_at_once_do_not_slip_past_the_limit(both: World, quick: None) -> None:
    make(both)
    results: list[str] = []

    def attempt() -> None:
        try:
            auth.log_in(both.store, "li", "wrong wrong", "10.0.0.1")
        except auth.TooManyError:
            results.append("closed")
        except RefusedError:
            results.append("refused")

    threads = [threading.Thread(target=attempt) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results.count("refused"), results.count("closed")) == (10, 15)


def test_a_right_password_is_no_failure(world: World, quick: None) -> None:
    make(world)
    for _ in range(15):
        auth.log_in(world.store, "li", GOOD, "10.0.0.1")


def test_old_attempts_are_forgotten(world: World, quick: None) -> None:
    make(world)
    auth.log_in(world.store, "li", GOOD, "10.0.0.1")
    with world.store.write() as conn:
        conn.execute(update(login_attempt).values(at=now() - auth.KEPT - 1))
    auth.log_in(world.store, "li", GOOD, "10.0.0.1")
    with world.store.read() as conn:
        assert conn.execute(select(func.count()).select_from(login_attempt)).scalar_one() == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert auth.network(address) == network


def test_an_old_hash_is_made_anew_at_login(world: World) -> None:
    user_id = make(world)
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(GOOD)
    with world.store.write() as conn:
        conn.execute(update(user).values(password_hash=old))
    assert auth.log_in(world.store, "li", GOOD, "10.0.0.1") == user_id
    with world.store.read() as conn:
        assert "m=65536" in conn.execute(select(user.c.password_hash)).scalar_one()
    assert auth.log_in(world.store, "li", GOOD, "10.0.0.1") == user_id


@pytest.mark.parametrize(
    "password", ["short", "短短", "a" * 10, "abab" * 5, "A" * 201, "Somebody10"]
)
def test_passwords_that_are_not_taken(password: str) -> None:
    with pytest.raises(UsageError):
        auth.check_new(password, name="somebody10")


@pytest.mark.parametrize(
    "password", ["correct horse", "五字密码啊", "p4ssphr4se!", " spaces around "]
)
def test_passwords_that_are_taken(password: str) -> None:
    auth.check_new(password, name="somebody")


@pytest.mark.parametrize(
    "name", ["a", "", "..", "a b", "a/b", "<b>", "a\nb", "x" * 81, "-x", "a'b"]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError):
        accounts.login_name(name)


def test_names_are_compared_folded(world: World) -> None:
    make(world, "Ｌi")  # a full-width letter is the same letter
    with pytest.raises(ConflictError):
        make(world, "LI")


# One-time links


def link(world: World, user_id: int, *, reset: bool = False) -> str:
    with world.store.write() as conn:
        row = accounts.by_id(conn, user_id)
        make_link = accounts.reset if reset else accounts.invite
        return "/invite/" + make_link(conn, row, world.settings, actor=None)


def accept(client: TestClient, path: str, first: str, again: str | None = None) -> Any:
    data = {
        "csrf": form(client, path),
        "password": first,
        "again": first if again is None else again,
    }
    return client.post(path, data=data)


def test_an_invitation_sets_a_password_once(both: World) -> None:
    path = link(both, make(both, password=None))
    client = both.client()
    assert (
        client.get(path).status_code == client.get(path).status_code == 200
    )  # a look costs nothing
    assert accept(client, path, "short").status_code == 422
    assert accept(client, path, GOOD, "another one").status_code == 422
    assert accept(client, path, GOOD).headers["location"] == "/"
    assert client.get("/").status_code == 200
    other = both.client()
    assert other.get(path).status_code == 404
    token = form(other)
    again = other.post(
        path, data={"csrf": token, "password": "another one", "again": "another one"}
    )
    assert again.status_code == 404
    assert log_in(other, "li", GOOD).status_code == 303


def test_links_that_are_dead(world: World) -> None:
    user_id = make(world, password=None)
    first, second = link(world, user_id), link(world, user_id)
    client = world.client()
    assert client.get(first).status_code == 404  # a newer one voids it
    assert client.get(second).status_code == 200
    with world.store.write() as conn:
        conn.execute(update(invitation).values(expires_at=now() - 1))
    assert client.get(second).status_code == 404
    third = link(world, user_id)
    with world.store.write() as conn:
        accounts.change(conn, accounts.by_id(conn, user_id), {"active": False}, actor=None)
    assert client.get(third).status_code == 404
    with pytest.raises(RefusedError):
        link(world, user_id)
    assert client.get("/invite/nix").status_code == 404
    with world.store.read() as conn:
        assert third.split("/")[-1] not in str(conn.execute(select(invitation)).all())


def test_a_reset_voids_password_and_sessions(world: World, quick: None) -> None:
    user_id = make(world)
    client = world.client()
    log_in(client, "li", GOOD)
    path = link(world, user_id, reset=True)
    assert client.get("/account").status_code == 303
    assert log_in(world.client(), "li", GOOD).status_code == 401
    assert accept(world.client(), path, "ein neuer Satz").status_code == 303
    assert log_in(world.client(), "li", "ein neuer Satz").status_code == 303


def test_two_at_once_with_one_link_give_one_password(both: World, quick: None) -> None:
    token = link(both, make(both, password=None)).split("/")[-1]
    won: list[str] = []

    def use(password: str) -> None:
        try:
            with both.store.write() as conn:
                accounts.accept(conn, token, password)
        except RefusedError:
            return
        won.append(password)

    threads = [threading.Thread(target=use, args=(f"password {k} of one",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert auth.log_in(both.store, "li", won[0], "10.0.0.1")
