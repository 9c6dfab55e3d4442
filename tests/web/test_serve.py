"""`wardround web` as a person runs it: up, stopped, behind TLS or a proxy, with workers, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from wardround import cli
from wardround.errors import UsageError
from wardround.store.database import open_store
from wardround.store.people import session
from wardround.web.serve import Serving, check
from wardround.web.settings import Provider, Settings

pytestmark = pytest.mark.usefixtures("quick")
GOOD = "一句好记的话"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WARDROUND_CONFIG", raising=False)
    monkeypatch.setenv("WARDROUND_PASSWORD", GOOD)
    return tmp_path


class Web:
    """`wardround web` as a process of its own."""

    def __init__(self, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "wardround.cli", "web", "--port", "0", "--json", *options]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        self.errors: list[str] = []
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            raise AssertionError("".join(self.errors))
        self.said: dict[str, Any] = json.loads(line)

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(20)
        self._reading.join(10)
        assert self.process.stdout is not None and self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return status


def run(line: str) -> int:
    """A command as it is typed, without `wardround`."""
    return cli.main(shlex.split(line))


def test_closing_an_account_ends_its_sessions_in_a_running_app(here: Path) -> None:
    assert run("user add admin --role admin") == 0
    assert run("user add li --role doctor") == 0
    web = Web(here)
    try:
        with httpx2.Client(base_url=web.said["url"]) as client:
            page = client.get("/login").text
            token = page.split('name="csrf" value="')[1].split('"')[0]
            client.post("/login", data={"csrf": token, "name": "li", "password": GOOD})
            assert client.get("/account").status_code == 200
            assert run("user disable li") == 0
            assert client.get("/account").status_code == 303
    finally:
        assert web.stop() == 0


# The server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_and_stop(here: Path, number: int) -> None:
    web = Web(here, "--access-log")
    assert web.said["admin"] is False
    assert httpx2.get(web.said["url"] + "/health?secret=1").text == "ok"
    assert web.stop(number) == 0
    errors = "".join(web.errors)
    assert "GET /health 200" in errors
    assert "secret" not in errors and "Traceback" not in errors


def test_what_a_person_reads(here: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "wardround.cli", "web", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first, second, third = (process.stdout.readline() for _ in range(3))
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(20) == 0
    assert re.match(r"Wardround 查房: http://127\.0\.0\.1:\d+ ", first)
    assert "no administrator" in second and "wardround user add NAME --role admin" in third
    assert rest == "stopped\n"


def test_https_by_itself(here: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days",
         "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate")
    web = Web(here, "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--host", "localhost")
    try:
        trusted = ssl.create_default_context(cafile=str(here / "cert.pem"))
        with httpx2.Client(base_url=web.said["url"], verify=trusted) as client:
            assert web.said["url"].startswith("https://localhost:")
            reply = client.get("/login")
            assert reply.status_code == 200
            assert reply.headers["strict-transport-security"]
            assert "__Host-wardround_form" in reply.headers["set-cookie"]
    finally:
        assert web.stop() == 0


def test_behind_a_proxy_the_visitors_address_counts(here: Path) -> None:
    web = Web(here, "--behind-https", "--base-url", "https://review.example")
    port = re.search(r"\d+$", _listening(web))
    assert port is not None
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port[0]}") as client:
            proxied = {
                "Host": "review.example",
                "X-Forwarded-For": "10.1.2.3",
                "X-Forwarded-Proto": "https",
            }
            assert client.get("/login").status_code == 400  # not the name people type
            page = client.get("/login", headers=proxied)
            cookie = page.headers["set-cookie"].split(";")[0]
            token = page.text.split('name="csrf" value="')[1].split('"')[0]
            reply = client.post(
                "/login", data={"csrf": token, "name": "li", "password": "wrong wrong"},
                headers={**proxied, "Cookie": cookie, "Origin": "https://review.example"},
            )  # fmt: skip
            assert reply.status_code == 401
    finally:
        assert web.stop() == 0
    store = open_store(None)
    with store.read() as conn:
        from wardround.store.people import login_attempt

        assert conn.execute(select(login_attempt.c.address)).scalar_one() == "10.1.2.3"
    store.close()


def _listening(web: Web) -> str:
    """The address a process listens on, which it doesn't tell when people reach it by another."""
    inodes = {
        m[1]
        for fd in Path(f"/proc/{web.process.pid}/fd").iterdir()
        if (m := re.match(r"socket:\[(\d+)\]", _target(fd)))
    }
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[9] in inodes:
            return f"127.0.0.1:{int(words[1].split(':')[1], 16)}"
    raise AssertionError("listens nowhere")


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def test_several_workers_on_postgresql(postgresql: Any, here: Path) -> None:
    name = postgresql.new()
    url = postgresql.url(name)
    assert run(f"user add admin --role admin --db {url}") == 0
    web = Web(here, "--workers", "2", "--db", url)
    try:
        with httpx2.Client(base_url=web.said["url"], timeout=30) as client:
            page = client.get("/login").text
            token = page.split('name="csrf" value="')[1].split('"')[0]
            client.post("/login", data={"csrf": token, "name": "admin", "password": GOOD})
            for _ in range(20):  # whichever process answers knows the session
                assert client.get("/account", headers={"Connection": "close"}).status_code == 200
    finally:
        assert web.stop() == 0
        assert not any("Traceback" in line for line in web.errors), "".join(web.errors)
    store = open_store(url)
    with store.read() as conn:
        assert len(conn.execute(select(session.c.id)).all()) == 1
    store.close()
    postgresql.drop(name)


@pytest.mark.parametrize(
    ("serving", "text"),
    [
        (Serving(db="", host="0.0.0.0", settings=Settings(base_url="")), "unencrypted"),
        (Serving(db="", host="::", settings=Settings(base_url="")), "unencrypted"),
        (Serving(db="", workers=2), "SQLite has one writer"),
        (Serving(db="", tls_cert="x"), "belong together"),
        (Serving(db="", tls_cert="x", tls_key="y"), "no such file"),
        (Serving(db="", behind_https=True, settings=Settings(base_url="")), "needs the address"),
        (Serving(db="", behind_https=True), "reach it by https"),
        (
            Serving(
                db="",
                settings=Settings(oidc={"x": Provider(issuer="http://a.example", client_id="c")}),
            ),
            "issuer must be https",
        ),
    ],
)
def test_ways_of_serving_that_are_refused(serving: Serving, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        check(serving)


def test_ways_of_serving_that_are_not() -> None:
    https = Settings(base_url="https://review.example")
    check(Serving(db="", settings=Settings(base_url="")))
    check(Serving(db="", host="0.0.0.0", behind_https=True, settings=https))
    check(Serving(db="postgresql://u@h/n", workers=4))


def test_a_port_in_use_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    web = Web(here)
    try:
        port = web.said["url"].split(":")[-1]
        assert run(f"web --port {port}") == 2
        assert "in use" in capsys.readouterr().err
    finally:
        web.stop()
