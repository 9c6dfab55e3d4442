"""`wardround tune`: supervised fine-tuning of a causal chat model, all weights or LoRA, on one dataset or several.

Reads top to bottom: refuse what must not be learned from, tokenise and mask, set documents aside for the held-out
loss, say the plan, train, write an ordinary Hugging Face directory, seal. The held-out share is taken from the training
documents, by document; the test side is never read. Killed at any time, the same command goes on. In several processes
all run this script, and the first one writes (`processes`).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, open_artifact, ref
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.records import Record
from wardround.tuning import (
    adapters,
    card,
    guard,
    mixture,
    packing,
    processes,
    stack,
    tracking,
    weights,
)
from wardround.tuning.course import Course, Settings
from wardround.tuning.data import batches, check_truncation, encode_all, held_out_documents
from wardround.tuning.plan import make_plan, show, split

SCRATCH = "scratch:"


class TuneOptions(Record, frozen=True, kw_only=True):
    """How to tune. What is None is taken from `PRETRAINED`, or from `FROM_SCRATCH` for a from-scratch base.

    `batch_tokens`: padded tokens a batch, at most; `accumulate` batches of every process make one step. `max_truncated`: the
    share of chats that may be longer than `max_tokens`. `evaluations`: how often the held-out loss is taken.
    `warmup`: share of the steps. `precision` and `threads`: see `stack.set_up`.

    `lora_rank` 0 trains all weights; `lora_alpha` None is twice the rank; `adapter`: whether it ends up merged.
    `packing`: see `packing`. `cap`: see `mixture.parse_caps`. `early_stop`: evaluations without a lower held-out loss
    until it stops, 0 for never. `probes`: held-out questions a task that are asked at each evaluation.

    Without influence on the result: `save_seconds`, least time between two saved states (0: after every logged
    step); `track`, names of trackers; `held_out`, files of digests; `accept_unchecked`; `machine`: JSON lines.
    """

    epochs: int | None = None
    learning_rate: float | None = None
    batch_tokens: int | None = None
    max_tokens: int | None = None
    threads: int | None = None
    accumulate: int = 1
    max_truncated: float = 0.10
    held_out_share: float = 0.05
    evaluations: int = 5
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    log_steps: int = 10
    seed: int = 0
    precision: stack.Precision = "auto"
    lora_rank: int = 0
    lora_alpha: float | None = None
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = (adapters.ALL_LINEAR,)
    adapter: adapters.Kept = "merged"
    packing: bool = False
    gradient_checkpointing: bool = False
    cap: str = ""
    early_stop: int = 0
    probes: int = 0
    probe_tokens: int = 96
    save_seconds: float = 20.0
    track: tuple[str, ...] = ()
    held_out: tuple[Path, ...] = ()
    accept_unchecked: bool = False
    machine: bool = False


class Recipe(Record, frozen=True, kw_only=True):
    """The settings that depend on the kind of base."""

    epochs: int
    learning_rate: float
    batch_tokens: int
    max_tokens: int
    threads: int | None


PRETRAINED = Recipe(epochs=3, learning_rate=1e-5, batch_tokens=8192, max_tokens=2048, threads=None)
# LoRA's matrices start at nothing and are few: they take, and need, a higher rate than whole weights.
ADAPTED = msgspec.structs.replace(PRETRAINED, learning_rate=2e-4)
# One thread: a model this small gains 1.4× from a second, but lost 5× to it on a busy machine (OpenMP threads
# spin while waiting), and so its digest is the same whatever the number of cores.
FROM_SCRATCH = Recipe(epochs=2, learning_rate=2e-3, batch_tokens=512, max_tokens=1536, threads=1)


@processes.together
def tune(
    dataset: str | Path | Sequence[str | Path], base: Path | str, out: Path,
    options: TuneOptions | None = None,
) -> Artifact:  # fmt: skip
    """Fine-tune the model in directory `base` on `dataset` and write the checkpoint artifact `out`.

    `dataset` is a dataset artifact, or several things to learn from (`mixture.sources`): artifacts and plain files,
    each with a weight where one is given as PATH:WEIGHT. `base` may be "scratch:tiny": then a tiny model is first made
    from the first dataset itself, in `<out>-base`.
    """
    options = options or TuneOptions()
    _check(options)
    out = Path(out)
    lora = _lora(options)

    # Refuse what must not be learned from, and what can't be done here.
    sources = mixture.sources(dataset)
    forbidden = guard.held_out_digests(options.held_out)
    guard.refuse_held_out(sources, Path(base), forbidden)
    warnings = guard.refuse_unchecked(sources, accept=options.accept_unchecked)
    stack.require()
    tracking.require(options.track)
    if lora:
        adapters.require()
    if str(base).startswith(SCRATCH):
        base = _scratch_base(sources[0], str(base).removeprefix(SCRATCH), out, options)
    base = Path(base)

    from wardround.tuning import model_dir

    model_dir.check_base(base)
    recipe = _recipe(options, base)
    here = stack.set_up(options.precision, recipe.threads)
    config = stack.settings_of("sft", options, here, recipe)
    config["weights"] = [s.weight for s in sources]
    inputs = [*mixture.refs(sources, seen_from=out), ref(base, "base", seen_from=out)]
    with processes.begin(out, kind="checkpoint", config=config, inputs=inputs) as ws:
        if ws.done:
            return open_artifact(out)

        from wardround.tuning import evaluation, loop

        # Data: chats → token ids with loss on the answers; some documents held out, tasks capped.
        tokenizer = model_dir.load_tokenizer(base)
        chats = mixture.renamed(mixture.read(sources))
        tasks = {c.task for mine in chats for c in mine}
        held_out: frozenset[str] = frozenset().union(
            *(held_out_documents((c.document for c in m), options.held_out_share) for m in chats)
        )
        chats, capped = mixture.cap_all(chats, mixture.parse_caps(options.cap), spare=held_out)
        encoded, by_source = encode_all(chats, tokenizer, max_tokens=recipe.max_tokens)
        check_truncation(encoded, max_share=options.max_truncated, max_tokens=recipe.max_tokens)
        halves = [split(examples, held_out) for examples in by_source]
        learned = tuple(e for mine, _ in halves for e in mine)
        kept_out = tuple(e for _, others in halves for e in others)
        if not learned:
            raise InputError("no sample is left to train on", path=sources[0].path)

        # The order of all batches of all epochs.
        portions = mixture.portions(sources, [mine for mine, _ in halves])
        shown = mixture.shown(portions, options.seed)
        order = batches(
            learned, batch_tokens=recipe.batch_tokens, epochs=recipe.epochs, seed=options.seed,
            shown=shown, packed=options.packing,
        )  # fmt: skip
        if not order:
            raise InputError("no sample is left to train on", path=sources[0].path)
        steps = loop.steps_of(len(order), options.accumulate)

        # Model and plan.
        attention = packing.attention() if options.packing else None
        model, stored_dtype = model_dir.load_model(base, frozen=bool(lora), attention=attention)
        model_dir.check_vocabulary(model, tokenizer, base)
        model_dir.stop_at(model, set(encoded.ends))
        if options.packing:
            packing.check(model.to(here.device), pad=_pad_id(tokenizer))
        if lora:
            model = adapters.wrap(model, lora, seed=options.seed)
        plan = make_plan(
            model, msgspec.structs.replace(
                encoded, examples=learned, excluded=(*capped, *encoded.excluded)
            ), order, stage="sft",
            held_out=len(kept_out), epochs=recipe.epochs, steps=steps,
            batch_tokens=recipe.batch_tokens, max_tokens=recipe.max_tokens,
            packed=options.packing, checkpointing=options.gradient_checkpointing, tasks=tasks,
            sources=mixture.shares(portions),
        )  # fmt: skip
        show(plan, machine=options.machine)
        ws.write_json("plan.json", plan)

        # Train.
        ws.volatile("runs")
        fitted = loop.fit(
            model,
            Course(
                examples=learned, order=order, held_out_examples=kept_out,
                held_out=batches(
                    kept_out, batch_tokens=recipe.batch_tokens, epochs=1, seed=options.seed
                ),
                epochs=recipe.epochs, pad=_pad_id(tokenizer), packed=options.packing,
                probes=evaluation.probes(kept_out, tokenizer, per_task=options.probes),
                tokenizer=tokenizer,
            ),
            Settings(
                stage="sft", learning_rate=recipe.learning_rate, warmup=options.warmup,
                weight_decay=options.weight_decay, clip=options.clip,
                accumulate=options.accumulate, log_steps=options.log_steps,
                eval_steps=math.ceil(steps / options.evaluations), seed=options.seed,
                bf16=here.precision == "bf16", save_seconds=options.save_seconds,
                gradient_checkpointing=options.gradient_checkpointing, keep_best=True,
                early_stop=options.early_stop, probe_tokens=options.probe_tokens,
                machine=options.machine, metrics=ws.volatile(tracking.METRICS),
                trackers=options.track,
            ),
            ws.work(),
        )  # fmt: skip

        if isinstance(ws, processes.Beside):
            return ws.sealed()

        # Write and seal.
        weights.write(
            ws.path, model, tokenizer, dtype=stored_dtype, best=fitted.best,
            best_on_top=options.early_stop > 0, adapter=options.adapter,
            base=os.path.relpath(base.resolve(), out.resolve()),
        )  # fmt: skip
        for path in (*ws.path.glob(adapters.CONFIG), *ws.path.glob(f"*/{adapters.CONFIG}")):
            ws.volatile(str(path.relative_to(ws.path)))  # it names the base's path
        ws.write_jsonl("training_log.jsonl", fitted.rows)
        ws.write_jsonl("excluded.jsonl", (*capped, *encoded.excluded))
        if fitted.answers:
            ws.write_jsonl(weights.STRIP, fitted.answers)
        labels = (*warnings, *card.inherited_labels(*(s.path for s in sources), base))
        card.write(
            ws.path, title="Wardround 微调模型 tuned model", made=card.made(lora, options.adapter),
            licences=mixture.licences(sources), base=base, inputs=inputs, plan=plan,
            rows=fitted.rows, labels=labels, examples=learned,
        )  # fmt: skip
        return ws.seal(
            counts={
                "samples": plan.samples, "held_out_samples": plan.held_out_samples,
                "tokens": plan.tokens, "supervised_tokens": plan.supervised_tokens,
                "truncated": sum(plan.truncated.values()), "excluded": plan.excluded,
                "steps": plan.steps, "parameters": plan.parameters,
                "trained_parameters": plan.trained_parameters, "last_step": fitted.step,
                "best_step": fitted.best_step,
            },
            labels=labels, seed=options.seed,
        )  # fmt: skip


def _scratch_base(source: mixture.Source, name: str, out: Path, options: TuneOptions) -> Path:
    """Make the from-scratch base next to `out`, or find it made, and return its directory."""
    from wardround.tuning.scratch import PRESETS, make_base

    if name not in PRESETS:
        known = ", ".join(SCRATCH + p for p in PRESETS)
        raise UsageError(f"no from-scratch base named {name}", hint=f"one of: {known}")
    if source.artifact is None:
        raise UsageError(
            f"{source.path}: a from-scratch base is made from a dataset, not from a plain file",
            hint="name the dataset first",
        )
    preset = msgspec.structs.replace(
        PRESETS[name], seed=options.seed, precision=options.precision,
        threads=options.threads or PRESETS[name].threads,
        held_out_share=options.held_out_share, save_seconds=options.save_seconds,
        machine=options.machine,
    )  # fmt: skip
    return make_base(source.path, out.with_name(out.name + "-base"), preset).path


def _recipe(options: TuneOptions, base: Path) -> Recipe:
    """What was asked, the rest by the kind of base."""
    try:
        made_here = open_artifact(base).manifest.config.get("step") == "pretrain"
    except ArtifactError:  # a plain Hugging Face directory
        made_here = False
    asked = {f: getattr(options, f) for f in Recipe.__struct_fields__}
    given = {f: v for f, v in asked.items() if v is not None}
    usual = FROM_SCRATCH if made_here else ADAPTED if options.lora_rank else PRETRAINED
    return msgspec.structs.replace(usual, **given)


def _lora(options: TuneOptions) -> adapters.Lora | None:
    rank = options.lora_rank
    if not rank:
        return None
    alpha = 2.0 * rank if options.lora_alpha is None else options.lora_alpha
    return adapters.Lora(
        rank=rank, alpha=alpha, dropout=options.lora_dropout, targets=options.lora_targets
    )


def _check(options: TuneOptions) -> None:
    positive = ("epochs", "learning_rate", "batch_tokens", "accumulate", "max_tokens",
                "evaluations", "log_steps", "threads", "lora_alpha", "probe_tokens")  # fmt: skip
    for name in positive:
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise UsageError(f"{_flag(name)} {value}: must be above 0", hint="raise it")
    for name in ("lora_rank", "early_stop", "probes"):
        if getattr(options, name) < 0:
            raise UsageError(f"{_flag(name)} {getattr(options, name)}: must be 0 or more")
    for name in ("max_truncated", "held_out_share", "warmup", "lora_dropout"):
        if not 0 <= getattr(options, name) < 1:
            raise UsageError(
                f"{_flag(name)} {getattr(options, name)}: must be a share", hint="0 to below 1"
            )
    if (options.early_stop or options.probes) and not options.held_out_share:
        raise UsageError(
            "--early-stop and --probes need held-out documents", hint="raise --held-out-share"
        )
    if not options.lora_targets:
        raise UsageError("--lora-targets: names nothing", hint=adapters.ALL_LINEAR)
    mixture.parse_caps(options.cap)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _pad_id(tokenizer: Any) -> int:
    """Which id fills batches; it carries no loss and is masked, so any will do where a base names none."""
    return int(tokenizer.pad_token_id or 0)
