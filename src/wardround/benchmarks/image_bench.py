"""What the benchmarks of pictures share: one question a picture and option order, graded by rule, and the control.

The control asks the same questions without the picture. What a model gets right there it gets right from what it knows of
such questions, not from sight; a run with pictures is worth what it has beyond its control. So the control is asked in
every run of such a benchmark, as a benchmark of its own named `…_no_image`, and the two are put side by side.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from wardround.benchmarks.image_cases import Pictures, Sent, load_pictures
from wardround.benchmarks.judge import Language
from wardround.benchmarks.label_reading import get_ready, read_labels
from wardround.benchmarks.label_tables import label_tables, sight_table
from wardround.benchmarks.record import RunRecord, Table
from wardround.records import Case, Exclusion, Message, Score, TextPart, Turn

WITHOUT = {
    "zh": "本次不附图像。请仍按上述格式，只写您认为最可能的答案。",
    "en": "No image is attached this time. Still answer in the format above with what you think most likely.",
}


STATISTICS = "wardround.benchmarks.checks"
KEPT = ("truth", "modality", "order", "orders", "image", "original", "sent", "header")
"""What a record keeps of its case."""


class Pictured:
    """The base of a benchmark with one picture a question: subclasses say what is asked.

    Not a `Benchmark` of its own: `name` and the texts are the subclass's, as are `single` and `ask`.
    """

    name = zh = en = file = ""
    shipped = ""
    scale = (0.0, 1.0)
    folders = True
    modalities: tuple[str, ...] = ()

    def __init__(self, language: Language = "zh") -> None:
        self.language: Language = language
        self._pictures = Pictures(0)
        self._loaded: tuple[Path, list[Case], list[Exclusion], list[str]] | None = None

    # -- what a subclass says ----------------------------------------------------------------------------------

    @property
    def prompt(self) -> dict[str, str]:
        """The prompt texts in force."""
        raise AttributeError(f"{type(self).__name__} has no prompt")

    def single(self, modality: str) -> bool:
        """Whether exactly one label is asked for."""
        return False

    def asked(self, sent: Sent) -> list[tuple[str, str]]:
        """(question, reference) of a picture under each option order."""
        raise AttributeError(f"{type(self).__name__} asks nothing")

    # -- the rest ----------------------------------------------------------------------------------------------

    def loaded(self, path: Path) -> bool:
        """Whether the cases of `path` are at hand already."""
        return self._loaded is not None and self._loaded[0] == path

    def load(self, path: Path) -> tuple[list[Case], list[Exclusion], list[str]]:
        """One case per picture and option order, a picture's orders side by side as one group."""
        if self._loaded is None or self._loaded[0] != path:
            with ThreadPoolExecutor(1) as beside:
                # Reading pictures leaves Python's lock alone: time for the statistics' code, which asking has not.
                beside.submit(importlib.import_module, STATISTICS)
                found = load_pictures(path, self.modalities)
            self._pictures = found.pictures
            for modality in {sent.row.modality for sent in found.ready}:
                get_ready(modality)
            cases = [c for sent in found.ready for c in self._cases(sent)]
            self._loaded = (path, cases, found.excluded, found.labels)
        _, cases, excluded, labels = self._loaded
        return list(cases), list(excluded), list(labels)

    def starter(self) -> Path:
        """The test set for those who bring none: drawn phantoms."""
        from wardround.images.made import starter

        return starter(self.name)

    def _cases(self, sent: Sent) -> list[Case]:
        asked = self.asked(sent)
        row = sent.row
        told = {} if sent.findings is None else {"header": list(sent.findings)}
        return [
            Case(
                id=row.id if len(asked) == 1 else f"{row.id}@o{k}",
                turns=(Turn(question=question, reference=reference),),
                category=row.modality,
                group=row.id,
                data={
                    "image": row.image, "original": sent.original, "sent": sent.sent,
                    "truth": list(row.labels), "modality": row.modality, "order": k, "orders": len(asked),
                    **told,
                },
            )
            for k, (question, reference) in enumerate(asked, start=1)
        ]  # fmt: skip

    def messages(self, case: Case, earlier: Sequence[str]) -> tuple[Message, ...]:
        """The picture, then the question, as one user message."""
        text = TextPart(text=case.turns[0].question)
        return (Message(role="user", content=(self._pictures.part(case.data["sent"]), text)),)

    def grade(self, case: Case, answers: Sequence[str]) -> tuple[Message, ...] | Score:
        """1 when exactly the true labels were given, else 0; unscored when no label can be read.

        Detail: `truth` and `said` (ids; `said` None when unscored), `unlisted`, `how` (see `label_reading`), `modality`,
        `order` and `orders`, `image`, `original` and `sent` (the picture's name, its file's digest, that of the bytes sent),
        `header` (rules its DICOM header broke, where it had one).
        """
        data = case.data
        found = read_labels(answers[-1], data["modality"], single=self.single(data["modality"]))
        detail: dict[str, Any] = {
            "said": None if found.reason else list(found.labels),
            "unlisted": list(found.unlisted),
            "how": found.how,
            **{k: data[k] for k in KEPT if k in data},
        }
        if found.reason:
            return Score(status="unscored", reason=found.reason, detail=detail)
        right = list(found.labels) == data["truth"] and not found.unlisted
        return Score(status="scored", value=float(right), detail=detail)

    def read(self, case: Case, reply: str) -> Score:
        """No judge is asked, so there is no reply to read."""
        return Score(status="unscored", reason="this benchmark has no judge", explanation=reply)

    def note(self, case: Case, turn: int, answer: str) -> dict[str, Any]:
        """What runs are compared by: the labels claimed, unless the answer can't be read, and the true ones."""
        data = case.data
        found = read_labels(answer, data["modality"], single=self.single(data["modality"]))
        claimed = {} if found.reason else {"claimed": list(found.labels)}
        return {"true": data["truth"], **claimed}

    def tables(self, records: Sequence[RunRecord], seed: int) -> list[Table]:
        """Figures by modality and label, confusions, clean pictures, how answers were read."""
        return label_tables(records, self.modalities, self.single, seed)

    def control(self) -> NoImage:
        """The same questions without the picture."""
        return NoImage(self)


class NoImage:
    """The control of a benchmark of pictures: the same cases, none of the pictures."""

    folders = True

    def __init__(self, bench: Pictured) -> None:
        self._bench = bench
        self.name = f"{bench.name}_no_image"
        self.zh, self.en = f"{bench.zh}（无图对照）", f"{bench.en}, control without images"
        self.file, self.shipped = bench.file, bench.shipped
        self.scale, self.language = bench.scale, bench.language
        self.control_of = bench.name

    def starter(self) -> Path:
        """That of the run with pictures."""
        return self._bench.starter()

    @property
    def prompt(self) -> dict[str, str]:
        """The questions' prompts, and the line that says there is no picture."""
        return {**self._bench.prompt, "without": WITHOUT[self.language]}

    def load(self, path: Path) -> tuple[list[Case], list[Exclusion], list[str]]:
        """The cases of the run with pictures. What was left aside is listed once, with them where they are asked too."""
        there = self._bench.loaded(path)
        cases, excluded, labels = self._bench.load(path)
        return cases, [] if there else excluded, labels

    def messages(self, case: Case, earlier: Sequence[str]) -> tuple[Message, ...]:
        """The question and the line that says there is no picture."""
        text = f"{case.turns[0].question}\n\n{WITHOUT[self.language]}"
        return (Message(role="user", content=text),)

    def grade(self, case: Case, answers: Sequence[str]) -> tuple[Message, ...] | Score:
        """As with the picture."""
        return self._bench.grade(case, answers)

    def read(self, case: Case, reply: str) -> Score:
        """No judge is asked."""
        return self._bench.read(case, reply)

    def tables(self, records: Sequence[RunRecord], seed: int) -> list[Table]:
        """As with the picture, but for what is told of the pictures themselves."""
        return label_tables(records, self._bench.modalities, self._bench.single, seed)

    def beside(
        self, records: Sequence[RunRecord], pictured: Sequence[RunRecord], seed: int
    ) -> Table:
        """With and without the picture, and what sight adds."""
        return sight_table(pictured, records, seed)
