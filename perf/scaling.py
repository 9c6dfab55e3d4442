"""Does more data help? Tuning on 1, 3, 10, 30 and 100 % of a dataset, the held-out loss of each.

    WARDROUND_REALDATA=FOLDER python perf/scaling.py [--samples 3000] [--json] [--check]
    WARDROUND_REALDATA=FOLDER python perf/scaling.py --made 100000 --samples 0 --shares 0.1 1 --epochs 1 --batch-tokens 4096 --half --held-out 0.01

The dataset is built from the bundled examples and, where WARDROUND_REALDATA names them, real encyclopedia entries, cases and
consultations. A twentieth of its documents is held out, the same for all; shares are of the other documents, each
within the next larger one. All start from the same weights (`scratch:tiny`'s shape, random, with a tokenizer trained on
the training side without the held-out documents) and see their share the same number of epochs. Nothing but the number
of steps and the data differ. `--made` rows are recombined from the real ones instead (see sources.py): 100,000 give a
dataset of full size; `--half` halves the model's width and depth, so that it takes minutes and not an hour. `--check` exits 1 unless the loss falls from each share to the next. The model is far too
small to know medicine: the curve says that the training learns from data it is given, not how good a model would be.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from tune_chats import EXAMPLES

from wardround.artifact import open_artifact
from wardround.corpus.build import build
from wardround.corpus.options import BuildOptions
from wardround.tuning import stack
from wardround.tuning.chats import read_chats, read_documents
from wardround.tuning.course import Course, Settings
from wardround.tuning.data import Example, batches, encode_chats, held_out_documents
from wardround.tuning.plan import split
from wardround.tuning.scratch import (
    PRESETS,
    ScratchOptions,
    make_model,
    make_tokenizer,
    training_texts,
)

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
REAL = (
    "encyclopedia_respiratory.jsonl", "cmb_clin_dev.json", "cmtmedqa_dev.json",
    "dialogue_internal_medicine.gb18030.csv",
)  # fmt: skip
HELD_OUT = 0.05
HALF = msgspec.structs.replace(
    PRESETS["tiny"], layers=2, hidden=64, heads=2, kv_heads=2, feed_forward=192
)
BATCH_TOKENS, MAX_TOKENS, RATE = 512, 1024, 2e-3


def sources() -> list[Path]:
    """The bundled examples, and the real ones there are."""
    real = os.environ.get("WARDROUND_REALDATA")
    found = [EXAMPLES / "encyclopedia.jsonl", EXAMPLES / "cases.json"]
    return found + ([Path(real) / name for name in REAL] if real else [])


def recombined(folder: Path, rows: int) -> list[Path]:
    """Sources of a dataset of full size."""
    import sources as made

    return made.make(folder / "sources", rows)


def ranked(examples: tuple[Example, ...]) -> list[Example]:
    """By the digest of their document's id, so that a share holds whole documents and any share holds the smaller ones."""
    return sorted(examples, key=lambda e: hashlib.sha256(f"scaling/{e.document}".encode()).digest())


def tuned(
    examples: list[Example], kept_out: tuple[Example, ...], tokenizer: Any, *, epochs: int,
    seed: int, bf16: bool, batch_tokens: int, shape: ScratchOptions, work: Path,
) -> dict[str, Any]:  # fmt: skip
    """Steps, the last held-out loss, the lowest one and CPU seconds of one training."""
    from wardround.tuning import loop

    order = batches(examples, batch_tokens=batch_tokens, epochs=epochs, seed=seed)
    started = time.process_time()
    fitted = loop.fit(
        make_model(tokenizer, shape),
        Course(
            examples=examples, order=order, held_out_examples=kept_out,
            held_out=batches(kept_out, batch_tokens=batch_tokens, epochs=1, seed=0),
            epochs=epochs, pad=tokenizer.pad_token_id,
        ),
        Settings(
            stage="sft", learning_rate=RATE, warmup=0.05, weight_decay=0.1, clip=1.0, accumulate=1,
            log_steps=10, eval_steps=max(1, len(order) // 2), seed=seed, bf16=bf16, save_seconds=1e9,
        ),
        work,
    )  # fmt: skip
    losses = [row["eval_loss"] for row in fitted.rows if "eval_loss" in row]
    return {
        "samples": len(examples), "tokens": sum(len(e.ids) for e in examples), "steps": len(order),
        "loss": losses[-1], "lowest": min(losses),
        "cpu_s": round(time.process_time() - started, 1),
    }  # fmt: skip


def main() -> int:
    """Build, tune, print."""
    parser = argparse.ArgumentParser(description="Held-out loss by the size of the dataset.")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 unless the loss falls")
    parser.add_argument("--samples", type=int, default=3000, help="to draw the shares from; 0: all")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--batch-tokens", type=int, default=BATCH_TOKENS)
    parser.add_argument("--made", type=int, metavar="ROWS", help="recombined rows to build from")
    parser.add_argument("--held-out", type=float, default=HELD_OUT, help="share of the documents")
    parser.add_argument("--half", action="store_true", help="a model of half the width and depth")
    options = parser.parse_args()
    here = stack.set_up("auto", options.threads)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = recombined(folder, options.made) if options.made else sources()
        built = open_artifact(build(files, folder / "dataset", BuildOptions()).path)
        chats = read_chats(built)
        documents = [d for d in read_documents(built) if d.split == "train"]
        held_out = held_out_documents((c.document for c in chats), options.held_out)
        texts = training_texts(documents, chats, without=held_out)
        tokenizer = make_tokenizer(texts, PRESETS["tiny"])
        encoded = encode_chats(chats, tokenizer, max_tokens=MAX_TOKENS)
        learned, kept_out = split(encoded.examples, held_out)
        whole = ranked(learned)[: options.samples or None]
        print(f"{len(learned):,} samples, {len(whole):,} of them used; {len(kept_out):,} held out; "
              f"{options.epochs} epochs, {here.precision}, {options.threads} threads\n")  # fmt: skip
        print(
            f"{'share':>6}{'samples':>9}{'tokens':>12}{'steps':>7}{'held-out loss':>15}{'CPU s':>8}"
        )
        for share in options.shares:
            found = tuned(
                whole[: max(1, round(share * len(whole)))], kept_out, tokenizer,
                epochs=options.epochs, seed=options.seed, bf16=here.precision == "bf16",
                batch_tokens=options.batch_tokens,
                shape=HALF if options.half else PRESETS["tiny"],
                work=folder / f"work-{share}",
            )  # fmt: skip
            rows.append({"share": share, **found})
            print(f"{share:>6.0%}{found['samples']:>9,}{found['tokens']:>12,}{found['steps']:>7,}"
                  f"{found['loss']:>15.3f}{found['cpu_s']:>8.1f}", flush=True)  # fmt: skip
    losses = [row["loss"] for row in rows]
    falls = all(a > b for a, b in itertools.pairwise(losses))
    print(
        "\nthe loss falls from each share to the next"
        if falls
        else "\nthe loss does not always fall"
    )
    if options.json:
        print(json.dumps({"learned": len(whole), "held_out": len(kept_out), "shares": rows}))
    return 1 if options.check and not falls else 0


if __name__ == "__main__":
    sys.exit(main())
