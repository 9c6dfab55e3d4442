"""Validated rationales, in the forms they are read and trained on.

rationales.jsonl, rationales.parquet   one accepted item a row, with scores, rounds and provenance
undecided.jsonl                        every other item, with its state and what stood against it
train.jsonl                            messages (TRL, ms-swift); `wardround tune` takes the artifact itself
llamafactory/                          alpaca.jsonl with dataset_info.json
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from wardround.artifact import Workspace
from wardround.records import encode
from wardround.review import drafting
from wardround.review.snapshot import Item, Result, Snapshot, Version

ASK = "请先写出推理过程，说明选择的依据和不选其他各项的理由，再另起一行写“答案：”和一个选项字母。"
"""What the questions of the training files end with."""


def write(ws: Workspace, snapshot: Snapshot, items: list[Item]) -> dict[str, int]:
    """The files of a study of rationales; returns what to count."""
    accepted = [i for i in items if i.status == "accepted"]
    rows = [rationale(i, snapshot) for i in accepted]
    ws.write_jsonl("rationales.jsonl", rows)
    _parquet(ws, rows)
    undecided = [i for i in items if i.status != "accepted"]
    ws.write_jsonl("undecided.jsonl", (_undecided(i) for i in undecided))
    train = [(r["id"], *_turn(r)) for r in rows]
    ws.write_jsonl("train.jsonl", ({"id": i, "messages": _messages(q, a)} for i, q, a in train))
    ws.write_jsonl(
        "llamafactory/alpaca.jsonl",
        ({"id": i, "instruction": q, "input": "", "output": a} for i, q, a in train),
    )
    ws.write_json(
        "llamafactory/dataset_info.json",
        {
            "wardround_rationales": {
                "file_name": "alpaca.jsonl",
                "formatting": "alpaca",
                "columns": {"prompt": "instruction", "query": "input", "response": "output"},
            }
        },
    )
    return {
        "accepted": len(accepted),
        "by_panel": sum(r["decided_by"] == "panel" for r in rows),
        "undecided": len(undecided),
        "strikes": sum(i.strikes for i in items),
    }


def rationale(item: Item, snapshot: Snapshot) -> dict[str, Any]:
    """One accepted item: the rationale that stands, and everything that led to it."""
    final = item.standing
    if final is None:
        raise ValueError(f"item {item.key} was accepted without a version")
    question = drafting.question_of(item.data)
    draft = drafting.draft_of(final.content, final.data)
    panel = _panel(item.results)
    source = snapshot.config.source
    return {
        "id": item.key,
        "question": question.text,
        "options": question.options,
        "options_in_question": question.listed,
        "answer": item.data["answer"],
        "rationale": "\n".join(draft.steps),
        "steps": list(draft.steps),
        "specialty": item.specialty,
        "dimension": item.data.get("dimension", ""),
        "decided_by": "panel" if panel else "consensus",
        "panel": panel,
        "rounds": item.round,
        "strikes": item.strikes,
        "scores": _scores(item),
        "versions": [_version(v) for v in item.versions],
        "results": msgspec.to_builtins(item.results),
        "provenance": {
            "study": snapshot.slug,
            "written_by": final.author,
            "author_kind": final.author_kind,
            "first_written_by": item.versions[0].author,
            "validated_by": _validators(item, panel),
            "validated_at": item.results[-1].at if item.results else "",
            "source": next((p.text for p in item.body if p.role == "source"), ""),
            "inputs": [
                {k: i[k] for k in ("role", "kind", "digest")} for i in source.get("inputs", ())
            ],
        },
    }


def _validators(item: Item, panel: dict[str, Any] | None) -> list[str]:
    """Whose word made it stand: the panel's, or the last round's reviewers."""
    if panel:
        return [panel["by"]]
    return sorted({r.reviewer for r in item.reviews if r.round == item.round})


def _scores(item: Item) -> list[dict[str, Any]]:
    return [
        {
            "round": r.round, "version": r.version, "reviewer": r.reviewer, "scores": r.scores,
            "comment": r.comment, "spans": list(r.spans), "revision": r.revision,
            "seconds": r.seconds, "at": r.at,
        }
        for r in item.reviews
    ]  # fmt: skip


def _version(v: Version) -> dict[str, Any]:
    draft = drafting.draft_of(v.content, v.data)
    return {
        "number": v.number, "author_kind": v.author_kind, "author": v.author, "answer": draft.answer,
        "steps": list(draft.steps), "guidance": v.guidance, "diff": v.diff, "at": v.at,
    }  # fmt: skip


def _panel(results: Sequence[Result]) -> dict[str, Any] | None:
    """The panel's decision with its words."""
    for r in reversed(results):
        if r.outcome.startswith("panel_"):
            reason = r.reasons[0]
            return {
                "decision": reason["code"], "reason": reason["text"], "by": reason["by"], "at": r.at,
            }  # fmt: skip
    return None


def _undecided(item: Item) -> dict[str, Any]:
    """An item that isn't accepted: its state, the reasons against it, all that was written and scored."""
    last = item.results[-1] if item.results else None
    return {
        "id": item.key,
        "status": item.status,
        "reasons": list(last.reasons) if last else [],
        "panel": _panel(item.results),
        "question": drafting.question_of(item.data).text,
        "options": item.data["options"],
        "answer": item.data["answer"],
        "specialty": item.specialty,
        "rounds": item.round,
        "strikes": item.strikes,
        "scores": _scores(item),
        "versions": [_version(v) for v in item.versions],
        "results": msgspec.to_builtins(item.results),
    }


def _turn(row: dict[str, Any]) -> tuple[str, str]:
    """The question as asked in training, and its answer."""
    question = drafting.Question(
        text=row["question"], options=row["options"], listed=row["options_in_question"]
    )
    return f"{question.words}\n\n{ASK}", f"{row['rationale']}\n答案：{row['answer']}"


def _messages(question: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


FLAT = ("id", "question", "answer", "rationale", "specialty", "dimension", "decided_by")


def _parquet(ws: Workspace, rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table: texts and numbers as they are, what is nested as JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, pa.Array] = {
        name: pa.array([r[name] for r in rows], pa.string()) for name in FLAT
    }
    columns["steps"] = pa.array([r["steps"] for r in rows], pa.list_(pa.string()))
    listed = [r["options_in_question"] for r in rows]
    columns["options_in_question"] = pa.array(listed, pa.bool_())
    for name in ("rounds", "strikes"):
        columns[name] = pa.array([r[name] for r in rows], pa.int32())
    for name in ("options", "scores", "versions", "results", "panel", "provenance"):
        columns[name] = pa.array(list(_json(rows, name)), pa.string())
    pq.write_table(pa.table(columns), ws.file("rationales.parquet"), compression="zstd")


def _json(rows: Iterable[dict[str, Any]], name: str) -> Iterator[str]:
    for row in rows:
        yield encode(row[name]).decode()
