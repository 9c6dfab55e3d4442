"""What inspect_ai finds when it looks for our tasks: `inspect eval wardround/dotabench --model …`.

Loaded by inspect_ai alone, through the entry point in `pyproject.toml`; nothing here imports this module.
Parameters (`-T language=en`) are those of `inspect_bridge.inspect_task`. Beside the tasks there is one scorer, for a
log's answers judged again: `inspect score LOG --scorer wardround/graded -S benchmark=dotabench -S turn=2`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wardround.benchmarks import BENCHMARKS
from wardround.benchmarks.inspect_bridge import inspect_scorer, inspect_task, metrics
from wardround.benchmarks.judge import Language

PACKAGE = "wardround"
Registering = Callable[[str], Callable[[Any], Any]]


def _named(name: str) -> Callable[..., Any]:
    def make(
        data: str | None = None, language: Language = "zh", judge: str | list[str] | None = None
    ) -> Any:
        return inspect_task(name, data, language, judge)

    make.__name__ = make.__qualname__ = name
    return make


def graded(
    benchmark: str,
    turn: int = 1,
    data: str | None = None,
    language: Language = "zh",
    judge: str | list[str] | None = None,
) -> Any:
    """One turn's score, as the task of `benchmark` gives it."""
    return inspect_scorer(benchmark, turn, data, language, judge)


def _under_package(made: Any, name: str, registering: Registering) -> Any:
    """`made`, registered as "wardround/NAME" however the package came onto the path.

    inspect_ai puts the package before a name only where the installer's record says "installed"; that of a source
    tree on PYTHONPATH doesn't, though its entry point is found.
    """
    from inspect_ai.util import registry_info

    registered = registering(name)(made)
    if registry_info(registered).name == name:
        registered = registering(f"{PACKAGE}/{name}")(made)
    return registered


def _register() -> None:
    from inspect_ai import task
    from inspect_ai.scorer import scorer

    for name in BENCHMARKS:
        globals()[name] = _under_package(_named(name), name, lambda n: task(name=n))
    globals()["graded"] = _under_package(
        graded, "graded", lambda n: scorer(metrics=metrics(), name=n)
    )


_register()
