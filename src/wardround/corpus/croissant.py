"""Croissant metadata of a dataset: what files it has, their digests, and the fields of every row.

Croissant 1.0 (https://docs.mlcommons.org/croissant/docs/croissant-spec.html) with the responsible-AI terms that a
clinical data set must answer: where the text came from, what was done to it, what became of personal data, what it
is not fit for. Loaders that know the format (mlcroissant, TensorFlow Datasets, dataset search engines) read the
records through it; `contentUrl` is relative, so the directory can be moved whole.

Files without rows are left out, since a record set of nothing can't be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import sha256_file
from wardround.corpus.readback import DIALOGUES, DOTABENCH, TEST, TRAIN

NAME = "croissant.json"
CONFORMS = "http://mlcommons.org/croissant/1.0"
RAI = "http://mlcommons.org/croissant/RAI/1.0"

_TERMS = {
    "citeAs": "cr:citeAs", "column": "cr:column", "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet",
    "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
CONTEXT = {"@language": "zh", "@vocab": "https://schema.org/"} | _TERMS

_SAMPLE = {
    "category": "任务的英文名，DoctorFLAN 的列 / the task's English name, a column of DoctorFLAN",
    "input": "指令与病例或问题 / instruction with the case or question",
    "output": "参考答案 / reference answer",
    "id": "编号 / id",
    "task": "任务 / task id",
    "phase": "诊疗阶段 / phase of care",
    "specialty": "专科 / specialty id",
    "document": "来源文档编号，见 documents.jsonl / id of the source document",
    "recipe": "组成规则 / composition rule",
    "source_fields": "用到的来源字段 / source fields used",
    "refined": "是否由模型改写 / rewritten by a model",
}
_DIALOGUE = {
    "id": "编号 / id",
    "document": "来源文档编号 / id of the source document",
    "specialty": "专科 / specialty id",
    "title": "标题 / title",
    "context": "病例 / the case",
}
_DOTABENCH = {
    "id": "编号 / id",
    **{f"turn_{k}_question": f"第 {k} 问 / question {k}" for k in (1, 2, 3)},
    "reference": "三问的参考答案 / the three references",
    **{f"turn_{k}_reference": f"第 {k} 问的参考答案 / reference {k}" for k in (1, 2, 3)},
    "specialty": "专科 / specialty id",
    "document": "来源文档编号 / id of the source document",
    "title": "标题 / title",
}
_TYPES = {"refined": "sc:Boolean"}
_REPEATED = {"source_fields"}
_TURN = {"question": "问题 / question", "reference": "参考答案 / reference answer"}

_SETS: tuple[tuple[str, str, str, str, Mapping[str, str]], ...] = (
    ("train", TRAIN, "application/x-parquet", "训练样本 / training samples", _SAMPLE),
    ("test", TEST, "application/jsonlines", "测试样本 / held-out test samples", _SAMPLE),
    ("dialogues", DIALOGUES, "application/jsonlines", "训练用多轮病例 / training dialogues", _DIALOGUE),
    ("dotabench", DOTABENCH, "application/jsonlines", "测试用三轮病例 / held-out three-turn cases", _DOTABENCH),
)  # fmt: skip


def croissant(
    dataset: Path,
    coverage: Mapping[str, Any],
    labels: Iterable[str],
    *,
    name: str = "wardround-dataset",
    url: str | None = None,
) -> dict[str, Any]:
    """The content of croissant.json for the data files already in `dataset`, from its coverage.json and labels."""
    present = [s for s in _SETS if _has_rows(dataset / s[1], s[0], coverage)]
    train = sum(t["train"] for t in coverage["tasks"])
    test = sum(t["test"] for t in coverage["tasks"])
    found: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [CONFORMS, RAI],
        "name": name,
        "description": f"面向医生的指令数据集：训练 {train} 条，测试 {test} 条。 / Doctor-facing clinical instructions: "
        f"{train} training and {test} test samples. {' '.join(labels)}",
        "inLanguage": "zh",
        "keywords": ["medical", "clinical", "instruction", "doctor-facing", "Chinese"],
        "isLiveDataset": False,
        "license": licences(coverage["sources"]),
        "distribution": [_file(dataset, file, encoding) for _, file, encoding, _, _ in present],
        "recordSet": [_records(*s) for s in present],
        **responsible(coverage, labels),
    }
    return found | ({"url": url} if url else {})


def licences(sources: Sequence[Mapping[str, Any]]) -> list[str]:
    """The distinct licences of the sources, as stated."""
    return sorted({str(s["licence"]) for s in sources}) or ["unstated"]


def responsible(coverage: Mapping[str, Any], labels: Iterable[str]) -> dict[str, Any]:
    """The responsible-AI terms, each only from what the build recorded."""
    files = "；".join(f"{s['file']}（{s['kind']}，{s['licence']}）" for s in coverage["sources"])
    refined = coverage.get("refined")
    steps = ["由规则从来源文本组合 / composed from source text by rules"]
    if refined:
        steps.append(
            f"训练侧 {refined['kept']} 条答案由 {refined['model']} 改写并经规则检查 / "
            f"{refined['kept']} training answers rewritten by {refined['model']} and checked by rules"
        )
    terms: dict[str, Any] = {
        "rai:dataCollection": f"来源文件 / source files: {files}",
        "rai:dataPreprocessingProtocol": steps,
        "rai:dataLimitations": list(labels),
        "rai:dataUseCases": [
            "面向医生的语言模型的微调与评测，不用于诊疗 / tuning and evaluating language models for doctors, "
            "not for clinical use"
        ],
    }
    privacy = coverage.get("privacy")
    if privacy:
        n = sum(privacy["found"].values())
        terms["rai:personalSensitiveInformation"] = [
            f"构建时识别并替换了 {n} 处标识信息，{privacy['residue']} 处线索待人工核对（residue.jsonl）；自动识别不保证无遗漏 / "
            f"{n} identifiers found and replaced, {privacy['residue']} cues left for a person to clear; "
            "automatic detection is no guarantee"
        ]
    return terms


def _has_rows(path: Path, which: str, coverage: Mapping[str, Any]) -> bool:
    if not path.is_file():
        return False
    if which == "train":
        return any(t["train"] for t in coverage["tasks"])
    return path.stat().st_size > 0


def _file(dataset: Path, file: str, encoding: str) -> dict[str, Any]:
    path = dataset / file
    return {
        "@type": "cr:FileObject", "@id": file, "name": file, "contentUrl": file,
        "contentSize": f"{path.stat().st_size} B", "encodingFormat": encoding, "sha256": sha256_file(path),
    }  # fmt: skip


def _records(
    name: str, file: str, encoding: str, said: str, fields: Mapping[str, str]
) -> dict[str, Any]:
    made = [_field(name, file, column, words) for column, words in fields.items()]
    if fields is _DIALOGUE:
        made.append(_turns(name, file))
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": said, "key": {"@id": f"{name}/id"},
        "field": made,
    }  # fmt: skip


def _turns(records: str, file: str) -> dict[str, Any]:
    """The turns of a dialogue: a list whose items have a question and a reference."""
    column = {"fileObject": {"@id": file}, "extract": {"column": "turns"}}
    parts = [
        {
            "@type": "cr:Field", "@id": f"{records}/turns/{part}", "name": part, "description": words,
            "dataType": "sc:Text", "source": column | {"transform": {"jsonPath": part}},
        }
        for part, words in _TURN.items()
    ]  # fmt: skip
    return {
        "@type": "cr:Field", "@id": f"{records}/turns", "name": "turns", "repeated": True,
        "description": "各轮问答 / questions and references in order", "subField": parts,
    }  # fmt: skip


def _field(records: str, file: str, column: str, words: str) -> dict[str, Any]:
    field: dict[str, Any] = {
        "@type": "cr:Field", "@id": f"{records}/{column}", "name": column, "description": words,
        "dataType": _TYPES.get(column, "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    }  # fmt: skip
    return field | ({"repeated": True} if column in _REPEATED else {})
