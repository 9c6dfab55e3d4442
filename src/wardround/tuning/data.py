"""Chats → token ids with loss on the assistant's words only → batches of near-equal length.

The mask is found by rendering, not by trusting marks in a template: stock templates mostly lack
`{% generation %}`, and tools that rely on it then train on every token without a word. For an assistant turn
the prompt is what a server would render before it (`add_generation_prompt`), the target is what the
rendering of the whole turn adds, up to and with its last special token, the end of turn. Prompt and target
are tokenised apart, exactly as they meet when serving. Turns of one dialogue share an example when the
longer one starts with the shorter one's tokens, otherwise each becomes its own (templates that drop earlier
thinking do this). A template for which the rendering doesn't grow, or where an answer can't be read back from
the unmasked tokens, is refused; where it's the tokenizer that can't write a character, that chat is set aside.

Nothing is cut or left out silently: cut chats are counted by task, chats set aside become `Exclusion`s.
"""

from __future__ import annotations

import hashlib
import random
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from wardround.errors import UsageError
from wardround.metrics.overlap import normalise
from wardround.records import Exclusion, Message, Record
from wardround.tuning.chats import Chat

IGNORED = -100
"""The label of a token without loss (PyTorch's `ignore_index`)."""
PAD_TO = 32
"""Batch widths are multiples of this. On CPU in bf16 each new shape makes oneDNN compile and keep kernels: unrounded
widths took 1.2 to 2.3 times the processor time and 2.7 times the memory on the demo model's shape."""
SPARING = 4
"""A task drawn from fewer documents is learned from all of them, and its held-out loss isn't known."""
_CHUNK = 512


class Example(Record, frozen=True, kw_only=True):
    """Token ids of a chat (or one turn of it) and the half-open spans of them that carry loss. `asked`: of each answer
    the token it starts at and the words it answers, without the template's."""

    id: str
    task: str
    document: str
    ids: array[int]
    spans: tuple[tuple[int, int], ...]
    asked: tuple[tuple[int, str], ...] = ()

    @property
    def supervised(self) -> int:
        """Tokens that carry loss."""
        return sum(end - start for start, end in self.spans)

    def labels(self) -> list[int]:
        """One label a token: its id where it carries loss, else `IGNORED`."""
        labels = [IGNORED] * len(self.ids)
        for start, end in self.spans:
            labels[start:end] = self.ids[start:end]
        return labels


class Encoded(Record, frozen=True, kw_only=True):
    """All examples; how many were cut, by task; chats set aside; the token ids that end a turn."""

    examples: tuple[Example, ...]
    truncated: dict[str, int]
    excluded: tuple[Exclusion, ...]
    ends: tuple[int, ...]


def held_out_documents(
    documents: Iterable[str], share: float, *, tasks: Iterable[str] | None = None
) -> frozenset[str]:
    """About `share` of the documents, picked by the hash of their ids, so the pick needs no seed and a
    document keeps its side as others come and go. Empty for `share` 0 or fewer than two documents.

    `tasks`, one for each of `documents`: a task that none of those picked has, though `SPARING` or more documents have
    it, gets one more, so that no task which can spare a document goes unmeasured.
    """
    given = list(documents)
    ids = sorted(set(given), key=lambda d: hashlib.sha256(d.encode()).digest())
    count = min(len(ids) - 1, max(1, round(share * len(ids)))) if share > 0 else 0
    picked = set(ids[: max(count, 0)])
    having: dict[str, set[str]] = {}
    for document, task in zip(given, tasks or (), strict=tasks is not None):
        having.setdefault(task, set()).add(document)
    for _, mine in sorted(having.items(), key=lambda t: (len(t[1]), t[0])) if picked else ():
        if len(mine) >= SPARING and not mine & picked:
            picked.add(next(d for d in ids if d in mine))
    return frozenset(picked)


def encode_chats(chats: Sequence[Chat], tokenizer: Any, *, max_tokens: int) -> Encoded:
    """Examples of at most `max_tokens` tokens. Raises `UsageError` when the template can't be masked.

    Cut from the right, so the prompt stays whole; a chat with no answer token left, or whose text holds a
    control token of this tokenizer (it would end a turn from within), is set aside.
    """
    special = frozenset(_special_ids(tokenizer))
    control = re.compile(
        "|".join(re.escape(t) for t in sorted(_special_tokens(tokenizer))) or "(?!)"
    )
    examples: list[Example] = []
    truncated: Counter[str] = Counter()
    excluded: list[Exclusion] = []
    ends: set[int] = set()
    for start in range(0, len(chats), _CHUNK):
        chunk = []
        for chat in chats[start : start + _CHUNK]:
            if any(control.search(m.text) for m in chat.messages):
                excluded.append(_aside(chat, "control_token", "its text holds a control token"))
            elif any(m.role == "assistant" and not m.text.strip() for m in chat.messages):
                excluded.append(_aside(chat, "empty_answer", "an answer is empty"))
            else:
                chunk.append(chat)
        for chat, whole in zip(chunk, _encode(chunk, tokenizer, special), strict=True):
            if whole is None:
                why = "the base's tokenizer can't write one of its characters"
                excluded.append(_aside(chat, "unwritable", why))
                continue
            for example in whole:
                ends.add(example.ids[-1])
                kept = _cut(example, max_tokens)
                if kept is not example:
                    truncated[chat.task] += 1
                if kept.supervised:
                    examples.append(kept)
                else:
                    excluded.append(_aside(chat, "too_long", "no answer within the token limit"))
    return Encoded(
        examples=tuple(examples), truncated=dict(truncated), excluded=tuple(excluded),
        ends=tuple(sorted(ends)),
    )  # fmt: skip


def encode_all(
    sources: Sequence[Sequence[Chat]], tokenizer: Any, *, max_tokens: int
) -> tuple[Encoded, list[tuple[Example, ...]]]:
    """`encode_chats` of several sources: of all together, and the examples of each."""
    parts = [encode_chats(chats, tokenizer, max_tokens=max_tokens) for chats in sources]
    truncated: Counter[str] = Counter()
    for part in parts:
        truncated.update(part.truncated)
    whole = Encoded(
        examples=tuple(e for part in parts for e in part.examples), truncated=dict(truncated),
        excluded=tuple(x for part in parts for x in part.excluded),
        ends=tuple(sorted({end for part in parts for end in part.ends})),
    )  # fmt: skip
    return whole, [part.examples for part in parts]


def fitting(asked: int | None, usual: int, context: int | None) -> int:
    """The longest a sample may be: what was asked, else `usual`, held to the base's `context` (None where it names
    none). Raises `UsageError` when more was asked. Batches are padded to a multiple of `PAD_TO`, which counts too."""
    if context is None:
        return asked or usual
    room = context // PAD_TO * PAD_TO
    if asked and asked > room:
        padded = "" if room == context else f", {room} in batches padded to multiples of {PAD_TO}"
        raise UsageError(
            f"--max-tokens {asked}: the base's context is {context} tokens{padded}",
            hint=f"--max-tokens {room} or less, or a base with a longer context",
        )
    return asked or min(usual, room)


def held_to(tokens: int, usual: int, context: int | None) -> str:
    """What to say where the base's context made `tokens` of the usual figure; "" where it didn't."""
    if context is None or tokens >= usual or tokens != context // PAD_TO * PAD_TO:
        return ""
    return f"at most {tokens} tokens a sample (usually {usual}): the base's context is {context}"


def longer(tokens: int, context: int | None) -> str:
    """How to make room for samples that are longer than `tokens`."""
    if context is not None and tokens + PAD_TO > context:
        return f"name a base with a longer context than {context} tokens"
    return "raise --max-tokens"


def check_truncation(
    encoded: Encoded, *, max_share: float, max_tokens: int, context: int | None = None
) -> None:
    """Raise `UsageError` when more than `max_share` of the examples were cut. `context` is the base's."""
    cut = sum(encoded.truncated.values())
    total = len(encoded.examples) + sum(x.reason == "too_long" for x in encoded.excluded)
    if not total or cut <= max_share * total:
        return
    by_task = ", ".join(f"{t} {n}" for t, n in sorted(encoded.truncated.items()))
    raise UsageError(
        f"{cut} of {total} training chats are longer than {max_tokens} tokens ({by_task})",
        hint=f"{longer(max_tokens, context)}, or raise --max-truncated to accept the loss",
    )


def _aside(chat: Chat, reason: str, detail: str) -> Exclusion:
    return Exclusion(
        stage="tune", file="", row=0, what=chat.id, reason=reason, detail=f"{chat.task}: {detail}"
    )


def _special_tokens(tokenizer: Any) -> set[str]:
    added = {t.content for t in tokenizer.added_tokens_decoder.values() if t.special}
    return added | set(tokenizer.all_special_tokens)


def _special_ids(tokenizer: Any) -> set[int]:
    added = {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    return added | set(tokenizer.all_special_ids)


def _encode(
    chats: Sequence[Chat], tokenizer: Any, special: frozenset[int]
) -> list[list[Example] | None]:
    """Each chat's examples, uncut; None where the tokenizer loses a character of an answer. All texts of the call
    go through the tokenizer at once."""
    turns: list[tuple[int, str, str]] = []
    texts: list[str] = []
    for n, chat in enumerate(chats):
        for i, message in enumerate(chat.messages):
            if message.role == "assistant":
                prompt = _render(tokenizer, chat.messages[:i], open_turn=True)
                whole = _render(tokenizer, chat.messages[: i + 1], open_turn=False)
                if not whole.startswith(prompt):
                    raise _cannot_mask("a turn's answer changes the text before it", chat)
                asked = chat.messages[i - 1].text if i else ""
                turns.append((n, message.text, asked))
                texts += (prompt, whole[len(prompt) :])
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    targets = [
        _end_of_turn(t, special, chats[n]) for (n, *_), t in zip(turns, ids[1::2], strict=True)
    ]
    # Of no texts it makes one that is empty.
    back = tokenizer.batch_decode([t[:-1] for t in targets]) if targets else []
    found: list[list[Example] | None] = [[] for _ in chats]
    whole_turns = zip(turns, ids[::2], targets, back, strict=True)
    for (n, text, asked), prompt_ids, target, said in whole_turns:
        mine = found[n]
        if normalise(text) not in normalise(said):
            if _writes(tokenizer, text):
                raise _cannot_mask(
                    "an answer can't be read back from the unmasked tokens", chats[n]
                )
            found[n] = None
        elif mine is not None:
            _add(mine, chats[n], asked, prompt_ids, target)
    return found


def _writes(tokenizer: Any, text: str) -> bool:
    """Whether the tokenizer alone, without any template, gives the text back."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return normalise(text) in normalise(tokenizer.decode(ids))


def _render(tokenizer: Any, messages: Sequence[Message], *, open_turn: bool) -> str:
    from jinja2 import TemplateError

    plain = [{"role": m.role, "content": m.text} for m in messages]
    try:
        return str(
            tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=open_turn)
        )
    except (TemplateError, ValueError) as e:
        raise UsageError(
            f"the base's chat template can't be used: {e}",
            hint="name an instruction-tuned base, one that has a chat template",
        ) from e


def _cannot_mask(why: str, chat: Chat) -> UsageError:
    return UsageError(
        f"the base's chat template can't be masked (chat {chat.id}): {why}",
        hint="name another base, or give this one a template in which turns only add text",
    )


def _end_of_turn(target: list[int], special: frozenset[int], chat: Chat) -> list[int]:
    """`target` up to and with its last special token; what a template adds after it is nobody's word."""
    for k in range(len(target) - 1, -1, -1):
        if target[k] in special:
            return target[: k + 1]
    raise _cannot_mask("an assistant turn doesn't end with a special token", chat)


def _add(
    found: list[Example], chat: Chat, question: str, prompt: list[int], target: list[int]
) -> None:
    """Append the turn, joined to the one before when its prompt starts with that one's tokens."""
    ids = array("i", prompt + target)
    spans: tuple[tuple[int, int], ...] = ((len(prompt), len(ids)),)
    asked: tuple[tuple[int, str], ...] = ((len(prompt), question),)
    if found and ids[: len(found[-1].ids)] == found[-1].ids:
        before = found.pop()
        spans, asked = (*before.spans, *spans), (*before.asked, *asked)
    suffix = f"#{len(found) + 1}" if found else ""
    found.append(
        Example(
            id=chat.id + suffix, task=chat.task, document=chat.document, ids=ids, spans=spans,
            asked=asked,
        )
    )  # fmt: skip


def _cut(example: Example, max_tokens: int) -> Example:
    if len(example.ids) <= max_tokens:
        return example
    spans = tuple((a, min(b, max_tokens)) for a, b in example.spans if a < max_tokens)
    return msgspec.structs.replace(example, ids=example.ids[:max_tokens], spans=spans)


def batches(
    examples: Sequence[Example], *, batch_tokens: int, epochs: int, seed: int, group: int = 32,
    shown: Callable[[int], list[int]] | None = None, packed: bool = False,
) -> list[tuple[int, ...]]:  # fmt: skip
    """The whole training order, batch by batch, as indices into `examples`; every epoch shows each once, or what
    `shown` says of that epoch.

    A batch holds as many examples as fit in `batch_tokens` once padded (at least one). To keep
    padding small, examples are shuffled, sorted by length within pools of `group` batches' worth, packed, and
    the batches shuffled. With `packed` a batch is one row without padding, so only its sum counts. The order is a
    function of its arguments alone: that is what makes resuming exact.
    """
    mean = max(1, sum(len(e.ids) for e in examples) // max(1, len(examples)))
    pool = max(1, group * batch_tokens // mean)
    order: list[tuple[int, ...]] = []
    for epoch in range(epochs):
        rng = random.Random(f"{seed}/{epoch}")
        indices = shown(epoch) if shown else list(range(len(examples)))
        rng.shuffle(indices)
        epoch_batches: list[tuple[int, ...]] = []
        for start in range(0, len(indices), pool):
            near = sorted(indices[start : start + pool], key=lambda i: len(examples[i].ids))
            epoch_batches += (_fill if packed else _pack)(near, examples, batch_tokens)
        rng.shuffle(epoch_batches)
        order += epoch_batches
    return order


def _pack(
    indices: Sequence[int], examples: Sequence[Example], batch_tokens: int
) -> list[tuple[int, ...]]:
    packed: list[tuple[int, ...]] = []
    current: list[int] = []
    for i in indices:  # ascending length, so the newest is the longest
        if current and width([len(examples[i].ids)]) * (len(current) + 1) > batch_tokens:
            packed.append(tuple(current))
            current = []
        current.append(i)
    if current:
        packed.append(tuple(current))
    return packed


def _fill(
    indices: Sequence[int], examples: Sequence[Example], batch_tokens: int
) -> list[tuple[int, ...]]:
    """Best fit, longest first: each goes into the fullest row that still has room."""
    rows: list[list[int]] = []
    room: list[int] = []
    for i in reversed(indices):
        size = len(examples[i].ids)
        fits = [r for r in range(len(rows)) if room[r] >= size]
        if fits:
            best = min(fits, key=lambda r: room[r])
            rows[best].append(i)
            room[best] -= size
        else:
            rows.append([i])
            room.append(batch_tokens - size)
    return [tuple(r) for r in rows]


def width(lengths: Iterable[int]) -> int:
    """Columns of a batch of examples of these lengths."""
    return -(-max(lengths) // PAD_TO) * PAD_TO


def collate(batch: Sequence[Example], *, pad: int) -> Mapping[str, Any]:
    """Tensors (rows × `width`) `input_ids`, `attention_mask`, `labels`, padded on the right."""
    import torch

    columns = width(len(e.ids) for e in batch)
    ids = torch.full((len(batch), columns), pad, dtype=torch.long)
    mask = torch.zeros((len(batch), columns), dtype=torch.long)
    labels = torch.full((len(batch), columns), IGNORED, dtype=torch.long)
    for row, example in enumerate(batch):
        size = len(example.ids)
        ids[row, :size] = torch.tensor(example.ids, dtype=torch.long)
        mask[row, :size] = 1
        labels[row, :size] = torch.tensor(example.labels(), dtype=torch.long)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
