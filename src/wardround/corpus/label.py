"""What the rules leave, put to a model: which task does this question of a case serve, if any?

Only questions that no rule asks for are put to it, several at a time. The model may only name one of the tasks, or say that
none fits; whatever else it writes counts as no label. So a bad model can leave rows unlabelled, it can't invent a
task, and every label it gives is journalled under the batch's own key and replayed without a call. A
labelled question becomes a sample as it stands, and has to keep the same named rules as all others.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from functools import cache

from wardround import taxonomy
from wardround.artifact import digest_of
from wardround.corpus.checks import Limits
from wardround.corpus.matching import attempts
from wardround.corpus.recipes import Rule
from wardround.corpus.values import question_pairs
from wardround.journal import Journal
from wardround.models import Model
from wardround.models.ask import Ask, run
from wardround.models.ledger import Ledger
from wardround.models.prompt import block
from wardround.progress import Progress
from wardround.records import Document, Message, Record, Request

BATCH = 10
NONE = "none"
MOST_QUESTION, MOST_ANSWER = 300, 200
SYSTEM = "你是医学数据标注员。只做分类，不回答题目。"
TASK = """下面每一项是病例中的一个问题及其答案的开头。判断以该病例为题、以该答案为参考答案时，它属于哪一类任务。

可选的任务：
{tasks}
{none}：以上都不合适，或者看不出来

要求：
1. 逐项输出一行，格式为“序号: 任务代码”，例如“1: triage”。
2. 只能用上面列出的代码；没有把握就写 {none}。
3. 不要输出其他内容。"""
_LINE = re.compile(
    r"^\s*(?:第)?(\d{1,3})(?:项|题)?\s*[:：.．、)）]\s*[`\"“'（(]*([A-Za-z][A-Za-z_ -]*|[^`\"”'）)\s。；;，,]+)[`\"”'）)。；;，,]*\s*$"
)


class Left(Record, frozen=True, kw_only=True):
    """One question that the rules left; `id` is `document.id:q1`."""

    id: str
    question: str
    answer: str


class Labels(Record, frozen=True, kw_only=True):
    """`tasks`: id → task_id, for those that got one. The rest: how many said none, could not be read, or belonged to a
    request that failed."""

    model: str
    tasks: dict[str, str]
    asked: int
    none: int = 0
    unread: int = 0
    failed: int = 0


def left(
    document: Document, rules: Collection[Rule], tasks: Collection[str], limits: Limits
) -> list[Left]:
    """The questions of a case that no rule asks for; choice questions are no open ones and stay out."""
    found = attempts(document, rules, tasks, limits)
    if not found.unmatched:
        return []
    pairs = question_pairs(document)
    return [
        Left(id=f"{document.id}:q{number}", question=question, answer=pairs[number - 1][1])
        for number, question, choice in found.unmatched
        if not choice
    ]


@cache
def _names() -> dict[str, str]:
    """Whatever may name a task, folded → its id."""
    names: dict[str, str] = {}
    for task in taxonomy.tasks().values():
        for name in (task.id, task.en, task.zh):
            names[_folded(name)] = task.id
    return names | {_folded(n): NONE for n in (NONE, "无", "都不合适", "以上都不合适", "不确定")}


def _folded(name: str) -> str:
    return re.sub(r"[\s_\-]+", "_", unicodedata.normalize("NFKC", name).strip().lower())


def read(text: str, count: int) -> list[str]:
    """The label of each of `count` items: a task_id, "none", or "" where none can be read.

    A line that names two tasks, an unknown one, or an item that was labelled twice and differently reads as "".
    """
    found: dict[int, set[str]] = {}
    for line in text.splitlines():
        m = _LINE.match(line)
        if m is not None and 1 <= int(m[1]) <= count:
            found.setdefault(int(m[1]), set()).add(_names().get(_folded(m[2]), ""))
    return [next(iter(s)) if len(s := found.get(n, {""})) == 1 else "" for n in range(1, count + 1)]


def request(batch: Sequence[Left], tasks: Collection[str]) -> Request:
    """The request for one batch."""
    known = taxonomy.tasks()
    listed = "\n".join(f"{t}：{known[t].zh}。{known[t].definition}" for t in known if t in tasks)
    items = "\n".join(
        f"{n}. 问题：{_short(x.question, MOST_QUESTION)}\n   答案开头：{_short(x.answer, MOST_ANSWER)}"
        for n, x in enumerate(batch, start=1)
    )
    text = f"{TASK.format(tasks=listed, none=NONE)}\n\n{block('question', items)}"
    return Request(
        key=f"label:{digest_of([[x.id, x.question, x.answer] for x in batch] + sorted(tasks))[:24]}",
        messages=(Message(role="system", content=SYSTEM), Message(role="user", content=text)),
        max_tokens=24 * len(batch) + 64,
        hint={"reference": "\n".join(f"{n}: {NONE}" for n in range(1, len(batch) + 1))},
    )


def _short(text: str, most: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def classify(
    items: Iterable[Left],
    model: Model,
    *,
    tasks: Collection[str],
    journal: Journal,
    concurrency: int,
    batch: int = BATCH,
    ledger: Ledger | None = None,
) -> Labels:
    """Ask the model for the task of each item, `batch` at a time; the items are taken in the order of their ids."""
    ordered = sorted(items, key=lambda x: x.id)
    batches = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]

    def work() -> Iterator[Callable[[Ask], Awaitable[list[str] | None]]]:
        for one in batches:
            yield _piece(one, model, tasks)

    with Progress("label", len(batches)) as progress:
        replies = run(
            work(), models=[model], journal=journal, concurrency=concurrency, progress=progress,
            ledger=ledger,
        )  # fmt: skip
    given: dict[str, str] = {}
    count: Counter[str] = Counter()
    for one, labels in zip(batches, replies, strict=True):
        if labels is None:
            count["failed"] += len(one)
            continue
        for item, label in zip(one, labels, strict=True):
            if label in tasks:
                given[item.id] = label
            else:
                count["none" if label == NONE else "unread"] += 1
    return Labels(
        model=model.name, tasks=given, asked=len(ordered), none=count["none"], unread=count["unread"],
        failed=count["failed"],
    )  # fmt: skip


def _piece(
    batch: Sequence[Left], model: Model, tasks: Collection[str]
) -> Callable[[Ask], Awaitable[list[str] | None]]:
    async def piece(ask: Ask) -> list[str] | None:
        answer = await ask(model, request(batch, tasks))
        return read(answer.text or "", len(batch)) if answer.status == "ok" else None

    return piece
