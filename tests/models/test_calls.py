"""HTTP by libcurl, against sockets that behave and misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from wardround.models.calls import CallError, Calls, Reply

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Twice: a\r\nX-Twice: b\r\n\r\nok"
Deed = Callable[[asyncio.StreamWriter, int], Awaitable[bool]]
"""What the server does with a request (the first of its connection is 1). True: the connection stays."""


class Server:
    """Counts connections, and keeps what it was sent."""

    def __init__(self, deed: Deed) -> None:
        self.deed, self.connections, self.requests = deed, 0, list[tuple[bytes, bytes]]()
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self.all(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                number += 1
                lines = dict(
                    line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line
                )
                body = await reader.readexactly(int(lines.get(b"content-length", b"0")))
                self.requests.append((head, body))
                if not await self.deed(writer, number):
                    break


@contextlib.asynccontextmanager
async def serving(
    deed: Deed, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Server, int]]:
    server = Server(deed)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def sends(data: bytes, stay: bool = False, nap: float = 0.0) -> Deed:
    async def deed(writer: asyncio.StreamWriter, number: int) -> bool:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(nap)
        return stay

    return deed


@contextlib.asynccontextmanager
async def calling(proxy: str | None = None) -> AsyncIterator[Calls]:
    calls = Calls({"Accept": "application/json", "Authorization": "Bearer k"}, proxy, 0.5)
    try:
        yield calls
    finally:
        await calls.close()


def called(deed: Deed, times: int = 1, body: tuple[bytes, ...] = (b"{}",)) -> tuple[list[Reply | CallError], Server]:  # fmt: skip
    """What calls one after the other come to."""

    async def work() -> tuple[list[Reply | CallError], Server]:
        found: list[Reply | CallError] = []
        async with serving(deed) as (server, port), calling() as calls:
            for _ in range(times):
                try:
                    found.append(await calls.call(f"http://127.0.0.1:{port}/x", 0.5, body))
                except CallError as e:
                    found.append(e)
        return found, server

    return asyncio.run(work())


def test_a_reply_and_its_headers_whatever_their_case() -> None:
    (reply,), _ = called(
        sends(
            b"HTTP/1.1 418 No\r\ncontent-TYPE: Application/JSON; charset=x\r\nContent-Length: 1\r\n\r\nt"
        )
    )
    assert isinstance(reply, Reply)
    assert (reply.status, reply.data, reply.content_type) == (418, b"t", "application/json")
    assert reply.header("Retry-After") == ""


def test_the_last_of_two_headers_counts_and_connections_are_used_again() -> None:
    found, server = called(sends(OK, stay=True), times=3)
    assert [r.header("x-twice") for r in found if isinstance(r, Reply)] == ["b"] * 3
    assert server.connections == 1
    head, body = server.requests[0]
    assert b"Authorization: Bearer k\r\n" in head and b"Expect" not in head
    assert body == b"{}"


def test_a_body_in_pieces_goes_out_whole_and_with_its_length() -> None:
    _, server = called(sends(OK), body=(b"a" * 700_000, b"", b"b" * 10))
    head, body = server.requests[0]
    assert b"Content-Length: 700010\r\n" in head and b"hunked" not in head
    assert body == b"a" * 700_000 + b"b" * 10


def test_without_a_body_it_is_a_get() -> None:
    _, server = called(sends(OK), body=())
    assert server.requests[0][0].startswith(b"GET /x HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("deed", "there", "late"),
    [
        (sends(b""), False, False),  # closed without a word
        (sends(b"blah blah\r\n\r\n"), False, False),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"), True, False),
        (sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"), True, False),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), True, False),
        (sends(b"", nap=1.0), False, True),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", nap=1.0), True, True),
    ],
    ids=["closed", "no http", "cut", "cut chunk", "no gzip", "silent", "stalled"],
)  # fmt: skip
def test_no_whole_reply_is_an_error_that_says_how_far_it_came(
    deed: Deed, there: bool, late: bool
) -> None:
    (found,), server = called(deed)
    assert isinstance(found, CallError) and str(found)
    assert (found.there, found.late) == (there, late)
    assert len(server.requests) == 1


def test_a_request_whose_connection_is_lost_is_not_sent_again_behind_our_back() -> None:
    async def second_time_none(writer: asyncio.StreamWriter, number: int) -> bool:
        if number == 2:
            return False
        writer.write(OK)
        return True

    found, server = called(second_time_none, times=2)
    assert isinstance(found[1], CallError) and not found[1].there and not found[1].late
    assert len(server.requests) == 2


def test_nobody_there_is_neither_late_nor_a_reply() -> None:
    async def work(url: str) -> CallError:
        async with calling() as calls:
            with pytest.raises(CallError) as trouble:
                await calls.call(url, 2.0, (b"{}",))
        return trouble.value

    for url in ("http://127.0.0.1:1/x", "http://no-such-host.invalid/x", "ftp://127.0.0.1/x"):
        error = asyncio.run(work(url))
        assert (error.there, error.late) == (False, False), url


def test_addresses_in_any_script_are_sent_as_they_are_written_in_a_url() -> None:
    async def work() -> bytes:
        async with serving(sends(OK)) as (server, port), calling() as calls:
            await calls.call(f"http://127.0.0.1:{port}/模型/%E4%B8%80 b?q=1&r=%20", 1.0)
        return server.requests[0][0]

    wanted = b"GET /%E6%A8%A1%E5%9E%8B/%E4%B8%80%20b?q=1&r=%20 HTTP/1.1\r\n"
    assert asyncio.run(work()).startswith(wanted)


def test_a_call_that_is_cancelled_and_one_that_is_under_way_at_the_end_hold_nobody_up() -> None:
    async def work() -> list[str]:
        async with serving(sends(b"", nap=5.0)) as (_, port), calling() as calls:
            tasks = [
                asyncio.create_task(calls.call(f"http://127.0.0.1:{port}/x", 9.0, (b"{}",)))
                for _ in range(3)
            ]
            await asyncio.sleep(0.1)
            tasks[0].cancel()
            await asyncio.sleep(0.05)
            await calls.close()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            return [type(end).__name__ for end in ends]

    ends = asyncio.run(asyncio.wait_for(work(), 4.0))
    assert ends[0] == "CancelledError"
    assert set(ends[1:]) <= {"CancelledError", "CallError"}


def certificate(folder: Path) -> tuple[Path, Path]:
    """Files with a key and a certificate that it signed itself, for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    at = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "key.pem", folder / "own.pem"
    files[0].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    files[1].write_bytes(signed.public_bytes(Encoding.PEM))
    return files


def test_certificates_are_asked_for_and_one_s_own_authority_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, own = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own, key)

    async def work() -> Reply:
        async with serving(sends(OK), tls) as (_, port), calling() as calls:
            return await calls.call(f"https://localhost:{port}/x", 3.0)

    with pytest.raises(CallError, match="certificate"):
        asyncio.run(work())
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert asyncio.run(work()).data == b"ok"


def test_a_proxy_is_asked_instead_with_its_password_and_the_environment_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work(proxied: bool) -> bytes:
        async with serving(sends(OK)) as (server, port):
            proxy = f"http://u:p@127.0.0.1:{port}" if proxied else None
            url = "http://far.example/x" if proxied else f"http://127.0.0.1:{port}/x"
            async with calling(proxy) as calls:
                assert (await calls.call(url, 2.0)).data == b"ok"
        return server.requests[0][0]

    head = asyncio.run(work(proxied=True))
    assert head.startswith(b"GET http://far.example/x") and b"Proxy-Authorization: Basic" in head
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert asyncio.run(work(proxied=False)).startswith(b"GET /x")
