"""The league table of a comparison of many runs: one page on which fifteen models are as legible as four.

A rank never stands without its interval, a mean without its interval and counts. Figures come from the comparison
alone, so the page stands without its runs; only how long a case took is read from a run that is still at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wardround import taxonomy
from wardround.records import Record
from wardround.report import svg
from wardround.report.dataset import phase_names
from wardround.report.formats import (
    NOTHING,
    Names,
    count,
    interval,
    money,
    p_value,
    percent,
    score,
    seconds,
    shortened,
    signed,
)
from wardround.report.league_charts import Course, Point, courses, scatter
from wardround.report.scores import Shown
from wardround.report.shapes import BenchmarkPairs, Comparison, Pair, Place, Row, Spent, Standing

FEWEST = 4
"""From how many runs on a comparison is shown as a league table."""
PER = 1000
SIGNIFICANT = 0.05
UNPRICED = {
    "price": Names("没有给出单价", "no price given"),
    "cached": Names("有回复取自缓存，这次没有付费", "some replies came from the cache and were not paid for"),
    "tokens": Names("端点没有报全 token 数", "the endpoint did not tell all tokens"),
    "judge": Names("自己也是评分者，花费分不开", "it was a judge too: its cost can't be told apart"),
    "free": Names("本地或脚本，按量费用为 0", "local or scripted: no cost per token"),
    "unscored": Names("没有评分", "nothing was scored"),
}  # fmt: skip


class Timed(Record, frozen=True, kw_only=True):
    """The part of a run's `timing.json` shown here: seconds per case, by model."""

    cases: dict[str, dict[str, float]] = {}


def fits(comparison: Comparison) -> bool:
    """Whether the comparison is one of many runs, and has what the table shows."""
    return len(comparison.runs) >= FEWEST and all(b.league for b in comparison.benchmarks.values())


def section(
    comparison: Comparison, titles: Sequence[Names], runs: Sequence[Shown]
) -> dict[str, Any]:
    """Everything the page shows of it. `runs` are those at hand: all, or none."""
    timed = [_timing(run) for run in runs] or [None] * len(comparison.runs)
    return {
        "level": percent(comparison.level),
        "resamples": comparison.resamples,
        "whole": bool(runs),
        "reference": titles[comparison.reference],
        "judges": list(dict.fromkeys(j for r in runs for j in r.summary.judges)),
        "benchmarks": [
            _benchmark(comparison, name, titles, timed) for name in comparison.benchmarks
        ],
        "spent": [
            {"names": names, "spent": run.cost, "time": time}
            for names, run, time in zip(titles, comparison.runs, timed, strict=True)
        ],
    }


def _timing(run: Shown) -> Mapping[str, float] | None:
    if not run.source.has("timing.json"):
        return None
    return run.source.read("timing.json", Timed).cases.get(run.summary.model)


def _benchmark(
    comparison: Comparison,
    name: str,
    titles: Sequence[Names],
    timed: Sequence[Mapping[str, float] | None],
) -> dict[str, Any]:
    b = comparison.benchmarks[name]
    pairs = {p.b: p for p in b.pairs}
    low, high = (f"{v:g}" for v in b.scale)
    rows = [
        {
            "standing": s,
            "names": titles[s.run],
            "reference": s.run == comparison.reference,
            "pair": pairs.get(s.run),
            "cost": per_thousand(comparison.runs[s.run].cost),
            "p50": (timed[s.run] or {}).get("p50"),
        }
        for s in b.league
    ]
    return {
        "id": name,
        "names": Names(b.zh, b.en),
        "scale": f"{low}–{high}",
        "shared": b.shared,
        "rows": rows,
        "moved": _moved(b.league),
        "forest": _forest(comparison, b, titles),
        "heat": _heat(b, titles),
        "courses": courses(_courses(b, titles), b.scale),
        "turns": _turns(b),
        **_cost(comparison, b, titles),
        "found": list(_found(b, titles)),
        "tested": sum(t.p is not None for p in b.pairs for t in p.by_task),
    }


def _moved(league: Sequence[Standing]) -> bool:
    """Whether the ranks go another way than the means, which are of all items a run scored."""
    found = [s.rank.rank for s in league if s.rank]
    return found != sorted(found)


def _forest(comparison: Comparison, b: BenchmarkPairs, titles: Sequence[Names]) -> str:
    pairs = {p.b: p for p in b.pairs}
    shown = [pairs[s.run] for s in b.league if s.run in pairs]
    if all(p.difference.mean is None for p in shown):
        return ""
    rows = [
        svg.DotRow(
            names=Names(shortened(titles[p.b].zh, 34), titles[p.b].en), estimates=(p.difference,)
        )
        for p in shown
    ]
    said = "；".join(
        f"{titles[p.b].zh} {signed(p.difference.mean)} {interval(p.difference, sign=True)}"
        for p in shown
    )
    against = titles[comparison.reference].zh
    part = percent(comparison.level)
    return svg.dot_plot(
        rows,
        axis=Names(
            f"与 {shortened(against)} 的配对差值，{part} 区间",
            f"paired difference to {shortened(against)}, {part} interval",
        ),
        span=svg.symmetric(p.difference for p in shown),
        zero=True,
        label=f"{b.zh}：与 {against} 的配对差值 {b.en}: paired differences to {against}. {said}",
    )


def _heat(b: BenchmarkPairs, titles: Sequence[Names]) -> dict[str, Any]:
    """Means by task and run; shades are even steps between the lowest and the highest mean of the table."""
    per_run = [{r.task: r for r in s.by_task} for s in b.league]
    order: dict[str, Row] = {}
    for found in per_run:
        for key, row in found.items():
            order.setdefault(key, row)
    known = list(taxonomy.tasks())
    tasks = sorted(order, key=lambda t: known.index(t) if t in known else len(known))
    means = [
        r.estimate.mean for found in per_run for r in found.values() if r.estimate.mean is not None
    ]
    low, high = (min(means), max(means)) if means else b.scale
    phases, out, group = phase_names(), [], ""
    for key in tasks:
        task = taxonomy.tasks().get(key)
        phase = task.phase if task else ""
        row = order[key]
        out.append({
            "names": Names(row.zh, row.en if row.en != row.zh else ""),
            "noted": row.origin == "reconstructed",
            "group": phases.get(phase) if phase != group else None,
            "cells": [_cell(found.get(key), low, high) for found in per_run],
        })  # fmt: skip
        group = phase
    columns = [Names(shortened(titles[s.run].zh, 22)) for s in b.league]
    whole = [titles[s.run] for s in b.league]
    steps = [low + (high - low) * k / svg.LEVELS for k in range(svg.LEVELS + 1)]
    return {"rows": out, "columns": columns, "names": whole, "steps": steps}


def _cell(row: Row | None, low: float, high: float) -> dict[str, Any]:
    mean = row.estimate.mean if row else None
    if mean is None:
        return {"row": row, "shade": 0}
    share = (mean - low) / (high - low) if high > low else 1.0
    return {"row": row, "shade": min(svg.LEVELS, 1 + int(share * svg.LEVELS))}


def _turns(b: BenchmarkPairs) -> list[int]:
    return sorted({r.turn for s in b.league for r in s.by_turn})


def _courses(b: BenchmarkPairs, titles: Sequence[Names]) -> list[Course]:
    return [
        Course(names=titles[s.run], turns=tuple((r.turn, r.estimate) for r in s.by_turn))
        for s in b.league
        if s.by_turn
    ]


def _cost(comparison: Comparison, b: BenchmarkPairs, titles: Sequence[Names]) -> dict[str, Any]:
    """The chart of cost against score, and the runs that cannot be on it, each with the reason."""
    points: list[Point] = []
    beside: dict[str, list[str]] = {}
    for s in b.league:
        spent = comparison.runs[s.run].cost
        why = _off_chart(spent, s)
        if why:
            beside.setdefault(why, []).append(titles[s.run].zh)
            continue
        points.append(
            Point(
                names=titles[s.run],
                cost=(spent.per_case or 0.0) * PER,
                estimate=s.overall,
                style="s0" if s.run == comparison.reference else "s1",
            )
        )
    off = [(UNPRICED.get(why, Names(why)), names) for why, names in beside.items()]
    if len(points) < 2:
        return {"scatter": "", "off": off}
    part = percent(comparison.level)
    said = "；".join(f"{p.names.zh} {money(p.cost)}，{score(p.estimate.mean)}" for p in points)
    made = scatter(
        points,
        x=Names("每千例花费", "cost per 1,000 cases"),
        y=Names(f"平均分与 {part} 区间", f"mean score, {part} interval"),
        scale=b.scale,
        label=f"{b.zh}：每千例花费与平均分 {b.en}: cost per 1,000 cases and mean score. {said}",
    )
    return {"scatter": made, "off": off}


def _off_chart(spent: Spent, s: Standing) -> str:
    if s.overall.mean is None:
        return "unscored"
    if spent.per_case is None:
        return spent.unknown or "price"
    return "" if spent.per_case > 0 else "free"


def _found(b: BenchmarkPairs, titles: Sequence[Names]) -> Iterator[dict[str, Any]]:
    """The tasks on which a run differs from the reference after correction, run by run in the table's order."""
    pairs = {p.b: p for p in b.pairs}
    for s in b.league:
        pair = pairs.get(s.run)
        for t in pair.by_task if pair else ():
            if t.p_holm is not None and t.p_holm < SIGNIFICANT:
                yield {"names": titles[s.run], "task": t}


def place(rank: Place | None) -> str:
    """ "2 [1–4]", "—" without a rank."""
    if rank is None:
        return NOTHING
    if rank.low is None or rank.high is None:
        return str(rank.rank)
    return f"{rank.rank} [{rank.low}–{rank.high}]"


def leaders(b: BenchmarkPairs) -> list[Standing]:
    """The runs whose rank's interval holds the first place."""
    return [s for s in b.league if s.rank and (s.rank.low or s.rank.rank) == 1]


def per_thousand(spent: Spent) -> str:
    """The model's own cost of a thousand cases."""
    return NOTHING if spent.per_case is None else money(spent.per_case * PER)


def lines(
    comparison: Comparison, titles: Sequence[Names], timed: Sequence[float | None]
) -> Iterator[str | list[list[str]]]:
    """The tables for a terminal: lines, and rows to be put in columns."""
    part = percent(comparison.level)
    yield f"参照 reference：{titles[comparison.reference].zh}"
    for b in comparison.benchmarks.values():
        pairs: dict[int, Pair] = {p.b: p for p in b.pairs}
        yield ""
        yield f"{b.zh} {b.en}"
        rows = [
            ["模型", "名次", "平均分", f"{part} 区间", "未评/失败", "差值", f"{part} 区间", "校正 p", "每千例", "p50"],
            ["Model", "Rank", "Mean", "Interval", "Unsc./Fail", "Diff.", "Interval", "Holm p", "Cost/1k", "Case"],
        ]  # fmt: skip
        for s in b.league:
            pair = pairs.get(s.run)
            difference = [NOTHING] * 3
            if pair is not None:
                d = pair.difference
                difference = [signed(d.mean), interval(d, sign=True), p_value(pair.p_holm)]
            counted = f"{count(s.counts.get('unscored', 0))}/{count(s.counts.get('failed', 0))}"
            rows.append([
                shortened(titles[s.run].zh, 30), place(s.rank), score(s.overall.mean), interval(s.overall),
                counted, *difference, per_thousand(comparison.runs[s.run].cost), seconds(timed[s.run]),
            ])  # fmt: skip
        yield rows
        if b.shared is not None and b.shared.items:
            yield (
                f"名次按 {b.shared.runs} 个模型都有评分的 {count(b.shared.items)} 题（{count(b.shared.cases)} 例）"
                f" / ranks over the {count(b.shared.items)} items ({count(b.shared.cases)} cases) that "
                f"{b.shared.runs} runs all scored"
            )


def median_times(runs: Sequence[Shown], number: int) -> list[float | None]:
    """Median seconds per case of each run at hand."""
    return [(_timing(r) or {}).get("p50") for r in runs] or [None] * number
