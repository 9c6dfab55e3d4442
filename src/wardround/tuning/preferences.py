"""Preference pairs: which of two answers to the same words a doctor preferred, and where that is known from.

One JSON object a row, in a plain file or as `preferences.jsonl` of an artifact:

    {"prompt": [{"role": "user", "content": "…"}], "chosen": "…", "rejected": "…", "tie": false,
     "provenance": {"kind": "review", "who": "d07", "when": "2026-03-01", "source": "<sha256>"}}

`kind` is "review" (a verdict on two answers) or "edit" (a doctor's draft → signed text: signed is chosen, the draft
rejected). `who` is a pseudonym, `source` the digest of what was reviewed or edited. Where the prompt is a question of a
test set, `tests` names it (`[{"benchmark": "…", "digest": "<sha256>"}]`); `guard.refuse_tests` looks there. A row that
isn't this stops the reading and is named; no error repeats a row's text. Rows that are pairs but prefer nothing are set
aside, and so are those of an artifact with an empty answer: a model said nothing there, and nobody can mend that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from wardround.artifact import InputRef, open_artifact, ref
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.records import Exclusion, Message, Record, Role, encode
from wardround.tuning.mixture import Source

FILE = "preferences.jsonl"
KINDS = {"review": ("评审", "review verdicts"), "edit": ("医生修改", "doctor edits")}
LAYOUT = (
    "a row has prompt (messages, the last the user's), chosen, rejected, and provenance with kind "
    '("review" or "edit"), who, when and source'
)
_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHOWN = 10


class Said(Record, frozen=True, kw_only=True):
    """A message of the prompt; text only."""

    role: Role
    content: str


class Asked(Record, frozen=True, kw_only=True):
    """The test file that a prompt is a question of."""

    benchmark: str
    digest: str


class Origin(Record, frozen=True, kw_only=True):
    """Who preferred it, when (ISO 8601), judging what (SHA-256 of the artifact or file), from which test files."""

    kind: Literal["review", "edit"]
    who: str
    when: str
    source: str
    tests: tuple[Asked, ...] = ()


class Row(Record, frozen=True, kw_only=True):
    """One row as it stands in the file."""

    prompt: tuple[Said, ...]
    chosen: str
    rejected: str
    provenance: Origin
    tie: bool = False


class Preference(Record, frozen=True, kw_only=True):
    """A row that prefers one answer. `id` is FILE:ROW; pairs of one `document` (the same prompt) are held out
    together."""

    id: str
    document: str
    prompt: tuple[Message, ...]
    chosen: str
    rejected: str
    origin: Origin


def sources(given: str | Path | Sequence[str | Path]) -> tuple[Source, ...]:
    """The files and artifacts named. Raises `UsageError` for a path that isn't there or is named twice,
    `ArtifactError` for an artifact without preferences."""
    paths = [Path(p) for p in ([given] if isinstance(given, str | Path) else given)]
    if not paths:
        raise UsageError("no preferences are named", hint=f"name a JSON Lines file; {LAYOUT}")
    if len({p.resolve() for p in paths}) < len(paths):
        raise UsageError(f"{', '.join(map(str, paths))}: one is named twice", hint="name it once")
    found = []
    for path in paths:
        artifact = None if path.is_file() else open_artifact(path)
        if artifact and not artifact.has(FILE):
            raise ArtifactError(
                f"{path}: a {artifact.manifest.kind} artifact without {FILE}",
                hint="name a file of preferences, or an artifact that has them",
            )
        found.append(Source(path=path, weight=1.0, artifact=artifact))
    return tuple(found)


def refs(found: Iterable[Source], *, seen_from: Path) -> list[InputRef]:
    """The sources as inputs of the checkpoint."""
    return [ref(s.path, "preferences", seen_from=seen_from) for s in found]


def read(
    found: Sequence[Source], *, held_out: frozenset[str] = frozenset()
) -> tuple[list[Preference], list[Exclusion]]:
    """All pairs in file order, and the rows set aside: ties, equal answers, pairs that were judged both ways, and of
    artifacts those with an empty answer.

    Raises `InputError` naming the rows that can't be read, or whose `source` is a digest of `held_out`.
    """
    kept: list[Preference] = []
    aside: list[Exclusion] = []
    for source, name in zip(found, _names(found), strict=True):
        path = source.artifact.file(FILE) if source.artifact else source.path
        for number, row in _rows(path, blank=source.artifact is not None):
            judged = {row.provenance.source, *(t.digest for t in row.provenance.tests)}
            if judged & held_out:
                raise InputError(
                    f"judged what is listed as held out ({min(judged & held_out)[:12]}…)",
                    path=path, row=number,
                    hint="what is held out may be tested on, never learned from; leave these rows out",
                )  # fmt: skip
            pair = _preference(row, f"{name}:{number}")
            if not (row.chosen.strip() and row.rejected.strip()):
                aside.append(_aside(pair, path, number, "empty_answer", "an answer is empty"))
            elif row.tie:
                aside.append(_aside(pair, path, number, "tie", "neither answer was preferred"))
            elif row.chosen.strip() == row.rejected.strip():
                aside.append(_aside(pair, path, number, "identical", "both answers are the same"))
            else:
                kept.append(pair)
    return _without_contradictions(kept, aside)


def _names(found: Sequence[Source]) -> list[str]:
    """What the ids of each source's pairs begin with."""
    names = [s.path.name for s in found]
    return [n if names.count(n) == 1 else f"{k}-{n}" for k, n in enumerate(names, 1)]


def tests(found: Sequence[Source], pairs: Iterable[Preference]) -> dict[Path, list[dict[str, str]]]:
    """By source what each of its pairs says of its test files, digest → benchmark."""
    by_name: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    for p in pairs:
        said = {t.digest: t.benchmark for t in p.origin.tests}
        by_name[p.id.rpartition(":")[0]].append(said)
    return {s.path: by_name[name] for s, name in zip(found, _names(found), strict=True)}


def doctors(pairs: Iterable[Preference]) -> int:
    """How many different people preferred."""
    return len({p.origin.who for p in pairs})


def _rows(path: Path, *, blank: bool) -> list[tuple[int, Row]]:
    """(row from 1, row) of every line that isn't empty; all bad ones are told at once. `blank`: an answer may be
    empty."""
    rows, bad = [], []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            try:
                rows.append((number, _checked(msgspec.convert(json.loads(line), Row), blank=blank)))
            except (ValueError, msgspec.ValidationError) as e:
                bad.append((number, str(e)))
    if bad:
        number, why = bad[0]
        more = ", ".join(str(n) for n, _ in bad[1 : _SHOWN + 1])
        more += f" and {len(bad) - 1 - _SHOWN} others" if len(bad) > _SHOWN + 1 else ""
        also = f" (rows {more} can't be read either)" if more else ""
        raise InputError(f"not a preference: {why}{also}", path=path, row=number, hint=LAYOUT)
    if not rows:
        raise InputError("holds no preferences", path=path, hint=LAYOUT)
    return rows


def _checked(row: Row, *, blank: bool) -> Row:
    """The row; raises ValueError for what its types can't say."""
    roles = [m.role for m in row.prompt]
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if spoken != [("user", "assistant")[k % 2] for k in range(len(spoken))] or not len(spoken) % 2:
        raise ValueError("its prompt is not user and assistant in turn, the user last")
    texts = {} if blank else {"chosen": row.chosen, "rejected": row.rejected}
    texts |= {f"message {k} of the prompt": m.content for k, m in enumerate(row.prompt, 1)}
    for name, text in texts.items():
        if not text.strip():
            raise ValueError(f"{name} is empty")
    origin = row.provenance
    if not _PSEUDONYM.fullmatch(origin.who):
        raise ValueError("provenance.who is no pseudonym: letters, digits, '.', '_' and '-' only")
    if not _DIGEST.fullmatch(origin.source):
        raise ValueError("provenance.source is no SHA-256 in 64 hex digits")
    if not all(_DIGEST.fullmatch(t.digest) for t in origin.tests):
        raise ValueError("a digest of provenance.tests is no SHA-256 in 64 hex digits")
    try:
        datetime.fromisoformat(origin.when)
    except ValueError as e:
        raise ValueError("provenance.when is no date like 2026-03-01 or 2026-03-01T10:00Z") from e
    return row


def _preference(row: Row, name: str) -> Preference:
    digest = hashlib.sha256(encode(row.prompt)).hexdigest()[:16]
    return Preference(
        id=name, document=f"prompt-{digest}", chosen=row.chosen, rejected=row.rejected,
        prompt=tuple(Message(role=m.role, content=m.content) for m in row.prompt),
        origin=row.provenance,
    )  # fmt: skip


def _without_contradictions(
    pairs: Sequence[Preference], aside: list[Exclusion]
) -> tuple[list[Preference], list[Exclusion]]:
    """Set aside every row of two answers of which each was preferred by someone: reviewers who don't agree have
    not said what to learn. Rows that agree all stay, and so count for more."""
    told: defaultdict[Any, set[bool]] = defaultdict(set)
    for p in pairs:
        told[_two(p)].add(p.chosen < p.rejected)
    kept = []
    for p in pairs:
        if len(told[_two(p)]) == 1:
            kept.append(p)
        else:
            name, _, row = p.id.rpartition(":")
            why = "the same two answers were also judged the other way round"
            aside.append(_aside(p, Path(name), int(row), "contradicted", why))
    return kept, aside


def _two(pair: Preference) -> tuple[str, frozenset[str]]:
    return pair.document, frozenset((pair.chosen, pair.rejected))


def _aside(pair: Preference, path: Path, row: int, reason: str, detail: str) -> Exclusion:
    return Exclusion(
        stage="prefer", file=path.name, row=row, what=pair.id, reason=reason,
        detail=f"{pair.origin.kind}: {detail}",
    )  # fmt: skip
