"""The command line as its user meets it: help, lists, and every way to go wrong."""

import json
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, command, environment, wardround
from wardround import taxonomy

COMMANDS = ("demo", "build", "tune", "serve", "eval", "compare", "agree", "show", "list", "verify")
HEAVY = (
    "torch",
    "transformers",
    "numpy",
    "aiohttp",
    "pyarrow",
    "jinja2",
    "msgspec",
    "yaml",
    "tqdm",
)


def test_help_of_everything() -> None:
    top = wardround("--help")
    assert top.returncode == 0
    for name in COMMANDS:
        assert f"    {name} " in top.stdout
        assert wardround(name, "--help").returncode == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, wardround.cli as c; c.build_parser().format_help(); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [*taxonomy.LISTS, "benchmarks", "models"])
def test_every_list_is_shown(name: str) -> None:
    rows = json.loads(wardround("list", name, "--json").stdout)
    plain = wardround("list", name)
    assert plain.returncode == 0
    assert len(rows) > 1
    assert all(row["id"] in plain.stdout for row in rows)


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["nonsense"], 2, "invalid choice"),
        (["list", "nonsense"], 2, "no list named nonsense"),
        (["show", "nowhere"], 2, "nowhere: no such directory"),
        (["show", "."], 1, "not an artifact"),
        (["verify", "nowhere"], 2, "nowhere: no such directory"),
        (["build", "nowhere.jsonl", "--out", "d"], 2, "nowhere.jsonl: no such file"),
        (["tune", "nowhere", "--base", "scratch:tiny", "--out", "c"], 2, "no such directory"),
        (["compare", "nowhere", "nowhere", "--out", "c"], 2, "no such directory"),
        (["serve", "nowhere"], 2, "no such directory"),
        (["agree", "nowhere", "h.csv"], 2, "no such directory"),
        (["show", "nowhere", "--stats-json"], 2, "no such directory"),
    ],
)
def test_wrong_use_says_one_clear_thing(
    args: list[str], status: int, says: str, tmp_path: Path
) -> None:
    found = wardround(*args, cwd=tmp_path)
    assert found.returncode == status
    assert says in found.stderr
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("scripted:nobody", "no scripted model named nobody"),
        ("nobody", "nobody"),
        ("local:nowhere", "no such directory"),
    ],
)
def test_unknown_model(model: str, says: str, items: Path, tmp_path: Path) -> None:
    found = wardround(
        "eval", "doctorflan_test", "--data", items, "--model", model, "--out", tmp_path / "run"
    )
    assert found.returncode == 2
    assert says in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "run").exists()


def test_dead_endpoint(items: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = wardround(
        "eval", "doctorflan_test", "--data", items, "--judge", "scripted:overlap",
        "--model", f"m@http://127.0.0.1:{port}/v1", "--out", tmp_path / "run",
    )  # fmt: skip
    assert found.returncode == 1
    assert f"127.0.0.1:{port}" in found.stderr
    assert "Traceback" not in found.stderr
    shown = wardround("show", tmp_path / "run")
    assert shown.returncode == 1
    assert "unfinished" in shown.stderr


def test_bad_sources_are_named_by_file_and_row(tmp_path: Path, examples: list[Path]) -> None:
    lines = examples[0].read_text(encoding="utf-8").splitlines()[:3]
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join([*lines[:2], '{"name": "断', lines[2]]), encoding="utf-8")
    found = wardround("build", bad, "--out", tmp_path / "d", "--strict")
    assert found.returncode == 1
    assert "bad.jsonl, row 3: malformed_row" in found.stderr
    assert "leave out --strict" in found.stderr
    aside = wardround("build", bad, "--out", tmp_path / "e")
    assert aside.returncode == 0
    assert '"row":3' in (tmp_path / "e" / "excluded.jsonl").read_text(encoding="utf-8")

    wrong = tmp_path / "wrong.jsonl"
    wrong.write_bytes(lines[0].encode("utf-16"))
    found = wardround("build", wrong, "--out", tmp_path / "f")
    assert found.returncode == 1
    assert "wrong.jsonl: " in found.stderr and "UTF-16" in found.stderr
    for name in ("d", "f"):
        assert not (tmp_path / name / "manifest.json").exists()


def test_full_disk(items: Path, tmp_path: Path) -> None:
    """A limit on file size stands in for a disk without room; the same command ends the work later."""
    args = command(
        "eval", "doctorflan_test", "--data", items, "--model", "scripted:reference",
        "--judge", "scripted:overlap", "--out", tmp_path / "run",
    )  # fmt: skip

    def cramped() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))

    found = subprocess.run(
        args, capture_output=True, text=True, preexec_fn=cramped, env=environment(), timeout=120
    )
    assert found.returncode == 1
    assert "the disk is full" in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "run" / "manifest.json").exists()
    again = subprocess.run(args, capture_output=True, text=True, env=environment(), timeout=120)
    assert again.returncode == 0, again.stderr
    assert wardround("verify", tmp_path / "run").returncode == 0


def test_an_evaluation_and_its_reports(
    items: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve("scripted:echo")
    for name, model in (("a", "scripted:reference"), ("b", f"scripted:echo@{server.url}")):
        found = wardround(
            "eval", "doctorflan_test", "--data", items, "--model", model,
            "--judge", "scripted:overlap", "--out", tmp_path / name, "--json",
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
        said = json.loads(found.stdout)
        assert said["ok"] is True
        assert Path(said["report"]).is_file()
    assert sum(server.asked().values()) == 60
    compared = wardround(
        "compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c", "--json"
    )
    assert compared.returncode == 0, compared.stderr
    for name in "abc":
        shown = wardround("show", tmp_path / name)
        assert shown.returncode == 0
        assert "脚本" in shown.stdout
    verified = wardround("verify", tmp_path / "c")
    assert verified.returncode == 0
    assert verified.stdout.count("ok") == 5
    with open(tmp_path / "a" / "records.jsonl", "a") as f:
        f.write("\n")
    verified = wardround("verify", tmp_path / "c")
    assert verified.returncode == 1
    assert "records.jsonl: changed since it was sealed" in verified.stdout


def test_failed_requests_end_with_status_1_until_asked_again(
    items: Path, tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve("scripted:echo", "--errors", "400=0.3", "--seed", 3)
    args = (
        "eval", "doctorflan_test", "--data", items, "--model", f"scripted:echo@{server.url}",
        "--judge", "scripted:overlap", "--out", tmp_path / "run", "--limit", 30,
    )  # fmt: skip
    found = wardround(*args)
    assert found.returncode == 1
    assert "requests failed, the run is not sealed" in found.stderr
    accepted = wardround(*args, "--accept-failures")
    assert accepted.returncode == 0
    counts = json.loads((tmp_path / "run" / "manifest.json").read_text())["counts"]
    assert counts["scored"] + counts["failed"] == 30


def test_answers_made_elsewhere_judged_then_held_against_doctors(tmp_path: Path) -> None:
    rows = [
        {"id": f"q{i}", "category": "Triage", "input": f"问{i}", "output": "先查血常规"[: 1 + i % 5],
         "reference": "先查血常规"} for i in range(30)
    ]  # fmt: skip
    answers = tmp_path / "huatuo.jsonl"
    answers.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    run = ("eval", "doctorflan_test", "--judge", "scripted:overlap", "--out", tmp_path / "run")
    judged = wardround(*run, "--answers", answers)
    assert judged.returncode == 0, judged.stderr
    assert "回答取自所给文件" in judged.stdout
    stats = json.loads(wardround("show", tmp_path / "run", "--stats-json").stdout)
    assert set(stats) == {
        "category_mean_scores", "category_std_scores", "overall_mean", "overall_std",
    }  # fmt: skip
    scores = tmp_path / "医生.csv"
    lines = [f"q{i},{d},{1 + i % 5 * 2}" for i in range(15) for d in ("王医生", "李医生")]
    scores.write_bytes("\n".join(["题目,医生,评分", *lines]).encode("gb18030"))
    agreed = wardround("agree", tmp_path / "run", scores, "--json")
    assert agreed.returncode == 0, agreed.stderr
    said = json.loads(agreed.stdout)
    assert said["kind"] == "agreement"
    assert said["summary"]["rows"] == {"read": 30, "matched": 30, "unmatched": {}}
    assert wardround("verify", tmp_path / "run-agreement").returncode == 0
    for extra, says in (
        ((), "give one of --model, --answers"),
        (("--answers", answers, "--model", "scripted:echo"), "give one of --model, --answers"),
        (("--answers", tmp_path / "none.jsonl"), "no such file"),
    ):
        wrong = wardround(*run, *extra)
        assert wrong.returncode == 2
        assert says in wrong.stderr


def test_a_hub_id_without_a_network_is_wrong_use(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    found = wardround(
        "eval", "doctorflan_test", "--data", "no-such-org/no-such-set", "--model", "scripted:echo",
        "--out", tmp_path / "run", cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode == 2
    assert "no-such-org/no-such-set: neither a path here nor a dataset" in found.stderr
    assert "Traceback" not in found.stderr
