import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.finished import dialogue, put, sample, small
from wardround import sheets
from wardround.corpus.sampling import CELL, COLUMNS, GOOD, MINOR, sheet
from wardround.corpus.sampling import lines as plan_lines
from wardround.corpus.verdicts import lines, read_back
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.metrics.proportions import sample_size, wilson

Rows = list[dict[str, str]]


def table(path: Path) -> Rows:
    """The sheet under our own column names."""
    ours = {heading: name for name, heading in COLUMNS.items()}
    with open(path, encoding="utf-8-sig", newline="") as f:
        return [{ours[k]: v for k, v in row.items()} for row in csv.DictReader(f)]


def save(path: Path, rows: Rows, encoding: str = "utf-8-sig", delimiter: str = ",") -> Path:
    """The sheet as a spreadsheet program saves it."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(COLUMNS.values())
    writer.writerows([row[name] for name in COLUMNS] for row in rows)
    path.write_bytes(file.getvalue().encode(encoding))
    return path


def drawn(tmp_path: Path, **options: Any) -> tuple[Path, Path, Rows]:
    dataset, out = small(tmp_path / "dataset"), tmp_path / "sheet.csv"
    sheet(dataset, out, **options)
    return dataset, out, table(out)


def test_each_stratum_has_as_many_as_the_formula_says(tmp_path: Path) -> None:
    dataset, out = small(tmp_path / "dataset"), tmp_path / "sheet.csv"
    plan = sheet(dataset, out, half_width=0.2)
    assert {s.stratum: (s.size, s.n) for s in plan.strata} == {
        "triage/refined": (20, sample_size(20, half_width=0.2)),
        "triage/composed": (20, sample_size(20, half_width=0.2)),
        "treatment_plan/composed": (12, sample_size(12, half_width=0.2)),
    }
    rows = table(out)
    assert len(rows) == plan.n == len({r["id"] for r in rows})
    for s in plan.strata:
        assert sum(r["stratum"] == s.stratum for r in rows) == s.n
    by_specialty = sheet(dataset, out, by="specialty", half_width=0.2)
    assert len(by_specialty.strata) == 6
    assert by_specialty.size == 52


def test_the_whole_takes_fewer_and_every_stratum_is_seen(tmp_path: Path) -> None:
    plan = sheet(small(tmp_path / "d"), tmp_path / "s.csv", scope="whole", half_width=0.2)
    assert plan.n == sample_size(52, half_width=0.2)
    said = list(plan_lines(plan))
    assert f"{plan.n} / 52" in said[0] and "± 20.0%" in said[0]
    assert said[1].startswith("  分诊 · 模型改写 Triage · refined: ")
    assert all(s.n >= 1 for s in plan.strata)


def test_excel_opens_it_and_the_doctor_sees_all(tmp_path: Path) -> None:
    _, out, rows = drawn(tmp_path)
    data = out.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in data
    first = rows[0]
    assert (first["number"], first["of"]) == ("1", str(len(rows)))
    assert first["task"] == "分诊" and first["division"] == "模型改写"
    assert "【desc】" in first["passage"] and "made.jsonl" in first["source"]
    assert first["verdict"] == first["comment"] == ""
    assert "合格/有小问题/不合格" in COLUMNS["verdict"]


def test_no_cell_is_a_formula_or_too_long(tmp_path: Path) -> None:
    train = [
        sample(0, words="=1+1"),
        sample(1, words="长" * (CELL + 5)),
        sample(2, words="甲　乙\x00丙"),
    ]
    sheet(put(tmp_path / "d", train, [], []), tmp_path / "s.csv")
    texts = {r["id"]: r["output"] for r in table(tmp_path / "s.csv")}
    assert texts["d0000:triage"] == "'=1+1"
    assert len(texts["d0001:triage"]) == CELL and "略" in texts["d0001:triage"]
    assert texts["d0002:triage"] == "甲　乙丙"


def test_same_seed_same_sheet_whatever_the_order(tmp_path: Path) -> None:
    train = [sample(n) for n in range(200)]
    one, two = put(tmp_path / "a", train, [], []), put(tmp_path / "b", train[::-1], [], [])
    sheets = []
    for dataset, seed in ((one, 0), (two, 0), (one, 1)):
        out = tmp_path / "sheet.csv"
        sheet(dataset, out, seed=seed)
        sheets.append({r["id"] for r in table(out)})
    assert sheets[0] == sheets[1] != sheets[2]


def test_bad_numbers_and_empty_datasets_are_usage_errors(tmp_path: Path) -> None:
    dataset = small(tmp_path / "dataset")
    with pytest.raises(UsageError, match="half-width"):
        sheet(dataset, tmp_path / "s.csv", half_width=0)
    with pytest.raises(UsageError, match="confidence"):
        sheet(dataset, tmp_path / "s.csv", confidence=95)
    with pytest.raises(UsageError, match="no training samples"):
        sheet(put(tmp_path / "none", [], [], [dialogue(1)]), tmp_path / "s.csv")
    with pytest.raises(ArtifactError, match=r"train\.parquet"):
        sheet(tmp_path, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def test_verdicts_come_back_as_shares(tmp_path: Path) -> None:
    dataset, out, rows = drawn(tmp_path, half_width=0.2)
    for r in rows:
        r["verdict"] = "合格"
    triage = [r for r in rows if r["stratum"] == "triage/refined"]
    triage[0]["verdict"], triage[0]["comment"] = "不合格", "科室不对"
    triage[1]["verdict"] = " 有小问题 "
    plans = [r for r in rows if r["stratum"] == "treatment_plan/composed"]
    for r in plans:
        r["verdict"] = ""
    checked = read_back(dataset, save(out, rows))
    found = {s.stratum: s for s in checked.strata}
    one = found["triage/refined"]
    assert one.verdicts == {"合格": len(triage) - 2, "有小问题": 1, "不合格": 1}
    assert one.accuracy == wilson(len(triage) - 2, len(triage), size=20)
    assert one.acceptable == wilson(len(triage) - 1, len(triage), size=20)
    none = found["treatment_plan/composed"]
    assert (none.n, none.drawn, none.accuracy.value) == (0, len(plans), None)
    assert checked.covered == pytest.approx(40 / 52)
    assert checked.accuracy.value == pytest.approx((one.accuracy.value or 0) / 2 + 0.5)
    assert [(r.verdict, r.comment) for r in checked.remarks] == [
        ("不合格", "科室不对"),
        (MINOR, ""),
    ]
    assert checked.missing == 0
    text = "\n".join(lines(checked))
    assert "77%" in text or "76.9%" in text
    assert "未核对" in text


@pytest.mark.parametrize(
    ("encoding", "delimiter"),
    [("utf-8", ","), ("gb18030", ","), ("utf-16", "\t"), ("utf-8-sig", ";")],
)
def test_however_the_spreadsheet_saved_it(tmp_path: Path, encoding: str, delimiter: str) -> None:
    dataset, out, rows = drawn(tmp_path)
    for r in rows:
        r["verdict"], r["comment"] = GOOD, "两行\n意见，逗号"
    checked = read_back(dataset, save(out, rows, encoding, delimiter))
    assert checked.n == len(rows)
    assert checked.accuracy.value == checked.accuracy.high == 1.0
    assert checked.accuracy.low is not None and 0.9 < checked.accuracy.low < 1
    assert checked.remarks[0].comment == "两行\n意见，逗号"


def test_a_filled_sheet_is_never_drawn_over(tmp_path: Path) -> None:
    dataset, out, rows = drawn(tmp_path)
    sheet(dataset, out, seed=1)  # nobody has written on it yet
    rows = table(out)
    rows[3]["comment"] = "剂量偏大"
    written = save(out, rows).read_bytes()
    with pytest.raises(UsageError, match="what doctors wrote would be lost"):
        sheet(dataset, out)
    assert out.read_bytes() == written
    out.write_text("别的文件", encoding="utf-8")
    with pytest.raises(UsageError):
        sheet(dataset, out)


def test_short_rows_are_named_with_the_others(tmp_path: Path) -> None:
    dataset, out, rows = drawn(tmp_path)
    rows[0]["verdict"] = "还行"
    save(out, rows)
    lines_ = out.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    out.write_text("".join([*lines_, "1,2\r\n", "3\r\n"]), encoding="utf-8-sig")
    with pytest.raises(InputError) as caught:
        read_back(dataset, out)
    said = str(caught.value)
    assert "row 2: unknown verdict" in said
    assert said.count("only 2 cells") == said.count("only 1 cells") == 1


def test_a_sheet_saved_as_a_workbook(tmp_path: Path) -> None:
    dataset, _, rows = drawn(tmp_path)
    for r in rows:
        r["verdict"] = GOOD
    book = tmp_path / "check.xlsx"
    headings = [COLUMNS[name] for name in rows[0]]
    book.write_bytes(sheets.write_xlsx({"抽样": (headings, [list(r.values()) for r in rows])}))
    assert read_back(dataset, book).n == len(rows)


def test_deleted_rows_are_counted(tmp_path: Path) -> None:
    dataset, out, rows = drawn(tmp_path)
    assert read_back(dataset, save(out, rows[:-3])).missing == 3


def test_unknown_verdicts_and_rows_are_named_all_at_once(tmp_path: Path) -> None:
    dataset, out, rows = drawn(tmp_path)
    rows[0]["verdict"] = "还行"
    rows[1]["id"] = "d9999:triage"
    rows[3] = dict(rows[2])
    rows[4]["stratum"] = "triage/cardiology"
    with pytest.raises(InputError) as caught:
        read_back(dataset, save(out, rows))
    said = str(caught.value)
    assert "row 2: unknown verdict '还行'" in said
    assert "row 3: no training sample 'd9999:triage'" in said
    assert "row 5: " in said and "stands in row 4 already" in said
    assert "row 6: " in said and "is of triage/refined" in said
    assert "合格" in caught.value.hint


def test_one_bad_row_is_the_errors_row(tmp_path: Path) -> None:
    dataset, out, rows = drawn(tmp_path)
    rows[7]["verdict"] = "5"
    with pytest.raises(InputError, match="row 9") as caught:
        read_back(dataset, save(out, rows))
    assert caught.value.row == 9


def test_a_test_side_id_is_not_in_the_sheet(tmp_path: Path) -> None:
    _, _, rows = drawn(tmp_path)
    assert not any(r["id"].startswith("d02") for r in rows)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04rest", "CSV UTF-8"),
        (b"", "empty"),
        ("编号 id,层 stratum\n".encode(), "结论"),
        ("编号 id,层 stratum,结论 verdict\nd,triage/refined\n".encode(), "row 2"),
        ("编号 id,编号 id,层 s,结论 v\n".encode(), "two columns"),
    ],
)
def test_files_that_are_no_sheet(tmp_path: Path, data: bytes, said: str) -> None:
    dataset, out = small(tmp_path / "dataset"), tmp_path / "bad.csv"
    out.write_bytes(data)
    with pytest.raises((UsageError, InputError)) as caught:
        read_back(dataset, out)
    assert said in str(caught.value)
