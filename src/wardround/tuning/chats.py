"""Conversations to learn from: of a dataset artifact, or of a plain file in one of the usual layouts.

Plain files are read whole or not at all: a row that is no conversation stops the reading and is named, before
anything was trained. Known layouts, one JSON object a row (JSON Lines, or one JSON list):

    {"messages": [{"role", "content"}…]}                           TRL, ms-swift
    {"conversations": [{"from", "value"}…], "system"}              sharegpt
    {"instruction", "input", "output", "system", "history"}        alpaca
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact
from wardround.errors import InputError
from wardround.records import Dialogue, Document, Message, Record, Role, Sample, decode

DIALOGUE = "dialogue"
"""What stands for the task of a multi-turn chat of a dataset artifact, which spans several."""
LAYOUTS = "messages (TRL), conversations (sharegpt), or instruction and output (alpaca)"
_SPEAKERS: dict[str, Role] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "system": "system",
}  # fmt: skip


class Chat(Record, frozen=True, kw_only=True):
    """One conversation to learn from: perhaps a system message, then user and assistant turns, the last one the
    assistant's. Chats of one `document` are held out together."""

    id: str
    task: str
    document: str
    messages: tuple[Message, ...]


def read_documents(dataset: Artifact) -> list[Document]:
    """All documents of the dataset, both sides, in file order."""
    path = dataset.file("documents.jsonl")
    return [_row(line, Document, path, n) for n, line in _lines(path)]


def read_samples(dataset: Artifact) -> list[Sample]:
    """The training samples of `train.parquet`, in file order."""
    import pyarrow.parquet as pq

    path = dataset.file("train.parquet")
    samples = []
    for n, row in enumerate(pq.read_table(path).to_pylist(), start=1):
        try:
            samples.append(msgspec.convert(row, Sample))
        except msgspec.ValidationError as e:
            raise InputError(f"not a sample: {e}", path=path, row=n) from e
    return samples


def read_chats(dataset: Artifact) -> list[Chat]:
    """Samples and training dialogues as chats. Raises `InputError` for one drawn from a test document."""
    test = {d.id for d in read_documents(dataset) if d.split == "test"}
    chats = [_sample_chat(s) for s in read_samples(dataset)]
    if dataset.has("train_dialogues.jsonl"):
        path = dataset.file("train_dialogues.jsonl")
        chats += [_dialogue_chat(_row(line, Dialogue, path, n)) for n, line in _lines(path)]
    for chat in chats:
        if chat.document in test:
            raise InputError(
                f"training sample {chat.id} is made from test document {chat.document}",
                path=dataset.path,
                hint="build the dataset again; training on it would spoil every score",
            )
    if not chats:
        raise InputError("holds no training samples", path=dataset.path)
    return chats


def _lines(path: Any) -> Iterable[tuple[int, bytes]]:
    with open(path, "rb") as f:
        yield from enumerate(f, start=1)


def _row(line: bytes, kind: Any, path: Any, row: int) -> Any:
    try:
        return decode(line, kind)
    except msgspec.DecodeError as e:
        raise InputError(f"not a {kind.__name__}: {e}", path=path, row=row) from e


def _sample_chat(sample: Sample) -> Chat:
    messages = (
        Message(role="user", content=sample.input),
        Message(role="assistant", content=sample.output),
    )
    return Chat(id=sample.id, task=sample.task, document=sample.document, messages=messages)


def _dialogue_chat(dialogue: Dialogue) -> Chat:
    messages = []
    for k, turn in enumerate(dialogue.turns):
        # The first question normally carries the case already; one that doesn't is given it.
        lacks_case = k == 0 and dialogue.context not in turn.question
        head = f"{dialogue.context}\n\n" if lacks_case else ""
        messages.append(Message(role="user", content=head + turn.question))
        messages.append(Message(role="assistant", content=turn.reference))
    return Chat(id=dialogue.id, task=DIALOGUE, document=dialogue.document, messages=tuple(messages))


def read_file(path: Path) -> list[Chat]:
    """The conversations of a plain file, in file order; their task is the file's name without its ending.

    Equal questions are one document, so that none of them is held out while another is learned from. Raises
    `InputError` naming the row that can't be read.
    """
    chats = []
    for row, value in _json_rows(path):
        try:
            messages = _messages(value)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise InputError(
                f"not a conversation: {e}", path=path, row=row, hint=f"a row has {LAYOUTS}"
            ) from e
        asked = next(m.text for m in messages if m.role == "user")
        digest = hashlib.sha256(asked.encode(errors="replace")).hexdigest()[:16]
        chats.append(
            Chat(
                id=f"{path.name}:{row}",
                task=path.stem,
                document=f"text-{digest}",
                messages=messages,
            )
        )
    if not chats:
        raise InputError("holds no conversations", path=path)
    return chats


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """(row from 1, object) of JSON Lines or of one JSON list."""
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if data.lstrip()[:1] == b"[":
        try:
            rows = json.loads(data)
        except ValueError as e:
            raise InputError(f"not JSON: {e}", path=path) from e
        yield from enumerate(rows, start=1)
        return
    for n, line in enumerate(data.splitlines(), start=1):
        if line.strip():
            try:
                yield n, json.loads(line)
            except ValueError as e:
                raise InputError(f"not JSON: {e}", path=path, row=n) from e


def _messages(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The row's messages; raises ValueError and its like where it is in no known layout."""
    if "messages" in row:
        told = [(_SPEAKERS[m["role"]], m["content"]) for m in row["messages"]]
    elif "conversations" in row:
        told = [(_SPEAKERS[m["from"]], m["value"]) for m in row["conversations"]]
    elif "instruction" in row and "output" in row:
        asked = "\n".join(filter(None, (row["instruction"], row.get("input"))))
        earlier = [(r, t) for turn in row.get("history") or () for r, t in _both(*turn)]
        told = [*earlier, *_both(asked, row["output"])]
    else:
        raise ValueError(f"its keys are {', '.join(map(str, row))}")
    if "messages" not in row and row.get("system"):
        told.insert(0, ("system", row["system"]))
    spoken = [role for role, _ in told if role != "system"]
    if any(role == "system" for role, _ in told[1:]):
        raise ValueError("a system message after the first")
    if not spoken or spoken != ["user", "assistant"] * (len(spoken) // 2):
        raise ValueError("its turns are not user and assistant in turn, the assistant last")
    if not all(isinstance(text, str) for _, text in told):
        raise ValueError("a message without text")
    return tuple(Message(role=role, content=text) for role, text in told)


def _both(asked: str, answer: str) -> Sequence[tuple[Role, str]]:
    return ("user", asked), ("assistant", answer)
