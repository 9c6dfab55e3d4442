import asyncio
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.models.support import Fake, question
from wardround.errors import UsageError
from wardround.models.faults import Faults
from wardround.models.scripted import ScriptedModel
from wardround.models.server import ChatServer, digest_of_messages, serve_in_thread
from wardround.models.wire import failed
from wardround.records import Answer

ASK = {"model": "fake", "messages": [{"role": "user", "content": "咳嗽"}]}


def post(url: str, body: object, **headers: str) -> tuple[int, dict[str, Any], str]:
    """(status, body, content type) of one chat request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url}/chat/completions", data, {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            text = reply.read().decode()
            kind = reply.headers.get_content_type()
            return reply.status, json.loads(text) if "json" in kind else {"text": text}, kind
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.loads(e.read()), e.headers.get_content_type()


def test_a_completion_has_openais_shape() -> None:
    model = Fake(lambda _: Answer(status="ok", text="多饮水", tokens_in=5, tokens_out=3))
    server = ChatServer(model)
    with serve_in_thread(server) as url:
        status, body, _ = post(url, ASK)
        with urllib.request.urlopen(f"{url}/models", timeout=10) as reply:
            listed = json.loads(reply.read())
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "多饮水"},
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert [m["id"] for m in listed["data"]] == ["fake"]
    assert model.checks == model.closes == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, "invalid_request"),
        (b"\xff\xfe", 400, "invalid_request"),
        ({"model": "fake"}, 400, "invalid_request"),
        ({**ASK, "messages": []}, 400, "invalid_request"),
        ({**ASK, "n": 3}, 400, "invalid_request"),
        ({**ASK, "model": "other"}, 404, "model_not_found"),
    ],
)
def test_bad_requests_get_an_openai_error(body: object, status: int, code: str) -> None:
    server = ChatServer(Fake())
    with serve_in_thread(server) as url:
        found, reply, _ = post(url, body)
    assert (found, reply["error"]["code"]) == (status, code)
    assert reply["error"]["message"]
    assert server.arrivals == 0


def test_a_failed_answer_is_an_error_never_a_text() -> None:
    replies = iter([failed("context", "too long"), failed("generation", "bad")])
    with serve_in_thread(Fake(lambda _: next(replies))) as url:
        first, second = post(url, ASK), post(url, ASK)
    assert (first[0], first[1]["error"]["code"]) == (400, "context_length_exceeded")
    assert (second[0], second[1]["error"]["message"]) == (422, "generation: bad")


def test_streaming_sends_the_same_text_in_pieces() -> None:
    text = "发热伴咳嗽。" * 100
    with serve_in_thread(Fake(lambda _: text)) as url:
        body = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
        _, reply, kind = post(url, body)
    assert kind == "text/event-stream"
    events = [line.removeprefix("data: ") for line in reply["text"].splitlines() if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(e) for e in events[:-1]]
    deltas = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
    assert "".join(deltas) == text
    assert len(deltas) > 3
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert "usage" in chunks[-1]


def test_a_key_is_wanted_when_set() -> None:
    with serve_in_thread(ChatServer(Fake(), api_key="abc")) as url:
        assert post(url, ASK)[0] == 401
        assert post(url, ASK, Authorization="Bearer wrong")[0] == 401
        assert post(url, ASK, Authorization="Bearer abc")[0] == 200


def test_a_full_queue_is_503_and_loses_nobody() -> None:
    async def scenario() -> tuple[list[int], int]:
        import aiohttp

        gate = asyncio.Event()

        async def slow(_: object) -> str:
            await gate.wait()
            return "好"

        async with (
            ChatServer(Fake(slow), queue_limit=3) as server,
            aiohttp.ClientSession() as session,
        ):

            async def one() -> int:
                async with session.post(f"{server.url}/chat/completions", json=ASK) as reply:
                    if reply.status == 503:
                        assert reply.headers["Retry-After"] == "1"
                    return reply.status

            tasks = [asyncio.create_task(one()) for _ in range(5)]
            while server.arrivals < 5:
                await asyncio.sleep(0.001)
            gate.set()
            return sorted(await asyncio.gather(*tasks)), server.served

    assert asyncio.run(scenario()) == ([200, 200, 200, 503, 503], 3)


def test_counting_by_messages(tmp_path: Path) -> None:
    server = ChatServer(
        ScriptedModel("echo"), count_file=tmp_path / "count", faults=Faults(sequence=("500",))
    )
    body = {"model": "scripted:echo", "messages": ASK["messages"]}
    with serve_in_thread(server) as url:
        assert [post(url, body)[0] for _ in range(3)] == [500, 200, 200]
    digest = digest_of_messages(question("咳嗽").messages)
    assert server.asked == {digest: 3}
    assert (server.arrivals, server.served) == (3, 2)
    assert (tmp_path / "count").read_text().split() == [digest, digest]


def test_a_taken_port_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"{port}: can't listen"),
            serve_in_thread(Fake(), port),
        ):
            pass


def test_the_port_is_free_after_and_a_stalled_request_does_not_hold_the_server() -> None:
    server = ChatServer(Fake(), faults=Faults(stall_rate=1.0))
    with serve_in_thread(server) as url:
        host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
        client = socket.create_connection((host, int(port)), timeout=10)
        body = json.dumps(ASK).encode()
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        while server.arrivals == 0:
            pass
    with client:
        assert b" 503 " in client.recv(100)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind((host, int(port)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_as_a_command_it_prints_its_url_and_ends_cleanly(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "wardround.models.server", "scripted:verdict=7", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().strip()
        status, body, _ = post(url, {**ASK, "model": "scripted:verdict=7"})
        assert status == 200
        assert body["choices"][0]["message"]["content"].endswith("[[7]]")
        running.send_signal(number)
        assert running.wait(timeout=10) == 0
        words = running.stderr.read()
    assert "scripted:verdict=7@http://127.0.0.1:" in words
    assert "Traceback" not in words


def test_as_a_command_wrong_use_is_exit_2() -> None:
    command = [sys.executable, "-m", "wardround.models.server", "scripted:nobody"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no scripted model named nobody" in done.stderr


def test_the_openai_client_agrees() -> None:
    openai = pytest.importorskip("openai")
    ask = {"model": "scripted:echo", "messages": [{"role": "user", "content": "咳嗽" * 300}]}
    with (
        serve_in_thread(ScriptedModel("echo")) as url,
        openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client,
    ):
        whole = client.chat.completions.create(**ask, max_completion_tokens=5)
        assert whole.choices[0].message.content == "咳嗽" * 300
        assert whole.usage.total_tokens == 1200
        parts = client.chat.completions.create(**ask, stream=True)
        pieces = [c.choices[0].delta.content or "" for c in parts if c.choices]
        assert "".join(pieces) == "咳嗽" * 300
        assert len(pieces) > 2
        assert [m.id for m in client.models.list()] == ["scripted:echo"]
        with pytest.raises(openai.NotFoundError, match="no model 'other'"):
            client.chat.completions.create(**{**ask, "model": "other"})
        with pytest.raises(openai.BadRequestError, match="n must be 1"):
            client.chat.completions.create(**ask, n=2)


@pytest.mark.parametrize("port", [99999, -1])
def test_what_is_no_port_is_said_in_words(
    port: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from wardround.cli import main

    server = ChatServer(Fake(lambda _: Answer(status="ok", text="")), port=port)
    told = pytest.raises(UsageError, match=rf":{port}: can't listen here")
    with told, serve_in_thread(server):
        raise AssertionError("served")
    # The command says so before it looks at the checkpoint.
    assert main(["serve", str(tmp_path / "none"), "--port", str(port)]) == 2
    assert f"--port {port}: no port" in capsys.readouterr().err
