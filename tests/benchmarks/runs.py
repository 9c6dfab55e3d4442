"""Run artifacts made from records alone, without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import begin
from wardround.benchmarks import benchmark
from wardround.benchmarks.item import jury
from wardround.benchmarks.record import RunRecord
from wardround.benchmarks.summary import summarise
from wardround.records import Answer, Score, encode

LABEL = "测试用分数 / Scores made for a test"


def record(
    case: str,
    judges: Mapping[str, float | None],
    *,
    benchmark: str = "doctorflan_test",
    turn: int = 1,
    repeat: int = 1,
    answer: str | None = "答",
    **more: Any,
) -> RunRecord:
    """One item; a judge's None is a reply without a verdict, `answer` None a failed request."""
    scores = {
        name: Score(status="unscored", reason="no verdict in the judge's reply")
        if value is None
        else Score(status="scored", value=value)
        for name, value in judges.items()
    }
    said = (
        Answer(status="failed", reason="http 500")
        if answer is None
        else Answer(status="ok", text=answer)
    )
    fields: dict[str, Any] = {
        "task": "triage", "category": "Triage", "specialty": "", "question": "问", "reference": "参考",
        "finish_reason": "stop", "tokens_in": None, "tokens_out": None, "score": jury(said, scores),
    } | more  # fmt: skip
    return RunRecord(
        benchmark=benchmark, case=case, turn=turn, repeat=repeat, status=said.status, answer=answer,
        length=None if answer is None else len(answer), reason=said.reason,
        judges=scores if answer is not None else {}, **fields,
    )  # fmt: skip


def make_run(
    out: Path,
    records: Sequence[RunRecord],
    *,
    seal: bool = True,
    model: str = "m",
    cost: Mapping[str, float] | None = None,
    timing: Mapping[str, Any] | None = None,
) -> Path:
    """A run artifact of these records."""
    names = list(dict.fromkeys(r.benchmark for r in records))
    judges = sorted({j for r in records for j in r.judges})
    summary = summarise(
        records, [benchmark(n) for n in names], model=model, judges=judges,
        skipped=dict.fromkeys(names, 0), seed=0,
    )  # fmt: skip
    ordered: list[RunRecord] = sorted(records, key=RunRecord.order)
    with begin(out, kind="run", config={"n": len(records)}) as ws:
        ws.write_jsonl("records.jsonl", ordered)
        ws.write_jsonl("skipped.jsonl", [])
        ws.write_json("summary.json", summary)
        if timing is not None:
            ws.volatile("timing.json").write_bytes(encode(timing))
        if seal:
            ws.seal(counts={"items": len(records)}, labels=[LABEL], cost=cost, seed=0)
    return out
