"""The tuning stack (torch, transformers): whether it is there, and how it is set up before any work.

Everything here that changes a result ends up in the artifact's configuration: library versions, device,
numeric precision, number of threads, and of processes where there are several. A run therefore never resumes under another stack unnoticed.
"""

from __future__ import annotations

import importlib.util
import os
from typing import Any, Literal

import msgspec

from wardround.errors import UsageError
from wardround.records import Record
from wardround.tuning import processes

Precision = Literal["auto", "fp32", "bf16"]
WITHOUT_INFLUENCE = {"save_seconds", "track", "held_out", "accept_unchecked", "machine"}
NEEDED = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")


class Stack(Record, frozen=True, kw_only=True):
    """What a training ran on, as far as it can change the result."""

    torch: str
    transformers: str
    device: str
    precision: str
    threads: int


def require() -> None:
    """Raise `UsageError` when a library of the extra `tune` is missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"tuning needs {', '.join(missing)}", hint="install it: pip install 'wardround[tune]'"
        )


def set_up(precision: Precision, threads: int | None) -> Stack:
    """Quiet the libraries, fix threads and precision, and say what was chosen.

    `threads` None takes what torch takes by itself; "auto" precision is bf16 where the processor or GPU
    computes in it natively, else fp32.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    import torch
    import transformers
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if threads is not None:
        torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    native = _bf16_native(torch, device)
    if precision == "bf16" and not native and device == "cuda":
        raise UsageError("this GPU does not compute in bf16", hint="use --precision fp32")
    return Stack(
        torch=str(torch.__version__),
        transformers=str(transformers.__version__),
        device=device,
        precision=precision if precision != "auto" else ("bf16" if native else "fp32"),
        threads=int(torch.get_num_threads()),
    )


def _bf16_native(torch: Any, device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def settings_of(step: str, options: Record, here: Stack, *more: Record) -> dict[str, Any]:
    """The artifact configuration of a training: every option that can change the result, as resolved."""
    config: dict[str, Any] = {"step": step}
    for part in (options, *more, here):
        config |= msgspec.structs.asdict(part)
    return {k: v for k, v in config.items() if k not in WITHOUT_INFLUENCE} | processes.settings()
