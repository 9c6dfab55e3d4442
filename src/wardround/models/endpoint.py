"""A model behind an OpenAI-compatible endpoint: `POST {base}/chat/completions`.

One set of connections (`calls`) serves all calls; it is made inside the running loop and closed by `close`,
after which the model can be used again. A call that fails in passing (408, 409, 425, 429, 5xx, a lost connection,
a timeout, a body that is no whole JSON) is tried again a bounded number of times, with exponential waits of
full jitter, and never sooner than `Retry-After` asks. All else comes back as a failed `Answer` at once.

Keys come from the environment only (see `key_names`) and go nowhere but the Authorization header: an
endpoint that echoes one has it blotted out before its words reach a reason or a log. Redirects are not
followed, as they would carry the key to another host.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from wardround.errors import ModelError, UsageError
from wardround.models.limiter import Limiter
from wardround.models.wire import encode_pieces, error_text, failed, read_completion, read_served
from wardround.records import Answer, Request

if TYPE_CHECKING:
    from wardround.models.calls import Calls, Reply

RETRY_STATUS = frozenset({408, 409, 425, 429})
RETRY_AFTER_CAP_S = 60.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
SHOWN = 200
"""Characters of an endpoint's error message that are kept."""

TELLING = 8
"""A shorter key (servers of one's own take any, "1" or "x") is no secret, and would be found in every answer."""

ANY_KEY = re.compile(r"(?i)\b(bearer|basic)\s+\S+|\bsk-[\w*.-]+")
LOOPBACK = re.compile(r"^(localhost|127(\.\d+){3}|::1)$")


class _Try(NamedTuple):
    """How one HTTP request ended; `after` is the endpoint's own Retry-After in seconds."""

    answer: Answer
    again: bool = False
    after: float | None = None
    status: int = 0


def key_names(name: str, api_key_env: str = "") -> tuple[str, ...]:
    """Environment variables looked at for a model's key, in this order.

    A configured `api_key_env` is the only one for its model, so a general key never reaches it by accident.
    """
    if api_key_env:
        return (api_key_env,)
    own = re.sub(r"[^A-Z0-9]", "_", name.upper())
    return (f"WARDROUND_API_KEY_{own}", "WARDROUND_API_KEY")


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds a Retry-After header asks to wait, from its seconds or its HTTP date, capped; None if unreadable."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError):
            return None
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    if seconds != seconds:  # "nan" is a float too
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_S)


def _split_url(url: str) -> tuple[str, str]:
    """The base URL without user and password, and those as "user:password" or ""."""
    parts = urlsplit(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(
            f"{parts.scheme}://{host}{parts.path}: not an http(s) URL",
            hint="name a model as NAME@http://host/v1",
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"{parts.scheme}://{host}{parts.path}: an endpoint's URL must end with its path",
            hint="leave out ?… and #…; keys come from the environment",
        )
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", "")), unquote(userinfo)


def _proxy(url: str) -> str | None:
    """The proxy the environment names for `url`, looked up once; none for this machine itself."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if LOOPBACK.match(host) or proxy_bypass(host):
        return None
    return getproxies().get(parts.scheme)


class EndpointModel:
    """A chat model at an endpoint.

    `model` is the name the endpoint serves, `name` (the same by default) what reports show, `url` the base
    up to and with `/v1`. `timeout_s` bounds each try; `retries` counts tries after the first. `ceiling` is the
    most requests the endpoint is to have in flight, 0 where the run decides. `sleep` and `rng` are there for
    tests.
    """

    def __init__(
        self,
        model: str,
        url: str,
        *,
        name: str = "",
        api_key_env: str = "",
        timeout_s: float = 120.0,
        retries: int = 5,
        ceiling: int = 0,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.url, userinfo = _split_url(url)
        self.model = model
        self.name = name or model
        self.identity = {"kind": "endpoint", "url": self.url, "model": model}
        self.labels: tuple[str, ...] = ()
        self.limiter: Limiter | None = None
        self.ceiling = ceiling
        self._key_names = key_names(self.name, api_key_env)
        self._key = next((k for n in self._key_names if (k := os.environ.get(n, "").strip())), "")
        if not self._key.isprintable():
            raise ModelError(
                f"the key of {self.name} has a line break or another character that no key has",
                hint=f"set {' or '.join(self._key_names)} anew",
            )
        self._secrets = [s for s in (self._key, userinfo, userinfo.partition(":")[2]) if s]
        self._authorization = f"Bearer {self._key}" if self._key else ""
        if userinfo and not self._key:
            basic = base64.b64encode(userinfo.encode()).decode()
            self._authorization = f"Basic {basic}"
            self._secrets.append(basic)
        self._timeout_s = timeout_s
        self._retries = retries
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._calls: Calls | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"EndpointModel({self.name!r}, {self.url!r})"

    @property
    def endpoint(self) -> str:
        """The URL, however its letters were written: all models behind it share one limit."""
        return self.url.casefold()

    def _open(self) -> Calls:
        """The connections of the running loop, made at first use."""
        loop = asyncio.get_running_loop()
        if self._calls is not None and self._loop is loop:
            return self._calls
        from wardround.models.calls import Calls

        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._authorization:
            headers["Authorization"] = self._authorization
        self._calls = Calls(headers, _proxy(self.url), min(self._timeout_s, 15.0))
        self._loop = loop
        return self._calls

    async def close(self) -> None:
        """Close the connections; the next call opens others."""
        calls, self._calls = self._calls, None
        if calls is not None and self._loop is asyncio.get_running_loop():
            await calls.close()

    async def check(self) -> None:
        """Ask the endpoint what it serves. `ModelError` when it can't be reached, refuses the key, or lists
        models but not this one. An endpoint without a list (404, 405) or with an empty one passes."""
        from wardround.models.calls import CallError

        try:
            reply = await self._open().call(f"{self.url}/models", min(self._timeout_s, 20.0))
        except CallError as e:
            raise ModelError(
                f"{self.url}: no answer from the endpoint of {self.name} ({self._words(e)})",
                hint="check that the server runs and that the URL, up to /v1, is right",
            ) from None
        if reply.status in {401, 403}:
            raise self._refused(reply.status)
        served = read_served(reply.data) if reply.status == 200 else []
        if served and not any(_same_model(self.model, s) for s in served):
            shown = ", ".join(sorted(served)[:20]) + (" …" if len(served) > 20 else "")
            raise ModelError(
                f"{self.url}: does not serve {self.model}; it serves {self._clean(shown, 1000)}",
                hint="put one of these names before the @",
            )

    def _refused(self, status: int) -> ModelError:
        names = " or ".join(self._key_names)
        if self._key:
            return ModelError(
                f"{self.url}: refused the key for {self.name} (HTTP {status})",
                hint=f"check the key in the environment variable {names}",
            )
        return ModelError(
            f"{self.url}: wants a key for {self.name} (HTTP {status})",
            hint=f"put it in the environment variable {names}",
        )

    def request_digest(self, request: Request) -> str:
        """SHA-256 of what decides the reply: where it is sent, and the body."""
        found = hashlib.sha256(self.url.encode() + b"\n")
        for piece in encode_pieces(self.model, request):
            found.update(piece)
        return found.hexdigest()

    async def complete(self, request: Request) -> Answer:
        """Answer one request, trying again where that may help. A wait for a slot is no latency."""
        body = encode_pieces(self.model, request)
        attempts, started = 0, 0.0
        while True:
            attempts += 1
            slot = await self.limiter.acquire() if self.limiter is not None else time.monotonic()
            started = started or slot
            try:
                tried = await self._once(body)
            except BaseException:
                if self.limiter is not None:
                    self.limiter.release(slot)
                raise
            if self.limiter is not None:
                ok = tried.answer.status == "ok"
                self.limiter.release(slot, status=tried.status, answered=ok, who=self.model)
            if not tried.again or attempts > self._retries:
                break
            await self._sleep(self._wait(attempts, tried.after))
        return msgspec.structs.replace(
            tried.answer, attempts=attempts, latency_s=round(time.monotonic() - started, 6)
        )

    async def _once(self, body: list[bytes]) -> _Try:
        """One HTTP request."""
        from wardround.models.calls import CallError

        url = self.url + "/chat/completions"
        try:
            reply = await self._open().call(url, self._timeout_s, body)
        except CallError as e:
            if e.late:
                return _Try(failed("timeout", f"no answer in {self._timeout_s:g} s"), again=True)
            code = "malformed" if e.there else "connection"
            return _Try(failed(code, self._words(e)), again=True)
        if reply.status == 200:
            return self._read(reply)
        message = self._clean(error_text(reply.data))
        if 300 <= reply.status < 400:
            message = f"redirects to {self._clean(reply.header('Location') or 'elsewhere')}"
        answer = failed(f"http {reply.status}", message)
        if reply.status not in RETRY_STATUS and reply.status < 500:
            return _Try(answer, status=reply.status)
        after = retry_after(reply.header("Retry-After"), datetime.now(UTC))
        return _Try(answer, again=True, after=after, status=reply.status)

    def _read(self, reply: Reply) -> _Try:
        """A 200 reply's body as an answer. What isn't declared as JSON and isn't is no passing fault."""
        answer = read_completion(reply.data)
        if answer.status == "ok":
            text = answer.text or ""
            told = [s for s in self._secrets if len(s) >= TELLING]
            if any(s in text for s in told):
                answer = msgspec.structs.replace(answer, text=_blot(text, told))
            return _Try(answer)
        if not answer.reason.startswith("malformed"):
            return _Try(msgspec.structs.replace(answer, reason=self._clean(answer.reason)))
        if "json" not in reply.content_type:
            kind = self._clean(reply.content_type)
            return _Try(failed("content type", f"{kind} where JSON was due"))
        return _Try(msgspec.structs.replace(answer, reason=self._clean(answer.reason)), again=True)

    def _wait(self, attempts: int, after: float | None) -> float:
        """Seconds before the next try: full jitter under a doubling ceiling, on top of Retry-After."""
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempts - 1))
        if after is not None:
            return after + self._rng.uniform(0, FIRST_WAIT_S)
        return self._rng.uniform(0, ceiling)

    def _clean(self, text: str, limit: int = SHOWN) -> str:
        """One line without secrets, cut to `limit` characters: blotted first, so no half key stays."""
        text = " ".join(ANY_KEY.sub("[key]", _blot(text, self._secrets)).split())
        return text if len(text) <= limit else text[:limit] + "…"

    def _words(self, error: BaseException) -> str:
        return self._clean(str(error)) or type(error).__name__


def _blot(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return text


def _same_model(asked: str, served: str) -> bool:
    """Endpoints list some names with a prefix (`models/x`) or a default tag (`x:latest`) they don't insist on."""
    return served in {asked, f"{asked}:latest"} or served.endswith(f"/{asked}")
