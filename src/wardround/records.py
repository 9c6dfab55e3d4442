"""The vocabulary: every value that passes between rooms, as small frozen types.

All are `msgspec.Struct`: immutable, compared by value, and encoded to and decoded from JSON with their
types checked (`encode`, `decode`). Field names are the field's own where a convention exists (role and
content as in OpenAI chat completions; category, input, output, id as in DoctorFLAN).

Two rules are built into the types. An unscored value is `None` with a reason, never a number
(`Score`). A request that failed has no text, so an error message can't be taken for an answer (`Answer`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import msgspec

SCHEMA_VERSION = 1

Role = Literal["system", "user", "assistant"]
T = TypeVar("T")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: frozen, keyword-only, every field written to the JSON."""


def complete_types() -> None:
    """Have msgspec lay out every `Struct` that is loaded, before threads meet them.

    msgspec lays a type out when it is first decoded or converted to, and takes no lock: two threads that are first at
    the same moment end the process with SIGSEGV (seen with 0.22.0, the newest, in the web app). Some 0.1 ms a type, and
    next to nothing the second time. Types loaded later need another call."""
    for kind in _below(msgspec.Struct):
        if kind.__module__.startswith("wardround."):
            with contextlib.suppress(NameError, TypeError):  # what JSON can't hold is never decoded
                msgspec.json.Decoder(kind)


def _below(kind: type[Any]) -> Iterator[type[Any]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _below(sub)


class TextPart(Record, frozen=True, kw_only=True, tag="text", tag_field="type"):
    """A text content part of a chat message."""

    text: str


class ImageURL(Record, frozen=True, kw_only=True):
    """Where the image of an `ImagePart` is: an http(s) URL or a `data:` URL with base64."""

    url: str


class StoredURL:
    """Stands in an `ImagePart` for an `ImageURL` whose text lies outside memory and goes into a body as it is.

    `read` gives the URL in ASCII, with nothing in it that JSON escapes: a `data:` URL with base64. Of all encoders
    `models.wire` alone knows it.
    """

    __slots__ = ("read",)

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.read = read

    @property
    def url(self) -> str:
        """The whole text, read now."""
        return str(self.read(), "ascii")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredURL) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)


class ImagePart(Record, frozen=True, kw_only=True, tag="image_url", tag_field="type"):
    """An image content part, in the shape OpenAI-compatible endpoints read."""

    image_url: ImageURL


Part = TextPart | ImagePart


class Message(Record, frozen=True, kw_only=True):
    """One chat message; `content` is text, or parts when an image is in it."""

    role: Role
    content: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """The message's text, image parts left out."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(p.text for p in self.content if isinstance(p, TextPart))


class Request(Record, frozen=True, kw_only=True):
    """One question to a model.

    `key` names the work this request does (unique in a journal). `hint` is what only a scripted model may
    see (the reference, say); no endpoint ever sends it. `nth` counts askings of the very same words that must
    stay apart (repeats, second tries): a cached reply to one never stands for another.
    """

    key: str
    messages: tuple[Message, ...]
    max_tokens: int = 1024
    temperature: float = 0.0
    seed: int | None = None
    hint: dict[str, Any] = {}
    nth: int = 1


class Answer(Record, frozen=True, kw_only=True):
    """What came back: text when `status` is "ok", else a reason and no text.

    `finish_reason` is the endpoint's own word ("stop", "length", …). `latency_s` is seconds from the first
    attempt to the end; `attempts` counts HTTP requests made. Token counts are the endpoint's, None if untold.
    `model` is the name of who answered; `cached` says that the reply was had before and not paid for again;
    `charged` is what it was counted at against a cost cap.
    """

    status: Literal["ok", "failed"]
    text: str | None = None
    reason: str = ""
    finish_reason: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_s: float = 0.0
    attempts: int = 1
    model: str = ""
    cached: bool = False
    charged: float = 0.0


class Score(Record, frozen=True, kw_only=True):
    """One judgement. `value` is None unless `status` is "scored".

    "unscored": there was an answer, but no verdict could be read. "failed": there was no answer to score.
    `detail` holds what a benchmark's own tables need (the option chosen, the criteria met).
    """

    status: Literal["scored", "unscored", "failed"]
    value: float | None = None
    reason: str = ""
    explanation: str = ""
    detail: dict[str, Any] = {}


class Turn(Record, frozen=True, kw_only=True):
    """One question of a case with its reference answer."""

    question: str
    reference: str


class Case(Record, frozen=True, kw_only=True):
    """One test item: a single turn, or consecutive turns asked with the model's own earlier answers.

    `group` names what hangs together and is resampled as one: the option orders of one question, say; empty
    when the case stands alone. `data` is what the benchmark needs to grade it, and is never sent to a model.
    """

    id: str
    turns: tuple[Turn, ...]
    category: str = ""
    task: str = ""
    specialty: str = ""
    group: str = ""
    data: dict[str, Any] = {}


class Provenance(Record, frozen=True, kw_only=True):
    """Where a document came from: file (as given), its SHA-256, row from 1, licence as stated by the user."""

    file: str
    sha256: str
    row: int
    licence: str = "unstated"


class Document(Record, frozen=True, kw_only=True):
    """One source row, read. `fields` maps a field's name to its text or list of texts, empty ones left out.

    `kind` is the reader's ("encyclopedia", "case"); `specialty` a specialty_id or "unmapped"; `departments`
    the labels the source itself used; `split` is "train" or "test" once the document is placed.
    """

    id: str
    kind: str
    title: str
    fields: dict[str, str | tuple[str, ...]]
    departments: tuple[str, ...]
    specialty: str
    provenance: Provenance
    split: str = ""


class Sample(Record, frozen=True, kw_only=True):
    """One single-turn instruction sample. The first four fields are DoctorFLAN's columns.

    `input` = the task's instruction, then for case tasks the marker and the case; `output` is the reference.
    `recipe` names the composition rule; `refined` says whether a model rewrote `output` against its source.
    """

    category: str
    input: str
    output: str
    id: str
    task: str
    phase: str
    specialty: str
    document: str
    recipe: str
    source_fields: tuple[str, ...]
    refined: bool = False


class Dialogue(Record, frozen=True, kw_only=True):
    """One multi-turn item made of a case with ordered questions (the DotaBench format has exactly three)."""

    id: str
    document: str
    specialty: str
    title: str
    context: str
    turns: tuple[Turn, ...]


class Exclusion(Record, frozen=True, kw_only=True):
    """Something kept aside, with its reason: a row, a document or a sample never vanishes unseen.

    `stage` names the step that set it aside, `what` the id or row label, `reason` a closed short code,
    `detail` a sentence for people.
    """

    stage: str
    file: str
    row: int
    what: str
    reason: str
    detail: str = ""


_encoder = msgspec.json.Encoder(order="deterministic")


def encode(value: object) -> bytes:
    """JSON bytes with object keys sorted: equal values give equal bytes."""
    return _encoder.encode(value)


def decode(data: bytes | str, kind: type[T]) -> T:
    """Read `data` as `kind`; raises `msgspec.ValidationError` or `msgspec.DecodeError` naming the field."""
    return msgspec.json.decode(data, type=kind)
