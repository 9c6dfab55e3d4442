"""Every benchmark as an inspect_ai Task, and what is common to that and to writing a run as an inspect_ai log.

A task has our cases as its dataset, a solver that asks a case's turns one after the other with the model's own
answers, and one scorer a turn that grades as a run does: the same prompts, strict verdicts, `VERDICT_TRIES`, jury.

A score that is none. inspect_ai marks it with `Score.unscored` (a NaN), which its metrics and its reduction of
epochs leave out and count as `unscored_samples`; with nothing scored a mean is NaN. A 0 would enter a mean, and as
0 so would any value its `value_to_float` cannot read (a text, a list, a dict); None it refuses. So unscored and failed items are always
`Score.unscored`, with status and reason in their metadata. A judge's *failed request* is raised, as any error in
inspect_ai is: the sample then has an error and no score, by inspect_ai's own rules for retries and failures.

inspect_ai is an extra, imported in functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround import __version__
from wardround.artifact import digest_of, sha256_file
from wardround.benchmarks import Benchmark, benchmark
from wardround.benchmarks.data import file_of
from wardround.benchmarks.item import Item, jury
from wardround.benchmarks.judge import Language
from wardround.benchmarks.settings import Settings
from wardround.errors import UsageError
from wardround.models.wire import failed
from wardround.records import Answer, Case, Exclusion, ImagePart, Message, Request, Score

ROLE = "grader"
ANSWERS = "wardround_answers"
"""Where the solver leaves its answers in a sample's store."""
NOT_ASKED = "this turn was not asked: an earlier one failed or a limit was reached"


def need_inspect() -> None:
    """`UsageError` saying what to install, where inspect_ai is not."""
    try:
        import inspect_ai  # noqa: F401
    except ImportError as e:
        raise UsageError(
            f"this needs inspect_ai, which cannot be imported ({e})",
            hint="pip install 'wardround[inspect]'",
        ) from e


def score_names(turns: int) -> list[str]:
    """What a case's scores are called: "score", or "turn_1", "turn_2", … where cases have several turns."""
    return ["score"] if turns == 1 else [f"turn_{k}" for k in range(1, turns + 1)]


def to_chat(messages: Sequence[Message], prefix: str = "") -> list[Any]:
    """Our messages as inspect_ai's; ids are `prefix` and a number where a prefix is given, else inspect_ai's own."""
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageSystem,
        ChatMessageUser,
        ContentImage,
        ContentText,
    )

    kinds = {
        "system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant,
    }  # fmt: skip

    def content(message: Message) -> Any:
        if isinstance(message.content, str):
            return message.content
        return [
            ContentImage(image=p.image_url.url)
            if isinstance(p, ImagePart)
            else ContentText(text=p.text)
            for p in message.content
        ]

    return [
        kinds[m.role](content=content(m), **({"id": f"{prefix}-{k}"} if prefix else {}))
        for k, m in enumerate(messages, start=1)
    ]


def to_score(score: Score, judges: dict[str, Score], answer: str | None) -> Any:
    """Our score as inspect_ai's: its value, or `Score.unscored`. Metadata: status, reason, detail, each judge's
    score; the judges' own words are the explanation."""
    from inspect_ai import scorer

    told = {name: s.explanation for name, s in judges.items() if s.explanation}
    words = [t if len(told) == 1 else f"{name}: {t}" for name, t in told.items()]
    fields: dict[str, Any] = {
        "answer": answer,
        "explanation": score.explanation or "\n\n".join(words) or None,
        "metadata": {
            "status": score.status,
            "reason": score.reason,
            "detail": msgspec.to_builtins(score.detail),
            "judges": {name: _plain(s) for name, s in judges.items()},
        },
    }
    if score.value is None:
        return scorer.Score.unscored(reason=score.reason or score.status, **fields)
    return scorer.Score(value=score.value, **fields)


def _plain(score: Score) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(score)
    del found["explanation"]
    return found


class InspectModel:
    """An inspect_ai model as one of ours, so that grading needs no second writing. Errors are inspect_ai's."""

    labels: tuple[str, ...] = ()

    def __init__(self, model: Any) -> None:
        self._model = model
        self.name = str(model)
        self.identity = {"kind": "inspect_ai", "model": self.name}

    async def check(self) -> None:
        """inspect_ai finds out by itself."""

    async def close(self) -> None:
        """inspect_ai closes what it opened."""

    async def complete(self, request: Request) -> Answer:
        """One generation; a filtered or empty one is a failed answer, any other trouble inspect_ai's exception."""
        from inspect_ai.model import GenerateConfig

        config = GenerateConfig(
            max_tokens=request.max_tokens, temperature=request.temperature, seed=request.seed
        )
        return read_output(await self._model.generate(to_chat(request.messages), config=config))


def read_output(output: Any) -> Answer:
    """inspect_ai's output as an answer, by the rules an endpoint's reply is read by."""
    if output.empty:
        return failed("no choices", output.error or "")
    if output.stop_reason == "content_filter":
        return failed("content filter")
    usage = output.usage
    return Answer(
        status="ok",
        text=output.completion,
        finish_reason={"max_tokens": "length"}.get(output.stop_reason, output.stop_reason),
        tokens_in=usage.input_tokens if usage else None,
        tokens_out=usage.output_tokens if usage else None,
    )


def inspect_task(
    name: str,
    data: str | Path | None = None,
    language: Language = "zh",
    judge: Any = None,
) -> Any:
    """Benchmark `name` as an `inspect_ai.Task`, on `data` (as `eval --data`) or the shipped starter items.

    `judge`: an inspect_ai model or its name, or a list of them; without one the models given the role "grader"
    (`inspect eval --model-role grader=…`). With neither, what needs a judge stays unscored: the model never judges
    itself unless named. Answers are limited and sampled as in a run; inspect_ai's own options go before that.
    """
    need_inspect()
    from inspect_ai import Task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import GenerateConfig

    bench, file, (cases, skipped, labels) = _load(name, data, language)
    samples = [
        Sample(
            id=case.id,
            input=to_chat(bench.messages(case, ())),
            target=targets(case),
            metadata={
                "task": case.task,
                "category": case.category,
                "specialty": case.specialty,
                "cluster": case.group or case.id,
            },
        )
        for case in cases
    ]
    asked = _Asked(bench, cases, judge)
    turns = max(len(case.turns) for case in cases)
    s = Settings()
    return Task(
        name=name,
        dataset=MemoryDataset(samples, name=name, location=str(file)),
        solver=_solver(asked),
        scorer=[_scorer(asked, n, k) for k, n in enumerate(score_names(turns), start=1)],
        config=GenerateConfig(max_tokens=s.max_tokens, temperature=s.temperature),
        version=__version__,
        metadata={
            "labels": labels,
            "data_sha256": sha256_file(file),
            "cases": len(cases),
            "skipped": sum(e.stage != "note" for e in skipped),
            "prompts": digest_of(bench.prompt),
            "language": language,
        },
    )


def inspect_scorer(
    name: str,
    turn: int = 1,
    data: str | Path | None = None,
    language: Language = "zh",
    judge: Any = None,
) -> Any:
    """How the task of benchmark `name` scores one turn, to score its answers in a log again. Data and judges as there."""
    need_inspect()
    bench, _, (cases, _, _) = _load(name, data, language)
    return _grading(_Asked(bench, cases, judge), turn)


def _load(
    name: str, data: str | Path | None, language: Language
) -> tuple[Benchmark, Path, tuple[list[Case], list[Exclusion], list[str]]]:
    bench = benchmark(name, language)
    file = file_of(bench, None if data is None else Path(data))
    loaded = bench.load(file)
    if not loaded[0]:
        raise UsageError(f"{file}: no case for {name}", hint="check that this is its data")
    return bench, file, loaded


def targets(case: Case) -> str | list[str]:
    """The reference; one for each turn where there are several."""
    references = [t.reference for t in case.turns]
    return references[0] if len(references) == 1 else references


class _Asked:
    """A benchmark with its cases by id and its judges, shared by a task's solver and scorers."""

    def __init__(self, bench: Benchmark, cases: Sequence[Case], judge: Any) -> None:
        self.bench = bench
        self.cases = {case.id: case for case in cases}
        self._judge = judge

    def case(self, state: Any) -> Case:
        """The case of a sample; `UsageError` when the data has none of its id."""
        found = self.cases.get(str(state.sample_id))
        if found is None:
            raise UsageError(
                f"{self.bench.name}: no case {state.sample_id} in this data",
                hint="name the benchmark and the data that were asked",
            )
        return found

    def judges(self) -> list[InspectModel]:
        """The judges of the evaluation under way."""
        from inspect_ai.model import get_model, model_roles

        named = self._judge if self._judge is not None else model_roles().get(ROLE, [])
        several = named if isinstance(named, list | tuple) else [named]
        found = {m.name: m for m in (InspectModel(get_model(one)) for one in several)}
        return list(found.values())


def _solver(asked: _Asked) -> Any:
    """Asks the turns of a case in sequence; a turn that failed ends the case, as in a run."""
    from inspect_ai.solver import solver

    def wardround_turns() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            case = asked.case(state)
            answers: list[Answer] = []
            said = len(asked.bench.messages(case, ()))
            for turn in range(1, len(case.turns) + 1):
                so_far = asked.bench.messages(case, [a.text or "" for a in answers])
                if turn > 1:
                    state.messages += to_chat(so_far[said + 1 :])
                    said = len(so_far)
                state = await generate(state)
                answers.append(read_output(state.output))
                state.store.set(ANSWERS, msgspec.to_builtins(answers))
                if answers[-1].status == "failed" or state.completed:
                    break
            return state

        return solve

    return solver(name="wardround_turns")(wardround_turns)()


def metrics() -> list[Any]:
    """Mean and standard error of a score; the error is over clusters, as our intervals are."""
    from inspect_ai.scorer import mean, stderr

    return [mean(), stderr(cluster="cluster")]


def _scorer(asked: _Asked, name: str, turn: int) -> Any:
    from inspect_ai.scorer import scorer

    def wardround_score() -> Any:
        return _grading(asked, turn)

    return scorer(metrics=metrics(), name=name)(wardround_score)()


def _grading(asked: _Asked, turn: int) -> Any:
    """Scores one turn; nothing where a case has no such turn."""
    from inspect_ai.model import get_model

    async def ask(model: Any, request: Request) -> Answer:
        answer: Answer = await model.complete(request)
        return answer

    async def score(state: Any, target: Any) -> Any:
        case = asked.case(state)
        if turn > len(case.turns):
            return None
        answers = _answers(state, case)[:turn]
        if len(answers) < turn:
            return to_score(Score(status="failed", reason=NOT_ASKED), {}, None)
        model, judges = InspectModel(get_model()), asked.judges()
        settings = Settings(language=asked.bench.language)
        item = Item(asked.bench, case, state.epoch, model, judges, settings)
        by_judge = await item.grade(ask, turn, answers)
        last = answers[-1]
        return to_score(item.noted(turn, last, jury(last, by_judge)), by_judge, last.text)

    return score


def _answers(state: Any, case: Case) -> list[Answer]:
    """What our solver left; with another solver the one answer it came to, which says nothing of several turns."""
    left = state.store.get(ANSWERS)
    if left is None:
        return [read_output(state.output)] if len(case.turns) == 1 else []
    return msgspec.convert(left, list[Answer])
