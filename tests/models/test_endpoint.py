import asyncio
import hashlib
import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pycurl
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.models.support import Naps, endpoint, question, raw_server
from wardround.errors import ModelError, UsageError
from wardround.images.picture import stored_part
from wardround.models.endpoint import RETRY_AFTER_CAP_S, EndpointModel, key_names, retry_after
from wardround.models.faults import Faults
from wardround.models.scripted import ScriptedModel
from wardround.models.server import ChatServer
from wardround.models.wire import encode_body
from wardround.records import Answer, Message, Request, TextPart

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WARDROUND_API_KEY", "WARDROUND_API_KEY_M", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def under(
    *fates: str, retries: int = 5, naps: Naps | None = None, **faults: Any
) -> tuple[Answer, ChatServer]:
    """One request against a server whose first replies are `fates`."""
    server = ChatServer(ScriptedModel("echo"), faults=Faults(sequence=fates, **faults))

    async def scenario() -> Answer:
        async with (
            server,
            endpoint(server.url, "scripted:echo", retries=retries, sleep=naps or Naps()) as m,
        ):
            return await m.complete(question("咳嗽三天"))

    return asyncio.run(scenario()), server


def against(chat: Callable[[web.Request], Awaitable[web.StreamResponse]], **more: Any) -> Answer:
    async def scenario() -> Answer:
        async with raw_server(chat) as url, endpoint(url, **more) as m:
            return await m.complete(question())

    return asyncio.run(scenario())


def checked(status: int, body: object) -> None:
    async def models(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    async def scenario() -> None:
        async with raw_server(models=models) as url, endpoint(url) as m:
            await m.check()

    asyncio.run(scenario())


def test_an_answer_with_its_counts() -> None:
    answer, server = under()
    assert (answer.status, answer.text, answer.finish_reason) == ("ok", "咳嗽三天", "stop")
    assert (answer.tokens_in, answer.tokens_out, answer.attempts) == (4, 4, 1)
    assert answer.latency_s > 0
    assert server.arrivals == 1


@pytest.mark.parametrize(
    "fate", ["408", "409", "425", "429", "500", "503", "529", "malformed", "truncated", "reset"]
)
def test_passing_faults_are_tried_again(fate: str) -> None:
    answer, server = under(fate, fate)
    assert (answer.status, answer.text, answer.attempts) == ("ok", "咳嗽三天", 3)
    assert server.arrivals == 3
    assert server.served == 1


@pytest.mark.parametrize(
    ("fate", "code"),
    [
        ("429", "http 429: planned fault"),
        ("500", "http 500: planned fault"),
        ("malformed", "malformed: "),
        ("truncated", "malformed: "),
        ("reset", "connection: "),
    ],
)
def test_tries_are_bounded_and_the_last_reason_is_kept(fate: str, code: str) -> None:
    answer, server = under(*[fate] * 9, retries=2)
    assert answer.status == "failed"
    assert answer.text is None
    assert answer.reason.startswith(code)
    assert answer.attempts == server.arrivals == 3


@pytest.mark.parametrize(
    ("fate", "reason"),
    [
        ("400", "http 400: planned fault"),
        ("404", "http 404: planned fault"),
        ("422", "http 422: planned fault"),
        ("empty", "no choices"),
        ("null", "no content: finish_reason stop"),
        ("filter", "content filter"),
        ("html", "content type: text/html where JSON was due"),
    ],
)
def test_lasting_faults_fail_at_once(fate: str, reason: str) -> None:
    answer, server = under(fate)
    assert (answer.status, answer.text, answer.reason) == ("failed", None, reason)
    assert answer.attempts == server.arrivals == 1


def test_a_stall_ends_at_the_timeout_and_is_tried_again() -> None:
    async def scenario() -> Answer:
        server = ChatServer(ScriptedModel("echo"), faults=Faults(sequence=("stall",)))
        async with server, endpoint(server.url, "scripted:echo", timeout_s=0.2) as m:
            return await m.complete(question())

    answer = asyncio.run(scenario())
    assert (answer.status, answer.attempts) == ("ok", 2)
    assert answer.latency_s >= 0.2


def test_a_dead_port_is_a_failed_answer_and_a_failed_check() -> None:
    async def scenario() -> tuple[Answer, str]:
        async with raw_server() as url:
            pass
        async with endpoint(url, retries=1) as m:
            with pytest.raises(ModelError) as caught:
                await m.check()
            return await m.complete(question()), str(caught.value)

    answer, words = asyncio.run(scenario())
    assert answer.reason.startswith("connection: ")
    assert "http://127.0.0.1:" in words
    assert "check that the server runs" in words


def test_a_key_with_a_line_break_is_refused_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDROUND_TEST_KEY", "sk-first\r\nX-Other: 1")
    with pytest.raises(ModelError, match="line break") as trouble:
        EndpointModel("m", "http://127.0.0.1:1/v1", api_key_env="WARDROUND_TEST_KEY")
    assert "sk-first" not in str(trouble.value) + trouble.value.hint
    assert "WARDROUND_TEST_KEY" in trouble.value.hint


def test_a_host_that_drops_packets_counts_as_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: object) -> None:
        raise pycurl.error(pycurl.E_OPERATION_TIMEDOUT, "Connection timeout to host")

    monkeypatch.setattr(pycurl.AsyncCurlMulti, "perform", nobody)
    answer, server = under(retries=1)
    assert answer.reason == "connection: Connection timeout to host"
    assert answer.attempts == 2
    assert server.arrivals == 0


def test_length_is_an_answer() -> None:
    async def chat(_: web.Request) -> web.Response:
        return web.json_response(
            {"choices": [{"message": {"content": "半句"}, "finish_reason": "length"}]}
        )

    answer = against(chat)
    assert (answer.status, answer.text, answer.finish_reason) == ("ok", "半句", "length")
    assert answer.tokens_in is None


def test_json_under_another_content_type_is_still_read() -> None:
    async def chat(_: web.Request) -> web.Response:
        return web.Response(text='{"choices":[{"message":{"content":"好"}}]}')

    assert against(chat).text == "好"


def test_waits_grow_with_full_jitter_and_honour_retry_after() -> None:
    naps = Naps()
    under(*["503"] * 5, naps=naps)
    assert len(naps.seconds) == 5
    assert all(0 <= s <= 0.5 * 2**i for i, s in enumerate(naps.seconds))
    naps = Naps()
    under("429", "429", naps=naps, retry_after="7")
    assert all(7 <= s <= 7.5 for s in naps.seconds)
    model = EndpointModel("m", "http://h/v1", rng=random.Random(1))
    assert max(model._wait(50, None) for _ in range(200)) <= 30.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("1.5", 1.5),
        ("-4", 0.0),
        ("99999", RETRY_AFTER_CAP_S),
        ("inf", RETRY_AFTER_CAP_S),
        ("Mon, 05 Jan 2026 12:00:09 GMT", 9.0),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_bounded(value: str) -> None:
    found = retry_after(value, NOW)
    assert found is None or 0 <= found <= RETRY_AFTER_CAP_S


def test_where_keys_are_looked_for() -> None:
    assert key_names("Qwen/Qwen3-8B") == ("WARDROUND_API_KEY_QWEN_QWEN3_8B", "WARDROUND_API_KEY")
    assert key_names("m", "HOSPITAL_KEY") == ("HOSPITAL_KEY",)


def test_the_models_own_key_goes_first_and_only_into_the_header(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WARDROUND_API_KEY", "general-key-1234")
    monkeypatch.setenv("WARDROUND_API_KEY_M", "own-key-5678")
    seen: list[str] = []

    async def chat(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        assert b"own-key" not in await request.read()
        return web.json_response({"choices": [{"message": {"content": "好"}}]})

    assert against(chat).status == "ok"
    assert seen == ["Bearer own-key-5678"]
    model = EndpointModel("m", "http://u:pass@h/v1")
    assert "own-key" not in repr(model) + str(model.identity)
    assert model.identity == {"kind": "endpoint", "url": "http://h/v1", "model": "m"}


def test_user_and_password_of_a_url_become_basic_and_stay_out_of_sight() -> None:
    seen: list[str] = []

    async def chat(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(status=400, text=f"no: {seen[-1]} hunter22 {request.url}")

    async def scenario() -> tuple[Answer, dict[str, str]]:
        async with (
            raw_server(chat) as url,
            endpoint(url.replace("http://", "http://doctor:hunter22@")) as m,
        ):
            return await m.complete(question()), m.identity

    answer, identity = asyncio.run(scenario())
    assert seen == ["Basic ZG9jdG9yOmh1bnRlcjIy"]
    assert "hunter22" not in answer.reason + str(identity)
    assert "ZG9jdG9yOmh1bnRlcjIy" not in answer.reason


@pytest.mark.parametrize("padding", [0, 150, 190, 195, 400])
@pytest.mark.parametrize("as_json", [True, False])
def test_an_echoed_key_is_blotted_out_of_reasons(
    monkeypatch: pytest.MonkeyPatch, padding: int, as_json: bool
) -> None:
    """Wherever the message is cut, no part of the key stays."""
    monkeypatch.setenv("WARDROUND_API_KEY", "abcdefgh-ijklmnop")

    async def chat(request: web.Request) -> web.Response:
        words = "x" * padding + " key " + request.headers["Authorization"] + " is wrong"
        text = json.dumps({"error": {"message": words}}) if as_json else words
        return web.Response(status=403, text=text)

    answer = against(chat)
    assert answer.reason.startswith("http 403: ")
    assert "abcd" not in answer.reason
    assert len(answer.reason) < 230


def test_an_answer_that_echoes_the_key_is_blotted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDROUND_API_KEY", "abcdefgh-ijklmnop")

    async def chat(request: web.Request) -> web.Response:
        text = f"你的请求头是 {request.headers['Authorization']}。"
        return web.json_response({"choices": [{"message": {"content": text}}]})

    assert against(chat).text == "你的请求头是 Bearer [key]。"


@pytest.mark.parametrize("key", ["1", "x", "EMPTY"])
def test_a_key_too_short_to_be_one_spoils_no_answer(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("WARDROUND_API_KEY", key)
    said = "每次1片，每日1次；x线复查。EMPTY"

    async def chat(_: web.Request) -> web.Response:
        return web.json_response({"choices": [{"message": {"content": said}}]})

    assert against(chat).text == said


def test_redirects_are_not_followed() -> None:
    elsewhere: list[str] = []

    async def scenario() -> Answer:
        async def other(request: web.Request) -> web.Response:
            elsewhere.append(request.path)
            return web.json_response({"choices": [{"message": {"content": "偷"}}]})

        async with raw_server(other) as target:

            async def chat(_: web.Request) -> web.Response:
                raise web.HTTPTemporaryRedirect(f"{target}/chat/completions")

            async with raw_server(chat) as url, endpoint(url) as m:
                return await m.complete(question())

    answer = asyncio.run(scenario())
    assert answer.reason.startswith("http 307: redirects to http://127.0.0.1")
    assert elsewhere == []


def test_a_stored_picture_arrives_whole_and_again_after_a_push_back() -> None:
    """Above a megabyte, where plain bytes would earn a warning, and with its length told."""
    url = b"data:image/png;base64," + b"QUJD" * 400_000
    message = Message(role="user", content=(stored_part(lambda: url), TextPart(text="看图")))
    request = Request(key="k", messages=(message,))
    had: list[tuple[str, int, bytes]] = []

    async def chat(asked: web.Request) -> web.Response:
        body = await asked.content.read()
        had.append((asked.content_type, int(asked.headers["Content-Length"]), body))
        if len(had) == 1:
            raise web.HTTPServiceUnavailable
        return web.json_response({"choices": [{"message": {"content": "好"}}]})

    async def scenario() -> Answer:
        async with raw_server(chat) as base, endpoint(base, sleep=Naps()) as m:
            return await m.complete(request)

    answer = asyncio.run(scenario())
    assert (answer.text, answer.attempts) == ("好", 2)
    body = encode_body("m", request)
    assert had == [("application/json", len(body), body)] * 2
    assert endpoint_digest("http://h/v1", request) == hashlib.sha256(b"http://h/v1\n" + body).hexdigest()  # fmt: skip


def endpoint_digest(url: str, request: Request) -> str:
    return EndpointModel("m", url).request_digest(request)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {}),
        (405, {}),
        (500, {}),
        (200, {"data": []}),
        (200, {}),
        (200, {"data": [{"id": "other"}, {"id": "m"}]}),
        (200, {"data": [{"id": "models/m"}]}),
        (200, {"data": [{"id": "m:latest"}]}),
        (200, ["odd"]),
    ],
)
def test_checks_that_pass(status: int, body: object) -> None:
    checked(status, body)


def test_a_check_names_what_is_served() -> None:
    with pytest.raises(ModelError, match=r"does not serve m; it serves qwen-7b, qwen-8b"):
        checked(200, {"data": [{"id": "qwen-8b"}, {"id": "qwen-7b"}]})


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    with pytest.raises(ModelError, match="wants a key") as caught:
        checked(status, {})
    assert "WARDROUND_API_KEY_M or WARDROUND_API_KEY" in caught.value.hint
    monkeypatch.setenv("WARDROUND_API_KEY_M", "abcdefgh")
    with pytest.raises(ModelError, match="refused the key") as caught:
        checked(status, {"error": "abcdefgh"})
    assert "abcdefgh" not in str(caught.value)


def test_one_session_serves_all_calls_and_another_loop_gets_its_own() -> None:
    async def scenario(m: EndpointModel, server: ChatServer) -> int:
        async with server:
            m.url = server.url
            first = m._open()
            await asyncio.gather(*(m.complete(question(str(i))) for i in range(20)))
            assert m._open() is first
            await m.close()
            return server.served

    model = EndpointModel("scripted:echo", "http://127.0.0.1/v1")
    assert asyncio.run(scenario(model, ChatServer(ScriptedModel("echo")))) == 20
    assert asyncio.run(scenario(model, ChatServer(ScriptedModel("echo")))) == 20


@pytest.mark.parametrize("url", ["ftp://h/v1", "http:///v1", "http://h/v1?key=1", "http://h/v1#x"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(UsageError):
        EndpointModel("m", url)


def test_proxies_come_from_the_environment_but_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wardround.models.endpoint import _proxy

    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert _proxy("http://outside.example/v1") == "http://proxy:3128"
    assert _proxy("http://inside.example/v1") is None
    assert _proxy("http://127.0.0.1:8000/v1") is None
    assert _proxy("http://localhost:8000/v1") is None
