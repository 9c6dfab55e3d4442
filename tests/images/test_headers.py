"""Each header rule by a header that breaks it; any text at all; and real headers."""

from __future__ import annotations

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.images.headers import RULES, check_header, from_columns

GOOD = {
    "Modality": "DX", "BodyPartExamined": "CHEST", "ViewPosition": "PA", "PatientOrientation": "L\\F",
    "PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": "IDENTITY", "Rows": "2000", "Columns": "2000",
    "BitsAllocated": "16", "BitsStored": "12", "HighBit": "11", "ImagerPixelSpacing": "0.2\\0.2",
    "WindowCenter": "2000", "WindowWidth": "4000", "RescaleSlope": "1", "BurnedInAnnotation": "NO",
}  # fmt: skip

WRONG = {
    "missing_modality": {"Modality": ""},
    "missing_body_part": {"BodyPartExamined": " "},
    "unusual_body_part": {"BodyPartExamined": "PORTABLE CHEST"},
    "missing_view_position": {"ViewPosition": ""},
    "unknown_view_position": {"ViewPosition": "LATERAL"},
    "missing_laterality": {"BodyPartExamined": "HAND"},
    "missing_patient_orientation": {"PatientOrientation": ""},
    "orientation_contradicts_view": {"PatientOrientation": "A\\F"},
    "missing_photometric_interpretation": {"PhotometricInterpretation": ""},
    "unknown_photometric_interpretation": {"PhotometricInterpretation": "MONOCHROME3"},
    "presentation_contradicts_photometric": {"PresentationLUTShape": "INVERSE"},
    "missing_size": {"Rows": "0"},
    "bits_contradict": {"HighBit": "15"},
    "missing_pixel_spacing": {"ImagerPixelSpacing": ""},
    "bad_pixel_spacing": {"ImagerPixelSpacing": "0.2\\-1"},
    "pixels_not_square": {"ImagerPixelSpacing": "0.2\\0.18"},
    "implausible_size": {"ImagerPixelSpacing": "0.02\\0.02"},
    "bad_window": {"WindowWidth": "0"},
    "bad_rescale": {"RescaleSlope": "0"},
    "burned_in_annotation": {"BurnedInAnnotation": "YES"},
    "burned_in_annotation_untold": {"BurnedInAnnotation": ""},
}


def test_nothing_is_found_in_a_good_header() -> None:
    assert check_header(GOOD) == []


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_its_fault_and_no_other(rule: str) -> None:
    assert [f.rule for f in check_header(GOOD | WRONG[rule])] == [rule]


def test_an_empty_header_is_missing_everything_once() -> None:
    found = [f.rule for f in check_header({})]
    assert len(found) == len(set(found)) == 8


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(max_size=20) | st.sampled_from(["nan", "inf", "1e400", "[]", "\\", "-0"])))  # fmt: skip
def test_no_value_makes_it_raise(header: dict[str, str]) -> None:
    check_header(header)
    check_header(from_columns(header))


def test_columns_of_a_table() -> None:
    row = {
        "Patient's Sex": "F",
        "View Position": " PA ",
        "Pixel Spacing": "['0.1', '0.2']",
        "": "x",
        "KVP": "",
    }
    assert from_columns(row) == {
        "PatientSex": "F",
        "ViewPosition": "PA",
        "PixelSpacing": "0.1\\0.2",
    }


@pytest.mark.realdata
def test_real_headers() -> None:
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        pytest.skip("WARDROUND_REALDATA is not set")
    with gzip.open(Path(folder) / "nlmcxr_dicom_metadata.csv.gz", "rt", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    found = Counter(x.rule for row in rows for x in check_header(from_columns(row)))
    assert len(rows) == 7469
    empty = Counter(k for row in rows for k in ("View Position", "Body Part Examined") if not row[k])  # fmt: skip
    assert found["missing_view_position"] == empty["View Position"]
    assert found["missing_body_part"] == empty["Body Part Examined"]
    assert not found.keys() - {
        "burned_in_annotation_untold", "missing_patient_orientation", "missing_view_position",
        "missing_body_part", "unknown_view_position", "unusual_body_part", "missing_pixel_spacing",
    }  # fmt: skip
