"""DICOM pixels as a person at a workstation would first see them, in 8 bits, and a header that names no one.

Order of the standard's grey pipeline (PS3.3 C.11, C.8.11.3): the modality's rescale or LUT, then the VOI window or LUT
(the first of several; without one the whole range but padding), then the presentation: MONOCHROME1 is shown inverted,
so bone is white whatever the photometric interpretation. Colour is brought to RGB. Which compressed transfer syntaxes
can be read depends on the plug-ins of pydicom that are installed (Pillow and pyjpegls come along; pylibjpeg, GDCM by
the user); a known one without a plug-in is `no_decoder`, any other `unknown_transfer_syntax`.
"""

from __future__ import annotations

import io
import threading
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from wardround.images.held import HeldBack

if TYPE_CHECKING:
    from PIL.Image import Image
    from pydicom import Dataset

    from wardround.metrics.arrays import np

KEPT = (
    "Modality", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality", "PatientOrientation",
    "PhotometricInterpretation", "PresentationLUTShape", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelSpacing", "ImagerPixelSpacing", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth",
    "BurnedInAnnotation", "NumberOfFrames", "ImageType", "PresentationIntentType",
)  # fmt: skip
"""Keywords that pass on: how the picture was made and is to be shown, nothing about whose it is, when or where."""

_quiet = threading.Lock()
"""pydicom warns of every oddity, and Python's warning filters are one for all threads."""


class Read(NamedTuple):
    """A picture from a DICOM object: `frame` (from 1) of `frames`."""

    image: Image
    header: dict[str, str]
    frame: int
    frames: int
    notes: list[str]


def read_dicom(
    data: bytes, pixels: int, frame: int | None = None, *, text_reviewed: bool = False
) -> Read:
    """Decode one frame; `HeldBack` for what can't or mustn't be shown. `pixels` bounds rows × columns."""
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dataset(data)
        try:
            return _read(ds, pixels, frame, text_reviewed)
        except HeldBack:
            raise
        except Exception as e:  # pydicom and its plug-ins raise whatever their decoders do
            code = "no_decoder" if "does not support" in str(e) else "truncated"
            raise HeldBack(code, f"{type(e).__name__}: {e}"[:300]) from e


def _read(ds: Dataset, pixels: int, frame: int | None, text_reviewed: bool) -> Read:
    if str(ds.get("BurnedInAnnotation", "")).strip().upper() == "YES" and not text_reviewed:
        raise HeldBack("burned_in_annotation", "(0028,0301) is YES")
    frames = _frames(ds)
    chosen = (frames + 1) // 2 if frame is None else frame
    if not 1 <= chosen <= frames:
        raise HeldBack("no_such_frame", f"{chosen} of {frames}")
    _decodable(ds, pixels)
    notes = [f"frame {chosen} of {frames}"] if frames > 1 else []
    return Read(_image(ds, chosen - 1, notes), header_of(ds), chosen, frames, notes)


def dataset(data: bytes) -> Dataset:
    """The object in `data`; `HeldBack` when it isn't whole."""
    import pydicom

    try:
        return pydicom.dcmread(io.BytesIO(data))
    except Exception as e:  # as above
        raise HeldBack("truncated", f"{type(e).__name__}: {e}"[:300]) from e


def header_of(ds: Dataset) -> dict[str, str]:
    """The keywords of `KEPT` that the object has, as text, several values joined by a backslash."""
    found = {}
    for keyword in KEPT:
        value = ds.get(keyword)
        if value is None or value == "":
            continue
        several = not isinstance(value, str) and hasattr(value, "__iter__")
        found[keyword] = "\\".join(str(v) for v in value) if several else str(value)
    return found


def _frames(ds: Dataset) -> int:
    try:
        return max(1, int(ds.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def _decodable(ds: Dataset, pixels: int) -> None:
    if not any(k in ds for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise HeldBack("no_pixels", str(ds.get("SOPClassUID", "")))
    size = int(ds.get("Rows") or 0), int(ds.get("Columns") or 0)
    if min(size) < 1:
        raise HeldBack("truncated", "rows or columns missing")
    if size[0] * size[1] > pixels:
        raise HeldBack("too_many_pixels", f"{size[1]} × {size[0]}")
    meta = getattr(ds, "file_meta", None)
    syntax = meta.get("TransferSyntaxUID") if meta is not None else None
    if syntax is None:
        raise HeldBack("unknown_transfer_syntax", "none is named")
    if syntax.is_private or not syntax.is_transfer_syntax:
        raise HeldBack("unknown_transfer_syntax", str(syntax))
    if not syntax.is_compressed:
        return
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as e:
        raise HeldBack("unknown_transfer_syntax", str(syntax)) from e
    if not decoder.is_available:
        needed = "; ".join(decoder.missing_dependencies)
        raise HeldBack("no_decoder", f"{syntax.name}: {needed}")


def _image(ds: Dataset, index: int, notes: list[str]) -> Image:
    from PIL import Image
    from pydicom.pixels import apply_color_lut, pixel_array

    from wardround.metrics.arrays import np

    values: Any = pixel_array(ds, index=index)
    photometric = str(ds.get("PhotometricInterpretation", "")).upper()
    if photometric == "PALETTE COLOR":
        coloured = apply_color_lut(values, ds)
        shift = 8 if coloured.dtype == np.uint16 else 0
        return Image.fromarray((coloured >> shift).astype(np.uint8))
    if values.ndim == 3:
        bits = int(ds.get("BitsStored") or 8)
        return Image.fromarray((values >> max(0, bits - 8)).astype(np.uint8))
    return Image.fromarray(_grey(values, ds, photometric, notes))


def _grey(values: np.ndarray, ds: Dataset, photometric: str, notes: list[str]) -> np.ndarray:
    """Grey levels 0…255 of stored values, by the pipeline of the module's docstring."""
    from pydicom.pixels import apply_modality_lut

    from wardround.metrics.arrays import np

    real = np.asarray(apply_modality_lut(values, ds), np.float64)
    if ds.get("VOILUTSequence") and not ds.get("WindowCenter"):
        from pydicom.pixels import apply_voi

        shown = np.asarray(apply_voi(real.astype(np.int64), ds), np.float64)
        bits = int(ds.VOILUTSequence[0].LUTDescriptor[2])
        part = shown / (2**bits - 1)
        notes.append("VOI LUT")
    else:
        window = _window(ds)
        if window is None:
            low, high = _range(real, values, ds)
            part = (real - low) / ((high - low) or 1.0)
            notes.append(f"whole range {low:g}–{high:g}")
        else:
            part = windowed(real, *window)
            notes.append(f"window {window[0]:g}/{window[1]:g}")
    if photometric == "MONOCHROME1":
        part = 1.0 - part
        notes.append("MONOCHROME1 inverted")
    out: np.ndarray = np.rint(np.clip(part, 0.0, 1.0) * 255.0).astype(np.uint8)
    return out


def _window(ds: Dataset) -> tuple[float, float, str] | None:
    """(centre, width, function) of the first window that makes sense."""
    try:
        centre, width = (_first(ds.get(k)) for k in ("WindowCenter", "WindowWidth"))
    except (TypeError, ValueError):
        return None
    function = str(ds.get("VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return centre, width, function


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    several = not isinstance(value, str) and hasattr(value, "__iter__")
    return float(next(iter(value))) if several else float(value)


def windowed(
    values: np.ndarray, centre: float, width: float, function: str = "LINEAR"
) -> np.ndarray:
    """PS3.3 C.11.2.1.2: values → 0…1, not yet clipped."""
    from wardround.metrics.arrays import np

    if function == "SIGMOID":
        out: np.ndarray = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700)))
        return out
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width == 1:
        step: np.ndarray = (values > centre - 0.5).astype(float)
        return step
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _range(real: np.ndarray, stored: np.ndarray, ds: Dataset) -> tuple[float, float]:
    """Lowest and highest value, padding left out."""
    padding = ds.get("PixelPaddingValue")
    if padding is not None:
        try:
            limit = ds.get("PixelPaddingRangeLimit")
            ends = sorted((int(padding), int(padding if limit is None else limit)))
        except (TypeError, ValueError):
            ends = []
        if ends:
            kept = real[(stored < ends[0]) | (stored > ends[1])]
            real = kept if kept.size else real
    return float(real.min()), float(real.max())
