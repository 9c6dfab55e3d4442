"""The worker: takes drafts that are due from the queue, asks the models, writes what comes back.

It runs as a thread of the web app (`start`) or by itself (`run`). Several may work on one database at once. Models are
opened when first needed and asked with bounded concurrency. A model that can't be reached is left alone for a while,
its jobs stay queued and say why. Stopped, it gives back what it held; killed, its leases run out.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from wardround.errors import ConflictError, StoreError, WardroundError
from wardround.models import Model
from wardround.models.ask import new_loop
from wardround.models.names import ModelOptions, open_model
from wardround.models.wire import reason_code
from wardround.records import complete_types
from wardround.review import drafting, jobs
from wardround.review.jobs import Claimed
from wardround.store.base import now
from wardround.store.database import Store

CONCURRENCY = 4
POLL_S = 1.0
PAUSE_S, MOST_PAUSE_S = 5.0, 300.0
"""How long a model that can't be reached is left alone; doubled each time up to the second."""
UNREACHABLE = ("connection", "timeout", "http")
"""How reasons begin that speak of the endpoint, not of the question."""

CONFLICTS = 4
"""How often a draft is written again after PostgreSQL chose another transaction over it."""

Opener = Callable[[str], Model]


@dataclass
class Tally:
    """What a worker has done since it began. `failed` jobs are queued again; `trouble` is the last error."""

    written: int = 0
    unreadable: int = 0
    failed: int = 0
    trouble: str = ""
    states: dict[str, int] = field(default_factory=dict)


class Worker:
    """A running worker. `tally` may be read from any thread; `stop` waits until what it held is given back."""

    def __init__(
        self,
        store: Store,
        *,
        concurrency: int = CONCURRENCY,
        poll_s: float = POLL_S,
        lease_ms: int = jobs.LEASE_MS,
        opener: Opener | None = None,
    ) -> None:
        self.tally = Tally()
        self._store, self._most, self._poll, self._lease = store, concurrency, poll_s, lease_ms
        self._opener = opener or _opened
        self._models: dict[str, Model] = {}
        self._paused: dict[str, tuple[float, float]] = {}  # spec → until, for how long
        self._since: dict[str, int] = {}  # spec → when its pause began, by the clock of events
        self._held: dict[int, Claimed] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> Worker:
        """Work in a thread until stopped."""
        self._thread = threading.Thread(target=self.work, name="review-worker", daemon=True)
        self._thread.start()
        return self

    def stop(self, timeout_s: float = 30.0) -> None:
        """End, giving back what is under way. May be called twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def work(self, *, once: bool = False, each: Callable[[Tally], None] | None = None) -> Tally:
        """Work in this thread: until stopped, or with `once` until nothing is due. `each` is called after every job."""
        complete_types()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(self._run(once, each))
        return self.tally

    async def _run(self, once: bool, each: Callable[[Tally], None] | None) -> None:
        tasks: set[asyncio.Task[None]] = set()
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._stopping.is_set():
                claimed = await self._claim(self._most - len(tasks), quietly=not once)
                for one in claimed:
                    self._held[one.id] = one
                    tasks.add(asyncio.create_task(self._do(one, each)))
                if not tasks:
                    if once:
                        return
                    await self._idle()
                    continue
                done, tasks = await asyncio.wait(
                    tasks, timeout=self._poll, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
        finally:
            renewing.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(renewing, *tasks, return_exceptions=True)
            await self._leave()

    async def _idle(self) -> None:
        """Wait for the next look, or the end."""
        until = time.monotonic() + self._poll
        while not self._stopping.is_set() and time.monotonic() < until:
            await asyncio.sleep(min(0.05, self._poll))

    async def _claim(self, most: int, *, quietly: bool) -> list[Claimed]:
        if most < 1:
            return []
        try:
            resting = await asyncio.to_thread(self._resting)
            return await asyncio.to_thread(
                jobs.claim, self._store, most, paused=resting, lease_ms=self._lease
            )
        except StoreError as e:
            if not quietly:
                raise
            self.tally.trouble = str(e)  # the database is away: look again later
            return []

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3000)
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(
                    jobs.renew, self._store, list(self._held.values()), lease_ms=self._lease
                )

    async def _do(self, one: Claimed, each: Callable[[Tally], None] | None) -> None:
        try:
            await self._try(one)
            del self._held[one.id]
        except StoreError as e:  # it stays ours until the lease ends, then someone does it again
            self.tally.trouble = str(e)
            self._held.pop(one.id, None)
        except Exception as e:  # one job must not end the work of all: told where the job is shown
            await self._back(one, f"{type(e).__name__}: {e}", rest=False)
            self._held.pop(one.id, None)
        if each is not None:
            each(self.tally)

    async def _try(self, one: Claimed) -> None:
        try:
            work = await asyncio.to_thread(self._look, one)
            if work is None:
                await asyncio.to_thread(jobs.drop, self._store, one)
                return
            model = await self._model(one.model)
            key = f"draft/{one.study}/{work.key}/{one.round}/{one.tries}"
            made = await drafting.attempt(
                model.complete, key, work.question, previous=work.previous, guidance=one.guidance
            )
        except StoreError:
            raise
        except WardroundError as e:
            await self._back(one, str(e), rest=True)
            return
        if made.status == "failed":
            unreachable = reason_code(made.reason).startswith(UNREACHABLE)
            if unreachable or one.tries < jobs.UNREAD_AFTER:
                await self._back(one, f"{model.name}: {made.reason}", rest=unreachable)
                return
        self._paused.pop(one.model, None)
        state = await asyncio.to_thread(self._finish, one, made, model.name)
        self.tally.states[state] = self.tally.states.get(state, 0) + 1
        if made.draft is not None:
            self.tally.written += state not in ("late", "cancelled")
        else:
            self.tally.unreadable += 1

    def _look(self, one: Claimed) -> jobs.Work | None:
        with self._store.read() as conn:
            return jobs.work_of(conn, one)

    def _finish(self, one: Claimed, made: drafting.Attempt, author: str) -> str:
        for _ in range(CONFLICTS):
            with contextlib.suppress(ConflictError):
                return jobs.finish(self._store, one, made, author)
        return jobs.finish(self._store, one, made, author)

    async def _back(self, one: Claimed, error: str, *, rest: bool) -> None:
        self.tally.failed += 1
        self.tally.trouble = error
        if rest:
            self._rest(one.model)
        await asyncio.to_thread(jobs.put_back, self._store, one, error)

    def _resting(self) -> list[str]:
        """Models to leave alone for now: none that a coordinator has said to try again."""
        specs = [spec for spec, (until, _) in self._paused.items() if time.monotonic() < until]
        if not specs:
            return []
        with self._store.read() as conn:
            hurried = jobs.last_hurried(conn)
        for spec in specs:
            if self._since[spec] <= hurried:
                del self._paused[spec]
        return [spec for spec in specs if spec in self._paused]

    def _rest(self, spec: str) -> None:
        """Leave a model alone for a while, longer each time; failures of one moment count once."""
        until, length = self._paused.get(spec, (0.0, 0.0))
        if time.monotonic() >= until:
            length = min(max(PAUSE_S, 2 * length), MOST_PAUSE_S)
            self._paused[spec] = (time.monotonic() + length, length)
            self._since[spec] = now()

    async def _model(self, spec: str) -> Model:
        """The model, opened and checked at its first use."""
        found = self._models.get(spec)
        if found is not None:
            return found
        if not spec:
            raise WardroundError(
                "this study names no model to write drafts",
                hint="open the study with --model, or with --on-fail revise",
            )
        model = self._opener(spec)
        try:
            await model.check()
        except BaseException:
            await model.close()
            raise
        if spec in self._models:  # another job was faster
            await model.close()
        return self._models.setdefault(spec, model)

    async def _leave(self) -> None:
        """Give back what is held and close the models."""
        if self._held:
            with contextlib.suppress(StoreError):
                await asyncio.to_thread(jobs.release, self._store, list(self._held.values()))
            self._held.clear()
        for model in self._models.values():
            await model.close()
        self._models.clear()


def _opened(spec: str) -> Model:
    """The queue has its own patience: an endpoint is tried again once, then the job waits."""
    return open_model(spec, options=ModelOptions(retries=1))


def start(store: Store, *, concurrency: int = CONCURRENCY, opener: Opener | None = None) -> Worker:
    """A worker in a thread of this process."""
    return Worker(store, concurrency=concurrency, opener=opener).begin()
