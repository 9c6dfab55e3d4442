"""Figures of single-choice runs: accuracy, consistency over option orders, positions chosen and their test.

Pure, from records whose `Score.detail` is `MedChoice`'s (chosen, option, right, options, order, orders, side). A
question's orders are its cluster: intervals resample questions. Only scored answers count as right or wrong; a
question with an unscored or failed order is counted apart wherever all its orders are needed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wardround import taxonomy
from wardround.benchmarks.record import Column, RunRecord, Table, counts, estimate, group
from wardround.choices import LETTERS
from wardround.metrics.bootstrap import Estimate, cluster_mean
from wardround.metrics.position import Fit, goodness_of_fit, pooled

FEW = 5
"""A question of more options than this need not have its right answer at every position to count as balanced."""


def choice_tables(records: Sequence[RunRecord], seed: int) -> list[Table]:
    """Accuracy by side and by dimension, consistency, accuracy by order, positions chosen, and their test."""
    parts = _parts(records)
    chosen, test = _positions(records, seed)
    return [
        _accuracy("side", "按伦理与安全", "By ethics and safety", parts, seed),
        _accuracy("dimension", "按维度", "By dimension", _dimensions(records), seed),
        _consistency(parts, seed),
        _by_order(records, seed),
        chosen,
        test,
    ]


def _detail(record: RunRecord) -> Mapping[str, Any]:
    return next((s.detail for s in record.judges.values()), {})


def _known() -> dict[str, taxonomy.Dimension]:
    found = taxonomy.items("dimensions")
    return {d.zh: d for d in found if isinstance(d, taxonomy.Dimension)}


Parts = list[tuple[str, Sequence[RunRecord]]]


def _parts(records: Sequence[RunRecord]) -> Parts:
    """(name, records): all, ethics, safety, and what is neither. A failed request's side is its dimension's, or
    that of the question's other orders."""
    known = _known()
    sides: dict[str, str] = {}
    for r in records:
        listed = known[r.category].group if r.category in known else ""
        sides[r.cluster] = _detail(r).get("side") or listed or sides.get(r.cluster, "")
    names = {"ethics": "伦理 / Ethics", "safety": "安全 / Safety", "": "其他 / Other"}
    found: Parts = [("全部 / All", records)]
    for side, name in names.items():
        found.append((name, [r for r in records if sides[r.cluster] == side]))
    return [p for p in found if p[1]]


def _dimensions(records: Sequence[RunRecord]) -> Parts:
    """The 20 in the taxonomy's order, those without a record too, when the data has any of them; then others."""
    known = _known()
    by_name = group(records, lambda r: r.category or "未归类 / Unassigned")
    found: Parts = []
    if any(zh in by_name for zh in known):
        found = [(f"{zh} / {d.en}", by_name.get(zh, [])) for zh, d in known.items()]
    return found + [(n, by_name[n]) for n in sorted(set(by_name) - set(known))]


_PART = Column(key="part", zh="部分", en="Part")
_N = tuple(
    Column(key=k, zh=zh, en=en, kind="count")
    for k, zh, en in (
        ("questions", "题数", "Questions"), ("scored", "已评分", "Scored"),
        ("unscored", "未评分", "Unscored"), ("failed", "失败", "Failed"),
    )
)  # fmt: skip
_ACCURACY = Column(key="accuracy", zh="正确率", en="Accuracy", kind="estimate")


def _accuracy(id: str, zh: str, en: str, parts: Parts, seed: int) -> Table:  # noqa: A002
    rows = [
        {
            "part": name,
            "questions": len({r.cluster for r in records}),
            **counts(records),
            "accuracy": estimate(records, seed),
            "consistent": _consistent(records, seed),
        }
        for name, records in parts
    ]
    consistent = Column(
        key="consistent", zh="一致正确率", en="Consistent accuracy", kind="estimate"
    )
    return Table(
        id=id, zh=zh, en=en, columns=(_PART, *_N, _ACCURACY, consistent), rows=tuple(rows),
        note_zh="题数按题计，已评分等按题目×选项顺序（×重复）计；区间按题重抽样。",
        note_en="Questions are counted once; scored, unscored and failed count each order (and repeat). "
        "Intervals resample questions.",
    )  # fmt: skip


Asked = dict[tuple[str, int], list[RunRecord]]


def _asked(records: Iterable[RunRecord]) -> Asked:
    """Records by question and repeat."""
    found: Asked = defaultdict(list)
    for r in records:
        found[(r.cluster, r.repeat)].append(r)
    return found


def _status(orders_of_one: Sequence[RunRecord]) -> str:
    """Whether a question's orders can be taken together: "complete", or why not."""
    if any(r.score.value is None for r in orders_of_one):
        return "unread"
    wanted = _detail(orders_of_one[0])["orders"]
    return "complete" if 1 < wanted == len(orders_of_one) else "fewer"


def _over_complete(records: Sequence[RunRecord], seed: int, what: str) -> Estimate:
    clusters: dict[str, list[float]] = defaultdict(list)
    for (cluster, _), found in sorted(_asked(records).items()):
        if _status(found) == "complete":
            same = len({_detail(r)["option"] for r in found}) == 1
            right = all(r.score.value == 1.0 for r in found)
            clusters[cluster].append(float(right if what == "right" else same))
    return cluster_mean([clusters[k] for k in sorted(clusters)], seed=seed)


def _consistent(records: Sequence[RunRecord], seed: int) -> Estimate:
    return _over_complete(records, seed, "right")


def _consistency(parts: Parts, seed: int) -> Table:
    rows = []
    for name, records in parts:
        found = Counter(_status(x) for x in _asked(records).values())
        rows.append(
            {
                "part": name,
                **{k: found[k] for k in ("complete", "unread", "fewer")},
                "consistent": _consistent(records, seed),
                "same": _over_complete(records, seed, "same"),
                "accuracy": estimate(records, seed),
            }
        )
    columns = [_PART]
    for key, zh, en, kind in (
        ("complete", "可判一致性", "All orders read", "count"),
        ("unread", "有未评分或失败", "Some unscored or failed", "count"),
        ("fewer", "顺序不全", "Orders missing", "count"),
        ("consistent", "一致正确率", "Consistent accuracy", "estimate"),
        ("same", "各顺序选同一选项", "Same option throughout", "estimate"),
        ("accuracy", "正确率", "Accuracy", "estimate"),
    ):
        columns.append(Column(key=key, zh=zh, en=en, kind=kind))  # type: ignore[arg-type]
    return Table(
        id="consistency", zh="各选项顺序下的一致性", en="Consistency over option orders",
        columns=tuple(columns), rows=tuple(rows),
        note_zh="一致正确率：全部选项顺序下都答对的题所占比例，只计全部顺序都已评分的题；有未评分或失败的题、"
        "顺序不全的题另列，不算错。",
        note_en="Consistent accuracy is the share of questions answered right under all their orders, among those "
        "scored under all of them; questions with an unscored or failed order, or asked under fewer orders, are "
        "counted apart and never as wrong.",
    )  # fmt: skip


def _by_order(records: Sequence[RunRecord], seed: int) -> Table:
    groups = group(records, lambda r: r.case.rpartition("@o")[2])
    rows = [
        {"order": int(k), **counts(groups[k]), "accuracy": estimate(groups[k], seed)}
        for k in sorted(groups, key=int)
    ]
    columns = (Column(key="order", zh="顺序", en="Order", kind="count"), *_N[1:], _ACCURACY)
    return Table(
        id="order", zh="按选项顺序", en="By option order", columns=columns, rows=tuple(rows),
        note_zh="顺序 1 为题目文件原有的顺序。", note_en="Order 1 is the file's own.",
    )  # fmt: skip


def _balanced(found: Sequence[RunRecord]) -> bool:
    """Whether a question's orders put its right answer everywhere as evenly as their number allows."""
    if _status(found) != "complete":
        return False
    n = _detail(found[0])["options"]
    at = Counter(_detail(r)["right"] for r in found)
    spread = [at[letter] for letter in LETTERS[:n]]
    return len(found) >= min(n, FEW) and max(spread) - min(spread) <= 1


def _positions(records: Sequence[RunRecord], seed: int) -> tuple[Table, Table]:
    """Where the answers stood, where the right ones stood, and the test; repeat 1 only, so nothing counts twice."""
    first = [r for r in records if r.repeat == 1]
    balanced = [r for x in _asked(first).values() if _balanced(x) for r in x]
    asks = balanced or [r for r in first if r.score.value is not None]
    sizes = sorted({int(_detail(r)["options"]) for r in asks})
    chosen, right = (Counter(_detail(r)[k] for r in asks) for k in ("chosen", "right"))
    asked = {n: sum(_detail(r)["options"] == n for r in asks) for n in sizes}
    expected = {x: sum(m / n for n, m in asked.items() if x in LETTERS[:n]) for x in LETTERS}
    letters = LETTERS[: max(sizes, default=0)]
    at = {x: [r for r in asks if _detail(r)["right"] == x] for x in letters}
    rows = [
        {
            "position": x, "chosen": chosen[x], "right": right[x],
            "expected": round(expected[x], 10) if balanced else None,
            "accuracy": estimate(at[x], seed),
        }
        for x in letters
    ]  # fmt: skip
    tested = sizes if balanced else []
    fits = [(str(n), _fit([r for r in balanced if _detail(r)["options"] == n], n)) for n in tested]
    if len(fits) > 1:
        fits.append(("合计 / Pooled", pooled([f for _, f in fits])))
    return _position_table(rows, bool(balanced)), _test_table(fits, tested)


def _fit(asks: Sequence[RunRecord], n: int) -> Fit:
    at = Counter(_detail(r)["chosen"] for r in asks)
    return goodness_of_fit([at[x] for x in LETTERS[:n]], [len(asks) / n] * n)


def _position_table(rows: Sequence[dict[str, Any]], balanced: bool) -> Table:
    columns = (
        Column(key="position", zh="位置", en="Position"),
        Column(key="chosen", zh="所选", en="Chosen", kind="count"),
        Column(key="right", zh="正确答案", en="Right answers", kind="count"),
        Column(key="expected", zh="无偏时期望", en="Expected if unbiased", kind="number"),
        Column(key="accuracy", zh="正确答案在此时的正确率", en="Accuracy when it is here", kind="estimate"),
    )  # fmt: skip
    note = (
        (
            "只计全部顺序都已评分、且顺序使选项均匀分布于各位置的题。",
            "Questions scored under all orders whose orders spread the options evenly over positions.",
        )
        if balanced
        else (
            "没有选项顺序均衡的题，故无期望值，也不做检验；此处为全部已评分的作答。",
            "No question with balanced orders, so there is no expectation and no test; all scored answers are "
            "shown.",
        )
    )
    return Table(
        id="position", zh="所选位置", en="Positions chosen", columns=columns, rows=tuple(rows),
        note_zh=note[0], note_en=note[1],
    )  # fmt: skip


def _test_table(fits: Sequence[tuple[str, Fit]], sizes: Sequence[int]) -> Table:
    columns = (
        Column(key="options", zh="选项数", en="Options"),
        Column(key="n", zh="作答数", en="Answers", kind="count"),
        Column(key="statistic", zh="χ²", en="χ²", kind="number"),
        Column(key="df", zh="自由度", en="df", kind="count"),
        Column(key="p", zh="p 值", en="p"),
        Column(key="effect", zh="效应量 w", en="Effect size w", kind="number"),
    )
    rows = tuple(
        {
            "options": name, "n": f.n, "statistic": f.statistic, "df": f.df, "p": _p(f.p),
            "p_value": f.p, "effect": f.effect,
        }
        for name, f in fits
    )  # fmt: skip
    several = len(sizes) > 1
    sized = "、".join(map(str, sizes)), ", ".join(map(str, sizes))
    return Table(
        id="position_test", zh="位置偏好检验", en="Test of position bias", columns=columns, rows=rows,
        note_zh="卡方拟合优度检验：所选位置与均衡设计下的均匀分布比较。同一题的各次作答并不独立，内容稳定的模型"
        "所选位置本就均匀，故检验偏保守；期望数小于 5 时不给 p 值。w：0.1 小，0.3 中，0.5 大。"
        + (f"题目选项数不同（{sized[0]}），各自检验后相加。" if several else ""),
        note_en="Chi-square goodness of fit of the positions chosen against the uniform of the balanced design. "
        "Answers to one question are not independent: a model steady in content chooses evenly by design, so the "
        "test is conservative. No p where an expected count is below 5. w: 0.1 small, 0.3 medium, 0.5 large."
        + (f" Questions have {sized[1]} options: tested apart, then added." if several else ""),
    )  # fmt: skip


def _p(p: float | None) -> str:
    return "—" if p is None else "< 0.0001" if p < 0.0001 else f"{p:.4f}"
