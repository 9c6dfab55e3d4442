"""The rule checker: one report a rule, no false alarm on clean ones, and figures that are not circular."""

import os
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.benchmarks.data import ITEMS, read_rows
from wardround.images.report import CTReport, report_of
from wardround.images.report_check import check
from wardround.images.report_edits import tables
from wardround.images.report_errors import Plan, inject
from wardround.images.report_measure import held_out, measure
from wardround.images.report_rules import rules


def clean() -> list[CTReport]:
    rows = read_rows(ITEMS / "ct_reports.jsonl")
    return [r for _, row in rows if (r := report_of(row, str(row["id"])))]


def report(
    findings: str,
    impression: str = "请结合临床。",
    *,
    sex: str = "男",
    examination: str = "胸部CT平扫",
) -> CTReport:
    return CTReport(
        id="r", age="50岁", sex=sex, examination=examination, findings=findings,
        impression=impression,
    )  # fmt: skip


def found(*args: str, **more: str) -> list[tuple[str, str, str, str | None]]:
    return [(f.type, f.place, f.wrong, f.right) for f in check(report(*args, **more))]


@pytest.mark.parametrize(
    ("findings", "wrong", "right"),
    [
        ("颅骨末见骨折。", "末见", "未见"),
        ("左肾孟扩张。", "肾孟", "肾盂"),
        ("L3锥体形态正常。", "L3锥体", "L3椎体"),
    ],
)
def test_wrong_characters(findings: str, wrong: str, right: str) -> None:
    assert found(findings, examination="腰椎CT平扫") == [
        ("wrong_character", "findings", wrong, right)
    ]


def test_the_pyramidal_tract_is_not_a_vertebra() -> None:
    assert found("锥体束走行区未见异常。", examination="颅脑CT平扫") == []


@pytest.mark.parametrize(
    ("findings", "wrong", "right"),
    [
        ("肺内见结节节影。", "节节", "节"),
        ("肺内密度密度均匀。", "密度密度", "密度"),
        ("纵隔淋结未见肿大。", "淋结", "淋巴结"),
    ],
)
def test_characters_too_many_or_few(findings: str, wrong: str, right: str) -> None:
    kinds = [f for f in found(findings) if f[0] == "extra_or_missing_characters"]
    assert kinds == [("extra_or_missing_characters", "findings", wrong, right)]


@pytest.mark.parametrize(
    "good", ["双侧侧脑室对称。", "腰椎椎体形态正常。", "支气管管壁增厚。", "双肺肺气肿。", "密度稍稍增高。"]
)  # fmt: skip
def test_doublings_that_are_good_chinese(good: str) -> None:
    assert not [f for f in found(good) if f[0] == "extra_or_missing_characters"]


@pytest.mark.parametrize(
    ("findings", "wrong", "right"),
    [
        ("见结节，大小约12kg。", "kg", "mm"),
        ("CT值约45mm。", "mm", "HU"),
        ("胸膜增厚，厚约5HU。", "HU", "mm"),
        ("大小约24cm×18mm。", "cm", "mm"),
        ("见结节，直径约25cm。", "cm", "mm"),
        ("CT值约9000HU。", "9000HU", None),
        ("右肺压缩约40mm。", "mm", "%"),
        ("直径约8％。", "％", "mm"),
    ],
)
def test_units(findings: str, wrong: str, right: str | None) -> None:
    assert found(findings) == [("unit", "findings", wrong, right)]


@pytest.mark.parametrize(
    "good", ["大小约24mm×18mm，CT值约-560HU。", "管腔狭窄约65%，长约12mm。", "肿块大小约9.5cm×8cm。"]
)  # fmt: skip
def test_good_units(good: str) -> None:
    assert not [f for f in found(good) if f[0] == "unit"]


def test_organs_of_the_other_sex() -> None:
    assert found("子宫大小正常。", sex="男", examination="盆腔CT平扫") == [
        ("sex", "findings", "子宫", None)
    ]
    assert found("子宫大小正常。", sex="女", examination="盆腔CT平扫") == []
    assert found("子宫大小正常。", sex="", examination="盆腔CT平扫") == []
    two = found("前列腺不大，精囊对称。", sex="女", examination="盆腔CT平扫")
    assert len(two) == 1, "one sentence, one finding"


def test_sides_that_clash_are_placed_by_what_the_rest_says() -> None:
    kind = "laterality_or_position"
    assert found("左侧胸腔积液，左肺下叶不张，左侧胸膜增厚。", "右侧胸腔积液。") == [
        (kind, "impression", "右侧胸腔", "左侧胸腔")
    ]
    assert found("右侧胸腔积液。左肺门不大。", "左侧胸腔积液，左肺下叶膨胀不全。") == [
        (kind, "findings", "右侧胸腔", "左侧胸腔")
    ]
    assert found("双侧胸腔积液。", "右侧胸腔积液。") == []
    assert found("左肺中叶见实变影。", "肺炎。") == [(kind, "findings", "左肺中叶", "右肺中叶")]


def test_examination_against_part_and_contrast() -> None:
    kind = "examination_mismatch"
    assert found("半月板未见异常。") == [(kind, "findings", "半月板", None)]
    assert found("增强扫描未见异常强化。") == [(kind, "findings", "增强扫描", None)]
    assert found("增强扫描明显强化。", examination="胸部CT平扫+增强") == []
    assert found("未见异常。", "建议增强扫描。") == []
    assert found("半月板未见异常。", examination="") == []


def test_conclusions_without_findings_and_findings_without_conclusion() -> None:
    kind = "findings_impression_mismatch"
    assert found("双肺未见实变。", "心包积液。") == [(kind, "impression", "心包", None)]
    assert found("右肺压缩约40%。", "右肺压缩约70%。")[0][:3] == (kind, "impression", "70%")
    assert found("双侧胸腔少量积液。", "双侧胸腔大量积液。") == [(kind, "impression", "大量", None)]
    missing = found("右肺动脉内见充盈缺损。", "心脏增大。", examination="肺动脉CTA")
    assert [f[0] for f in missing] == [kind]
    assert found("未见充盈缺损。", "未见异常。", examination="肺动脉CTA") == []


def test_colloquial_words() -> None:
    assert found("肺内没看到异常。") == [("wording", "findings", "没看到", "未见")]


def test_no_false_alarm_on_the_shipped_clean_reports() -> None:
    assert [(r.id, f) for r in clean() for f in check(r)] == []


@given(st.text(max_size=200), st.text(max_size=100), st.sampled_from(["男", "女", "", "x"]))
def test_any_text_can_be_checked_and_spans_hold(findings: str, impression: str, sex: str) -> None:
    one = report(findings, impression, sex=sex)
    for f in check(one):
        assert one.text(f.place)[f.start : f.end] == f.wrong
    assert check(one) == check(one)


def test_the_rules_do_not_know_a_good_part_of_what_is_injected() -> None:
    t, r = tables(), rules()
    wrong = [w for words in t.characters.values() for w in words]
    assert held_out(wrong, r.confusions) >= 0.4
    assert held_out((w for words in t.drops.values() for w in words), r.remainders) >= 0.4
    colloquial = [w for words in t.wording.values() for w in words]
    assert sum(not any(k in w for k in r.wording) for w in colloquial) >= 0.4 * len(colloquial)
    assert held_out(r.confusions, wrong) >= 0.2, "and they know what is never injected"


def test_figures_on_injected_reports() -> None:
    made = [x for seed in range(5) for x in inject(clean(), Plan(seed=seed))]
    figures = measure(made)
    by = {t.type: t for t in figures.types}
    assert figures.false_alarms == figures.clean_flagged == 0
    assert figures.clean == 5 * 24 and figures.faulty == 5 * 36
    assert (by["sex"].recall or 0) > 0.95 and (by["unit"].recall or 0) > 0.85
    lookalike = by["wrong_character"]
    assert lookalike.known + lookalike.unknown == lookalike.errors
    assert (lookalike.recall_known or 0) > 0.9 > 0.2 > (lookalike.recall_unknown or 0)
    assert all(t.precision is None or t.precision > 0.6 for t in figures.types)


def english(folder: Path) -> Iterator[CTReport]:
    with tarfile.open(folder / "nlmcxr_reports.tgz") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None:
                parts = {
                    e.get("Label", ""): e.text or ""
                    for e in ET.fromstring(file.read()).iter("AbstractText")
                }
                yield report(
                    parts.get("FINDINGS", ""),
                    parts.get("IMPRESSION", ""),
                    sex="",
                    examination="CXR",
                )


@pytest.mark.realdata
def test_real_english_reports_pass_through_and_hardly_any_is_flagged() -> None:
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        pytest.skip("WARDROUND_REALDATA is not set")
    reports = list(english(Path(folder)))
    assert len(reports) == 3955
    assert sum(bool(check(r)) for r in reports) < 10
