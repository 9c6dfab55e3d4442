"""The grey pipeline against the standard's formulas, frames, syntaxes, and what of a header passes on."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.images.pictures import chest, dicom, opened
from wardround.images.dicom import KEPT, windowed
from wardround.images.held import HeldBack
from wardround.images.picture import prepare_bytes
from wardround.metrics.arrays import np
from wardround.records import encode


def held(data: bytes, **more: object) -> str:
    with pytest.raises(HeldBack) as e:
        prepare_bytes(data, **more)  # type: ignore[arg-type]
    return e.value.reason


def deep() -> np.ndarray:
    return chest().astype(np.uint16) * 16


def test_no_identifier_passes_on() -> None:
    data = dicom(deep())
    found = prepare_bytes(data)
    assert b"SECRET" in data
    assert b"SECRET" not in found.data + encode(found.header)
    assert not {"PatientName", "PatientID", "StudyDate", "InstitutionName"} & set(KEPT)
    assert found.header["ViewPosition"] == "PA" and found.kind == "dicom"


def test_twelve_bits_without_a_window_show_their_whole_range() -> None:
    pixels = opened(prepare_bytes(dicom(deep(), BitsStored=12, HighBit=11)).data)
    low, high = chest().min(), chest().max()
    wanted = np.rint((chest().astype(float) - low) / (high - low) * 255)
    assert (pixels == wanted).all()


def test_monochrome1_is_inverted() -> None:
    plain = opened(prepare_bytes(dicom(deep())).data).astype(int)
    found = prepare_bytes(dicom(deep(), PhotometricInterpretation="MONOCHROME1"))
    assert "MONOCHROME1 inverted" in found.notes
    assert (abs(opened(found.data).astype(int) + plain - 255) <= 1).all()


def test_rescale_then_window() -> None:
    values = np.array([[0, 1024, 1064, 1104, 4000]] * 5, np.uint16)
    data = dicom(values, RescaleSlope="1", RescaleIntercept="-1024", WindowCenter=["40", "500"], WindowWidth=["80", "900"])  # fmt: skip
    shown = opened(prepare_bytes(data).data)[0]
    wanted = np.clip((np.array([-1024, 0, 40, 80, 2976]) - 39.5) / 79 + 0.5, 0, 1) * 255
    assert (shown == np.rint(wanted)).all()


def test_windows_of_the_standard() -> None:
    x = np.array([-100.0, 0.0, 50.0, 100.0, 200.0])
    assert windowed(x, 50, 100, "LINEAR_EXACT").tolist() == [-1.0, 0.0, 0.5, 1.0, 2.0]
    assert windowed(x, 50, 100, "SIGMOID")[2] == 0.5
    assert windowed(x, 50, 1).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("width", ["0", "-5", ""])
def test_a_window_that_makes_no_sense_is_left_out(width: str) -> None:
    found = prepare_bytes(dicom(deep(), WindowCenter="40", WindowWidth=width or None))
    assert any("whole range" in n for n in found.notes)


def test_signed_and_padding() -> None:
    values = chest().astype(np.int16) - 100
    values[:3] = -2000
    pixels = opened(prepare_bytes(dicom(values, PixelPaddingValue=-2000)).data)
    assert pixels[:3].max() == 0 and pixels[3:].max() == 255 and pixels[3:].min() == 0


def test_the_middle_frame_or_the_one_asked_for() -> None:
    volume = np.stack([np.full((8, 8), v, np.uint8) + np.eye(8, dtype=np.uint8) * v for v in (10, 20, 30, 40, 50)])  # fmt: skip
    found = prepare_bytes(dicom(volume))
    assert (found.frame, found.frames) == (3, 5)
    other = prepare_bytes(dicom(volume), frame=5)
    assert other.frame == 5 and "whole range 50–100" in other.notes
    assert held(dicom(volume), frame=6) == "no_such_frame"


def test_what_is_held_back() -> None:
    whole = dicom(deep())
    assert held(whole[:-5000]) == "truncated"
    assert held(whole[:200]) in {"truncated", "no_pixels"}
    assert held(dicom(deep(), PixelData=None)) == "no_pixels"
    assert held(dicom(deep(), BurnedInAnnotation="YES")) == "burned_in_annotation"
    assert prepare_bytes(dicom(deep(), BurnedInAnnotation="YES"), text_reviewed=True).width == 220
    unknown = whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
    assert held(unknown) == "unknown_transfer_syntax"
    lossless = whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.4.70"[:20])
    assert held(lossless) in {"no_decoder", "truncated", "unknown_transfer_syntax"}


def test_pydicoms_own_files_go_through_or_are_held_back_with_a_reason() -> None:
    import pydicom

    root = Path(pydicom.__file__).parent / "data" / "test_files"
    files = sorted(p for p in root.rglob("*.dcm") if p.is_file())
    assert len(files) > 60
    through, reasons = set(), {}
    for path in files:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                prepare_bytes(path.read_bytes())
                through.add(path.name)
            except HeldBack as e:
                reasons[path.name] = e.reason
    assert {"CT_small.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm"} <= through  # fmt: skip
    assert reasons["MR_truncated.dcm"] == "truncated"
    assert reasons["rtplan.dcm"] == "no_pixels"
    assert reasons["SC_rgb_jpeg_gdcm.dcm"] in {"no_decoder"} or "SC_rgb_jpeg_gdcm.dcm" in through
    # An ultrasound screen shot with letters all over it.
    assert reasons["examples_rgb_color.dcm"] == "burned_in_text"


def test_the_chest_image_of_pydicom_data() -> None:
    """A TIFF directory in its preamble: DICOM all the same, and its header must not go out as a TIFF would."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        files = distribution("pydicom-data").files or []
    except PackageNotFoundError:
        pytest.skip("pydicom-data is not installed (pip install pydicom-data)")
    path = next(Path(str(f.locate())) for f in files if f.name == "RG1_UNCR.dcm")
    found = prepare_bytes(path.read_bytes())
    assert found.kind == "dicom" and found.notes == ("window 15000/30000", "MONOCHROME1 inverted")
    assert (found.width, found.height) == (1841, 1955)
    pixels = opened(found.data)
    lung, spine = pixels[700:1000, 350:650].mean(), pixels[900:1200, 880:960].mean()
    assert lung < spine  # air is dark
