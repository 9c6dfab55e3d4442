"""Chapters become sections under their headings, whatever the format."""

from pathlib import Path
from typing import Any

import pytest

from wardround.corpus import passages
from wardround.corpus.formats import inspect, rows
from wardround.corpus.kinds import documents_of
from wardround.errors import InputError
from wardround.records import Document, Exclusion


def sections(path: Path) -> list[tuple[list[str], str]]:
    source = inspect(path)
    assert source.kind == "passage"
    return [(r.value["headings"], r.value["text"]) for r in rows(path, source) if r.value]


TEXT = """前言里的一句话。
第三章 呼吸系统疾病
第一节 肺炎
一、病因
细菌、病毒等均可引起。
1.5 g 静脉滴注，每日两次。
一、发热3天，咳嗽伴胸痛。
【诊断】
胸片见浸润影。
第二节 哮喘
气道慢性炎症。
"""


def test_text_by_numbered_headings(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode("gb18030"))
    chapter = "第三章 呼吸系统疾病"
    assert sections(path) == [
        ([], "前言里的一句话。"),
        (
            [chapter, "第一节 肺炎", "一、病因"],
            "细菌、病毒等均可引起。\n1.5 g 静脉滴注，每日两次。\n一、发热3天，咳嗽伴胸痛。",
        ),
        ([chapter, "第一节 肺炎", "【诊断】"], "胸片见浸润影。"),
        ([chapter, "第二节 哮喘"], "气道慢性炎症。"),
    ]


def test_markdown(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(
        "---\ntitle: x\n---\n# 肺炎 #\n见[指南](http://x.invalid)，**首选**甲。\n\n哮喘\n====\n> 乙。\n\n"
        "```\n# 不是标题\n```\n## 治疗\n\n- 丙\n",
        encoding="utf-8",
    )
    assert sections(path) == [
        (["肺炎"], "见指南，首选甲。"),
        (["哮喘"], "乙。\n```\n# 不是标题\n```"),
        (["哮喘", "治疗"], "- 丙"),
    ]


def test_a_document_of_a_section(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# 肺炎\n## 治疗\n首选甲。\n", encoding="utf-8")
    source = inspect(path)
    (found,) = [d for r in rows(path, source) for d in documents_of(r, source)]
    assert isinstance(found, Document)
    assert (found.kind, found.title) == ("passage", "治疗")
    assert found.fields == {"headings": ("肺炎", "治疗"), "text": "首选甲。"}


def test_long_sections_are_parted_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    paragraphs = [f"第{n}段。" + "很长的一句话，说了又说。" * 150 for n in range(9)]
    paragraphs.append("没有句号" * 4000)
    path.write_text("第一章 长\n" + "\n".join(paragraphs), encoding="utf-8")
    found = sections(path)
    assert all(len(t) <= passages.LONGEST + 20 for _, t in found)
    assert all(h == ["第一章 长"] for h, _ in found)
    assert "".join(t for _, t in found).replace("\n", "") == "".join(paragraphs)


def test_docx(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_heading("呼吸系统", level=1)
    document.add_heading("肺炎", level=2)
    document.add_paragraph("首选甲。")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "项目", "结果"
    document.add_heading("哮喘", level=2)
    document.add_paragraph("乙。")
    path = tmp_path / "chapter"
    document.save(str(path))
    assert sections(path) == [
        (["呼吸系统", "肺炎"], "首选甲。\n项目 | 结果"), (["呼吸系统", "哮喘"], "乙。"),
    ]  # fmt: skip


def pdf(path: Path, pages: list[list[str]]) -> Path:
    """A PDF of lines in Helvetica; a page without lines is like a scan to a reader of text."""
    from pypdf import PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, StreamObject

    writer = PdfWriter()
    font = DictionaryObject(
        {NameObject(k): NameObject(v) for k, v in
         (("/Type", "/Font"), ("/Subtype", "/Type1"), ("/BaseFont", "/Helvetica"))}
    )  # fmt: skip
    for lines in pages:
        page: Any = writer.add_blank_page(595, 842)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        shown = "\n".join(f"({line}) Tj 0 -14 Td" for line in lines)
        stream = StreamObject()
        stream.set_data(f"BT /F1 12 Tf 50 800 Td\n{shown}\nET".encode())
        page[NameObject("/Contents")] = writer._add_object(stream)
    with open(path, "wb") as f:
        writer.write(f)
    writer.close()
    return path


def test_pdf_loses_running_heads_and_joins_broken_lines(tmp_path: Path) -> None:
    body = "Asthma is a chronic inflammation of the airways that makes"
    pages = [
        ["Internal Medicine", "Chapter 3 Asthma", body, "breathing hard.", "- 1 -"],
        ["Internal Medicine", "Steroids are the first choice in all of the cases, and so", "they are.", "- 2 -"],
        ["Internal Medicine", "Chapter 4 Pneumonia", "Bacteria.", "- 3 -"],
    ]  # fmt: skip
    assert sections(pdf(tmp_path / "a.pdf", pages)) == [
        (
            ["Chapter 3 Asthma"],
            f"{body} breathing hard.\nSteroids are the first choice in all of the cases, and so they are.",
        ),
        (["Chapter 4 Pneumonia"], "Bacteria."),
    ]


def test_a_scan_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text on its 2 pages: a scan"):
        inspect(pdf(tmp_path / "scan.pdf", [[], []]))


def test_pairs_of_question_and_answer_are_consultations(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    pairs = [f"第{n}号病怎么办？,我有第{n}号病，怎么办？\n多休息{n}天。\n\n\n" for n in range(1, 6)]
    pairs.append('第6号病怎么办？,详情\n"一、休息。\n二、""热敷""。"\n\n\n')
    pairs.append('第7号病怎么办？,详情\n"一、休息：\n\n\n第8号病怎么办？,详情\n多休息8天。\n')
    path.write_bytes("".join(pairs).encode("gb18030"))
    source = inspect(path)
    assert (source.kind, source.format) == ("consultation", "pairs")
    found = [d for r in rows(path, source) for d in documents_of(r, source)]
    assert len(found) == 8
    assert isinstance(found[1], Document)
    assert found[1].fields == {
        "title": "第2号病怎么办？", "questions": ("我有第2号病，怎么办？",), "answers": ("多休息2天。",),
    }  # fmt: skip
    assert found[1].provenance.row == 5
    assert isinstance(found[5], Document)
    assert found[5].fields["answers"] == ('一、休息。\n二、"热敷"。',)
    assert isinstance(found[6], Exclusion)
    assert found[6].reason == "truncated"
    assert isinstance(found[7], Document)
