"""What newer datasets say of how they were made, in `coverage.json` and `blocked_pairs.jsonl`.

Every part may be missing: an older dataset has none of them, and a build leaves out what it did not do.
"""

from __future__ import annotations

from wardround.records import Record


class Step(Record, frozen=True, kw_only=True):
    """A step from source rows to kept samples: how many came out of it, and what was set aside in it and why."""

    step: str
    n: int
    zh: str = ""
    en: str = ""
    reasons: dict[str, int] = {}


class Histogram(Record, frozen=True, kw_only=True):
    """Numbers of samples by length in characters. `bins` are edges: one more than `counts`, or as many when the
    last bin is open."""

    bins: tuple[float, ...]
    counts: tuple[int, ...]


class Privacy(Record, frozen=True, kw_only=True):
    """Identifiers found and replaced by kind, in how many documents, and the cues left for a person."""

    found: dict[str, int] = {}
    documents: int = 0
    residue: int = 0


class Near(Record, frozen=True, kw_only=True):
    """Near-duplicates: candidate pairs, those verified, samples dropped, pairs kept apart by a differing fact."""

    candidates: int = 0
    verified: int = 0
    dropped: int = 0
    blocked: int = 0


class HeldOutSet(Record, frozen=True, kw_only=True):
    """A held-out file and what was found of it."""

    file: str
    items: int
    dropped: int = 0
    review: int = 0


class UnreadRow(Record, frozen=True, kw_only=True):
    """A row of a held-out file that nothing was held against."""

    file: str
    row: int
    reason: str


class Contamination(Record, frozen=True, kw_only=True):
    """Samples that overlap with held-out sets, by set and rule, and with the dataset's own test side."""

    sets: tuple[HeldOutSet, ...] = ()
    rules: dict[str, int] = {}
    own_test: int = 0
    unread: tuple[UnreadRow, ...] = ()


class Example(Record, frozen=True, kw_only=True):
    """A refined sample: its composed reference, the rewritten one, and the passage it may draw on."""

    id: str
    task: str
    before: str
    after: str
    passage: str = ""


class Making(Record, frozen=True, kw_only=True):
    """The part of `coverage.json` that tells how the dataset was made."""

    funnel: tuple[Step, ...] = ()
    lengths: dict[str, Histogram] = {}
    privacy: Privacy | None = None
    near: Near | None = None
    contamination: Contamination | None = None
    examples: tuple[Example, ...] = ()


class Difference(Record, frozen=True, kw_only=True):
    """A fact in which two texts differ."""

    kind: str
    a: str = ""
    b: str = ""


class BlockedPair(Record, frozen=True, kw_only=True):
    """Two samples alike in words and kept both, since they differ in a fact."""

    kept: str
    other: str
    task: str = ""
    jaccard: float | None = None
    differences: tuple[Difference, ...] = ()
    kept_text: str = ""
    other_text: str = ""
