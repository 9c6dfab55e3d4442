"""What a form says is read as Starlette reads it, whoever asks first."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.web.rooms import open_rationales
from tests.web.test_review_page import FIELDS, scored
from tests.web.world import World
from wardround.review.tables import review
from wardround.web.forms import FIELDS as MOST
from wardround.web.forms import fields_of

HTML = {"HX-Request": "true"}
PLAIN = {"Content-Type": "application/x-www-form-urlencoded"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


async def _ours(request: Request) -> JSONResponse:
    form = await fields_of(request)
    again = await fields_of(request)
    return JSONResponse([*form.multi_items()] if again is form else "read twice")


async def _both(request: Request) -> JSONResponse:
    """Ours first, and Starlette's after it, as where FastAPI reads fields that the guard has seen."""
    ours = await fields_of(request)
    return JSONResponse([*ours.multi_items()] == [*(await request.form()).multi_items()])


SITE = Starlette(
    routes=[
        Route("/ours", _ours, methods=["POST"]),
        Route("/both", _both, methods=["POST"]),
    ]
)
CLIENT = TestClient(SITE)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8))
def test_what_a_browser_sends_is_read_in_its_order(pairs: list[tuple[str, str]]) -> None:
    body = urlencode(pairs)
    assert CLIENT.post("/ours", content=body, headers=PLAIN).json() == [list(p) for p in pairs]
    assert CLIENT.post("/both", content=body, headers=PLAIN).json() is True


@given(st.text(st.sampled_from("ab=&+%2fC;e\r\n "), max_size=40))
def test_what_no_browser_sends_is_read_as_by_starlette(body: str) -> None:
    assert CLIENT.post("/both", content=body, headers=PLAIN).json() is True


def _sent(body: bytes, kind: str) -> Any:
    return CLIENT.post("/ours", content=body, headers={"Content-Type": kind}).json()


def test_kinds_of_forms() -> None:
    capital = "Application/X-WWW-Form-URLencoded ; charset=utf-8"
    assert _sent("意见=可用".encode(), capital) == [["意见", "可用"]]  # as a program may send it
    assert _sent(b"a=%ff", capital) == [["a", "�"]]
    parts = CLIENT.post("/ours", files={"a": (None, "1"), "b": (None, "二")})
    assert parts.json() == [["a", "1"], ["b", "二"]]
    assert _sent(b'{"a": 1}', "application/json") == []
    assert _sent(b"a=1", "") == []
    assert _sent(b"", capital) == []
    assert _sent(b"a%00b=1%00\0&c=%2500", capital) == [["ab", "1"], ["c", "%00"]]  # without NUL
    parts = CLIENT.post("/ours", files={"a": (None, "1\0")})
    assert parts.json() == [["a", "1"]]


def test_a_form_of_too_many_fields_is_refused(world: World) -> None:
    """Also where its token is among them; before anybody reads what they say."""
    client = world.client_as("reviewer")
    body = "&".join(f"f{n}=" for n in range(MOST + 1))
    answer = client.post("/review/trial/submit", content=body, headers=PLAIN)
    assert answer.status_code == 400
    token = client.headers.pop("X-CSRF-Token")
    answer = client.post("/review/trial/submit", content=f"csrf={token}&{body}", headers=PLAIN)
    assert answer.status_code == 400
    few = "&".join(f"f{n}=" for n in range(MOST - 1))
    answer = client.post("/review/trial/submit", content=f"csrf={token}&{few}", headers=PLAIN)
    assert answer.status_code == 409  # it says nothing that could be a review


def test_a_review_can_be_handed_in_as_multipart_too(world: World) -> None:
    who = [world.person("reviewer") for _ in range(3)]
    open_rationales(world, who)
    client = world.client_as(user_id=who[0])
    token = client.headers.pop("X-CSRF-Token")
    fields = scored(client.get("/review/trial").text, comment="依据" * 30_000, csrf=token)
    files = {k: (None, v) for k, v in fields.items()}
    answer = client.post("/review/trial/submit", files=files, headers=HTML)
    assert answer.status_code == 422  # longer than a comment may be
    files["comment"] = (None, "依据" * 25_000)
    answer = client.post("/review/trial/submit", files=files, headers=HTML)
    assert answer.status_code == 200
    with world.store.read() as conn:
        row = conn.execute(review.select()).mappings().one()
    assert row["comment"] == "依据" * 25_000
    assert row["scores"] == dict.fromkeys(FIELDS, 4)


def test_a_nul_leaves_nothing_behind_on_either_database(both: World) -> None:
    """PostgreSQL keeps none; a reviewer's words are kept without it, elsewhere it is told."""
    who = [both.person("reviewer") for _ in range(3)]
    open_rationales(both, who)
    client = both.client_as(user_id=who[0])
    page = client.get("/review/trial").text
    at = re.findall(r'name="(item|round)" value="(\d+)"', page)
    body = {"comment": "疑\0问", "revision": {"s1": "改\0"}, "spans": [{"note": "\0"}]}
    kept = client.put(
        "/review/trial/draft", json={k: int(v) for k, v in at} | {"version": 0, "body": body}
    )
    assert kept.status_code == 200
    again = client.get("/review/trial").text
    assert "疑问" in again
    answer = client.post("/review/trial/submit", data=scored(page, comment="依\0据"), headers=HTML)
    assert answer.status_code == 200
    with both.store.read() as conn:
        assert conn.execute(select(review.c.comment)).scalar_one() == "依据"
    login = both.client()
    token = re.findall(r'name="csrf" value="([^"]+)"', login.get("/login").text)[0]
    refused = login.post("/login", data={"name": "wa\0ng", "password": "x", "csrf": token})
    assert refused.status_code in ((401,) if both.store.is_sqlite else (422,))
    assert both.store.is_sqlite or "NUL" in refused.text
