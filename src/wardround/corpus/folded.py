"""One form for texts that only differ in format: the ground of every comparison of two texts.

`plain` makes width, case and script the same (NFKC, lower case, traditional → simplified by OpenCC) and keeps
punctuation: facts are read from it. `fold` goes on and drops punctuation and blanks, but not what bears meaning:
a point, dash, slash or colon between digits (a point before one, too: .5), and % < > ≤ ≥ = + ± ° μ. So "0.5g" and "05g" stay apart, and equal
folds are the same text in another format.

`simplified` is for a text that goes on to be read or shown, `simplified_letters` for one that is searched in place of another:
it keeps every character's place. Both leave a text without a character that only traditional script has as it is.

`fold_codes` does the same for many texts at once, as one array of code points: comparing 100,000 texts spends
its time here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GAP = "\ue000"
"""Parts texts while they are folded together: a private code point, taken out of the texts themselves."""

_DROP, _KEEP, _BETWEEN_DIGITS, _DIGIT, _PART = range(5)
_MEANING = "%‰<>≤≥=+±°μ×"
_JOINS = {".": ".", "-": "-", "~": "-", "—": "-", "–": "-", "−": "-", "/": "/", ":": ":"}
_COMMON = tuple(zip("，：；（）！？％～", ",:;()!?%~", strict=True))
"""NFKC of what Chinese text is full of: done first, the rest is mostly normal and passes at once."""
_FORMS = re.compile(
    "[\u2160-\u217b\u2460-\u24ff\u2100-\u214f\u00b2\u00b3\u00b9\u2070-\u209c\uff01-\uff5e]"
)
_CODES = 0x30000
"""Code points from here on are rare enough to be looked at one by one."""
_BLOCK = 1 << 20


@lru_cache(maxsize=1)
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("t2s")


@lru_cache(maxsize=1)
def _script() -> tuple[re.Pattern[str], dict[int, str]]:
    """What only a traditional text holds, and what each traditional character is in simplified script. Some (後, 於, 徵)
    are in GB 2312 as well: they prove nothing, but are converted in a text that another one proves to be traditional."""
    han = "".join(map(chr, range(0x3400, 0xA000)))
    made = _converter().convert(_GAP.join(han)).split(_GAP)
    other = {a: b for a, b in zip(han, made, strict=True) if a != b and len(b) == 1}
    telling = "".join(a for a in other if not a.encode("gb2312", "ignore"))
    return re.compile(f"[{telling}]"), {ord(a): b for a, b in other.items()}


def simplified(text: str) -> str:
    """The text in simplified script, words of several characters converted as words (乾燥 → 干燥, but 乾隆)."""
    if text.isascii() or not _script()[0].search(text):
        return text
    made: str = _converter().convert(text)
    return made


def simplified_letters(text: str) -> str:
    """The text in simplified script, character for character: places in it are places in the text."""
    if text.isascii():
        return text
    telling, one = _script()
    return text.translate(one) if telling.search(text) else text


def plain(text: str) -> str:
    """NFKC, simplified, lower case; punctuation and blanks kept."""
    return simplified(narrow(text)).lower()


def narrow(text: str) -> str:
    """NFKC."""
    for wide, one in _COMMON:
        text = text.replace(wide, one)
    if not unicodedata.is_normalized("NFKC", text):
        # Written out one by one, as the whole takes a hundred times longer than a text that is normal.
        text = _FORMS.sub(lambda m: unicodedata.normalize("NFKC", m[0]), text)
    return unicodedata.normalize("NFKC", text)


def fold(text: str) -> str:
    """The text without its format."""
    codes, _ = fold_codes([text])
    return codes.tobytes().decode("utf-32-le")


def fold_codes(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points of all folded texts, one after the other, and the `len(texts) + 1` places where they part."""
    import numpy as np

    codes, sizes = [], []
    for start, end in _blocks(texts):
        part, lengths = _fold_block([t.replace(_GAP, "") for t in texts[start:end]])
        codes.append(part)
        sizes.append(lengths)
    offsets = np.zeros(len(texts) + 1, np.int64)
    if sizes:
        np.cumsum(np.concatenate(sizes), out=offsets[1:])
    return (np.concatenate(codes) if codes else np.zeros(0, np.uint32)), offsets


def _blocks(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Ranges of texts of about a million characters: what is held in memory at once."""
    out, start, size = [], 0, 0
    for i, text in enumerate(texts):
        size += len(text)
        if size >= _BLOCK:
            out.append((start, i + 1))
            start, size = i + 1, 0
    return [*out, (start, len(texts))] if start < len(texts) else out


def _fold_block(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Code points are folded by table. A character that stands for several (℃, Ⅳ) is written out first; a text that
    no table can do (traditional script, combining marks) goes through OpenCC or `plain` first."""
    import numpy as np

    done = list(texts)
    joined = _GAP.join([*done, ""])
    codes, kinds = _encoded(joined)
    if kinds.any():
        gaps = np.flatnonzero(codes == ord(_GAP))
        for need, mend in ((_SCRIPT, _converter().convert), (_WHOLE, plain)):
            for i in np.unique(np.searchsorted(gaps, np.flatnonzero(kinds & need))).tolist():
                done[i] = mend(done[i])
        joined = _GAP.join([*done, ""])
        for c in np.unique(codes[(kinds & _SEVERAL) > 0]).tolist():
            joined = joined.replace(chr(c), _one(chr(c)))
        codes, kinds = _encoded(joined)
    kind, mapped = _tables()
    known = np.minimum(codes, _CODES - 1)
    classes = kind[known]
    keep = classes != _DROP
    loose = np.flatnonzero(classes == _BETWEEN_DIGITS)
    if len(loose):
        # `codes` ends with a gap, so there is always a next; a mark at the very start has no digit before it.
        before = np.where(loose > 0, classes[loose - 1], _DROP)
        point = (mapped[known[loose]] == ord(".")) & ((before == _DROP) | (before == _PART))
        keep[loose] = ((before == _DIGIT) | point) & (classes[loose + 1] == _DIGIT)
    kept = mapped[known[keep]]
    if (codes >= _CODES).any():
        kept = np.where(codes[keep] < _CODES, kept, codes[keep])
    ends = np.flatnonzero(kept == ord(_GAP))
    lengths = np.diff(ends, prepend=-1) - 1
    return kept[kept != ord(_GAP)], lengths


_SCRIPT, _WHOLE, _SEVERAL = 1, 2, 4


def _encoded(joined: str) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Code points, and for each what it needs before a table can fold it."""
    import numpy as np

    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    return codes, _needs()[np.minimum(codes, _CODES - 1)]


@lru_cache(maxsize=1)
def _needs() -> NDArray[np.uint8]:
    """What each code point needs; the last stands for all from `_CODES` on."""
    import numpy as np

    out = np.zeros(_CODES, np.uint8)
    han = "".join(map(chr, (*range(0x2E80, 0xA000), *range(0x20000, _CODES - 1))))
    converted = _converter().convert(_GAP.join(han)).split(_GAP)
    for before, after in zip(han, converted, strict=True):
        out[ord(before)] = _SCRIPT * (before != after)
    for code in range(0x80, _CODES):
        c = chr(code)
        if unicodedata.combining(c) or 0x1100 <= code < 0x1200 or 0xF900 <= code < 0xFB00:
            out[code] = _WHOLE
        elif len(_one(c)) != 1:
            out[code] |= _SEVERAL
    out[_CODES - 1] = _WHOLE
    return out


def _one(c: str) -> str:
    return unicodedata.normalize("NFKC", c).lower()


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """For each code point its class and what it is written as; the last stands for all from `_CODES` on."""
    import numpy as np

    kind = np.full(_CODES, _KEEP, np.uint8)
    mapped = np.arange(_CODES, dtype=np.uint32)
    for code in range(_CODES - 1):
        made = _one(chr(code))
        written = made if len(made) == 1 else chr(code)
        mapped[code] = ord(_JOINS.get(written, written))
        if written in _JOINS:
            kind[code] = _BETWEEN_DIGITS
        elif written.isdigit():
            kind[code] = _DIGIT
        elif not written.isalnum() and written not in _MEANING:
            kind[code] = _DROP
    kind[ord(_GAP)] = _PART
    return kind, mapped
