"""The steps that see all samples: near-duplicates, split, balance, decontamination, refinement.

Each takes samples away and says why; none changes one but refinement, which puts its rewrites beside them.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Workspace
from wardround.corpus import held_out
from wardround.corpus.balance import balanced
from wardround.corpus.gather import NO_SAMPLE, Gathered, aside
from wardround.corpus.held_items import Item
from wardround.corpus.keys import DialogueKey, SampleKey, own_text
from wardround.corpus.label import Labels, Left, classify, left
from wardround.corpus.making import engine_for
from wardround.corpus.options import BuildOptions
from wardround.corpus.recipes import load
from wardround.corpus.refine import SYNC_LINES, Refined, refine
from wardround.corpus.shards import MadeSample, Making, compared_text, with_labels
from wardround.corpus.split import IS_DIALOGUE, Split, split
from wardround.errors import WardroundError
from wardround.models import Model
from wardround.models.cache import open_cache
from wardround.models.ledger import Ledger
from wardround.progress import Progress
from wardround.records import Dialogue, Document, Exclusion, Record, Sample, encode

ORDINARY = 4000
"""Training texts that tell what is ordinary wording."""
_JOB = 4000


class Chosen(Record, frozen=True, kw_only=True):
    """What stays. `steps` counts samples after each step; `near` is None when not looked for; `own_hits` training texts too like the dataset's own test side."""

    train: tuple[SampleKey, ...]
    test: tuple[SampleKey, ...]
    train_dialogues: tuple[DialogueKey, ...]
    test_dialogues: tuple[DialogueKey, ...]
    held_out: frozenset[str]
    steps: tuple[tuple[str, int], ...]
    near: dict[str, int] | None
    own_hits: int


def classified(
    gathered: Gathered,
    model: Model,
    making: Making,
    options: BuildOptions,
    workspace: Workspace,
    ledger: Ledger,
) -> Labels:
    """Ask `model` which task the questions serve that no rule placed, and take in the samples that gives."""
    rules = load()
    by_document = gathered.unplaced

    def items() -> Iterator[Left]:
        for i in by_document:
            document = gathered.text.read(gathered.by_id[i], Document)
            yield from left(document, rules, making.tasks, making.limits)

    with workspace.journal("labels.jsonl") as journal:
        found = classify(
            items(), model, tasks=making.tasks, journal=journal,
            concurrency=options.concurrency, ledger=ledger,
        )  # fmt: skip
    if found.failed and not options.accept_failures:
        raise WardroundError(
            f"{workspace.path}: {found.failed} questions could not be classified; nothing is sealed",
            hint="run the same command again: only these are asked anew; or add --accept-failures",
        )
    for i, mine in by_document.items():
        labels = {e.what: found.tasks[e.what] for e in mine if e.what in found.tasks}
        samples, lost = list[MadeSample](), list[Exclusion]()
        key = gathered.document(i)
        if labels:
            document = gathered.text.read(key.place, Document)
            samples, lost = with_labels(document, labels, making)
        gone = NO_SAMPLE if samples else frozenset[str]()
        gathered.excluded.add(*(e for e in mine if e.what not in labels and e.reason not in gone))
        gathered.excluded.add(*lost)
        gathered.take(samples, key)
    return found


def choose(gathered: Gathered, options: BuildOptions, workspace: Workspace) -> Chosen:
    """Take duplicates out, part the test side, keep training clear of it, and balance."""
    steps = [("samples", gathered.made), ("distinct", len(gathered.samples))]
    near = _near(gathered) if options.near and gathered.samples else None
    steps.append(("near", len(gathered.samples)))
    parts = split(
        gathered.documents, gathered.samples, gathered.dialogues,
        test_per_task=options.test_per_task, test_dialogues=options.test_dialogues,
        seed=options.seed,
    )  # fmt: skip
    gathered.excluded.add(*parts.exclusions)
    steps.append(("split", len(parts.train) + len(parts.test)))
    train, talks, own_hits = _clear_of_test(gathered, parts, options, workspace)
    steps.append(("clear", len(train) + len(parts.test)))
    kept, over = balanced(train, options.balance, options.seed)
    for s in over:
        detail = f"beyond the quota of {s.task} × {s.specialty}"
        gathered.excluded.add(
            aside(gathered.document(s.document), "balance", s.id, "over_cap", detail)
        )
    steps.append(("balanced", len(kept) + len(parts.test)))
    return Chosen(
        train=tuple(kept), test=parts.test, train_dialogues=tuple(talks),
        test_dialogues=parts.test_dialogues, held_out=parts.held_out, steps=tuple(steps),
        near=near, own_hits=own_hits,
    )  # fmt: skip


def _near(gathered: Gathered) -> dict[str, int]:
    """Set near-duplicates aside; of two the earlier stays. Pairs that a fact keeps apart go to `gathered.blocked`."""
    from wardround.corpus.near import Blocked, near_duplicates

    samples = gathered.samples
    tasks = {t: i for i, t in enumerate(sorted({s.task for s in samples}))}
    store = gathered.sample_text

    def text_of(i: int) -> str:
        return compared_text(store.read(samples[i].place, Sample))

    def keep_apart(b: Blocked) -> None:
        pair = {
            "kept": samples[b.kept].id, "other": samples[b.other].id, "task": samples[b.kept].task,
            "jaccard": b.jaccard, "differences": msgspec.to_builtins(b.differences),
            "kept_text": text_of(b.kept), "other_text": text_of(b.other),
        }  # fmt: skip
        gathered.blocked.append(encode(pair))

    groups = [tasks[s.task] for s in samples]
    found = near_duplicates(gathered.bands(), groups, text_of, on_blocked=keep_apart)
    gathered.drop(
        {
            samples[i].place: aside(
                gathered.document(samples[i].document), "near", samples[i].id, "near_duplicate",
                f"says the same as {samples[j].id}",
            )
            for i, j in found.dropped.items()
        }
    )  # fmt: skip
    return {
        "candidates": found.candidates, "verified": found.verified,
        "dropped": len(found.dropped), "blocked": found.blocked,
    }  # fmt: skip


def _clear_of_test(
    gathered: Gathered, parts: Split, options: BuildOptions, workspace: Workspace
) -> tuple[list[SampleKey], list[DialogueKey], int]:
    """The training side without what is too like the test side, checked as any held-out set is."""
    train, talks = list(parts.train), list(parts.train_dialogues)
    if not (parts.test or parts.test_dialogues):
        return train, talks, 0
    file = _own_test(gathered, parts, workspace.work().absolute())
    jobs = _Jobs(str(file), gathered, train, talks)
    engine = engine_for(options, rows=len(train) + len(talks))
    lost: set[str] = set()
    try:
        with Progress("compare with the test side", len(jobs)) as progress:
            for data in engine.map(check, jobs):
                for what, document, detail in msgspec.msgpack.decode(
                    data, type=list[tuple[str, str, str]]
                ):
                    lost.add(what)
                    gathered.excluded.add(
                        aside(
                            gathered.document(document),
                            "contamination",
                            what,
                            "matches_test",
                            detail,
                        )
                    )
                progress.advance()
    finally:
        engine.close()
    train = [s for s in train if s.id not in lost]
    return train, [d for d in talks if f"{d.id}{IS_DIALOGUE}" not in lost], len(lost)


def _own_test(gathered: Gathered, parts: Split, work: Path) -> Path:
    """Write the test side as a held-out set: of a dialogue the case it opens with and its answers, since follow-up
    questions are everybody's."""
    items = [
        Item(id=s.id, file="", row=0, question=own_text(s), reference=s.output)
        for s in gathered.sample_text.each((k.place for k in parts.test), Sample)
    ]
    for d in gathered.dialogue_text.each((k.place for k in parts.test_dialogues), Dialogue):
        answers = "\n".join(t.reference for t in d.turns)
        items.append(Item(id=d.id, file="", row=0, question=d.turns[0].question, reference=answers))
    spread = parts.train[:: max(1, len(parts.train) // ORDINARY)]
    ordinary = gathered.sample_text.each((k.place for k in spread), Sample)
    held = held_out.of_items(items, [compared_text(s) for s in ordinary])
    data = pickle.dumps(held)
    file = work / f"own-test-{hashlib.sha256(data).hexdigest()[:16]}.pickle"
    file.write_bytes(data)
    return file


class CheckJob(Record, frozen=True, kw_only=True):
    """Texts to hold against the set in `file`: (what, its document, the text)."""

    file: str
    texts: tuple[tuple[str, str, str], ...]


def check(job: CheckJob) -> bytes:
    """(what, document, how) for each text that is too like an item of the set, as MessagePack."""
    against = _loaded(job.file)
    hits = against.check([text for _, _, text in job.texts])
    found = [
        (what, document, f"{hit.item}: {hit.rule} {hit.measure:.2f}")
        for (what, document, _), hit in zip(job.texts, hits, strict=True)
        if hit is not None and hit.action == "drop"
    ]
    return msgspec.msgpack.encode(list({f[0]: f for f in found}.values()))


@lru_cache(maxsize=1)
def _loaded(file: str) -> held_out.HeldOut:
    """The set, loaded once in a process; its name holds its digest."""
    found: held_out.HeldOut = pickle.loads(Path(file).read_bytes())
    return found


class _Jobs(Sequence[CheckJob]):
    """The training side in jobs, each read from disk when it is its turn."""

    def __init__(
        self,
        file: str,
        gathered: Gathered,
        train: Sequence[SampleKey],
        talks: Sequence[DialogueKey],
    ) -> None:
        self._file = file
        self._gathered = gathered
        parts = [train[i : i + _JOB] for i in range(0, len(train), _JOB)]
        asked = [talks[i : i + _JOB] for i in range(0, len(talks), _JOB)]
        self._parts: list[Sequence[SampleKey] | Sequence[DialogueKey]] = [*parts, *asked]
        self._samples = len(parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, i: Any) -> Any:
        places = (k.place for k in self._parts[i])
        if i < self._samples:
            samples = self._gathered.sample_text.each(places, Sample)
            texts = [(s.id, s.document, compared_text(s)) for s in samples]
        else:
            talks = self._gathered.dialogue_text.each(places, Dialogue)
            texts = [
                (f"{d.id}{IS_DIALOGUE}", d.document, f"{t.question}\n{t.reference}")
                for d in talks
                for t in d.turns
            ]
        return CheckJob(file=self._file, texts=tuple(texts))


def refined(
    chosen: Chosen,
    gathered: Gathered,
    model: Model,
    options: BuildOptions,
    workspace: Workspace,
    ledger: Ledger,
) -> Refined:
    """Ask `model` to rewrite the training references; the rewrites lie in `gathered`.

    `WardroundError` when requests failed and that is not accepted."""

    @lru_cache(maxsize=1)
    def document_of(i: str) -> Document:
        return gathered.text.read(gathered.by_id[i], Document)

    cache = open_cache(fresh=options.fresh)
    try:
        with workspace.journal(sync_lines=SYNC_LINES) as journal:
            found = refine(
                chosen.train, gathered.sample_text, document_of, model,
                rewrites=gathered.rewrites, journal=journal, concurrency=options.concurrency,
                on_broken=options.on_broken, ledger=ledger, cache=cache,
            )  # fmt: skip
    finally:
        if cache is not None:
            cache.close()
    if found.counts.failed and not options.accept_failures:
        raise WardroundError(
            f"{workspace.path}: {found.counts.failed} of {found.counts.asked} refinement requests failed; "
            "nothing is sealed",
            hint="run the same command again: only these are asked anew; "
            "or add --accept-failures to keep their unrefined references",
        )
    for s in chosen.train:
        if s.place in found.dropped:
            rule = found.dropped[s.place]
            gathered.excluded.add(
                aside(
                    gathered.document(s.document),
                    "refine",
                    s.id,
                    "not_refined",
                    f"its rewrites broke {rule}",
                )
            )
    return found
