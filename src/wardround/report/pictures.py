"""Every picture of a run with its truth, the answers of all models to it, and their verdicts.

A record names the picture, the digest of its file and of the bytes that were sent. The picture is looked for where the
run had its data and shown only when its digest is still the same: a page never shows another picture than was asked
about. What is shown is what was sent, reduced; files that were never prepared are prepared again here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import sha256_file
from wardround.images.held import HeldBack
from wardround.images.labels import CLEAN_EN, CLEAN_ZH, LISTS, MODALITIES, shown
from wardround.images.picture import prepare, side_by_side, thumbnail
from wardround.records import Record, Score
from wardround.report.formats import Names
from wardround.report.reading import Source
from wardround.report.scores import Shown
from wardround.report.shapes import RunItem

MOST = 300
"""Pictures on one page; more would make it tens of megabytes."""
CONTROL = "_no_image"
GONE = Names("图像不在原处或已改变", "the picture isn't where it was, or has changed")


class Said(Record, frozen=True, kw_only=True):
    """One answer about a picture: by which run, how it was asked, which labels it gave, and the whole of it."""

    run: Names
    asked: Names
    labels: Names
    score: Score
    answer: str


class Pictured(Record, frozen=True, kw_only=True):
    """One picture: `url` a `data:` URL, empty with `problem` where it can't be shown."""

    benchmark: str
    name: str
    modality: Names
    truth: Names
    url: str
    problem: Names | None
    said: tuple[Said, ...]


def pictures(runs: Sequence[Shown]) -> dict[str, Any] | None:
    """What the section shows, in the order of the first run's records; None when no record has a picture."""
    found: dict[tuple[str, str], list[tuple[Shown, RunItem, Mapping[str, Any]]]] = {}
    for run in runs:
        for item in run.source.rows("records.jsonl", RunItem):
            detail = next((s.detail for s in item.judges.values()), {})
            if "sent" in detail and "modality" in detail and item.repeat == 1:
                name = item.case.removesuffix(f"@o{detail['order']}")
                key = (item.benchmark.removesuffix(CONTROL), name)
                found.setdefault(key, []).append((run, item, detail))
    if not found:
        return None
    shown_ones = list(side_by_side(lambda x: _pictured(*x), list(found.items())[:MOST]))
    return {"pictures": shown_ones, "all": len(found), "most": MOST}


def _pictured(
    key: tuple[str, str], items: Sequence[tuple[Shown, RunItem, Mapping[str, Any]]]
) -> Pictured:
    run, first, detail = items[0]
    modality = str(detail["modality"])
    url = picture_url(run.source, first.benchmark, detail)
    order = {id(r): k for k, (r, _, _) in enumerate(items)}
    items = sorted(items, key=lambda x: (order[id(x[0])], x[1].benchmark, x[2]["order"]))
    alike: dict[tuple[int, str, str], list[tuple[Shown, RunItem, Mapping[str, Any]]]] = {}
    for r, item, d in items:  # the same words under several orders are one line
        alike.setdefault((id(r), item.benchmark, item.answer or ""), []).append((r, item, d))
    said = [
        Said(
            run=found[0][0].names,
            asked=_asked(found[0][1].benchmark, [d for _, _, d in found]),
            labels=label_names(modality, found[0][2]["said"], found[0][2]["unlisted"]),
            score=found[0][1].score,
            answer=answer,
        )
        for (_, _, answer), found in alike.items()
    ]
    return Pictured(
        benchmark=key[0], name=key[1], modality=Names(*MODALITIES[modality]),
        truth=label_names(modality, detail["truth"], ()), url=url, problem=None if url else GONE,
        said=tuple(said),
    )  # fmt: skip


def _asked(benchmark: str, details: Sequence[Mapping[str, Any]]) -> Names:
    zh, en = ("无图", "without the picture") if benchmark.endswith(CONTROL) else ("看图", "with it")
    if details[0]["orders"] > 1:
        orders = [str(d["order"]) for d in details]
        return Names(f"{zh} · 顺序 {'、'.join(orders)}", f"{en}, order {', '.join(orders)}")
    return Names(zh, en)


def label_names(modality: str, labels: Sequence[str] | None, unlisted: Sequence[str]) -> Names:
    if labels is None:
        return Names("未读出", "unread")
    if not labels and not unlisted:
        return Names(CLEAN_ZH, CLEAN_EN)
    assert modality in LISTS
    other = [f"“{text}”" for text in unlisted]
    return Names(
        "、".join([*(shown(modality, x) for x in labels), *other]),
        ", ".join([*(shown(modality, x, "en") for x in labels), *other]),
    )


def picture_url(source: Source, benchmark: str, detail: Mapping[str, Any]) -> str:
    """The picture that was sent, reduced, as a `data:` URL; "" when it isn't to be had."""
    data = next((r for r in source.inputs if r.role == f"data:{benchmark}"), None)
    if data is None:
        return ""
    place = source.path / data.path
    root = place.parent if data.kind == "file" else place
    path: Path = root / str(detail["image"])
    try:
        digest = sha256_file(path)
        if digest == detail["sent"]:
            return thumbnail(path.read_bytes())
        if digest == detail["original"]:
            return thumbnail(prepare(path, text_reviewed=True).data)
    except (OSError, HeldBack):
        return ""
    return ""
