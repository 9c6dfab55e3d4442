"""Which saved training states may be resumed from: only those whose saving is known to have ended.

A state is a folder `checkpoint-STEP` written by the Trainer, file by file, so a kill can leave one half
written. After the save `mark` syncs its files to disk and writes `COMPLETE`, which lists them with their
sizes. `newest` deletes every folder without a mark that fits and returns the latest of the rest. Beside them
`best-STEP` holds the weights with the lowest held-out loss so far.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import write_atomically
from wardround.records import decode, encode

COMPLETE = "COMPLETE"
_NAME = re.compile(r"checkpoint-(\d+)")


def mark(folder: Path, *, keep: int = 2) -> None:
    """Declare `folder` whole, then delete all but the `keep` latest whole states beside it."""
    sizes = _sizes(folder)
    for name in sizes:
        fd = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    write_atomically(folder / COMPLETE, encode(sizes))
    whole = [f for f in _states(folder.parent) if _is_whole(f)]
    for old in whole[:-keep]:
        _remove(old)


def newest(work: Path) -> Path | None:
    """The latest whole state in `work`, None when there is none. Half-written ones are deleted."""
    found = None
    for folder in _states(work):
        if _is_whole(folder):
            found = folder
        else:
            _remove(folder)
    return found


def step_of(folder: Path | None) -> int:
    """The step a state was saved after; 0 for None."""
    match = _NAME.fullmatch(folder.name) if folder else None
    return int(match[1]) if match else 0


def _states(work: Path) -> list[Path]:
    folders = [p for p in work.glob("checkpoint-*") if p.is_dir() and _NAME.fullmatch(p.name)]
    return sorted(folders, key=step_of)


def _sizes(folder: Path) -> dict[str, int]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != COMPLETE)
    return {p.relative_to(folder).as_posix(): p.stat().st_size for p in files}


def _is_whole(folder: Path) -> bool:
    try:
        listed = decode((folder / COMPLETE).read_bytes(), dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        return False
    return listed == _sizes(folder)


def _remove(folder: Path) -> None:
    """The mark goes first: a kill while deleting must not leave a marked folder with files missing."""
    (folder / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(folder)


def best_step(history: Sequence[Mapping[str, Any]]) -> int:
    """The step with the lowest held-out loss in a Trainer's log, the earlier of equals; 0 without any."""
    found = [(h["eval_loss"], int(h["step"])) for h in history if "eval_loss" in h]
    return min(found)[1] if found else 0


def best_folder(work: Path, step: int) -> Path:
    """Where the weights after `step`, the best so far, are kept."""
    return work / f"best-{step}"


def drop_bests(work: Path) -> None:
    """Delete best weights that no saved state counts as its best. Called after `mark`, never before: until then
    the same command might go on from a state that still needs them."""
    wanted = set()
    for state in filter(_is_whole, _states(work)):
        try:
            history = json.loads((state / "trainer_state.json").read_bytes())  # it may hold NaN
        except FileNotFoundError:
            return
        wanted.add(best_folder(work, best_step(history["log_history"])))
    for folder in work.glob("best-*"):
        if folder not in wanted:
            shutil.rmtree(folder)
