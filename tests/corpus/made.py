"""Small sources for the tests, written here."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from wardround.corpus.formats import inspect, rows
from wardround.corpus.kinds import documents_of
from wardround.records import Document, Exclusion, Provenance

DESCRIPTION = (
    "现病史\n（1）病史摘要\n    患者，男，50岁，2天前受凉后咳嗽、发热。\n（2）主诉\n    咳嗽、发热2天。\n"
    "（3）既往史\n    体健。\n\n体格检查\n    T 38.9℃，右下肺湿啰音。\n\n辅助检查\n（1）实验室检查\n    WBC 15×10⁹/L。\n"
    "（2）胸片\n    右下肺片状影。"
)
ANSWERS = (
    "诊断：右下肺炎。\n诊断依据：\n①受凉后咳嗽、发热2天。\n②右下肺湿啰音，白细胞升高。\n③胸片见右下肺片状影。",
    "①肺结核：起病缓慢，低热盗汗，痰抗酸染色阳性。\n②肺癌伴阻塞性肺炎：同一部位反复发作，吸收缓慢。",
    "①经验性使用β-内酰胺类抗菌药物，48～72小时评价疗效。\n②退热、祛痰、补液，监测血氧饱和度。",
)
WORDS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈剑号巨阙珠称夜光果珍李柰菜重芥姜海咸河淡鳞潜羽翔"
QUESTIONS = ("请给出诊断及诊断依据。", "需要与哪些疾病鉴别？", "请制定治疗方案。")


def entry(name: str = "甲病", **fields: Any) -> dict[str, Any]:
    """An encyclopedia row with what most recipes need; a field set to None is left out."""
    row = {
        "name": name,
        "desc": f"{name}是一种为测试而写的疾病，多见于中年人，起病急，主要累及呼吸道。{told(name)}",
        "cause": f"{name}由受凉、劳累等诱因引起，机体抵抗力下降时容易发生，并可反复发作。{told(name, 2)}",
        "symptom": [f"{name[0]}处疼痛", "低热", "乏力", "夜间盗汗"],
        "check": [f"{name[0]}超声", "血常规", "胸片"],
        "cure_way": [f"{name[0]}素静脉滴注", "对症治疗"],
        "cure_lasttime": "2--3周",
        "recommand_drug": ["阿司匹林", "对乙酰氨基酚"],
        "cure_department": ["内科", "呼吸内科"],
        "easy_get": "好发于中年人",
        "get_way": "无传染性",
    }
    return {k: v for k, v in (row | fields).items() if v is not None}


def told(*seed: object, length: int = 150) -> str:
    """Words of no meaning, so that two made-up texts are not alike."""
    draw = random.Random(str(seed))
    return "".join(draw.choice(WORDS) for _ in range(length)) + "。"


def case(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A clinical case in the CMB-Clin schema, with a story of its own."""
    answers = ANSWERS if number == 1 else [f"{a}\n{told(number, i)}" for i, a in enumerate(ANSWERS)]
    pairs = [{"question": q, "answer": a} for q, a in zip(QUESTIONS, answers, strict=True)]
    row = {
        "id": f"t-{number}",
        "title": f"案例分析-第{number}号肺炎",
        "department": "呼吸内科",
        "description": DESCRIPTION
        if number == 1
        else DESCRIPTION.replace("天前受凉后", f"天前受凉后{told(number, length=300)}"),
        "QA_pairs": pairs,
    }
    return {k: v for k, v in (row | fields).items() if v is not None}


def write(path: Path, rows: list[Any], encoding: str = "utf-8") -> Path:
    """Rows as JSONL, or as a JSON array when the name ends in .json."""
    if path.suffix == ".json":
        text = json.dumps(rows, ensure_ascii=False, indent=1)
    else:
        text = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows)
    path.write_bytes(text.encode(encoding))
    return path


def document(
    number: int, title: str = "", kind: str = "encyclopedia", specialty: str = "cardiology"
) -> Document:
    """A bare document, for the steps that only look at where samples come from."""
    return Document(
        id=f"d{number:04}", kind=kind, title=title or f"病{number}", fields={"desc": f"第{number}号描述。"},
        departments=(), specialty=specialty,
        provenance=Provenance(file="made.jsonl", sha256="0" * 64, row=number + 1),
    )  # fmt: skip


def read(path: Path) -> list[Document | Exclusion]:
    """What a source comes to, document by document."""
    source = inspect(path)
    return [item for row in rows(path, source) for item in documents_of(row, source)]
