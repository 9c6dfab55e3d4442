"""What tests of pages work with: an app over a database of their own, people in it, clients and a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from sqlalchemy import insert, select
from starlette.requests import Request
from starlette.testclient import TestClient

from wardround.store.base import now
from wardround.store.database import Store
from wardround.store.people import session, user
from wardround.web import guard, sessions
from wardround.web.app import create_app
from wardround.web.settings import Settings

BASE = "http://127.0.0.1:8000"


class World:
    """One app with its database. Closed by the fixture."""

    def __init__(self, store: Store, settings: Settings | None = None) -> None:
        self.store = store
        self.settings = settings or Settings(base_url=BASE)
        self.app: FastAPI = create_app(store, self.settings)
        self._clients: list[TestClient] = []
        self._made = 0

    def person(self, *roles: str, name: str = "", **columns: Any) -> int:
        """A new user without a password; returns the id. Named after the first role and counted."""
        self._made += 1
        name = name or f"{roles[0] if roles else 'nobody'}{self._made}"
        values = {
            "name": name, "display": name, "email": "", "roles": list(roles), "specialties": [],
            "title": "", "preferences": {}, "active": True, "created_at": now(), "version": 1,
        }  # fmt: skip
        with self.store.write() as conn:
            done = conn.execute(insert(user).values(**{**values, **columns}))
        assert done.inserted_primary_key is not None
        return int(done.inserted_primary_key[0])

    def token(self, user_id: int) -> str:
        """A session for a user; returns the cookie's value."""
        with self.store.write() as conn:
            return sessions.start(conn, user_id, self.settings, agent="test")

    def client(self) -> TestClient:
        """A browser nobody is logged in with. Redirects are not followed."""
        client = TestClient(self.app, base_url=self.settings.base_url, follow_redirects=False)
        client.headers["Accept"] = "text/html"
        self._clients.append(client)
        return client

    def client_as(self, *roles: str, user_id: int | None = None) -> Client:
        """A browser in which a person (a new one with these roles, or `user_id`) is logged in."""
        user_id = self.person(*roles) if user_id is None else user_id
        token = self.token(user_id)
        client = self.client()
        host = urlsplit(self.settings.base_url).hostname or ""
        client.cookies.set(self.settings.cookie("session"), token, domain=host)
        with self.store.read() as conn:
            secret = conn.execute(
                select(session.c.csrf).where(session.c.id == sessions.hashed(token))
            ).scalar_one()
        client.headers["X-CSRF-Token"] = masked(secret)
        return Client(client, user_id, token)

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()


class Client:
    """A logged-in TestClient: everything of it, and who it is. Its CSRF token goes along as a header."""

    def __init__(self, http: TestClient, user_id: int, token: str) -> None:
        self.http, self.user_id, self.token = http, user_id, token

    def __getattr__(self, name: str) -> Any:
        return getattr(self.http, name)


def masked(secret: str) -> str:
    """A page's form of a CSRF secret."""

    class _State:
        person = type("P", (), {"csrf": secret})()

    request = Request({"type": "http", "headers": [], "state": {}})
    request._state = _State()  # type: ignore[assignment]
    return guard.form_token(request)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app behind a real server on a free loopback port; yields its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
