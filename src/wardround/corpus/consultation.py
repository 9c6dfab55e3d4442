"""Consultations: a patient asks, a doctor answers, once or in turns.

    CMtMedQA   instruction, input, output, history [[patient, doctor], …], cate1, cate2
    Toyhom     department, title, ask, answer
    mapped     question, answer (texts or lists side by side), title, history, departments, topic

The turns end before the first that lacks a side; the rest of the row is told of, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wardround.corpus.drafts import Draft, content, listed, shortened, text


def consultation(row: Mapping[str, Any]) -> Iterable[Draft]:
    """The one document of a consultation."""
    title = _said(row.get("title"))
    turns = [(_said(q), _said(a)) for q, a in _turns(row, title)]
    whole = next((i for i, (q, a) in enumerate(turns) if not q or not a), len(turns))
    if not whole:
        lacking = "question" if not turns or not turns[0][0] else "answer"
        raise ValueError(f"no {lacking} in it", "empty_field")
    questions, answers = zip(*turns[:whole], strict=True)
    departments = _departments(row)
    fields = {
        "title": title if title != questions[0] else "",
        "questions": questions,
        "answers": answers,
        "department": departments[-1] if departments else "",
        "topic": content(row.get("topic")),
    }
    draft = Draft(title or shortened(questions[0]), fields, departments)
    if whole < len(turns):
        detail = f"turn {whole + 1} of {len(turns)} lacks a side; it and what follows are left out"
        draft.aside.append(("turn_incomplete", detail))
    yield draft


def _said(value: object) -> str:
    """What somebody said; a placeholder such as "无" or "-" says nothing."""
    found = content(text(value))
    return "" if found in ("无", "None") or not isinstance(found, str) else found


def _departments(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The row's own labels, the wider first."""
    names = [row.get(k) for k in ("departments", "cate1", "cate2", "department")]
    found = [content(x) for name in names for x in listed(name)]
    return tuple(dict.fromkeys(x for x in found if x and isinstance(x, str)))


def _turns(row: Mapping[str, Any], title: str) -> Iterable[tuple[object, object]]:
    """(patient, doctor) in order."""
    for pair in listed(row.get("history")):
        if not isinstance(pair, list) or len(pair) != 2:
            raise ValueError("a turn of history is not a pair of texts")
        yield pair[0], pair[1]
    if "output" in row:
        yield text([row.get("instruction"), row.get("input")]), row["output"]
        return
    asked = listed(row.get("ask") if "ask" in row else row.get("question"))
    answered = listed(row.get("answer"))
    if len(asked) != len(answered) and (asked and answered):
        raise ValueError(f"{len(asked)} questions with {len(answered)} answers")
    # Toyhom's `ask` is at times empty where the title holds the whole question.
    if title and (not asked or not _said(asked[0])):
        asked = [title, *asked[1:]]
    for i in range(max(len(asked), len(answered))):
        yield asked[i] if i < len(asked) else "", answered[i] if i < len(answered) else ""
