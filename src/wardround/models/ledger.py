"""What a run's requests cost: tokens, money and time, by model; and the cap that money must not pass.

The figures come from the journal alone: every answer in it names its model, its tokens and its seconds, so an
interrupted run adds up over all its sessions, and nothing is counted twice. A reply from the cache costs
nothing.

The cap counts pessimistically. Before a request goes out its worst case is set aside: a token for each byte of
its text, and `max_tokens` of answer. An answer whose tokens the endpoint doesn't tell is charged that worst
case, as is a failed request that may have been billed (a timeout, half a body). A request refused with an HTTP
error is free. So the cap holds as long as the endpoint bills what it tells.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from wardround.errors import CostCapError
from wardround.journal import Journal
from wardround.models import Model
from wardround.records import Answer, ImagePart, Message, Record, Request

MILLION = 1_000_000
OVERHEAD = 16
"""Tokens a chat template may add to a message."""
IMAGE = 4096
"""Tokens a picture is taken to cost at the most; endpoints differ, and few count one within our bounds higher."""
POINTS = (50, 90, 99)
FREE_OF_CHARGE = ("http ", "connection")
"""Reasons of failed requests that no endpoint bills."""


class Price(Record, frozen=True, kw_only=True):
    """Per million tokens, in the user's own currency."""

    per_in: float
    per_out: float

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """The price of so many tokens."""
        return (tokens_in * self.per_in + tokens_out * self.per_out) / MILLION


FREE = Price(per_in=0.0, per_out=0.0)


class _Account:
    """One model's sums."""

    def __init__(self) -> None:
        self.answered = self.failed = self.cached = self.untold = 0
        self.tokens_in = self.tokens_out = 0
        self.seconds = array("d")


class Budget:
    """What one command may spend: one run, or several that share it. `cap` None: nothing is refused; what is
    free never is."""

    def __init__(self, cap: float | None = None) -> None:
        self.cap = cap
        self.charged = 0.0
        self._set_aside = 0.0
        self._in_flight = 0
        self._settled = asyncio.Event()

    async def reserve(self, worst: float) -> bool:
        """Set `worst` aside, waiting near the cap for requests in flight to cost less than feared; False when
        none is left in flight and there is still no room."""
        if self.cap is None:
            return True
        while worst and self.charged + self._set_aside + worst > self.cap:
            if self._in_flight == 0:
                return False
            self._settled.clear()
            await self._settled.wait()
        self._set_aside += worst
        self._in_flight += 1
        return True

    def settle(self, worst: float) -> None:
        """Free what was set aside."""
        if self.cap is None:
            return
        self._in_flight -= 1
        self._set_aside = self._set_aside - worst if self._in_flight else 0.0
        self._settled.set()


class Ledger:
    """The accounts of one run's models, paid from `budget`: the run's own with a `cap`, when none is given.

    `prices` by model name; a model without one has no cost, only tokens.
    """

    def __init__(
        self,
        prices: Mapping[str, Price] | None = None,
        *,
        cap: float | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._prices = dict(prices or {})
        self._budget = budget or Budget(cap)
        self._accounts: dict[str, _Account] = {}
        self._charged = 0.0
        self._refused: CostCapError | None = None
        self._started = self._ended = 0.0

    def open(self, journal: Journal) -> None:
        """Add up what earlier sessions of the same run spent."""
        for answer in journal.values(Answer):
            self._enter(answer, max(answer.charged, self._known(answer)))

    async def reserve(self, model: Model, request: Request) -> float:
        """Set the worst case of `request` aside while it is in flight, and return it for `settle`.

        Near the cap it waits for requests in flight to cost less than feared; `CostCapError` when none is
        left and there is still no room. After that every request is refused, so that none is in flight when
        the run ends.
        """
        if not self._started:
            self._started = self._ended = time.monotonic()
        if self._budget.cap is None:
            return 0.0
        worst = self.worst(model, request)
        room = self._refused is None and await self._budget.reserve(worst)
        refused = self._refused
        if room and refused is None:
            return worst
        if room:  # another request was refused while this one waited
            self._budget.settle(worst)
        self._refused = refused or self._refusal(model, worst)
        raise self._refused

    def settle(self, worst: float) -> None:
        """Free what `reserve` set aside."""
        self._budget.settle(worst)

    def enter(self, answer: Answer, worst: float) -> Answer:
        """Count one answer, charged with what it cost or, where that isn't known, its worst case."""
        unknown = answer.tokens_in is None or answer.tokens_out is None
        if answer.status == "failed":
            unknown = not answer.reason.startswith(FREE_OF_CHARGE)
        charged = 0.0
        self._ended = time.monotonic()
        if not answer.cached:
            charged = worst if unknown else self._known(answer)
        self._enter(answer, charged)
        return msgspec.structs.replace(answer, charged=charged) if charged else answer

    def _known(self, answer: Answer) -> float:
        """What the endpoint told, at today's prices."""
        price = self._prices.get(answer.model)
        if price is None or answer.cached:
            return 0.0
        return price.of(answer.tokens_in or 0, answer.tokens_out or 0)

    def _enter(self, answer: Answer, charged: float) -> None:
        account = self._accounts.setdefault(answer.model, _Account())
        self._charged += charged
        self._budget.charged += charged
        if answer.cached:
            account.cached += 1
        elif answer.status == "failed":
            account.failed += 1
        else:
            account.answered += 1
            account.seconds.append(answer.latency_s)
            account.tokens_in += answer.tokens_in or 0
            account.tokens_out += answer.tokens_out or 0
            account.untold += answer.tokens_in is None or answer.tokens_out is None

    def worst(self, model: Model, request: Request) -> float:
        """The most that `request` can cost at one try."""
        price = self._prices.get(model.name)
        if price is None:
            return 0.0
        given = sum(len(m.text.encode()) + OVERHEAD + IMAGE * _images(m) for m in request.messages)
        return price.of(given, request.max_tokens)

    def _refusal(self, model: Model, worst: float) -> CostCapError:
        return CostCapError(
            f"stopped before the cost would pass {self._budget.cap:g}: {self._budget.charged:.6g} is "
            f"spent, and the next request to {model.name} may cost {worst:.2g}",
            hint="the same command with a higher --max-cost goes on; what was answered is kept",
        )

    def cost(self) -> dict[str, float]:
        """For a manifest: totals, then the same by model. "cost" only where a price is known."""
        out: dict[str, float] = {}
        for name, account in sorted(self._accounts.items()):
            out.update({f"{name}: {k}": v for k, v in self._figures(name, account).items()})
        totals: dict[str, float] = {}
        for name, account in self._accounts.items():
            for k, v in self._figures(name, account).items():
                totals[k] = totals.get(k, 0.0) + v
        return {**totals, **out}

    def _figures(self, name: str, account: _Account) -> dict[str, float]:
        out = {
            "requests": float(account.answered + account.failed),
            "cached": float(account.cached),
            "tokens_in": float(account.tokens_in),
            "tokens_out": float(account.tokens_out),
        }
        if account.untold:
            out["tokens_untold"] = float(account.untold)
        price = self._prices.get(name)
        if price is not None:
            out["cost"] = round(price.of(account.tokens_in, account.tokens_out), 6)
        return out

    @property
    def seconds(self) -> float:
        """From this session's first request to its last answer; 0 when it asked nothing."""
        return self._ended - self._started if self._started else 0.0

    def timing(self) -> dict[str, dict[str, float]]:
        """Seconds per answered request by model: p50, p90, p99, longest."""
        return {n: percentiles(a.seconds) for n, a in sorted(self._accounts.items()) if a.seconds}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 (nearest rank) and the longest of `seconds`, with their number."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    ranks: Iterator[tuple[str, int]] = (
        (f"p{p}", max(0, -(-p * len(ordered) // 100) - 1)) for p in POINTS
    )
    found = {name: round(ordered[min(rank, last)], 4) for name, rank in ranks} if ordered else {}
    return {
        "n": float(len(ordered)),
        **found,
        **({"max": round(ordered[-1], 4)} if ordered else {}),
    }


def _images(message: Message) -> int:
    """How many pictures a message carries."""
    if isinstance(message.content, str):
        return 0
    return sum(isinstance(part, ImagePart) for part in message.content)
