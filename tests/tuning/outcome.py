"""What came of a tuning, read back and held beside another one's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wardround.artifact import open_artifact, sha256_file


def rows(out: Path, name: str = "training_log.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_bytes().splitlines()]


def assert_same(out: Path, whole: Path) -> None:
    """Bit for bit."""
    assert sha256_file(out / "model.safetensors") == sha256_file(whole / "model.safetensors")
    assert (out / "training_log.jsonl").read_bytes() == (whole / "training_log.jsonl").read_bytes()
    assert open_artifact(out).manifest.digest == open_artifact(whole).manifest.digest


def assert_near(out: Path, alone: Path, only: str = "step") -> None:
    """The same steps, losses and weights, but for the order in which floats were summed. Of the log the rows that
    have `only`."""
    near = 1e-5
    here, there = ([r for r in rows(d) if only in r] for d in (out, alone))
    assert here
    for key in ("step", "tokens"):
        assert [r.get(key) for r in here] == [r.get(key) for r in there]
    for a, b in zip(here, there, strict=True):
        for key in ("loss", "eval_loss"):
            assert a.get(key) == pytest.approx(b.get(key), abs=near)
        assert a.get("by_task") == pytest.approx(b.get("by_task"), abs=near)
        for name, values in a.get("measures", {}).items():
            assert values == pytest.approx(b["measures"][name], abs=near), name
    assert weights_apart(out, alone) < near


def weights_apart(out: Path, other: Path) -> float:
    """The largest difference of a weight."""
    from safetensors.torch import load_file

    mine, theirs = (load_file(d / "model.safetensors") for d in (out, other))
    assert mine.keys() == theirs.keys()
    return max(float((weight - theirs[name]).abs().max()) for name, weight in mine.items())
