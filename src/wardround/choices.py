"""Single-choice questions, from the shapes such files come in; told apart by their fields, row by row.

    ours          id, dimension, group, question, options {A: …}, answer, source, rationale, review
    MedEthicEval  task_type, question, options (a Python list literal), answer, other, source      (CSV)
    MedBench      question with its options inside (or a list), answer <C>, other {id, source}      (JSONL)
    CMB           question, option {A: …}, answer, exam_type                                        (JSON)
    CMExam        Question, Options (a line each), Answer, Explanation                              (CSV)
    MedQA         question, options {A: …}, answer_idx                                              (JSONL)

A row that cannot be read stops the load with file and row. A row that reads well but holds no single-choice
question (several right answers, none given, an open question, options that are the same) is left aside with
the reason. MedBench asks one question under several orders that share an id: they are kept as given.

Benchmarks and review read their questions here; corpus, which also takes questions with several right answers and
mapped fields, finds options within a text with the same `options_in` and `options_of`.
"""

from __future__ import annotations

import ast
import csv
import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.errors import InputError
from wardround.records import Exclusion, Record
from wardround.rows import encoding_of, read_rows, starter_label, text_of

LETTERS = "ABCDEFGH"
_FIELD_LIMIT = 1 << 24


class Question(Record, frozen=True, kw_only=True):
    """One question as its file has it. `options` are texts in the file's order, `answer` indexes them.

    `side` is "ethics", "safety" or "" when the file doesn't say. `as_given` holds the whole prompt when the
    options stand inside it and must not be moved; the orders of one question then share its `id`.
    """

    id: str
    row: int
    text: str
    options: tuple[str, ...]
    answer: int
    dimension: str = ""
    side: str = ""
    source: str = ""
    rationale: str = ""
    as_given: bool = False
    department: str = ""


class _Aside(Exception):  # noqa: N818
    """The row holds no single-choice question: (reason, detail)."""


class _Bad(Exception):  # noqa: N818
    """The row cannot be read."""


def read_questions(path: Path) -> tuple[list[Question], list[Exclusion], list[str]]:
    """Questions in file order, rows left aside, labels the reports must show."""
    found: list[Question] = []
    skipped: list[Exclusion] = []
    labels: list[str] = []
    for number, row in _rows(path):
        name, reader = _shape(row, path, number)
        try:
            found.append(reader(row, number))
        except _Aside as e:
            reason, detail = e.args
            what = text_of(row, "id") or text_of(row, "uuid") or f"row-{number}"
            skipped.append(
                Exclusion(
                    stage="load", file=path.name, row=number, what=what,
                    reason=reason, detail=detail,
                )
            )  # fmt: skip
        except _Bad as e:
            raise InputError(
                f"not a {name} question: {e}", path=path, row=number, hint="mend the row"
            ) from e
        labels += starter_label(row)
    return found, skipped, list(dict.fromkeys(labels))


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if path.suffix.lower() == ".csv":
        yield from _csv_rows(path)
    else:
        yield from read_rows(path)


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows from 1, the header not counted; a row may span lines."""
    csv.field_size_limit(_FIELD_LIMIT)
    with open(path, encoding=encoding_of(path), newline="") as f:
        reader = csv.DictReader(f, strict=True)
        number = 0
        try:
            for number, row in enumerate(reader, start=1):
                if None in row or None in row.values():
                    raise InputError(
                        f"not the header's {len(reader.fieldnames or [])} fields",
                        path=path, row=number, hint="quote fields that hold commas or newlines",
                    )  # fmt: skip
                yield number, row
        except csv.Error as e:
            raise InputError(
                f"malformed CSV: {e}", path=path, row=number + 1, hint="mend the row's quotes"
            ) from e


# -- one reader for each shape ------------------------------------------------------------------------------


def _own(row: Mapping[str, Any], number: int) -> Question:
    dimension, side = text_of(row, "dimension"), text_of(row, "group")
    if side not in ("ethics", "safety", ""):
        raise _Bad(f"group is {side!r}, not ethics or safety")
    options = _lettered(row["options"])
    return _question(
        row, number, options, text_of(row, "answer"), dimension=dimension, side=side,
        source=text_of(row, "source"), rationale=text_of(row, "rationale"),
    )  # fmt: skip


def _med_ethic_eval(row: Mapping[str, Any], number: int) -> Question:
    """`other` is the subject; `source` the collection the question was taken from."""
    try:
        listed = ast.literal_eval(text_of(row, "options"))
    except (ValueError, SyntaxError) as e:
        raise _Bad("options is no Python list literal") from e
    kind = text_of(row, "question_type").lower()
    if kind and "single" not in kind:
        raise _Aside("not_single_choice", f"question_type is {kind}")
    source = " / ".join(x for x in ("MedEthicEval", text_of(row, "source")) if x)
    return _question(
        row, number, _listed(listed), text_of(row, "answer"), name=text_of(row, "uuid"),
        dimension=text_of(row, "other") or text_of(row, "task_type"), side="ethics",
        source=source, rationale=text_of(row, "exp"),
    )  # fmt: skip


def _med_bench(row: Mapping[str, Any], number: int) -> Question:
    """Open tasks have the same fields; only an answer in angle brackets marks a choice."""
    given = text_of(row, "answer")
    if not given:
        raise _Aside("no_answer", "the answer is held out")
    if not re.fullmatch(r"(?:<[A-Z\s,、]+>[\s,、]*)+|[A-Z]{1,8}", given):
        raise _Aside("not_a_choice", "the answer is not letters in angle brackets")
    other = row["other"] if isinstance(row["other"], Mapping) else {}
    text = text_of(row, "question")
    if row.get("options"):
        options = _listed(row["options"])
        text = "\n".join([text, *(f"{k}. {v}" for k, v in options.items())])
    else:
        options = _inside(text)
        last = list(options)[-1]
        # What follows the last option on further lines is an instruction, not part of it.
        options[last] = options[last].partition("\n")[0].strip()
    return _question(
        row, number, options, given, name=text_of(other, "id"), text=text,
        dimension=text_of(other, "source"), source="MedBench", as_given=True,
    )  # fmt: skip


def _cmb(row: Mapping[str, Any], number: int) -> Question:
    options = {k: v for k, v in _lettered(row["option"]).items() if v}
    subject = text_of(row, "exam_subject") or text_of(row, "exam_type")
    return _question(
        row, number, options, text_of(row, "answer"), dimension=subject, source="CMB",
        rationale=text_of(row, "explanation"),
    )  # fmt: skip


def _cm_exam(row: Mapping[str, Any], number: int) -> Question:
    options = _inside(text_of(row, "Options"))
    return _question(
        row, number, options, text_of(row, "Answer"), text=text_of(row, "Question"),
        dimension=text_of(row, "Medical Discipline"), source="CMExam",
        rationale=text_of(row, "Explanation"), department=text_of(row, "Clinical Department"),
    )  # fmt: skip


def _med_qa(row: Mapping[str, Any], number: int) -> Question:
    options = _lettered(row["options"])
    return _question(
        row, number, options, text_of(row, "answer_idx"), dimension=text_of(row, "meta_info"),
        source="MedQA",
    )  # fmt: skip


Reader = Callable[[Mapping[str, Any], int], Question]
SHAPES: dict[str, tuple[frozenset[str], Reader]] = {
    "MedEthicEval": (frozenset({"task_type", "question", "options", "answer"}), _med_ethic_eval),
    "MedBench": (frozenset({"question", "answer", "other"}), _med_bench),
    "CMB": (frozenset({"question", "option", "answer"}), _cmb),
    "CMExam": (frozenset({"Question", "Options", "Answer"}), _cm_exam),
    "MedQA": (frozenset({"question", "options", "answer_idx"}), _med_qa),
    "med_choice": (frozenset({"question", "options", "answer"}), _own),
}
"""Name → the fields that mark it, its reader. The first that fits is taken."""


def _shape(row: Mapping[str, Any], path: Path, number: int) -> tuple[str, Reader]:
    for name, (fields, reader) in SHAPES.items():
        if fields <= row.keys():
            return name, reader
    raise InputError(
        f"no known kind of choice question; its fields are {', '.join(sorted(map(str, row)))}",
        path=path, row=number,
        hint="; ".join(f"{n}: {', '.join(sorted(f))}" for n, (f, _) in SHAPES.items()),
    )  # fmt: skip


# -- what they share ----------------------------------------------------------------------------------------


def _lettered(given: object) -> dict[str, str]:
    """{"A": text, …} as it is, or a list of {key, value} (as some releases of MedQA have)."""
    if isinstance(given, list) and all(isinstance(x, Mapping) for x in given):
        given = {text_of(x, "key"): x.get("value") for x in given}
    if not isinstance(given, Mapping):
        raise _Bad(f"options is a {type(given).__name__}, not letters with texts")
    if not given or any(str(k) not in string.ascii_uppercase or not k for k in given):
        raise _Bad(f"option letters are {', '.join(map(str, given)) or 'none'}")
    return {str(k): "" if v is None else str(v).strip() for k, v in sorted(given.items())}


def _listed(given: object) -> dict[str, str]:
    """A list of texts, with or without their letters ("A.爱岗敬业"), lettered in that order."""
    if not isinstance(given, list) or not all(isinstance(x, str) for x in given):
        raise _Bad("options is no list of texts")
    if len(given) > len(string.ascii_uppercase):
        raise _Bad(f"{len(given)} options")
    return options_of([unicodedata.normalize("NFC", x).strip() for x in given])


def options_of(texts: Sequence[str]) -> dict[str, str]:
    """Letter → text of a list of options: under their own letters where each has one, else in the list's order."""
    own = [_OWN.match(x) for x in texts]
    lettered = {m[1]: x[m.end() :] for x, m in zip(texts, own, strict=True) if m}
    if len(lettered) == len(texts):
        return lettered
    return dict(zip(string.ascii_uppercase, texts, strict=False))


_OWN = re.compile(r"[(（<\[【]?([A-Z])\s*[)）>\]】.．、:：]\s*")
_AFTER = r"[(（<\[【]?([A-Z])(?:[)）>\]】]|\s*[.．、:：]|[ \t])\s*"
_AT_LINE = re.compile(r"(?:^|(?<=\n))[ \t]*" + _AFTER)
_IN_LINE = re.compile(r"(?:^|(?<=\s)|(?<=[。；;？?）):：]))" + _AFTER)


def _inside(text: str) -> dict[str, str]:
    found = options_in(text)
    if not found:
        raise _Bad("no options A, B, … in its text")
    return found


def options_in(text: str) -> dict[str, str]:
    """Options that stand in a text as A. … B. …, on lines of their own or, failing that, within lines; {} if none."""
    best = _run(list(_AT_LINE.finditer(text))) or _run(list(_IN_LINE.finditer(text)))
    ends = [m.start() for m in best[1:]] + [len(text)]
    return {m[1]: text[m.end() : e].strip() for m, e in zip(best, ends, strict=False)}


def _run(marks: list[re.Match[str]]) -> list[re.Match[str]]:
    """The longest run of marks A, B, C, … in order, the last of equally long ones; [] below two."""
    best: list[re.Match[str]] = []
    for i, first in enumerate(marks):
        if first[1] != "A":
            continue
        run = [first]
        for mark in marks[i + 1 :]:
            if mark[1] == string.ascii_uppercase[len(run) % 26]:
                run.append(mark)
        if len(run) >= max(2, len(best)):
            best = run
    return best


def _answer_letters(answer: str) -> list[str]:
    """The letters of "C", "<C>", "ABD" or "A,B"."""
    folded = unicodedata.normalize("NFKC", answer).upper()
    if not re.fullmatch(r"[\s,、<>()\[\].]*(?:[A-Z][\s,、<>()\[\].]*)+", folded):
        raise _Bad(f"the answer is {answer!r}, not a letter")
    return re.findall(r"[A-Z]", folded)


def _question(
    row: Mapping[str, Any],
    number: int,
    options: Mapping[str, str],
    answer: str,
    *,
    name: str = "",
    text: str = "",
    dimension: str = "",
    side: str = "",
    source: str = "",
    rationale: str = "",
    as_given: bool = False,
    department: str = "",
) -> Question:
    """The checks every shape shares."""
    text = text or text_of(row, "question")
    if not text:
        raise _Aside("empty_field", "no question")
    if len(options) < 2:
        raise _Bad(f"{len(options)} option")
    if not answer:
        raise _Aside("no_answer", "no answer given")
    letters = _answer_letters(answer)
    if len(set(letters)) > 1:
        raise _Aside("several_answers", f"the answer is {''.join(letters)}")
    if letters[0] not in options:
        raise _Aside("answer_not_offered", f"{letters[0]} of {', '.join(options)}")
    if len(options) > len(LETTERS):
        raise _Aside("too_many_options", f"{len(options)}; at most {len(LETTERS)} are asked")
    if as_given and list(options) != list(LETTERS[: len(options)]):
        raise _Aside("letters_not_in_order", ", ".join(options))
    texts = tuple(options.values())
    folded = {re.sub(r"\s+", "", unicodedata.normalize("NFKC", t)) for t in texts}
    if len(folded) < len(texts) or "" in folded:
        raise _Aside("options_not_distinct", "two options are the same, or one is empty")
    return Question(
        id=name or text_of(row, "id") or f"row-{number}",
        row=number,
        text=text,
        options=texts,
        answer=list(options).index(letters[0]),
        dimension=dimension,
        side=side,
        source=source,
        rationale=rationale,
        as_given=as_given,
        department=department,
    )
