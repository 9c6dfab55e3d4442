"""What a model was asked, as a doctor reads it: the question without the sentences on how to write the answer down.

A prompt of the picture benchmarks ends with the form its reader wants: a last line “答案：”. That is nothing a doctor
answers in. Only whole sentences go, and only those that a pattern of `FORMS` knows; all else stays as it was.
"""

from __future__ import annotations

import re

FORMS: tuple[str, ...] = (
    r"请先用不超过[^。]{1,6}句话[^。]*最后一行[^。]*“答案：”",
    r'First [^.]*at most [^.]* sentences[^.]*last line "Answer:"',
)
"""How a sentence begins that tells the form of an answer."""
_FORM = re.compile("|".join(f"(?:{form})" for form in FORMS))
_SENTENCE = re.compile(r"[^。.\n]*(?:[。.](?![”\"])|[。.][”\"]|$)[ \t]*", re.MULTILINE)


def plain(question: str) -> str:
    """The question alone; the prompt as it is where nothing else would be left."""
    kept = _SENTENCE.sub(lambda m: "" if _FORM.match(m[0]) else m[0], question)
    return re.sub(r"\n{3,}", "\n\n", kept).strip() or question
