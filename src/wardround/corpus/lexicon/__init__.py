"""Word lists for telling medical facts from wording: drugs, diseases, routes, sides and the rest.

Every list was written for this project from general knowledge; none is copied from a dictionary. They need not
be complete: the guard built on them (`corpus.facts`) also judges names it does not know by how two texts differ.
A user's own lists add to them by kind, one name a line, other names for the same thing behind a tab.

All lists are compiled into one, of which the longest word at each place is taken.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from wardround.corpus.finder import Finder
from wardround.corpus.numerals import with_digits
from wardround.errors import UsageError

FACT_KINDS = ("drug", "disease", "symptom", "route", "frequency", "side", "sex")
"""Kinds whose words are facts. A user's lists are of one of these."""
NUMBERED = frozenset({"drug", "disease", "symptom"})
"""Kinds whose words are also listed as a clause is read, with digits: 一期梅毒 as 1期梅毒."""

_FILES = (
    # The first list to name a word decides its kind.
    ("alias", "aliases.txt"), ("drug", "drugs.txt"), ("disease", "diseases.txt"),
    ("contrast", "contrasts.txt"), ("symptom", "symptoms.txt"), ("route", "routes.txt"),
    ("frequency", "frequencies.txt"), ("side", "sides.txt"), ("sex", "sexes.txt"),
    ("negation", "negations.txt"), ("plain", "plain.txt"), ("synonym", "synonyms.txt"),
    ("filler", "fillers.txt"), ("general", "general.txt"),
)  # fmt: skip
_HERE = Path(__file__).parent

Match = tuple[int, int, str, str]
"""Start, end (exclusive), kind, canonical name."""


class Lexicon:
    """The compiled lists. `matches` finds the longest word at each place, left to right, none overlapping. Latin letters
    count as a word only where no other stand beside them: HIV holds no iv."""

    def __init__(self, words: Mapping[str, tuple[str, str]]) -> None:
        self._words = dict(words)
        self._entries = list(self._words.values())
        self._longest = Finder(list(self._words), longest=True)
        self._all = Finder(list(self._words))
        self._latin = frozenset(i for i, w in enumerate(self._words) if _LATIN.search(w))

    def matches(self, text: str, kinds: Container[str] | None = None) -> list[Match]:
        """Matches in `text`, which must be in the form of `folded.plain`; of those the ones of `kinds`, where given."""
        entries, latin = self._entries, self._latin
        found: list[Match] = []
        for which, start, end in self._longest.find(text):
            if which in latin and _within(text, start, end):
                found = self._passing_over(text)
                return [m for m in found if m[2] in kinds] if kinds is not None else found
            entry = entries[which]
            if kinds is None or entry[0] in kinds:
                found.append((start, end, *entry))
        return found

    def _passing_over(self, text: str) -> list[Match]:
        """The matches where a longest word is none: a shorter one may stand in its place."""
        found: list[Match] = []
        behind = 0
        for which, start, end in sorted(self._all.find(text), key=lambda f: (f[1], -f[2])):
            if start < behind or (which in self._latin and _within(text, start, end)):
                continue
            found.append((start, end, *self._entries[which]))
            behind = end
        return found

    def words(self) -> Mapping[str, tuple[str, str]]:
        """Each word's kind and canonical name."""
        return self._words

    def count(self, kind: str) -> int:
        """How many words of `kind` there are."""
        return sum(k == kind for k, _ in self._words.values())

    def disease(self, word: str) -> str:
        """The one name of a listed disease, "" for what is none."""
        kind, name = self._words.get(word, ("", ""))
        return name if kind == "disease" else ""

    def kind(self, word: str) -> str:
        """The kind of a word, "" when it isn't listed."""
        return self._words.get(word, ("", ""))[0]


_LATIN = re.compile("^[a-z]|[a-z]$")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")


def _within(text: str, start: int, end: int) -> bool:
    """Whether Latin letters go on beyond the ends of a piece of text."""
    before, behind = text[start - 1 : start], text[end : end + 1]
    return (before in _LETTERS and text[start] in _LETTERS) or (
        behind in _LETTERS and text[end - 1] in _LETTERS
    )


@lru_cache(maxsize=4)
def _compiled(extra: tuple[tuple[str, Path], ...]) -> Lexicon:
    words: dict[str, tuple[str, str]] = {}
    listed = {k: _lines(_HERE / f) for k, f in _FILES}
    same = {names[0]: names for names in listed.pop("alias")}
    for kind, path in extra:
        for names in _own(path):
            for name in names:
                _list(words, name, kind, names[0])
    for kind, lines in listed.items():
        for group, names in enumerate(lines):
            for name, canonical in _names(kind, group, names):
                for other in (name, *same.get(name, ())):
                    _list(words, other, kind, canonical)
    for first, names in same.items():
        for other in names[1:]:
            if first in words:
                words[other] = words[first]
    return Lexicon(words)


def _list(words: dict[str, tuple[str, str]], name: str, kind: str, canonical: str) -> None:
    words.setdefault(name, (kind, canonical))
    if kind in NUMBERED:
        words.setdefault(with_digits(name), (kind, canonical))


def _names(kind: str, group: int, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(word, canonical). The alternatives of a contrast exclude each other; "=" joins words for the same one."""
    if kind == "contrast":
        for same in names:
            words = same.split("=")
            yield from ((w, f"{group}:{words[0]}") for w in words)
    else:
        yield from ((n, names[0]) for n in names)


def _lines(path: Path) -> list[list[str]]:
    from wardround.corpus.folded import plain

    lines = path.read_text(encoding="utf-8").splitlines()
    return [[plain(x) for x in line.split("\t") if x.strip()] for line in lines if line.strip()]


def _own(path: Path) -> list[list[str]]:
    try:
        return [[x for x in names if x] for names in _lines(path) if any(names)]
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(
            f"{path}: cannot be read as a word list ({e})",
            hint="a word list is UTF-8 text, one name a line, other names for it behind tabs",
        ) from e


def lexicon(extra: Mapping[str, Sequence[Path]] | None = None) -> Lexicon:
    """The compiled lists, with the user's own by kind. Built once a process for the same `extra`."""
    for kind in extra or {}:
        if kind not in FACT_KINDS:
            raise UsageError(f"no word lists of kind {kind!r}", hint=", ".join(FACT_KINDS))
    pairs = sorted((kind, Path(p)) for kind, paths in (extra or {}).items() for p in paths)
    return _compiled(tuple(pairs))
