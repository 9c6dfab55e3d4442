from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from wardround.models.drawing import Drawing, pick  # noqa: E402

pytestmark = pytest.mark.torch
VOCABULARY = 12
PROMPT = [3, 1, 4, 1, 5]


def logits(seed: int, rows: int = 1) -> Any:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 2


def test_greedy_takes_the_largest() -> None:
    found = logits(0, 3)
    assert pick(found, [Drawing(PROMPT)] * 3) == found.argmax(-1).tolist()


@pytest.mark.parametrize(("penalty", "size"), [(1.7, 0), (1.0, 2), (1.0, 1), (1.3, 3)])
def test_repetition_is_held_down_as_transformers_does(penalty: float, size: int) -> None:
    from transformers.generation.logits_process import (
        NoRepeatNGramLogitsProcessor,
        RepetitionPenaltyLogitsProcessor,
    )

    theirs = list(PROMPT)
    row = Drawing(PROMPT, repetition_penalty=penalty, no_repeat_ngram_size=size)
    other = Drawing([2, 2], repetition_penalty=1.1)
    made = []
    for step in range(6 if size == 1 else 30):
        found = logits(step, 2)
        scores = found[:1].clone()
        ids = torch.tensor([theirs])
        if penalty != 1.0:
            scores = RepetitionPenaltyLogitsProcessor(penalty)(ids, scores)
        if size:
            scores = NoRepeatNGramLogitsProcessor(size)(ids, scores)
        theirs.append(int(scores.argmax()))
        token, beside = pick(found, [row, other])
        row.note(token)
        other.note(beside)
        made.append(token)
    assert made == theirs[len(PROMPT) :]


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 1.0])
def test_draws_follow_the_softmax_of_the_nucleus(top_p: float) -> None:
    from transformers.generation.logits_process import TopPLogitsWarper

    found = logits(1)
    scores = found / 0.8
    if top_p < 1:
        scores = TopPLogitsWarper(top_p)(None, scores)
    wanted = torch.softmax(scores, -1)[0]
    row = Drawing(PROMPT, temperature=0.8, top_p=top_p, seed=5)
    drawn = torch.zeros(VOCABULARY)
    for _ in range(4000):
        drawn[pick(found, [row])[0]] += 1
    assert (drawn[wanted == 0] == 0).all()
    assert (drawn / 4000 - wanted).abs().max() < 0.04


def test_a_seed_fixes_the_draws_and_others_are_free() -> None:
    found = logits(2).repeat(3, 1)
    rows = [
        Drawing([], temperature=1.0, seed=2**70 + 1),
        Drawing([], temperature=1.0),
        Drawing([]),
    ]
    first = [pick(found, rows) for _ in range(20)]
    again = Drawing([], temperature=1.0, seed=2**70 + 1)
    assert [t[0] for t in first] == [pick(found[:1], [again])[0] for _ in range(20)]
    assert {t[2] for t in first} == {int(found[0].argmax())}
    assert len({t[1] for t in first}) > 1
