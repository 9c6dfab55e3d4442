"""The word lists of cues.yaml, compiled once. What they are for is said there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

from wardround.records import Record

HERE = Path(__file__).with_name("cues.yaml")


class Words:
    """A list of words to be found in texts, the longest at a place first; about a µs for each ten characters."""

    __slots__ = ("_by_first", "_first")

    def __init__(self, listed: Iterable[str]) -> None:
        ordered = sorted(set(listed), key=lambda w: (-len(w), w))
        self._by_first: dict[str, list[str]] = {}
        for word in ordered:
            self._by_first.setdefault(word[0], []).append(word)
        self._first = re.compile(f"[{''.join(map(re.escape, self._by_first))}]")

    def found(self, text: str) -> list[str]:
        """The words in a text, in their order there, none inside another."""
        out = []
        end = 0
        for m in self._first.finditer(text):
            at = m.start()
            if at < end:
                continue
            for word in self._by_first[m[0]]:
                if text.startswith(word, at):
                    out.append(word)
                    end = at + len(word)
                    break
        return out

    def distinct(self, text: str) -> tuple[str, ...]:
        """The same, each once."""
        return tuple(dict.fromkeys(self.found(text)))


class _Swapped(Record, frozen=True, kw_only=True):
    surely: str
    maybe: str


class _Marked(Record, frozen=True, kw_only=True, rename={"avoids": "not"}):
    holds: str = ""
    avoids: str = ""


class Mark(Record, frozen=True, kw_only=True):
    """What an item of a list must hold to be one, and must not."""

    holds: re.Pattern[str] | None
    avoids: re.Pattern[str] | None


class _File(Record, frozen=True, kw_only=True):
    complaints: str
    belongs: dict[str, str]
    lists: dict[str, _Marked]
    stubs: dict[str, str]
    unreported: str
    instructed: str
    laboratory: str
    same: tuple[str, ...]
    unspecific: str
    qualifiers: str
    examinations: str
    openings: tuple[str, ...]
    sentences: tuple[str, ...]
    adverts: str
    answers: dict[str, str]
    swapped: _Swapped


class Cues(Record, frozen=True, kw_only=True):
    """The lists as word finders and patterns."""

    complaints: Words
    belongs: dict[str, Words]
    lists: dict[str, Mark]
    stubs: dict[str, str]
    unreported: re.Pattern[str]
    instructed: re.Pattern[str]
    laboratory: re.Pattern[str]
    same: tuple[re.Pattern[str], ...]
    unspecific: re.Pattern[str]
    examinations: Words
    opening: re.Pattern[str]
    chat: re.Pattern[str]
    adverts: re.Pattern[str]
    answers: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...]
    swapped_surely: re.Pattern[str]
    swapped_maybe: re.Pattern[str]


@cache
def cues() -> Cues:
    """The shipped lists."""
    found = msgspec.yaml.decode(HERE.read_bytes(), type=_File)
    return Cues(
        complaints=Words(found.complaints.split()),
        belongs={k: Words(v.split()) for k, v in found.belongs.items()},
        lists={
            k: Mark(holds=_pattern(v.holds), avoids=_pattern(v.avoids))
            for k, v in found.lists.items()
        },
        stubs=found.stubs,
        unreported=re.compile(found.unreported),
        instructed=re.compile(found.instructed),
        laboratory=re.compile(found.laboratory),
        same=tuple(re.compile(s) for s in found.same),
        unspecific=re.compile(
            f"(?:{'|'.join(map(re.escape, found.unspecific.split()))}|{found.qualifiers})+"
        ),
        examinations=Words(found.examinations.split()),
        opening=re.compile("(?:" + "|".join(found.openings) + ")+"),
        chat=re.compile("|".join(found.sentences)),
        adverts=re.compile(found.adverts),
        answers=tuple((re.compile(a), re.compile(b)) for a, b in found.answers.items()),
        swapped_surely=re.compile(found.swapped.surely),
        swapped_maybe=re.compile(found.swapped.maybe),
    )


def _pattern(source: str) -> re.Pattern[str] | None:
    return re.compile("".join(source.split())) if source else None
