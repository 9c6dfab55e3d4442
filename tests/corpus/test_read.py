from pathlib import Path

import pytest

from tests.corpus.made import case, entry, read, write
from wardround.corpus.formats import inspect
from wardround.errors import InputError, UsageError
from wardround.records import Document, Exclusion


def documents(path: Path) -> list[Document | Exclusion]:
    return read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("name", ["cases.jsonl", "rows.json"])
def test_schema_is_told_by_the_fields_not_the_name(
    tmp_path: Path, encoding: str, name: str
) -> None:
    source = inspect(write(tmp_path / name, [entry()], encoding), "CC0")
    assert (source.kind, source.encoding) == ("encyclopedia", encoding.removesuffix("-sig"))
    assert source.licence == "CC0"
    assert inspect(write(tmp_path / name, [case()], encoding)).kind == "case"


def test_a_document_is_the_same_from_any_file_and_encoding(tmp_path: Path) -> None:
    (one,) = documents(write(tmp_path / "a.jsonl", [entry()]))
    (two,) = documents(write(tmp_path / "b.json", [entry()], "gb18030"))
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert (one.id, one.fields) == (two.id, two.fields)
    assert (one.provenance.file, two.provenance.file) == ("a.jsonl", "b.json")
    assert (one.specialty, one.departments) == ("respiratory", ("内科", "呼吸内科"))


def test_values_are_cleaned(tmp_path: Path) -> None:
    row = entry(
        _id={"$oid": "1"}, symptom=["发热 ", "发热", "发热伴咳嗽、咯...", "查看更多", ""],
        cause="  受凉 、劳累\n\n所致。 ", prevent="", do_eat=[], get_prob=None, cost=12,
    )  # fmt: skip
    (found,) = documents(write(tmp_path / "a.jsonl", [row]))
    assert isinstance(found, Document)
    assert found.fields["symptom"] == ("发热",)
    assert found.fields["cause"] == "受凉、劳累\n所致。"
    assert found.fields["cost"] == "12"
    assert not {"_id", "prevent", "do_eat", "get_prob"} & found.fields.keys()


def test_a_case(tmp_path: Path) -> None:
    row = case(title="胸部疾病 案例分析-肺炎", department="心内科/高血压科")
    row["QA_pairs"][1]["answer"] = "需要与哪些疾病鉴别？\n肺结核、肺癌。"
    (found,) = documents(write(tmp_path / "c.json", [row]))
    assert isinstance(found, Document)
    assert (found.kind, found.title, found.specialty) == ("case", "肺炎", "cardiology")
    assert found.fields["answers"][1] == "肺结核、肺癌。"
    assert len(found.fields["questions"]) == 3


def test_an_incomplete_pair_ends_the_case_and_is_told(tmp_path: Path) -> None:
    row = case()
    row["QA_pairs"][1]["answer"] = " "
    found, aside = documents(write(tmp_path / "c.json", [row]))
    assert isinstance(found, Document)
    assert isinstance(aside, Exclusion)
    assert len(found.fields["questions"]) == 1
    assert (aside.reason, aside.what) == ("pair_incomplete", found.id)


def test_a_bad_row_is_kept_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [entry(), entry(name=" "), entry("乙病")])
    with open(path, "a", encoding="utf-8") as f:
        f.write('{"name": \n')
    found = documents(path)
    reasons = [(e.row, e.reason) for e in found if isinstance(e, Exclusion)]
    assert reasons == [(2, "schema_mismatch"), (4, "malformed_row")]
    assert [d.title for d in found if isinstance(d, Document)] == ["甲病", "乙病"]


def test_a_file_of_neither_schema_names_its_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{"foo": 1, "bar": 2}])
    with pytest.raises(UsageError, match="its fields are bar, foo"):
        inspect(path)
    with pytest.raises(InputError, match="no row"):
        inspect(write(tmp_path / "empty.jsonl", []))
    with pytest.raises(UsageError, match="no such file"):
        inspect(tmp_path / "none.jsonl")
