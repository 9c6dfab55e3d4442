"""The process: one socket, uvicorn over it, stopped cleanly by Ctrl-C or SIGTERM.

Names and passwords go over this connection, so beyond this machine it is https or nothing: either uvicorn speaks TLS
itself, or a proxy does that in front and says so by `behind_https`.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from wardround.errors import UsageError
from wardround.records import Record
from wardround.review import worker as review_worker
from wardround.store.database import Store, location, open_store
from wardround.web import oidc
from wardround.web.app import create_app
from wardround.web.settings import LOOPBACK, Settings

HANDED_OVER = "WARDROUND_WEB_WORKER"
"""How worker processes are told what to serve: an environment variable of ours, which nobody else sees."""


class Serving(Record, frozen=True, kw_only=True):
    """What to serve and where. `proxies`: addresses whose X-Forwarded-For is believed; `drafts`: whether the models of
    studies are asked from here, or by `wardround review work`."""

    db: str
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    behind_https: bool = False
    proxies: str = "127.0.0.1"
    tls_cert: str = ""
    tls_key: str = ""
    access_log: bool = False
    drafts: bool = True
    settings: Settings = Settings()


class _Server(uvicorn.Server):
    """uvicorn, which says when it is up."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()


def check(serving: Serving) -> None:
    """`UsageError` for a way of serving that would not be safe or can't work."""
    if bool(serving.tls_cert) != bool(serving.tls_key):
        raise UsageError("--tls-cert and --tls-key belong together")
    for name in (serving.tls_cert, serving.tls_key):
        if name and not Path(name).is_file():
            raise UsageError(f"{name}: no such file")
    secure = bool(serving.tls_cert) or serving.behind_https
    if serving.host not in LOOPBACK and not secure:
        raise UsageError(
            f"--host {serving.host}: passwords and reviews would cross the network unencrypted",
            hint="put a proxy with https in front and add --behind-https, or give --tls-cert and --tls-key",
        )
    if secure and serving.settings.base_url and not serving.settings.https:
        raise UsageError(
            f"base_url {serving.settings.base_url}: people reach it by https",
            hint="write the https address people type",
        )
    if serving.behind_https and not serving.settings.base_url:
        raise UsageError(
            "--behind-https needs the address people type",
            hint="add --base-url https://… or base_url under [web] in wardround.toml",
        )
    if serving.workers > 1 and location(serving.db).startswith("sqlite"):
        raise UsageError(
            f"--workers {serving.workers}: SQLite has one writer at a time, and is faster with one process",
            hint="use --db postgresql://…, or one worker",
        )
    oidc.check(serving.settings.oidc)


def serve(serving: Serving, ready: Callable[[str], None]) -> None:
    """Serve until stopped; `ready` is called with the address once requests are answered."""
    check(serving)
    bound = _bound(serving.host, serving.port, shared=serving.workers > 1)
    with bound:
        port = bound.getsockname()[1]
        scheme = "https" if serving.tls_cert else "http"
        shown = f"[{serving.host}]" if ":" in serving.host else serving.host
        base = serving.settings.base_url or f"{scheme}://{shown}:{port}"
        serving = msgspec.structs.replace(
            serving, settings=msgspec.structs.replace(serving.settings, base_url=base)
        )
        # uvicorn raises a caught signal once more when it is done; for us that is the end of the work, no failure.
        before = {s: signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            (_many if serving.workers > 1 else _one)(serving, bound, lambda: ready(base))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Door(socket.socket):
    """A socket that a worker process gets as one of its own at the same address: the kernel shares the connections
    out, where processes that wait at one socket take all that are there at once."""

    def __reduce__(self) -> Any:
        return _door, self.getsockname()[:2]


def _door(host: str, port: int) -> _Door:
    made = _Door(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    return made


def _bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket at the address. `shared`: one of several; that nobody else is there was seen to first."""
    if shared:
        with _bound(host, port) as alone:
            port = alone.getsockname()[1]
        return _door(host, port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (OSError, OverflowError) as e:
        made.close()
        why = getattr(e, "strerror", None) or str(e)
        raise UsageError(
            f"{host}:{port}: {why}", hint="choose another --port; 0 takes a free one"
        ) from None
    made.set_inheritable(True)
    return made


def _options(serving: Serving) -> dict[str, Any]:
    return {
        "http": "httptools", "loop": "auto", "ws": "none", "lifespan": "on", "server_header": False,
        "access_log": False, "log_config": None, "proxy_headers": serving.behind_https,
        "forwarded_allow_ips": serving.proxies, "timeout_graceful_shutdown": 10, "backlog": 512,
        "ssl_certfile": serving.tls_cert or None, "ssl_keyfile": serving.tls_key or None,
    }  # fmt: skip


def _one(serving: Serving, bound: socket.socket, ready: Callable[[], None]) -> None:
    configure_logging(serving)
    with _writing_drafts(serving) as store:
        app = create_app(store, serving.settings)
        gc.collect()
        gc.freeze()  # what stands from the start is not gone through again: that would take a tenth of a second
        _Server(uvicorn.Config(app, **_options(serving)), ready).run(sockets=[bound])


@contextmanager
def _writing_drafts(serving: Serving) -> Iterator[Store]:
    """The database, open and up to date, and in a thread beside it the worker that has models write what studies
    wait for: one in all, however many processes answer."""
    store = open_store(serving.db)
    try:
        drafts = review_worker.start(store) if serving.drafts else None
        try:
            yield store
        finally:
            if drafts is not None:
                drafts.stop()
    finally:
        store.close()


def _many(serving: Serving, bound: socket.socket, ready: Callable[[], None]) -> None:
    configure_logging(serving)
    with _writing_drafts(serving):
        _supervise(serving, bound, ready)


def _supervise(serving: Serving, bound: socket.socket, ready: Callable[[], None]) -> None:
    os.environ[HANDED_OVER] = msgspec.json.encode(serving).decode()
    try:
        config = uvicorn.Config(
            "wardround.web.serve:worker", factory=True, workers=serving.workers, **_options(serving)
        )
        supervisor = Multiprocess(config, sockets=[bound])
        threading.Thread(target=_tell, args=(bound, ready), daemon=True).start()
        supervisor.run()
    finally:
        os.environ.pop(HANDED_OVER, None)


def _tell(bound: socket.socket, ready: Callable[[], None]) -> None:
    """Say so once a worker answers at the address."""
    host, port = bound.getsockname()[:2]
    while bound.fileno() >= 0:
        try:
            with socket.create_connection((host, port), timeout=1):
                ready()
                return
        except OSError:
            time.sleep(0.05)


def worker() -> FastAPI:
    """The app in a worker process."""
    serving = msgspec.json.decode(os.environ.pop(HANDED_OVER), type=Serving)
    configure_logging(serving)
    return create_app(open_store(serving.db), serving.settings)


def configure_logging(serving: Serving) -> None:
    """Warnings to the terminal, and one line a request when asked for. No line holds a path, a query or a body."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("wardround.web", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    logging.getLogger("wardround.web.access").setLevel(
        logging.INFO if serving.access_log else logging.ERROR
    )
