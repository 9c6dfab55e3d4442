"""The cards at the top of a page: a question, a short answer, a few facts."""

from __future__ import annotations

from collections.abc import Sequence

from wardround.records import Record
from wardround.report import dataset, formats, scores
from wardround.report.formats import Names
from wardround.report.reading import Source
from wardround.report.shapes import Agreement, Comparison


class Card(Record, frozen=True, kw_only=True):
    """One of the first things a reader sees: a question, a short answer, a few facts."""

    names: Names
    lead: Names
    facts: tuple[tuple[Names, str], ...] = ()
    note: Names | None = None


ONLY = Names(
    "只说明评分者给出的分数，不等于医学质量", "how the judge scored, which is not medical quality"
)


def league(found: Comparison, names: Sequence[Names]) -> Card:
    """Who may be first: all whose rank's interval holds the first place."""
    from wardround.report.league import leaders

    facts = []
    for b in found.benchmarks.values():
        first = "、".join(names[s.run].zh for s in leaders(b)) or formats.NOTHING
        facts.append((Names(b.zh, b.en), first))
    number, part = len(found.runs), formats.percent(found.level)
    return Card(
        names=Names("谁可能第一", "Who may be first"),
        lead=Names(
            f"{number} 个模型，{len(facts)} 个评测", f"{number} runs, {len(facts)} benchmarks"
        ),
        facts=tuple(facts),
        note=Names(
            f"名次的 {part} 区间含第一名的模型；{ONLY.zh}",
            f"runs whose {part} interval of the rank holds the first place; {ONLY.en}",
        ),
    )


def built(source: Source) -> Card:
    """What a dataset was made of."""
    f = dataset.figures(dataset.coverage_of(source))
    c = formats.count
    return Card(
        names=Names("做了什么", "What was done"),
        lead=Names(
            f"{c(f['documents'])} 份资料 → {c(f['samples'])} 条指令样本",
            f"{c(f['documents'])} documents → {c(f['samples'])} instruction samples",
        ),
        facts=(
            (Names("覆盖任务", "tasks covered"), f"{f['covered']} / {f['tasks']}"),
            (Names("覆盖专科", "specialties covered"), f"{f['departments']} / {f['listed']}"),
            (Names("训练 / 测试样本", "train / test samples"), f"{c(f['train'])} / {c(f['test'])}"),
            (
                Names("训练 / 测试对话", "train / test dialogues"),
                f"{c(f['dialogues_train'])} / {c(f['dialogues_test'])}",
            ),
            (Names("搁置并记录原因", "kept aside, reason on file"), c(f["excluded"])),
        ),
    )


def scored(
    runs: Sequence[scores.Shown],
    comparison: Comparison | None,
    names: Sequence[Names] | None = None,
) -> Card:
    """What came of one run, or of comparing two or three."""
    if comparison is not None:
        rows = scores.differences(comparison, list(names or ()))
        facts = tuple(
            (
                row["names"],
                f"{formats.signed(row['pair'].difference.mean)} "
                f"{formats.interval(row['pair'].difference, sign=True)}",
            )
            for row in rows
        )
        lead = rows[0]["verdict"] if rows else Names("没有可比的评测", "nothing to compare")
        if len({row["verdict"] for row in rows}) > 1:
            lead = Names("各评测结论不一，见下", "benchmarks disagree, see below")
        return Card(names=Names("有没有用", "Does it help"), lead=lead, facts=facts, note=ONLY)
    (run,) = runs[:1] or (None,)
    facts = tuple(
        (Names(b.zh, b.en), f"{formats.score(b.overall.mean)} {formats.interval(b.overall)}")
        for b in (run.summary.benchmarks.values() if run else ())
    )
    lead = run.names if run else Names("评测不在原处", "the run is not where it was")
    return Card(names=Names("结果", "Result"), lead=lead, facts=facts, note=ONLY)


def trusted(runs: Sequence[scores.Shown], source: Source) -> Card:
    """How much of what was asked has a score, and whose."""
    total = dict.fromkeys(formats.STATES, 0)
    for run in runs:
        for b in run.summary.benchmarks.values():
            for state in total:
                total[state] += b.counts.get(state, 0)
    asked = sum(total.values())
    judges = "、".join(dict.fromkeys(j for r in runs for j in r.summary.judges))
    lead = (
        Names("每一题都有评分", "every item was scored")
        if asked and total["scored"] == asked
        else Names(
            f"{formats.count(asked - total['scored'])} 题没有评分，未按零分计",
            f"{formats.count(asked - total['scored'])} items have no score; none counted as zero",
        )
    )
    facts = [
        (names, f"{formats.count(total[state])} / {formats.count(asked)}")
        for state, names in formats.STATES.items()
    ]
    facts.append((Names("评分者", "scored by"), judges or formats.NOTHING))
    return Card(names=Names("能不能信", "Can I trust it"), lead=lead, facts=tuple(facts))


def agreed(found: Agreement) -> list[Card]:
    """For each benchmark: do judges and doctors agree, and what is the mean by the doctors' measure."""
    from wardround.report import agreement

    cards = []
    for b in found.benchmarks.values():
        jury = b.comparisons[0]
        measured = [(m, agreement.of(jury, m)) for m in agreement.HEADLINE]
        spearman = agreement.of(jury, agreement.HEADLINE[0])
        value = agreement.written(spearman.estimate if spearman else None)
        mean = agreement.written(agreement.corrected(b.corrected))
        cards.append(
            Card(
                names=Names(f"{b.zh}：与医生是否一致", f"{b.en}: do the judges agree with doctors"),
                lead=Names(f"斯皮尔曼相关 {value}", f"Spearman ρ {value}"),
                facts=tuple(
                    (agreement.measure_names(m), agreement.written(x.estimate if x else None))
                    for m, x in measured[1:]
                ),
            )
        )
        cards.append(
            Card(
                names=Names(f"{b.zh}：平均分", f"{b.en}: mean score"),
                lead=Names(f"医生修正后 {mean}", f"corrected by doctors {mean}"),
                facts=tuple(
                    (names, agreement.written(e)) for names, e in agreement.means(b.corrected)[:2]
                ),
            )
        )
    return cards
