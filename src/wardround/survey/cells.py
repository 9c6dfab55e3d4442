"""Small cells: which groups of respondents may be shown, and which profiles may leave. Pure.

A group of fewer than `least` is not shown. Nor may it follow from the rest: the groups of one division and their
whole are published together, so when what is hidden comes to fewer than `least` respondents, the next smallest
group is hidden too, until it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence


def shown(sizes: Mapping[str, int], least: int) -> set[str]:
    """The groups that may be shown; empty ones are not among them."""
    there = {k: n for k, n in sizes.items() if n > 0}
    kept = {k for k, n in there.items() if n >= least}
    hidden = sum(n for k, n in there.items() if k not in kept)
    for smallest in sorted(kept, key=lambda k: (there[k], k)):
        if hidden == 0 or hidden >= least:
            break
        kept.discard(smallest)
        hidden += there[smallest]
    return kept


def coarsened(
    profiles: Sequence[Mapping[str, str]], fields: Sequence[str], least: int
) -> list[dict[str, str]]:
    """Each profile with so many of its last fields left blank that every combination is shared by `least` or more.

    Where even the wholly blank ones are fewer than `least`, the smallest other group is blanked as well.
    """
    given = [tuple(p.get(f, "") for f in fields) for p in profiles]
    for keep in range(len(fields) - 1, -1, -1):
        sizes = Counter(given)
        given = [
            g if sizes[g] >= least else (*g[:keep], *("" for _ in fields[keep:])) for g in given
        ]
    blank = ("",) * len(fields)
    while 0 < (sizes := Counter(given))[blank] < least and len(sizes) > 1:
        smallest = min((g for g in sizes if g != blank), key=lambda g: (sizes[g], g))
        given = [blank if g == smallest else g for g in given]
    return [{f: v for f, v in zip(fields, g, strict=True) if v} for g in given]
