"""The key-value cache of many answers at once, whose rows come and go between decoding steps.

`Shared` holds one row per answer in tensors of shape [rows, heads, tokens, size], a pair a layer. Every row
starts at token 0 and has a length of its own: a new row is computed by itself and written behind the
others, a leaving row's place is taken by the last, and a step reads all rows up to the longest under a mask. So
nothing is padded on the left or moved when company changes. The tensors grow with what is in them.

`Single` is one row in transformers' own cache, for any architecture: windows, recurrent states, what there
is. `shares_rows` says which models may use `Shared`, and tries it before saying yes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import DynamicCache
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer

TOKENS = 128
"""The cache grows by multiples of this many tokens."""


class Lane(Protocol):
    """Answers that are decoded together. Rows are counted from 0 in the order they joined, the last one taking
    the place of one that leaves. Logits have the shape [rows, vocabulary]."""

    def join(self, prompts: Sequence[Sequence[int]]) -> Any:
        """New rows behind the others; the logits after each prompt."""
        ...

    def step(self, tokens: Sequence[int]) -> Any:
        """One more token for every row; the logits after it."""
        ...

    def leave(self, row: int) -> None:
        """Take a row out."""
        ...


class Single:
    """One row, which has the model to itself."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config)

    def join(self, prompts: Sequence[Sequence[int]]) -> Any:
        """The only row's prompt."""
        return self._forward(list(prompts[0]))

    def step(self, tokens: Sequence[int]) -> Any:
        """Its next token."""
        return self._forward(list(tokens))

    def leave(self, row: int) -> None:
        """Nothing is kept."""

    def _forward(self, ids: list[int]) -> Any:
        found = self._model(
            input_ids=torch.tensor([ids], device=self._model.device),
            past_key_values=self._cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        return found.logits[:, -1]


class Shared:
    """Rows of one cache. `size` is the most there will be; `length` the most tokens a row can have."""

    def __init__(self, model: Any, size: int, length: int) -> None:
        self._model = model
        self._size, self._length = size, length
        self._room = (0, 0)
        self._layers = [
            _Layer(self) for _ in range(model.config.get_text_config().num_hidden_layers)
        ]
        self._cache = Cache(layers=self._layers)
        self._lengths = torch.zeros(size, dtype=torch.long, device=model.device)
        self._eager = model.config._attn_implementation == "eager"
        self.rows = 0
        self.longest = 0
        # Where the running forward writes: a slice of rows for a prompt, else one place in every row.
        self.writing: slice | None = None
        self.at: tuple[Any, Any] = (None, None)

    @property
    def room(self) -> tuple[int, int]:
        """Rows and tokens a layer has space for."""
        return self._room

    def join(self, prompts: Sequence[Sequence[int]]) -> Any:
        """The prompts are padded on the right: causal attention keeps what follows a token out of it."""
        device = self._model.device
        sizes = [len(p) for p in prompts]
        width, end = max(sizes), self.rows + len(prompts)
        self._reserve(end, width)
        ids = torch.tensor([[*p, *[0] * (width - len(p))] for p in prompts], device=device)
        last = torch.tensor(sizes, device=device)
        self.writing = slice(self.rows, end)
        try:
            found = self._model(
                input_ids=ids, past_key_values=self._cache, use_cache=True,
                logits_to_keep=last[:, None] - 1,
            )  # fmt: skip
        finally:
            self.writing = None
        self._lengths[self.rows : end] = last
        self.rows, self.longest = end, max(self.longest, width)
        return found.logits[:, -1]

    def step(self, tokens: Sequence[int]) -> Any:
        """All rows, each at its own position."""
        device = self._model.device
        lengths = self._lengths[: self.rows]
        self._reserve(self.rows, self.longest + 1)
        self.at = (torch.arange(self.rows, device=device), lengths)
        seen = torch.arange(self.longest + 1, device=device) <= lengths[:, None]
        found = self._model(
            input_ids=torch.tensor(tokens, device=device)[:, None], position_ids=lengths[:, None],
            attention_mask=self._mask(seen)[:, None, None], past_key_values=self._cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        lengths += 1
        self.longest += 1
        return found.logits[:, -1]

    def leave(self, row: int) -> None:
        """The last row moves into its place."""
        self.rows -= 1
        if row != self.rows:
            for layer in self._layers:
                layer.keys[row].copy_(layer.keys[self.rows])
                layer.values[row].copy_(layer.values[self.rows])
            self._lengths[row] = self._lengths[self.rows]
        self.longest = int(self._lengths[: self.rows].max()) if self.rows else 0
        if not self.rows:
            self._room = (0, 0)
            for layer in self._layers:
                layer.keys = layer.values = None

    def _mask(self, seen: Any) -> Any:
        """Booleans, or for eager attention what is added to the scores."""
        if not self._eager:
            return seen
        lowest = torch.finfo(self._model.dtype).min
        return torch.where(seen, 0.0, lowest).to(self._model.dtype)

    def _reserve(self, rows: int, tokens: int) -> None:
        """Space for so many rows of so many tokens, a layer at a time; half as much again when it grows."""
        had_rows, had_tokens = self._room
        if rows > had_rows:
            had_rows = min(self._size, max(rows, had_rows + had_rows // 2))
        if tokens > had_tokens:
            wanted = max(tokens, had_tokens + had_tokens // 2)
            had_tokens = min(-(-wanted // TOKENS) * TOKENS, max(self._length, tokens))
        if (had_rows, had_tokens) != self._room:
            for layer in self._layers:
                layer.grow(had_rows, had_tokens)
            self._room = (had_rows, had_tokens)


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values of a `Shared`, each [rows, heads, tokens, size]; the forward calls `update`."""

    def __init__(self, lane: Shared) -> None:
        super().__init__()
        self._lane = lane

    def lazy_initialization(self, keys: Any, values: Any) -> None:
        rows, tokens = self._lane.room
        self.keys = keys.new_zeros(rows, keys.shape[1], tokens, keys.shape[3])
        self.values = values.new_zeros(rows, values.shape[1], tokens, values.shape[3])

    def grow(self, rows: int, tokens: int) -> None:
        if self.keys is not None:
            used = (self._lane.rows, self._lane.longest)
            self.keys = _larger(self.keys, rows, tokens, used)
            self.values = _larger(self.values, rows, tokens, used)

    def update(self, keys: Any, values: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        lane = self._lane
        if self.keys is None:
            self.lazy_initialization(keys, values)
        if lane.writing is not None:
            self.keys[lane.writing, :, : keys.shape[2]] = keys
            self.values[lane.writing, :, : values.shape[2]] = values
            return keys, values
        rows, places = lane.at
        self.keys[rows, :, places] = keys[:, :, 0]
        self.values[rows, :, places] = values[:, :, 0]
        until = lane.longest + 1
        return self.keys[: lane.rows, :, :until], self.values[: lane.rows, :, :until]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1


def _larger(old: Any, rows: int, tokens: int, used: tuple[int, int]) -> Any:
    # Zeros, not whatever memory holds: a masked NaN is still a NaN.
    new = old.new_zeros(rows, old.shape[1], tokens, old.shape[3])
    new[: used[0], :, : used[1]] = old[: used[0], :, : used[1]]
    return new


def shares_rows(model: Any) -> bool:
    """Whether rows of one cache give what each gives alone: full attention in every layer, positions that can
    be told, and two short prompts that prove it."""
    config = model.config.get_text_config()
    layers = DynamicCache(config=config).layers
    told = inspect.signature(model.forward).parameters
    if (
        "position_ids" not in told
        or "logits_to_keep" not in told
        or getattr(config, "alibi", False)
    ):
        return False
    if len(layers) != config.num_hidden_layers or any(type(x) is not DynamicLayer for x in layers):
        return False
    return _proves(model, config.vocab_size)


def _proves(model: Any, vocabulary: int) -> bool:
    """Two prompts of different lengths, joined one after the other, and a step: as from the model directly."""
    prompts = [[(7 * i + 1) % vocabulary for i in range(n)] for n in (5, 3)]
    lane = Shared(model, 2, 16)
    with torch.inference_mode():
        lane.join(prompts[:1])
        lane.join(prompts[1:])
        found = lane.step([2, 4]).float()
        wanted = torch.cat(
            [
                model(input_ids=torch.tensor([[*p, t]], device=model.device)).logits[:, -1].float()
                for p, t in zip(prompts, (2, 4), strict=True)
            ]
        )
    share = 0.01 if model.dtype == torch.float32 else 0.25
    return bool((found - wanted).abs().max() <= share * wanted.std())
