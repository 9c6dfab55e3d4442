"""A Hugging Face directory in memory: weights, tokenizer, and what ends an answer.

Only files of the directory are used: nothing is fetched, and no code that comes with a checkpoint is run.
Weights are bf16 on a GPU and fp32 on a CPU. A LoRA directory (`adapter_config.json`) is loaded onto its base,
which must be a directory too, and merged: what then runs is an ordinary model.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import MANIFEST, Artifact, open_artifact
from wardround.errors import ModelError
from wardround.records import Message

ADAPTER = "adapter_config.json"
REPETITION = ("repetition_penalty", "no_repeat_ngram_size")
_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class Loaded:
    """The model of the directory `path`, ready to run; `ModelError` where the directory isn't whole.

    `eos` are the tokens that end an answer, `context` the most tokens prompt and answer may have together,
    `repetition` what the checkpoint's generation config says against repetition.
    """

    def __init__(self, path: Path, device: str = "") -> None:
        import torch

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        self.tokenizer, self.model = _load(path, dtype)
        if not self.tokenizer.chat_template:
            raise ModelError(
                f"local:{path}: its tokenizer has no chat template",
                hint="use an instruction-tuned checkpoint, or put chat_template.jinja beside it",
            )
        self.model.to(self.device).eval()
        self.eos = frozenset(_eos_ids(self.model, self.tokenizer))
        own = self.model.generation_config
        found = {name: getattr(own, name, None) for name in REPETITION}
        self.repetition: dict[str, Any] = {name: value for name, value in found.items() if value}
        text_config = self.model.config.get_text_config()
        self.context = int(getattr(text_config, "max_position_embeddings", 0) or 2**31)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The prompt's token ids as the checkpoint's own template and tokenizer make them: the very ids that
        training put before the answer. A template may refuse (jinja2 errors of any kind)."""
        return prompt_ids(self.tokenizer, messages)

    def text(self, ids: Sequence[int]) -> str:
        """The words of generated tokens, control tokens left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def free(self) -> None:
        """Let go of the weights."""
        import torch

        self.model = self.tokenizer = None
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The token ids a server puts before the answer: the chat by the tokenizer's template, an answer opened."""
    chat = [{"role": m.role, "content": m.text} for m in messages]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def checkpoint_of(path: Path) -> Artifact | None:
    """The sealed artifact that the directory `path` is or lies in (a checkpoint's `best` or `last`), None for a plain
    one."""
    if (path / MANIFEST).is_file():
        return open_artifact(path)
    path = path.resolve()
    if (path.parent / MANIFEST).is_file():
        around = open_artifact(path.parent)
        if any(f.path.startswith(f"{path.name}/") for f in around.manifest.files):
            return around
    return None


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """peft asks models for an attribute that transformers has renamed; both still answer, so nobody need hear."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*gradient_checkpointing", FutureWarning)
        yield


def adapter_base(path: Path) -> Path | None:
    """The directory a LoRA directory's base is in, None for a model of its own; `ModelError` where it is
    not there. A relative name is seen from the adapter's directory, then from here."""
    if not (path / ADAPTER).is_file():
        return None
    try:
        named = str(json.loads((path / ADAPTER).read_bytes())["base_model_name_or_path"])
    except (ValueError, KeyError, TypeError) as e:
        raise ModelError(f"local:{path}: its {ADAPTER} names no base", hint="tune it anew") from e
    for place in (path / named, Path(named)):
        if (place / "config.json").is_file():
            return place
    raise ModelError(
        f"local:{path}: an adapter whose base {named} is not here",
        hint="put the base at that path, or merge the adapter into a whole checkpoint",
    )


def _load(path: Path, dtype: Any) -> tuple[Any, Any]:
    """(tokenizer, model) of a directory, an adapter merged into its base."""
    import transformers

    base = adapter_base(path)
    if base is not None and importlib.util.find_spec("peft") is None:
        raise ModelError(
            f"local:{path}: an adapter needs peft, which is not installed",
            hint='install the extra "tune": pip install "wardround[tune]"',
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **_LOCAL)
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            base or path, dtype=dtype, output_loading_info=True, **_LOCAL
        )
        if base is not None:
            import peft

            with quiet_peft():
                model = peft.PeftModel.from_pretrained(model, str(path)).merge_and_unload()
    except Exception as e:  # transformers raises many kinds for a bad directory
        raise ModelError(
            f"local:{path}: can't be loaded ({' '.join(str(e).split())[:300]})",
            hint="it must be a whole Hugging Face directory with weights and tokenizer",
        ) from e
    if absent := missing_weights(found):
        raise ModelError(f"local:{base or path}: {absent}", hint=FETCH_ANEW)
    return tokenizer, model


FETCH_ANEW = "fetch the directory anew: all files that model.safetensors.index.json names, and their config.json"


def missing_weights(found: Mapping[str, Any], shown: int = 3) -> str:
    """What to say of weights that weren't in a model's files, and that transformers drew at random; "" when all were.

    `found` is what transformers tells of its loading. Tied embeddings, and what the architecture itself calls
    dispensable, are not among them.
    """
    names = sorted(
        {
            *found["missing_keys"],
            *(k if isinstance(k, str) else k[0] for k in found["mismatched_keys"]),
        }
    )
    if not names:
        return ""
    more = f" and {len(names) - shown} others" if len(names) > shown else ""
    return (
        f"{len(names)} of its weights are missing, or of another shape than config.json says: "
        f"{', '.join(names[:shown])}{more}"
    )


def _eos_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the generation config's, the model config's, or the tokenizer's."""
    config = model.generation_config
    found = config.eos_token_id if config is not None else None
    if found is None:
        found = model.config.get_text_config().eos_token_id
    if found is None:
        found = tokenizer.eos_token_id
    if found is None:
        return []
    return [int(t) for t in found] if isinstance(found, list | tuple) else [int(found)]
