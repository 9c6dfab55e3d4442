"""What a review and its candidates hold, as plain tables: states, agreement by field, reviewers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wardround.metrics.panel import MEASURES, REASONS
from wardround.report.formats import Names
from wardround.report.reading import Source
from wardround.report.shapes import Column, Table
from wardround.review.study import ITEM_STATES

NAMES = {
    "candidates": Names("待评的推理", "Rationales to be reviewed"),
    "review": Names("专家评审", "Expert review"),
}
COUNTS = {
    "questions": ("题目", "questions"), "drafts": ("推理稿", "drafts"), "right": ("答对", "give the key"),
    "unreadable": ("读不出", "unreadable"), "failed": ("失败", "failed"), "skipped": ("未取的行", "rows left aside"),
    "items": ("项目", "items"), "gold": ("金标准", "gold items"), "reviews": ("评审", "reviews"),
    "reviewers": ("评审者", "reviewers"), "accepted": ("通过", "accepted"),
    "by_panel": ("经专家组", "by the panel"), "undecided": ("未通过", "not accepted"),
    "strikes": ("未通过轮次", "failed rounds"), "scores": ("评分", "scores"),
    "verdicts": ("结论", "verdicts"), "preferences": ("偏好对", "preference pairs"), "ties": ("不分高下", "ties"),
    "judged": ("已判", "judged"), "signed": ("已审定", "signed"),
    "signed_with_remarks": ("审定并附意见", "signed with remarks"),
    "not_signed": ("未审定", "not signed"), "waiting": ("待评", "waiting"),
}  # fmt: skip


def section(source: Source) -> dict[str, Any]:
    """The template's data, for the page that shows tables alone."""
    return {
        "most": 0, "charts": [], "pictures": [],
        "tables": [
            {"zh": t.zh, "en": t.en, "note_zh": t.note_zh, "note_en": t.note_en, "runs": [(None, t)]}
            for t in tables(source)
        ],
    }  # fmt: skip


def tables(source: Source) -> list[Table]:
    """The tables of a `candidates` or `review` artifact."""
    found = [_counts(source)]
    if source.kind == "review":
        told = source.read("agreement.json", dict[str, Any])
        if told["reviews"]:
            found += [_agreement(source, told), _reviewers(told)]
    return found


def _table(id_: str, zh: str, en: str, columns: tuple[Column, ...], rows: Any) -> Table:
    return Table(id=id_, zh=zh, en=en, columns=columns, rows=tuple(rows))


def _text(key: str, zh: str, en: str) -> Column:
    return Column(key=key, zh=zh, en=en)


def _count(key: str, zh: str, en: str) -> Column:
    return Column(key=key, zh=zh, en=en, kind="count")


def _counts(source: Source) -> Table:
    summary = source.read("summary.json", dict[str, Any])
    rows = [
        {"what": " ".join(COUNTS[k]), "n": n}
        for k, n in summary.items()
        if k in COUNTS and isinstance(n, int)
    ]
    states = summary.get("states", {})
    rows += [{"what": f"状态 state: {' '.join(ITEM_STATES[s])}", "n": n} for s, n in states.items()]
    columns = (_text("what", "内容", "What"), _count("n", "数量", "Number"))
    return _table("counts", "数量", "Counts", columns, rows)


def _agreement(source: Source, told: dict[str, Any]) -> Table:
    form = source.config["settings"]["form"]
    names = {f["id"]: f"{f['zh']} {f['en']}" for f in form}

    def rows() -> Iterator[dict[str, Any]]:
        for dimension in told["all"] or told["first"]:
            for m in dimension["measures"]:
                value = {"mean": m["value"], "low": m["low"], "high": m["high"], "n": m["items"]}
                reason = m.get("undefined") or m.get("no_interval")
                yield {
                    "field": names[dimension["field"]], "measure": " / ".join(MEASURES[m["measure"]]),
                    "value": value, "items": m["items"], "ratings": m["ratings"],
                    "note": " / ".join(REASONS[reason]) if reason else "",
                }  # fmt: skip

    columns = (
        _text("field", "维度", "Field"), _text("measure", "指标", "Measure"),
        Column(key="value", zh="数值与95%区间", en="Value, 95% interval", kind="estimate"),
        _count("items", "题次", "Units"), _count("ratings", "评分数", "Ratings"), _text("note", "说明", "Note"),
    )  # fmt: skip
    return _table("agreement", "评审者间一致性", "Agreement among reviewers", columns, rows())


def _reviewers(told: dict[str, Any]) -> Table:
    rows = [
        {
            "who": who, "reviews": r["reviews"], "seconds": r["seconds"],
            "offset": None if r["offset"] is None else r["offset"]["offset"],
        }
        for who, r in told["raters"].items()
    ]  # fmt: skip
    columns = (
        _text("who", "评审者", "Reviewer"), _count("reviews", "评审", "Reviews"),
        Column(key="seconds", zh="每题秒数（中位）", en="Median seconds an item", kind="number"),
        Column(key="offset", zh="与他人之差", en="Offset from others", kind="number"),
    )  # fmt: skip
    return _table("reviewers", "评审者", "Reviewers", columns, rows)
