"""Text overlap on characters, for Chinese where blanks don't part words.

Text is normalised first (NFKC, lower case, only letters and digits kept), so punctuation and full-width
forms don't count. These are surface measures: they say how much of a reference's wording an answer shares,
nothing about whether it is right. That is why they only ever stand in for a judge, and are labelled so.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_NO_LETTER = re.compile(r"[\W_]+")
_MARKS = tuple(zip("，：；？！（）", ",:;?!()", strict=True))


def normalise(text: str) -> str:
    """NFKC, lower case, letters and digits only."""
    # What NFKC makes of them anyway; without them most Chinese text is in NFKC already, which is quickly seen.
    for wide, plain in _MARKS:
        text = text.replace(wide, plain)
    return _NO_LETTER.sub("", unicodedata.normalize("NFKC", text).lower())


def ngrams(text: str, n: int) -> Counter[str]:
    """Multiset of character n-grams of normalised text."""
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def ngram_f1(candidate: str, reference: str, n: int = 2) -> float:
    """F1 of the character n-gram multisets, 0 to 1. Two empty texts give 1.0; one empty gives 0.0.

    Texts shorter than `n` are compared on single characters.
    """
    a, b = normalise(candidate), normalise(reference)
    if not a or not b:
        return float(a == b)
    size = min(n, len(a), len(b))
    x, y = ngrams(a, size), ngrams(b, size)
    shared = (x & y).total()
    return 2 * shared / (x.total() + y.total())


def ngram_recall(candidate: str, reference: str, n: int = 2) -> float:
    """Share of the reference's character n-grams (a multiset) that the candidate holds, 0 to 1.

    For a short reference and a long candidate. 1.0 for an empty reference; a reference shorter than `n` is
    looked for in single characters.
    """
    a, b = normalise(candidate), normalise(reference)
    if not b:
        return 1.0
    size = min(n, len(b))
    x, y = ngrams(a, size), ngrams(b, size)
    return (x & y).total() / y.total()
