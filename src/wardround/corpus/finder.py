"""Finding many words in a text at once: Aho–Corasick, by the Rust library that ripgrep's author wrote.

Takes a third of the time of looking words up place by place in Python, and unlike pyahocorasick's `iter_long`
misses no word behind one that only began like a longer one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ahocorasick_rs import AhoCorasick, MatchKind

Found = tuple[int, int, int]
"""Which word, start, end (exclusive); places are characters."""


class Finder:
    """Looks for `words`, none of them empty: all that stand in a text, or with `longest` the longest at each place, left
    to right, none overlapping. Pickles."""

    def __init__(self, words: Sequence[str], *, longest: bool = False) -> None:
        self.words = tuple(words)
        self._longest = longest
        kind = MatchKind.LeftmostLongest if longest else MatchKind.Standard
        self._search = AhoCorasick(self.words, matchkind=kind, store_patterns=False)

    def find(self, text: str) -> list[Found]:
        """What stands in `text`."""
        try:
            return self._search.find_matches_as_indexes(text, overlapping=not self._longest)
        except UnicodeEncodeError:  # half a pair of surrogates, as a model's reply may hold
            whole = text.encode("utf-8", "replace").decode()
            return self._search.find_matches_as_indexes(whole, overlapping=not self._longest)

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (self.words, self._longest)


def _made(words: Sequence[str], longest: bool) -> Finder:
    return Finder(words, longest=longest)
