"""`wardround reports` and `wardround loop` as a user runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def wardround(*args: str | Path, code: int = 0) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "wardround.cli", *map(str, args)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == code, run.stderr
    return run.stdout if code == 0 else run.stderr


def test_inject_check_evaluate_and_list(tmp_path: Path) -> None:
    data = tmp_path / "set.jsonl"
    wardround("reports", "inject", "--seed", "3", "--prevalence", "0.5", "--out", data)
    rows = [json.loads(x) for x in data.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 60 and sum(bool(r["errors"]) for r in rows) == 30
    again = tmp_path / "again.jsonl"
    told = json.loads(wardround("reports", "inject", "--json", "--seed", "3", "--prevalence", "0.5",
                                "--out", again))  # fmt: skip
    assert again.read_bytes() == data.read_bytes()
    assert told["faulty"] == 30

    found = json.loads(wardround("reports", "check", "--json", data))
    assert found["reports"] == 60 and found["findings"]["sex"] > 0
    text = wardround("reports", "check", data, "--out", tmp_path / "found.jsonl")
    assert "60 reports, 0 left aside" in text
    assert len((tmp_path / "found.jsonl").read_text().splitlines()) == len(found["lines"])

    run = tmp_path / "run"
    wardround("eval", "report_quality", "--model", "scripted:rules", "--data", data, "--out", run)
    assert "有分歧的意见" in wardround("loop", "list", run, "--out", tmp_path / "list")
    wardround(
        "loop", "extend", tmp_path / "list" / "sheet.csv", "--data", data, "--out", tmp_path / "v2"
    )
    curve: list[str | Path] = [
        "loop",
        "curve",
        run,
        "--sets",
        data,
        tmp_path / "v2",
        "--out",
        tmp_path / "curve",
    ]
    assert "各版本上的微平均F1" in wardround(*curve)
    for made in ("list", "v2", "curve"):
        wardround("verify", tmp_path / made)
        shown = json.loads(wardround("show", tmp_path / made, "--json"))
        assert shown["sealed"]
        page = wardround("show", tmp_path / made, "--html").strip()
        assert "<html" in Path(page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("reports", "check", "missing.jsonl"), "no such file"),
        (("reports", "inject", "--prevalence", "2", "--out", "x"), "prevalence"),
        (("reports", "inject", "--types", "typo", "--out", "x"), "no error type"),
        (("loop", "list", "missing", "--out", "x"), "no such file or directory"),
    ],
)
def test_wrong_use_says_what_is_wrong(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    args = tuple(str(tmp_path / a) if a in ("missing", "missing.jsonl", "x") else a for a in args)
    assert said in wardround(*args, code=2)
