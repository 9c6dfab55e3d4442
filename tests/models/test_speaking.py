from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.models.speaking import HALF, Speaker, cut


def as_bytes(ids: Sequence[int]) -> str:
    """A tokenizer whose tokens are bytes, as the smallest pieces of byte-level ones are."""
    return bytes(ids).decode("utf-8", "replace")


def said(ids: Sequence[int], stop: Sequence[str] = ()) -> tuple[list[str], Speaker]:
    speaker = Speaker(as_bytes, stop)
    pieces = []
    for token in ids:
        pieces.append(speaker.add(token))
        if speaker.stopped:
            break
    return [*pieces, speaker.end()], speaker


def test_no_piece_holds_half_a_character() -> None:
    pieces, _ = said("咳嗽😷".encode())
    assert [p for p in pieces if p] == ["咳", "嗽", "😷"]
    assert pieces[2] == "咳"


def test_what_might_start_a_stop_string_waits() -> None:
    pieces, speaker = said(b"ab##c##END more", stop=["##END", "zzz"])
    assert "".join(pieces) == speaker.text == "ab##c"
    assert speaker.stopped
    assert pieces[3] == ""  # the second '#', held
    assert pieces[4] == "##c"  # and let go, as it was none


def test_what_was_held_comes_at_the_end() -> None:
    pieces, speaker = said(b"ab##", stop=["##END"])
    assert pieces[-1] == "##"
    assert not speaker.stopped
    pieces, _ = said("好".encode()[:2])
    assert "".join(pieces) == HALF


@given(st.binary(max_size=40))
def test_pieces_are_the_whole_text_whatever_the_bytes(data: bytes) -> None:
    pieces, speaker = said(data)
    assert "".join(pieces) == speaker.text == as_bytes(data)


@given(
    st.text("ab咳嗽", max_size=30),
    st.lists(st.text("ab咳", min_size=1, max_size=4), max_size=3),
)
def test_pieces_end_where_the_first_stop_string_starts(text: str, stop: list[str]) -> None:
    pieces, speaker = said(text.encode(), stop)
    # Of stop strings that overlap, the one that is whole first ends the answer.
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    assert speaker.stopped == bool(ends)
    assert "".join(pieces) == (text[: min(ends)[1]] if ends else text)


@pytest.mark.parametrize(
    ("text", "stop", "expected"),
    [
        ("abc", (), ("abc", False)),
        ("abc", ("x",), ("abc", False)),
        ("abcbc", ("c", "bc"), ("a", True)),
    ],
)
def test_cut(text: str, stop: tuple[str, ...], expected: tuple[str, bool]) -> None:
    assert cut(text, stop) == expected
