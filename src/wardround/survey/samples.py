"""Sample outputs for the feedback stage: from a JSONL file, or asked of a model.

A model is given the task's fixed instruction and the very example that respondents see. What it wrote is shown as
written by a model and looked at by nobody; a scripted stand-in's own labels are shown with it. Asking writes an
artifact of kind "samples" (journalled, so it can be stopped and gone on with), which the file form is as well:
`samples.jsonl` with task, question, answer, model, labels.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from wardround import taxonomy
from wardround.artifact import Artifact, begin, digest_of, open_artifact
from wardround.errors import InputError, UsageError, WardroundError
from wardround.models import Model
from wardround.models.ask import Ask, run
from wardround.progress import Progress
from wardround.records import Answer, Message, Request
from wardround.rows import read_json_rows
from wardround.survey.answers import clean
from wardround.survey.design import Sample, SurveyTask

UNREVIEWED = (
    "示例输出由模型生成，未经医生审核，不得用于诊疗 / "
    "Sample outputs were written by a model, reviewed by no doctor, and are not for care"
)
MOST = 4000
"""Characters of one sample output that are shown."""
FILE = "samples.jsonl"


def request(task: SurveyTask) -> Request:
    """What a model is asked for a task: its instruction and its example, which is `hint`ed to scripted models."""
    marker = f"{taxonomy.case_marker()}\n" if task.takes == "case" else ""
    text = f"{task.instruction}\n\n{marker}{task.example_zh}"
    return Request(
        key=f"sample:{task.key}:{digest_of(text)[:16]}", messages=(Message(role="user", content=text),),
        max_tokens=800, hint={"reference": task.example_zh},
    )  # fmt: skip


def ask(
    tasks: Sequence[SurveyTask], model: Model, out: Path, *, slug: str, concurrency: int = 8
) -> Artifact:
    """One output for each task that has an example. A failed request leaves the artifact open: run it again."""
    asked = [t for t in tasks if t.example_zh]
    requests = [request(t) for t in asked]
    config = {"survey": slug, "model": dict(model.identity), "asked": digest_of(requests)}
    with begin(out, kind="samples", config=config) as ws:
        if ws.done:
            return open_artifact(out, "samples")
        with ws.journal() as journal, Progress("samples", len(asked)) as progress:
            replies = run(
                [_piece(model, r) for r in requests], models=[model], journal=journal,
                concurrency=concurrency, progress=progress,
            )  # fmt: skip
        failed = [t.key for t, r in zip(asked, replies, strict=True) if r.status != "ok"]
        if failed:
            raise WardroundError(
                f"{len(failed)} of {len(asked)} requests failed ({', '.join(failed[:5])})",
                hint="run the same command again; only these are asked anew",
            )
        rows = [
            _row(t, Sample(question=t.example_zh, answer=r.text or "", model=model.name, labels=model.labels))
            for t, r in zip(asked, replies, strict=True)
        ]  # fmt: skip
        ws.write_jsonl(FILE, rows)
        return ws.seal(counts={"samples": len(rows)}, labels=[UNREVIEWED, *model.labels])


def _piece(model: Model, asked: Request) -> Callable[[Ask], Awaitable[Answer]]:
    async def piece(ask: Ask) -> Answer:
        return await ask(model, asked)

    return piece


def _row(task: SurveyTask, sample: Sample) -> dict[str, Any]:
    return {
        "task": task.key, "question": sample.question, "answer": sample.answer, "model": sample.model,
        "labels": list(sample.labels),
    }  # fmt: skip


def read(path: Path) -> dict[str, list[Sample]]:
    """Samples by task from a JSONL file or an artifact of samples. `InputError` naming the row that is none."""
    if path.is_dir():
        path = open_artifact(path, "samples").file(FILE)
    found: dict[str, list[Sample]] = {}
    for number, row in read_json_rows(path):
        missing = [k for k in ("task", "answer", "model") if not str(row.get(k) or "").strip()]
        labels = row.get("labels") or []
        if missing or not isinstance(labels, list):
            raise InputError(
                f"no {', '.join(missing)}" if missing else "labels is no list", path=path, row=number,
                hint="a row has task, answer, model, and may have question and labels (a list)",
            )  # fmt: skip
        sample = Sample(
            question=clean(str(row.get("question") or ""), MOST), answer=clean(str(row["answer"]), MOST),
            model=clean(str(row["model"]), 200), labels=tuple(clean(str(x), 500) for x in labels),
        )  # fmt: skip
        found.setdefault(str(row["task"]), []).append(sample)
    return found


def parsed(data: bytes, name: str) -> dict[str, list[Sample]]:
    """The same from an uploaded file's bytes; `name` is what errors call it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.jsonl"
        path.write_bytes(data)
        try:
            return read(path)
        except InputError as e:
            raise UsageError(e.message.replace(str(path), name), hint=e.hint) from e
