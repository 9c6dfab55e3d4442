"""Bar charts of a dataset's making: the funnel from rows to samples, and how long samples are.

As in `svg`: no colours here, a text alternative on each chart, a table with the same numbers beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from wardround.report.dataset_shapes import Histogram, Step
from wardround.report.formats import Names, count
from wardround.report.svg import both, chart, labels_width, tag, text, tick_text, ticks

BAR, GAP, LOW = 22, 10, 1.5


def funnel(steps: Sequence[Step], *, label: str, width: int = 900) -> Markup:
    """One bar a step, from the left, as long as its number; the number beside it."""
    names = [Names(s.zh or s.step, s.en) for s in steps]
    left = labels_width(names, noted=False)
    top = max((s.n for s in steps), default=0) or 1
    room = width - left - 90
    parts: list[str] = []
    for i, (step, name) in enumerate(zip(steps, names, strict=True)):
        y = i * (BAR + GAP) + 4
        middle = y + BAR / 2 + 4
        long = max(room * step.n / top, LOW if step.n else 0)
        parts.append(text(left - 10, middle, both(name), text_anchor="end", class_="row-name"))
        parts.append(tag("rect", x=left, y=y, width=long, height=BAR, rx=2, class_="h4"))
        parts.append(text(left + long + 8, middle, count(step.n), class_="value strong"))
    return chart(width, len(steps) * (BAR + GAP) + 4, label, *parts, least=620)


def histogram(found: Histogram, *, axis: Names, label: str, width: int = 490) -> Markup:
    """Bars of equal width, one a bin, whatever the bin's span; edges below."""
    if not found.counts:
        return Markup("")
    height, bottom, left, right = 230, 180, 52, width - 28
    top = max(found.counts) or 1
    step = (right - left) / len(found.counts)
    parts: list[str] = []
    for value in ticks(0, top, about=4):
        y = bottom - (bottom - 14) * value / top
        parts.append(tag("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(text(left - 7, y + 4, tick_text(value), text_anchor="end"))
    for i, n in enumerate(found.counts):
        tall = max((bottom - 14) * n / top, LOW if n else 0)
        title = tag("title", f"{span_of(found, i)}：{count(n)}")
        box = tag(
            "rect", title, x=left + step * i + 1, y=bottom - tall, width=max(step - 2, 1),
            height=tall, class_="h4",
        )  # fmt: skip
        parts.append(box)
    every = max(1, -(-len(found.bins) // 9))
    for i, edge in enumerate(found.bins):
        if i % every == 0:
            parts.append(text(left + step * i, bottom + 17, tick_text(edge), text_anchor="middle"))
    parts.append(tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis"))
    middle = (left + right) / 2
    parts.append(text(middle, height - 8, both(axis), text_anchor="middle", class_="axis-title"))
    return chart(width, height, label, *parts, least=330)


def span_of(found: Histogram, i: int) -> str:
    """The i-th bin in words: "100–199", the last one "≥ 2,000" where it is open."""
    low = found.bins[i]
    if i + 1 >= len(found.bins):
        return f"≥ {tick_text(low)}"
    return f"{tick_text(low)}–{tick_text(found.bins[i + 1] - 1)}"
