"""A survey as an artifact of kind "survey": what was asked, what was answered, what came of it.

Files: `survey.json` (settings, tasks, samples), `answers.jsonl` (released form: coarse profiles, no texts, no
tokens), `texts.jsonl` (what was written, apart from the answers), `additions.jsonl` (what became of added tasks),
`results.json`, and `tasks.yaml`, the list for `build`. A feedback stage names the artifact of its inspiration stage
as input, so the list leads back to the first wish.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, begin, digest_of, open_artifact, ref, write_atomically
from wardround.errors import ConflictError, UsageError
from wardround.store import events
from wardround.store.database import Store
from wardround.survey import task_list
from wardround.survey.grouping import additions
from wardround.survey.release import as_rows, release
from wardround.survey.results import as_data, given, results
from wardround.survey.samples import UNREVIEWED
from wardround.survey.surveys import load, tasks

KIND = "survey"
NEEDS = (
    "医生自述的需求与主观评分，不是临床效果的证据 / "
    "What doctors say they need and how they rate it; no evidence of clinical benefit"
)


def keep(
    store: Store,
    survey_id: int,
    out: Path,
    *,
    after: Path | None = None,
    actor: int | None = None,
) -> Artifact:
    """Write a closed survey as an artifact. `after`: the artifact of its inspiration stage, where it has one."""
    with store.read() as conn:
        found = load(conn, survey_id)
        stored, added = tasks(conn, survey_id), additions(conn, survey_id)
        parent = load(conn, found.parent_id) if found.parent_id is not None else None
    if found.status != "closed":
        raise ConflictError(f"survey {found.slug} is {found.status}", hint="close it first")
    if parent is not None and after is None:
        raise UsageError(
            f"{found.slug} follows {parent.slug}",
            hint=f"name the artifact of {parent.slug} with --after, so that the list leads back to it",
        )
    if after is not None:
        source = open_artifact(after, KIND).manifest.config
        if parent is None or source["slug"] != parent.slug:
            raise UsageError(f"{after}: is not what {found.slug} follows")
    said = results(store, survey_id)
    answers = given(store, survey_id)
    released = release(answers, found.config.min_cell)
    config: dict[str, Any] = {
        "slug": found.slug, "stage": found.stage, "settings": msgspec.to_builtins(found.config),
        "results": digest_of(said),
    }  # fmt: skip
    inputs = [ref(after, "inspiration", seen_from=out)] if after is not None else []
    with begin(out, kind=KIND, config=config, inputs=inputs) as ws:
        if ws.done:
            return open_artifact(out, KIND)
        ws.write_json("survey.json", {**config, "tasks": [
            {"kind": x.kind, "task": x.task, "samples": x.samples} for x in stored
        ]})  # fmt: skip
        ws.write_jsonl("answers.jsonl", as_rows(released) if said.enough else [])
        ws.write_jsonl("texts.jsonl", released.texts if said.enough else [])
        ws.write_jsonl("additions.jsonl", [_addition(a) for a in added])
        ws.write_json("results.json", as_data(said))
        if any(r.decision.kept for r in said.tasks):
            write_atomically(ws.file("tasks.yaml"), task_list.as_yaml(stored, said))
        models = {label for x in stored for s in x.samples for label in (UNREVIEWED, *s.labels)}
        counts = {
            "answers": said.n, "imported": said.imported, "tasks": len(stored),
            "kept": sum(r.decision.kept for r in said.tasks), "added": len(added),
        }  # fmt: skip
        made = ws.seal(counts=counts, labels=[NEEDS, *sorted(models)], seed=found.config.seed)
    with store.write() as conn:
        after_ = {"digest": made.manifest.digest}
        events.record(conn, "survey.kept", "survey", survey_id, actor=actor, after=after_)
    return made


def _addition(a: Any) -> dict[str, str]:
    return {"name": a.name, "state": a.state, "task": a.task, "reason": a.reason}
