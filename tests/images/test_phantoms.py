"""Drawn phantoms: known truth, the same bytes twice, nothing that the way to a model would hold back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wardround import taxonomy
from wardround.errors import UsageError
from wardround.images import phantom_eye, phantom_oct
from wardround.images.cxr_faults import NOT_SIMULATED, make, simulable
from wardround.images.made import EYES, PHANTOM, phantoms
from wardround.images.phantom_chest import chest
from wardround.images.picture import prepare_bytes
from wardround.metrics.arrays import np


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("name", ["retina", "cxr_quality"])
def test_the_same_seed_draws_the_same_set(tmp_path: Path, name: str) -> None:
    made = phantoms(name, tmp_path / "a", seed=3, count=7)
    assert made.manifest.labels == (PHANTOM,) and made.manifest.seed == 3
    assert made.manifest.counts == {"pictures": 7, "excluded": 0}
    again = phantoms(name, tmp_path / "b", seed=3, count=7)
    assert again.manifest.digest == made.manifest.digest
    other = phantoms(name, tmp_path / "c", seed=4, count=7)
    assert other.manifest.digest != made.manifest.digest
    truth = {t["id"]: t["labels"] for t in rows(made.path / "truth.jsonl")}
    assert {r["id"]: r["labels"] for r in rows(made.path / f"{name}.jsonl")} == truth


@pytest.mark.parametrize("name", ["retina", "cxr_quality"])
def test_a_phantom_would_be_sent_as_it_is(tmp_path: Path, name: str) -> None:
    """No text is suspected in it, and no edit of its bytes is needed."""
    made = phantoms(name, tmp_path / "a")
    for row in rows(made.path / f"{name}.jsonl"):
        data = (made.path / row["image"]).read_bytes()
        assert prepare_bytes(data).data == data


def test_every_label_is_drawn_or_said_not_to_be() -> None:
    fundus = {i.id for i in taxonomy.items("fundus_labels")}
    oct_labels = {i.id for i in taxonomy.items("oct_labels")}
    drawn = {(m, x) for m, labels in EYES for x in labels}
    assert {x for m, x in drawn if m == "fundus"} == set(phantom_eye.FUNDUS)
    assert {x for m, x in drawn if m == "oct"} == set(phantom_oct.OCT)
    assert fundus - set(phantom_eye.FUNDUS) <= set(phantom_eye.NOT_DRAWN)
    assert oct_labels - set(phantom_oct.OCT) == {"AMD", "DR"}


@pytest.mark.parametrize("label", sorted(set(phantom_eye.FUNDUS) - {"NORMAL"}))
def test_a_mark_changes_the_fundus(label: str) -> None:
    """Against the same eye without it, by more than a trace."""
    normal, marked = (
        np.asarray(phantom_eye.fundus((x,), 0, "same"), float) for x in ("NORMAL", label)
    )
    assert (np.abs(normal - marked).max(axis=2) > 25).mean() > 0.002


@pytest.mark.parametrize("label", sorted(set(phantom_oct.OCT) - {"NORMAL"}))
def test_a_disease_changes_the_scan(label: str) -> None:
    normal, marked = (np.asarray(phantom_oct.scan(x, 0, "same"), float) for x in ("NORMAL", label))
    assert (np.abs(normal - marked) > 60).mean() > 0.005


def test_all_faults_that_can_be_made_are_made_in_a_phantom() -> None:
    base = chest(0, 0)
    able = simulable(base.base)
    assert {i.id for i in taxonomy.items("cxr_faults")} == {*able, *NOT_SIMULATED}
    for fault in able:
        made = make(base.pixels, base.base, (fault,), seed=0, name=fault, nuisance=False)
        assert made.labels == (fault,)
        assert made.pixels.shape != base.pixels.shape or (made.pixels != base.pixels).any() or fault == "no_side_marker"  # fmt: skip


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no set of pictures named knee"):
        phantoms("knee", tmp_path / "x")
