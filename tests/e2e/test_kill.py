"""kill -9 in the middle of every long step, then the same command again.

Finished work is not done again (the server counts what it was asked), and the result has the digest of an
uninterrupted run.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Server, kill_when, wardround
from wardround.artifact import open_artifact

AT_ONCE = 4


def journalled(out: Path) -> int:
    """Whole lines of a journal so far, its header left out."""
    path = out / "journal.jsonl"
    return max(0, path.read_bytes().count(b"\n") - 1) if path.exists() else 0


def counted(server: Server, work: int) -> None:
    """Each request was answered once, those in flight at the two kills perhaps twice."""
    asked = server.asked()
    assert len(asked) == work
    assert max(asked.values()) <= 3
    assert sum(asked.values()) - work <= 2 * AT_ONCE


def test_eval(items: Path, tmp_path: Path, serve: Callable[..., Server]) -> None:
    server = serve("scripted:echo", "--latency-ms", 30)
    model = f"scripted:echo@{server.url}"

    def args(out: Path) -> list[object]:
        return [
            "eval", "doctorflan_test", "--data", items, "--model", model, "--judge",
            "scripted:overlap", "--out", out, "--concurrency", AT_ONCE,
        ]  # fmt: skip

    out = tmp_path / "run"
    for point in (20, 60):
        assert kill_when(args(out), lambda p=point: journalled(out) >= p) == -9  # type: ignore[misc]
        assert not (out / "manifest.json").exists()
    done = wardround(*args(out))
    assert done.returncode == 0, done.stderr
    counted(server, 60)
    whole = wardround(*args(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    assert open_artifact(out).manifest.digest == open_artifact(tmp_path / "whole").manifest.digest
    assert open_artifact(out).manifest.sessions == 3


def test_build_with_refinement(
    small_sources: list[Path], tmp_path: Path, serve: Callable[..., Server]
) -> None:
    server = serve("scripted:rewrite", "--latency-ms", 20)

    def args(out: Path) -> list[object]:
        return [
            "build", *small_sources, "--out", out, "--refine", f"scripted:rewrite@{server.url}",
            "--test-per-task", 1, "--test-dialogues", 1, "--concurrency", AT_ONCE,
        ]  # fmt: skip

    out = tmp_path / "data"
    for point in (20, 60):
        assert kill_when(args(out), lambda p=point: journalled(out) >= p) == -9  # type: ignore[misc]
        assert not (out / "manifest.json").exists()
    done = wardround(*args(out))
    assert done.returncode == 0, done.stderr
    refined = json.loads((out / "coverage.json").read_text(encoding="utf-8"))["refined"]
    asked = server.asked()
    assert len(asked) >= refined["asked"] > 60
    assert sum(asked.values()) - len(asked) <= 2 * AT_ONCE
    whole = wardround(*args(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    assert open_artifact(out).manifest.digest == open_artifact(tmp_path / "whole").manifest.digest


@pytest.mark.torch
def test_tune(small_sources: list[Path], tmp_path: Path, tiny_checkpoint: Path) -> None:
    built = wardround(
        "build", *small_sources, "--out", tmp_path / "data", "--test-per-task", 1,
        "--test-dialogues", 1,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr

    def args(out: Path) -> list[object]:
        return [
            "tune", tmp_path / "data", "--base", tiny_checkpoint, "--out", out, "--epochs", 2,
            "--save-seconds", 0, "--max-tokens", 256, "--max-truncated", 0.99, "--batch-tokens", 1024, "--precision", "fp32",
        ]  # fmt: skip

    whole = wardround(*args(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "tuned"

    def saved() -> bool:
        return any((out / "work").glob("**/COMPLETE"))

    assert kill_when(args(out), saved) == -9
    assert not (out / "manifest.json").exists()
    done = wardround(*args(out))
    assert done.returncode == 0, done.stderr
    one, two = open_artifact(out).manifest, open_artifact(tmp_path / "whole").manifest
    weights = [next(f.sha256 for f in m.files if f.path == "model.safetensors") for m in (one, two)]
    assert weights[0] == weights[1]
    assert one.digest == two.digest
    assert one.sessions == 2
