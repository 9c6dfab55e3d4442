"""The form of each kind of study, made from the closed lists so that page, export and statistics use the same words."""

from __future__ import annotations

from wardround.errors import UsageError
from wardround.review.study import Field, Level
from wardround.taxonomy import RubricDimension, items


def rationale_form() -> tuple[Field, ...]:
    """The five published dimensions, 1 to 5, each level with its anchor."""
    return tuple(
        Field(
            id=d.id,
            zh=d.zh,
            en=d.en,
            definition_zh=d.definition,
            definition_en=d.definition_en,
            levels=tuple(
                Level(value=n, zh=str(n), en=str(n), anchor_zh=a.zh, anchor_en=a.en)
                for n, a in enumerate(d.anchors, 1)
            ),
        )
        for d in items("rubric")
        if isinstance(d, RubricDimension)
    )


def _choices(*levels: tuple[str, str, str]) -> tuple[Level, ...]:
    return tuple(Level(value=value, zh=zh, en=en) for value, zh, en in levels)


def sample_form() -> tuple[Field, ...]:
    """A dataset sample: the three verdicts of the checking sheet."""
    return (
        Field(
            id="verdict", kind="choice", zh="结论", en="Verdict",
            definition_zh="对照原文，参考答案是否正确、完整、没有害处。",
            definition_en="Held against its source, is the reference answer right, whole and harmless?",
            levels=_choices(
                ("good", "合格", "good"), ("minor", "有小问题", "minor fault"), ("bad", "不合格", "bad")
            ),
        ),
    )  # fmt: skip


MOST_LEVELS = 11


def score_form(low: float, high: float) -> tuple[Field, ...]:
    """A score on a benchmark's own scale, in whole numbers. `UsageError` for a scale that has too many."""
    if low != int(low) or high != int(high) or not 0 < high - low < MOST_LEVELS:
        raise UsageError(
            f"a scale from {low:g} to {high:g} can't be scored in at most {MOST_LEVELS} whole numbers",
            hint="review a benchmark with a shorter scale, or compare its answers in pairs",
        )
    return (
        Field(
            id="score", zh="评分", en="Score",
            definition_zh=f"按评测的量表，从 {low:g}（最差）到 {high:g}（最好）。",
            definition_en=f"On the benchmark's scale, {low:g} (worst) to {high:g} (best).",
            levels=tuple(
                Level(value=n, zh=str(n), en=str(n)) for n in range(int(low), int(high) + 1)
            ),
        ),
    )  # fmt: skip


def pair_form() -> tuple[Field, ...]:
    """Which of two answers is better."""
    return (
        Field(
            id="preference", kind="choice", zh="哪个更好", en="Which is better",
            definition_zh="只看内容：正确、安全、切题；不因长短取舍。",
            definition_en="By content alone: right, safe, to the point; length by itself counts for nothing.",
            levels=_choices(
                ("A", "A 更好", "A is better"), ("B", "B 更好", "B is better"), ("tie", "不分高下", "a tie")
            ),
        ),
    )  # fmt: skip


def claim_form() -> tuple[Field, ...]:
    """Whether a contested claim holds."""
    return (
        Field(
            id="verdict", kind="choice", zh="此说是否成立", en="Does the claim hold",
            definition_zh="看图像或报告本身，不看谁这样说。",
            definition_en="By the image or report itself, whoever says so.",
            levels=_choices(
                ("yes", "成立", "yes"), ("no", "不成立", "no"), ("unsure", "不能确定", "unsure")
            ),
        ),
    )  # fmt: skip


def sign_form() -> tuple[Field, ...]:
    """Whether a benchmark item may stand as it is."""
    return (
        Field(
            id="verdict", kind="choice", zh="审定", en="Verdict",
            definition_zh="题干、答案与依据是否正确，并与现行规范相符；需要改动时请直接改文字。",
            definition_en="Are question, answer and grounds right and in line with guidance? Mend the text where not.",
            levels=_choices(
                ("ok", "可用", "fit for use"), ("minor", "小改后可用", "fit after small changes"),
                ("wrong", "有错误，不可用", "wrong, not fit"),
            ),
        ),
    )  # fmt: skip
