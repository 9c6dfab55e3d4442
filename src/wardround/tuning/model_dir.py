"""Hugging Face directories: reading a base, writing a checkpoint whose bytes depend on the work alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wardround.artifact import write_atomically
from wardround.errors import UsageError
from wardround.models.loaded import FETCH_ANEW, missing_weights
from wardround.tuning import processes

GENERATION = "generation_config.json"
_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
"""Where configurations say how much the model reads, whatever it is called there."""
_INSTEAD = (
    "name a checkpoint in an architecture of transformers itself (llama, qwen3, deepseek_v3, internlm3, …), or one "
    "converted to it; docs/tuning.md tells of which models there are some"
)
_SHOWN = 5
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
    _check_kind(base)


def _check_kind(base: Path) -> None:
    """Raise `UsageError` for a model that transformers can't make without code from its folder, or at all."""
    from transformers import __version__
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    told = _json(base / "config.json")
    kind = told.get("model_type")
    if kind in CONFIG_MAPPING_NAMES or not (kind or told.get("auto_map")):
        return  # what names no kind at all is told when it is loaded
    if told.get("auto_map"):
        raise UsageError(
            f"{base}: a model of type {kind or '(none)'} needs code from its own folder, which Wardround never runs",
            hint=_INSTEAD,
        )
    raise UsageError(
        f"{base}: transformers {__version__} knows no model of type {kind}", hint=_INSTEAD
    )


def _json(path: Path) -> dict[str, Any]:
    """The object in the file, empty where there is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def context_of(base: Path) -> int | None:
    """The most tokens the base reads at once, None where its configuration doesn't say."""
    return context_in(_config(base))


def context_in(config: Any) -> int | None:
    """The same of a configuration at hand."""
    found = (getattr(config.get_text_config(), name, None) for name in _CONTEXT)
    return next((int(n) for n in found if isinstance(n, int) and n > 0), None)


def _config(base: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as e:
        raise _unloadable(base, e) from e


def _unloadable(base: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{base}: can't be loaded as a causal language model: {error}",
        hint="check that the directory is whole and its architecture is a text model's",
    )


def load_tokenizer(base: Path) -> Any:
    """The base's tokenizer, from disk only."""
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as e:
        if "AutoTokenizer" in (_json(base / "tokenizer_config.json").get("auto_map") or {}):
            raise UsageError(
                f"{base}: its tokenizer needs code from its own folder, which Wardround never runs",
                hint="put the tokenizer.json of a converted checkpoint there, without auto_map in "
                "tokenizer_config.json; or name another base",
            ) from e
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
    training needs; `frozen` weights on a GPU stay as stored. `attention` names transformers' implementation.
    Raises `UsageError` when weights are missing: transformers would draw them at random."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    config = _config(base)
    _causal(base, config)
    stored = config.dtype or torch.float32
    dtype = stored if frozen and torch.cuda.is_available() else torch.float32
    more: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, local_files_only=True, trust_remote_code=False,
            output_loading_info=True, ignore_mismatched_sizes=True, **more,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, SafetensorError) as e:
        raise _unloadable(base, e) from e
    # With FSDP the others are sent their weights later.
    if processes.leads() and (missing := missing_weights(found, _SHOWN)):
        raise UsageError(f"{base}: {missing}", hint=FETCH_ANEW)
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
