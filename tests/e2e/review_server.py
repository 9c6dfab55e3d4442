"""The app as its own process, and reviewers who talk to it as the page does, without a browser."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx2

from tests.e2e.conftest import command, environment
from wardround.review.forms import rationale_form
from wardround.store.database import open_store
from wardround.web import sessions
from wardround.web.settings import Settings

FIELDS = [f.id for f in rationale_form()]
HIDDEN = re.compile(r'type="hidden" name="(assignment|item|round|version)" value="(\d+)"')
CSRF = re.compile(r'<meta name="csrf" content="([^"]+)"')


@contextmanager
def web(url: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`wardround web` over a database on a free port: its address and process. Ended with the context."""
    process = subprocess.Popen(
        command("web", "--db", url, "--port", 0, "--json", "--no-drafts"), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL, env=environment(),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the server did not start"
        yield json.loads(line)["url"], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()


def tokens(url: str, people: Sequence[int]) -> list[str]:
    """A session for each, as if they had logged in."""
    store = open_store(url)
    with store.write() as conn:
        made = [sessions.start(conn, p, Settings(), agent="test") for p in people]
    store.close()
    return made


class Sent(NamedTuple):
    """A form that was handed in, and whether the server said that it has it."""

    who: int
    form: dict[str, str]
    acknowledged: bool


class Reviewer:
    """One browser, logged in."""

    def __init__(self, address: str, token: str, slug: str = "trial") -> None:
        self.page = f"{address}/review/{slug}"
        cookies = {Settings().cookie("session"): token}
        # Not of the environment: a proxy set there has no business with loopback.
        self.http = httpx2.Client(cookies=cookies, timeout=60, trust_env=False)

    def __enter__(self) -> Reviewer:
        self.text = self.http.get(self.page).raise_for_status().text
        found = CSRF.search(self.text)
        assert found
        self.http.headers.update({"X-CSRF-Token": found[1], "HX-Request": "true"})
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def filled(self, comment: str, value: int = 4) -> dict[str, str]:
        """The form on the page with scores; {} when nothing is left."""
        hidden = dict(HIDDEN.findall(self.text))
        if not hidden:
            return {}
        return hidden | {f"score.{f}": str(value) for f in FIELDS} | {"comment": comment}

    def send(self, form: dict[str, str]) -> httpx2.Response:
        """Hand in; the next page is in the answer."""
        reply = self.http.post(f"{self.page}/submit", data=form)
        if reply.status_code == 200:
            self.text = reply.text
        return reply


def page_of(text: str) -> Any:
    """A page as `Reviewer.filled` reads it."""
    return type("Page", (), {"text": text})()


def at_work(
    address: str, session: Sequence[str], sent: list[Sent], enough: threading.Event, after: int
) -> None:
    """All review at once until the server is gone or nothing is left; `enough` is set after so many answers."""
    lock = threading.Lock()
    together = threading.Barrier(len(session))

    def one(number: int) -> None:
        with Reviewer(address, session[number]) as reviewer:
            together.wait(60)
            for turn in range(1000):
                form = reviewer.filled(f"第{number}人第{turn}条，{len(sent)}")
                if not form:
                    return
                try:
                    reply = reviewer.send(form)
                except httpx2.HTTPError:
                    with lock:
                        sent.append(Sent(number, form, acknowledged=False))
                    return
                assert reply.status_code == 200, reply.text[:500]
                taken = '<div class="notice warn"' not in reply.text
                with lock:
                    sent.append(Sent(number, form, acknowledged=taken))
                    if sum(s.acknowledged for s in sent) >= after:
                        enough.set()

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(session))]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    enough.set()
    assert not any(t.is_alive() for t in threads)
