"""Going on in inspect_ai from a log: its failed requests asked again, its answers scored again; names wherever we lie."""

import contextlib
import gc
import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

import wardround
from tests.benchmarks.test_inspect_bridge import mock, scripted, written
from tests.benchmarks.test_run import Junior
from wardround.benchmarks.inspect_log import write_inspect_logs
from wardround.benchmarks.run import Settings, evaluate
from wardround.models.names import open_model
from wardround.models.server import ChatServer, serve_in_thread
from wardround.records import Answer, Request

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def inspect_ai(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    monkeypatch.setenv("INSPECT_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("WARDROUND_API_KEY", "none")
    return pytest.importorskip("inspect_ai", reason="needs the extra `inspect`")


@pytest.fixture
def dialogues(tmp_path: Path) -> Path:
    rows = [
        {"id": n, "reference": "参考", **{f"turn_{k}_question": f"{n}问{k}" for k in (1, 2, 3)}}
        for n in ("a", "b")
    ]
    return written(tmp_path / "dialogues.jsonl", rows)


class Filtered(Junior):
    """Counts what it is asked; while `on`, refuses whatever has the word in it."""

    on = True

    async def complete(self, request: Request) -> Answer:
        self.calls[request.messages[-1].text] += 1
        if self.on and self.fail in request.messages[-1].text:
            return Answer(status="failed", reason="content filter")
        return Answer(status="ok", text="答", tokens_in=1, tokens_out=1)


@contextlib.contextmanager
def left_open() -> Iterator[None]:
    """inspect_ai leaves streams and connections open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def values(log: Any) -> dict[str, dict[str, Any]]:
    return {s.id: {k: v.value for k, v in s.scores.items()} for s in log.samples}


def test_a_logs_failed_requests_are_asked_again(
    inspect_ai: Any, dialogues: Path, tmp_path: Path
) -> None:
    """`inspect eval-retry`: endpoints by their URLs, own data by its path, and only the case that failed."""
    pytest.importorskip("openai", reason="inspect_ai's provider for endpoints needs it")
    from inspect_ai.log import read_eval_log

    junior = Filtered(fail="b问2")
    run = tmp_path / "run"
    with (
        serve_in_thread(ChatServer(junior)) as url,
        serve_in_thread(open_model("scripted:verdict=6")) as judge_url,
    ):
        judge = open_model(f"scripted:verdict=6@{judge_url}")
        evaluate(
            ["dotabench"], dialogues, open_model(f"junior@{url}"), [judge], run,
            Settings(accept_failures=True),
        )  # fmt: skip
        (path,) = write_inspect_logs(run, tmp_path / "run.eval")
        log = read_eval_log(str(path))
        assert (log.eval.model, log.eval.model_base_url) == ("openai-api/wardround/junior", url)
        assert [s.error is None for s in log.samples] == [True, False]
        junior.on = False
        junior.calls.clear()
        with left_open():
            (again,) = inspect_ai.eval_retry(str(path))
    assert again.status == "success"
    assert dict(junior.calls) == {f"b问{k}": 1 for k in (1, 2, 3)}
    assert values(again) == {n: {f"turn_{k}": 6.0 for k in (1, 2, 3)} for n in ("a", "b")}


def test_a_logs_answers_are_scored_again(inspect_ai: Any, dialogues: Path, tmp_path: Path) -> None:
    """`inspect score --scorer wardround/graded` with another judge, on our log and on a task's own."""
    from inspect_ai.log import read_eval_log
    from inspect_ai.util import registry_create

    run = tmp_path / "run"
    evaluate(
        ["dotabench"], dialogues, Filtered(fail="b问2"), [open_model("scripted:verdict=6")], run,
        Settings(accept_failures=True),
    )  # fmt: skip
    (path,) = write_inspect_logs(run, tmp_path / "run.eval")
    ours = read_eval_log(str(path))
    asked = {"benchmark": "dotabench", "data": str(dialogues)}
    with left_open():
        (theirs,) = inspect_ai.eval(
            "wardround/dotabench", model=mock("model", scripted("echo")), task_args={"data": str(dialogues)}
        )  # fmt: skip
    for log, lost in ((ours, True), (theirs, False)):
        scorer = registry_create("scorer", "wardround/graded", turn=2, **asked)
        found = inspect_ai.score(
            log, scorer, model=mock("model", scripted("echo")),
            model_roles={"grader": mock("judge", scripted("verdict=3"))}, action="append",
        )  # fmt: skip
        assert values(found)["a"]["graded"] == 3.0
        assert math.isnan(values(found)["b"]["graded"]) is lost
        before = "turn_1", "turn_2", "turn_3"
        assert set(values(found)["a"]) == {*before, "graded"}
        figure = next(s for s in found.results.scores if s.name == "graded")
        assert figure.metrics["mean"].value == 3.0
        assert figure.unscored_samples == lost
    reason = next(s for s in ours.samples if s.id == "b").scores["turn_2"].reason
    assert reason == "content filter"


def test_another_data_set_is_told_from_the_logs(
    inspect_ai: Any, dialogues: Path, tmp_path: Path
) -> None:
    from inspect_ai.log import read_eval_log
    from inspect_ai.util import registry_create

    run = tmp_path / "run"
    evaluate(["dotabench"], dialogues, Junior(), [], run, Settings())
    (path,) = write_inspect_logs(run, tmp_path / "run.eval")
    scorer = registry_create("scorer", "wardround/graded", benchmark="dotabench")
    with pytest.raises(Exception, match="no case a in this data"):
        inspect_ai.score(
            read_eval_log(str(path)), scorer, model=mock("model", scripted("echo")), display="none"
        )


def test_judges_that_inspect_ai_cannot_open_are_in_no_role(
    inspect_ai: Any, dialogues: Path, tmp_path: Path
) -> None:
    from inspect_ai.log import read_eval_log

    run = tmp_path / "run"
    evaluate(["dotabench"], dialogues, Junior(), [open_model("scripted:echo")], run, Settings())
    (path,) = write_inspect_logs(run, tmp_path / "run.eval")
    log = read_eval_log(str(path))
    assert log.eval.model_roles is None
    assert log.eval.metadata["judges"] == ["scripted:echo"]


LOOK_UP = """
import json
from inspect_ai.util import registry_create, registry_info
task = registry_create("task", "wardround/med_choice")
graded = registry_create("scorer", "wardround/graded", benchmark="med_choice")
print(json.dumps([registry_info(o).name for o in (task, graded)]))
"""


def test_names_are_the_same_from_a_source_tree_on_the_path(inspect_ai: Any, tmp_path: Path) -> None:
    """Metadata as a build leaves it beside the source has our entry point but no record that says "installed"."""
    left = tmp_path / "wardround.egg-info"
    left.mkdir()
    (left / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: wardround\nVersion: 0.1.0\n")
    points = distribution("wardround").read_text("entry_points.txt")
    assert points is not None
    (left / "entry_points.txt").write_text(points)
    source = Path(wardround.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", LOOK_UP],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(source)])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        "wardround/med_choice",
        "wardround/graded",
    ]
