"""From shards to one whole: what can only be seen with all documents side by side.

Shards come in the order of their sources, and what is written depends on that order alone, never on who made
them. A document seen before, or a question asked before, is set aside naming the first. Texts go to stores on
disk; keys stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING

import msgspec

from wardround.corpus.compose import Tally
from wardround.corpus.held_out import Hit
from wardround.corpus.keys import NOTHING, DialogueKey, DocumentKey, SampleKey
from wardround.corpus.shards import Made, MadeDialogue, MadeDocument, MadeSample
from wardround.corpus.split import IS_DIALOGUE
from wardround.corpus.store import Store
from wardround.records import Exclusion, encode

if TYPE_CHECKING:
    import numpy as np

LEAST_TURNS = 2
UNPLACED = "question_unmatched"
NO_SAMPLE = frozenset({"no_recipe_matched", "no_sample_kept"})
DIALOGUES = "dialogues"


def placed(key: DocumentKey, place: int) -> DocumentKey:
    """The key with its place in its store. What many keys share, they share as one object: a million that came
    from other processes would each bring their own."""
    return DocumentKey(
        key.id, intern(key.kind), intern(key.specialty), intern(key.file), key.row, key.title,
        key.text, place, key.names,
    )  # fmt: skip


def placed_sample(key: SampleKey, document: DocumentKey, place: int) -> SampleKey:
    """A sample's key likewise; its document's id is the document's own."""
    return SampleKey(
        key.id, intern(key.task), intern(key.specialty), document.id, key.asked, key.answered,
        key.length_in, key.length_out, place,
    )  # fmt: skip


class Excluded:
    """What is set aside: on disk as it comes, in memory only how many for which reason, by stage. A dialogue
    counts under `DIALOGUES` at whatever stage it went, so that the other stages add up by samples."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reasons: dict[str, Counter[str]] = {}

    def add(self, *found: Exclusion) -> None:
        """Set these aside."""
        for e in found:
            self.store.append(encode(e))
            stage = DIALOGUES if e.what.endswith(IS_DIALOGUE) else e.stage
            self.reasons.setdefault(stage, Counter())[e.reason] += 1

    def of(self, stage: str) -> dict[str, int]:
        """Reasons of one stage, by number."""
        return dict(sorted(self.reasons.get(stage, {}).items()))

    @property
    def total(self) -> dict[str, int]:
        """Reasons of all stages."""
        whole = sum(self.reasons.values(), Counter[str]())
        return dict(sorted(whole.items()))


class Gathered:
    """Everything made so far: keys in memory, texts in stores of the folder `work`. `asking` holds back the
    questions that no rule placed, by document, for a classifier."""

    def __init__(self, work: Path, *, asking: bool = False) -> None:
        self.asking = asking
        self.unplaced: dict[str, list[Exclusion]] = {}
        self.text = Store(work / "documents.store")
        self.sample_text = Store(work / "samples.store")
        self.dialogue_text = Store(work / "dialogues.store")
        self.rewrites = Store(work / "rewrites.store")
        self.residue = Store(work / "residue.store")
        self.blocked = Store(work / "blocked.store")
        self.excluded = Excluded(Store(work / "excluded.store"))
        self.documents: list[DocumentKey] = []
        self.samples: list[SampleKey] = []
        self.dialogues: list[DialogueKey] = []
        self.by_id: dict[str, int] = {}
        self.tally = Tally()
        self.found: Counter[str] = Counter()
        self.cleaned = 0
        self.hits: list[tuple[str, Hit]] = []
        self.rows: Counter[int] = Counter()
        self.documents_of: Counter[int] = Counter()
        self.made = 0
        self._signatures = bytearray()
        self._asked: dict[int, str] = {}

    def close(self) -> None:
        """Let go of the stores."""
        texts = (self.text, self.sample_text, self.dialogue_text, self.rewrites)
        for store in (*texts, self.residue, self.blocked, self.excluded.store):
            store.close()

    def __enter__(self) -> Gathered:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def document(self, key: str) -> DocumentKey:
        """A document's key by its id."""
        return self.documents[self.by_id[key]]

    def add(self, made: Made, source: int) -> None:
        """Take in one shard of the source number `source`."""
        self.rows[source] += made.rows
        self.excluded.add(*made.exclusions)
        self.tally.add(made.tally)
        for one in made.documents:
            self._add(one, source)

    def _add(self, made: MadeDocument, source: int) -> None:
        key = made.key
        if key.id in self.by_id:
            first = self.document(key.id)
            detail = f"the same content as {first.file}, row {first.row}"
            self.excluded.add(aside(key, "read", key.id, "duplicate_document", detail))
            return
        place = self.text.append(made.line)
        key = placed(key, place)
        self.by_id[key.id] = place
        self.documents.append(key)
        self.documents_of[source] += 1
        held_back: list[Exclusion] = []
        if self.asking and any(e.reason == UNPLACED for e in made.exclusions):
            held_back = [e for e in made.exclusions if e.reason in {UNPLACED, *NO_SAMPLE}]
            self.unplaced[key.id] = held_back
        self.excluded.add(*(e for e in made.exclusions if e not in held_back))
        if made.found:
            self.found.update(made.found)
            self.cleaned += 1
        for r in made.residue:
            at = {"file": key.file, "row": key.row, "document": key.id}
            self.residue.append(encode(at | msgspec.structs.asdict(r)))
        self.take(made.samples, key)
        if made.dialogue is not None:
            self._talk(made.dialogue, key)

    def take(self, samples: Iterable[MadeSample], document: DocumentKey) -> None:
        """Take in a document's samples."""
        for sample in samples:
            self.made += 1
            if self._keeps(sample, document):
                place = self.sample_text.append(sample.line)
                self.samples.append(placed_sample(sample.key, document, place))
                self._signatures += sample.signature

    def _keeps(self, sample: MadeSample, document: DocumentKey) -> bool:
        first = self._asked.setdefault(sample.key.asked, sample.key.id)
        if first != sample.key.id and sample.key.asked != NOTHING:
            detail = f"asks the same as {first}"
            self.excluded.add(aside(document, "compose", sample.key.id, "duplicate_input", detail))
            return False
        return self._clean_of(sample.hit, sample.key.id, document)

    def _talk(self, made: MadeDialogue, document: DocumentKey) -> None:
        key = made.key
        if key.turns < LEAST_TURNS:
            detail = f"{key.turns} usable questions"
            reason = "fewer_than_two_questions"
            self.excluded.add(aside(document, DIALOGUES, f"{key.id}{IS_DIALOGUE}", reason, detail))
        elif self._clean_of(made.hit, f"{key.id}{IS_DIALOGUE}", document):
            place = self.dialogue_text.append(made.line)
            self.dialogues.append(msgspec.structs.replace(key, document=document.id, place=place))

    def _clean_of(self, hit: Hit | None, what: str, document: DocumentKey) -> bool:
        """Whether nothing held out is in it; else it is set aside, to be dropped or reviewed."""
        if hit is None:
            return True
        reason = "held_out" if hit.action == "drop" else "held_out_review"
        detail = f"{hit.file}, {hit.item}: {hit.rule} {hit.measure:.2f}"
        self.excluded.add(aside(document, "contamination", what, reason, detail))
        self.hits.append((what, hit))
        return False

    def bands(self) -> np.ndarray:
        """The signatures of all samples, a row each. They are handed over: all samples are in, so neither they
        nor the questions asked are kept any longer."""
        import numpy as np

        whole = np.frombuffer(self._signatures, dtype=np.uint64)
        self._signatures = bytearray()
        self._asked = {}
        return whole.reshape(len(self.samples), -1)

    def drop(self, places: Mapping[int, Exclusion]) -> None:
        """Set aside the samples at these places."""
        self.excluded.add(*(places[p] for p in sorted(places)))
        self.samples = [s for s in self.samples if s.place not in places]


def aside(document: DocumentKey, stage: str, what: str, reason: str, detail: str) -> Exclusion:
    """Something of a document set aside."""
    return Exclusion(
        stage=stage, file=document.file, row=document.row, what=what, reason=reason, detail=detail
    )
