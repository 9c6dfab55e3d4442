"""Hugging Face directories: reading a base, writing a checkpoint whose bytes depend on the work alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wardround.artifact import write_atomically
from wardround.errors import UsageError

GENERATION = "generation_config.json"
_VOLATILE = ("_name_or_path", "name_or_path", "is_local", "local_files_only")


def check_base(base: Path) -> None:
    """Raise `UsageError` unless `base` looks like a Hugging Face model directory."""
    hint = "name a directory with config.json, weights and tokenizer, or scratch:tiny"
    if not base.is_dir():
        raise UsageError(f"{base}: no such model directory", hint=hint)
    if (base / "adapter_config.json").is_file():
        raise UsageError(
            f"{base}: an adapter, not a whole model",
            hint="name its base, or tune it again with --adapter merged and name that",
        )
    if not (base / "config.json").is_file():
        raise UsageError(f"{base}: not a Hugging Face model directory (no config.json)", hint=hint)
    if not any(base.glob("*.safetensors")) and not any(base.glob("pytorch_model*.bin")):
        raise UsageError(f"{base}: holds no weights (*.safetensors)", hint=hint)


def load_tokenizer(base: Path) -> Any:
    """The base's tokenizer, from disk only."""
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as e:
        raise UsageError(
            f"{base}: its tokenizer can't be loaded: {e}",
            hint="put tokenizer.json and tokenizer_config.json beside the weights",
        ) from e
    if not found.chat_template:
        raise UsageError(
            f"{base}: its chat template can't be used: there is none",
            hint="name an instruction-tuned base, or put its chat_template.jinja beside the weights",
        )
    return found


def load_model(
    base: Path, *, frozen: bool = False, attention: str | None = None
) -> tuple[Any, Any]:
    """The base's causal language model for training, and the dtype it was stored in. It comes in float32, which
    training needs; `frozen` weights on a GPU stay as stored. `attention` names transformers' implementation."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = AutoConfig.from_pretrained(base, **local)
        _causal(base, config)
        stored = config.dtype or torch.float32
        dtype = stored if frozen and torch.cuda.is_available() else torch.float32
        if attention:
            local["attn_implementation"] = attention
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **local)
    except (OSError, ValueError, KeyError, SafetensorError) as e:
        raise UsageError(
            f"{base}: can't be loaded as a causal language model: {e}",
            hint="check that the directory is whole and its architecture is a text model's",
        ) from e
    return model, stored


def _causal(base: Path, config: Any) -> None:
    """Raise `UsageError` for an architecture that says of itself it isn't a causal language model."""
    names = config.architectures or []
    if names and not any(
        ("CausalLM" in n) or ("LMHead" in n) or ("Conditional" in n) for n in names
    ):
        raise UsageError(
            f"{base}: a {', '.join(names)}, not a causal language model",
            hint="name a chat model: one whose architecture ends in ForCausalLM",
        )


def check_vocabulary(model: Any, tokenizer: Any, base: Path) -> None:
    """Raise `UsageError` when the tokenizer has tokens the model has no embedding for."""
    most = int(model.get_input_embeddings().num_embeddings)
    if len(tokenizer) > most:
        raise UsageError(
            f"{base}: its tokenizer has {len(tokenizer)} tokens, its model {most}",
            hint="weights and tokenizer are not of the same model; fetch the directory anew",
        )


def restore(model: Any, folder: Path) -> Any:
    """A model of the kind of `model` with the weights of a saved training state's `folder`."""
    import torch

    found = type(model).from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    found.generation_config = model.generation_config
    return found


def stop_at(model: Any, tokens: set[int]) -> None:
    """Make generation stop at these tokens too: a base's own settings often lack its chat's end of turn."""
    known = model.generation_config.eos_token_id
    known = [] if known is None else [known] if isinstance(known, int) else list(known)
    stops = sorted({*known, *tokens})
    model.generation_config.eos_token_id = stops[0] if len(stops) == 1 else stops


def save(model: Any, tokenizer: Any, out: Path, *, dtype: Any) -> None:
    """Write weights, configuration, tokenizer and template into `out`; no path or date gets in."""
    model.to(dtype)
    model.config.use_cache = True
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in (out / "config.json", out / GENERATION, out / "tokenizer_config.json"):
        if path.is_file():
            value = json.loads(path.read_bytes())
            kept = {k: v for k, v in value.items() if k not in _VOLATILE}
            text = json.dumps(kept, ensure_ascii=False, indent=2, sort_keys=True)
            write_atomically(path, text.encode() + b"\n")
