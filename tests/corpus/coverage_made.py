"""A coverage.json with every key a build may write, for what reads it."""

from __future__ import annotations

from typing import Any

from wardround import taxonomy


def coverage(train: int = 52, test: int = 3, **changes: Any) -> dict[str, Any]:
    """All samples are of the first task; a key set to None is left out, as older datasets lack it."""
    tasks = [
        {"id": t.id, "zh": t.zh, "en": t.en, "phase": t.phase, "origin": t.origin, "covered": i == 0,
         "reason": "" if i == 0 else "来源没有该字段 / no source has the field",
         "train": train if i == 0 else 0, "test": test if i == 0 else 0}
        for i, t in enumerate(taxonomy.tasks().values())
    ]  # fmt: skip
    made = {
        "tasks": tasks,
        "specialties": [],
        "matrix": {},
        "sources": [
            {"file": "甲|乙.jsonl", "kind": "encyclopedia", "encoding": "utf-8", "rows": 70, "documents": 60,
             "excluded": 10, "licence": "CC0", "sha256": "0" * 64},
        ],
        "excluded": {"duplicate_input": 5},
        "dialogues": {"train": 2, "test": 0},
        "refined": {"model": "m", "asked": 20, "kept": 18, "retried": 3, "fell_back": 2, "failed": 0, "rules": {}},
        "funnel": [{"step": "rows", "n": 70, "zh": "来源行", "en": "source rows", "reasons": {"malformed_row": 1}}],
        "privacy": {"found": {"mobile": 3}, "documents": 2, "residue": 1},
        "contamination": {
            "sets": [{"file": "exam.csv", "items": 9, "dropped": 1, "review": 2}], "rules": {"options": 1}, "own_test": 4,
        },
    }  # fmt: skip
    return {k: v for k, v in (made | changes).items() if v is not None or k == "refined"}
