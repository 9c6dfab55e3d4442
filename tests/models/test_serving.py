"""A local model behind the server, asked by the `openai` client as its users do."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wardround.models.local import LocalModel
from wardround.models.server import ChatServer, serve_in_thread

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.torch
MESSAGES: Any = [{"role": "user", "content": "咳嗽三天"}]
LONG = {"model": "tiny", "messages": MESSAGES, "max_tokens": 200, "temperature": 0}


@contextlib.contextmanager
def client(url: str, **more: Any) -> Iterator[Any]:
    with openai.OpenAI(base_url=url, api_key="any", **({"max_retries": 0} | more)) as found:
        yield found


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LocalModel:
    return LocalModel(tiny_checkpoint)


@pytest.fixture(scope="module")
def url(model: LocalModel) -> Iterator[str]:
    with serve_in_thread(ChatServer(model, queue_limit=4, drain_s=0.2)) as found:
        yield found


def create(url: str, **more: Any) -> Any:
    with client(url) as c:
        return c.chat.completions.create(**(LONG | {"max_tokens": 12} | more))


def text_of(reply: Any) -> str:
    return str(reply.choices[0].message.content)


def idle(model: LocalModel) -> bool:
    """Whether the engine comes to rest within a few seconds."""
    end = time.monotonic() + 10
    while model.load["under_way"] or model.load["waiting"]:
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_chat_and_its_limits(url: str) -> None:
    reply = create(url)
    assert reply.choices[0].finish_reason == "length"
    assert reply.usage.completion_tokens == 12
    longer = create(url, max_tokens=None, max_completion_tokens=24)
    assert text_of(longer).startswith(text_of(reply).rstrip("\ufffd"))
    assert longer.usage.completion_tokens == 24


def test_a_stream_comes_as_it_is_made(url: str, model: LocalModel) -> None:
    whole = create(url, max_tokens=150)
    seen: list[Any] = []
    with client(url) as c:
        for chunk in c.chat.completions.create(
            **(LONG | {"max_tokens": 150}), stream=True, stream_options={"include_usage": True}
        ):
            if not seen:
                assert model.load["under_way"] == 1  # still at it when the first piece is here
            seen.append(chunk)
    deltas = [c.choices[0].delta.content for c in seen if c.choices and c.choices[0].delta.content]
    assert "".join(deltas) == text_of(whole)
    assert len(deltas) > 5
    assert seen[-1].usage == whole.usage
    assert seen[-2].choices[0].finish_reason == whole.choices[0].finish_reason


def test_stop_strings_end_the_answer(url: str) -> None:
    whole = text_of(create(url, max_tokens=60))
    at = next(i for i in range(5, len(whole)) if whole.find(whole[i : i + 2]) == i)
    stop = whole[at : at + 2]
    cut = create(url, max_tokens=60, stop=[stop, "never said"])
    assert (text_of(cut), cut.choices[0].finish_reason) == (whole[:at], "stop")
    assert cut.usage.completion_tokens < 60
    with client(url) as c:
        parts = list(c.chat.completions.create(**LONG, stop=stop, stream=True))
    assert "".join(p.choices[0].delta.content or "" for p in parts) == whole[:at]


def test_a_seed_fixes_a_drawn_answer(url: str) -> None:
    drawn = [text_of(create(url, temperature=1.5, seed=s)) for s in (7, 7, 8)]
    assert drawn[0] == drawn[1] != drawn[2]
    greedy = text_of(create(url))
    assert text_of(create(url, temperature=1.5, top_p=1e-6)) == greedy


@pytest.mark.parametrize(
    "asked",
    [
        {"logprobs": True},
        {"n": 2},
        {"max_tokens": 0},
        {"temperature": 2.5},
        {"top_p": 0},
        {"stop": [""]},
        {"stop": ["a"] * 17},
        {"messages": []},
        {"frequency_penalty": 0.5},
        {"logit_bias": {"5": 10}},
        {"response_format": {"type": "json_object"}},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
    ],
    ids=lambda a: next(iter(a)),
)
def test_what_is_not_there_is_refused_by_name(url: str, asked: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        create(url, **asked)
    assert next(iter(asked)) in caught.value.message


def test_a_prompt_too_long_is_400_streamed_or_not(url: str) -> None:
    long = [{"role": "user", "content": "x" * 400}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            create(url, messages=long, stream=stream)
        assert caught.value.code == "context_length_exceeded"


def test_who_gives_up_is_no_longer_worked_for(url: str, model: LocalModel) -> None:
    model._engine.loaded.context = 10**6  # type: ignore[union-attr]
    try:
        endless = LONG | {"max_tokens": 10**5}
        with client(url, timeout=0.5) as c, pytest.raises(openai.APITimeoutError):
            c.chat.completions.create(**endless)
        assert idle(model)
        with client(url) as c:
            stream = c.chat.completions.create(**endless, stream=True)
            next(iter(stream))
            stream.close()
        assert idle(model)
    finally:
        model._engine.loaded.context = 256  # type: ignore[union-attr]
    assert create(url).choices[0].finish_reason == "length"


def test_a_full_queue_is_503_and_retried(url: str, model: LocalModel) -> None:
    model._engine.loaded.context = 10**6  # type: ignore[union-attr]
    endless = LONG | {"max_tokens": 10**5}
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                c = stack.enter_context(client(url))
                held = c.chat.completions.create(**endless, stream=True)
                stack.callback(held.close)
                next(iter(held))
            with pytest.raises(openai.InternalServerError) as caught:
                create(url)
            assert caught.value.status_code == 503
            assert caught.value.response.headers["Retry-After"] == "1"
            timer = threading.Timer(0.3, held.close)
            timer.start()
            with client(url, max_retries=5) as patient:
                found = patient.chat.completions.create(**(LONG | {"max_tokens": 4}))
            assert found.usage.completion_tokens == 4
            timer.join()
        assert idle(model)
    finally:
        model._engine.loaded.context = 256  # type: ignore[union-attr]


def test_a_stream_that_breaks_off_raises(tiny_checkpoint: Path) -> None:
    model = LocalModel(tiny_checkpoint)
    with serve_in_thread(model) as url, client(url) as c:
        stream = iter(c.chat.completions.create(**LONG, stream=True))
        next(stream)

        def broken(*_: Any, **__: Any) -> Any:
            raise ValueError("odd")

        model._engine.loaded.model.forward = broken  # type: ignore[union-attr]
        with pytest.raises(openai.APIError, match="generation: ValueError: odd"):
            list(stream)
        with pytest.raises(openai.UnprocessableEntityError, match="odd"):
            c.chat.completions.create(**LONG)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_lets_answers_end_and_stops(
    tiny_checkpoint: Path, number: signal.Signals
) -> None:
    command = [
        sys.executable, "-m", "wardround.cli", "serve", str(tiny_checkpoint), "--port", "0",
        "--backend", "transformers", "--name", "doctor",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        url = running.stdout.readline().strip()
        with client(url) as c:
            stream = iter(c.chat.completions.create(**(LONG | {"model": "doctor"}), stream=True))
            next(stream)
            running.send_signal(number)
            last = list(stream)[-1]
        assert last.choices[0].finish_reason in {"length", "stop"}
        assert running.wait(timeout=20) == 0
        words = running.stderr.read()
    assert f"doctor@{url}" in words
    assert "Traceback" not in words
