"""How many training samples each task and specialty gets: caps, weights, a wanted size.

Shares are by weight as far as there is material: a task that can't fill its share leaves the rest to the others
in the proportion of their weights (water-filling), and the same again among the specialties of a task. Which
samples of a cell stay is drawn by the seed; the others are set aside as `over_cap`, with their reason.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from wardround import taxonomy
from wardround.corpus.keys import SampleKey
from wardround.errors import InputError, UsageError
from wardround.records import Record


class Balance(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted of the training side. Caps are upper bounds (None: none), `size` is the wanted total;
    weights are relative, 1 where not given, by task and specialty id."""

    size: int | None = None
    max_per_task: int | None = None
    max_per_specialty: int | None = None
    max_per_cell: int | None = None
    tasks: dict[str, float] = {}
    specialties: dict[str, float] = {}

    @property
    def idle(self) -> bool:
        """Whether it changes nothing."""
        caps = (self.size, self.max_per_task, self.max_per_specialty, self.max_per_cell)
        return all(c is None for c in caps) and 0 not in {
            *self.tasks.values(),
            *self.specialties.values(),
        }


def read_balance(path: Path) -> Balance:
    """A balance file (YAML with the fields of `Balance`). `InputError` naming what is wrong in it."""
    if not path.is_file():
        raise UsageError(
            f"{path}: no such file", hint="name a YAML file with size, caps and weights"
        )
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=Balance)
    except msgspec.DecodeError as e:
        raise InputError(f"not a balance file: {e}", path=path, hint="see docs/dataset.md") from e
    for what, given, known in (
        ("task", found.tasks, taxonomy.tasks()),
        ("specialty", found.specialties, {**taxonomy.specialties(), taxonomy.UNMAPPED: None}),
    ):
        for name, weight in given.items():
            if name not in known:
                raise InputError(
                    f"no {what} named {name}", path=path, hint=f"one of {', '.join(known)}"
                )
            if not weight >= 0:
                raise InputError(f"weight of {name}: {weight} is not 0 or more", path=path)
    caps = (found.size, found.max_per_task, found.max_per_specialty, found.max_per_cell)
    if any(c is not None and c < 0 for c in caps):
        raise InputError("a cap or size is below 0", path=path)
    return found


def share_out(
    available: Mapping[str, int], weights: Mapping[str, float], size: int
) -> dict[str, int]:
    """`size` (at most all there is) shared out by weight over what is available; whole numbers, the larger
    remainder first, ties by name."""
    left = {k: n for k, n in available.items() if n > 0 and weights.get(k, 1.0) > 0}
    got = dict.fromkeys(available, 0)
    room = min(size, sum(left.values()))
    while left and room > 0:
        total = sum(weights.get(k, 1.0) for k in left)
        full = [k for k in left if room * weights.get(k, 1.0) / total >= left[k]]
        if not full:
            parts = {k: room * weights.get(k, 1.0) / total for k in left}
            order = sorted(left, key=lambda k: (-(parts[k] - int(parts[k])), k))
            spare = room - sum(int(p) for p in parts.values())
            for k in left:
                got[k] = int(parts[k])
            for k in order[:spare]:
                got[k] += 1
            break
        for k in full:
            got[k] = left.pop(k)
            room -= got[k]
    return got


def quotas(cells: Mapping[tuple[str, str], int], balance: Balance) -> dict[tuple[str, str], int]:
    """How many of each (task, specialty) cell stay, of how many there are."""
    room = {
        (t, s): min(n, balance.max_per_cell if balance.max_per_cell is not None else n)
        for (t, s), n in cells.items()
        if balance.tasks.get(t, 1.0) > 0 and balance.specialties.get(s, 1.0) > 0
    }
    if balance.max_per_specialty is not None:
        room = _capped(room, 1, balance.max_per_specialty, balance.tasks)
    if balance.max_per_task is not None:
        room = _capped(room, 0, balance.max_per_task, balance.specialties)
    if balance.size is not None:
        per_task: dict[str, int] = defaultdict(int)
        for (t, _), n in room.items():
            per_task[t] += n
        wanted = share_out(per_task, balance.tasks, balance.size)
        room = {
            (t, s): n
            for t, size in wanted.items()
            for s, n in share_out(
                {s: n for (u, s), n in room.items() if u == t}, balance.specialties, size
            ).items()
        }
    return {cell: room.get(cell, 0) for cell in cells}


def _capped(
    room: Mapping[tuple[str, str], int], axis: int, cap: int, weights: Mapping[str, float]
) -> dict[tuple[str, str], int]:
    """`room` with at most `cap` for each value of one axis (0 task, 1 specialty), shared out over the other."""
    out: dict[tuple[str, str], int] = {}
    for value in sorted({cell[axis] for cell in room}):
        mine = {cell: n for cell, n in room.items() if cell[axis] == value}
        shares = share_out({c[1 - axis]: n for c, n in mine.items()}, weights, cap)
        out |= {cell: shares[cell[1 - axis]] for cell in mine}
    return out


def balanced(
    samples: Sequence[SampleKey], balance: Balance, seed: int
) -> tuple[list[SampleKey], list[SampleKey]]:
    """The samples that stay, in their order, and those over their cell's quota."""
    if balance.idle:
        return list(samples), []
    cells: dict[tuple[str, str], list[SampleKey]] = defaultdict(list)
    for s in samples:
        cells[s.task, s.specialty].append(s)
    wanted = quotas({c: len(found) for c, found in cells.items()}, balance)
    stay: set[str] = set()
    for cell, found in cells.items():
        stay.update(s.id for s in _drawn(found, seed)[: wanted[cell]])
    kept = [s for s in samples if s.id in stay]
    return kept, [s for s in samples if s.id not in stay]


def _drawn(samples: Iterable[SampleKey], seed: int) -> list[SampleKey]:
    return sorted(samples, key=lambda s: hashlib.sha256(f"balance:{seed}:{s.id}".encode()).digest())
