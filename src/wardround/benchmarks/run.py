"""The only runner: benchmarks × cases × repeats, answered, judged, scored, summed up, sealed.

Each case is one coroutine under `models.ask`: turn by turn it asks the model, and has every judge grade each
answer as soon as it is there. All requests go through the journal, so a run killed at any moment goes on where
it was and asks nothing twice. Records and summary depend only on answers, verdicts and seed: an interrupted
run ends with the same bytes as an uninterrupted one.

A `Run` is one model's: prepared, asked, finished. `evaluate` does one; `league` does many on the same cases, and
each ends with the bytes it would have had alone.

A request that failed for good leaves its item "failed" (no answer) or "unscored" (no verdict), never zero. A
run with failed requests is written out but not sealed, so that the same command asks those again, unless
`accept_failures` says to seal it with them counted.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import UNSEALED, Artifact, begin, digest_of, open_artifact, ref
from wardround.benchmarks.item import Item
from wardround.benchmarks.loaded import Loaded, load
from wardround.benchmarks.record import RunRecord, read_light
from wardround.benchmarks.record import counts as count
from wardround.benchmarks.settings import Settings as Settings
from wardround.benchmarks.spool import Spool
from wardround.benchmarks.summary import summarise
from wardround.errors import ArtifactError, UsageError, WardroundError
from wardround.models import Model
from wardround.models.ask import Ask, Job, run_jobs
from wardround.models.cache import open_cache
from wardround.models.ledger import Budget, Ledger, percentiles
from wardround.models.wire import reason_code
from wardround.progress import Progress
from wardround.records import Record, encode

LOAD_AFTER_S = 0.3
SHORT = 2000
"""Cases up to which a tenth of a second counts; above it memory does, and code loaded late takes freed space."""


class Outcome(Record, frozen=True, kw_only=True):
    """What came of a run: its artifact when sealed, else None; `failed` counts requests that failed."""

    path: Path
    artifact: Artifact | None
    failed: int
    reasons: dict[str, int]


def evaluate(
    names: Sequence[str],
    data: Path | None,
    model: Model,
    judges: Sequence[Model],
    out: Path,
    settings: Settings,
) -> Outcome:
    """Run benchmarks `names` on `data` (a dataset artifact, or the one benchmark's file) into `out`; without
    `data` on the starter items shipped with them."""
    different(judges)
    with (
        load(names, data, settings) as loaded,
        Run(loaded, data, model, judges, out, settings, Budget(settings.max_cost)) as run,
    ):
        if run.outcome is not None:
            return run.outcome
        (error,) = ask_for([run], f"eval {model.name}", settings)
        if error is not None:
            raise error
        return run.finish()


def different(judges: Sequence[Model]) -> None:
    """`UsageError` when two judges have the same name."""
    if len({j.name for j in judges}) < len(judges):
        raise UsageError("two judges have the same name", hint="name each judge once")


def ask_for(
    runs: Sequence[Run],
    label: str,
    s: Settings,
    *,
    finish: Callable[[Run], object] | None = None,
) -> list[WardroundError | OSError | None]:
    """Ask and judge every case of `runs`, all at once: for each None, or what ended it.

    `finish` gets each run as soon as its last case is done, while others go on.
    """
    total = sum(run.total for run in runs)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(label, total))
        cache = open_cache(fresh=s.fresh)
        if cache is not None:
            stack.callback(cache.close)
        if total <= SHORT:
            stack.enter_context(_statistics_loaded_meanwhile())
        jobs = [run.job(finish, named=len(runs) > 1) for run in runs]
        ends = run_jobs(jobs, concurrency=s.concurrency, progress=progress, cache=cache)
    return [None if isinstance(end, list) else end for end in ends]


class Run:
    """One model's run: its directory, journal, accounts, and its records in a scratch file.

    Cases wait and records gather on disk, so that memory holds only what is in flight. A case's place among the
    records is settled beforehand, whatever the order of replies. `outcome` is there once there is nothing left to
    do, at once when the very same run was already sealed in `out`.
    """

    def __init__(
        self,
        loaded: Sequence[Loaded],
        data: Path | None,
        model: Model,
        judges: Sequence[Model],
        out: Path,
        settings: Settings,
        budget: Budget,
    ) -> None:
        self.model = model
        self.outcome: Outcome | None = None
        self._asked = False
        self._seconds = array("d")
        self.total = sum(map(len, loaded)) * settings.repeats
        self._loaded, self._judges, self._settings = loaded, judges, settings
        self._ledger = Ledger(settings.prices, budget=budget)
        self._first = _places(loaded, settings.repeats)
        inputs = [ref(item.file, f"data:{item.bench.name}", seen_from=out) for item in loaded]
        if data is not None and data.is_dir():
            inputs.insert(0, ref(data, "dataset", seen_from=out))
        if settings.checkpoint is not None:
            inputs.append(ref(settings.checkpoint, "checkpoint", seen_from=out))
        if settings.answers is not None:
            inputs.append(ref(settings.answers, "answers", seen_from=out))
        config = _config(loaded, model, judges, settings)
        with contextlib.ExitStack() as stack:
            self._workspace = stack.enter_context(
                begin(out, kind="run", config=config, inputs=inputs)
            )
            if self._workspace.done is not None:
                self.outcome = Outcome(path=out, artifact=open_artifact(out), failed=0, reasons={})
            else:
                self._records = stack.enter_context(Spool(self.total))
                self._journal = stack.enter_context(self._workspace.journal())
            self._open = stack.pop_all()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def take_back(self) -> None:
        """Remove a directory in which nothing was ever answered: it would hold its name against a mended URL."""
        if self.outcome is not None or self._asked or len(self._journal):
            return
        for path in (self._journal.path, self._workspace.path / UNSEALED):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else lies in it
            self._workspace.path.rmdir()

    def spent_before(self) -> None:
        """Count what a run that is already sealed has cost, as if it were asked in this session."""
        if self._workspace.done is not None and self._workspace.file("journal.jsonl").exists():
            with self._workspace.journal() as journal:
                self._ledger.open(journal)

    def job(
        self, finish: Callable[[Run], object] | None = None, *, named: bool = False
    ) -> Job[None]:
        """What there is to ask."""
        return Job(
            name=self.model.name if named else "",
            work=self._work(),
            models=[self.model, *self._judges],
            journal=self._journal,
            ledger=self._ledger,
            alone=self.model.identity.get("kind") == "local",
            then=None if finish is None else lambda _: finish(self),
        )

    def _work(self) -> Iterator[Callable[[Ask], Awaitable[None]]]:
        s = self._settings
        for item in self._loaded:
            for k, rank in enumerate(item.ranks):
                for repeat in range(s.repeats):
                    one = Item(item.bench, item.case(k), repeat + 1, self.model, self._judges, s)
                    place = self._first[item.bench.name] + rank * s.repeats + repeat
                    yield functools.partial(self._set_down, one, place)

    async def _set_down(self, item: Item, place: int, ask: Ask) -> None:
        """Do one case and put its records in their place."""
        made = await item(ask)
        self._records.put(place, b"\n".join(encode(r) for r in made))
        self._seconds.append(item.seconds)

    def finish(self) -> Outcome:
        """Write records, figures and timing, and seal unless requests failed."""
        self._asked = True
        self._journal.close()  # its index is not needed while figures are made
        lines = (msgspec.Raw(line) for data in self._records for line in data.splitlines())
        self._workspace.write_jsonl("records.jsonl", lines)
        self._records.close()
        timing = {
            "asking": {"seconds": round(self._ledger.seconds, 4)},
            "requests": self._ledger.timing(),
            "cases": {self.model.name: percentiles(self._seconds)},
        }
        self._workspace.volatile("timing.json").write_bytes(
            msgspec.json.format(encode(timing), indent=1) + b"\n"
        )
        self.outcome = self._write()
        return self.outcome

    def _write(self) -> Outcome:
        """Sum up the records on disk, and seal unless requests failed."""
        workspace, loaded = self._workspace, self._loaded
        workspace.write_jsonl("skipped.jsonl", (e for item in loaded for e in item.skipped))
        with open(workspace.file("records.jsonl"), "rb") as f:
            records = [read_light(line) for line in f]
        skipped = {item.bench.name: sum(e.stage != "note" for e in item.skipped) for item in loaded}
        summary = summarise(
            records,
            [item.bench for item in loaded],
            model=self.model.name,
            judges=[j.name for j in self._judges],
            skipped=skipped,
            seed=self._settings.seed,
        )
        workspace.write_json("summary.json", summary)
        reasons = dict(sorted(Counter(_failures(records)).items()))
        artifact = None
        if not reasons or self._settings.accept_failures:
            counts = {
                "cases": sum(map(len, loaded)),
                "skipped": sum(skipped.values()),
                **count(records),
            }
            artifact = workspace.seal(
                counts=counts,
                labels=dict.fromkeys(self._labels()),
                cost=self._ledger.cost(),
                seed=self._settings.seed,
            )
        return Outcome(
            path=workspace.path, artifact=artifact, failed=sum(reasons.values()), reasons=reasons
        )

    def _labels(self) -> list[str]:
        labels = [*self.model.labels, *(x for j in self._judges for x in j.labels)]
        if (
            self._settings.checkpoint is not None
        ):  # served elsewhere: the endpoint knows nothing of them
            with contextlib.suppress(ArtifactError):  # a directory of somebody else's carries none
                labels += open_artifact(self._settings.checkpoint).manifest.labels
        return labels + [x for item in self._loaded for x in item.labels]


def _places(loaded: Sequence[Loaded], repeats: int) -> dict[str, int]:
    """Where each benchmark's records begin: benchmarks by name."""
    first, total = {}, 0
    for item in sorted(loaded, key=lambda item: item.bench.name):
        first[item.bench.name] = total
        total += len(item) * repeats
    return first


def _config(
    loaded: Sequence[Loaded], model: Model, judges: Sequence[Model], s: Settings
) -> dict[str, Any]:
    return {
        "benchmarks": [item.bench.name for item in loaded],
        "prompts": digest_of([item.bench.prompt for item in loaded]),
        "cases": [item.digest for item in loaded],
        "model": model.identity if s.checkpoint is None else {"model": model.name},
        "judges": [j.identity for j in judges],
        "language": s.language,
        "limit": s.limit,
        "repeats": s.repeats,
        "max_tokens": s.max_tokens,
        "temperature": s.temperature,
        "judge_max_tokens": s.judge_max_tokens,
        "seed": s.seed,
    }


@contextlib.contextmanager
def _statistics_loaded_meanwhile() -> Iterator[None]:
    """Load the code of the statistics while answers are waited for: not at once, when requests go out."""
    module = "wardround.benchmarks.checks"
    beside = threading.Timer(LOAD_AFTER_S, importlib.import_module, [module])
    beside.start()
    try:
        yield
    finally:
        beside.cancel()  # it has begun, or is not needed
        beside.join()


def _failures(records: Sequence[RunRecord]) -> Iterator[str]:
    """A reason for each request that failed for good."""
    for r in records:
        if r.status == "failed":
            yield reason_code(r.reason)
        for score in r.judges.values():
            if score.reason.startswith("judge failed"):
                yield score.reason
