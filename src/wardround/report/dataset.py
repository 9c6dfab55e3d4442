"""The dataset's part of a report: sources, coverage of tasks and specialties, sample items beside their source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wardround import taxonomy
from wardround.records import Document, Exclusion, Record, Sample
from wardround.report import dataset_names, svg
from wardround.report.formats import Names, count
from wardround.report.reading import Source
from wardround.report.shapes import Coverage

EXAMPLES = 3
SEEN_PER_PHASE = 200

ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "gb18030": "GB18030", "gbk": "GBK"}
FIELDS = {
    "desc": Names("定义", "definition"),
    "cause": Names("病因", "cause"),
    "symptom": Names("症状", "symptoms"),
    "acompany": Names("伴发与并发", "accompanying"),
    "check": Names("检查", "examinations"),
    "cure_way": Names("治疗方式", "treatment modes"),
    "treatment": Names("治疗方案", "treatment"),
    "recommand_drug": Names("常用药物", "drugs"),
    "common_drug": Names("常用药物", "drugs"),
    "drug_note": Names("用药要点", "drug notes"),
    "prevent": Names("预防", "prevention"),
    "prognosis": Names("预后", "prognosis"),
    "cured_prob": Names("治愈情况", "outlook"),
    "get_way": Names("传播途径", "transmission"),
    "easy_get": Names("易患人群", "who gets it"),
    "cure_lasttime": Names("疗程", "duration"),
    "cure_department": Names("就诊科室", "department"),
    "inquiry": Names("问诊要点", "what to ask"),
    "grading": Names("病情分级", "grading"),
    "differential": Names("鉴别", "differential"),
    "surgery": Names("手术必要性", "need of surgery"),
    "preoperative": Names("术前宣教", "before surgery"),
    "surgical_plan": Names("手术方案", "surgical plan"),
    "postoperative": Names("术后护理", "after surgery"),
    "complication": Names("并发症处理", "complications"),
    "rehabilitation": Names("康复", "rehabilitation"),
    "discharge": Names("出院指导", "discharge"),
    "follow_up": Names("随访", "follow-up"),
    "description": Names("病例", "case"),
    "name": Names("名称", "name"),
    "title": Names("标题", "title"),
    "department": Names("科室", "department"),
    "questions and answers": Names("原有问答", "questions and answers"),
    "questions": Names("提问", "questions"),
    "answers": Names("回复", "answers"),
    "question": Names("题干", "question"),
    "options": Names("选项", "options"),
    "answer_text": Names("答案", "answer"),
    "explanation": Names("解析", "explanation"),
    "headings": Names("章节标题", "headings"),
    "text": Names("正文", "text"),
    "conditions": Names("诊断", "conditions"),
    "medications": Names("用药", "medications"),
    "observations": Names("检验检查结果", "observations"),
    "notes": Names("病历文书", "notes"),
    "encounter": Names("就诊记录", "encounter"),
}
REASONS = {
    "held_out_surplus": Names("留作测试的资料中超出测试配额的部分，也不用于训练", "held out, beyond the test quota"),
    "matches_test": Names("与测试题重复，已从训练侧移出", "equals a test item, taken out of training"),
    "duplicate_document": Names("资料重复", "document there already"),
    "duplicate_input": Names("题干重复", "same question as another sample"),
    "no_recipe_matched": Names("没有适用的组成规则", "no recipe applies"),
    "fewer_than_two_questions": Names("可用问题不足两个", "fewer than two usable questions"),
    "not_three_questions": Names("不是恰好三个问题", "other than three questions"),
    "fewer_than_three_turns": Names("可用问题不足三个", "fewer than three usable questions"),
    "more_than_three_turns": Names("超过三个问题，只问前三个", "more than three questions, the first three asked"),
    "id_renamed": Names("编号重复，已改名", "id taken, renamed"),
    "empty_field": Names("必需字段为空", "a needed field is empty"),
    "empty": Names("没有内容", "empty"),
    "answer_leaked": Names("题目中已写出答案", "the question gives the answer away"),
    "input_too_short": Names("题干过短", "question too short"),
    "output_too_short": Names("答案过短", "answer too short"),
    "output_too_long": Names("答案过长", "answer too long"),
    "truncated": Names("文字在句中断开", "cut mid-sentence"),
    "cites_absent_text": Names("引用了题目中没有的资料", "cites text that is not there"),
    "talks_about_answering": Names("在讲如何作答，而不是作答", "talks about answering instead"),
    "nothing_beyond_input": Names("除重复题目外没有新内容", "nothing beyond the question"),
    "several_departments": Names("分诊给出了不止一个科室", "several departments in a triage answer"),
    "choice_question": Names("是选择题，不是开放问题", "a choice question, not an open one"),
    "apology_or_refusal": Names("道歉或拒绝回答", "apology or refusal"),
    "mentions_passage": Names("提到了参考资料本身", "mentions the passage itself"),
    "too_short": Names("比原文短得多", "much shorter than the source"),
    "too_long": Names("比原文长得多", "much longer than the source"),
    "repeats_itself": Names("同样的话说了不止一遍", "says the same again and again"),
    "number_not_in_source": Names("出现了原文没有的数字", "a number the source does not have"),
    "unfinished": Names("没有写完", "not finished"),
    "question_unmatched": Names("问题不属于任何任务的规则", "no rule fits the question"),
    "answer_part_missing": Names("答案缺少所需的部分", "the answer lacks a needed part"),
    "no_sample_kept": Names("由此组成的样本均被搁置", "every sample made of it was set aside"),
    "pair_incomplete": Names("问答不完整", "question or answer missing"),
    "malformed_row": Names("无法读取的行", "a row that can't be read"),
    "schema_mismatch": Names("字段不合格式", "fields don't fit the schema"),
    "asked_in_own_order": Names("选项互相引用，只按原顺序提问", "options refer to each other, asked in own order"),
}  # fmt: skip
"""Reason codes as people read them; a code that is not here is shown as it is."""


def coverage_of(source: Source) -> Coverage:
    """A dataset's `coverage.json`."""
    return source.read("coverage.json", Coverage)


class Aside(Record, frozen=True, kw_only=True):
    """Why things were kept aside: one reason, how often, and a few of them."""

    reason: str
    n: int
    examples: tuple[Exclusion, ...]


def excluded(rows: Iterator[Exclusion], counted: Mapping[str, int]) -> list[Aside]:
    """Reasons by number, the most frequent first, each with its first examples."""
    found: dict[str, list[Exclusion]] = {}
    numbers: dict[str, int] = {}
    for row in rows:
        numbers[row.reason] = numbers.get(row.reason, 0) + 1
        kept = found.setdefault(row.reason, [])
        if len(kept) < EXAMPLES:
            kept.append(row)
    totals = {r: counted.get(r, numbers.get(r, 0)) for r in {**numbers, **counted}}
    return [
        Aside(reason=r, n=n, examples=tuple(found.get(r, ())))
        for r, n in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def sources(source: Source) -> dict[str, Any]:
    """The files the dataset was made from, and what of them was left out."""
    coverage = coverage_of(source)
    aside = excluded(source.rows("excluded.jsonl", Exclusion), coverage.excluded)
    return {
        "sources": coverage.sources,
        "encodings": ENCODINGS,
        "kinds": dataset_names.KINDS,
        "refined_names": dataset_names.REFINED,
        "total": {
            key: sum(getattr(s, key) for s in coverage.sources)
            for key in ("rows", "documents", "excluded")
        },
        "aside": aside,
        "refined": coverage.refined,
        "unmapped": sum(s.documents for s in coverage.specialties if s.id == taxonomy.UNMAPPED),
    }


def phase_names() -> dict[str, Names]:
    """phase id → its names, in the patient's way through the hospital."""
    return {i.id: Names(i.zh, i.en) for i in taxonomy.items("phases")}


def coverage(source: Source) -> dict[str, Any]:
    """The heat map of tasks by specialties, and its tables."""
    found = coverage_of(source)
    phases = phase_names()
    tasks = sorted(found.tasks, key=lambda t: _place(phases, t.phase))
    rows = [
        svg.HeatRow(
            id=t.id,
            names=Names(t.zh, t.en),
            group=phases.get(t.phase, Names(t.phase)),
            covered=t.covered,
            noted=t.origin == "reconstructed",
        )
        for t in tasks
    ]
    columns = [
        svg.HeatColumn(id=s.id, names=Names(s.zh, s.en), covered=s.documents + s.train + s.test > 0)
        for s in found.specialties
        if s.id != taxonomy.UNMAPPED or s.documents
    ]
    facts = figures(found)
    label = (
        f"覆盖图：{facts['covered']} / {len(tasks)} 个任务、{facts['departments']} / "
        f"{facts['listed']} 个专科有样本，共 {count(facts['samples'])} 条；数字见下表。 "
        f"Coverage heat map: {facts['covered']} of {len(tasks)} tasks, {facts['departments']} of "
        f"{facts['listed']} specialties, {count(facts['samples'])} samples; numbers in the table below."
    )
    top = max((n for row in found.matrix.values() for n in row.values()), default=0)
    return {
        "svg": svg.heat_map(rows, columns, found.matrix, label=label),
        "legend": _legend(top),
        "tasks": tasks,
        "phases": phases,
        "specialties": found.specialties,
        "matrix": found.matrix,
        "figures": facts,
        "dialogues": found.dialogues,
    }


def _place(phases: Mapping[str, Names], phase: str) -> int:
    order = list(phases)
    return order.index(phase) if phase in phases else len(order)


def _legend(top: int) -> list[tuple[int, str]]:
    """(shade, range of counts) for each shade that some count has."""
    bounds: dict[int, list[int]] = {}
    for n in range(1, top + 1):
        bounds.setdefault(svg.level(n, top), []).append(n)
    return [
        (shade, count(ns[0]) if len(ns) == 1 else f"{count(ns[0])}–{count(ns[-1])}")
        for shade, ns in bounds.items()
    ]


def figures(found: Coverage) -> dict[str, int]:
    """The few numbers that say how large and how broad the dataset is."""
    real = [s for s in found.specialties if s.id != taxonomy.UNMAPPED]
    return {
        "train": sum(t.train for t in found.tasks),
        "test": sum(t.test for t in found.tasks),
        "samples": sum(t.train + t.test for t in found.tasks),
        "covered": sum(t.covered for t in found.tasks),
        "tasks": len(found.tasks),
        "departments": sum(s.train + s.test > 0 for s in real),
        "listed": len(real),
        "documents": sum(s.documents for s in found.sources),
        "rows": sum(s.rows for s in found.sources),
        "excluded": sum(found.excluded.values()),
        "files": len(found.sources),
        "dialogues_train": found.dialogues.get("train", 0),
        "dialogues_test": found.dialogues.get("test", 0),
    }


def samples(source: Source) -> dict[str, Any]:
    """One sample a phase, each beside the source it was made from; by id, never by how good it looks."""
    found = coverage_of(source)
    tasks = {t.id: t for t in found.tasks}
    names = {s.id: Names(s.zh, s.en) for s in found.specialties}
    pools = {
        "train": _pool(_parquet(source, "train.parquet")),
        "test": _pool(source.rows("doctorflan_test.jsonl", Sample)),
    }
    chosen = _choose(pools, list(phase_names()))
    wanted = {s.document for _, s in chosen}
    documents = {d.id: d for d in source.rows("documents.jsonl", Document) if d.id in wanted}
    return {
        "items": [
            {
                "sample": sample,
                "split": split,
                "task": tasks.get(sample.task),
                "phase": phase_names().get(sample.phase, Names(sample.phase)),
                "specialty": names.get(sample.specialty, Names(sample.specialty)),
                "document": documents.get(sample.document),
                "passages": _passages(sample, documents.get(sample.document)),
            }
            for split, sample in chosen
        ]
    }


def _parquet(source: Source, name: str) -> Iterator[Sample]:
    """Rows of a Parquet file of samples, a batch at a time; none when the artifact has no such file."""
    if not source.has(name):
        return
    import msgspec
    import pyarrow.parquet as pq

    with pq.ParquetFile(source.path / name) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from msgspec.convert(batch.to_pylist(), list[Sample])


def _pool(rows: Iterator[Sample]) -> dict[str, list[Sample]]:
    """The first samples of each phase in file order."""
    pool: dict[str, list[Sample]] = {}
    for sample in rows:
        kept = pool.setdefault(sample.phase, [])
        if len(kept) < SEEN_PER_PHASE:
            kept.append(sample)
    return pool


def _choose(
    pools: Mapping[str, Mapping[str, Sequence[Sample]]], phases: Sequence[str]
) -> list[tuple[str, Sample]]:
    """For each phase the first sample whose document was not shown yet, train and test taking turns."""
    chosen: list[tuple[str, Sample]] = []
    shown: set[str] = set()
    for i, phase in enumerate(phases):
        order = ("train", "test") if i % 2 == 0 else ("test", "train")
        offered = [(split, s) for split in order for s in pools[split].get(phase, ())]
        if not offered:
            continue
        split, sample = next((o for o in offered if o[1].document not in shown), offered[0])
        shown.add(sample.document)
        chosen.append((split, sample))
    return chosen


def _passages(sample: Sample, document: Document | None) -> list[tuple[Names, str | None]]:
    """(field, its text in the document) for the fields the sample names; None where it has no such field."""
    if document is None:
        return []
    return [(field_names(field), _field_text(document, field)) for field in sample.source_fields]


def _field_text(document: Document, field: str) -> str | None:
    """A field's text; a case's `questions` and `answers` are set beside each other."""
    if field == "title":
        return document.title
    if field == "questions and answers":
        pairs = zip(_texts(document, "questions"), _texts(document, "answers"), strict=False)
        return "\n\n".join(f"问：{q}\n答：{a}" for q, a in pairs) or None
    return "、".join(_texts(document, field)) or None


def _texts(document: Document, field: str) -> tuple[str, ...]:
    value = document.fields.get(field, ())
    return (value,) if isinstance(value, str) else value


def reason_names(reason: str) -> Names:
    """What a reason code means, or the code itself."""
    return REASONS.get(reason) or dataset_names.of(dataset_names.REASONS, reason)


def field_names(field: str) -> Names:
    """A source field's names, the field's own word kept."""
    known = FIELDS.get(field)
    return Names(known.zh, field) if known else Names(field)
