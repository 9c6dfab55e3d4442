"""Many models on the same cases: a run for each, all at once, and the comparison of those that came through.

Under the league's directory each model has an ordinary run artifact in a folder of its own, the same bytes as `evaluate`
would have written, and `comparison` holds `compare`'s artifact over all sealed ones. So everything that reads a run
reads a league's runs, and the same call again goes on with what is missing.

A model that is dead, gives out or has failed requests costs the others nothing: each run ends for itself, is summed
up and sealed while others go on, and an error is kept with the model's name. Judges, endpoints' limits, the reply cache
and the cost cap are shared by all runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import MANIFEST, UNSEALED, Artifact
from wardround.benchmarks.compare import compare
from wardround.benchmarks.loaded import Loaded, load
from wardround.benchmarks.run import Outcome, Run, ask_for, different
from wardround.benchmarks.settings import Settings
from wardround.errors import BusyError, ConfigMismatchError, UsageError, WardroundError
from wardround.models import Model
from wardround.models.ledger import Budget
from wardround.records import decode

COMPARISON = "comparison"
LONGEST = 120
"""Bytes of a folder's name that come from the model's."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model of a league. `checkpoint` is the artifact behind its endpoint; `asked` False: it is only taken into the
    comparison, if its run is already sealed."""

    model: Model
    checkpoint: Path | None = None
    asked: bool = True


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What came of one model: its run's outcome, or the error that ended it before there was one."""

    name: str
    path: Path
    outcome: Outcome | None = None
    error: WardroundError | OSError | None = None

    @property
    def sealed(self) -> bool:
        """Whether its run is whole."""
        return self.outcome is not None and self.outcome.artifact is not None


@dataclass(frozen=True, kw_only=True)
class League:
    """What came of a league, in the order of its models; `comparison` is None below two sealed runs."""

    path: Path
    models: tuple[Standing, ...]
    comparison: Artifact | None


def folder(name: str) -> str:
    """A model's folder: its name where that is safe on any file system, else what is safe of it and eight digits of
    its digest, so that no two names share one."""
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name)).lstrip(".-")
    plain = plain.encode()[:LONGEST].decode(errors="ignore")
    reserved = plain.casefold() in {"", COMPARISON} or plain.endswith(".")
    if plain == name and not reserved:
        return plain
    return f"{plain or 'model'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def evaluate_all(
    names: Sequence[str],
    data: Path | None,
    entries: Sequence[Entry],
    judges: Sequence[Model],
    out: Path,
    settings: Settings,
    *,
    against: str | None = None,
) -> League:
    """Run benchmarks `names` on `data` for every entry, into folders of `out`, and compare the sealed runs.

    `against` names the model all are compared with: the first one that is sealed, when it isn't given or has no
    sealed run. `settings.max_cost` is the cap of all runs together, sealed ones counted.
    """
    _check(entries, judges, out, against)
    standings: dict[str, Standing] = {}
    with contextlib.ExitStack() as stack:
        loaded = stack.enter_context(load(names, data, settings))
        budget = Budget(settings.max_cost)
        runs: list[Run] = []
        for entry in entries:
            path = out / folder(entry.model.name)
            if not entry.asked and not (path / MANIFEST).exists():
                continue
            try:
                run = _run(loaded, data, entry, judges, path, settings, budget)
            except BusyError:
                raise
            except (WardroundError, OSError) as e:
                standings[entry.model.name] = Standing(name=entry.model.name, path=path, error=e)
                continue
            runs.append(stack.enter_context(run))
            stack.callback(run.take_back)
            standings[entry.model.name] = Standing(name=entry.model.name, path=path)
        _ask(runs, settings, standings)
    found = tuple(standings.values())
    return League(path=out, models=found, comparison=_compared(found, out, settings.seed, against))


def _check(
    entries: Sequence[Entry], judges: Sequence[Model], out: Path, against: str | None
) -> None:
    different(judges)
    everyone = {id(m): m for m in [*(e.model for e in entries), *judges]}
    taken: dict[str, str] = {}
    for model in everyone.values():
        other = taken.get(model.name.casefold())
        if other is not None:
            raise UsageError(
                f"two models are named {other!r} and {model.name!r}",
                hint="give them names that differ in more than capitals",
            )
        taken[model.name.casefold()] = model.name
    names = [e.model.name for e in entries]
    if not names:
        raise UsageError("a league needs models", hint="name them in the file: [models.NAME]")
    if against is not None and against not in names:
        raise UsageError(f"no model named {against!r}", hint=f"one of: {', '.join(names)}")
    if (out / MANIFEST).exists() or (out / UNSEALED).exists():
        raise UsageError(
            f"{out}: holds a single artifact, not a league",
            hint="name a new directory; a league keeps a run for each model in it",
        )


def _run(
    loaded: Sequence[Loaded],
    data: Path | None,
    entry: Entry,
    judges: Sequence[Model],
    path: Path,
    settings: Settings,
    budget: Budget,
) -> Run:
    own = msgspec.structs.replace(settings, checkpoint=entry.checkpoint)
    run = Run(loaded, data, entry.model, judges, path, own, budget)
    if budget.cap is not None:
        run.spent_before()
    return run


def _ask(runs: Sequence[Run], settings: Settings, standings: dict[str, Standing]) -> None:
    """Ask for what is not sealed yet, and note what came of every run."""

    def finish(run: Run) -> None:
        with run:
            run.finish()

    missing = [run for run in runs if run.outcome is None]
    ends: Sequence[WardroundError | OSError | None] = []
    if missing:
        what = missing[0].model.name if len(missing) == 1 else f"{len(missing)} models"
        ends = ask_for(missing, f"eval {what}", settings, finish=finish)
    errors = {
        run.model.name: end for run, end in zip(missing, ends, strict=True) if end is not None
    }
    for run in runs:
        name = run.model.name
        standings[name] = Standing(
            name=name, path=standings[name].path, outcome=run.outcome, error=errors.get(name)
        )


def _compared(
    standings: Sequence[Standing], out: Path, seed: int, against: str | None
) -> Artifact | None:
    """The comparison of all sealed runs, made anew when another set of them was compared before."""
    sealed = [s for s in standings if s.sealed]
    if len(sealed) < 2:
        return None
    reference = next((str(s.path) for s in sealed if s.name == against), None)
    paths = [s.path for s in sealed]
    place = out / COMPARISON
    try:
        return compare(paths, place, against=reference, seed=seed)
    except ConfigMismatchError:
        if not _is_comparison(place):
            raise
    shutil.rmtree(place)
    return compare(paths, place, against=reference, seed=seed)


def _is_comparison(path: Path) -> bool:
    for name in (MANIFEST, UNSEALED):
        if (path / name).exists():
            found: dict[str, Any] = decode((path / name).read_bytes(), dict[str, Any])
            return found.get("kind") == "comparison"
    return False
