"""Pictures drawn for tests: shapes with nothing of any person in them."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path
from typing import Any

from wardround.metrics.arrays import np


def chest(rows: int = 240, columns: int = 220) -> np.ndarray:
    """Two dark ovals on grey with a bright middle, smooth as a film is: (rows, columns), 8 bit."""
    y, x = np.mgrid[0:rows, 0:columns] / np.array([rows, columns]).reshape(2, 1, 1)
    level = np.full((rows, columns), 150.0)
    for centre in (0.3, 0.7):
        inside = ((x - centre) / 0.17) ** 2 + ((y - 0.47) / 0.36) ** 2
        level -= 90 * np.exp(-(inside**2))
    level += 60 * np.exp(-(((x - 0.5) / 0.06) ** 2))
    out: np.ndarray = np.rint(np.clip(level, 0, 255)).astype(np.uint8)
    return out


def png(pixels: np.ndarray, path: Path | None = None, **more: Any) -> bytes:
    """The pixels as PNG; written to `path` too when one is given."""
    return _saved(pixels, "PNG", path, **more)


def jpeg(pixels: np.ndarray, path: Path | None = None, **more: Any) -> bytes:
    """The pixels as JPEG; written to `path` too when one is given."""
    return _saved(pixels, "JPEG", path, **more)


def _saved(pixels: np.ndarray, kind: str, path: Path | None, **more: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **more)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(out.getvalue())
    return out.getvalue()


def opened(data: bytes) -> np.ndarray:
    """A prepared picture's pixels."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image).copy()


def dicom(pixels: np.ndarray, **more: Any) -> bytes:
    """A DX object (uncompressed, explicit little endian) of `pixels`, (rows, columns) or (frames, rows, columns),
    with made-up identifiers in it; `more` sets or, with None, removes attributes."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[sha256(pixels.tobytes()).hexdigest()]
    )
    meta.TransferSyntaxUID = more.pop("syntax", ExplicitVRLittleEndian)
    ds = Dataset()
    ds.file_meta = meta
    bits = 8 * pixels.itemsize
    values: dict[str, Any] = {
        "SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.4.5", "Modality": "DX",
        "PatientName": "SECRET^NAME", "PatientID": "SECRET-ID", "PatientBirthDate": "19500101",
        "AccessionNumber": "SECRET-ACC", "InstitutionName": "SECRET HOSPITAL",
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1], "BitsAllocated": bits, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"), "BodyPartExamined": "CHEST", "ViewPosition": "PA",
        "PixelData": pixels.tobytes(), "BurnedInAnnotation": "NO", "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": [1.7, 1.7],
    }  # fmt: skip
    if pixels.ndim == 3:
        values["NumberOfFrames"] = pixels.shape[0]
    for keyword, value in (values | more).items():
        if value is not None:
            setattr(ds, keyword, value)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()
