"""Small inline SVG charts: line chart, dot-and-interval plot, heat map. Strings out, no drawing library.

Colours, fonts and light or dark come from the page's CSS classes; nothing here names a colour. Series differ in
shape and dash as well as colour. Every chart carries its text alternative in `aria-label`, and the page puts a
table with the same numbers beside it. What has no value is written out as unscored, never drawn at zero.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

from wardround.records import Record
from wardround.report.formats import UNSCORED, Names, count, interval, score, signed
from wardround.report.shapes import Estimate


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """One element. Strings are escaped unless they are Markup; `class_` is class, `text_anchor` text-anchor."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{pairs}>{''.join(str(escape(c)) for c in children)}</{name}>")


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def both(names: Names | tuple[str, str], gap: int = 5) -> Markup:
    """Chinese and English as two tspans, each of which the page can hide."""
    zh, en = names
    first = tag("tspan", zh, class_="zh" if en else None)
    return first + tag("tspan", en, class_="en", dx=gap) if en else first


def text(x: float, y: float, *children: str, **attributes: object) -> Markup:
    """A text element at (x, y)."""
    return tag("text", *children, x=x, y=y, **attributes)


def width_of(words: str, size: float) -> float:
    """About how wide `words` are, in the units of `size`: a Chinese character one em, others half."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in words)
    return size * (wide + 0.56 * (len(words) - wide))


def chart(width: float, height: float, label: str, *parts: str, least: float = 840) -> Markup:
    """The svg element. It follows the width of its box, never below `least` pixels (there its box scrolls,
    so that numbers stay legible) and never much above its own size."""
    bounds = f"min-width:{min(width, least):.0f}px;max-width:{width * 1.2:.0f}px"
    return tag(
        "svg", *parts, class_="chart", role="img", aria_label=label, style=bounds,
        viewBox=f"0 0 {_number(width)} {_number(height)}", width=width, height=height,
    )  # fmt: skip


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round tick values inside [low, high]: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def tick_text(value: float) -> str:
    """A tick's number, with no more digits than it needs and a true minus sign."""
    return f"{value:,.10g}".replace("-", "−")


class Line(Record, frozen=True, kw_only=True):
    """One series of a line chart. `style` is its CSS class: "s0" … "s3"; `dots` also marks each point."""

    names: Names
    points: tuple[tuple[float, float], ...]
    style: str
    dots: bool = False


class Frame(Record, frozen=True, kw_only=True):
    """A plotting area: pixel box and data range."""

    left: float
    top: float
    right: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float] = (0.0, 1.0)

    def px(self, x: float) -> float:
        """Pixel of a data x, kept inside the box."""
        share = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1.0)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def py(self, y: float) -> float:
        """Pixel of a data y."""
        share = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1.0)
        return self.bottom - share * (self.bottom - self.top)


def line_chart(
    lines: Sequence[Line], *, x: Names, y: Names, label: str, width: int = 490, height: int = 280
) -> Markup:
    """Lines over a common x; y starts at 0 so that a fall looks as large as it is. NaN points are left out."""
    points = [p for line in lines for p in line.points if math.isfinite(p[1])]
    if not points:
        return Markup("")
    frame = Frame(
        left=46, top=30, right=width - 52, bottom=height - 44,
        x=(min(p[0] for p in points), max(p[0] for p in points)),
        y=(0.0, max(p[1] for p in points) * 1.04 or 1.0),
    )  # fmt: skip
    parts: list[str] = [text(2, 14, both(y), class_="axis-title")]
    for value in ticks(*frame.y):
        py = frame.py(value)
        parts.append(tag("line", x1=frame.left, x2=frame.right, y1=py, y2=py, class_="grid"))
        parts.append(text(frame.left - 7, py + 4, tick_text(value), text_anchor="end"))
    parts += [
        text(frame.px(value), frame.bottom + 18, tick_text(value), text_anchor="middle")
        for value in ticks(*frame.x)
    ]
    parts.append(
        tag("line", x1=frame.left, x2=frame.right, y1=frame.bottom, y2=frame.bottom, class_="axis")
    )
    middle = (frame.left + frame.right) / 2
    parts.append(text(middle, height - 6, both(x), text_anchor="middle", class_="axis-title"))
    ends: list[float] = []
    for line in lines:
        parts += _drawn(line, frame, ends)
    return chart(width, height, label, *parts, least=330)


def _drawn(line: Line, frame: Frame, ends: list[float]) -> list[str]:
    at = [(frame.px(a), frame.py(b)) for a, b in line.points if math.isfinite(b)]
    if not at:
        return []
    path = " ".join(f"{_number(a)},{_number(b)}" for a, b in at)
    parts: list[str] = [tag("polyline", points=path, class_=f"line {line.style}")]
    if line.dots or len(at) == 1:
        parts += [tag("circle", cx=a, cy=b, r=3.2, class_=f"mark {line.style}") for a, b in at]
    y = at[-1][1] + 4
    while any(abs(y - other) < 13 for other in ends):
        y -= 13
    ends.append(y)
    last = [b for _, b in line.points if math.isfinite(b)][-1]
    parts.append(text(at[-1][0] + 7, y, score(last), class_=f"value {line.style}"))
    return parts


def marker(style: str, x: float, y: float, r: float = 5.0) -> Markup:
    """The mark of a series: s0 hollow circle, s1 diamond, s2 square, s3 triangle."""
    klass = f"mark {style}"
    if style in {"s1", "difference"}:
        corners = [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    elif style == "s2":
        s = r * 0.8
        corners = [(x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s)]
    elif style == "s3":
        corners = [(x, y - r), (x + r, y + r * 0.8), (x - r, y + r * 0.8)]
    else:
        return tag("circle", cx=x, cy=y, r=r - 0.8, class_=klass)
    points = " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)
    return tag("polygon", points=points, class_=klass)


class DotRow(Record, frozen=True, kw_only=True):
    """One row of a dot plot: an estimate for each series. Without estimates the row is a heading.

    `note` marks a row (a reconstructed task) with ◇.
    """

    names: Names
    estimates: tuple[Estimate, ...] = ()
    noted: bool = False


def styles(number: int) -> tuple[str, ...]:
    """CSS classes of `number` series."""
    return ("s1",) if number == 1 else tuple(f"s{i % 4}" for i in range(number))


def labels_width(names: Iterable[Names], *, noted: bool = True) -> int:
    """Room for row names on the left of a chart, both languages side by side."""
    widest = max((width_of(zh, 12.5) + width_of(en, 11) for zh, en in names), default=80)
    return int(widest + (18 if noted else 0) + 30)


def dot_plot(
    rows: Sequence[DotRow],
    *,
    axis: Names,
    label: str,
    span: tuple[float, float],
    zero: bool = False,
    width: int = 980,
    column: int = 122,
) -> Markup:
    """Dots with intervals, one row a name, all on one axis, the numbers at the right in columns of `column`.

    `span` is the axis (the scores' scale, or a symmetric range with `zero` drawn as the line of no difference).
    """
    number = max((len(r.estimates) for r in rows), default=0)
    shown = number if number <= 3 else 0
    left = max(150, labels_width(r.names for r in rows))
    tall = sum(bool(r.estimates) for r in rows) > 12
    frame = Frame(
        left=left, top=26 if tall else 8, right=width - 14 - column * shown, bottom=0, x=span
    )
    step = 12 + 13 * max(number, 1)
    parts: list[str] = []
    y = frame.top
    for row in rows:
        if not row.estimates:
            y += 26
            parts.append(text(4, y - 6, both(row.names), class_="group"))
            parts.append(tag("line", x1=4, x2=width - 4, y1=y, y2=y, class_="rule"))
            continue
        parts += _dot_row(row, frame, y, step, width - 10, column if shown else 0, zero)
        y += step
    grid: list[str] = []
    room = max(2, int(frame.right - frame.left) // 20)  # numbers that fit beside each other
    for value in ticks(*span, about=min(room, 9 if not zero else 6)):
        px = frame.px(value)
        line = "zero" if zero and value == 0 else "grid"
        grid.append(tag("line", x1=px, x2=px, y1=frame.top, y2=y, class_=line))
        places = (frame.top - 8, y + 17) if tall else (y + 17,)
        grid += [text(px, place, tick_text(value), text_anchor="middle") for place in places]
    middle = (frame.left + frame.right) / 2
    grid.append(text(middle, y + 37, both(axis), text_anchor="middle", class_="axis-title"))
    return chart(width, y + 44, label, *grid, *parts)


def _dot_row(
    row: DotRow, frame: Frame, top: float, step: float, right: float, column: int, zero: bool
) -> list[str]:
    middle = top + step / 2
    names = Names(f"◇ {row.names.zh}" if row.noted else row.names.zh, row.names.en)
    parts: list[str] = [
        text(frame.left - 14, middle + 4, both(names), text_anchor="end", class_="row-name")
    ]
    number = len(row.estimates)
    series = ("difference",) if zero and number == 1 else styles(number)
    for i, (e, style) in enumerate(zip(row.estimates, series, strict=True)):
        y = middle + (i - (number - 1) / 2) * 11
        place = right - column * (number - 1 - i)
        if e.mean is None:
            parts.append(text(frame.left + 6, y + 4, both(UNSCORED), class_="unscored"))
            if column:
                parts.append(text(place, middle + 4, "—", text_anchor="end", class_="unscored"))
            continue
        if e.low is not None and e.high is not None:
            a, b = frame.px(e.low), frame.px(e.high)
            parts.append(tag("line", x1=a, x2=b, y1=y, y2=y, class_=f"range {style}"))
            parts += [
                tag("line", x1=end, x2=end, y1=y - 3, y2=y + 3, class_=f"cap {style}")
                for end in (a, b)
            ]
        parts.append(marker(style, frame.px(e.mean), y))
        if column:
            value = signed(e.mean) if zero else score(e.mean)
            words = tag("tspan", value, class_="strong") + tag(
                "tspan", f" {interval(e, sign=zero)}", class_="faint"
            )
            parts.append(text(place, middle + 4, words, text_anchor="end", class_=f"value {style}"))
    return parts


def symmetric(estimates: Iterable[Estimate]) -> tuple[float, float]:
    """A range around 0 that holds every interval, rounded outwards."""
    values = [abs(v) for e in estimates for v in (e.mean, e.low, e.high) if v is not None] or [1.0]
    top = max(max(values) * 1.08, 0.1)
    power = 10.0 ** math.floor(math.log10(top))
    limit = next(m * power for m in (1, 1.5, 2, 3, 4, 5, 7.5, 10) if m * power >= top)
    return (-limit, limit)


class HeatRow(Record, frozen=True, kw_only=True):
    """One row of the heat map. `covered` False hatches it whole; `group` opens a band when it changes."""

    id: str
    names: Names
    group: Names
    covered: bool
    noted: bool


class HeatColumn(Record, frozen=True, kw_only=True):
    """One column; `covered` False means nothing at all in it."""

    id: str
    names: Names
    covered: bool


LEVELS = 5


def level(value: int, top: int) -> int:
    """Shade of a cell: 0 for nothing, else 1 … 5 in equal ratios up to `top`, since counts are skewed."""
    if value <= 0:
        return 0
    share = math.log(value) / math.log(top) if top > 1 else 1.0
    return min(LEVELS, max(1, math.ceil(LEVELS * share - 1e-9)))


def heat_map(
    rows: Sequence[HeatRow],
    columns: Sequence[HeatColumn],
    cells: Mapping[str, Mapping[str, int]],
    *,
    label: str,
    cell: int = 27,
) -> Markup:
    """Counts by row and column, the number in each cell; empty cells and rows are hatched, not blank."""
    top = max((n for row in cells.values() for n in row.values()), default=0)
    head = 12 + 13 * max((len(c.names.zh) for c in columns), default=4)
    left = labels_width(r.names for r in rows)
    width = left + cell * len(columns) + 6
    parts: list[str] = [_hatch()]
    for j, column in enumerate(columns):
        x = left + cell * j + cell / 2
        letters = [
            tag("tspan", letter, x=x, dy=13 if i else 0) for i, letter in enumerate(column.names.zh)
        ]
        y = head - 6.0 - 13 * (len(column.names.zh) - 1)
        title = tag("title", f"{column.names.zh} {column.names.en}")
        off = "" if column.covered else " off"
        parts.append(text(x, y, title, *letters, text_anchor="middle", class_=f"column-name{off}"))
    y = head
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            y += 22
            parts.append(text(4, y - 6, both(group), class_="group"))
            parts.append(tag("line", x1=4, x2=width - 6, y1=y - 1, y2=y - 1, class_="rule"))
        parts += _heat_row(row, columns, cells.get(row.id, {}), y, cell, left, top)
        y += cell
    return chart(width, y + 4, label, *parts, least=940)


def _heat_row(
    row: HeatRow,
    columns: Sequence[HeatColumn],
    values: Mapping[str, int],
    y: float,
    cell: int,
    left: int,
    top: int,
) -> list[str]:
    names = Names(f"◇ {row.names.zh}" if row.noted else row.names.zh, row.names.en)
    off = "" if row.covered else " off"
    parts: list[str] = [
        text(left - 8, y + cell / 2 + 4, both(names), text_anchor="end", class_=f"row-name{off}")
    ]
    for j, column in enumerate(columns):
        n = values.get(column.id, 0)
        shade = level(n, top)
        x = left + cell * j
        title = tag("title", f"{row.names.zh} × {column.names.zh}：{n} 条 / {n} samples")
        box = tag(
            "rect", x=x + 1, y=y + 1, width=cell - 2, height=cell - 2, rx=2, class_=f"h{shade}"
        )
        inner: list[str] = [title, box]
        if n:
            words = count(n) if n < 1000 else f"{n / 1000:.0f}k"
            inner.append(
                text(
                    x + cell / 2, y + cell / 2 + 4, words, text_anchor="middle", class_=f"t{shade}"
                )
            )
        parts.append(tag("g", *inner))
    return parts


def _hatch() -> Markup:
    line = tag("path", d="M-1,7 l8,-8 M0,6 l6,-6 M5,7 l2,-2", class_="hatch")
    return tag(
        "defs",
        tag("pattern", line, id="hatch", width=6, height=6, patternUnits="userSpaceOnUse"),
    )
