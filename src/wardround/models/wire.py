"""The chat-completions wire format, both ways: what `endpoint` sends and `server` reads.

Only `model`, `messages`, `max_tokens`, `temperature` and, when set, `seed` leave this machine. A request's
`key` and `hint` have no field here, so they can't be sent by mistake.

A failed answer's reason is `code` or `code: detail`. The code is from a short closed list (`connection`,
`timeout`, `http 503`, `malformed`, `no choices`, `no content`, `content filter`, `content type`, `error`,
`context`, `images`, …), so failures can be counted by it; the detail is for people.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wardround.records import Answer, Message, Record, Request, StoredURL


class _Body(msgspec.Struct):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float
    seed: int | msgspec.UnsetType = msgspec.UNSET


class _Reply(msgspec.Struct):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Reply | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Served(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_Served] | None = None


_encoder = msgspec.json.Encoder()
_completion = msgspec.json.Decoder(_Completion)
_anything = msgspec.json.Decoder()


def failed(code: str, detail: str = "") -> Answer:
    """A failed answer with a reason of the form `code: detail`."""
    return Answer(status="failed", reason=f"{code}: {detail}" if detail else code)


def reason_code(reason: str) -> str:
    """The countable part of a reason: what stands before the first colon."""
    return reason.partition(":")[0]


def encode_body(model: str, request: Request) -> bytes:
    """The body of `POST /chat/completions` for one request."""
    return b"".join(encode_pieces(model, request))


_HOLE = msgspec.Raw(b'{"url":"\0"}')
"""A zero byte can't come out of a JSON encoder, which escapes it, so it marks where a stored text belongs."""


def encode_pieces(model: str, request: Request) -> list[bytes]:
    """The body in pieces, each to be sent after the other: a stored picture is one, and is copied nowhere."""
    stored: list[bytes] = []

    def hook(value: object) -> msgspec.Raw:
        if not isinstance(value, StoredURL):
            raise TypeError(f"{type(value).__name__} can't be sent")
        stored.append(value.read())
        return _HOLE

    seed = msgspec.UNSET if request.seed is None else request.seed
    body = msgspec.json.encode(
        _Body(model, request.messages, request.max_tokens, request.temperature, seed),
        enc_hook=hook,
    )
    if not stored:
        return [body]
    around = body.split(b"\0")
    return [p for pair in zip(around, stored, strict=False) for p in pair] + [around[-1]]


def read_completion(data: bytes) -> Answer:
    """Read the body of a 200 reply; never raises. What is no whole completion is a failed answer.

    Only `malformed` may be worth another try. A reply cut off by its token limit is an answer, its
    finish_reason "length".
    """
    try:
        completion = _completion.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        return failed("malformed", str(e))
    if not completion.choices:
        if completion.error is not None:
            return failed("error", error_text(data))
        return failed("no choices")
    choice = completion.choices[0]
    finish = choice.finish_reason or ""
    if finish == "content_filter":
        return failed("content filter")
    text = _text(choice.message)
    if text is None:
        refusal = choice.message.refusal if choice.message else None
        return failed("no content", refusal or (f"finish_reason {finish}" if finish else ""))
    usage = completion.usage or {}
    return Answer(
        status="ok",
        text=text,
        finish_reason=finish,
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
    )


def _text(reply: _Reply | None) -> str | None:
    if reply is None or reply.content is None or isinstance(reply.content, str):
        return reply.content if reply is not None else None  # type: ignore[return-value]
    texts = [part["text"] for part in reply.content if isinstance(part.get("text"), str)]
    return "".join(texts) if texts else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_served(data: bytes) -> list[str]:
    """The model ids in the body of `GET /models`; empty when there are none or it is no such list."""
    try:
        return [m.id for m in msgspec.json.decode(data, type=_ModelList).data or []]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []


def error_text(data: bytes) -> str:
    """What an error body says: its message where it is JSON of a known shape, else its text."""
    try:
        found = _anything.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data.decode("utf-8", "replace")
    for name in ("error", "message", "detail"):
        while isinstance(found, dict) and name in found:
            found = found[name]
    return found if isinstance(found, str) else _encoder.encode(found).decode()


class Terms(Record, frozen=True, kw_only=True):
    """What a server's client can ask for beyond a `Request`: strings that end the answer and are no part of
    it, and the share of likely tokens that is drawn from."""

    stop: tuple[str, ...] = ()
    top_p: float = 1.0


class ChatBody(msgspec.Struct):
    """A chat request as `server` reads it. Fields not listed here have no effect and are let pass, for clients
    send many. Those from `tools` on are read to refuse them: leaving them out would change the meaning.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    top_p: float | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: dict[str, Any] | None = None


MOST_STOPS = 16
"""Stop strings one request may have."""


def read_body(data: bytes) -> ChatBody:
    """Read a chat request; `ValueError` with a sentence for the client when it can't be answered."""
    try:
        chat = msgspec.json.decode(data, type=ChatBody)
    except UnicodeDecodeError as e:
        raise ValueError("the body is not UTF-8") from e
    except RecursionError as e:
        raise ValueError("the body is nested too deeply") from e
    # DecodeError is a ValueError that names the place: it goes through as it is.
    if not chat.messages:
        raise ValueError("messages is empty")
    if chat.n not in {None, 1}:
        raise ValueError("n must be 1: one answer per request")
    _refuse(chat)
    if max_tokens(chat) < 1:
        raise ValueError("max_tokens must be 1 or more")
    if chat.temperature is not None and not 0 <= chat.temperature <= 2:
        raise ValueError("temperature must be from 0 to 2")
    if chat.top_p is not None and not 0 < chat.top_p <= 1:
        raise ValueError("top_p must be above 0 and at most 1")
    stop = as_terms(chat).stop
    if len(stop) > MOST_STOPS or not all(stop):
        raise ValueError(f"stop must be at most {MOST_STOPS} strings, none of them empty")
    return chat


def _refuse(chat: ChatBody) -> None:
    """`ValueError` for what is asked for and not there."""
    kind = (chat.response_format or {}).get("type", "text")
    asked = {
        "tools": chat.tools or chat.functions,
        "logprobs": chat.logprobs or chat.top_logprobs,
        "logit_bias": chat.logit_bias,
        "frequency_penalty": chat.frequency_penalty,
        "presence_penalty": chat.presence_penalty,
        f"response_format {kind}": kind != "text",
    }
    for name, value in asked.items():
        if value:
            raise ValueError(f"{name}: not supported by this server")


def as_terms(chat: ChatBody) -> Terms:
    """What the chat asks for beyond a `Request`."""
    stop = (chat.stop,) if isinstance(chat.stop, str) else tuple(chat.stop or ())
    return Terms(stop=stop, top_p=1.0 if chat.top_p is None else chat.top_p)


def max_tokens(chat: ChatBody) -> int:
    """The answer's length limit, under its newer name, its older one, or our default."""
    for value in (chat.max_completion_tokens, chat.max_tokens):
        if value is not None:
            return value
    return 1024


def as_request(chat: ChatBody, key: str) -> Request:
    """The chat as our `Request`; a missing temperature means 0, so that answers can be repeated."""
    return Request(
        key=key,
        messages=chat.messages,
        max_tokens=max_tokens(chat),
        temperature=chat.temperature or 0.0,
        seed=chat.seed,
    )
