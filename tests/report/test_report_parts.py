"""The parts behind the pages: lineage, verdicts, curves, choice of samples and answers, terminal and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.report.made import LABEL_JUDGE, make_dataset, make_run
from wardround.metrics.bootstrap import FEW
from wardround.report import data, lineage, render, scores, text, training
from wardround.report.reading import open_source
from wardround.report.shapes import Estimate, LogRow, RunItem
from wardround.report.terminal import columns, table
from wardround.report.verdicts import verdict


def test_lineage_reaches_the_source_files(world: Path) -> None:
    nodes = lineage.collect(open_source(world / "demo"))
    names = [n.names.zh for n in nodes.values()]
    assert names[0] == "全流程演示"
    assert {
        "数据集",
        "基础模型",
        "微调模型",
        "评测·微调前",
        "评测·微调后",
        "对比",
        "源文件",
    } <= set(names)
    assert [n.file for n in nodes.values() if n.kind == "file" and not n.inside] == ["encyclopedia.jsonl"]  # fmt: skip
    assert all(n.problem is None for n in nodes.values())


def test_diagram_leaves_out_what_a_longer_way_shows() -> None:
    edges = {"demo": ["run", "data", "cmp"], "cmp": ["run"], "run": ["data"], "data": []}
    assert lineage._reduced(edges) == {"demo": ["cmp"], "cmp": ["run"], "run": ["data"], "data": []}
    layers, ways = lineage._layers({"a": ["b", "c"], "b": ["d"], "c": [], "d": ["c"]})
    assert layers[0] == ["a"]
    assert layers[3] == ["c"]
    assert len(layers[1]) == 2  # b, and a free place for the way from a to c
    assert ["a", "b"] in ways


def test_an_unsealed_input_is_not_taken_for_the_one_used(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    run = make_run(tmp_path, "run", dataset=dataset, checkpoint=None, quality=1.0)
    (dataset / "manifest.json").unlink()
    found = lineage.collect(open_source(run))
    problems = [n for n in found.values() if n.problem]
    assert [n.kind for n in problems] == ["dataset"]


@pytest.mark.parametrize(
    ("mean", "low", "high", "words"),
    [
        (1.0, 0.2, 1.8, "高于 0"),
        (-1.0, -1.8, -0.2, "低于 0"),
        (1.0, -0.1, 2.1, "不能断定有差别"),
        (1.0, 0.0, 2.0, "不能断定有差别"),
        (1.0, None, None, "给不出区间"),
        (None, None, None, "无法比较"),
    ],
)
def test_verdicts_say_what_the_interval_allows(
    mean: float | None, low: float | None, high: float | None, words: str
) -> None:
    assert words in verdict(Estimate(mean=mean, low=low, high=high, n=4), 0.95).zh


def test_a_verdict_is_open_where_interval_and_test_disagree() -> None:
    above = Estimate(mean=0.03, low=0.01, high=0.06, n=40, clusters=25)
    across = Estimate(mean=0.03, low=-0.01, high=0.06, n=40, clusters=25)
    said = verdict(above, 0.95, p=0.125, differing=4)
    assert said.en == (
        "not settled: the 95% interval is above 0, but the permutation test by case gives p = 0.125; "
        "only 4 cases differ, so p could not be below 0.125"
    )
    assert said.zh.startswith("未定") and "更高" not in said.zh
    assert "could not" not in verdict(above, 0.95, p=0.08, differing=20).en
    assert "includes 0, but" in verdict(across, 0.95, p=0.03, differing=20).en
    assert "p < 0.001" in verdict(across, 0.95, p=0.0001, differing=20).en
    assert (
        verdict(above, 0.95, p=0.01, differing=20).en == "95% interval above 0: scores are higher"
    )
    assert "no difference can be claimed" in verdict(across, 0.95, p=0.4, differing=20).en


def test_a_verdict_from_few_cases_warns_of_its_interval() -> None:
    some = Estimate(mean=0.3, low=0.1, high=0.6, n=20, clusters=10)
    assert verdict(some, 0.95, p=0.002, differing=10).en == (
        "95% interval above 0: scores are higher. Only 10 cases: the interval may be too narrow"
    )
    assert "Only" not in verdict(msgspec.structs.replace(some, clusters=FEW), 0.95, p=0.002).en


def test_a_page_names_the_benchmarks_of_few_cases(world: Path) -> None:
    shown = scores.shown(open_source(world / "run-base"))
    cases = {b.zh: b.overall.clusters for b in shown.summary.benchmarks.values()}
    assert [(n.zh, k) for n, k in scores.few([shown])] == [
        (zh, k) for zh, k in cases.items() if k is not None and k < FEW
    ]
    assert "区间往往偏窄" in render(world / "run-base")


def test_long_curves_are_averaged_and_short_ones_left() -> None:
    rows = [LogRow(stage="sft", step=i, loss=float(i % 2)) for i in range(1, 1001)]
    (curve,) = training.curves(rows)
    assert len(curve.loss) <= training.POINTS
    assert curve.window == 7
    assert curve.loss[-1][0] == 1000
    (short,) = training.curves(rows[:10])
    assert short.window == 1
    assert short.loss == tuple((float(r.step), r.loss) for r in rows[:10])


def test_stages_stay_apart() -> None:
    rows = [LogRow(stage="pretrain", step=1, loss=3.0), LogRow(stage="sft", step=1, loss=2.0), LogRow(stage="sft", step=1, eval_loss=2.5)]  # fmt: skip
    first, second = training.curves(rows)
    assert (first.stage, first.held_out) == ("pretrain", ())
    assert second.held_out == ((1.0, 2.5),)


def test_answers_are_chosen_by_place_whatever_their_score(world: Path) -> None:
    run = scores.shown(open_source(world / "run-base"))
    chosen = scores.answers([run])
    items = [i["item"] for i in chosen]
    rows = list(run.source.rows("records.jsonl", RunItem))
    assert items[0] == rows[0]
    assert [i.turn for i in items if i.benchmark == "dotabench"] == [1, 2, 3]
    assert len({i.case for i in items if i.benchmark == "dotabench"}) == 1
    assert len([i for i in items if i.benchmark == "doctorflan_test"]) == 5


def test_a_question_the_other_run_lacks_stays_without_its_answer(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    whole = make_run(tmp_path, "a", dataset=dataset, checkpoint=None, quality=1.0)
    part = make_run(tmp_path, "b", dataset=dataset, checkpoint=None, quality=1.0)
    rows = (part / "records.jsonl").read_bytes().splitlines()
    (part / "records.jsonl").write_bytes(rows[0] + b"\n")
    shown = [scores.shown(open_source(run)) for run in (whole, part)]
    first, *rest = scores.answers(shown)
    assert first["answers"][1][1] is not None
    assert rest
    assert all(i["answers"][1][1] is None for i in rest)


def test_terminal_report_of_every_kind(world: Path) -> None:
    for name in ("dataset", "tuned", "run-base", "comparison", "demo"):
        lines = text(world / name).splitlines()
        assert lines[0].split(" · ")[1] == name
        assert any("!  " in line for line in lines)
        assert len(lines) < 60
    assert "评分由脚本化替身" in text(world / "demo")
    assert "95% 区间全部高于 0" in text(world / "comparison")
    assert "未评分 unscored" in text(world / "run-base")


def test_terminal_report_of_an_unfinished_run(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    run = make_run(tmp_path, "run", dataset=dataset, checkpoint=None, quality=1.0, seal=False)
    assert "未完成" in text(run)
    found = data(run)
    assert (found["sealed"], found["manifest"]) == (False, None)
    assert found["summary"]["model"] == "local:run"


def test_terminal_columns_count_chinese_twice() -> None:
    assert columns("分诊 a") == 6
    made = table([["分诊", "1.00"], ["abc", "12.00"], ["很长" * 20, "—"]])
    assert len({columns(line) for line in made}) == 1
    assert columns(made[0]) == 34 + 2 + 5 - 1


def test_data_is_json_with_manifest_and_summary(world: Path) -> None:
    for name, key in (("dataset", "tasks"), ("base", "parameters"), ("run-base", "benchmarks"), ("comparison", "runs"), ("demo", "tuned")):  # fmt: skip
        found = json.loads(json.dumps(data(world / name)))
        assert found["sealed"] is True
        assert found["manifest"]["digest"] == open_source(world / name).digest
        assert key in found["summary"]
    demo = data(world / "demo")
    assert demo["comparison"]["benchmarks"].keys() == {"doctorflan_test", "dotabench"}
    assert LABEL_JUDGE in demo["labels"]


def test_it_reads_what_the_evaluation_writes(world: Path) -> None:
    """The writer's own summary of its own records is what the shapes expect."""
    from wardround.benchmarks import benchmark
    from wardround.benchmarks.record import RunRecord
    from wardround.benchmarks.summary import summarise
    from wardround.records import decode, encode
    from wardround.report.shapes import RunSummary

    lines = (world / "run-base" / "records.jsonl").read_bytes().splitlines()
    records = [decode(line, RunRecord) for line in lines]
    benches = [benchmark(n) for n in ("doctorflan_test", "dotabench")]
    made = summarise(
        records, benches, model="m", judges=["j"], skipped={b.name: 0 for b in benches}, seed=1
    )
    summary = msgspec.json.decode(encode(made), type=RunSummary)
    assert summary.benchmarks["dotabench"].by_turn[2].turn == 3
    assert summary.benchmarks["doctorflan_test"].by_task[0].task == "triage"
    assert summary.benchmarks["doctorflan_test"].counts["failed"] == 1


def test_it_shows_what_the_builder_writes(tmp_path: Path) -> None:
    """A dataset built from two rows is rendered, gaps and all."""
    from wardround.corpus.build import build

    source = tmp_path / "s.jsonl"
    entry = {"name": "流行性感冒", "desc": "流行性感冒是流感病毒引起的急性呼吸道传染病，起病急，全身症状重。", "cause": "由甲型或乙型流感病毒感染引起，经飞沫传播，人群普遍易感，冬春季多发。",
             "symptom": ["高热", "头痛", "肌肉酸痛", "咳嗽"], "check": ["流感病毒核酸检测", "血常规"], "cure_way": ["对症治疗", "抗病毒治疗"],
             "recommand_drug": ["奥司他韦"], "cure_department": ["内科", "呼吸内科"]}  # fmt: skip
    rows = [entry | {"name": n, "desc": entry["desc"].replace("流行性感冒", n)} for n in ("流行性感冒", "甲型流感", "乙型流感")]  # type: ignore[attr-defined]  # fmt: skip
    source.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    dataset = build([source], tmp_path / "dataset").path
    page = render(dataset)
    assert "流感" in page
    assert "没有样本的任务" in page
