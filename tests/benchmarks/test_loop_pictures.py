"""The closed loop over pictures: contested labels, verdicts put into a new version, scores over versions."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.images.pictures import chest, jpeg
from wardround.benchmarks.disagreements import disagreements
from wardround.benchmarks.extend import curve, extend
from wardround.benchmarks.run import Settings, evaluate
from wardround.errors import UsageError
from wardround.images.collect import collect
from wardround.lineage import verify
from wardround.metrics.arrays import np
from wardround.models.scripted import ScriptedModel
from wardround.report import write_report
from wardround.report.terminal import lines as terminal


def prepared(tmp_path: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    for k, row in enumerate(rows):
        jpeg(np.roll(chest(), 9 * k, axis=1), tmp_path / f"raw/{row['id']}.jpg")
        row["image"] = f"{row['id']}.jpg"
    file = tmp_path / f"raw/{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return collect(name, file, tmp_path / "v1").path


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return prepared(tmp_path, "cxr_quality", [
        {"id": "a", "labels": []}, {"id": "b", "labels": ["implant"]}, {"id": "c", "labels": ["apex_cut"]},
    ])  # fmt: skip


@pytest.fixture
def eyes(tmp_path: Path) -> Path:
    return prepared(tmp_path, "retina", [
        {"id": "f", "labels": ["DR"], "modality": "fundus"},
        {"id": "n", "labels": ["NORMAL"], "modality": "fundus"},
        {"id": "o", "labels": ["CNV"], "modality": "oct"},
    ])  # fmt: skip


def ran(name: str, data: Path, out: Path, words: str) -> Path:
    evaluate([name], data, ScriptedModel(f"say=答案：{words}"), [], out, Settings())
    return out


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in path.read_text("utf-8").splitlines()]


def sheet(path: Path, name: str, *verdicts: tuple[str, str, str], expert: str = "E") -> Path:
    """A filled-in sheet: (case, claim, verdict) each."""
    with open(path, "w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["benchmark", "case", "claim", "verdict", "expert", "type"])
        for case, claim, verdict in verdicts:
            writer.writerow([name, case, claim, verdict, expert, ""])
    return path


def labels_of(testset: Path, name: str) -> dict[str, list[str]]:
    return {r["id"]: r["labels"] for r in lines(testset / f"{name}.jsonl")}


def test_contested_labels_are_listed_with_their_picture(films: Path, tmp_path: Path) -> None:
    runs = [
        ran("cxr_quality", films, tmp_path / "r1", "体内植入物"),
        ran("cxr_quality", films, tmp_path / "r2", "无问题"),
    ]
    made = disagreements(runs, tmp_path / "list")
    found = {d["case"]: d for d in lines(made.file("items.jsonl"))}
    assert set(found) == {"a", "b", "c"} and made.manifest.counts["cases"] == 3
    assert [(c["claim"], c["in_truth"], c["reasons"]) for c in found["c"]["claims"]] == [
        ("apex_cut", True, ["truth"]), ("implant", False, ["models"]),
    ]  # fmt: skip
    digests = {r["id"]: r["sha256"] for r in lines(films / "cxr_quality.jsonl")}
    assert found["b"]["picture"]["sent"] == digests["b"]
    with open(made.file("sheet.csv"), encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    assert {(r["claim"], r["type"]) for r in rows} == {("implant", "体内植入物"), ("apex_cut", "肺尖未包全")}  # fmt: skip
    page = write_report(made.path).read_text("utf-8")
    assert page.count('<img src="data:image/jpeg;base64,') == 3 and "体内植入物" in page


def test_option_orders_are_one_case(eyes: Path, tmp_path: Path) -> None:
    runs = [ran("retina", eyes, tmp_path / "r1", "DR"), ran("retina", eyes, tmp_path / "r2", "NORMAL")]  # fmt: skip
    made = disagreements(runs, tmp_path / "list")
    assert {d["case"] for d in lines(made.file("items.jsonl"))} == {"f", "n", "o"}
    assert made.manifest.counts["cases"] == 3


def test_confirmed_labels_make_a_new_version_of_the_same_pictures(
    films: Path, tmp_path: Path
) -> None:
    told = sheet(
        tmp_path / "s.csv", "cxr_quality", ("a", "off_centre", "是"), ("c", "apex_cut", "no"),
        ("b", "implant", "yes"), ("b", "头痛", "yes"),
    )  # fmt: skip
    made = extend(films, [told], tmp_path / "v2")
    assert labels_of(made.path, "cxr_quality") == {"a": ["off_centre"], "b": ["implant"], "c": []}
    assert {c["claim"]: c["action"] for c in lines(made.file("changes.jsonl"))} == {
        "off_centre": "added", "apex_cut": "withdrawn", "implant": "kept",
    }  # fmt: skip
    assert [c["reason"] for c in lines(made.file("unsettled.jsonl"))] == ["no label of the list"]
    first, second = json.loads(made.file("versions.json").read_text())
    assert (first["version"], second["version"], second["parent"]) == (1, 2, first["digest"])
    assert (second["added"], second["withdrawn"], second["truths"]) == (1, 1, 2)
    pictures = {f.path for f in made.manifest.files if f.path.startswith("images/")}
    assert pictures == {r["image"] for r in lines(films / "cxr_quality.jsonl")}
    assert verify(made.path).whole
    assert any("偏中心 / Off-centre" in line for line in terminal(made.path))
    # The version can be asked and extended further.
    run = ran("cxr_quality", made.path, tmp_path / "r", "偏中心")
    scores = {r["case"]: r["score"]["value"] for r in lines(run / "records.jsonl") if r["benchmark"] == "cxr_quality"}  # fmt: skip
    assert scores == {"a": 1.0, "b": 0.0, "c": 0.0}
    more = sheet(tmp_path / "s3.csv", "cxr_quality", ("c", "implant", "yes"))
    third = extend(made.path, [more], tmp_path / "v3")
    assert len(json.loads(third.file("versions.json").read_text())) == 3


@pytest.mark.parametrize(
    ("verdicts", "labels", "reason"),
    [
        (
            [("o", "DME", "yes")],
            {"o": ["CNV"]},
            "an OCT scan has one label, and this would leave 2",
        ),
        ([("o", "CNV", "no")], {"o": ["CNV"]}, "an OCT scan has one label, and this would leave 0"),
        ([("o", "DME", "yes"), ("o", "CNV", "no")], {"o": ["DME"]}, ""),
        ([("f", "NORMAL", "yes")], {"f": ["DR"]}, "NORMAL would stand beside a disease"),
        ([("f", "DR", "no")], {"f": ["DR"]}, "no label would be left"),
        ([("f", "糖网", "yes"), ("f", "MH", "yes")], {"f": ["DR", "MH"]}, ""),
    ],
)
def test_a_picture_keeps_labels_that_can_stand_together(
    eyes: Path, tmp_path: Path, verdicts: list[tuple[str, str, str]], labels: dict[str, list[str]], reason: str
) -> None:  # fmt: skip
    made = extend(eyes, [sheet(tmp_path / "s.csv", "retina", *verdicts)], tmp_path / "v2")
    assert labels_of(made.path, "retina").items() >= labels.items()
    assert {c["reason"] for c in lines(made.file("unsettled.jsonl"))} == ({reason} if reason else set())  # fmt: skip


def test_divided_experts_change_no_label(films: Path, tmp_path: Path) -> None:
    sheets = [
        sheet(tmp_path / f"{v}.csv", "cxr_quality", ("a", "implant", v), expert=v) for v in ("yes", "no")
    ]  # fmt: skip
    made = extend(films, sheets, tmp_path / "v2")
    assert labels_of(made.path, "cxr_quality")["a"] == []
    assert lines(made.file("unsettled.jsonl"))[0]["reason"] == "the experts are divided"


def test_what_is_no_prepared_set_is_refused(films: Path, tmp_path: Path) -> None:
    told = sheet(tmp_path / "s.csv", "cxr_quality", ("zz", "implant", "yes"))
    with pytest.raises(UsageError, match="does not have"):
        extend(films, [told], tmp_path / "v2")
    with pytest.raises(UsageError, match="no prepared set") as e:
        extend(tmp_path / "raw/cxr_quality.jsonl", [told], tmp_path / "v3")
    assert "images collect cxr_quality" in e.value.hint
    both = [told, sheet(tmp_path / "t.csv", "retina", ("f", "DR", "yes"))]
    with pytest.raises(UsageError, match="cxr_quality, retina"):
        extend(None, both, tmp_path / "v4")


def test_the_starter_set_is_extended_by_sheets_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    told = sheet(tmp_path / "s.csv", "cxr_quality", ("made-0002", "malposition", "yes"))
    made = extend(None, [told], tmp_path / "v2")
    assert labels_of(made.path, "cxr_quality")["made-0002"] == ["malposition"]
    assert any("体模" in label for label in made.manifest.labels)


def test_the_curve_scores_old_answers_against_each_version(eyes: Path, tmp_path: Path) -> None:
    told = sheet(tmp_path / "s.csv", "retina", ("f", "MH", "yes"), ("o", "DME", "yes"), ("o", "CNV", "no"))  # fmt: skip
    second = extend(eyes, [told], tmp_path / "v2").path
    runs = [ran("retina", eyes, tmp_path / "r1", "DR"), ran("retina", eyes, tmp_path / "r2", "DME")]
    made = curve([eyes, second], runs, tmp_path / "curve")
    points = json.loads(made.file("curve.json").read_text())["points"]
    f1 = {(p["version"], p["model"][-3:], p["part"]): p["f1"]["mean"] for p in points}
    assert f1[1, "：DR", "fundus"] == pytest.approx(2 / (2 + 1 + 1))
    assert f1[2, "：DR", "fundus"] == pytest.approx(2 / (2 + 1 + 2))
    assert (f1[1, "DME", "oct"], f1[2, "DME", "oct"]) == (0.0, 1.0)
    assert {p["missing"] for p in points} == {0}
    page = write_report(made.path).read_text("utf-8")
    assert page.count("<svg") >= 2 and "polyline" in page and "第 2 版" in page
    assert any("眼底照相" in line for line in terminal(made.path))


def test_a_picture_that_is_another_now_is_missing_from_the_curve(
    films: Path, tmp_path: Path
) -> None:
    run = ran("cxr_quality", films, tmp_path / "r1", "无问题")
    jpeg(chest(99), tmp_path / "raw/a.jpg")
    other = collect("cxr_quality", tmp_path / "raw/cxr_quality.jsonl", tmp_path / "other").path
    (point,) = json.loads(curve([other], [run], tmp_path / "c").file("curve.json").read_text())["points"]  # fmt: skip
    assert (point["answers"], point["missing"]) == (2, 1)
    with pytest.raises(UsageError, match="the sets are of"):
        curve([], [run], tmp_path / "c2")


def test_one_who_cannot_tell_counts_among_those_who_voted(films: Path, tmp_path: Path) -> None:
    yes_no = [("a", "apex_cut", "是"), ("b", "implant", "否"), ("c", "apex_cut", "不能确定")]
    one = sheet(tmp_path / "one.csv", "cxr_quality", *yes_no, expert="r1")
    other = [("a", "apex_cut", "unsure"), ("b", "implant", "不能确定"), ("c", "apex_cut", "?")]
    two = sheet(tmp_path / "two.csv", "cxr_quality", *other, expert="r2")
    made = extend(films, [one, two], tmp_path / "v2")
    assert lines(made.file("changes.jsonl")) == []
    open_ones = lines(made.file("unsettled.jsonl"))
    assert {(c["case"], c["yes"], c["no"], c["unsure"], c["reason"]) for c in open_ones} == {
        ("a", 1, 0, 1, "too few experts are sure"),
        ("b", 0, 1, 1, "too few experts are sure"),
        ("c", 0, 0, 2, "too few experts are sure"),
    }
    third = sheet(tmp_path / "three.csv", "cxr_quality", *yes_no, expert="r3")
    made = extend(films, [one, two, third], tmp_path / "v3")
    assert {(c["case"], c["action"]) for c in lines(made.file("changes.jsonl"))} == {
        ("a", "added"), ("b", "withdrawn"),
    }  # fmt: skip
    assert "不能确定" in write_report(made.path).read_text("utf-8")
