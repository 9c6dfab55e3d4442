"""LoRA through `peft`: small trained matrices beside frozen weights, kept apart or merged at the end.

An adapter kept apart is a directory with `adapter_model.safetensors`, `adapter_config.json`, tokenizer and chat
template. Its configuration names the base by a path seen from the adapter, as the manifest does; that file is therefore
not part of the content digest. Merged, the checkpoint is an ordinary whole model.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any, Literal

from wardround.artifact import write_atomically
from wardround.errors import UsageError
from wardround.models.loaded import quiet_peft
from wardround.records import Record

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
ALL_LINEAR = "all-linear"
Kept = Literal["merged", "apart"]


class Lora(Record, frozen=True, kw_only=True):
    """Rank, scale (`alpha` / `rank`), dropout, and the modules: "all-linear" (all but the head) or names."""

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]


def require() -> None:
    """Raise `UsageError` where peft is missing."""
    if importlib.util.find_spec("peft") is None:
        raise UsageError("LoRA needs peft", hint="install it: pip install 'wardround[tune]'")


def wrap(model: Any, lora: Lora, *, seed: int) -> Any:
    """`model` with its weights frozen and fresh adapters beside them, drawn from `seed`. Raises `UsageError` for
    targets the model hasn't got."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    targets = ALL_LINEAR if lora.targets == (ALL_LINEAR,) else list(lora.targets)
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets,
        bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
    try:
        with quiet_peft():
            return get_peft_model(model, config)
    except ValueError as e:
        linear = {
            n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)
        }
        raise UsageError(
            f"--lora-targets {','.join(lora.targets)}: the model has no such modules",
            hint=f"one or more of: {', '.join(sorted(linear))}; or {ALL_LINEAR}",
        ) from e


def is_adapted(model: Any) -> bool:
    """Whether `wrap` made it."""
    return hasattr(model, "peft_config")


def restore(model: Any, folder: Path) -> None:
    """Put the adapter weights of `folder` into `model`."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(folder / WEIGHTS))


def merged(model: Any) -> Any:
    """The whole model with the adapters added to its weights; `model` itself is used up."""
    return model.merge_and_unload()


def save(model: Any, tokenizer: Any, out: Path, *, base: str) -> None:
    """Write adapter, tokenizer, template and generation settings; `base` is its base's path as seen from `out`."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)  # peft's own card says nothing
    model.generation_config.save_pretrained(out)
    tokenizer.save_pretrained(out)
    _name_base(out / CONFIG, base)


def copy(folder: Path, tokenizer: Any, out: Path, *, base: str) -> None:
    """Write the adapter saved in `folder` to `out` as `save` would."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CONFIG):
        shutil.copyfile(folder / name, out / name)
    tokenizer.save_pretrained(out)
    _name_base(out / CONFIG, base)


def _name_base(path: Path, base: str) -> None:
    value = json.loads(path.read_bytes()) | {"base_model_name_or_path": base}
    if isinstance(value.get("target_modules"), list):
        value["target_modules"] = sorted(value["target_modules"])
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    write_atomically(path, text.encode() + b"\n")
