"""Comparison of runs: each with the reference on the same items, and all of them in a league table.

Only items that both runs scored enter a difference, pairing question by question; the others are counted as
unpaired, never taken as zero. Beside its interval a difference has the p of a paired permutation test over
cases and the smallest difference this sample could have shown. Holm's correction is over the tasks of a pair, and
over a benchmark's pairs. Runs judged differently, or on other references, are not compared: the first is refused,
the second shows as unpaired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import Artifact, begin, open_artifact, ref
from wardround.benchmarks.pairing import Item, Judged, judged, summary_of
from wardround.benchmarks.standing import league, spending
from wardround.benchmarks.summary import task_names, task_order
from wardround.errors import UsageError
from wardround.metrics import paired
from wardround.metrics.bootstrap import LEVEL, RESAMPLES, cluster_mean

Scored = dict[Item, tuple[Judged, float]]


def compare(
    runs: Sequence[Path], out: Path, *, against: str | None = None, seed: int = 0
) -> Artifact:
    """Compare runs with one of them, benchmark by benchmark, into a comparison artifact.

    `against` names the reference: a run's directory, or its model. Without it the first run is.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two runs or more", hint="wardround compare RUN RUN")
    opened = [open_artifact(r, "run") for r in runs]
    _same_judging(opened)
    summaries = [summary_of(r) for r in opened]
    reference = 0 if against is None else _reference(against, runs, summaries)
    inputs = [ref(r, f"run_{i}", seen_from=out) for i, r in enumerate(runs)]
    config = {"seed": seed, "reference": reference}
    with begin(out, kind="comparison", config=config, inputs=inputs) as workspace:
        if workspace.done is not None:
            return open_artifact(out)
        names = [
            n for n in summaries[0]["benchmarks"] if all(n in s["benchmarks"] for s in summaries)
        ]
        if not names:
            raise UsageError(
                "the runs have no benchmark in common", hint="compare runs of one benchmark"
            )
        known: dict[Item, Item] = {}
        items = [judged(r, known) for r in opened]
        benchmarks = {
            n: _benchmark(
                [s["benchmarks"][n] for s in summaries],
                [of.get(n, []) for of in items],
                reference,
                seed,
            )
            for n in names
        }
        result = {
            "level": LEVEL,
            "resamples": RESAMPLES,
            "seed": seed,
            "reference": reference,
            "runs": [
                {
                    "model": s["model"],
                    "digest": r.manifest.digest,
                    "labels": list(r.manifest.labels),
                    "cost": spending(r.manifest, s),
                }
                for r, s in zip(opened, summaries, strict=True)
            ],
            "benchmarks": benchmarks,
        }
        workspace.write_json("comparison.json", result)
        labels = dict.fromkeys(label for r in opened for label in r.manifest.labels)
        pairs = [p for b in benchmarks.values() for p in b["pairs"]]
        counts = {
            "runs": len(runs),
            "paired": sum(p["n"] for p in pairs),
            "unpaired": sum(p["unpaired"] for p in pairs),
        }
        return workspace.seal(counts=counts, labels=labels, seed=seed)


def _same_judging(runs: Sequence[Artifact]) -> None:
    first = runs[0].manifest.config
    for run in runs[1:]:
        other = run.manifest.config
        for field in ("judges", "prompts", "language", "judge_max_tokens"):
            if other.get(field) != first.get(field):
                raise UsageError(
                    f"{run.path}: its {field} differ from those of {runs[0].path}; scores made "
                    "differently cannot be compared",
                    hint="run both with the same benchmarks, judges and prompt language",
                )


def _reference(against: str, runs: Sequence[Path], summaries: Sequence[Mapping[str, Any]]) -> int:
    """The place of the run that `against` names: by its directory, else by its model, else by its directory's name."""
    named = (
        [r.resolve() == Path(against).resolve() for r in runs],
        [s["model"] == against for s in summaries],
        [r.resolve().name == against for r in runs],
    )
    for found in named:
        if sum(found) == 1:
            return found.index(True)
        if sum(found) > 1:
            raise UsageError(
                f"--against {against}: {sum(found)} of the runs are that",
                hint="name the run's directory instead",
            )
    known = ", ".join(dict.fromkeys(str(s["model"]) for s in summaries))
    raise UsageError(
        f"--against {against}: none of the runs compared",
        hint=f"name a run's directory, or its model: {known}",
    )


def _benchmark(
    summaries: Sequence[Mapping[str, Any]],
    items: Sequence[Sequence[Judged]],
    reference: int,
    seed: int,
) -> dict[str, Any]:
    pairs = [
        {"a": reference, "b": b, **_pair(items[reference], items[b], seed)}
        for b in range(len(items))
        if b != reference
    ]
    for pair, p in zip(pairs, paired.holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = p
    first = summaries[0]
    return {
        "zh": first["zh"],
        "en": first["en"],
        "scale": first["scale"],
        "pairs": pairs,
        **league(summaries, items, seed),
    }


def _pair(a: Sequence[Judged], b: Sequence[Judged], seed: int) -> dict[str, Any]:
    left, right = _scored(a), _scored(b)
    both = [i for i in left if i in right]
    groups: dict[str, list[Item]] = defaultdict(list)
    for i in both:
        if task := left[i][0].task:
            groups[task].append(i)
    by_task = [
        {**task_names(t), **_difference(groups[t], left, right, seed)} for t in task_order(groups)
    ]
    for row, p in zip(by_task, paired.holm([row["p"] for row in by_task]), strict=True):
        row["p_holm"] = p
    return {
        **_difference(both, left, right, seed),
        "unpaired": len({j.item for j in (*a, *b)}) - len(both),
        "by_task": by_task,
    }


def _scored(items: Iterable[Judged]) -> Scored:
    return {j.item: (j, j.value) for j in items if j.value is not None}


def _difference(items: Sequence[Item], left: Scored, right: Scored, seed: int) -> dict[str, Any]:
    clusters: dict[str, list[float]] = defaultdict(list)
    for i in items:
        clusters[left[i][0].cluster].append(right[i][1] - left[i][1])
    n = len(items)
    found = [clusters[k] for k in sorted(clusters)]
    return {
        "n": n,
        "a_mean": round(sum(left[i][1] for i in items) / n, 10) if n else None,
        "b_mean": round(sum(right[i][1] for i in items) / n, 10) if n else None,
        "difference": cluster_mean(found, seed=seed),
        "p": paired.permutation_p(found, seed=seed),
        "differing": paired.differing(found),
        "smallest": paired.smallest_difference(found),
    }
