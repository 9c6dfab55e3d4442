"""`review rationale`: questions → candidates, an artifact of answers with their reasoning, not yet seen by anyone.

Every question gets a row: "ok" with the model's draft, "unreadable" when no reply could be read, "failed" when the
model could not be asked. As long as some failed the artifact isn't sealed and the same command asks only those again.
A draft whose answer is wrong stays a candidate: it is the study that strikes it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from wardround import taxonomy
from wardround.artifact import Artifact, Workspace, begin, digest_of, open_artifact, ref
from wardround.choices import LETTERS, read_questions
from wardround.choices import Question as Asked
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.models import Model
from wardround.models.ask import Ask, run
from wardround.models.cache import open_cache
from wardround.models.ledger import Budget, Ledger, Price
from wardround.models.names import AT_URL, open_model
from wardround.models.wire import reason_code
from wardround.progress import Progress
from wardround.records import Answer, Exclusion, Record, Request, decode
from wardround.review import drafting
from wardround.review.study import NewItem
from wardround.rows import ITEMS

FILE = "candidates.jsonl"
SHIPPED = "med_choice"
"""Stands for the choice questions that come with the package."""


class Candidate(Record, frozen=True, kw_only=True):
    """One question and what the model made of it. `answer` is the key, `chosen` the model's letter ("" unless ok)."""

    id: str
    row: int
    question: drafting.Question
    answer: str
    dimension: str = ""
    specialty: str = "unmapped"
    source: str = ""
    reference: str = ""
    status: Literal["ok", "unreadable", "failed"]
    chosen: str = ""
    steps: tuple[str, ...] = ()
    reason: str = ""
    reply: str = ""


class Settings(Record, frozen=True, kw_only=True):
    """How candidates are made. `limit`: only the first questions; the rest changes no candidate."""

    limit: int | None = None
    concurrency: int = 16
    accept_failures: bool = False
    prices: dict[str, Price] = {}
    max_cost: float | None = None
    fresh: bool = False


class Outcome(Record, frozen=True, kw_only=True):
    """`artifact` is None while requests failed; `reasons` counts them. `right`: drafts that give the key."""

    path: Path
    artifact: Artifact | None
    counts: dict[str, int]
    reasons: dict[str, int]


def questions_file(given: str) -> Path:
    """The file that QUESTIONS names: a path, or `med_choice` for the shipped items."""
    path = ITEMS / f"{SHIPPED}.jsonl" if given == SHIPPED else Path(given)
    if not path.is_file():
        raise UsageError(
            f"{given}: no such file",
            hint=f"name a file of choice questions, or {SHIPPED} for the shipped ones",
        )
    return path


def make(path: Path, model: Model, out: Path, settings: Settings) -> Outcome:
    """Ask `model` for a draft of every question in `path`, into `out`."""
    asked, skipped, labels = read_questions(path)
    if not asked:
        raise InputError("no single-choice question in it", path=path, hint="check the file")
    questions = _named(asked[: settings.limit])
    config = {
        "model": model.identity,
        "prompt": digest_of(_prompt_words()),
        "limit": settings.limit,
        "tries": drafting.TRIES,
    }
    with begin(
        out, kind="candidates", config=config, inputs=[ref(path, "questions", seen_from=out)]
    ) as ws:
        if ws.done is not None:
            return Outcome(path=out, artifact=open_artifact(out), counts=ws.done.counts, reasons={})
        ledger = Ledger(settings.prices, budget=Budget(settings.max_cost))
        cache = open_cache(fresh=settings.fresh)
        try:
            with (
                ws.journal() as journal,
                Progress(f"rationale {model.name}", len(questions)) as progress,
            ):
                made = run(
                    _work(questions, model),
                    models=[model], journal=journal, concurrency=settings.concurrency,
                    progress=progress, ledger=ledger, cache=cache,
                )  # fmt: skip
        finally:
            if cache is not None:
                cache.close()
        return _written(ws, made, skipped, [*model.labels, *labels], ledger, model, settings)


def _prompt_words() -> list[str]:
    """Everything that decides what is asked, whatever the question."""
    example = drafting.Question(text="?", options={"A": "a", "B": "b"})
    draft = drafting.Draft(answer="A", steps=("a",))
    kinds = [
        drafting.prompt(example, unread=unread, previous=previous, guidance="?" if previous else "")
        for unread in ("", "empty")
        for previous in (None, draft)
    ]
    return [m.text for messages in kinds for m in messages]


def _named(asked: Sequence[Asked]) -> list[Candidate]:
    """Questions under ids of their own, waiting for the model."""
    seen: Counter[str] = Counter()
    found = []
    for q in asked:
        seen[q.id] += 1
        options = dict(zip(LETTERS, q.options, strict=False))
        found.append(
            Candidate(
                id=q.id if seen[q.id] == 1 else f"{q.id}#{seen[q.id]}",
                row=q.row,
                question=drafting.Question(text=q.text, options=options, listed=q.as_given),
                answer=LETTERS[q.answer],
                dimension=q.dimension,
                specialty=taxonomy.specialty_of([x for x in (q.dimension, q.department) if x]),
                source=q.source,
                reference=q.rationale,
                status="failed",
            )
        )
    return found


def _work(
    questions: Sequence[Candidate], model: Model
) -> Iterator[Callable[[Ask], Awaitable[Candidate]]]:
    for q in questions:
        yield functools.partial(_one, q, model)


async def _one(q: Candidate, model: Model, ask: Ask) -> Candidate:
    async def complete(request: Request) -> Answer:
        return await ask(model, request)

    found = await drafting.attempt(complete, f"draft/{q.id}", q.question)
    draft = found.draft
    return msgspec.structs.replace(
        q,
        status=found.status,
        chosen=draft.answer if draft else "",
        steps=draft.steps if draft else (),
        reason=found.reason,
        reply="" if draft else found.reply,
    )


def _written(
    ws: Workspace,
    made: Sequence[Candidate],
    skipped: Sequence[Exclusion],
    labels: Sequence[str],
    ledger: Ledger,
    model: Model,
    settings: Settings,
) -> Outcome:
    """Write what there is, and seal it unless requests failed."""
    states = Counter(c.status for c in made)
    counts = {
        "questions": len(made),
        "drafts": states["ok"],
        "right": sum(c.status == "ok" and c.chosen == c.answer for c in made),
        "unreadable": states["unreadable"],
        "failed": states["failed"],
        "skipped": len(skipped),
    }
    ws.write_jsonl(FILE, made)
    ws.write_jsonl("skipped.jsonl", skipped)
    unread = Counter(c.reason for c in made if c.status == "unreadable")
    ws.write_json(
        "summary.json", {"model": model.name, **counts, "unreadable_reasons": dict(unread)}
    )
    reasons = dict(Counter(reason_code(c.reason) for c in made if c.status == "failed"))
    artifact = None
    if not reasons or settings.accept_failures:
        artifact = ws.seal(counts=counts, labels=dict.fromkeys(labels), cost=ledger.cost())
    return Outcome(path=ws.path, artifact=artifact, counts=counts, reasons=reasons)


# -- from candidates to a study -----------------------------------------------------------------------------


def read_candidates(artifact: Artifact) -> list[Candidate]:
    """All candidates, in file order."""
    path = artifact.file(FILE)
    found = []
    with open(path, "rb") as f:
        for number, line in enumerate(f, start=1):
            try:
                found.append(decode(line, Candidate))
            except msgspec.DecodeError as e:
                raise InputError(f"not a candidate: {e}", path=path, row=number) from e
    return found


def model_of(artifact: Artifact) -> str:
    """The name of the model that wrote the candidates, as it is shown."""
    return str(decode(artifact.file("summary.json").read_bytes(), dict[str, Any])["model"])


def writer_of(artifact: Artifact) -> str:
    """How the model that wrote the candidates is named on a command line, so that it can be asked again.

    That is its shown name where this opens the same model (a script, a table of wardround.toml), else NAME@URL from
    the manifest, which holds no key. `UsageError` where neither does: of a local directory only the digest is known.
    """
    identity, name = artifact.manifest.config["model"], model_of(artifact)
    asked = [name]
    if identity["kind"] == "endpoint":
        asked.append(f"{identity['model']}@{identity['url']}")
    for spec in asked:
        if _opens(spec, identity):
            return spec
    raise UsageError(
        f"{artifact.path}: its model {name} can't be opened by that name here, so nobody could write again",
        hint="name the writer with --model (NAME@http://host/v1, local:PATH, a table of wardround.toml), or leave "
        "all rewriting to the reviewers with --on-fail revise",
    )


def check_writer(spec: str) -> None:
    """Raise `UsageError` unless a worker can open the model by this name, and the study may keep it: its settings and
    exports hold the name as it is, so no password may stand in its address."""
    open_model(spec)
    at = AT_URL.search(spec)
    if at and "@" in urlsplit(spec[at.end() :]).netloc:
        raise UsageError(
            "the model's address holds a password, which the study would keep",
            hint="leave it out and give the key by WARDROUND_API_KEY, or name a table of wardround.toml",
        )


def _opens(spec: str, identity: object) -> bool:
    """Whether `spec` names the model of that identity."""
    try:
        return open_model(spec).identity == identity
    except (UsageError, ArtifactError):
        return False


def items(found: Sequence[Candidate], author: str) -> Iterator[NewItem]:
    """The items of a study; one without a draft waits for the model."""
    for c in found:
        draft = drafting.Draft(answer=c.chosen, steps=c.steps) if c.status == "ok" else None
        yield drafting.item_of(
            c.id, c.question, c.answer,
            draft=draft, author=author if draft else "", specialty=c.specialty, source=c.source,
            reference=c.reference, more={"dimension": c.dimension, "row": c.row},
        )  # fmt: skip
