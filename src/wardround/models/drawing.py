"""Next tokens from logits: greedy at temperature 0, else drawn from the softmax (its nucleus under `top_p`).

What a checkpoint's generation config says against repetition always holds, as in `transformers` and vLLM; its
temperature, top-k and top-p are not used. Every row has settings of its own, so rows of any kind share a
step. A row with a seed has a generator of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class Drawing:
    """How one row's tokens are drawn, and what it must remember for that. `ids` are its prompt's tokens."""

    def __init__(
        self,
        ids: Sequence[int],
        *,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        repetition_penalty: float = 1.0,
        no_repeat_ngram_size: int = 0,
    ) -> None:
        self.temperature = temperature
        self.top_p = top_p
        self.penalty = repetition_penalty
        self.size = no_repeat_ngram_size
        self.generator: Any = None
        self._seed = seed if temperature else None
        self._ids = list(ids) if self.penalty != 1.0 or self.size else []
        self._noted = 0
        self._seen: Any = None
        self._next: dict[tuple[int, ...], list[int]] = {}
        self._runs = 0

    @property
    def plain(self) -> bool:
        """Whether this is the largest logit and nothing else."""
        return not self.temperature and self.penalty == 1.0 and not self.size

    def note(self, token: int) -> None:
        """The row's next token is this one."""
        if self.penalty != 1.0 or self.size:
            self._ids.append(token)

    def seen(self, like: Any) -> Any:
        """Which of the vocabulary's tokens the row holds: booleans beside the logits `like`, [vocabulary]."""
        if self._seen is None:
            self._seen = torch.zeros(like.shape[-1], dtype=torch.bool, device=like.device)
        if self._noted < len(self._ids):
            self._seen[torch.tensor(self._ids[self._noted :], device=like.device)] = True
            self._noted = len(self._ids)
        return self._seen

    def banned(self) -> list[int]:
        """Tokens that would repeat a run of `size` tokens the row holds already."""
        size, ids = self.size, self._ids
        if not size or len(ids) < size:
            return []
        for end in range(self._runs + size, len(ids) + 1):
            run = ids[end - size : end]
            self._next.setdefault(tuple(run[:-1]), []).append(run[-1])
        self._runs = len(ids) - size + 1
        return self._next.get(tuple(ids[len(ids) - size + 1 :]), [])

    def random(self, device: Any) -> Any:
        """The row's own generator, None when it has no seed."""
        if self._seed is not None and self.generator is None:
            self.generator = torch.Generator(device).manual_seed(self._seed % 2**63)
        return self.generator


def pick(logits: Any, rows: Sequence[Drawing]) -> list[int]:
    """One token a row, from logits of shape [rows, vocabulary]."""
    if all(r.plain for r in rows):
        return [int(t) for t in logits.argmax(-1).tolist()]
    logits = logits.float()
    if any(r.penalty != 1.0 for r in rows):
        penalty = torch.tensor([[r.penalty] for r in rows], device=logits.device)
        seen = torch.stack([r.seen(logits) for r in rows])
        lowered = torch.where(logits < 0, logits * penalty, logits / penalty)
        logits = torch.where(seen, lowered, logits)
    for i, row in enumerate(rows):
        banned = row.banned()
        if banned:
            logits[i, banned] = -torch.inf
    tokens = logits.argmax(-1)
    drawn = [i for i, r in enumerate(rows) if r.temperature]
    together = [i for i in drawn if rows[i].top_p >= 1.0 and rows[i].random(logits.device) is None]
    if together:
        heat = torch.tensor([[rows[i].temperature] for i in together], device=logits.device)
        shares = torch.softmax(logits[together] / heat, -1)
        tokens[together] = torch.multinomial(shares, 1)[:, 0]
    for i in sorted(set(drawn) - set(together)):
        row = rows[i]
        shares = _nucleus(torch.softmax(logits[i] / row.temperature, -1), row.top_p)
        tokens[i] = torch.multinomial(shares, 1, generator=row.random(logits.device))[0]
    return [int(t) for t in tokens.tolist()]


def _nucleus(shares: Any, top_p: float) -> Any:
    """`shares` without the least likely tokens beyond `top_p` of the mass; the likeliest always stays."""
    if top_p >= 1.0:
        return shares
    ordered, index = shares.sort(descending=True)
    outside = ordered.cumsum(-1) - ordered >= top_p
    outside[0] = False
    return shares.index_fill(0, index[outside], 0.0)
