"""Every error a user can meet, each with what to do next.

The tree:

    WardroundError                 exit 1: the work failed
    ├── UsageError                 exit 2: the command was used wrongly (unknown name, missing file, bad option)
    ├── InputError                 a source or data file is bad; names file and row
    ├── ArtifactError              a directory is not the artifact it should be
    │   ├── NotSealedError         written half-way; never read as whole
    │   └── ConfigMismatchError    the directory belongs to a different configuration
    ├── JournalError               a journal cannot be used
    │   └── JournalCorruptError    a line that is not the torn last one cannot be read
    ├── BusyError                  another process is writing this directory or journal
    ├── ModelError                 a model cannot be reached or loaded at all
    ├── CostCapError               the next request might cost more than was allowed
    └── StoreError                 the database can't be reached, or is another version's
        ├── ConflictError          someone else changed the row first, or the step is no longer open
        └── RefusedError           this person may not do that

An error belongs to a boundary: it is raised where the cause is known, and only `cli.main` turns it into
text and an exit status. A model's *single* failed request is no exception but an `Answer` with
status "failed" (see `records`): one bad reply must not end a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class WardroundError(Exception):
    """Base of all errors meant for the user. `hint` says what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors come back from worker processes; subclasses may ask for more than their text.
        return _again, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


def _again(kind: type[WardroundError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    made = kind.__new__(kind, *args)
    made.args = args
    made.__dict__.update(state)
    return made


class UsageError(WardroundError):
    """Wrong use: an unknown name, a missing file, an option that makes no sense."""

    exit_code = 2


class InputError(WardroundError):
    """A source file that cannot be read as what it should be. `row` counts from 1."""

    def __init__(
        self, message: str, *, path: Path | str, row: int | None = None, hint: str = ""
    ) -> None:
        where = f"{path}" if row is None else f"{path}, row {row}"
        super().__init__(f"{where}: {message}", hint=hint)
        self.path = str(path)
        self.row = row


class ArtifactError(WardroundError):
    """A directory is not the artifact it should be."""


class NotSealedError(ArtifactError):
    """The directory was never sealed: it is unfinished work, not an artifact."""


class ConfigMismatchError(ArtifactError):
    """The directory holds work done under another configuration, prompt or dataset."""


class JournalError(WardroundError):
    """The journal cannot be used."""


class JournalCorruptError(JournalError):
    """A line before the last cannot be read."""


class BusyError(WardroundError):
    """Another process is writing this directory or journal."""


class ModelError(WardroundError):
    """A model cannot be reached or loaded at all."""


class CostCapError(WardroundError):
    """The next request might pass the cost that was allowed; what was paid for is kept."""


class StoreError(WardroundError):
    """The database can't be reached, or its schema is of another version."""


class ConflictError(StoreError):
    """Someone else changed it first, or the step is no longer open. Nothing was written."""


class RefusedError(StoreError):
    """This person may not do that. Nothing was written."""
