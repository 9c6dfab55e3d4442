"""What the closed loop made: a list of disagreements with its pictures, a test set's versions, scores over versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wardround import taxonomy
from wardround.images.collect import SETS
from wardround.images.labels import MODALITIES, shown
from wardround.images.picture import side_by_side
from wardround.records import Record
from wardround.report.formats import Names, estimate_of, split_label
from wardround.report.reading import Source, open_input
from wardround.report.shapes import Column, Estimate, Table

UNKNOWN = Estimate(mean=None, low=None, high=None, n=0)
PICTURES = 60
"""Contested pictures on a page."""
SHOWN = 200
"""Rows of a list that a page shows; the file has all."""

REASONS = {
    "models": "模型之间 / among models",
    "rules": "规则与模型 / rules against models",
    "truth": "一致与标注相反 / of one mind against the truth",
    "jury": "评审之间 / among judges",
}


def tables(source: Source) -> list[Table]:
    """The tables of a "disagreements", "testset" or "curve" artifact."""
    makers: dict[str, Callable[[Source], list[Table]]] = {
        "disagreements": _disagreements,
        "testset": _testset,
        "curve": _curve,
    }
    return makers[source.kind](source)


class Contested(Record, frozen=True, kw_only=True):
    """One picture of a list: what is claimed of it by whom, and the answers. `url` is "" where it isn't to be had."""

    case: str
    url: str
    truth: Names
    claims: tuple[dict[str, Any], ...]
    answers: dict[str, str]


def section(source: Source) -> dict[str, Any]:
    """The template's data: charts, pictures, and each table as the shared macro takes it."""
    return {
        "most": PICTURES,
        "charts": _charts(source) if source.kind == "curve" else [],
        "pictures": _pictures(source) if source.kind == "disagreements" else [],
        "tables": [
            {
                "zh": t.zh, "en": t.en, "note_zh": t.note_zh, "note_en": t.note_en,
                "runs": [(None, t)],
            }
            for t in tables(source)
        ]
    }  # fmt: skip


NAMES = {
    "disagreements": Names("交专家裁定的分歧", "Disagreements for experts"),
    "testset": Names("测试集的版本", "Versions of the test set"),
    "curve": Names("各版本上的得分", "Scores over versions"),
}


def _pictures(source: Source) -> list[Contested]:
    """The contested pictures, most contested first, as they were sent."""
    from wardround.report.pictures import picture_url

    runs = [
        found.source
        for r in source.inputs
        if r.role.startswith("run:") and (found := open_input(source, r)).source is not None
    ]
    items = [i for i in source.rows("items.jsonl", dict[str, Any]) if i.get("picture")]

    def one(item: dict[str, Any]) -> Contested:
        picture = item["picture"]
        urls = (picture_url(run, item["benchmark"], picture) for run in runs if run is not None)
        claims = tuple({**c, "names": _name(c["claim"], picture)} for c in item["claims"])
        return Contested(
            case=item["case"], url=next((u for u in urls if u), ""), claims=claims,
            truth=Names(item["reference"]), answers=item["answers"],
        )  # fmt: skip

    return list(side_by_side(one, items[:PICTURES]))


def _charts(source: Source) -> list[dict[str, Any]]:
    """A line chart for each part of the set that has figures of its own."""
    from wardround.report import loop_charts
    from wardround.report.svg import styles

    points = source.read("curve.json", dict[str, Any])["points"]
    models = list(dict.fromkeys(p["model"] for p in points))
    style = dict(zip(models, styles(len(models)), strict=True))
    made = []
    for part in dict.fromkeys(p["part"] for p in points):
        courses = [
            loop_charts.Course(
                names=Names(model), style=style[model],
                points=tuple(sorted(
                    ((p["version"], estimate_of(p["f1"]) or UNKNOWN)
                    for p in points if (p["part"], p["model"]) == (part, model)),
                    key=lambda x: x[0],
                )),
            )
            for model in models
        ]  # fmt: skip
        made.append({
            "names": Names(*MODALITIES[part]) if part else None, "courses": courses,
            "svg": loop_charts.over_versions(courses, y=Names("微平均F1与95%区间", "micro F1, 95% interval")),
        })  # fmt: skip
    return made


def _disagreements(source: Source) -> list[Table]:
    summary = source.read("summary.json", dict[str, Any])
    rows: list[dict[str, Any]] = []
    left = 0
    for item in source.rows("items.jsonl", dict[str, Any]):
        modality = item.get("picture", {}).get("modality", "")
        for claim in item["claims"] or [{}]:
            left += len(rows) >= SHOWN
            if len(rows) < SHOWN:
                reasons = claim.get("reasons", item["reasons"])
                rows.append({
                    "case": item["case"], "claim": _claim(claim.get("claim", ""), modality),
                    "truth": ("是 / yes" if claim["in_truth"] else "否 / no") if claim else "",
                    "by": "、".join(claim.get("made_by", ())),
                    "not": "、".join(claim.get("not_made_by", ())),
                    "why": _reasons(reasons),
                })  # fmt: skip
    counted = tuple(
        {"reason": REASONS.get(r, r), "n": n} for r, n in sorted(summary["reasons"].items())
    )
    return [
        Table(
            id="reasons", zh="分歧的种类", en="Kinds of disagreement",
            columns=(_text("reason", "种类", "Kind"), _count("n", "病例", "Cases")), rows=counted,
            note_zh=f"{summary['cases']} 例中有 {summary['contested']} 例存在分歧；请在 sheet.csv 中填写裁定。",
            note_en=f"{summary['contested']} of {summary['cases']} cases are contested; verdicts go into sheet.csv.",
        ),
        Table(
            id="items", zh="有分歧的意见", en="Contested claims",
            columns=(
                _text("case", "病例", "Case"), _text("claim", "意见", "Claim"),
                _text("truth", "在标注中", "In the truth"), _text("by", "提出者", "Made by"),
                _text("not", "未提出者", "Not made by"), _text("why", "分歧", "Disagreement"),
            ),
            rows=tuple(rows),
            note_zh=f"另有 {left} 行，见 items.jsonl。" if left else "",
            note_en=f"{left} more rows in items.jsonl." if left else "",
        ),
    ]  # fmt: skip


def _votes(change: dict[str, Any]) -> str:
    """Yes : no, and who could not tell."""
    unsure = change.get("unsure", 0)
    votes = f"{change['yes']} : {change['no']}"
    return f"{votes}（{unsure} 不能确定 / unsure）" if unsure else votes


def _testset(source: Source) -> list[Table]:
    rows = [
        {**v, "digest": v["digest"][:12], "parent": v["parent"][:12]}
        for v in source.read("versions.json", list[dict[str, Any]])
    ]
    modality = _modality(source)
    changes = [
        {
            **c,
            "claim": _claim(c["claim"], modality),
            "votes": _votes(c),
            "experts": "、".join(c["experts"]),
        }
        for name in ("changes.jsonl", "unsettled.jsonl")
        for c in source.rows(name, dict[str, Any])
    ]
    return [
        Table(
            id="versions", zh="版本", en="Versions", rows=tuple(rows),
            columns=(
                _count("version", "版本", "Version"), _text("digest", "摘要", "Digest"),
                _text("parent", "来自", "Made from"), _count("cases", "病例", "Cases"),
                _count("truths", "标注", "Truths"), _count("added", "增补", "Added"),
                _count("withdrawn", "撤回", "Withdrawn"),
            ),
        ),
        Table(
            id="changes", zh="裁定", en="Verdicts", rows=tuple(changes),
            columns=(
                _text("case", "病例", "Case"), _text("claim", "意见", "Claim"),
                _text("action", "处理", "Done"), _text("votes", "赞成 : 反对", "Yes : no"),
                _text("experts", "专家", "Experts"), _text("reason", "未处理的原因", "Why not"),
            ),
        ),
    ]  # fmt: skip


def _curve(source: Source) -> list[Table]:
    points = source.read("curve.json", dict[str, Any])["points"]
    rows = tuple(
        {**p, "digest": p["digest"][:12], "part": " / ".join(MODALITIES.get(p["part"], ("",)))}
        for p in points
    )
    pictured = any(p["part"] for p in points)
    part = (_text("part", "检查", "Modality"),) if pictured else ()
    exact = Column(key="exact", zh="全部相符", en="Exact match", kind="estimate")
    return [
        Table(
            id="curve", zh="各版本上的微平均F1", en="Micro F1 over versions", rows=rows,
            columns=(
                _count("version", "版本", "Version"), _text("digest", "摘要", "Digest"),
                _text("model", "模型", "Model"), *part, _count("truths", "标注", "Truths"),
                _count("answers", "回答", "Answers"), _count("missing", "缺", "Missing"),
                Column(key="f1", zh="F1与区间", en="F1, interval", kind="estimate"),
                *((exact,) if pictured else ()),
            ),
            note_zh="用各次运行存下的回答，按每个版本的标注重新计分，不再询问模型。",
            note_en="Stored answers of each run, scored anew against each version's truth; no model is asked again.",
        )
    ]  # fmt: skip


PLACES = {"findings": "描述", "impression": "诊断"}


def _reasons(codes: Sequence[str]) -> str:
    names = [split_label(REASONS.get(c, c)) for c in codes]
    return f"{'；'.join(n.zh for n in names)} / {'; '.join(n.en or n.zh for n in names)}"


def _modality(source: Source) -> str:
    """The modality of a set of pictures of one kind; "" of reports, or of several."""
    kinds = SETS.get(str(source.config.get("benchmark")), ())
    return kinds[0] if len(kinds) == 1 else ""


def _claim(claim: str, modality: str = "") -> str:
    """A claim in words: a label by its name, an error type by its name with its place."""
    if modality:
        return " / ".join(_name(claim, {"modality": modality}))
    kind, _, place = claim.partition("@")
    known = {i.id: i.zh for i in taxonomy.items("report_errors")}
    if kind not in known:
        return claim
    return f"{known[kind]}（{PLACES.get(place, '位置未说明')}） / {claim}"


def _name(claim: str, picture: Mapping[str, str]) -> Names:
    """A picture's label by its names."""
    modality = picture["modality"]
    return Names(shown(modality, claim), shown(modality, claim, "en"))


def _text(key: str, zh: str, en: str) -> Column:
    return Column(key=key, zh=zh, en=en)


def _count(key: str, zh: str, en: str) -> Column:
    return Column(key=key, zh=zh, en=en, kind="count")
