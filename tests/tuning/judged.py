"""Preferences written for these tests, and options for tuning on them in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tuning.conftest import DISEASES
from wardround.tuning.dpo import PreferOptions

PREFER = PreferOptions(
    epochs=4, learning_rate=2e-3, batch_tokens=512, max_tokens=512, held_out_share=0.25,
    evaluations=2, log_steps=1, precision="fp32", threads=1, save_seconds=0.0,
    accept_unchecked=True,
)  # fmt: skip


def judgements() -> list[dict[str, Any]]:
    """A review and an edit of each disease, and a tie."""
    found: list[dict[str, Any]] = []
    for n, (name, sign, advice, department) in enumerate(DISEASES):
        for kind, asked, chosen, rejected in (
            ("review", f"患者{sign}，去哪个科？", f"{department}。理由：{sign}。", "不清楚。"),
            ("edit", f"{name}如何处理？", f"{advice}，两周后复诊。", f"{advice}。不必复诊。"),
        ):
            found.append({
                "prompt": [
                    {"role": "user", "content": "您好。"}, {"role": "assistant", "content": "请讲。"},
                    {"role": "user", "content": asked},
                ],
                "chosen": chosen, "rejected": rejected,
                "provenance": {
                    "kind": kind, "who": f"d{n % 3}", "when": "2026-03-01", "source": "ab" * 32,
                },
            })  # fmt: skip
    found.append(found[0] | {"tie": True})
    return found


def write(path: Path, written: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in written), "utf-8")
    return path
