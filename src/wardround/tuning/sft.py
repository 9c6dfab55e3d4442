"""`wardround tune`: supervised fine-tuning of a causal chat model, all weights or LoRA, on one dataset or several.

Reads top to bottom: refuse what must not be learned from, tokenise and mask, set documents aside for the held-out
loss, say the plan, train, write an ordinary Hugging Face directory, seal. The held-out share is taken from the training
documents, by document; the test side is never read. Killed at any time, the same command goes on. In several processes
all run this script, and the first one writes (`processes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, open_artifact, ref
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.records import Record
from wardround.tuning import (
    adapters,
    ancestry,
    card,
    guard,
    mixture,
    packing,
    processes,
    stack,
    tracking,
    training,
)
from wardround.tuning.course import Course
from wardround.tuning.data import (
    batches,
    check_truncation,
    encode_all,
    fitting,
    held_out_documents,
    held_to,
)
from wardround.tuning.leftover import nothing_left
from wardround.tuning.plan import make_plan, show, split
from wardround.tuning.telling import Teller
from wardround.tuning.training import TrainingOptions

SCRATCH = "scratch:"


class TuneOptions(TrainingOptions, frozen=True, kw_only=True):
    """How to tune. What is None is taken from `PRETRAINED`, or from `FROM_SCRATCH` for a from-scratch base.

    `batch_tokens`: padded tokens a batch, at most. `max_truncated`: the share of chats that may be longer than
    `max_tokens`. `packing`: see `packing`. `cap`: see `mixture.parse_caps`. The others are those of every training.
    """

    epochs: int | None = None
    batch_tokens: int | None = None
    max_tokens: int | None = None
    max_truncated: float = 0.10
    packing: bool = False
    cap: str = ""


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
    training.check(
        options, positive=("epochs", "batch_tokens", "max_tokens"), shares=("max_truncated",)
    )
    mixture.parse_caps(options.cap)
    out = Path(out)
    lora = training.lora(options)

    # Refuse what must not be learned from, and what can't be done here.
    sources = mixture.sources(dataset)
    forbidden = guard.held_out_digests(options.held_out)
    guard.refuse_held_out(sources, Path(base), forbidden)
    guard.refuse_changed(sources, Path(base))
    warnings = guard.refuse_unchecked(sources, accept=options.accept_unchecked)
    warnings += guard.refuse_tests(sources)
    stack.require()
    tracking.require(options.track)
    if lora:
        adapters.require()
    if str(base).startswith(SCRATCH):
        base = _scratch_base(sources[0], str(base).removeprefix(SCRATCH), out, options)
    base = Path(base)

    from wardround.tuning import model_dir

    model_dir.check_base(base)
    recipe, context = _recipe(options, base), model_dir.context_of(base)
    usual = recipe.max_tokens
    most = fitting(options.max_tokens, usual, context)
    recipe = msgspec.structs.replace(recipe, max_tokens=most)
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
            *(
                held_out_documents(
                    (c.document for c in m), options.held_out_share, tasks=[c.task for c in m]
                )
                for m in chats
            )
        )
        chats, capped = mixture.cap_all(chats, mixture.parse_caps(options.cap), spare=held_out)
        encoded, by_source = encode_all(chats, tokenizer, max_tokens=recipe.max_tokens)
        check_truncation(encoded, max_share=options.max_truncated, max_tokens=most, context=context)
        halves = [split(examples, held_out) for examples in by_source]
        learned = tuple(e for mine, _ in halves for e in mine)
        kept_out = tuple(e for _, others in halves for e in others)
        if not learned:
            aside = (*capped, *encoded.excluded)
            raise nothing_left("sample", sources[0].path, aside, kept_out=len(kept_out))

        # The order of all batches of all epochs.
        portions = mixture.portions(sources, [mine for mine, _ in halves])
        shown = mixture.shown(portions, options.seed)
        order = batches(
            learned, batch_tokens=recipe.batch_tokens, epochs=recipe.epochs, seed=options.seed,
            shown=shown, packed=options.packing,
        )  # fmt: skip
        if not order:
            raise InputError(
                "its weight leaves no sample of it to train on", path=sources[0].path,
                hint="raise the weight",
            )  # fmt: skip
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
            here=here, accumulate=options.accumulate,
            packed=options.packing, checkpointing=options.gradient_checkpointing, tasks=tasks,
            sources=mixture.shares(portions), measured={e.task for e in kept_out},
        )  # fmt: skip
        show(plan, machine=options.machine)
        if held := held_to(most, usual, context):
            teller = Teller("sft", machine=options.machine)
            teller.say("context", held, max_tokens=most, context=context)
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
            training.settings(
                "sft", options, learning_rate=recipe.learning_rate, steps=steps,
                bf16=here.precision == "bf16", metrics=ws.volatile(tracking.METRICS),
                run=out.resolve().name, facts=training.facts(config, inputs, plan),
            ),
            ws.work(),
        )  # fmt: skip

        if isinstance(ws, processes.Beside):
            return ws.sealed()

        # Write and seal.
        training.write(
            ws, model, tokenizer, fitted, options, base=base, dtype=stored_dtype,
            excluded=(*capped, *encoded.excluded),
        )  # fmt: skip
        ancestry.write(ws, inputs)
        inherited = card.inherited_labels(*(s.path for s in sources), base)
        labels = tuple(dict.fromkeys((*warnings, *inherited)))
        card.write(
            ws.path, title="Wardround 微调模型 tuned model", made=card.made(lora, options.adapter),
            licences=mixture.licences(sources), base=base, inputs=inputs, plan=plan,
            rows=fitted.rows, best_step=fitted.best_step, labels=labels, examples=learned,
        )  # fmt: skip
        return ws.seal(
            counts={
                "samples": plan.samples, "held_out_samples": plan.held_out_samples,
                "truncated": sum(plan.truncated.values()), **training.counts(plan, fitted),
            },
            labels=labels, seed=options.seed,
        )  # fmt: skip


def _scratch_base(source: mixture.Source, name: str, out: Path, options: TuneOptions) -> Path:
    """Make the from-scratch base next to `out`, or find it made, and return its directory."""
    from wardround.tuning.scratch import PRESETS, make_base

    if name not in PRESETS:
        known = ", ".join(SCRATCH + p for p in PRESETS)
        raise UsageError(f"no from-scratch base named {name}", hint=f"one of: {known}")
    if source.dataset is None:
        raise UsageError(
            f"{source.path}: a from-scratch base is made from a dataset, not from conversations or a review's export",
            hint="name a dataset before it (wardround tune DATASET THIS --base scratch:tiny), or a checkpoint as --base",
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


def _pad_id(tokenizer: Any) -> int:
    """Which id fills batches; it carries no loss and is masked, so any will do where a base names none."""
    return int(tokenizer.pad_token_id or 0)
