"""From records to figures: pure, and the same bytes for the same records.

Every figure comes with its counts: scored, unscored (an answer without a verdict), failed (no answer). Only
scored values enter a mean; a mean is held within its benchmark's scale, which single scores with points for harm
may leave; intervals are bootstrapped over cases, since turns and repeats of one case hang
together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from wardround import taxonomy
from wardround.benchmarks import Benchmark
from wardround.benchmarks.record import RunRecord, Table, clipped, counts, estimate, group
from wardround.images.labels import MODALITIES
from wardround.metrics.bootstrap import LEVEL, RESAMPLES
from wardround.models.wire import reason_code

Scale = tuple[float, float]


def summarise(
    records: Sequence[RunRecord],
    benches: Sequence[Benchmark],
    *,
    model: str,
    judges: Sequence[str],
    skipped: Mapping[str, int],
    seed: int,
) -> dict[str, Any]:
    """The content of `summary.json`."""
    by_benchmark: dict[str, list[RunRecord]] = {b.name: [] for b in benches}
    for r in records:
        by_benchmark[r.benchmark].append(r)
    return {
        "model": model,
        "judges": list(judges),
        "seed": seed,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "benchmarks": {
            b.name: _benchmark(
                b,
                by_benchmark[b.name],
                skipped[b.name],
                seed,
                _beside(b, benches, by_benchmark, seed),
            )
            for b in benches
        },
    }


def _beside(
    bench: Benchmark,
    benches: Sequence[Benchmark],
    records: Mapping[str, list[RunRecord]],
    seed: int,
) -> list[Table]:
    """The benchmark and its control side by side, where the run has both."""
    control = next((b for b in benches if getattr(b, "control_of", None) == bench.name), None)
    make = getattr(control, "beside", None)
    if control is None or make is None:
        return []
    return [make(records[control.name], records[bench.name], seed)]


def _benchmark(
    bench: Benchmark,
    records: Sequence[RunRecord],
    skipped: int,
    seed: int,
    beside: Sequence[Table] = (),
) -> dict[str, Any]:
    from wardround.benchmarks.breakdowns import breakdowns
    from wardround.benchmarks.checks import checks

    overall = estimate(records, seed)
    reasons = Counter(_reason(r) for r in records if r.score.status != "scored")
    return {
        "zh": bench.zh,
        "en": bench.en,
        "cases": len({r.case for r in records}),
        "repeats": max((r.repeat for r in records), default=0),
        "scale": list(bench.scale),
        "counts": counts(records),
        "overall": clipped(overall, bench.scale),
        "by_task": _by_task(records, seed, bench.scale),
        "by_turn": _by_turn(records, seed, bench.scale),
        "by_specialty": _by_specialty(records, seed, bench.scale),
        "reasons": dict(sorted(reasons.items())),
        "tables": [
            *beside,
            *bench.tables(records, seed),
            *breakdowns(records, seed, bench.scale),
            *checks(records, seed, overall=overall),
        ],
        "skipped": skipped,
        "cut_by_length": sum(r.finish_reason == "length" for r in records),
    }


def _reason(record: RunRecord) -> str:
    """Why there is no score: the short code of a failed request, the sentence of an unscored answer."""
    reason = record.score.reason
    return reason_code(reason) if record.score.status == "failed" else reason


def task_order(groups: Mapping[str, object]) -> list[str]:
    """Task ids in the taxonomy's order, unknown ones last by name."""
    known = [t for t in taxonomy.tasks() if t in groups]
    return known + sorted(set(groups) - set(known))


def task_names(task: str) -> dict[str, str]:
    """Chinese and English name and origin of a task id, for tables."""
    found = taxonomy.tasks().get(task)
    if found is None:
        zh, en = MODALITIES.get(task, (task, task))
        return {"task": task, "zh": zh, "en": en, "origin": "unknown"}
    return {"task": task, "zh": found.zh, "en": found.en, "origin": found.origin}


def _row(records: Sequence[RunRecord], seed: int, scale: Scale) -> dict[str, Any]:
    return {"counts": counts(records), "estimate": clipped(estimate(records, seed), scale)}


def _by_task(records: Sequence[RunRecord], seed: int, scale: Scale) -> list[dict[str, Any]]:
    groups = group(records, lambda r: r.task or r.category)
    return [{**task_names(t), **_row(groups[t], seed, scale)} for t in task_order(groups)]


def _by_turn(records: Sequence[RunRecord], seed: int, scale: Scale) -> list[dict[str, Any]]:
    groups = group(records, lambda r: str(r.turn))
    if len(groups) < 2:
        return []
    return [{"turn": int(t), **_row(groups[t], seed, scale)} for t in sorted(groups, key=int)]


def _by_specialty(records: Sequence[RunRecord], seed: int, scale: Scale) -> list[dict[str, Any]]:
    groups = group(records, lambda r: r.specialty)
    known = taxonomy.specialties()
    order = [s for s in known if s in groups] + sorted(set(groups) - set(known))
    return [
        {
            "specialty": s,
            "zh": known[s].zh if s in known else s,
            "en": known[s].en if s in known else s,
            **_row(groups[s], seed, scale),
        }
        for s in order
    ]
