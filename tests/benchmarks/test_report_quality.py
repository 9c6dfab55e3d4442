"""report_quality: what is asked, how it is scored with and without a judge, its figures, its files, its items."""

import json
from pathlib import Path
from typing import Any

import pytest

from wardround.artifact import open_artifact
from wardround.benchmarks import Ruling, benchmark
from wardround.benchmarks.data import ITEMS, STARTER, read_rows
from wardround.benchmarks.judge import Language
from wardround.benchmarks.report_quality import ReportQuality
from wardround.benchmarks.run import Settings, evaluate
from wardround.images.report import PLACES, ReportError, report_of
from wardround.images.report_errors import Plan, inject, row_of
from wardround.models.names import open_model
from wardround.models.prompt import read_block
from wardround.records import Answer, Case, Request, Score

FINDINGS = "左肺上叶见结节，大小约8mm×7kg，边界清楚。纵膈居中。"
IMPRESSION = "左肺上叶结节，建议复查。"


def row(name: str = "r1", *, clean: bool = False, **more: Any) -> dict[str, Any]:
    errors = [
        {
            "type": kind, "place": "findings", "start": FINDINGS.index(wrong),
            "end": FINDINGS.index(wrong) + len(wrong), "wrong": wrong, "right": right,
        }
        for kind, wrong, right in (("unit", "kg", "mm"), ("wrong_character", "膈", "隔"))
    ]  # fmt: skip
    findings = FINDINGS.replace("kg", "mm").replace("膈", "隔") if clean else FINDINGS
    return {
        "id": name, "age": 50, "sex": "男", "examination": "胸部CT平扫", "region": "chest",
        "findings": findings, "impression": IMPRESSION, "errors": [] if clean else errors,
    } | more  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    return path


def load(tmp_path: Path, rows: list[dict[str, Any]], language: Language = "zh") -> list[Case]:
    return benchmark("report_quality", language).load(write(tmp_path / "r.jsonl", rows))[0]


def said(*found: tuple[str, str, str]) -> str:
    rows = [{"错误类型": t, "位置": p, "修改建议": s} for t, p, s in found]
    return json.dumps(rows, ensure_ascii=False)


UNIT = ("单位错误", "描述", "“7kg”改为“7mm”")
CHARACTER = ("错别字", "描述", "“纵膈”改为“纵隔”")
BEYOND = ("用词不当", "诊断", "“建议复查”宜写明时间")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_report_is_asked_in_a_block_with_all_eight_types(
    tmp_path: Path, language: Language
) -> None:
    bench = benchmark("report_quality", language)
    (case,) = load(tmp_path, [row()], language)
    (message,) = bench.messages(case, [])
    block = read_block("report", message.text) or ""
    assert FINDINGS in block and IMPRESSION in block and "性别：男" in block and "50岁" in block
    for name in ("多字或少字", "描述与诊断不符", "性别错误"):
        assert name in message.text
    assert "kg”应" not in message.text


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (said(UNIT, CHARACTER), 1.0),
        (said(UNIT), 2 / 3),
        (said(UNIT, BEYOND), 0.5),
        (said(("单位错误", "诊断", "x")), 0.0),
        ("[]", 0.0),
    ],
)
def test_the_score_is_f1_by_rule(tmp_path: Path, answer: str, value: float) -> None:
    (case,) = load(tmp_path, [row()])
    bench = benchmark("report_quality")
    assert isinstance(bench, Ruling)
    assert bench.ruled(case, [answer]).value == pytest.approx(value)


def test_an_error_free_report_and_an_answer_that_cannot_be_read(tmp_path: Path) -> None:
    (case,) = load(tmp_path, [row(clean=True)])
    bench = ReportQuality()
    assert bench.ruled(case, ["[]"]).value == 1.0
    assert bench.ruled(case, [said(UNIT)]).value == 0.0
    unread = bench.ruled(case, ["我不知道"])
    assert (unread.status, unread.value) == ("unscored", None)
    assert bench.note(case, 1, "我不知道")["read"] is False


def test_a_judge_is_asked_only_what_no_rule_can_tell(tmp_path: Path) -> None:
    bench = ReportQuality()
    (case,) = load(tmp_path, [row()])
    assert isinstance(bench.grade(case, [said(UNIT, CHARACTER)]), Score)
    graded = bench.grade(case, [said(("单位错误", "描述", "单位请核对"), CHARACTER, BEYOND)])
    assert isinstance(graded, tuple)
    prompt = graded[-1].text
    assert "大小约8mm×7mm" in (read_block("C1", prompt) or "")
    assert "建议复查" in (read_block("C2", prompt) or "")
    assert read_block("C3", prompt) is None
    assert "纵膈" in (read_block("report", prompt) or "")


def test_verdicts_are_read_beside_the_answer(tmp_path: Path) -> None:
    bench = ReportQuality()
    (case,) = load(tmp_path, [row()])
    answer = said(("单位错误", "描述", "单位请核对"), CHARACTER, BEYOND)
    score = bench.read_beside(case, [answer], "理由。\nC1: no\nC2: yes")
    assert score.value == pytest.approx(0.8)
    assert score.detail["verdicts"] == {"corrections": [False, True], "confirmed": [True]}
    assert bench.read_beside(case, [answer], "C1: no").status == "unscored"
    assert bench.read(case, "C1: yes").status == "unscored"


class Fixed:
    """A model, or judge, that answers each case with what it was given."""

    labels: tuple[str, ...] = ()

    def __init__(self, name: str, answers: dict[str, str], verdict: str = "") -> None:
        self.name, self.answers, self.verdict = name, answers, verdict
        self.identity = {"kind": "fixed", "name": name}

    async def check(self) -> None: ...
    async def close(self) -> None: ...

    async def complete(self, request: Request) -> Answer:
        if "judge" in request.key:
            prompt = request.messages[-1].text
            n = sum(f"<C{k}>" in prompt for k in range(1, 9))
            lines = [f"C{k}: {self.verdict}" for k in range(1, n + 1)]
            return Answer(status="ok", text="\n".join(lines))
        return Answer(status="ok", text=self.answers[str(request.hint["case"])])


def overall(run: Path) -> dict[str, Any]:
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    tables = {t["id"]: t for t in summary["benchmarks"]["report_quality"]["tables"]}
    return {r["id"]: r["value"]["mean"] for r in tables["report_overall"]["rows"]}


@pytest.mark.parametrize(
    ("verdict", "alarms", "additional"), [("yes", 0.0, 2 / 5), ("no", 0.5, 0.0), ("", 0.5, 0.0)]
)
def test_figures_by_hand(tmp_path: Path, verdict: str, alarms: float, additional: float) -> None:
    """Three faulty or clean reports whose every figure can be told by hand."""
    data = write(
        tmp_path / "r.jsonl",
        [row("a"), row("b"), row("c", clean=True), row("d", clean=True), row("e", clean=True)],
    )
    answers = {
        "a": said(UNIT, ("错别字", "诊断", "x")),  # one hit, one in part
        "b": said(UNIT, BEYOND),  # one hit, one beyond
        "c": said(BEYOND),
        "d": "[]",
        "e": "不知道",
    }
    judges = [Fixed("j", {}, verdict)] if verdict else []
    made = evaluate(
        ["report_quality"], data, Fixed("m", answers), judges, tmp_path / "run", Settings()
    )
    assert made.artifact is not None
    found = overall(tmp_path / "run")
    assert found["micro_precision"] == pytest.approx(2 / 5)
    assert found["micro_recall"] == pytest.approx(2 / 4)
    assert found["micro_f1"] == pytest.approx(4 / 9)
    assert found["macro_recall"] == pytest.approx((2 / 2 + 0 / 2) / 2)
    assert found["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert found["partial_f1"] == pytest.approx(2 * 2.5 / 9)
    assert found["report_recall"] == 1.0
    assert found["report_precision"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(1 / 2)
    assert found["correction"] == 1.0
    assert found["additional"] == pytest.approx(additional)
    assert found["false_alarms"] == pytest.approx(alarms)
    assert found["adjusted_precision"] == pytest.approx(2 / 5 + additional)


def test_the_rule_baseline_runs_and_says_that_it_is_none(tmp_path: Path) -> None:
    made = evaluate(
        ["report_quality"], None, open_model("scripted:rules"), [], tmp_path / "run", Settings()
    )
    assert made.artifact is not None
    assert any("规则" in label for label in made.artifact.manifest.labels)
    assert STARTER in made.artifact.manifest.labels
    found = overall(tmp_path / "run")
    assert found["false_alarms"] == 0 and found["micro_recall"] > 0.5
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    ids = {t["id"] for t in summary["benchmarks"]["report_quality"]["tables"]}
    assert {"report_overall", "report_type", "report_region", "report_how"} <= ids
    assert open_artifact(tmp_path / "run").manifest.counts["cases"] == 60


# -- files ----------------------------------------------------------------------------------------------------

WRITTEN = f"年龄：50岁\n性别：男\n检查项目：胸部CT平扫\n描述：{FINDINGS}\n诊断：{IMPRESSION}"
TRUTHS = [
    '{"单位错误": "描述中“7kg”应改为“7mm”", "错别字": "“纵膈”应为“纵隔”"}',
    '[{"错误类型": "单位错误", "修改建议": "“7kg”改为“7mm”"}, {"错误类型": "错别字", "修改建议": "描述：“纵膈”改为“纵隔”"}]',
]


@pytest.mark.parametrize("truth", TRUTHS)
@pytest.mark.parametrize("chinese", [False, True])
def test_the_published_layouts(tmp_path: Path, truth: str, chinese: bool) -> None:
    given: dict[str, Any] = (
        {"id": "m1", "年龄": "50", "性别": "男", "检查项目": "胸部CT平扫", "描述": FINDINGS, "诊断": IMPRESSION,
         "标注": json.loads(truth)}
        if chinese
        else {"question": f"请找出错误。\n{WRITTEN}", "answer": truth, "other": {"id": "m1"}}
    )  # fmt: skip
    (case,) = load(tmp_path, [given])
    assert case.id == "m1"
    assert case.data["as_given"] is not chinese
    errors = [
        (e["type"], e["place"], e["wrong"], e["right"], e["origin"]) for e in case.data["errors"]
    ]
    assert errors == [
        ("unit", "findings", "7kg", "7mm", "published"),
        ("wrong_character", "findings", "纵膈", "纵隔", "published"),
    ]
    assert ReportQuality().ruled(case, [said(UNIT, CHARACTER)]).value == 1.0
    (message,) = ReportQuality().messages(case, [])
    assert FINDINGS in message.text


def test_an_error_free_report_of_the_published_layout(tmp_path: Path) -> None:
    rows = [{"question": WRITTEN, "answer": a} for a in ("无错误", "[]", "{}")]
    assert [c.data["errors"] for c in load(tmp_path, rows)] == [[], [], []]


def test_a_question_that_cannot_be_taken_apart_is_asked_as_it_is(tmp_path: Path) -> None:
    (case,) = load(tmp_path, [{"question": "某份报告……", "answer": TRUTHS[0], "other": {}}])
    assert case.data["report"] is None
    assert ReportQuality().messages(case, [])[0].text == "某份报告……"
    assert ReportQuality().ruled(case, [said(UNIT)]).value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"id": "x"}, "no_report"),
        ({"question": WRITTEN}, "no_truth"),
        ({"question": WRITTEN, "answer": ""}, "no_truth"),
        ({"question": WRITTEN, "answer": "看不懂"}, "bad_truth"),
        ({"question": WRITTEN, "answer": '[{"错误类型": "标点错误", "修改建议": "x"}]'}, "unknown_type"),
        (row(errors=[{"type": "标点", "place": "findings"}]), "unknown_type"),
        (row(errors=[{"type": "unit", "place": "findings", "start": 0, "end": 2, "wrong": "kg"}]), "bad_truth"),
        (row(errors=[{"type": "unit", "place": "title"}]), "bad_truth"),
    ],
)  # fmt: skip
def test_bad_rows_are_left_aside_with_the_reason(
    tmp_path: Path, bad: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path / "r.jsonl", [row("good"), bad])
    cases, skipped, _ = ReportQuality().load(path)
    assert [c.id for c in cases] == ["good"]
    assert [(e.row, e.reason) for e in skipped] == [(2, reason)]


# -- what is shipped ------------------------------------------------------------------------------------------


def test_sixty_clean_reports_twelve_of_each_region() -> None:
    rows = [r for _, r in read_rows(ITEMS / "ct_reports.jsonl")]
    regions = [r["region"] for r in rows]
    assert {k: regions.count(k) for k in set(regions)} == dict.fromkeys(
        ("head", "chest", "abdomen", "spine", "vessel"), 12
    )
    assert len({r["id"] for r in rows}) == len({r["findings"] for r in rows}) == 60
    for r in rows:
        assert (r["author"], r["review"]) == ("wardround", "unreviewed")
        assert r["sex"] in ("男", "女") and 0 < r["age"] < 90
        assert "CT" in r["examination"]
        assert len(r["findings"]) > 80 and r["findings"].endswith("。")
        assert r["impression"].endswith("。")
    assert sum("未见明显异常" in r["impression"] for r in rows) >= 5
    assert 0.4 < sum(r["sex"] == "女" for r in rows) / 60 < 0.6


def test_the_shipped_set_is_what_the_injector_makes_of_them() -> None:
    clean = [report_of(r, str(r["id"])) for _, r in read_rows(ITEMS / "ct_reports.jsonl")]
    plan = Plan(seed=1, prevalence=0.6)
    made = inject([c for c in clean if c is not None], plan)
    shipped = [r for _, r in read_rows(ITEMS / "report_quality.jsonl")]
    label = {"author": "wardround", "review": "unreviewed"}
    assert shipped == [row_of(m, plan) | label for m in made]


def test_every_shipped_item_loads_and_the_truth_scores_full_marks() -> None:
    bench = ReportQuality()
    cases, skipped, labels = bench.load(ITEMS / bench.shipped)
    assert (len(cases), skipped, labels) == (60, [], [STARTER])
    for case in cases:
        errors = [ReportError(**e) for e in case.data["errors"]]
        answer = json.dumps(
            [{"错误类型": e.type, "位置": PLACES[e.place], "修改建议": f"应为“{e.right}”"} for e in errors if e.place],
            ensure_ascii=False,
        )  # fmt: skip
        assert bench.ruled(case, [answer]).value == 1.0
