"""Reading a dataset's samples back from its files in bounded memory: a batch of rows at a time.

It asks for a directory, not a sealed artifact, so that steps that run before the sealing (exports, the checking
sheet, metadata) and after it read the same way.

Hugging Face's loader takes one format for all configurations of a directory, so `parquet_copies` puts the smaller
JSONL files beside themselves as Parquet, which the training side is already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from wardround.errors import ArtifactError, InputError
from wardround.records import Dialogue, Sample, decode

T = TypeVar("T")

TRAIN = "train.parquet"
TEST = "doctorflan_test.jsonl"
DIALOGUES = "train_dialogues.jsonl"
DOTABENCH = "dotabench.jsonl"
DOCUMENTS = "documents.jsonl"
BATCH = 2048
GROUP = 10_000
DOTABENCH_FIELDS = (
    "id", "turn_1_question", "turn_2_question", "turn_3_question", "reference",
    "turn_1_reference", "turn_2_reference", "turn_3_reference", "specialty", "document", "title",
)  # fmt: skip


def train_columns(
    dataset: Path, columns: Sequence[str], *, batch: int = BATCH
) -> Iterator[dict[str, Any]]:
    """The named columns of the training samples, row by row; nothing else is read from disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = dataset / TRAIN
    if not path.is_file():
        raise ArtifactError(
            f"{dataset}: no {TRAIN}", hint="name a dataset that wardround build wrote"
        )
    try:
        with pq.ParquetFile(path) as file:
            for table in file.iter_batches(batch_size=batch, columns=list(columns)):
                yield from table.to_pylist()
    except (pa.ArrowInvalid, KeyError) as e:
        raise ArtifactError(
            f"{path}: cannot be read ({e})", hint="wardround verify says whether it changed"
        ) from e


def train_samples(dataset: Path, *, batch: int = BATCH) -> Iterator[Sample]:
    """The training samples in file order."""
    for row in train_columns(dataset, Sample.__struct_fields__, batch=batch):
        yield msgspec.convert(row, Sample)


def rows_of(path: Path, kind: type[T]) -> Iterator[T]:
    """The rows of a JSONL file of the dataset; none when it isn't there."""
    if not path.is_file():
        return
    with open(path, "rb") as f:
        for number, line in enumerate(f, start=1):
            try:
                yield decode(line, kind)
            except msgspec.DecodeError as e:
                raise InputError(
                    f"not a row of this file ({e})", path=path, row=number,
                    hint="wardround verify says whether it changed",
                ) from e  # fmt: skip


def put_table(path: Path, rows: Iterable[dict[str, Any]], schema: Any) -> int:
    """Write rows as Parquet of a pyarrow `schema`, a group at a time; the file appears only when whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    n = 0
    with pq.ParquetWriter(temporary, schema) as writer:
        held: list[dict[str, Any]] = []
        for row in rows:
            held.append(row)
            n += 1
            if len(held) == GROUP:
                writer.write_table(pa.Table.from_pylist(held, schema=schema))
                held = []
        if held or not n:
            writer.write_table(pa.Table.from_pylist(held, schema=schema))
    temporary.replace(path)
    return n


def parquet_copies(dataset: Path) -> list[str]:
    """Write doctorflan_test, train_dialogues and dotabench as Parquet too; the names of those that have rows."""
    import pyarrow as pa

    text, turn = pa.string(), pa.struct([("question", pa.string()), ("reference", pa.string())])
    kinds = {"source_fields": pa.list_(text), "refined": pa.bool_(), "turns": pa.list_(turn)}
    written = []
    for file, fields in (
        (TEST, Sample.__struct_fields__),
        (DIALOGUES, Dialogue.__struct_fields__),
        (DOTABENCH, DOTABENCH_FIELDS),
    ):
        rows = rows_of(dataset / file, dict[str, Any])
        first = next(rows, None)
        if first is not None:
            target = Path(file).with_suffix(".parquet").name
            schema = pa.schema([(f, kinds.get(f, text)) for f in fields])
            put_table(dataset / target, chain([first], rows), schema)
            written.append(target)
    return written
