"""How numbers, names and labels are written in every report, so that all pages agree.

Scores have two decimals, counts thousands separators, intervals square brackets; what is not there is "—",
never 0. Names come in pairs, Chinese first.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from wardround.report.shapes import Estimate

NOTHING = "—"
UNSCORED = ("未评分", "unscored")


class Names(NamedTuple):
    """One name in Chinese and English; `en` may be empty."""

    zh: str
    en: str = ""


KINDS = {
    "dataset": Names("数据集", "dataset"),
    "run": Names("评测", "run"),
    "comparison": Names("对比", "comparison"),
    "checkpoint": Names("模型", "checkpoint"),
    "agreement": Names("一致性", "agreement"),
    "demo": Names("全流程演示", "demo"),
    "file": Names("文件", "file"),
    "directory": Names("文件夹", "directory"),
    "disagreements": Names("分歧清单", "disagreements"),
    "testset": Names("测试集", "test set"),
    "curve": Names("得分曲线", "curve"),
    "images": Names("图像集", "set of pictures"),
    "candidates": Names("推理候选", "candidates"),
    "review": Names("专家评审", "expert review"),
    "survey": Names("需求调查", "needs survey"),
    "samples": Names("示例输出", "sample outputs"),
}
STATES = {
    "scored": Names("已评分", "scored"),
    "unscored": Names("未评分", "unscored"),
    "failed": Names("失败", "failed"),
}
ORIGINS = {
    "published": Names("已发表", "published"),
    "reconstructed": Names("本项目补足", "reconstructed"),
    "survey": Names("需求调查", "needs survey"),
}


def kind_names(kind: str) -> Names:
    """The names of an artifact kind; an unknown kind keeps its own word."""
    return KINDS.get(kind, Names(kind))


def origin_names(origin: str) -> Names:
    """The names of an item's origin; an unknown one keeps its own word."""
    return ORIGINS.get(origin, Names(origin or NOTHING))


def split_label(label: str) -> Names:
    """A label "中文 / English" as a pair; a label in one language stays whole."""
    zh, slash, en = label.partition(" / ")
    return Names(zh.strip(), en.strip()) if slash else Names(label.strip())


def count(value: int | float | None) -> str:
    """12345 → "12,345"."""
    return NOTHING if value is None else f"{value:,.0f}"


def score(value: float | None) -> str:
    """Two decimals; "—" for None or NaN."""
    if value is None or math.isnan(value):
        return NOTHING
    return f"{value:,.2f}"


def signed(value: float | None) -> str:
    """Two decimals with a sign ("+1.20", "−0.30", "0.00")."""
    if value is None or math.isnan(value):
        return NOTHING
    text = f"{abs(value):,.2f}"
    if text == "0.00":
        return text
    return ("+" if value > 0 else "−") + text


def money(value: float | None) -> str:
    """Two decimals, or two figures of what is smaller; without a currency, which only the user knows."""
    if value is None:
        return NOTHING
    if value == 0 or value >= 0.1:
        return f"{value:,.2f}"
    return f"{value:.{1 - math.floor(math.log10(value))}f}"


def p_value(value: float | None) -> str:
    """Three decimals, "< 0.001" below that."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(e: Estimate, *, sign: bool = False) -> str:
    """ "[5.92, 6.70]", or "—" where there is none."""
    if e.low is None or e.high is None:
        return NOTHING
    write = signed if sign else score
    return f"[{write(e.low)}, {write(e.high)}]"


def share(value: float | None) -> str:
    """0.1234 → "12.3%"; "—" for None."""
    return NOTHING if value is None or math.isnan(value) else f"{value * 100:.1f}%"


def estimate_of(value: Any) -> Estimate | None:
    """An estimate cell of a table, as its JSON has it; None where it is empty."""
    if not isinstance(value, dict) or value.get("mean") is None:
        return None
    return Estimate(
        mean=value["mean"], low=value.get("low"), high=value.get("high"), n=value.get("n") or 0
    )


def cell(kind: str, value: Any) -> str:
    """A cell of a benchmark's own table as text: kinds "count", "number", "share", "estimate", else as it is."""
    if kind == "estimate":
        found = estimate_of(value)
        if found is None:
            return NOTHING
        return f"{score(found.mean)} {interval(found)}".removesuffix(f" {NOTHING}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        writers = {"count": count, "number": score, "share": share}
        return writers[kind](value) if kind in writers else f"{value:g}"
    return NOTHING if value is None or value == "" else plain(value)


def percent(level: float) -> str:
    """0.95 → "95%"."""
    return f"{level * 100:g}%"


def seconds(value: float | None) -> str:
    """ "0.4 s", "12 s", "3 min 05 s", "2 h 03 min"."""
    if value is None:
        return NOTHING
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(value: int) -> str:
    """Bytes as "512 B", "1.4 kB", "20.3 MB" (powers of 1000)."""
    amount = float(value)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def short(digest: str) -> str:
    """The first twelve characters of a digest."""
    return digest[:12]


def shortened(words: str, most: int = 24) -> str:
    """A name cut in its middle, since its end (a size, a date, an epoch) often tells it from the next."""
    if len(words) <= most:
        return words
    head = (most - 1) // 2
    return f"{words[:head]}…{words[len(words) - (most - 1 - head) :]}"


def plain(value: Any) -> str:
    """A configuration value as text: strings as they are, the rest as JSON."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return count(value)
    from wardround.records import encode

    return encode(value).decode()
