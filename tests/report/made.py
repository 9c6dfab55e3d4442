"""Small artifacts of every kind, by the file formats the report reads, with content of our own."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wardround import taxonomy
from wardround.artifact import Artifact, begin, open_artifact, ref
from wardround.metrics.bootstrap import NOTHING, cluster_mean
from wardround.records import Document, Exclusion, Provenance, Sample, Score, encode

SPECIALTIES = [
    "呼吸内科",
    "心血管内科",
    "消化内科",
    "神经内科",
    "肾内科",
    "血液内科",
    "内分泌科",
    "风湿免疫科",
    "感染科",
    "普通外科",
    "骨科",
    "神经外科",
    "胸外科",
    "心脏大血管外科",
    "泌尿外科",
    "烧伤整形科",
    "妇产科",
    "儿科",
    "眼科",
    "耳鼻咽喉头颈外科",
    "口腔科",
    "皮肤性病科",
    "精神心理科",
    "肿瘤科",
    "中医科",
    "急诊与重症医学科",
    "康复医学科",
]
LABEL_DATA = "资料与病例为本项目自编，未经医师审定 / Sources written for this project, not reviewed by a doctor"
LABEL_TINY = "从零训练的微型演示模型，没有医学用途 / A tiny demo model trained from scratch; of no medical use"
LABEL_JUDGE = (
    "评分由脚本化替身（字面重叠）给出，不是评审模型，不能说明医学质量 / "
    "Scored by a scripted stand-in (character overlap), not a judge model; says nothing of medical quality"
)
DISEASES = (
    ("支气管哮喘", 0, "反复发作的喘息、气急，夜间和清晨多见。", "吸入糖皮质激素控制气道炎症，急性期加用速效支气管舒张剂。"),
    ("慢性心力衰竭", 1, "活动后气促、夜间阵发性呼吸困难，双下肢水肿。", "利尿减轻淤血，以改善预后的药物为基础，逐步滴定剂量。"),
    ("消化性溃疡", 2, "周期性上腹痛，与进食有关，可伴反酸。", "抑酸四至八周，检出幽门螺杆菌者规范根除。"),
    ("股骨颈骨折", 10, "跌倒后髋部疼痛，下肢外旋短缩，不能负重。", "无移位者可内固定，高龄移位者多行关节置换，术后尽早活动。"),
    ("年龄相关性白内障", 18, "无痛性渐进性视力下降，眩光。", "影响生活时行超声乳化联合人工晶状体植入。"),
    ("缺铁性贫血", 5, "乏力、面色苍白、活动后心悸。", "口服铁剂并查明失血原因，血红蛋白正常后继续补铁。"),
)  # fmt: skip
UNCOVERED = "preoperative_education"


def _number(*parts: object) -> float:
    """A number in [0, 1) that is always the same for the same parts."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _documents(source: Path) -> list[Document]:
    sha = hashlib.sha256(source.read_bytes()).hexdigest()
    return [
        Document(
            id=f"doc-{i}", kind="encyclopedia", title=name, departments=("内科", SPECIALTIES[s]),
            fields={"desc": f"{name}的要点。{signs}", "symptom": tuple(signs.rstrip("。").split("、")),
                    "treatment": cure},
            specialty=f"s{s:02d}", split="test" if i % 3 == 2 else "train",
            provenance=Provenance(file=source.name, sha256=sha, row=i + 1, licence="Apache-2.0"),
        )
        for i, (name, s, signs, cure) in enumerate(DISEASES)
    ]  # fmt: skip


def _samples(documents: Iterable[Document]) -> list[tuple[str, Sample]]:
    out = []
    for task in taxonomy.tasks().values():
        if task.id == UNCOVERED:
            continue
        for d in documents:
            if task.phase == "post_treatment" and _number(task.id, d.id) < 0.4:
                continue
            case = f"{taxonomy.case_marker()}患者，男，{40 + int(_number(d.id) * 40)}岁。{d.fields['desc']}"
            asked = case if task.takes == "case" else f"{d.title}的{task.zh}"
            out.append((
                d.split,
                Sample(
                    category=task.en, input=f"{task.instruction}\n{asked}", output=f"{d.title}。{d.fields['treatment']}",
                    id=f"{d.split}-{task.id}-{d.id}", task=task.id, phase=task.phase,
                    specialty=d.specialty, document=d.id, recipe="treatment",
                    source_fields=("desc", "treatment", "grading"),
                ),
            ))  # fmt: skip
    return out


def make_dataset(
    root: Path,
    *,
    title: str = "",
    labels: tuple[str, ...] = (LABEL_DATA,),
    making: dict[str, Any] | None = None,
    pairs: Iterable[dict[str, Any]] = (),
) -> Path:
    """A dataset artifact at `root/dataset` from one written source file; `making` adds to its coverage.json."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = root / "sources" / "encyclopedia.jsonl"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(b"".join(encode({"name": d[0]}) + b"\n" for d in DISEASES))
    out = root / "dataset"
    documents = _documents(source)
    if title:
        first = documents[0]
        documents[0] = Document(
            **{f: getattr(first, f) for f in first.__struct_fields__} | {"title": title}
        )
    samples = _samples(documents)
    inputs = [ref(source, "source", seen_from=out)]
    with begin(out, kind="dataset", config={"seed": 1, "title": title}, inputs=inputs) as ws:
        train = [s for split, s in samples if split == "train"]
        rows = [{f: getattr(s, f) for f in s.__struct_fields__} for s in train]
        rows = [r | {"source_fields": list(r["source_fields"])} for r in rows]
        pq.write_table(pa.Table.from_pylist(rows), ws.file("train.parquet"))
        ws.write_jsonl("doctorflan_test.jsonl", (s for split, s in samples if split == "test"))
        ws.write_jsonl("documents.jsonl", documents)
        ws.write_jsonl("excluded.jsonl", _exclusions())
        ws.write_json("coverage.json", _coverage(documents, samples, source) | (making or {}))
        if pairs:
            ws.write_jsonl("blocked_pairs.jsonl", pairs)
        return ws.seal(counts={"train": len(train)}, labels=labels, seed=1).path


def _exclusions() -> list[Exclusion]:
    rows = [("empty_answer", f"r{i}", "参考答案为空") for i in range(4)]
    rows += [("test_overlap", "r9", "与测试条目重复，已从训练侧移出")]
    return [
        Exclusion(stage="compose", file="encyclopedia.jsonl", row=i + 10, what=what, reason=reason, detail=detail)
        for i, (reason, what, detail) in enumerate(rows)
    ]  # fmt: skip


def _coverage(
    documents: list[Document], samples: list[tuple[str, Sample]], source: Path
) -> dict[str, Any]:
    matrix: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for _, s in samples:
        matrix[s.task][s.specialty] += 1 + int(30 * _number(s.id))
    tasks = [
        {"id": t.id, "zh": t.zh, "en": t.en, "phase": t.phase, "origin": t.origin,
         "covered": t.id in matrix, "reason": "" if t.id in matrix else "来源没有术前宣教字段",
         **{side: sum(1 for split, s in samples if s.task == t.id and split == side) for side in ("train", "test")}}
        for t in taxonomy.tasks().values()
    ]  # fmt: skip
    ids = {f"s{i:02d}": (zh, f"department {i + 1}") for i, zh in enumerate(SPECIALTIES)}
    ids["unmapped"] = ("未归类", "unmapped")
    specialties = [
        {"id": i, "zh": zh, "en": en, "origin": "reconstructed",
         "documents": sum(d.specialty == i for d in documents),
         **{side: sum(1 for split, s in samples if s.specialty == i and split == side) for side in ("train", "test")}}
        for i, (zh, en) in ids.items()
    ]  # fmt: skip
    return {
        "tasks": tasks, "specialties": specialties, "matrix": matrix,
        "sources": [{"file": source.name, "kind": "encyclopedia", "encoding": "utf-8", "rows": 12345,
                     "documents": len(documents), "excluded": 5, "licence": "Apache-2.0",
                     "sha256": documents[0].provenance.sha256}],
        "excluded": {"empty_answer": 4, "test_overlap": 1},
        "dialogues": {"train": 20, "test": 8}, "refined": None,
    }  # fmt: skip


def make_checkpoint(root: Path, name: str, *, inputs: dict[str, Path], stage: str) -> Path:
    """A checkpoint artifact with a falling loss; its weights are a few bytes."""
    out = root / name
    refs = [ref(p, role, seen_from=out) for role, p in inputs.items()]
    start, floor, steps = (8.3, 4.2, 400) if stage == "pretrain" else (4.4, 2.6, 240)
    rows: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        fall = floor + (start - floor) * math.exp(-step / (steps / 4))
        noise = (_number(name, step) - 0.5) * 0.4
        rows.append({"stage": stage, "step": step, "epoch": step / steps * 3, "loss": fall + noise,
                     "lr": 1e-3, "tokens": step * 4096})  # fmt: skip
        if step % (steps // 5) == 0:
            rows.append({"stage": stage, "step": step, "eval_loss": fall + 0.15})
    plan = {"stage": stage, "samples": 1210, "held_out_samples": 40, "tokens": 240_000, "supervised_tokens": 98_000,
            "steps": steps, "epochs": 3, "truncated": {"treatment_plan": 3}, "batch_tokens": 4096,
            "memory_mb": 900, "parameters": 5_240_832, "warmup": 0.05}  # fmt: skip
    with begin(out, kind="checkpoint", config={"stage": stage, "lr": 1e-3}, inputs=refs) as ws:
        ws.file("model.safetensors").write_bytes(bytes(2048))
        ws.file("README.md").write_text("# 微型演示模型\n", "utf-8")
        ws.write_json("plan.json", plan)
        ws.write_jsonl("training_log.jsonl", rows)
        return ws.seal(counts={"steps": steps}, labels=(LABEL_TINY, LABEL_DATA), seed=1).path


def _score(who: str, key: str, quality: float) -> Score:
    chance = _number(who, key)
    if chance > 0.96:
        return Score(status="unscored", reason="no verdict in the judge's reply")
    shared = 1.4 + 2.2 * _number(key)
    value = min(10.0, max(1.0, round(shared + quality * (0.5 + _number(who, key, "q")), 2)))
    return Score(status="scored", value=value, explanation=f"字面重叠。[[{value:g}]]")


def make_records(
    dataset: Path, who: str, *, quality: float, answer: str = ""
) -> list[dict[str, Any]]:
    """Records of both benchmarks on the dataset's test side; one item failed."""
    import msgspec

    lines = (dataset / "doctorflan_test.jsonl").read_bytes().splitlines()
    samples = [msgspec.json.decode(line, type=Sample) for line in lines]
    asked = [
        ("doctorflan_test", s.id, 1, s.task, s.category, s.specialty, s.input, s.output)
        for s in samples
    ]
    for c in range(6):
        for turn, q in enumerate(
            ("诊断及依据是什么？", "需与哪些疾病鉴别？", "如何治疗？"), start=1
        ):
            text = (
                f"患者，女，{50 + c}岁，反复上腹痛两月，{'进食后加重，' * 30}{q}"
                if turn == 1
                else q
            )
            asked.append(
                (
                    "dotabench",
                    f"case-{c}",
                    turn,
                    "",
                    "",
                    f"s{c:02d}",
                    text,
                    f"参考要点 {turn}：①②③。",
                )
            )
    records = []
    for n, (bench, case, turn, task, category, specialty, question, reference) in enumerate(asked):
        key = f"{bench}/{case}/{turn}"
        failed = n == 7 and who == "run-base"
        score = Score(status="failed", reason="HTTP 500") if failed else _score(who, key, quality)
        said = answer or (reference[: 8 + int(20 * quality)] + "，" + "患者症状，" * 3)
        records.append({
            "benchmark": bench, "case": case, "turn": turn, "repeat": 1, "task": task, "category": category,
            "specialty": specialty, "question": question, "reference": reference,
            "status": "failed" if failed else "ok", "answer": None if failed else said,
            "reason": "HTTP 500" if failed else "", "finish_reason": "" if failed else ("length" if n % 5 == 0 else "stop"),
            "tokens_in": 10, "tokens_out": 20,
            "judges": {} if failed else {"scripted:overlap": score}, "score": score,
        })  # fmt: skip
    return records


def _counts(records: list[dict[str, Any]]) -> dict[str, int]:
    return {
        k: sum(r["score"].status == k for r in records) for k in ("scored", "unscored", "failed")
    }


def _estimate(records: list[dict[str, Any]]) -> Any:
    clusters: dict[str, list[float]] = defaultdict(list)
    for r in records:
        if r["score"].value is not None:
            clusters[r["case"]].append(r["score"].value)
    return cluster_mean([clusters[c] for c in sorted(clusters)], resamples=400)


def make_summary(records: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """`summary.json` of those records."""
    tasks = taxonomy.tasks()
    names = {
        "doctorflan_test": ("单轮临床任务", "Single-turn clinical tasks"),
        "dotabench": ("多轮病例对话", "Multi-turn cases"),
    }
    benchmarks = {}
    for name, (zh, en) in names.items():
        mine = [r for r in records if r["benchmark"] == name]

        def rows(field: str, mine: list[dict[str, Any]] = mine) -> list[tuple[Any, dict[str, Any]]]:
            groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
            for r in mine:
                if r[field]:
                    groups[r[field]].append(r)
            return [
                (k, {"counts": _counts(g), "estimate": _estimate(g)}) for k, g in groups.items()
            ]

        reasons: dict[str, int] = defaultdict(int)
        for r in mine:
            if r["score"].status != "scored":
                reasons[r["score"].reason] += 1
        turns = [{"turn": t, **row} for t, row in rows("turn")]
        benchmarks[name] = {
            "zh": zh, "en": en, "cases": len({r["case"] for r in mine}), "scale": [1, 10], "repeats": 1,
            "counts": _counts(mine), "overall": _estimate(mine), "skipped": 1 if name == "dotabench" else 0,
            "by_task": [{"task": t, "zh": tasks[t].zh, "en": tasks[t].en, "origin": tasks[t].origin, **row} for t, row in rows("task")],
            "by_turn": turns if len(turns) > 1 else [],
            "by_specialty": [{"specialty": s, "zh": SPECIALTIES[int(s[1:])], "en": s, **row} for s, row in rows("specialty")],
            "reasons": reasons, "cut_by_length": sum(r["finish_reason"] == "length" for r in mine),
        }  # fmt: skip
    return {
        "model": model,
        "judges": ["scripted:overlap"],
        "seed": 1,
        "level": 0.95,
        "resamples": 400,
        "benchmarks": benchmarks,
    }


def make_run(
    root: Path, name: str, *, dataset: Path, checkpoint: Path | None, quality: float, answer: str = "",
    labels: tuple[str, ...] = (LABEL_TINY, LABEL_JUDGE), unscored_task: str = "", seal: bool = True,
) -> Path:  # fmt: skip
    """A run artifact; with `seal` False the directory stays as an interrupted run leaves it."""
    out = root / name
    inputs = [ref(dataset, "dataset", seen_from=out),
              ref(dataset / "doctorflan_test.jsonl", "data:doctorflan_test", seen_from=out)]  # fmt: skip
    if checkpoint is not None:
        inputs.append(ref(checkpoint, "checkpoint", seen_from=out))
    records = make_records(dataset, name, quality=quality, answer=answer)
    for r in records:
        if unscored_task and r["task"] == unscored_task:
            r["score"] = Score(status="unscored", reason="no verdict in the judge's reply")
    skipped = Exclusion(stage="load", file="dotabench.jsonl", row=9, what="case-9",
                        reason="fewer_than_three_turns", detail="2 usable questions; left aside")  # fmt: skip
    summary = make_summary(records, f"local:{name}")
    with begin(
        out,
        kind="run",
        config={"model": {"name": name}, "judges": [], "answer": answer},
        inputs=inputs,
    ) as ws:
        ws.write_jsonl("records.jsonl", records)
        ws.write_jsonl("skipped.jsonl", [skipped])
        ws.write_json("summary.json", summary)
        if seal:
            ws.seal(counts=_counts(records), labels=labels, cost={"tokens_out": 1e4}, seed=1)
    return out


def _difference(
    a: dict[Any, dict[str, Any]], b: dict[Any, dict[str, Any]], keys: list[Any]
) -> dict[str, Any]:
    both = [k for k in keys if a[k]["score"].value is not None and b[k]["score"].value is not None]
    clusters: dict[str, list[float]] = defaultdict(list)
    for k in both:
        clusters[k[1]].append(b[k]["score"].value - a[k]["score"].value)
    mean = {
        side: sum(rows[k]["score"].value for k in both) / len(both) if both else None
        for side, rows in (("a_mean", a), ("b_mean", b))
    }
    found = (
        cluster_mean([clusters[c] for c in sorted(clusters)], resamples=400) if both else NOTHING
    )
    return {"n": len(both), **mean, "difference": found, "unpaired": len(keys) - len(both)}


def make_comparison(root: Path, runs: list[Path]) -> Path:
    """A comparison of the second run with the first."""
    import msgspec

    from wardround.report.shapes import RunItem

    out = root / "comparison"
    read: list[dict[Any, dict[str, Any]]] = []
    for run in runs:
        items = [
            msgspec.json.decode(x, type=RunItem)
            for x in (run / "records.jsonl").read_bytes().splitlines()
        ]
        read.append(
            {(i.benchmark, i.case, i.turn): {"score": i.score, "task": i.task} for i in items}
        )
    summary = msgspec.json.decode((runs[0] / "summary.json").read_bytes())
    tasks = taxonomy.tasks()
    benchmarks = {}
    for name, b in summary["benchmarks"].items():
        keys = [k for k in read[0] if k[0] == name]
        by_task = [
            {"task": t, "zh": tasks[t].zh, "en": tasks[t].en,
             **_difference(read[0], read[1], [k for k in keys if read[0][k]["task"] == t])}
            for t in dict.fromkeys(read[0][k]["task"] for k in keys)
            if t
        ]  # fmt: skip
        pair = {"a": 0, "b": 1, **_difference(read[0], read[1], keys), "by_task": by_task}
        benchmarks[name] = {"zh": b["zh"], "en": b["en"], "scale": [1, 10], "pairs": [pair]}
    opened = [open_artifact(r) for r in runs]
    models = [msgspec.json.decode((r / "summary.json").read_bytes())["model"] for r in runs]
    made = [{"model": m, "digest": a.manifest.digest, "path": "", "labels": list(a.manifest.labels)}
            for m, a in zip(models, opened, strict=True)]  # fmt: skip
    inputs = [ref(r, f"run_{i}", seen_from=out) for i, r in enumerate(runs)]
    with begin(out, kind="comparison", config={"seed": 1}, inputs=inputs) as ws:
        ws.write_json(
            "comparison.json",
            {"level": 0.95, "resamples": 400, "seed": 1, "runs": made, "benchmarks": benchmarks},
        )
        labels = dict.fromkeys(x for a in opened for x in a.manifest.labels)
        return ws.seal(counts={"runs": 2}, labels=labels, seed=1).path


def make_demo(root: Path, **run: Any) -> Artifact:
    """The whole loop at `root`, its demo artifact at `root/demo`."""
    dataset = make_dataset(root)
    base = make_checkpoint(root, "base", inputs={"dataset": dataset}, stage="pretrain")
    tuned = make_checkpoint(root, "tuned", inputs={"dataset": dataset, "base": base}, stage="sft")
    run_base = make_run(root, "run-base", dataset=dataset, checkpoint=base, quality=0.2, **run)
    run_tuned = make_run(root, "run-tuned", dataset=dataset, checkpoint=tuned, quality=1.6, **run)
    comparison = make_comparison(root, [run_base, run_tuned])
    out = root / "demo"
    roles = {"dataset": dataset, "base": base, "tuned": tuned, "run_base": run_base,
             "run_tuned": run_tuned, "comparison": comparison}  # fmt: skip
    inputs = [ref(p, role, seen_from=out) for role, p in roles.items()]
    with begin(out, kind="demo", config={"seed": 1}, inputs=inputs) as ws:
        ws.volatile("timings.json").write_bytes(
            encode({"dataset": 2.1, "tuned": 201.0, "run_base": 30.5, "packing": 1.0})
        )
        return ws.seal(counts={"steps": 6}, labels=(LABEL_TINY, LABEL_JUDGE), seed=1)
