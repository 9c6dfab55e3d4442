"""What a study asks of its reviewers, as plain records: kind, form, rules. Stored as JSON, shown by the web app.

A study is a set of items of one kind, reviewed with one form under one rule. An item's `body` is what stays the
same (question, source, key); a version's `content` is what is under review (a rationale, an answer). Both are lists
of `Part`, so one page shows any kind.
"""

from __future__ import annotations

from typing import Any, Literal

from wardround.errors import UsageError
from wardround.records import Record

Kind = Literal["rationale", "sample", "verdict", "pair", "image", "item"]
KINDS: dict[str, tuple[str, str]] = {
    "rationale": ("推理依据", "rationales"),
    "sample": ("数据集样本", "dataset samples"),
    "verdict": ("评审打分", "judge verdicts, absolute"),
    "pair": ("两两比较", "judge verdicts, pairwise"),
    "image": ("影像分歧", "image disagreements"),
    "item": ("基准题目", "benchmark items"),
}
"""Kind → Chinese and English name."""
ITEM_STATES: dict[str, tuple[str, str]] = {
    "drafting": ("等待模型", "waiting for the model"),
    "open": ("评审中", "under review"),
    "revising": ("等待修改", "waiting for a revision"),
    "panel": ("待专家组裁定", "before the panel"),
    "accepted": ("已通过", "accepted"),
    "rejected": ("已否决", "rejected"),
    "done": ("已评完", "reviewed"),
}
"""State of an item → Chinese and English name. The last three are final."""
FINAL = ("accepted", "rejected", "done")


class Part(Record, frozen=True, kw_only=True):
    """One block of text or one picture of an item.

    `role`: question, option, key, source, reference, answer, step, picture, note. `id` names it within its item (a
    span points at it). `side` is "A" or "B" in a pair. `picture` is a data: URL or a path the app serves.
    `text_en`: the text in English, where it is of our own words (a claim); such a part has no spans.
    """

    id: str
    role: str
    zh: str = ""
    en: str = ""
    text: str = ""
    text_en: str = ""
    side: str = ""
    picture: str = ""


class Level(Record, frozen=True, kw_only=True):
    """One value of a field: the key that chooses it is its place (1–9; 0 the tenth of ten)."""

    value: int | str
    zh: str
    en: str
    anchor_zh: str = ""
    anchor_en: str = ""


class Field(Record, frozen=True, kw_only=True):
    """One thing to be judged. `scale`: one ordered number; `choice`: one of the levels; `labels`: any number."""

    id: str
    zh: str
    en: str
    kind: Literal["scale", "choice", "labels"] = "scale"
    levels: tuple[Level, ...]
    definition_zh: str = ""
    definition_en: str = ""
    required: bool = True


class Rule(Record, frozen=True, kw_only=True):
    """When scores of a round accept: in every scale field the median, the lowest and the spread."""

    median_at_least: float = 4.0
    none_below: int = 3
    spread_at_most: int = 1


class StudyConfig(Record, frozen=True, kw_only=True):
    """All settings of a study. Fixed once the first review is in.

    `raters` per item and round; `strikes` failed rounds before the panel; `on_fail`: what follows a failed round
    ("either": a reviewer's revision if one came with the scores, else the model); `gold_rate`: the share of shown
    items that are gold; `gold_tolerance`: how far a score may be from gold and still count as right;
    `lease_minutes`: after which an abandoned item returns; `model`: who regenerates (a model's name).
    """

    kind: Kind
    title: str
    form: tuple[Field, ...]
    raters: int = 3
    rule: Rule = Rule()
    strikes: int = 5
    on_fail: Literal["either", "revise", "regenerate"] = "either"
    gold_rate: float = 0.05
    gold_tolerance: int = 1
    lease_minutes: int = 45
    model: str = ""
    seed: int = 0
    guide_zh: str = ""
    guide_en: str = ""
    source: dict[str, Any] = {}

    @property
    def consensus(self) -> bool:
        """Whether rounds repeat until the rule accepts (rationales); else an item is done after one round."""
        return self.kind == "rationale"

    def check(self) -> None:
        """`UsageError` on settings that contradict one another."""
        if not self.form:
            raise UsageError("a study needs at least one field to judge")
        if self.raters < 1:
            raise UsageError(f"raters is {self.raters}", hint="give at least 1")
        if not 0 <= self.gold_rate < 1:
            raise UsageError(
                f"gold_rate is {self.gold_rate}", hint="give a share from 0 to below 1"
            )
        if self.strikes < 1 or self.lease_minutes < 1:
            raise UsageError("strikes and lease_minutes are at least 1")


class NewItem(Record, frozen=True, kw_only=True):
    """An item to be opened: `content` None waits for a model. `gold`: field id → the right value."""

    key: str
    specialty: str = "unmapped"
    body: tuple[Part, ...]
    content: tuple[Part, ...] | None = None
    data: dict[str, Any] = {}
    gold: dict[str, Any] | None = None
    author: str = ""


class Span(Record, frozen=True, kw_only=True):
    """A marked stretch of a part, in characters (code points), end exclusive."""

    part: str
    start: int
    end: int
    note: str = ""


class ReviewIn(Record, frozen=True, kw_only=True):
    """What a reviewer hands in. `scores`: field id → value (a list of values for `labels`).

    `revision`: the content as the reviewer would have it, part id → text; None without one.
    """

    scores: dict[str, Any]
    comment: str = ""
    spans: tuple[Span, ...] = ()
    revision: dict[str, str] | None = None
    seconds: float = 0.0


MAX_COMMENT = 50_000
"""Characters of a comment or of one revised part."""
_SHOWN = 40
"""Characters of a wrong value that are repeated in an error."""


def fits(field: Field, value: object) -> bool:
    """Whether `value` can be a field's score: one of its levels, for `labels` a list of them."""
    if field.kind == "labels":
        return isinstance(value, list) and all(_is_level(field, v) for v in value)
    return _is_level(field, value)


def _is_level(field: Field, value: object) -> bool:
    # True == 1, but nobody scores with it.
    plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    return plain and any(value == level.value for level in field.levels)


def allowed(field: Field) -> str:
    """What a field's score may be, in words."""
    values = ", ".join(str(level.value) for level in field.levels)
    return f"a list of {values}" if field.kind == "labels" else f"one of {values}"


def missing(config: StudyConfig, review: ReviewIn) -> list[str]:
    """Ids of required fields that have no score."""
    return [f.id for f in config.form if f.required and review.scores.get(f.id) in (None, [])]


def problems(config: StudyConfig, review: ReviewIn, content: tuple[Part, ...]) -> list[str]:
    """What a review holds that can't be taken, in words: impossible scores, spans outside their part, overlong texts."""
    found = []
    fields = {f.id: f for f in config.form}
    for name, given in review.scores.items():
        if name not in fields:
            found.append(f"there is no field {name[:_SHOWN]!r}")
        elif given is not None and given != [] and not fits(fields[name], given):
            told = f"{given!r}"[:_SHOWN]
            found.append(f"{name} is {told}, not {allowed(fields[name])}")
    lengths = {p.id: len(p.text) for p in content}
    found += [
        f"a mark lies outside of {s.part[:_SHOWN]}"
        for s in review.spans
        if not 0 <= s.start < s.end <= lengths.get(s.part, 0)
    ]
    if len(review.comment) > MAX_COMMENT:
        found.append(f"the comment is longer than {MAX_COMMENT} characters")
    return found + revision_problems(review, content)


def revision_problems(review: ReviewIn, content: tuple[Part, ...]) -> list[str]:
    """Parts of the revision that the content doesn't have, or that are too long."""
    there = {p.id for p in content}
    given = review.revision or {}
    found = [f"there is no part {k[:_SHOWN]!r} to revise" for k in given if k not in there]
    return found + [
        f"the revised {k} is longer than {MAX_COMMENT} characters"
        for k, v in given.items()
        if k in there and len(v) > MAX_COMMENT
    ]
