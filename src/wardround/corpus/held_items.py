"""Items of held-out sets, read from whatever form a test set comes in, only to keep training text away from them.

Told apart by their fields, row by row: choice questions (ours, MedEthicEval and CMExam CSV, CMB JSON, MedQA and
MedBench JSONL), single turns (DoctorFLAN, LLMEval-Med, checklists, risky requests, answer files), several turns (DotaBench,
CMB-Clin, consultations with a history, chat messages). Lenient where a benchmark is strict: a row that could not be
*scored* can still leak, so every row with a question counts. A row that can't be read, or has none, is a hole in the
guard: it is handed on as `Unread`, and a file of nothing else is refused.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from wardround.corpus.asked import asked
from wardround.corpus.keys import without_instruction
from wardround.corpus.rules import core_name
from wardround.corpus.specialty import names_illness
from wardround.errors import InputError, UsageError
from wardround.records import Record
from wardround.rows import Bad, encoding_of, read_json_rows

_IN_ARTIFACT = ("doctorflan_test.jsonl", "dotabench.jsonl")
_QUESTION = (
    "question",
    "Question",
    "input",
    "problem",
    "request",
    "instruction",
    "query",
    "ask",
    "title",
)
_REFERENCE = ("reference", "output", "sanswer", "answer", "Explanation", "explanation", "rationale")
_LETTERED = re.compile(
    r"(?:^|(?<=[\s。；;？?）):：]))[(（<]?([A-H])(?:[)）>]|\s*[.．、:：]|[ \t])\s*"
)
_OF_THIS_CASE = re.compile(
    r"病人|患者|患儿|本例|该例|此例|病例|案例|下一步|此时|上述|[该此本这](?:种|个|项)?[病症药疾]|^(?:那|这|它|还有|另外|此外)"
)
"""A question with this in it is asked of the case before it."""


class Unread(Record, frozen=True, kw_only=True):
    """A row of a held-out file that nothing can be held against, and why."""

    file: str
    row: int
    reason: str


class Item(Record, frozen=True, kw_only=True):
    """One held-out item. `turns` are the further questions of a dialogue, `reference` its answer where it is prose.

    `alone` are questions that mean the same wherever they are asked, beside `question`; `pairs` each question with its
    answer."""

    id: str
    file: str
    row: int
    question: str
    options: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()
    reference: str = ""
    alone: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()


def read_items(path: Path, unread: Callable[[Unread], None] = lambda row: None) -> list[Item]:
    """Every item of a file, or of the test files in a dataset's directory; rows that hold none go to `unread`."""
    if path.is_dir():
        files = [path / name for name in _IN_ARTIFACT if (path / name).is_file()]
        if not files:
            raise UsageError(
                f"{path}: no {' or '.join(_IN_ARTIFACT)} in it", hint="name the test file itself"
            )
        return [item for f in files for item in read_items(f, unread)]
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="check --held-out")
    found, fields = [], ""

    def lost(number: int, why: str) -> None:
        unread(Unread(file=path.name, row=number, reason=why))

    for number, row in _rows(path, lost):
        mine = ", ".join(map(str, row))
        fields = fields or mine
        item = _item(row, path, number)
        if item is not None:
            found.append(item)
        else:
            lost(number, f"no question; the fields are {mine or 'none'}")
    if not found:
        raise InputError(
            f"no row has a question; the fields are {fields or 'none'}", path=path,
            hint=f"a held-out row has one of {', '.join(_QUESTION)}, turn_1_question, QA_pairs or messages",
        )  # fmt: skip
    return found


def _rows(path: Path, lost: Bad) -> Iterator[tuple[int, Mapping[str, Any]]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    elif suffix == ".csv":
        csv.field_size_limit(1 << 24)
        with open(path, encoding=encoding_of(path), newline="") as f:
            for number, row in enumerate(csv.DictReader(f), start=1):
                yield number, {str(k): v for k, v in row.items() if isinstance(v, str)}
    else:
        yield from _json_rows(path, lost)


def _json_rows(path: Path, lost: Bad) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of JSONL or of an array; of an object of arrays (LLMEval-Med), all rows in their order."""
    number = 0
    for row_number, row in read_json_rows(path, bad=lost) if not _one_object(path) else ():
        yield row_number, row
    for rows in (_one_object(path) or {}).values():
        for row in rows:
            number += 1
            if isinstance(row, Mapping):
                yield number, row
            else:
                lost(number, f"a {type(row).__name__}, not an object")


def _one_object(path: Path) -> dict[str, list[Any]] | None:
    import msgspec

    if path.suffix.lower() != ".json":
        return None
    try:
        whole = msgspec.json.decode(path.read_text(encoding=encoding_of(path)))
    except msgspec.DecodeError:
        return None
    lists = isinstance(whole, dict) and whole and all(isinstance(v, list) for v in whole.values())
    return whole if lists else None


def _text(row: Mapping[str, Any], names: Iterable[str]) -> str:
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
    return ""


def _item(row: Mapping[str, Any], path: Path, number: int) -> Item | None:
    turns = _turns(row)
    question = without_instruction(turns[0] if turns else _text(row, _QUESTION))
    if not question:
        return None
    options = _options(row, question)
    answers = [
        str(v) for k, v in sorted(row.items()) if re.fullmatch(r"turn_\d+_reference", str(k)) and v
    ]
    answers += [_text(p, ("answer",)) for p in row.get("QA_pairs") or () if isinstance(p, Mapping)]
    reference = "\n".join(answers) or _text(row, _REFERENCE)
    name = _text(row, ("id", "uuid", "prompt_id", "groupCode")) or f"row-{number}"
    title = core_name(_text(row, ("title",)).rpartition("-")[2])
    return Item(
        id=name, file=path.name, row=number, question=question, options=options,
        turns=tuple(turns[1:]), reference=reference if len(reference) > 8 else "",
        alone=_as_open(question) if options else tuple(t for t in turns[1:] if _alone(t, title)),
        pairs=tuple(_pairs(row)),
    )  # fmt: skip


def _alone(question: str, title: str) -> bool:
    """Whether a dialogue's later question names what it is about; else it is asked of its case ("如何治疗？"), and by
    itself it is everybody's."""
    named = names_illness(question) or (len(title) > 2 and title in question)
    return named and not _OF_THIS_CASE.search(question)


def _as_open(question: str) -> tuple[str, ...]:
    """A choice question as it is asked without its options, in the words a build puts it; () when it can't be."""
    stem = _LETTERED.split(question)[0].strip()
    found = asked(stem)
    if not found.asks:
        return ()
    if found.stem:
        return (f"{found.stem}\n问题：{found.asks}", stem)
    return () if _OF_THIS_CASE.search(stem) else (stem, found.asks)


def _pairs(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each question of a row with its answer, where it has one."""
    k = 1
    while question := _text(row, (f"turn_{k}_question",)):
        yield question, _text(row, (f"turn_{k}_reference",))
        k += 1
    for p in row.get("QA_pairs") or ():
        if isinstance(p, Mapping):
            yield _text(p, ("question",)), _text(p, ("answer",))
    for h in row.get("history") or ():
        if isinstance(h, list | tuple) and len(h) > 1:
            yield str(h[0]), str(h[1])
    listed = row.get("messages") or row.get("prompt")
    said = [m for m in listed if isinstance(m, Mapping)] if isinstance(listed, list) else []
    for one, other in pairwise(said):
        if (one.get("role"), other.get("role")) == ("user", "assistant"):
            yield _text(one, ("content",)), _text(other, ("content",))
    yield _text(row, _QUESTION), _text(row, _REFERENCE)


def _turns(row: Mapping[str, Any]) -> list[str]:
    """The questions of a dialogue in their order, case text in front of the first; [] for a single turn."""
    out = []
    k = 1
    while question := _text(row, (f"turn_{k}_question",)):
        out.append(question)
        k += 1
    pairs = row.get("QA_pairs")
    if isinstance(pairs, list):
        asked = [_text(p, ("question",)) for p in pairs if isinstance(p, Mapping)]
        described = _text(row, ("description",))
        out += [x for x in (described, *asked) if x]
    listed = row.get("messages") or row.get("prompt")
    if isinstance(listed, list):
        out += [
            _text(m, ("content",))
            for m in listed
            if isinstance(m, Mapping) and m.get("role") == "user"
        ]
    history = row.get("history")
    if isinstance(history, list) and history:
        out += [str(h[0]) for h in history if isinstance(h, list | tuple) and h]
        out.append(_text(row, ("instruction", "input")))
    return [x for x in out if x]


def _options(row: Mapping[str, Any], question: str) -> tuple[str, ...]:
    given: Any = row.get("options") or row.get("option") or row.get("Options")
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = ast.literal_eval(given)
        except (ValueError, SyntaxError):
            given = given.strip("[] ")
    if isinstance(given, Mapping):
        return _bare(given.values())
    if isinstance(given, list):
        return _bare(x.get("value", "") if isinstance(x, Mapping) else x for x in given)
    inside = given if isinstance(given, str) else question if "other" in row else ""
    marks = list(_LETTERED.finditer(inside))
    ends = [m.start() for m in marks[1:]] + [len(inside)] if marks else []
    found = [inside[m.end() : e].split("\n")[0] for m, e in zip(marks, ends, strict=True)]
    return _bare(found) if len(found) > 1 else ()


def _bare(texts: Iterable[object]) -> tuple[str, ...]:
    stripped: Sequence[str] = [
        re.sub(r"^\s*[A-H]\s*[.．、:：)）]\s*", "", str(t or "")).strip() for t in texts
    ]
    return tuple(t for t in stripped if t)
