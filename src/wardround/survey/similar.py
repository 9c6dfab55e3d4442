"""Which added tasks say the same as another, by their characters: suggestions for a person, never decisions.

Similarity is 0 to 1 and looks at wording alone. Two names: the better of F1 of their character pairs and rapidfuzz's
best partial match, the latter weighed down where one is much shorter. The rest: how much of the shorter text's
character pairs the longer holds. Two wordings of one wish may share no character, so a low score proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rapidfuzz import fuzz

from wardround.metrics.overlap import normalise
from wardround.records import Record
from wardround.survey.design import SurveyTask

LEAST = 0.35
"""Below it nothing is suggested."""
ALIKE = 0.6
"""From it on two added tasks are put together in one proposed group."""
SHOWN = 3
_NAME = 0.7
"""Weight of the names; the rest is the texts'."""


class Near(Record, frozen=True, kw_only=True):
    """Something like it: a task's key or an addition's number, and how like."""

    to: str
    score: float


class Grams:
    """Texts as sets of character pairs, each set one whole number: bits in common are counted at once."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}

    def of(self, plain: str) -> int:
        """The pairs of a normalised text; of a single character, that character."""
        pairs: Iterable[str] = (plain[i : i + 2] for i in range(len(plain) - 1))
        found = 0
        for pair in pairs if len(plain) > 1 else [plain] * bool(plain):
            found |= 1 << self._bits.setdefault(pair, len(self._bits))
        return found


class Words:
    """One name with its other text, ready to be compared."""

    def __init__(self, name: str, text: str, grams: Grams) -> None:
        self.name = normalise(name)
        self.name_grams = grams.of(self.name)
        self.text_grams = grams.of(normalise(text))
        self.name_size, self.text_size = self.name_grams.bit_count(), self.text_grams.bit_count()


def alike(a: Words, b: Words) -> float:
    """How alike two are, 0 to 1: mostly the names, and these alone where one has no other text."""
    shorter = min(a.text_size, b.text_size)
    if shorter < 3:
        return _names(a, b)
    texts = (a.text_grams & b.text_grams).bit_count() / shorter
    return _NAME * _names(a, b) + (1 - _NAME) * texts


def _names(a: Words, b: Words) -> float:
    x, y = len(a.name), len(b.name)
    if not x or not y:
        return 0.0
    shared = 2 * (a.name_grams & b.name_grams).bit_count() / (a.name_size + b.name_size)
    if min(x, y) < 2 or not shared:
        return shared
    partial = fuzz.partial_ratio(a.name, b.name) / 100 * (0.5 + 0.5 * min(x, y) / max(x, y))
    return max(shared, partial)


def tasks_near(
    added: Mapping[int, tuple[str, str]], tasks: Sequence[SurveyTask]
) -> dict[int, list[Near]]:
    """For each addition (number → name, other text) the tasks most like it, best first, at most `SHOWN`."""
    grams = Grams()
    sides = [
        (
            t.key,
            Words(t.zh, f"{t.definition}{t.example_zh}", grams),
            Words(t.en, t.example_en, grams),
        )
        for t in tasks
    ]
    found = {}
    for number, (name, text) in added.items():
        mine = Words(name, text, grams)
        scores = [(max(alike(mine, zh), alike(mine, en)), key) for key, zh, en in sides]
        found[number] = _best(scores)
    return found


def others_near(added: Mapping[int, tuple[str, str]]) -> dict[int, list[Near]]:
    """For each addition (number → name, other text) the others most like it, best first, at most `SHOWN`."""
    grams = Grams()
    words = [(i, Words(*added[i], grams)) for i in sorted(added)]
    scores: dict[int, list[tuple[float, str]]] = {i: [] for i in added}
    for place, (i, a) in enumerate(words):
        for j, b in words[place + 1 :]:
            score = alike(a, b)
            if score >= LEAST:
                scores[i].append((score, str(j)))
                scores[j].append((score, str(i)))
    return {i: _best(found) for i, found in scores.items()}


def _best(scores: Sequence[tuple[float, str]]) -> list[Near]:
    found = [Near(to=to, score=round(s, 3)) for s, to in scores if s >= LEAST]
    return sorted(found, key=lambda n: (-n.score, len(n.to), n.to))[:SHOWN]


def clusters(near: Mapping[int, Sequence[Near]]) -> list[list[int]]:
    """Additions that hang together by pairs of at least `ALIKE`, the largest group first."""
    parent = {i: i for i in near}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, found in near.items():
        for n in found:
            a, b = root(i), root(int(n.to))
            if n.score >= ALIKE and a != b:
                parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in sorted(near):
        groups.setdefault(root(i), []).append(i)
    return sorted(groups.values(), key=lambda g: (-len(g), g))
