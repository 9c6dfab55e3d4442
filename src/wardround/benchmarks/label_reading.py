"""Which labels an answer gives: from its last stated answer, or else from its prose, never by guessing.

A stated answer is what follows "答案：" or "Answer:" (the last one), angle brackets on a line of their own, or a bare
JSON list. Names are Chinese, English, ids and synonyms; a piece in which none stands is *unlisted*: a claim
outside the list, kept and never an exact match. Prose counts only where there is no stated answer: names not negated
in their clause ("未见…", "排除…", "no sign of …"). Prose that names more labels than `MOST` is a list repeated, not an
answer. What says both "无问题" and a fault contradicts itself; an answer that can't be read is unscored with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from wardround.images.labels import CLEAN, Names, fold
from wardround.images.labels import names as names_of

MOST = 6

_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.S | re.I)
_STATED = re.compile(
    r"(?:最终答案|最终诊断|最后答案|答案|标签|final answer|answer|labels?)[*_`\"']*\s*(?:是|为|is|are)?\s*:[ \t*_`]*"
    r"(?P<same>[^\n]*)(?P<below>(?:\n[ \t]*(?:[-*•]|\d+[.)、])[^\n]+)*)",
    re.I,
)
_ANGLED = re.compile(r"^\s*[<〈]([^<>〈〉\n]{1,300})[>〉]\s*$", re.M)
_JSON = re.compile(r"\[[^\[\]]*\]")
_SEPARATOR = re.compile(r"[,、;|\n]|(?<=[A-Za-z]) and (?=[A-Za-z])|/")
_CLAUSE = re.compile(r"[,。;\n!?:]|\bbut\b|但")
_NEGATION = re.compile(
    r"(?:未见|未发现|没有|无(?!法)|排除|除外|不考虑|不支持|不符合|否认|并非|不是|不存在|未提示"
    r"|\bno\b|\bnot\b|\bwithout\b|\babsence of\b|\brule[sd]? out\b|\bexclud|\bnegative for\b|n't\b)",
    re.I,
)
_REFUSAL = re.compile(
    r"无法(?:判断|判读|回答|作答|诊断|提供|查看|识别|看到)|不能(?:判断|回答|作答|提供|诊断|查看)|拒绝(?:回答|作答)"
    r"|抱歉|对不起|sorry|cannot (?:answer|help|view|see|assist|diagnose|determine)"
    r"|can't (?:answer|help|view|see|assist|diagnose)|unable to|no image (?:was )?(?:provided|attached)|没有(?:看到)?图",
    re.I,
)
_EDGE = " \t\n.。*_`\"'()[]{}<>〈〉《》【】#-•"


class Labels(NamedTuple):
    """`labels` (ids, in the list's order) and what was `unlisted`; `how`: "stated", "prose", or "" when `reason` says
    why nothing could be read: "empty", "refusal", "several labels", "contradiction", "list repeated", "no label"."""

    labels: tuple[str, ...]
    unlisted: tuple[str, ...] = ()
    how: str = ""
    reason: str = ""


@lru_cache(maxsize=64)
def read_labels(reply: str, modality: str, *, single: bool) -> Labels:
    """The labels `reply` gives of the modality's list; `single`: exactly one is asked for.

    The last few are remembered, since an answer is graded and noted one after the other.
    """
    known = names_of(modality)
    text = unicodedata.normalize("NFKC", _THOUGHT.sub("", reply)).strip()
    if not text or text.startswith("<think"):
        return Labels((), reason="empty" if not text else "no label")
    stated = _stated(text)
    if stated is not None:
        found, clean, unlisted = _claimed(stated, modality, known)
        if found or clean or unlisted:
            return _judged(found, clean, unlisted, "stated", known, single)
    found, clean = _prose(text, modality, known)
    if len(found) > MOST:
        return Labels((), reason="list repeated")
    if found or clean:
        return _judged(found, clean, [], "prose", known, single)
    return Labels((), reason="refusal" if _REFUSAL.search(text) else "no label")


def get_ready(modality: str) -> None:
    """Make the patterns of a modality's list, so that no reply waits for them."""
    _pattern(modality)
    _clean_pattern()


def _judged(
    found: set[str], clean: bool, unlisted: list[str], how: str, known: Names, single: bool
) -> Labels:
    if clean and (found or unlisted):
        return Labels((), reason="contradiction")
    if single and len(found) + len(unlisted) > 1:
        return Labels((), reason="several labels")
    return Labels(tuple(i for i in known.ids if i in found), tuple(unlisted), how)


def _stated(text: str) -> str | None:
    last = None
    for match in _STATED.finditer(text):
        last = match["same"] + match["below"]
    if last is not None and last.strip(_EDGE):
        return last
    angled = _ANGLED.findall(text)
    if angled:
        return str(angled[-1])
    whole = _JSON.search(text)
    return whole[0] if whole and len(whole[0]) > 0.5 * len(text) else None


def _claimed(text: str, modality: str, known: Names) -> tuple[set[str], bool, list[str]]:
    """Labels, whether clean was said, and pieces outside the list, of a stated answer."""
    bare = text.strip(_EDGE)
    direct = known.id_of(bare)
    if direct is not None:
        return ({direct} if direct else set()), not direct, []
    found: set[str] = set()
    clean, unlisted = False, []
    for raw in _SEPARATOR.split(re.sub(r"^[ \t]*(?:[-*•]|\d+[.)、])", "", text, flags=re.M)):
        piece = raw.strip(_EDGE)
        if not piece:
            continue
        label = known.id_of(piece)
        if label is not None:
            found |= {label} - {""}
            clean |= not label
            continue
        named, says_clean = _named(piece, modality, known)
        found |= {label for label, negated in named if not negated}
        clean |= says_clean and not named
        if not named and not says_clean and not _REFUSAL.search(piece):
            unlisted.append(piece[:80])
    return found, clean, unlisted


def _prose(text: str, modality: str, known: Names) -> tuple[set[str], bool]:
    """Labels named and not negated, and whether the text says that there is none."""
    found: set[str] = set()
    clean = False
    if not _pattern(modality).search(text) and not (known.clean and _clean_pattern().search(text)):
        return found, clean
    for clause in _CLAUSE.split(text):
        named, says_clean = _named(clause, modality, known)
        found |= {label for label, negated in named if not negated}
        clean |= says_clean
    return found, clean and not found


def _named(clause: str, modality: str, known: Names) -> tuple[list[tuple[str, bool]], bool]:
    """(label, negated) for each name in a clause, longest names first, and whether it says "none of these"."""
    out = []
    left = clause
    for match in _pattern(modality).finditer(clause):
        label = known.by_name[fold(match[0])]
        out.append((label, bool(_NEGATION.search(clause, 0, match.start()))))
        left = left.replace(match[0], " ", 1)
    clean = bool(known.clean) and not out and bool(_clean_pattern().search(left))
    return out, clean


@lru_cache
def _pattern(modality: str) -> re.Pattern[str]:
    from wardround import taxonomy
    from wardround.images.labels import LISTS

    words: set[str] = set()
    for item in taxonomy.items(LISTS[modality]):
        aliases = item.aliases if isinstance(item, taxonomy.Label) else ()
        words |= {item.id, item.zh, item.en, *aliases}
    return _any(sorted(words, key=lambda w: (-len(w), w)))


def _any(words: Sequence[str]) -> re.Pattern[str]:
    """Any of the words, the first in order that fits. Their first letters stand before the alternatives, so that a place
    where none begins costs one look instead of one a word."""
    first = "".join(sorted({re.escape(w[0]) for w in words}))
    return re.compile(f"(?=[{first}])(?:{'|'.join(map(_word, words))})", re.I)


def _word(word: str) -> str:
    """The word with blanks and joining marks as free as `fold` has them, not within a longer word."""
    inner = re.sub(r"(?:\\?[\s_.·–—-])+", r"[\\s_.·–—-]*", re.escape(word))
    before = r"(?<![A-Za-z])" if word[0].isascii() else ""
    after = r"(?![A-Za-z])" if word[-1].isascii() else ""
    return before + inner + after


@lru_cache
def _clean_pattern() -> re.Pattern[str]:
    return _any(sorted((w for w in CLEAN if len(w) > 2), key=len, reverse=True))
