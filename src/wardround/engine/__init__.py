"""Where work runs: the same pure function over many shards, here or on a cluster. No medical word in it.

An engine maps a function from shard to bytes over shards and gives the results in the shards' order, whatever
order they were done in; so what is written from them is the same bytes on every engine. The function and the
shards must pickle, and the function must depend on nothing but its shard: one that was lost with a process or a
node is simply done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from wardround.errors import UsageError

ENGINES = ("local", "ray")


class Engine(Protocol):
    """Runs a function over shards."""

    name: str

    def map(self, call: Callable[[Any], bytes], shards: Sequence[Any]) -> Iterator[bytes]:
        """`call(shard)` for each shard, in their order, a bounded number at once and ahead of the reader."""
        ...

    def close(self) -> None:
        """Let go of processes or cluster. May be called twice."""
        ...


def open_engine(name: str, *, workers: int | None = None) -> Engine:
    """The engine `name`. `workers` processes at most (default: one for each core this process may use); a
    cluster brings its own and is found by RAY_ADDRESS, else one is started on this machine."""
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: must be 1 or more")
    if name == "local":
        from wardround.engine.local import LocalEngine

        return LocalEngine(workers)
    if name == "ray":
        from wardround.engine.ray import RayEngine

        return RayEngine(workers)
    raise UsageError(f"no engine named {name!r}", hint=f"one of: {', '.join(ENGINES)}")
