"""A small dataset on disk as a build leaves it before sealing, for what reads datasets back."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tests.corpus.made import document
from wardround import taxonomy
from wardround.records import Dialogue, Document, Sample, Turn, encode

SPECIALTIES = ("cardiology", "nephrology", "unmapped")


def sample(number: int, task: str = "triage", *, refined: bool = False, words: str = "") -> Sample:
    """The `number`th sample of a task; every third of another specialty, from a document of its own."""
    t = taxonomy.tasks()[task]
    marker = taxonomy.case_marker() if t.takes == "case" else ""
    return Sample(
        category=t.en, input=f"{t.instruction}\n{marker}第{number}例，胸痛三天。\n查体无殊。",
        output=words or f"心血管内科。\n理由：第{number}例以胸痛为主。", id=f"d{number:04}:{task}", task=task,
        phase=t.phase, specialty=SPECIALTIES[number % 3], document=f"d{number:04}", recipe="made",
        source_fields=("desc",), refined=refined,
    )  # fmt: skip


def dialogue(number: int, turns: int = 3) -> Dialogue:
    """A case with that many questions."""
    made = [
        Turn(question=f"第{k}问？" if k > 1 else f"病例{number}。\n\n第1问？", reference=f"答{k}。")
        for k in range(1, turns + 1)
    ]
    return Dialogue(
        id=f"case-{number}", document=f"case-{number}", specialty="cardiology", title="胸痛",
        context=f"病例{number}。", turns=tuple(made),
    )  # fmt: skip


def write_train(path: Path, samples: list[Sample]) -> None:
    """train.parquet with the columns that a build gives it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"source_fields": pa.list_(pa.string()), "refined": pa.bool_()}
    schema = pa.schema([(f, kinds.get(f, pa.string())) for f in Sample.__struct_fields__])
    rows = [msgspec.to_builtins(s) for s in samples]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def put(folder: Path, train: list[Sample], test: list[Sample], talks: list[Dialogue]) -> Path:
    """The files of a dataset in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_train(folder / "train.parquet", train)
    documents: list[Document] = [document(int(s.document[1:])) for s in (*train, *test)]
    for name, rows in (
        ("doctorflan_test.jsonl", test), ("train_dialogues.jsonl", talks), ("documents.jsonl", documents),
    ):  # fmt: skip
        (folder / name).write_bytes(b"".join(encode(r) + b"\n" for r in rows))
    return folder


def small(folder: Path) -> Path:
    """40 triage samples, half refined, 12 treatment plans, 3 test samples, 2 dialogues."""
    train = [sample(n, refined=n % 2 == 0) for n in range(40)]
    train += [sample(100 + n, "treatment_plan") for n in range(12)]
    return put(
        folder, train, [sample(200 + n, "disease_inquiry") for n in range(3)],
        [dialogue(1), dialogue(2, 2)],
    )  # fmt: skip
