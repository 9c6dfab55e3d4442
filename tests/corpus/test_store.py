"""Lines on disk by place, and what a build keeps in memory of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardround.corpus import store
from wardround.corpus.gather import placed, placed_sample
from wardround.corpus.keys import DocumentKey, SampleKey
from wardround.corpus.store import Store
from wardround.records import decode, encode


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b), max_size=20))
def test_lines_come_back_by_place_while_more_are_added(
    tmp_path_factory: object, lines: list[bytes]
) -> None:
    folder: Path = tmp_path_factory.mktemp("store")  # type: ignore[attr-defined]
    with Store(folder / "lines") as kept:
        for place, line in enumerate(lines):
            assert kept.append(line) == place
            assert kept.line(place) == line
        assert [kept.line(i) for i in reversed(range(len(kept)))] == lines[::-1]
        assert len(kept) == len(lines)
    kept.close()  # a second time does nothing
    assert (folder / "lines").read_bytes() == b"".join(lines)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.one_of(st.binary(max_size=9), st.integers(0, 30)), max_size=60),
    ahead=st.integers(1, 24),
)
def test_lines_come_back_in_any_order_however_much_is_read_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[bytes | int], ahead: int
) -> None:
    """A step adds a line, or reads the next one or that many further on."""
    monkeypatch.setattr(store, "AHEAD", ahead)
    lines: list[bytes] = []
    at = 0
    with Store(tmp_path / "lines") as kept:
        for step in steps:
            if isinstance(step, bytes):
                lines.append(step)
                kept.append(step)
            elif lines:
                at = (at + step) % len(lines)
                assert kept.line(at) == lines[at]


def test_keys_from_other_processes_share_what_is_equal() -> None:
    """A million keys must not each bring their own "triage" or their document's id."""

    def sent(n: int) -> tuple[DocumentKey, SampleKey]:
        document = DocumentKey(f"d{n}", "case", "cardiology", "cases.json", n, 1, 2)
        sample = SampleKey(f"d{n}:triage", "triage", "cardiology", f"d{n}", 3, 4, 5, 6)
        return decode(encode(document), DocumentKey), decode(encode(sample), SampleKey)

    (d1, s1), (d2, s2) = sent(1), sent(2)
    kept, other = placed(d1, 7), placed(d2, 8)
    assert (kept.id, kept.row, kept.title, kept.text, kept.place) == ("d1", 1, 1, 2, 7)
    assert kept.kind is other.kind
    assert kept.file is other.file
    mine, theirs = placed_sample(s1, kept, 9), placed_sample(s2, other, 10)
    assert mine == SampleKey("d1:triage", "triage", "cardiology", "d1", 3, 4, 5, 6, 9)
    assert mine.task is theirs.task
    assert mine.specialty is theirs.specialty is kept.specialty
    assert mine.document is kept.id
