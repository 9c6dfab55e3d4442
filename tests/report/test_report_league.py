"""The page and the terminal table of a comparison of many runs: whole, self-contained, nothing made up."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.runs import make_run, record
from tests.report.test_report_pages import ATTACK, Reader, read
from wardround.benchmarks.compare import compare
from wardround.journal import Journal
from wardround.records import Answer
from wardround.report import league_charts, render, text
from wardround.report.formats import Names, money, score, shortened, signed
from wardround.report.reading import open_source
from wardround.report.shapes import Estimate
from wardround.report.spending import accounts

TASKS = ("triage", "treatment_plan", "surgical_plan")
NAMES = ("alpha", "beta-with-a-name-longer-than-any-column-2025-01-31", "gamma", "delta", "mute")


def make(root: Path, names: tuple[str, ...] = NAMES, *, dialogues: bool = True) -> Path:
    """Runs of growing skill; the last has no score, the third no price, the fourth cached replies."""
    runs = []
    for k, name in enumerate(names):
        mute = name == "mute"
        records = [
            record(
                f"c{i}", {"j": None if mute else 2.0 + k + (i * 7 + k) % 4}, task=TASKS[i % 3],
                finish_reason="length" if i == 0 else "stop",
            )
            for i in range(24)
        ]  # fmt: skip
        if dialogues:
            records += [
                record(
                    f"d{i}", {"j": None if mute else 7.0 + k / 2 - turn - (i + k) % 2},
                    benchmark="dotabench", turn=turn, task="", category="",
                )
                for i in range(6)
                for turn in (1, 2, 3)
            ]  # fmt: skip
        cost = {f"{name}: requests": 42.0, f"{name}: cached": 3.0 * (k == 3), f"{name}: tokens_in": 1e5,
                f"{name}: tokens_out": 2e4, f"{name}: cost": 0.4 * 20**k, "requests": 42.0, "cost": 0.4 * 20**k}  # fmt: skip
        if k == 2:
            del cost[f"{name}: cost"], cost["cost"]
        timing = None if k == 2 else {"cases": {name: {"n": 42, "p50": 1.2 + k, "p90": 11, "p99": 99}}}  # fmt: skip
        runs.append(make_run(root / f"run-{k}", records, model=name, cost=cost, timing=timing))
    return compare(runs, root / "league").path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("league"))


@pytest.fixture(scope="module")
def page(made: Path) -> Reader:
    return read(render(made))


def benchmarks(made: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "comparison.json").read_bytes())["benchmarks"]
    return found


def test_every_run_stands_with_rank_interval_counts_and_difference(
    page: Reader, made: Path
) -> None:
    for b in benchmarks(made).values():
        pairs = {p["b"]: p for p in b["pairs"]}
        for row in b["league"]:
            assert NAMES[row["run"]] in page.text
            counts = row["counts"]
            assert f"{counts['scored']} / {counts['unscored']} / {counts['failed']}" in page.text
            if row["rank"] is None:
                continue
            r, e = row["rank"], row["overall"]
            assert f"{r['rank']} [{r['low']}–{r['high']}]" in page.text
            assert f"{e['mean']:.2f} [{e['low']:.2f}, {e['high']:.2f}]" in page.text
            if row["run"] in pairs:
                d = pairs[row["run"]]["difference"]
                assert f"{signed(d['mean'])} [{signed(d['low'])}, {signed(d['high'])}]" in page.text
        shared = b["shared"]
        assert f"名次只看 {shared['runs']} 个模型都有评分的 {shared['items']} 题" in page.text


def test_charts_say_in_words_what_they_show_and_tables_repeat_it(page: Reader, made: Path) -> None:
    labels = [str(a["aria-label"]) for tag, a in page.tags if tag == "svg" and "aria-label" in a]
    b = benchmarks(made)["dotabench"]
    for row in b["league"]:
        (label,) = [x for x in labels if x.startswith(f"{NAMES[row['run']]}：第 1 轮")]
        for turn in row["by_turn"]:
            mean = score(turn["estimate"]["mean"])
            assert f"第 {turn['turn']} 轮 turn {turn['turn']} {mean}" in label
            assert mean in page.text
    forest = [x for x in labels if "配对差值" in x]
    assert len(forest) == 2
    assert all(f"{NAMES[3]} +" in x for x in forest)
    cost = [x for x in labels if "每千例花费" in x]
    assert len(cost) == 2
    assert all(NAMES[0] in x and NAMES[1] in x and NAMES[2] not in x for x in cost)


def test_a_run_without_price_is_named_and_not_drawn_at_zero(page: Reader) -> None:
    assert page.text.count("没有给出单价 no price given ：gamma") == 2
    assert page.text.count("some replies came from the cache and were not paid for ：delta") == 2
    assert page.text.count("没有评分 nothing was scored ：mute") == 2


def test_unscored_cells_are_hatched_and_say_so(made: Path) -> None:
    html = render(made)
    heat = html[html.index('<table class="heat">') :]
    heat = heat[: heat.index("</table>")]
    assert heat.count('class="heat0"') == len(TASKS)
    assert heat.count(">—</td>") == len(TASKS)
    shades = {int(n) for n in re.findall(r'class="heat(\d)"', heat)}
    assert {0, 1, 5} <= shades
    assert "◇" in heat


def test_the_page_is_whole_and_asks_nothing_of_the_network(made: Path) -> None:
    html = render(made)
    assert "http:" not in html
    assert "https:" not in html
    assert "<script" not in html
    assert "nan" not in re.sub(r"<[^>]*>", "", html).lower().split()
    page = read(html)
    ids = [a["id"] for tag, a in page.tags if a.get("id") and a["id"] != "hatch"]
    assert len(ids) == len(set(ids))
    assert render(made) == html


@pytest.mark.parametrize("number", [2, 3])
def test_few_runs_keep_the_page_of_pairs(tmp_path: Path, number: int) -> None:
    found = make(tmp_path, NAMES[:number])
    html = render(found)
    assert 'id="scores"' in html
    assert 'id="league"' not in html
    assert ("Holm\u00a0p</span></th><th" in html) == (number == 3)
    assert "名次" not in text(found)


def test_a_table_stands_without_its_runs(tmp_path: Path) -> None:
    found = make(tmp_path)
    shutil.rmtree(tmp_path / "run-1")
    page = read(render(found)).text
    assert "评测目录不全在原处" in page
    assert NAMES[1] in page
    assert "1 [1–" in page
    assert "11 s" not in page  # times are the runs' own


def test_runs_of_one_model_stay_apart(tmp_path: Path) -> None:
    found = read(render(make(tmp_path, ("twin", "twin", "other", "twin"), dialogues=False))).text
    assert all(f"twin · {i}" in found for i in (1, 2, 4))


def test_a_models_name_cannot_break_out(tmp_path: Path) -> None:
    html = render(make(tmp_path, (ATTACK, "b", "c", "d"), dialogues=False))
    assert "<script" not in html
    assert "<img" not in html
    assert not any(a.startswith("on") for _, found in read(html).tags for a in found)


def test_fifteen_runs_are_one_page_without_a_giant_diagram(tmp_path: Path) -> None:
    found = make(tmp_path, tuple(f"model-{k}" for k in range(15)), dialogues=False)
    page = read(render(found))
    assert all(f"model-{k}" in page.text for k in range(15))
    assert "来源太多，不画图" in page.text
    assert not any("来源图" in (a.get("aria-label") or "") for _, a in page.tags)


def test_the_terminal_has_the_same_table(made: Path) -> None:
    said = text(made)
    b = benchmarks(made)["doctorflan_test"]
    first = b["league"][0]
    (line,) = [x for x in said.split("Multi-turn")[0].splitlines() if x.startswith("delta")]
    assert f"1 [{first['rank']['low']}–{first['rank']['high']}]" in line
    assert score(first["overall"]["mean"]) in line
    assert line.endswith("4.2 s")
    assert "参照 reference：alpha" in said
    assert f"over the {b['shared']['items']} items" in said
    assert re.search(r"^mute +— +— +— +24/0", said, flags=re.MULTILINE)


def estimate(mean: float) -> Estimate:
    return Estimate(mean=mean, low=mean - 0.5, high=mean + 0.5, n=9)


@given(
    st.lists(st.tuples(st.floats(1e-6, 1e6), st.floats(1, 10)), min_size=2, max_size=15),
)
def test_every_point_of_the_scatter_is_drawn_inside_and_named(
    found: list[tuple[float, float]],
) -> None:
    points = [
        league_charts.Point(names=Names(f"m{i}"), cost=c, estimate=estimate(s))
        for i, (c, s) in enumerate(found)
    ]
    made = league_charts.scatter(points, x=Names("花费"), y=Names("分"), scale=(1, 10), label="x")
    costs = [c for c, _ in found]
    assert ("对数刻度" in made) == (max(costs) > 10 * min(costs))
    marks = re.findall(r'<polygon points="([^"]+)"', made)
    assert len(marks) == len(points)
    for corners in marks:
        for pair in corners.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 980
            assert 0 <= y <= 430
    for i in range(len(points)):
        assert f">m{i}</text>" in made


def test_a_gap_between_turns_breaks_the_line() -> None:
    nothing = Estimate(mean=None, low=None, high=None, n=0)
    run = league_charts.Course(names=Names("m"), turns=((1, estimate(5)), (2, nothing), (3, estimate(4))))  # fmt: skip
    (panel,) = league_charts.courses([run], (1, 10))
    assert "polyline" not in panel
    assert panel.count("<polygon") == 2
    assert "第 2 轮 turn 2 —" in panel


@given(st.text(max_size=60), st.integers(3, 30))
def test_shortened_names_keep_both_ends(words: str, most: int) -> None:
    found = shortened(words, most)
    assert len(found) == min(len(words), most)
    assert found == words or (words.startswith(found.split("…")[0]) and words[-1] == found[-1])


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "—"), (0.0, "0.00"), (1234.5, "1,234.50"), (0.5, "0.50"), (0.0672, "0.067"), (0.000123, "0.00012")],
)  # fmt: skip
def test_small_costs_keep_two_figures(value: float | None, said: str) -> None:
    assert money(value) == said


def test_a_runs_text_and_page_give_tokens_cache_and_cost(tmp_path: Path) -> None:
    make(tmp_path)
    said = text(tmp_path / "run-3")
    assert re.search(r"^delta +42 +3 +100,000 +20,000 +3,200\.00$", said, flags=re.MULTILINE)
    assert re.search(r"^gamma +42 +0 +100,000 +20,000 +—$", text(tmp_path / "run-2"), flags=re.M)
    page = read(render(tmp_path / "run-3")).text
    assert "delta 42 3 100,000 20,000 3,200.00" in page


def test_an_unfinished_run_gives_what_it_spent_so_far(tmp_path: Path) -> None:
    run = make_run(tmp_path / "r", [record("c", {"j": 5.0})], seal=False)
    state = json.loads((run / "unsealed.json").read_bytes())
    answer = Answer(status="ok", text="a", model="m", tokens_in=10, tokens_out=5, charged=0.25)
    with Journal(run / "journal.jsonl", config=state["config_digest"]) as journal:
        journal.append("a", answer)
        journal.append("b", msgspec.structs.replace(answer, cached=True, charged=0.0))
        journal.append("c!1", Answer(status="failed", reason="timeout", model="m", charged=0.5))
        journal.append("d", Answer(status="ok", text="", model="j"))
    with open(run / "journal.jsonl", "ab") as f:
        f.write(b'{"k":"torn","v":{"sta')
    judge, model = accounts(open_source(run))
    assert (judge.name, judge.requests, judge.cost) == ("j", 1, None)
    assert (model.requests, model.cached, model.tokens_in, model.cost) == (2, 1, 10, 0.75)
    said = text(run)
    assert "untold tokens at their worst case" in said
    assert re.search(r"^m +2 +1 +10 +5 +0\.75$", said, flags=re.MULTILINE)
