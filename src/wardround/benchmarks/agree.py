"""`agree`: does the judge score as doctors do? A run's scores beside human scores of the same items.

Three comparisons, each with every measure of `metrics.raters` and its interval over cases: the judges' mean (and
each judge) against the doctors' mean; the judges' mean against each doctor alone; and doctors among themselves,
which is what the second is to be held against: no judge can be expected to agree with doctors more than they do
with one another. All of it also by task.

Where doctors scored part of the cases, the judge's mean is corrected by them (`metrics.ppi`). The unit is the case:
its scored turns and repeats hang together. Only turns and repeats that doctors scored at all are counted, and a
case they scored in part is left out and counted, so that both sides are means of the same thing.

A row of the table that fits no item of the run is kept in `unmatched.jsonl` with its reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, begin, open_artifact, ref
from wardround.benchmarks.human_scores import Rating, aside, read_scores
from wardround.benchmarks.record import RunRecord, group, read_light
from wardround.benchmarks.summary import task_names, task_order
from wardround.errors import ArtifactError, InputError
from wardround.metrics import raters
from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import LEVEL, RESAMPLES, cluster_mean
from wardround.metrics.ppi import corrected_mean
from wardround.records import Exclusion, Record, decode

LEAST_CASES = 10
"""Below this many doctor-scored cases the corrected mean's normal interval can't be trusted: none is given."""

Key = tuple[str, str, int, int]


class _Rated(Record, frozen=True, kw_only=True):
    """One item of the run that a doctor scored: its record, and the scores by rater."""

    record: RunRecord
    scores: dict[str, float]


def agree(run: Path, scores: Path, out: Path | None = None, *, seed: int = 0) -> Artifact:
    """Compare `run` with the human `scores` into an agreement artifact (default: `<run>-agreement` beside it)."""
    opened = open_artifact(run, "run")
    out = out or run.resolve().with_name(f"{run.resolve().name}-agreement")
    ratings, blank = read_scores(scores)
    summary = decode(opened.file("summary.json").read_bytes(), dict[str, Any])
    records = _records(opened)
    rated, misfits = _match(ratings, records, summary["benchmarks"], scores)
    unmatched = sorted([*blank, *misfits], key=lambda e: e.row)
    if not rated:
        raise InputError(
            f"none of its {len(unmatched)} rows fits an item of {run}", path=scores,
            hint=f"items there are called, for example, {_examples(records)}",
        )  # fmt: skip
    inputs = [ref(run, "run", seen_from=out), ref(scores, "human_scores", seen_from=out)]
    config = {"seed": seed, "level": LEVEL, "resamples": RESAMPLES}
    with begin(out, kind="agreement", config=config, inputs=inputs) as workspace:
        if workspace.done is not None:
            return open_artifact(out)
        result = _result(summary, records, rated, unmatched, seed)
        workspace.write_json("agreement.json", result)
        workspace.write_jsonl("unmatched.jsonl", unmatched)
        counts = {
            "rows": result["rows"]["read"],
            "unmatched": len(unmatched),
            "items": len(rated),
            "raters": len(result["raters"]),
        }
        return workspace.seal(counts=counts, labels=opened.manifest.labels, seed=seed)


def _result(
    summary: Mapping[str, Any],
    records: Mapping[Key, RunRecord],
    rated: Sequence[_Rated],
    unmatched: Sequence[Exclusion],
    seed: int,
) -> dict[str, Any]:
    """The content of `agreement.json`."""
    matched = sum(len(r.scores) for r in rated)
    return {
        "model": summary["model"],
        "judges": summary["judges"],
        "seed": seed,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "raters": _raters(rated),
        "rows": {
            "read": matched + len(unmatched),
            "matched": matched,
            "unmatched": dict(sorted(Counter(e.reason for e in unmatched).items())),
        },
        "benchmarks": {
            name: _benchmark(
                found,
                [r for r in records.values() if r.benchmark == name],
                [r for r in rated if r.record.benchmark == name],
                seed,
            )
            for name, found in summary["benchmarks"].items()
            if any(r.record.benchmark == name for r in rated)
        },
    }


def _records(run: Artifact) -> dict[Key, RunRecord]:
    path = run.file("records.jsonl")
    found = {}
    with open(path, "rb") as f:
        for number, line in enumerate(f, start=1):
            try:
                r = read_light(line)
            except msgspec.DecodeError as e:
                raise ArtifactError(f"{path}, line {number}: {e}") from e
            found[(r.benchmark, r.case, r.turn, r.repeat)] = r
    return found


def _examples(records: Mapping[Key, RunRecord]) -> str:
    return ", ".join(dict.fromkeys(r.case for r in list(records.values())[:9]))


def _match(
    ratings: Sequence[Rating],
    records: Mapping[Key, RunRecord],
    benchmarks: Mapping[str, Any],
    path: Path,
) -> tuple[list[_Rated], list[Exclusion]]:
    """The run's items with their human scores, in the run's order, and the rows that fit none."""
    sole = next(iter(benchmarks)) if len(benchmarks) == 1 else ""
    ranges = {name: _range(b["scale"], records, name) for name, b in benchmarks.items()}
    scores: dict[Key, dict[str, Rating]] = defaultdict(dict)
    unmatched: list[Exclusion] = []
    for r in ratings:
        name = r.benchmark or sole
        if not name:
            raise InputError(
                f"no benchmark given, and the run has several ({', '.join(benchmarks)})",
                path=path, row=r.row, hint="add a column named benchmark",
            )  # fmt: skip
        key = (name, r.case, r.turn, r.repeat)
        reason = _misfit(key, records, benchmarks)
        if reason:
            unmatched.append(aside(path, r.row, r.case, *reason))
            continue
        low, high = ranges[name]
        if not low <= r.score <= high:
            raise InputError(
                f"the score {r.score:g} is not on the scale of {name}, {low:g} to {high:g}",
                path=path, row=r.row, hint="scores must be on the judge's scale",
            )  # fmt: skip
        earlier = scores[key].setdefault(r.rater, r)
        if earlier is not r:
            raise InputError(
                f"{r.rater} has scored {r.case} (turn {r.turn}, repeat {r.repeat}) already in row {earlier.row}",
                path=path, row=r.row, hint="keep one overall score for each rater and item",
            )  # fmt: skip
    rated = [
        _Rated(record=records[k], scores={n: scores[k][n].score for n in sorted(scores[k])})
        for k in records
        if k in scores
    ]
    return rated, unmatched


def _misfit(
    key: Key, records: Mapping[Key, RunRecord], benchmarks: Mapping[str, Any]
) -> tuple[str, str] | None:
    """Why a row fits no item: (reason, detail); None when it does."""
    name, case, turn, repeat = key
    if name not in benchmarks:
        return "no_such_benchmark", f"the run has no {name}"
    found = records.get(key)
    if found is None:
        return "no_such_item", f"no item {case}, turn {turn}, repeat {repeat} in {name}"
    if found.status == "failed":
        return "not_answered", "the model gave no answer to this item"
    return None


def _range(
    scale: Sequence[float], records: Mapping[Key, RunRecord], name: str
) -> tuple[float, float]:
    """Scores a doctor may give: the scale, wider where the run's own single scores go beyond it."""
    values = [r.score.value for r in records.values() if r.benchmark == name]
    known = [v for v in values if v is not None]
    return min([scale[0], *known]), max([scale[1], *known])


def _raters(rated: Sequence[_Rated]) -> list[dict[str, Any]]:
    items = Counter(name for r in rated for name in r.scores)
    return [{"rater": name, "items": items[name]} for name in sorted(items)]


def _benchmark(
    found: Mapping[str, Any], records: Sequence[RunRecord], rated: Sequence[_Rated], seed: int
) -> dict[str, Any]:
    tasks = group(records, _task)
    by_task = defaultdict(list)
    for r in rated:
        by_task[_task(r.record)].append(r)
    return {
        "zh": found["zh"],
        "en": found["en"],
        "scale": found["scale"],
        "items": len(records),
        "rated": len(rated),
        "unscored": sum(r.record.score.value is None for r in rated),
        "comparisons": _comparisons(rated, seed),
        "pairs": _pairs(rated, seed),
        "corrected": _corrected(records, rated, seed),
        "by_task": [
            {
                **task_names(t),
                "items": len(tasks[t]),
                "rated": len(by_task[t]),
                "comparisons": _comparisons(by_task[t], seed),
                "corrected": _corrected(tasks[t], by_task[t], seed),
            }
            for t in task_order(tasks)
            if t in by_task
        ],
    }


def _task(record: RunRecord) -> str:
    return record.task or record.category


def _clusters(rated: Sequence[_Rated]) -> np.ndarray:
    _, numbers = np.unique([r.record.cluster for r in rated], return_inverse=True)
    return numbers


def _matrix(rated: Sequence[_Rated]) -> tuple[list[str], np.ndarray]:
    """Rater names, and their scores (raters, items), NaN where a rater gave none."""
    names = sorted({n for r in rated for n in r.scores})
    m = np.array([[r.scores.get(n, np.nan) for r in rated] for n in names], float)
    return names, m


def _judged(rated: Sequence[_Rated], judge: str | None) -> np.ndarray:
    """The mean score of all judges, or one judge's; NaN where there is none."""
    scores = [r.record.score if judge is None else r.record.judges.get(judge) for r in rated]
    return np.array([np.nan if s is None or s.value is None else s.value for s in scores], float)


def _comparisons(rated: Sequence[_Rated], seed: int) -> list[dict[str, Any]]:
    clusters = _clusters(rated)
    names, m = _matrix(rated)
    human = np.nanmean(m, axis=0)
    jury = _judged(rated, None)
    judges = sorted({j for r in rated for j in r.record.judges})
    found = [
        ("jury", "评审均分与医生均分", "Judges' mean and doctors' mean",
         raters.between(jury, human, clusters, seed=seed)),
    ]  # fmt: skip
    if len(judges) > 1:
        found += [
            (f"judge:{j}", f"{j} 与医生均分", f"{j} and doctors' mean",
             raters.between(_judged(rated, j), human, clusters, seed=seed))
            for j in judges
        ]  # fmt: skip
    if len(names) > 1:
        found += [
            ("jury_single", "评审均分与单个医生（各医生平均）", "Judges' mean and a single doctor, mean over doctors",
             raters.against_each(jury, m, clusters, seed=seed)),
            ("human", "医生之间", "Doctors among themselves",
             raters.among(m, clusters, seed=seed)),
        ]  # fmt: skip
    return [{"id": i, "zh": zh, "en": en, "measures": measures} for i, zh, en, measures in found]


def _pairs(rated: Sequence[_Rated], seed: int) -> list[dict[str, Any]]:
    """Every pair of doctors with items in common."""
    clusters = _clusters(rated)
    names, m = _matrix(rated)
    return [
        {"a": names[i], "b": names[j], "measures": raters.between(m[i], m[j], clusters, seed=seed)}
        for i in range(len(names))
        for j in range(i + 1, len(names))
        if (~np.isnan(m[i]) & ~np.isnan(m[j])).any()
    ]


def _corrected(records: Sequence[RunRecord], rated: Sequence[_Rated], seed: int) -> dict[str, Any]:
    """The judges' plain mean, the doctors' mean, and the judges' mean corrected by the doctors, case by case."""
    framed = {(r.record.turn, r.record.repeat) for r in rated}
    human = {
        (r.record.case, r.record.turn, r.record.repeat): sum(r.scores.values()) / len(r.scores)
        for r in rated
    }
    cases: dict[str, list[RunRecord]] = defaultdict(list)
    for r in records:
        if (r.turn, r.repeat) in framed and r.score.value is not None:
            cases[r.cluster].append(r)
    same: list[tuple[list[float], list[float]]] = []
    rest: list[list[float]] = []
    partly = 0
    for name in sorted(cases):
        judge = [float(r.score.value or 0.0) for r in cases[name]]
        doctor = [human[key] for r in cases[name] if (key := (r.case, r.turn, r.repeat)) in human]
        if len(doctor) == len(judge):
            same.append((doctor, judge))
        elif not doctor:
            rest.append(judge)
        else:
            partly += 1
    powered = (
        corrected_mean(
            [_mean(d) for d, _ in same], [_mean(j) for _, j in same], [_mean(j) for j in rest]
        )
        if len(same) >= LEAST_CASES
        else None
    )
    return {
        "turns": sorted({t for t, _ in framed}),
        "repeats": sorted({k for _, k in framed}),
        "cases": len(cases),
        "scored_by_doctors": len(same),
        "partly": partly,
        "judge": cluster_mean([j for _, j in same] + rest, seed=seed),
        "judge_same": cluster_mean([j for _, j in same], seed=seed),
        "human": cluster_mean([d for d, _ in same], seed=seed),
        "corrected": powered,
        "reason": "" if powered is not None else _why_not(len(same), len(rest)),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _why_not(same: int, rest: int) -> str:
    if same < LEAST_CASES:
        return "few_cases"
    return "all_scored" if rest == 0 else "few_left"
