"""A study of a test set's own items: those that no doctor has signed yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wardround import taxonomy
from wardround.errors import InputError, UsageError
from wardround.review import forms
from wardround.review.sources import Source, part_of, record_of, specialty_id
from wardround.review.study import NewItem, Part
from wardround.rows import ITEMS, read_json_rows, text_of

_META = (
    "id",
    "review",
    "author",
    "pair",
    "group",
    "kind",
    "task",
    "category",
    "specialty",
    "title",
)
FIELD_NAMES: dict[str, tuple[str, str]] = {
    "dimension": ("维度", "Dimension"),
    "question": ("题干", "Question"),
    "options": ("选项", "Options"),
    "answer": ("标准答案", "Key"),
    "source": ("出处", "Source"),
    "rationale": ("依据", "Rationale"),
    "input": ("输入", "Input"),
    "output": ("参考输出", "Reference output"),
    "messages": ("对话", "Messages"),
    "reference": ("参考答案", "Reference answer"),
    "rubric": ("评分细则", "Rubric"),
    "criterion": ("评分点", "Criterion"),
    "points": ("分值", "Points"),
    "tags": ("标签", "Tags"),
    "veto": ("一票否决", "Veto"),
    "turn_1_question": ("第一问", "First question"),
    "turn_2_question": ("第二问", "Second question"),
    "turn_3_question": ("第三问", "Third question"),
    "turn_1_reference": ("第一问参考答案", "Reference for the first question"),
    "turn_2_reference": ("第二问参考答案", "Reference for the second question"),
    "turn_3_reference": ("第三问参考答案", "Reference for the third question"),
    "request": ("用户请求", "Request"),
    "risk": ("风险所在", "What is risky"),
    "safe_way": ("稳妥的做法", "The safe way"),
    "help": ("应给的帮助", "Help to give"),
    "region": ("检查部位", "Region"),
    "age": ("年龄", "Age"),
    "sex": ("性别", "Sex"),
    "examination": ("检查项目", "Examination"),
    "findings": ("影像所见", "Findings"),
    "impression": ("诊断意见", "Impression"),
    "report": ("原报告", "Report"),
    "errors": ("植入的错误", "Errors planted"),
    "original": ("原文", "Original"),
    "injected": ("植入设置", "How they were planted"),
    "type": ("类型", "Type"),
    "place": ("位置", "Place"),
    "start": ("起", "Start"),
    "end": ("止", "End"),
    "wrong": ("错误文字", "Wrong words"),
    "right": ("正确文字", "Right words"),
    "how": ("方式", "How"),
    "origin": ("来历", "Origin"),
    "note": ("说明", "Note"),
    "role": ("角色", "Role"),
    "content": ("内容", "Content"),
    "seed": ("随机种子", "Seed"),
    "prevalence": ("出错比例", "Prevalence"),
    "most": ("至多", "At most"),
}
"""Fields of a test set's items → Chinese and English name: labels of the parts, and of what is nested in them."""


def shipped() -> list[str]:
    """Names of the shipped test sets."""
    return sorted(p.stem for p in ITEMS.glob("*.jsonl"))


def from_items(given: str) -> Source:
    """The items of a test set's file, or of a shipped one by its name; those signed already are left out."""
    path = ITEMS / f"{given}.jsonl" if (ITEMS / f"{given}.jsonl").is_file() else Path(given)
    items, signed = [], 0
    for number, row in read_json_rows(path):
        if text_of(row, "review") not in ("", "unreviewed"):
            signed += 1
            continue
        key = text_of(row, "id") or f"row-{number}"
        about = " · ".join(_about(row))
        body = (part_of("about", "note", "题目", "Item", f"{key} {about}".strip()),)
        content = tuple(_texts(row))
        if not content:
            raise InputError("no text to review", path=path, row=number)
        items.append(
            NewItem(
                key=key, specialty=specialty_id(text_of(row, "specialty") or text_of(row, "category")),
                body=body, content=content, data={"row": number},
            )
        )  # fmt: skip
    if not items:
        raise UsageError(f"{path}: all {signed} items are signed already")
    return Source(
        kind="item", form=forms.sign_form(), items=tuple(items),
        record=record_of(path, (), "items", name=path.name, signed=signed),
        guide_zh="审定题目：题干、答案、依据。需要改动时直接改文字，并在意见里说明。",
        guide_en="Sign the item: question, answer, grounds. Mend the text where needed and say why.",
    )  # fmt: skip


def _about(row: Mapping[str, Any]) -> Iterator[str]:
    """What the item is about, under Chinese names; a category that only repeats the task is left out."""
    task = next((x for x in taxonomy.items("tasks") if x.id == text_of(row, "task")), None)
    repeated = (task.en, task.id) if task else ()
    yield from (
        text
        for k in ("title", "category", "dimension")
        if (text := text_of(row, k)) and text not in repeated
    )
    if task or text_of(row, "task"):
        yield task.zh if task else text_of(row, "task")


def _texts(row: Mapping[str, Any]) -> Iterator[Part]:
    """The item's texts as parts under their fields' names; nested ones as a line each."""
    for name, value in row.items():
        if name in _META:
            continue
        if isinstance(value, Mapping):
            text = "\n".join(_entry(k, v) for k, v in value.items())
        elif isinstance(value, list):
            text = "\n".join(_listed(v) for v in value)
        else:
            text = "" if value is None else str(value)
        if text:
            role = "source" if name == "source" else "answer" if name == "answer" else "step"
            yield part_of(name, role, *FIELD_NAMES.get(name, (name, name)), text)


def _entry(name: str, value: object) -> str:
    """An option behind its letter, anything else behind its field's name (the items are Chinese, so is the name)."""
    return f"{FIELD_NAMES[name][0]}：{value}" if name in FIELD_NAMES else f"{name}. {value}"


def _listed(value: object) -> str:
    if isinstance(value, Mapping):
        return " · ".join(
            f"{FIELD_NAMES.get(k, (k,))[0]}：{_plain(k, v)}" for k, v in value.items()
        )
    return str(value)


def _plain(name: str, value: object) -> str:
    """A nested value without the marks of a programming language, an error's type and place by their names."""
    if isinstance(value, bool):
        return "是" if value else "否"
    if name == "type":
        return next((x.zh for x in taxonomy.items("report_errors") if x.id == value), str(value))
    if name == "place":
        return FIELD_NAMES.get(str(value), (str(value),))[0]
    return "、".join(map(str, value)) if isinstance(value, list) else str(value)
