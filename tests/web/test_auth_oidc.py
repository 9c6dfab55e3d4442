"""Login by OpenID Connect against a real provider, and what happens when the provider or somebody between lies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import select
from starlette.testclient import TestClient

from tests.web import provider as providers
from tests.web.provider import CLIENT, SECRET, OidcProvider
from tests.web.world import BASE, World
from wardround.errors import UsageError
from wardround.store.database import Store
from wardround.store.people import event, session, user
from wardround.web import oidc
from wardround.web.settings import Provider, Settings


@pytest.fixture(scope="module")
def running() -> Iterator[OidcProvider]:
    with providers.running() as made:
        yield made


@pytest.fixture
def there(running: OidcProvider, monkeypatch: pytest.MonkeyPatch) -> OidcProvider:
    monkeypatch.setenv("TEST_OIDC_SECRET", SECRET)
    oidc._kept.clear()
    running.people, running.twist, running.used = {}, {}, []
    return running


def world_with(store: Store, there: OidcProvider, **options: Any) -> World:
    configured = Provider(
        issuer=there.issuer, client_id=CLIENT, client_secret_env="TEST_OIDC_SECRET",
        label_zh="医院统一认证", label_en="hospital login", **options,
    )  # fmt: skip
    return World(store, Settings(base_url=BASE, oidc={"hospital": configured}))


def answer(client: TestClient, person: str, target: str = "/account") -> str:
    """Go to the provider as `person`; returns the path and query it sends the browser back to."""
    reply = client.get(f"/login/oidc/hospital?next={target}")
    assert reply.status_code == 303
    back = httpx2.get(reply.headers["location"] + f"&login_hint={person}", follow_redirects=False)
    assert back.status_code == 303
    parts = urlsplit(back.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}" == BASE
    return f"{parts.path}?{parts.query}"


def log_in(client: TestClient, person: str) -> Any:
    return client.get(answer(client, person))


def sessions_of(world: World) -> int:
    with world.store.read() as conn:
        return len(conn.execute(select(session.c.id)).all())


@pytest.fixture
def world(sqlite_store: Store, there: OidcProvider) -> Iterator[World]:
    made = world_with(sqlite_store, there)
    made.person("reviewer", name="li", email="li@hospital.example")
    there.people["s-1"] = {"email": "Li@hospital.example", "email_verified": True, "name": "李医生"}
    yield made
    made.close()


def test_an_invited_person_is_linked_by_a_verified_address_and_stays_linked(
    world: World, there: OidcProvider
) -> None:
    client = world.client()
    reply = log_in(client, "s-1")
    assert (reply.status_code, reply.headers["location"]) == (303, "/account")
    assert "li" in client.get("/account").text
    with world.store.read() as conn:
        row = conn.execute(select(user)).one()
        told = conn.execute(select(event.c.verb).order_by(event.c.id)).scalars().all()
    assert (row.issuer, row.subject) == (there.issuer, "s-1")
    assert told == ["user.linked", "session.started"]
    there.people["s-1"] = {"email": "new@hospital.example", "email_verified": False}
    assert log_in(world.client(), "s-1").status_code == 303  # known by subject from now on
    there.people["s-2"] = {"email": "li@hospital.example", "email_verified": True}
    assert log_in(world.client(), "s-2").status_code == 403  # nobody else gets the account


def test_login_button_is_shown_in_each_language(world: World) -> None:
    client = world.client()
    assert "用医院统一认证登录" in client.get("/login").text
    page = client.get("/login?lang=en&next=/events").text
    assert "Log in with hospital login" in page
    assert 'href="/login/oidc/hospital?next=/events"' in page


def test_linked_by_a_claim_that_names_the_account(sqlite_store: Store, there: OidcProvider) -> None:
    world = world_with(sqlite_store, there, link_by="preferred_username")
    world.person("panel", name="wang")
    there.people["s"] = {"preferred_username": "Wang"}
    there.people["t"] = {"preferred_username": "../admin"}
    there.people["u"] = {}
    assert log_in(world.client(), "s").status_code == 303
    assert log_in(world.client(), "t").status_code == 403
    assert log_in(world.client(), "u").status_code == 403
    world.close()


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": None},
        {"email": "other@hospital.example"},
        {"email": ""},
        {"email": None},
    ],
)
def test_an_address_that_is_not_verified_links_nobody(
    world: World, there: OidcProvider, claims: dict[str, Any]
) -> None:
    there.twist["claims"] = claims
    reply = log_in(world.client(), "s-1")
    assert reply.status_code == 403
    assert "没有账号" in reply.text
    assert sessions_of(world) == 0


def test_two_accounts_with_one_address_link_to_neither(world: World, there: OidcProvider) -> None:
    world.person("admin", name="other", email="li@hospital.example")
    assert log_in(world.client(), "s-1").status_code == 403


def test_a_closed_account_stays_closed(world: World, there: OidcProvider) -> None:
    assert log_in(world.client(), "s-1").status_code == 303
    with world.store.write() as conn:
        conn.execute(user.update().values(active=False))
    assert log_in(world.client(), "s-1").status_code == 403


def test_roles_by_claim_let_in_and_follow(sqlite_store: Store, there: OidcProvider) -> None:
    world = world_with(
        sqlite_store, there, roles_claim="realm.groups",
        roles={"reviewers": ("reviewer",), "heads": ("panel", "admin")},
    )  # fmt: skip
    there.people["s"] = {
        "realm": {"groups": ["reviewers", "cleaners"]},
        "preferred_username": "Zhao",
        "name": "赵",
    }
    there.people["t"] = {"realm": {"groups": ["cleaners"]}}
    there.people["u"] = {"realm": {"groups": ["reviewers"]}, "preferred_username": "zhao"}
    client = world.client()
    assert log_in(client, "s").status_code == 303
    assert log_in(world.client(), "t").status_code == 403
    assert (
        log_in(world.client(), "u").status_code == 303
    )  # the same wish for a name, another account
    with world.store.read() as conn:
        rows = conn.execute(select(user.c.name, user.c.roles).order_by(user.c.id)).all()
    assert (rows[0].name, rows[0].roles) == ("zhao", ["reviewer"])
    assert rows[1].name.startswith("zhao-")
    there.people["s"]["realm"] = {"groups": ["heads"]}
    assert log_in(world.client(), "s").status_code == 303
    with world.store.read() as conn:
        assert conn.execute(select(user.c.roles)).scalars().first() == ["panel", "admin"]
    assert client.get("/").status_code == 303  # the session with the old roles is over
    there.people["s"]["realm"] = {}
    assert log_in(world.client(), "s").status_code == 403
    world.close()


def expired() -> dict[str, Any]:
    return {"exp": int(time.time()) - 600, "iat": int(time.time()) - 900}


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "x" * 43}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "someone-else"}},
    "a second audience": {"claims": {"aud": [CLIENT, "someone-else"], "azp": CLIENT}},
    "another authorized party": {"claims": {"azp": "someone-else"}},
    "no audience": {"claims": {"aud": None}},
    "another issuer in the token": {"claims": {"iss": "https://evil.example"}},
    "expired": {"claims": expired()},
    "no expiry": {"claims": {"exp": None}},
    "issued in the future": {"claims": {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 7200}},
    "no subject": {"claims": {"sub": None}},
    "empty subject": {"claims": {"sub": ""}},
    "another access token": {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
    "alg none": {"alg": "none"},
    "alg none, offered": {"alg": "none", "algorithms": ["none", "RS256"]},
    "public key as a shared secret": {"alg": "HS256", "algorithms": ["HS256", "RS256"]},
    "another key": {"key": RSAKey.generate_key(2048)},
    "no id token": {"no_id_token": True},
    "another state": {"state": "y" * 43},
    "mixed-up issuer": {"iss": "https://evil.example"},
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda name: name.replace(" ", "-"))
def test_a_lie_logs_nobody_in(world: World, there: OidcProvider, lie: str) -> None:
    client = world.client()
    there.twist.update(LIES[lie])
    reply = log_in(client, "s-1")
    assert reply.status_code == 403
    assert "登录没有通过校验" in reply.text
    assert sessions_of(world) == 0
    assert client.get("/account").status_code == 303


def test_state_belongs_to_the_browser(world: World) -> None:
    """Somebody who sends a victim a link to the end of their own login gets nowhere."""
    back = answer(world.client(), "s-1")
    victim = world.client()
    assert victim.get(back).status_code == 403
    answer(victim, "s-1")  # a login of their own under way doesn't help either
    assert victim.get(back).status_code == 403
    assert sessions_of(world) == 0


def test_a_code_works_once(world: World, there: OidcProvider) -> None:
    client = world.client()
    back = answer(client, "s-1")
    pending = client.cookies["wardround_oidc"]
    assert client.get(back).status_code == 303
    again = world.client()
    again.cookies.set("wardround_oidc", pending)
    assert again.get(back).status_code == 403
    assert len(there.used) == 1


@pytest.mark.parametrize("cookie", ["", "x", "e30=", "bm90IGpzb24=", "eyJzdGF0ZSI6IDF9"])
def test_a_made_up_cookie_is_refused(world: World, cookie: str) -> None:
    client = world.client()
    client.cookies.set("wardround_oidc", cookie)
    assert client.get("/login/oidc/hospital/back?code=1&state=").status_code == 403


def test_the_providers_refusal_is_told(world: World) -> None:
    client = world.client()
    back = answer(client, "s-1")
    state = back.split("state=")[1]
    reply = client.get(f"/login/oidc/hospital/back?error=access_denied&state={state}")
    assert reply.status_code == 403
    assert "access_denied" not in reply.text


def test_next_leads_nowhere_else(world: World) -> None:
    client = world.client()
    reply = client.get(answer(client, "s-1", target="https://evil.example/"))
    assert reply.headers["location"] == "/"


def test_a_wrong_secret_of_ours_is_no_entrance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_OIDC_SECRET", "another")
    assert log_in(world.client(), "s-1").status_code == 403


def test_a_provider_that_describes_another_issuer_is_not_used(
    world: World, there: OidcProvider
) -> None:
    there.twist["issuer"] = "https://evil.example"
    reply = world.client().get("/login/oidc/hospital")
    assert reply.status_code == 503


def test_a_token_endpoint_without_https_is_not_used(world: World, there: OidcProvider) -> None:
    there.twist["token_endpoint"] = "http://hospital.example/token"
    assert world.client().get("/login/oidc/hospital").status_code == 503


def test_a_provider_that_is_down_is_said_and_passwords_go_on(sqlite_store: Store) -> None:
    gone = Provider(issuer="http://127.0.0.1:9", client_id=CLIENT)
    world = World(sqlite_store, Settings(base_url=BASE, oidc={"hospital": gone}))
    reply = world.client().get("/login/oidc/hospital")
    assert reply.status_code == 503
    assert "统一登录服务暂时无法使用" in reply.text
    assert 'name="password"' in reply.text
    world.close()


def test_no_such_provider(world: World) -> None:
    assert world.client().get("/login/oidc/nix").status_code == 404
    assert world.client().get("/login/oidc/nix/back").status_code == 404


def test_a_new_key_of_the_provider_is_fetched(world: World, there: OidcProvider) -> None:
    assert log_in(world.client(), "s-1").status_code == 303
    old, there.key = there.key, RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
    try:
        assert log_in(world.client(), "s-1").status_code == 303
    finally:
        there.key = old


def test_what_is_configured_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="https"):
        oidc.check({"x": Provider(issuer="http://login.example", client_id="c")})
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(UsageError, match="NOT_SET"):
        oidc.check(
            {"x": Provider(issuer="https://l.example", client_id="c", client_secret_env="NOT_SET")}
        )
    oidc.check({"x": Provider(issuer="https://login.example", client_id="c")})
