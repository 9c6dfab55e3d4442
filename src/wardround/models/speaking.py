"""Generated tokens → text, piece by piece: for streams and for stop strings.

A piece is given out once later tokens can't change it: not while it ends in half a character, nor while its
end might be the start of a stop string. Pieces put together are the text that decoding all tokens at once
gives, up to the first stop string.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

HALF = "\ufffd"
"""What half a character decodes to."""


class Speaker:
    """One answer's text. `decode` maps token ids to text; `stop` are strings that end the answer and are not
    part of it. `stopped` says that one was met; `text` is all that was given out."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(stop)
        self._ids: list[int] = []
        # Tokens from `_from` are decoded anew at each step, so that those before `_to` give the later ones
        # their context (a word's leading blank); only what goes beyond those is new.
        self._from = self._to = 0
        self._kept = ""
        self.text = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """Take one more token; returns the new text that is certain, perhaps none."""
        self._ids.append(token)
        known, whole = self._window()
        if whole.endswith(HALF) or len(whole) <= len(known):
            return ""
        self._from, self._to = self._to, len(self._ids)
        return self._say(whole[len(known) :], last=False)

    def end(self) -> str:
        """No more tokens: what was held back."""
        known, whole = self._window()
        self._from = self._to = len(self._ids)
        return self._say(whole[len(known) :], last=True)

    def _window(self) -> tuple[str, str]:
        return self._decode(self._ids[self._from : self._to]), self._decode(self._ids[self._from :])

    def _say(self, new: str, *, last: bool) -> str:
        if self.stopped:
            return ""
        held = self._kept + new
        found = [at for at in (held.find(s) for s in self._stop) if at >= 0]
        if found:
            self.stopped, said, self._kept = True, held[: min(found)], ""
        else:
            keep = 0 if last else _may_start(held, self._stop)
            said, self._kept = held[: len(held) - keep], held[len(held) - keep :]
        self.text += said
        return said


def _may_start(text: str, stops: Sequence[str]) -> int:
    """Length of the longest end of `text` that is the start of a stop string."""
    longest = max((len(s) - 1 for s in stops), default=0)
    for size in range(min(longest, len(text)), 0, -1):
        if any(s.startswith(text[-size:]) for s in stops):
            return size
    return 0


def cut(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """`text` up to the first stop string, and whether there was one."""
    found = [at for at in (text.find(s) for s in stop) if at >= 0]
    return (text[: min(found)], True) if found else (text, False)
