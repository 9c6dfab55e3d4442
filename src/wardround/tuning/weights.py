"""Which weights a checkpoint holds, and which lie beside them.

At the checkpoint's top are the last weights, or with early stopping those with the lowest held-out loss. Where the
two differ the others are kept too, in `best/` or `last/`: a directory that loads by itself (an adapter stays one).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wardround.tuning import adapters, model_dir

STRIP = "answers_over_time.jsonl"


def write(
    out: Path, model: Any, tokenizer: Any, *, dtype: Any, best: Path | None, best_on_top: bool,
    adapter: adapters.Kept, base: str,
) -> None:  # fmt: skip
    """Write `model` (as it was after the last step) and the weights in folder `best`, None where they are the same.
    `base` is the base's path as seen from `out`; `model` is used up."""
    adapted = adapters.is_adapted(model)
    if best is not None and adapted:
        if best_on_top:
            adapters.save(model, tokenizer, out / "last", base=f"../{base}")
            adapters.restore(model, best)
        else:
            adapters.copy(best, tokenizer, out / "best", base=f"../{base}")
    elif best is not None:
        other = model_dir.restore(model, best)
        if best_on_top:
            model, other = other, model
        model_dir.save(other, tokenizer, out / ("last" if best_on_top else "best"), dtype=dtype)
    if adapted and adapter == "apart":
        adapters.save(model, tokenizer, out, base=base)
    else:
        model_dir.save(adapters.merged(model) if adapted else model, tokenizer, out, dtype=dtype)
