"""What a training says while it runs, on stderr: lines and a bar for people, or one JSON object a line for machines.
Of several processes only the first one speaks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from wardround.progress import Progress
from wardround.records import encode
from wardround.tuning import processes


class Teller:
    """Says what happens in one stage. `machine`: JSON lines `{"event", "stage", …}` instead of words."""

    def __init__(self, stage: str, *, machine: bool = False) -> None:
        self.stage = stage
        self.machine = machine

    def say(self, event: str, *lines: str, **values: Any) -> None:
        """One thing: `lines` for people, `values` for machines."""
        if not processes.leads():
            return
        if self.machine:
            said = [encode({"event": event, "stage": self.stage, **values}).decode()]
        else:
            said = [f"{self.stage}: {line}" for line in lines]
        if said:
            print("\n".join(said), file=sys.stderr, flush=True)

    def counting(self, steps: int) -> Progress | Uncounted:
        """The progress over `steps`; machines count by the "step" events instead."""
        return Uncounted() if self.machine or not processes.leads() else Progress(self.stage, steps)


class Uncounted:
    """A `Progress` that shows nothing."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """Nothing to show."""

    def __enter__(self) -> Uncounted:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to end."""
