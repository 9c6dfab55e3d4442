"""Fundus photographs and OCT B-scans drawn by a program: a schematic eye and, on it, the textbook mark of a disease.

They are diagrams, not imitations: a microaneurysm is a red dot and a macular hole a gap. So only labels that a diagram
can tell apart are drawn (`FUNDUS`, `OCT`); `NOT_DRAWN` says why the others are left out. How well a model does on
them says nothing of how it does on eyes.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 512
NOT_DRAWN = {
    "ARMD": (
        "示意图中与玻璃膜疣、新生血管无从区分",
        "as a diagram no different from drusen or new vessels",
    ),
    "CNV": (
        "眼底示意图中与出血无从区分；OCT 中有",
        "as a diagram of a fundus no different from a bleeding; drawn in OCT",
    ),
    "RS": ("无可辨的示意形态", "no shape of its own in a diagram"),
    "CSR": (
        "隆起在平面示意图中看不出；OCT 中有",
        "a blister doesn't show in a flat diagram; drawn in OCT",
    ),
    "HTR": ("动脉变细在示意图中看不出", "narrow arteries don't show in a diagram"),
    "ASR": ("动脉反光在示意图中看不出", "the arteries' reflex doesn't show in a diagram"),
    "CRS": ("无可辨的示意形态", "no shape of its own in a diagram"),
    "OTHER": ("没有确定的内容", "nothing definite"),
    "AMD": ("OCT 中已由玻璃膜疣与新生血管分别表示", "in OCT drawn as drusen and as new vessels"),
}
"""Labels that are not drawn, and why; in OCT, DR is drawn as oedema (DME)."""


class Eye(NamedTuple):
    """One fundus: the disc's and the macula's centre in pixels, and which way the nose is (1: right)."""

    disc: tuple[float, float]
    macula: tuple[float, float]
    nose: int


Point = tuple[float, float]


def fundus(labels: Sequence[str], seed: int, name: str) -> Image:
    """A fundus with the marks of `labels` (of `FUNDUS`; NORMAL is none)."""
    from PIL import Image, ImageDraw, ImageFilter

    rng = random.Random(f"{seed}/fundus/{name}")
    nose = rng.choice((-1, 1))
    y = SIDE / 2 + rng.uniform(-12, 12)
    eye = Eye((SIDE / 2 + nose * 105, y), (SIDE / 2 - nose * 40, y + 12), nose)
    image = _ground(rng, stripes="TSLN" in labels)
    draw = ImageDraw.Draw(image)
    for label in ("MYA", "ODE"):
        if label in labels:
            FUNDUS[label](draw, eye, rng)
    _disc(
        draw,
        eye,
        pale="ODP" in labels,
        cup=0.8 if "ODC" in labels else 0.34,
        blurred="ODE" in labels,
    )
    _vessels(draw, eye, rng, wide=1.5 if "CRVO" in labels else 1.0)
    image = image.filter(ImageFilter.GaussianBlur(1.1))
    draw = ImageDraw.Draw(image)
    for label in labels:
        if label not in ("MYA", "ODE"):
            FUNDUS[label](draw, eye, rng)
    image = image.filter(ImageFilter.GaussianBlur(0.8))
    if "MH" in labels:
        veil = Image.new("RGB", image.size, (196, 176, 150))
        image = Image.blend(image.filter(ImageFilter.GaussianBlur(7)), veil, 0.45)
    round_field = Image.new("L", image.size, 0)
    ImageDraw.Draw(round_field).ellipse((14, 14, SIDE - 14, SIDE - 14), fill=255)
    return Image.composite(image, Image.new("RGB", image.size), round_field)


def _ground(rng: random.Random, *, stripes: bool) -> Image:
    """The red-orange ground, darker at the rim; with `stripes` the choroid's vessels show."""
    from PIL import Image, ImageDraw, ImageFilter

    from wardround.metrics.arrays import np

    y, x = np.mgrid[0:SIDE, 0:SIDE]
    far = np.hypot(x - SIDE / 2, y - SIDE / 2) / (SIDE / 2)
    shade = (1.05 - 0.35 * far**2)[:, :, None]
    image = Image.fromarray(np.clip(shade * np.array([196, 92, 44]), 0, 255).astype(np.uint8))
    if stripes:
        layer = Image.new("L", image.size, 0)
        d = ImageDraw.Draw(layer)
        for _ in range(46):
            at, turn = (rng.uniform(0, SIDE), rng.uniform(0, SIDE)), rng.uniform(0, 6.3)
            d.line(
                _wander(at, turn, 22, 9, rng), fill=255, width=rng.choice((5, 7, 9)), joint="curve"
            )
        pale = Image.new("RGB", image.size, (226, 138, 84))
        mask = layer.filter(ImageFilter.GaussianBlur(2)).point([v // 2 for v in range(256)])
        image = Image.composite(pale, image, mask)
    return image


def _wander(at: Point, turn: float, steps: int, step: float, rng: random.Random) -> list[Point]:
    """A line that turns a little at each step."""
    points = [at]
    for _ in range(steps):
        turn += rng.uniform(-0.22, 0.22)
        at = at[0] + step * math.cos(turn), at[1] + step * math.sin(turn)
        points.append(at)
    return points


def _ring(at: Point, rx: float, ry: float | None = None) -> tuple[float, ...]:
    ry = rx if ry is None else ry
    return at[0] - rx, at[1] - ry, at[0] + rx, at[1] + ry


def _disc(draw: Any, eye: Eye, *, pale: bool, cup: float, blurred: bool) -> None:
    colour = (246, 240, 226) if pale else (244, 190, 118)
    if not blurred:
        draw.ellipse(_ring(eye.disc, 38, 42), fill=colour)
        draw.ellipse(
            _ring(eye.disc, 38 * cup, 42 * cup), fill=(252, 246, 232) if pale else (252, 232, 184)
        )
    draw.ellipse(_ring(eye.macula, 34), fill=(160, 66, 32))
    draw.ellipse(_ring(eye.macula, 10), fill=(134, 50, 26))


def _vessels(draw: Any, eye: Eye, rng: random.Random, *, wide: float) -> None:
    """Four arcades from the disc, a vein and an artery each, with branches."""
    for up in (-1, 1):
        for towards, reach in ((-eye.nose, 330), (eye.nose, 130)):
            for colour, width, shift in (((112, 18, 22), 8.0, 0.0), ((160, 40, 30), 5.0, 14.0)):
                path = _arc(eye.disc, towards, up, reach, shift, rng)
                for k, (a, b) in enumerate(itertools.pairwise(path)):
                    draw.line(
                        (a, b),
                        fill=colour,
                        width=max(2, round(wide * width * (1 - 0.7 * k / len(path)))),
                    )
                for k in range(5, len(path) - 3, 5):
                    turn = math.atan2(up, towards) + rng.uniform(-0.7, 0.7)
                    draw.line(
                        _wander(path[k], turn, 9, 9, rng),
                        fill=colour,
                        width=max(2, round(wide * width / 3)),
                    )


def _arc(
    disc: Point, towards: int, up: int, reach: float, shift: float, rng: random.Random
) -> list[Point]:
    high = 150 + shift + rng.uniform(-10, 10)
    return [
        (disc[0] + towards * reach * (t / 24) ** 1.4, disc[1] + up * high * math.sin(2.3 * t / 24))
        for t in range(25)
    ]


# -- marks of disease -----------------------------------------------------------------------------------------


def _about(centre: Point, near: float, far: float, rng: random.Random) -> Point:
    turn, distance = rng.uniform(0, 2 * math.pi), rng.uniform(near, far)
    return centre[0] + distance * math.cos(turn), centre[1] + distance * math.sin(turn)


def _diabetic(draw: Any, eye: Eye, rng: random.Random) -> None:
    """Red dots and blots, and hard yellow exudates beside the macula."""
    for _ in range(38):
        draw.ellipse(_ring(_about(eye.macula, 30, 190, rng), rng.uniform(2, 4)), fill=(112, 10, 14))
    for _ in range(9):
        draw.ellipse(
            _ring(_about(eye.macula, 60, 170, rng), rng.uniform(6, 10), rng.uniform(4, 8)),
            fill=(98, 8, 12),
        )
    middle = _about(eye.macula, 50, 70, rng)
    for _ in range(26):
        draw.ellipse(_ring(_about(middle, 4, 30, rng), rng.uniform(2, 4)), fill=(250, 226, 120))


def _drusen(draw: Any, eye: Eye, rng: random.Random) -> None:
    for _ in range(70):
        draw.ellipse(
            _ring(_about(eye.macula, 6, 78, rng), rng.uniform(3, 6.5)), fill=(244, 208, 112)
        )


def _flames(
    draw: Any, eye: Eye, rng: random.Random, turns: tuple[float, float], number: int
) -> None:
    """Bleedings along the nerve fibres, away from the disc, between two directions."""
    for _ in range(number):
        turn, near = rng.uniform(*turns), rng.uniform(50, 190)
        c, s = math.cos(turn), math.sin(turn)
        a = eye.disc[0] + near * c, eye.disc[1] + near * s
        length, half = rng.uniform(14, 30), rng.uniform(3, 6)
        shape = [
            a, (a[0] + length / 2 * c - half * s, a[1] + length / 2 * s + half * c),
            (a[0] + length * c, a[1] + length * s), (a[0] + length / 2 * c + half * s, a[1] + length / 2 * s - half * c),
        ]  # fmt: skip
        draw.polygon(shape, fill=(124, 8, 12))


def _central(draw: Any, eye: Eye, rng: random.Random) -> None:
    _flames(draw, eye, rng, (0.0, 2 * math.pi), 130)


def _branch(draw: Any, eye: Eye, rng: random.Random) -> None:
    """One quadrant alone, on the macula's side."""
    first = -math.pi / 2 if eye.nose < 0 else -math.pi
    if rng.random() < 0.5:
        first += math.pi / 2 if eye.nose < 0 else -math.pi / 2
    _flames(draw, eye, rng, (first + 0.15, first + math.pi / 2 - 0.15), 60)


def _laser(draw: Any, eye: Eye, rng: random.Random) -> None:
    """Pale round scars with a dark core, of several sizes, scattered outside the arcades."""
    for _ in range(70):
        at = _about((SIDE / 2, SIDE / 2), 140, 225, rng)
        if math.dist(at, eye.disc) > 70 and math.dist(at, eye.macula) > 100:
            r = rng.uniform(5, 11)
            draw.ellipse(_ring(at, r), fill=(240, 214, 164))
            draw.ellipse(_ring(at, 0.45 * r), fill=(86, 52, 40))


def _crescent(draw: Any, eye: Eye, rng: random.Random) -> None:
    """White sclera beside the disc, towards the macula."""
    at = eye.disc[0] - eye.nose * 22, eye.disc[1]
    draw.ellipse(_ring(at, 46, 52), fill=(248, 236, 214))


def _swollen(draw: Any, eye: Eye, rng: random.Random) -> None:
    """A disc larger than it should be, without an edge."""
    for k in range(26):
        share = k / 25
        colour = tuple(
            round(a + (b - a) * share) for a, b in zip((196, 92, 44), (246, 186, 124), strict=True)
        )
        draw.ellipse(_ring(eye.disc, 74 - 50 * share, 78 - 52 * share), fill=colour)


def _nothing(draw: Any, eye: Eye, rng: random.Random) -> None:
    """Shown by how the eye itself is drawn."""


Mark = Callable[[Any, Eye, random.Random], None]
FUNDUS: dict[str, Mark] = {
    "NORMAL": _nothing, "DR": _diabetic, "MH": _nothing, "ODC": _nothing, "TSLN": _nothing, "DN": _drusen,
    "MYA": _crescent, "BRVO": _branch, "ODP": _nothing, "CRVO": _central, "ODE": _swollen, "LS": _laser,
}  # fmt: skip
"""Label → what draws its mark."""
