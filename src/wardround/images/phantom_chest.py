"""A chest X-ray drawn by a program: lungs, ribs, heart and spine as soft shapes, each phantom a little different.

It looks like a posterior-anterior film as a sketch does and is nobody's. Its use is that all is known of it: where the
lung field lies, that nothing is wrong with it as a picture, and that no marker is on it, so that `cxr_faults` can make
faults of known truth in it. How well a model does on it says nothing of how it does on films.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from wardround.images.cxr_faults import Base

if TYPE_CHECKING:
    from PIL.Image import Image

    from wardround.metrics.arrays import np

WIDTH, HEIGHT = 640, 720


class Phantom(NamedTuple):
    """Grey pixels (rows, columns), 0…255, and what is known of them."""

    pixels: np.ndarray
    base: Base


class _Body(NamedTuple):
    """One phantom's measures, as shares of width and height."""

    lung: float
    top: float
    bottom: float
    heart: float
    ribs: int
    slope: float


def chest(seed: int, number: int) -> Phantom:
    """The phantom of that number: the same for the same seed."""
    from PIL import Image, ImageFilter

    from wardround.metrics.arrays import np

    rng = random.Random(f"{seed}/chest/{number}")
    body = _Body(
        lung=rng.uniform(0.155, 0.175), top=rng.uniform(0.12, 0.15), bottom=rng.uniform(0.76, 0.80),
        heart=rng.uniform(0.12, 0.155), ribs=rng.choice((8, 9)), slope=rng.uniform(0.05, 0.08),
    )  # fmt: skip
    film = np.full((HEIGHT, WIDTH), 10.0)
    for layer, weight in _tissues(body, rng):
        film += weight * np.asarray(layer, np.float64) / 255.0
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, 3.0, film.shape)
    flat = Image.fromarray(np.rint(np.clip(film + noise, 0, 255)).astype(np.uint8))
    pixels = np.asarray(flat.filter(ImageFilter.GaussianBlur(0.7))).copy()
    field = (0.5 - 0.05 - 2 * body.lung, body.top, 0.5 + 0.05 + 2 * body.lung, body.bottom + 0.04)
    return Phantom(pixels, Base(field=field, marker="none"))


def _tissues(body: _Body, rng: random.Random) -> list[tuple[Image, float]]:
    """Soft masks with the brightness each adds; lungs take some away."""
    mid = 0.5
    trunk = _mask(9, lambda d: d.polygon(_scaled([
        (0.42, 0.0), (0.42, 0.05), (0.14, 0.10), (0.05, 0.30), (0.07, 1.0), (0.93, 1.0),
        (0.95, 0.30), (0.86, 0.10), (0.58, 0.05), (0.58, 0.0),
    ]), fill=255))  # fmt: skip
    lungs = _mask(6, lambda d: [d.polygon(_lung(body, side), fill=255) for side in (-1, 1)])
    belly = _mask(34, lambda d: d.rectangle(_box(0.08, body.bottom + 0.06, 0.92, 1.1), fill=255))
    middle = _mask(8, lambda d: [
        d.ellipse(_oval(mid + 0.055, 0.62, body.heart, 0.155), fill=255),
        d.rounded_rectangle(_box(mid - 0.055, 0.05, mid + 0.06, 0.60), radius=20, fill=255),
    ])  # fmt: skip
    spine = _mask(3, lambda d: _spine(d, mid))
    ribs = _mask(2, lambda d: _ribs(d, body))
    collar = _mask(2.5, lambda d: _collar(d, body))
    blades = _mask(5, lambda d: [d.polygon(_blade(side), fill=255) for side in (-1, 1)])
    markings = _mask(1.4, lambda d: _markings(d, body, rng))
    return [
        (trunk, 120.0), (lungs, -92.0), (belly, 40.0), (middle, 72.0), (spine, 30.0), (ribs, 28.0),
        (collar, 38.0), (blades, 26.0), (markings, 24.0),
    ]  # fmt: skip


def _mask(soft: float, draw: Any) -> Image:
    from PIL import Image, ImageDraw, ImageFilter

    layer = Image.new("L", (WIDTH, HEIGHT), 0)
    draw(ImageDraw.Draw(layer))
    return layer.filter(ImageFilter.GaussianBlur(soft))


def _scaled(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x * WIDTH, y * HEIGHT) for x, y in points]


def _box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    return left * WIDTH, top * HEIGHT, right * WIDTH, bottom * HEIGHT


def _oval(x: float, y: float, rx: float, ry: float) -> tuple[float, ...]:
    return _box(x - rx, y - ry, x + rx, y + ry)


def _lung(body: _Body, side: int) -> list[tuple[float, float]]:
    """One lung: a round apex, the flank, a pointed angle, the dome of the diaphragm."""
    inner, outer = 0.055, 0.05 + 2 * body.lung
    top, bottom = body.top, body.bottom
    shape = [
        (inner, top + 0.10), (inner + 0.03, top + 0.03), (inner + 0.09, top), (inner + 0.17, top + 0.025),
        (outer - 0.06, top + 0.12), (outer - 0.015, top + 0.30), (outer, bottom - 0.12), (outer, bottom + 0.03),
        (outer - 0.05, bottom - 0.015), (inner + 0.14, bottom - 0.065), (inner + 0.05, bottom - 0.045),
        (inner, bottom - 0.01),
    ]  # fmt: skip
    return _scaled([(0.5 + side * x, y) for x, y in shape])


def _spine(d: Any, mid: float) -> None:
    for k in range(16):
        y = 0.02 + 0.062 * k
        d.rounded_rectangle(_box(mid - 0.032, y, mid + 0.032, y + 0.05), radius=8, fill=255)
        d.ellipse(_oval(mid, y + 0.025, 0.008, 0.02), fill=120)


def _ribs(d: Any, body: _Body) -> None:
    """Behind they fall outwards, in front, fainter, inwards."""
    reach = 0.05 + 2 * body.lung
    for side in (-1, 1):
        for k in range(body.ribs):
            y = body.top + 0.015 + k * (body.bottom - body.top - 0.02) / body.ribs
            back = [
                (0.5 + side * (0.04 + t / 12 * reach), y + body.slope * (t / 12) ** 2)
                for t in range(13)
            ]
            d.line(_scaled(back), fill=255, width=11, joint="curve")
            front = [
                (0.5 + side * (reach - t / 10 * 0.62 * reach), y + body.slope + 0.075 * t / 10)
                for t in range(11)
            ]
            d.line(_scaled(front), fill=105, width=10, joint="curve")


def _collar(d: Any, body: _Body) -> None:
    for side in (-1, 1):
        bone = [(0.035, 0.055), (0.12, 0.04), (0.22, 0.025), (0.33, -0.01)]
        points = _scaled([(0.5 + side * x, body.top + y) for x, y in bone])
        d.line(points, fill=255, width=15, joint="curve")


def _blade(side: int) -> list[tuple[float, float]]:
    """The shoulder blade, drawn aside as on a good film."""
    shape = [(0.40, 0.16), (0.46, 0.18), (0.44, 0.33), (0.415, 0.36), (0.405, 0.26)]
    return _scaled([(0.5 + side * x, y) for x, y in shape])


def _markings(d: Any, body: _Body, rng: random.Random) -> None:
    """Vessels from the roots of the lungs, thinner as they go."""
    for side in (-1, 1):
        for _ in range(11):
            x, y = 0.5 + side * 0.075, 0.43 + rng.uniform(-0.05, 0.05)
            dx, dy = side * rng.uniform(0.006, 0.02), rng.uniform(-0.02, 0.024)
            points = []
            for _ in range(rng.randint(7, 12)):
                points.append((x, y))
                x, y = x + dx, y + dy
                dx, dy = dx * 0.97, dy + rng.uniform(-0.004, 0.004)
            for k, (a, b) in enumerate(itertools.pairwise(points)):
                d.line(_scaled([a, b]), fill=255, width=max(1, 6 - k // 2))
