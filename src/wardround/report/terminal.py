"""The report without a browser: a few lines for a terminal, and JSON for machines."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.records import decode, encode
from wardround.report import dataset, dataset_making, formats, league, lineage, scores, spending
from wardround.report.formats import Names
from wardround.report.reading import Source, by_role, open_source, summary_of
from wardround.report.shapes import Comparison, LogRow, Table
from wardround.report.training import preferences, trained
from wardround.tuning import trained as outcome

SHOWN_ROWS = 24
SUMMARIES = {
    "dataset": "coverage.json",
    "run": "summary.json",
    "comparison": "comparison.json",
    "checkpoint": "plan.json",
    "agreement": "agreement.json",
    "disagreements": "summary.json",
    "images": "summary.json",
    "curve": "curve.json",
    "survey": "results.json",
    "candidates": "summary.json",
    "review": "summary.json",
    "demo": "timings.json",
}


def machine(path: Path) -> dict[str, Any]:
    """The manifest and the kind's own JSON. A demo also carries its comparison."""
    source = open_source(path)
    summary = _json(source, SUMMARIES[source.kind]) if source.kind in SUMMARIES else None
    found: dict[str, Any] = {
        "kind": source.kind,
        "sealed": source.manifest is not None,
        "manifest": decode(encode(source.manifest), dict[str, Any]) if source.manifest else None,
        "labels": lineage.labels(lineage.collect(source)),
        "summary": summary,
    }
    if source.kind == "demo":
        inner = by_role(source, "comparison")
        whole = inner is not None and inner.source is not None and inner.problem is None
        found["comparison"] = (
            _json(inner.source, "comparison.json") if whole and inner and inner.source else None
        )
    return found


def _json(source: Source, name: str) -> Any:
    return source.read(name, dict[str, Any]) if source.has(name) else None


def lines(path: Path) -> list[str]:
    """The compact report, Chinese first, about eighty columns wide."""
    source = open_source(path)
    zh, en = formats.kind_names(source.kind)
    digest = formats.short(source.digest) if source.digest else "未封存 unsealed"
    out = [f"{zh} {en} · {source.name} · {digest}"]
    if source.manifest is None:
        out.append("!! 未完成：数字可能还会变 / UNFINISHED: figures may still change")
    out += [f"!  {label}" for label in lineage.labels(lineage.collect(source))]
    writers: Mapping[str, Callable[[Source], Iterator[str]]] = {
        "dataset": _dataset, "run": _run, "comparison": _comparison,
        "checkpoint": _checkpoint, "agreement": _agreement, "demo": _demo,
        "disagreements": _loop, "testset": _loop, "curve": _loop,
        "images": _images, "survey": _survey, "candidates": _reviewing, "review": _reviewing,
    }  # fmt: skip
    writer = writers.get(source.kind)
    if writer is not None:
        out += ["", *writer(source)]
    return out


def _dataset(source: Source) -> Iterator[str]:
    found = dataset.coverage_of(source)
    f, c = dataset.figures(found), formats.count
    yield f"资料 documents      {c(f['documents'])}（{c(f['rows'])} 行 rows，{f['files']} 个文件 files）"
    yield f"样本 samples        训练 train {c(f['train'])} · 测试 test {c(f['test'])}"
    yield f"对话 dialogues      训练 train {c(f['dialogues_train'])} · 测试 test {c(f['dialogues_test'])}"
    yield f"任务 tasks          {f['covered']} / {f['tasks']}"
    yield f"专科 specialties    {f['departments']} / {f['listed']}"
    yield f"搁置 kept aside     {c(f['excluded'])}"
    for reason, n in sorted(found.excluded.items(), key=lambda p: (-p[1], p[0])):
        zh, en = dataset.reason_names(reason)
        yield f"    {c(n):>6}  {zh} {en}".rstrip()
    yield from dataset_making.lines(source)
    missing = [t for t in found.tasks if not t.covered]
    if missing:
        yield "未覆盖的任务 tasks not covered:"
        yield from (f"    {t.zh} {t.en}: {t.reason or formats.NOTHING}" for t in missing)


def _run(source: Source) -> Iterator[str]:
    summary = summary_of(source)
    yield f"模型 model   {summary.model}"
    yield f"评分 judges  {'、'.join(summary.judges) or formats.NOTHING}"
    rows = [["", "评分 score", "区间 interval", "已评分 scored", "未评分 unscored", "失败 failed"]]
    for b in summary.benchmarks.values():
        states = [formats.count(b.counts.get(s, 0)) for s in formats.STATES]
        mean = formats.score(b.overall.mean)
        rows.append([f"{b.zh} {b.en}", mean, formats.interval(b.overall), *states])
    yield from table(rows)
    for b in summary.benchmarks.values():
        for reason, n in sorted(b.reasons.items()):
            yield f"    {b.zh}: {n} × {reason}"
    yield from _spent(source)
    for b in summary.benchmarks.values():
        for t in b.tables:
            yield from _own(f"{b.zh} · {t.zh} {t.en}", t)


def _loop(source: Source) -> Iterator[str]:
    from wardround.report import loop

    for made in loop.tables(source):
        yield from _own(f"{made.zh} {made.en}", made)


def _images(source: Source) -> Iterator[str]:
    from wardround.report import picture_sets

    for made in picture_sets.tables(source):
        yield from _own(f"{made.zh} {made.en}", made)


def _survey(source: Source) -> Iterator[str]:
    yield from survey_lines(source.read("results.json", dict[str, Any]))


def survey_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """A needs survey's results, from its `results.json`."""
    from wardround.report import survey

    for made in survey.lines(survey.said_of(data)):
        yield from [made] if isinstance(made, str) else table(made)


def _spent(source: Source) -> Iterator[str]:
    """Tokens and cost by model; of an unfinished run so far."""
    found = spending.accounts(source)
    if not found:
        return
    yield ""
    rows = [
        ["用量", *(n.zh for n in spending.COLUMNS)],
        ["Usage", *(n.en for n in spending.COLUMNS)],
    ]
    yield from table([*rows, *([a.name, *a.cells()] for a in found)])
    if source.manifest is None:
        yield "未完成：到目前为止；没报 token 的请求按最坏情况计 / so far; untold tokens at their worst case"


def _own(title: str, found: Table) -> Iterator[str]:
    """A benchmark's own table, its first rows."""
    yield ""
    yield title
    rows = [[c.zh for c in found.columns], [c.en for c in found.columns]]
    rows += [
        [formats.cell(c.kind, r.get(c.key)) for c in found.columns] for r in found.rows[:SHOWN_ROWS]
    ]
    yield from ("  " + line for line in table(rows, names=52))
    left = len(found.rows) - SHOWN_ROWS
    if left > 0:
        yield f"  … 另有 {left} 行，见 report.html / {left} more rows in report.html"


def _comparison(source: Source, titles: Sequence[Names] = ()) -> Iterator[str]:
    found = source.read("comparison.json", Comparison)
    names = list(titles) or [Names(r.model) for r in found.runs]
    if league.fits(found):
        runs = scores.compared(source)
        times = league.median_times(runs if len(runs) == len(names) else [], len(names))
        for made in league.lines(found, names, times):
            yield from [made] if isinstance(made, str) else table(made)
        return
    part = formats.percent(found.level)
    rows = [["", "前 a", "后 b", "差值 b − a", f"{part} 区间", "p", "配对 n", "未配对 unpaired"]]
    said = []
    for row in scores.differences(found, names):
        p = row["pair"]
        rows.append([
            f"{row['names'].zh} {row['names'].en}",
            formats.score(p.a_mean), formats.score(p.b_mean),
            formats.signed(p.difference.mean), formats.interval(p.difference, sign=True),
            formats.p_value(p.p), formats.count(p.n), formats.count(p.unpaired),
        ])  # fmt: skip
        said.append(f"{row['names'].zh}：{row['verdict'].zh} / {row['verdict'].en}")
    others = [n.zh for i, n in enumerate(names) if i != found.reference]
    yield f"a = {names[found.reference].zh}；b = {'，'.join(others)}"
    yield from table(rows)
    yield from said


def _checkpoint(source: Source) -> Iterator[str]:
    plan = _json(source, "plan.json") or {}
    for key in ("parameters", "samples", "tokens"):
        if key in plan:
            yield f"{key:12} {formats.plain(plan[key])}"
    done = trained(source)
    for zh, en in outcome.sentences(done) if done else ():
        yield f"{zh} / {en}"
    log = list(source.rows("training_log.jsonl", LogRow))
    for stage in dict.fromkeys(r.stage for r in log):
        for name in ("loss", "eval_loss"):
            values = [v for r in log if r.stage == stage and (v := getattr(r, name)) is not None]
            if values:
                said = "留出集损失 held-out loss" if name == "eval_loss" else "训练损失 loss"
                ends = f"{formats.score(values[0])} → {formats.score(values[-1])}"
                if name == "eval_loss" and min(values) < values[-1]:
                    ends += f", 最低 lowest {formats.score(min(values))}"
                yield f"{stage}: {said} {ends}"
    none = "；".join(f"{zh} {en}（{why}）" for (zh, en), (why, _) in outcome.unmeasured(plan))
    if none:
        yield f"没有留出损失的任务 tasks without a held-out loss: {none}"
    for found in preferences(log, done):
        accuracy, margin = (formats.score(found[m][-1]) for m in ("accuracy", "margin"))
        yield (
            f"留出偏好 held-out preferences, {found['names'].zh} {found['names'].en}: {found['pairs']:.0f} 对 pairs, "
            f"准确率 accuracy {accuracy}, 间隔 margin {margin}"
        )


def _agreement(source: Source) -> Iterator[str]:
    from wardround.report import agreement

    for found in agreement.lines(source):
        yield from [found] if isinstance(found, str) else ("  " + x for x in table(found, names=52))


def _reviewing(source: Source) -> Iterator[str]:
    from wardround.report import reviewing

    for made in reviewing.tables(source):
        yield from _own(f"{made.zh} {made.en}", made)


def _demo(source: Source) -> Iterator[str]:
    parts: Mapping[str, Callable[[Source], Iterator[str]]] = {
        "dataset": _dataset,
        "tuned": _checkpoint,
        "comparison": lambda s: _comparison(s, (Names("微调前 base"), Names("微调后 tuned"))),
    }
    for role, write in parts.items():
        found = by_role(source, role)
        zh, en = lineage.ROLES[role]
        yield f"── {zh} {en} " + "─" * 40
        if found is None or found.source is None or found.problem is not None:
            yield "不在原处或已改变 not where it was, or changed"
        else:
            yield from write(found.source)
        yield ""
    times = _json(source, "timings.json") or {}
    if times:
        said = (
            f"{lineage.ROLES.get(k, Names(k)).zh} {formats.seconds(v)}" for k, v in times.items()
        )
        yield "用时 time  " + " · ".join(said)


def columns(words: str) -> int:
    """How many terminal columns `words` take: Chinese characters two each."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in words)


def _cut(words: str, width: int) -> str:
    if columns(words) <= width:
        return words
    while columns(words) > width - 1:
        words = words[:-1]
    return words + "…"


def table(rows: Sequence[Sequence[str]], *, names: int = 34) -> list[str]:
    """Rows in columns, the first left, the others right; the first cut to `names` columns."""
    short = [[_cut(r[0], names), *r[1:]] for r in rows]
    widths = [max(columns(r[i]) for r in short) for i in range(len(short[0]))]
    out = []
    for row in short:
        cells = [row[0] + " " * (widths[0] - columns(row[0]))]
        cells += [" " * (w - columns(v)) + v for v, w in zip(row[1:], widths[1:], strict=True)]
        out.append("  ".join(cells).rstrip())
    return out
