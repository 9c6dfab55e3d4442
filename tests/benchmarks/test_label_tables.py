"""Figures against their formulas on counted examples, and against scikit-learn's definitions by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.runs import record
from wardround.benchmarks.label_tables import Counted, label_tables, sight_table
from wardround.benchmarks.record import RunRecord
from wardround.images.labels import names
from wardround.metrics.arrays import np
from wardround.records import Score


def said(
    case: str,
    truth: Sequence[str],
    labels: Sequence[str] | None,
    modality: str = "fundus",
    **more: Any,
) -> RunRecord:
    detail = {
        "truth": list(truth), "said": None if labels is None else list(labels), "unlisted": [], "how": "" if labels is None else "stated",
        "modality": modality, "order": 1, "orders": 1,
    }  # fmt: skip
    if labels is None:
        score = Score(status="unscored", reason="refusal", detail=detail)
    else:
        score = Score(status="scored", value=float(list(labels) == list(truth)), detail=detail)
    import msgspec

    made = record(case, {"rule": 1.0}, benchmark="retina", category=modality, **more)
    return msgspec.structs.replace(
        made, judges={"rule": score}, group=case, score=msgspec.structs.replace(score, detail={})
    )


def test_a_counted_example() -> None:
    records = [
        said("1", ["DR"], ["DR"]), said("2", ["DR"], ["MH"]), said("3", ["MH"], ["DR", "MH"]),
        said("4", ["NORMAL"], ["NORMAL"]), said("5", ["DR"], None),
    ]  # fmt: skip
    counted = Counted(records, "fundus", 0)
    dr = counted.ids.index("DR")
    assert [counted.count(c, dr) for c in range(4)] == [1, 1, 1, 1]
    assert counted.figure("sensitivity", dr).mean == 0.5
    assert counted.figure("specificity", dr).mean == 0.5
    mh = counted.ids.index("MH")
    assert counted.figure("f1", mh).mean == round(2 / 3, 10)
    assert counted.figure("macro f1").mean == round((0.5 + 2 / 3 + 1) / 3, 10)
    assert counted.figure("micro f1").mean == round(2 * 3 / (2 * 3 + 2 + 1), 10)
    crvo = counted.ids.index("CRVO")
    assert counted.figure("sensitivity", crvo).mean is None  # nothing to find is no zero
    assert counted.figure("specificity", crvo).mean == 1.0


LABELS = st.sets(st.sampled_from(names("oct").ids), max_size=3)


@settings(max_examples=20)
@given(st.lists(st.tuples(LABELS, LABELS), min_size=2, max_size=20))
def test_figures_are_what_the_formulas_say(pairs: list[tuple[set[str], set[str]]]) -> None:
    ids = names("oct").ids
    records = [said(str(k), sorted(t), sorted(s), "oct") for k, (t, s) in enumerate(pairs)]
    counted = Counted(records, "oct", 0)
    f1s = []
    for k, label in enumerate(ids):
        tp = sum(label in t and label in s for t, s in pairs)
        wrong = sum((label in t) != (label in s) for t, s in pairs)
        mean = counted.figure("f1", k).mean
        assert mean == (round(2 * tp / (2 * tp + wrong), 10) if tp or wrong else None)
        if any(label in t for t, _ in pairs):
            f1s.append(2 * tp / (2 * tp + wrong))
    macro = counted.figure("macro f1")
    assert macro.mean == (pytest.approx(np.mean(f1s)) if f1s else None)
    if macro.low is not None and macro.high is not None:
        assert 0 <= macro.low <= macro.high <= 1


def test_a_picture_s_orders_are_drawn_together() -> None:
    several = [
        said(f"{k}@o{o}", ["DR"], ["DR"] if k % 2 else ["MH"]) for k in range(12) for o in range(3)
    ]
    import msgspec

    grouped = [msgspec.structs.replace(r, group=r.case.partition("@")[0]) for r in several]
    alone, together = (Counted(r, "fundus", 0).figure("accuracy", 0) for r in (several, grouped))
    assert alone.mean == together.mean and (alone.clusters, together.clusters) == (36, 12)
    assert alone.low is not None and together.low is not None and together.low < alone.low


def tables(records: Sequence[RunRecord], *modalities: str) -> dict[str, Any]:
    return {t.id: t for t in label_tables(records, modalities, lambda m: m == "oct", 0)}


def test_oct_has_a_confusion_matrix_with_room_for_the_unread() -> None:
    records = [
        said("1", ["CNV"], ["CNV"], "oct"), said("2", ["CNV"], ["DME"], "oct"), said("3", ["CNV"], None, "oct"),
        said("4", ["DME"], ["DME"], "oct"), record("5", {}, benchmark="retina", category="oct", answer=None),
    ]  # fmt: skip
    found = tables(records, "fundus", "oct")
    assert set(found) == {"modality", "labels_oct", "confusion_oct", "reading"}
    row = next(r for r in found["confusion_oct"].rows if r["truth"].startswith("CNV"))
    assert (row["CNV"], row["DME"], row["unread"]) == (1, 1, 1)
    top = found["modality"].rows[0]
    assert (top["scored"], top["unscored"], top["failed"]) == (3, 1, 1)


def test_false_alarms_are_counted_on_clean_pictures_alone() -> None:
    records = [
        said("1", [], [], "cxr"), said("2", [], ["implant"], "cxr"), said("3", [], [], "cxr"), said("4", [], None, "cxr"),
        said("5", ["implant"], ["apex_cut"], "cxr"), said("6", ["implant"], [], "cxr"),
    ]  # fmt: skip
    clean, faulty = tables(records, "cxr")["clean"].rows
    assert (clean["pictures"], clean["flagged"].mean) == (3, pytest.approx(1 / 3))
    assert (faulty["pictures"], faulty["flagged"].mean) == (2, 0.5)


def test_sight_pairs_what_both_answered() -> None:
    seen = [said("1", ["CNV"], ["CNV"], "oct"), said("2", ["DME"], ["DME"], "oct"), said("3", ["MH"], ["CNV"], "oct")]  # fmt: skip
    blind = [said("1", ["CNV"], ["CNV"], "oct"), said("2", ["DME"], ["CNV"], "oct"), said("3", ["MH"], None, "oct")]  # fmt: skip
    (row,) = sight_table(seen, blind, 0).rows
    assert row["paired"] == 2 and row["gain"].mean == 0.5 and row["declined"] == 1
    assert row["seen"].mean == pytest.approx(2 / 3) and row["blind"].mean == 0.5
