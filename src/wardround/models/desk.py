"""What pieces of work ask through: one asker a journal, one desk for all askers of a session.

An `Asker` belongs to one job: its journal, its ledger, its slots. The `Desk` holds what jobs share, so that a model
asked by ten of them is still one model: it is checked once, limited once, given up once, and closed when the last
job that may ask it has ended.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from wardround.errors import JournalError, ModelError
from wardround.journal import Journal
from wardround.models import Model
from wardround.models.cache import Cacheable, ReplyCache, keepable
from wardround.models.ledger import Ledger
from wardround.models.limiter import Limited, Limiter
from wardround.models.wire import reason_code
from wardround.records import Answer, Request

BREAK_AFTER = 20
BREAKING = frozenset({"connection", "http 401", "http 403"})


class Desk:
    """All models of one session. `models` names each once for every job that may ask it.

    `concurrency` is the limit of an endpoint that has none of its own. Models behind one endpoint share a
    limiter; the smallest ceiling any of them gives it is the endpoint's.
    """

    def __init__(
        self, models: Sequence[Model], concurrency: int, cache: ReplyCache | None = None
    ) -> None:
        self.cache = cache
        self.concurrency = concurrency
        self._models = {id(m): m for m in models}
        self._users = Counter(map(id, models))
        self._checks: dict[int, asyncio.Task[None]] = {}
        self._lost = dict.fromkeys(self._models, 0)
        self._gone: dict[int, ModelError] = {}
        self._closing: list[asyncio.Future[None]] = []
        self._limit()

    def _limit(self) -> None:
        limited = [m for m in self._models.values() if isinstance(m, Limited)]
        ceilings: dict[str, int] = {}
        for model in limited:
            if model.ceiling:
                given = ceilings.get(model.endpoint, model.ceiling)
                ceilings[model.endpoint] = min(given, model.ceiling)
        limiters: dict[str, Limiter] = {}
        for model in limited:
            key = model.endpoint
            if key not in limiters:
                limiters[key] = Limiter(ceilings.get(key, self.concurrency))
            model.limiter = limiters[key]

    def width(self, models: Sequence[Model]) -> int:
        """How many requests a job with these models may have on its way: what its widest endpoint takes."""
        return max(
            (
                m.limiter.ceiling
                if isinstance(m, Limited) and m.limiter is not None
                else self.concurrency
                for m in models
            ),
            default=self.concurrency,
        )

    async def check(self, models: Sequence[Model]) -> None:
        """Check each model that has not been, all at the same time; the first of them that is dead speaks."""
        ends = await asyncio.gather(
            *(asyncio.shield(self._check(m)) for m in models), return_exceptions=True
        )
        _raise_first(ends)

    def _check(self, model: Model) -> asyncio.Task[None]:
        task = self._checks.get(id(model))
        if task is None:
            task = self._checks[id(model)] = asyncio.ensure_future(_checked(model))
        return task

    def still_there(self, model: Model) -> None:
        """`ModelError` once a model has been given up, whichever job it was that lost it."""
        if self._gone and id(model) in self._gone:
            raise self._gone[id(model)]

    def watch(self, model: Model, answer: Answer) -> None:
        """Count requests lost in a row; at `BREAK_AFTER` the model counts as gone."""
        if answer.status == "ok" or reason_code(answer.reason) not in BREAKING:
            self._lost[id(model)] = 0
            return
        self._lost[id(model)] += 1
        if self._lost[id(model)] >= BREAK_AFTER:
            self._gone[id(model)] = ModelError(
                f"{model.name}: {BREAK_AFTER} requests in a row were lost ({answer.reason})",
                hint="see to the endpoint, then run the same command again; answers so far are kept",
            )
            raise self._gone[id(model)]

    async def leave(self, models: Sequence[Model]) -> None:
        """One job asks these no more; close those that no job asks now."""
        self._users.subtract(id(m) for m in models)
        unused = [m for m in models if self._users[id(m)] == 0]
        closing = asyncio.ensure_future(self._close(unused))
        self._closing.append(closing)
        await asyncio.shield(closing)  # a job stopped here must not leave a socket half closed

    async def close(self) -> None:
        """Wait for what is being closed, and close what a job that never began has left open."""
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._close([m for k, m in self._models.items() if self._users[k] > 0])

    async def _close(self, models: Sequence[Model]) -> None:
        """Close models, each even if another fails to close."""
        for model in models:
            task = self._checks.pop(id(model), None)
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        _raise_first(await asyncio.gather(*(m.close() for m in models), return_exceptions=True))


async def _checked(model: Model) -> None:
    await model.check()


def _raise_first(ends: Sequence[BaseException | None]) -> None:
    for end in ends:
        if end is not None:
            raise end


class Asker:
    """What all requests of one job share: the journal, the slots."""

    def __init__(
        self, desk: Desk, models: Sequence[Model], journal: Journal, ledger: Ledger, slots: int
    ) -> None:
        self._desk = desk
        self._models = {id(m): m for m in models}
        self._journal = journal
        self._ledger = ledger
        self._cache = desk.cache
        self._slots = asyncio.Semaphore(slots)
        self._checked = False
        self._in_flight: set[str] = set()
        self.failures = 0

    async def ask(self, model: Model, request: Request) -> Answer:
        """The journal's answer to `request`, or the model's, journalled."""
        key = request.key
        known: Answer | None = self._journal.find(key, Answer)
        if known is not None:
            return known
        if id(model) not in self._models:
            raise ValueError(f"{model.name} is not among the models of this run")
        if key in self._in_flight:
            raise JournalError(
                f"{self._journal.path}: key {key!r} is asked twice at once",
                hint="every piece of model work needs a key of its own",
            )
        self._in_flight.add(key)
        try:
            return self._had(model, request) or await self._asked(model, request)
        finally:
            self._in_flight.discard(key)

    def _had(self, model: Model, request: Request) -> Answer | None:
        """The cache's reply, journalled; None when there is none or it must be asked."""
        if self._cache is None or not isinstance(model, Cacheable) or not keepable(request):
            return None
        found = self._cache.get(model.request_digest(request), request.nth)
        if found is None:
            return None
        answer = msgspec.structs.replace(found, model=model.name, cached=True, charged=0.0)
        return self._keep(request.key, answer, 0.0)

    async def _asked(self, model: Model, request: Request) -> Answer:
        async with self._slots:
            if not self._checked:
                await self._desk.check(list(self._models.values()))
                self._checked = True
            self._desk.still_there(model)
            worst = await self._ledger.reserve(model, request)
            try:
                reply = await model.complete(request)
                answer = msgspec.structs.replace(reply, model=model.name)
                answer = self._keep(request.key, answer, worst)
            finally:
                self._ledger.settle(worst)
        if (
            answer.status == "ok"
            and self._cache is not None
            and isinstance(model, Cacheable)
            and keepable(request)
        ):
            self._cache.put(model.request_digest(request), request.nth, answer)
        self._desk.watch(model, answer)
        return answer

    def _keep(self, key: str, answer: Answer, worst: float) -> Answer:
        """Journal an answer: under its key when ok, else under the next free `key!n`."""
        answer = self._ledger.enter(answer, worst)
        if answer.status == "ok":
            self._journal.append(key, answer)
            return answer
        self.failures += 1
        tries = 1
        while f"{key}!{tries}" in self._journal:
            tries += 1
        self._journal.append(f"{key}!{tries}", answer)
        return answer
