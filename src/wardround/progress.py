"""Progress of long work on stderr: a bar on a terminal, one plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class Progress:
    """Counts work done. `advance` is cheap enough to call for each item; `note` is shown beside the count."""

    def __init__(self, label: str, total: int | None, *, every_s: float = 5.0) -> None:
        self.label = label
        self.total = total
        self.done = 0
        self._every = every_s
        self._started = self._shown = time.monotonic()
        self._note = ""
        self._bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, file=sys.stderr, leave=True)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more items done."""
        self.done += count
        self._note = note
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(count)
            return
        now = time.monotonic()
        if now - self._shown >= self._every:
            self._shown = now
            self._line(note)

    def _line(self, note: str) -> None:
        total = "" if self.total is None else f"/{self.total}"
        spent = time.monotonic() - self._started
        end = f" · {note}" if note else ""
        print(f"{self.label}: {self.done}{total} · {spent:.0f} s{end}", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._line(self._note if kind is None else "stopped")
