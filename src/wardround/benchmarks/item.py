"""One case of a run: asked turn by turn, each answer judged as soon as it is there.

A judge whose reply holds no verdict is asked again, `VERDICT_TRIES` times in all; then the item is unscored.
Nothing here depends on order or time: the same answers give the same records.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Sequence
from typing import cast

import msgspec

from wardround.benchmarks import Benchmark, Ruling
from wardround.benchmarks.record import RunRecord
from wardround.benchmarks.settings import Settings
from wardround.models import Model
from wardround.models.ask import Ask
from wardround.models.wire import reason_code
from wardround.records import Answer, Case, Request, Score

VERDICT_TRIES = 3


@functools.cache
def _rules(kind: type) -> bool:
    """Whether benchmarks of that class score by rule; asked once a class, for the question is a slow one."""
    return issubclass(kind, Ruling)


class Item:
    """One case in one repeat; calling it asks, judges and returns a record for each turn.

    `seconds` is then how long the model took to answer it, all turns together.
    """

    def __init__(
        self,
        bench: Benchmark,
        case: Case,
        repeat: int,
        model: Model,
        judges: Sequence[Model],
        settings: Settings,
    ) -> None:
        self.bench, self.case, self.repeat = bench, case, repeat
        self.model, self.judges, self.settings = model, judges, settings
        self.seconds = 0.0

    async def __call__(self, ask: Ask) -> list[RunRecord]:
        answers: list[Answer] = []
        grading: list[asyncio.Task[dict[str, Score]]] = []
        turns = range(1, len(self.case.turns) + 1)
        try:
            for turn in turns:
                answers.append(await self._answer(ask, turn, answers))
                if turn < len(turns):
                    grade = self.grade(ask, turn, list(answers))
                    grading.append(asyncio.ensure_future(grade))
            last = await self.grade(ask, len(turns), answers)
            scores = [*[await task for task in grading], last]
        finally:
            for task in grading:
                task.cancel()
            if grading:  # even for nothing it would wait for a round of the loop
                await asyncio.gather(*grading, return_exceptions=True)
        self.seconds = sum(a.latency_s for a in answers)
        return [self._record(*made) for made in zip(turns, answers, scores, strict=True)]

    def _key(self, turn: int, tail: str) -> str:
        return f"{self.bench.name}/{self.case.id}/r{self.repeat}/t{turn}/{tail}"

    def _seed(self, key: str) -> int | None:
        """A seed for each sampled request, so that repeats differ and reruns don't; none when greedy."""
        if self.settings.temperature == 0:
            return None
        digest = hashlib.sha256(f"{self.settings.seed}/{key}".encode()).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    async def _answer(self, ask: Ask, turn: int, earlier: Sequence[Answer]) -> Answer:
        if any(a.status == "failed" for a in earlier):
            return Answer(status="failed", reason="an earlier turn of this case failed", attempts=0)
        key = self._key(turn, "answer")
        request = Request(
            key=key,
            messages=self.bench.messages(self.case, [a.text or "" for a in earlier]),
            max_tokens=self.settings.max_tokens,
            temperature=self.settings.temperature,
            seed=self._seed(key),
            hint={
                "reference": self.case.turns[turn - 1].reference,
                "case": self.case.id,
                "turn": turn,
            },
            nth=self.repeat,
        )
        return await ask(self.model, request)

    async def grade(self, ask: Ask, turn: int, answers: Sequence[Answer]) -> dict[str, Score]:
        """Scores of the last of `answers`, the one to `turn`, by judge; by "rule" where none is needed."""
        last = answers[-1]
        if last.status == "failed":
            return {}
        said = [a.text or "" for a in answers]
        ruling = cast(Ruling, self.bench) if _rules(type(self.bench)) else None
        if ruling is not None and not self.judges:
            return {"rule": ruling.ruled(self.case, said)}
        graded = self.bench.grade(self.case, said)
        if isinstance(graded, Score):
            return {"rule": graded}
        scores = {}
        for judge in self.judges:
            score = Score(status="unscored", reason="not asked")
            for attempt in range(1, VERDICT_TRIES + 1):
                key = self._key(turn, f"judge/{judge.name}/{attempt}")
                request = Request(
                    key=key,
                    messages=graded,
                    max_tokens=self.settings.judge_max_tokens,
                    nth=(self.repeat - 1) * VERDICT_TRIES + attempt,
                )
                reply = await ask(judge, request)
                if reply.status == "failed":
                    code = reason_code(reply.reason)
                    score = Score(
                        status="unscored", reason=f"judge failed: {code}", explanation=reply.reason
                    )
                    break
                verdict = reply.text or ""
                score = (
                    self.bench.read(self.case, verdict)
                    if ruling is None
                    else ruling.read_beside(self.case, said, verdict)
                )
                if score.status == "scored":
                    break
            scores[judge.name] = score
        return scores

    def _record(self, turn: int, answer: Answer, scores: dict[str, Score]) -> RunRecord:
        asked = self.case.turns[turn - 1]
        return RunRecord(
            benchmark=self.bench.name,
            case=self.case.id,
            turn=turn,
            repeat=self.repeat,
            task=self.case.task,
            category=self.case.category,
            specialty=self.case.specialty,
            group=self.case.group,
            question=asked.question,
            reference=asked.reference,
            status=answer.status,
            answer=answer.text,
            length=None if answer.text is None else len(answer.text),
            reason=answer.reason,
            finish_reason=answer.finish_reason,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            judges=scores,
            score=self.noted(turn, answer, jury(answer, scores)),
        )

    def noted(self, turn: int, answer: Answer, score: Score) -> Score:
        """The score with what the benchmark says of the answer without a judge."""
        note = getattr(
            self.bench, "note", None
        )  # `Noting`; isinstance would cost more than the rest
        if answer.text is None or note is None:
            return score
        found = note(self.case, turn, answer.text)
        return msgspec.structs.replace(score, detail=score.detail | found)


def jury(answer: Answer, scores: dict[str, Score]) -> Score:
    """Mean over the judges that scored; failed without an answer, unscored without any verdict."""
    if answer.status == "failed":
        return Score(status="failed", reason=answer.reason)
    values = [s.value for s in scores.values() if s.value is not None]
    if values:
        return Score(status="scored", value=sum(values) / len(values))
    reasons = sorted({s.reason for s in scores.values()}) or ["no judge was named"]
    return Score(status="unscored", reason="; ".join(reasons))
