"""Tables out: no cell is a formula, and what goes out comes back."""

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from tests.survey.made import ADULT, CONFIG, TASKS, closed, full, judged, made, submit, told
from wardround import sheets
from wardround.store.database import Store
from wardround.survey import exchange, importing
from wardround.survey.answers import Added, Answer, Verdict, checked, clean
from wardround.survey.design import ASKED, DIMENSIONS, LONGEST, VERDICTS, profile, proposed
from wardround.survey.headings import ColumnMap, recognise
from wardround.survey.release import release
from wardround.survey.results import Given, results
from wardround.survey.results import given as answers_of

STARTS = st.sampled_from(
    ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%", "'", "''=", " =", "x"]
)
texts = st.builds("".join, st.lists(STARTS | st.text(max_size=6), max_size=5))


@given(texts)
@example("'=1+1")
@example('=HYPERLINK("http://x")')
def test_no_text_begins_a_formula_and_each_comes_back(text: str) -> None:
    cell = sheets.inert(text)
    assert sheets.plain(cell) == text
    assert cell.lstrip("\ufeff\u200b \t\r\n\x0b\x0c")[:1] not in tuple("=+-@＝＋－＠|%")
    assert cell[:1] not in ("\t", "\r", "\n")


DANGEROUS = "=cmd|' /C calc'!A0"


def test_files_hold_no_formula() -> None:
    rows = [[DANGEROUS, "+1", "-1", "@x", 5, 2.5, None]]
    data = sheets.write_csv(["=h", "b", "c", "d", "e", "f", "g"], rows)
    assert data.startswith(b"\xef\xbb\xbf")
    (head, row) = csv.reader(io.StringIO(data.decode("utf-8-sig")))
    assert head[0] == "'=h" and row == [f"'{DANGEROUS}", "'+1", "'-1", "'@x", "5", "2.5", ""]
    book = load_workbook(io.BytesIO(sheets.write_xlsx({"s": (["=h"] * 7, rows)})))
    cells = list(book["s"][2])
    assert [c.data_type for c in cells[:4]] == ["s"] * 4 and cells[0].value == f"'{DANGEROUS}"
    assert cells[4].value == 5


PROFILE = profile()
words = st.text(max_size=30).map(lambda s: clean(s, 60))
named = words.filter(bool)


@st.composite
def inspirations(draw: st.DrawFn) -> Answer:
    about = {
        k: draw(st.sampled_from([c.id for c in f.choices]))
        for k, f in PROFILE.items()
        if draw(st.booleans())
    }
    ratings = {
        t.key: {d: draw(st.sampled_from(DIMENSIONS[d].values)) for d in ASKED["inspiration"] if draw(st.booleans())}
        for t in TASKS
    }  # fmt: skip
    added = tuple(
        Added(slot=str(n), name=draw(named), example=draw(words), why=draw(words))
        for n in range(1, draw(st.integers(0, 3)) + 1)
    )
    made_ = Answer(profile=about, ratings=ratings, added=added, remark=draw(words))
    return something(checked(made_, "inspiration", TASKS, CONFIG)[0])


def something(answer: Answer) -> Answer:
    """An answer that says something: others are kept aside."""
    return msgspec.structs.replace(answer, remark="好") if answer.empty else answer


@st.composite
def feedbacks(draw: st.DrawFn) -> Answer:
    ratings = {
        t.key: {d: draw(st.sampled_from(DIMENSIONS[d].values)) for d in ASKED["feedback"] if draw(st.booleans())}
        for t in TASKS
    }  # fmt: skip
    verdicts = {
        t.key: msgspec.convert({"choice": draw(st.sampled_from(list(VERDICTS))), "words": draw(words)}, Verdict)
        for t in TASKS
        if draw(st.booleans())
    }  # fmt: skip
    made_ = Answer(ratings=ratings, verdicts=verdicts, remark=draw(words))
    return something(checked(made_, "feedback", TASKS, CONFIG)[0])


def read_back(data: bytes, path: Path, stage: str) -> list[Answer]:
    """The answers of a table, without a database."""
    path.write_bytes(data)
    sheet = sheets.read(path)
    read = recognise(sheet.headings, stage, TASKS)
    assert read.own and read.unknown(sheet.headings) == []
    survey: Any = type("S", (), {"stage": stage, "config": CONFIG})()
    reader = importing._Reader(survey, TASKS, sheet, read, ColumnMap())
    found = [reader.row(line) for line in sheet.rows]
    return [r.answer if isinstance(r, importing._Row) else Answer() for r in found]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(inspirations(), min_size=1, max_size=4), st.booleans())
def test_what_is_exported_in_full_comes_back(
    tmp_path: Path, said: list[Answer], xlsx: bool
) -> None:
    rows = [Given(code=f"{i:012x}", source="web", seconds=i, answer=a) for i, a in enumerate(said)]
    write = exchange.full_xlsx if xlsx else exchange.full_csv
    assert (
        read_back(write(rows, "inspiration", TASKS, CONFIG), tmp_path / "t", "inspiration") == said
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(feedbacks(), min_size=1, max_size=4), st.booleans())
def test_feedback_comes_back_too(tmp_path: Path, said: list[Answer], xlsx: bool) -> None:
    rows = [
        Given(code=f"{i:012x}", source="web", seconds=None, answer=a) for i, a in enumerate(said)
    ]
    write = exchange.full_xlsx if xlsx else exchange.full_csv
    assert read_back(write(rows, "feedback", TASKS, CONFIG), tmp_path / "t", "feedback") == said


def test_exported_answers_enter_another_copy_once(store: Store, tmp_path: Path) -> None:
    one = made(store, "one")
    for k in range(6):
        submit(store, one.id, full(frequency=k % 5, added=f"=补充 {k}" if k % 2 else ""))
    mine = answers_of(store, one.id)
    two = made(store, "two")
    path = tmp_path / "answers.csv"
    path.write_bytes(exchange.full_csv(mine, "inspiration", TASKS, CONFIG))
    sheet = sheets.read(path)
    first = importing.bring_in(store, two.id, sheet)
    assert (first.rows, first.new, first.known, first.aside) == (6, 6, 0, ())
    again = importing.bring_in(store, two.id, sheet)
    assert (again.new, again.known) == (0, 6)
    assert [a.answer for a in answers_of(store, two.id)] == [a.answer for a in mine]
    back = importing.bring_in(store, one.id, sheet)  # where they came from
    assert (back.new, back.known) == (0, 6)
    closed(store, two.id)
    assert results(store, two.id).imported == 6
    assert [e["after"]["new"] for e in told(store, "answers.imported")] == [6, 0, 0]  # type: ignore[index]


def test_a_released_table_has_no_text_and_no_rare_profile(tmp_path: Path) -> None:
    said = [full(added="只有我会写的话")] * 5 + [full(about={**ADULT, "title": "chief"})]
    rows = [Given(code=f"{i:012x}", source="web", seconds=9, answer=a) for i, a in enumerate(said)]
    answers, texts_ = exchange.released_csv(release(rows, 5), "inspiration", TASKS, CONFIG)
    assert "只有我会写的话" not in answers.decode() and "只有我会写的话" in texts_.decode()
    assert "主任医师" not in answers.decode() and "主治医师" not in texts_.decode()
    book = load_workbook(
        io.BytesIO(exchange.released_xlsx(release(rows, 5), "inspiration", TASKS, CONFIG))
    )
    assert book.sheetnames == ["answers", "texts", "scales"]
    assert [len(list(book[s].rows)) for s in book.sheetnames] == [7, 6, 21]


def test_results_and_links_as_tables(sqlite_store: Store) -> None:
    found = made(sqlite_store, "back", stage="feedback")
    for _ in range(6):
        submit(sqlite_store, found.id, judged(lambda _: "keep"))
    closed(sqlite_store, found.id)
    rows = list(
        csv.reader(
            io.StringIO(exchange.results_csv(results(sqlite_store, found.id)).decode("utf-8-sig"))
        )
    )
    assert len(rows) == 1 + len(TASKS) and len({len(r) for r in rows}) == 1
    assert rows[1][0] == "triage" and rows[1][-4:-2] == ["keep", "yes"]
    assert "https://x/s/abc" in exchange.links_csv(["https://x/s/abc"]).decode()
    assert LONGEST["name"] < 120 and len(proposed()) == 22
