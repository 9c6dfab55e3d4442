"""One training in several processes, started by torchrun, `accelerate launch` or Ray Train; none is started here.

Every process runs the same script on the same inputs. The first one (`leads`) holds the artifact's lock, writes and
speaks; the others get a `Beside` instead of a workspace, which writes nothing. Which batch is whose follows from the
order alone (see `loop`), so nothing is dealt out at run time.

Errors. Up to the first step and after the last one the processes meet at fixed points (`agree`): what one raised
since the last of them is raised in all, and spoken by one. Within the steps (`lockstep`) a process that fails just ends;
the connection to it then breaks, or the launcher ends the others, and they say so (`lost`).

Nothing heavy is imported and nothing happens in a process that wasn't launched as one of several.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, ParamSpec, TypeVar

from wardround import artifact
from wardround.artifact import Artifact, InputRef, Manifest, Workspace, open_artifact, sha256_file
from wardround.errors import ArtifactError, InputError, UsageError, WardroundError

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")
_NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
PATIENCE_S = 3600
"""How long, in seconds, the others wait while the first one works alone: asks its probes, writes the weights."""
LEAD_S = 3.0
"""How long, in seconds, the others stay after an error that all know of, so that the first one can say it."""
BEFORE_STEPS = frozenset({"plan.json", "reference.json"})
"""Files that are written before the first step, in the artifact or in its work."""
_BROKEN = ("closed by peer", "reset by peer", "Broken pipe", "gloo", "Gloo", "NCCL")


class SaidElsewhereError(WardroundError):
    """Another process has this error, and speaks of it. `exit_code` is that error's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _launched() -> bool:
    return all(name in os.environ for name in _NAMES)


def count() -> int:
    """The processes of this training, on all nodes."""
    return int(os.environ["WORLD_SIZE"]) if _launched() else 1


def index() -> int:
    """This process among them, from 0."""
    return int(os.environ["RANK"]) if _launched() else 0


def leads() -> bool:
    """Whether this process is the one that writes and speaks."""
    return index() == 0


def sharding() -> str:
    """How the launcher wants weights, gradients and moments spread: "ddp" (not at all), "fsdp", "deepspeed"."""
    for name in ("fsdp", "deepspeed"):
        if os.environ.get(f"ACCELERATE_USE_{name.upper()}", "").lower() == "true":
            return name
    return "ddp"


def settings() -> dict[str, Any]:
    """What of the launch belongs in an artifact's configuration. The number of processes does: it sets the batches of
    a step, the order in which gradients are summed, and which random numbers dropout draws where. So does sharding, with
    all the launcher was told of it. Nothing where there is one process."""
    if count() == 1:
        return {}
    how = sharding()
    prefix = {"fsdp": "FSDP_", "deepspeed": "ACCELERATE_DEEPSPEED_"}.get(how)
    told = {k: v for k, v in sorted(os.environ.items()) if prefix and k.startswith(prefix)}
    for key, value in told.items():
        if key.endswith("_CONFIG_FILE") and Path(value).is_file():
            told[key] = sha256_file(Path(value))
    return {"processes": count(), "sharding": how, **({"sharding_settings": told} if told else {})}


def together(work: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let `work` run as one of several processes where it was launched so; else it is just called."""

    @functools.wraps(work)
    def joined(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not _launched() or _Group.joined or importlib.util.find_spec("accelerate") is None:
            return work(*args, **kwargs)
        _refuse_once()
        with _joined():
            return work(*args, **kwargs)

    return joined


def _refuse_once() -> None:
    """`refuse`, spoken by one process of each node."""
    try:
        refuse()
    except UsageError as e:
        if os.environ["LOCAL_RANK"] == "0":
            raise
        raise SaidElsewhereError(str(e), e.exit_code) from e


def refuse() -> None:
    """Raise `UsageError` for a launch that can't be followed."""
    import torch

    how = sharding()
    if how == "fsdp" and not torch.cuda.is_available():
        raise UsageError(
            "fsdp: accelerate shards over GPUs only, and there is none",
            hint="launch with torchrun, or with a configuration for MULTI_CPU",
        )
    if how == "fsdp" and os.environ.get("FSDP_VERSION", "1") != "2":
        raise UsageError("fsdp: version 1 isn't supported", hint="fsdp_version: 2")
    if how == "deepspeed":
        _refuse_deepspeed()


def _refuse_deepspeed() -> None:
    """What would otherwise stop the training at its first step, or only when its weights are put together."""
    if importlib.util.find_spec("deepspeed") is None:
        raise UsageError("deepspeed is asked for, but not installed", hint="pip install deepspeed")
    from accelerate.utils import DeepSpeedPlugin

    try:
        plugin = DeepSpeedPlugin()
    except (ValueError, OSError) as e:
        raise UsageError(
            f"deepspeed: accelerate doesn't take this configuration: {e}",
            hint="where a deepspeed_config_file is named, everything of DeepSpeed belongs in that file",
        ) from e
    zero = plugin.deepspeed_config["zero_optimization"]
    if zero["stage"] == 3 and not zero.get("stage3_gather_16bit_weights_on_model_save"):
        raise UsageError(
            "deepspeed: ZeRO-3 without gathering has no weights to write at the end",
            hint="zero3_save_16bit_model: true, or in DeepSpeed's own file "
            "stage3_gather_16bit_weights_on_model_save",
        )


class _Group:
    """Where this process stands. `open`: the others will look for its errors before they go on. `stepping`: the
    training that was last begun has come to its steps."""

    joined = False
    open = False
    stepping = False


@contextlib.contextmanager
def _joined() -> Iterator[None]:
    import torch
    import torch.distributed as dist
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    cpu = not torch.cuda.is_available()
    if "OMP_NUM_THREADS" not in os.environ:  # else accelerate takes all threads back, ours too
        threads = max(1, torch.get_num_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)
    ours = not dist.is_initialized()
    PartialState(cpu=cpu, timeout=timedelta(seconds=PATIENCE_S))
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _stopped) if main else None
    _Group.joined = _Group.open = True
    whole = failed = False
    try:
        yield
        whole = True
    except Exception as e:
        failed = True
        if lost(e):
            raise WardroundError(
                "another process of this training has ended, so it can't go on",
                hint="what that one said tells why; then run the same command again",
            ) from e
        whole = isinstance(e, SaidElsewhereError) or (_Group.open and _confess(e))
        raise
    finally:
        _Group.joined = _Group.open = False
        if main:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
        if failed and whole and not leads():
            # The one that speaks goes first: with another gone, its own end may be a signal.
            time.sleep(LEAD_S)
        if ours and whole:  # not with one gone: that may wait for it
            dist.destroy_process_group()
            AcceleratorState._reset_state(reset_partial_state=True)


def _stopped(signum: int, frame: FrameType | None) -> NoReturn:
    raise WardroundError(
        "stopped by its launcher: another process of this training has ended, or the job was cancelled",
        hint="run the same command again to go on where it was",
    )


def lost(error: BaseException) -> bool:
    """Whether `error` means that another process can't be reached."""
    if count() == 1 or not isinstance(error, RuntimeError):
        return False
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or any(word in str(error) for word in _BROKEN)


def agree() -> None:
    """Wait until all processes are here. Raises in all of them what one has raised since the last time."""
    _raise_first(_gathered(None))


def _confess(error: Exception) -> bool:
    """Tell the others of `error`, where they will next `agree`; whether that worked. Raises `SaidElsewhereError` when
    a process before this one has an error as well."""
    try:
        found = _gathered((str(error), getattr(error, "exit_code", 1)))
    except RuntimeError:  # they are gone
        return False
    _raise_first(found[: index()])
    return True


def _raise_first(errors: list[tuple[str, int] | None]) -> None:
    for error in errors:
        if error is not None:
            raise SaidElsewhereError(*error)


@contextlib.contextmanager
def lockstep() -> Iterator[None]:
    """The steps of the training: every process does the same, so one that fails can't wait for the others.
    Raises `UsageError` where several were launched of something that isn't made for it (no `together` around it)."""
    if count() > 1 and not _Group.joined:
        raise UsageError(
            "this can't be done by several processes", hint="start it once, without a launcher"
        )
    agree()
    _Group.open, _Group.stepping = False, True
    yield
    _Group.open = count() > 1


def _gathered(value: Any) -> list[Any]:
    """Every process's `value`, by index."""
    if count() == 1:
        return [value]
    import torch.distributed as dist

    found: list[Any] = [None] * count()
    dist.all_gather_object(found, value)
    return found


def gathered(value: _T) -> list[_T]:
    """Every process's `value`, by index; all of them must ask."""
    if _Group.open:
        agree()  # else an error of one would be taken for its value
    return _gathered(value)


def dealt(order: Sequence[_T], work: Callable[[_T], _R]) -> list[_R]:
    """`work` of every item, in their order; the processes share them and all get the same. Each does as many, some
    twice: with weights spread over them none can run alone."""
    each = count()
    mine = [work(order[min(n + index(), len(order) - 1)]) for n in range(0, len(order), each)]
    by_process = gathered(mine)
    return [by_process[n % each][n // each] for n in range(len(order))]


def told(value: _T) -> _T:
    """The first process's `value`; all of them must ask."""
    if count() == 1:
        return value
    if _Group.open:
        agree()
    import torch.distributed as dist

    held: list[Any] = [value if leads() else None]
    dist.broadcast_object_list(held, src=0)
    found: _T = held[0]
    return found


class Beside:
    """What a process that isn't the first has for a workspace: it sees what that one writes, and writes nothing."""

    def __init__(self, path: Path, done: Manifest | None) -> None:
        self.path = path
        self.done = done
        self.waited = False

    def file(self, name: str) -> Path:
        """Where the first process has the file."""
        return self.path / name

    volatile = file

    def work(self) -> Path:
        """Where the training states are."""
        return self.path / artifact.WORK

    def write_json(self, name: str, value: object) -> None:
        """The first process writes it."""

    def sealed(self) -> Artifact:
        """Wait until the first process has sealed, and open what it made."""
        self.waited = True
        agree()
        return open_artifact(self.path)


@contextlib.contextmanager
def begin(
    path: Path, *, kind: str, config: dict[str, Any], inputs: Iterable[InputRef] = ()
) -> Iterator[Workspace | Beside]:
    """`artifact.begin` in the first process, a `Beside` in the others; they leave when it has sealed.

    What fails before the first step lets `path` go: nothing was trained there that another configuration would spoil.

    Raises `WardroundError` in a process whose configuration or inputs are others than the first one's.
    """
    inputs = tuple(inputs)
    agree()
    _Group.stepping = False
    if leads():
        new = not path.exists()
        with artifact.begin(path, kind=kind, config=config, inputs=inputs) as ws:
            done = ws.done is not None
            try:
                told((ws.config_digest, ws.done))
                yield ws
            except Exception as e:
                if not (done or _Group.stepping):
                    _let_go(path, new=new, refused=isinstance(e, UsageError | InputError))
                raise
        agree()
        return
    digest, sealed = told(("", None))
    ws_here = Beside(path, sealed)
    mine = artifact.digest_of([kind, config, [(r.role, r.kind, r.digest) for r in inputs]])
    if mine != digest:
        raise ArtifactError(
            f"process {index()}: its configuration isn't the first process's",
            hint="every node needs the same data, base, options and versions of torch and transformers",
        )
    if not any((path / name).exists() for name in (artifact.MANIFEST, artifact.UNSEALED)):
        raise UsageError(
            f"{path}: process {index()} doesn't see what the first process has begun there",
            hint="name an --out on a file system that all nodes share",
        )
    yield ws_here
    if not ws_here.waited:
        agree()


def _let_go(path: Path, *, new: bool, refused: bool) -> None:
    """Remove what lies in `path` when all of it was written before any step: the lock's file, the plan, work that isn't a
    state. After another failure than a refusal the work stays, since the same command may use it."""
    work = path / artifact.WORK
    before = [p.name for p in work.iterdir()] if work.is_dir() else []
    theirs = {p.name for p in path.iterdir()} - {artifact.UNSEALED, artifact.WORK, *BEFORE_STEPS}
    if theirs or not set(before) <= BEFORE_STEPS or (before and not refused):
        return
    shutil.rmtree(work, ignore_errors=True)
    for name in (*BEFORE_STEPS, artifact.UNSEALED):
        (path / name).unlink(missing_ok=True)
    if new:
        with contextlib.suppress(OSError):  # somebody has put something there
            path.rmdir()
