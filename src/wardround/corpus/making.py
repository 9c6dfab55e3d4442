"""Sources → shards → one whole: the part of a build that an engine runs.

Finished shards lie in the work folder, each under the digest of what it was made from, so a session that was
killed is not lost, and one under another engine or another number of workers goes on with them. A source that
can't be cut (a JSON array, a book) is first set down as lines, so that its rows can be shared out too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wardround import __version__
from wardround.artifact import Workspace, digest_of, write_atomically
from wardround.corpus.formats import cuts, rows
from wardround.corpus.gather import Gathered
from wardround.corpus.options import BuildOptions
from wardround.corpus.shards import ROWS, Making, Shard, read_made, work
from wardround.corpus.source import Source
from wardround.engine import Engine, open_engine
from wardround.errors import InputError
from wardround.progress import Progress
from wardround.records import Exclusion, Record, encode

FEW_ROWS = 10_000
SHOWN = 5
"""Unreadable rows named on the terminal."""


class Sources(Record, frozen=True, kw_only=True):
    """What is read: files with what they are, in the order of their names and contents, and files of folders
    that are no sources."""

    files: tuple[tuple[Path, Source], ...]
    aside: tuple[Exclusion, ...]


def make(
    found: Sources,
    making: Making,
    options: BuildOptions,
    workspace: Workspace,
    gathered: Gathered,
) -> None:
    """Make every shard and gather what they came to. `InputError` at the first bad row when `strict`."""
    gathered.excluded.add(*found.aside)
    jobs = [
        (number, shard)
        for number, (path, source) in enumerate(found.files)
        for shard in shards_of(
            path.absolute(),
            source,
            workspace.work().absolute() / f"rows-{number}.jsonl",
            rows_per_shard=ROWS,
        )
    ]
    kept = workspace.work() / "shards" / digest_of([__version__, ROWS, len(jobs)])[:16]
    kept.mkdir(parents=True, exist_ok=True)
    files = [kept / f"{i:07}.made" for i in range(len(jobs))]
    missing = [i for i, f in enumerate(files) if not f.exists()]
    engine = engine_for(options, rows=ROWS * len(missing))
    bad = _Bad()
    bad.take(found.aside)
    try:
        fresh = engine.map(work, [(jobs[i][1], making) for i in missing])
        waiting = set(missing)
        with Progress("build", len(jobs)) as progress:
            for i, (number, shard) in enumerate(jobs):
                if i in waiting:
                    write_atomically(files[i], next(fresh))
                made = read_made(files[i].read_bytes())
                if options.strict:
                    _refuse_bad(made.exclusions, found.files[number][0])
                gathered.add(made, number)
                bad.take(made.exclusions)
                progress.advance(note=f"shards of {ROWS} rows, {shard.source.file}")
    finally:
        engine.close()
    bad.tell()


class _Bad:
    """Rows and files that could not be read: how many, and the first few for the terminal."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Exclusion] = []

    def take(self, exclusions: Sequence[Exclusion]) -> None:
        self.count += len(exclusions)
        self.first += exclusions[: SHOWN - len(self.first)]

    def tell(self) -> None:
        if not self.count:
            return
        said = [f"build: {self.count} kept aside, each with its reason in excluded.jsonl"]
        said += [f"  {e.file}, row {e.row}: {e.reason}: {e.detail}" for e in self.first]
        said += [f"  … {self.count - SHOWN} more"] * (self.count > SHOWN)
        print("\n".join(said), file=sys.stderr, flush=True)


def engine_for(options: BuildOptions, *, rows: int) -> Engine:
    """The engine asked for; for little work, this process alone, since others take a second to start."""
    alone = options.engine == "local" and options.workers is None and rows <= FEW_ROWS
    return open_engine(options.engine, workers=1 if alone else options.workers)


def _refuse_bad(exclusions: Iterable[Exclusion], path: Path) -> None:
    for e in exclusions:
        raise InputError(
            f"{e.reason}: {e.detail}", path=path, row=e.row,
            hint="mend the row, or leave out --strict to keep bad rows aside with their reason",
        )  # fmt: skip


def shards_of(
    path: Path, source: Source, lines: Path, *, rows_per_shard: int = ROWS
) -> Iterator[Shard]:
    """The shards of a source. One that can't be cut is set down at `lines` first."""
    found = cuts(path, source, rows_per_shard)
    if found is not None:
        for start, end, first in found:
            yield Shard(path=str(path), source=source, start=start, end=end, first_row=first)
        return
    with open(lines, "wb") as f:
        start = end = number = 0
        for number, row in enumerate(rows(path, source), start=1):
            end += f.write(encode(row) + b"\n")
            if number % rows_per_shard == 0:
                yield Shard(path=str(lines), source=source, start=start, end=end, spooled=True)
                start = end
    if end > start or not number:
        yield Shard(path=str(lines), source=source, start=start, end=end, spooled=True)
