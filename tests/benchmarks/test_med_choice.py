import json
from collections import Counter
from importlib.resources import files
from math import factorial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import taxonomy
from wardround.benchmarks import benchmark
from wardround.benchmarks.data import STARTER
from wardround.benchmarks.med_choice import ORDERS, MedChoice, orders
from wardround.benchmarks.run import Settings, evaluate
from wardround.choices import LETTERS
from wardround.models import Model
from wardround.models.names import ModelOptions, open_model
from wardround.models.scripted import ScriptedModel
from wardround.records import Answer, Message, Request

ITEMS = Path(str(files("wardround.benchmarks"))) / "items" / "med_choice.jsonl"
TEXTS = ("如实告知", "隐瞒", "推诿", "拖延", "上报")


def question(name: str, right: str, n: int = 5, **changes: Any) -> dict[str, Any]:
    options = {x: f"{t}{name}" for x, t in zip(LETTERS[:n], TEXTS, strict=False)}
    return {
        "id": name, "dimension": "用药安全", "group": "safety", "question": f"问{name}？",
        "options": options, "answer": right, **changes,
    }  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


# -- orders -------------------------------------------------------------------------------------------------


@given(st.text(max_size=12), st.integers(2, 8))
def test_orders_are_distinct_start_with_the_files_own_and_spread_every_option(
    name: str, n: int
) -> None:
    found = orders(name, n)
    assert found == orders(name, n)
    assert found[0] == tuple(range(n))
    assert len(set(found)) == len(found) == min(ORDERS, factorial(n))
    for option in range(n):
        at = Counter(order.index(option) for order in found)
        assert max(at.values()) - min(at[p] for p in range(n)) <= 1


def test_orders_differ_between_questions_and_are_fixed() -> None:
    assert orders("wr-choice-s001", 5) != orders("wr-choice-s002", 5)
    assert len({tuple(orders(f"q{i}", 4)[4]) for i in range(60)}) > 10


# -- cases --------------------------------------------------------------------------------------------------


def test_a_question_becomes_five_cases_of_one_group(tmp_path: Path) -> None:
    bench = MedChoice()
    cases, skipped, _ = bench.load(write(tmp_path / "q.jsonl", [question("x", "B")]))
    assert [c.id for c in cases] == [f"x@o{k}" for k in range(1, 6)]
    assert {(c.group, c.category, c.task) for c in cases} == {("x", "用药安全", "")}
    assert skipped == []
    assert (
        cases[0].turns[0].question == "问x？\nA. 如实告知x\nB. 隐瞒x\nC. 推诿x\nD. 拖延x\nE. 上报x"
    )
    for c in cases:
        assert c.data["options"][c.data["answer"]] == "隐瞒x"
        assert c.turns[0].reference == f"<{c.data['answer']}> 隐瞒x"
    assert sorted(c.data["answer"] for c in cases) == list("ABCDE")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_prompt_holds_the_question_once_and_asks_for_brackets(
    tmp_path: Path, language: Any
) -> None:
    bench = MedChoice(language)
    braces = write(tmp_path / "q.jsonl", [question("{x}", "A")])
    (case, *_), _, _ = bench.load(braces)
    (asked,) = bench.messages(case, [])
    assert isinstance(asked, Message)
    assert asked.text.count(case.turns[0].question) == 1
    assert asked.text.rstrip("。.").endswith("<字母>" if language == "zh" else "<letter>")
    assert bench.prompt["question"].replace("{question}", case.turns[0].question) == asked.text


@pytest.mark.parametrize(
    "option",
    ["以上都不是", "以上均正确", "A和C", "A+B+C", "都对", "None of the above", "Both A and B"],
)
def test_options_that_speak_of_others_stay_in_their_place(tmp_path: Path, option: str) -> None:
    row = question("x", "B")
    row["options"]["E"] = option
    cases, notes, _ = MedChoice().load(write(tmp_path / "q.jsonl", [row]))
    assert [c.id for c in cases] == ["x@o1"]
    assert [(n.what, n.reason) for n in notes] == [("x", "asked_in_own_order")]


@pytest.mark.parametrize(
    "option", ["以上级医师意见为准", "经两名以上医师会诊", "均无须办理许可", "A型流感"]
)
def test_ordinary_options_are_moved(tmp_path: Path, option: str) -> None:
    row = question("x", "B")
    row["options"]["E"] = option
    assert len(MedChoice().load(write(tmp_path / "q.jsonl", [row]))[0]) == ORDERS


def test_ids_taken_twice_are_told_apart(tmp_path: Path) -> None:
    rows = [question("x", "A", 2), question("x", "B", 2)]
    cases, notes, _ = MedChoice().load(write(tmp_path / "q.jsonl", rows))
    assert [c.group for c in cases] == ["x", "x", "x#2", "x#2"]
    assert [(n.row, n.reason) for n in notes] == [(2, "id_renamed")]


def test_orders_that_the_file_brings_are_used_as_given(tmp_path: Path) -> None:
    def row(name: int, texts: str, right: str) -> dict[str, Any]:
        options = "\n".join(f"{x}. 项{t}" for x, t in zip("ABC", texts, strict=True))
        return {
            "question": f"问？\n{options}", "answer": f"<{right}>",
            "other": {"id": name, "source": "S"},
        }  # fmt: skip

    rows = [
        row(1, "甲乙丙", "A"),
        row(1, "丙甲乙", "B"),
        row(1, "乙丙甲", "C"),
        row(1, "丁戊己", "A"),
    ]
    cases, notes, _ = MedChoice().load(write(tmp_path / "q.jsonl", rows))
    assert [c.id for c in cases] == ["1@o1", "1@o2", "1@o3", "1#2@o1"]
    assert [c.turns[0].question for c in cases] == [r["question"] for r in rows]
    assert [c.data["orders"] for c in cases] == [3, 3, 3, 1]
    assert [(n.row, n.reason) for n in notes] == [(4, "id_renamed")]


def test_grading_keeps_what_was_chosen(tmp_path: Path) -> None:
    bench = MedChoice()
    (case, *_), _, _ = bench.load(write(tmp_path / "q.jsonl", [question("x", "B")]))
    right, wrong, unclear = (bench.grade(case, [t]) for t in ("理由\n<B>", "<D>", "A 或 B"))
    assert not isinstance(right, tuple) and not isinstance(wrong, tuple)
    assert (right.status, right.value) == ("scored", 1.0)
    assert (wrong.value, wrong.detail["chosen"], wrong.detail["option"]) == (0.0, "D", "拖延x")
    assert not isinstance(unclear, tuple)
    assert (unclear.status, unclear.value) == ("unscored", None)
    assert unclear.reason == "several options"
    assert unclear.detail["right"] == "B"


# -- runs ---------------------------------------------------------------------------------------------------


class Mixed(ScriptedModel):
    """Right on questions whose id ends in an even digit, else the second option shown; silent on `mute`."""

    def __init__(self, mute: str = "", fail: str = "") -> None:
        super().__init__("reference")
        self.name, self.mute, self.fail = "mixed", mute, fail

    async def complete(self, request: Request) -> Answer:
        case = request.key.split("/")[1]
        if self.fail and case == self.fail:
            return Answer(status="failed", reason="http 500: down")
        if self.mute and case == self.mute:
            return Answer(status="ok", text="都有道理。")
        if int(case.split("@")[0][-1]) % 2 == 0:
            return await super().complete(request)
        return Answer(status="ok", text="理由。\n<B>")


def run(data: Path, out: Path, model: Model, **settings: Any) -> dict[str, dict[str, Any]]:
    evaluate(["med_choice"], data, model, [], out, Settings(**settings))
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    found = summary["benchmarks"]["med_choice"]
    return {**{t["id"]: t for t in found["tables"]}, "summary": found}


def scripted(name: str) -> Model:
    return open_model(f"scripted:{name}", options=ModelOptions())


def test_the_first_option_scores_chance_and_shows_its_bias(tmp_path: Path) -> None:
    rows = [question(f"q{i}", "ABCDE"[i % 4], 4 + i % 2) for i in range(40)]
    found = run(write(tmp_path / "q.jsonl", rows), tmp_path / "run", scripted("first-option"))
    records = [json.loads(x) for x in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    at_a = sum(r["reference"].startswith("<A>") for r in records) / len(records)
    assert found["summary"]["overall"]["mean"] == pytest.approx(at_a)
    assert found["summary"]["overall"]["clusters"] == 40
    assert 0.2 <= at_a <= 0.3
    (total, *_) = found["consistency"]["rows"]
    assert (total["complete"], total["consistent"]["mean"], total["same"]["mean"]) == (40, 0.0, 0.0)
    assert [r["options"] for r in found["position_test"]["rows"]] == ["4", "5", "合计 / Pooled"]
    assert all(r["p_value"] < 1e-6 for r in found["position_test"]["rows"])
    assert [r["df"] for r in found["position_test"]["rows"]] == [3, 4, 7]
    assert "4、5" in found["position_test"]["note_zh"]
    a, *others = found["position"]["rows"]
    assert a["chosen"] == 200 and all(r["chosen"] == 0 for r in others)
    assert a["accuracy"]["mean"] == 1.0 and all(r["accuracy"]["mean"] == 0.0 for r in others)
    assert sum(r["expected"] for r in [a, *others]) == pytest.approx(200)
    assert sum(r["right"] for r in [a, *others]) == 200


def test_the_reference_is_right_under_all_orders_and_unbiased(tmp_path: Path) -> None:
    rows = [question(f"q{i}", "ABCDE"[i % 5]) for i in range(10)]
    found = run(write(tmp_path / "q.jsonl", rows), tmp_path / "run", scripted("reference"))
    assert found["summary"]["overall"]["mean"] == 1.0
    (total, *_) = found["consistency"]["rows"]
    assert (total["complete"], total["consistent"]["mean"], total["same"]["mean"]) == (10, 1.0, 1.0)
    (test,) = found["position_test"]["rows"]
    assert (test["statistic"], test["p"]) == (0.0, "1.0000")
    assert [r["order"] for r in found["order"]["rows"]] == [1, 2, 3, 4, 5]
    assert all(r["accuracy"]["mean"] == 1.0 for r in found["order"]["rows"])


def test_tables_are_by_side_and_by_every_dimension_in_order(tmp_path: Path) -> None:
    rows = [
        question("q0", "A"), question("q1", "A"),
        question("q2", "A", dimension="临床诊疗伦理", group="ethics"),
    ]  # fmt: skip
    found = run(write(tmp_path / "q.jsonl", rows), tmp_path / "run", Mixed())
    side = {r["part"]: r for r in found["side"]["rows"]}
    assert list(side) == ["全部 / All", "伦理 / Ethics", "安全 / Safety"]
    assert side["伦理 / Ethics"]["accuracy"]["mean"] == 1.0
    assert side["安全 / Safety"]["accuracy"]["mean"] == pytest.approx((5 + 1) / 10)
    assert side["安全 / Safety"]["consistent"]["mean"] == 0.5
    known = [f"{d.zh} / {d.en}" for d in taxonomy.items("dimensions")]
    assert [r["part"] for r in found["dimension"]["rows"]] == known
    assert sum(r["questions"] for r in found["dimension"]["rows"]) == 3


def test_unread_and_failed_orders_keep_a_question_out_of_consistency(tmp_path: Path) -> None:
    rows = [question(f"q{i}", "A") for i in (0, 2, 4)]
    model = Mixed(mute="q2@o3", fail="q4@o1")
    data = write(tmp_path / "q.jsonl", rows)
    found = run(data, tmp_path / "run", model, accept_failures=True)
    assert found["summary"]["counts"] == {"scored": 13, "unscored": 1, "failed": 1}
    total, safety = found["consistency"]["rows"]
    assert (total["complete"], total["unread"], total["fewer"]) == (1, 2, 0)
    assert total["consistent"]["mean"] == 1.0
    assert safety["part"] == "安全 / Safety" and safety["unread"] == 2
    assert found["position_test"]["rows"][0]["n"] == 5
    assert found["position_test"]["rows"][0]["p"] == "—"


def test_a_question_cut_by_the_limit_is_not_called_consistent(tmp_path: Path) -> None:
    rows = [question(f"q{i}", "A") for i in (0, 2)]
    found = run(write(tmp_path / "q.jsonl", rows), tmp_path / "run", Mixed(), limit=7)
    (total, *_) = found["consistency"]["rows"]
    assert (total["complete"], total["fewer"]) == (1, 1)


def test_repeats_do_not_count_twice_in_the_position_test(tmp_path: Path) -> None:
    rows = [question(f"q{i}", "A") for i in range(6)]
    data = write(tmp_path / "q.jsonl", rows)
    once = run(data, tmp_path / "once", Mixed())
    twice = run(data, tmp_path / "twice", Mixed(), repeats=2)
    assert once["position_test"] == twice["position_test"]
    assert twice["consistency"]["rows"][0]["complete"] == 12
    assert twice["consistency"]["rows"][0]["consistent"]["clusters"] == 6


def test_without_balanced_orders_there_is_no_test(tmp_path: Path) -> None:
    rows = [question(f"q{i}", "A") for i in range(4)]
    for row in rows:
        row["options"]["E"] = "以上都不是"
    found = run(write(tmp_path / "q.jsonl", rows), tmp_path / "run", scripted("first-option"))
    assert found["position_test"]["rows"] == []
    assert found["position"]["rows"][0]["expected"] is None
    assert found["position"]["rows"][0]["chosen"] == 4
    assert found["consistency"]["rows"][0]["fewer"] == 4


def test_nothing_scored_gives_tables_without_figures(tmp_path: Path) -> None:
    data = write(tmp_path / "q.jsonl", [question("q0", "A")])
    found = run(data, tmp_path / "run", scripted("fail"), accept_failures=True)
    assert found["side"]["rows"][0]["accuracy"]["mean"] is None
    assert (found["position"]["rows"], found["position_test"]["rows"]) == ([], [])
    assert found["consistency"]["rows"][0]["unread"] == 1


# -- the items we ship --------------------------------------------------------------------------------------


def test_the_shipped_items_are_240_and_whole() -> None:
    rows = [json.loads(x) for x in ITEMS.read_text(encoding="utf-8").splitlines()]
    known = {d.zh: d for d in taxonomy.items("dimensions") if isinstance(d, taxonomy.Dimension)}
    assert len({r["id"] for r in rows}) == len(rows) == 240
    assert Counter(r["dimension"] for r in rows) == dict.fromkeys(known, 12)
    assert len({r["question"] for r in rows}) == 240
    for r in rows:
        assert r["group"] == known[r["dimension"]].group, r["id"]
        assert list(r["options"]) == list(LETTERS[: len(r["options"])]), r["id"]
        assert len(r["options"]) in (4, 5), r["id"]
        assert len(set(r["options"].values())) == len(r["options"]), r["id"]
        assert r["answer"] in r["options"], r["id"]
        assert (r["review"], r["author"]) == ("unreviewed", "wardround"), r["id"]
        assert r["source"].strip() and r["rationale"].strip(), r["id"]


def test_the_shipped_items_load_whole_under_their_label() -> None:
    bench = benchmark("med_choice")
    cases, skipped, labels = bench.load(ITEMS)
    assert (len(cases), skipped, labels) == (1200, [], [STARTER])
    right = Counter(c.data["answer"] for c in cases)
    assert max(right[x] for x in "ABCD") - min(right[x] for x in "ABCD") <= 60
