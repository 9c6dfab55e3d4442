"""Runs a tuning in a process of its own that SIGKILLs itself at a chosen moment."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from wardround.tuning.dpo import PreferOptions, prefer
from wardround.tuning.sft import TuneOptions


def run(
    data: Path, base: Path, out: Path, options: TuneOptions | PreferOptions, moment: str, step: int
) -> None:
    """Tune on `data` by the kind of options; die at `moment`: "step" (after that step), "state" (while its training state is being saved),
    "mark" (before that state's mark), "weights" (while the final model is being written), "never"."""
    from transformers import Trainer

    from wardround.tuning import checkpoints, model_dir, watch
    from wardround.tuning.sft import tune

    def die(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str, reached: Any) -> None:
        original = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if reached(*args):
                die()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    if moment == "step":
        before(watch.Watch, "on_step_end", lambda _w, _a, state, *_: state.global_step == step)
    elif moment == "state":
        before(Trainer, "_save_rng_state", lambda t, *_: t.state.global_step == step)
    elif moment == "mark":
        before(checkpoints, "mark", lambda folder: checkpoints.step_of(folder) == step)
    elif moment == "weights":
        before(model_dir, "write_atomically", lambda *_: True)
    if isinstance(options, PreferOptions):
        prefer(data, base, out, options)
    else:
        tune(data, base, out, options)


def start(forks: Any, *args: Any) -> int:
    """`run` in a process of its own; its exit code."""
    process = forks.Process(target=run, args=args)
    process.start()
    process.join(timeout=120)
    assert process.exitcode is not None, "the run hangs"
    return int(process.exitcode)
