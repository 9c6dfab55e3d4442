"""Scores over the versions of a test set as a line chart: one line a model, each point with its interval.

As in `svg`: no colours here, a text alternative, a table with the same numbers beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from wardround.records import Record
from wardround.report.formats import Names, interval, score
from wardround.report.league_charts import around
from wardround.report.shapes import Estimate
from wardround.report.svg import Frame, both, chart, marker, tag, text, tick_text, ticks

APART = 9
"""Pixels between the points of two models at one version, so that their intervals can be told apart."""


class Course(Record, frozen=True, kw_only=True):
    """One model's figures over the versions, in their order. `style` is the line's CSS class."""

    names: Names
    points: tuple[tuple[int, Estimate], ...]
    style: str


def over_versions(courses: Sequence[Course], *, y: Names, width: int = 620) -> Markup:
    """The chart. A version without a figure breaks the line; nothing is drawn at zero for it."""
    places = sorted({v for c in courses for v, _ in c.points})
    low, high = around([e for c in courses for _, e in c.points], (0.0, 1.0))
    room = 0.5 if len(places) < 2 else 0.12 * (places[-1] - places[0])
    frame = Frame(
        left=52, top=30, right=width - 60, bottom=250,
        x=(places[0] - room, places[-1] + room), y=(low, high),
    )  # fmt: skip
    parts: list[str] = [text(2, 14, both(y), class_="axis-title")]
    for value in ticks(low, high):
        at = frame.py(value)
        parts.append(tag("line", x1=frame.left, x2=frame.right, y1=at, y2=at, class_="grid"))
        parts.append(text(frame.left - 7, at + 4, tick_text(value), text_anchor="end"))
    for place in places:
        words = both(Names(f"第 {place} 版", f"version {place}"), gap=4)
        parts.append(text(frame.px(place), frame.bottom + 18, words, text_anchor="middle"))
    axis = tag(
        "line", x1=frame.left, x2=frame.right, y1=frame.bottom, y2=frame.bottom, class_="axis"
    )
    parts.append(axis)
    ends: list[tuple[float, str, str]] = []
    for k, course in enumerate(courses):
        parts += _drawn(course, frame, (k - (len(courses) - 1) / 2) * APART, ends)
    below = float("-inf")
    for at, written, style in sorted(ends):
        below = max(at, below + 13)
        parts.append(text(frame.right + 8, below, written, class_=f"value {style}"))
    said = "；".join(
        f"{c.names.zh}："
        + "，".join(f"第 {v} 版 version {v} {score(e.mean)} {interval(e)}" for v, e in c.points)
        for c in courses
    )
    return chart(width, 278, said, *parts, least=420)


def _drawn(
    course: Course, frame: Frame, shift: float, ends: list[tuple[float, str, str]]
) -> list[str]:
    """One model's line, intervals and marks; its last value goes into `ends`, to be written beside the chart."""
    lines: list[str] = []
    marks: list[str] = []
    joined: list[str] = []
    last: tuple[float, float] | None = None
    for place, e in course.points:
        x = frame.px(place) + shift
        if e.mean is None:
            lines += _line(joined, course.style)
            joined = []
            continue
        at = frame.py(e.mean)
        joined.append(f"{x:.1f},{at:.1f}")
        last = at, e.mean
        if e.low is not None and e.high is not None:
            top, bottom = frame.py(e.high), frame.py(e.low)
            marks.append(tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=f"range {course.style}"))
            marks += [
                tag("line", x1=x - 3, x2=x + 3, y1=end, y2=end, class_=f"cap {course.style}")
                for end in (top, bottom)
            ]
        marks.append(marker(course.style, x, at))
    lines += _line(joined, course.style)
    if last is not None:
        ends.append((last[0] + 4, score(last[1]), course.style))
    return [*lines, *marks]


def _line(points: Sequence[str], style: str) -> list[str]:
    return (
        [tag("polyline", points=" ".join(points), class_=f"line {style}")]
        if len(points) > 1
        else []
    )
