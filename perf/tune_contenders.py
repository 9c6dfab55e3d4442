"""One contender of the tuning bench in a process of its own; started by `tune.py`, under any Python that has its libraries.

    python tune_contenders.py NAME FOLDER

FOLDER holds `job.json` (settings), `base/` (the model) and `samples.jsonl`: token ids, the spans of them that carry
loss, and the batches our own order makes of them. "ready" is printed once everything is imported and read; each line "go"
on stdin then trains the base anew, once over the data, and prints one JSON line: wall and CPU seconds of the
training alone, the mean loss of its steps, and the process's peak memory in MB so far.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RATE, WARMUP, DECAY, CLIP, LOG = 1e-3, 0.05, 0.1, 1.0, 10
IGNORED = -100
Round = Callable[[], float]


class Clock:
    """Wall and CPU seconds between `start` and `stop`."""

    def __init__(self) -> None:
        self._from = (0.0, 0.0)
        self.spent = (0.0, 0.0)

    def start(self) -> None:
        self._from = (time.perf_counter(), time.process_time())

    def stop(self) -> None:
        self.spent = (time.perf_counter() - self._from[0], time.process_time() - self._from[1])


def main() -> None:
    """Serve rounds until stdin ends."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    job = json.loads((folder / "job.json").read_text())
    clock, out = Clock(), sys.stdout
    sys.stdout = sys.stderr  # libraries print what they like; the answers are ours
    train = CONTENDERS[name](folder, job, clock)
    print("ready", file=out, flush=True)
    for _ in sys.stdin:
        loss = train()
        mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        wall, cpu = clock.spent
        print(json.dumps({"wall": wall, "cpu": cpu, "loss": loss, "mb": mb}), file=out, flush=True)


def _model(folder: Path, job: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)


def _rows(folder: Path) -> list[dict[str, Any]]:
    with open(folder / "samples.jsonl", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def _labels(row: dict[str, Any]) -> list[int]:
    labels = [IGNORED] * len(row["ids"])
    for start, end in row["spans"]:
        labels[start:end] = row["ids"][start:end]
    return labels


def bare(folder: Path, job: dict[str, Any], clock: Clock) -> Round:
    """AdamW over tensors that lie ready, padded as ours: nothing else happens between two steps."""
    import torch

    rows, batches = _rows(folder), []
    for batch in job["order"]:
        columns = -(-max(len(rows[i]["ids"]) for i in batch) // 32) * 32
        ids = torch.zeros(len(batch), columns, dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
        for n, i in enumerate(batch):
            size = len(rows[i]["ids"])
            ids[n, :size] = torch.tensor(rows[i]["ids"])
            labels[n, :size] = torch.tensor(_labels(rows[i]))
            mask[n, :size] = 1
        batches.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    steps = len(batches)
    warm = max(1, round(WARMUP * steps))

    def rate(step: int) -> float:
        if step < warm:
            return step / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    def train() -> float:
        model = _model(folder, job).train()
        clock.start()
        plain = [p for p in model.parameters() if p.ndim < 2]
        groups = [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": DECAY},
            {"params": plain, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=RATE, fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        losses = []
        for tensors in batches:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=job["bf16"]):
                loss = model(**tensors, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
        clock.stop()
        return float(torch.stack(losses).mean())

    return train


def wardround(folder: Path, job: dict[str, Any], clock: Clock) -> Round:
    """`tuning.loop.fit` on the same examples in the same order: the whole call, with its log and figures."""
    from array import array

    from wardround.tuning import loop
    from wardround.tuning.course import Course, Settings
    from wardround.tuning.data import Example

    examples = [
        Example(id=str(n), task="", document="", ids=array("i", r["ids"]),
                spans=tuple((a, b) for a, b in r["spans"]))
        for n, r in enumerate(_rows(folder))
    ]  # fmt: skip
    course = Course(
        examples=examples, order=[tuple(b) for b in job["order"]], held_out_examples=(),
        held_out=(), epochs=1, pad=0,
    )  # fmt: skip
    work = folder / "work"
    settings = Settings(
        stage="sft", learning_rate=RATE, warmup=WARMUP, weight_decay=DECAY, clip=CLIP,
        accumulate=1, log_steps=LOG, eval_steps=10**9, seed=0, bf16=job["bf16"],
        save_seconds=1e9, machine=True, metrics=folder / "metrics.jsonl",
    )  # fmt: skip

    def train() -> float:
        shutil.rmtree(work, ignore_errors=True)
        model = _model(folder, job)
        with _quiet():
            clock.start()
            fitted = loop.fit(model, course, settings, work)
            clock.stop()
        starts = [0, *(row["step"] for row in fitted.rows)]
        spans = zip(fitted.rows, starts, strict=False)
        return float(sum(r["loss"] * (r["step"] - a) for r, a in spans) / fitted.step)

    return train


def trl(folder: Path, job: dict[str, Any], clock: Clock) -> Round:
    """TRL's SFTTrainer on the same token ids and marks, grouped by length; as many samples a batch as ours on average."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = _rows(folder)
    data = Dataset.from_list([{"input_ids": r["ids"], "labels": _labels(r)} for r in rows])
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    work = folder / "work-trl"

    def train() -> float:
        shutil.rmtree(work, ignore_errors=True)
        config = SFTConfig(
            output_dir=str(work), max_length=None, packing=False,
            pad_to_multiple_of=job["trl_pad"] or None, train_sampling_strategy="group_by_length",
            **_usual(rows, job),
        )  # fmt: skip
        trainer = SFTTrainer(
            model=_model(folder, job), args=config, train_dataset=data, processing_class=tokenizer
        )
        clock.start()
        found = trainer.train()
        clock.stop()
        return float(found.training_loss)

    return train


def _usual(rows: list[dict[str, Any]], job: dict[str, Any]) -> dict[str, Any]:
    """What transformers' Trainer is told, whoever drives it."""
    return {
        "per_device_train_batch_size": math.ceil(len(rows) / len(job["order"])),
        "num_train_epochs": 1, "learning_rate": RATE, "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP, "weight_decay": DECAY,
        "max_grad_norm": CLIP, "bf16": job["bf16"], "use_cpu": True, "seed": 0,
        "gradient_checkpointing": False, "logging_steps": LOG, "save_strategy": "no",
        "report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False,
    }  # fmt: skip


def llamafactory(folder: Path, job: dict[str, Any], clock: Clock) -> Round:
    """LLaMA-Factory on the same chats as text, grouped by length, between its trainer's first step and last."""
    from llamafactory.train.tuner import run_exp  # type: ignore[import-not-found]
    from transformers import TrainerCallback

    told = {"samples": {"file_name": "chats.jsonl", "formatting": "sharegpt",
                        "columns": {"messages": "messages"},
                        "tags": {"role_tag": "role", "content_tag": "content",
                                 "user_tag": "user", "assistant_tag": "assistant"}}}  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(told))
    rows = _rows(folder)

    class Between(TrainerCallback):  # type: ignore[misc]
        loss = math.nan

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.start()

        def on_log(self, *_: Any, logs: dict[str, float], **__: Any) -> None:
            self.loss = logs.get("train_loss", self.loss)

        def on_train_end(self, *_: Any, **__: Any) -> None:
            clock.stop()

    def train() -> float:
        import torch

        torch.set_num_threads(job["threads"])
        shutil.rmtree(folder / "work-lf", ignore_errors=True)
        between = Between()
        run_exp(
            {
                "model_name_or_path": str(folder / "base"), "stage": "sft", "do_train": True,
                "finetuning_type": "full", "dataset": "samples", "dataset_dir": str(folder),
                "template": "chatml", "cutoff_len": 2048, "overwrite_cache": True,
                "output_dir": str(folder / "work-lf"), "train_sampling_strategy": "group_by_length",
                "preprocessing_num_workers": 1, "flash_attn": "sdpa", "pure_bf16": False,
                "disable_gradient_checkpointing": True,
                **_usual(rows, job),
            },
            callbacks=[between],
        )  # fmt: skip
        return between.loss

    return train


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The progress a training tells stderr goes nowhere; telling it is timed all the same."""
    import os

    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


CONTENDERS: dict[str, Callable[[Path, dict[str, Any], Clock], Round]] = {
    "bare": bare, "wardround": wardround, "trl": trl, "llamafactory": llamafactory,
}  # fmt: skip

if __name__ == "__main__":
    main()
