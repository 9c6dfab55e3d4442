"""A model from a Hugging Face directory, run here: for `--model local:PATH` and behind `wardround serve`.

What is loaded is described in `loaded`, how many answers are made at once in `batching`. One worker thread owns
the model. Loading happens at `check` or the first request; `close` stops at the next token and frees the
memory, and a later request loads again.

Temperature 0 is greedy search, and its answer is the same in any company as far as the arithmetic allows.
Above 0, tokens are drawn from the plain softmax (or its nucleus, where a request says `top_p`). A request with
a seed is drawn alone, so its company can't change it. A request nobody waits for any more leaves at the next
token.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import queue
import threading
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wardround.artifact import ref
from wardround.errors import UsageError
from wardround.models.loaded import checkpoint_of
from wardround.models.wire import Terms, failed
from wardround.records import Answer, ImagePart, Request

if TYPE_CHECKING:
    from wardround.models.batching import Engine, Row


class _Job:
    """A request with who waits for it: `future` for the whole answer, `pieces` for a stream."""

    def __init__(self, request: Request, terms: Terms, *, streams: bool) -> None:
        self.request = request
        self.terms = terms
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Answer] = self.loop.create_future()
        self.pieces: asyncio.Queue[str | Answer] | None = asyncio.Queue() if streams else None
        self.started = time.monotonic()

    def hand(self, item: str | Answer) -> None:
        """In the loop of who waits: a piece or the end has come."""
        if self.pieces is not None:
            self.pieces.put_nowait(item)
        elif isinstance(item, Answer) and not self.future.done():
            self.future.set_result(item)


class LocalModel:
    """The causal language model in the directory `path`, shown as the directory's name.

    `UsageError` when the directory or the tuning stack is missing. `identity` carries the directory's digest
    (the artifact's own for a checkpoint artifact, whose labels are taken over). `batch_size` is how many answers
    are made at once at most.
    """

    def __init__(self, path: Path | str, *, batch_size: int = 8, device: str = "") -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UsageError(f"local:{path}: no such directory", hint="check the path")
        for package in ("torch", "transformers"):
            if importlib.util.find_spec(package) is None:
                raise UsageError(
                    f"local:{path}: a local model needs {package}, which is not installed",
                    hint='install the extra "tune": pip install "wardround[tune]"',
                )
        source = ref(self.path, "model", seen_from=self.path)
        if source.kind not in {"directory", "checkpoint"}:
            raise UsageError(
                f"local:{path}: a {source.kind} artifact, not a checkpoint",
                hint="name a directory that `wardround tune` wrote, or a Hugging Face one",
            )
        self.name = self.path.resolve().name
        self.identity = {"kind": "local", "digest": source.digest}
        made = checkpoint_of(self.path)
        self.labels: tuple[str, ...] = made.manifest.labels if made else ()
        self.batch_size = max(1, batch_size)
        self._device = device
        self._engine: Engine | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._working: dict[Row, _Job] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._loading = threading.Lock()

    @property
    def load(self) -> dict[str, int]:
        """Answers under way and in line, decoding steps so far, and the most answers one step had."""
        engine = self._engine
        if engine is None:
            return {"under_way": 0, "waiting": 0, "steps": 0, "most": 0}
        return {
            "under_way": engine.under_way, "waiting": engine.waiting + self._jobs.qsize(),
            "steps": engine.steps, "most": engine.most,
        }  # fmt: skip

    async def check(self) -> None:
        """Load the model; `ModelError` when its files are not whole."""
        if self._thread is None:
            await asyncio.to_thread(self._start)

    def _start(self) -> None:
        from wardround.models.batching import Engine
        from wardround.models.loaded import Loaded

        with self._loading:
            if self._thread is not None:
                return
            self._engine = Engine(Loaded(self.path, self._device), self.batch_size)
            self._stopping.clear()
            self._thread = threading.Thread(
                target=self._work, args=(self._engine,), name=f"model-{self.name}", daemon=True
            )
            self._thread.start()

    async def complete(self, request: Request) -> Answer:
        """Answer one request."""
        return await self.answer(request, Terms())

    async def answer(self, request: Request, terms: Terms) -> Answer:
        """Answer one request under terms that only a server's client can set."""
        if self._thread is None:
            await self.check()
        job = _Job(request, terms, streams=False)
        self._jobs.put(job)
        return await job.future

    async def stream(self, request: Request, terms: Terms) -> AsyncIterator[str | Answer]:
        """The answer's text in pieces as it comes, then the `Answer` with all of it; just a failed one when it
        can't be asked, and after some pieces when it breaks off."""
        if self._thread is None:
            await self.check()
        job = _Job(request, terms, streams=True)
        assert job.pieces is not None
        self._jobs.put(job)
        try:
            while True:
                found = [await job.pieces.get()]
                while not job.pieces.empty():
                    found.append(job.pieces.get_nowait())
                text = "".join(x for x in found if isinstance(x, str))
                if text:
                    yield text
                if isinstance(found[-1], Answer):
                    yield found[-1]
                    return
        finally:
            job.future.cancel()

    async def close(self) -> None:
        """Stop the thread at its next token and free the weights."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._jobs.put(None)
            await asyncio.to_thread(thread.join)
        if self._engine is not None:
            self._engine.loaded.free()
            self._engine = None

    def _work(self, engine: Engine) -> None:
        """The worker thread: take requests, make tokens, hand over what came of it, until `close`."""
        while not self._stopping.is_set():
            ready = self._gather(engine)
            if self._stopping.is_set():
                break
            events = _turn(engine)
            found = [(self._working[row], item) for row, item in events]
            for row, item in events:
                if isinstance(item, Answer):
                    del self._working[row]
            _hand_over(ready + found)
            if len(self._working) > engine.under_way + engine.waiting:  # some were given up
                self._working = {r: j for r, j in self._working.items() if not j.future.done()}
        engine.clear()
        left = list(self._working.values())
        self._working = {}
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                left += [job] if job is not None else []
        closed = failed("closed", "the model was closed before it answered")
        _hand_over([(job, closed) for job in left])

    def _gather(self, engine: Engine) -> list[tuple[_Job, Answer]]:
        """Put what is asked in line, waiting for it only where there is nothing else to do. Returns what can't
        be asked, with the reason."""
        refused: list[tuple[_Job, Answer]] = []
        with contextlib.suppress(queue.Empty):
            while engine.waiting < 2 * self.batch_size:
                idle = not (engine.under_way or engine.waiting or refused)
                job = self._jobs.get(block=idle)
                if job is None:
                    break
                if job.future.done():
                    continue
                row = _row(engine, job)
                if isinstance(row, Answer):
                    refused.append((job, row))
                else:
                    self._working[row] = job
                    engine.add(row)
        return refused


def _turn(engine: Engine) -> Sequence[tuple[Row, str | Answer]]:
    """One turn. What the engine can't lay at one request's door fails those at hand, not those to come."""
    try:
        return engine.turn()
    except Exception as e:
        reason = f"{type(e).__name__}: {' '.join(str(e).split())[:200]}"
        return [(row, failed("generation", reason)) for row in engine.clear()]


def _row(engine: Engine, job: _Job) -> Row | Answer:
    """The request as the engine takes it, or why it can't be asked."""
    from wardround.models.batching import row_of
    from wardround.models.speaking import Speaker

    request, loaded = job.request, engine.loaded
    parts = (p for m in request.messages if not isinstance(m.content, str) for p in m.content)
    if any(isinstance(p, ImagePart) for p in parts):
        return failed("images", "this model reads text only")
    try:
        ids = loaded.prompt(request.messages)
    except Exception as e:  # a template may refuse what it is given (jinja2 errors of any kind)
        return failed("template", " ".join(str(e).split())[:200])
    if not ids:
        return failed("template", "the prompt is empty")
    if len(ids) >= loaded.context:
        return failed(
            "context", f"the prompt has {len(ids)} tokens; the model takes {loaded.context}"
        )
    speaks = job.pieces is not None or job.terms.stop
    settings = {
        "temperature": request.temperature,
        "top_p": job.terms.top_p,
        "seed": request.seed,
    }
    return row_of(
        loaded, ids, min(request.max_tokens, loaded.context - len(ids)), settings,
        speaker=Speaker(loaded.text, job.terms.stop) if speaks else None,
        wanted=lambda: not job.future.done(),
    )  # fmt: skip


def _hand_over(found: Sequence[tuple[_Job, str | Answer]]) -> None:
    """Give every item to who waits for it, each loop woken once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, str | Answer]]] = {}
    for job, item in found:
        if isinstance(item, Answer):
            spent = round(time.monotonic() - job.started, 6)
            item = msgspec.structs.replace(item, latency_s=spent)
        elif job.pieces is None:
            continue
        by_loop.setdefault(job.loop, []).append((job, item))
    for loop, items in by_loop.items():
        with contextlib.suppress(RuntimeError):  # a loop that has ended waits for nothing
            loop.call_soon_threadsafe(_hand_all, items)


def _hand_all(items: Sequence[tuple[_Job, str | Answer]]) -> None:
    for job, item in items:
        job.hand(item)
