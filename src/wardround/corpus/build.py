"""Sources → a dataset artifact: read, de-identify, compose, compare, split, balance, refine, write. One call,
resumable.

What concerns one document alone is done shard by shard (`corpus.shards`) by an engine, here or on a cluster;
finished shards are kept in the artifact's work folder. What needs all documents follows from the shards in the
order of the sources (`corpus.gather`), so the order they are given in, the engine and the number of
workers change nothing. A second session does again what is quick, reads the shards it finds, and asks the
model only what the journal does not hold; it ends with the digest of an uninterrupted build.

Files of the artifact: train.parquet, doctorflan_test.jsonl, dotabench.jsonl (the latter two and the dialogues as
Parquet too), train_dialogues.jsonl, documents.jsonl, excluded.jsonl, coverage.json, contamination.json,
blocked_pairs.jsonl, residue.jsonl, croissant.json, README.md, exports/ where asked for, and with refinement
journal.jsonl (volatile).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround import taxonomy
from wardround.artifact import MANIFEST, Artifact, Workspace, begin, digest_of, open_artifact, ref
from wardround.corpus import export, recipes
from wardround.corpus import refine as refining
from wardround.corpus import rules as named_rules
from wardround.corpus.formats import sources_of
from wardround.corpus.gather import Gathered
from wardround.corpus.held_items import Unread, read_items
from wardround.corpus.making import Sources, make
from wardround.corpus.options import SAME_ANYWAY, BuildOptions, making_of, tasks_of
from wardround.corpus.rewritten import HERE as REQUIRED
from wardround.corpus.steps import choose, classified, refined
from wardround.corpus.writing import write
from wardround.errors import InputError, UsageError
from wardround.models import Model
from wardround.models.ledger import Ledger

COMPOSED = (
    "样本由规则从来源文本组合而成，未经医生审核，不能用于诊疗 / "
    "Samples are composed from source text by rules; not reviewed by doctors, not for clinical use"
)
CLEANED = (
    "已按规则去除个人标识，不等于经认证的去标识化 / "
    "Personal identifiers were replaced by rules; this is not a certified de-identification"
)


def build(
    sources: Sequence[Path],
    out: Path,
    options: BuildOptions | None = None,
    *,
    refine: Model | None = None,
    classify: Model | None = None,
) -> Artifact:
    """Build the dataset `out` from `sources` (files or folders); when it is already there, sealed, only open
    it. `refine` is asked to rewrite training references, `classify` for the task of what no rule places.

    Raises `UsageError` for an unknown task or a source of no known kind, `InputError` for a bad row when
    `strict`, `WardroundError` when requests failed and that was not accepted.
    """
    options = options or BuildOptions()
    found = find(sources, options)
    inputs = [ref(path, "source", seen_from=out) for path, _ in found.files]
    inputs += [ref(path, "held_out", seen_from=out) for path in options.held_out]
    inputs += [ref(path, "taxonomy", seen_from=out) for path in _own_tasks()]
    config = config_of(found, options, refine, classify)
    with begin(out, kind="dataset", config=config, inputs=inputs) as workspace:
        if workspace.done:
            return open_artifact(out, "dataset")
        return _build(found, options, workspace, refine, classify)


def _own_tasks() -> list[Path]:
    """The user's own task list, if one is in force: the artifact it lies in (a survey's), else the file."""
    path = taxonomy.own("tasks")
    if path is None:
        return []
    return [path.parent if (path.parent / MANIFEST).exists() else path]


def find(sources: Sequence[Path], options: BuildOptions) -> Sources:
    """The sources as they will be read."""
    if not sources:
        raise UsageError("no source named", hint="name one or more source files or folders")
    files, aside = sources_of(map(Path, sources), options.licence, options.mapping)
    if options.strict and aside:
        first = aside[0]
        raise InputError(first.detail, path=Path(first.file), hint="mend it or leave it out")
    if options.strict:
        for path in options.held_out:
            read_items(Path(path), _refuse)
    return Sources(files=tuple(files), aside=tuple(aside))


def _refuse(unread: Unread) -> None:
    raise InputError(
        f"{unread.reason}: nothing could be held against it", path=unread.file, row=unread.row,
        hint="mend the row or leave it out, or build without --strict",
    )  # fmt: skip


def config_of(
    found: Sources, options: BuildOptions, refine: Model | None, classify: Model | None
) -> dict[str, Any]:
    """Everything that must be equal for a second session to go on here."""
    asked = {k: v for k, v in msgspec.structs.asdict(options).items() if k not in SAME_ANYWAY}
    return asked | {
        "tasks": list(tasks_of(options.tasks)),
        "licence": {f"{s.file} {s.sha256[:12]}": s.licence for _, s in found.files},
        "mapping": {
            s.file: digest_of(msgspec.to_builtins(s.mapping)) for _, s in found.files if s.mapping
        },
        "limits": msgspec.to_builtins(options.limits),
        "balance": msgspec.to_builtins(options.balance),
        "held_out": [p.name for p in options.held_out],
        "exports": list(export.layouts(options.exports)),
        "recipes": recipes.digest(),
        "rules": digest_of([named_rules.RULES, REQUIRED.read_text(encoding="utf-8")]),
        "taxonomy": digest_of([taxonomy.items("tasks"), taxonomy.items("specialties")]),
        "refine": None if refine is None else refine.identity,
        "refine_prompt": digest_of([refining.SYSTEM, refining.TASK, refining.AGAIN]),
        "classify": None if classify is None else classify.identity,
    }


def _build(
    found: Sources,
    options: BuildOptions,
    workspace: Workspace,
    refine: Model | None,
    classify: Model | None,
) -> Artifact:
    making = making_of(options)
    ledger = Ledger(options.prices, cap=options.max_cost)
    with Gathered(workspace.work(), asking=classify is not None) as gathered:
        make(found, making, options, workspace, gathered)
        if classify is not None:
            classified(gathered, classify, making, options, workspace, ledger)
        chosen = choose(gathered, options, workspace)
        rewritten = None
        if refine is not None:
            rewritten = refined(chosen, gathered, refine, options, workspace, ledger)
        labels = [COMPOSED, *([CLEANED] if options.private else [])]
        labels += [x for m in (refine, classify) if m is not None for x in m.labels]
        counts = write(workspace, found, gathered, chosen, rewritten, options, labels)
        return workspace.seal(
            counts=counts, labels=dict.fromkeys(labels), cost=ledger.cost(), seed=options.seed
        )
