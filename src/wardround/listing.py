"""What `wardround list` shows: the closed lists, the benchmarks and the models known by name."""

from __future__ import annotations

from typing import Any

import msgspec

from wardround import taxonomy
from wardround.errors import UsageError


def listing(what: str) -> list[dict[str, Any]]:
    """Rows of list `what`, each a dict with the id first; `UsageError` naming all lists otherwise."""
    if what == "benchmarks":
        from wardround.benchmarks import BENCHMARKS, benchmark

        found = [benchmark(name) for name in BENCHMARKS]
        return [{"id": b.name, "zh": b.zh, "en": b.en, "file": b.file} for b in found]
    if what == "models":
        from wardround.models.config import configured
        from wardround.models.scripted import SCRIPTED

        rows = [{"id": f"scripted:{n}", "about": s.about} for n, s in SCRIPTED.items()]
        named = configured().items()
        return rows + [{"id": n, "about": f"{m.model or n} {m.about}"} for n, m in named]
    if what not in taxonomy.LISTS:
        known = ", ".join([*taxonomy.LISTS, "benchmarks", "models"])
        raise UsageError(f"no list named {what}", hint=f"one of: {known}")
    rows = [msgspec.to_builtins(item) for item in taxonomy.items(what)]
    return [{k: v for k, v in row.items() if k != "anchors"} for row in rows]
