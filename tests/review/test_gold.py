"""Gold: what a reviewer could never give is told with file, row and field, before anybody is measured by it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.review.rooms import FORM, new_item
from wardround.errors import InputError
from wardround.review.gold import with_gold
from wardround.review.sources import Source
from wardround.review.study import Field, Level

LABELS = Field(
    id="faults", zh="问题", en="Faults", kind="labels", required=False,
    levels=(Level(value="a", zh="甲", en="a"), Level(value="b", zh="乙", en="b")),
)  # fmt: skip
SOURCE = Source(
    kind="rationale", form=(*FORM, LABELS), record={},
    items=(new_item("one"), new_item("two"), new_item("three", content=None)),
)  # fmt: skip


def gold(tmp_path: Path, *rows: object) -> Path:
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return path


def test_gold_goes_to_its_items(tmp_path: Path) -> None:
    scores = {"correctness": 2, "faults": ["b"]}
    found = with_gold(SOURCE, gold(tmp_path, {"id": "two", "scores": scores}))
    assert [i.gold for i in found.items] == [None, scores, None]
    bare = tuple(msgspec.structs.replace(i, gold=None) for i in found.items)
    assert msgspec.structs.replace(found, items=bare) == SOURCE, "and nothing else changes"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "one"}, "not gold"),
        ({"id": "one", "scores": {}}, "not gold"),
        ({"id": "nothing", "scores": {"correctness": 2}}, "no item 'nothing'.*such as 'one'"),
        ({"id": "two", "scores": {"correctness": 2}}, "stands in row 1 already"),
        ({"id": "three", "scores": {"correctness": 2}}, "there is no draft"),
        ({"id": "one", "scores": {"corectness": 2}}, "'corectness'.*one of: correctness, structure, faults"),
        ({"id": "one", "scores": {"structure": 4, "correctness": 9}}, "correctness can't be 9.*one of 1, 2, 3, 4, 5"),
        ({"id": "one", "scores": {"correctness": "4"}}, "correctness can't be '4'"),
        ({"id": "one", "scores": {"correctness": True}}, "correctness can't be True"),
        ({"id": "one", "scores": {"correctness": None}}, "correctness can't be None"),
        ({"id": "one", "scores": {"faults": "a"}}, "faults can't be 'a'.*a list of a, b"),
        ({"id": "one", "scores": {"faults": ["c"]}}, "faults can't be"),
        ({"id": "one", "scores": {"faults": [["a"]]}}, "faults can't be"),
    ],
)  # fmt: skip
def test_what_can_not_be_gold_is_told_with_its_row(
    tmp_path: Path, row: dict[str, object], words: str
) -> None:
    path = gold(tmp_path, {"id": "two", "scores": {"correctness": 1}}, row)
    with pytest.raises(InputError, match=f"(?s)gold.jsonl, row 2: .*{words}"):
        with_gold(SOURCE, path)


def test_an_empty_file_is_no_gold(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no gold"):
        with_gold(SOURCE, gold(tmp_path))
