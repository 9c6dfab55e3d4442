"""Figures of label benchmarks: per label, macro and micro, exact match, confusions, what sight adds. Pure.

A label's counts are over scored answers: a picture that has it and is said to (true positive), and so on; every label of
the list counts in every answer. Accuracy = (TP+TN)/n, sensitivity = recall = TP/(TP+FN), specificity = TN/(TN+FP),
precision = TP/(TP+FP), F1 = 2TP/(2TP+FP+FN). Macro: the mean over labels that some picture of the run has; micro: of
all counts together. A figure with nothing below its line is undefined, not zero. Intervals are percentiles of 2,000
resamples of pictures (a picture's orders and repeats hang together), all figures from the same draws; a figure undefined
in more than a tenth of them has none.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wardround.benchmarks.record import Column, RunRecord, Table, counts, estimate
from wardround.images.labels import CLEAN_EN, CLEAN_ZH, LISTS, MODALITIES, shown
from wardround.images.labels import names as names_of
from wardround.metrics.bootstrap import RESAMPLES, Estimate, cluster_mean, percentile_interval

if TYPE_CHECKING:
    from wardround.metrics.arrays import np

UNREAD = "未读出 / unread"
FEWEST = 0.9


def detail(record: RunRecord) -> Mapping[str, Any]:
    """What the grading left: `truth`, `said`, … ; empty for a failed request."""
    return next((s.detail for s in record.judges.values()), {})


class Counted:
    """One modality's scored records as arrays, and its figures with their intervals."""

    def __init__(self, records: Sequence[RunRecord], modality: str, seed: int) -> None:
        from wardround.metrics.arrays import np

        self.ids = names_of(modality).ids
        self.records = [r for r in records if r.score.status == "scored"]
        place = {label: k for k, label in enumerate(self.ids)}
        shape = (len(self.records), len(self.ids))
        self.truth, self.said = np.zeros(shape, bool), np.zeros(shape, bool)
        for i, r in enumerate(self.records):
            for label in detail(r).get("truth", ()):
                self.truth[i, place[label]] = True
            for label in detail(r).get("said") or ():
                self.said[i, place[label]] = True
        units = sorted({r.unit for r in self.records})
        number = {u: k for k, u in enumerate(units)}
        self.clusters = np.array([number[r.unit] for r in self.records], int)
        self.units = len(units)
        self.present: np.ndarray = np.asarray(self.truth.any(axis=0))
        t, s = self.truth, self.said
        self._cells = [x.astype(float) for x in (t & s, ~t & s, t & ~s, ~t & ~s)]
        self._point = self._figures([c.sum(axis=0)[None, :] for c in self._cells])
        self._draws = self._resampled(seed)

    def _resampled(self, seed: int) -> dict[str, np.ndarray]:
        from wardround.metrics.arrays import np
        from wardround.metrics.resampled import weights

        if self.units < 2:
            return {}
        parts: list[dict[str, np.ndarray]] = [
            self._figures([w @ c for c in self._cells])
            for w in weights(self.clusters, RESAMPLES, seed)
        ]
        return {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}

    def _figures(self, cells: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """Figures (draws, labels) and, under "macro …" and "micro …", (draws,) of counts (draws, labels)."""
        from wardround.metrics.arrays import np

        single = _of(*cells)
        whole = _of(*(c.sum(axis=1) for c in cells))
        out = dict(single)
        for name, values in single.items():
            out[f"micro {name}"] = whole[name]
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore", RuntimeWarning
                )  # a mean of nothing is undefined here
                out[f"macro {name}"] = np.nanmean(
                    np.where(self.present[None, :], values, np.nan), axis=1
                )
        return out

    def figure(self, name: str, label: int | None = None) -> Estimate:
        """One figure: a label's (its place), or a "macro …" or "micro …" one."""
        from wardround.metrics.arrays import np

        def column(values: np.ndarray) -> np.ndarray:
            return values if label is None else values[:, label]

        value = float(column(self._point[name])[0])
        low = high = None
        if self._draws and not np.isnan(value):
            drawn = column(self._draws[name])
            drawn = drawn[~np.isnan(drawn)]
            if len(drawn) >= FEWEST * RESAMPLES:
                low, high = percentile_interval(drawn)
        return Estimate(
            mean=None if np.isnan(value) else round(value, 10),
            low=low, high=high, n=len(self.records), clusters=self.units,
        )  # fmt: skip

    def count(self, cell: int, label: int) -> int:
        """True positives (0), false positives (1), false negatives (2), true negatives (3)."""
        return int(self._cells[cell][:, label].sum())


def _of(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> dict[str, np.ndarray]:
    from wardround.metrics.arrays import np

    def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        out = np.full(above.shape, np.nan)
        np.divide(above, below, out=out, where=below > 0)
        return out

    return {
        "accuracy": ratio(tp + tn, tp + fp + fn + tn),
        "sensitivity": ratio(tp, tp + fn),
        "specificity": ratio(tn, tn + fp),
        "precision": ratio(tp, tp + fp),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
    }


# -- tables ---------------------------------------------------------------------------------------------------

_N = tuple(
    Column(key=k, zh=zh, en=en, kind="count")
    for k, zh, en in (
        ("pictures", "图像", "Pictures"), ("scored", "已评分", "Scored"),
        ("unscored", "未评分", "Unscored"), ("failed", "失败", "Failed"),
    )
)  # fmt: skip
_FIGURES = (
    ("accuracy", "正确率", "Accuracy"), ("sensitivity", "敏感度", "Sensitivity"),
    ("specificity", "特异度", "Specificity"), ("precision", "精确率", "Precision"), ("f1", "F1", "F1"),
)  # fmt: skip
_INTERVALS = ("区间按图像重抽样。", "Intervals resample pictures.")


def label_tables(
    records: Sequence[RunRecord],
    modalities: Sequence[str],
    single: Callable[[str], bool],
    seed: int,
) -> list[Table]:
    """By modality, by label, clean pictures, confusions, how answers were read."""
    parts = [(m, [r for r in records if r.category == m]) for m in modalities]
    parts = [(m, found) for m, found in parts if found]
    counted = {m: Counted(found, m, seed) for m, found in parts}
    tables = [_by_modality(parts, counted, seed)]
    for m, found in parts:
        tables.append(_by_label(m, counted[m]))
        if names_of(m).clean:
            tables.append(_clean(found, seed))
        if single(m):
            tables.append(_confusion(m, found))
    return [*tables, _reading(parts)]


def _name(modality: str) -> str:
    return " / ".join(MODALITIES[modality])


def _by_modality(
    parts: Sequence[tuple[str, Sequence[RunRecord]]], counted: Mapping[str, Counted], seed: int
) -> Table:
    averages = [
        (f"{way} {key}", f"{way_zh}{zh}", f"{way_en} {en.lower() if en != 'F1' else en}")
        for way, way_zh, way_en in (("macro", "宏平均", "Macro"), ("micro", "微平均", "Micro"))
        for key, zh, en in _FIGURES
        if key in {"f1", "precision", "sensitivity"}
    ]
    rows = [
        {
            "part": _name(m),
            "pictures": len({r.unit for r in found}),
            **counts(found),
            "exact": estimate(found, seed),
            **{key: counted[m].figure(key) for key, _, _ in averages},
        }
        for m, found in parts
    ]
    return Table(
        id="modality", zh="按检查", en="By modality", rows=tuple(rows),
        columns=(
            Column(key="part", zh="检查", en="Modality"), *_N,
            Column(key="exact", zh="全部相符", en="Exact match", kind="estimate"),
            *(Column(key=key, zh=zh, en=en, kind="estimate") for key, zh, en in averages),
        ),
        note_zh="全部相符：所答与实际标签完全一致。宏平均只含本次有图像的标签；微平均合计全部标签。" + _INTERVALS[0],
        note_en="Exact match: exactly the true labels were given. Macro: over labels that some picture has; micro: all "
        "labels' counts together. " + _INTERVALS[1],
    )  # fmt: skip


def _by_label(modality: str, counted: Counted) -> Table:
    rows = []
    for k, label in enumerate(counted.ids):
        tp, fp, fn, tn = (counted.count(cell, k) for cell in range(4))
        rows.append(
            {
                "label": f"{shown(modality, label)} / {shown(modality, label, 'en')}",
                "positive": tp + fn, "tp": tp, "fp": fp, "fn": fn, "tn": tn,
                **{key: counted.figure(key, k) for key, _, _ in _FIGURES},
            }
        )  # fmt: skip
    cells = (
        ("positive", "实有", "Present"), ("tp", "真阳", "TP"), ("fp", "假阳", "FP"),
        ("fn", "假阴", "FN"), ("tn", "真阴", "TN"),
    )  # fmt: skip
    zh, en = MODALITIES[modality]
    return Table(
        id=f"labels_{modality}", zh=f"{zh}：各标签", en=f"{en}: by label", rows=tuple(rows),
        columns=(
            Column(key="label", zh="标签", en="Label"),
            *(Column(key=k, zh=zh, en=en, kind="count") for k, zh, en in cells),
            *(Column(key=k, zh=zh, en=en, kind="estimate") for k, zh, en in _FIGURES),
        ),
        note_zh="按已评分的回答计数；没有该标签的图像时，敏感度与F1无定义。" + _INTERVALS[0],
        note_en="Counted over scored answers; without a picture that has the label, sensitivity is undefined. "
        + _INTERVALS[1],
    )  # fmt: skip


def _clean(records: Sequence[RunRecord], seed: int) -> Table:
    """False alarms on clean pictures, and pictures with a fault in which any was found."""
    scored = [r for r in records if r.score.status == "scored"]
    rows = []
    for key, wanted in (("clean", False), ("faulty", True)):
        these = [r for r in scored if bool(detail(r)["truth"]) == wanted]
        alarms: dict[str, list[float]] = {}
        for r in these:
            flagged = bool(detail(r)["said"] or detail(r)["unlisted"])
            alarms.setdefault(r.unit, []).append(float(flagged))
        zh, en = (CLEAN_ZH, CLEAN_EN) if key == "clean" else ("有问题", "with a fault")
        rows.append(
            {
                "part": f"{zh} / {en}",
                "pictures": len(alarms),
                "scored": len(these),
                "flagged": cluster_mean([alarms[u] for u in sorted(alarms)], seed=seed),
            }
        )
    return Table(
        id="clean", zh="误报与检出", en="False alarms and detection", rows=tuple(rows),
        columns=(
            Column(key="part", zh="图像", en="Pictures that are"), *_N[:2],
            Column(key="flagged", zh="报出问题的比例", en="Share flagged", kind="estimate"),
        ),
        note_zh="无问题的图像被报出任何问题即为误报；有问题的图像报出任何问题即为检出。",
        note_en="On clean pictures any fault named is a false alarm; on the others it is a detection, right or wrong.",
    )  # fmt: skip


def _confusion(modality: str, records: Sequence[RunRecord]) -> Table:
    ids = [*names_of(modality).ids]
    pairs: Counter[tuple[str, str]] = Counter()
    for r in records:
        found = detail(r)
        if not found:
            continue
        truth = found["truth"][0] if len(found["truth"]) == 1 else ""
        said = found["said"]
        chosen = "" if said is None else said[0] if said else "unlisted"
        pairs[(truth, chosen)] += 1
    others = [
        Column(key="unlisted", zh="表外", en="Unlisted", kind="count"),
        Column(key="unread", zh="未读出", en="Unread", kind="count"),
    ]
    rows = [
        {
            "truth": f"{t} · {shown(modality, t)}",
            **{c: pairs[(t, c)] for c in ids},
            "unlisted": pairs[(t, "unlisted")],
            "unread": pairs[(t, "")],
        }
        for t in ids
    ]
    zh, en = MODALITIES[modality]
    return Table(
        id=f"confusion_{modality}", zh=f"{zh}：混淆矩阵", en=f"{en}: confusion matrix", rows=tuple(rows),
        columns=(
            Column(key="truth", zh="实际＼所答", en="Truth \\ answer"),
            *(Column(key=c, zh=c, en=c, kind="count") for c in ids), *others,
        ),
        note_zh="行为实际标签，列为所答；每种选项顺序与重复各计一次。",
        note_en="Rows are the truth, columns the answers; each option order and repeat counts once.",
    )  # fmt: skip


def _reading(parts: Sequence[tuple[str, Sequence[RunRecord]]]) -> Table:
    rows = []
    for m, records in parts:
        found = [detail(r) for r in records if detail(r)]
        how = Counter(d["how"] for d in found)
        rows.append(
            {
                "part": _name(m), "stated": how["stated"], "prose": how["prose"], "unread": how[""],
                "unlisted": sum(bool(d["unlisted"]) for d in found),
            }
        )  # fmt: skip
    return Table(
        id="reading", zh="回答如何读出", en="How answers were read", rows=tuple(rows),
        columns=(
            Column(key="part", zh="检查", en="Modality"),
            Column(key="stated", zh="答案行", en="Answer line", kind="count"),
            Column(key="prose", zh="从正文读出", en="From prose", kind="count"),
            Column(key="unread", zh="未读出", en="Unread", kind="count"),
            Column(key="unlisted", zh="含表外名称", en="With a name outside the list", kind="count"),
        ),
    )  # fmt: skip


def sight_table(pictured: Sequence[RunRecord], without: Sequence[RunRecord], seed: int) -> Table:
    """Exact match and macro F1 with and without the picture, and the paired difference of exact match."""
    rows = []
    modalities = [m for m in LISTS if any(r.category == m for r in pictured)]
    for m in modalities:
        seen = [r for r in pictured if r.category == m]
        blind = [r for r in without if r.category == m]
        other = {(r.case, r.repeat): r.score.value for r in blind}
        gained: dict[str, list[float]] = {}
        for r in seen:
            before = other.get((r.case, r.repeat))
            if r.score.value is not None and before is not None:
                gained.setdefault(r.unit, []).append(r.score.value - before)
        rows.append(
            {
                "part": _name(m),
                "paired": sum(map(len, gained.values())),
                "seen": estimate(seen, seed),
                "blind": estimate(blind, seed),
                "gain": cluster_mean([gained[u] for u in sorted(gained)], seed=seed),
                "seen_f1": Counted(seen, m, seed).figure("macro f1"),
                "blind_f1": Counted(blind, m, seed).figure("macro f1"),
                "declined": counts(blind)["unscored"],
            }
        )
    return Table(
        id="sight", zh="有图与无图", en="With and without the picture", rows=tuple(rows),
        columns=(
            Column(key="part", zh="检查", en="Modality"),
            Column(key="paired", zh="可配对", en="Paired", kind="count"),
            Column(key="seen", zh="有图：全部相符", en="Exact match, with", kind="estimate"),
            Column(key="blind", zh="无图：全部相符", en="Exact match, without", kind="estimate"),
            Column(key="gain", zh="差值（有图−无图）", en="Difference", kind="estimate"),
            Column(key="seen_f1", zh="有图：宏F1", en="Macro F1, with", kind="estimate"),
            Column(key="blind_f1", zh="无图：宏F1", en="Macro F1, without", kind="estimate"),
            Column(key="declined", zh="无图时未作答", en="Unread without it", kind="count"),
        ),
        note_zh="无图时也答对的，靠的是先验而非看图；差值的区间含0时，不能说模型看懂了图。"
        "无图时拒答的不计入配对。",
        note_en="What is right without the picture comes from prior knowledge, not sight; while the interval of the "
        "difference includes 0, sight can't be claimed. Answers declined without the picture aren't paired.",
    )  # fmt: skip
