"""Errors about a file that somebody sent, on a Chinese page: in Chinese, naming the file and the row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import wardround.web.app  # noqa: F401 (its areas' words)
from wardround import sheets
from wardround.errors import WardroundError
from wardround.survey import headings, samples
from wardround.web import words

LETTERS = re.compile(r"[A-Za-z]{4,}")
NAMES = {
    "JSON",
    "XLSX",
    "Excel",
    "xlsx",
    "answer",
    "labels",
    "questions",
    "UTF",
    "model",
    "GB18030",
}


def _table(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    sheets.read(path)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", "是空的"),
        (b"\xd0\xcf\x11\xe0old", "旧版 Excel"),
        (b"PK\x03\x04broken", "读不出这个 XLSX"),
        (b'a,b\n"open,1\n', "第 2 行：不是完整的 CSV"),
        (b"\n".join([b"a," * 5000]), "列"),
    ],
)
def test_a_table_that_cannot_be_read(tmp_path: Path, data: bytes, wanted: str) -> None:
    with pytest.raises(WardroundError) as caught:
        _table(data, tmp_path / "答卷.csv")
    said = words.message(caught.value)
    assert "答卷.csv" in said and wanted in said
    assert set(LETTERS.findall(said.split("答卷.csv", 1)[1])) <= NAMES


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"{", "第 1 行：不是完整的 JSON"),
        (b"[1]", "第 1 行：不是一个 JSON 对象"),
        (b'{"task":"triage","model":"m"}', "第 1 行：缺少 answer"),
        (b'{"task":"triage","model":"m","answer":"x","labels":3}', "第 1 行：labels 不是列表"),
        (b"\xff\xff\xff\xff", "编码"),
    ],
)
def test_samples_that_cannot_be_read(line: bytes, wanted: str) -> None:
    with pytest.raises(WardroundError) as caught:
        samples.parsed(line + b"\n", "样例.jsonl")
    said = words.message(caught.value)
    assert said.startswith("样例.jsonl") and wanted in said


def test_a_mapping_that_fits_nothing(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_bytes(b"[1, 2]")
    with pytest.raises(WardroundError) as caught:
        headings.read_mapping(tmp_path / "m.yaml")
    assert words.message(caught.value).endswith("m.yaml：不是可用的对照文件。")
    with pytest.raises(WardroundError) as caught:
        headings.recognise(
            ["a"], "inspiration", [], mapping=headings.ColumnMap(columns={"b": "ignore"})
        )
    assert words.message(caught.value) == "对照文件里写了表中没有的列：b。"


def test_in_english_the_text_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"")
    with pytest.raises(WardroundError) as caught:
        sheets.read(tmp_path / "t.csv")
    token = words.LANG.set("en")
    try:
        assert words.message(caught.value) == caught.value.message
    finally:
        words.LANG.reset(token)
