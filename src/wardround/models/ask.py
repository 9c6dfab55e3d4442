"""Many requests through one or several models: bounded, journalled, resumable.

`run` is the synchronous edge other rooms call; no coroutine leaves this room but those it is handed. `run_jobs` does
several jobs at once, each with a journal of its own, in one event loop: a job that fails leaves the others alone.
Work is pulled lazily, so at most as many pieces of a job live at once as requests of it may fly.

Journal. An ok answer is written under its request's key the moment it is there, and replayed without a call
when the same work is run again: after kill -9 only what was in flight is asked anew. A failed answer is
written under `key!1`, `key!2`, … for audit and never replayed, so the next session asks again. Keys belong
to the caller, one per piece of model work.

Besides the journal two more things may stand between a request and its endpoint: a `ReplyCache` (a reply had in
any earlier run is journalled as cached, not asked again) and a `Ledger` with a cost cap (`CostCapError` before
a request that might pass it). How many requests one endpoint has in flight, whoever asks, adapts below its limit:
see `limiter`.

Before the first request that the journal can't answer, every model of the job is checked once: a dead judge is
found before the first answer is paid for. `BREAK_AFTER` requests in a row that end without a connection, or with
a refused key, end every job that needs the model with `ModelError`; what is journalled stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wardround.errors import UsageError, WardroundError
from wardround.journal import Journal
from wardround.models import Model
from wardround.models.cache import ReplyCache
from wardround.models.desk import BREAK_AFTER as BREAK_AFTER
from wardround.models.desk import Asker, Desk
from wardround.models.ledger import Ledger
from wardround.progress import Progress
from wardround.records import Answer, Request, complete_types

Ask = Callable[[Model, Request], Awaitable[Answer]]
"""What a piece of work calls to ask a model: journalled, bounded, never raising for one bad reply."""

R = TypeVar("R")
WAITING: Any = None
"""In the place of a result that is still worked on."""


@dataclass(frozen=True, kw_only=True)
class Job(Generic[R]):
    """Work with a journal of its own. `models` are all that the work may ask.

    `ledger` counts every answer in the journal, earlier sessions' too. `alone` jobs go one after the other, beside
    the rest: models that run here would only share one machine. `then` gets the results, in a thread, one job's at
    a time, while other jobs go on; an error from it is the job's.
    """

    name: str = ""
    work: Iterable[Callable[[Ask], Awaitable[R]]]
    models: Sequence[Model]
    journal: Journal
    ledger: Ledger | None = None
    alone: bool = False
    then: Callable[[list[R]], object] | None = None


def run(
    work: Iterable[Callable[[Ask], Awaitable[R]]],
    *,
    models: Sequence[Model],
    journal: Journal,
    concurrency: int,
    progress: Progress | None = None,
    ledger: Ledger | None = None,
    cache: ReplyCache | None = None,
) -> list[R]:
    """Do every piece of `work`, at most `concurrency` at once; results in the order of `work`.

    `models` are all that the work may ask; they are closed at the end, whatever it is, and can be used
    again. `progress` advances once per piece of work; `ledger` counts every answer in the journal, earlier
    sessions' too. An error from the work or the models cancels what is in flight and is raised here, as is Ctrl-C;
    the journal is left open for its owner to close.
    """
    job = Job(work=work, models=models, journal=journal, ledger=ledger)
    (end,) = run_jobs([job], concurrency=concurrency, progress=progress, cache=cache)
    if isinstance(end, list):
        return end
    raise end


def run_jobs(
    jobs: Sequence[Job[R]],
    *,
    concurrency: int,
    progress: Progress | None = None,
    cache: ReplyCache | None = None,
) -> list[list[R] | WardroundError | OSError]:
    """Do all `jobs` at once; for each its results in the order of its work, or the error that ended it.

    `concurrency` limits each endpoint that has no limit of its own. Models are closed as soon as no job asks
    them any more. Ctrl-C and errors that are nobody's fault but the code's end all jobs and are raised here.
    """
    if concurrency < 1:
        raise ValueError("concurrency must be 1 or more")
    _not_in_a_loop()
    complete_types()  # a job's results are finished in a thread beside those of others
    for job in jobs:
        if job.ledger is not None:
            job.ledger.open(job.journal)
    desk = Desk([m for job in jobs for m in _distinct(job.models)], concurrency, cache)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(_Session(jobs, desk, progress).run())


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for models to be asked in: one that can wait for libcurl's sockets."""
    return asyncio.SelectorEventLoop() if sys.platform == "win32" else asyncio.new_event_loop()


def _distinct(models: Sequence[Model]) -> list[Model]:
    return list({id(m): m for m in models}.values())


def _not_in_a_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise UsageError(
        "models can't be asked from inside a running event loop",
        hint="in a notebook: await asyncio.to_thread(...) around the call",
    )


class _Session(Generic[R]):
    """One event loop's worth of jobs."""

    def __init__(self, jobs: Sequence[Job[R]], desk: Desk, progress: Progress | None) -> None:
        self._jobs, self._desk, self._progress = jobs, desk, progress
        self._lane, self._finishing = asyncio.Lock(), asyncio.Lock()
        self._troubles: dict[str, str] = {}
        self._note = ""

    async def run(self) -> list[list[R] | WardroundError | OSError]:
        tasks = [asyncio.create_task(self._job(job)) for job in self._jobs]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._desk.close()

    async def _job(self, job: Job[R]) -> list[R] | WardroundError | OSError:
        try:
            async with self._lane if job.alone else contextlib.nullcontext():
                try:
                    results = await self._work(job)
                finally:
                    await self._desk.leave(_distinct(job.models))
            if job.then is not None:
                async with self._finishing:
                    await asyncio.to_thread(job.then, results)
            return results
        except (WardroundError, OSError) as e:
            self._trouble(job, "stopped")
            return e

    async def _work(self, job: Job[R]) -> list[R]:
        results: list[R] = []
        numbered = enumerate(job.work)
        width = self._desk.width(job.models)
        asker = Asker(self._desk, job.models, job.journal, job.ledger or Ledger(), width)
        noted = 0

        async def worker() -> None:
            nonlocal noted
            for index, piece in numbered:
                results.append(WAITING)
                results[index] = await piece(asker.ask)
                if asker.failures != noted:
                    noted = asker.failures
                    self._trouble(job, f"{noted} failed")
                if self._progress is not None:
                    self._progress.advance(note=self._note)
                # Replayed work never waits; without this Ctrl-C would not be heard until its end.
                await asyncio.sleep(0)

        workers = [asyncio.create_task(worker()) for _ in range(width)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for task in workers:
                if task in done:
                    task.result()
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return results

    def _trouble(self, job: Job[R], what: str) -> None:
        """What the progress line says beside the count, by job where there are several."""
        self._troubles[job.name] = what
        self._note = ", ".join(f"{n}: {w}" if n else w for n, w in self._troubles.items())
