"""OCT B-scans drawn by a program: the retina's layers as bands over a foveal pit, and what a disease does to them.

Diagrams, as in `phantom_eye`. A scan is a height for each layer at each column; a disease moves heights or paints holes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from wardround.metrics.arrays import np

WIDTH, HEIGHT = 512, 384
_BANDS = (
    ("fibres", 0.00, 0.14, 172.0), ("inner", 0.14, 0.40, 118.0), ("nuclear", 0.40, 0.52, 78.0),
    ("plexiform", 0.52, 0.60, 138.0), ("outer", 0.60, 0.84, 58.0), ("ellipsoid", 0.84, 0.91, 165.0),
    ("pigment", 0.91, 1.00, 205.0),
)  # fmt: skip
"""Layers from above: name, where each begins and ends (shares of the retina's thickness), brightness."""


class _Scan:
    """One scan in the making: rows of the retina's upper and lower edge at each column, and a mask of fluid."""

    def __init__(self, rng: random.Random) -> None:
        from wardround.metrics.arrays import np

        self.rng = rng
        self.x = np.arange(WIDTH, dtype=float)
        self.middle = WIDTH / 2 + rng.uniform(-25, 25)
        bow = ((self.x - WIDTH / 2) / WIDTH) ** 2
        self.lower = (
            236.0 + rng.uniform(-8, 8) - 60 * bow + rng.uniform(-0.03, 0.03) * (self.x - WIDTH / 2)
        )
        self.floor = self.lower + 4.0
        self.pit = 42.0 * self.bump(self.middle, 46)
        self.upper = self.lower - 96.0 + self.pit
        self.pigment = np.zeros(WIDTH)
        self.fluid = np.zeros((HEIGHT, WIDTH), bool)
        self.bright = np.zeros((HEIGHT, WIDTH), bool)
        self.gap = np.zeros(WIDTH, bool)

    def bump(self, at: float, width: float) -> np.ndarray:
        """A smooth hill of height 1."""
        from wardround.metrics.arrays import np

        out: np.ndarray = np.exp(-(((self.x - at) / width) ** 2))
        return out

    def oval(self, at: float, row: float, rx: float, ry: float) -> np.ndarray:
        """Pixels of an ellipse."""
        from wardround.metrics.arrays import np

        y = np.arange(HEIGHT, dtype=float)[:, None]
        out: np.ndarray = ((self.x[None, :] - at) / rx) ** 2 + ((y - row) / ry) ** 2 < 1
        return out


def scan(label: str, seed: int, name: str) -> Image:
    """A scan with the mark of one label of `OCT`."""
    from PIL import Image, ImageFilter

    from wardround.metrics.arrays import np

    rng = random.Random(f"{seed}/oct/{name}")
    s = _Scan(rng)
    OCT[label](s)
    picture = _painted(s)
    drawn = np.random.default_rng(rng.getrandbits(32))
    speckle = drawn.gamma(12.0, 1 / 12.0, picture.shape)
    noisy = np.clip(picture * speckle + drawn.normal(6, 3, picture.shape), 0, 255)
    return Image.fromarray(np.rint(noisy).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))


def _painted(s: _Scan) -> np.ndarray:
    from wardround.metrics.arrays import np

    y = np.arange(HEIGHT, dtype=float)[:, None]
    out = np.full((HEIGHT, WIDTH), 8.0)
    depth = (y - s.floor) / 90.0
    out = np.where(depth > 0, 120.0 * np.exp(-1.6 * np.maximum(depth, 0)), out)
    thick = s.lower - s.upper
    share = (y - s.upper) / thick
    for band, start, end, value in _BANDS:
        raised = s.pigment if band in ("ellipsoid", "pigment") else 0.6 * s.pigment * (start / 0.84)
        inside = (share + raised / thick >= start) & (share + raised / thick < end)
        open_here = s.gap[None, :] & (band != "pigment")
        out = np.where(inside & ~open_here, value, out)
        out = np.where(inside & open_here, 8.0, out)
    beneath = (y >= s.lower - s.pigment) & (y < s.lower) & (s.pigment > 3)[None, :]
    out = np.where(beneath, 96.0, out)
    out = np.where(s.bright, 226.0, out)
    return np.where(s.fluid, 10.0, out)


def _normal(s: _Scan) -> None:
    """Nothing."""


def _hole(s: _Scan) -> None:
    """The retina is missing in the fovea down to the pigment layer; its rims are swollen with cysts."""
    half = s.rng.uniform(20, 30)
    s.gap = abs(s.x - s.middle) < half
    s.upper = (
        s.upper
        - s.pit
        - 10 * s.bump(s.middle - half - 22, 26)
        - 10 * s.bump(s.middle + half + 22, 26)
    )
    for side in (-1, 1):
        s.fluid |= s.oval(s.middle + side * (half + 20), s.lower.mean() - 50, 11, 8)


def _oedema(s: _Scan) -> None:
    """Thicker, the pit filled, dark cysts in it."""
    s.upper = s.upper - s.pit - 34 * s.bump(s.middle, 90)
    for k in range(7):
        at = s.middle + (k - 3) * 30 + s.rng.uniform(-9, 9)
        deep = s.rng.uniform(36, 58) if k % 2 else s.rng.uniform(66, 92)
        tall = s.rng.uniform(7, 11) if k % 2 else s.rng.uniform(14, 20)
        s.fluid |= s.oval(at, float(s.lower[int(at)]) - deep, s.rng.uniform(8, 16), tall)


def _serous(s: _Scan) -> None:
    """Clear fluid lifts the retina off the pigment layer in one smooth dome."""
    from wardround.metrics.arrays import np

    lift = s.rng.uniform(34, 44) * s.bump(s.middle, 80)
    y = np.arange(HEIGHT, dtype=float)[:, None]
    floor = s.lower - 9.0
    s.fluid |= (y < floor) & (y > floor - lift) & (lift > 2)[None, :]
    rows = np.where(lift > 2, s.lower, 0.0)
    s.bright |= (y >= rows - 9) & (y < rows) & (rows > 0)
    s.lower = s.lower - lift
    s.upper = s.upper - lift


def _drusen(s: _Scan) -> None:
    """Small hills under the pigment layer."""
    for k in range(-4, 5):
        at = s.middle + 40 * k + s.rng.uniform(-8, 8)
        s.pigment = s.pigment + s.rng.uniform(11, 19) * s.bump(at, s.rng.uniform(9, 14))


def _new_vessels(s: _Scan) -> None:
    """A bright spindle through the pigment layer, fluid beside it."""
    at = s.middle + s.rng.uniform(-18, 18)
    row = float(s.lower[int(at)])
    s.upper = s.upper - 0.8 * s.pit - 16 * s.bump(at, 80)
    s.bright |= s.oval(at, row - 16, s.rng.uniform(48, 62), 19)
    for side in (-1, 1):
        s.fluid |= s.oval(at + side * 82, row - 14, 26, 8)
    s.fluid |= s.oval(at + 12, row - 58, 12, 9)


OCT: dict[str, Callable[[_Scan], None]] = {
    "NORMAL": _normal, "MH": _hole, "DME": _oedema, "CSR": _serous, "DRUSEN": _drusen, "CNV": _new_vessels,
}  # fmt: skip
"""Label → what it does to a scan."""
