"""Faults of known truth: what each edit does to the pixels, and that the seed decides everything."""

from __future__ import annotations

import random

import pytest

from tests.images.pictures import chest
from wardround import taxonomy
from wardround.errors import UsageError
from wardround.images.cxr_faults import NOT_SIMULATED, Base, drawn_faults, make, simulable
from wardround.metrics.arrays import np

FREE = Base(marker="none")
ALL = {i.id for i in taxonomy.items("cxr_faults")}


def made(*faults: str, base: Base = FREE, name: str = "a") -> tuple[np.ndarray, object]:
    found = make(chest(), base, faults, seed=1, name=name, nuisance=False)
    assert found.labels == tuple(sorted(faults))
    return found.pixels, found


def test_every_fault_of_the_list_is_made_or_said_to_be_beyond() -> None:
    assert set(simulable(FREE)) | set(NOT_SIMULATED) == ALL
    assert not set(simulable(FREE)) & set(NOT_SIMULATED)
    assert "no_side_marker" not in simulable(Base())


@pytest.mark.parametrize("fault", NOT_SIMULATED)
def test_what_is_beyond_pixels_is_refused_with_the_reason(fault: str) -> None:
    with pytest.raises(UsageError, match="can't be made"):
        make(chest(), FREE, [fault], seed=1, name="a")


def test_cuts_go_into_the_field_from_their_side() -> None:
    whole = chest()
    top, _ = made("apex_cut", base=Base())
    bottom, _ = made("costophrenic_angle_cut", base=Base())
    assert len(top) < len(whole) and len(bottom) < len(whole)
    rows = {bytes(r): k for k, r in enumerate(whole)}
    first, last = rows[bytes(top[0])], rows[bytes(bottom[-1])]
    assert first > 0.09 * len(whole) and last < 0.86 * len(whole)


def test_off_centre_adds_and_cuts_nothing() -> None:
    pixels, _ = made("off_centre", base=Base())
    strip = pixels.shape[1] - 220
    assert 0.2 * 220 < strip < 0.36 * 220
    assert (pixels[:, strip:] == chest()).all() or (pixels[:, :220] == chest()).all()


def test_tilt_artefacts_and_implant_change_what_they_should() -> None:
    pixels, _ = made("asymmetric_clavicles", base=Base())
    assert pixels.shape[0] > 240 and pixels.shape[1] > 220
    box = (slice(22, 206), slice(22, 198))
    for fault, inside in (("artefact_in_lung_field", True), ("artefact_outside_lung_field", False), ("implant", True)):  # fmt: skip
        pixels, _ = made(fault, base=Base())
        changed = np.abs(pixels.astype(int) - chest()) > 20
        assert changed.any() and bool(changed[box].any()) == inside
        assert pixels[changed].min() > chest()[changed].min()


def test_markers() -> None:
    clean, _ = made()
    without, _ = made("no_side_marker")
    assert (without == chest()).all() and (clean[:20, 190:] > 240).any()
    marked = chest()
    marked[6:20, 10:16] = 255
    base = Base(marker=(9 / 220, 5 / 240, 17 / 220, 21 / 240))
    found = make(marked, base, ["no_side_marker"], seed=1, name="a", nuisance=False)
    assert found.pixels[5:21, 9:17].max() < 200
    assert (np.abs(found.pixels.astype(int) - chest()) <= 2).all()
    kept = make(marked, base, [], seed=1, name="a", nuisance=False)
    assert (kept.pixels == marked).all()


def test_the_base_s_own_faults_stay_true() -> None:
    found = make(chest(), Base(faults=("implant",)), ["apex_cut"], seed=1, name="a")
    assert found.labels == ("apex_cut", "implant")


def test_the_seed_decides() -> None:
    first, again, other = (
        make(chest(), FREE, ["implant", "off_centre"], seed=s, name="a") for s in (1, 1, 2)
    )
    assert (first.pixels == again.pixels).all() and first.edits == again.edits
    assert first.edits != other.edits


def test_prevalence_and_nuisance() -> None:
    drawn = [drawn_faults(FREE, 0.7, random.Random(k)) for k in range(600)]
    assert 0.64 < sum(map(bool, drawn)) / 600 < 0.76
    assert {f for d in drawn for f in d} == set(simulable(FREE)) and max(map(len, drawn)) == 3
    assert not any(drawn_faults(FREE, 0.0, random.Random(k)) for k in range(20))
    found = [make(chest(), FREE, [], seed=1, name=str(k)) for k in range(60)]
    nuisance = [m for m in found if any(e.how in {"exposure", "inverted"} for e in m.edits)]
    assert 5 < len(nuisance) < 35 and all(m.labels == () for m in found)
