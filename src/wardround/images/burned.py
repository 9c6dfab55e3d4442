"""Text burned into a picture, suspected from its looks: a row of small, even, sharp marks.

Names and record numbers on a film or a screen shot stand in lines of letters: several strokes of one brightness, much
brighter or darker than what is round them, about equally tall, on one line, close together. Anatomy has edges and spots,
but not five of a kind in a row. A side marker (L, R, at most a short word) is no line and passes. This is a net with
holes, not a reader: handwriting, text across bright anatomy and very small print get through, and a row of clips or
electrodes may be caught. So what it catches is held back and listed for a person, and what passes is not promised clean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wardround.metrics.arrays import np

SIDE = 1200
"""Pictures are looked at reduced to this many pixels on the longer side."""
CONTRAST = 70
"""Grey levels between a stroke and what is round it."""
LETTERS = 5
TALLEST, SHORTEST = 60, 6
RUNS = 60_000
"""Above so many runs a picture is texture, whose marks mean nothing."""


class Box(NamedTuple):
    """A mark's place, in pixels of the reduced picture, and its mean brightness."""

    left: int
    top: int
    right: int
    bottom: int
    area: int
    level: float

    @property
    def height(self) -> int:
        """Rows it spans."""
        return self.bottom - self.top + 1

    @property
    def width(self) -> int:
        """Columns it spans."""
        return self.right - self.left + 1


def text_lines(grey: np.ndarray) -> int:
    """How many lines of text `grey` (rows, columns; 8 bit) may hold."""
    from PIL import Image, ImageFilter

    from wardround.metrics.arrays import np

    image = Image.fromarray(grey)
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    level = np.asarray(image, np.int16)
    round_it = np.asarray(image.filter(ImageFilter.BoxBlur(12)), np.int16)
    found = 0
    for mask in (level - round_it > CONTRAST, round_it - level > CONTRAST):
        found += _lines([b for b in _marks(mask, level) if _like_letter(b)])
    return found


def _like_letter(b: Box) -> bool:
    filled = b.area / (b.height * b.width)
    return SHORTEST <= b.height <= TALLEST and b.width <= 1.6 * b.height and 0.12 <= filled <= 0.98


def _marks(mask: np.ndarray, level: np.ndarray) -> list[Box]:
    """Connected marks (8 neighbours) of a mask, by runs along rows."""
    from wardround.metrics.arrays import np

    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)  # one past the last
    if not 0 < len(rows) <= RUNS:
        return []
    sums = np.zeros((level.shape[0], level.shape[1] + 1), np.int64)
    np.cumsum(level, axis=1, out=sums[:, 1:])
    weight = sums[rows, ends] - sums[rows, starts]
    parent = _joined(rows.tolist(), starts.tolist(), ends.tolist())
    roots, which = np.unique(np.array(parent), return_inverse=True)
    n = len(roots)
    left = np.full(n, mask.shape[1])
    top = np.full(n, mask.shape[0])
    right, bottom = np.zeros(n, int), np.zeros(n, int)
    np.minimum.at(left, which, starts)
    np.minimum.at(top, which, rows)
    np.maximum.at(right, which, ends - 1)
    np.maximum.at(bottom, which, rows)
    area = np.bincount(which, weights=ends - starts, minlength=n)
    mean = np.bincount(which, weights=weight, minlength=n) / area
    return [
        Box(int(x0), int(y0), int(x1), int(y1), int(a), float(m))
        for x0, y0, x1, y1, a, m in zip(left, top, right, bottom, area, mean, strict=True)
    ]


def _joined(rows: list[int], starts: list[int], ends: list[int]) -> list[int]:
    """For each run (sorted by row, then column) the first run of its mark."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    above = 0
    for i, row in enumerate(rows):
        while rows[above] < row - 1 or (rows[above] == row - 1 and ends[above] < starts[i]):
            above += 1
        k = above
        while k < i and rows[k] == row - 1 and starts[k] <= ends[i]:
            a, b = root(k), root(i)
            parent[max(a, b)] = min(a, b)
            k += 1
    return [root(i) for i in range(len(parent))]


def _lines(marks: list[Box]) -> int:
    """Rows of at least `LETTERS` marks alike in height, foot and brightness, close together."""
    marks = sorted(marks)
    used: set[int] = set()
    lines = 0
    for i, first in enumerate(marks):
        if i in used:
            continue
        line, last = [i], first
        for k in range(i + 1, len(marks)):
            b = marks[k]
            if b.left - last.right > 1.8 * first.height:
                break
            if k not in used and _follows(first, last, b):
                line.append(k)
                last = b
        if len(line) >= LETTERS:
            lines += 1
            used.update(line)
    return lines


def _follows(first: Box, last: Box, b: Box) -> bool:
    return (
        b.left > last.left
        and b.left - last.right <= 1.8 * first.height
        and abs(b.bottom - last.bottom) <= max(2, 0.25 * first.height)
        and 0.6 <= b.height / first.height <= 1.6
        and abs(b.level - first.level) <= 35
    )
