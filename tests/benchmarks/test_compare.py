"""Comparisons of many runs: the reference, the league table, what each cost."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.benchmarks.runs import make_run, record
from wardround.artifact import open_artifact
from wardround.benchmarks.compare import compare
from wardround.benchmarks.pairing import judged
from wardround.benchmarks.standing import spending
from wardround.errors import ArtifactError, UsageError
from wardround.metrics.paired import holm

TASKS = ("triage", "treatment_plan")


def runs(root: Path, skills: Mapping[str, float], **missing: Sequence[int]) -> list[Path]:
    """A run for each skill; `missing` names the cases a run has no score for."""
    out = []
    for name, skill in skills.items():
        records = [
            record(
                f"c{i}",
                {"j": None if i in missing.get(name, ()) else 4 + skill + (i * 7 + len(name)) % 4},
                task=TASKS[i % 2],
            )
            for i in range(20)
        ]
        out.append(make_run(root / name, records, model=f"model-{name}"))
    return out


def found(path: Path) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((path / "comparison.json").read_bytes())
    return whole


SKILLS = {"one": 0.0, "three": 2.0, "fo": 1.0, "fives": 0.2}


def test_each_run_is_paired_with_the_reference(tmp_path: Path) -> None:
    made = runs(tmp_path, SKILLS)
    whole = found(compare(made, tmp_path / "c", against="model-fo").path)
    assert whole["reference"] == 2
    pairs = whole["benchmarks"]["doctorflan_test"]["pairs"]
    assert [(p["a"], p["b"]) for p in pairs] == [(2, 0), (2, 1), (2, 3)]
    assert all(p["b_mean"] - p["a_mean"] == pytest.approx(p["difference"]["mean"]) for p in pairs)
    assert [p["p_holm"] for p in pairs] == holm([p["p"] for p in pairs])
    assert whole["runs"][0]["model"] == "model-one"


def test_a_pair_tells_how_many_cases_differ(tmp_path: Path) -> None:
    scores = [[5.0] * 6, [5.0] * 3 + [6.0, 7.0, 4.0]]
    made = [
        make_run(tmp_path / n, [record(f"c{i}", {"j": x}) for i, x in enumerate(mine)], model=n)
        for n, mine in zip("ab", scores, strict=True)
    ]
    (pair,) = found(compare(made, tmp_path / "c").path)["benchmarks"]["doctorflan_test"]["pairs"]
    assert (pair["differing"], pair["difference"]["clusters"]) == (3, 6)
    assert pair["p"] >= 2.0 ** (1 - pair["differing"])


def test_the_reference_is_named_by_directory_model_or_directory_name(tmp_path: Path) -> None:
    made = runs(tmp_path, SKILLS)
    named = (None, str(made[3]), "model-fives", "fives")
    places = [
        found(compare(made, tmp_path / f"c{i}", against=n).path)["reference"]
        for i, n in enumerate(named)
    ]
    assert places == [0, 3, 3, 3]
    with pytest.raises(UsageError, match="--against nobody: none of the runs"):
        compare(made, tmp_path / "c", against="nobody")
    twins = [make_run(tmp_path / n, [record("c", {"j": 5.0})], model="twin") for n in "ab"]
    with pytest.raises(UsageError, match="2 of the runs are that"):
        compare(twins, tmp_path / "c", against="twin")
    assert not (tmp_path / "c").exists()


def test_the_league_is_in_order_of_the_mean_with_the_runs_own_figures(tmp_path: Path) -> None:
    made = runs(tmp_path, SKILLS, three=[0, 1, 2], fives=range(20))
    b = found(compare(made, tmp_path / "c").path)["benchmarks"]["doctorflan_test"]
    league = b["league"]
    assert [r["run"] for r in league] == [1, 2, 0, 3]
    summaries = [json.loads((m / "summary.json").read_bytes()) for m in made]
    for row in league:
        own = summaries[row["run"]]["benchmarks"]["doctorflan_test"]
        assert all(row[k] == own[k] for k in ("overall", "counts", "by_task", "by_turn"))
    assert league[0]["counts"] == {"scored": 17, "unscored": 3, "failed": 0}


def test_ranks_are_over_what_all_runs_scored_and_an_unscored_run_has_none(tmp_path: Path) -> None:
    made = runs(tmp_path, SKILLS, three=[0, 1, 2], fo=[2, 3], fives=range(20))
    b = found(compare(made, tmp_path / "c").path)["benchmarks"]["doctorflan_test"]
    assert b["shared"] == {"runs": 3, "items": 16, "cases": 16}
    assert [(r["rank"] or {}).get("rank") for r in b["league"]] == [1, 2, 3, None]
    shared = [4 + SKILLS["fo"] + (i * 7 + 2) % 4 for i in range(4, 20)]
    (mean,) = [r["rank"]["mean"] for r in b["league"] if r["run"] == 2]
    assert mean == pytest.approx(sum(shared) / 16)
    lost = next(p for p in b["pairs"] if p["b"] == 3)
    assert (lost["n"], lost["p"], lost["p_holm"], lost["difference"]["mean"]) == (0, None, None, None)  # fmt: skip


def test_runs_without_an_item_in_common_have_no_ranks(tmp_path: Path) -> None:
    made = [
        make_run(tmp_path / n, [record("c", {"j": 5.0}, question=n) for _ in range(1)])
        for n in ("a", "b")
    ]
    b = found(compare(made, tmp_path / "c").path)["benchmarks"]["doctorflan_test"]
    assert b["shared"] == {"runs": 2, "items": 0, "cases": 0}
    assert [r["rank"] for r in b["league"]] == [None, None]


def test_equal_runs_give_equal_bytes_and_another_reference_another_artifact(tmp_path: Path) -> None:
    made = runs(tmp_path, SKILLS)
    first, again = (compare(made, tmp_path / n, seed=3) for n in "cd")
    assert first.manifest.digest == again.manifest.digest
    assert compare(made, tmp_path / "c", seed=3).manifest == first.manifest
    other = compare(made, tmp_path / "e", seed=3, against="three")
    assert other.manifest.digest != first.manifest.digest


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    (made,) = runs(tmp_path, {"one": 0.0})
    with open(made / "records.jsonl", "ab") as f:
        f.write(b"{}\n")
    with pytest.raises(ArtifactError, match=r"records\.jsonl, line 21"):
        judged(open_artifact(made))


SUMMARY = {
    "model": "m",
    "judges": ["j"],
    "benchmarks": {"a": {"cases": 4, "repeats": 2}, "b": {"cases": 2, "repeats": 1}},
}
ASKED = {"requests": 30.0, "cached": 0.0, "tokens_in": 300.0, "tokens_out": 60.0}
MODEL = {f"m: {k}": v for k, v in ASKED.items()}
JUDGE = {f"j: {k}": v for k, v in ASKED.items()}


@pytest.mark.parametrize(
    ("cost", "says"),
    [
        ({**MODEL, **JUDGE, "cost": 3.0, "m: cost": 2.0, "j: cost": 1.0}, (3.0, 2.0, 0.2, "")),
        ({**MODEL, **JUDGE, "cost": 2.0, "m: cost": 2.0}, (None, 2.0, 0.2, "")),
        ({**MODEL, **JUDGE, "cost": 1.0, "j: cost": 1.0}, (None, None, None, "price")),
        ({**MODEL, "cost": 2.0, "m: cost": 2.0, "m: cached": 1.0}, (2.0, 2.0, None, "cached")),
        ({**MODEL, "cost": 2.0, "m: cost": 2.0, "m: tokens_untold": 1.0}, (2.0, 2.0, None, "tokens")),
        ({}, (None, None, None, "price")),
    ],
)  # fmt: skip
def test_a_cost_stands_only_where_it_is_known(
    tmp_path: Path, cost: dict[str, float], says: tuple[float | None, float | None, float | None, str]
) -> None:  # fmt: skip
    run = make_run(tmp_path / "r", [record("c", {"j": 5.0})])
    manifest = msgspec.structs.replace(open_artifact(run).manifest, cost=cost)
    made = spending(manifest, SUMMARY)
    assert (made.cost, made.cost_model, made.per_case, made.unknown) == says


def test_a_model_that_judges_itself_has_no_cost_of_its_own(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", [record("c", {"m": 5.0})], cost={**MODEL, "cost": 2.0, "m: cost": 2.0})  # fmt: skip
    made = spending(open_artifact(run).manifest, SUMMARY | {"judges": ["m"]})
    assert (made.cost, made.cost_model, made.per_case, made.unknown) == (2.0, None, None, "judge")
