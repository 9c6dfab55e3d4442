"""What a run's scores say about their making, in every run's summary: the judges themselves, looked at.

- each judge: its mean and spread (a lenient judge, one that gives everything 8) and what it left unscored;
- judges among themselves, where there are two or more;
- score against answer length: a judge that rewards length shows here, though so does a task in which fuller
  answers are better;
- option or presentation order, where a benchmark asks one question under several (`Score.detail["order"]`).

Pure, from records alone. Nothing here passes or fails a run; a reader decides. Scores by rule (a letter that is
right or wrong) have no judge to look at, so only their order is checked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Any

from wardround.benchmarks.record import Column, RunRecord, Table
from wardround.metrics import agreement, raters, resampled
from wardround.metrics.arrays import np
from wardround.metrics.bootstrap import Estimate, cluster_mean, mean_by_cluster

RULE = "rule"
"""The name under which a score that needed no judge is kept."""
MOST, LEAST = 500, 200
"""Resamples for up to 1,000 items, and at the least: these intervals only have to warn."""
_JURY = "评审均分 / Judges' mean"


def checks(records: Sequence[RunRecord], seed: int, *, overall: Estimate) -> list[Table]:
    """The self-checks that these records allow, as tables; `overall` is their mean score, had already."""
    judges = sorted({j for r in records for j in r.judges} - {RULE})
    found: list[Table] = []
    if judges:
        found.append(_judges(records, judges, overall, seed))
        clusters = _clusters(records)
        scores = np.array([[_value(r, j) for r in records] for j in judges])
        if len(judges) > 1:
            found.append(_together(scores, clusters, seed))
        if len(judges) > 2:
            found.append(_pairs(scores, judges))
        found += _length(records, scores, judges, clusters, seed)
    return found + _orders(records, seed)


def _resamples(items: int) -> int:
    return min(MOST, max(LEAST, 500_000 // max(1, items)))


def _value(record: RunRecord, judge: str) -> float:
    score = record.judges.get(judge)
    return np.nan if score is None or score.value is None else score.value


def _clusters(records: Sequence[RunRecord]) -> np.ndarray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(r.unit, len(numbers)) for r in records])


def _judges(
    records: Sequence[RunRecord], judges: Sequence[str], overall: Estimate, seed: int
) -> Table:
    """Where each judge stands: over every answer it was given."""
    rows = []
    for judge in judges:
        asked = [r for r in records if judge in r.judges]
        scored = [r for r in asked if r.judges[judge].value is not None]
        values = np.array([r.judges[judge].value for r in scored], float)
        values = values[np.argsort(_clusters(scored), kind="stable")]
        # One judge alone is the score itself, whose interval is there already.
        mean = (
            overall
            if len(judges) == 1
            else mean_by_cluster(((r.unit, _value(r, judge)) for r in scored), seed=seed)
        )
        rows.append({
            "judge": judge,
            "asked": len(asked),
            "unscored": round(1 - len(values) / len(asked), 10),
            "mean": mean,
            "sd": round(float(np.std(values, ddof=1)), 10) if len(values) > 1 else None,
            "distinct": len(set(values.tolist())),
        })  # fmt: skip
    return Table(
        id="judges", zh="评审自查：各评审", en="Self-check: each judge",
        columns=(
            Column(key="judge", zh="评审", en="judge"),
            Column(key="asked", zh="已判答案", en="answers judged", kind="count"),
            Column(key="unscored", zh="未给分占比", en="left unscored", kind="share"),
            Column(key="mean", zh="平均分", en="mean", kind="estimate"),
            Column(key="sd", zh="标准差", en="SD", kind="number"),
            Column(key="distinct", zh="用过的分值数", en="distinct scores", kind="count"),
        ),
        rows=tuple(rows),
        note_zh="评审之间平均分相差大，说明宽严不一；标准差小、分值数少，说明评审分不出好坏。",
        note_en="Means far apart: judges differ in leniency. A small SD and few distinct scores: a judge that hardly "
        "tells answers apart.",
    )  # fmt: skip


def _together(scores: np.ndarray, clusters: np.ndarray, seed: int) -> Table:
    found = raters.among(scores, clusters, seed=seed, resamples=_resamples(len(clusters)))
    return Table(
        id="judge_agreement", zh="评审自查：评审之间的一致性", en="Self-check: agreement among judges",
        columns=(
            Column(key="measure", zh="指标", en="measure"),
            Column(key="value", zh="数值与区间", en="value, interval", kind="estimate"),
            Column(key="n", zh="题数", en="items", kind="count"),
        ),
        rows=tuple(
            {
                "measure": " / ".join(raters.MEASURES[a.measure]),
                "value": Estimate(mean=a.value, low=a.low, high=a.high, n=a.n, clusters=a.n),
                "n": a.n,
            }
            for a in found
        ),
        note_zh="相关系数与 κ 为各对评审的平均，ICC 与 α 为全部评审合算；区间按病例重抽样。",
        note_en="Correlations and κ are means over pairs of judges, ICC and α of all together; intervals resample "
        "cases.",
    )  # fmt: skip


def _pairs(scores: np.ndarray, judges: Sequence[str]) -> Table:
    """Point values for each pair: which judge is the odd one out."""
    rows = []
    for i, j in combinations(range(len(judges)), 2):
        both = ~np.isnan(scores[i]) & ~np.isnan(scores[j])
        a, b = scores[i][both], scores[j][both]
        row: dict[str, Any] = {"pair": f"{judges[i]} – {judges[j]}", "n": int(both.sum())}
        measures = {
            "pearson": agreement.pearson(a, b),
            "spearman": agreement.spearman(a, b),
            "kappa": agreement.quadratic_kappa(a, b),
            "difference": float((b - a).mean()) if len(a) else None,
        }
        rows.append(row | {k: None if v is None else round(v, 10) for k, v in measures.items()})
    return Table(
        id="judge_pairs", zh="评审自查：两两一致性", en="Self-check: agreement by pair of judges",
        columns=(
            Column(key="pair", zh="评审", en="judges"),
            Column(key="n", zh="题数", en="items", kind="count"),
            *(
                Column(key=k, zh=raters.MEASURES[k][0], en=raters.MEASURES[k][1], kind="number")
                for k in ("pearson", "spearman", "kappa")
            ),
            Column(key="difference", zh="平均差（后 − 前）", en="mean difference, second − first", kind="number"),
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _length(
    records: Sequence[RunRecord],
    scores: np.ndarray,
    judges: Sequence[str],
    clusters: np.ndarray,
    seed: int,
) -> list[Table]:
    """Spearman's ρ of score and answer length; none where lengths were not recorded."""
    lengths = np.array([np.nan if r.length is None else r.length for r in records], float)
    jury = np.array([np.nan if r.score.value is None else r.score.value for r in records], float)
    series = [(_JURY if len(judges) > 1 else judges[0], jury)]
    if len(judges) > 1:
        series += list(zip(judges, scores, strict=True))
    rows = []
    for name, values in series:
        known = ~np.isnan(values) & ~np.isnan(lengths)
        if not known.any():
            continue
        n = int(known.sum())
        x, y = lengths[known], values[known]
        value = agreement.spearman(x, y)
        low = high = None
        if value is not None:
            _, drawn = np.unique(clusters[known], return_inverse=True)
            low, high = resampled.interval(
                resampled.spearman(x, y), drawn, seed=seed, resamples=_resamples(n)
            )
        found = Estimate(
            mean=None if value is None else round(value, 10), low=low, high=high, n=n, clusters=n
        )
        rows.append({"judge": name, "rho": found, "n": n, "median": float(median(x.tolist()))})
    if not rows:
        return []
    table = Table(
        id="length",
        zh="评审自查：分数与回答长度",
        en="Self-check: score and answer length",
        columns=(
            Column(key="judge", zh="评审", en="judge"),
            Column(key="rho", zh="斯皮尔曼相关 ρ", en="Spearman ρ", kind="estimate"),
            Column(key="n", zh="题数", en="items", kind="count"),
            Column(key="median", zh="回答字数中位数", en="median characters", kind="count"),
        ),
        rows=tuple(rows),
        note_zh="相关不等于偏袒：写得更全的回答本来就可能更好。接近 1 时应请医生抽查长而空的回答。",
        note_en="Correlation is no proof of bias: fuller answers may be better. Near 1, have a doctor look at long "
        "answers that say little.",
    )  # fmt: skip
    return [table]


def _orders(records: Sequence[RunRecord], seed: int) -> list[Table]:
    """The difference of each order from the first, paired by question, turn and repeat."""
    placed: dict[Any, dict[tuple[str, int, int], float]] = defaultdict(dict)
    for r in records:
        order = next((s.detail["order"] for s in r.judges.values() if "order" in s.detail), None)
        if order is not None and r.group and r.score.value is not None:
            placed[order][(r.cluster, r.turn, r.repeat)] = r.score.value
    if len(placed) < 2:
        return []
    first, *others = sorted(placed)
    rows = []
    for order in others:
        clusters: dict[str, list[float]] = defaultdict(list)
        for key in sorted(placed[order].keys() & placed[first].keys()):
            clusters[key[0]].append(placed[order][key] - placed[first][key])
        found = cluster_mean(list(clusters.values()), seed=seed)
        rows.append({"order": f"{order} − {first}", "difference": found, "n": found.n})
    table = Table(
        id="order_effect",
        zh="自查：顺序的影响",
        en="Self-check: effect of order",
        columns=(
            Column(key="order", zh="顺序", en="orders"),
            Column(
                key="difference", zh="平均分之差", en="difference of means", kind="estimate"
            ),
            Column(key="n", zh="配对数", en="pairs", kind="count"),
        ),
        rows=tuple(rows),
        note_zh="同一题在两种顺序下的分数之差；内容相同，差值本应为 0。",
        note_en="The same question under two orders: with the same content the difference ought to be 0.",
    )  # fmt: skip
    return [table]
