"""`wardround prefer`: direct preference optimisation of a chat model on review verdicts and doctor edits.

Reads top to bottom: refuse what must not be learned from, read the pairs, tokenise and mask both answers, set prompts
aside for the held-out figures, say the plan, take the reference's log-probabilities once, train, write an ordinary Hugging
Face directory, seal. The reference is the base as it was. Killed at any time, the same command goes on. In several
processes all run this script, and the first one writes (`processes`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, open_artifact, ref
from wardround.errors import UsageError
from wardround.records import Exclusion, Message
from wardround.tuning import (
    adapters,
    ancestry,
    card,
    guard,
    preferences,
    processes,
    stack,
    tracking,
    training,
)
from wardround.tuning.chats import Chat
from wardround.tuning.course import Course
from wardround.tuning.data import (
    Encoded,
    Example,
    batches,
    encode_chats,
    fitting,
    held_out_documents,
    held_to,
    longer,
)
from wardround.tuning.leftover import nothing_left
from wardround.tuning.plan import make_plan, show, split
from wardround.tuning.preferences import KINDS, Preference
from wardround.tuning.telling import Teller
from wardround.tuning.training import TrainingOptions

STAGE = "dpo"
SIDES = ("chosen", "rejected")
USUAL_TOKENS = 2048
_UNCUT = 2**30
_SEVERAL = re.compile(
    r"#\d+$"
)  # a dialogue that became several examples: the last ends with the answer


class PreferOptions(TrainingOptions, frozen=True, kw_only=True):
    """How to tune on preferences. `learning_rate` None is 1e-6, with LoRA 1e-5: a pair pulls much harder than a sample.

    `beta`: how dear it is to move away from the base; smaller moves further. `batch_tokens`: padded tokens of both
    answers' rows, at most. `max_tokens`: a pair of which either answer ends later is set aside, never cut (half an answer
    isn't what was preferred), None is `USUAL_TOKENS` or the base's context; `max_too_long`: the share of pairs that may be. The others are those of every training.
    """

    beta: float = 0.1
    epochs: int = 1
    batch_tokens: int = 8192
    max_tokens: int | None = None
    max_too_long: float = 0.10
    held_out_share: float = 0.1
    warmup: float = 0.1
    weight_decay: float = 0.0


@processes.together
def prefer(
    given: str | Path | Sequence[str | Path], base: Path | str, out: Path | str,
    options: PreferOptions | None = None,
) -> Artifact:  # fmt: skip
    """Tune the model in directory `base` on the preference files and artifacts `given`; write the checkpoint `out`."""
    options = options or PreferOptions()
    training.check(
        options, positive=("beta", "epochs", "batch_tokens", "max_tokens"), shares=("max_too_long",)
    )
    base, out = Path(base), Path(out)
    lora = training.lora(options)

    # Refuse what must not be learned from, and what can't be done here.
    sources = preferences.sources(given)
    forbidden = guard.held_out_digests(options.held_out)
    guard.refuse_held_out(sources, base, forbidden)
    guard.refuse_changed(sources, base)
    warnings = guard.refuse_unchecked(sources, accept=options.accept_unchecked)
    told, unused = preferences.read(sources, held_out=forbidden)
    warnings += guard.refuse_tests(sources, preferences.tests(sources, told))
    stack.require()
    tracking.require(options.track)
    if lora:
        adapters.require()

    from wardround.tuning import model_dir

    model_dir.check_base(base)
    rate = options.learning_rate or (1e-5 if lora else 1e-6)
    context = model_dir.context_of(base)
    most = fitting(options.max_tokens, USUAL_TOKENS, context)
    options = msgspec.structs.replace(options, learning_rate=rate, max_tokens=most)
    here = stack.set_up(options.precision, options.threads)
    config = stack.settings_of(STAGE, options, here)
    inputs = [*preferences.refs(sources, seen_from=out), ref(base, "base", seen_from=out)]
    with processes.begin(out, kind="checkpoint", config=config, inputs=inputs) as ws:
        if ws.done:
            return open_artifact(out)

        from wardround.tuning import evaluation, loop
        from wardround.tuning.dpo_loss import PreferenceObjective, reference_log_probs

        # Data: pairs → token ids, the answer alone masked in; chosen and rejected follow one another.
        tokenizer = model_dir.load_tokenizer(base)
        pad = int(tokenizer.pad_token_id or 0)
        encoded, aside = encode_pairs(told, tokenizer, options, context=context)
        unused = [*unused, *aside]
        held_out = held_out_documents(
            (p.document for p in told), options.held_out_share, tasks=[p.origin.kind for p in told]
        )
        learned, kept_out = split(encoded.examples, held_out)
        if not learned:
            raise nothing_left("pair", sources[0].path, unused, kept_out=len(kept_out) // 2)
        order = pair_batches(learned, options, epochs=options.epochs)
        kept_order = pair_batches(kept_out, options, epochs=1)
        steps = loop.steps_of(len(order), options.accumulate)

        # Model and plan.
        model, stored_dtype = model_dir.load_model(base, frozen=bool(lora))
        model_dir.check_vocabulary(model, tokenizer, base)
        model_dir.stop_at(model, set(encoded.ends))

        # What the base thinks of every answer: once, before anything is trained beside or in it.
        teller = Teller(STAGE, machine=options.machine)
        by_id = {p.id: p for p in told}
        mine = [by_id[_pair_id(e)] for e in learned[0::2]]
        teller.say("pairs", _summary(mine), pairs=len(mine), doctors=preferences.doctors(mine))
        examples = (*learned, *kept_out)
        reference = reference_log_probs(
            model, examples, pair_batches(examples, options, epochs=1), pad=pad, device=here.device,
            bf16=here.precision == "bf16", kept=ws.work() / "reference.json",
        )  # fmt: skip
        if lora:
            model = adapters.wrap(model, lora, seed=options.seed)
        plan = make_plan(
            model, msgspec.structs.replace(encoded, examples=learned, excluded=tuple(unused)), order,
            stage=STAGE, held_out=len(kept_out) // 2, epochs=options.epochs, steps=steps,
            batch_tokens=options.batch_tokens, max_tokens=most,
            here=here, accumulate=options.accumulate,
            checkpointing=options.gradient_checkpointing, every_logit=True,
            measured={e.task for e in kept_out},
        )  # fmt: skip
        plan = msgspec.structs.replace(
            plan,
            samples=len(mine),
            tasks=dict(sorted(Counter(p.origin.kind for p in mine).items())),
        )
        show(plan, machine=options.machine)
        if held := held_to(most, USUAL_TOKENS, context):
            teller.say("context", held, max_tokens=most, context=context)
        ws.write_json("plan.json", plan)

        # Train.
        ws.volatile("runs")
        fitted = loop.fit(
            model,
            Course(
                examples=learned, order=order, held_out_examples=kept_out, held_out=kept_order,
                epochs=options.epochs, pad=pad, tokenizer=tokenizer,
                probes=evaluation.probes(kept_out[0::2], tokenizer, per_task=options.probes),
                objective=PreferenceObjective(reference, options.beta, pad),
            ),
            training.settings(
                STAGE, options, learning_rate=rate, steps=steps,
                bf16=here.precision == "bf16", metrics=ws.volatile(tracking.METRICS),
                run=out.resolve().name, facts=training.facts(config, inputs, plan),
            ),
            ws.work(),
        )  # fmt: skip

        if isinstance(ws, processes.Beside):
            return ws.sealed()

        # Write and seal.
        training.write(
            ws, model, tokenizer, fitted, options, base=base, dtype=stored_dtype, excluded=unused
        )
        ancestry.write(ws, inputs)
        inherited = card.inherited_labels(*(s.path for s in sources if s.artifact), base)
        labels = tuple(dict.fromkeys((preference_label(mine), *warnings, *inherited)))
        card.write(
            ws.path, title="Wardround 偏好微调模型 preference-tuned model",
            made=(
                *_made(options, lora),
                *_measured(card.until_kept(ws.path, fitted.rows, fitted.best_step)),
            ),
            licences=[f"unstated ({s.path.name})" for s in sources], base=base, inputs=inputs,
            plan=plan, rows=fitted.rows, best_step=fitted.best_step, labels=labels,
            examples=learned[0::2],
        )  # fmt: skip
        return ws.seal(
            counts={
                "pairs": len(mine), "held_out_pairs": len(kept_out) // 2,
                "doctors": preferences.doctors(mine),
                **{f"{kind}_pairs": n for kind, n in plan.tasks.items()},
                **training.counts(plan, fitted),
            },
            labels=labels, seed=options.seed,
        )  # fmt: skip


def encode_pairs(
    told: Sequence[Preference], tokenizer: Any, options: PreferOptions, *, context: int | None = None
) -> tuple[Encoded, list[Exclusion]]:  # fmt: skip
    """The pairs as examples in twos, chosen then rejected, each with loss on the last answer only, and what was set
    aside: pairs either of whose answers can't be encoded or is too long. Raises `UsageError` when too many are.
    `context` is the base's."""
    most = options.max_tokens or USUAL_TOKENS
    chats = [
        Chat(
            id=f"{p.id} {side}", task=p.origin.kind, document=p.document,
            messages=(*p.prompt, Message(role="assistant", content=getattr(p, side))),
        )
        for p in told for side in SIDES
    ]  # fmt: skip
    whole = encode_chats(chats, tokenizer, max_tokens=_UNCUT)
    last = {_SEVERAL.sub("", e.id): e for e in whole.examples}
    why = {x.what: x for x in whole.excluded}
    examples: list[Example] = []
    aside: list[Exclusion] = []
    for p in told:
        names = [f"{p.id} {side}" for side in SIDES]
        missing = next((why[n] for n in names if n in why), None)
        if missing:
            aside.append(_aside(p, missing.reason, missing.detail))
        elif max(len(last[n].ids) for n in names) > most:
            aside.append(_aside(p, "too_long", f"an answer ends after {most} tokens"))
        else:
            examples += (
                msgspec.structs.replace(last[n], id=n, spans=last[n].spans[-1:]) for n in names
            )
    too_long = sum(x.reason == "too_long" for x in aside)
    if too_long > options.max_too_long * len(told):
        raise UsageError(
            f"{too_long} of {len(told)} pairs are longer than {most} tokens",
            hint=f"{longer(most, context)}, or raise --max-too-long to leave them out",
        )
    return msgspec.structs.replace(whole, examples=tuple(examples)), aside


def pair_batches(
    examples: Sequence[Example], options: PreferOptions, *, epochs: int
) -> list[tuple[int, ...]]:
    """`data.batches` of pairs: each batch's indices in twos, chosen then rejected, of near-equal length."""
    longer = [
        max(two, key=lambda e: len(e.ids)) for two in zip(examples[0::2], examples[1::2], strict=True)
    ]  # fmt: skip
    order = batches(
        longer, batch_tokens=options.batch_tokens // 2, epochs=epochs, seed=options.seed
    )
    return [tuple(k for i in batch for k in (2 * i, 2 * i + 1)) for batch in order]


def preference_label(pairs: Sequence[Preference]) -> str:
    """Whose preferences a checkpoint was tuned on: a sentence every report of it shows."""
    counts = Counter(p.origin.kind for p in pairs)
    zh = "、".join(f"{KINDS[kind][0]} {n} 条" for kind, n in sorted(counts.items()))
    en = ", ".join(f"{n} {KINDS[kind][1]}" for kind, n in sorted(counts.items()))
    people = preferences.doctors(pairs)
    return (
        f"按 {people} 位医生的偏好微调（{zh}）；学到的是他们的取舍，不证明医学正确 / "
        f"Tuned on the preferences of {people} doctor{'s' * (people != 1)} ({en}); it learned their choices, "
        "which proves nothing medically right"
    )


def _summary(pairs: Sequence[Preference]) -> str:
    counts = Counter(p.origin.kind for p in pairs)
    kinds = ", ".join(f"{KINDS[k][1]} {n:,}" for k, n in sorted(counts.items()))
    return f"{len(pairs):,} pairs of {preferences.doctors(pairs)} doctors ({kinds})"


def _made(options: PreferOptions, lora: adapters.Lora | None) -> tuple[str, ...]:
    zh, en = (card.made(lora, options.adapter)) if lora else ("", "")
    return (
        f"以直接偏好优化（DPO，β = {options.beta:g}）在医生偏好上微调。{zh}",
        f"Tuned on doctors' preferences by direct preference optimisation (DPO, β = {options.beta:g}). {en}".rstrip(),
    )


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The card's lines on the last held-out figures, by kind."""
    found = [row["measures"] for row in rows if "measures" in row]
    if not found:
        return [
            "",
            "没有留出的偏好，未测准确率。No preference was held out, so accuracy is unknown.",
        ]
    lines = [
        "",
        "| 留出偏好 Held-out preferences | 对 Pairs | 准确率 Accuracy | 间隔 Margin |",
        "|---|---|---|---|",
    ]
    for kind, n in found[-1]["pairs"].items():
        name = " ".join(KINDS.get(kind, ("全部", "all")))
        accuracy, margin = (found[-1][m][kind] for m in ("accuracy", "margin"))
        lines.append(f"| {name} | {n:.0f} | {accuracy:.3f} | {margin:.3f} |")
    return [
        *lines,
        "",
        "准确率：相对基础模型，更倾向所选回答的比例。Accuracy: the share of pairs whose chosen answer gained on the rejected one, against the base.",
    ]


def _pair_id(example: Example) -> str:
    return example.id.rpartition(" ")[0]


def _aside(pair: Preference, reason: str, detail: str) -> Exclusion:
    return Exclusion(
        stage="prefer", file="", row=0, what=pair.id, reason=reason, detail=detail
    )  # fmt: skip
