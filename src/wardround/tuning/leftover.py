"""What to say when nothing is left to learn from: how many were set aside, why, the first of them, the next step."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wardround.errors import InputError
from wardround.records import Exclusion

_SHOWN = 3
REASONS = {
    "empty_answer": ("with an empty answer", "fill the answers in, or leave these rows out"),
    "control_token": (
        "with a control token of the base's tokenizer in the text",
        "take it out of the texts",
    ),
    "unwritable": ("with a character the base's tokenizer can't write", "name another base"),
    "too_long": ("too long", "raise --max-tokens, or name a base with a longer context"),
    "capped": ("over the cap", "raise --cap"),
    "tie": ("tied", "have more pairs judged"),
    "identical": ("with two equal answers", "have answers judged that differ"),
    "contradicted": ("judged both ways", "have the reviewers settle them"),
}
"""Reason of an exclusion → its words, what to do about it."""


def nothing_left(
    what: str, path: Path, excluded: Iterable[Exclusion], *, kept_out: int = 0
) -> InputError:
    """The error that no `what` ("sample", "pair") of `path` is left to train on; `kept_out` of them are held out."""
    by_reason: dict[str, list[str]] = {}
    for x in excluded:
        by_reason.setdefault(x.reason, []).append(x.what)
    found = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    parts, steps = [], []
    for reason, names in found:
        words, step = REASONS.get(reason, (reason, ""))
        more = ", …" if len(names) > _SHOWN else ""
        parts.append(f"{len(names)} {words} ({', '.join(names[:_SHOWN])}{more})")
        steps += [step] if step else []
    if kept_out:
        parts.append(f"{kept_out} held out")
        steps.append("lower --held-out-share")
    why = f": {'; '.join(parts)}" if parts else ""
    return InputError(
        f"no {what} is left to train on{why}", path=path,
        hint="; ".join(steps) or "give it something to learn from",
    )  # fmt: skip
