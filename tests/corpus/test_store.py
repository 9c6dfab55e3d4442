"""Lines on disk by place, and what a build keeps in memory of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

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
    with Store(folder / "lines") as store:
        for place, line in enumerate(lines):
            assert store.append(line) == place
            assert store.line(place) == line
        assert [store.line(i) for i in reversed(range(len(store)))] == lines[::-1]
        assert len(store) == len(lines)
    store.close()  # a second time does nothing
    assert (folder / "lines").read_bytes() == b"".join(lines)


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
