"""Held-out questions word for word: a text that asks the same is found whatever the question's length.

8-grams say nothing of a short question, nor of one whose words many items share; the question as a whole does. It must
be the whole question: "什么是肺炎？" is another than "什么是吸入性肺炎？", and no text is kept back for holding such words
somewhere within a sentence.

Memory holds the folded questions and the beginnings of their answers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

from wardround.corpus.folded import fold_codes
from wardround.corpus.held_items import Item

OPENING = 30
"""Of an answer so many characters are compared with those behind its question."""
_LINES = 8
"""A question has no more lines than this."""
_LABEL = re.compile(r"[\u4e00-\u9fff]{1,8}[：:]")
"""Before a line's own words: 患者自述：, 问题：."""


class Questions:
    """Every item's questions, ready to be looked for. Pickles."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._asked = _asked(items)
        self._lengths = frozenset(map(len, self._asked))

    def asked_in(self, folded: str, clauses: Sequence[str], edges: Sequence[int]) -> Iterator[int]:
        """Numbers of the items of which a text asks a question. It is given folded and in clauses, with the places
        in `folded` where these part.

        A text's own question is what it opens with, to the end of a line. It counts when it says by itself what it asks,
        or when the answer behind it is the item's; on a later line, where a case may stand before it, only with an
        answer too long to agree by chance."""
        if not self._asked:
            return
        pairs = zip(clauses, edges[1:], strict=True)
        ends = [e for c, e in pairs if c.endswith("\n") or e == edges[-1]]
        for start, first in _line_starts(clauses, edges):
            for end in islice((e for e in ends if e > start), _LINES):
                if end - start not in self._lengths:
                    continue
                for k, alone, answer in self._asked.get(folded[start:end], ()):
                    told = bool(answer) and folded.startswith(answer, end)
                    if (first and (alone or told)) or (told and len(answer) >= OPENING):
                        yield k


def _asked(items: Sequence[Item]) -> dict[str, tuple[tuple[int, bool, str], ...]]:
    """Folded question → the items that ask it: which, whether it says by itself what it asks, and how its answer
    begins."""
    rows: list[tuple[int, bool, str, str]] = []
    for k, item in enumerate(items):
        alone = {*(() if item.options else (item.question,)), *item.alone}
        rows += [(k, True, q, "") for q in sorted(alone)]
        rows += [(k, False, q, a) for q, a in item.pairs if q and a and q not in alone]
    questions = _folds([q for _, _, q, _ in rows])
    answers = _folds([a[: 8 * OPENING] for *_, a in rows])
    out: dict[str, dict[tuple[int, bool, str], None]] = defaultdict(dict)
    for (k, by_itself, _, _), question, answer in zip(rows, questions, answers, strict=True):
        if question:
            out[question][k, by_itself, answer[:OPENING]] = None
    return {q: tuple(found) for q, found in out.items()}


def _folds(texts: Sequence[str]) -> list[str]:
    """`folded.fold` of each."""
    codes, starts = fold_codes(texts)
    written, ends = codes.tobytes(), (starts * 4).tolist()
    return [written[a:b].decode("utf-32-le", "surrogatepass") for a, b in pairwise(ends)]


def _line_starts(clauses: Sequence[str], edges: Sequence[int]) -> Iterator[tuple[int, bool]]:
    """Where lines begin, behind their labels too; and whether it is the text's own beginning."""
    begins = True
    for clause, start in zip(clauses, edges, strict=False):
        if begins:
            yield start, not start
            if label := _LABEL.match(clause):
                yield start + len(label[0]) - 1, not start
        begins = clause.endswith("\n")
