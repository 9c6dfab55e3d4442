"""Charts of many runs: how scores change over the turns, one small panel a run, and score against cost.

As in `svg`: no colours here, a text alternative on each chart, a table with the same numbers beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from wardround.records import Record
from wardround.report.formats import NOTHING, UNSCORED, Names, interval, score, shortened
from wardround.report.shapes import Estimate
from wardround.report.svg import (
    Frame,
    both,
    chart,
    marker,
    tag,
    text,
    tick_text,
    ticks,
    width_of,
)

Box = tuple[float, float, float, float]


class Course(Record, frozen=True, kw_only=True):
    """One run's means over the turns, in their order."""

    names: Names
    turns: tuple[tuple[int, Estimate], ...]


def around(estimates: Sequence[Estimate], scale: tuple[float, float]) -> tuple[float, float]:
    """A range that holds every interval with some room, within the scale; the whole scale where nothing is known."""
    values = [v for e in estimates for v in (e.mean, e.low, e.high) if v is not None]
    if not values:
        return scale
    room = 0.06 * (max(values) - min(values)) or 0.05 * (scale[1] - scale[0])
    return max(scale[0], min(values) - room), min(scale[1], max(values) + room)


def courses(runs: Sequence[Course], scale: tuple[float, float]) -> list[Markup]:
    """A panel for each run, all on the same axes: its own line with intervals, the others faint behind it."""
    span = around([e for r in runs for _, e in r.turns], scale)
    places = [turn for r in runs for turn, _ in r.turns]
    if not places:
        return []
    frame = Frame(
        left=38, top=26, right=206, bottom=126, x=(float(min(places)), float(max(places))), y=span
    )
    return [_panel(run, runs, frame) for run in runs]


def _panel(run: Course, runs: Sequence[Course], frame: Frame) -> Markup:
    parts: list[str] = [text(2, 14, shortened(run.names.zh, 30), class_="panel-name")]
    for value in ticks(*frame.y, about=5):
        y = frame.py(value)
        parts.append(tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="grid"))
        parts.append(text(frame.left - 6, y + 4, tick_text(value), text_anchor="end"))
    for turn in sorted({t for r in runs for t, _ in r.turns}):
        words = both(Names(f"第 {turn} 轮", f"turn {turn}"), gap=3)
        parts.append(text(frame.px(turn), frame.bottom + 16, words, text_anchor="middle"))
    known = any(e.mean is not None for _, e in run.turns)
    for other in runs if known else ():
        if other is not run:
            parts += _course(other, frame, "ghost")
    for turn, e in run.turns:
        if e.low is not None and e.high is not None:
            x = frame.px(turn)
            parts.append(
                tag("line", x1=x, x2=x, y1=frame.py(e.low), y2=frame.py(e.high), class_="range s1")
            )
    parts += _course(run, frame, "s1")
    for turn, e in run.turns:
        if e.mean is not None:
            parts.append(marker("s1", frame.px(turn), frame.py(e.mean), 4.2))
            parts.append(
                text(frame.px(turn) + 6, frame.py(e.mean) - 6, score(e.mean), class_="value")
            )
    if not known:
        middle = (frame.left + frame.right) / 2
        parts.append(text(middle, 80, both(UNSCORED), text_anchor="middle", class_="unscored"))
    said = "；".join(f"第 {t} 轮 turn {t} {score(e.mean)} {interval(e)}" for t, e in run.turns)
    return chart(248, 148, f"{run.names.zh}：{said or NOTHING}", *parts, least=200)


def _course(run: Course, frame: Frame, style: str) -> list[str]:
    """The line through a run's means; broken where a turn has none."""
    parts: list[str] = []
    points: list[str] = []
    for turn, e in (*run.turns, (0, None)):
        if e is not None and e.mean is not None:
            points.append(f"{frame.px(turn):.1f},{frame.py(e.mean):.1f}")
            continue
        if len(points) > 1:
            parts.append(tag("polyline", points=" ".join(points), class_=f"line {style}"))
        points = []
    return parts


class Point(Record, frozen=True, kw_only=True):
    """One run's cost and score; `style` is its mark."""

    names: Names
    cost: float
    estimate: Estimate
    style: str = "s1"


def scatter(
    points: Sequence[Point],
    *,
    x: Names,
    y: Names,
    scale: tuple[float, float],
    label: str,
    width: int = 980,
    height: int = 430,
) -> Markup:
    """Cost against score with the scores' intervals, each point named; x logarithmic over more than a factor of 10.

    Costs are above zero and every estimate has a mean.
    """
    costs = [p.cost for p in points]
    log = max(costs) > 10 * min(costs)
    low, high = _spread(costs, log=log)
    frame = Frame(
        left=52, top=30, right=width - 16, bottom=height - 46,
        x=(low, high), y=around([p.estimate for p in points], scale),
    )  # fmt: skip
    parts: list[str] = [text(2, 14, both(y), class_="axis-title")]
    for value in ticks(*frame.y):
        at = frame.py(value)
        parts.append(tag("line", x1=frame.left, x2=frame.right, y1=at, y2=at, class_="grid"))
        parts.append(text(frame.left - 7, at + 4, tick_text(value), text_anchor="end"))
    for value in _decades(low, high) if log else ticks(low, high, 6):
        at = frame.px(math.log10(value) if log else value)
        parts.append(tag("line", x1=at, x2=at, y1=frame.top, y2=frame.bottom, class_="grid"))
        parts.append(text(at, frame.bottom + 18, tick_text(value), text_anchor="middle"))
    parts.append(
        tag("line", x1=frame.left, x2=frame.right, y1=frame.bottom, y2=frame.bottom, class_="axis")
    )
    title = Names(f"{x.zh}（对数刻度）", f"{x.en}, log scale") if log else x
    middle = (frame.left + frame.right) / 2
    parts.append(text(middle, height - 8, both(title), text_anchor="middle", class_="axis-title"))
    return chart(width, height, label, *parts, *_points(points, frame, log=log))


def _spread(costs: Sequence[float], *, log: bool) -> tuple[float, float]:
    """The x axis: from zero unless logarithmic, with room at the ends for marks and names."""
    if not log:
        return 0.0, max(costs) * 1.12
    low, high = math.log10(min(costs)), math.log10(max(costs))
    return low - 0.06 * (high - low), high + 0.12 * (high - low)


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten between the logarithms `low` and `high`; over four decades only the 1."""
    steps = (1, 2, 5) if high - low <= 4 else (1,)
    found = (m * 10.0**p for p in range(math.floor(low), math.ceil(high) + 1) for m in steps)
    return [v for v in found if low <= math.log10(v) <= high]


def _points(points: Sequence[Point], frame: Frame, *, log: bool) -> list[str]:
    """Whiskers, then marks, then names where they cover none of the others."""
    at = [
        (frame.px(math.log10(p.cost) if log else p.cost), frame.py(p.estimate.mean or 0.0))
        for p in points
    ]
    whiskers: list[str] = []
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in at]
    for p, (x, _) in zip(points, at, strict=True):
        e = p.estimate
        if e.low is None or e.high is None:
            continue
        top, bottom = frame.py(e.high), frame.py(e.low)
        taken.append((x - 2, top, x + 2, bottom))
        whiskers.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=f"range {p.style}"))
        whiskers += [
            tag("line", x1=x - 3, x2=x + 3, y1=end, y2=end, class_=f"cap {p.style}")
            for end in (top, bottom)
        ]
    marks = [marker(p.style, x, y) for p, (x, y) in zip(points, at, strict=True)]
    names = [
        _name(shortened(p.names.zh), x, y, frame, taken)
        for p, (x, y) in zip(points, at, strict=True)
    ]
    return [*whiskers, *marks, *names]


def _name(words: str, x: float, y: float, frame: Frame, taken: list[Box]) -> str:
    """A point's name beside it, at the first place that is free, else the one that covers least."""
    wide = width_of(words, 11.5)
    around_it = [(9.0, dy) for dy in (4.0, -8.0, 16.0, -20.0, 28.0, -32.0, 40.0)]
    places = [(x + dx, y + dy) for dx, dy in around_it]
    places += [(x - dx - wide, y + dy) for dx, dy in around_it]
    boxes = [(a, b - 10, a + wide, b + 3) for a, b in places]
    inside = [
        box
        for box in boxes
        if box[0] >= frame.left and box[2] <= frame.right + 14 and frame.top <= box[1]
        and box[3] <= frame.bottom
    ] or boxes  # fmt: skip
    box = min(inside, key=lambda box: sum(_shared(box, other) for other in taken))
    taken.append(box)
    return text(box[0], box[3] - 3, words, class_="value")


def _shared(a: Box, b: Box) -> float:
    """The area two boxes share."""
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * tall if wide > 0 and tall > 0 else 0.0
