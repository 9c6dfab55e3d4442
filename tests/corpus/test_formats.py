"""Files as found: encodings, formats, cuts, and what becomes of bad ones."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.made import case, entry, write
from wardround.corpus import lines
from wardround.corpus.formats import Row, Source, cuts, inspect, rows, sources_of
from wardround.corpus.kinds import documents_of
from wardround.errors import InputError, UsageError, WardroundError
from wardround.records import Document, Exclusion


def read(path: Path) -> tuple[Source, list[Row]]:
    source = inspect(path)
    return source, list(rows(path, source))


def line(row: object, encoding: str = "utf-8") -> bytes:
    return json.dumps(row, ensure_ascii=False).encode(encoding) + b"\n"


def names(found: list[Row]) -> list[object]:
    return [r.value["name"] if r.value else r.reason for r in found]


def test_encodings_may_change_from_line_to_line(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(
        b"\xef\xbb\xbf" + line(entry("甲病")) + line(entry("乙病"), "gb18030")
        + b'{"name": "\xff\xff"}\n' + line(entry("肺氣腫")) + b"\xef\xbb\xbf" + line(entry("丁病"))
    )  # fmt: skip
    source, found = read(path)
    assert source.encoding == "mixed"
    assert names(found) == ["甲病", "乙病", "undecodable", "肺氣腫", "丁病"]
    assert [r.number for r in found] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_one_encoding_is_told(tmp_path: Path, encoding: str, form: str) -> None:
    path = tmp_path / f"x.{form}"
    if form == "csv":
        path.write_bytes("name,desc\r\n甲病,一种疾病。\r\n乙病,另一种。\r\n".encode(encoding))
    else:
        write(path, [entry("甲病"), entry("乙病")], encoding)
    source, found = read(path)
    assert (source.encoding, source.format) == (encoding.removesuffix("-sig"), form)
    assert names(found) == ["甲病", "乙病"]


def test_a_short_line_of_gb18030_that_is_also_utf8(tmp_path: Path) -> None:
    """ "联通" in GB18030 is valid UTF-8; in a file that is nowhere UTF-8 it is read as GB18030."""
    path = tmp_path / "a.csv"
    path.write_bytes("name,desc\n联通,a\n急性支气管炎,疾病描述\n".encode("gb18030"))
    assert names(read(path)[1]) == ["联通", "急性支气管炎"]


def test_mixed_encodings_within_one_line_array(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(
        b"[" + line(entry("甲病")).strip() + b"," + line(entry("乙病"), "gb18030").strip()
        + b',{"name":"\xff\xff","desc":"x"},' + line(entry("丁病")).strip() + b"]"
    )  # fmt: skip
    source, found = read(path)
    assert source.encoding == "mixed"
    assert names(found) == ["甲病", "乙病", "undecodable", "丁病"]


@given(
    names_given=st.lists(st.text("甲乙丙病\n\",;a ", min_size=1, max_size=6), min_size=1, max_size=30),
    per_shard=st.integers(1, 7), encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    form=st.sampled_from(["csv", "jsonl"]), last=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_shards_together_are_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    names_given: list[str],
    per_shard: int,
    encoding: str,
    form: str,
    last: bool,
) -> None:
    path = tmp_path_factory.mktemp("cut") / f"x.{form}"
    text = "name,desc\n" if form == "csv" else ""
    for name in names_given:
        if form == "csv":
            text += '"' + name.replace('"', '""') + '",疾病\n'
        else:
            text += json.dumps({"name": name, "desc": "疾病"}, ensure_ascii=False) + "\n"
    path.write_bytes((text if last else text[:-1]).encode(encoding))
    source, whole = read(path)
    assert [r.value["name"] if r.value else None for r in whole] == names_given
    shards = list(cuts(path, source, per_shard) or ())
    parts = [list(rows(path, source, start=s, end=e, first_row=n)) for s, e, n in shards]
    assert [r for part in parts for r in part] == whole
    assert all(len(part) == per_shard for part in parts[:-1])
    assert len(parts[-1]) <= per_shard
    assert [a[1] for a in shards[:-1]] == [b[0] for b in shards[1:]]


def test_csv_rows_of_the_wrong_width(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'name,desc,cause\n甲,乙,丙\n甲,乙\n甲,乙,丙,丁\n甲,乙,丙,,\n\n"甲,乙,丙\n丁,戊,己\n',
        encoding="utf-8",
    )
    found = read(path)[1]
    assert [(r.number, r.reason) for r in found] == [
        (1, ""), (2, "malformed_row"), (3, "malformed_row"), (4, ""), (5, "malformed_row"), (6, ""),
    ]  # fmt: skip
    assert [r.problem for r in found if r.problem] == [
        "2 fields, the header has 3", "4 fields, the header has 3", "a quote is opened and not closed",
    ]  # fmt: skip


def test_a_quote_within_a_field_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('name;desc\n5" disc;x\n"a\n;""b""";y\n', encoding="utf-8")
    source, found = read(path)
    assert source.delimiter == ";"
    assert names(found) == ['5" disc', 'a\n;"b"']


def test_only_a_newline_ends_a_csv_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = 'name,desc\r\n甲\u2028病,a\x0bb\r\n乙\r病,x\r\n"丙\r\n病",y\r\n'
    path.write_bytes(text.encode())
    assert names(read(path)[1]) == ["甲\u2028病", "乙 病", "丙\r\n病"]


def test_ids_given_twice_lose_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [case(1, id="x"), case(2, id="x"), case(1, id="x")])
    source, found = read(path)
    made = [d for r in found for d in documents_of(r, source)]
    assert [d.provenance.row for d in made if isinstance(d, Document)] == [1, 2, 3]
    ids = [d.id for d in made if isinstance(d, Document)]
    assert ids[0] != ids[1]
    assert ids[0] == ids[2]


def test_a_broken_off_array_gives_its_whole_elements(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [entry("甲病"), entry("乙病"), entry("丙病")])
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index("丙病") + 20], encoding="utf-8")
    assert names(read(path)[1]) == ["甲病", "乙病", "truncated"]
    path.write_text(text[: text.rindex("]")], encoding="utf-8")
    assert names(read(path)[1]) == ["甲病", "乙病", "丙病", "truncated"]


def test_an_array_goes_on_behind_a_malformed_element(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [case(n) for n in range(1, 5)])
    text = path.read_text(encoding="utf-8").replace('"第2号', "第2号", 1)
    text = text.replace('案例分析-第2号肺炎",', "案例分析-第2号肺炎,", 1)
    path.write_text(text, encoding="utf-8")
    source, found = read(path)
    assert [r.reason for r in found] == ["", "malformed_row", "", ""]
    titles = [d.title for r in found for d in documents_of(r, source) if isinstance(d, Document)]
    assert titles == ["第1号肺炎", "第3号肺炎", "第4号肺炎"]


@given(
    elements=st.lists(
        st.dictionaries(st.text(max_size=4), st.text(max_size=30) | st.integers() | st.none(), max_size=4),
        max_size=20,
    ),
    indent=st.sampled_from([None, 1]), chunk=st.integers(1, 50), ascii_only=st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_an_array_reads_the_same_whatever_the_window(
    tmp_path_factory: pytest.TempPathFactory,
    elements: list[dict[str, Any]],
    indent: int | None,
    chunk: int,
    ascii_only: bool,
) -> None:
    from wardround.corpus import arrays

    path = tmp_path_factory.mktemp("array") / "x.json"
    text = json.dumps(elements, ensure_ascii=ascii_only, indent=indent)
    path.write_bytes(text.encode("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_CHUNK", chunk)
        found = list(arrays.array(path, "utf-8"))
    assert [r.value for r in found] == elements


def test_a_long_array_on_one_line_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    element = json.dumps(entry(desc="很长的描述。" * 200), ensure_ascii=False)
    count = 20_000_000 // len(element.encode())
    with open(path, "w", encoding="utf-8") as f:
        f.write("[" + element)
        for _ in range(count - 1):
            f.write("," + element)
        f.write("]")
    tracemalloc.start()
    source = inspect(path)
    seen = sum(r.value is not None for r in rows(path, source))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == count
    assert peak < 16_000_000


BAD_FILES: dict[str, tuple[bytes, type[WardroundError], str]] = {
    "empty.jsonl": (b"", InputError, "empty"),
    "blank.csv": (b" \n\n", InputError, "empty"),
    "binary.jsonl": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", InputError, "binary"),
    "utf16.csv": ("name,desc\n甲,乙\n".encode("utf-16"), InputError, "UTF-16"),
    "header.csv": (b"name,desc\n", InputError, "no row in it"),
    "page.xml": (b"<a/>", UsageError, "not a format"),
    "other.json": (b'[{"foo": 1}]', UsageError, "fields are foo"),
    "words.jsonl": ("甲病\n".encode(), InputError, "no row in it"),
    "not.pdf": (b"%PDF-1.4 nothing", InputError, "not a whole PDF"),
    "archive.docx": (b"PK\x03\x04\x00\x00", InputError, "binary"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_source(tmp_path: Path, name: str) -> None:
    data, error, message = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(error, match=message):
        inspect(tmp_path / name)


def test_a_folder_is_its_files_in_order_and_bad_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "x.jsonl", [entry()])
    write(tmp_path / "a.json", [case()])
    (tmp_path / "note.xml").write_bytes(b"<a/>")
    (tmp_path / ".hidden").write_bytes(b"?")
    found, aside = sources_of([tmp_path], {"b/x.jsonl": "CC0"})
    assert [(s.file, s.kind, s.licence) for _, s in found] == [
        ("a.json", "case", "unstated"), ("b/x.jsonl", "encyclopedia", "CC0"),
    ]  # fmt: skip
    assert [(e.file, e.reason, e.row) for e in aside] == [("note.xml", "unreadable_file", 0)]
    with pytest.raises(UsageError, match=r"note\.xml"):
        sources_of([tmp_path / "note.xml"])


def test_a_json_object_is_one_row_or_holds_them(tmp_path: Path) -> None:
    one = tmp_path / "one.json"
    one.write_text(json.dumps(case(), ensure_ascii=False, indent=1), encoding="utf-8")
    source, found = read(one)
    assert (source.kind, len(found)) == ("case", 1)
    many = tmp_path / "many.json"
    many.write_text(json.dumps({"v": 1, "data": [case(1), case(2)]}, indent=1), encoding="utf-8")
    source, found = read(many)
    assert (source.kind, source.path_in, len(found)) == ("case", "data", 2)


SHAKY: list[tuple[bytes, Callable[[Row], bool]]] = [
    (b'{"name": "a", "desc": NaN}\n', lambda r: r.value == {"name": "a", "desc": None}),
    (b'{"name": "a\tb", "desc": "x"}\n', lambda r: r.value is not None),
    (b'{"name": "\\ud800", "desc": "x"}\n', lambda r: r.reason == "undecodable"),
    (b'{"name": "a", "desc": \n', lambda r: r.reason == "malformed_row"),
    (b'["a"]\n', lambda r: "list" in r.problem),
]


@pytest.mark.parametrize("case_", SHAKY)
def test_shaky_rows(tmp_path: Path, case_: tuple[bytes, Callable[[Row], bool]]) -> None:
    data, holds = case_
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(entry()) + data + line(entry("乙病")))
    found = read(path)[1]
    assert len(found) == 3
    assert holds(found[1])
    assert found[2].value is not None


def test_nothing_is_lost_of_any_file_of_bytes(tmp_path: Path) -> None:
    """Every line that is not blank is a row, with a value or a reason."""
    path = tmp_path / "a.jsonl"
    junk = [b"\xff\xfe\xfd\n", b"{}\n", b"null\n", b'{"a": 1\n', b"\n", b"   \n", "病\n".encode()]
    path.write_bytes(b"".join(junk))
    for encoding in ("utf-8", "gb18030", "mixed"):
        found = list(lines.jsonl(path, encoding))
        assert [r.number for r in found] == [1, 2, 3, 4, 7]
        assert all((r.value is None) == bool(r.reason) for r in found)


def test_exclusions_name_file_and_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(entry()) + b"{\n")
    source, found = read(path)
    (aside,) = documents_of(found[1], source)
    assert isinstance(aside, Exclusion)
    assert (aside.file, aside.row, aside.reason) == ("a.jsonl", 2, "malformed_row")


def test_a_quote_nobody_closed_spoils_one_row_not_two(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'department,title,ask,answer\n儿科,一,"问一，",答一\n儿科,二,"问二，没有右引号,答二\n儿科,三,"问三，",答三\n'
        '儿科,四,"问四，\n第二行",答四\n儿科,五,"他说""好""，\n第二行",答五\n',
        encoding="utf-8",
    )
    found = read(path)[1]
    assert [r.value["title"] if r.value else r.problem for r in found] == [
        "一", "a quote is opened and not closed", "三", "四", "五",
    ]  # fmt: skip
    assert found[-1].value is not None and found[-1].value["ask"] == '他说"好"，\n第二行'


def test_an_object_on_one_line_holds_its_rows_and_a_bad_one_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    head = '{"meta": {"n": [1, {"x": "]"}]}, "empty": [], "rows": '
    path.write_text(head + json.dumps([entry(n) for n in "甲乙丙"]) + "}", encoding="utf-8")
    source, found = read(path)
    assert (source.kind, source.path_in, names(found)) == (
        "encyclopedia",
        "rows",
        ["甲", "乙", "丙"],
    )
    good = json.dumps(entry("甲"))
    path.write_text(f'{{"rows": [{good}, {{"name": "乙", oops}}, {good}]}}', encoding="utf-8")
    found = read(path)[1]
    assert names(found)[0] == names(found)[-1] == "甲"
    assert [r.reason for r in found if r.value is None] == ["malformed_row"]
    one = tmp_path / "one.jsonl"  # a row of its own, though it holds objects
    one.write_bytes(line(entry("甲") | {"seen": [{"name": "乙", "desc": "x"}]}))
    assert names(read(one)[1]) == ["甲"]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("x/1", "y/1", "y/2"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "a.jsonl").write_bytes(line(entry(place)))
    (tmp_path / "b.jsonl").write_bytes(line(entry("b")))
    paths = [tmp_path / f"{p}/a.jsonl" for p in ("x/1", "y/1", "y/2")]
    found, _ = sources_of([*paths, tmp_path / "b.jsonl"])
    assert sorted(s.file for _, s in found) == [
        "2/a.jsonl",
        "b.jsonl",
        "x/1/a.jsonl",
        "y/1/a.jsonl",
    ]
    assert [s.file for _, s in sources_of([paths[0]])[0]] == ["a.jsonl"]
