"""Tables in: exports of other survey tools, mappings, rows that stay out."""

import csv
import io
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from tests.survey.made import TASKS, made
from wardround import sheets
from wardround.errors import ConflictError, InputError, UsageError
from wardround.store.database import Store
from wardround.survey import importing, values
from wardround.survey.answers import Added, Answer, Verdict
from wardround.survey.design import DIMENSIONS, VERDICTS, profile
from wardround.survey.headings import NONE, ColumnMap, read_mapping, recognise
from wardround.survey.results import given as answers_of

PROFILE = profile()

WJX = [
    "序号", "提交答卷时间", "所用时间", "来源", "来源详情", "来自IP", "1、您的科室", "2、您的职称", "3、您从业多少年？[单选题]",
    "4、有用程度—分诊", "4、有用程度—病历总结", "第5题(随访计划)", "第5题(疾病查询)", "6、“分诊”的风险有多大？",
    "7、还希望补充的任务", "8、补充任务的例子", "9、您的意见和建议：",
]  # fmt: skip
WJX_ROWS = [
    ["1", "2026/9/3 12:00:00", "128秒", "微信", "N/A", "10.0.0.1(北京)", "心内科", "主治医师", "5-10年", "非常有用(5)", "4",
     "每天", "从不", "5", "=危险", "例子", "(空)"],
    ["2", "2026/9/3 12:01:00", "2分8秒", "链接", "", "10.0.0.2(上海)", "其他〖骨病科〗", "规培医师", "3", "一般", "(跳过)",
     "每周", "-3", "1", "(空)", "", "不错"],
    ["3", "2026/9/3 12:02:00", "60秒", "链接", "", "", "骨科", "主任医师", "20年以上", "八分", "4", "每月", "每月", "1", "", "", ""],
    ["4", "2026/9/3 12:03:00", "61秒", "链接", "", "", "骨科", "主任医师", "20年以上", "", "", "", "", "", "", "", ""],
]  # fmt: skip
WJX_MAP = ColumnMap(questions={5: "frequency"})


def sheet_of(
    path: Path, headings: list[str], rows: list[list[str]], encoding: str = "gb18030"
) -> sheets.Sheet:
    out = io.StringIO()
    csv.writer(out).writerows([headings, *rows])
    path.write_bytes(out.getvalue().encode(encoding))
    return sheets.read(path)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-8", "utf-16"])
def test_wenjuanxing(sqlite_store: Store, tmp_path: Path, encoding: str) -> None:
    found = made(sqlite_store)
    sheet = sheet_of(tmp_path / "问卷星.csv", WJX, WJX_ROWS, encoding)
    with pytest.raises(UsageError, match="第5题"):
        importing.bring_in(sqlite_store, found.id, sheet)
    read = importing.read_columns(sqlite_store, found.id, sheet)
    (tmp_path / "map.yaml").write_bytes(importing.mapping_for(sqlite_store, found.id, sheet, read))
    assert read_mapping(tmp_path / "map.yaml") == ColumnMap(questions={5: "ignore"})
    said = importing.bring_in(sqlite_store, found.id, sheet, WJX_MAP)
    assert (said.rows, said.new, said.known) == (4, 2, 0)
    assert [(a.row, a.column) for a in said.aside] == [(4, "4、有用程度—分诊"), (5, "")]
    assert "八分" in said.aside[0].problem and said.aside[1].problem == "nothing is answered"
    assert said.left_out == ("来自IP",)
    assert all("来自IP" not in a.cells and "10.0" not in str(a.cells) for a in said.aside)
    assert said.others == {"specialty: 其他〖骨病科〗": 1}
    one, two = sorted(
        answers_of(sqlite_store, found.id), key=lambda g: g.seconds or 0, reverse=False
    )[:2]
    by = {g.answer.profile["specialty"]: g.answer for g in (one, two)}
    assert by["cardiology"] == Answer(
        profile={"specialty": "cardiology", "title": "attending", "years": "5_9"},
        ratings={
            "triage": {"usefulness": 5, "risk": 5}, "case_summary": {"usefulness": 4},
            "follow_up_plan": {"frequency": 4}, "disease_inquiry": {"frequency": 0},
        },
        added=(Added(slot="1", name="=危险", example="例子"),),
    )  # fmt: skip
    assert by["other"].profile == {"specialty": "other", "title": "resident", "years": "under_5"}
    assert by["other"].remark == "不错" and by["other"].ratings["triage"] == {
        "usefulness": 3,
        "risk": 1,
    }
    assert {g.seconds for g in (one, two)} == {128}
    again = importing.bring_in(sqlite_store, found.id, sheet, WJX_MAP)
    assert (again.new, again.known) == (0, 2)
    changed = [list(r) for r in WJX_ROWS]
    changed[0][10] = "1"
    other = importing.bring_in(
        sqlite_store, found.id, sheet_of(tmp_path / "b.csv", WJX, changed), WJX_MAP
    )
    assert other.new == 0 and "before with other answers" in other.aside[0].problem


TENCENT = [
    "编号", "开始答题时间", "结束答题时间", "答题时长", "语言", "清洗数据结果", "智能清洗数据无效概率", "地理位置国家和地区", "地理位置省",
    "地理位置市", "用户类型", "用户标识", "昵称", "自定义字段", "1.所在科室", "2.职称", "3.工作年限",
    "4.使用频率:分诊", "4.使用频率:病历总结", "5.大概能节省多少时间:分诊", "IP", "UA", "Referrer", "",
]  # fmt: skip
TENCENT_ROWS = [
    ["1", "2026-09-03 10:00:00", "2026-09-03 10:02:11", "00:02:11", "中文", "", "", "中国", "广东省", "深圳市", "微信", "o123", "张医生",
     "", "B.呼吸科", "C.副主任医师", "12年", "E.每天", "B.每年几次", "C.5-15分钟", "10.0.0.9", "Mozilla", "", ""],
    ["2", "2026-09-03 10:00:00", "2026-09-03 10:05:00", "5分0秒", "中文", "", "", "中国", "", "", "", "", "李医生", "", "内科", "护士", "",
     "A.从不", "", "", "10.0.0.9", "", "", ""],
]  # fmt: skip


def test_tencent(sqlite_store: Store, tmp_path: Path) -> None:
    found = made(sqlite_store)
    book = Workbook()
    page = book.active
    assert page is not None
    for row in [TENCENT, *TENCENT_ROWS]:
        page.append(row)
    book.save(tmp_path / "腾讯问卷.xlsx")
    sheet = sheets.read(tmp_path / "腾讯问卷.xlsx")
    said = importing.bring_in(sqlite_store, found.id, sheet)
    assert (said.new, said.aside) == (2, ())
    assert set(said.left_out) >= {"昵称", "用户标识", "IP", "UA", "地理位置省"}
    assert said.others == {"specialty: 内科": 1, "title: 护士": 1}
    stored = answers_of(sqlite_store, found.id)
    mine = next(g for g in stored if g.answer.profile["specialty"] == "respiratory")
    assert mine.answer.profile == {
        "specialty": "respiratory",
        "title": "associate_chief",
        "years": "10_19",
    }
    assert mine.answer.ratings == {
        "triage": {"frequency": 4, "time": 2},
        "case_summary": {"frequency": 1},
    }
    assert mine.seconds == 131
    assert "张医生" not in str(stored) and "10.0.0.9" not in str(stored)


def test_option_numbers_are_places_or_values(sqlite_store: Store, tmp_path: Path) -> None:
    found = made(sqlite_store)
    heads = ["序号", "1、频率—分诊", "1、频率—病历总结", "2、有用程度—分诊"]

    def go(name: str, rows: list[list[str]], mapping: ColumnMap = NONE) -> importing.Imported:
        return importing.bring_in(
            sqlite_store, found.id, sheet_of(tmp_path / name, heads, rows), mapping
        )

    go("places", [["1", "5", "1", "5"], ["2", "2", "", "1"]])
    by = {
        g.answer.ratings["triage"]["usefulness"]: g.answer
        for g in answers_of(sqlite_store, found.id)
    }
    assert (
        by[5].ratings["triage"]["frequency"] == 4
        and by[5].ratings["case_summary"]["frequency"] == 0
    )
    go("values", [["3", "0", "4", "3"]])
    with pytest.raises(UsageError, match="numbers"):
        go("unclear", [["4", "1", "4", "2"]])
    done = go("unclear", [["4", "1", "4", "2"]], ColumnMap(numbers="position"))
    assert done.new == 1
    wrong = go("mixed", [["5", "9", "1", "3"], ["6", "5", "1", "3"]], ColumnMap(numbers="position"))
    assert wrong.new == 1 and "9 is no option" in wrong.aside[0].problem


def test_a_mapping_names_what_headings_do_not(sqlite_store: Store, tmp_path: Path) -> None:
    found = made(sqlite_store)
    heads = ["Q1", "分诊", "备用列", "科室"]
    sheet = sheet_of(
        tmp_path / "a.csv", heads, [["张三", "甲", "x", "七"], ["李四", "乙", "", "七"]]
    )
    read = importing.read_columns(sqlite_store, found.id, sheet)
    assert [h for _, h in read.unknown(heads)] == ["Q1", "分诊", "备用列"]
    path = tmp_path / "map.yaml"
    path.write_bytes(importing.mapping_for(sqlite_store, found.id, sheet, read))
    empty = read_mapping(path)
    assert empty.columns == {"Q1": "ignore", "分诊": "ignore", "备用列": "ignore"}
    path.write_text(
        "columns: {'#1': private, 分诊: triage.usefulness, 备用列: ignore}\n"
        "values: {usefulness: {甲: 5, 乙: 9}, specialty: {七: urology}}\n"
    )
    said = importing.bring_in(sqlite_store, found.id, sheet, read_mapping(path))
    assert said.new == 1 and "not on the scale" in said.aside[0].problem
    (mine,) = answers_of(sqlite_store, found.id)
    assert mine.answer == Answer(
        profile={"specialty": "urology"}, ratings={"triage": {"usefulness": 5}}
    )
    for wrong in (
        "columns: {没有: ignore}", "columns: {分诊: triage.nonsense}", "questions: {3: shoe}", "nonsense: 1", "[",
    ):  # fmt: skip
        path.write_text(wrong)
        with pytest.raises((UsageError, InputError)):
            importing.read_columns(sqlite_store, found.id, sheet, read_mapping(path))
    with pytest.raises(UsageError):
        read_mapping(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("heading", "target"),
    [
        ("1、您所在的科室是？", "specialty"), ("Q2. 您的职称：", "title"), ("3、您从医多少年？", "years"),
        ("4、您医院的级别", "hospital"), ("5、风险[矩阵单选题]—病历总结", "case_summary.risk"),
        ("第6题(分诊)", ""), ("7、分诊(有用程度)", "triage.usefulness"), ("8.省时——随访计划", "follow_up_plan.time"),
        ("9、Frequency:Case Summary", "case_summary.frequency"), ("10、分诊的频率和风险—分诊", ""),
        ("11、您的手机号码", ""), ("手机号码", "private"), ("12、补充任务2的理由", "added.2.why"), ("13、天气如何", ""),
        ("triage.risk 随便什么", "triage.risk"), ("14、有用程度—分诊（判断挂哪个科）", "triage.usefulness"),
        ("15、其他建议", "remark"), ("16、有用程度-病历总结", "case_summary.usefulness"),
    ],
)  # fmt: skip
def test_headings(heading: str, target: str) -> None:
    assert recognise([heading], "inspiration", TASKS).targets == (target,)


def test_headings_of_the_second_stage_and_twins() -> None:
    read = recognise(["1、取舍—分诊", "2、修改意见—分诊", "3、风险—分诊"], "feedback", TASKS)
    assert read.targets == ("triage.verdict", "triage.words", "")
    with pytest.raises(UsageError, match="two columns"):
        recognise(["1、风险—分诊", "2、后果—分诊"], "inspiration", TASKS)


def test_every_level_and_choice_is_understood_by_its_own_words() -> None:
    for d in DIMENSIONS.values():
        for level in d.levels:
            for word in (
                level.anchor_zh,
                level.anchor_en,
                level.zh,
                str(level.value),
                f"B.{level.anchor_zh}",
            ):
                assert values.rating(d.id, word, "value") == level.value, (d.id, word)
            assert (
                values.rating(d.id, str(d.values.index(level.value) + 1), "position") == level.value
            )
            assert values.rating(d.id, f"{level.anchor_zh}({level.value})", "value") == level.value
    for f in PROFILE.values():
        for c in f.choices:
            for word in (c.zh, c.en, *c.aliases, f"A、{c.zh}"):
                assert values.about(f.id, word, "value")[0] == c.id, word
    for choice, names in VERDICTS.items():
        assert {values.verdict(n) for n in (*names, choice, f"C.{names[0]}")} == {choice}
    for dimension in DIMENSIONS:
        for wrong in ("六", "9", "", "非常"):
            with pytest.raises(values.FaultError):
                values.rating(dimension, wrong, "value")


@pytest.mark.parametrize(
    ("cell", "seconds"),
    [("128秒", 128), ("2分8秒", 128), ("00:02:08", 128), ("2:08", 128), ("1小时1分", 3660), ("90", 90), ("很久", None), ("", None)],
)  # fmt: skip
def test_durations(cell: str, seconds: int | None) -> None:
    assert values.seconds(cell) == seconds


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for data, said in (
        (b"", "empty"), (b"\xff\xfe\x00\xd8x", "utf-16"), (b'"a,b\n1,2', "malformed"),
        (b"PK\x03\x04nonsense", "XLSX"), (b"\xd0\xcf\x11\xe0\xa1\xb1", ".xls"),
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(InputError, match=said):
            sheets.read(path)
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("x.xml", "<x/>")
    with pytest.raises(InputError):
        sheets.read(path)
    with pytest.raises(UsageError):
        sheets.read(tmp_path / "none")


def test_what_import_refuses(sqlite_store: Store, tmp_path: Path) -> None:
    draft = made(sqlite_store, open_=False)
    sheet = sheet_of(tmp_path / "a.csv", ["triage.risk"], [["5"]])
    with pytest.raises(ConflictError):
        importing.bring_in(sqlite_store, draft.id, sheet)
    found = made(sqlite_store, "open")
    with pytest.raises(UsageError, match="says anything"):
        importing.bring_in(
            sqlite_store, found.id, sheet_of(tmp_path / "b.csv", ["序号", "昵称"], [["1", "x"]])
        )
    with pytest.raises(UsageError, match="column 2"):
        importing.bring_in(
            sqlite_store, found.id, sheet_of(tmp_path / "c.csv", ["triage.risk", ""], [["1", "x"]])
        )
    said = importing.bring_in(
        sqlite_store,
        found.id,
        sheet_of(tmp_path / "d.csv", ["triage.risk"], [["1", "x"], ["1"], ["1"]]),
    )
    assert (
        said.aside[0].problem == "more cells than headings" and said.new == 2
    )  # two alike are two people


def test_feedback_words_without_a_verdict_are_not_lost(sqlite_store: Store, tmp_path: Path) -> None:
    found = made(sqlite_store, "back", stage="feedback")
    heads = ["1、取舍—分诊", "2、修改意见—分诊"]
    importing.bring_in(
        sqlite_store,
        found.id,
        sheet_of(tmp_path / "a.csv", heads, [["修改后保留", "写短些"], ["", "太长"]]),
    )
    said = {g.answer.remark: g.answer for g in answers_of(sqlite_store, found.id)}
    assert said[""].verdicts == {"triage": Verdict(choice="amend", words="写短些")}
    assert "分诊：太长" in said
