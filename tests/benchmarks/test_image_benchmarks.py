"""retina and cxr_quality from files to figures: cases, messages, grading, control, runs in process and over HTTP."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.images.pictures import chest, dicom, jpeg, opened, png
from wardround import taxonomy
from wardround.benchmarks import benchmark
from wardround.benchmarks.cxr_quality import CxrQuality
from wardround.benchmarks.header_tables import BASELINE
from wardround.benchmarks.image_bench import WITHOUT, NoImage
from wardround.benchmarks.retina import ORDERS, Retina
from wardround.benchmarks.run import Settings, evaluate
from wardround.errors import UsageError
from wardround.images.collect import collect
from wardround.images.made import PHANTOM
from wardround.metrics.arrays import np
from wardround.models.names import ModelOptions, open_model
from wardround.models.scripted import ScriptedModel
from wardround.models.server import serve_in_thread
from wardround.records import Case, ImagePart, Score


@pytest.fixture
def retina(tmp_path: Path) -> Path:
    """A folder with five retina rows, one of them not to be sent, and rows that are no cases."""
    folder = tmp_path / "set"
    for k in range(5):
        jpeg(np.roll(chest(), 9 * k, axis=1), folder / f"i/{k}.jpg")
    (folder / "i/pdf.png").write_bytes(b"%PDF-1.4")
    (folder / "i/named.dcm").write_bytes(dicom(chest(), BurnedInAnnotation="YES"))
    rows = [
        {"id": "f1", "image": "i/0.jpg", "labels": ["DR", "MH"], "modality": "fundus"},
        {"id": "f2", "image": "i/1.jpg", "labels": ["正常"], "modality": "fundus"},
        *({"id": f"o{k}", "image": f"i/{k}.jpg", "labels": ["CNV"], "modality": "oct"} for k in (2, 3, 4)),
        {"id": "bad", "image": "i/pdf.png", "labels": ["DR"]},
        {"id": "held", "image": "i/named.dcm", "labels": ["DR"]},
        {"id": "unknown", "image": "i/0.jpg", "labels": ["headache"]},
    ]  # fmt: skip
    (folder / "retina.jsonl").write_text("\n".join(json.dumps(r) for r in rows), "utf-8")
    return folder


def sent(bench: Any, case: Case) -> bytes:
    part = bench.messages(case, [])[0].content[0]
    assert isinstance(part, ImagePart)
    return base64.b64decode(part.image_url.url.partition(",")[2])


def test_each_picture_is_asked_under_several_orders_of_the_same_candidates(retina: Path) -> None:
    bench = Retina()
    cases, skipped, _ = bench.load(retina / "retina.jsonl")
    assert len(cases) == 5 * ORDERS
    assert {e.what: e.reason for e in skipped} == {
        "unknown": "label_not_in_list", "bad": "not_an_image", "held": "burned_in_annotation",
    }  # fmt: skip
    listed = [c.turns[0].question.splitlines() for c in cases[:ORDERS]]
    assert len({tuple(x) for x in listed}) == ORDERS
    assert len({tuple(sorted(x)) for x in listed}) == 1
    for item in taxonomy.items("fundus_labels"):
        assert f"{item.id}　{item.zh}（{item.en}）" in cases[0].turns[0].question
    assert {c.group for c in cases} == {"f1", "f2", "o2", "o3", "o4"}
    assert (opened(sent(bench, cases[0])) == opened((retina / "i/0.jpg").read_bytes())).all()
    fresh, _, _ = Retina().load(retina / "retina.jsonl")
    assert fresh == cases


def test_the_control_asks_the_same_without_the_picture(retina: Path) -> None:
    bench = Retina("en")
    cases, _, _ = bench.load(retina / "retina.jsonl")
    control = bench.control()
    same, skipped, _ = control.load(retina / "retina.jsonl")
    assert same == cases and skipped == []  # listed once, with the pictures
    (message,) = control.messages(cases[0], [])
    assert message.content == f"{cases[0].turns[0].question}\n\n{WITHOUT['en']}"
    alone = benchmark("retina_no_image")
    assert isinstance(alone, NoImage) and len(alone.load(retina / "retina.jsonl")[1]) == 3


@pytest.mark.parametrize(
    ("reply", "value", "reason"),
    [
        ("答案：MH, DR", 1.0, ""), ("答案：DR", 0.0, ""), ("答案：DR, MH, 视网膜脱离", 0.0, ""),
        ("抱歉，无法判读。", None, "refusal"),
    ],
)  # fmt: skip
def test_grading(retina: Path, reply: str, value: float | None, reason: str) -> None:
    bench = Retina()
    cases, _, _ = bench.load(retina / "retina.jsonl")
    score = bench.grade(cases[0], [reply])
    assert isinstance(score, Score) and (score.value, score.reason) == (value, reason)
    assert score.detail["truth"] == ["DR", "MH"] and score.detail["original"]


def test_references_read_back_as_right(retina: Path, tmp_path: Path) -> None:
    png(chest(), tmp_path / "c/1.png")
    png(chest(250), tmp_path / "c/2.png")
    rows = [{"id": "a", "image": "1.png", "labels": []}, {"id": "b", "image": "2.png", "labels": ["implant", "apex_cut"]}]  # fmt: skip
    (tmp_path / "c/cxr_quality.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for make, path in ((Retina, retina / "retina.jsonl"), (CxrQuality, tmp_path / "c/cxr_quality.jsonl")):  # fmt: skip
        for language in ("zh", "en"):
            bench = make(language)
            for case in bench.load(path)[0]:
                score = bench.grade(case, [case.turns[0].reference])
                assert isinstance(score, Score) and score.value == 1.0, case.turns[0].reference


def summary(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "summary.json").read_text("utf-8"))
    return found["benchmarks"]  # type: ignore[no-any-return]


def test_a_run_asks_the_control_too_and_puts_both_side_by_side(
    retina: Path, tmp_path: Path
) -> None:
    outcome = evaluate(["retina"], retina, ScriptedModel("reference"), [], tmp_path / "run", Settings())  # fmt: skip
    assert outcome.artifact is not None
    found = summary(tmp_path / "run")
    assert list(found) == ["retina", "retina_no_image"]
    assert found["retina"]["overall"]["mean"] == 1.0 and found["retina"]["skipped"] == 3
    sight = found["retina"]["tables"][0]
    assert sight["id"] == "sight" and sight["rows"][0]["gain"]["mean"] == 0.0
    skipped = (tmp_path / "run/skipped.jsonl").read_text("utf-8").splitlines()
    assert len(skipped) == 3


def test_over_http_it_is_the_same_run_and_no_answer_is_made_up(
    retina: Path, tmp_path: Path
) -> None:
    runs = {}
    for script in ("pick", "look", "refuse", "fail"):
        served = ScriptedModel(script)
        served.name = "vision"
        with serve_in_thread(served) as url:
            model = open_model(f"vision@{url}", options=ModelOptions())
            out = tmp_path / f"http-{script}"
            settings = Settings(accept_failures=True)
            evaluate(["retina"], retina, model, [], out, settings)
        runs[script] = summary(out)["retina"]
    assert runs["pick"]["counts"] == {"scored": 15, "unscored": 0, "failed": 0}
    assert runs["refuse"]["reasons"] == {"refusal": 15}
    assert runs["look"]["counts"]["unscored"] == 15
    assert runs["fail"]["counts"] == {"scored": 0, "unscored": 0, "failed": 15}
    evaluate(["retina"], retina, ScriptedModel("pick"), [], tmp_path / "here", Settings())
    assert summary(tmp_path / "here")["retina"] == runs["pick"]


def test_what_arrives_is_the_picture(retina: Path, tmp_path: Path) -> None:
    evaluate(["retina"], retina, ScriptedModel("look"), [], tmp_path / "run", Settings(limit=1))
    lines = (tmp_path / "run/records.jsonl").read_text("utf-8").splitlines()
    seen, blind = (json.loads(line)["answer"] for line in lines)
    assert "1 image(s)" in seen and "image/jpeg 220×240" in seen
    assert "0 image(s)" in blind


def test_an_artifact_gives_the_same_answers_and_notices_a_changed_picture(
    retina: Path, tmp_path: Path
) -> None:
    made = collect("retina", retina / "retina.jsonl", tmp_path / "artifact")
    evaluate(["retina"], retina, ScriptedModel("pick"), [], tmp_path / "a", Settings())
    evaluate(["retina"], made.path, ScriptedModel("pick"), [], tmp_path / "b", Settings())
    a, b = summary(tmp_path / "a"), summary(tmp_path / "b")
    assert a["retina"]["tables"] == b["retina"]["tables"] and b["retina"]["skipped"] == 0
    row = json.loads((made.path / "retina.jsonl").read_text("utf-8").splitlines()[0])
    (made.path / row["image"]).write_bytes(jpeg(chest(77)))
    _, skipped, _ = Retina().load(made.path / "retina.jsonl")
    assert [e.reason for e in skipped] == ["changed_since_sealed"]


def test_without_data_phantoms_are_drawn_once_and_said_to_be_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = ["retina", "cxr_quality", "report_quality"]
    made = evaluate(names, None, ScriptedModel("pick"), [], tmp_path / "x", Settings()).artifact
    assert made is not None and PHANTOM in made.manifest.labels
    found = summary(tmp_path / "x")
    assert found["retina"]["cases"] == 24 * ORDERS and found["cxr_quality"]["cases"] == 24
    assert found["retina"]["counts"]["unscored"] == found["retina"]["skipped"] == 0
    kept = tmp_path / "cache/wardround"
    before = {p: p.stat().st_mtime_ns for p in kept.rglob("*")}
    again = evaluate(["retina"], None, ScriptedModel("pick"), [], tmp_path / "y", Settings())
    assert again.artifact is not None and before == {
        p: p.stat().st_mtime_ns for p in kept.rglob("*")
    }


def test_no_place_for_the_phantoms_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="can't be kept there") as e:
        evaluate(["retina"], None, ScriptedModel("pick"), [], tmp_path / "x", Settings())
    assert "wardround images phantoms retina" in e.value.hint


@pytest.mark.parametrize("prepared", [True, False])
def test_header_rules_are_a_baseline_that_claims_nothing(tmp_path: Path, prepared: bool) -> None:
    """Their row has no figures; what they do know of the DICOM pictures stands in a table of its own."""
    folder = tmp_path / "set"
    for k, more in enumerate(({}, {"ViewPosition": None}, {"ViewPosition": None})):
        png(chest(), folder / "p.png")
        (folder / f"{k}.dcm").write_bytes(dicom(np.roll(chest(), 5 * k, axis=0), **more))
    rows = [{"id": f"{k}", "image": f"{k}.dcm", "labels": []} for k in range(3)]
    rows.append({"id": "film", "image": "p.png", "labels": ["implant"]})
    file = folder / "cxr_quality.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    data = collect("cxr_quality", file, tmp_path / "a").path if prepared else file
    evaluate(["cxr_quality"], data, ScriptedModel("reference"), [], tmp_path / "r", Settings())
    tables = {t["id"]: t["rows"] for t in summary(tmp_path / "r")["cxr_quality"]["tables"]}
    for name, column in (("modality", "part"), ("labels_cxr", "label"), ("clean", "part")):
        assert tables[name][-1] == {column: BASELINE}
    every, view = tables["headers"]
    assert (every["judged"], every["broken"]) == (3, 2)
    assert view["rule"].endswith("no view position") and view["share"]["mean"] == pytest.approx(
        2 / 3
    )
    control = summary(tmp_path / "r")["cxr_quality_no_image"]["tables"]
    assert "headers" not in {t["id"] for t in control}


def test_without_a_header_nothing_was_judged(tmp_path: Path) -> None:
    png(chest(), tmp_path / "p.png")
    file = tmp_path / "cxr_quality.jsonl"
    file.write_text('{"id": "a", "image": "p.png", "labels": []}')
    evaluate(["cxr_quality"], file, ScriptedModel("reference"), [], tmp_path / "r", Settings())
    tables = {t["id"]: t["rows"] for t in summary(tmp_path / "r")["cxr_quality"]["tables"]}
    assert tables["headers"] == [{"rule": "任一规则 / any rule", "judged": 0}]


def test_oct_folders_are_a_test_set_as_they_are(tmp_path: Path) -> None:
    for label in ("CNV", "DME", "NORMAL"):
        jpeg(chest(), tmp_path / f"oct/test/{label}/1.jpg")
    evaluate(["retina"], tmp_path / "oct", ScriptedModel("reference"), [], tmp_path / "r", Settings())  # fmt: skip
    assert summary(tmp_path / "r")["retina"]["cases"] == 9
