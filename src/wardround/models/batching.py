"""Continuous batching: answers join and leave between decoding steps, so none waits for another to end.

One `Engine` is used from one thread. `add` puts an answer in line; each `turn` lets some in, computes one token
for every answer that is under way and says what came of it. Prompts are computed a few at a time, so that
those under way are not held up for long.

Rows share one cache (see `rows`). A drawn answer with a seed has the model to itself, so its company can't
change it. Greedy answers are the same in any company as far as the arithmetic allows (fp32: yes in practice;
bf16: near-ties between two tokens may fall differently). Out of GPU memory, half of the rows go back in line
and are computed again later from what they had.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch

from wardround.models.drawing import Drawing, pick
from wardround.models.loaded import Loaded
from wardround.models.rows import Lane, Shared, Single, shares_rows
from wardround.models.speaking import Speaker
from wardround.models.wire import failed
from wardround.records import Answer

JOIN_ROWS, JOIN_TOKENS = 8, 4096
"""Most prompts, and most padded tokens of more than one prompt, computed between two steps."""


class Row:
    """One answer in the making. `room` is the most tokens it may have; `alone` keeps it from company; with a
    `speaker` its text is made as it comes. `wanted` says whether anybody still waits for it."""

    def __init__(
        self,
        ids: Sequence[int],
        room: int,
        drawing: Drawing,
        *,
        alone: bool = False,
        speaker: Speaker | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.ids = list(ids)
        self.room = room
        self.drawing = drawing
        self.alone = alone
        self.speaker = speaker
        self.wanted = wanted
        self.made: list[int] = []


Event = tuple[Row, "str | Answer"]
"""A piece of a row's text, or its end."""


class _Group:
    """A lane with its rows, in the lane's order."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.rows: list[Row] = []

    def leave(self, row: Row) -> None:
        at = self.rows.index(row)
        self.lane.leave(at)
        last = self.rows.pop()
        if last is not row:
            self.rows[at] = last


class Engine:
    """Answers of one loaded model, at most `size` under way at once. `steps` counts decoding steps, `most` is
    the largest number of rows one had."""

    def __init__(self, loaded: Loaded, size: int) -> None:
        self.loaded = loaded
        self.steps = 0
        self.most = 0
        self._size = self._limit = size
        self._shares = size > 1 and shares_rows(loaded.model)
        self._groups: list[_Group] = []
        self._line: deque[Row] = deque()
        self._events: list[Event] = []
        self._ended = 0

    @property
    def waiting(self) -> int:
        """Answers in line."""
        return len(self._line)

    @property
    def under_way(self) -> int:
        """Answers being made."""
        return sum(len(g.rows) for g in self._groups)

    def add(self, row: Row) -> None:
        """Put an answer at the end of the line."""
        self._line.append(row)

    def turn(self) -> list[Event]:
        """Let answers in, then one token for each; what came of it, in order."""
        self._events = []
        with torch.inference_mode():
            self._forget_unwanted()
            self._let_in()
            for group in list(self._groups):
                if group.rows:
                    self._step(group)
        self._groups = [g for g in self._groups if g.rows]
        if not self._groups and not self._line:
            self._limit = self._size
        return self._events

    def clear(self) -> list[Row]:
        """Drop every answer; returns them."""
        rows = [r for g in self._groups for r in g.rows] + list(self._line)
        self._groups, self._line = [], deque()
        return rows

    def _forget_unwanted(self) -> None:
        for group in self._groups:
            for row in [r for r in group.rows if not r.wanted()]:
                group.leave(row)
        self._line = deque(r for r in self._line if r.wanted())

    def _let_in(self) -> None:
        """The next few in line, as far as there is room. Those who share come in together."""
        free = self._limit - self.under_way
        together: list[Row] = []
        while self._line and free > 0 and len(together) < JOIN_ROWS:
            row = self._line[0]
            if self._shares and not row.alone:
                width = max(len(r.ids) + len(r.made) for r in [*together, row])
                if together and width * (len(together) + 1) > JOIN_TOKENS:
                    break
                together.append(self._line.popleft())
            elif together:
                break  # in order of arrival
            else:
                self._join(_Group(Single(self.loaded.model)), [self._line.popleft()])
            free -= 1
        if together:
            self._join(self._common(), together)

    def _common(self) -> _Group:
        """The group whose rows share a cache."""
        for group in self._groups:
            if isinstance(group.lane, Shared):
                return group
        return _Group(Shared(self.loaded.model, self._size, self.loaded.context))

    def _join(self, group: _Group, rows: list[Row]) -> None:
        try:
            logits = group.lane.join([r.ids + r.made for r in rows])
            tokens = pick(logits, [r.drawing for r in rows])
        except torch.OutOfMemoryError:
            self._later(rows)
            return
        except Exception as e:  # one bad prompt must not end the run
            self._fail(rows, e)
            return
        group.rows += rows
        if group not in self._groups:
            self._groups.append(group)
        self._take(group, tokens, since=len(group.rows) - len(rows))

    def _step(self, group: _Group) -> None:
        self.most = max(self.most, len(group.rows))
        self.steps += 1
        try:
            logits = group.lane.step([r.made[-1] for r in group.rows])
            tokens = pick(logits, [r.drawing for r in group.rows])
        except torch.OutOfMemoryError:
            self._later(self._give_way(group))
        except Exception as e:
            rows, group.rows = group.rows, []
            self._groups.remove(group)
            self._fail(rows, e)
        else:
            self._take(group, tokens)

    def _give_way(self, group: _Group) -> list[Row]:
        """The younger half of a group's rows, taken out of it; the only one where there is one."""
        rows = group.rows[len(group.rows) // 2 :]
        for row in rows:
            group.leave(row)
        return rows

    def _later(self, rows: list[Row]) -> None:
        """There is no memory for these now: back to the head of the line, fewer at once from now on. One that
        has no company to wait for will never fit."""
        torch.cuda.empty_cache()
        if not self.under_way and len(rows) == 1:
            tokens = len(rows[0].ids) + len(rows[0].made)
            self._end(rows[0], failed("memory", f"{tokens} tokens don't fit the GPU"))
            return
        self._limit = self.under_way or len(rows) // 2
        self._line.extendleft(reversed(rows))

    def _take(self, group: _Group, tokens: Sequence[int], since: int = 0) -> None:
        """Each row from `since` on gets its token; those that end leave."""
        ended = []
        for row, token in zip(group.rows[since:], tokens, strict=True):
            row.made.append(token)
            row.drawing.note(token)
            if token in self.loaded.eos:
                ended.append(row)
                self._end(row, self._answer(row, "stop", len(row.made) - 1))
                continue
            if row.speaker is not None:
                piece = row.speaker.add(token)
                if piece:
                    self._events.append((row, piece))
            stopped = row.speaker is not None and row.speaker.stopped
            if stopped or len(row.made) >= row.room:
                ended.append(row)
                reason = "stop" if stopped else "length"
                self._end(row, self._answer(row, reason, len(row.made)))
        for row in ended:
            group.leave(row)

    def _answer(self, row: Row, reason: str, kept: int) -> Answer:
        if row.speaker is None:
            text = self.loaded.text(row.made[:kept])
        else:
            piece = row.speaker.end()
            if piece:
                self._events.append((row, piece))
            text = row.speaker.text
            reason = "stop" if row.speaker.stopped else reason
        return Answer(
            status="ok", text=text, finish_reason=reason,
            tokens_in=len(row.ids), tokens_out=len(row.made),
        )  # fmt: skip

    def _fail(self, rows: Sequence[Row], error: Exception) -> None:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        for row in rows:
            self._end(row, failed("generation", reason))

    def _end(self, row: Row, answer: Answer) -> None:
        self._events.append((row, answer))
        self._ended += 1
        if self._ended % self._size == 0:  # memory that was short may be there again
            self._limit = min(self._size, self._limit + 1)


def row_of(
    loaded: Loaded, ids: Sequence[int], room: int, settings: dict[str, Any], **more: Any
) -> Row:
    """A row with its own way of drawing; alone when that is from a seed."""
    drawing = Drawing(ids, **settings, **loaded.repetition)
    alone = bool(settings.get("temperature")) and settings.get("seed") is not None
    return Row(ids, room, drawing, alone=alone, **more)
