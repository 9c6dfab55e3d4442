"""What a build would give, before any model is asked: samples by task and specialty, and the price of refinement.

Everything but the model's part is really done, in a scratch folder; so the numbers are the build's own, not an
estimate. Only tokens are estimated: a token for each `CHARS_A_TOKEN` characters, an answer as long as its
reference, and a share asked twice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wardround.artifact import begin
from wardround.corpus import refine as refining
from wardround.corpus.build import find
from wardround.corpus.coverage import coverage, matrix
from wardround.corpus.gather import Gathered
from wardround.corpus.making import make
from wardround.corpus.options import BuildOptions, making_of
from wardround.corpus.steps import Chosen, choose
from wardround.models.ledger import Price
from wardround.records import Document, Sample

CHARS_A_TOKEN = 1.5
"""Of Chinese medical text, in the tokenizers of Qwen's kind; an English token has more."""
ASKED_TWICE = 0.1
_LOOKED_AT = 400


def plan(
    sources: Sequence[Path], options: BuildOptions | None = None, *, price: Price | None = None
) -> dict[str, Any]:
    """`train` and `test` by task and specialty, the totals, the funnel, and what refinement would take."""
    options = options or BuildOptions()
    found = find(sources, options)
    with tempfile.TemporaryDirectory(prefix="wardround-plan-") as folder:
        out = Path(folder) / "plan"
        with (
            begin(out, kind="dataset", config={}) as workspace,
            Gathered(workspace.work()) as gathered,
        ):
            make(found, making_of(options), options, workspace, gathered)
            chosen = choose(gathered, options, workspace)
            covered = coverage(found, gathered, chosen, None, options)
            return {
                "train": matrix(chosen.train),
                "test": matrix(chosen.test),
                "totals": {
                    "train": len(chosen.train), "test": len(chosen.test),
                    "train_dialogues": len(chosen.train_dialogues),
                    "test_dialogues": len(chosen.test_dialogues),
                    "documents": len(gathered.documents),
                },
                "tasks": covered["tasks"],
                "funnel": covered["funnel"],
                "refinement": _refinement(gathered, chosen, price),
            }  # fmt: skip


def _refinement(gathered: Gathered, chosen: Chosen, price: Price | None) -> dict[str, Any]:
    """Requests and tokens, from the prompts of evenly spread samples; the cost where a price is known."""
    keys = chosen.train[:: max(1, len(chosen.train) // _LOOKED_AT)]
    asked = answered = 0
    for key in keys:
        sample = gathered.sample_text.read(key.place, Sample)
        document = gathered.text.read(gathered.by_id[key.document], Document)
        prompt = refining.request(sample, refining.passage(document, sample), 1)
        asked += sum(len(m.text) for m in prompt.messages)
        answered += len(sample.output)
    n = len(keys) or 1
    requests = round(len(chosen.train) * (1 + ASKED_TWICE))
    tokens_in = round(requests * asked / n / CHARS_A_TOKEN)
    tokens_out = round(requests * answered / n / CHARS_A_TOKEN)
    found: dict[str, Any] = {
        "requests": requests, "tokens_in": tokens_in, "tokens_out": tokens_out,
    }  # fmt: skip
    if price is not None:
        found["cost"] = round(price.of(tokens_in, tokens_out), 4)
    return found


def as_text(planned: dict[str, Any]) -> str:
    """The plan for a terminal, Chinese first."""
    totals = planned["totals"]
    lines = [
        f"训练 train {totals['train']:,} · 测试 test {totals['test']:,} · "
        f"对话 dialogues {totals['train_dialogues']:,} + {totals['test_dialogues']:,} · "
        f"文档 documents {totals['documents']:,}",
        "漏斗 funnel: " + " → ".join(f"{s['zh']} {s['n']:,}" for s in planned["funnel"]),
        "",
    ]
    for task in planned["tasks"]:
        cells = {s: n for s, n in planned["train"][task["id"]].items() if n}
        most = ", ".join(f"{s} {n}" for s, n in sorted(cells.items(), key=lambda p: -p[1])[:6])
        more = f" … ({len(cells)} specialties)" if len(cells) > 6 else ""
        said = f"{most}{more}" if cells else task["reason"]
        lines.append(f"  {task['zh']} {task['en']}: {task['train']:,} + {task['test']:,}  {said}")
    r = planned["refinement"]
    cost = f" · 费用 cost ≈ {r['cost']:,.2f}" if "cost" in r else " · 未给价格 no price known"
    lines += [
        "",
        f"若改写 refinement would take about {r['requests']:,} requests · {r['tokens_in']:,} tokens in · "
        f"{r['tokens_out']:,} out{cost}",
    ]
    return "\n".join(lines)
