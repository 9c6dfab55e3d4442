"""What a dataset covers and what not, and how it came to be: tasks, specialties, sources, the funnel from rows to
kept samples, and what was set aside and why. The content of coverage.json."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from wardround import taxonomy
from wardround.corpus import recipes
from wardround.corpus.compose import uncovered
from wardround.corpus.gather import Gathered
from wardround.corpus.keys import SampleKey
from wardround.corpus.making import Sources
from wardround.corpus.options import BuildOptions, tasks_of
from wardround.corpus.refine import Refined
from wardround.corpus.steps import Chosen

NOT_ASKED = "本次未选该任务 / not among the tasks asked for"
ONLY_SURPLUS = "样本均被排除，见 excluded.jsonl / every sample was set aside, see excluded.jsonl"
NO_LABEL = ("未归入专科", "Unmapped")
BINS = (0, 20, 50, 100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000)
"""Edges of the length histograms, in characters; the last bin is open."""

STEPS = {
    "rows": ("来源行", "source rows"),
    "documents": ("文档", "documents"),
    "samples": ("组合出的样本", "composed samples"),
    "distinct": ("去除重复提问与留出集内容", "distinct, clear of held-out sets"),
    "near": ("去除近似重复", "without near-duplicates"),
    "split": ("划分训练与测试", "split"),
    "clear": ("训练侧与测试侧隔离", "training clear of the test side"),
    "balanced": ("按配额", "within quotas"),
    "kept": ("保留", "kept"),
}
_STAGES = {
    "documents": ("read",), "samples": ("compose",), "distinct": ("compose", "contamination"),
    "near": ("near",), "split": ("split",), "clear": ("contamination",), "balanced": ("balance",),
    "kept": ("refine",),
}  # fmt: skip
_ONLY = {
    "distinct": frozenset({"duplicate_input", "held_out", "held_out_review"}),
    "clear": frozenset({"matches_test"}),
}
"""Of their stages, the reasons that these steps give."""


def coverage(
    found: Sources,
    gathered: Gathered,
    chosen: Chosen,
    refined: Refined | None,
    options: BuildOptions,
    examples: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """The content of coverage.json. Samples that refinement dropped are not counted as covered."""
    gone = refined.dropped if refined else {}
    train = [s for s in chosen.train if s.place not in gone]
    both = [*train, *chosen.test]
    asked = tasks_of(options.tasks)
    there = {s.task for s in both}
    missing = [t for t in asked if t not in there]
    why = uncovered(missing, recipes.load(), gathered.tally)
    return {
        "tasks": _tasks(train, chosen.test, set(asked), why),
        "specialties": _specialties(gathered, train, chosen.test),
        "matrix": matrix(both),
        "sources": [_source(i, found, gathered) for i in range(len(found.files))],
        "excluded": gathered.excluded.total,
        "dialogues": {"train": len(chosen.train_dialogues), "test": len(chosen.test_dialogues)},
        "refined": None if refined is None else msgspec.to_builtins(refined.counts),
        "funnel": _funnel(gathered, chosen, len(both)),
        "lengths": {
            "input": _lengths(s.length_in for s in both),
            "output": _lengths(s.length_out for s in both),
        },
        "privacy": {
            "found": dict(sorted(gathered.found.items())),
            "documents": gathered.cleaned,
            "residue": len(gathered.residue),
        }
        if options.private
        else None,
        "near": chosen.near,
        "contamination": _contamination(gathered, chosen, options),
        "examples": list(examples),
    }


def _tasks(
    train: Iterable[SampleKey], test: Iterable[SampleKey], asked: set[str], why: Mapping[str, str]
) -> list[dict[str, Any]]:
    in_train, in_test = Counter(s.task for s in train), Counter(s.task for s in test)
    rows = []
    for t in taxonomy.tasks().values():
        covered = bool(in_train[t.id] or in_test[t.id])
        reason = "" if covered else why.get(t.id, ONLY_SURPLUS)
        rows.append(
            {
                "id": t.id, "zh": t.zh, "en": t.en, "phase": t.phase, "origin": t.origin,
                "covered": covered, "reason": reason if t.id in asked else NOT_ASKED,
                "train": in_train[t.id], "test": in_test[t.id],
            }
        )  # fmt: skip
    return rows


def _specialties(
    gathered: Gathered, train: Iterable[SampleKey], test: Iterable[SampleKey]
) -> list[dict[str, Any]]:
    found = Counter(d.specialty for d in gathered.documents)
    in_train = Counter(s.specialty for s in train)
    in_test = Counter(s.specialty for s in test)
    names = [(s.id, s.zh, s.en, s.origin) for s in taxonomy.specialties().values()]
    names.append((taxonomy.UNMAPPED, *NO_LABEL, "reconstructed"))
    return [
        {
            "id": i, "zh": zh, "en": en, "origin": origin,
            "documents": found[i], "train": in_train[i], "test": in_test[i],
        }
        for i, zh, en, origin in names
    ]  # fmt: skip


def matrix(samples: Iterable[SampleKey]) -> dict[str, dict[str, int]]:
    """Samples by task and specialty, zeros included."""
    count = Counter((s.task, s.specialty) for s in samples)
    columns = (*taxonomy.specialties(), taxonomy.UNMAPPED)
    return {t: {s: count[t, s] for s in columns} for t in taxonomy.tasks()}


def _source(number: int, found: Sources, gathered: Gathered) -> dict[str, Any]:
    """`excluded` counts rows of the file that became no document."""
    source = found.files[number][1]
    rows, documents = gathered.rows[number], gathered.documents_of[number]
    return {
        "file": source.file, "kind": source.kind, "format": source.format,
        "encoding": source.encoding, "rows": rows, "documents": documents,
        "excluded": max(rows - documents, 0), "licence": source.licence, "sha256": source.sha256,
    }  # fmt: skip


def _funnel(gathered: Gathered, chosen: Chosen, kept: int) -> list[dict[str, Any]]:
    """From rows to kept samples. The reasons of a step are those of what it set aside; from the composed
    samples on they come to the difference."""
    steps = [
        ("rows", sum(gathered.rows.values())),
        ("documents", len(gathered.documents)),
        *chosen.steps,
        ("kept", kept),
    ]
    out = []
    for step, n in steps:
        zh, en = STEPS[step]
        reasons: Counter[str] = Counter()
        for stage in _STAGES.get(step, ()):
            reasons.update(gathered.excluded.of(stage))
        only = _ONLY.get(step, set(reasons) - ({"duplicate_input"} if step == "samples" else set()))
        told = {r: n for r, n in sorted(reasons.items()) if r in only}
        out.append({"step": step, "n": n, "zh": zh, "en": en, "reasons": told})
    return out


def _lengths(lengths: Iterable[int]) -> dict[str, list[int]]:
    counts = [0] * len(BINS)
    for n in lengths:
        counts[bisect_right(BINS, n) - 1] += 1
    return {"bins": list(BINS), "counts": counts}


def _contamination(gathered: Gathered, chosen: Chosen, options: BuildOptions) -> dict[str, Any]:
    """What was found of each held-out set, and of the dataset's own test side."""
    from wardround.corpus.held_out import contamination, load

    return contamination(load(options.held_out), (h for _, h in gathered.hits), chosen.own_hits)
