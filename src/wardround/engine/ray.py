"""A Ray cluster: shards as a Ray Data dataset, mapped by its tasks.

The cluster is the one RAY_ADDRESS names; without it Ray starts one on this machine for as long as the engine is
open. Ray gives a lost task to another node, so a node may die in the middle; order is kept by Ray Data. Files
that shards name must be readable on every node (a shared file system). Results come back through Ray's object
store; nothing is written on the workers.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from wardround.errors import UsageError


class RayEngine:
    """Work on a Ray cluster. `workers` bounds the tasks at once where given."""

    name = "ray"

    def __init__(self, workers: int | None = None) -> None:
        try:
            import ray
            import ray.data
        except ImportError as e:
            raise UsageError(
                "--engine ray needs Ray", hint='pip install "wardround[ray]", or use --engine local'
            ) from e
        self.workers = workers
        self._mine = not ray.is_initialized()
        if self._mine:
            ray.init(
                address=os.environ.get("RAY_ADDRESS"),
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False,
                ignore_reinit_error=False,
            )

    def map(self, call: Callable[[Any], bytes], shards: Sequence[Any]) -> Iterator[bytes]:
        """See `Engine.map`. An error in `call` is raised as it was."""
        import ray.data

        if not shards:
            return
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = [{"shard": pickle.dumps(shard)} for shard in shards]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
        done = dataset.map(_One(call), num_cpus=1, concurrency=self.workers)
        for row in done.iter_rows():
            if row["error"]:
                raise pickle.loads(row["error"])
            yield row["result"]

    def close(self) -> None:
        """Leave the cluster; one started here ends."""
        import ray

        if self._mine and ray.is_initialized():
            ray.shutdown()
        self._mine = False


class _One:
    """`call` on a row of Ray's, as Ray wants it: one dict in, one dict out. An error is carried back as it is;
    raised there, it would come wrapped, and be printed by every node."""

    def __init__(self, call: Callable[[Any], bytes]) -> None:
        self.call = call

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self.call(pickle.loads(row["shard"])), "error": b""}
        except Exception as e:
            return {"result": b"", "error": pickle.dumps(e)}
