"""Reference-enhanced refinement: a model rewrites a composed reference with its source passage before it.

Only training samples are refined; test references stay as the source has them, so that no model writes the
answers others are judged by. A rewrite is kept when it breaks none of the named rules (`corpus.rewritten`); one
that breaks one is asked for once more, told which; after that the composed reference stays, or the sample
goes, as configured. A request that failed leaves the composed reference, and is counted: `build` does not seal a
dataset with failures unless told to.

The prompt holds the composed reference, the passage and the question in blocks of these names. Samples come one
by one and rewrites go to disk, so memory holds only what is in flight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Literal

import msgspec

from wardround.corpus.checking import Checkers
from wardround.corpus.keys import SampleKey
from wardround.corpus.rewritten import Broken, rewrite_of
from wardround.corpus.store import Store
from wardround.journal import Journal
from wardround.models import Model
from wardround.models.ask import Ask, run
from wardround.models.cache import ReplyCache
from wardround.models.ledger import Ledger
from wardround.models.prompt import block
from wardround.progress import Progress
from wardround.records import Document, Message, Record, Request, Sample, encode

SYSTEM = "你是一名临床医师，正在为医生整理医学问答的参考答案。只依据给出的内容写作，不添加其中没有的事实。"
TASK = """请改写下面的参考答案，使它条理清楚、用语规范、便于医生直接使用。

要求：
1. 事实、数字、剂量和药名必须来自参考答案或来源段落，不得新增，不得改动数值与单位。
2. 保留参考答案的全部要点与先后次序；若开头给出科室、诊断或结论，改写后仍以它开头。
3. 直接回答问题，不要提及参考答案、来源段落或任何资料的存在，不要道歉，不要评论，不要编造患者。
4. 用完整的中文句子，以句号结束；只输出改写后的答案。"""
AGAIN = "上一次改写没有通过检查：{why}。请改正后重新输出完整的答案。"
MAX_PASSAGE = 3000
MAX_TOKENS = 2048
TRIES = 2
SYNC_LINES = 512
"""Replies after which the journal is put on the disk itself, if a second has not passed before: what a power cut may take.
A killed process loses none."""

MANY = 2000
"""From so many samples on processes of their own check the rewrites: it takes them half a second to be there."""

OnBroken = Literal["keep", "drop"]
"""What becomes of a sample whose rewrites broke a rule: its composed reference is kept, or it is set aside."""


class Refinement(Record, frozen=True, kw_only=True):
    """Counts: of all `asked`, `kept` rewrites, `fell_back` to the reference, `dropped`, `failed` requests;
    `retried` got a second try; `rules` counts broken rules over both tries."""

    model: str
    asked: int
    kept: int
    retried: int
    fell_back: int
    dropped: int
    failed: int
    rules: dict[str, int]


class Refined(Record, frozen=True, kw_only=True):
    """What came of it: `rewritten` maps a sample's place to its place in the store of rewrites, `dropped` a
    place to the rule it broke last."""

    counts: Refinement
    rewritten: dict[int, int]
    dropped: dict[int, str]


class _Outcome(msgspec.Struct, frozen=True, gc=False):
    state: Literal["kept", "fell_back", "failed"]
    broken: tuple[str, ...] = ()
    retried: bool = False
    rewrite: int = -1


def passage(document: Document, sample: Sample) -> str:
    """The source text a sample was made of, field by field, at most `MAX_PASSAGE` characters."""
    names = dict.fromkeys((*sample.source_fields, "desc", "description", "questions", "answers"))
    parts = []
    for name in names:
        value = document.fields.get(name)
        if value:
            parts.append(value if isinstance(value, str) else "、".join(value))
    return "\n".join((document.title, *parts))[:MAX_PASSAGE]


def request(sample: Sample, source: str, attempt: int, broken: Broken | None = None) -> Request:
    """The request for one try; `broken` says what was wrong with the try before."""
    parts = [
        TASK,
        block("question", sample.input),
        block("passage", source),
        block("reference", sample.output),
    ]
    if broken is not None:
        parts.append(AGAIN.format(why=broken.why))
    return Request(
        key=f"refine:{sample.id}:{attempt}",
        messages=(
            Message(role="system", content=SYSTEM),
            Message(role="user", content="\n\n".join(parts)),
        ),
        max_tokens=MAX_TOKENS,
        hint={"reference": sample.output},
        nth=attempt,
    )


def refine(
    keys: Sequence[SampleKey],
    samples: Store,
    document_of: Callable[[str], Document],
    model: Model,
    *,
    rewrites: Store,
    journal: Journal,
    concurrency: int,
    on_broken: OnBroken = "keep",
    ledger: Ledger | None = None,
    cache: ReplyCache | None = None,
) -> Refined:
    """Ask `model` for a rewrite of each of `keys`, whose samples lie in `samples`; rewrites that may stay go to
    `rewrites`."""

    def work() -> Iterator[Callable[[Ask], Awaitable[_Outcome]]]:
        for key in keys:
            sample = samples.read(key.place, Sample)
            source = passage(document_of(key.document), sample)
            yield _piece(sample, source, model, rewrites, checkers)

    processes = None if len(keys) >= MANY else 0
    with Checkers(processes) as checkers, Progress("refine", len(keys)) as progress:
        outcomes = run(
            work(), models=[model], journal=journal, concurrency=concurrency, progress=progress,
            ledger=ledger, cache=cache,
        )  # fmt: skip
    rules = Counter(name for o in outcomes for name in o.broken)
    states = Counter(o.state for o in outcomes)
    lost = {
        k.place: o.broken[-1]
        for k, o in zip(keys, outcomes, strict=True)
        if o.state == "fell_back" and on_broken == "drop"
    }
    counts = Refinement(
        model=model.name,
        asked=len(outcomes),
        kept=states["kept"],
        retried=sum(o.retried for o in outcomes),
        fell_back=states["fell_back"] - len(lost),
        dropped=len(lost),
        failed=states["failed"],
        rules=dict(sorted(rules.items())),
    )
    kept = {k.place: o.rewrite for k, o in zip(keys, outcomes, strict=True) if o.state == "kept"}
    return Refined(counts=counts, rewritten=kept, dropped=lost)


def _piece(
    sample: Sample, source: str, model: Model, rewrites: Store, checkers: Checkers
) -> Callable[[Ask], Awaitable[_Outcome]]:
    async def piece(ask: Ask) -> _Outcome:
        broken: list[Broken] = []
        for attempt in range(1, TRIES + 1):
            answer = await ask(
                model, request(sample, source, attempt, broken[-1] if broken else None)
            )
            rules, retried = tuple(b.rule for b in broken), attempt > 1
            if answer.status != "ok":
                return _Outcome(state="failed", broken=rules, retried=retried)
            found = await checkers.check(rewrite_of(answer, sample, source))
            if found is None:
                text = (answer.text or "").strip()
                refined = msgspec.structs.replace(sample, output=text, refined=True)
                place = rewrites.append(encode(refined))
                return _Outcome(state="kept", broken=rules, retried=retried, rewrite=place)
            broken.append(found)
        return _Outcome(state="fell_back", broken=tuple(b.rule for b in broken), retried=True)

    return piece
