"""The cases of a session: read once, however many models they are put to, and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

from wardround.benchmarks import Benchmark, benchmark
from wardround.benchmarks.data import file_of
from wardround.benchmarks.settings import Settings
from wardround.benchmarks.spool import Spool, give_back_memory
from wardround.errors import UsageError
from wardround.records import Case, encode


@contextlib.contextmanager
def load(names: Sequence[str], data: Path | None, settings: Settings) -> Iterator[list[Loaded]]:
    """The cases of benchmarks `names` in `data`, a dataset artifact or the one benchmark's file; without `data` the
    starter items shipped with them."""
    benches = _with_controls([benchmark(n, settings.language) for n in names])
    if data is not None and len({b.file for b in benches}) > 1 and data.is_file():
        raise UsageError(
            f"{data}: one file for {len(benches)} benchmarks",
            hint="run them one by one, or give a dataset directory",
        )
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Loaded(b, data, settings.limit)) for b in benches]


def _with_controls(benches: Sequence[Benchmark]) -> list[Benchmark]:
    """Each benchmark that has a control (`control`) followed by it, unless it was named already: a run of it isn't
    to be read without."""
    found: list[Benchmark] = []
    named = {b.name for b in benches}
    for bench in benches:
        found.append(bench)
        make = getattr(bench, "control", None)
        control = None if make is None else make()
        if control is not None and control.name not in named:
            found.append(control)
    return found


class Loaded:
    """One benchmark, where its cases came from, and what goes with them; the cases themselves in a spool.

    `digest` is `digest_of` the cases; `ranks` each one's place among them by id.
    """

    def __init__(self, bench: Benchmark, data: Path | None, limit: int | None) -> None:
        self.bench = bench
        self.file = file_of(bench, data)
        cases, self.skipped, self.labels = bench.load(self.file)
        if not cases:
            raise UsageError(
                f"{self.file}: no case for {bench.name} ({len(self.skipped)} rows left aside)",
                hint="check that this is the benchmark's data",
            )
        del cases[len(cases) if limit is None else limit :]
        self.ranks = array("L", [0]) * len(cases)
        for rank, k in enumerate(sorted(range(len(cases)), key=lambda k: cases[k].id)):
            self.ranks[k] = rank
        self.spool = Spool(len(cases))
        digest = hashlib.sha256(b"[")
        cases.reverse()  # so that each is let go as it is set down
        for k in range(len(self.ranks)):
            case = cases.pop()
            digest.update(b"," * bool(k) + encode(case))
            self.spool.put(k, pickle.dumps(case))
        digest.update(b"]")
        self.digest = digest.hexdigest()
        give_back_memory()

    def __len__(self) -> int:
        return len(self.ranks)

    def case(self, place: int) -> Case:
        """One case, as it was loaded."""
        case: Case = pickle.loads(self.spool.get(place))
        return case

    def __enter__(self) -> Loaded:
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()
