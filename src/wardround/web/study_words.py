"""How a study's states, outcomes, reasons and figures are said and drawn, for the coordinator's and the panel's pages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from wardround.metrics.panel import MEASURES, REASONS, Coefficient
from wardround.report import svg
from wardround.report.formats import score, signed
from wardround.review.figures import Window
from wardround.review.history import Version
from wardround.review.study import ITEM_STATES, Field, Part, StudyConfig
from wardround.taxonomy import specialties
from wardround.web.words import pair, t

STATES = ("accepted", "done", "open", "revising", "drafting", "panel", "rejected")
"""Order of the bar: settled well, on the way, before the panel, settled badly."""
OUTCOMES: dict[str, tuple[str, str]] = {
    "accepted": ("达成一致，通过", "consensus: accepted"),
    "failed": ("未达成一致", "no consensus"),
    "done": ("已评完", "reviewed"),
    "panel_accepted": ("专家组裁定：通过", "panel: accepted"),
    "panel_rejected": ("专家组裁定：否决", "panel: rejected"),
}
NEXT: dict[str, tuple[str, str]] = {
    "revision": ("由评审修改", "a reviewer revises"),
    "regeneration": ("由模型重写", "the model writes it again"),
    "panel": ("交专家组", "to the panel"),
}
DECISIONS: dict[str, tuple[str, str]] = {
    "accept": ("采纳原稿", "a version accepted"),
    "amend": ("改后采纳", "amended and accepted"),
    "reject": ("否决", "rejected"),
}
JOBS: dict[str, tuple[str, str]] = {
    "queued": ("排队", "queued"),
    "running": ("进行中", "running"),
    "failed": ("失败", "failed"),
    "done": ("完成", "done"),
    "cancelled": ("已取消", "cancelled"),
}
CODES: dict[str, tuple[str, str]] = {
    "wrong_answer": ("答案错误", "wrong answer"),
    "unreadable": ("模型回复无法读取", "the model's reply could not be read"),
    "median": ("中位数偏低", "median too low"),
    "low": ("有过低的分", "a score too low"),
    "spread": ("意见分歧", "scores too far apart"),
    "missing": ("评分不全", "scores missing"),
}
COMMENTS: dict[str, tuple[str, str]] = {
    "rationale": (
        "分数低于 {least:g} 时请写明理由，便于修改",
        "Below {least:g}, please say why: it guides the next draft",
    ),
    "sample": (
        "有问题时请写明：哪里与原文不符、缺什么、应怎样改",
        "If there is a fault: what differs from the source or is missing, and how to mend it",
    ),
    "verdict": (
        "请写明失分之处：哪里错了、漏了什么，有无安全问题",
        "What cost points: what is wrong or missing, and whether it could do harm",
    ),
    "pair": (
        "请写明取舍的理由：差在哪里，有无错误或安全问题",
        "Why this one: where the other falls short, any error or harm",
    ),
    "image": (
        "请写明所见依据；不能确定时写明原因",
        "What you see that decides it; if unsure, why",
    ),
    "item": (
        "需要改动或有错误时，请写明理由和出处",
        "If it needs a change or is wrong: why, and by which source",
    ),
}
"""What a comment is for, by kind of study, in the empty box. `{least}`: below which score a round fails."""
ERRORS: tuple[tuple[re.Pattern[str], tuple[str, str]], ...] = (
    (re.compile(r"no model named|cannot be used as a model|no key in"), ("模型没有配置好：", "model not set up: ")),
    (re.compile(r"no answer from|[Cc]annot connect|[Cc]onnection refused|timed? ?out"), ("连不上模型服务：", "endpoint out of reach: ")),
    (re.compile(r"https?://|HTTP [45]\d\d|[45]\d\d "), ("模型服务报错：", "the endpoint said: ")),
    (re.compile(""), ("模型任务出错：", "the job failed: ")),
)  # fmt: skip
"""What an error of a model job looks like → what it is; the first that fits."""
UNDEFINED = {"unanimous": ("未定义：评分完全一致", "undefined: unanimous")}
AUTHORS: dict[str, tuple[str, str]] = {
    "model": ("模型", "model"),
    "reviewer": ("评审修改", "reviewer"),
    "panel": ("专家组", "panel"),
    "source": ("原始数据", "source"),
}
DIFF_LIMIT = 20_000
"""Characters up to which two texts are compared letter by letter."""


def specialty(name: str) -> str:
    """A specialty's name in the language of this request."""
    found = specialties().get(name)
    return (
        t(found.zh, found.en)
        if found
        else t("未分科", "no specialty")
        if name == "unmapped"
        else name
    )


def state(name: str) -> str:
    """An item's state."""
    return pair(ITEM_STATES[name]) if name in ITEM_STATES else name


def job_error(text: str) -> tuple[str, str]:
    """(what kind of error it is, the error in its own words)."""
    return pair(next(names for pattern, names in ERRORS if pattern.search(text))), text


def comment_hint(config: StudyConfig) -> str:
    """What the comment of this kind of study is for."""
    return pair(COMMENTS[config.kind]).format(least=config.rule.median_at_least)


def field_name(config: StudyConfig, name: str) -> str:
    """A field's name."""
    return next((t(f.zh, f.en) for f in config.form if f.id == name), name)


def level_name(config: StudyConfig, name: str, value: Any) -> str:
    """A score as the form calls it: the number of a scale, the word of a choice, words of labels."""
    field = next((f for f in config.form if f.id == name), None)
    if isinstance(value, list):
        return "、".join(level_name(config, name, v) for v in value)
    if field is None or field.kind == "scale":
        return str(value)
    return next((t(x.zh, x.en) for x in field.levels if x.value == value), str(value))


def reasons(config: StudyConfig, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why a round failed: one line for each code, with its fields and values."""
    lines: dict[tuple[str, Any], list[str]] = {}
    for one in found:
        if one.get("by"):
            continue
        name = field_name(config, one["field"]) if one.get("field") else ""
        value = one.get("value")
        shown = f"{name} {value:g}" if value is not None and one["code"] != "missing" else name
        lines.setdefault((one["code"], one.get("wanted")), []).append(shown)
    return [_line(code, wanted, names) for (code, wanted), names in lines.items()]


def _line(code: str, wanted: Any, names: Sequence[str]) -> str:
    words = pair(CODES.get(code, (code, code)))
    bound = {"median": "≥", "low": "≥", "spread": "≤"}.get(code)
    if bound and wanted is not None:
        words += t(f"（要求 {bound} {wanted:g}）", f" (wanted {bound} {wanted:g})")
    fields = t("、", ", ").join(n for n in names if n)
    return f"{words}{t('：', ': ')}{fields}" if fields else words


def undefined(found: Coefficient) -> str:
    """Why a measure has no value."""
    key = found.undefined or "too_few"
    return pair(UNDEFINED.get(key) or REASONS[key])


def measure(name: str) -> str:
    """A measure's name."""
    return pair(MEASURES[name])


def no_interval(found: Coefficient) -> str:
    """Why a value has no interval."""
    return pair(REASONS[found.no_interval]) if found.no_interval else ""


def number(value: float) -> str:
    """Two decimals with a true minus sign; no sign for what rounds to 0."""
    return signed(value).removeprefix("+")


def seconds(value: float | None) -> str:
    """A time spent, in words."""
    if value is None:
        return "—"
    if value < 90:
        return t(f"{value:.0f} 秒", f"{value:.0f} s")
    return t(f"{value / 60:.1f} 分", f"{value / 60:.1f} min")


def author(version: Version) -> str:
    """Who wrote a version."""
    return f"{pair(AUTHORS.get(version.author_kind, ('', '')))} {version.author}".strip()


# -- texts --------------------------------------------------------------------------------------------------


def differences(version: Version) -> list[tuple[Part, list[tuple[str, str]]]]:
    """Each part against the version before: pieces of kind "=", "-", "+". Parts that went come last."""
    old = {p.id: p.text for p in version.before}
    found = [(p, pieces(old.pop(p.id, ""), p.text)) for p in version.content]
    gone = {p.id: p for p in version.before}
    return found + [(gone[k], [("-", text)]) for k, text in old.items() if text]


def pieces(a: str, b: str) -> list[tuple[str, str]]:
    """What of `a` went and what came in `b`; short islands of what stayed are swallowed, to be readable."""
    if a == b:
        return [("=", a)]
    if not a or not b or len(a) + len(b) > DIFF_LIMIT:
        return [(kind, text) for kind, text in (("-", a), ("+", b)) if text]
    out: list[tuple[str, str]] = []
    went = came = ""
    for kind, i, j, k, m in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if kind == "equal" and (j - i > 2 or not (went or came)):
            out += [(sign, text) for sign, text in (("-", went), ("+", came)) if text]
            went = came = ""
            out.append(("=", a[i:j]))
        else:
            went, came = went + a[i:j], came + b[k:m]
    return out + [(sign, text) for sign, text in (("-", went), ("+", came)) if text]


def segments(text: str, marks: Sequence[tuple[int, int]]) -> list[tuple[bool, str]]:
    """A text cut at its marks: (marked, text)."""
    out, at = [], 0
    for start, end in marks:
        out += [(False, text[at:start]), (True, text[start:end])]
        at = end
    return [(marked, words) for marked, words in [*out, (False, text[at:])] if words]


# -- drawings -----------------------------------------------------------------------------------------------


def bar(states: Mapping[str, int]) -> Markup:
    """Items by state as one bar; the page lists the numbers beside it."""
    total = sum(states.values())
    width, x = 1000.0, 0.0
    parts: list[str] = []
    for name in STATES:
        n = states.get(name, 0)
        if not n:
            continue
        share = max(width * n / total, 3.0)
        label = f"{state(name)} {n:,}"
        parts.append(
            svg.tag("rect", svg.tag("title", label), x=x, y=0, width=share, height=26, class_=f"st {name}")
        )  # fmt: skip
        x += share
    said = "，".join(f"{state(n)} {states[n]}" for n in STATES if states.get(n))
    return svg.tag(
        "svg", svg.tag("title", t(f"条目状态：{said}", f"Items by state: {said}")), *parts,
        class_="statebar", role="img", viewBox=f"0 0 {max(x, 1.0):.0f} 26", preserveAspectRatio="none",
    )  # fmt: skip


def over_time(field: Field, windows: Sequence[Window], number: int) -> Markup:
    """One field's two measures, window by window, with intervals. What is undefined leaves a gap."""
    series = [
        [w.dimensions[number].measures[m] for w in windows]
        for m in range(len(windows[0].dimensions[number].measures))
    ]
    lows = [v for s in series for c in s for v in (c.low, c.value) if v is not None]
    bottom = min([0.0, *lows])
    bottom = 0.0 if bottom >= 0 else max(-1.0, -(-bottom // 0.2 + 1) * 0.2)
    frame = svg.Frame(
        left=40,
        top=14,
        right=452,
        bottom=190,
        x=(-0.35, max(len(windows) - 1, 1) + 0.2),
        y=(bottom, 1.0),
    )
    parts: list[str] = []
    for value in svg.ticks(bottom, 1.0):
        y = frame.py(value)
        parts.append(svg.tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="zero" if value == 0 and bottom < 0 else "grid"))  # fmt: skip
        parts.append(svg.text(frame.left - 6, y + 4, svg.tick_text(value), text_anchor="end"))
    told = range(0, len(windows), -(-len(windows) // 6))
    when = moments([windows[n].end for n in told])
    room = 1 if len(when) <= 4 or len(when[0]) <= len("12-31") else 2  # day and clock are wide
    parts += [
        svg.text(frame.px(n), frame.bottom + 18, w, text_anchor="middle")
        for n, w in zip(told[::room], when[::room], strict=True)
    ]
    for n, found in enumerate(series):
        parts += _series(found, frame, f"s{n}", (n - 0.5) * 7)
    name = t(field.zh, field.en)
    said = "；".join(
        f"{measure(found[0].measure)}："
        + "、".join(score(c.value) if c.value is not None else undefined(c) for c in found)
        for found in series
    )
    ident = f"time-{number}"
    return svg.tag(
        "svg",
        svg.tag("title", t(f"{name}的一致性随时间变化", f"Agreement on {name} over time"), id=f"{ident}-t"),
        svg.tag("desc", said, id=f"{ident}-d"), *parts,
        class_="chart", role="img", viewBox="0 0 470 216",
        aria_labelledby=f"{ident}-t", aria_describedby=f"{ident}-d",
    )  # fmt: skip


def _series(found: Sequence[Coefficient], frame: svg.Frame, style: str, aside: float) -> list[str]:
    parts: list[str] = []
    run: list[str] = []
    for n, c in enumerate(found):
        if c.value is None:
            parts += _run(run, style)
            run = []
            continue
        x, y = frame.px(n) + aside, frame.py(c.value)
        run.append(f"{x:.1f},{y:.1f}")
        if c.low is not None and c.high is not None:
            top, low = frame.py(c.high), frame.py(max(c.low, frame.y[0]))
            parts.append(svg.tag("line", x1=x, x2=x, y1=top, y2=low, class_=f"range {style}"))
        parts.append(svg.marker(style, x, y))
    return parts + _run(run, style)


def _run(points: Sequence[str], style: str) -> list[str]:
    return [svg.tag("polyline", points=" ".join(points), class_=f"line {style}")] if len(points) > 1 else []  # fmt: skip


def moments(ends: Sequence[int]) -> list[str]:
    """Times (ms) as short as they tell them apart: by day, within one day by the clock, else by both."""
    at = [datetime.fromtimestamp(ms / 1000).astimezone() for ms in ends]
    days = [a.strftime("%m-%d") for a in at]
    if len(set(days)) == len(days):
        return days
    clock = [a.strftime("%H:%M") for a in at]
    return (
        clock if len(set(days)) == 1 else [" ".join(both) for both in zip(days, clock, strict=True)]
    )
