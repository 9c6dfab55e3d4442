"""Figures of report_quality, from `Score.detail` alone; definitions in docs/benchmarks/report_quality.md.

Each is a ratio of sums over reports, and its interval is of that ratio: reports are drawn with replacement, with their
repeats, and the sums taken anew. Reports whose answer could not be read, or that have none, are in no figure; the
counts beside say how many. Verdicts of several judges count by majority, a tie as a no.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from wardround import taxonomy
from wardround.benchmarks.record import Column, RunRecord, Table
from wardround.metrics import resampled
from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import NOTHING, Estimate
from wardround.records import Record

PARTIAL = 0.5
"""What a match in part counts for where parts are credited."""


class Tally(Record, frozen=True, kw_only=True):
    """One answer in numbers. Dicts are by error type; `extra` and `confirmed` count claims beyond the annotation."""

    errors: dict[str, int]
    claims: dict[str, int]
    hits: dict[str, int]
    hows: dict[str, tuple[int, int]]
    part: int
    pointed: int
    right: int
    decided: int
    extra: int
    confirmed: int
    asked: int


def report_tables(records: Sequence[RunRecord], seed: int) -> list[Table]:
    """The benchmark's own tables."""
    read = [r for r in records if r.score.detail.get("read")]
    tallies = [tally(r) for r in read]
    over = Over(read, seed)
    return [
        _overall(records, tallies, over),
        _by_type(tallies, over),
        _by_region(read, tallies, seed),
        _by_how(tallies, over),
    ]


def tally(record: RunRecord) -> Tally:
    """The numbers of one record whose answer was read."""
    d = record.score.detail
    errors, claims = d["errors"], d["claims"]
    hit = {e for e, _ in d["full"]}
    corrections, confirmed = _verdicts(record, d)
    hows: dict[str, tuple[int, int]] = {}
    for k, (kind, _, how) in enumerate(errors):
        n, h = hows.get(f"{kind}/{how}", (0, 0))
        hows[f"{kind}/{how}"] = (n + 1, h + (k in hit))
    return Tally(
        errors=Counter(e[0] for e in errors),
        claims=Counter(c[0] for c in claims),
        hits=Counter(errors[e][0] for e in hit),
        hows=hows,
        part=len(d["part"]),
        pointed=sum(d["pointed"]),
        right=sum(c is True for c in corrections),
        decided=sum(c is not None for c in corrections),
        extra=len(d["beyond"]),
        confirmed=sum(c is True for c in confirmed),
        asked=sum(c is not None for c in confirmed),
    )


def _verdicts(record: RunRecord, d: dict[str, Any]) -> tuple[list[bool | None], list[bool | None]]:
    """Corrections and claims beyond the annotation, each True, False, or None where nobody told."""
    told = [s.detail["verdicts"] for s in record.judges.values() if "verdicts" in s.detail]

    def majority(key: str, k: int) -> bool | None:
        votes = [v[key][k] for v in told]
        return 2 * sum(votes) > len(votes) if votes else None

    corrections = [
        majority("corrections", k) if by_rule is None else by_rule
        for k, by_rule in enumerate(d["corrections"])
    ]
    return corrections, [majority("confirmed", k) for k in range(len(d["beyond"]))]


Part = Callable[[Tally], float]


class Over:
    """Ratios over reports, with their intervals."""

    def __init__(self, records: Sequence[RunRecord], seed: int) -> None:
        names = sorted({r.unit for r in records})
        place = {n: k for k, n in enumerate(names)}
        self.clusters = np.array([place[r.unit] for r in records], int)
        self.seed = seed

    def ratio(self, tallies: Sequence[Tally], above: Part, below: Part) -> Estimate:
        """Σ above / Σ below; nothing where Σ below is 0. `n` is Σ below."""
        a = np.array([above(t) for t in tallies], float)
        b = np.array([below(t) for t in tallies], float)
        total = float(b.sum())
        if not total:
            return NOTHING
        low, high = resampled.interval(_ratio(a, b), self.clusters, seed=self.seed)
        mean = round(float(a.sum()) / total, 10)
        return Estimate(mean=mean, low=low, high=high, n=round(total), clusters=self._many())

    def macro(self, tallies: Sequence[Tally], pairs: Sequence[tuple[Part, Part]]) -> Estimate:
        """The mean of several ratios, those without anything below left out, in each resample too."""
        sums = [
            (
                np.array([above(t) for t in tallies], float),
                np.array([below(t) for t in tallies], float),
            )
            for above, below in pairs
        ]
        kept = [(a, b) for a, b in sums if b.sum()]
        if not kept:
            return NOTHING
        measures = [_ratio(a, b) for a, b in kept]

        def measure(w: np.ndarray) -> np.ndarray:
            found = np.stack([m(w) for m in measures])
            seen = ~np.isnan(found)
            total = np.where(seen, found, 0.0).sum(axis=0)
            n = seen.sum(axis=0)
            out: np.ndarray = np.where(n > 0, total / np.maximum(n, 1), np.nan)
            return out

        low, high = resampled.interval(measure, self.clusters, seed=self.seed)
        mean = sum(float(a.sum() / b.sum()) for a, b in kept) / len(kept)
        return Estimate(
            mean=round(mean, 10), low=low, high=high, n=len(kept), clusters=self._many()
        )

    def _many(self) -> int:
        return int(self.clusters.max()) + 1 if len(self.clusters) else 0


def _ratio(above: np.ndarray, below: np.ndarray) -> resampled.Measure:
    def measure(w: np.ndarray) -> np.ndarray:
        a, b = w @ above, w @ below
        out = np.full(a.shape, np.nan)
        np.divide(a, b, out=out, where=b > 0)
        return out

    return measure


def _all(field: str) -> Part:
    return lambda t: sum(getattr(t, field).values())


def _of(field: str, kind: str) -> Part:
    return lambda t: getattr(t, field).get(kind, 0)


def _how(key: str, which: int) -> Part:
    """Errors of a type and edit (0), or those of them that were hit (1)."""
    return lambda t: t.hows.get(key, (0, 0))[which]


def _types() -> list[tuple[str, str, str]]:
    return [(i.id, i.zh, i.en) for i in taxonomy.items("report_errors")]


ERRORS, CLAIMS, HITS = _all("errors"), _all("claims"), _all("hits")


def _both(t: Tally) -> float:
    return ERRORS(t) + CLAIMS(t)


def _f1(kind: str) -> tuple[Part, Part]:
    return (
        lambda t: 2 * t.hits.get(kind, 0),
        lambda t: t.errors.get(kind, 0) + t.claims.get(kind, 0),
    )


def micro_f1(records: Sequence[RunRecord], seed: int) -> Estimate:
    """Micro F1 over the records whose answer was read."""
    read = [r for r in records if r.score.detail.get("read")]
    tallies = [tally(r) for r in read]
    return Over(read, seed).ratio(tallies, lambda t: 2 * HITS(t), _both)


def _overall(records: Sequence[RunRecord], tallies: Sequence[Tally], over: Over) -> Table:
    kinds = [k for k, *_ in _types() if any(t.errors.get(k) for t in tallies)]

    def macro(above: str, below: str) -> Estimate:
        return over.macro(tallies, [(_of(above, k), _of(below, k)) for k in kinds])

    def faulty(t: Tally) -> float:
        return float(bool(ERRORS(t)))

    def flagged(t: Tally) -> float:
        return float(bool(CLAIMS(t)))

    def caught(t: Tally) -> float:
        return faulty(t) * flagged(t)

    def clean(t: Tally) -> float:
        return 1 - faulty(t)

    def credited(t: Tally) -> float:
        return 2 * (HITS(t) + PARTIAL * t.part)

    ratio, read = over.ratio, tallies
    rows = [
        ("micro_precision", "微平均精确率", "Micro precision", ratio(read, HITS, CLAIMS)),
        ("micro_recall", "微平均召回率", "Micro recall", ratio(read, HITS, ERRORS)),
        ("micro_f1", "微平均F1", "Micro F1", ratio(read, lambda t: 2 * HITS(t), _both)),
        ("macro_precision", "宏平均精确率", "Macro precision", macro("hits", "claims")),
        ("macro_recall", "宏平均召回率", "Macro recall", macro("hits", "errors")),
        ("macro_f1", "宏平均F1", "Macro F1", over.macro(read, [_f1(k) for k in kinds])),
        ("partial_f1", "计入部分匹配的F1", "F1 with partial credit", ratio(read, credited, _both)),
        ("pointed", "指到错误原文", "Points at the error's words",
         ratio(read, lambda t: t.pointed, HITS)),
        ("report_recall", "有错报告检出率", "Faulty reports flagged", ratio(read, caught, faulty)),
        ("report_precision", "报警报告中有错的", "Flagged reports that are faulty",
         ratio(read, caught, flagged)),
        ("report_f1", "报告级F1", "Report-level F1",
         ratio(read, lambda t: 2 * caught(t), lambda t: faulty(t) + flagged(t))),
        ("specificity", "无错报告未报警", "Error-free reports left alone",
         ratio(read, lambda t: clean(t) * (1 - flagged(t)), clean)),
        ("false_alarms", "每份无错报告的误报数", "False alarms per error-free report",
         ratio(read, lambda t: clean(t) * (CLAIMS(t) - t.confirmed), clean)),
        ("correction", "修改正确", "Corrections right",
         ratio(read, lambda t: t.right, lambda t: t.decided)),
        ("correction_decided", "修改已判", "Corrections decided",
         ratio(read, lambda t: t.decided, HITS)),
        ("additional", "额外发现率", "Additional discovery rate",
         ratio(read, lambda t: t.confirmed, CLAIMS)),
        ("beyond_asked", "标注外发现已判", "Claims beyond the annotation judged",
         ratio(read, lambda t: t.asked, lambda t: t.extra)),
        ("adjusted_precision", "计入额外发现的精确率", "Precision with confirmed discoveries",
         ratio(read, lambda t: HITS(t) + t.confirmed, CLAIMS)),
    ]  # fmt: skip
    unread = sum(r.status == "ok" for r in records) - len(tallies)
    return Table(
        id="report_overall", zh="总体", en="Overall",
        columns=(
            Column(key="measure", zh="指标", en="Measure"),
            Column(key="value", zh="数值与区间", en="Value, interval", kind="estimate"),
            Column(key="n", zh="分母", en="Out of", kind="count"),
        ),
        rows=tuple(
            {"id": name, "measure": f"{zh} / {en}", "value": found, "n": found.n}
            for name, zh, en, found in rows
        ),
        note_zh=f"匹配要求类型与位置都对。无法读取的回答{unread}份，不计入。未经评审确认的标注外发现一律算误报。",
        note_en=f"A match needs the right type and place. {unread} answers could not be read and are in no figure. "
        "Claims beyond the annotation are false alarms unless a judge confirms them.",
    )  # fmt: skip


def _by_type(tallies: Sequence[Tally], over: Over) -> Table:
    rows = []
    for kind, zh, en in [*_types(), ("", "不在列表中的类型", "Types not on the list")]:
        errors, claims, hits = (_of(f, kind) for f in ("errors", "claims", "hits"))
        row = {
            "type": f"{zh} / {en}",
            "errors": round(sum(errors(t) for t in tallies)),
            "claims": round(sum(claims(t) for t in tallies)),
            "precision": over.ratio(tallies, hits, claims),
            "recall": over.ratio(tallies, hits, errors),
            "f1": over.ratio(tallies, *_f1(kind)),
        }
        if row["errors"] or row["claims"]:
            rows.append(row)
    return Table(
        id="report_type", zh="按错误类型", en="By type of error",
        columns=(
            Column(key="type", zh="类型", en="Type"),
            Column(key="errors", zh="错误数", en="Errors", kind="count"),
            Column(key="claims", zh="指出数", en="Claims", kind="count"),
            Column(key="precision", zh="精确率", en="Precision", kind="estimate"),
            Column(key="recall", zh="召回率", en="Recall", kind="estimate"),
            Column(key="f1", zh="F1", en="F1", kind="estimate"),
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _by_region(records: Sequence[RunRecord], tallies: Sequence[Tally], seed: int) -> Table:
    rows = []
    for region in sorted({r.category for r in records} - {""}):
        here = [k for k, r in enumerate(records) if r.category == region]
        over = Over([records[k] for k in here], seed)
        part = [tallies[k] for k in here]
        rows.append(
            {
                "region": region,
                "errors": round(sum(ERRORS(t) for t in part)),
                "precision": over.ratio(part, HITS, CLAIMS),
                "recall": over.ratio(part, HITS, ERRORS),
                "f1": over.ratio(part, lambda t: 2 * HITS(t), _both),
            }
        )
    return Table(
        id="report_region", zh="按检查部位", en="By region",
        columns=(
            Column(key="region", zh="部位", en="Region"),
            Column(key="errors", zh="错误数", en="Errors", kind="count"),
            Column(key="precision", zh="精确率", en="Precision", kind="estimate"),
            Column(key="recall", zh="召回率", en="Recall", kind="estimate"),
            Column(key="f1", zh="F1", en="F1", kind="estimate"),
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _by_how(tallies: Sequence[Tally], over: Over) -> Table:
    names = {k: f"{zh} / {en}" for k, zh, en in _types()}
    rows = []
    for key in sorted({h for t in tallies for h in t.hows if not h.endswith("/")}):
        kind, _, how = key.partition("/")
        recall = over.ratio(tallies, _how(key, 1), _how(key, 0))
        rows.append(
            {"type": names.get(kind, kind), "how": how, "errors": recall.n, "recall": recall}
        )
    return Table(
        id="report_how", zh="按注入方式", en="By kind of edit",
        columns=(
            Column(key="type", zh="类型", en="Type"),
            Column(key="how", zh="方式", en="Edit"),
            Column(key="errors", zh="错误数", en="Errors", kind="count"),
            Column(key="recall", zh="召回率", en="Recall", kind="estimate"),
        ),
        rows=tuple(rows),
        note_zh="只有注入的错误知道其方式。", note_en="Only injected errors have a known edit.",
    )  # fmt: skip
