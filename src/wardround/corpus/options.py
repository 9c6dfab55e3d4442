"""What a dataset is built with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from wardround import taxonomy
from wardround.corpus.balance import Balance
from wardround.corpus.checks import Limits
from wardround.corpus.refine import OnBroken
from wardround.corpus.shards import Making
from wardround.errors import UsageError
from wardround.models.ledger import Price
from wardround.records import Record

SAME_ANYWAY = frozenset(
    {"concurrency", "accept_failures", "engine", "workers", "prices", "max_cost", "fresh"}
)


class BuildOptions(Record, frozen=True, kw_only=True):
    """What to build. `tasks` are task ids, all when empty; `licence` is one statement for all sources or a
    mapping from file name (or path as given) to its own; `mapping` a file that says what unknown fields are.
    Quotas are upper bounds for the test side. `held_out` are test sets that must stay out of reach.

    `private` replaces personal identifiers, `near` drops near-duplicates. `on_broken` says what becomes of a
    sample whose rewrites broke a rule; `concurrency` requests at once; `accept_failures` seals the dataset though
    some failed. `engine`, `workers`, prices and costs have no influence on what is built.
    """

    tasks: tuple[str, ...] = ()
    test_per_task: int = 25
    test_dialogues: int = 74
    seed: int = 0
    licence: str | Mapping[str, str] = "unstated"
    mapping: Path | None = None
    strict: bool = False
    limits: Limits = Limits()
    wordings: bool = False
    private: bool = True
    near: bool = True
    held_out: tuple[Path, ...] = ()
    balance: Balance = Balance()
    exports: tuple[str, ...] = ()
    on_broken: OnBroken = "keep"
    concurrency: int = 8
    accept_failures: bool = False
    engine: str = "local"
    workers: int | None = None
    prices: dict[str, Price] = {}
    max_cost: float | None = None
    fresh: bool = False


def tasks_of(asked: Iterable[str]) -> tuple[str, ...]:
    """The tasks asked for in the taxonomy's order, all when none is."""
    known = taxonomy.tasks()
    unknown = [t for t in asked if t not in known]
    if unknown:
        raise UsageError(f"no task named {', '.join(unknown)}", hint=f"one of: {', '.join(known)}")
    chosen = set(asked) or set(known)
    return tuple(t for t in known if t in chosen)


def making_of(options: BuildOptions) -> Making:
    """How a shard is made."""
    return Making(
        tasks=tasks_of(options.tasks),
        limits=options.limits,
        wordings=options.wordings,
        private=options.private,
        near=options.near,
        held_out=tuple(str(p.absolute()) for p in options.held_out),
    )
