"""Checks of a chest image's DICOM header that need no model: what is missing, unknown or contradicts itself.

A header is a mapping from DICOM keyword to text, several values joined by a backslash, as `dicom.header_of` makes it;
`from_columns` makes one of a table's row, whatever way it writes the attributes' names. Each rule says one thing and
none guesses: an empty or absent attribute is "missing", a value is contradicted only by another value. The rules are
about the header alone; that a picture lies the other way round they can't see.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterator, Mapping

from wardround.records import Record

Header = Mapping[str, str]

FRONTAL = {"PA", "AP"}
LATERAL = {"LL", "RL", "LLD", "RLD"}
VIEWS = FRONTAL | LATERAL | {"RLO", "LLO"}
CHEST = {"CHEST", "THORAX", "LUNG", "RIB", "RIBS"}
PAIRED = {
    "HAND", "FOOT", "KNEE", "SHOULDER", "HIP", "ELBOW", "ANKLE", "WRIST", "BREAST", "EYE", "CLAVICLE", "SCAPULA",
    "FEMUR", "TIBIA", "FOREARM", "HUMERUS", "ARM", "LEG",
}  # fmt: skip
PHOTOMETRIC = {
    "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT",
    "YBR_RCT", "XYB", "YBR_PARTIAL_422", "HSV", "ARGB", "CMYK",
}  # fmt: skip
FILM_MM = (100.0, 600.0)
"""A chest detector's side; outside it the pixel spacing is wrong or the picture was cut or magnified."""


class Finding(Record, frozen=True, kw_only=True):
    """One thing wrong with a header: the rule's id, the keyword it is about, the value as found."""

    rule: str
    keyword: str
    value: str = ""
    zh: str
    en: str


RULES: dict[str, tuple[str, str]] = {
    "missing_modality": ("缺少设备类型", "no modality"),
    "missing_body_part": ("缺少检查部位", "no body part"),
    "unusual_body_part": ("检查部位不是标准写法", "the body part isn't a defined term"),
    "missing_view_position": ("缺少投照体位", "no view position"),
    "unknown_view_position": ("投照体位不是标准写法", "the view position isn't a defined term"),
    "missing_laterality": ("成对部位缺少左右", "no laterality for a paired body part"),
    "missing_patient_orientation": ("缺少图像方向", "no patient orientation"),
    "orientation_contradicts_view": ("图像方向与投照体位矛盾", "orientation and view position disagree"),
    "missing_photometric_interpretation": ("缺少光度解释", "no photometric interpretation"),
    "unknown_photometric_interpretation": ("未知的光度解释", "unknown photometric interpretation"),
    "presentation_contradicts_photometric": (
        "光度解释与显示形状矛盾", "photometric interpretation and presentation shape disagree",
    ),
    "missing_size": ("缺少行数或列数", "no rows or columns"),
    "bits_contradict": ("位数互相矛盾", "bits allocated, stored and high bit disagree"),
    "missing_pixel_spacing": ("缺少像素间距", "no pixel spacing"),
    "bad_pixel_spacing": ("像素间距不是两个正数", "pixel spacing isn't two positive numbers"),
    "pixels_not_square": ("像素不是正方形", "pixels aren't square"),
    "implausible_size": ("按像素间距算出的尺寸不合理", "the size in millimetres is implausible"),
    "bad_window": ("窗宽无效", "a window that can't be used"),
    "bad_rescale": ("重缩放斜率无效", "a rescale slope that can't be used"),
    "burned_in_annotation": ("图中有文字", "text is burned in"),
    "burned_in_annotation_untold": ("未说明图中有无文字", "whether text is burned in isn't told"),
}  # fmt: skip
"""Every rule's sentence, Chinese and English."""

Found = tuple[str, str, str]
Check = Callable[[Header], Iterator[Found]]


def check_header(header: Header) -> list[Finding]:
    """What is wrong with `header`, in the order of `RULES`; empty when nothing is. Never raises on a value."""
    found = [hit for check in _CHECKS for hit in check(header)]
    order = list(RULES)
    found.sort(key=lambda hit: order.index(hit[0]))
    return [
        Finding(rule=rule, keyword=keyword, value=value[:80], zh=RULES[rule][0], en=RULES[rule][1])
        for rule, keyword, value in found
    ]


def from_columns(row: Mapping[str, str]) -> dict[str, str]:
    """A header from a table's row: "Patient's Sex" is PatientSex, "['0.1', '0.1']" two values; empty ones left out."""
    header = {}
    for name, value in row.items():
        keyword = re.sub(r"[^A-Za-z0-9]", "", str(name).replace("'s", "").replace("’s", ""))
        text = (value or "").strip()
        if not keyword or not text:
            continue
        if text.startswith("[") and text.endswith("]"):
            text = _listed(text)
        header[keyword] = text
    return header


def _listed(text: str) -> str:
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return "\\".join(str(v) for v in values) if isinstance(values, list) else text


def _value(header: Header, keyword: str) -> str:
    return header.get(keyword, "").strip()


def _numbers(text: str) -> list[float] | None:
    """The values as finite numbers; None when there are none or one isn't."""
    try:
        found = [float(v) for v in text.split("\\")] if text else []
    except ValueError:
        return None
    return found if found and all(math.isfinite(v) for v in found) else None


def _whole(header: Header, keyword: str) -> int | None:
    found = _numbers(_value(header, keyword))
    return int(found[0]) if found and found[0] == int(found[0]) else None


def _examination(h: Header) -> Iterator[Found]:
    if not _value(h, "Modality"):
        yield "missing_modality", "Modality", ""
    part = _value(h, "BodyPartExamined").upper()
    if not part:
        yield "missing_body_part", "BodyPartExamined", ""
    elif part not in CHEST and any(word in CHEST for word in part.split()):
        yield "unusual_body_part", "BodyPartExamined", part
    if part in PAIRED and not any(
        _value(h, k) in {"L", "R", "B"}
        for k in ("Laterality", "ImageLaterality", "FrameLaterality")
    ):
        yield "missing_laterality", "ImageLaterality", part


def _projection(h: Header) -> Iterator[Found]:
    view = _value(h, "ViewPosition").upper()
    if not view:
        yield "missing_view_position", "ViewPosition", ""
    elif view not in VIEWS:
        yield "unknown_view_position", "ViewPosition", view
    turned = [v.strip().upper() for v in _value(h, "PatientOrientation").split("\\")]
    if not turned[0]:
        yield "missing_patient_orientation", "PatientOrientation", ""
        return
    sideways = turned[0][0] in "LR"
    if (view in FRONTAL and not sideways) or (view in LATERAL and sideways):
        yield "orientation_contradicts_view", "PatientOrientation", f"{turned[0]} / {view}"


def _grey(h: Header) -> Iterator[Found]:
    photometric = _value(h, "PhotometricInterpretation").upper()
    if not photometric:
        yield "missing_photometric_interpretation", "PhotometricInterpretation", ""
    elif photometric not in PHOTOMETRIC:
        yield "unknown_photometric_interpretation", "PhotometricInterpretation", photometric
    shape = _value(h, "PresentationLUTShape").upper()
    wanted = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}.get(photometric)
    if shape and wanted and shape != wanted:
        yield (
            "presentation_contradicts_photometric",
            "PresentationLUTShape",
            f"{shape} / {photometric}",
        )
    for width in _numbers(_value(h, "WindowWidth")) or []:
        if not width >= 1:
            yield "bad_window", "WindowWidth", str(width)
            break
    if _value(h, "WindowWidth") and _numbers(_value(h, "WindowWidth")) is None:
        yield "bad_window", "WindowWidth", _value(h, "WindowWidth")
    slope = _value(h, "RescaleSlope")
    if slope and not (_numbers(slope) or [0.0])[0]:
        yield "bad_rescale", "RescaleSlope", slope  # fmt: skip


def _geometry(h: Header) -> Iterator[Found]:
    rows, columns = _whole(h, "Rows"), _whole(h, "Columns")
    if not rows or not columns or rows < 1 or columns < 1:
        yield "missing_size", "Rows", f"{_value(h, 'Rows')} × {_value(h, 'Columns')}"
        rows = columns = None
    allocated, stored, high = (_whole(h, k) for k in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated is not None and stored is not None:
        wrong = stored > allocated or stored < 1 or (high is not None and high != stored - 1)
        if wrong:
            yield "bits_contradict", "BitsStored", f"{allocated} / {stored} / {high}"
    keyword = next((k for k in ("PixelSpacing", "ImagerPixelSpacing") if _value(h, k)), "")
    if not keyword:
        yield "missing_pixel_spacing", "ImagerPixelSpacing", ""
        return
    spacing = _numbers(_value(h, keyword))
    if spacing is None or len(spacing) != 2 or not all(0 < s < 100 for s in spacing):
        yield "bad_pixel_spacing", keyword, _value(h, keyword)
        return
    if abs(spacing[0] - spacing[1]) > 0.01 * max(spacing):
        yield "pixels_not_square", keyword, _value(h, keyword)
    if rows and columns:
        low, high_mm = FILM_MM
        sides = rows * spacing[0], columns * spacing[1]
        if not all(low <= side <= high_mm for side in sides):
            yield "implausible_size", keyword, f"{sides[0]:.0f} × {sides[1]:.0f} mm"


def _annotation(h: Header) -> Iterator[Found]:
    told = _value(h, "BurnedInAnnotation").upper()
    if told == "YES":
        yield "burned_in_annotation", "BurnedInAnnotation", told
    elif told != "NO":
        yield "burned_in_annotation_untold", "BurnedInAnnotation", told


_CHECKS: tuple[Check, ...] = (_examination, _projection, _grey, _geometry, _annotation)
