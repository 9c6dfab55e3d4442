"""The checking sheet: which samples a doctor looks at, and how many it takes to say something of the rest.

A stratum is a task with one side of a second division: `refined` (rewritten by a model or composed by rule) or
`specialty`. For each stratum as many are drawn as give the wanted half-width at the wanted confidence, with the
finite-population correction (`scope="stratum"`); or as many as give it for the whole, shared out in proportion
(`scope="whole"`), which is far fewer. Which ones is decided by a digest of seed and id: the same for the same
dataset, whatever the order of its rows, and reading takes two passes in bounded memory.

The sheet is CSV for Excel: a byte-order mark, CRLF, at most 32,767 characters a cell, no cell that a spreadsheet
would run as a formula. Each row holds the source passage beside the answer. The doctor fills in two columns: the
verdict, one of `VERDICTS`, and a comment. `verdicts.read_back` reads it.
"""

from __future__ import annotations

import csv
import hashlib
import heapq
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from wardround import sheets, taxonomy
from wardround.artifact import write_atomically
from wardround.corpus.readback import DOCUMENTS, rows_of, train_columns
from wardround.errors import UsageError, WardroundError
from wardround.metrics.proportions import allocate, sample_size
from wardround.records import Document, Record, Sample

By = Literal["refined", "specialty"]
Scope = Literal["stratum", "whole"]

GOOD, MINOR, BAD = "合格", "有小问题", "不合格"
VERDICTS = (GOOD, MINOR, BAD)
SIDES = {"refined": ("模型改写", "refined"), "composed": ("规则组成", "composed")}
COLUMNS = {
    "number": "序号 number",
    "of": "总数 of",
    "id": "编号 id",
    "stratum": "层 stratum",
    "task": "任务 task",
    "division": "分组 group",
    "input": "输入 input",
    "output": "参考答案 reference answer",
    "passage": "原文 source passage",
    "source": "出处 source",
    "verdict": f"结论 verdict（{'/'.join(VERDICTS)}）",
    "comment": "意见 comment",
}
"""Our name of each column → its heading. The first word of a heading is enough to find it again."""

CELL = 32_767
CUT = "……（单元格放不下，其余略；全文见数据集 / cut: too long for a cell, whole in the dataset）"


class Drawn(Record, frozen=True, kw_only=True):
    """One stratum of the plan: `size` samples in the dataset, `n` of them on the sheet."""

    stratum: str
    task: str
    division: str
    zh: str
    en: str
    size: int
    n: int


class Plan(Record, frozen=True, kw_only=True):
    """What was asked for and what it takes."""

    by: By
    scope: Scope
    half_width: float
    confidence: float
    expected: float
    seed: int
    size: int
    n: int
    strata: tuple[Drawn, ...]


def sheet(
    dataset: Path,
    out: Path,
    *,
    by: By = "refined",
    scope: Scope = "stratum",
    half_width: float = 0.1,
    confidence: float = 0.95,
    expected: float = 0.5,
    seed: int = 0,
) -> Plan:
    """Draw training samples of `dataset` and write the sheet `out`; returns the plan.

    Raises `UsageError` for a half-width, confidence or expected share outside (0, 1), for a dataset without
    training samples, and where `out` is there already with a doctor's words in it.
    """
    if out.exists() and not _blank(out):
        raise UsageError(
            f"{out}: there already, and not a blank sheet: what doctors wrote would be lost",
            hint="name another file, or move this one away",
        )
    try:
        made = plan(
            dataset, by=by, scope=scope, half_width=half_width, confidence=confidence,
            expected=expected, seed=seed,
        )  # fmt: skip
    except ValueError as e:
        raise UsageError(str(e), hint="half-width and confidence lie between 0 and 1") from e
    if not made.size:
        raise UsageError(f"{dataset}: no training samples to check", hint="name another dataset")
    chosen = _draw(dataset, made)
    write_atomically(out, _csv(dataset, made, chosen).encode("utf-8-sig"))
    return made


def _blank(sheet: Path) -> bool:
    """Whether the file is a checking sheet nobody has written on."""
    try:
        found = sheets.read(sheet)
    except WardroundError:
        return False
    if found.headings != tuple(COLUMNS.values()):
        return False
    written = [n for n, name in enumerate(COLUMNS) if name in ("verdict", "comment")]
    return not any(line.cells[n : n + 1] not in ((), ("",)) for line in found.rows for n in written)


def plan(
    dataset: Path, *, by: By, scope: Scope, half_width: float, confidence: float, expected: float, seed: int
) -> Plan:  # fmt: skip
    """How many of each stratum, before any is drawn. Raises `ValueError` for numbers outside (0, 1)."""
    sizes = strata_sizes(dataset, by)

    def size_for(n: int) -> int:
        return sample_size(n, half_width=half_width, confidence=confidence, expected=expected)

    if scope == "stratum":
        wanted = [size_for(n) for n in sizes.values()]
    else:
        wanted = allocate(list(sizes.values()), size_for(sum(sizes.values())))
    drawn = []
    for (stratum, size), n in zip(sizes.items(), wanted, strict=True):
        task, _, division = stratum.partition("/")
        zh, en = stratum_names(stratum)
        drawn.append(
            Drawn(stratum=stratum, task=task, division=division, zh=zh, en=en, size=size, n=n)
        )
    return Plan(
        by=by, scope=scope, half_width=half_width, confidence=confidence, expected=expected,
        seed=seed, size=sum(sizes.values()), n=sum(wanted), strata=tuple(drawn),
    )  # fmt: skip


def strata_sizes(dataset: Path, by: By) -> dict[str, int]:
    """Stratum → its number of training samples, tasks in the taxonomy's order."""
    found = Counter(
        stratum_of(row["task"], row["refined"], row["specialty"], by)
        for row in train_columns(dataset, ("task", "refined", "specialty"))
    )
    return {s: found[s] for s in sorted(found, key=_place)}


def _place(stratum: str) -> tuple[int, int, str]:
    """Tasks and specialties as the taxonomy lists them, strangers last."""
    task, _, division = stratum.partition("/")
    tasks, sides = list(taxonomy.tasks()), [*SIDES, *taxonomy.specialties()]
    return (
        tasks.index(task) if task in tasks else len(tasks),
        sides.index(division) if division in sides else len(sides),
        stratum,
    )


def stratum_of(task: str, refined: bool, specialty: str, by: By) -> str:
    """A sample's stratum: "triage/refined", "triage/composed" or "triage/nephrology"."""
    return f"{task}/{('refined' if refined else 'composed') if by == 'refined' else specialty}"


def stratum_names(stratum: str) -> tuple[str, str]:
    """A stratum in Chinese and English."""
    task, _, division = stratum.partition("/")
    one = taxonomy.tasks().get(task)
    two = taxonomy.specialties().get(division)
    first = (one.zh, one.en) if one else (task, task)
    second = SIDES.get(division) or ((two.zh, two.en) if two else (division, division))
    return f"{first[0]} · {second[0]}", f"{first[1]} · {second[1]}"


def _draw(dataset: Path, made: Plan) -> set[str]:
    """The ids with the smallest digests of each stratum: a random sample without replacement."""
    wanted = {s.stratum: s.n for s in made.strata}
    kept: dict[str, list[tuple[int, str]]] = {s: [] for s in wanted}
    for row in train_columns(dataset, ("id", "task", "refined", "specialty")):
        stratum = stratum_of(row["task"], row["refined"], row["specialty"], made.by)
        entry = (-_rank(row["id"], made.seed), row["id"])
        heap = kept[stratum]
        if len(heap) < wanted[stratum]:
            heapq.heappush(heap, entry)
        elif heap and entry > heap[0]:
            heapq.heapreplace(heap, entry)
    return {sample for heap in kept.values() for _, sample in heap}


def _rank(sample: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\n{sample}".encode()).digest()[:8], "big")


def _csv(dataset: Path, made: Plan, chosen: set[str]) -> str:
    rows = train_columns(dataset, Sample.__struct_fields__)
    samples = [msgspec.convert(r, Sample) for r in rows if r["id"] in chosen]
    order = {s.stratum: i for i, s in enumerate(made.strata)}

    def of(sample: Sample) -> str:
        return stratum_of(sample.task, sample.refined, sample.specialty, made.by)

    samples.sort(key=lambda s: (order[of(s)], _rank(s.id, made.seed), s.id))
    wanted = {s.document for s in samples}
    documents = {d.id: d for d in rows_of(dataset / DOCUMENTS, Document) if d.id in wanted}
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS.values())
    for number, sample in enumerate(samples, start=1):
        row = _row(sample, of(sample), documents.get(sample.document))
        row |= {"number": str(number), "of": str(len(samples))}
        writer.writerow(_cell(row.get(name, "")) for name in COLUMNS)
    return file.getvalue()


def _row(sample: Sample, stratum: str, document: Document | None) -> dict[str, str]:
    task, _, division = stratum_names(stratum)[0].partition(" · ")
    row = {
        "id": sample.id, "stratum": stratum, "task": task, "division": division,
        "input": sample.input, "output": sample.output,
    }  # fmt: skip
    if document is None:
        return row
    at = document.provenance
    where = f"{document.title} · {at.file} · 第 {at.row} 行 row {at.row} · {at.licence}"
    return row | {"passage": passage(document, sample.source_fields), "source": where}


def passage(document: Document, fields: Iterable[str]) -> str:
    """What a sample was made from: the named fields of its document, each under its name."""
    return "\n\n".join(f"【{name}】\n{text}" for name, text in _named(document, fields))


def _named(document: Document, fields: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in fields:
        if name == "questions and answers":
            pairs = zip(
                _texts(document.fields, "questions"),
                _texts(document.fields, "answers"),
                strict=False,
            )
            text = "\n".join(f"问：{q}\n答：{a}" for q, a in pairs)
        else:
            text = "、".join(_texts(document.fields, name))
        if text:
            yield name, text


def _texts(fields: Mapping[str, str | tuple[str, ...]], name: str) -> tuple[str, ...]:
    value = fields.get(name, ())
    return (value,) if isinstance(value, str) else value


def _cell(text: str) -> str:
    """A cell that Excel shows as it is: no control characters, not run as a formula, not longer than it takes."""
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
    text = sheets.inert(text)
    return text if len(text) <= CELL else text[: CELL - len(CUT)] + CUT


def lines(made: Plan) -> Iterator[str]:
    """The plan as text for a terminal, Chinese first."""
    scope = "每层 each stratum" if made.scope == "stratum" else "全部 the whole"
    yield (
        f"抽样 drawn          {made.n} / {made.size} 条 samples，{len(made.strata)} 层 strata；"
        f"{scope} ± {made.half_width:.1%}，置信度 confidence {made.confidence:.0%}，种子 seed {made.seed}"
    )
    yield from (f"  {s.zh} {s.en}: {s.n} / {s.size}" for s in made.strata)
