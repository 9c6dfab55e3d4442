"""Every public source as found: each row is a document, or has its reason."""

import os
from pathlib import Path

import pytest

from wardround.corpus.formats import inspect, rows
from wardround.corpus.kinds import documents_of
from wardround.records import Document

pytestmark = pytest.mark.realdata

FOUND = {
    "encyclopedia_respiratory.jsonl": ("jsonl", "encyclopedia", "utf-8", 100, 100),
    "encyclopedia_respiratory.gb18030.jsonl": ("jsonl", "encyclopedia", "gb18030", 100, 100),
    "cmb_clin_dev.json": ("json", "case", "utf-8", 37, 37),
    "cmtmedqa_dev.json": ("json", "consultation", "utf-8", 572, 572),
    "dialogue_internal_medicine.gb18030.csv": ("csv", "consultation", "gb18030", 7644, 7644),
    # Five answers break off behind an opening quote.
    "dialogue_internal_medicine.gb18030.txt": ("pairs", "consultation", "gb18030", 4048, 4043),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_source_as_found(name: str) -> None:
    folder = os.environ.get("WARDROUND_REALDATA")
    if not folder:
        pytest.skip("WARDROUND_REALDATA is not set")
    path = Path(folder) / name
    form, kind, encoding, number, documents = FOUND[name]
    source = inspect(path)
    assert (source.format, source.kind, source.encoding) == (form, kind, encoding)
    found = list(rows(path, source))
    assert len(found) == number
    made = [d for r in found for d in documents_of(r, source)]
    assert len(made) == number
    read = [d for d in made if isinstance(d, Document)]
    assert len(read) == documents
    assert not any("\ufffd" in str(d.fields) for d in read)
