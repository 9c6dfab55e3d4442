"""Functions for the engines to run: they must be importable in another process."""

import os
import signal
import time
from pathlib import Path


def square(n: int) -> bytes:
    return str(n * n).encode()


def refuse_seven(n: int) -> bytes:
    if n == 7:
        raise ValueError("seven is refused")
    return square(n)


def die_once(job: tuple[int, str]) -> bytes:
    """Shard 3 kills its own process the first time; the file remembers that it did."""
    n, marker = job
    if n == 3 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(n)


def die_always(n: int) -> bytes:
    if n == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return square(n)


def slow_where(job: tuple[int, str]) -> bytes:
    """Note the node the shard was done on, slowly, so that one can die in the middle."""
    import ray

    n, folder = job
    node = ray.get_runtime_context().get_node_id()
    with open(Path(folder) / f"{n}.{node}", "ab") as f:
        f.write(b"x")
    time.sleep(0.15)
    return square(n)
