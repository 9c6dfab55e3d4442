"""Rows → documents: the kinds of source, told apart by their fields.

    encyclopedia   QASystemOnMedicalKG: name with desc, cause, symptom, … and any further field
    case           CMB-Clin: title, description, QA_pairs
    choice         CMB, CMExam, MedQA: question, options, answer, with or without an explanation
    consultation   CMtMedQA: instruction, input, output, history; Toyhom: department, title, ask, answer
    passage        headings and text (a section of a chapter)
    fhir           a bundle of FHIR R4 resources

`documents_of` is pure: the same row and source give the same documents, in whatever process. A document's id
is a digest of its content, so it is the same in whatever file, encoding or order it comes. Values are tidied
(`corpus.text.tidy`); placeholders ("查看更多", "暂无") and list items that a web page cut off
("发热伴咳嗽、咯...") are left out, as are empty fields. Words are never changed; traditional script becomes simplified (`text.tidy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from wardround import taxonomy
from wardround.artifact import digest_of
from wardround.corpus import mapping as mapped
from wardround.corpus.cases import without_echo
from wardround.corpus.choice import choice
from wardround.corpus.consultation import consultation
from wardround.corpus.drafts import Draft, content, listed, shortened, text
from wardround.corpus.fhir import patients
from wardround.corpus.lines import Row
from wardround.corpus.source import Source
from wardround.corpus.template import Value
from wardround.records import Document, Exclusion, Provenance

ENCYCLOPEDIA, CASE, CHOICE = "encyclopedia", "case", "choice"
CONSULTATION, PASSAGE, FHIR = "consultation", "passage", "fhir"
KNOWN = (
    "an encyclopedia row has name and desc, cause, symptom, check, cure_way or treatment; "
    "a case has description and QA_pairs; a choice question has question, options and answer; "
    "a consultation has instruction, output and history, or ask and answer"
)
_ARTICLE_FIELDS = frozenset({"desc", "cause", "symptom", "check", "cure_way", "treatment"})
_NOT_CONTENT = frozenset({"_id", "id", "departments"})
_PREFIX = {ENCYCLOPEDIA: "enc", CASE: "case", CHOICE: "mcq", CONSULTATION: "talk", PASSAGE: "text"}
_MARKS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"resourceType"}), FHIR),
    (frozenset({"description", "QA_pairs"}), CASE),
    (frozenset({"question", "option", "answer"}), CHOICE),
    (frozenset({"Question", "Options", "Answer"}), CHOICE),
    (frozenset({"question", "options", "answer"}), CHOICE),
    (frozenset({"question", "options", "answer_idx"}), CHOICE),
    (frozenset({"instruction", "output", "history"}), CONSULTATION),
    (frozenset({"ask", "answer"}), CONSULTATION),
    (frozenset({"headings", "text"}), PASSAGE),
)

Made = list[Document | Exclusion]


def kind_of(row: Mapping[str, Any]) -> str:
    """The kind of a row by its fields; "" for none that is known."""
    for marks, kind in _MARKS:
        if marks <= row.keys():
            return kind
    return ENCYCLOPEDIA if "name" in row and _ARTICLE_FIELDS & row.keys() else ""


def documents_of(row: Row, source: Source) -> Made:
    """The documents of a row, most often one; what is not read of it as exclusions with their reason."""
    if row.value is None:
        return [aside(source, row.number, f"row {row.number}", row.reason, row.problem)]
    value = row.value if source.mapping is None else mapped.apply(source.mapping, row.value)
    made: Made = []
    try:
        for draft in READERS[source.kind](value):
            document = _document(draft, source, row.number)
            made.append(document)
            made += [aside(source, row.number, document.id, *why) for why in draft.aside]
    except ValueError as problem:
        reason = problem.args[1] if len(problem.args) > 1 else "schema_mismatch"
        made.append(aside(source, row.number, f"row {row.number}", reason, problem.args[0]))
    return made


def aside(source: Source, row: int, what: str, reason: str, detail: str) -> Exclusion:
    """An exclusion of the reading step."""
    return Exclusion(
        stage="read", file=source.file, row=row, what=what, reason=reason, detail=detail
    )


Reader = Callable[[Mapping[str, Any]], Iterable[Draft]]
"""Raises ValueError(detail) for a row that is not of its kind, ValueError(detail, reason) for another reason."""


def _document(draft: Draft, source: Source, number: int) -> Document:
    labels = draft.departments
    departments = (labels,) if isinstance(labels, str) else labels
    departments = tuple(filter(None, departments))
    digest = digest_of([source.kind, draft.title, draft.fields])
    return Document(
        id=f"{_PREFIX.get(source.kind, source.kind)}-{digest[:16]}",
        kind=source.kind,
        title=draft.title,
        fields=draft.fields,
        departments=departments,
        specialty=_specialty(departments),
        provenance=Provenance(
            file=source.file, sha256=source.sha256, row=number, licence=source.licence
        ),
    )


@lru_cache(1 << 12)
def _specialty(departments: tuple[str, ...]) -> str:
    return taxonomy.specialty_of(
        [part.strip() for label in departments for part in label.split("/")]
    )


# -- the kinds read here ------------------------------------------------------------------------------------


def _entry(row: Mapping[str, Any]) -> Iterable[Draft]:
    title = text(row.get("name"))
    if not title:
        raise ValueError("no name in it")
    fields = {k: content(v) for k, v in row.items() if k not in _NOT_CONTENT}
    said = content(row.get("departments"))
    labels = said or fields.get("cure_department") or fields.get("category") or ()
    draft = Draft(title, fields, labels)
    if len(draft.fields) < 2:
        raise ValueError("nothing in it but the name", "empty_field")
    yield draft


def _case(row: Mapping[str, Any]) -> Iterable[Draft]:
    description = text(row.get("description"))
    pairs = row.get("QA_pairs")
    if pairs is None and "question" in row:
        pairs = _side_by_side(row)
    if not description or not isinstance(pairs, list):
        raise ValueError("a case needs a description and a list QA_pairs")
    questions: list[str] = []
    answers: list[str] = []
    for pair in pairs:
        if not isinstance(pair, dict):
            raise ValueError("a QA pair is not an object")
        question, answer = text(pair.get("question")), text(pair.get("answer"))
        if not question or not answer:
            break
        questions.append(question)
        answers.append(without_echo(answer, question))
    heading = text(row.get("title")) or text(row.get("id")) or shortened(description)
    fields: dict[str, Value] = {"heading": heading, "description": description}
    fields |= {"questions": tuple(questions), "answers": tuple(answers)}
    department = content(row.get("department") or row.get("departments"))
    fields["department"] = department
    # CMB-Clin titles read "chapter 案例分析-disease".
    draft = Draft(heading.rpartition("案例分析-")[2].strip() or heading, fields, department)
    if len(questions) < len(pairs):
        draft.aside.append((
            "pair_incomplete",
            f"question {len(questions) + 1} of {len(pairs)} lacks question or answer; it and what follows are left out",
        ))  # fmt: skip
    yield draft


def _side_by_side(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pairs of a mapped row, whose questions and answers stand in two lists."""
    questions, answers = listed(row.get("question")), listed(row.get("answer"))
    if len(questions) != len(answers):
        raise ValueError(f"{len(questions)} questions with {len(answers)} answers")
    return [{"question": q, "answer": a} for q, a in zip(questions, answers, strict=True)]


def _passage(row: Mapping[str, Any]) -> Iterable[Draft]:
    headings = tuple(filter(None, map(text, listed(row.get("headings")))))
    body = text(row.get("text"))
    if not body:
        raise ValueError("no text under this heading", "empty_field")
    title = headings[-1] if headings else shortened(body)
    yield Draft(title, {"headings": headings, "text": body}, content(row.get("departments")))


READERS: dict[str, Reader] = {
    ENCYCLOPEDIA: _entry, CASE: _case, CHOICE: choice, CONSULTATION: consultation,
    PASSAGE: _passage, FHIR: patients,
}  # fmt: skip
