"""One page for each kind of artifact, put together from the same sections.

A section is a template and what it shows. The demo page is all of them in the order of the loop; the others
are its parts, with the details an engineer asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.errors import ArtifactError
from wardround.images import held
from wardround.records import Record
from wardround.report import (
    cards,
    dataset,
    dataset_making,
    formats,
    lineage,
    scores,
    spending,
    training,
)
from wardround.report.formats import Names
from wardround.report.reading import Source, by_role, open_source
from wardround.report.shapes import Comparison

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent / "templates"


class Section(Record, frozen=True, kw_only=True):
    """One part of a page: its anchor, names, template and data."""

    id: str
    names: Names
    template: str
    data: dict[str, Any]


@cache
def environment() -> Environment:
    """The templates, autoescaped; a name that is not there is an error, not an empty place.

    Compiled templates are kept in the user's own folder for scratch files: compiling them takes longer than a page.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from wardround.report.compiled import compiled_templates

    env = Environment(
        loader=FileSystemLoader(HERE),
        bytecode_cache=compiled_templates(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(
        count=formats.count, score=formats.score, signed=formats.signed,
        interval=formats.interval, seconds=formats.seconds, size=formats.size,
        short=formats.short, plain=formats.plain, cell=formats.cell, p=formats.p_value, money=formats.money,
        shortened=formats.shortened,
    )  # fmt: skip
    env.globals.update(
        css=Markup((HERE / "style.css").read_text("utf-8")),
        kind_names=formats.kind_names,
        origin_names=formats.origin_names,
        states=formats.STATES,
        NOTHING=formats.NOTHING,
        reason_names=dataset.reason_names,
        aside_names=_aside_names,
        split_label=formats.split_label,
        estimate_of=formats.estimate_of,
        task_differences=scores.task_differences,
    )
    return env


def _aside_names(reason: str) -> Names:
    """Why a case is not in a run: a picture's reason first, for some codes mean another thing of a document."""
    told = held.REASONS.get(reason) or held.ASIDE.get(reason)
    return formats.split_label(told) if told else dataset.reason_names(reason)


def page(path: Path) -> str:
    """The whole HTML page of the artifact at `path`."""
    source = open_source(path)
    nodes = lineage.collect(source)
    top, sections = _build(source)
    sections.append(
        Section(
            id="lineage",
            names=Names("来龙去脉与核验", "Lineage and verification"),
            template="lineage.html",
            data=lineage.section(source, nodes) | {"timings": _timings(source)},
        )
    )
    sections.append(
        Section(
            id="details",
            names=Names("配置与文件", "Configuration and files"),
            template="details.html",
            data={
                "source": source,
                "manifest": source.manifest,
                "accounts": spending.accounts(source) if source.kind == "run" else [],
                "columns": spending.COLUMNS,
            },
        )
    )
    return (
        environment()
        .get_template("page.html")
        .render(
            source=source,
            title=TITLES.get(source.kind, formats.kind_names(source.kind)),
            labels=[formats.split_label(label) for label in lineage.labels(nodes)],
            cards=top,
            sections=sections,
        )
    )


TITLES = {
    "demo": Names(
        "从原始资料到可核验的评测：一次完整演示", "From sources to a verifiable evaluation"
    ),
    "dataset": Names("数据集报告", "Dataset report"),
    "run": Names("评测报告", "Evaluation report"),
    "comparison": Names("对比报告", "Comparison report"),
    "checkpoint": Names("模型报告", "Checkpoint report"),
    "agreement": Names("评审与医生的一致性", "Agreement of judges and doctors"),
    "images": Names("图像集", "Set of pictures"),
    "survey": Names("需求调查报告", "Report of a needs survey"),
}

Built = tuple[list[cards.Card], list[Section]]


def _build(source: Source) -> Built:
    makers: Mapping[str, Callable[[Source], Built]] = {
        "dataset": _dataset, "run": _run, "comparison": _comparison,
        "checkpoint": _checkpoint, "agreement": _agreement, "demo": _demo,
        "disagreements": _loop, "testset": _loop, "curve": _loop,
        "images": _images, "survey": _survey, "candidates": _reviewing, "review": _reviewing,
    }  # fmt: skip
    if source.kind not in makers:
        raise ArtifactError(
            f"{source.path}: no report for a {source.kind} artifact",
            hint=f"reports exist for: {', '.join(makers)}",
        )
    return makers[source.kind](source)


def _dataset(source: Source) -> Built:
    return [cards.built(source)], _dataset_sections(source)


def _dataset_sections(source: Source) -> list[Section]:
    made = [
        Section(id=p.id, names=p.names, template=p.template, data=p.data)
        for p in dataset_making.parts(source)
    ]
    return [
        Section(
            id="sources", names=Names("资料来源", "Sources"),
            template="sources.html", data=dataset.sources(source),
        ),
        *(s for s in made if s.id == "funnel"),
        Section(
            id="coverage", names=Names("任务与专科覆盖", "Coverage of tasks and specialties"),
            template="coverage.html", data=dataset.coverage(source),
        ),
        *(s for s in made if s.id != "funnel"),
        Section(
            id="samples", names=Names("样例与出处", "Samples beside their source"),
            template="samples.html", data=dataset.samples(source),
        ),
    ]  # fmt: skip


def _run(source: Source) -> Built:
    run = scores.shown(source)
    return [cards.scored([run], None), cards.trusted([run], source)], [
        _results_section([run], None, None),
        Section(
            id="trouble", names=Names("未评分、失败与跳过", "Unscored, failed and skipped"),
            template="trouble.html", data={"run": run, **scores.trouble(run)},
        ),
        *_picture_sections([run]),
        _answers_section([run]),
    ]  # fmt: skip


def _comparison(source: Source) -> Built:
    found = source.read("comparison.json", Comparison)
    runs = scores.compared(source)
    whole = len(runs) == len(found.runs)
    names = [r.names for r in runs] if whole else [Names(r.model) for r in found.runs]
    if len(set(names)) < len(names):
        names = [Names(f"{n.zh} · {i}", n.en) for i, n in enumerate(names, start=1)]
    if whole:
        runs = [scores.shown(r.source, n) for r, n in zip(runs, names, strict=True)]
    from wardround.report import league

    if league.fits(found):
        top = [cards.league(found, names)]
        sections = [_league_section(runs if whole else [], found, names)]
    else:
        top = [cards.scored(runs, found, names)]
        sections = [_results_section(runs if whole else [], found, names)]
    if whole:
        sections += [*_picture_sections(runs), _answers_section(runs)]
    return top + ([cards.trusted(runs, source)] if whole else []), sections


def _checkpoint(source: Source) -> Built:
    made = training.checkpoint(source, Names("本模型", "this model"))
    return [], [_training_section([made])]


def _agreement(source: Source) -> Built:
    from wardround.report import agreement

    found = agreement.agreement_of(source)
    return cards.agreed(found), [
        Section(
            id="agreement", names=Names("评审与医生", "Judges and doctors"),
            template="agreement.html", data=agreement.section(source),
        ),
        Section(
            id="rows", names=Names("用了哪些评分", "Which scores were used"),
            template="unmatched.html", data=agreement.unmatched(source),
        ),
    ]  # fmt: skip


def _loop(source: Source) -> Built:
    from wardround.report import loop

    return [], [
        Section(
            id="loop",
            names=loop.NAMES[source.kind],
            template="loop.html",
            data=loop.section(source),
        )
    ]


def _reviewing(source: Source) -> Built:
    from wardround.report import reviewing

    return [], [
        Section(
            id="review", names=reviewing.NAMES[source.kind], template="loop.html",
            data=reviewing.section(source),
        )
    ]  # fmt: skip


def _images(source: Source) -> Built:
    from wardround.report import picture_sets

    return [picture_sets.card(source)], [
        Section(
            id="pictures", names=Names("图像", "Pictures"), template="picture_set.html",
            data=picture_sets.section(source),
        )
    ]  # fmt: skip


def _survey(source: Source) -> Built:
    from wardround.report import survey

    names = Names("需求与取舍", "Needs and decisions")
    data = survey.section(source)
    return [survey.card(source)], [
        Section(id="survey", names=names, template="survey.html", data=data)
    ]


def _demo(source: Source) -> Built:
    top: list[cards.Card] = []
    sections: list[Section] = []
    built = _input(source, "dataset")
    if built is not None:
        top.append(cards.built(built))
        sections += _dataset_sections(built)
    models = [
        training.checkpoint(found, lineage.ROLES[role])
        for role in ("base", "tuned")
        if (found := _input(source, role)) is not None
    ]
    if models:
        sections.append(_training_section(models))
    titles = {"run_base": Names("微调前", "base"), "run_tuned": Names("微调后", "tuned")}
    runs = [
        scores.shown(found, names)
        for role, names in titles.items()
        if (found := _input(source, role)) is not None
    ]
    compared = _input(source, "comparison")
    comparison = compared.read("comparison.json", Comparison) if compared else None
    if runs or comparison:
        names = list(titles.values()) if len(runs) != 1 else None
        top += [cards.scored(runs, comparison, names), cards.trusted(runs, source)]
        sections += [_results_section(runs, comparison, names), _answers_section(runs)]
    return top, sections


def _input(source: Source, role: str) -> Source | None:
    """The input of that role if it is still the one that was used; the lineage says when it is not."""
    found = by_role(source, role)
    return None if found is None or found.problem is not None else found.source


def _training_section(models: Sequence[dict[str, Any]]) -> Section:
    return Section(
        id="training", names=Names("训练", "Training"), template="training.html",
        data={"models": models},
    )  # fmt: skip


def _results_section(
    runs: Sequence[scores.Shown], comparison: Comparison | None, names: Sequence[Names] | None
) -> Section:
    title = Names("微调前后对比", "Base versus tuned") if comparison else Names("评分", "Scores")
    if comparison and names and names[0].zh != "微调前":
        title = Names("对比", "Comparison")
    return Section(
        id="scores", names=title, template="scores.html",
        data=scores.results(runs, comparison, names) | {"comparison": comparison},
    )  # fmt: skip


def _league_section(
    runs: Sequence[scores.Shown], found: Comparison, names: Sequence[Names]
) -> Section:
    from wardround.report import league

    return Section(
        id="league", names=Names("排名", "League table"), template="league.html",
        data=league.section(found, names, runs),
    )  # fmt: skip


def _picture_sections(runs: Sequence[scores.Shown]) -> list[Section]:
    """The section of pictures, where records have any."""
    from wardround.report.pictures import pictures

    if not any(_has_pictures(r) for r in runs):
        return []
    found = pictures(runs)
    if found is None:
        return []
    names = Names("图像与回答", "Pictures and answers")
    return [Section(id="pictures", names=names, template="pictures.html", data=found)]


def _has_pictures(run: scores.Shown) -> bool:
    """Whether one of its benchmarks has a control without images, as those of pictures do."""
    return any(f"{name}_no_image" in run.summary.benchmarks for name in run.summary.benchmarks)


def _answers_section(runs: Sequence[scores.Shown]) -> Section:
    return Section(
        id="answers", names=Names("回答原文", "Answers as written"), template="answers.html",
        data={"items": scores.answers(runs), "runs": runs},
    )  # fmt: skip


def _timings(source: Source) -> list[tuple[Names, float]]:
    """Seconds of each step in the order of the loop; steps named otherwise come last under their own names."""
    if source.kind != "demo" or not source.has("timings.json"):
        return []
    found = source.read("timings.json", dict[str, float])
    order = ["dataset", "base", "tuned", "run_base", "run_tuned", "comparison"]
    known = [name for name in order if name in found]
    return [
        (lineage.ROLES.get(name, Names(name)), found[name])
        for name in known + sorted(set(found) - set(known))
    ]
