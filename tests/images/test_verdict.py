"""A verdict written as SR and DiagnosticReport reads back as it was; what is neither is refused."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.images.pictures import chest, dicom
from wardround import taxonomy
from wardround.errors import InputError, UsageError
from wardround.images.verdict import read_fhir, read_sr, verdict_on, write_fhir, write_sr

IMAGE = dicom(chest())
FAULTS = [i.id for i in taxonomy.items("cxr_faults")]


@settings(max_examples=12)
@given(st.sets(st.sampled_from(FAULTS)), st.sampled_from(["model-a", "规则 rules"]))
def test_there_and_back(present: set[str], observer: str) -> None:
    verdict = verdict_on(IMAGE, tuple(present), observer)
    assert read_fhir(write_fhir(verdict)) == verdict
    assert set(verdict.present) | set(verdict.absent) == set(FAULTS)


@pytest.mark.parametrize("present", [(), ("apex_cut", "artefact_outside_lung_field"), tuple(FAULTS)])  # fmt: skip
def test_sr_there_and_back(present: tuple[str, ...]) -> None:
    verdict = verdict_on(IMAGE, present, "model-a")
    assert read_sr(write_sr(verdict, IMAGE)) == verdict


def test_the_sr_belongs_to_the_study_and_nobody_has_signed_it() -> None:
    import pydicom

    verdict = verdict_on(IMAGE, ("implant",), "model-a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(io.BytesIO(write_sr(verdict, IMAGE)))
    assert ds.Modality == "SR" and ds.VerificationFlag == "UNVERIFIED"
    assert (ds.StudyInstanceUID, ds.PatientID) == (verdict.study, "SECRET-ID")
    assert ds.SeriesInstanceUID != verdict.series
    again = write_sr(verdict, IMAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pydicom.dcmread(io.BytesIO(again)).SOPInstanceUID == ds.SOPInstanceUID


def test_the_diagnostic_report_is_preliminary_and_names_nobody() -> None:
    report = write_fhir(verdict_on(IMAGE, ("implant",), "model-a"))
    assert report["status"] == "preliminary" and report["conclusion"] == "体内植入物"
    assert "SECRET" not in str(report)
    assert sum(o.get("valueBoolean") is True for o in report["contained"]) == 1


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="no fault"):
        verdict_on(IMAGE, ("headache",), "m")
    with pytest.raises(InputError):
        verdict_on(b"x", (), "m")
    with pytest.raises(InputError):
        verdict_on(dicom(chest(), StudyInstanceUID=None), (), "m")
    with pytest.raises(UsageError, match="not this image"):
        write_sr(verdict_on(IMAGE, (), "m"), dicom(chest(250)))
    for wrong in (b"", IMAGE):
        with pytest.raises(InputError):
            read_sr(wrong)
    empty: list[dict[str, Any]] = [{}, {"contained": [], "extension": []}]
    for report in empty:
        with pytest.raises(InputError):
            read_fhir(report)
