"""Faults of chest X-rays made in the pixels of a clean posterior-anterior picture, with the truth in a manifest.

Eight of the eleven can be shown by moving, cutting or drawing pixels; `NOT_SIMULATED` says why the other three can't:
they need another patient or another exposure, and a warped picture would teach a model the warp. Beside them two changes
that are no fault of the list, exposure and inversion, so that a checker that mistakes them shows. Where an edit may bring
along what a strict reader would call another fault, the manifest says so (`arguable`).

A base says where its lung field is and whether it has a side marker; without that the field of an ordinary full film
is taken, and nothing is done to markers. Everything is drawn from the seed and the case's name.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from wardround.errors import UsageError
from wardround.records import Record

if TYPE_CHECKING:
    from wardround.metrics.arrays import np

NOT_SIMULATED = {
    "malposition": (
        "患者绕身体长轴转动使锁骨胸骨端与棘突的距离改变，平面图像的像素移动做不出来",
        "turning about the body's long axis changes depths; no shift of a flat picture's pixels shows that",
    ),
    "scapula_in_lung_field": (
        "肩胛骨与肺野的重叠取决于肩部姿势，无法从已分开的图像移入而不留痕迹",
        "the overlap comes from the shoulders' posture; a pasted scapula is no shadow of one",
    ),
    "poor_inspiration": (
        "膈面上升伴肺纹理聚拢与心影变宽，拉伸像素做不出来",
        "a high diaphragm crowds vessels and widens the heart; stretching pixels does neither",
    ),
}
"""Faults of the list that no edit here makes, and why."""

Box = tuple[float, float, float, float]
FULL_FILM: Box = (0.10, 0.09, 0.90, 0.86)
"""Left, top, right, bottom of the lung field in an ordinary full film, as shares of width and height."""


class Base(Record, frozen=True, kw_only=True):
    """What is known of a clean picture: lung field and side marker's box (shares of width and height).

    `marker`: a box, "none" where the film has none, "unknown" where nobody has looked. `faults`: those it has itself.
    """

    field: Box = FULL_FILM
    marker: Box | Literal["none", "unknown"] = "unknown"
    faults: tuple[str, ...] = ()


class Edit(Record, frozen=True, kw_only=True):
    """One change: the fault it makes ("" for a change that is none), and how, in pixels of the finished picture."""

    fault: str
    how: str
    numbers: Mapping[str, float]


class Made(NamedTuple):
    """A finished picture, its true faults, its edits, and faults a strict reader might add."""

    pixels: np.ndarray
    labels: tuple[str, ...]
    edits: list[Edit]
    arguable: tuple[str, ...]


class _State(NamedTuple):
    """A picture under work, its lung field in pixels."""

    pixels: np.ndarray
    left: float
    top: float
    right: float
    bottom: float

    @property
    def size(self) -> tuple[int, int]:
        """Rows, columns."""
        return self.pixels.shape[0], self.pixels.shape[1]


_Step = Callable[[_State, random.Random], tuple[_State, Edit]]


def simulable(base: Base) -> tuple[str, ...]:
    """The faults that can be made in this base, in the order in which they are made."""
    return tuple(
        f for f in _ORDER
        if f not in base.faults and (f != "no_side_marker" or base.marker != "unknown")
    )  # fmt: skip


def drawn_faults(base: Base, prevalence: float, rng: random.Random) -> tuple[str, ...]:
    """None with probability 1 − prevalence, else one to three, each equally likely."""
    able = simulable(base)
    if rng.random() >= prevalence or not able:
        return ()
    return tuple(sorted(rng.sample(able, min(len(able), rng.choice((1, 1, 2, 2, 3))))))


def make(
    pixels: np.ndarray,
    base: Base,
    faults: Sequence[str],
    *,
    seed: int,
    name: str,
    nuisance: bool = True,
) -> Made:
    """`faults` made in a grey 8-bit picture (rows, columns). `UsageError` for one that can't be."""
    able = simulable(base)
    for fault in faults:
        if fault not in able:
            why = NOT_SIMULATED.get(
                fault, ("", "the base has it already, or its marker is unknown")
            )
            raise UsageError(
                f"{fault} can't be made here: {why[1]}", hint=f"one of: {', '.join(able)}"
            )
    rng = random.Random(f"{seed}/{name}")
    rows, columns = pixels.shape
    left, top, right, bottom = base.field
    state = _State(pixels.copy(), left * columns, top * rows, right * columns, bottom * rows)
    edits: list[Edit] = []
    arguable: list[str] = []
    if "no_side_marker" in faults and isinstance(base.marker, tuple):
        state, edit = _remove(state, base.marker)
        edits.append(edit)
    for fault in _ORDER:
        if fault not in faults or fault == "no_side_marker":
            continue
        state, edit = _STEPS[fault](state, rng)
        edits.append(edit)
        if edit.numbers.get("moved_centre"):
            arguable.append("off_centre")
    if base.marker == "none" and "no_side_marker" not in faults:
        state, edit = _marker(state)
        edits.append(edit)
    elif base.marker == "none":
        edits.append(Edit(fault="no_side_marker", how="no marker was drawn", numbers={}))
    if nuisance and rng.random() < 0.3:
        state, edit = (_exposure if rng.random() < 0.7 else _inversion)(state, rng)
        edits.append(edit)
    labels = tuple(sorted({*faults, *base.faults}))
    extra = tuple(sorted(set(arguable) - set(labels)))
    return Made(state.pixels, labels, edits, extra)  # fmt: skip


# -- moving and cutting ---------------------------------------------------------------------------------------


def _apex(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """Rows cut from the top, into the field; as many below it as there are to spare, so that the centre stays."""
    cut = int(s.top + rng.uniform(0.06, 0.14) * (s.bottom - s.top))
    spare = int(min(cut, max(0.0, s.size[0] - s.bottom - 2)))
    pixels = s.pixels[cut : s.size[0] - spare]
    moved = cut - spare > 0.06 * len(pixels)
    new = _State(pixels, s.left, 0.0, s.right, s.bottom - cut)
    return new, Edit(
        fault="apex_cut", how="rows cut from the top",
        numbers={"rows": cut, "rows_below": spare, "moved_centre": float(moved)},
    )  # fmt: skip


def _angle(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """Rows cut from the bottom, into the field."""
    keep = int(s.bottom - rng.uniform(0.06, 0.13) * (s.bottom - s.top))
    cut = s.size[0] - keep
    spare = int(min(cut, max(0.0, s.top - 2)))
    pixels = s.pixels[spare:keep]
    moved = cut - spare > 0.06 * len(pixels)
    new = _State(pixels, s.left, s.top - spare, s.right, float(keep - spare))
    return new, Edit(
        fault="costophrenic_angle_cut", how="rows cut from the bottom",
        numbers={"rows": cut, "rows_above": spare, "moved_centre": float(moved)},
    )  # fmt: skip


def _off_centre(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """An unexposed strip added at one side, so that the spine leaves the midline and nothing is cut."""
    from wardround.metrics.arrays import np

    width = int(s.size[1] * rng.uniform(0.22, 0.34))
    strip = np.zeros((s.size[0], width), np.uint8)
    at_left = rng.random() < 0.5
    pixels = np.hstack([strip, s.pixels] if at_left else [s.pixels, strip])
    by = width if at_left else 0
    new = _State(pixels, s.left + by, s.top, s.right + by, s.bottom)
    side = "left" if at_left else "right"
    return new, Edit(
        fault="off_centre", how=f"unexposed strip at the {side}", numbers={"columns": width}
    )


def _tilt(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """The picture turned in its plane, so that one clavicle stands higher."""
    from PIL import Image

    from wardround.metrics.arrays import np

    degrees = rng.uniform(7.0, 12.0) * rng.choice((-1, 1))
    turned = Image.fromarray(s.pixels).rotate(degrees, Image.Resampling.BILINEAR, expand=True)
    rows, columns = s.size
    angle = math.radians(degrees)
    corners = [
        _turned(x - columns / 2, y - rows / 2, angle)
        for x in (s.left, s.right)
        for y in (s.top, s.bottom)
    ]
    xs = [x + turned.width / 2 for x, _ in corners]
    ys = [y + turned.height / 2 for _, y in corners]
    new = _State(np.asarray(turned).copy(), min(xs), min(ys), max(xs), max(ys))
    return new, Edit(
        fault="asymmetric_clavicles",
        how="turned in its plane",
        numbers={"degrees": round(degrees, 2)},
    )


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    """Counter-clockwise in a picture whose rows count downwards."""
    return (
        x * math.cos(angle) + y * math.sin(angle),
        -x * math.sin(angle) + y * math.cos(angle),
    )


# -- drawing --------------------------------------------------------------------------------------------------


def _drawn(s: _State, draw: Callable[[Any], None]) -> _State:
    """`s` with bright shapes laid over it, their edges soft as a detector has them."""
    from PIL import Image, ImageDraw, ImageFilter

    from wardround.metrics.arrays import np

    layer = Image.new("L", (s.size[1], s.size[0]), 0)
    draw(ImageDraw.Draw(layer))
    soft = layer.filter(ImageFilter.GaussianBlur(max(0.6, s.size[1] / 1500)))
    part = np.asarray(soft, np.float64) / 255.0
    pixels = s.pixels * (1.0 - part) + 250.0 * part
    return s._replace(pixels=np.rint(pixels).astype(np.uint8))


def _inside(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """A button and a thread over one lung."""
    side = rng.choice((0.25, 0.75))
    x = s.left + (side + rng.uniform(-0.05, 0.05)) * (s.right - s.left)
    y = s.top + rng.uniform(0.35, 0.65) * (s.bottom - s.top)
    r = 0.018 * (s.right - s.left)
    length = 0.16 * (s.bottom - s.top)

    def shapes(d: Any) -> None:
        d.ellipse((x - r, y - r, x + r, y + r), outline=255, width=max(2, round(r / 3)))
        points = [(x + r * math.sin(t / 3), y + r + length * t / 12) for t in range(13)]
        d.line(points, fill=230, width=max(2, round(r / 4)))

    numbers = {"x": round(x), "y": round(y), "radius": round(r, 1)}
    return _drawn(s, shapes), Edit(
        fault="artefact_in_lung_field", how="button and thread over a lung", numbers=numbers
    )


def _outside(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """A clip beside or below the lung field."""
    rows, columns = s.size
    r = 0.02 * (s.right - s.left)
    places = [
        (s.left / 2, s.left),
        ((s.right + columns) / 2, columns - s.right),
        ((s.left + s.right) / 2, rows - s.bottom),
    ]
    margin = [p for p in places if p[1] > 3 * r]
    k = places.index(rng.choice(margin)) if margin else 2
    x = places[k][0]
    y = (s.bottom + rows) / 2 if k == 2 else s.top + rng.uniform(0.4, 0.7) * (s.bottom - s.top)

    def shapes(d: Any) -> None:
        d.rectangle((x - r / 2, y - r, x + r / 2, y + r), outline=255, width=max(2, round(r / 3)))
        d.line((x, y - r, x, y + 1.6 * r), fill=255, width=max(2, round(r / 4)))

    numbers = {"x": round(x), "y": round(y), "radius": round(r, 1)}
    return _drawn(s, shapes), Edit(
        fault="artefact_outside_lung_field", how="clip outside the lung field", numbers=numbers
    )


def _implant(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    """The outline of a pacemaker: a can below the clavicle, a lead to the heart."""
    width, height = s.right - s.left, s.bottom - s.top
    side = rng.choice((0.16, 0.84))
    x, y = s.left + side * width, s.top + rng.uniform(0.16, 0.24) * height
    w, h = 0.055 * width, 0.05 * height
    goal = s.left + 0.56 * width, s.top + 0.82 * height
    middle = s.left + 0.5 * width, s.top + 0.2 * height

    def shapes(d: Any) -> None:
        d.rounded_rectangle((x - w, y - h, x + w, y + h), radius=w / 2, fill=255)
        lead = [_bezier((x, y - h), middle, goal, t / 24) for t in range(25)]
        d.line(lead, fill=245, width=max(2, round(width / 250)))
        d.ellipse((goal[0] - 3, goal[1] - 3, goal[0] + 3, goal[1] + 3), fill=255)

    numbers = {"x": round(x), "y": round(y), "width": round(2 * w), "height": round(2 * h)}
    return _drawn(s, shapes), Edit(
        fault="implant", how="outline of a pacemaker and its lead", numbers=numbers
    )


def _bezier(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], t: float
) -> tuple[float, float]:
    return (
        (1 - t) ** 2 * a[0] + 2 * t * (1 - t) * b[0] + t * t * c[0],
        (1 - t) ** 2 * a[1] + 2 * t * (1 - t) * b[1] + t * t * c[1],
    )


def _marker(s: _State) -> tuple[_State, Edit]:
    """An L at the upper right of the picture, the patient's left, where nothing of the field is."""
    rows, columns = s.size
    h = 0.05 * rows
    x, y = columns - 0.05 * columns - 0.6 * h, 0.03 * rows
    w = h / 5

    def shapes(d: Any) -> None:
        d.rectangle((x, y, x + w, y + h), fill=255)
        d.rectangle((x, y + h - w, x + 0.6 * h, y + h), fill=255)

    numbers = {"x": round(x), "y": round(y), "height": round(h)}
    return _drawn(s, shapes), Edit(fault="", how="side marker L drawn", numbers=numbers)


def _remove(s: _State, box: Box) -> tuple[_State, Edit]:
    """The marker's box filled from what is left and right of it, row by row."""
    from wardround.metrics.arrays import np

    rows, columns = s.size
    x0, x1 = max(1, int(box[0] * columns)), min(columns - 1, math.ceil(box[2] * columns))
    y0, y1 = max(0, int(box[1] * rows)), min(rows, math.ceil(box[3] * rows))
    pixels = s.pixels.copy()
    share = np.linspace(0.0, 1.0, x1 - x0)[None, :]
    left = pixels[y0:y1, x0 - 1].astype(float)[:, None]
    right = pixels[y0:y1, x1].astype(float)[:, None]
    pixels[y0:y1, x0:x1] = np.rint(left * (1 - share) + right * share).astype(np.uint8)
    numbers = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
    return s._replace(pixels=pixels), Edit(
        fault="no_side_marker", how="marker painted over", numbers=numbers
    )


# -- what is no fault -----------------------------------------------------------------------------------------


def _exposure(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    from wardround.metrics.arrays import np

    gamma = rng.choice((rng.uniform(0.6, 0.75), rng.uniform(1.35, 1.7)))
    pixels = np.rint(255.0 * (s.pixels / 255.0) ** gamma).astype(np.uint8)
    return s._replace(pixels=pixels), Edit(
        fault="", how="exposure", numbers={"gamma": round(gamma, 3)}
    )


def _inversion(s: _State, rng: random.Random) -> tuple[_State, Edit]:
    return s._replace(pixels=255 - s.pixels), Edit(fault="", how="inverted", numbers={})


_STEPS: dict[str, _Step] = {
    "asymmetric_clavicles": _tilt,
    "apex_cut": _apex,
    "costophrenic_angle_cut": _angle,
    "off_centre": _off_centre,
    "artefact_in_lung_field": _inside,
    "artefact_outside_lung_field": _outside,
    "implant": _implant,
}
_ORDER = (*_STEPS, "no_side_marker")
