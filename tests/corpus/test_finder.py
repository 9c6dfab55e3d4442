"""Finding many words at once, against looking at every place."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus.finder import Finder, Found

WORDS = st.lists(st.text("肺炎心ab", min_size=1, max_size=4), unique=True, max_size=8)


def every(words: list[str], text: str) -> list[Found]:
    return [
        (k, at, at + len(word))
        for k, word in enumerate(words)
        for at in range(len(text))
        if text.startswith(word, at)
    ]


@given(WORDS, st.text("肺炎心ab", max_size=30))
def test_all_words_are_found_wherever_they_stand(words: list[str], text: str) -> None:
    assert sorted(Finder(words).find(text)) == every(words, text)


@given(WORDS, st.text("肺炎心ab", max_size=30))
def test_the_longest_at_each_place_from_the_left(words: list[str], text: str) -> None:
    wanted, behind = [], 0
    for found in sorted(every(words, text), key=lambda f: (f[1], -f[2])):
        if found[1] >= behind:
            wanted.append(found)
            behind = found[2]
    assert Finder(words, longest=True).find(text) == wanted


@pytest.mark.parametrize("longest", [False, True])
def test_half_a_pair_of_surrogates_hides_nothing_and_keeps_the_places(longest: bool) -> None:
    finder = Finder(["肺炎"], longest=longest)
    assert finder.find("\ud83d肺炎") == [(0, 1, 3)]
    assert pickle.loads(pickle.dumps(finder)).find("社区肺炎") == [(0, 2, 4)]
