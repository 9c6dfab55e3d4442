"""The closed loop: what is contested, what experts make of it, the new version, the curve."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.test_report_quality import BEYOND, CHARACTER, UNIT, Fixed, row, said, write
from wardround.artifact import open_artifact
from wardround.benchmarks.disagreements import disagreements
from wardround.benchmarks.extend import curve, extend
from wardround.benchmarks.run import Settings, evaluate
from wardround.errors import InputError, UsageError
from wardround.models import Model

ROWS = [row("a"), row("b"), row("c", clean=True)]
GOOD = {"a": said(UNIT, CHARACTER), "b": said(UNIT, CHARACTER, BEYOND), "c": "[]"}
POOR = {"a": said(UNIT), "b": said(UNIT, CHARACTER), "c": "[]"}


def run(tmp_path: Path, name: str, model: Model, judges: list[Model] | None = None) -> Path:
    data = write(tmp_path / "set.jsonl", ROWS)
    out = tmp_path / name
    evaluate(["report_quality"], data, model, judges or [], out, Settings())
    return out


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()]


def listed(tmp_path: Path) -> Path:
    runs = [run(tmp_path, n, Fixed(n, a)) for n, a in (("good", GOOD), ("poor", POOR))]
    out = tmp_path / "list"
    disagreements(runs, out)
    return out


def fill(path: Path, out: Path, verdicts: dict[tuple[str, str], dict[str, str]]) -> Path:
    with open(path, encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    for r in rows:
        r.update(verdicts.get((r["case"], r["claim"]), {}))
    with open(out, "w", encoding="utf-8", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out


def test_only_what_is_contested_is_listed(tmp_path: Path) -> None:
    out = listed(tmp_path)
    found = {
        (d["case"], c["claim"]): (c["reasons"], c["in_truth"], c["made_by"])
        for d in lines(out / "items.jsonl")
        for c in d["claims"]
    }
    assert found == {
        ("a", "wrong_character@findings"): (["models"], True, ["good"]),
        ("b", "wording@impression"): (["models"], False, ["good"]),
    }
    assert open_artifact(out, "disagreements").manifest.counts == {
        "cases": 3, "contested": 2, "claims": 2,
    }  # fmt: skip


def test_rules_against_models_and_a_split_jury(tmp_path: Path) -> None:
    from wardround.models.names import open_model

    runs = [
        run(tmp_path, "rules", open_model("scripted:rules")),
        run(tmp_path, "good", Fixed("good", GOOD),
            [Fixed("strict", {}, "no"), Fixed("mild", {}, "yes")]),
    ]  # fmt: skip
    found = {d["case"]: d for d in lines(disagreements(runs, tmp_path / "l").file("items.jsonl"))}
    assert set(found) == {"b"}
    assert found["b"]["reasons"] == ["jury", "rules"]


def test_the_same_list_again_is_the_same(tmp_path: Path) -> None:
    out = listed(tmp_path)
    before = open_artifact(out).manifest.digest
    again = disagreements([tmp_path / "good", tmp_path / "poor"], tmp_path / "again")
    assert again.manifest.digest == before
    assert disagreements([tmp_path / "good", tmp_path / "poor"], out).manifest.digest == before


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    one = run(tmp_path, "good", Fixed("good", GOOD))
    with pytest.raises(UsageError, match="same model"):
        disagreements([one, one], tmp_path / "x")
    with pytest.raises(UsageError, match="no run"):
        disagreements([], tmp_path / "x")


CONFIRMED = {
    ("b", "wording@impression"): {"verdict": "成立", "wrong": "建议复查", "right": "建议3个月后复查"},
    ("a", "wrong_character@findings"): {"verdict": "no"},
}  # fmt: skip


def test_confirmed_truths_make_a_new_version_with_its_own_digest(tmp_path: Path) -> None:
    sheet = fill(listed(tmp_path) / "sheet.csv", tmp_path / "s.csv", CONFIRMED)
    made = extend(tmp_path / "set.jsonl", [sheet], tmp_path / "v2")
    rows = {r["id"]: r for r in lines(made.file("report_quality.jsonl"))}
    (added,) = [e for e in rows["b"]["errors"] if e.get("origin") == "expert"]
    assert rows["b"]["impression"][added["start"] : added["end"]] == "建议复查"
    assert [e["type"] for e in rows["a"]["errors"]] == ["unit"]
    assert rows["c"] == ROWS[2]
    first, second = json.loads(made.file("versions.json").read_text(encoding="utf-8"))
    assert (first["version"], second["version"], second["parent"]) == (1, 2, first["digest"])
    assert first["digest"] != second["digest"]
    assert (second["added"], second["withdrawn"]) == (1, 1)
    # A version can be extended further, and be asked as it is.
    more = fill(sheet, tmp_path / "s3.csv", {("a", "wrong_character@findings"): {
        "verdict": "yes", "wrong": "膈", "right": "隔"}})  # fmt: skip
    third = extend(tmp_path / "v2", [more], tmp_path / "v3")
    versions = json.loads(third.file("versions.json").read_text(encoding="utf-8"))
    assert [v["version"] for v in versions] == [1, 2, 3]
    again = evaluate(
        ["report_quality"], tmp_path / "v3", Fixed("m", GOOD), [], tmp_path / "r3", Settings()
    )
    assert again.artifact is not None


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"verdict": "yes"}, "neither the words"),
        ({"verdict": "yes", "wrong": "没有这句", "right": "x"}, "stand 0 times"),
        ({"verdict": "yes", "wrong": "肺", "type": "标点"}, "no error type"),
    ],
)
def test_what_cannot_be_settled_is_listed_with_the_reason(
    tmp_path: Path, told: dict[str, str], reason: str
) -> None:
    verdicts = {("b", "wording@impression"): told}
    sheet = fill(listed(tmp_path) / "sheet.csv", tmp_path / "s.csv", verdicts)
    made = extend(tmp_path / "set.jsonl", [sheet], tmp_path / "v2")
    (left,) = lines(made.file("unsettled.jsonl"))
    assert reason in left["reason"]
    assert lines(made.file("report_quality.jsonl")) == ROWS


def test_divided_experts_change_nothing(tmp_path: Path) -> None:
    start = listed(tmp_path) / "sheet.csv"
    key = ("b", "wording@impression")
    sheets = [
        fill(start, tmp_path / f"{v}.csv", {key: {"verdict": v, "wrong": "建议复查", "right": "x"}})
        for v in ("yes", "no")
    ]
    made = extend(tmp_path / "set.jsonl", sheets, tmp_path / "v2")
    assert [c["reason"] for c in lines(made.file("unsettled.jsonl"))] == ["the experts are divided"]


def test_a_sheet_of_another_set_or_without_its_columns_is_refused(tmp_path: Path) -> None:
    sheet = fill(listed(tmp_path) / "sheet.csv", tmp_path / "s.csv", CONFIRMED)
    with pytest.raises(UsageError, match="does not have"):
        extend(write(tmp_path / "o.jsonl", [row("z")]), [sheet], tmp_path / "v2")
    (tmp_path / "bad.csv").write_text("case,verdict\na,yes\n", encoding="utf-8")
    with pytest.raises(InputError, match="no column benchmark"):
        extend(tmp_path / "set.jsonl", [tmp_path / "bad.csv"], tmp_path / "v3")


def test_the_curve_scores_old_answers_against_each_version(tmp_path: Path) -> None:
    sheet = fill(listed(tmp_path) / "sheet.csv", tmp_path / "s.csv", CONFIRMED)
    extend(tmp_path / "set.jsonl", [sheet], tmp_path / "v2")
    runs = [tmp_path / "good", tmp_path / "poor"]
    made = curve([tmp_path / "set.jsonl", tmp_path / "v2"], runs, tmp_path / "curve")
    points = json.loads(made.file("curve.json").read_text(encoding="utf-8"))["points"]
    f1 = {(p["version"], p["model"]): p["f1"]["mean"] for p in points}
    assert f1 == {
        (1, "good"): pytest.approx(2 * 4 / (5 + 4)),
        (2, "good"): pytest.approx(2 * 4 / (5 + 4)),
        (1, "poor"): pytest.approx(2 * 3 / (3 + 4)),
        (2, "poor"): pytest.approx(2 * 3 / (3 + 4)),
    }
    assert all(p["answers"] == 3 and p["missing"] == 0 for p in points)


def test_a_cell_that_a_spreadsheet_would_run_is_defused(tmp_path: Path) -> None:
    answers = GOOD | {"c": '=HYPERLINK("x")\n' + said(BEYOND)}
    one = run(tmp_path, "m", Fixed("m", answers))
    sheet = disagreements([one], tmp_path / "l").file("sheet.csv").read_text(encoding="utf-8-sig")
    assert "'=HYPERLINK" in sheet and ',"=HYPERLINK' not in sheet
