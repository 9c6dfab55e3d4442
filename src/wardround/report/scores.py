"""The evaluation part of a report: one run, or several side by side with their paired differences.

A mean never stands without its interval and its counts, and no sentence here says more than interval and test do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from wardround import taxonomy
from wardround.metrics.bootstrap import FEW
from wardround.records import Exclusion, Record
from wardround.report import svg
from wardround.report.dataset import excluded, phase_names
from wardround.report.formats import (
    Names,
    interval,
    percent,
    score,
    shortened,
    signed,
)
from wardround.report.reading import Source, open_input, summary_of
from wardround.report.shapes import (
    BenchmarkSummary,
    Comparison,
    Estimate,
    Pair,
    Row,
    RunItem,
    RunSummary,
)
from wardround.report.verdicts import verdict

UNFIT = Estimate(mean=None, low=None, high=None, n=0)
TROUBLED = 8


class Shown(Record, frozen=True, kw_only=True):
    """One run as a page shows it: its names there, its summary, and its directory for single answers."""

    names: Names
    source: Source
    summary: RunSummary


def shown(source: Source, names: Names | None = None) -> Shown:
    """A run with its summary read."""
    summary = summary_of(source)
    return Shown(names=names or Names(summary.model), source=source, summary=summary)


def compared(comparison: Source) -> list[Shown]:
    """The runs of a comparison that are still at hand, in its order."""
    found = [open_input(comparison, r) for r in comparison.inputs if r.kind == "run"]
    return [shown(f.source) for f in found if f.source is not None and f.problem is None]


def results(
    runs: Sequence[Shown], comparison: Comparison | None, names: Sequence[Names] | None = None
) -> dict[str, Any]:
    """Everything about scores but the single answers."""
    level = runs[0].summary.level if runs else comparison.level if comparison else 0.95
    titles = list(names or [r.names for r in runs])
    every = dict.fromkeys(b for r in runs for b in r.summary.benchmarks)
    return {
        "level": percent(level),
        "resamples": runs[0].summary.resamples if runs else None,
        "runs": runs,
        "titles": titles,
        "styles": svg.styles(len(titles)),
        "judges": list(dict.fromkeys(j for r in runs for j in r.summary.judges)),
        "labels": list(dict.fromkeys(x for r in runs for x in r.source.labels)),
        "few": few(runs),
        "headline": _headline(runs, list(every), level) if runs else "",
        "benchmarks": [_benchmark(runs, name, level) for name in every],
        "pairs": differences(comparison, titles) if comparison else [],
        "corrected": comparison is not None
        and any(len(b.pairs) > 1 for b in comparison.benchmarks.values()),
        "difference": _difference_chart(comparison, titles) if comparison else "",
    }


def few(runs: Sequence[Shown]) -> list[tuple[Names, int]]:
    """The benchmarks whose means stand on too few cases for their intervals to be trusted, and how many cases."""
    found: dict[str, tuple[Names, int]] = {}
    for run in runs:
        for name, b in run.summary.benchmarks.items():
            cases = b.overall.clusters
            if cases is not None and 1 < cases < FEW:
                known = found.get(name)
                found[name] = (Names(b.zh, b.en), min(cases, known[1]) if known else cases)
    return list(found.values())


def _axis(summary: BenchmarkSummary, level: float) -> Names:
    low, high = (f"{v:g}" for v in summary.scale)
    part = percent(level)
    return Names(
        f"评分（{low}–{high}）与 {part} 区间", f"score ({low}–{high}) with {part} interval"
    )


def _headline(runs: Sequence[Shown], names: Sequence[str], level: float) -> str:
    first = _first(runs, names[0]) if names else None
    if first is None:
        return ""
    rows = []
    for name in names:
        summary = _first(runs, name)
        if summary is None or summary.scale != first.scale:
            continue
        estimates = tuple(
            r.summary.benchmarks[name].overall if name in r.summary.benchmarks else UNFIT
            for r in runs
        )
        rows.append(svg.DotRow(names=Names(summary.zh, summary.en), estimates=estimates))
    said = "；".join(
        f"{row.names.zh}：" + "，".join(
            f"{r.names.zh} {score(e.mean)} {interval(e)}"
            for r, e in zip(runs, row.estimates, strict=True)
        )
        for row in rows
    )  # fmt: skip
    return svg.dot_plot(
        rows, axis=_axis(first, level), span=first.scale, label=f"总评分 Overall scores. {said}"
    )


def _first(runs: Sequence[Shown], name: str) -> BenchmarkSummary | None:
    return next((r.summary.benchmarks[name] for r in runs if name in r.summary.benchmarks), None)


def _benchmark(runs: Sequence[Shown], name: str, level: float) -> dict[str, Any]:
    found = [r.summary.benchmarks.get(name) for r in runs]
    first = next(f for f in found if f is not None)
    tables = {
        "task": _breakdown(found, "by_task"),
        "turn": _breakdown(found, "by_turn"),
        "specialty": _breakdown(found, "by_specialty"),
    }
    axis = _axis(first, level)
    plots = {
        key: svg.dot_plot(
            _dot_rows(key, rows),
            axis=axis,
            span=first.scale,
            label=f"{first.zh}：{_WHAT[key].zh} {first.en} {_WHAT[key].en}; "
            "数字见下表 numbers in the table below",
        )
        for key, rows in tables.items()
        if rows
    }
    return {
        "id": name,
        "names": Names(first.zh, first.en),
        "summaries": list(zip(runs, found, strict=True)),
        "tables": tables,
        "plots": plots,
        "what": _WHAT,
        "reasons": _reasons(runs, found),
        "own": _own(runs, found),
    }


_WHAT = {
    "task": Names("按任务", "by task"),
    "turn": Names("按轮次", "by turn"),
    "specialty": Names("按专科", "by specialty"),
}


def _breakdown(found: Sequence[BenchmarkSummary | None], part: str) -> list[dict[str, Any]]:
    """Rows of one breakdown over all runs, in the order of the first run that has them."""
    order: dict[str, Row] = {}
    per_run: list[dict[str, Row]] = []
    for summary in found:
        rows: Sequence[Row] = getattr(summary, part) if summary else ()
        keyed = {_key(r): r for r in rows}
        per_run.append(keyed)
        for key, row in keyed.items():
            order.setdefault(key, row)
    return [
        {
            "id": key,
            "names": Names(row.zh, row.en) if row.zh else Names(f"第 {row.turn} 轮", f"turn {row.turn}"),
            "origin": row.origin,
            "rows": [keyed.get(key) for keyed in per_run],
        }
        for key, row in order.items()
    ]  # fmt: skip


def _key(row: Row) -> str:
    return row.task or row.specialty or str(row.turn)


def _dot_rows(key: str, rows: Sequence[dict[str, Any]]) -> list[svg.DotRow]:
    """Rows of a breakdown as dots; tasks under headings of their phase."""
    phases = phase_names()
    out: list[svg.DotRow] = []
    group = ""
    for row in rows:
        task = taxonomy.tasks().get(row["id"]) if key == "task" else None
        if task is not None and task.phase != group:
            group = task.phase
            out.append(svg.DotRow(names=phases.get(group, Names(group))))
        estimates = tuple(r.estimate if r else UNFIT for r in row["rows"])
        noted = row["origin"] == "reconstructed"
        out.append(svg.DotRow(names=row["names"], estimates=estimates, noted=noted))
    return out


def _own(runs: Sequence[Shown], found: Sequence[BenchmarkSummary | None]) -> list[dict[str, Any]]:
    """The benchmark's own tables, each once with every run that has it."""
    tables: dict[str, dict[str, Any]] = {}
    for run, summary in zip(runs, found, strict=True):
        for t in summary.tables if summary else ():
            first = {"zh": t.zh, "en": t.en, "note_zh": t.note_zh, "note_en": t.note_en, "runs": []}
            tables.setdefault(t.id, first)["runs"].append((run, t))
    return list(tables.values())


def _reasons(
    runs: Sequence[Shown], found: Sequence[BenchmarkSummary | None]
) -> list[tuple[Names, str, int]]:
    return [
        (run.names, reason or "—", n)
        for run, summary in zip(runs, found, strict=True)
        if summary is not None
        for reason, n in sorted(summary.reasons.items(), key=lambda p: (-p[1], p[0]))
    ]


def differences(comparison: Comparison, titles: Sequence[Names]) -> list[dict[str, Any]]:
    """One row for each benchmark and pair of runs."""
    return [
        {
            "names": Names(b.zh, b.en),
            "benchmark": name,
            "pair": pair,
            "a": _title(comparison, titles, pair.a),
            "b": _title(comparison, titles, pair.b),
            "verdict": verdict(
                pair.difference, comparison.level, p=pair.p, differing=pair.differing
            ),
        }
        for name, b in comparison.benchmarks.items()
        for pair in b.pairs
    ]


def _title(comparison: Comparison, titles: Sequence[Names], index: int) -> Names:
    if index < len(titles):
        return titles[index]
    return Names(comparison.runs[index].model if index < len(comparison.runs) else f"#{index}")


def _difference_chart(comparison: Comparison, titles: Sequence[Names]) -> str:
    pairs = [(b, p) for b in comparison.benchmarks.values() for p in b.pairs]
    if not pairs:
        return ""
    many = len(comparison.runs) > 2
    rows = [
        svg.DotRow(
            names=Names(f"{b.zh} · {_title(comparison, titles, p.b).zh}") if many else Names(b.zh, b.en),
            estimates=(p.difference,),
        )
        for b, p in pairs
    ]  # fmt: skip
    said = "；".join(
        f"{r.names.zh} {signed(r.estimates[0].mean)} {interval(r.estimates[0], sign=True)}"
        for r in rows
    )
    a, b = (
        Names(*map(shortened, _title(comparison, titles, i)))
        for i in (comparison.reference, pairs[0][1].b)
    )
    part = percent(comparison.level)
    first = "各模型" if many else b.zh
    axis = Names(
        f"配对差值（{first} − {a.zh}），分，{part} 区间",
        f"paired difference (second − first), points, {part} interval",
    )
    return svg.dot_plot(
        rows,
        axis=axis,
        span=svg.symmetric(p.difference for _, p in pairs),
        zero=True,
        label=f"配对差值 Paired differences. {said}",
    )


def task_differences(pair: Pair, level: float) -> str:
    """The difference by task as a chart; "" when the pair has no tasks."""
    if not pair.by_task:
        return ""
    rows: list[svg.DotRow] = []
    phases, group = phase_names(), ""
    for t in pair.by_task:
        task = taxonomy.tasks().get(t.task)
        if task is not None and task.phase != group:
            group = task.phase
            rows.append(svg.DotRow(names=phases.get(group, Names(group))))
        noted = task is not None and task.origin == "reconstructed"
        rows.append(svg.DotRow(names=Names(t.zh, t.en), estimates=(t.difference,), noted=noted))
    part = percent(level)
    return svg.dot_plot(
        rows,
        axis=Names(f"配对差值，分，{part} 区间", f"paired difference, points, {part} interval"),
        span=svg.symmetric(t.difference for t in pair.by_task),
        zero=True,
        label="按任务的配对差值，数字见下表 Paired differences by task; numbers in the table below",
    )


Key = tuple[str, str, int]


def answers(runs: Sequence[Shown]) -> list[dict[str, Any]]:
    """A few questions with every run's answer: the first case of each phase, and the first dialogue whole.

    Chosen by place in the file alone, from the first run; the others' answers to the same questions beside them.
    """
    if not runs:
        return []
    chosen = _chosen(runs[0].source.rows("records.jsonl", RunItem))
    beside = [_matching(r.source, set(chosen)) for r in runs[1:]]
    return [
        {
            "item": item,
            "task": taxonomy.tasks().get(item.task),
            "answers": [
                (run, found)
                for run, found in zip(runs, [item, *(m.get(key) for m in beside)], strict=True)
            ],
        }
        for key, item in chosen.items()
    ]


def _chosen(rows: Iterator[RunItem]) -> dict[Key, RunItem]:
    """First case of each phase among single-turn items, and of each benchmark of dialogues every turn."""
    singles: dict[tuple[str, str], RunItem] = {}
    dialogues: dict[str, list[RunItem]] = {}
    for item in rows:
        if item.repeat != 1:
            continue
        task = taxonomy.tasks().get(item.task)
        if task is not None:
            singles.setdefault((item.benchmark, task.phase), item)
            continue
        kept = dialogues.setdefault(item.benchmark, [])
        if not kept or kept[0].case == item.case:
            kept.append(item)
    order = list(phase_names())
    picked = sorted(singles, key=lambda k: (k[0], order.index(k[1]) if k[1] in order else 99))
    items = [singles[k] for k in picked] + [i for kept in dialogues.values() for i in kept]
    return {(i.benchmark, i.case, i.turn): i for i in items}


def _matching(source: Source, keys: set[Key]) -> dict[Key, RunItem]:
    return {
        key: item
        for item in source.rows("records.jsonl", RunItem)
        if item.repeat == 1 and (key := (item.benchmark, item.case, item.turn)) in keys
    }


def trouble(run: Shown) -> dict[str, Any]:
    """What a run did not score, with the first of them, and the cases it left aside."""
    first: list[RunItem] = []
    lengths: Counter[str] = Counter()
    for item in run.source.rows("records.jsonl", RunItem):
        if item.score.status != "scored" and len(first) < TROUBLED:
            first.append(item)
        if item.finish_reason:
            lengths[item.finish_reason] += 1
    return {
        "first": first,
        "finish": sorted(lengths.items()),
        "skipped": excluded(run.source.rows("skipped.jsonl", Exclusion), {}),
    }
