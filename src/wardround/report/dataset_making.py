"""How a dataset was made, for its page: the funnel, lengths, what was checked, and rewrites beside their source.

Older datasets have none of this; a part that `coverage.json` lacks has no place on the page, and a check that was
not made is said to be missing rather than shown as clean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import islice
from typing import Any, NamedTuple

from wardround import taxonomy
from wardround.report import dataset_charts, formats
from wardround.report.dataset_names import FACTS, LENGTHS, PRIVACY, RULES, of
from wardround.report.dataset_shapes import BlockedPair, Histogram, Making
from wardround.report.formats import Names
from wardround.report.reading import Source

PAIRS = 6
_CLAUSE = re.compile(r"[^，。；：！？、,;:!?\n]*[，。；：！？、,;:!?\n]+|[^，。；：！？、,;:!?\n]+")


class Part(NamedTuple):
    """A section of the page: anchor, names, template, data."""

    id: str
    names: Names
    template: str
    data: dict[str, Any]


def parts(source: Source) -> list[Part]:
    """The sections that this dataset has something to say in."""
    found = source.read("coverage.json", Making)
    out = []
    if found.funnel or found.lengths:
        names = Names("从来源到样本", "From sources to samples")
        out.append(Part("funnel", names, "funnel.html", _funnel(found)))
    if found.privacy or found.near or found.contamination:
        names = Names("个人信息、重复与测试集重合", "Personal data, duplicates, held-out sets")
        out.append(Part("checks", names, "checks.html", _checks(found, source)))
    if found.examples:
        names = Names("改写前后", "Before and after refinement")
        out.append(Part("refined", names, "refined.html", {"items": _examples(found)}))
    return out


def _funnel(found: Making) -> dict[str, Any]:
    said = "，".join(f"{s.zh or s.step} {formats.count(s.n)}" for s in found.funnel)
    return {
        "svg": dataset_charts.funnel(found.funnel, label=f"漏斗 funnel: {said}")
        if found.funnel
        else "",
        "steps": [
            {
                "names": Names(s.zh or s.step, s.en),
                "n": s.n,
                "reasons": sorted(s.reasons.items(), key=lambda p: (-p[1], p[0])),
            }
            for s in found.funnel
        ],
        "lengths": [_length(name, h) for name, h in found.lengths.items() if sum(h.counts)],
    }


def _length(name: str, found: Histogram) -> dict[str, Any]:
    names = of(LENGTHS, name)
    counts = found.counts[: len(found.bins)]
    cut = Histogram(bins=found.bins, counts=counts)
    label = f"{names.zh}长度分布，中位数在 {_median(cut)} 字；数字见表 / lengths of {names.en or name}, numbers in the table"
    axis = Names("字数（每柱左缘）", "characters (left edge of each bar)")
    return {
        "names": names,
        "svg": dataset_charts.histogram(cut, axis=axis, label=label),
        "rows": [(dataset_charts.span_of(cut, i), n) for i, n in enumerate(counts)],
        "median": _median(cut),
    }


def _median(found: Histogram) -> str:
    """The bin that holds the middle sample."""
    half, seen = sum(found.counts) / 2, 0
    for i, n in enumerate(found.counts):
        seen += n
        if seen >= half:
            return dataset_charts.span_of(found, i)
    return formats.NOTHING


def _checks(found: Making, source: Source) -> dict[str, Any]:
    privacy, held = found.privacy, found.contamination
    return {
        "privacy": privacy,
        "found": _counted(privacy.found if privacy else {}, PRIVACY),
        "near": found.near,
        "pairs": _pairs(source),
        "contamination": held,
        "rules": _counted(held.rules if held else {}, RULES),
    }


def _counted(counts: Mapping[str, int], names: Mapping[str, Names]) -> list[tuple[str, Names, int]]:
    """(code, names, number), the most frequent first."""
    order = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(code, of(names, code), n) for code, n in order]


def _pairs(source: Source) -> list[dict[str, Any]]:
    """The first blocked pairs of each kind of difference, so that one kind doesn't hide the others."""
    shown: list[dict[str, Any]] = []
    kinds: set[str] = set()
    for pair in islice(source.rows("blocked_pairs.jsonl", BlockedPair), 5000):
        first = pair.differences[0].kind if pair.differences else ""
        if first in kinds:
            continue
        kinds.add(first)
        shown.append(
            {
                "pair": pair,
                "task": _task(pair.task),
                "differences": [(of(FACTS, d.kind), d) for d in pair.differences],
            }
        )
        if len(shown) == PAIRS:
            break
    return shown


def _task(task: str) -> Names | None:
    known = taxonomy.tasks().get(task)
    return Names(known.zh, known.en) if known else (Names(task) if task else None)


def _examples(found: Making) -> list[dict[str, Any]]:
    return [
        {
            "id": e.id,
            "task": _task(e.task) or Names(e.id),
            "before": list(_marked(e.before, e.after)),
            "after": list(_marked(e.after, e.before)),
            "passage": e.passage,
        }
        for e in found.examples
    ]


def _marked(text: str, other: str) -> Iterator[tuple[bool, str]]:
    """(stands in one text only?, words) in order, compared clause by clause: whole clauses are what a reader checks."""
    clauses, others = _CLAUSE.findall(text), _CLAUSE.findall(other)
    matcher = SequenceMatcher(None, _bare(clauses), _bare(others), autojunk=False)
    for kind, a, b, _, _ in matcher.get_opcodes():
        if a < b:
            yield kind != "equal", "".join(clauses[a:b])


def _bare(clauses: Sequence[str]) -> list[str]:
    return [re.sub(r"[\W_]+", "", c) for c in clauses]


def lines(source: Source) -> Iterator[str]:
    """The same for a terminal, in a few lines; none for an older dataset."""
    found = source.read("coverage.json", Making)
    c = formats.count
    if found.funnel:
        said = " → ".join(f"{s.zh or s.step} {c(s.n)}" for s in found.funnel)
        yield f"漏斗 funnel         {said}"
    if found.privacy:
        n = sum(found.privacy.found.values())
        yield f"个人信息 privacy    替换 replaced {c(n)} · 待人工核对 to clear {c(found.privacy.residue)}"
    if found.near:
        yield f"近似重复 near       移出 dropped {c(found.near.dropped)} · 因事实不同而保留 kept apart by a fact {c(found.near.blocked)}"
    if found.contamination:
        sets = found.contamination.sets
        dropped, review = sum(s.dropped for s in sets), sum(s.review for s in sets)
        yield (
            f"测试集 held out     {len(sets)} 个 sets · 移出 dropped {c(dropped)} · 待核对 review {c(review)}"
        )
        if unread := found.contamination.unread:
            yield f"                    ! 有 {c(len(unread))} 行读不出，训练侧未与之比对 / {c(len(unread))} rows unread: not held against"
