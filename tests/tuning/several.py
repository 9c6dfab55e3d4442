"""One of several processes of a tuning, as a launcher would start it; what it raises ends up in a file."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround.tuning.data import Example, collate

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
}


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def environment(rank: int, port: int, count: int = 2) -> dict[str, str]:
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def run(env: Mapping[str, str], errors: Path, call: Any, *args: Any) -> None:
    """`call(*args)` as the process that `env` says; an error's kind and text go to `errors`."""
    os.environ.update(env)
    import torch

    torch.set_num_threads(1)
    if env.get("ACCELERATE_USE_FSDP"):
        shard_on_cpu()
    try:
        call(*args)
    except Exception as e:
        errors.write_text(f"{type(e).__name__}: {e}")
        os._exit(getattr(e, "exit_code", 1))


def start(
    forks: Any, errors: Path, call: Any, args: Sequence[Sequence[Any]], **more: str
) -> list[int]:
    """Run `call` once for each of `args`, as that many processes; their exit codes."""
    port = free_port()
    errors.mkdir(exist_ok=True)
    children = []
    for rank, mine in enumerate(args):
        env = environment(rank, port, len(args)) | more
        file = errors / f"{rank}"
        file.unlink(missing_ok=True)
        children.append(forks.Process(target=run, args=(env, file, call, *mine)))
    for child in children:
        child.start()
    for child in children:
        child.join(timeout=90)
    codes = [child.exitcode for child in children]
    for child in children:
        child.kill()
    assert None not in codes, f"hangs: {codes}"
    return [int(c) for c in codes]


def shard_on_cpu() -> None:
    """Let accelerate believe these are GPUs: its FSDP2 code then runs as it is, on gloo."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    from wardround.tuning import processes

    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    torch.distributed.init_process_group("gloo")
    processes.refuse = lambda: None
    real = PartialState._prepare_backend

    def prepared(self: Any, *args: Any, **kwargs: Any) -> Any:
        real(self, *args, **kwargs)
        return "gloo", DistributedType.MULTI_GPU

    PartialState._prepare_backend = prepared


class MeanLoss:
    """An objective: the mean loss of a batch's tokens, so that a batch weighs the same however long."""

    def gather(self, batch: Sequence[Example]) -> Mapping[str, Any]:
        return collate(batch, pad=0)

    def loss(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        return model(**inputs).loss

    def measure(
        self, model: Any, examples: Sequence[Example], order: Sequence[tuple[int, ...]]
    ) -> dict[str, float]:
        return {"eval_loss": 1.0}


def fit_objective(base: Path, out: Path, batches: int, accumulate: int) -> None:
    """Fit `base` to `MeanLoss` over so many batches of unlike length; writes the training log to `out`/log.json."""
    from wardround.tuning import loop, model_dir, processes
    from wardround.tuning.course import Course, Settings

    @processes.together
    def work() -> None:
        model, _ = model_dir.load_model(base)
        examples = [
            Example(
                id=str(n), task="", document="", ids=array("i", range(3, 9 + 5 * n)),
                spans=((1, 6 + 5 * n),),
            )
            for n in range(batches)
        ]  # fmt: skip
        course = Course(
            examples=examples, order=[(n,) for n in range(batches)], held_out_examples=(),
            held_out=(), epochs=1, pad=0, objective=MeanLoss(),
        )  # fmt: skip
        settings = Settings(
            stage="test", learning_rate=3e-3, warmup=0.0, weight_decay=0.0, clip=1.0,
            accumulate=accumulate, log_steps=1, eval_steps=100, seed=0, bf16=False,
            save_seconds=1e9,
        )  # fmt: skip
        fitted = loop.fit(model, course, settings, out)
        if processes.leads():
            model.save_pretrained(out)
            (out / "log.json").write_text(json.dumps([row["loss"] for row in fitted.rows]))

    out.mkdir(exist_ok=True)
    work()


def ended_by_launcher() -> None:
    """Get a launcher's SIGTERM while working alone."""
    from wardround.tuning import processes

    @processes.together
    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    work()
