"""Documents with consecutive questions → dialogues; held-out ones of three questions → DotaBench's format.

The first question carries the case; each later one is asked as it stands, so it builds on the turns before
it. For training two questions or more will do. The test format has exactly three, so a held-out case with
another number is set aside and counted.

A question with options, one that points at a picture, and one for the diagnosis whose answer names none are no turns. A case's questions are a doctor's. A consultation's are a patient's: they are set before the doctor as what the
patient says, the references are the doctor's replies without greetings and wishes, and the dialogue ends before the
first reply that is no reference (thin, advertising, reworded by a machine). `DOCTOR_ASKS` names the kinds whose
dialogues may stand in a test for doctors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wardround.corpus import chat
from wardround.corpus import rules as r
from wardround.corpus.cases import is_choice, sections
from wardround.corpus.text import sentence, typeset
from wardround.corpus.values import question_pairs
from wardround.records import Dialogue, Document, Exclusion, Turn
from wardround.taxonomy import UNMAPPED

TEST_TURNS = 3
LEAST_TURNS = 2
DOCTOR_ASKS = frozenset({"case"})
KINDS = frozenset({"case", "consultation"})
LEAST_REPLY = 30


def dialogue_of(document: Document) -> Dialogue:
    """The dialogue of a document, with as many turns as it has questions that can be used; none for kinds that
    have no questions."""
    if document.kind == "consultation":
        context, turns = _consultation(document)
    elif document.kind in DOCTOR_ASKS:
        context, turns = _case(document)
    else:
        context, turns = "", []
    return Dialogue(
        id=document.id, document=document.id, specialty=document.specialty, title=document.title,
        context=context, turns=tuple(turns),
    )  # fmt: skip


def _case(document: Document) -> tuple[str, list[Turn]]:
    context = sections(str(document.fields["description"])).text
    if _HOLDS_ANSWERS.search(context) or r.sides_differ(context):
        return "", []
    turns = [
        Turn(question=typeset(q), reference=sentence(a))
        for q, a in question_pairs(document)
        if not (is_choice(q) or _undiagnosed(q, a) or _shows_picture(q, context))
    ]
    if turns:
        turns[0] = Turn(question=f"{context}\n\n{turns[0].question}", reference=turns[0].reference)
    return context, turns


_ASKS_DIAGNOSIS = re.compile(r"诊断(?:是|为)(?:什么|何)|什么诊断|何诊断")


_PICTURE = re.compile(r"根据(?:所示|本例|该)?[^，。]{0,6}?(CT|MRI|X线|胸片|造影|图)")
_HOLDS_ANSWERS = re.compile(r"^[^，。；：]{0,12}答案[：:]?$", re.M)


def _shows_picture(question: str, context: str) -> bool:
    """Whether a question points at an examination that the case tells nothing of: its picture isn't there."""
    m = _PICTURE.match(question)
    return m is not None and m[1] not in context


def _undiagnosed(question: str, answer: str) -> bool:
    """Whether what is asked is the diagnosis and the answer gives none."""
    return _ASKS_DIAGNOSIS.search(question) is not None and not r.diagnoses(answer)


def _consultation(document: Document) -> tuple[str, list[Turn]]:
    pairs = question_pairs(document)
    # Most have a single question; what no specialty treats (hair care, pets) is not for a doctor.
    if len(pairs) < LEAST_TURNS or document.specialty == UNMAPPED:
        return "", []
    context = sentence(pairs[0][0])
    turns: list[Turn] = []
    for question, answer in pairs:
        reference = "" if chat.reworded(question) else _reference(answer)
        if not reference:
            break
        asked = f"患者接着说：{sentence(question)}" if turns else f"患者自述：{context}"
        turns.append(Turn(question=f"{asked}\n请给出答复要点。", reference=reference))
    return context, turns


def _reference(answer: str) -> str:
    if chat.advertises(answer) or chat.reworded(answer):
        return ""
    reply = chat.said(answer)
    if chat.thin(reply, LEAST_REPLY):
        return ""
    text = sentence(chat.for_doctor(reply))
    return "" if chat.to_patient(text) or r.starts_midway(text) or r.unpunctuated(text) else text


def dialogues(documents: Iterable[Document]) -> tuple[list[Dialogue], list[Exclusion]]:
    """The dialogues with two questions or more, by id; the others of these kinds as exclusions."""
    kept: list[Dialogue] = []
    aside: list[Exclusion] = []
    for document in documents:
        if document.kind not in KINDS:
            continue
        made = dialogue_of(document)
        if len(made.turns) >= LEAST_TURNS:
            kept.append(made)
            continue
        at = document.provenance
        aside.append(
            Exclusion(
                stage="dialogues", file=at.file, row=at.row, what=document.id,
                reason="fewer_than_two_questions", detail=f"{len(made.turns)} usable questions",
            )
        )  # fmt: skip
    return sorted(kept, key=lambda d: d.id), aside


def dotabench_row(dialogue: Dialogue) -> dict[str, str]:
    """A three-turn dialogue as one row of DotaBench's format; `reference` joins the three references."""
    if len(dialogue.turns) != TEST_TURNS:
        raise ValueError(f"{dialogue.id}: {len(dialogue.turns)} turns; the format has {TEST_TURNS}")
    row = {"id": dialogue.id}
    row |= {f"turn_{k}_question": t.question for k, t in enumerate(dialogue.turns, start=1)}
    row["reference"] = "\n\n".join(t.reference for t in dialogue.turns)
    row |= {f"turn_{k}_reference": t.reference for k, t in enumerate(dialogue.turns, start=1)}
    return row | {
        "specialty": dialogue.specialty, "document": dialogue.document, "title": dialogue.title
    }  # fmt: skip
