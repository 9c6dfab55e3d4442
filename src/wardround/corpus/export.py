"""A dataset's training side in the layouts that other tools load, byte for byte the same from the same dataset.

    trl            trl/train.jsonl, train_dialogues.jsonl              {"id", "messages": [{"role", "content"}]}
    llamafactory   llamafactory/dataset_info.json and three files      alpaca, sharegpt, sharegpt dialogues
    ms-swift       ms-swift/train.jsonl, train_dialogues.jsonl         {"id", "messages"}
    doctorflan     doctorflan/parquet/, doctorflan/jsonl/              category, input, output, id

TRL and ms-swift read `messages` as they are (`SFTTrainer`; `swift sft --dataset FILE`). LLaMA-Factory takes the
folder as `dataset_dir`, with the names of `dataset_info.json` as `dataset`. It joins `instruction` and `input` by
a line break, and so does ms-swift: both get back exactly the sample's input.

The test side is exported in the published layout only, beside the training file and never in a layout made for
training, so that no mixture drawn from these folders can hold a test item. Rows are read in batches and written
as they come; memory does not grow with the dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from wardround.corpus.readback import DIALOGUES, TEST, put_table, rows_of, train_samples
from wardround.errors import UsageError
from wardround.records import Dialogue, Sample, encode

FOLDER = "exports"
COLUMNS = ("category", "input", "output", "id")


def export(dataset: Path, names: Iterable[str], *, out: Path | None = None) -> dict[str, int]:
    """Write the named layouts below `out` (`dataset/exports` when None); returns file → rows, paths below `out`.

    Raises `UsageError` for an unknown name, `ArtifactError` when `dataset` has no training samples.
    """
    asked = layouts(names)
    target = dataset / FOLDER if out is None else out
    written: dict[str, int] = {}
    for name in asked:
        written |= EXPORTS[name](dataset, target / name, name)
    return written


def layouts(names: Iterable[str]) -> tuple[str, ...]:
    """The layouts asked for, each once, in our order; every entry may hold several, separated by commas."""
    asked = {n.strip() for name in names for n in name.split(",")} - {""}
    unknown = sorted(asked - set(EXPORTS))
    if unknown:
        raise UsageError(
            f"no export named {', '.join(unknown)}", hint=f"one of: {', '.join(EXPORTS)}"
        )
    return tuple(name for name in EXPORTS if name in asked)


def messages(turns: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """(question, answer) pairs as chat messages."""
    out = []
    for question, answer in turns:
        out.append({"role": "user", "content": question})
        out.append({"role": "assistant", "content": answer})
    return out


def conversation(turns: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """(question, answer) pairs as ShareGPT's from and value."""
    out = []
    for question, answer in turns:
        out.append({"from": "human", "value": question})
        out.append({"from": "gpt", "value": answer})
    return out


def parted(text: str) -> tuple[str, str]:
    """(instruction, input) whose join by a line break is `text`: its first line, and the rest.

    Both tools leave an empty part out of the join, so a text whose first line or rest is empty stays whole.
    """
    first, _, rest = text.partition("\n")
    return (first, rest) if first and rest else (text, "")


def _single(sample: Sample) -> list[tuple[str, str]]:
    return [(sample.input, sample.output)]


def _turns(dialogue: Dialogue) -> list[tuple[str, str]]:
    return [(t.question, t.reference) for t in dialogue.turns]


def _as_messages(dataset: Path, folder: Path, name: str) -> dict[str, int]:
    singles = ({"id": s.id, "messages": messages(_single(s))} for s in train_samples(dataset))
    written = {f"{name}/train.jsonl": _put(folder / "train.jsonl", singles)}
    talks = ({"id": d.id, "messages": messages(_turns(d))} for d in _dialogues(dataset))
    return written | _put_some(folder, name, "train_dialogues.jsonl", talks)


def _llamafactory(dataset: Path, folder: Path, name: str) -> dict[str, int]:
    info: dict[str, Any] = {
        "wardround_alpaca": {
            "file_name": "alpaca.jsonl",
            "formatting": "alpaca",
            "columns": {"prompt": "instruction", "query": "input", "response": "output"},
        },
        "wardround_sharegpt": _sharegpt("sharegpt.jsonl"),
    }
    alpaca = (
        dict(zip(("instruction", "input"), parted(s.input), strict=True))
        | {"output": s.output, "id": s.id}
        for s in train_samples(dataset)
    )
    singles = ({"id": s.id, "conversations": conversation(_single(s))} for s in train_samples(dataset))  # fmt: skip
    written = {
        f"{name}/alpaca.jsonl": _put(folder / "alpaca.jsonl", alpaca),
        f"{name}/sharegpt.jsonl": _put(folder / "sharegpt.jsonl", singles),
    }
    talks = ({"id": d.id, "conversations": conversation(_turns(d))} for d in _dialogues(dataset))
    more = _put_some(folder, name, "sharegpt_dialogues.jsonl", talks)
    if more:
        info["wardround_dialogues"] = _sharegpt("sharegpt_dialogues.jsonl")
    _put_whole(folder / "dataset_info.json", info)
    return written | more


def _sharegpt(file: str) -> dict[str, Any]:
    tags = {
        "role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
    }  # fmt: skip
    columns = {"messages": "conversations"}
    return {"file_name": file, "formatting": "sharegpt", "columns": columns, "tags": tags}


def _doctorflan(dataset: Path, folder: Path, name: str) -> dict[str, int]:
    sides: dict[str, Callable[[], Iterator[Sample]]] = {
        "train": lambda: train_samples(dataset),
        "test": lambda: rows_of(dataset / TEST, Sample),
    }
    written: dict[str, int] = {}
    for side, samples in sides.items():
        made = _put_some(
            folder / "jsonl", f"{name}/jsonl", f"{side}.jsonl", map(_published, samples())
        )
        for rows in made.values():
            _put_parquet(folder / "parquet" / f"{side}.parquet", map(_published, samples()))
            written |= made | {f"{name}/parquet/{side}.parquet": rows}
    return written


def _published(sample: Sample) -> dict[str, str]:
    return {c: getattr(sample, c) for c in COLUMNS}


def _dialogues(dataset: Path) -> Iterator[Dialogue]:
    return (d for d in rows_of(dataset / DIALOGUES, Dialogue) if d.turns)


def _put_some(folder: Path, name: str, file: str, rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Like `_put`, but no file where there are no rows: loaders stop at an empty one."""
    n = _put(folder / file, rows)
    if n:
        return {f"{name}/{file}": n}
    (folder / file).unlink()
    return {}


def _put(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    n = 0
    with open(temporary, "wb") as f:
        for row in rows:
            f.write(encode(row) + b"\n")
            n += 1
    temporary.replace(path)
    return n


def _put_whole(path: Path, value: dict[str, Any]) -> None:
    """A JSON file in ASCII: LLaMA-Factory opens it in whatever encoding the system has."""
    import json

    path.write_text(json.dumps(value, indent=2) + "\n", encoding="ascii")


def _put_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Rows of the published columns as Parquet, in batches."""
    import pyarrow as pa

    put_table(path, rows, pa.schema([(c, pa.string()) for c in COLUMNS]))


Export = Callable[[Path, Path, str], dict[str, int]]

EXPORTS: dict[str, Export] = {
    "trl": _as_messages,
    "llamafactory": _llamafactory,
    "ms-swift": _as_messages,
    "doctorflan": _doctorflan,
}


def usage(names: Sequence[str]) -> list[str]:
    """For each layout one line that loads it, as the dataset card shows it."""
    return [USAGE[name] for name in names]


USAGE = {
    "trl": 'TRL: `SFTTrainer(train_dataset=load_dataset("json", data_files="exports/trl/train*.jsonl", split="train"))`',
    "llamafactory": "LLaMA-Factory: `dataset_dir: exports/llamafactory`, `dataset: wardround_alpaca`"
    " （或 or `wardround_sharegpt`，多轮 dialogues `wardround_dialogues`）",
    "ms-swift": "ms-swift: `swift sft --dataset exports/ms-swift/train.jsonl`（多轮 dialogues `train_dialogues.jsonl`）",
    "doctorflan": 'DoctorFLAN 的四列 four columns: `load_dataset("exports/doctorflan/parquet")`（train、test）',
}
