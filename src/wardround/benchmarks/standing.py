"""Where each run of a comparison stands: its own figures in order of the mean, its rank, what it cost.

The mean is the run's own, over all that was scored of it. Ranks are over the items that every run scored, so that
no run gains by the hard ones it left out; a run without any score has no rank and takes no item from the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wardround.artifact import Manifest
from wardround.benchmarks.pairing import Judged
from wardround.metrics.ranking import ranks

KEPT = ("counts", "by_task", "by_turn", "overall")
SUMMED = ("requests", "cached", "tokens_in", "tokens_out", "tokens_untold")


def league(
    summaries: Sequence[Mapping[str, Any]], items: Sequence[Sequence[Judged]], seed: int
) -> dict[str, Any]:
    """`league`, best mean first and unscored runs last, and `shared`, what the ranks are of.

    Args:
        summaries: one benchmark's part of each run's `summary.json`.
        items: the same benchmark's items of each run.
    """
    values = [{j.item: j.value for j in of if j.value is not None} for of in items]
    ranked = [run for run, scored in enumerate(values) if scored]
    shared: dict[str, list[list[float]]] = defaultdict(list)
    for j in items[ranked[0]] if ranked else ():
        if all(j.item in values[run] for run in ranked):
            shared[j.cluster].append([values[run][j.item] for run in ranked])
    found = dict(zip(ranked, ranks([shared[c] for c in sorted(shared)], seed=seed), strict=False))
    rows = [
        {"run": run, "rank": found.get(run), **{k: summary[k] for k in KEPT}}
        for run, summary in enumerate(summaries)
    ]
    rows.sort(key=lambda row: (row["overall"]["mean"] is None, -(row["overall"]["mean"] or 0.0)))
    return {
        "league": rows,
        "shared": {
            "runs": len(ranked),
            "items": sum(map(len, shared.values())),
            "cases": len(shared),
        },
    }


class Spending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run took, judges included; of that the model's own cost, and the same per case.

    A cost that isn't known is left out: `unknown` says why the model's per case is ("price", "cached" where replies
    were had before and not paid for now, "tokens" the endpoint didn't tell, "judge" where the model was one too).
    """

    requests: float = 0.0
    cached: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    tokens_untold: float = 0.0
    cost: float | None = None
    cost_model: float | None = None
    per_case: float | None = None
    unknown: str = ""


def spending(manifest: Manifest, summary: Mapping[str, Any]) -> Spending:
    """From a run's sealed manifest. Costs are in the currency its prices were given in."""
    cost, model = manifest.cost, str(summary["model"])
    sums = {k: cost[k] for k in SUMMED if k in cost}
    asked = [k.removesuffix(": requests") for k in cost if k.endswith(": requests")]
    priced = bool(asked) and all(f"{name}: cost" in cost for name in asked)
    whole = round(cost["cost"], 6) if priced else None
    own = None if model in summary["judges"] else cost.get(f"{model}: cost")
    unknown = _unknown(cost, model, summary["judges"])
    cases = sum(b["cases"] * b["repeats"] for b in summary["benchmarks"].values())
    per_case = round(own / cases, 10) if own is not None and cases and not unknown else None
    return Spending(**sums, cost=whole, cost_model=own, per_case=per_case, unknown=unknown)


def _unknown(cost: Mapping[str, float], model: str, judges: Sequence[str]) -> str:
    if model in judges:
        return "judge"
    if f"{model}: cost" not in cost:
        return "price"
    if cost.get(f"{model}: cached"):
        return "cached"
    return "tokens" if cost.get(f"{model}: tokens_untold") else ""
