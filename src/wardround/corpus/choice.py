"""Choice questions from exams, in the shapes they are published in.

    CMB      question, option {A: …}, answer, explanation?, exam_type, exam_class, exam_subject       (JSON)
    CMExam   Question, Options (a line each), Answer, Explanation, Clinical Department, …              (CSV)
    MedQA    question, options {A: …}, answer_idx, answer (the text), meta_info                       (JSONL)
    mapped   question, options (text, list, object or several fields), answer, explanation, subject, exam

One or several letters may be right. A question without an answer, or whose answer is not among its options,
is left aside with the reason: nobody can learn from it.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from wardround.choices import options_in, options_of
from wardround.corpus.drafts import Draft, content, listed, shortened, text
from wardround.corpus.template import Value

LETTERS = string.ascii_uppercase
_BETWEEN_LETTERS = re.compile(r"[\s,，、;；.<>()（）\[\]和/]+")


def choice(row: Mapping[str, Any]) -> Iterable[Draft]:
    """The one document of a choice question."""
    lower = {str(k).lower().replace(" ", "_"): v for k, v in row.items()}
    question = text(lower.get("question"))
    if not question:
        raise ValueError("no question in it", "empty_field")
    given = lower.get("options") if lower.get("options") is not None else lower.get("option")
    options = {k: v for k, v in _options(given).items() if v}
    if len(options) < 2:
        raise ValueError(f"{len(options)} options")
    letters = _letters(lower, options)
    fields: dict[str, Value] = {
        "question": question,
        "options": tuple(f"{k}．{v}" for k, v in options.items()),
        "answer": letters,
        "answer_text": "；".join(options[k] for k in letters),
        "explanation": content(lower.get("explanation")),
        "subject": _one(lower, "subject", "exam_subject", "medical_discipline"),
        "exam": _one(lower, "exam", "exam_type", "meta_info"),
    }
    labels = content(lower.get("departments")) or _one(
        lower, "clinical_department", "subject", "exam_subject"
    )
    yield Draft(shortened(question), fields, labels)


def _one(row: Mapping[str, Any], *names: str) -> str:
    """The first of these fields with something in it."""
    return next((t for n in names if (t := content(row.get(n))) and isinstance(t, str)), "")


def _options(given: object) -> dict[str, str]:
    """Letter → text, in the letters' order."""
    if isinstance(given, list) and given and all(isinstance(x, Mapping) for x in given):
        given = {str(x.get("key")): x.get("value") for x in given}
    if isinstance(given, Mapping):
        keyed = {str(k).strip().upper(): text(v) for k, v in given.items()}
        if all(len(k) == 1 and k in LETTERS for k in keyed):
            return dict(sorted(keyed.items()))
        raise ValueError(f"option letters are {', '.join(keyed)}")
    if isinstance(given, list):
        if len(given) > len(LETTERS):
            raise ValueError(f"{len(given)} options")
        texts = [text(v) for v in given]
        return options_of(texts)
    return {k: text(v) for k, v in options_in(given).items()} if isinstance(given, str) else {}


def _letters(row: Mapping[str, Any], options: Mapping[str, str]) -> str:
    """The right letters, in order. An answer given as an option's text is taken for its letter."""
    given = row.get("answer_idx") if row.get("answer_idx") not in (None, "") else row.get("answer")
    said = [text(x) for x in listed(given)]
    joined = "".join(said)
    if not joined:
        raise ValueError("no answer given", "no_answer")
    by_text = {v: k for k, v in options.items()}
    if all(s in by_text for s in said):
        return "".join(sorted(by_text[s] for s in said))
    folded = _BETWEEN_LETTERS.sub("", unicodedata.normalize("NFKC", joined))
    folded = folded.upper() if len(folded) == 1 else folded
    if not folded or any(c not in LETTERS for c in folded):
        raise ValueError(f"the answer is {shortened(joined, 30)!r}, not letters")
    missing = sorted(set(folded) - set(options))
    if missing:
        offered = ", ".join(options)
        raise ValueError(f"{', '.join(missing)} is not among {offered}", "answer_not_offered")
    return "".join(sorted(set(folded)))
